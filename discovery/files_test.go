package discovery

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file of a few lines can stand for very much.
func TestHostileResources(t *testing.T) {
	const resource = "apiVersion: kafka.strimzi.io/v1\nkind: KafkaConnect\nmetadata: {name: a, namespace: b}\n"
	bomb := resource + "a0: &a0 {a: b}\n"
	for i := range 30 {
		bomb += fmt.Sprintf("a%d: &a%d {<<: [*a%d, *a%d, *a%d]}\n", i+1, i+1, i, i, i)
	}
	for name, text := range map[string]string{
		"a bomb":      bomb,
		"many values": resource + "spec: [" + strings.Repeat("a,", 1<<20) + "]\n",
		"a cycle":     resource + "spec: &a {b: *a}\n",
	} {
		file := filepath.Join(t.TempDir(), "resource.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		documents, problems := Documents([]string{file})
		if len(documents) > 0 || len(problems) != 1 || !strings.Contains(problems[0].Error(), "too many values") {
			t.Errorf("%s: %d resources, %v", name, len(documents), problems)
		}
	}
}

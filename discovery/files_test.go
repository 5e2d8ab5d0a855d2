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
	ten := "a0: &a0 {a: b}\n"
	for i := range 4 {
		ten += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 10), ","))
	}
	for name, text := range map[string]string{
		"a bomb":      bomb,
		"many values": resource + "spec: [" + strings.Repeat("a,", 1<<20) + "]\n",
		"a cycle":     resource + "spec: &a {b: *a}\n",
		"many bombs":  strings.Repeat("---\n"+resource+ten+"spec: [*a4, *a4, *a4]\n", 1000),
	} {
		file := filepath.Join(t.TempDir(), "resource.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		documents, problems := Documents([]string{file})
		most := 0
		if name == "many bombs" {
			most = maxValues / 33_333
		}
		if len(documents) > most || len(problems) != 1 || !strings.Contains(problems[0].Error(), "too many values") {
			t.Errorf("%s: %d resources, %v", name, len(documents), problems)
		}
	}
}

// What kubectl lists of a large site is one document, as long as all of them.
func TestLongLists(t *testing.T) {
	var list strings.Builder
	list.WriteString("apiVersion: v1\nkind: List\nitems:\n")
	for i := range 100 {
		fmt.Fprintf(&list, "- apiVersion: kafka.strimzi.io/v1\n  kind: KafkaConnect\n  metadata: {name: c%d}\n  status:\n    connectorPlugins:\n", i)
		for range 150 {
			list.WriteString("    - {class: org.example.Plugin, type: sink, version: 1.0}\n")
		}
	}
	file := filepath.Join(t.TempDir(), "list.yaml")
	if err := os.WriteFile(file, []byte(list.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if documents, problems := Documents([]string{file}); len(documents) != 100 || problems != nil {
		t.Errorf("%d of 100 resources, %v", len(documents), problems)
	}
}

package push

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of receivers in docs/faults.md")

// TestReference holds the table in docs/faults.md to the faults that are tried.
func TestReference(t *testing.T) {
	const page, begin, end = "../docs/faults.md", "<!-- go test ./push -run TestReference -update -->\n", "<!-- end -->"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	have, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the table", page)
	}
	want := table(t)
	if *update {
		if err := os.WriteFile(page, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if have != want {
		t.Errorf("%s is not what is tried; run: go test ./push -run TestReference -update", page)
	}
}

// table of all faults: whether they are tried by HTTP or gRPC, and what the log says.
func table(t *testing.T) string {
	said := map[string][2]string{}
	for i, protocol := range []string{HTTP, GRPC} {
		faults := map[string]fault{}
		ofConnections(faults)
		if protocol == HTTP {
			ofHTTP(t, faults)
		} else {
			ofGRPC(faults)
		}
		for name, f := range faults {
			text := strings.ReplaceAll(f.want, impatient.String(), "`otlp.timeout`")
			if strings.HasSuffix(text, ": "+words) {
				text = "its code and words"
			}
			if text == "" {
				text = "what the connection says"
			}
			cells := said[name]
			cells[i] = strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(text)
			said[name] = cells
		}
		for _, f := range tlsFaults(t) {
			text := f.want
			if text == "" {
				text = "what the connection says"
			}
			cells := said[f.name]
			cells[i] = text
			said[f.name] = cells
		}
	}
	for name := range nobody("") {
		said[name] = [2]string{"what the connection says", "what the connection says"}
	}
	var b strings.Builder
	b.WriteString("| the receiver | by HTTP the log says | by gRPC |\n|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(said)) {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, said[name][0], said[name][1])
	}
	return b.String()
}

package deploy_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/alerts"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/dashboards"
)

var update = flag.Bool("update", false, "write the chart's generated files")

const chart = "helm/kafka-connect-exporter"

// generated compares a file with what it is generated as, or writes it.
func generated(t *testing.T, name string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is out of date (%v): make docs", name, err)
	}
}

// Helm follows links out of the chart's folder and packs what they lead to, so
// that nothing that ships is there twice; but it has to be linked.
func TestChartFiles(t *testing.T) {
	boards, err := dashboards.Render(dashboards.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{alerts.Rules}
	for _, board := range boards {
		want = append(want, board.Name)
	}
	config := routes(t)
	generated(t, filepath.Join(chart, "files", "alertmanagerconfig.yml"), config)
	slices.Sort(want)
	entries, err := os.ReadDir(filepath.Join(chart, "files"))
	if err != nil {
		t.Fatal(err)
	}
	var linked []string
	for _, entry := range entries {
		if entry.Name() == "alertmanagerconfig.yml" {
			continue // Made for Kubernetes, and nowhere else.
		}
		linked = append(linked, entry.Name())
		if _, err := os.Stat(filepath.Join(chart, "files", entry.Name())); err != nil || entry.Type()&os.ModeSymlink == 0 {
			t.Errorf("files/%s is no link to what ships: %v", entry.Name(), err)
		}
	}
	if !slices.Equal(linked, want) {
		t.Errorf("the chart has %q, what ships is %q", linked, want)
	}
}

// routes is the AlertmanagerConfig that the exporter exports.
func routes(t *testing.T) []byte {
	t.Helper()
	files, err := alerts.Render(alerts.Options{Kubernetes: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if bytes.Contains(file.Content, []byte("kind: AlertmanagerConfig")) {
			return file.Content
		}
	}
	t.Fatal("no AlertmanagerConfig is exported")
	return nil
}

// A value is a setting of the chart, as values.yaml has it.
type value struct {
	path, help, preset string
	node               *yaml.Node
	children           []value
}

// What the values' defaults do not tell of their types.
var (
	// open are the mappings that take any key.
	open = []string{
		"dashboards.labels", "resources", "podSecurityContext", "securityContext",
	}
	choices = map[string][]string{
		"image.pullPolicy": {"Always", "IfNotPresent", "Never"}, "web.scheme": {"", "http", "https"},
		"service.type": {"ClusterIP", "NodePort", "LoadBalancer"},
	}
	patterns = map[string]string{
		"image.digest":            `^(sha256:[0-9a-f]{64})?$`,
		"serviceMonitor.interval": duration, "serviceMonitor.scrapeTimeout": duration,
		"scrapeConfig.interval": duration, "scrapeConfig.scrapeTimeout": duration,
	}
	// either may be a number or text, as Kubernetes has it.
	either = []string{"podDisruptionBudget.maxUnavailable"}
)

const duration = `^([0-9]+(ms|s|m|h))+$`

func values(t *testing.T) []value {
	t.Helper()
	var document yaml.Node
	readYAML(t, filepath.Join(chart, "values.yaml"), &document)
	return valuesOf(t, "", document.Content[0])
}

func valuesOf(t *testing.T, under string, mapping *yaml.Node) (all []value) {
	for i := 0; i < len(mapping.Content); i += 2 {
		key, node := mapping.Content[i], mapping.Content[i+1]
		v := value{path: strings.TrimPrefix(under+"."+key.Value, "."), node: node}
		// A comment may follow the setting before: what stands after the last "# --" counts.
		if _, help, found := strings.Cut(key.HeadComment, "# -- "); found {
			v.help = strings.Join(strings.Fields(strings.ReplaceAll(help, "\n#", " ")), " ")
		}
		if node.Kind == yaml.MappingNode && len(node.Content) > 0 && !slices.Contains(open, v.path) {
			v.children = valuesOf(t, v.path, node)
		} else {
			var decoded any
			if err := node.Decode(&decoded); err != nil {
				t.Fatal(err)
			}
			preset, err := json.Marshal(decoded)
			if err != nil {
				t.Fatal(err)
			}
			v.preset = string(preset)
		}
		all = append(all, v)
	}
	return all
}

func schemaOf(v value) map[string]any {
	schema := map[string]any{}
	if v.help != "" {
		schema["description"] = v.help
	}
	switch {
	case len(v.children) > 0:
		properties := map[string]any{}
		for _, child := range v.children {
			properties[child.path[strings.LastIndex(child.path, ".")+1:]] = schemaOf(child)
		}
		schema["type"], schema["properties"], schema["additionalProperties"] = "object", properties, false
	case slices.Contains(either, v.path):
		schema["type"] = []string{"integer", "string"}
	case v.node.Kind == yaml.MappingNode:
		schema["type"] = "object"
	case v.node.Kind == yaml.SequenceNode:
		schema["type"] = "array"
	case v.node.Tag == "!!bool":
		schema["type"] = "boolean"
	case v.node.Tag == "!!int":
		schema["type"], schema["minimum"] = "integer", 0
	default:
		schema["type"] = "string"
	}
	if allowed := choices[v.path]; allowed != nil {
		schema["enum"] = allowed
	}
	if pattern := patterns[v.path]; pattern != "" {
		schema["pattern"] = pattern
	}
	return schema
}

// The schema refuses a misspelt setting, where Helm alone would take it in silence.
func TestChartSchema(t *testing.T) {
	properties := map[string]any{"global": map[string]any{"type": "object"}} // what a parent chart passes to all
	for _, v := range values(t) {
		properties[v.path] = schemaOf(v)
	}
	schema, err := json.MarshalIndent(map[string]any{
		"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of kafka-connect-exporter",
		"type": "object", "properties": properties, "additionalProperties": false,
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	generated(t, filepath.Join(chart, "values.schema.json"), append(schema, '\n'))
}

// The README's table has every setting, and nothing but the table is generated.
func TestChartReadme(t *testing.T) {
	var table strings.Builder
	table.WriteString("| setting | default | |\n|---|---|---|\n")
	var add func(all []value)
	add = func(all []value) {
		for _, v := range all {
			if len(v.children) > 0 {
				if v.help != "" {
					fmt.Fprintf(&table, "| `%s` | | %s |\n", v.path, escape(v.help))
				}
				add(v.children)
				continue
			}
			fmt.Fprintf(&table, "| `%s` | `%s` | %s |\n", v.path, escape(v.preset), escape(v.help))
		}
	}
	add(values(t))
	name := filepath.Join(chart, "README.md")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- values -->\n", "<!-- end of values -->\n"
	before, rest, found := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no place for the values", name)
	}
	generated(t, name, []byte(before+begin+table.String()+end+after))
}

func escape(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

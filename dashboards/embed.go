// Package dashboards holds the Grafana dashboards that ship with the exporter,
// and adapts them to the place that they are exported for.
//
// The JSON files are complete as they stand and import into Grafana 10 and
// later. They are generated: change their source in internal/build, then run
// go generate.
package dashboards

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/alerts/promql"
)

//go:generate go run gen.go

//go:embed *.json
var files embed.FS

// Options say how a site differs from what the files assume. The zero value
// changes nothing.
type Options struct {
	// Selector is put into every query: PromQL label matchers such as
	// job="kafka-connect" or job=~"prod-.+",env="prod".
	Selector string
	// Kubernetes asks for a ConfigMap for each dashboard, as Grafana's
	// dashboard sidecar picks them up, instead of the bare JSON.
	Kubernetes bool
	// Labels are the labels of the ConfigMaps; without any it is
	// grafana_dashboard="1", the sidecar's default.
	Labels map[string]string
}

// A File is one file to write.
type File struct {
	Name    string
	Content []byte
}

// List returns the names of the dashboards' files, sorted.
func List() []string {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err) // The embedded root is always there.
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// Read returns one dashboard as it stands in the repository.
func Read(name string) ([]byte, error) {
	content, err := files.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("dashboard %q: there is none, only %s", name, strings.Join(List(), ", "))
	}
	return content, nil
}

// Render returns all dashboards for a site. The error names the option that is
// wrong.
func Render(options Options) ([]File, error) {
	selector := strings.TrimSpace(options.Selector)
	if err := promql.CheckMatchers(selector, "instance", "pod"); err != nil {
		return nil, fmt.Errorf("selector %q: %w", selector, err)
	}
	var rendered []File
	for _, name := range List() {
		content, err := Read(name)
		if err != nil {
			return nil, err
		}
		if selector != "" {
			if content, err = narrow(content, selector); err != nil {
				return nil, fmt.Errorf("put the selector into %s: %w", name, err)
			}
		}
		file := File{Name: name, Content: content}
		if options.Kubernetes {
			if file, err = configMap(file, options.Labels); err != nil {
				return nil, fmt.Errorf("wrap %s: %w", name, err)
			}
		}
		rendered = append(rendered, file)
	}
	return rendered, nil
}

// The two forms in which every query of these dashboards picks series, as they
// stand in JSON: by the job variable, or for that variable itself by a metric's
// bare name.
const jobMatcher = `job=~\"$job\"`

var jobsOf = regexp.MustCompile(`label_values\((\w+), job\)`)

// narrow puts label matchers into all queries of a dashboard.
func narrow(content []byte, selector string) ([]byte, error) {
	// Inside a JSON string, without its quotes. Nothing else needs care there:
	// escaping < > & as well is still the same string.
	quoted, err := json.Marshal(selector)
	if err != nil {
		return nil, err
	}
	inside := string(quoted[1 : len(quoted)-1])
	narrowed := strings.ReplaceAll(string(content), jobMatcher, jobMatcher+", "+inside)
	narrowed = jobsOf.ReplaceAllStringFunc(narrowed, func(query string) string {
		return "label_values(" + jobsOf.FindStringSubmatch(query)[1] + "{" + inside + "}, job)"
	})
	return []byte(narrowed), nil
}

// configMap wraps a dashboard as a Kubernetes resource named after its file.
func configMap(dashboard File, labels map[string]string) (File, error) {
	type metadata struct {
		Name   string            `yaml:"name"`
		Labels map[string]string `yaml:"labels"`
	}
	if len(labels) == 0 {
		labels = map[string]string{"grafana_dashboard": "1"}
	}
	name := strings.TrimSuffix(dashboard.Name, ".json")
	content, err := yaml.Marshal(struct {
		APIVersion string            `yaml:"apiVersion"`
		Kind       string            `yaml:"kind"`
		Metadata   metadata          `yaml:"metadata"`
		Data       map[string]string `yaml:"data"`
	}{
		APIVersion: "v1", Kind: "ConfigMap",
		Metadata: metadata{Name: name, Labels: maps.Clone(labels)},
		Data:     map[string]string{dashboard.Name: string(dashboard.Content)},
	})
	return File{Name: name + ".yaml", Content: content}, err
}

package alerts

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"
)

// alertmanager returns Alertmanager's configuration, or the resource of the
// Prometheus Operator that says the same.
func (o Options) alertmanager() ([]byte, error) {
	source, err := files.ReadFile(Alertmanager + ".tmpl")
	if err != nil {
		return nil, err
	}
	parsed, err := template.New(Alertmanager).Delims("[[", "]]").Funcs(template.FuncMap{
		"equal": o.equal,
		"list":  func(labels ...string) string { return "[" + strings.Join(labels, ", ") + "]" },
	}).Parse(string(source))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, nil); err != nil || !o.Kubernetes {
		return out.Bytes(), err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(out.Bytes(), &document); err != nil {
		return nil, err
	}
	root := document.Content[0]
	if err := toOperator(root); err != nil {
		return nil, err
	}
	return encode(resource{
		APIVersion: "monitoring.coreos.com/v1alpha1", Kind: "AlertmanagerConfig",
		Metadata: metadata{Name: "kafka-connect", Labels: o.Labels}, Spec: *root,
	})
}

// equal lists the labels that tell a cluster from others of its name, without
// those that are named.
func (o Options) equal(but ...string) string {
	labels := slices.Concat([]string{"job"}, o.Equal, []string{"connect_cluster"})
	return strings.Join(slices.DeleteFunc(labels, func(label string) bool { return slices.Contains(but, label) }), ", ")
}

// operatorNames are the fields that the Prometheus Operator calls otherwise.
var operatorNames = map[string]string{
	"group_by": "groupBy", "group_wait": "groupWait", "group_interval": "groupInterval", "repeat_interval": "repeatInterval",
	"inhibit_rules": "inhibitRules", "source_matchers": "sourceMatch", "target_matchers": "targetMatch",
}

// toOperator makes Alertmanager's configuration the spec of the Operator's
// resource, in place.
func toOperator(node *yaml.Node) error {
	for i, inner := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 0 {
			if strings.HasSuffix(inner.Value, "matchers") {
				if err := operatorMatchers(node.Content[i+1]); err != nil {
					return err
				}
			}
			inner.Value = cmp.Or(operatorNames[inner.Value], inner.Value)
		}
		if err := toOperator(inner); err != nil {
			return err
		}
	}
	return nil
}

// operatorMatchers takes matchers apart: name, operator, a value in quotes that
// holds none.
func operatorMatchers(list *yaml.Node) error {
	list.Style = 0
	for _, node := range list.Content {
		at := strings.IndexAny(node.Value, "=!")
		operator, value, _ := strings.Cut(node.Value[at:], `"`)
		if err := node.Encode(struct {
			Name, Value string
			MatchType   string `yaml:"matchType"`
		}{node.Value[:at], strings.TrimSuffix(value, `"`), operator}); err != nil {
			return err
		}
	}
	return nil
}

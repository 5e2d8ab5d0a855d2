package alerts

import (
	"bytes"
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
	var config configuration
	if err := yaml.Unmarshal(out.Bytes(), &config); err != nil {
		return nil, err
	}
	return encode(config.resource(o.Labels))
}

// equal lists the labels that tell a cluster from others of its name, without
// those that are named.
func (o Options) equal(but ...string) string {
	labels := slices.Concat([]string{"job"}, o.Equal, []string{"connect_cluster"})
	return strings.Join(slices.DeleteFunc(labels, func(label string) bool { return slices.Contains(but, label) }), ", ")
}

// configuration is what the shipped file uses of Alertmanager's.
type configuration struct {
	Route        route
	Receivers    []receiver
	InhibitRules []struct {
		Source []string `yaml:"source_matchers"`
		Target []string `yaml:"target_matchers"`
		Equal  []string
	} `yaml:"inhibit_rules"`
}

type route struct {
	Receiver       string
	Matchers       []string
	GroupBy        []string `yaml:"group_by"`
	GroupWait      string   `yaml:"group_wait"`
	GroupInterval  string   `yaml:"group_interval"`
	RepeatInterval string   `yaml:"repeat_interval"`
	Routes         []route
}

type receiver struct{ Name string }

// An AlertmanagerConfig (monitoring.coreos.com/v1alpha1) as far as we fill it.
type alertmanagerConfig struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   metadata
	Spec       struct {
		Route        operatorRoute
		Receivers    []receiver
		InhibitRules []operatorInhibition `yaml:"inhibitRules"`
	}
}

type operatorRoute struct {
	Receiver       string
	Matchers       []operatorMatcher `yaml:",omitempty"`
	GroupBy        []string          `yaml:"groupBy,omitempty,flow"`
	GroupWait      string            `yaml:"groupWait,omitempty"`
	GroupInterval  string            `yaml:"groupInterval,omitempty"`
	RepeatInterval string            `yaml:"repeatInterval,omitempty"`
	Routes         []operatorRoute   `yaml:",omitempty"`
}

type operatorInhibition struct {
	SourceMatch []operatorMatcher `yaml:"sourceMatch"`
	TargetMatch []operatorMatcher `yaml:"targetMatch"`
	Equal       []string          `yaml:",flow"`
}

type operatorMatcher struct {
	Name      string
	Value     string
	MatchType string `yaml:"matchType"`
}

func (c configuration) resource(labels map[string]string) alertmanagerConfig {
	var r alertmanagerConfig
	r.APIVersion, r.Kind = "monitoring.coreos.com/v1alpha1", "AlertmanagerConfig"
	r.Metadata = metadata{Name: "kafka-connect", Labels: labels}
	r.Spec.Route, r.Spec.Receivers = c.Route.operator(), c.Receivers
	for _, i := range c.InhibitRules {
		r.Spec.InhibitRules = append(r.Spec.InhibitRules, operatorInhibition{operatorMatchers(i.Source), operatorMatchers(i.Target), i.Equal})
	}
	return r
}

func (r route) operator() operatorRoute {
	out := operatorRoute{
		Receiver: r.Receiver, Matchers: operatorMatchers(r.Matchers), GroupBy: r.GroupBy,
		GroupWait: r.GroupWait, GroupInterval: r.GroupInterval, RepeatInterval: r.RepeatInterval,
	}
	for _, child := range r.Routes {
		out.Routes = append(out.Routes, child.operator())
	}
	return out
}

func operatorMatchers(matchers []string) []operatorMatcher {
	var out []operatorMatcher
	for _, m := range matchers {
		// They are matchers of ours: name, operator, a value in quotes that holds none.
		at := strings.IndexAny(m, "=!")
		name, rest := m[:at], m[at:]
		operator, value, _ := strings.Cut(rest, `"`)
		out = append(out, operatorMatcher{name, strings.TrimSuffix(value, `"`), operator})
	}
	return out
}

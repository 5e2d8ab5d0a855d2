// Package alerts holds the alert rules, the recording rules and the
// Alertmanager configuration that ship with the exporter, and adapts them to
// the place that they are exported for.
//
// The files are complete as they stand: what [Render] does is to change what
// differs from one site to the next.
package alerts

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/alerts/promql"
)

//go:generate go run gen.go

//go:embed migration-wakeful.rules.yml kafka-connect.rules.yml.tmpl alertmanager.yml.tmpl
var files embed.FS

// The names of the shipped files.
const (
	Rules          = "kafka-connect.rules.yml"
	MigrationRules = "migration-wakeful.rules.yml"
	Alertmanager   = "alertmanager.yml"

	rulesTemplate = Rules + ".tmpl"
)

// DefaultRunbooks is where the shipped rules say that their runbooks are.
const DefaultRunbooks = "https://github.com/kafka-connect-exporter/kafka-connect-exporter/blob/main/docs/runbooks/{alert}.md"

// Options say how a site differs from what the files assume. The zero value
// changes nothing.
type Options struct {
	// Selector is put into every series that the rules select: PromQL label
	// matchers such as job="kafka-connect" or job=~"prod-.+",env="prod". It may
	// not use the labels that the rules fold away.
	Selector string
	// Fold are labels of the target, beside instance and pod, that tell the
	// replicas of an exporter apart, such as replica or node.
	Fold []string
	// Equal are labels of the target, beside job, that tell clusters of one name
	// apart, such as env or region: Alertmanager groups and inhibits by them too.
	Equal []string
	// Objective is the share of the time in which a connector's tasks are to run;
	// 0 means 0.99.
	Objective float64
	// RebalanceDelay is the workers' scheduled.rebalance.max.delay.ms; 0 means
	// 5 minutes, its default.
	RebalanceDelay time.Duration
	// Owner is a label of kafka_connect_connector_labels, such as
	// label_owner_team, that becomes the label team of alerts on connectors.
	Owner string
	// Runbooks is the address of the runbooks: {alert} in it becomes the name of
	// the alert; without {alert} it is a folder of pages named as in docs/runbooks.
	Runbooks string
	// Grafana is the address of the Grafana that has the dashboards; without it
	// the alerts link to a path.
	Grafana string
	// TimeScale multiplies every time in the rules ("for", "keep_firing_for",
	// the groups' intervals, ranges and offsets) for tests and demonstrations;
	// 0 means 1. The ranges of rate and increase must stay above two scrape
	// intervals: with one second, 0.02 is the least.
	TimeScale float64
	// Kubernetes asks for resources of the Prometheus Operator (PrometheusRule,
	// AlertmanagerConfig) instead of files.
	Kubernetes bool
	// Labels are the labels of the Kubernetes resources, which Prometheus's
	// ruleSelector asks for.
	Labels map[string]string
	// Migration adds the recording rules that keep the series' names of
	// wakeful/kafka_connect_exporter.
	Migration bool
}

// A File is one file to write.
type File struct {
	Name    string
	Content []byte
}

// Render returns the files for a site. The error names the option that is wrong.
func Render(options Options) ([]File, error) {
	if err := options.check(); err != nil {
		return nil, err
	}
	names := []string{Rules}
	if options.Migration {
		names = append(names, MigrationRules)
	}
	var rendered []File
	for _, name := range names {
		content, err := options.rules(name)
		if err != nil {
			return nil, fmt.Errorf("render %s: %w", name, err)
		}
		rendered = append(rendered, File{name, content})
	}
	content, err := options.alertmanager()
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", Alertmanager, err)
	}
	return append(rendered, File{Alertmanager, content}), nil
}

func (o *Options) check() error {
	switch {
	case o.TimeScale == 0:
		o.TimeScale = 1
	case !(o.TimeScale > 0 && o.TimeScale <= 1):
		return fmt.Errorf("time scale %v: want a number above 0 and up to 1", o.TimeScale)
	}
	switch {
	case o.Objective == 0:
		o.Objective = 0.99
	case !(o.Objective >= 0.94 && o.Objective < 1):
		return fmt.Errorf("objective %v: want a share from 0.94 to below 1; what is less never burns 14.4 times as fast as it may", o.Objective)
	}
	switch {
	case o.RebalanceDelay == 0:
		o.RebalanceDelay = 5 * time.Minute
	case o.RebalanceDelay < time.Second || o.RebalanceDelay > 24*time.Hour:
		return fmt.Errorf("rebalance delay %v: want a duration from 1s to 24h, the workers' scheduled.rebalance.max.delay.ms", o.RebalanceDelay)
	}
	if o.Owner != "" && !ownerLabel.MatchString(o.Owner) {
		return fmt.Errorf("owner %q: want a label of kafka_connect_connector_labels, such as label_owner_team", o.Owner)
	}
	if err := checkLabels("fold", o.Fold, "job", "instance", "pod"); err != nil {
		return err
	}
	if err := checkLabels("equal", o.Equal, append([]string{"job", "instance", "pod"}, o.Fold...)...); err != nil {
		return err
	}
	if o.Owner != "" && slices.Contains(slices.Concat(o.Fold, o.Equal), "team") {
		return fmt.Errorf("owner %q: it becomes the label team, which is then no label of a target to fold or to be equal", o.Owner)
	}
	o.Runbooks = cmp.Or(o.Runbooks, DefaultRunbooks)
	for _, address := range []struct{ name, value string }{{"runbook address", o.Runbooks}, {"Grafana address", o.Grafana}} {
		if address.value == "" {
			continue
		}
		parsed, err := url.Parse(address.value)
		if err != nil || parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https") || strings.ContainsAny(address.value, " \"") {
			return fmt.Errorf("%s %q: want an http or https URL", address.name, address.value)
		}
	}
	if !strings.Contains(o.Runbooks, "{alert}") {
		o.Runbooks = strings.TrimRight(o.Runbooks, "/") + "/{alert}.md"
	}
	o.Selector = strings.TrimSpace(o.Selector)
	if err := promql.CheckMatchers(o.Selector, append([]string{"instance", "pod"}, o.Fold...)...); err != nil {
		return fmt.Errorf("selector %q: %w", o.Selector, err)
	}
	return nil
}

var (
	labelName  = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
	ownerLabel = regexp.MustCompile(`^label_[a-zA-Z0-9_]+$`)
)

// ownLabels are those that the exporter or the rules put on series themselves.
var ownLabels = []string{"connect_cluster", "connector", "task", "state", "worker", "reason", "host", "alertname", "alertstate", "severity", "long", "short"}

// checkLabels refuses what is no label of a target.
func checkLabels(option string, labels []string, but ...string) error {
	for i, label := range labels {
		switch {
		case slices.Contains(labels[:i], label):
			return fmt.Errorf("%s %q: named twice", option, label)
		case !labelName.MatchString(label), strings.HasPrefix(label, "__"): // Those are Prometheus's own.
			return fmt.Errorf("%s %q: not the name of a label", option, label)
		case slices.Contains(ownLabels, label):
			return fmt.Errorf("%s %q: that is no label of a target, the alerts are about it", option, label)
		case slices.Contains(but, label):
			return fmt.Errorf("%s %q: that label is used otherwise", option, label)
		}
	}
	return nil
}

// rules returns a rule file as the options want it, its comments kept.
func (o Options) rules(name string) ([]byte, error) {
	var content []byte
	var err error
	if name == Rules {
		content, err = o.template()
	} else {
		content, err = files.ReadFile(name)
	}
	if err != nil {
		return nil, err
	}
	if o.Selector == "" && o.TimeScale == 1 && !o.Kubernetes {
		return content, nil
	}
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		return nil, err
	}
	root := document.Content[0]
	groups := value(root, "groups")
	if groups == nil {
		return nil, errors.New("no groups")
	}
	for _, group := range groups.Content {
		if err := o.scale(group, "interval"); err != nil {
			return nil, err
		}
		for _, rule := range value(group, "rules").Content {
			if err := o.rule(rule); err != nil {
				return nil, err
			}
		}
	}
	if o.Kubernetes {
		return encode(resource{
			APIVersion: "monitoring.coreos.com/v1", Kind: "PrometheusRule",
			Metadata: metadata{Name: strings.TrimSuffix(name, ".rules.yml"), Labels: o.Labels},
			Spec:     *root,
		})
	}
	return encode(&document)
}

func encode(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	err := encoder.Close()
	return out.Bytes(), err
}

type resource struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   metadata
	Spec       yaml.Node
}

type metadata struct {
	Name   string
	Labels map[string]string `yaml:",omitempty"`
}

// rule changes one rule in place.
func (o Options) rule(rule *yaml.Node) error {
	for _, key := range []string{"for", "keep_firing_for"} {
		if err := o.scale(rule, key); err != nil {
			return err
		}
	}
	if annotations := value(rule, "annotations"); annotations != nil {
		for i := 1; i < len(annotations.Content); i += 2 {
			if err := o.windows(annotations.Content[i]); err != nil {
				return err
			}
		}
	}
	expression := value(rule, "expr")
	changed, err := o.expression(expression.Value)
	expression.Value = changed
	return err
}

// expression puts the selector into an expression and scales its durations.
func (o Options) expression(expression string) (string, error) {
	type edit struct {
		span promql.Span
		text string
	}
	var edits []edit
	found := promql.Parse(expression)
	if o.Selector != "" {
		for _, s := range found.Selectors {
			if strings.HasPrefix(s.Metric, "rules:") {
				continue // Of no target.
			}
			span, text := promql.Span{Start: s.End, End: s.End}, "{"+o.Selector+"}"
			if len(s.Matchers) > 0 {
				span.End, text = s.End+1, "{"+o.Selector+","
			}
			edits = append(edits, edit{span, text})
		}
	}
	for _, d := range found.Durations {
		text, err := o.scaled(expression[d.Start:d.End])
		if err != nil {
			return "", err
		}
		edits = append(edits, edit{d, text})
	}
	// From the end, so that the offsets ahead stay true.
	slices.SortFunc(edits, func(a, b edit) int { return b.span.Start - a.span.Start })
	for _, e := range edits {
		expression = expression[:e.span.Start] + e.text + expression[e.span.End:]
	}
	return expression, nil
}

// scale changes a duration that a mapping holds under key, if it does.
func (o Options) scale(mapping *yaml.Node, key string) error {
	node := value(mapping, key)
	if node == nil {
		return nil
	}
	text, err := o.scaled(node.Value)
	node.Value = text
	return err
}

// window is a range or subquery in a query of an annotation.
var window = regexp.MustCompile(`\[([0-9a-z]+)(?::([0-9a-z]+))?\]`)

// windows scales the ranges of the queries in an annotation.
func (o Options) windows(annotation *yaml.Node) error {
	if o.TimeScale == 1 {
		return nil
	}
	var failed error
	annotation.Value = window.ReplaceAllStringFunc(annotation.Value, func(found string) string {
		parts := window.FindStringSubmatch(found)
		for i, part := range parts[1:] {
			if part == "" || !strings.ContainsAny(part, "smhd") {
				continue
			}
			text, err := o.scaled(part)
			if err != nil {
				failed = err
			}
			parts[i+1] = text
		}
		if parts[2] != "" {
			parts[1] += ":" + parts[2]
		}
		return "[" + parts[1] + "]"
	})
	return failed
}

func (o Options) scaled(duration string) (string, error) {
	if o.TimeScale == 1 {
		return duration, nil
	}
	d, err := model.ParseDuration(duration)
	if err != nil {
		return "", err
	}
	scaled := time.Duration(float64(d) * o.TimeScale).Round(time.Millisecond)
	return model.Duration(max(scaled, time.Millisecond)).String(), nil
}

// value returns what a mapping holds under key, nil if nothing.
func value(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

// Package alerts holds the alert rules, the recording rules and the
// Alertmanager configuration that ship with the exporter, and adapts them to
// the place that they are exported for.
//
// The files are complete as they stand: what [Render] does is to change what
// differs from one site to the next.
package alerts

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/alerts/promql"
)

//go:embed *.rules.yml alertmanager.yml
var files embed.FS

// The names of the shipped files.
const (
	Rules          = "kafka-connect.rules.yml"
	MigrationRules = "migration-wakeful.rules.yml"
	Alertmanager   = "alertmanager.yml"
)

// DefaultRunbooks is where the shipped rules say that their runbooks are.
const DefaultRunbooks = "https://github.com/kafka-connect-exporter/kafka-connect-exporter/blob/main/docs/runbooks/{alert}.md"

// Options say how a site differs from what the files assume. The zero value
// changes nothing.
type Options struct {
	// Selector is put into every series that the rules select: PromQL label
	// matchers such as job="kafka-connect" or job=~"prod-.+",env="prod". It may
	// not use the labels instance and pod, which the rules fold away.
	Selector string
	// Runbooks is the address of the runbooks: {alert} in it becomes the name of
	// the alert; without {alert} it is a folder of pages named as in docs/runbooks.
	Runbooks string
	// TimeScale multiplies every time in the rules ("for", "keep_firing_for",
	// the groups' intervals, ranges and offsets) for tests and demonstrations;
	// 0 means 1. The ranges of rate and increase must stay above two scrape
	// intervals: with one second, 0.02 is the least.
	TimeScale float64
	// Kubernetes asks for PrometheusRule resources (monitoring.coreos.com/v1)
	// instead of rule files.
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
	// The operator takes Alertmanager's configuration from elsewhere.
	if !options.Kubernetes {
		content, err := files.ReadFile(Alertmanager)
		if err != nil {
			return nil, err
		}
		rendered = append(rendered, File{Alertmanager, content})
	}
	return rendered, nil
}

func (o *Options) check() error {
	switch {
	case o.TimeScale == 0:
		o.TimeScale = 1
	case !(o.TimeScale > 0 && o.TimeScale <= 1):
		return fmt.Errorf("time scale %v: want a number above 0 and up to 1", o.TimeScale)
	}
	if o.Runbooks != "" {
		address, err := url.Parse(o.Runbooks)
		if err != nil || address.Host == "" || (address.Scheme != "http" && address.Scheme != "https") {
			return fmt.Errorf("runbook address %q: want an http or https URL", o.Runbooks)
		}
		if !strings.Contains(o.Runbooks, "{alert}") {
			o.Runbooks = strings.TrimRight(o.Runbooks, "/") + "/{alert}.md"
		}
	}
	o.Selector = strings.TrimSpace(o.Selector)
	if err := promql.CheckMatchers(o.Selector, "instance", "pod"); err != nil {
		return fmt.Errorf("selector %q: %w", o.Selector, err)
	}
	return nil
}

// rules returns a rule file as the options want it, its comments kept.
func (o Options) rules(name string) ([]byte, error) {
	content, err := files.ReadFile(name)
	if err != nil {
		return nil, err
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
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if o.Kubernetes {
		err = encoder.Encode(resource{
			APIVersion: "monitoring.coreos.com/v1", Kind: "PrometheusRule",
			Metadata: metadata{Name: strings.TrimSuffix(name, ".rules.yml"), Labels: o.Labels},
			Spec:     *root,
		})
	} else {
		err = encoder.Encode(&document)
	}
	if err != nil {
		return nil, err
	}
	return out.Bytes(), encoder.Close()
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
	if annotations := value(rule, "annotations"); annotations != nil && o.Runbooks != "" {
		if annotations.Kind == yaml.AliasNode {
			annotations = annotations.Alias
		}
		value(annotations, "runbook_url").Value = strings.ReplaceAll(o.Runbooks, "{alert}", value(rule, "alert").Value)
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
			span, text := promql.Span{Start: s.End, End: s.End}, "{"+o.Selector+"}"
			switch {
			case s.Metric == "up":
				// Its matcher is only a guess at the name of the job.
				span.End = s.Close
			case len(s.Matchers) > 0:
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

package alerts_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/alerts"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/alerts/promql"
)

// parsed reads YAML into plain values, so that only what is said counts.
func parsed(t *testing.T, content []byte) map[string]any {
	t.Helper()
	var value map[string]any
	if err := yaml.Unmarshal(content, &value); err != nil {
		t.Fatalf("%v in:\n%s", err, content)
	}
	return value
}

func TestRenderChangesNothingUnasked(t *testing.T) {
	for name, source := range sources(t) {
		got := rendered(t, alerts.Options{Migration: true}, name)
		if !reflect.DeepEqual(parsed(t, got), parsed(t, source)) {
			t.Errorf("%s says something else than its source:\n%s", name, got)
		}
		for comment := range strings.Lines(string(source)) {
			if comment = strings.TrimSpace(comment); strings.HasPrefix(comment, "#") && !strings.Contains(string(got), comment) {
				t.Errorf("%s: the comment %q is lost", name, comment)
			}
		}
	}
}

func TestRenderSelectorReachesEverySeries(t *testing.T) {
	const selector = `job="it's {odd}",env=~"a|b"`
	for _, name := range []string{alerts.Rules, alerts.MigrationRules} {
		var file ruleFile
		content := rendered(t, alerts.Options{Selector: selector, Migration: true}, name)
		if err := yaml.Unmarshal(content, &file); err != nil {
			t.Fatal(err)
		}
		for _, group := range file.Groups {
			for _, r := range group.Rules {
				for _, s := range promql.Parse(r.Expr).Selectors {
					want := []promql.Matcher{{Label: "job", Operator: "=", Value: "it's {odd}"}, {Label: "env", Operator: "=~", Value: "a|b"}}
					if len(s.Matchers) < 2 || !reflect.DeepEqual(s.Matchers[:2], want) {
						t.Errorf("%s: %s has %v", r.name(), s.Metric, s.Matchers)
					}
					if s.Metric == "up" && len(s.Matchers) != 2 {
						t.Errorf("up keeps the shipped guess at the job: %v", s.Matchers)
					}
				}
			}
		}
	}
}

func TestRenderRunbooks(t *testing.T) {
	for given, want := range map[string]string{
		"https://wiki.example/connect/":           "https://wiki.example/connect/KafkaConnectTaskFailed.md",
		"https://wiki.example/r?page={alert}#top": "https://wiki.example/r?page=KafkaConnectTaskFailed#top",
	} {
		content := rendered(t, alerts.Options{Runbooks: given}, alerts.Rules)
		if !strings.Contains(string(content), "runbook_url: "+want+"\n") {
			t.Errorf("%s: no %s", given, want)
		}
		if strings.Contains(string(content), "runbook_url: https://github.com") {
			t.Errorf("%s: an address was left", given)
		}
	}
}

func TestRenderTimeScale(t *testing.T) {
	const scale = 0.02
	was, is := durations(t, alerts.Options{}), durations(t, alerts.Options{TimeScale: scale})
	if len(was) < 40 || len(was) != len(is) {
		t.Fatalf("%d durations became %d", len(was), len(is))
	}
	for i := range was {
		if want := time.Duration(float64(was[i]) * scale); is[i] != want {
			t.Errorf("%v became %v, want %v", was[i], is[i], want)
		}
	}
}

// durations lists every time in the rules, in order.
func durations(t *testing.T, options alerts.Options) []time.Duration {
	t.Helper()
	var file struct {
		Groups []struct {
			Interval string
			Rules    []struct {
				Expr, For     string
				KeepFiringFor string `yaml:"keep_firing_for"`
			}
		}
	}
	if err := yaml.Unmarshal(rendered(t, options, alerts.Rules), &file); err != nil {
		t.Fatal(err)
	}
	var all []time.Duration
	add := func(text string) {
		if text == "" {
			return
		}
		d, err := model.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, time.Duration(d))
	}
	for _, group := range file.Groups {
		add(group.Interval)
		for _, r := range group.Rules {
			add(r.For)
			add(r.KeepFiringFor)
			for _, d := range promql.Parse(r.Expr).Durations {
				add(r.Expr[d.Start:d.End])
			}
		}
	}
	return all
}

func TestRenderKubernetes(t *testing.T) {
	files, err := alerts.Render(alerts.Options{Kubernetes: true, Migration: true, Labels: map[string]string{"release": "prometheus"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 {
		t.Fatalf("%d files, want the two rule files", len(files))
	}
	for _, file := range files {
		got, source := parsed(t, file.Content), parsed(t, sources(t)[file.Name])
		want := map[string]any{
			"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule",
			"metadata": map[string]any{"name": strings.TrimSuffix(file.Name, ".rules.yml"), "labels": map[string]any{"release": "prometheus"}},
			"spec":     source,
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n%s", file.Name, file.Content)
		}
	}
}

func TestRenderRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		options alerts.Options
		want    string
	}{
		"scale above one":       {alerts.Options{TimeScale: 2}, "time scale 2"},
		"negative scale":        {alerts.Options{TimeScale: -1}, "time scale -1"},
		"no matchers":           {alerts.Options{Selector: "kafka-connect"}, `selector "kafka-connect"`},
		"an expression":         {alerts.Options{Selector: `job="a"} or up{a="b"`}, "want label matchers"},
		"two without a comma":   {alerts.Options{Selector: `job="a" env="b"`}, "want label matchers"},
		"a comma too much":      {alerts.Options{Selector: `job="a", `}, "last comma"},
		"a wrong pattern":       {alerts.Options{Selector: `job=~"("`}, "no regular expression"},
		"a label folded away":   {alerts.Options{Selector: `instance="a:1"`}, "label instance"},
		"no address":            {alerts.Options{Runbooks: "runbooks/"}, "runbook address"},
		"an address that lacks": {alerts.Options{Runbooks: "https:///x"}, "runbook address"},
	} {
		t.Run(name, func(t *testing.T) {
			files, err := alerts.Render(c.options)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line with %q", err, c.want)
			}
			if files != nil {
				t.Error("files beside an error")
			}
		})
	}
}

package alerts_test

import (
	"fmt"
	"reflect"
	"regexp"
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
	var evaluations []promql.Matcher
	site := ""
	for _, name := range []string{alerts.Rules, alerts.MigrationRules} {
		var file ruleFile
		content := rendered(t, alerts.Options{Selector: selector, Migration: true}, name)
		if err := yaml.Unmarshal(content, &file); err != nil {
			t.Fatal(err)
		}
		for _, group := range file.Groups {
			for _, r := range group.Rules {
				if r.Record == "rules:kafka_connect_evaluations:one" {
					site = r.Labels["site"]
				}
				// The queries of its annotations are of the alert's own labels and the selector.
				if queries := queriesOf(r); len(queries) > 0 && !strings.Contains(r.Annotations["description"], `"job=\"it's {odd}\",env=~\"a|b\","`) {
					t.Errorf("%s: the queries lack the selector: %s", r.name(), r.Annotations["description"])
				}
				for _, s := range promql.Parse(r.Expr).Selectors {
					if s.Metric == "rules:kafka_connect_evaluations:one" {
						evaluations = append(evaluations, s.Matchers...)
						continue
					}
					want := []promql.Matcher{{Label: "job", Operator: "=", Value: "it's {odd}"}, {Label: "env", Operator: "=~", Value: "a|b"}}
					if len(s.Matchers) < 2 || !reflect.DeepEqual(s.Matchers[:2], want) {
						t.Errorf("%s: %s has %v", r.name(), s.Metric, s.Matchers)
					}
				}
			}
		}
	}
	// The evaluations are of no target, and those of each export are its own.
	if len(evaluations) < 5 || site == "" {
		t.Errorf("%d times evaluations of site %q are counted", len(evaluations), site)
	}
	for _, m := range evaluations {
		if m != (promql.Matcher{Label: "site", Operator: "=", Value: site}) {
			t.Errorf("evaluations are counted by %v, and recorded with site %q", m, site)
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
	if len(was) < 100 || len(was) != len(is) {
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
				Annotations   map[string]string
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
		d, err := time.ParseDuration(text) // Fractions of seconds.
		if err != nil {
			parsed, err := model.ParseDuration(text)
			if err != nil {
				t.Fatal(err)
			}
			d = time.Duration(parsed)
		}
		all = append(all, d)
	}
	for _, group := range file.Groups {
		add(group.Interval)
		for _, r := range group.Rules {
			add(r.For)
			add(r.KeepFiringFor)
			for _, d := range promql.Parse(r.Expr).Durations {
				add(r.Expr[d.Start:d.End])
			}
			for _, found := range regexp.MustCompile(`time\(\) - ([0-9.]+)`).FindAllStringSubmatch(r.Expr, -1) {
				add(found[1] + "s")
			}
			for _, text := range []string{r.Annotations["description"]} {
				for _, found := range regexp.MustCompile(`\[([0-9]\w*)\]`).FindAllStringSubmatch(text, -1) {
					if found[1] != "1" { // A verb of printf.
						add(found[1])
					}
				}
			}
		}
	}
	return all
}

func TestRenderFoldsReplicas(t *testing.T) {
	content := string(rendered(t, alerts.Options{Fold: []string{"replica", "node"}}, alerts.Rules))
	if strings.Contains(content, "(instance, pod)") || strings.Contains(content, "(instance, pod,") && !strings.Contains(content, "(instance, pod, replica, node") {
		t.Error("a rule folds the shipped labels only")
	}
	if n := strings.Count(content, "instance, pod, replica, node"); n < 50 {
		t.Errorf("%d places fold replica and node", n)
	}
}

func TestRenderObjectiveDelayOwnerGrafana(t *testing.T) {
	content := string(rendered(t, alerts.Options{
		Objective: 0.999, RebalanceDelay: time.Minute, Owner: "label_owner_team", Grafana: "https://grafana.example/x/",
	}, alerts.Rules))
	for _, want := range []string{
		"(14.4 * (1 - 0.999))", "its objective is 0.999", "<= time() - 240", "for: 11m",
		`label "label_owner_team"`, "max without (alertname, alertstate, severity, long, short, team) (ALERTS{",
		"https://grafana.example/x/d/kafka-connect-connector?",
	} {
		if !strings.Contains(content, want) {
			t.Errorf("no %s", want)
		}
	}
	for _, unwanted := range []string{"0.99)", "<= time() - 480", " /d/kafka-connect"} {
		if strings.Contains(content, unwanted) {
			t.Errorf("%s is left", unwanted)
		}
	}
}

func TestRenderKubernetes(t *testing.T) {
	files, err := alerts.Render(alerts.Options{Kubernetes: true, Migration: true, Labels: map[string]string{"release": "prometheus"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 3 {
		t.Fatalf("%d files, want the two rule files and Alertmanager's", len(files))
	}
	labels := map[string]any{"release": "prometheus"}
	for _, file := range files[:2] {
		got, source := parsed(t, file.Content), parsed(t, sources(t)[file.Name])
		want := map[string]any{
			"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule",
			"metadata": map[string]any{"name": strings.TrimSuffix(file.Name, ".rules.yml"), "labels": labels},
			"spec":     source,
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n%s", file.Name, file.Content)
		}
	}
	// The resource says what the file says.
	got, source := parsed(t, files[2].Content), parsed(t, sources(t)[alerts.Alertmanager])
	if got["kind"] != "AlertmanagerConfig" || !reflect.DeepEqual(got["metadata"], map[string]any{"name": "kafka-connect", "labels": labels}) {
		t.Errorf("%s", files[2].Content)
	}
	spec := got["spec"].(map[string]any)
	if !reflect.DeepEqual(spec["receivers"], source["receivers"]) {
		t.Errorf("receivers %v, want %v", spec["receivers"], source["receivers"])
	}
	if !reflect.DeepEqual(plainRoute(spec["route"].(map[string]any)), source["route"]) {
		t.Errorf("route %v\nwant  %v", plainRoute(spec["route"].(map[string]any)), source["route"])
	}
	var inhibitions []any
	for _, one := range spec["inhibitRules"].([]any) {
		rule := one.(map[string]any)
		inhibitions = append(inhibitions, map[string]any{
			"source_matchers": plainMatchers(rule["sourceMatch"]), "target_matchers": plainMatchers(rule["targetMatch"]), "equal": rule["equal"],
		})
	}
	if !reflect.DeepEqual(inhibitions, source["inhibit_rules"]) {
		t.Errorf("inhibitions %v\nwant %v", inhibitions, source["inhibit_rules"])
	}
}

// plainRoute turns the operator's route into Alertmanager's.
func plainRoute(route map[string]any) map[string]any {
	plain := map[string]any{}
	for name, value := range route {
		switch name {
		case "matchers":
			value = plainMatchers(value)
		case "routes":
			var routes []any
			for _, child := range value.([]any) {
				routes = append(routes, plainRoute(child.(map[string]any)))
			}
			value = routes
		}
		words := regexp.MustCompile("[A-Z]").ReplaceAllStringFunc(name, func(letter string) string { return "_" + strings.ToLower(letter) })
		plain[words] = value
	}
	return plain
}

func plainMatchers(matchers any) []any {
	var plain []any
	for _, one := range matchers.([]any) {
		m := one.(map[string]any)
		plain = append(plain, fmt.Sprintf("%s%s%q", m["name"], m["matchType"], m["value"]))
	}
	return plain
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
		"no Grafana":            {alerts.Options{Grafana: "grafana"}, "Grafana address"},
		"a quoted address":      {alerts.Options{Grafana: `https://x/"`}, "Grafana address"},
		"a low objective":       {alerts.Options{Objective: 0.9}, "objective 0.9"},
		"an objective of all":   {alerts.Options{Objective: 1}, "objective 1"},
		"a negative delay":      {alerts.Options{RebalanceDelay: -time.Second}, "rebalance delay -1s"},
		"no label to fold":      {alerts.Options{Fold: []string{"a-b"}}, `fold "a-b"`},
		"the cluster folded":    {alerts.Options{Fold: []string{"connect_cluster"}}, "no label of a target"},
		"the job folded":        {alerts.Options{Fold: []string{"job"}}, "used otherwise"},
		"Prometheus's own":      {alerts.Options{Fold: []string{"__name__"}}, "not the name of a label"},
		"begins with a digit":   {alerts.Options{Fold: []string{"1a"}}, "not the name of a label"},
		"no name at all":        {alerts.Options{Equal: []string{""}}, "not the name of a label"},
		"equal by job":          {alerts.Options{Equal: []string{"job"}}, "used otherwise"},
		"equal twice":           {alerts.Options{Equal: []string{"env", "env"}}, "named twice"},
		"folded by default":     {alerts.Options{Fold: []string{"instance"}}, "used otherwise"},
		"the owner's label":     {alerts.Options{Owner: "label_team", Equal: []string{"team"}}, "the label team"},
		"folded and equal":      {alerts.Options{Fold: []string{"env"}, Equal: []string{"env"}}, `equal "env"`},
		"folded and selected":   {alerts.Options{Fold: []string{"env"}, Selector: `env="a"`}, "label env"},
		"no owner":              {alerts.Options{Owner: "team"}, `owner "team"`},
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

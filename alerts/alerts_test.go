package alerts_test

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/alerts"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/alerts/promql"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

const runbooks = "../docs/runbooks"

type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []rule
	}
}

type rule struct {
	Alert, Record, Expr string
	Labels, Annotations map[string]string
}

func (r rule) name() string { return r.Alert + r.Record }

// rulesOf reads the rules of a shipped file, as the default options render it.
func rulesOf(t *testing.T, name string) []rule {
	t.Helper()
	var parsed ruleFile
	if err := yaml.Unmarshal(rendered(t, alerts.Options{Migration: true}, name), &parsed); err != nil {
		t.Fatal(err)
	}
	var rules []rule
	for _, group := range parsed.Groups {
		rules = append(rules, group.Rules...)
	}
	if len(rules) == 0 {
		t.Fatalf("%s has no rules", name)
	}
	return rules
}

func rendered(t *testing.T, options alerts.Options, name string) []byte {
	t.Helper()
	files, err := alerts.Render(options)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if file.Name == name {
			return file.Content
		}
	}
	t.Fatalf("%s is not rendered", name)
	return nil
}

// Labels that Prometheus itself puts on every series of a target.
var targetLabels = []string{"job", "instance", "pod"}

// known holds the labels of every series that an expression may name.
type known map[string][]string

// seriesKnown is the descriptor table as Prometheus sees it, and what the rules
// record.
func seriesKnown(t *testing.T) known {
	t.Helper()
	all := known{"up": nil, "ALERTS": {"alertname", "alertstate", "connect_cluster", "connector"}}
	for _, d := range series.Descriptors() {
		if d.Kind != series.Histogram {
			all[d.Name] = d.Labels
			continue
		}
		all[d.Name+"_bucket"] = append(slices.Clone(d.Labels), "le")
		all[d.Name+"_sum"], all[d.Name+"_count"] = d.Labels, d.Labels
	}
	for _, r := range rulesOf(t, alerts.Rules) {
		if r.Record != "" {
			all[r.Record] = []string{"connect_cluster", "connector"}
		}
	}
	return all
}

// labelValues are the values that a label can have, where they are few.
func labelValues(label string) []string {
	var values []string
	switch label {
	case "state":
		for _, s := range connect.States() {
			values = append(values, s.String())
		}
	case "reason":
		for _, r := range connect.UnobservedReasons() {
			values = append(values, string(r))
		}
	case "provider":
		values = []string{string(connect.SelfManaged), string(connect.ConfluentCloud), string(connect.MSK), string(connect.Aiven)}
	case "outcome":
		values = []string{"success", "partial", "failure"}
	case "alertstate":
		values = []string{"pending", "firing"}
	}
	return values
}

// check holds an expression to what exists.
func (k known) check(t *testing.T, expression string) {
	t.Helper()
	parsed := promql.Parse(expression)
	if len(parsed.Selectors) == 0 {
		t.Errorf("no series in %s", expression)
	}
	all := slices.Clone(targetLabels)
	for _, selector := range parsed.Selectors {
		labels, ok := k[selector.Metric]
		if !ok {
			t.Errorf("no series %s, in %s", selector.Metric, expression)
		}
		all = append(all, labels...)
		for _, m := range selector.Matchers {
			if !slices.Contains(labels, m.Label) && !slices.Contains(targetLabels, m.Label) {
				t.Errorf("%s has no label %s, in %s", selector.Metric, m.Label, expression)
			}
			if values := labelValues(m.Label); values != nil {
				for value := range strings.SplitSeq(m.Value, "|") {
					if !slices.Contains(values, value) {
						t.Errorf("label %s is never %q, in %s", m.Label, value, expression)
					}
				}
			}
		}
	}
	for _, label := range parsed.Labels {
		if !slices.Contains(all, label) {
			t.Errorf("no series of the expression has a label %s: %s", label, expression)
		}
	}
}

func TestExpressionsNameWhatExists(t *testing.T) {
	series := seriesKnown(t)
	for _, file := range []string{alerts.Rules, alerts.MigrationRules} {
		for _, r := range rulesOf(t, file) {
			t.Run(r.name(), func(t *testing.T) {
				series.check(t, r.Expr)
				for _, quoted := range regexp.MustCompile(`printf "(kafka_[^"]+)"`).FindAllStringSubmatch(r.Annotations["description"], -1) {
					series.check(t, strings.ReplaceAll(quoted[1], "%q", `""`))
				}
			})
		}
	}
}

// Alerts that ask for others name such as there are.
func TestAlertsOnAlertsNameWhatExists(t *testing.T) {
	names := map[string]bool{}
	for _, r := range rulesOf(t, alerts.Rules) {
		names[r.Alert] = true
	}
	for _, r := range rulesOf(t, alerts.Rules) {
		for _, selector := range promql.Parse(r.Expr).Selectors {
			for _, m := range selector.Matchers {
				if m.Label != "alertname" {
					continue
				}
				for _, name := range alternatives(m.Value) {
					if !names[name] {
						t.Errorf("%s asks for %s, which is no alert", r.name(), name)
					}
				}
			}
		}
	}
}

// What a description prints must not have been aggregated away.
func TestDescriptionsNameWhatTheAlertIsAbout(t *testing.T) {
	series := seriesKnown(t)
	label := regexp.MustCompile(`\$labels\.(\w+)`)
	without := regexp.MustCompile(`without \(([^)]*)\)`)
	for _, r := range rulesOf(t, alerts.Rules) {
		if r.Alert == "" {
			continue
		}
		t.Run(r.Alert, func(t *testing.T) {
			var left []string
			for _, selector := range promql.Parse(r.Expr).Selectors {
				left = append(append(left, series[selector.Metric]...), targetLabels...)
			}
			var gone []string
			for _, list := range without.FindAllStringSubmatch(r.Expr, -1) {
				gone = append(gone, strings.Split(list[1], ", ")...)
			}
			left = slices.DeleteFunc(left, func(l string) bool { return slices.Contains(gone, l) })
			var named []string
			for _, match := range label.FindAllStringSubmatch(r.Annotations["description"], -1) {
				named = append(named, match[1])
				if !slices.Contains(left, match[1]) {
					t.Errorf("the description prints label %s, which the expression does not keep", match[1])
				}
			}
			for _, must := range []string{"connect_cluster", "connector", "task"} {
				if slices.Contains(left, must) && !slices.Contains(named, must) && !strings.HasPrefix(r.Expr, "absent") && r.Alert != "KafkaConnectWorkerDown" {
					t.Errorf("the description does not name the %s", must)
				}
			}
		})
	}
}

func TestAlertsAreComplete(t *testing.T) {
	for _, r := range rulesOf(t, alerts.Rules) {
		if r.Alert == "" {
			continue
		}
		if !regexp.MustCompile(`^KafkaConnect([A-Z][a-z]*|OTLP)+$`).MatchString(r.Alert) {
			t.Errorf("%s: not a CamelCase name with our prefix", r.Alert)
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
			t.Errorf("%s: severity %q", r.Alert, r.Labels["severity"])
		}
		if summary := r.Annotations["summary"]; summary == "" || strings.Contains(summary, "{{") {
			t.Errorf("%s: summary %q, want one without a template", r.Alert, summary)
		}
		if want := strings.ReplaceAll(alerts.DefaultRunbooks, "{alert}", r.Alert); r.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url %q, want %q", r.Alert, r.Annotations["runbook_url"], want)
		}
	}
}

// The reason of a threshold or a wait stands beside it.
func TestAlertsGiveTheirReasons(t *testing.T) {
	source, err := os.ReadFile(alerts.Rules)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(source), "\n")
	reason := false
	previous := ""
	for i, line := range lines {
		name, isAlert := strings.CutPrefix(strings.TrimSpace(line), "- alert: ")
		if isAlert {
			// The windows of one alert share the comment on its first.
			if !reason && name != previous {
				t.Errorf("line %d: no comment above %s", i+1, name)
			}
			previous = name
		}
		reason = strings.HasPrefix(strings.TrimSpace(line), "#")
	}
}

func TestEachAlertHasItsRunbookAndEachRunbookItsAlert(t *testing.T) {
	series := seriesKnown(t)
	pages, err := filepath.Glob(filepath.Join(runbooks, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, page := range pages {
		names = append(names, strings.TrimSuffix(filepath.Base(page), ".md"))
	}
	var wanted []string
	for _, r := range rulesOf(t, alerts.Rules) {
		if r.Alert != "" && !slices.Contains(wanted, r.Alert) {
			wanted = append(wanted, r.Alert)
		}
	}
	slices.Sort(wanted)
	if !slices.Equal(names, wanted) {
		t.Fatalf("pages %v\nalerts %v", names, wanted)
	}
	section := regexp.MustCompile(`(?m)^## (.*)$`)
	block := regexp.MustCompile("(?s)```promql\n(.*?)```")
	link := regexp.MustCompile(`\]\(([^)]+)\)`)
	for _, name := range wanted {
		t.Run(name, func(t *testing.T) {
			content, err := os.ReadFile(filepath.Join(runbooks, name+".md"))
			if err != nil {
				t.Fatal(err)
			}
			text := string(content)
			if !strings.HasPrefix(text, "# "+name+"\n") {
				t.Error("the title is not the alert's name")
			}
			var sections []string
			for _, match := range section.FindAllStringSubmatch(text, -1) {
				sections = append(sections, match[1])
			}
			if want := []string{"Meaning", "Impact", "Diagnosis", "Mitigation"}; !slices.Equal(sections, want) {
				t.Errorf("sections %v, want %v", sections, want)
			}
			queries := block.FindAllStringSubmatch(text, -1)
			if len(queries) == 0 || !strings.Contains(text, "```sh\n") {
				t.Error("want a query and a call to copy")
			}
			for _, query := range queries {
				series.check(t, query[1])
			}
			for _, match := range link.FindAllStringSubmatch(text, -1) {
				if _, err := os.Stat(filepath.Join(runbooks, match[1])); err != nil {
					t.Errorf("link to %s: %v", match[1], err)
				}
			}
		})
	}
}

// Whoever migrates copies from this page: what it says we have must exist.
func TestMigrationPageNamesWhatExists(t *testing.T) {
	content, err := os.ReadFile("../docs/migration.md")
	if err != nil {
		t.Fatal(err)
	}
	series := seriesKnown(t)
	// What is recorded under the old names is there too.
	for _, r := range rulesOf(t, alerts.MigrationRules) {
		if !strings.Contains(string(content), "`"+r.Record) {
			t.Errorf("the page does not tell of %s", r.Record)
		}
	}
	var queries []string
	for line := range strings.Lines(string(content)) {
		// The last cell of a row that begins with a name of Kpow's.
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| `c") && len(cells) == 2 {
			queries = append(queries, strings.Split(cells[1], "`")[1])
		}
	}
	for _, block := range regexp.MustCompile("(?s)```promql\n(.*?)```").FindAllStringSubmatch(string(content), -1) {
		queries = append(queries, block[1])
	}
	if len(queries) != 19 {
		t.Errorf("%d queries, want 18 rows and an example", len(queries))
	}
	// A histogram is named by what it is called, without a suffix.
	series["kafka_connect_snapshot_duration_seconds"] = series["kafka_connect_snapshot_duration_seconds_count"]
	for _, query := range queries {
		series.check(t, query)
	}
}

// promtool runs the unit tests; this sees to it that no alert goes without.
func TestEachAlertHasPositiveAndNegativeUnitTests(t *testing.T) {
	content, err := os.ReadFile("kafka-connect_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	var suite struct {
		RuleFiles []string `yaml:"rule_files"`
		Tests     []struct {
			AlertRuleTest []struct {
				Alertname string
				ExpAlerts []yaml.Node `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal(content, &suite); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(suite.RuleFiles, []string{alerts.Rules}) {
		t.Errorf("rule_files %v", suite.RuleFiles)
	}
	positive, negative, exist := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, test := range suite.Tests {
		for _, c := range test.AlertRuleTest {
			if len(c.ExpAlerts) > 0 {
				positive[c.Alertname] = true
			} else {
				negative[c.Alertname] = true
			}
		}
	}
	for _, r := range rulesOf(t, alerts.Rules) {
		if exist[r.Alert] = true; r.Alert != "" && (!positive[r.Alert] || !negative[r.Alert]) {
			t.Errorf("%s: positive case %t, negative case %t", r.Alert, positive[r.Alert], negative[r.Alert])
		}
	}
	for name := range negative {
		if !exist[name] {
			t.Errorf("a case for %s, which is no alert: it can never fail", name)
		}
	}
}

// A name that no alert has would make a route or an inhibition dead.
func TestAlertmanagerNamesWhatExists(t *testing.T) {
	var config struct {
		Route struct {
			Receiver string
			GroupBy  []string `yaml:"group_by"`
			Routes   []struct {
				Receiver string
				Matchers []string
			}
		}
		Receivers    []struct{ Name string }
		InhibitRules []struct {
			Source []string `yaml:"source_matchers"`
			Target []string `yaml:"target_matchers"`
			Equal  []string
		} `yaml:"inhibit_rules"`
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(rendered(t, alerts.Options{}, alerts.Alertmanager))))
	if err := decoder.Decode(&config); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, r := range rulesOf(t, alerts.Rules) {
		if r.Alert != "" {
			names[r.Alert] = true
		}
	}
	matcher := regexp.MustCompile(`^(\w+)(=|!=|=~|!~)"(.*)"$`)
	check := func(matchers []string) {
		for _, text := range matchers {
			m := matcher.FindStringSubmatch(text)
			if m == nil {
				t.Errorf("matcher %s", text)
				continue
			}
			switch m[1] {
			case "severity":
				if !slices.Contains([]string{"critical", "warning", "info"}, m[3]) {
					t.Errorf("matcher %s: no such severity", text)
				}
			case "alertname":
				for _, one := range alternatives(m[3]) {
					pattern := regexp.MustCompile("^(?:" + one + ")$")
					if !slices.ContainsFunc(slices.Collect(maps.Keys(names)), pattern.MatchString) {
						t.Errorf("matcher %s: no alert matches %s", text, one)
					}
				}
			default:
				t.Errorf("matcher %s: an alert has no such label by itself", text)
			}
		}
	}
	var receivers []string
	for _, receiver := range config.Receivers {
		receivers = append(receivers, receiver.Name)
	}
	routed := []string{config.Route.Receiver}
	for _, route := range config.Route.Routes {
		check(route.Matchers)
		routed = append(routed, route.Receiver)
	}
	slices.Sort(routed)
	slices.Sort(receivers)
	if !slices.Equal(routed, receivers) {
		t.Errorf("routes lead to %v, receivers are %v", routed, receivers)
	}
	if len(config.InhibitRules) == 0 {
		t.Error("no inhibition")
	}
	for _, inhibition := range config.InhibitRules {
		check(inhibition.Source)
		check(inhibition.Target)
	}
}

// alternatives opens "a(b|c)" to "ab" and "ac".
func alternatives(pattern string) []string {
	prefix, rest, found := strings.Cut(pattern, "(")
	if !found {
		return []string{pattern}
	}
	inner, suffix, _ := strings.Cut(rest, ")")
	var opened []string
	for one := range strings.SplitSeq(inner, "|") {
		opened = append(opened, prefix+one+suffix)
	}
	return opened
}

// Every file that stands here is shipped, and the other way round.
func TestAllRuleFilesAreRendered(t *testing.T) {
	onDisk, err := fs.Glob(os.DirFS("."), "*.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	files, err := alerts.Render(alerts.Options{Migration: true})
	if err != nil {
		t.Fatal(err)
	}
	var shipped []string
	for _, file := range files {
		if strings.HasSuffix(file.Name, ".rules.yml") {
			shipped = append(shipped, file.Name)
		}
	}
	slices.Sort(shipped)
	if !slices.Equal(onDisk, shipped) {
		t.Errorf("on disk %v, shipped %v", onDisk, shipped)
	}
}

// sources are the shipped files as they stand in the repository.
func sources(t *testing.T) map[string][]byte {
	t.Helper()
	read := map[string][]byte{}
	for _, name := range []string{alerts.Rules, alerts.MigrationRules, alerts.Alertmanager} {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		read[name] = content
	}
	return read
}

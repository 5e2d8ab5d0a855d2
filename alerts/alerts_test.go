package alerts_test

import (
	"fmt"
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
	all := known{"up": nil, "ALERTS": {"alertname", "alertstate", "severity", "long", "short", "connect_cluster", "connector", "task", "state", "worker", "reason"}}
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
			level, _, _ := strings.Cut(r.Record, ":") // Rules' own have no labels.
			all[r.Record] = map[string][]string{
				"target": {"connect_cluster"}, "cluster": {"connect_cluster"},
				"connector": {"connect_cluster", "connector", "state"}, "task": {"connect_cluster", "connector", "task", "state"},
			}[level]
		}
	}
	return all
}

// labelValues are the values that a label can have, where they are few.
func labelValues(metric, label string) []string {
	var values []string
	if metric == "kafka_connect_resource_state" && label == "state" {
		for _, s := range connect.ResourceStates() {
			values = append(values, string(s))
		}
		return values
	}
	if metric == "kafka_connect_group_state" && label == "state" {
		for _, s := range connect.GroupStates() {
			values = append(values, string(s))
		}
		return values
	}
	if metric == "kafka_connect_brokers_errors_total" && label == "reason" {
		for _, r := range connect.BrokersReasons() {
			values = append(values, string(r))
		}
		return values
	}
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
			if values := labelValues(selector.Metric, m.Label); values != nil {
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
				if r.Expr != "vector(1)" {
					series.check(t, r.Expr)
				}
				for _, query := range queriesOf(r) {
					series.check(t, query)
				}
			})
		}
	}
}

// quoted is a query of an annotation: the format of a printf whose verbs are the
// alert's own labels.
var quoted = regexp.MustCompile(`query \(printf "((?:[^"\\]|\\.)*)"`)

// queriesOf returns the queries of a rule's annotations and labels.
func queriesOf(r rule) []string {
	var queries []string
	for _, text := range slices.Concat(slices.Collect(maps.Values(r.Annotations)), slices.Collect(maps.Values(r.Labels))) {
		for _, found := range quoted.FindAllStringSubmatch(text, -1) {
			query := strings.NewReplacer("%[1]s", "", "%s", "", `\"`, `"`).Replace(found[1])
			queries = append(queries, query)
		}
	}
	return queries
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

// Each alert names what it is about, and prints no label that it does not have.
func TestDescriptionsNameWhatTheAlertIsAbout(t *testing.T) {
	label := regexp.MustCompile(`\$labels\.(\w+)`)
	own := regexp.MustCompile(`unless ignoring \(([^)]*)\) cluster:kafka_connect_(?:unseen:firing|snapshot:missing)`)
	for _, r := range rulesOf(t, alerts.Rules) {
		if r.Alert == "" {
			continue
		}
		t.Run(r.Alert, func(t *testing.T) {
			var wanted []string
			if strings.Contains(r.Expr, "kafka_connect_up") || strings.Contains(r.Expr, "cluster:") {
				wanted = []string{"connect_cluster"}
			}
			if found := own.FindAllStringSubmatch(r.Expr, -1); found != nil {
				wanted = append(wanted, strings.Split(found[len(found)-1][1], ", ")...)
			}
			var named []string
			for _, match := range label.FindAllStringSubmatch(r.Annotations["description"], -1) {
				named = append(named, match[1])
			}
			switch r.Alert {
			case "KafkaConnectExporterAbsent":
				wanted = nil
			case "KafkaConnectExporterUnreachable":
				wanted = []string{"instance", "job"}
			case "KafkaConnectReplicaBlind":
				wanted = []string{"instance", "job", "connect_cluster"}
			case "KafkaConnectCertificateExpiring":
				wanted = []string{"host", "connect_cluster"}
			case "KafkaConnectForeignURL":
				wanted = []string{"host", "connect_cluster"}
			case "KafkaConnectExporterReloadFailed", "KafkaConnectExporterOTLPFailing", "KafkaConnectDiscoveryFailing":
				wanted = []string{"instance"}
			case "KafkaConnectDiscoveryRefused":
				wanted = []string{"instance", "reason"}
			}
			for _, must := range wanted {
				if must != "state" && !slices.Contains(named, must) {
					t.Errorf("the description does not name the %s", must)
				}
			}
			for _, name := range named {
				if !slices.Contains(wanted, name) {
					t.Errorf("the description prints label %s, which the alert does not have", name)
				}
			}
		})
	}
}

// The page that lists them has each, with its severities.
func TestPageListsTheAlerts(t *testing.T) {
	content, err := os.ReadFile("../docs/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	severities, summaries := map[string][]string{}, map[string]string{}
	for _, r := range rulesOf(t, alerts.Rules) {
		if r.Alert == "" {
			continue
		}
		if summaries[r.Alert] == "" {
			summaries[r.Alert] = r.Annotations["summary"]
		}
		if severity := r.Labels["severity"]; !slices.Contains(severities[r.Alert], severity) {
			severities[r.Alert] = append(severities[r.Alert], severity)
		}
	}
	for name, summary := range summaries {
		row := fmt.Sprintf("| [%[1]s](runbooks/%[1]s.md) | %[2]s | %[3]s |\n", name, strings.Join(severities[name], ", "), summary)
		if !strings.Contains(string(content), row) {
			t.Errorf("no row %s", row)
		}
	}
	if rows := strings.Count(string(content), "(runbooks/"); rows != len(summaries) {
		t.Errorf("%d rows of %d alerts", rows, len(summaries))
	}
}

// Whoever is called at night reads the alert first: why, where to look, how to
// silence just this, what to do.
func TestPagesSayWhy(t *testing.T) {
	for _, r := range rulesOf(t, alerts.Rules) {
		if r.Alert == "" {
			continue
		}
		for name, want := range map[string]string{
			"dashboard_url": "/d/kafka-connect-", "silence": "amtool silence add ", "runbook_url": "/" + r.Alert + ".md",
		} {
			if !strings.Contains(r.Annotations[name], want) {
				t.Errorf("%s: %s %q", r.Alert, name, r.Annotations[name])
			}
		}
	}
	for name, query := range map[string]string{
		"KafkaConnectClusterDown": "kafka_connect_snapshot_errors_total", "KafkaConnectReplicaBlind": "kafka_connect_snapshot_errors_total",
		"KafkaConnectConnectorFailed": "kafka_connect_connector_failure_info", "KafkaConnectTaskFailed": "kafka_connect_task_failure_info",
		"KafkaConnectAllTasksFailed": "kafka_connect_task_failure_info", "KafkaConnectTasksNotRunning": "kafka_connect_task_failure_info",
		"KafkaConnectManyConnectorsFailed": "kafka_connect_task_failure_info", "KafkaConnectFailingAgain": "kafka_connect_task_failure_info",
	} {
		found := false
		for _, r := range rulesOf(t, alerts.Rules) {
			found = found || r.Alert == name && slices.ContainsFunc(queriesOf(r), func(q string) bool { return strings.Contains(q, query) })
		}
		if !found {
			t.Errorf("%s does not ask %s", name, query)
		}
	}
}

// No page without the reason: that of the last failed snapshot, a root cause, a
// number. These four say all there is to say.
func TestEachPageAsksWhy(t *testing.T) {
	plain := []string{"KafkaConnectExporterAbsent", "KafkaConnectCredentialsRefused", "KafkaConnectClusterUnhealthy", "KafkaConnectReportedTasksNotRunning"}
	for _, r := range rulesOf(t, alerts.Rules) {
		if r.Alert == "" || r.Labels["severity"] != "critical" {
			continue
		}
		queries := queriesOf(r)
		causes := slices.ContainsFunc(queries, func(q string) bool { return strings.Contains(q, "_failure_info") })
		switch {
		case slices.Contains(plain, r.Alert):
		case len(queries) == 0:
			t.Errorf("%s asks nothing", r.Alert)
		case strings.Contains(r.Annotations["dashboard_url"], "kafka-connect-connector") && !causes:
			t.Errorf("%s, which is about a connector, does not give the root cause", r.Alert)
		}
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
	if string(rendered(t, alerts.Options{}, alerts.Rules)) != string(source) {
		t.Error("the rules are not what their template makes: go generate ./alerts")
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
	heading := regexp.MustCompile(`(?m)^(##+) (.*)$`)
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
			var headings []string
			for _, match := range heading.FindAllStringSubmatch(text, -1) {
				headings = append(headings, match[1]+" "+match[2])
			}
			if want := []string{
				"## Meaning", "## Impact", "## Diagnosis", "## Mitigation",
				"### Self-managed", "### Strimzi", "### Confluent Cloud", "### Amazon MSK Connect", "### Aiven", "## Afterwards",
			}; !slices.Equal(headings, want) {
				t.Errorf("headings %v, want %v", headings, want)
			}
			queries := block.FindAllStringSubmatch(text, -1)
			if len(queries) == 0 || !strings.Contains(text, "```sh\n") {
				t.Error("want a query and a call to copy")
			}
			for _, query := range queries {
				series.check(t, query[1])
			}
			for _, match := range link.FindAllStringSubmatch(text, -1) {
				if strings.HasPrefix(match[1], "https://") {
					continue
				}
				file, _, _ := strings.Cut(match[1], "#")
				if _, err := os.Stat(filepath.Join(runbooks, file)); err != nil {
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

// promtool runs the unit tests; this sees to it that each alert has a case in which
// it fires at one time and does not at another, and one of its words.
func TestEachAlertHasUnitTests(t *testing.T) {
	files, err := filepath.Glob("*_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`alertname="(\w+)"`)
	exist, edge, words := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, r := range rulesOf(t, alerts.Rules) {
		exist[r.Alert] = true
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var suite struct {
			Tests []struct {
				Name          string
				AlertRuleTest []struct {
					Alertname string
					ExpAlerts []yaml.Node `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
				PromqlExprTest []struct {
					Expr       string
					ExpSamples []struct{ Labels string } `yaml:"exp_samples"`
				} `yaml:"promql_expr_test"`
			}
		}
		if err := yaml.Unmarshal(content, &suite); err != nil {
			t.Fatal(err)
		}
		for _, test := range suite.Tests {
			for _, c := range test.AlertRuleTest {
				words[c.Alertname] = words[c.Alertname] || len(c.ExpAlerts) > 0
			}
			fires := map[string]int{}
			for _, c := range test.PromqlExprTest {
				for _, m := range name.FindAllStringSubmatch(c.Expr, -1) {
					if !exist[m[1]] {
						t.Errorf("%s: %q asks for %s, which is no alert", file, test.Name, m[1])
					}
				}
				at := map[string]bool{}
				for _, sample := range c.ExpSamples {
					for _, m := range name.FindAllStringSubmatch(sample.Labels, -1) {
						at[m[1]] = true
					}
				}
				if found := name.FindStringSubmatch(c.Expr); found != nil && len(c.ExpSamples) == 0 {
					edge[found[1]] = true
				}
				for alert := range at {
					fires[alert]++
					if !exist[alert] {
						t.Errorf("%s: %q expects %s, which is no alert", file, test.Name, alert)
					}
				}
			}
			for alert, times := range fires {
				edge[alert] = edge[alert] || times < len(test.PromqlExprTest)
			}
		}
	}
	for alert := range exist {
		if alert != "" && (!edge[alert] || !words[alert]) {
			t.Errorf("%s: fires at one time and not at another %t, its words %t", alert, edge[alert], words[alert])
		}
	}
}

type alertmanagerRoute struct {
	Receiver string
	GroupBy  []string `yaml:"group_by"`
	Matchers []string
	Routes   []alertmanagerRoute
}

type alertmanagerConfig struct {
	Route        alertmanagerRoute
	Receivers    []struct{ Name string }
	InhibitRules []struct {
		Source []string `yaml:"source_matchers"`
		Target []string `yaml:"target_matchers"`
		Equal  []string
	} `yaml:"inhibit_rules"`
}

func alertmanager(t *testing.T, options alerts.Options) alertmanagerConfig {
	t.Helper()
	var config alertmanagerConfig
	if err := yaml.Unmarshal(rendered(t, options, alerts.Alertmanager), &config); err != nil {
		t.Fatal(err)
	}
	return config
}

// matching returns the alerts that matchers of Alertmanager pick.
func matching(t *testing.T, rules []rule, matchers []string) []rule {
	t.Helper()
	form := regexp.MustCompile(`^(\w+)(=~|!~|!=|=)"(.*)"$`)
	var picked []rule
	for _, r := range rules {
		if r.Alert == "" {
			continue
		}
		all := true
		for _, text := range matchers {
			m := form.FindStringSubmatch(text)
			if m == nil {
				t.Fatalf("matcher %s", text)
			}
			value := map[string]string{"alertname": r.Alert, "severity": r.Labels["severity"], "team": "payments"}[m[1]]
			is := regexp.MustCompile("^(?:" + m[3] + ")$").MatchString(value)
			all = all && is == !strings.HasPrefix(m[2], "!")
		}
		if all {
			picked = append(picked, r)
		}
	}
	return picked
}

// A name that no alert has would make a route or an inhibition dead.
func TestAlertmanagerNamesWhatExists(t *testing.T) {
	config, rules := alertmanager(t, alerts.Options{}), rulesOf(t, alerts.Rules)
	check := func(matchers []string) {
		t.Helper()
		for _, text := range matchers {
			name, value, _ := strings.Cut(strings.Trim(text, `"`), `"`)
			for _, one := range alternatives(value) {
				operator := "=~"
				if strings.HasPrefix(name, "severity") || strings.HasPrefix(name, "team") {
					operator = "="
				}
				label := name[:strings.IndexAny(name, "=!")]
				if len(matching(t, rules, []string{label + operator + `"` + one + `"`})) == 0 {
					t.Errorf("matcher %s: no alert matches %s", text, one)
				}
			}
		}
	}
	routed := map[string]bool{}
	var walk func(alertmanagerRoute)
	walk = func(route alertmanagerRoute) {
		check(route.Matchers)
		routed[route.Receiver] = true
		for _, child := range route.Routes {
			walk(child)
		}
	}
	walk(config.Route)
	for _, receiver := range config.Receivers {
		if !routed[receiver.Name] {
			t.Errorf("no route leads to %s", receiver.Name)
		}
		delete(routed, receiver.Name)
	}
	if len(routed) > 0 {
		t.Errorf("routes lead to %v, which are no receivers", routed)
	}
	for _, inhibition := range config.InhibitRules {
		check(inhibition.Source)
		check(inhibition.Target)
	}
}

// One cluster, or one environment, never silences another.
func TestInhibitionsStayWithTheirCluster(t *testing.T) {
	for _, inhibition := range alertmanager(t, alerts.Options{Equal: []string{"env", "region"}}).InhibitRules {
		for _, label := range []string{"job", "env", "region", "connect_cluster"} {
			if !slices.Contains(inhibition.Equal, label) {
				t.Errorf("%v: equal %v lacks %s", inhibition.Source, inhibition.Equal, label)
			}
		}
		for _, r := range matching(t, rulesOf(t, alerts.Rules), inhibition.Source) {
			if strings.HasPrefix(r.Alert, "KafkaConnectExporter") {
				t.Errorf("%s, which is of no cluster, inhibits", r.Alert)
			}
		}
	}
}

// An alert that ends while it is inhibited is never told to be resolved. So what is
// inhibited looks at its inhibitor itself: it does not begin, nor end, before that.
func TestWhatIsInhibitedWaitsForItsInhibitor(t *testing.T) {
	rules := rulesOf(t, alerts.Rules)
	pairs := 0
	for _, inhibition := range alertmanager(t, alerts.Options{}).InhibitRules {
		for _, target := range matching(t, rules, inhibition.Target) {
			waits := false
			for _, source := range matching(t, rules, inhibition.Source) {
				short := strings.TrimPrefix(source.Alert, "KafkaConnect")
				waits = waits || strings.Contains(target.Expr, short) ||
					strings.Contains(target.Expr, "cluster:kafka_connect_snapshot:missing") || strings.Contains(target.Expr, "cluster:kafka_connect_unseen:firing")
			}
			self := fmt.Sprintf("(ALERTS{alertname=%q", target.Alert)
			if pairs++; !waits || !strings.Contains(target.Expr, self) {
				t.Errorf("%s does not wait for %v", target.Alert, inhibition.Source)
			}
		}
	}
	if pairs < 40 {
		t.Errorf("only %d pairs of alerts", pairs)
	}
}

// Each failed connector is an incident of its own, and the clusters of an exporter
// that is gone are one.
func TestGroups(t *testing.T) {
	config := alertmanager(t, alerts.Options{Equal: []string{"env"}})
	for _, route := range config.Route.Routes {
		switch strings.Join(route.Matchers, " ") {
		case `alertname=~"KafkaConnect.+" severity="critical"`:
			if !slices.Equal(route.GroupBy, []string{"alertname", "job", "env", "connect_cluster", "connector"}) {
				t.Errorf("pages are grouped by %v", route.GroupBy)
			}
		case `alertname="KafkaConnectClusterUnwatched" severity="critical"`:
			if !slices.Equal(route.GroupBy, []string{"alertname", "job", "env"}) {
				t.Errorf("unwatched clusters are grouped by %v", route.GroupBy)
			}
		}
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

package dashboards_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/alerts/promql"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/dashboards"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/dashboards/internal/build"
)

// The dashboard as the linter reads it: what Grafana would see, not the
// builder's types, so that a key that the builder gets wrong is missing here.
type dashboard struct {
	file          string
	UID           string
	Title         string
	Description   string
	Tags          []string
	SchemaVersion int
	Editable      *bool
	GraphTooltip  int
	Links         []struct {
		Title, Type, URL      string
		IncludeVars, KeepTime bool
	}
	Annotations struct{ List []annotation }
	Templating  struct{ List []variable }
	Panels      []panel
}

type annotation struct {
	Name, Expr string
	Datasource datasource
}

type variable struct {
	Name, Label, Type, AllValue string
	Regex                       string
	Hide                        int
	Datasource                  datasource
	Query                       json.RawMessage
	Multi, IncludeAll           bool
}

type datasource struct{ Type, UID string }

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Datasource               datasource
	Collapsed                bool
	Panels                   []panel
	FieldConfig              struct {
		Defaults struct {
			Unit  string
			Links []dataLink
		}
		Overrides []override
	}
	Options struct {
		YAxis struct{ Unit string }
	}
	Targets []target
}

type override struct {
	Matcher    struct{ ID, Options string }
	Properties []struct {
		ID    string
		Value json.RawMessage
	}
}

type dataLink struct{ Title, URL string }

type target struct {
	RefID, Expr, LegendFormat, Format string
	Instant, Range                    bool
	Datasource                        datasource
}

func read(t *testing.T) []dashboard {
	t.Helper()
	var all []dashboard
	for _, name := range dashboards.List() {
		content, err := dashboards.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		d := dashboard{file: name}
		if err := json.Unmarshal(content, &d); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, d)
	}
	if len(all) != 5 {
		t.Fatalf("there are %d dashboards, want 5", len(all))
	}
	return all
}

// panels returns all panels that show something, those of collapsed rows too.
func (d dashboard) panels() []panel {
	var all []panel
	for _, p := range d.Panels {
		if p.Type == "row" {
			all = append(all, p.Panels...)
		} else {
			all = append(all, p)
		}
	}
	return all
}

// expressions returns each PromQL expression of a dashboard under the name of
// what it is for.
func (d dashboard) expressions() map[string]string {
	found := map[string]string{}
	for _, p := range d.panels() {
		for _, target := range p.Targets {
			found[p.Title+" "+target.RefID] = target.Expr
		}
	}
	for _, a := range d.Annotations.List {
		found["annotation "+a.Name] = a.Expr
	}
	return found
}

// TestGenerated holds the files to their source.
func TestGenerated(t *testing.T) {
	for _, d := range build.Dashboards() {
		want, err := d.JSON()
		if err != nil {
			t.Fatal(err)
		}
		have, err := dashboards.Read(d.UID + ".json")
		if err != nil {
			t.Error(err)
		} else if string(have) != string(want) {
			t.Errorf("%s.json is not what its source makes: run go generate ./dashboards", d.UID)
		}
	}
}

// TestStates holds the timelines' words and colours to the states that exist.
func TestStates(t *testing.T) {
	var want []string
	for _, s := range connect.States() {
		want = append(want, s.String())
	}
	have := build.States()
	slices.Sort(want)
	slices.Sort(have)
	if !slices.Equal(have, want) {
		t.Errorf("timelines know the states %v, the exporter says %v", have, want)
	}
}

// others are series that no descriptor has, each with where it comes from and
// the labels that it has beside job and instance.
func others() map[string][]string {
	return map[string][]string{
		// Prometheus itself, with every scrape.
		"scrape_duration_seconds": {}, "scrape_samples_scraped": {},
		// Prometheus itself, for alerts: their labels are those of the alerts.
		"ALERTS": {"alertname", "alertstate", "connect_cluster", "connector"},
		// client_golang's collectors and HTTP handler.
		"process_cpu_seconds_total": {}, "process_resident_memory_bytes": {}, "process_open_fds": {}, "process_start_time_seconds": {},
		"go_goroutines": {}, "go_memstats_heap_alloc_bytes": {},
		"promhttp_metric_handler_requests_total": {"code"},
	}
}

// agents are the series of agents in the workers: by the JMX exporter with the rules
// of Strimzi's example and without rules, and by OpenTelemetry's Java agent. They are
// of another job and know no connect_cluster.
func agents() map[string][]string {
	found := map[string][]string{}
	for _, name := range []string{
		"kafka_connect_source_task_source_record_write_total", "kafka_connect_source_task_metrics_source_record_write",
		"kafka_connect_sink_task_sink_record_send_total", "kafka_connect_sink_task_metrics_sink_record_send",
		"kafka_connect_task_error_total_record_errors", "kafka_connect_task_error_metrics_total_record_errors",
		"kafka_connect_sink_task_put_batch_avg_time_ms", "kafka_connect_sink_task_metrics_put_batch_avg_time_ms",
	} {
		found[name] = []string{"connector", "task"}
	}
	for _, name := range []string{
		"kafka_connect_source_record_write_count_total", "kafka_connect_sink_record_send_count_total",
		"kafka_connect_task_error_record_error_count_total", "kafka_connect_sink_put_batch_time_average_seconds",
	} {
		found[name] = []string{"kafka_connect_connector", "kafka_connect_task_id"}
	}
	return found
}

// foreign tells series that do not carry the labels of the exporter's target.
func foreign(metric string) bool { return metric == "ALERTS" || agents()[metric] != nil }

// known returns the labels of every series that a query may use, and which of
// them are counters.
func known() (labels map[string][]string, counters map[string]bool) {
	labels, counters = others(), map[string]bool{"process_cpu_seconds_total": true, "promhttp_metric_handler_requests_total": true}
	for name, own := range labels {
		labels[name] = append(own, "job", "instance")
	}
	for name, own := range agents() {
		labels[name], counters[name] = own, !strings.Contains(name, "put_batch")
	}
	for _, d := range series.Descriptors() {
		own := append(slices.Clone(d.Labels), "job", "instance")
		if d.Kind != series.Histogram {
			labels[d.Name], counters[d.Name] = own, d.Kind == series.Counter
			continue
		}
		labels[d.Name+"_bucket"] = append(slices.Clone(own), "le")
		labels[d.Name+"_sum"], labels[d.Name+"_count"] = own, own
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			counters[d.Name+part] = true
		}
	}
	return labels, counters
}

// TestSeries: every metric and every label in a query exists, counters stand
// inside rate or increase only, and rate looks at $__rate_interval.
func TestSeries(t *testing.T) {
	labels, counters := known()
	legendLabel := regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)
	for _, d := range read(t) {
		for where, expr := range d.expressions() {
			parsed := promql.Parse(expr)
			var usable []string
			for _, s := range parsed.Selectors {
				own, ok := labels[s.Metric]
				if !ok {
					t.Errorf("%s: %s: there is no metric %s", d.file, where, s.Metric)
				}
				usable = append(usable, own...)
				for _, m := range s.Matchers {
					if !slices.Contains(own, m.Label) {
						t.Errorf("%s: %s: %s has no label %s", d.file, where, s.Metric, m.Label)
					}
				}
				if counters[s.Metric] && !regexp.MustCompile(`(rate|increase)\($`).MatchString(expr[:s.End-len(s.Metric)]) {
					t.Errorf("%s: %s: counter %s stands outside rate and increase", d.file, where, s.Metric)
				}
				if foreign(s.Metric) {
					continue
				}
				if !slices.Contains(s.Matchers, promql.Matcher{Label: "job", Operator: "=~", Value: "$job"}) {
					t.Errorf(`%s: %s: %s has no matcher job=~"$job"`, d.file, where, s.Metric)
				}
				cluster := slices.ContainsFunc(s.Matchers, func(m promql.Matcher) bool { return m.Label == "connect_cluster" })
				instance := slices.Contains(s.Matchers, promql.Matcher{Label: "instance", Operator: "=~", Value: "$instance"})
				if d.UID == "kafka-connect-exporter" && !instance {
					t.Errorf(`%s: %s: %s has no matcher instance=~"$instance"`, d.file, where, s.Metric)
				} else if d.UID != "kafka-connect-exporter" && !cluster {
					t.Errorf("%s: %s: %s is not narrowed to connect_cluster", d.file, where, s.Metric)
				}
			}
			for _, made := range regexp.MustCompile(`label_replace\(.*?, "(\w+)", `).FindAllStringSubmatch(expr, -1) {
				usable = append(usable, made[1])
			}
			for _, label := range parsed.Labels {
				if !slices.Contains(usable, label) {
					t.Errorf("%s: %s: no metric of the expression has the label %s", d.file, where, label)
				}
			}
			for _, window := range regexp.MustCompile(`rate\([^\[]*\[([^\]]*)\]`).FindAllStringSubmatch(expr, -1) {
				if window[1] != "$__rate_interval" {
					t.Errorf("%s: %s: rate looks at %s, not at $__rate_interval", d.file, where, window[1])
				}
			}
		}
		for _, p := range d.panels() {
			for _, target := range p.Targets {
				kept := promql.Parse(target.Expr).Labels
				for _, used := range legendLabel.FindAllStringSubmatch(target.LegendFormat, -1) {
					if !slices.Contains(kept, used[1]) {
						t.Errorf("%s: %s %s: the legend shows %s, which the expression does not keep", d.file, p.Title, target.RefID, used[1])
					}
				}
			}
		}
	}
}

// TestForm holds the dashboards to the rules of Grafana's dashboard-linter, as
// far as they are of form, and to ours beside them.
func TestForm(t *testing.T) {
	uids, titles := map[string]string{}, map[string]string{}
	for _, d := range read(t) {
		fail := func(format string, args ...any) {
			t.Helper()
			t.Errorf("%s: %s", d.file, fmt.Sprintf(format, args...))
		}
		if d.UID+".json" != d.file || len(d.UID) > 40 {
			fail("uid %q: want the file's name, at most 40 characters", d.UID)
		}
		if uids[d.UID] != "" || titles[d.Title] != "" {
			fail("uid %q or title %q is taken by %s", d.UID, d.Title, uids[d.UID]+titles[d.Title])
		}
		uids[d.UID], titles[d.Title] = d.file, d.file
		if d.Editable == nil || *d.Editable {
			fail("it is editable: changes in Grafana would be lost with the next import")
		}
		if d.SchemaVersion != 38 {
			fail("schemaVersion %d: 38 is what Grafana 10.0 reads and all later ones migrate", d.SchemaVersion)
		}
		if d.GraphTooltip != 1 || d.Description == "" || len(d.Tags) == 0 || d.Links == nil {
			fail("wants a shared crosshair, a description, tags and links")
		}
		d.lintVariables(fail)
		ids, names, onOpen := map[int]bool{}, map[string]bool{}, 0
		for _, p := range d.Panels {
			for _, q := range append([]panel{p}, p.Panels...) {
				if q.ID == 0 || ids[q.ID] || q.Title == "" || names[q.Title] {
					fail("panel %d %q: id or title is missing or taken", q.ID, q.Title)
				}
				ids[q.ID], names[q.Title] = true, true
				if q.Type != "row" {
					d.lintPanel(q, fail)
				}
			}
			// What a collapsed row holds is not asked for until it is opened.
			onOpen += len(p.Targets)
		}
		if onOpen > 30 {
			fail("%d queries when it is opened, want 30 at most: collapse a row", onOpen)
		}
		for _, a := range d.Annotations.List {
			if a.Datasource.UID != "${datasource}" {
				fail("annotation %s: data source %q is fixed", a.Name, a.Datasource.UID)
			}
		}
	}
}

func (d dashboard) lintVariables(fail func(string, ...any)) {
	var names []string
	for _, v := range d.Templating.List {
		names = append(names, v.Name)
		if v.Label == "" {
			fail("variable %s has no label", v.Name)
		}
		if v.Type == "query" && (v.Datasource.UID != "${datasource}" || v.Datasource.Type != "prometheus") {
			fail("variable %s: data source %v is fixed", v.Name, v.Datasource)
		}
		// Of what the dashboard has picked by itself, all are those that it found.
		if v.IncludeAll && (v.AllValue != ".+") != (v.Hide == 2 && v.AllValue == "") {
			fail("variable %s: all is %q", v.Name, v.AllValue)
		}
	}
	if !slices.Equal(names[:2], []string{"datasource", "job"}) || d.Templating.List[0].Type != "datasource" {
		fail("variables are %v: want datasource, then job", names)
	}
	if job := d.Templating.List[1]; job.Label != "Job" || !job.Multi || !job.IncludeAll {
		fail("variable job: want label Job, multi, all")
	}
	// Each variable is used, and each that is used exists.
	content, _ := dashboards.Read(d.file)
	builtIn := regexp.MustCompile(`^__|^$|^[0-9]$`) // $1 is of label_replace.
	used := map[string]bool{}
	for _, match := range regexp.MustCompile(`\$(?:\{(\w+)[^}]*\}|(\w+))`).FindAllStringSubmatch(string(content), -1) {
		if name := match[1] + match[2]; !builtIn.MatchString(name) {
			used[name] = true
		}
	}
	for name := range used {
		if !slices.Contains(names, name) {
			fail("variable %s is used and does not exist", name)
		}
	}
	for _, v := range d.Templating.List {
		if !used[v.Name] && v.Type != "adhoc" { // Grafana puts these into every query by itself.
			fail("variable %s is not used", v.Name)
		}
	}
	labels, _ := known()
	for _, v := range d.Templating.List {
		var query struct{ Query string }
		if v.Type != "query" {
			continue
		}
		if err := json.Unmarshal(v.Query, &query); err != nil {
			fail("variable %s: %v", v.Name, err)
		}
		match := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`).FindStringSubmatch(query.Query)
		picks := regexp.MustCompile(`^query_result\((max by \(connector\) \(.+\))\)$`).FindStringSubmatch(query.Query)
		var expr string
		switch {
		case match != nil:
			expr = match[1]
		case picks != nil && v.Hide == 2 && v.Multi && v.IncludeAll && v.Regex == `/^\{connector="(.*)"\} /`:
			expr = picks[1]
		default:
			fail("variable %s: %q is neither label_values nor a pick", v.Name, query.Query)
			continue
		}
		for _, s := range promql.Parse(expr).Selectors {
			if match != nil && !slices.Contains(labels[s.Metric], match[2]) {
				fail("variable %s: %s has no label %s", v.Name, s.Metric, match[2])
			}
			for _, m := range s.Matchers {
				if !slices.Contains(labels[s.Metric], m.Label) {
					fail("variable %s: %s has no label %s", v.Name, s.Metric, m.Label)
				}
			}
		}
	}
}

func (d dashboard) lintPanel(p panel, fail func(string, ...any)) {
	if !strings.HasSuffix(p.Description, ".") || len(p.Description) < 30 {
		fail("panel %q: describe what is normal and what to do, in sentences", p.Title)
	}
	if unit := p.FieldConfig.Defaults.Unit + p.Options.YAxis.Unit; unit == "" && p.Type != "table" {
		fail("panel %q has no unit", p.Title)
	}
	if p.Datasource != (datasource{"prometheus", "${datasource}"}) {
		fail("panel %q: data source %v is fixed", p.Title, p.Datasource)
	}
	if len(p.Targets) == 0 {
		fail("panel %q queries nothing", p.Title)
	}
	seen := map[string]bool{}
	for _, target := range p.Targets {
		if target.RefID == "" || seen[target.RefID] {
			fail("panel %q: refId %q is missing or taken", p.Title, target.RefID)
		}
		seen[target.RefID] = true
		if target.Datasource != p.Datasource || target.Instant == target.Range {
			fail("panel %q %s: data source is fixed, or it is not either instant or range", p.Title, target.RefID)
		}
		if single := p.Type == "stat" || p.Type == "table" || p.Type == "bargauge"; single != target.Instant {
			fail("panel %q %s: single numbers are asked for at the end of the range, curves over it", p.Title, target.RefID)
		}
	}
	links := slices.Clone(p.FieldConfig.Defaults.Links)
	for _, o := range p.FieldConfig.Overrides {
		for _, property := range o.Properties {
			if property.ID == "links" {
				var more []dataLink
				if err := json.Unmarshal(property.Value, &more); err != nil {
					fail("panel %q: links of %s: %v", p.Title, o.Matcher.Options, err)
				}
				links = append(links, more...)
			}
		}
	}
	for _, l := range links {
		d.lintLink(p, l, fail)
	}
}

// lintLink: a link into another dashboard carries time, data source and job,
// sets only variables that exist there, and takes its values from where they are.
func (d dashboard) lintLink(p panel, l dataLink, fail func(string, ...any)) {
	path, query, _ := strings.Cut(l.URL, "?")
	if page, ours := strings.CutPrefix(path, "https://github.com/kafka-connect-exporter/kafka-connect-exporter/blob/main/"); ours {
		if _, err := os.Stat("../" + page); err != nil {
			fail("panel %q: %v", p.Title, err)
		}
		return
	}
	if strings.HasPrefix(path, "${alertmanager}/") || strings.HasPrefix(path, "${logs}") {
		return // Where the reader's variables lead.
	}
	content, err := dashboards.Read(strings.TrimPrefix(path, "/d/") + ".json")
	if err != nil {
		fail("panel %q: link to %s leads nowhere", p.Title, path)
		return
	}
	var there dashboard
	if err := json.Unmarshal(content, &there); err != nil {
		fail("%v", err)
	}
	for _, want := range []string{"${__url_time_range}", "${datasource:queryparam}", "${job:queryparam}", "${filters:queryparam}"} {
		if !strings.Contains(query, want) {
			fail("panel %q: link %s does not carry %s", p.Title, l.URL, want)
		}
	}
	for _, match := range regexp.MustCompile(`var-(\w+)=|\$\{(\w+):queryparam\}`).FindAllStringSubmatch(query, -1) {
		name := match[1] + match[2]
		if !slices.ContainsFunc(there.Templating.List, func(v variable) bool { return v.Name == name }) {
			fail("panel %q: %s has no variable %s", p.Title, path, name)
		}
	}
	for _, match := range regexp.MustCompile(`__field\.labels\.(\w+)`).FindAllStringSubmatch(query, -1) {
		for _, target := range p.Targets {
			if !slices.Contains(promql.Parse(target.Expr).Labels, match[1]) {
				fail("panel %q: links by %s, which %s does not keep", p.Title, match[1], target.RefID)
			}
		}
	}
	for _, match := range regexp.MustCompile(`__data\.fields\["(\w+)"\]`).FindAllStringSubmatch(query, -1) {
		if !slices.ContainsFunc(p.FieldConfig.Overrides, func(o override) bool { return o.Matcher.Options == match[1] }) {
			fail("panel %q: links by the column %s, which it does not have", p.Title, match[1])
		}
	}
}

// TestLinks: the links at the head lead to all other dashboards and carry time
// and variables.
func TestLinks(t *testing.T) {
	all := read(t)
	for _, d := range all {
		var want, have []string
		for _, other := range all {
			if other.UID != d.UID {
				want = append(want, "/d/"+other.UID)
			}
		}
		for _, l := range d.Links {
			have = append(have, l.URL)
			if !l.IncludeVars || !l.KeepTime || l.Type != "link" {
				t.Errorf("%s: link %s does not carry time and variables", d.file, l.Title)
			}
		}
		slices.Sort(want)
		slices.Sort(have)
		if !slices.Equal(have, want) {
			t.Errorf("%s: links to %v, want %v", d.file, have, want)
		}
	}
}

// TestLayout: panels cover the width and never one another.
func TestLayout(t *testing.T) {
	for _, d := range read(t) {
		taken := map[[2]int]string{}
		for _, top := range d.Panels {
			for _, p := range append([]panel{top}, top.Panels...) {
				g := p.GridPos
				if g.X < 0 || g.W < 1 || g.H < 1 || g.X+g.W > 24 {
					t.Errorf("%s: %q lies outside the 24 columns", d.file, p.Title)
				}
				for x := g.X; x < g.X+g.W; x++ {
					for y := g.Y; y < g.Y+g.H; y++ {
						if other := taken[[2]int{x, y}]; other != "" {
							t.Fatalf("%s: %q lies over %q", d.file, p.Title, other)
						}
						taken[[2]int{x, y}] = p.Title
					}
				}
			}
		}
	}
}

// TestTables: each number that a table shows comes from a target that it has.
func TestTables(t *testing.T) {
	value := regexp.MustCompile(`^Value #([A-Z])$`)
	for _, d := range build.Dashboards() {
		for _, p := range d.Panels {
			for _, q := range append([]build.Panel{p}, p.Panels...) {
				for _, transformation := range q.Transformations {
					renamed, _ := transformation.Options["renameByName"].(map[string]any)
					for _, from := range slices.Sorted(maps.Keys(renamed)) {
						match := value.FindStringSubmatch(from)
						if match != nil && int(match[1][0]-'A') >= len(q.Targets) {
							t.Errorf("%s: %q shows %s, which no target gives", d.UID, q.Title, from)
						}
						if match == nil && from != "Value" && !slices.ContainsFunc(q.Targets, func(target build.Target) bool {
							return slices.Contains(promql.Parse(target.Expr).Labels, from)
						}) {
							t.Errorf("%s: %q shows the label %s, which no target keeps", d.UID, q.Title, from)
						}
					}
				}
			}
		}
	}
}

func TestRender(t *testing.T) {
	t.Run("as it stands", func(t *testing.T) {
		rendered, err := dashboards.Render(dashboards.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i, name := range dashboards.List() {
			content, _ := dashboards.Read(name)
			if rendered[i].Name != name || string(rendered[i].Content) != string(content) {
				t.Errorf("%s is changed without an option", name)
			}
		}
	})
	t.Run("selector", func(t *testing.T) {
		selector := `job=~"a|b\\.c",env="<prod>"`
		rendered, err := dashboards.Render(dashboards.Options{Selector: selector})
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range rendered {
			d := dashboard{file: file.Name}
			if err := json.Unmarshal(file.Content, &d); err != nil {
				t.Fatalf("%s: %v", file.Name, err)
			}
			for where, expr := range d.expressions() {
				for _, s := range promql.Parse(expr).Selectors {
					if !foreign(s.Metric) && !strings.Contains(expr[s.End:s.Close], selector) {
						t.Errorf("%s: %s: %s is not narrowed", file.Name, where, s.Metric)
					}
				}
			}
			for _, v := range d.Templating.List {
				var query struct{ Query string }
				if v.Type == "query" {
					if err := json.Unmarshal(v.Query, &query); err != nil || !strings.Contains(query.Query, selector) {
						t.Errorf("%s: variable %s is not narrowed: %s %v", file.Name, v.Name, v.Query, err)
					}
				}
			}
		}
	})
	for _, wrong := range []string{`job`, `job=x`, `{job="x"}`, `job="x",`, `job="x"} or up{a="b"`, `job=~"("`, `instance="x"`} {
		if _, err := dashboards.Render(dashboards.Options{Selector: wrong}); err == nil || !strings.HasPrefix(err.Error(), "selector ") {
			t.Errorf("selector %s is taken: %v", wrong, err)
		}
	}
	t.Run("kubernetes", func(t *testing.T) {
		rendered, err := dashboards.Render(dashboards.Options{Kubernetes: true})
		if err != nil {
			t.Fatal(err)
		}
		for i, name := range dashboards.List() {
			var resource struct {
				Kind     string
				Metadata struct {
					Name   string
					Labels map[string]string
				}
				Data map[string]string
			}
			if err := yaml.Unmarshal(rendered[i].Content, &resource); err != nil {
				t.Fatal(err)
			}
			content, _ := dashboards.Read(name)
			if resource.Kind != "ConfigMap" || resource.Data[name] != string(content) || resource.Metadata.Labels["grafana_dashboard"] != "1" {
				t.Errorf("%s: the ConfigMap does not hold the dashboard", rendered[i].Name)
			}
		}
	})
	if _, err := dashboards.Read("no.json"); err == nil || !strings.Contains(err.Error(), "kafka-connect-fleet.json") {
		t.Errorf("an unknown dashboard: %v", err)
	}
}

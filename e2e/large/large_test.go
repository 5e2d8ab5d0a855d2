package large

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/alerts/promql"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/process"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/prometheus"
)

var update = flag.Bool("update", false, "write the table of docs/dashboards.md anew")

// What Grafana asks for: six hours over a panel of 1,000 pixels are steps of 20
// seconds; $__rate_interval is the larger of step and scrape interval together and
// four scrape intervals.
const (
	step         = 20
	rateInterval = "60s"
)

type dashboard struct {
	UID        string
	Templating struct {
		List []struct {
			Name, Type string
			Query      json.RawMessage
		}
	}
	Annotations struct {
		List []struct {
			Name, Expr, Step string
			Enable           bool
		}
	}
	Panels []panel
}

type panel struct {
	Title, Type, Interval string
	Targets               []struct {
		Expr    string
		Instant bool
	}
	Panels []panel
}

// ask is one thing that a dashboard asks of Prometheus.
type ask struct {
	dashboard, what string
	// open tells that it is asked for when the dashboard is opened, not when a row is.
	open bool
	// panel tells that it is one, not a variable or an annotation.
	panel   bool
	queries []query
}

type query struct {
	expr    string
	instant bool
	step    int
	// values is set for a variable: the label whose values are wanted.
	values string
	// picks is set for a variable, too: it takes the connectors of the answer.
	picks string
}

func (d dashboard) asks() (all []ask) {
	for _, v := range d.Templating.List {
		var text struct{ Query string }
		if v.Type != "query" || json.Unmarshal(v.Query, &text) != nil {
			continue
		}
		if expr, picks := strings.CutPrefix(text.Query, "query_result("); picks {
			all = append(all, ask{d.UID, "variable " + v.Name, true, false, []query{{expr: strings.TrimSuffix(expr, ")"), instant: true, picks: v.Name}}})
			continue
		}
		match := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`).FindStringSubmatch(text.Query)
		all = append(all, ask{d.UID, "variable " + v.Name, true, false, []query{{expr: match[1], values: match[2]}}})
	}
	for _, a := range d.Annotations.List {
		all = append(all, ask{d.UID, "annotation " + a.Name, a.Enable, false, []query{{expr: a.Expr, step: seconds(a.Step)}}})
	}
	add := func(p panel, open bool) {
		one := ask{d.UID, p.Title, open, true, nil}
		for _, t := range p.Targets {
			every := max(step, seconds(p.Interval))
			one.queries = append(one.queries, query{expr: t.Expr, instant: t.Instant, step: every})
		}
		all = append(all, one)
	}
	for _, p := range d.Panels {
		if p.Type != "row" {
			add(p, true)
		}
		for _, hidden := range p.Panels {
			add(hidden, false)
		}
	}
	return all
}

// seconds of an interval such as 5m; 0 of none.
func seconds(interval string) int {
	d, _ := time.ParseDuration(interval)
	return int(d.Seconds())
}

func dashboards(t *testing.T) (all []dashboard) {
	t.Helper()
	files, err := filepath.Glob("../dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("find the dashboards: %v, %d files", err, len(files))
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(content, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, d)
	}
	return all
}

// metrics are those that the dashboards ask for.
func metrics(all []dashboard) map[string]bool {
	asked := map[string]bool{}
	for _, d := range all {
		for _, a := range d.asks() {
			for _, q := range a.queries {
				for _, s := range promql.Parse(q.expr).Selectors {
					asked[s.Metric] = true
				}
			}
		}
	}
	return asked
}

var variable = regexp.MustCompile(`\$[a-z_]\w*`) // $1 is of label_replace.

// fill puts in what the variables are when a dashboard is opened.
func fill(t *testing.T, uid, expr string, picked map[string]string) string {
	values := map[string]string{
		"job": ".+", "instance": ".+", "connect_cluster": busy, "connector": ".+", "owner": "label_team",
		"__rate_interval": rateInterval, "__range": "21600s", "__interval": fmt.Sprintf("%ds", step),
	}
	if uid == "kafka-connect-fleet" {
		values["connect_cluster"] = ".+"
	}
	if uid == "kafka-connect-connector" {
		values["connector"] = "orders-sink-1" // Four failed tasks.
	}
	maps.Copy(values, picked)
	return variable.ReplaceAllStringFunc(expr, func(name string) string {
		value, ok := values[name[1:]]
		if !ok {
			t.Errorf("no value for the variable %s in %s", name, expr)
		}
		return value
	})
}

// cost is what something that a dashboard asks takes.
type cost struct {
	// seconds of a processor that Prometheus spends: what others do on the machine
	// does not count, and a query keeps one processor busy.
	seconds float64
	// lookups is what Prometheus has to look at, by lookups below.
	lookups int
}

// TestDashboardsAnswerQuickly opens every dashboard over six hours of 10,000
// connectors with four tasks each. What a query costs Prometheus is held by what it
// has to look at, which is the same on every machine; the seconds are measured, and
// stand in docs/dashboards.md.
func TestDashboardsAnswerQuickly(t *testing.T) {
	const (
		// On a machine with two cores that does little else these are less than a second.
		mostOnOpen = 3_000_000
		mostInRow  = 4_000_000
		// What Prometheus may spend on a panel, on a slow machine.
		mostSeconds = 3
	)
	t.Chdir("..")
	began := time.Now()
	f := newFleet()
	all := dashboards(t)
	asked := metrics(all)
	drawn, err := f.build(asked)
	if err != nil {
		t.Fatal(err)
	}
	named := map[string][]series{}
	for _, s := range drawn {
		name := s.labels.Get("__name__")
		named[name] = append(named[name], s)
	}
	for metric := range asked {
		// No rules are loaded here, and of the agents in the workers one is there.
		absent := metric == "ALERTS" || regexp.MustCompile(`_task(_error)?_metrics_|_count_total$|_average_seconds$`).MatchString(metric)
		if len(named[metric]) == 0 && !absent {
			t.Errorf("the fleet has no %s, which is asked for", metric)
		}
	}
	directory := t.TempDir()
	if err := write(t.Context(), filepath.Join(directory, "prometheus", "data"), f.clock, drawn); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d series over six hours written after %.1f s", len(drawn), time.Since(began).Seconds())
	server := serve(t, directory)
	start, end := time.UnixMilli(f.start).UTC(), time.UnixMilli(f.at(f.scrapes)).UTC()
	var rows []string
	for _, d := range all {
		picked := map[string]string{}
		var panel, beside, whole cost // The slowest panel, variable or annotation, and all.
		var slowest string
		for _, a := range d.asks() {
			var total cost
			for _, q := range a.queries {
				q.expr = fill(t, d.UID, q.expr, picked)
				before, err := server.CPU()
				if err != nil {
					t.Fatal(err)
				}
				answer, err := measure(t.Context(), server.URL, q, start, end)
				if err != nil {
					t.Fatalf("%s: %s: %v", d.UID, a.what, err)
				}
				after, err := server.CPU()
				if err != nil {
					t.Fatalf("%s: %s: %v", d.UID, a.what, err)
				}
				if q.picks != "" {
					if len(answer.connectors) == 0 || len(answer.connectors) > 20 {
						t.Errorf("%s: %s: picks %d connectors", d.UID, a.what, len(answer.connectors))
					}
					// Hundreds are paused or stopped; they hide none that failed.
					if q.picks == "failing_connectors" && (len(answer.connectors) != 20 || slices.ContainsFunc(answer.connectors, func(name string) bool {
						return !regexp.MustCompile(`^orders-source-\d*[02468]?10$`).MatchString(name)
					})) {
						t.Errorf("%s picks others than the twenty that failed: %v", q.picks, answer.connectors)
					}
					picked[q.picks] = "(" + strings.Join(answer.connectors, "|") + ")"
				}
				// The incident that all other queries are run in has no brokers and no agents.
				if d.UID == "kafka-connect-dataflow" && a.panel && answer.series == 0 {
					t.Errorf("%s: %s: nothing answers %s", d.UID, a.what, q.expr)
				}
				lookups, err := f.lookups(q, named)
				if err != nil {
					t.Fatalf("%s: %s: %v", d.UID, a.what, err)
				}
				total.seconds += (after - before).Seconds()
				total.lookups += lookups
			}
			t.Logf("%-24s %-48s %-5s %7.2f s %10d lookups", strings.TrimPrefix(d.UID, "kafka-connect-"), a.what,
				map[bool]string{true: "open", false: "row"}[a.open], total.seconds, total.lookups)
			bound := mostInRow
			if a.open {
				bound = mostOnOpen
			}
			if total.lookups > bound || total.seconds > mostSeconds {
				t.Errorf("%s: %s: %d lookups (bound %d), %.2f s (bound %d)", d.UID, a.what, total.lookups, bound, total.seconds, mostSeconds)
			}
			if !a.open {
				continue
			}
			whole.seconds += total.seconds
			whole.lookups = max(whole.lookups, total.lookups)
			if a.panel && total.seconds > panel.seconds {
				panel, slowest = total, a.what
			} else if !a.panel && total.seconds > beside.seconds {
				beside = total
			}
		}
		rows = append(rows, fmt.Sprintf("| %s | %.1f | %s | %.1f | %.1f | %.1f |", strings.TrimPrefix(d.UID, "kafka-connect-"),
			panel.seconds, slowest, beside.seconds, whole.seconds, float64(whole.lookups)/1e6))
	}
	blindReplica(t, server.URL, all, end)
	table(t, rows)
	t.Logf("all of it took %.1f s", time.Since(began).Seconds())
}

// blindReplica: of two exporters one sees nothing of a cluster, which is well all the
// same.
func blindReplica(t *testing.T, base string, all []dashboard, at time.Time) {
	t.Helper()
	for what, wanted := range map[string]float64{"Clusters down": 0, "Health of each cluster": 1} {
		for _, d := range all {
			for _, a := range d.asks() {
				if a.what != what {
					continue
				}
				found := 0.0
				for _, q := range a.queries {
					expr := strings.ReplaceAll(fill(t, d.UID, q.expr, nil), `connect_cluster=~".+"`, `connect_cluster="`+blind+`"`)
					answer, err := measure(t.Context(), base, query{expr: expr, instant: true}, at, at)
					if err != nil {
						t.Fatal(err)
					}
					for _, v := range answer.values {
						found = max(found, v)
					}
				}
				if found != wanted {
					t.Errorf("%s: %v for a cluster that one of two exporters does not see, want %v", what, found, wanted)
				}
			}
		}
	}
}

// lookups is what Prometheus has to look at for a query, whatever it finds there:
// each series that a selector matches once at each step, or each of its samples
// where a range is asked for; and opening a series, which costs as much as some
// twenty lookups. Prometheus's own count of samples says less: it leaves out steps
// at which a series is absent, and counts what "@ end()" makes it look at once as
// often as there are steps.
func (f fleet) lookups(q query, named map[string][]series) (int, error) {
	if q.values != "" {
		return 0, nil // The index alone is read.
	}
	expression, err := parser.NewParser(parser.Options{}).ParseExpr(q.expr)
	if err != nil {
		return 0, err
	}
	const (
		opening  = 20
		hours    = 6 * 3600
		lookback = 300
	)
	total := 0
	parser.Inspect(expression, func(node parser.Node, path []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		steps, window, points := 1, lookback, 1
		if once := selector.Timestamp != nil || selector.StartOrEnd != 0; !q.instant && !once {
			steps = hours/q.step + 1
		}
		samples := false
		for _, above := range path {
			switch above := above.(type) {
			case *parser.MatrixSelector:
				window, samples = int(above.Range.Seconds()), true
			case *parser.SubqueryExpr:
				if above.Timestamp != nil || above.StartOrEnd != 0 {
					steps = 1
				}
				window = int(above.Range.Seconds())
				points = window / int(max(above.Step.Seconds(), 1))
			}
		}
		for _, s := range named[selector.Name] {
			last := s.line[len(s.line)-1].MaxTime
			// An instant looks into the last block alone.
			if steps == 1 && last < f.at(f.scrapes)-1000*int64(2*3600+window) {
				continue
			}
			if slices.ContainsFunc(selector.LabelMatchers, func(m *labels.Matcher) bool { return !m.Matches(s.labels.Get(m.Name)) }) {
				continue
			}
			total += opening
			if samples {
				total += s.samples() * min(window, hours) / hours
			}
			if !samples || steps > 1 {
				total += steps * points
			}
		}
		return nil
	})
	return total, nil
}

// table holds the table in docs/dashboards.md to its form, and with -update to what
// was measured.
func table(t *testing.T, rows []string) {
	t.Helper()
	const page, begin, stop = "../docs/dashboards.md", "<!-- measured -->\n", "<!-- measured until here -->\n"
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(content), begin)
	_, after, closed := strings.Cut(rest, stop)
	if !found || !closed {
		t.Fatalf("%s has no place for the table", page)
	}
	if *update {
		head := "| dashboard | slowest panel, s | which | slowest variable or annotation, s | all together, s | most lookups, million |\n|---|---:|---|---:|---:|---:|\n"
		if err := os.WriteFile(page, []byte(before+begin+head+strings.Join(rows, "\n")+"\n"+stop+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// serve starts Prometheus over the data below the directory.
func serve(t *testing.T, directory string) *prometheus.Server {
	t.Helper()
	tools, err := e2e.Tool(t.Context(), "prometheus")
	if err != nil {
		t.Fatal(err)
	}
	group, err := process.NewGroup(filepath.Join(directory, "logs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { group.Close(5 * time.Second) })
	server, err := prometheus.Start(t.Context(), group, process.NewPorts(17400, 17449), tools, filepath.Join(directory, "prometheus"), "global: {}\n")
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// answered is what a query gave.
type answered struct {
	series int
	// Of an instant query: the connectors' names as patterns, and the values.
	connectors []string
	values     []float64
}

// measure asks once.
func measure(ctx context.Context, base string, q query, from, to time.Time) (answered, error) {
	moment := func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
	method, path, parameters := http.MethodPost, "query_range", url.Values{"query": {q.expr}}
	switch {
	case q.values != "":
		method, path = http.MethodGet, "label/"+q.values+"/values"
		parameters = url.Values{"match[]": {q.expr}, "start": {moment(from)}, "end": {moment(to)}}
	case q.instant:
		path = "query"
		parameters.Set("time", moment(to))
	default:
		parameters.Set("start", moment(from))
		parameters.Set("end", moment(to))
		parameters.Set("step", strconv.Itoa(q.step))
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	target, body := base+"/api/v1/"+path, parameters.Encode()
	if method == http.MethodGet {
		target, body = target+"?"+body, ""
	}
	request, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		return answered{}, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answered{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return answered{}, err
	}
	if response.StatusCode != http.StatusOK {
		return answered{}, fmt.Errorf("%s: HTTP %d: %.300s", q.expr, response.StatusCode, text)
	}
	var found answered
	if q.values != "" {
		return found, nil
	}
	if !q.instant {
		var matrix struct {
			Data struct{ Result []json.RawMessage }
		}
		err = json.Unmarshal(text, &matrix)
		found.series = len(matrix.Data.Result)
		return found, err
	}
	var vector struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	err = json.Unmarshal(text, &vector)
	found.series = len(vector.Data.Result)
	for _, element := range vector.Data.Result {
		text, _ := element.Value[1].(string)
		v, _ := strconv.ParseFloat(text, 64)
		found.values = append(found.values, v)
		found.connectors = append(found.connectors, regexp.QuoteMeta(element.Metric["connector"]))
	}
	return found, err
}

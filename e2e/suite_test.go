package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kafka"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/scenario"
)

// works are the observation versions that see c: 2 asks for what Kafka has
// since 2.3.
func works(c *cluster) []string {
	if kafka.AtLeast(c.version, "2.3") {
		return observationVersions
	}
	return []string{"1", "auto"}
}

// TestScenario holds the states, counts, classes and failures that the scenario
// was made for against what Prometheus has of them, written out here.
func TestScenario(t *testing.T) {
	for _, c := range parts.clusters {
		for _, v := range works(c) {
			t.Run(c.entry(v), func(t *testing.T) { checkScenario(t, c, v) })
		}
	}
}

func checkScenario(t *testing.T, c *cluster, v string) {
	cluster := fmt.Sprintf("connect_cluster=%q", c.entry(v))
	expect(t, fmt.Sprintf("kafka_connect_up{%s}", cluster), 1)

	// States, one series per connector and task, value 1.
	states := map[string]string{
		scenario.Source: "running", scenario.Sink: "running", scenario.FailingTasks: "running", scenario.FailingStart: "failed", scenario.Paused: "paused",
		scenario.Space: "running", scenario.Arrow: "running", scenario.Quotes: "running", scenario.Unicode: "running",
	}
	if kafka.AtLeast(c.version, "3.5") {
		states[scenario.Stopped] = "stopped"
	}
	for name, state := range states {
		expect(t, fmt.Sprintf(`count by (state) (kafka_connect_connector_state{%s, connector=%q, state=%q} == 1)`, cluster, name, state), 1)
		expect(t, fmt.Sprintf(`count(kafka_connect_connector_state{%s, connector=%q})`, cluster, name), 1)
	}
	for name, tasks := range map[string]int{scenario.Source: 1, scenario.Sink: 3, scenario.Unicode: 2, scenario.Space: 1} {
		expect(t, fmt.Sprintf(`count(kafka_connect_task_state{%s, connector=%q, state="running"} == 1)`, cluster, name), float64(tasks))
		expect(t, fmt.Sprintf(`kafka_connect_connector_tasks{%s, connector=%q}`, cluster, name), float64(tasks))
		expect(t, fmt.Sprintf(`kafka_connect_connector_tasks_max{%s, connector=%q}`, cluster, name), float64(tasks))
	}
	expect(t, fmt.Sprintf(`count(kafka_connect_task_state{%s, connector=%q, state="paused"} == 1)`, cluster, scenario.Paused), 1)
	expect(t, fmt.Sprintf(`count(kafka_connect_task_state{%s, connector=%q, state="failed"} == 1)`, cluster, scenario.FailingTasks), 2)

	// Why they failed: classes, and nothing but classes.
	for _, task := range []string{"0", "1"} {
		expect(t, fmt.Sprintf(`kafka_connect_task_failure_info{%s, connector=%q, task=%q, exception="org.apache.kafka.connect.errors.ConnectException", root_cause="java.nio.file.NoSuchFileException"}`,
			cluster, scenario.FailingTasks, task), 1)
	}
	failure := `exception="java.lang.RuntimeException", root_cause="java.lang.RuntimeException"`
	if kafka.AtLeast(c.version, "3.6") {
		failure = `exception=~"org.apache.kafka.*", root_cause="org.apache.kafka.common.config.ConfigException"`
	}
	expect(t, fmt.Sprintf(`kafka_connect_connector_failure_info{%s, connector=%q, %s}`, cluster, scenario.FailingStart, failure), 1)

	// Info: class, type, and the plugin's version since 4.1 (KIP-891).
	version := ""
	if kafka.AtLeast(c.version, "4.1") {
		version = c.version
	}
	expect(t, fmt.Sprintf(`kafka_connect_connector_info{%s, connector=%q, connector_type="sink", connector_class=%q, connector_version=%q}`, cluster, scenario.Sink, scenario.FileSink, version), 1)
	expect(t, fmt.Sprintf(`kafka_connect_connector_info{%s, connector=%q, connector_type="source", connector_class=%q}`, cluster, scenario.Source, scenario.FileSource), 1)
	expect(t, fmt.Sprintf(`kafka_connect_cluster_info{%s, provider="connect", version=%q, kafka_cluster_id=~".+", commit=~".+"}`, cluster, c.version), 1)

	// Counts, and what cannot be observed.
	unobserved := 0
	if v == "1" && kafka.AtLeast(c.version, "4.0") {
		unobserved = len(scenario.UnaddressableNames())
	}
	all := len(scenario.Connectors(scenario.Options{Version: c.version}))
	expect(t, fmt.Sprintf(`sum(kafka_connect_connectors{%s})`, cluster), float64(all-unobserved))
	expect(t, fmt.Sprintf(`kafka_connect_connectors_unobserved{%s, reason="unaddressable"}`, cluster), float64(unobserved))
	expect(t, fmt.Sprintf(`sum(kafka_connect_connectors_unobserved{%s})`, cluster), float64(unobserved))
	expect(t, fmt.Sprintf(`kafka_connect_connectors{%s, state="failed"}`, cluster), 1)
	expect(t, fmt.Sprintf(`kafka_connect_tasks{%s, state="failed"}`, cluster), 2)
	expect(t, fmt.Sprintf(`count(kafka_connect_connectors{%s})`, cluster), 10)
	expect(t, fmt.Sprintf(`kafka_connect_workers{%s}`, cluster), float64(len(c.workers)))
	expect(t, fmt.Sprintf(`sum(kafka_connect_worker_connectors{%s}) - sum(kafka_connect_connectors{%s})`, cluster, cluster), 0)
	expect(t, fmt.Sprintf(`sum(kafka_connect_worker_tasks{%s}) - sum(kafka_connect_tasks{%s})`, cluster, cluster), 0)
	for _, w := range c.workers {
		expect(t, fmt.Sprintf(`kafka_connect_worker_connectors{%s, worker=%q} > bool 0`, cluster, w.ID()), 1)
	}

	// And every series of it, as a worker's own answers ask for.
	converge(t, c, c.workers[0], v)
}

// TestVersionsAgree holds the three ways of watching one cluster against each
// other: the same names, labels and values, but for names that the first cannot
// ask for.
func TestVersionsAgree(t *testing.T) {
	// Counts differ by what version 1 cannot see on 4.x, so the series of
	// connectors and tasks are compared; oracle.Series has held the counts. What
	// was counted of transitions, and the moment at which one was seen, is each
	// way's own: of these only the labels are compared.
	const families = "kafka_connect_(cluster_info|connector_.*|task_.*)"
	seen := regexp.MustCompile(`^(kafka_connect_(?:connector|task)_\w+_(?:total|timestamp_seconds)\{.*\}) \S+$`)
	compared := func(series []string) []string {
		series = slices.Clone(series)
		for i, s := range series {
			series[i] = seen.ReplaceAllString(s, "$1")
		}
		slices.Sort(series)
		return series
	}
	for _, c := range parts.clusters {
		t.Run(c.name, func(t *testing.T) {
			eventually(t, "the ways of watching agree", func(ctx context.Context) error {
				first, err := scraped(ctx, c.entry("1"), families, c.skip("1"))
				if err != nil {
					return err
				}
				if len(first) < 50 {
					return fmt.Errorf("only %d series", len(first))
				}
				for _, v := range works(c)[1:] {
					other, err := scraped(ctx, c.entry(v), families, c.skip("1"))
					if err != nil {
						return err
					}
					if err := difference(compared(first), compared(other)); err != nil {
						return fmt.Errorf("%s against %s: %w", c.entry(v), c.entry("1"), err)
					}
				}
				return nil
			})
		})
	}
}

// TestBeside holds what is asked beside the snapshots against what the clusters
// are: health where Kafka tells it, the certificate where there is one, a chosen
// setting, and that two workers of a cluster are one.
func TestBeside(t *testing.T) {
	for _, c := range parts.clusters {
		for _, v := range works(c) {
			t.Run(c.entry(v), func(t *testing.T) {
				cluster := fmt.Sprintf("connect_cluster=%q", c.entry(v))
				if kafka.AtLeast(c.version, "3.9") {
					expect(t, fmt.Sprintf("min(kafka_connect_worker_healthy{%s})", cluster), 1)
				} else {
					expectNone(t, fmt.Sprintf("kafka_connect_worker_healthy{%s}", cluster))
				}
				if c.workers[0].URL.Scheme == "https" {
					expect(t, fmt.Sprintf("min(kafka_connect_tls_certificate_not_after_timestamp_seconds{%s} > bool time())", cluster), 1)
				}
				expect(t, fmt.Sprintf("count(kafka_connect_connector_labels{%s, connector=%q, label_topic=%q})", cluster, scenario.Source, "orders"), 1)
				expectNone(t, fmt.Sprintf("kafka_connect_foreign_url{%s}", cluster))
			})
		}
	}
}

// TestAwkwardNames looks at the label values themselves.
func TestAwkwardNames(t *testing.T) {
	for _, c := range parts.clusters {
		for _, v := range works(c) {
			names := scenario.AwkwardNames()
			if !c.skip(v)(scenario.Slash) {
				names = append(names, scenario.UnaddressableNames()...)
			}
			var have []string
			for _, s := range query(t, fmt.Sprintf(`kafka_connect_connector_state{connect_cluster=%q}`, c.entry(v))) {
				have = append(have, s.Labels["connector"])
			}
			for _, name := range names {
				if !slices.Contains(have, name) {
					t.Errorf("%s: no connector %q among %q", c.entry(v), name, have)
				}
			}
		}
	}
}

// TestLatency looks at the histograms of the exporter's own calls.
func TestLatency(t *testing.T) {
	for _, c := range parts.clusters {
		for _, v := range works(c) {
			cluster := fmt.Sprintf("connect_cluster=%q", c.entry(v))
			version := v
			if v == "auto" {
				version = "2"
				if !kafka.AtLeast(c.version, "2.3") {
					version = "1"
				}
			}
			snapshots := fmt.Sprintf(`kafka_connect_snapshot_duration_seconds_count{%s, observation_version=%q, outcome=~"success|partial"}`, cluster, version)
			expect(t, fmt.Sprintf(`sum(%s) > bool 3`, snapshots), 1)
			// The median of a snapshot is more than nothing and less than a scrape may take.
			expect(t, fmt.Sprintf(`histogram_quantile(0.5, sum by (le) (kafka_connect_snapshot_duration_seconds_bucket{%s, outcome=~"success|partial"})) < bool 1`, cluster), 1)
			expect(t, fmt.Sprintf(`sum(kafka_connect_snapshot_duration_seconds_sum{%s}) > bool 0`, cluster), 1)
			expect(t, fmt.Sprintf(`sum(kafka_connect_snapshot_duration_seconds_bucket{%s, le="+Inf"}) - sum(kafka_connect_snapshot_duration_seconds_count{%s})`, cluster, cluster), 0)
			endpoint := "expand"
			if version == "1" {
				endpoint = "status"
			}
			expect(t, fmt.Sprintf(`sum(kafka_connect_request_duration_seconds_count{%s, call=%q, code="200"}) > bool 3`, cluster, endpoint), 1)
			expect(t, fmt.Sprintf(`kafka_connect_response_bytes{%s} > bool 500`, cluster), 1)
			expect(t, fmt.Sprintf(`time() - kafka_connect_snapshot_timestamp_seconds{%s} < bool 10`, cluster), 1)
		}
	}
}

// TestRefused looks at what the exporter says of clusters that it cannot have.
func TestRefused(t *testing.T) {
	for entry, reason := range map[string]string{"wrong-password": "unauthorized", "unknown-authority": "unreachable", "kafka-2.2-2": "decode"} {
		expect(t, fmt.Sprintf(`kafka_connect_up{connect_cluster=%q}`, entry), 0)
		expect(t, fmt.Sprintf(`kafka_connect_snapshot_errors_total{connect_cluster=%q, reason=%q} > bool 0`, entry, reason), 1)
		expect(t, fmt.Sprintf(`sum(increase(kafka_connect_snapshot_errors_total{connect_cluster=%q, reason!=%q}[10s]))`, entry, reason), 0)
		expectNone(t, fmt.Sprintf(`kafka_connect_connector_state{connect_cluster=%q}`, entry))
	}
}

// TestCalls counts what one snapshot costs a worker, and that nothing but GET
// reaches it.
func TestCalls(t *testing.T) {
	c := parts.cluster("kafka-3.9")
	const window = 8 // snapshots
	snapshots := func(ctx context.Context, v string) (float64, error) {
		samples, err := parts.prometheus.Query(ctx, fmt.Sprintf(`sum(kafka_connect_snapshot_duration_seconds_count{connect_cluster=%q})`, c.entry(v)))
		if err != nil || len(samples) != 1 {
			return 0, fmt.Errorf("%d samples (%w)", len(samples), err)
		}
		return samples[0].Value, nil
	}
	var report strings.Builder
	report.WriteString("\n| observation version | call | per snapshot |\n|---|---|---|\n")
	connectors := float64(len(scenario.Connectors(scenario.Options{Version: c.version})))
	for _, v := range observationVersions {
		before, err := snapshots(t.Context(), v)
		if err != nil {
			t.Fatal(err)
		}
		calls := c.calls(v)
		after := before
		eventually(t, fmt.Sprintf("%d more snapshots by version %s", window, v), func(ctx context.Context) error {
			if after, err = snapshots(ctx, v); err == nil && after < before+window {
				err = fmt.Errorf("%v", after-before)
			}
			return err
		})
		per := map[string]float64{}
		for call, n := range c.calls(v) {
			if n -= calls[call]; n > 0 {
				per[call] = float64(n) / (after - before)
				fmt.Fprintf(&report, "| %s | %s | %.2f |\n", v, call, per[call])
			}
		}
		// Prometheus may lag one snapshot behind the proxy.
		atMost := func(call string, n float64) {
			if got := per[call]; got > n*(window+2)/window || got < n*(window-2)/window {
				t.Errorf("version %s: %.2f × %s per snapshot, want %v", v, got, call, n)
			}
		}
		if v == "1" {
			atMost("GET /connectors", 1)
			atMost("GET /connectors/{connector}/status", connectors)
		} else if total := sum(per); total > 2.5 {
			t.Errorf("version %s: %.2f calls per snapshot: %v", v, total, per)
		}
	}
	t.Log(report.String())
}

func sum(values map[string]float64) (total float64) {
	for _, value := range values {
		total += value
	}
	return total
}

// TestExposition has promtool look at what the exporter exposes.
func TestExposition(t *testing.T) {
	body, _, err := parts.get(t.Context(), "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	promtool := exec.CommandContext(t.Context(), filepath.Join(parts.tools, "promtool"), "check", "metrics")
	promtool.Stdin = strings.NewReader(body)
	if output, err := promtool.CombinedOutput(); err != nil || len(bytes.TrimSpace(output)) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, output)
	}
	if strings.Contains(body, " NaN") {
		t.Error("some value is not a number")
	}
	expect(t, `up{job="exporter"}`, 1)
}

// TestCommands runs the commands that look at clusters.
func TestCommands(t *testing.T) {
	run := func(arguments ...string) (string, int) {
		command := exec.CommandContext(t.Context(), parts.binary, arguments...)
		output, err := command.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		keep(t, "commands.txt", fmt.Sprintf("$ kafka-connect-exporter %s\n%s\nexit status %d\n\n", strings.Join(arguments, " "), output, command.ProcessState.ExitCode()))
		return string(output), command.ProcessState.ExitCode()
	}
	worker := parts.cluster("kafka-3.9").workers[1]
	if output, status := run("snapshot", "--connect.url="+worker.URL.String()); status != 1 || !strings.Contains(output, scenario.FailingTasks) || !strings.Contains(output, "NoSuchFileException") {
		t.Errorf("snapshot: exit status %d\n%s", status, output)
	}
	if output, status := run("check", "--config.file="+parts.config); status != 0 || strings.Contains(output, basicPassword) {
		t.Errorf("check: exit status %d\n%s", status, output)
	}
	if output, status := run("check", "--connect", "--connect.url="+worker.URL.String()); status != 0 || !strings.Contains(output, "3.9.1") {
		t.Errorf("check --connect: exit status %d\n%s", status, output)
	}
	if output, status := run("snapshot", "--connect.url=http://127.0.0.1:9"); status != 2 {
		t.Errorf("snapshot of nothing: exit status %d\n%s", status, output)
	}
	run("snapshot", "-o", "json", "--connect.url="+worker.URL.String())
}

// keep appends text to a file among the logs, where TestSecrets reads it.
func keep(t *testing.T, name, text string) {
	t.Helper()
	file, err := os.OpenFile(filepath.Join(parts.group.Directory(), name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// TestFollowing changes each cluster and watches the exporter follow. The
// clusters are changed at the same time, and each is left as it is found.
func TestFollowing(t *testing.T) {
	for name, test := range map[string]func(*testing.T, *cluster){
		"kafka-4.3": func(t *testing.T, c *cluster) { followConnectors(t, c); followKill(t, c) },
		"kafka-3.9": func(t *testing.T, c *cluster) { followConnectors(t, c); followTerminate(t, c) },
		"kafka-3.3": func(t *testing.T, c *cluster) { followConnectors(t, c); followMissingPlugin(t, c) },
		"kafka-2.2": func(t *testing.T, c *cluster) { followConnectors(t, c); followOutage(t, c) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, parts.cluster(name))
		})
	}
}

// do changes something at a worker.
func do(t *testing.T, w *kafka.Worker, method, path string) {
	t.Helper()
	if err := w.Write(t.Context(), method, path, nil); err != nil {
		t.Fatal(err)
	}
}

// followConnectors mends a failed task, resumes, pauses, creates and deletes.
func followConnectors(t *testing.T, c *cluster) {
	w := c.workers[0]
	of := func(metric, connector, more string) string {
		return fmt.Sprintf(`kafka_connect_%s{connect_cluster=~"%s-(%s)", connector=%q%s}`, metric, c.name, strings.Join(works(c), "|"), connector, more)
	}
	ways := float64(len(works(c)))

	t.Log("the cause of the failed tasks goes away, they are restarted")
	changes := map[string]float64{}
	for _, s := range query(t, of("task_state_changes_total", scenario.FailingTasks, "")) {
		changes[s.Labels["connect_cluster"]] = s.Value
	}
	if err := os.MkdirAll(filepath.Dir(c.file), 0o755); err != nil {
		t.Fatal(err)
	}
	path := kafka.ConnectorPath(scenario.FailingTasks)
	if kafka.AtLeast(c.version, "3.0") {
		do(t, w, http.MethodPost, path+"/restart?includeTasks=true&onlyFailed=true")
	} else {
		do(t, w, http.MethodPost, path+"/tasks/0/restart")
		do(t, w, http.MethodPost, path+"/tasks/1/restart")
	}
	expect(t, "count("+of("task_state", scenario.FailingTasks, `, state="running"`)+" == 1)", 2*ways)
	expectNone(t, of("task_failure_info", scenario.FailingTasks, ""))
	expectNone(t, of("task_state", scenario.FailingTasks, `, state="failed"`))
	for _, s := range query(t, of("task_state_changes_total", scenario.FailingTasks, "")) {
		if grown := s.Value - changes[s.Labels["connect_cluster"]]; grown < 2 {
			t.Errorf("%v: grew by %v, though two tasks changed", s, grown)
		}
	}

	t.Log("a paused connector is resumed, another paused")
	do(t, w, http.MethodPut, kafka.ConnectorPath(scenario.Paused)+"/resume")
	do(t, w, http.MethodPut, kafka.ConnectorPath(scenario.Unicode)+"/pause")
	expect(t, "count("+of("connector_state", scenario.Paused, `, state="running"`)+" == 1)", ways)
	expect(t, "count("+of("connector_state", scenario.Unicode, `, state="paused"`)+" == 1)", ways)
	expect(t, "count("+of("task_state", scenario.Unicode, `, state="paused"`)+" == 1)", 2*ways)
	do(t, w, http.MethodPut, kafka.ConnectorPath(scenario.Paused)+"/pause")
	do(t, w, http.MethodPut, kafka.ConnectorPath(scenario.Unicode)+"/resume")

	t.Log("a connector is created and deleted")
	passing := kafka.Connector{Name: "passing by", Config: map[string]any{
		"connector.class": scenario.FileSink, "tasks.max": "2", "topics": "orders", "file": "/dev/null",
	}}
	if err := w.Create(t.Context(), passing); err != nil {
		t.Fatal(err)
	}
	expect(t, "count("+of("task_state", passing.Name, `, state="running"`)+" == 1)", 2*ways)
	expect(t, "count("+of("connector_info", passing.Name, fmt.Sprintf(`, connector_class=%q`, scenario.FileSink))+")", ways)
	do(t, w, http.MethodDelete, kafka.ConnectorPath(passing.Name))
	expectNone(t, fmt.Sprintf(`{__name__=~"kafka_connect_.*", connect_cluster=~"%s-(%s)", connector=%q}`, c.name, strings.Join(works(c), "|"), passing.Name))

	converge(t, c, w, works(c)...)
}

// followMissingPlugin takes one connector's plugin away from the worker: on 3.3
// the expanded call is then HTTP 500 for all.
func followMissingPlugin(t *testing.T, c *cluster) {
	w := c.workers[0]
	restart(t, w, func() { w.Options.Without = []string{"connect-mirror-"} })
	defer restart(t, w, func() { w.Options.Without = nil })

	others := float64(len(scenario.Connectors(scenario.Options{Version: c.version})) - 1)
	expect(t, fmt.Sprintf(`kafka_connect_up{connect_cluster=%q}`, c.entry("2")), 0)
	expect(t, fmt.Sprintf(`kafka_connect_snapshot_errors_total{connect_cluster=%q, reason="http_status"} > bool 0`, c.entry("2")), 1)
	for _, v := range []string{"1", "auto"} {
		expect(t, fmt.Sprintf(`kafka_connect_up{connect_cluster=%q}`, c.entry(v)), 1)
		expect(t, fmt.Sprintf(`kafka_connect_connectors_unobserved{connect_cluster=%q, reason="http_status"}`, c.entry(v)), 1)
		expect(t, fmt.Sprintf(`sum(kafka_connect_connectors{connect_cluster=%q})`, c.entry(v)), others)
		expectNone(t, fmt.Sprintf(`kafka_connect_connector_state{connect_cluster=%q, connector=%q}`, c.entry(v), scenario.Arrow))
		expect(t, fmt.Sprintf(`count(kafka_connect_task_state{connect_cluster=%q, connector=%q, state="running"})`, c.entry(v), scenario.Sink), 3)
		expect(t, fmt.Sprintf(`increase(kafka_connect_snapshot_duration_seconds_count{connect_cluster=%q, observation_version="1", outcome="partial"}[10s]) > bool 0`, c.entry(v)), 1)
	}
}

// restart ends a worker, changes it and starts it again.
func restart(t *testing.T, w *kafka.Worker, change func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), settle) // Also for the time after the test.
	defer cancel()
	if err := w.Terminate(ctx); err != nil {
		t.Fatal(err)
	}
	change()
	if err := kafka.StartReady(ctx, w); err != nil {
		t.Fatal(err)
	}
}

// followOutage ends the only worker of a cluster and starts it again.
func followOutage(t *testing.T, c *cluster) {
	w := c.workers[0]
	ctx, cancel := context.WithTimeout(t.Context(), settle)
	defer cancel()
	if err := w.Terminate(ctx); err != nil {
		t.Fatal(err)
	}
	for _, v := range works(c) {
		cluster := fmt.Sprintf("connect_cluster=%q", c.entry(v))
		expect(t, fmt.Sprintf(`kafka_connect_up{%s}`, cluster), 0)
		expect(t, fmt.Sprintf(`kafka_connect_snapshot_errors_total{%s, reason="unreachable"} > bool 0`, cluster), 1)
		expectNone(t, fmt.Sprintf(`kafka_connect_connector_state{%s}`, cluster))
		expectNone(t, fmt.Sprintf(`kafka_connect_task_state{%s}`, cluster))
		// The others are none the worse for it.
		expect(t, fmt.Sprintf(`kafka_connect_up{connect_cluster="kafka-tls-%s"}`, v), 1)
	}
	if err := kafka.StartReady(ctx, w); err != nil {
		t.Fatal(err)
	}
	for _, v := range works(c) {
		expect(t, fmt.Sprintf(`kafka_connect_up{connect_cluster=%q}`, c.entry(v)), 1)
	}
	converge(t, c, w, works(c)...)
}

// TestGets is the promise that only GET goes to a Connect cluster, over all
// that the suite has done until here.
func TestGets(t *testing.T) {
	c := parts.cluster("kafka-3.9")
	definition := regexp.MustCompile(`^GET /connector-plugins/[\w.]+/config$`)
	for _, v := range observationVersions {
		calls, definitions := c.calls(v), 0
		if len(calls) < 2 {
			t.Errorf("version %s: hardly a call came through the proxies: %v", v, calls)
		}
		for call, n := range calls {
			if !strings.HasPrefix(call, "GET ") {
				t.Errorf("version %s: %d × %s", v, n, call)
			}
			// What a plugin says of its settings is no connector's configuration. It
			// is asked for once an hour, and again after an answer that failed.
			if definition.MatchString(call) {
				definitions++
				if n > 4 {
					t.Errorf("version %s: %d × %s within minutes", v, n, call)
				}
			} else if strings.Contains(call, "/config") || strings.HasSuffix(call, "/tasks") {
				t.Errorf("version %s: %d × %s, which brings nothing but configurations", v, n, call)
			}
		}
		// File source, file sink and MirrorHeartbeat: a chosen setting is shown when the
		// plugin has said that it is no password.
		if definitions != 3 {
			t.Errorf("version %s: %d plugins were asked for their settings, want 3", v, definitions)
		}
	}
}

// TestSecrets looks for every secret of the scenario in all that the exporter
// let out: pages, metrics, answers of its commands, its log on level debug.
func TestSecrets(t *testing.T) {
	paths := []string{"/", "/metrics", "/config", "/sd", "/nothing"}
	for _, c := range parts.clusters {
		for _, v := range observationVersions {
			name := url.QueryEscape(c.entry(v))
			paths = append(paths, "/probe?cluster="+name, "/probe?debug=true&cluster="+name)
		}
	}
	emitted := map[string]string{}
	for _, path := range paths {
		body, header, _ := parts.get(t.Context(), path) // A page may be missing.
		emitted[path] = fmt.Sprint(header, body)
	}
	for _, name := range []string{"exporter.log", "commands.txt"} {
		text, err := os.ReadFile(filepath.Join(parts.group.Directory(), name))
		if err != nil {
			t.Fatal(err)
		}
		if len(text) < 1000 {
			t.Errorf("%s is too short to be all: %q", name, text)
		}
		emitted[name] = string(text)
	}
	for where, text := range emitted {
		for _, secret := range append(scenario.Secrets(), basicPassword) {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s tells %q: …%s…", where, secret, text[max(0, i-100):min(len(text), i+100)])
			}
		}
		// What stands in configurations beside class and tasks.max stays away as well.
		for _, setting := range []string{"heartbeats.topic.replication.factor", "PlainLoginModule", "database.password"} {
			if strings.Contains(text, setting) {
				t.Errorf("%s tells the setting %q", where, setting)
			}
		}
	}
	if !strings.Contains(emitted["/metrics"], "kafka_connect_connector_info") {
		t.Error("the metrics are empty: nothing was looked at")
	}
}

// TestTermination ends the exporter as Kubernetes does. It is the last test.
func TestTermination(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	if err := parts.exporter.Terminate(ctx); err != nil {
		t.Fatal(err)
	}
	if err := parts.exporter.Err(); err != nil {
		t.Errorf("ended with %v:\n%s", err, parts.exporter.Tail(2000))
	}
	expectNone(t, `{__name__=~"kafka_connect_.*"}`)
}

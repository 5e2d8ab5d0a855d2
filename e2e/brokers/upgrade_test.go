package brokers

import (
	"context"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kafka"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/prometheus"
)

const (
	older = "3.9.1"
	// upgradeScale shortens the rules' times, as a worker restarts here in a fifth of
	// the time that one with many connectors needs.
	upgradeScale = 0.2
)

// TestRollingUpgrade restarts two workers one after the other, first as they are and
// then by a newer Kafka. They are scraped all the time, beside what the brokers
// tell, and Prometheus evaluates the shipped rules: no connector fails or is lost,
// and nobody is paged.
func TestRollingUpgrade(t *testing.T) {
	p := start(t, 24350, kafka.BrokerOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	workers := make([]*kafka.Worker, 2)
	for i := range workers {
		workers[i] = kafka.NewWorker(p.group, kafka.WorkerOptions{
			Version: older, Group: "orders", Bootstrap: p.broker.Address, Port: p.port(), Delay: delay, // It is back long before.
			Directory: filepath.Join(p.directory, "orders"),
		})
	}
	if err := kafka.StartReady(ctx, workers...); err != nil {
		t.Fatal(err)
	}
	const connectors, tasks = 4, 2
	for i := range connectors {
		p.create(workers[0], fmt.Sprintf("sink-%d", i), sinkClass, map[string]any{
			"topics": "orders", "tasks.max": tasks, "file": filepath.Join(p.directory, fmt.Sprintf("sink-%d", i)),
		})
	}
	e := p.exporter("upgrade", fmt.Sprintf("- {name: rest, urls: [%q, %q], worker_probe: {}, expected_workers: 2, info_max_age: 1s}\n- {name: both, urls: [%[1]q, %[2]q], %[3]s}\n- {name: brokers, observation_version: brokers, %[3]s}\n",
		workers[0].URL.String(), workers[1].URL.String(), p.block("orders")))
	server := p.prometheus(ctx, e)
	clusters := []string{"rest", "both", "brokers"}
	for _, cluster := range clusters {
		e.expect(connectors*tasks, "kafka_connect_tasks", cluster, `state="running"`)
	}

	u := &upgrade{t: t, e: e, began: time.Now()}
	// watch scrapes until a condition holds in all three views.
	watch := func(what string, condition func(s series) error) {
		t.Helper()
		for err, deadline := error(nil), time.Now().Add(settle); ; time.Sleep(interval / 4) {
			s, failed := e.try(ctx)
			if failed != nil {
				t.Fatal(failed)
			}
			for _, cluster := range clusters {
				u.look(s, cluster, connectors)
			}
			if err = condition(s); err == nil {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	for _, version := range []string{older, version} {
		for _, w := range workers {
			what := fmt.Sprintf("worker %d of 2, from %s to %s", slices.Index(workers, w)+1, w.Options.Version, version)
			u.note(what + ": SIGTERM")
			if err := w.Terminate(ctx); err != nil {
				t.Fatal(err)
			}
			watch("it has left the group", func(s series) error { return s.check(1, "kafka_connect_group_members", "both") })
			u.note(what + ": it has left the group")
			w.Options.Version = version
			if err := w.Start(ctx); err != nil {
				t.Fatal(err)
			}
			watch("it answers", func(series) error {
				asked, stop := context.WithTimeout(ctx, interval)
				defer stop()
				return w.GetJSON(asked, "/health", nil)
			})
			u.note(what + ": it answers")
			watch("all is as it was", func(s series) error {
				for _, cluster := range clusters {
					if err := s.check(connectors*tasks, "kafka_connect_tasks", cluster, `state="running"`); err != nil {
						return err
					}
					if n, _ := s.of("kafka_connect_worker_tasks", cluster, fmt.Sprintf("worker=%q", w.ID())); n == 0 {
						return fmt.Errorf("%s: nothing runs on it", cluster)
					}
				}
				for _, cluster := range clusters[1:] {
					if err := s.check(0, "kafka_connect_tasks_orphaned", cluster); err != nil {
						return err
					}
				}
				return s.check(2, "kafka_connect_group_members", "both")
			})
			u.note(what + ": all is as it was")
		}
	}
	// As long as the alert that waits least would have waited from the last of it on.
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); {
		watch("", func(series) error { return nil })
		time.Sleep(interval / 4)
	}

	// Each worker is what it should be by now. (The exporter asks a worker for its version
	// every five minutes.)
	for _, w := range workers {
		var root struct{ Version string }
		if err := w.GetJSON(ctx, "/", &root); err != nil || root.Version != version {
			t.Errorf("%s is of version %q (%v)", w.ID(), root.Version, err)
		}
	}
	window := fmt.Sprintf("[%ds:1s]", int(time.Since(u.began).Seconds())+5)
	for query, want := range map[string]float64{
		`max(max_over_time(sum by (connect_cluster) (kafka_connect_connectors{state="failed"} + ignoring (state) kafka_connect_tasks{state="failed"})` + window + `))`: 0,
		`min(min_over_time(sum by (connect_cluster) (kafka_connect_connectors)` + window + `))`:                                                                        connectors,
		`min(min_over_time(kafka_connect_up` + window + `))`:                                                                                                           1,
	} {
		samples, err := server.Query(ctx, query)
		if err != nil || len(samples) != 1 || samples[0].Value != want {
			t.Errorf("%s is %v, want %v (%v)", query, samples, want, err)
		}
	}
	alerts, err := server.Query(ctx, `sum by (alertname, severity, alertstate) (count_over_time(ALERTS{alertstate=~".+"}`+window+`))`)
	if err != nil {
		t.Fatal(err)
	}
	for _, alert := range alerts {
		name, state := alert.Labels["alertname"], alert.Labels["alertstate"]
		if state == "firing" && alert.Labels["severity"] == "critical" {
			t.Errorf("somebody is paged: %v", alert)
		}
		u.alerts = append(u.alerts, fmt.Sprintf("`%s` (%s) was %s", name, alert.Labels["severity"], state))
	}
	slices.Sort(u.alerts)
	if len(u.alerts) == 0 {
		u.alerts = []string{"none was pending"}
	}
	p.document("upgrade", fmt.Sprintf("| s | two workers of one group, %d connectors of %d tasks, scraped four times a second | not running, by REST | likewise, by the brokers | orphaned |\n|---:|---|---:|---:|---:|\n%s\n\nFailed, at most: %.0f. Connectors lost, at most: %.0f. Alerts, their times shortened to a fifth: %s.\n",
		connectors, tasks, strings.Join(u.rows, "\n"), u.failed, u.lost, strings.Join(slices.Compact(u.alerts), ", ")))
}

// prometheus scrapes an exporter and evaluates the rules that it exports.
func (p *parts) prometheus(ctx context.Context, e *exporter) *prometheus.Server {
	p.t.Helper()
	tools, err := exec.CommandContext(ctx, filepath.Join("..", "..", "tools", "build.sh"), "prometheus").Output()
	if err != nil {
		p.t.Fatalf("build Prometheus: %v", err)
	}
	rules := filepath.Join(p.directory, "rules")
	if output, err := exec.CommandContext(ctx, p.binary, "export", "alerts", rules, fmt.Sprint("--time-scale=", upgradeScale)).CombinedOutput(); err != nil {
		p.t.Fatalf("export the rules: %v\n%s", err, output)
	}
	server, err := prometheus.Start(ctx, p.group, p.ports, strings.TrimSpace(string(tools)), filepath.Join(p.directory, "prometheus"), fmt.Sprintf(`
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs: [{job_name: connect, static_configs: [{targets: [%q]}]}]
`, filepath.Join(rules, "kafka-connect.rules.yml"), strings.TrimPrefix(e.url, "http://")))
	if err != nil {
		p.t.Fatal(err)
	}
	return server
}

// An upgrade that is watched.
type upgrade struct {
	t            *testing.T
	e            *exporter
	began        time.Time
	rows, alerts []string
	failed, lost float64
	idle         map[string]float64 // tasks that do not run, most since the last note
	orphaned     float64
}

// look notes what a scrape says of a cluster, and what it must never say.
func (u *upgrade) look(s series, cluster string, connectors int) {
	u.t.Helper()
	if err := s.check(1, "kafka_connect_up", cluster); err != nil {
		u.t.Errorf("after %v: %v", time.Since(u.began), err)
	}
	failed := 0.0
	for _, family := range []string{"kafka_connect_connectors", "kafka_connect_tasks"} {
		n, _ := s.of(family, cluster, `state="failed"`)
		failed += n
	}
	present, _ := s.sum("kafka_connect_connectors", cluster)
	if failed > 0 || int(present) != connectors {
		u.t.Errorf("after %v: %v failed, %v of %d connectors of %s", time.Since(u.began), failed, present, connectors, cluster)
	}
	u.failed, u.lost = math.Max(u.failed, failed), math.Max(u.lost, float64(connectors)-present)
	all, _ := s.sum("kafka_connect_tasks", cluster)
	running, _ := s.of("kafka_connect_tasks", cluster, `state="running"`)
	if u.idle == nil {
		u.idle = map[string]float64{}
	}
	u.idle[cluster] = math.Max(u.idle[cluster], all-running)
	orphaned, _ := s.of("kafka_connect_tasks_orphaned", cluster)
	u.orphaned = math.Max(u.orphaned, orphaned)
}

// note ends a step, with the most that was seen in it.
func (u *upgrade) note(what string) {
	u.rows = append(u.rows, fmt.Sprintf("| %.1f | %s | %.0f | %.0f | %.0f |", time.Since(u.began).Seconds(), what, u.idle["rest"], u.idle["brokers"], u.orphaned))
	u.idle, u.orphaned = nil, 0
}

package brokers

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kafka"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/prometheus"
)

const (
	// scale shortens the rules' times: fifteen minutes become nine seconds.
	scale = 0.01
	// longScale is that of the alert that looks back for a day: an hour becomes 1.8 s.
	longScale = 0.0005
)

// alerting is what the alerts about data are proved on: a sink that stands still, a
// source that falls silent, workers of a group of which two claim the same task.
type alerting struct {
	p          *parts
	w          *kafka.Worker
	prometheus *prometheus.Server
	pipe       *os.File
	// stop ends what goes on, and waits for it.
	stop []func()
}

// twins is the group of the members that are no workers.
const twins = "twins"

// alerting starts connectors, and a Prometheus with the rules that scrapes e, whose
// cluster "both" is w's and "twins" the group of that name.
func (p *parts) alerting(w *kafka.Worker, e *exporter) *alerting {
	p.t.Helper()
	a := &alerting{p: p, w: w}
	p.t.Cleanup(func() {
		for _, stop := range a.stop {
			stop()
		}
	})
	must := func(err error) {
		p.t.Helper()
		if err != nil {
			p.t.Fatal(err)
		}
	}
	// A file that is a pipe: when nobody reads it and it is full, the task stands in
	// the middle of a write. It says that it runs, and commits nothing.
	pipe := filepath.Join(p.directory, "pipe")
	must(syscall.Mkfifo(pipe, 0o600))
	var err error
	a.pipe, err = os.OpenFile(pipe, os.O_RDWR, 0)
	must(err)
	a.stop = append(a.stop, func() { a.pipe.Close() })
	must(p.admin.Produce(p.t.Context(), "events", 10))
	p.create(w, "stuck", sinkClass, map[string]any{"topics": "events", "tasks.max": "1", "file": pipe})
	busy := filepath.Join(p.directory, "busy")
	a.goOn(func() error {
		file, err := os.OpenFile(busy, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer file.Close()
		_, err = fmt.Fprintln(file, "again")
		return err
	})
	p.create(w, "busy", sourceClass, map[string]any{"topic": "busy-lines", "file": busy})

	rules := p.rules("rules", scale)
	tool, err := exec.CommandContext(p.t.Context(), filepath.Join("..", "..", "tools", "build.sh"), "prometheus").Output()
	must(err)
	a.prometheus, err = prometheus.Start(p.t.Context(), p.group, p.ports, strings.TrimSpace(string(tool)), filepath.Join(p.directory, "prometheus"), fmt.Sprintf(`
global: {scrape_interval: 300ms, scrape_timeout: 300ms, evaluation_interval: 300ms}
rule_files: [%q, %q]
scrape_configs: [{job_name: connect, static_configs: [{targets: [%q]}]}]
`, rules, p.silence(), strings.TrimPrefix(e.url, "http://")))
	must(err)
	return a
}

// goOn does something five times a second until the first of stop is called.
func (a *alerting) goOn(do func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(200 * time.Millisecond)
		defer ticker.Stop()
		for {
			if err := do(); err != nil && ctx.Err() == nil {
				a.p.t.Error(err)
				return
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	a.stop = append(a.stop, func() { cancel(); <-done })
}

// rules writes the rules that ship, with their times scaled.
func (p *parts) rules(name string, scale float64) string {
	p.t.Helper()
	directory := filepath.Join(p.directory, name)
	if output, err := exec.CommandContext(p.t.Context(), p.binary, "export", "alerts", directory, fmt.Sprint("--time-scale=", scale)).CombinedOutput(); err != nil {
		p.t.Fatalf("export the rules: %v\n%s", err, output)
	}
	return filepath.Join(directory, "kafka-connect.rules.yml")
}

// silence writes the alert that looks back for a day, alone: what it builds upon is
// recorded by the others.
func (p *parts) silence() string {
	p.t.Helper()
	file := p.rules("silence", longScale)
	text, err := os.ReadFile(file)
	if err != nil {
		p.t.Fatal(err)
	}
	var rules struct {
		Groups []struct{ Rules []map[string]any }
	}
	if err := yaml.Unmarshal(text, &rules); err != nil {
		p.t.Fatal(err)
	}
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			if rule["alert"] != "KafkaConnectSourceSilent" {
				continue
			}
			rule["alert"] = "Silent" // Its namesake of the other file is another.
			rule["expr"] = strings.ReplaceAll(rule["expr"].(string), `"KafkaConnectSourceSilent"`, `"Silent"`)
			text, err = yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "silence", "interval": "300ms", "rules": []any{rule}}}})
			if err == nil {
				err = os.WriteFile(file, text, 0o600)
			}
			if err != nil {
				p.t.Fatal(err)
			}
			return file
		}
	}
	p.t.Fatal("no alert of a silent source")
	return ""
}

// firing tells whether an alert fires.
func (a *alerting) firing(ctx context.Context, alert string, matchers ...string) (bool, error) {
	samples, err := a.prometheus.Query(ctx, fmt.Sprintf(`ALERTS{%s}`, strings.Join(append([]string{fmt.Sprintf("alertname=%q", alert), `alertstate="firing"`}, matchers...), ", ")))
	return len(samples) > 0, err
}

// expect waits until an alert fires, or does not any more.
func (a *alerting) expect(want bool, alert string, matchers ...string) {
	a.p.t.Helper()
	start := time.Now()
	a.p.eventually(fmt.Sprintf("%s fires: %t", alert, want), func(ctx context.Context) error {
		if is, err := a.firing(ctx, alert, matchers...); err != nil || is != want {
			return fmt.Errorf("it fires: %t, %w", is, err)
		}
		return nil
	})
	a.p.t.Logf("%s fires: %t after %.1f s", alert, want, time.Since(start).Seconds())
}

// quiet holds that an alert does not fire.
func (a *alerting) quiet(alert string, matchers ...string) {
	a.p.t.Helper()
	if is, err := a.firing(a.p.t.Context(), alert, matchers...); err != nil || is {
		a.p.t.Errorf("%s fires: %t, %v", alert, is, err)
	}
}

// prove makes what each alert is about happen, and end.
func (a *alerting) prove(t *testing.T, e *exporter) {
	p, ctx := a.p, t.Context()
	const both, twin = `connect_cluster="both"`, `connect_cluster="twins"`
	// Two members have the same task. Members of our own, in a group of their own: a
	// worker that leads mends it in the same rebalance where one that joins says that it
	// runs what another runs (4.3.1, tried), so that no scrape sees it.
	claims := []string{"stuck", "stuck/0"}
	var leave []func()
	for _, name := range []string{"10.0.0.1:8083", "10.0.0.2:8083"} {
		member, err := kafka.NewMember(p.broker.Address, twins, name)
		if err != nil {
			t.Fatal(err)
		}
		staying, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() {
			err := member.Join(staying, claims...)
			if err == nil {
				err = member.Stay(staying, claims...)
			}
			done <- err
		}()
		leave = append(leave, func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if err := member.Close(context.WithoutCancel(ctx)); err != nil {
				t.Error(err)
			}
		})
	}
	a.quiet("KafkaConnectSinkStuck")
	e.expect(10, "kafka_connect_sink_committed_offset_sum", "both", `connector="stuck"`)
	if err := p.admin.Produce(ctx, "events", 100_000); err != nil { // A pipe holds 64 KB.
		t.Fatal(err)
	}
	a.goOn(func() error { return p.admin.Produce(context.Background(), "events", 50) })

	e.expect(1, "kafka_connect_tasks_duplicated", twins)
	a.expect(true, "KafkaConnectTasksDuplicated", twin)
	a.expect(true, "KafkaConnectSinkStuck", both, `connector="stuck"`)
	for _, leave := range leave {
		leave()
	}
	a.expect(false, "KafkaConnectTasksDuplicated", twin)
	e.expect(1, "kafka_connect_connector_state", "both", `connector="stuck"`, `state="running"`)
	a.quiet("KafkaConnectSinkStuck", `connector!="stuck"`)
	a.quiet("KafkaConnectTasksDuplicated", both)
	go func() { _, _ = io.Copy(io.Discard, a.pipe) }()

	// The source has committed in twenty of its last hours.
	p.eventually("the source has a history", func(ctx context.Context) error {
		samples, err := a.prometheus.Query(ctx, `count_over_time((max without (instance) (changes(kafka_connect_source_offset_commit_timestamp_seconds{connector="busy", connect_cluster="both"}[1800ms])) > 0)[43200ms:1800ms] offset 1800ms)`)
		if err == nil && (len(samples) != 1 || samples[0].Value < 21) {
			err = fmt.Errorf("%v", samples)
		}
		return err
	})
	a.stop[1]()
	a.expect(true, "Silent", both, `connector="busy"`)
	a.expect(false, "KafkaConnectSinkStuck")

	// A member that comes and goes keeps the group of the workers from its rest.
	a.quiet("KafkaConnectGroupUnstable", both)
	coming, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		member, err := kafka.NewMember(p.broker.Address, "flow", "10.0.0.9:8083")
		for err == nil && coming.Err() == nil {
			if err = member.Join(coming); err == nil {
				err = member.Leave(context.WithoutCancel(coming))
			}
		}
		if coming.Err() != nil {
			err = member.Close(context.WithoutCancel(coming))
		}
		done <- err
	}()
	a.expect(true, "KafkaConnectGroupUnstable", both)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	e.expect(1, "kafka_connect_group_state", "both", `state="stable"`)
	a.expect(false, "KafkaConnectGroupUnstable", both)
}

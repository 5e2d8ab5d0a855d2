// Package otlp holds what the exporter pushes over OTLP against what it shows to
// a scraper: its binary watches a real Kafka Connect worker and pushes to real
// OpenTelemetry Collectors and to Prometheus's own receiver, while that
// Prometheus scrapes it.
package otlp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kafka"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/process"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/prometheus"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/scenario"
)

const (
	kafkaVersion = "4.3.1"
	// settle is how long anything may take that is waited for, on a busy machine.
	settle = 90 * time.Second
)

// A fleet is what all tests share.
type fleet struct {
	directory       string
	group           *process.Group
	ports           *process.Ports
	binary, otelcol string
	broker          *kafka.Broker
	worker          *kafka.Worker
	prometheus      *prometheus.Server
	collector       *collector
}

// parts is the fleet that TestMain started.
var parts *fleet

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (status int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	f, err := start(ctx)
	if f != nil && f.group != nil {
		defer func() {
			f.group.Close(5 * time.Second)
			if status != 0 {
				fmt.Fprintln(os.Stderr, "logs of all parts are in", f.group.Directory(), "their files in", f.directory)
				return
			}
			_ = os.RemoveAll(f.directory)
		}()
		// An interrupt ends the parts, and with that the tests; the end of the
		// tests is none.
		defer context.AfterFunc(ctx, func() {
			f.group.Close(0)
			os.Exit(1)
		})()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "start the real parts:", err)
		return 1
	}
	parts = f
	return m.Run()
}

func start(ctx context.Context) (*fleet, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	if err := os.Chdir(".."); err != nil { // From where e2e finds tools and product.
		return nil, err
	}
	directory, err := os.MkdirTemp("", "otlp-")
	if err != nil {
		return nil, err
	}
	f := &fleet{directory: directory, ports: process.NewPorts(20000, 20299)}
	logs, err := filepath.Abs(filepath.Join("..", ".e2e", "logs", "otlp"))
	if err != nil {
		return nil, err
	}
	if err := os.RemoveAll(logs); err != nil {
		return nil, err
	}
	if f.group, err = process.NewGroup(logs); err != nil {
		return nil, err
	}
	tools, err := e2e.Tool(ctx, "prometheus")
	if err != nil {
		return f, err
	}
	if f.otelcol, err = e2e.Tool(ctx, "otelcol"); err != nil {
		return f, err
	}
	if f.binary, err = e2e.BuildExporter(ctx, directory); err != nil {
		return f, err
	}
	if f.collector, err = newCollector(f, "collector"); err != nil {
		return f, err
	}
	if err := f.collector.start(ctx); err != nil {
		return f, err
	}
	// The tests put their exporters there as they start them.
	targets := filepath.Join(directory, "targets")
	if err := os.MkdirAll(targets, 0o755); err != nil {
		return f, err
	}
	documented, err := documentation("honor_labels")
	if err != nil {
		return f, err
	}
	f.prometheus, err = prometheus.Start(ctx, f.group, f.ports, tools, filepath.Join(directory, "prometheus"), fmt.Sprintf(`
global: {scrape_interval: 1s, scrape_timeout: 1s}
%s
  - job_name: exporters
    file_sd_configs: [{files: [%q], refresh_interval: 1s}]
`, strings.ReplaceAll(documented, "collector:8889", f.collector.by), filepath.Join(targets, "*.json")))
	if err != nil {
		return f, err
	}
	if f.broker, err = kafka.StartBroker(ctx, f.group, f.ports, filepath.Join(directory, "broker"), kafkaVersion); err != nil {
		return f, err
	}
	port, err := f.ports.Next()
	if err != nil {
		return f, err
	}
	f.worker = kafka.NewWorker(f.group, kafka.WorkerOptions{
		Version: kafkaVersion, Group: "orders", Bootstrap: f.broker.Address, Port: port, Directory: filepath.Join(directory, "worker"),
	})
	if err := kafka.StartReady(ctx, f.worker); err != nil {
		return f, err
	}
	if err := scenario.Create(ctx, f.worker.Client, scenario.Options{Version: kafkaVersion, Bootstrap: f.broker.Address}); err != nil {
		return f, err
	}
	return f, f.settled(ctx)
}

// settled waits until the connectors have the states that they are made for.
func (f *fleet) settled(ctx context.Context) error {
	want := map[string]string{
		scenario.Source: "RUNNING RUNNING", scenario.Sink: "RUNNING RUNNING RUNNING RUNNING", scenario.Unicode: "RUNNING RUNNING RUNNING",
		scenario.Quotes: "RUNNING RUNNING", scenario.Space: "RUNNING RUNNING", scenario.Arrow: "RUNNING RUNNING",
		scenario.FailingTasks: "RUNNING FAILED FAILED", scenario.FailingStart: "FAILED", scenario.Paused: "PAUSED PAUSED", scenario.Stopped: "STOPPED",
	}
	return process.Poll(ctx, 200*time.Millisecond, f.worker.Process, func(ctx context.Context) error {
		statuses, err := f.worker.Statuses(ctx)
		if err != nil {
			return err
		}
		for name, states := range want {
			have := statuses[name].Connector.State
			for _, task := range statuses[name].Tasks {
				have += " " + task.State
			}
			if have != states {
				return fmt.Errorf("%q is %s, not yet %s", name, have, states)
			}
		}
		return nil
	})
}

// address is one on which nobody listens.
func address(t *testing.T) string {
	t.Helper()
	port, err := parts.ports.Next()
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// An exporter that a test has started. It is the service.name and, where it is
// scraped, "scraped-"+service the job.
type exporter struct {
	*process.Process
	service, address string
}

// push starts an exporter with a configuration (YAML) to which its resource's
// service.name is added by the environment, as are further variables, and which
// ends with the test.
func push(t *testing.T, service, configuration string, environment ...string) *exporter {
	t.Helper()
	e := &exporter{service: service, address: address(t)}
	argv := []string{parts.binary, "--web.listen-address=" + e.address}
	if configuration != "" {
		file := filepath.Join(parts.directory, service+".exporter.yml")
		if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
			t.Fatal(err)
		}
		argv = append(argv, "--config.file="+file)
	}
	var err error
	if e.Process, err = parts.group.Start(service, argv, append(environment, "OTEL_SERVICE_NAME="+service)...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), settle)
		defer cancel()
		if err := e.Terminate(ctx); err != nil {
			t.Error(err)
			e.Kill()
		}
		if err := e.Err(); err != nil {
			t.Errorf("%s ended with %v", service, err)
		}
		if t.Failed() {
			t.Logf("the log of %s ends with:\n%s", service, e.Tail(3000))
		}
	})
	e.eventually(t, "is ready", func(ctx context.Context) error {
		_, err := e.get(ctx, "/-/ready")
		return err
	})
	return e
}

// scrape has Prometheus scrape the exporter until the test ends.
func (e *exporter) scrape(t *testing.T) {
	t.Helper()
	text, err := json.Marshal([]any{map[string]any{"targets": []string{e.address}, "labels": map[string]string{"job": "scraped-" + e.service}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(parts.directory, "targets", e.service+".json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(file) })
}

// get asks the exporter; the error is of an answer that is not 200 too.
func (e *exporter) get(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.address+path, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: HTTP %d: %.300s", path, response.StatusCode, text)
	}
	return string(text), err
}

// value of one series on /metrics, as it stands there.
func (e *exporter) value(ctx context.Context, series string) (float64, error) {
	text, err := e.get(ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if rest, found := strings.CutPrefix(line, series+" "); found {
			return strconv.ParseFloat(strings.TrimSpace(rest), 64)
		}
	}
	return 0, fmt.Errorf("no %s on /metrics", series)
}

// exports is how many exports have succeeded, or failed.
func (e *exporter) exports(ctx context.Context, outcome string) (float64, error) {
	return e.value(ctx, fmt.Sprintf("kafka_connect_exporter_otlp_exports_total{outcome=%q}", outcome))
}

// more waits until that many further exports have had that outcome.
func (e *exporter) more(t *testing.T, n float64, outcome string) {
	t.Helper()
	before := -1.
	e.eventually(t, fmt.Sprintf("%v more exports with %s", n, outcome), func(ctx context.Context) error {
		now, err := e.exports(ctx, outcome)
		switch {
		case err != nil:
			return err
		case before < 0:
			before = now
		}
		if now < before+n {
			return fmt.Errorf("%v more so far", now-before)
		}
		return nil
	})
}

// logged is how often a message stands in the exporter's log.
func (e *exporter) logged(t *testing.T, message string) int {
	t.Helper()
	text, err := os.ReadFile(e.Log)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), fmt.Sprintf("msg=%q", message))
}

// eventually waits until check returns nil, for as long as the exporter runs.
func (e *exporter) eventually(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), settle)
	defer cancel()
	if err := process.Poll(ctx, 200*time.Millisecond, e.Process, check); err != nil {
		t.Fatalf("%s: %s: %v", e.service, what, err)
	}
}

// expect waits until an instant query gives one sample of this value.
func (e *exporter) expect(t *testing.T, promql string, value float64) {
	t.Helper()
	e.eventually(t, fmt.Sprintf("%s is %v", promql, value), func(ctx context.Context) error {
		samples, err := parts.prometheus.Query(ctx, promql)
		switch {
		case err != nil:
			return err
		case len(samples) != 1:
			return fmt.Errorf("%d samples: %.500v", len(samples), samples)
		case samples[0].Value != value:
			return fmt.Errorf("%v", samples[0])
		}
		return nil
	})
}

// expectNone waits until an instant query gives nothing.
func (e *exporter) expectNone(t *testing.T, promql string) {
	t.Helper()
	e.eventually(t, promql+" is empty", func(ctx context.Context) error {
		samples, err := parts.prometheus.Query(ctx, promql)
		if err == nil && len(samples) > 0 {
			err = errors.New(samples[0].String())
		}
		return err
	})
}

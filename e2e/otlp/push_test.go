package otlp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kafka"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/process"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/recorder"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/scenario"
)

// configuration watches the worker, at that address, and pushes each second to
// that endpoint.
func configuration(worker, endpoint, protocol string) string {
	return fmt.Sprintf(`
snapshot_max_age: 500ms
clusters:
  - {name: orders, urls: ["http://%s"], request_timeout: 2s}
otlp: {endpoint: %q, protocol: %s, interval: 1s, timeout: 2s}
`, worker, endpoint, protocol)
}

// TestEnded: what ended is told so to the receiver: Prometheus has a stale marker of
// it, the Collector's exporter shows it no more, as if it were scraped. A state that
// was left, a connector that is gone, a cluster that is no longer configured and
// what was measured of it.
func TestEnded(t *testing.T) {
	create := func(t *testing.T, name string) {
		t.Helper()
		if err := parts.worker.Create(t.Context(), kafka.Connector{Name: name, Config: map[string]any{
			"connector.class": scenario.FileSink, "tasks.max": "1", "topics": "orders", "file": "/dev/null",
		}}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { // Unless the test has deleted it.
			_ = parts.worker.Write(context.Background(), http.MethodDelete, kafka.ConnectorPath(name), nil)
		})
	}
	other := demoWorker(t)
	for _, route := range []struct{ name, endpoint, protocol string }{
		{"ended-to-prometheus", parts.prometheus.URL + "/api/v1/otlp/v1/metrics", "http/protobuf"},
		{"ended-to-collector-http", "http://" + parts.collector.http, "http/protobuf"},
		{"ended-to-collector-grpc", "http://" + parts.collector.grpc, "grpc"},
	} {
		t.Run(route.name, func(t *testing.T) {
			paused, deleted := route.name+"-paused", route.name+"-deleted"
			create(t, paused)
			create(t, deleted)
			orders := configuration(parts.worker.ID(), route.endpoint, route.protocol)
			e := push(t, route.name, strings.Replace(orders, "clusters:\n", fmt.Sprintf("clusters:\n  - {name: other, urls: [%q]}\n", other), 1))
			e.scrape(t)
			jobs := []string{route.name, "scraped-" + route.name}
			state := func(job, connector, state string) string {
				return fmt.Sprintf(`kafka_connect_task_state{job=%q, connector=%q, task="0", state=%q}`, job, connector, state)
			}
			for _, job := range jobs {
				e.expect(t, state(job, paused, "running"), 1)
				e.expect(t, state(job, deleted, "running"), 1)
				e.expect(t, fmt.Sprintf(`kafka_connect_up{job=%q, connect_cluster="other"}`, job), 1)
				e.expect(t, fmt.Sprintf(`count(kafka_connect_snapshot_duration_seconds_bucket{job=%q, connect_cluster="other"}) > bool 1`, job), 1)
			}
			if err := parts.worker.Write(t.Context(), http.MethodPut, kafka.ConnectorPath(paused)+"/pause", nil); err != nil {
				t.Fatal(err)
			}
			if err := parts.worker.Write(t.Context(), http.MethodDelete, kafka.ConnectorPath(deleted), nil); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(parts.directory, route.name+".exporter.yml"), []byte(orders), 0o600); err != nil {
				t.Fatal(err)
			}
			e.Signal(syscall.SIGHUP)
			// Long before Prometheus (5m) or the Collector (5m) forgets by itself.
			begin := time.Now()
			for _, job := range jobs {
				e.expect(t, state(job, paused, "paused"), 1)
				e.expectNone(t, state(job, paused, "running"))
				e.expectNone(t, fmt.Sprintf(`{job=%q, connector=%q}`, job, deleted))
				e.expectNone(t, fmt.Sprintf(`{job=%q, connect_cluster="other"}`, job))
			}
			if took := time.Since(begin); took > time.Minute {
				t.Errorf("the ends came after %v", took)
			}
			// It was never said to be 0.
			e.expectNone(t, fmt.Sprintf(`min_over_time(%s[1m]) < 1`, state(route.name, deleted, "running")))
			// What comes back is 1 again, and then both have the same series.
			if err := parts.worker.Write(t.Context(), http.MethodPut, kafka.ConnectorPath(paused)+"/resume", nil); err != nil {
				t.Fatal(err)
			}
			for _, job := range jobs {
				e.expect(t, state(job, paused, "running"), 1)
				e.expectNone(t, state(job, paused, "paused"))
			}
			e.eventually(t, "scraped and pushed series have the same names and labels", func(ctx context.Context) error {
				var both [2][]string
				for i, job := range jobs {
					all, err := series(ctx, job)
					if err != nil {
						return err
					}
					for _, s := range all {
						name, _, _ := strings.Cut(s, "} ")
						both[i] = append(both[i], name)
					}
					slices.Sort(both[i])
				}
				return difference(both[1], both[0])
			})
		})
	}
}

// TestPushAlone: variables of the environment, and nobody who scrapes. Held
// against what the collector has written down, before anything is translated.
func TestPushAlone(t *testing.T) {
	for protocol, address := range map[string]string{"http/protobuf": parts.collector.http, "grpc": parts.collector.grpc} {
		t.Run(protocol, func(t *testing.T) {
			service := "alone-" + protocol[:4]
			offset := parts.collector.size()
			e := push(t, service, "",
				"CONNECT_NAME=orders", "CONNECT_OBSERVATION_VERSION=2", "CONNECT_REST_URL=http://"+parts.worker.ID(),
				"OTEL_EXPORTER_OTLP_ENDPOINT=http://"+address, "OTEL_EXPORTER_OTLP_PROTOCOL="+protocol,
				"OTEL_METRIC_EXPORT_INTERVAL=1000", "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test%20stage,team=data")
			var got *export
			e.eventually(t, "the collector has its metrics", func(context.Context) (err error) {
				got, err = parts.collector.newest(offset, service)
				return err
			})
			attributes := values(got.ResourceMetrics[0].Resource.Attributes)
			for key, want := range map[string]string{"service.name": service, "deployment.environment.name": "test stage", "team": "data"} {
				if attributes[key] != want {
					t.Errorf("the resource's %s is %q, not %q", key, attributes[key], want)
				}
			}
			if _, found := attributes["service.version"]; !found {
				t.Errorf("the resource names no version: %v", attributes)
			}
			for name, want := range map[string]struct{ kind, unit string }{
				"kafka.connect.up":                      {"gauge", ""},
				"kafka.connect.connectors":              {"gauge", "{connector}"},
				"kafka.connect.connector.state":         {"gauge", ""},
				"kafka.connect.task.failure_info":       {"gauge", ""},
				"kafka.connect.snapshot.timestamp":      {"gauge", "s"},
				"kafka.connect.response":                {"gauge", "By"},
				"kafka.connect.connector.state_changes": {"counter", "{change}"},
				"kafka.connect.snapshot.duration":       {"histogram", "s"},
				"kafka.connect.request.duration":        {"histogram", "s"},
				"kafka.connect.exporter.otlp_exports":   {"counter", "{export}"},
			} {
				m := got.metric(name)
				if m == nil {
					t.Errorf("no %s", name)
					continue
				}
				kind := "gauge"
				switch {
				case m.Histogram != nil:
					kind = "histogram"
				case m.Sum != nil && m.Sum.IsMonotonic:
					kind = "counter"
				}
				if kind != want.kind || m.Unit != want.unit || m.Description == "" {
					t.Errorf("%s is a %s of %q (%s), not a %s of %q", name, kind, m.Unit, m.Description, want.kind, want.unit)
				}
				if kind != "gauge" && m.data().AggregationTemporality != 2 {
					t.Errorf("%s is not cumulative", name)
				}
				if len(m.data().DataPoints) == 0 {
					t.Errorf("%s has no points", name)
				}
			}
			for _, want := range []struct {
				metric     string
				attributes map[string]string
			}{
				{"kafka.connect.up", map[string]string{"connect_cluster": "orders"}},
				{"kafka.connect.connector.state", map[string]string{"connect_cluster": "orders", "connector": scenario.Unicode, "state": "running"}},
				{"kafka.connect.task.state", map[string]string{"connector": scenario.FailingTasks, "task": "1", "state": "failed"}},
				{"kafka.connect.task.failure_info", map[string]string{"connector": scenario.FailingTasks, "root_cause": "java.nio.file.NoSuchFileException"}},
			} {
				if value, found := got.gauge(want.metric, want.attributes); !found || value != 1 {
					t.Errorf("%s of %v is %v (found: %v)", want.metric, want.attributes, value, found)
				}
			}
			e.more(t, 2, "success")
		})
	}
}

// TestOneSnapshot: scraper and push share snapshots, and snapshot_max_age says
// how many there are, counted at the worker's door.
func TestOneSnapshot(t *testing.T) {
	proxy := recorder.New(parts.worker.ID())
	t.Cleanup(proxy.Close)
	const age = 5 * time.Second
	e := push(t, "one-snapshot", fmt.Sprintf(`
snapshot_max_age: %s
clusters:
  - {name: orders, urls: [%q], observation_version: 2}
otlp: {endpoint: "http://%s", protocol: grpc, interval: 1s}
`, age, proxy.URL, parts.collector.grpc))
	begin := time.Now() // The first look is at the earliest now: nobody has asked yet.
	e.scrape(t)
	const asked = 15
	e.eventually(t, fmt.Sprintf("%d scrapes and as many exports", asked), func(ctx context.Context) error {
		exports, err := e.exports(ctx, "success")
		if err != nil {
			return err
		}
		scrapes, err := parts.prometheus.Query(ctx, `count_over_time(kafka_connect_up{job="scraped-one-snapshot"}[5m])`)
		if err != nil {
			return err
		}
		if len(scrapes) != 1 || scrapes[0].Value < asked || exports < asked {
			return fmt.Errorf("%v scrapes, %v exports", scrapes, exports)
		}
		return nil
	})
	calls := proxy.Calls()
	took := time.Since(begin)
	looks := calls["GET /connectors?expand=status"]
	if least, most := 2, int(took/age)+1; looks < least || looks > most {
		t.Errorf("%d looks in %v, expected %d to %d: %v", looks, took, least, most, calls)
	}
	for call, n := range calls { // And nothing is asked more often than that.
		if n > looks {
			t.Errorf("%s came %d times with %d looks", call, n, looks)
		}
	}
	snapshots, err := e.value(t.Context(), `kafka_connect_snapshot_duration_seconds_count{connect_cluster="orders",observation_version="2",outcome="success"}`)
	if err != nil {
		t.Fatal(err)
	}
	if n := int(snapshots); n < looks || n > looks+1 { // The question may have brought one more.
		t.Errorf("%d snapshots are counted, %d looks came to the worker", n, looks)
	}
}

// TestDeadReceiver: exports fail, are counted and logged once; a scraper does
// not notice. When the receiver is back, so are the exports.
func TestDeadReceiver(t *testing.T) {
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			name := "dead-" + protocol[:4]
			c, err := newCollector(parts, name+"-collector")
			if err != nil {
				t.Fatal(err)
			}
			if err := c.start(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Kill() })
			endpoint := map[string]string{"http/protobuf": c.http, "grpc": c.grpc}[protocol]
			e := push(t, name, configuration(parts.worker.ID(), "http://"+endpoint, protocol))
			arrives := func() {
				t.Helper()
				offset := c.size()
				e.eventually(t, "the collector has its metrics", func(context.Context) error {
					got, err := c.newest(offset, name)
					if err != nil {
						return err
					}
					if up, found := got.gauge("kafka.connect.up", map[string]string{"connect_cluster": "orders"}); !found || up != 1 {
						return errors.New("orders is not up in what the collector has")
					}
					return nil
				})
			}
			arrives()
			const fails, recovers = "export over OTLP fails", "export over OTLP succeeds again"
			for i, death := range []struct {
				name       string
				kill, back func()
			}{
				{"gone", func() { c.Kill() }, func() {
					if err := c.start(t.Context()); err != nil {
						t.Fatal(err)
					}
				}},
				// It takes connections, and then nothing.
				{"hanging", func() { c.Signal(syscall.SIGSTOP) }, func() { c.Signal(syscall.SIGCONT) }},
			} {
				if n := e.logged(t, fails); n != i {
					t.Fatalf("before the receiver is %s, %d failures are logged, not %d", death.name, n, i)
				}
				death.kill()
				e.more(t, 3, "failure")
				// A scraper gets what it always gets, and at once.
				begin := time.Now()
				up, err := e.value(t.Context(), `kafka_connect_up{connect_cluster="orders"}`)
				if took := time.Since(begin); err != nil || up != 1 || took > time.Second {
					t.Errorf("the receiver is %s: up %v, %v, after %v", death.name, up, err, took)
				}
				e.more(t, 1, "failure")
				if n := e.logged(t, fails); n != i+1 {
					t.Errorf("the receiver is %s: %d failures are logged, not %d", death.name, n, i+1)
				}
				death.back()
				e.more(t, 2, "success")
				arrives()
				if n := e.logged(t, recovers); n != i+1 {
					t.Errorf("the receiver was %s: %d recoveries are logged, not %d", death.name, n, i+1)
				}
			}
		})
	}
	// Real refusals, in Prometheus's words: there is no such page, and that is no metric.
	t.Run("refusing", func(t *testing.T) {
		e := push(t, "refused", configuration(parts.worker.ID(), parts.prometheus.URL+"/nothing", "http/protobuf"))
		e.more(t, 3, "failure")
		if n, err := e.exports(t.Context(), "success"); err != nil || n != 0 {
			t.Errorf("%v exports have succeeded: %v", n, err)
		}
		if n := e.logged(t, "export over OTLP fails"); n != 1 {
			t.Errorf("%d failures are logged, not 1", n)
		}
	})
}

// TestDeadCluster: what is left of the fleet goes on being pushed while a
// cluster hangs or is gone, and so does the news of it.
func TestDeadCluster(t *testing.T) {
	e := push(t, "dead-cluster", fmt.Sprintf(`
snapshot_max_age: 500ms
clusters:
  - {name: orders, urls: ["http://%s"], request_timeout: 6s}
  - {name: other, urls: [%q], request_timeout: 6s}
otlp: {endpoint: "http://%s", protocol: grpc, interval: 1s, timeout: 5s}
`, parts.worker.ID(), demoWorker(t), parts.collector.grpc))
	up := func(orders float64) {
		t.Helper()
		offset := parts.collector.size()
		e.eventually(t, fmt.Sprintf("orders is %v and the other cluster is up", orders), func(context.Context) error {
			got, err := parts.collector.newest(offset, "dead-cluster")
			if err != nil {
				return err
			}
			have, found := got.gauge("kafka.connect.up", map[string]string{"connect_cluster": "orders"})
			other, _ := got.gauge("kafka.connect.up", map[string]string{"connect_cluster": "other"})
			_, tasks := got.gauge("kafka.connect.task.state", map[string]string{"connect_cluster": "other"})
			if !found || have != orders || other != 1 || !tasks {
				return fmt.Errorf("orders %v, other %v, tasks of it: %v", have, other, tasks)
			}
			return nil
		})
	}
	up(1)
	parts.worker.Signal(syscall.SIGSTOP)
	t.Cleanup(func() { parts.worker.Signal(syscall.SIGCONT) })
	up(0)
	// An export waits for the request's limit and no longer; its own limit, which is
	// shorter, begins with what is sent: none fails.
	begin := time.Now()
	e.more(t, 3, "success")
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("three exports took %v while a cluster hung", took)
	}
	parts.worker.Signal(syscall.SIGCONT)
	up(1)
	parts.worker.Kill()
	up(0)
	e.more(t, 3, "success")
	if err := kafka.StartReady(t.Context(), parts.worker); err != nil {
		t.Fatal(err)
	}
	up(1)
	if err := parts.settled(t.Context()); err != nil { // For the other tests.
		t.Fatal(err)
	}
	if n, err := e.exports(t.Context(), "failure"); err != nil || n != 0 {
		t.Errorf("%v exports have failed: %v", n, err)
	}
}

// demoWorker starts the product's demo, whose simulated workers are always there,
// and returns the address of one.
func demoWorker(t *testing.T) string {
	t.Helper()
	demo, err := parts.group.Start("demo-"+t.Name(), []string{parts.binary, "demo", "--web.listen-address=" + address(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { demo.Kill() })
	ctx, cancel := context.WithTimeout(t.Context(), settle)
	defer cancel()
	worker := regexp.MustCompile(`orders +Kafka Connect \S+ +(http://[^\s,]+)`)
	var found []string
	if err := process.Poll(ctx, 100*time.Millisecond, demo, func(context.Context) error {
		if found = worker.FindStringSubmatch(demo.Tail(4000)); found == nil {
			return errors.New("the demo has not said where its workers are")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return found[1]
}

package brokers

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kafka"
)

// TestDataFlow: a sink's lag grows and drains, a source falls silent; by both
// group protocols, groups and topics of their own.
func TestDataFlow(t *testing.T) {
	p := start(t, 24400, kafka.BrokerOptions{})
	w := p.workers("flow", 1, map[string]string{"exactly.once.source.support": "enabled"})[0]
	file := func(name string) string { return filepath.Join(p.directory, name) }
	if err := p.admin.Produce(t.Context(), "orders", 1000); err != nil {
		t.Fatal(err)
	}
	sinks := map[string]map[string]any{
		"sink":       {},
		"own-group":  {"consumer.override.group.id": "somebody"},
		"new-groups": {"consumer.override.group.protocol": "consumer"},
	}
	for name, more := range sinks {
		config := map[string]any{"topics": "orders", "tasks.max": "1", "file": file(name)}
		for key, value := range more {
			config[key] = value
		}
		p.create(w, name, sinkClass, config)
	}
	if err := os.WriteFile(file("in"), []byte("one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.create(w, "source", sourceClass, map[string]any{"topic": "lines", "file": file("in")})
	p.create(w, "exact", sourceClass, map[string]any{"topic": "exact-lines", "file": file("in"), "offsets.storage.topic": "exact-offsets"})
	e := p.exporter("exporter", fmt.Sprintf("- {name: both, urls: [%q], %s}\n- {name: brokers, observation_version: brokers, %[2]s}\n", w.URL.String(), p.block("flow")))

	lag := func(want float64, name string) {
		t.Helper()
		e.expect(want, "kafka_connect_sink_lag_sum", "both", fmt.Sprintf("connector=%q", name))
		e.expect(want, "kafka_connect_sink_lag", "both", fmt.Sprintf("connector=%q", name), `partition="0"`, `topic="orders"`)
	}
	for name := range sinks {
		lag(0, name)
		e.expect(1000, "kafka_connect_sink_committed_offset_sum", "both", fmt.Sprintf("connector=%q", name))
		e.expect(0, "kafka_connect_sink_lag_seconds", "both", fmt.Sprintf("connector=%q", name))
	}
	// Without REST nobody knows of a group of another name.
	e.expect(0, "kafka_connect_sink_lag_sum", "brokers", `connector="sink"`)
	e.expect(0, "kafka_connect_sink_lag_sum", "brokers", `connector="new-groups"`)
	e.expect(1, "kafka_connect_connector_info", "brokers", `connector="sink"`, `connector_class=""`, `connector_id=""`, `connector_type="sink"`, fmt.Sprintf("connector_version=%q", version), fmt.Sprintf("worker=%q", w.ID()))
	e.expect(1, "kafka_connect_connector_info", "brokers", `connector="source"`, `connector_class=""`, `connector_id=""`, `connector_type="source"`, fmt.Sprintf("connector_version=%q", version), fmt.Sprintf("worker=%q", w.ID()))

	for name := range sinks {
		p.write(w, http.MethodPut, kafka.ConnectorPath(name)+"/pause")
		e.expect(1, "kafka_connect_task_state", "both", fmt.Sprintf("connector=%q", name), `state="paused"`, `task="0"`)
	}
	if err := p.admin.Produce(t.Context(), "orders", 500); err != nil {
		t.Fatal(err)
	}
	grown := time.Now()
	for name := range sinks {
		lag(500, name)
	}
	time.Sleep(3 * interval)
	since := time.Since(grown).Seconds()
	if seconds, found := e.scrape().of("kafka_connect_sink_lag_seconds", "both", `connector="sink"`); !found || seconds < since-2 || seconds > since+4 {
		t.Errorf("behind by %v s after %v s", seconds, since)
	}
	for name := range sinks {
		p.write(w, http.MethodPut, kafka.ConnectorPath(name)+"/resume")
	}
	for name := range sinks {
		lag(0, name)
		e.expect(0, "kafka_connect_sink_lag_seconds", "both", fmt.Sprintf("connector=%q", name))
	}

	committed := func(name string) float64 {
		t.Helper()
		var at float64
		p.eventually(name+" has committed", func(ctx context.Context) error {
			s, err := e.try(ctx)
			if err != nil {
				return err
			}
			var found bool
			if at, found = s.of("kafka_connect_source_offset_commit_timestamp_seconds", "both", fmt.Sprintf("connector=%q", name)); !found {
				return fmt.Errorf("no commit")
			}
			return nil
		})
		return at
	}
	for _, name := range []string{"source", "exact"} {
		before := committed(name)
		if age := float64(time.Now().UnixMilli())/1000 - before; age < 0 || age > 120 {
			t.Errorf("%s committed %v s ago", name, age)
		}
		time.Sleep(3 * interval) // Nothing comes: it commits nothing.
		if silent := committed(name); silent != before {
			t.Errorf("%s is silent and has committed at %v, before at %v", name, silent, before)
		}
	}
	line, err := os.OpenFile(file("in"), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	before := map[string]float64{"source": committed("source"), "exact": committed("exact")}
	fmt.Fprintln(line, "two")
	line.Close()
	for name, at := range before {
		p.eventually(name+" goes on", func(context.Context) error {
			if now := committed(name); now <= at {
				return fmt.Errorf("committed at %v", now)
			}
			return nil
		})
	}
	if newest, found := e.scrape().of("kafka_connect_source_topic_newest_record_timestamp_seconds", "both", `connector="source"`, `topic="lines"`); !found || newest < before["source"]-2 {
		t.Errorf("the newest line is of %v (%t)", newest, found)
	}
}

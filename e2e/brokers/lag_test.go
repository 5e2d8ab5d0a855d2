package brokers

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kafka"
)

// TestDataFlow: a sink's lag grows and drains, a source falls silent; by both
// group protocols, groups and topics of their own; and the alerts about that.
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
		maps.Copy(config, more)
		p.create(w, name, sinkClass, config)
	}
	for _, name := range []string{"in", "in-exact"} {
		if err := os.WriteFile(file(name), []byte("one\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.create(w, "source", sourceClass, map[string]any{"topic": "lines", "file": file("in")})
	p.create(w, "exact", sourceClass, map[string]any{"topic": "exact-lines", "file": file("in-exact"), "offsets.storage.topic": "exact-offsets"})
	e := p.exporter("exporter", fmt.Sprintf("- {name: both, urls: [%q], %s}\n- {name: brokers, observation_version: brokers, %[2]s}\n- {name: twins, urls: [%[1]q], connectors: {include: [none]}, kafka: {bootstrap_servers: [%[3]q], group_id: twins}}\n", w.URL.String(), p.block("flow"), p.broker.Address))
	alerts := p.alerting(w, e)

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
	p.eventually("the lag gets older", func(ctx context.Context) error {
		least := time.Since(grown).Seconds()
		s, err := e.try(ctx)
		if err != nil {
			return err
		}
		seconds, found := s.of("kafka_connect_sink_lag_seconds", "both", `connector="sink"`)
		if most := time.Since(grown).Seconds(); !found || seconds < least-2 || seconds > most+4 {
			t.Errorf("behind by %v s (%t) after %v s", seconds, found, most)
		}
		if seconds < 3 {
			return fmt.Errorf("behind by %v s", seconds)
		}
		return nil
	})
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
	// One goes on; the other, to which nothing comes, commits nothing meanwhile.
	began := committed("source")
	for _, x := range []struct{ goesOn, file, silent string }{{"exact", "in-exact", "source"}, {"source", "in", "exact"}} {
		before, silent := committed(x.goesOn), committed(x.silent)
		if age := float64(time.Now().UnixMilli())/1000 - before; age < 0 || age > 120 {
			t.Errorf("%s committed %v s ago", x.goesOn, age)
		}
		line, err := os.OpenFile(file(x.file), os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(line, "two")
		line.Close()
		p.eventually(x.goesOn+" goes on", func(context.Context) error {
			if now := committed(x.goesOn); now <= before {
				return fmt.Errorf("committed at %v", now)
			}
			return nil
		})
		if now := committed(x.silent); now != silent {
			t.Errorf("%s is silent and has committed at %v, before at %v", x.silent, now, silent)
		}
	}
	if newest, found := e.scrape().of("kafka_connect_source_topic_newest_record_timestamp_seconds", "both", `connector="source"`, `topic="lines"`); !found || newest < began-2 {
		t.Errorf("the newest line is of %v (%t)", newest, found)
	}
	alerts.prove(t, e)
}

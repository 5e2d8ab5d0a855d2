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

// TestMirrorMaker sees MirrorMaker 2 in dedicated mode, which has no REST API: both of
// its flows; and, by the same brokers, a worker that shares its work by the oldest
// protocol (2.2, before KIP-415).
func TestMirrorMaker(t *testing.T) {
	p := start(t, 24350, kafka.BrokerOptions{})
	if err := p.admin.Produce(t.Context(), "t1", 100); err != nil {
		t.Fatal(err)
	}
	if err := p.admin.Produce(t.Context(), "t2", 100); err != nil {
		t.Fatal(err)
	}
	old := kafka.NewWorker(p.group, kafka.WorkerOptions{
		Version: "2.2.2", Group: "old", Bootstrap: p.broker.Address, Port: p.port(), Directory: filepath.Join(p.directory, "old"),
	})
	if err := old.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	mirror, err := kafka.StartMirrorMaker(t.Context(), p.group, filepath.Join(p.directory, "mm2"), version, p.broker.Address, "t1",
		map[string]string{"b->a.enabled": "true", "b->a.topics": "t2"})
	if err != nil {
		t.Fatal(err)
	}
	e := p.exporter("exporter", fmt.Sprintf("- {name: mirror, observation_version: brokers, kafka: {bootstrap_servers: [%q], mirrormaker2: {source: a}, connector_topics: true, source_topics: true}}\n- {name: back, observation_version: brokers, kafka: {bootstrap_servers: [%[1]q], mirrormaker2: {source: b}}}\n- {name: old, observation_version: brokers, %[2]s}\n", p.broker.Address, p.block("old")))
	oldWorker := p.eager(old, e)
	e.expect(1, "kafka_connect_up", "mirror")
	e.expect(1, "kafka_connect_brokers_up", "mirror")
	e.expect(1, "kafka_connect_group_members", "mirror")
	e.expect(1, "kafka_connect_group_state", "mirror", `state="stable"`)
	e.expect(1, "kafka_connect_connector_state", "mirror", `connector="MirrorSourceConnector"`, `state="running"`)
	e.expect(1, "kafka_connect_task_state", "mirror", `connector="MirrorSourceConnector"`, `state="running"`, `task="0"`)
	e.expect(0, "kafka_connect_tasks_orphaned", "mirror")
	var began float64
	p.eventually("the source has committed", func(ctx context.Context) error {
		s, err := e.try(ctx)
		if err != nil {
			return err
		}
		var found bool
		if began, found = s.of("kafka_connect_source_offset_commit_timestamp_seconds", "mirror", `connector="MirrorSourceConnector"`); !found {
			return fmt.Errorf("no commit yet")
		}
		if newest, found := s.of("kafka_connect_source_topic_newest_record_timestamp_seconds", "mirror", `connector="MirrorSourceConnector"`, `topic="a.t1"`); !found || newest == 0 {
			return fmt.Errorf("nothing written to a.t1 yet")
		}
		return s.check(1, "kafka_connect_connector_topic_info", "mirror", `connector="MirrorSourceConnector"`, `topic="a.t1"`)
	})
	s := e.scrape()
	if n, connectors := s.sum("kafka_connect_connector_info", "mirror", `connector_type="source"`, `connector_class="org.apache.kafka.connect.mirror.`); n != 3 {
		t.Errorf("%v connectors of MirrorMaker's classes, %d series", n, connectors)
	}
	// One connector's task starts after the other's.
	p.eventually("all that is assigned runs", func(ctx context.Context) error {
		s, err := e.try(ctx)
		if err != nil {
			return err
		}
		tasks, _ := s.sum("kafka_connect_tasks", "mirror", `state="running"`)
		if assigned, _ := s.sum("kafka_connect_group_assigned_tasks", "mirror"); assigned != tasks || tasks < 2 {
			return fmt.Errorf("%v tasks run, %v are assigned", tasks, assigned)
		}
		return nil
	})
	if err := p.admin.Produce(t.Context(), "t1", 10); err != nil {
		t.Fatal(err)
	}
	p.eventually("its progress is seen", func(ctx context.Context) error {
		s, err := e.try(ctx)
		if err != nil {
			return err
		}
		if now, _ := s.of("kafka_connect_source_offset_commit_timestamp_seconds", "mirror", `connector="MirrorSourceConnector"`); now <= began {
			return fmt.Errorf("committed at %v, and before at %v", now, began)
		}
		return nil
	})
	e.expect(1, "kafka_connect_group_members", "back")
	e.expect(1, "kafka_connect_connector_state", "back", `connector="MirrorSourceConnector"`, `state="running"`)
	e.expect(1, "kafka_connect_task_state", "back", `connector="MirrorSourceConnector"`, `state="running"`, `task="0"`)
	e.expect(0, "kafka_connect_tasks_orphaned", "back")
	oldWorker()

	mirror.Kill()
	killed := time.Now()
	// MirrorMaker gives its connectors new tasks when it finds topics or groups, and
	// may have been at it: what was said to run in the end is what counts.
	p.eventually("what was said to run is orphaned", func(ctx context.Context) error {
		s, err := e.try(ctx)
		if err != nil {
			return err
		}
		running, _ := s.sum("kafka_connect_tasks", "mirror", `state="running"`)
		if running == 0 {
			t.Fatal("none of its tasks is said to run")
		}
		return s.check(running, "kafka_connect_tasks_orphaned", "mirror")
	})
	if took := time.Since(killed); took > 14*time.Second { // The session's 10 s, the broker's timers and a scrape.
		t.Errorf("its tasks were orphans after %v", took)
	}
	e.expect(0, "kafka_connect_group_members", "mirror")
	e.expect(3, "kafka_connect_tasks_orphaned", "old")
}

// eager gives a worker of before KIP-415 its work, and returns what holds the cluster
// "old" of e against it, and kills it in the end.
func (p *parts) eager(w *kafka.Worker, e *exporter) func() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), settle)
	defer cancel()
	if err := w.Ready(ctx); err != nil {
		p.t.Fatal(err)
	}
	if err := p.admin.Produce(ctx, "orders", 100); err != nil {
		p.t.Fatal(err)
	}
	in := filepath.Join(p.directory, "in")
	if err := os.WriteFile(in, []byte("one\n"), 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.create(w, "sink", sinkClass, map[string]any{"topics": "orders", "tasks.max": "2", "file": filepath.Join(p.directory, "out")})
	p.create(w, "source", sourceClass, map[string]any{"topic": "lines", "file": in})
	p.create(w, "bad", sinkClass, map[string]any{"topics": "orders", "tasks.max": "1", "file": filepath.Join(p.directory, "missing", "file")})
	return func() {
		p.t.Helper()
		worker := fmt.Sprintf("worker=%q", w.ID())
		e.expect(3, "kafka_connect_tasks", "old", `state="running"`)
		e.expect(1, "kafka_connect_tasks", "old", `state="failed"`)
		e.expect(4, "kafka_connect_group_assigned_tasks", "old", worker)
		e.expect(3, "kafka_connect_group_assigned_connectors", "old", worker)
		e.expect(1, "kafka_connect_group_member_info", "old", `leader="true"`, worker)
		e.expect(0, "kafka_connect_tasks_orphaned", "old")
		e.expect(100, "kafka_connect_sink_committed_offset_sum", "old", `connector="sink"`)
		for connector, kind := range map[string]string{"sink": "sink", "source": "source"} {
			e.expect(1, "kafka_connect_connector_info", "old", fmt.Sprintf("connector=%q", connector), `connector_class=""`, `connector_id=""`, fmt.Sprintf("connector_type=%q", kind), `connector_version=""`, worker)
		}
		before := e.scrape()
		failures, _ := before.of("kafka_connect_task_failures_total", "old", `connector="bad"`)
		restarts, _ := before.of("kafka_connect_task_restarts_total", "old", `connector="bad"`)
		p.write(w, http.MethodPost, kafka.ConnectorPath("bad")+"/tasks/0/restart")
		e.expect(failures+1, "kafka_connect_task_failures_total", "old", `connector="bad"`)
		e.expect(restarts+1, "kafka_connect_task_restarts_total", "old", `connector="bad"`)
		w.Kill()
	}
}

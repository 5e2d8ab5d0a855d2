package brokers

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kafka"
)

// TestMirrorMaker sees MirrorMaker 2 in dedicated mode, which has no REST API.
func TestMirrorMaker(t *testing.T) {
	p := start(t, 24350, kafka.BrokerOptions{})
	if err := p.admin.Produce(t.Context(), "t1", 100); err != nil {
		t.Fatal(err)
	}
	mirror, err := kafka.StartMirrorMaker(t.Context(), p.group, filepath.Join(p.directory, "mm2"), version, p.broker.Address, "t1")
	if err != nil {
		t.Fatal(err)
	}
	e := p.exporter("exporter", fmt.Sprintf("- {name: mirror, observation_version: brokers, kafka: {bootstrap_servers: [%q], mirrormaker2: {source: a}, connector_topics: true, source_topics: true}}\n", p.broker.Address))
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
	var tasks float64
	p.eventually("all that is assigned runs", func(ctx context.Context) error {
		s, err := e.try(ctx)
		if err != nil {
			return err
		}
		tasks, _ = s.sum("kafka_connect_tasks", "mirror", `state="running"`)
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
	mirror.Kill()
	killed := time.Now()
	e.expect(tasks, "kafka_connect_tasks_orphaned", "mirror")
	if took := time.Since(killed); took > 12*time.Second {
		t.Errorf("its tasks were orphans after %v", took)
	}
	e.expect(0, "kafka_connect_group_members", "mirror")
}

package brokers

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kafka"
)

// TestEvents counts what happens between two scrapes: restarts that fail again,
// pause, stop, delete, a rebalance; across restarts of the exporter and of the
// broker, and while the status topic is compacted.
func TestEvents(t *testing.T) {
	p := start(t, 24450, kafka.BrokerOptions{Properties: map[string]string{"log.cleaner.backoff.ms": "500"}})
	workers := p.workers("events", 2, map[string]string{"status.storage.partitions": "5"})
	w := workers[0]
	p.create(w, "bad", sinkClass, map[string]any{"topics": "orders", "tasks.max": "1", "file": filepath.Join(p.directory, "missing", "file")})
	p.create(w, "good", sinkClass, map[string]any{"topics": "orders", "tasks.max": "2", "file": filepath.Join(p.directory, "good")})
	configuration := fmt.Sprintf("- {name: rest, urls: [%q, %q]}\n- {name: both, urls: [%[1]q, %[2]q], %s}\n- {name: brokers, observation_version: brokers, %[3]s}\n",
		workers[0].URL.String(), workers[1].URL.String(), p.block("events"))
	e := p.exporter("exporter", configuration)
	watching := []string{"both", "brokers"}
	for _, cluster := range []string{"rest", "both", "brokers"} {
		e.expect(1, "kafka_connect_task_state", cluster, `connector="bad"`, `state="failed"`, `task="0"`)
		e.expect(2, "kafka_connect_tasks", cluster, `state="running"`)
	}
	e.expect(0, "kafka_connect_transitions_complete", "rest")
	counted := func(s series, cluster, connector string) map[string]float64 {
		all := map[string]float64{}
		for _, family := range []string{"connector_state_changes", "connector_failures", "task_state_changes", "task_failures", "task_restarts"} {
			all[family], _ = s.of("kafka_connect_"+family+"_total", cluster, fmt.Sprintf("connector=%q", connector))
		}
		return all
	}
	// during holds what do does between two scrapes against what all that watch the
	// brokers count, and returns that by cluster; a negative number may be any.
	during := func(what, connector string, want map[string]float64, do func()) map[string]map[string]float64 {
		t.Helper()
		before := e.scrape()
		do()
		more := map[string]map[string]float64{}
		p.quiet(what, "events-status", func(ctx context.Context) error {
			after, err := e.try(ctx)
			if err != nil {
				return err
			}
			for _, cluster := range append(watching, "rest") {
				more[cluster] = map[string]float64{}
				then := counted(before, cluster, connector)
				for family, now := range counted(after, cluster, connector) {
					more[cluster][family] = now - then[family]
				}
			}
			for _, cluster := range watching {
				if err := after.check(1, "kafka_connect_transitions_complete", cluster); err != nil {
					return err
				}
				for family, got := range more[cluster] {
					if got != want[family] && want[family] >= 0 {
						return fmt.Errorf("%s of %s: %v more %s, want %v", connector, cluster, got, family, want[family])
					}
				}
			}
			return nil
		})
		t.Logf("%s: REST alone saw %v more failures and %v more restarts of tasks", what, more["rest"]["task_failures"], more["rest"]["task_restarts"])
		return more
	}
	restart := func(n int) func() {
		return func() {
			for range n {
				before, _ := p.records("events-status")
				p.write(w, http.MethodPost, kafka.ConnectorPath("bad")+"/restart?includeTasks=true&onlyFailed=true")
				// Requests that come while one is pending are one: wait for what it writes.
				p.eventually("the task has failed again", func(context.Context) error {
					if now, err := p.records("events-status"); err != nil || now < before+2 {
						return fmt.Errorf("%d records, %w", now-before, err)
					}
					return nil
				})
			}
		}
	}
	start := time.Now()
	more := during("20 restarts that fail again", "bad", map[string]float64{"task_state_changes": 40, "task_failures": 20, "task_restarts": 20}, restart(20))
	s := e.scrape()
	since, _ := s.of("kafka_connect_task_state_since_timestamp_seconds", "both", `connector="bad"`, `task="0"`)
	if age := time.Since(time.UnixMilli(int64(since * 1000))); age < 0 || age > time.Since(start) {
		t.Errorf("failed since %v s", age)
	}
	table := "| a task that fails, restarted 20 times between two scrapes | failures counted | restarts counted |\n|---|---:|---:|\n"
	for _, row := range []struct{ by, cluster string }{{"by REST alone", "rest"}, {"by the brokers, beside REST", "both"}, {"by the brokers alone", "brokers"}} {
		table += fmt.Sprintf("| %s | %v | %v |\n", row.by, more[row.cluster]["task_failures"], more[row.cluster]["task_restarts"])
	}
	p.document("restarts", table)

	during("tasks/0/restart of one that fails", "bad", map[string]float64{"task_failures": 1, "task_restarts": 1}, func() {
		p.write(w, http.MethodPost, kafka.ConnectorPath("bad")+"/tasks/0/restart")
	})
	during("tasks/0/restart of one that runs", "good", map[string]float64{"task_state_changes": 2, "task_restarts": 1}, func() {
		p.write(w, http.MethodPost, kafka.ConnectorPath("good")+"/tasks/0/restart")
	})
	running := func(connector string, n int) func(context.Context) error {
		return func(ctx context.Context) error {
			status, err := w.Status(ctx, connector)
			if err != nil {
				return err
			}
			found := 0
			for _, task := range status.Tasks {
				if task.State == "RUNNING" {
					found++
				}
			}
			if found != n || status.Connector.State != "RUNNING" {
				return fmt.Errorf("%d tasks run", found)
			}
			return nil
		}
	}
	during("restart of one that runs, with its tasks", "good", map[string]float64{"connector_state_changes": 3, "task_state_changes": 6, "task_restarts": 2}, func() {
		p.write(w, http.MethodPost, kafka.ConnectorPath("good")+"/restart?includeTasks=true")
	})
	during("pause and resume", "good", map[string]float64{"connector_state_changes": 2, "task_state_changes": 4}, func() {
		p.write(w, http.MethodPut, kafka.ConnectorPath("good")+"/pause")
		p.eventually("its tasks are paused", func(ctx context.Context) error {
			status, err := w.Status(ctx, "good")
			if err != nil || len(status.Tasks) != 2 || status.Tasks[0].State != "PAUSED" || status.Tasks[1].State != "PAUSED" {
				return fmt.Errorf("%v, %w", status.Tasks, err)
			}
			return nil
		})
		p.write(w, http.MethodPut, kafka.ConnectorPath("good")+"/resume")
		p.eventually("its tasks run", running("good", 2))
	})
	// On two workers a task's tombstone and its last UNASSIGNED come in either order.
	during("stop and resume", "good", map[string]float64{"connector_state_changes": 2, "task_state_changes": -1}, func() {
		p.write(w, http.MethodPut, kafka.ConnectorPath("good")+"/stop")
		p.eventually("it has no tasks", func(ctx context.Context) error {
			status, err := w.Status(ctx, "good")
			if err != nil || len(status.Tasks) != 0 {
				return fmt.Errorf("%v, %w", status.Tasks, err)
			}
			return nil
		})
		p.write(w, http.MethodPut, kafka.ConnectorPath("good")+"/resume")
		p.eventually("its tasks run", running("good", 2))
	})

	// The exporter begins anew, and counts nothing of before.
	ctx, cancel := context.WithTimeout(t.Context(), settle)
	defer cancel()
	if err := e.Terminate(ctx); err != nil {
		t.Fatal(err)
	}
	e.start()
	for _, cluster := range watching {
		for family, value := range counted(e.scrape(), cluster, "bad") {
			if value != 0 {
				t.Errorf("after a restart of the exporter %s of %s is %v", family, cluster, value)
			}
		}
	}
	during("10 more after a restart of the exporter", "bad", map[string]float64{"task_state_changes": 20, "task_failures": 10, "task_restarts": 10}, restart(10))

	// The log is compacted: what was counted stays, what comes is counted.
	if err := p.admin.Configure(ctx, "events-status", map[string]string{"segment.ms": "1000", "min.cleanable.dirty.ratio": "0.01"}); err != nil {
		t.Fatal(err)
	}
	p.eventually("the log is compacted", func(context.Context) error {
		// A segment that nobody writes to is closed by the next record alone.
		p.write(w, http.MethodPost, kafka.ConnectorPath("bad")+"/tasks/0/restart")
		time.Sleep(2 * interval)
		present, err := p.admin.Count(ctx, "events-status")
		if err != nil {
			return err
		}
		if all, _ := p.records("events-status"); present > all/2 {
			return fmt.Errorf("%d of %d records are there", present, all)
		}
		return nil
	})
	// What is compacted between two scrapes nobody reads: no more of that.
	if err := p.admin.Configure(ctx, "events-status", map[string]string{"segment.ms": "604800000", "min.cleanable.dirty.ratio": "0.5"}); err != nil {
		t.Fatal(err)
	}
	fresh := p.exporter("third", configuration)
	for _, x := range []*exporter{e, fresh} {
		x.expect(1, "kafka_connect_task_state", "brokers", `connector="bad"`, `state="failed"`, `task="0"`)
		x.expect(2, "kafka_connect_tasks", "brokers", `state="running"`)
	}
	if failures := counted(fresh.scrape(), "brokers", "bad")["task_failures"]; failures != 0 {
		t.Errorf("an exporter that comes later counts %v failures of before", failures)
	}
	during("5 more after the log was compacted", "bad", map[string]float64{"task_state_changes": 10, "task_failures": 5, "task_restarts": 5}, restart(5))

	// The broker restarts: that costs what it tells, and nothing that it had to tell.
	p.broker.Signal(syscall.SIGTERM)
	if err := p.broker.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	for _, cluster := range watching {
		e.expect(0, "kafka_connect_brokers_up", cluster)
	}
	if err := e.scrape().check(1, "kafka_connect_up", "both"); err != nil {
		t.Error(err)
	}
	if err := e.scrape().check(0, "kafka_connect_up", "brokers"); err != nil {
		t.Error(err)
	}
	if err := p.broker.Start(ctx); err != nil {
		t.Fatal(err)
	}
	for _, cluster := range watching {
		e.expect(1, "kafka_connect_brokers_up", cluster)
		e.expect(2, "kafka_connect_group_members", cluster)
	}
	p.eventually("the tasks run again", running("good", 2))
	p.quiet("the workers are at rest", "events-status", func(ctx context.Context) error {
		s, err := e.try(ctx)
		if err != nil {
			return err
		}
		return s.check(1, "kafka_connect_group_state", "both", `state="stable"`)
	})
	during("5 more after the broker restarted", "bad", map[string]float64{"task_state_changes": 10, "task_failures": 5, "task_restarts": 5}, restart(5))

	p.write(w, http.MethodDelete, kafka.ConnectorPath("bad"))
	p.eventually("a connector that is deleted is gone", func(ctx context.Context) error {
		s, err := e.try(ctx)
		if err != nil {
			return err
		}
		for _, cluster := range watching {
			for key := range s {
				if strings.Contains(key, fmt.Sprintf("connect_cluster=%q", cluster)) && strings.Contains(key, `connector="bad"`) {
					return fmt.Errorf("%s", key)
				}
			}
		}
		return nil
	})
}

// quiet waits until a condition holds, and goes on holding while a topic does not
// grow: in eight looks, two seconds.
func (p *parts) quiet(what, topic string, condition func(ctx context.Context) error) {
	p.t.Helper()
	last, looks := int64(-1), 0
	p.eventually(what, func(ctx context.Context) error {
		end, err := p.records(topic)
		if err == nil {
			err = condition(ctx)
		}
		if err != nil || end != last {
			looks, last = 0, end
		}
		if looks++; err == nil && looks < 8 {
			err = fmt.Errorf("the topic has %d records for %d looks", end, looks)
		}
		return err
	})
}

// records is how many records were ever written to a topic.
func (p *parts) records(topic string) (int64, error) { return p.admin.Written(p.t.Context(), topic) }

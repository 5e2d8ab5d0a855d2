package brokers

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kafka"
)

// TestKilledWorker kills one of two workers and notes who tells it when.
func TestKilledWorker(t *testing.T) {
	p := start(t, 24300, kafka.BrokerOptions{})
	workers := p.workers("orders", 2, nil)
	for i := range 3 {
		p.create(workers[0], fmt.Sprintf("sink-%d", i), sinkClass, map[string]any{
			"topics": "orders", "tasks.max": "4", "file": filepath.Join(p.directory, fmt.Sprintf("sink-%d", i)),
		})
	}
	e := p.exporter("exporter", fmt.Sprintf("- {name: rest, urls: [%q, %q]}\n- {name: both, urls: [%[1]q, %[2]q], %s}\n- {name: brokers, observation_version: brokers, %[3]s}\n",
		workers[0].URL.String(), workers[1].URL.String(), p.block("orders")))
	clusters := []string{"both", "brokers"}
	for _, cluster := range append(clusters, "rest") {
		e.expect(12, "kafka_connect_tasks", cluster, `state="running"`)
	}
	for _, cluster := range clusters {
		e.expect(1, "kafka_connect_brokers_up", cluster)
		e.expect(2, "kafka_connect_group_members", cluster)
		e.expect(0, "kafka_connect_tasks_orphaned", cluster)
		e.expect(0, "kafka_connect_tasks_duplicated", cluster)
	}
	// What the group has assigned is what runs.
	p.eventually("the assignments are those of the statuses", func(ctx context.Context) error {
		s, err := e.try(ctx)
		if err != nil {
			return err
		}
		for _, w := range workers {
			label := fmt.Sprintf("worker=%q", w.ID())
			tasks, _ := s.of("kafka_connect_worker_tasks", "both", label)
			connectors, _ := s.of("kafka_connect_worker_connectors", "both", label)
			for _, cluster := range clusters {
				if err := s.check(tasks, "kafka_connect_group_assigned_tasks", cluster, label); err != nil {
					return err
				}
				if err := s.check(connectors, "kafka_connect_group_assigned_connectors", cluster, label); err != nil {
					return err
				}
			}
		}
		return nil
	})
	leader := ""
	p.eventually("the leader is known", func(ctx context.Context) (err error) {
		leader, err = p.admin.Leader(ctx, "orders")
		return err
	})
	// The one that follows: the leader holds its work back for the delay.
	victim, survivor := workers[0], workers[1]
	if strings.Contains(leader, victim.ID()) {
		victim, survivor = survivor, victim
	}
	if err := e.scrape().check(1, "kafka_connect_group_member_info", "both", `leader="true"`, fmt.Sprintf("worker=%q", survivor.ID())); err != nil {
		t.Error(err)
	}
	lost, _ := e.scrape().of("kafka_connect_worker_tasks", "rest", fmt.Sprintf("worker=%q", victim.ID()))
	if lost == 0 {
		t.Fatal("nothing runs on the worker, so nothing would be lost")
	}

	var rows []string
	noted := map[string]time.Duration{}
	killed := time.Now()
	note := func(row string) {
		if _, found := noted[row]; !found {
			noted[row] = time.Since(killed)
			rows = append(rows, fmt.Sprintf("| %.1f | %s |", noted[row].Seconds(), row))
		}
	}
	note(fmt.Sprintf("`kill -9` of the worker that follows; %.0f tasks run on it", lost))
	victim.Kill()
	const (
		orphaned, gone = "`kafka_connect_tasks_orphaned` counts them all", "`kafka_connect_group_members` is 1"
		stable         = "`kafka_connect_group_state{state=\"stable\"}` is 1 again, `kafka_connect_group_scheduled_rebalance_delay_seconds` counts down"
		moved          = "REST, and so every exporter that asks nobody else, stops naming the dead worker: all tasks run on the other one"
		none           = "`kafka_connect_tasks_orphaned` is 0"
	)
	left, agreed := false, time.Now()
	for deadline := time.Now().Add(settle); ; {
		if time.Now().After(deadline) {
			t.Fatalf("the work has not moved: %v", rows)
		}
		s := e.scrape()
		if value, found := s.of("kafka_connect_up", "rest"); !found || value != 1 {
			t.Errorf("the survivor does not answer: up is %v", value)
		}
		if members, _ := s.of("kafka_connect_group_members", "both"); members == 1 {
			note(gone)
			left = true
		}
		if n, _ := s.of("kafka_connect_tasks_orphaned", "both"); n == lost {
			note(orphaned)
		}
		state, _ := s.of("kafka_connect_group_state", "both", `state="stable"`)
		if remaining, _ := s.of("kafka_connect_group_scheduled_rebalance_delay_seconds", "both"); left && state == 1 && remaining > 0 {
			note(stable)
		}
		if tasks, _ := s.of("kafka_connect_worker_tasks", "rest", fmt.Sprintf("worker=%q", victim.ID())); left && tasks == 0 {
			note(moved)
		}
		if n, found := s.of("kafka_connect_tasks_orphaned", "both"); found && n == 0 && noted[moved] > 0 {
			note(none)
			break
		}
		// The two do not look at the same moment: only what stays is a difference.
		both, _ := s.of("kafka_connect_tasks_orphaned", "both")
		alone, _ := s.of("kafka_connect_tasks_orphaned", "brokers")
		if !left || both == alone || noted[moved] > 0 {
			agreed = time.Now()
		} else if apart := time.Since(agreed); apart > 2*interval {
			t.Errorf("%v orphans beside REST, %v without, for %v", both, alone, apart)
		}
		time.Sleep(interval / 4)
	}
	p.document("kill", fmt.Sprintf("| s | one of two workers of %s, `scheduled.rebalance.max.delay.ms=%d`, scraped four times a second |\n|---:|---|\n%s\n", version, delay.Milliseconds(), strings.Join(rows, "\n")))
	if limit := 10*time.Second + interval + time.Second; noted[orphaned] == 0 || noted[orphaned] > limit {
		t.Errorf("orphaned after %v: later than the session timeout of 10 s and a scrape", noted[orphaned])
	}
	if noted[moved] < delay {
		t.Errorf("REST was right after %v, before the delay was over", noted[moved])
	}
	for _, cluster := range clusters {
		e.expect(12, "kafka_connect_group_assigned_tasks", cluster, fmt.Sprintf("worker=%q", survivor.ID()))
	}

	// It comes back under its name before its work is handed out: it is a member,
	// and still does not run what it is said to run.
	ctx, cancel := context.WithTimeout(t.Context(), 3*settle)
	defer cancel()
	if err := kafka.StartReady(ctx, victim); err != nil {
		t.Fatal(err)
	}
	e.expect(2, "kafka_connect_group_members", "both")
	p.eventually("work has moved back", func(ctx context.Context) error {
		s, err := e.try(ctx)
		if err != nil {
			return err
		}
		for _, w := range workers {
			if tasks, _ := s.of("kafka_connect_worker_tasks", "rest", fmt.Sprintf("worker=%q", w.ID())); tasks == 0 {
				return fmt.Errorf("no task runs on %s yet", w.ID())
			}
		}
		return s.check(0, "kafka_connect_tasks_orphaned", "both")
	})
	// Who leads may be another now.
	p.eventually("the leader is known again", func(ctx context.Context) (err error) {
		leader, err = p.admin.Leader(ctx, "orders")
		return err
	})
	if strings.Contains(leader, victim.ID()) {
		victim = survivor
	}
	for attempt := 1; ; attempt++ {
		victim.Kill()
		e.expect(1, "kafka_connect_group_members", "both")
		if err := victim.Start(ctx); err != nil {
			t.Fatal(err)
		}
		seen := false
		p.eventually("the worker comes back", func(ctx context.Context) error {
			s, err := e.try(ctx)
			if err != nil {
				return err
			}
			orphans, _ := s.of("kafka_connect_tasks_orphaned", "both")
			seen = orphans > 0
			return s.check(2, "kafka_connect_group_members", "both")
		})
		if seen {
			break
		}
		// Its work was handed out before: it took long to start, or its leader held
		// nothing back after the rebalances before.
		if attempt == 3 {
			t.Fatal("a worker that comes back never has orphans")
		}
		e.expect(12, "kafka_connect_tasks", "both", `state="running"`)
		e.expect(0, "kafka_connect_tasks_orphaned", "both")
	}
	e.expect(0, "kafka_connect_tasks_orphaned", "both")
	e.expect(12, "kafka_connect_tasks", "both", `state="running"`)
}

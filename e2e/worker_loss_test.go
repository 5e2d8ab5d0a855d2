package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kafka"
)

// A timeline notes when something was first seen, for a table in Markdown.
type timeline struct {
	start time.Time
	rows  []string
	seen  map[string]bool
}

func newTimeline(what string) *timeline {
	return &timeline{start: time.Now(), seen: map[string]bool{}, rows: []string{"| t (s) | " + what + " |", "|---:|---|"}}
}

// note adds a row, the first time it is given.
func (l *timeline) note(format string, arguments ...any) {
	row := fmt.Sprintf(format, arguments...)
	if !l.seen[row] {
		l.seen[row] = true
		l.rows = append(l.rows, fmt.Sprintf("| %.1f | %s |", time.Since(l.start).Seconds(), row))
	}
}

// finish prints the table and keeps it beside the logs.
func (l *timeline) finish(t *testing.T, name string) {
	t.Helper()
	table := strings.Join(l.rows, "\n") + "\n"
	t.Logf("\n%s", table)
	if err := os.WriteFile(filepath.Join(parts.directory, name), []byte(table), 0o644); err != nil {
		t.Error(err)
	}
}

// placed counts what REST claims of a worker that is gone and of what is lost.
type placed struct {
	runningOnLost, unassigned, unassignedConnectors, elsewhere, total int
}

func placement(statuses map[string]kafka.Status, lost string) (p placed) {
	count := func(state, worker string) {
		p.total++
		switch {
		case state == "UNASSIGNED":
			p.unassigned++
		case worker == lost && state == "RUNNING":
			p.runningOnLost++
		case worker != lost:
			p.elsewhere++
		}
	}
	for _, s := range statuses {
		count(s.Connector.State, s.Connector.WorkerID)
		if s.Connector.State == "UNASSIGNED" {
			p.unassignedConnectors++
		}
		for _, task := range s.Tasks {
			count(task.State, task.WorkerID)
		}
	}
	return p
}

// lose runs lost's end and notes, until all work has moved to survivor, what
// the group of workers, REST and Prometheus say of it meanwhile.
func lose(t *testing.T, c *cluster, what string, lost, survivor *kafka.Worker, end func()) (l *timeline, unassigned, stillRunning int) {
	t.Helper()
	admin, err := kafka.NewAdmin(parts.broker.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	before, err := survivor.Statuses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if p := placement(before, lost.ID()); p.runningOnLost == 0 {
		t.Fatalf("nothing runs on %s, so nothing would be lost: %+v", lost.ID(), p)
	} else {
		stillRunning = p.runningOnLost
	}
	entry := c.entry("2")
	l = newTimeline(what)
	end()
	l.note("the process is gone; it ran %d connectors and tasks", stillRunning)
	left := false
	eventually(t, "the work of "+lost.ID()+" has moved", func(ctx context.Context) error {
		state, members, err := admin.Members(ctx, c.name)
		if err != nil {
			return err
		}
		if members == 1 || state != "Stable" {
			l.note("the group has noticed: %s", state)
			left = true
		}
		if left && members == 1 && state == "Stable" {
			l.note("the group is Stable again, with one member")
		}
		statuses, err := survivor.Statuses(ctx)
		if err != nil {
			return err
		}
		p := placement(statuses, lost.ID())
		unassigned, stillRunning = max(unassigned, p.unassigned), min(stillRunning, p.runningOnLost)
		if p.unassignedConnectors > 0 {
			l.note("REST: first connectors are UNASSIGNED")
		}
		if p.unassigned > p.unassignedConnectors {
			l.note("REST: first tasks are UNASSIGNED")
		}
		up, err := parts.prometheus.Query(ctx, fmt.Sprintf(`kafka_connect_up{connect_cluster=%q}`, entry))
		if err != nil {
			return err
		}
		if len(up) == 1 && up[0].Value == 0 {
			l.note("exporter: kafka_connect_up is 0")
		}
		count, err := parts.prometheus.Query(ctx, fmt.Sprintf(`sum(kafka_connect_tasks{connect_cluster=%q, state="unassigned"}) > 0`, entry))
		if err != nil {
			return err
		}
		if len(count) > 0 {
			l.note("exporter: tasks in state unassigned")
		}
		if p.elsewhere < p.total || p.total == 0 {
			return fmt.Errorf("%+v", p)
		}
		l.note("REST: everything is on the survivor")
		workers, err := parts.prometheus.Query(ctx, fmt.Sprintf(`kafka_connect_workers{connect_cluster=%q}`, entry))
		if err != nil || len(workers) != 1 || workers[0].Value != 1 {
			return fmt.Errorf("workers: %v (%w)", workers, err)
		}
		l.note("exporter: kafka_connect_workers is 1")
		return nil
	})
	return l, unassigned, stillRunning
}

// followKill kills the worker that the exporter asks first.
func followKill(t *testing.T, c *cluster) {
	lost, survivor := c.workers[0], c.workers[1]
	l, unassigned, _ := lose(t, c, fmt.Sprintf("kill -9 of one of two workers, %s, scheduled.rebalance.max.delay.ms=%d", c.version, lost.Options.Delay.Milliseconds()),
		lost, survivor, lost.Kill)
	l.finish(t, "timeline-kill.md")
	if unassigned > 0 {
		t.Errorf("%d connectors and tasks were UNASSIGNED: docs say that REST never shows it after a kill", unassigned)
	}
	// The exporter went on to the second URL: at most one scrape may have failed on the way.
	for _, v := range observationVersions {
		samples := query(t, fmt.Sprintf(`count_over_time((kafka_connect_up{connect_cluster=%q} == 0)[2m:1s])`, c.entry(v)))
		if len(samples) > 0 && samples[0].Value > 3 {
			t.Errorf("%s: not up for %v s, though one of two workers lived: %v", c.entry(v), samples[0].Value, samples)
		}
	}
	converge(t, c, survivor, observationVersions...)
	comeBack(t, c, lost)
}

// followTerminate ends a worker as a rolling restart does.
func followTerminate(t *testing.T, c *cluster) {
	lost, survivor := c.workers[1], c.workers[0]
	l, unassigned, still := lose(t, c, fmt.Sprintf("SIGTERM to one of two workers, %s, scheduled.rebalance.max.delay.ms=%d", c.version, lost.Options.Delay.Milliseconds()),
		lost, survivor, func() {
			ctx, cancel := context.WithTimeout(t.Context(), settle)
			defer cancel()
			if err := lost.Terminate(ctx); err != nil {
				t.Fatal(err)
			}
		})
	l.finish(t, "timeline-terminate.md")
	t.Logf("at most %d connectors and tasks were UNASSIGNED, at least %d went on being RUNNING on the stopped worker", unassigned, still)
	if unassigned == 0 {
		t.Error("nothing was UNASSIGNED, though the worker ended in order")
	}
	peak := query(t, fmt.Sprintf(`max_over_time(sum(kafka_connect_connectors{connect_cluster=%q, state="unassigned"})[1m:1s])`, c.entry("2")))
	if len(peak) != 1 || peak[0].Value == 0 {
		t.Errorf("Prometheus saw no unassigned connector: %v", peak)
	}
	converge(t, c, survivor, observationVersions...)
	comeBack(t, c, lost)
}

// comeBack starts a lost worker again and waits until it has work.
func comeBack(t *testing.T, c *cluster, w *kafka.Worker) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), settle)
	defer cancel()
	if err := kafka.StartReady(ctx, w); err != nil {
		t.Fatal(err)
	}
	expect(t, fmt.Sprintf(`kafka_connect_workers{connect_cluster=%q}`, c.entry("2")), 2)
	converge(t, c, c.workers[0], observationVersions...)
}

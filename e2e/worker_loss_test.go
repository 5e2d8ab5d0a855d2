package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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
	if err := os.WriteFile(filepath.Join(parts.kept, name), []byte(table), 0o644); err != nil {
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
	l.note("the signal; the worker runs %d connectors and tasks", stillRunning)
	end()
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

// leaderFirst returns the two workers of c, the one first that hands out the
// work.
func leaderFirst(t *testing.T, c *cluster) (leader, other *kafka.Worker) {
	t.Helper()
	admin, err := kafka.NewAdmin(parts.broker.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	eventually(t, "the leader of "+c.name+" is known", func(ctx context.Context) error {
		url, err := admin.Leader(ctx, c.name)
		if err != nil {
			return err
		}
		for i, w := range c.workers {
			if strings.Contains(url, w.ID()) {
				leader, other = w, c.workers[1-i]
				return nil
			}
		}
		return fmt.Errorf("it is %s", url)
	})
	return leader, other
}

// followKill kills first the worker that follows, then the one that leads. The
// leader remembers what a lost worker ran and holds it back for the delay; a new
// leader knows of nothing that was lost and hands it out at once.
func followKill(t *testing.T, c *cluster) {
	for _, leads := range []bool{false, true} {
		survivor, lost := leaderFirst(t, c)
		who := "the worker that follows"
		if leads {
			survivor, lost, who = lost, survivor, "the worker that leads"
		}
		start := time.Now()
		l, unassigned, _ := lose(t, c, fmt.Sprintf("kill -9 of one of two workers (%s), %s, scheduled.rebalance.max.delay.ms=%d", who, c.version, lost.Options.Delay.Milliseconds()),
			lost, survivor, lost.Kill)
		took := time.Since(start)
		l.finish(t, map[bool]string{false: "timeline-kill-follower.md", true: "timeline-kill-leader.md"}[leads])
		if unassigned > 0 {
			t.Errorf("%d connectors and tasks were UNASSIGNED: docs say that REST never shows it after a kill", unassigned)
		}
		if !leads && took < lost.Options.Delay {
			t.Errorf("all was right again after %v, before the delay of %v was over: docs say that it takes longer", took, lost.Options.Delay)
		}
		// The exporter goes on to the URL that answers, whichever of the two that is.
		for _, v := range observationVersions {
			samples := query(t, fmt.Sprintf(`count_over_time((kafka_connect_up{connect_cluster=%q} == 0)[%ds:1s])`, c.entry(v), int(took.Seconds())+1))
			if len(samples) > 0 && samples[0].Value > 5 {
				t.Errorf("%s: not up for %v s, though one of two workers lived", c.entry(v), samples[0].Value)
			}
		}
		converge(t, c, survivor, observationVersions...)
		comeBack(t, c, lost)
	}
}

// followTerminate ends a worker as a rolling restart does.
func followTerminate(t *testing.T, c *cluster) {
	survivor, lost := leaderFirst(t, c)
	start := time.Now()
	l, unassigned, still := lose(t, c, fmt.Sprintf("SIGTERM to one of two workers (the worker that follows), %s, scheduled.rebalance.max.delay.ms=%d", c.version, lost.Options.Delay.Milliseconds()),
		lost, survivor, func() { lost.Signal(syscall.SIGTERM) })
	took := time.Since(start)
	l.finish(t, "timeline-terminate.md")
	t.Logf("at most %d connectors and tasks were UNASSIGNED, at least %d went on being RUNNING on the stopped worker", unassigned, still)
	if unassigned == 0 {
		t.Error("nothing was UNASSIGNED, though the worker ended in order")
	}
	peak := query(t, fmt.Sprintf(`max_over_time(sum(kafka_connect_connectors{connect_cluster=%q, state="unassigned"})[%ds:1s])`, c.entry("2"), int(took.Seconds())+5))
	if len(peak) != 1 || peak[0].Value == 0 {
		t.Errorf("Prometheus saw no unassigned connector: %v", peak)
	}
	ctx, cancel := context.WithTimeout(t.Context(), settle)
	defer cancel()
	if err := lost.Wait(ctx); err != nil {
		t.Fatal(err)
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

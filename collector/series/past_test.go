package series

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/internal/collectortest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// lines are the series of a result whose name contains one of these, without
// the prefix of the name, sorted.
func lines(r *Result, names ...string) []string {
	var all []string
	id := r.Identity()
	w := Walk{Emit: func(f Family, value float64, l Labels) {
		name := strings.TrimPrefix(f.Descriptor().Name, "kafka_connect_")
		if !slices.ContainsFunc(names, func(part string) bool { return strings.Contains(name, part) }) {
			return
		}
		var labels []string
		for _, l := range f.Append(nil, &id, &l) {
			if l.Name != ClusterLabel {
				labels = append(labels, l.Name+"="+l.Value)
			}
		}
		if value >= float64(collectortest.Taken.Unix()) {
			value -= float64(collectortest.Taken.Unix())
			name = strings.TrimSuffix(name, "_timestamp_seconds")
		}
		all = append(all, strings.TrimSpace(name+" "+strings.Join(labels, " "))+" "+strconv.FormatFloat(value, 'g', -1, 64))
	}}
	summary := r.Summary()
	w.Result(r, &summary)
	slices.Sort(all)
	return all
}

// at is a snapshot taken so long after the first.
func at(d time.Duration, s *connect.Snapshot) *connect.Snapshot {
	s.Taken = collectortest.Taken.Add(d)
	return s
}

// TestSince: since when what does not run is so, whatever could not be seen in
// between.
func TestSince(t *testing.T) {
	var h History
	step := func(d time.Duration, s *connect.Snapshot, want ...string) {
		t.Helper()
		at(d, s)
		h = h.Next(s, s.Taken)
		collectortest.EqualLines(t, lines(&Result{Cluster: "c", Snapshot: s, History: h}, "_since"), want)
	}
	step(0, collectortest.Cluster("a:running 0:running 1:failed", "b:paused"), "connector_state_since connector=b 0", "task_state_since connector=a task=1 0")
	step(time.Minute, collectortest.Cluster("a:running 0:running 1:failed", "b:paused"), "connector_state_since connector=b 0", "task_state_since connector=a task=1 0")
	step(2*time.Minute, collectortest.Cluster("a:failed 0:failed 1:failed", "?b"), "connector_state_since connector=a 120", "task_state_since connector=a task=0 120", "task_state_since connector=a task=1 0")
	// Long not observed, and still the same.
	step(30*time.Minute, collectortest.Cluster("a:failed 1:failed", "?b"), "connector_state_since connector=a 120", "task_state_since connector=a task=1 0")
	step(31*time.Minute, collectortest.Cluster("a:running 0:unassigned 1:paused", "b:paused"),
		"connector_state_since connector=b 0", "task_state_since connector=a task=0 1860", "task_state_since connector=a task=1 1860")
	// For a while the list is empty, as that of a worker that is starting.
	step(32*time.Minute, collectortest.Cluster())
	step(33*time.Minute, collectortest.Cluster("a:running 0:unassigned 1:paused", "b:stopped"),
		"connector_state_since connector=b 1980", "task_state_since connector=a task=0 1860", "task_state_since connector=a task=1 1860")
	// It failed in another way: that began then.
	other := collectortest.Cluster("a:running 0:running 1:failed")
	step(34*time.Minute, other, "task_state_since connector=a task=1 2040")
	other = collectortest.Cluster("a:running 0:running 1:failed")
	other.Connectors[0].Tasks[1].Failure.RootCause = "other"
	step(35*time.Minute, other, "task_state_since connector=a task=1 2100")
}

// TestTransitions are those that successive snapshots show.
func TestTransitions(t *testing.T) {
	const (
		connectors = "connector_failures_total connector=a "
		failures   = "task_failures_total connector=a "
		restarts   = "task_restarts_total connector=a "
	)
	another := func(s *connect.Snapshot) *connect.Snapshot {
		s.Connectors[0].Tasks[0].Failure.Exception = "another"
		return s
	}
	type step struct {
		snapshot               *connect.Snapshot
		failed, tasks, restart int
	}
	for name, steps := range map[string][]step{
		"what failed before is not counted": {
			{collectortest.Cluster("a:failed 0:failed"), 0, 0, 0},
			{collectortest.Cluster("a:failed 0:failed"), 0, 0, 0},
		},
		"failures": {
			{collectortest.Cluster("a:running 0:running 1:running"), 0, 0, 0},
			{collectortest.Cluster("a:failed 0:failed 1:failed"), 1, 2, 0},
			{collectortest.Cluster("a:failed 0:failed 1:failed"), 1, 2, 0},
			{collectortest.Cluster("a:running 0:failed 1:running"), 1, 2, 1},
			{collectortest.Cluster("a:failed 0:failed 1:failed"), 2, 3, 1},
		},
		"restarts": {
			{collectortest.Cluster("a:running 0:failed"), 0, 0, 0},
			{another(collectortest.Cluster("a:running 0:failed")), 0, 1, 1},
			{collectortest.Cluster("a:running 0:restarting"), 0, 1, 2},
			{collectortest.Cluster("a:running 0:running"), 0, 1, 2},
			{collectortest.Cluster("a:running 0:restarting"), 0, 1, 2},
			{collectortest.Cluster("a:running 0:failed"), 0, 2, 2},
			{collectortest.Cluster("a:running 0:unassigned"), 0, 2, 2},
			{collectortest.Cluster("a:running 0:running"), 0, 2, 2},
		},
		"stopped by somebody": {
			{collectortest.Cluster("a:running 0:failed"), 0, 0, 0},
			{collectortest.Cluster("a:paused 0:paused"), 0, 0, 0},
			{collectortest.Cluster("a:stopped"), 0, 0, 0},
			{collectortest.Cluster("a:running 0:running"), 0, 0, 0},
		},
		"new and failed": {
			{collectortest.Cluster("b:running"), 0, 0, 0},
			{collectortest.Cluster("a:failed 0:failed", "b:running"), 1, 1, 0},
			{collectortest.Cluster("a:failed 0:failed 1:failed", "b:running"), 1, 2, 0},
		},
		"not seen for a while": {
			{collectortest.Cluster("a:running 0:running"), 0, 0, 0},
			{collectortest.Cluster("?a"), 0, 0, 0},
			{collectortest.Cluster("a:failed 0:failed"), 1, 1, 0},
			{collectortest.Cluster(), 0, 0, 0},
			{collectortest.Cluster("a:failed 0:running"), 1, 1, 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var h History
			for i, step := range steps {
				h = h.Next(step.snapshot, collectortest.Taken)
				have := lines(&Result{Cluster: "c", Snapshot: step.snapshot, History: h}, "failures_total", "restarts_total", "transitions")
				have = slices.DeleteFunc(have, func(line string) bool { return strings.Contains(line, "=b") })
				var want []string
				if len(step.snapshot.Connectors) > 0 && step.snapshot.Connectors[0].Name == "a" {
					want = []string{connectors + strconv.Itoa(step.failed), failures + strconv.Itoa(step.tasks), restarts + strconv.Itoa(step.restart)}
				}
				if want = append(want, "transitions_complete 0"); !slices.Equal(have, want) {
					t.Errorf("step %d: %q, not %q", i, have, want)
				}
			}
		})
	}
}

// TestEventsOfBrokers are what counts where they are known.
func TestEventsOfBrokers(t *testing.T) {
	var h History
	began := func(d time.Duration) time.Time { return collectortest.Taken.Add(d) }
	step := func(d time.Duration, s *connect.Snapshot, events map[string]*connect.Events, want ...string) {
		t.Helper()
		at(d, s)
		s.Brokers = &connect.Brokers{Events: events, EventsRevision: connect.NewRevision()}
		before := h.Revision()
		h = h.Next(s, s.Taken)
		if h.Revision().Same(before) {
			t.Error("the revision is the same although the brokers tell something else")
		}
		have := lines(&Result{Cluster: "c", Snapshot: s, History: h}, "_since", "_total", "transitions")
		have = slices.DeleteFunc(have, func(line string) bool { return strings.HasPrefix(line, "brokers_") })
		collectortest.EqualLines(t, have, want)
	}
	all := func(connectors, failures, tasks, taskFailures, restarts int, complete int) []string {
		return []string{
			fmt.Sprint("connector_failures_total connector=a ", failures), fmt.Sprint("connector_state_changes_total connector=a ", connectors),
			fmt.Sprint("task_failures_total connector=a ", taskFailures), fmt.Sprint("task_restarts_total connector=a ", restarts),
			fmt.Sprint("task_state_changes_total connector=a ", tasks), fmt.Sprint("transitions_complete ", complete),
		}
	}
	sorted := func(lines []string, more ...string) []string {
		lines = append(lines, more...)
		slices.Sort(lines)
		return lines
	}
	step(0, collectortest.Cluster("a:running 0:running"), nil, all(0, 0, 0, 0, 0, 0)...)
	step(1, collectortest.Cluster("a:running 0:failed"), nil, sorted(all(0, 0, 1, 1, 0, 0), "task_state_since connector=a task=0 0")...)
	// They are there: what both have seen counts once.
	e := &connect.Events{State: connect.StateRunning, Tasks: []connect.TaskEvents{{ID: 0, State: connect.StateFailed, Since: began(500 * time.Millisecond)}}, TaskStateChanges: 3, TaskFailures: 2, TaskRestarts: 1}
	step(2*time.Second, collectortest.Cluster("a:running 0:failed"), map[string]*connect.Events{"a": e}, sorted(all(0, 0, 3, 2, 1, 1), "task_state_since connector=a task=0 0.5")...)
	// Between two snapshots that look alike.
	more := *e
	more.TaskStateChanges, more.TaskFailures, more.TaskRestarts = 43, 22, 21
	more.Tasks = []connect.TaskEvents{{ID: 0, State: connect.StateFailed, Since: began(2500 * time.Millisecond)}}
	step(3*time.Second, collectortest.Cluster("a:running 0:failed"), map[string]*connect.Events{"a": &more}, sorted(all(0, 0, 43, 22, 21, 1), "task_state_since connector=a task=0 2.5")...)
	// REST says something else: since when is not known by the brokers.
	step(4*time.Second, collectortest.Cluster("a:paused 0:paused"), map[string]*connect.Events{"a": &more}, sorted(all(0, 0, 43, 22, 21, 1), "connector_state_since connector=a 4", "task_state_since connector=a task=0 4")...)
	// They know nothing of it for a while, and then it was created anew.
	step(5*time.Second, collectortest.Cluster("a:running 0:running"), map[string]*connect.Events{}, all(0, 0, 43, 22, 21, 1)...)
	anew := &connect.Events{State: connect.StateRunning, TaskFailures: 1, TaskStateChanges: 50}
	step(6*time.Second, collectortest.Cluster("a:running 0:running"), map[string]*connect.Events{"a": anew}, all(0, 0, 50, 23, 21, 1)...)
	// Another observer counts from the beginning.
	h = h.Renewed()
	step(7*time.Second, collectortest.Cluster("a:running 0:running"), map[string]*connect.Events{"a": {State: connect.StateRunning, TaskFailures: 2, TaskStateChanges: 60}}, all(0, 0, 110, 25, 21, 1)...)
}

// TestRevision: it changes if and only if series of connectors do.
func TestRevision(t *testing.T) {
	var h History
	before := h.Revision()
	for i, step := range []struct {
		snapshot *connect.Snapshot
		same     bool
	}{
		{collectortest.Cluster("a:running 0:running", "b:running"), false},
		{collectortest.Cluster("a:running 0:running", "b:running"), true},
		{collectortest.Cluster("a:running 0:failed", "b:running"), false},
		{collectortest.Cluster("a:running 0:failed", "?b"), false},
		{collectortest.Cluster("a:running 0:failed", "?b"), true},
		{collectortest.Cluster("a:running 0:running"), false},
		{collectortest.Cluster("a:running 0:running"), true},
	} {
		h = h.Next(step.snapshot, collectortest.Taken)
		if same := h.Revision().Same(before); same != step.same {
			t.Errorf("step %d: the revision is the same: %v", i, same)
		}
		before = h.Revision()
	}
}

// TestLabels: what is configured stands on all series of a cluster, what comes
// from a connector's configuration on one of its own.
func TestLabels(t *testing.T) {
	s := collectortest.Cluster("a:running 0:failed", "b:running")
	s.Connectors[0].Labels = []connect.Label{{Key: "owner.team", Value: "a \"quoted\" ü"}, {Key: "z-1", Value: "x=y"}, {Key: "env", Value: "prod"}}
	s.Connectors[0].ConfigChanged = collectortest.Taken.Add(time.Minute)
	s.Health = []connect.Health{{Worker: "w1", Healthy: true}, {Worker: "w2"}}
	s.Certificates = []connect.Certificate{{Host: "h:8443", NotAfter: collectortest.Taken.Add(time.Hour)}}
	var h History
	h = h.Next(s, s.Taken)
	r := &Result{Cluster: "c", Labels: SortedLabels(map[string]string{"team": "x", "a": "b", "region": "eu"}), ExpectedWorkers: 3, Snapshot: s, History: h}
	collectortest.EqualLines(t, lines(r, "connector_labels", "config_changed", "healthy", "certificate", "expected", "task_state_since"), []string{
		"connector_config_changed a=b connector=a region=eu team=x 60",
		`connector_labels a=b connector=a label_env=prod label_owner_team=a "quoted" ü label_z_1=x=y region=eu team=x 1`,
		"expected_workers a=b region=eu team=x 3",
		"task_state_since a=b connector=a region=eu task=0 team=x 0",
		"tls_certificate_not_after a=b host=h:8443 region=eu team=x 3600",
		"worker_healthy a=b region=eu team=x worker=w1 1",
		"worker_healthy a=b region=eu team=x worker=w2 0",
	})
	// Of a cluster that is down, what was configured and what expires is told.
	down := &Result{Cluster: "c", Err: connect.Unreachable, Previous: s, ExpectedWorkers: 3}
	collectortest.EqualLines(t, lines(down, ""), []string{"expected_workers 3", "snapshot 0", "tls_certificate_not_after host=h:8443 3600", "up 0"})
	id := r.Identity()
	if got := ScrapePhases.Append(nil, &id, &Labels{"wait"}); !slices.Equal(got, []Label{{"phase", "wait"}}) {
		t.Errorf("the exporter's own series have the labels %v", got)
	}
}

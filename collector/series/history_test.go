package series

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/internal/collectortest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// counts lists the counters of a history: connector=own/tasks.
func counts(h *History) []string {
	var all []string
	for _, c := range h.connectors {
		all = append(all, fmt.Sprintf("%s=%d/%d", c.seen.Name, c.StateChanges, c.TaskStateChanges))
	}
	return all
}

func TestChanges(t *testing.T) {
	type step struct {
		after    time.Duration
		snapshot *connect.Snapshot
		want     []string
	}
	for name, steps := range map[string][]step{
		"the first snapshot is no change": {
			{0, collectortest.Cluster("a:running 0:running", "b:failed"), []string{"a=0/0", "b=0/0"}},
			{0, collectortest.Cluster("a:running 0:running", "b:failed"), []string{"a=0/0", "b=0/0"}},
		},
		"each change counts": {
			{0, collectortest.Cluster("a:running 0:running 1:running", "b:running"), []string{"a=0/0", "b=0/0"}},
			{0, collectortest.Cluster("a:paused 0:paused 1:failed", "b:running"), []string{"a=1/2", "b=0/0"}},
			{0, collectortest.Cluster("a:running 0:running 1:failed", "b:failed"), []string{"a=2/3", "b=1/0"}},
		},
		"tasks that come or go are none": {
			{0, collectortest.Cluster("a:running 1:running"), []string{"a=0/0"}},
			{0, collectortest.Cluster("a:running 0:failed 1:running 2:failed"), []string{"a=0/0"}},
			{0, collectortest.Cluster("a:running 2:running"), []string{"a=0/1"}},
			{0, collectortest.Cluster("a:running 0:failed"), []string{"a=0/1"}},
		},
		"who is not observed for a while goes on": {
			{0, collectortest.Cluster("a:running 0:running"), []string{"a=0/0"}},
			{0, collectortest.Cluster("a:failed 0:running"), []string{"a=1/0"}},
			{20 * time.Minute, collectortest.Cluster("?a"), []string{"a=1/0"}},
			{20 * time.Minute, collectortest.Cluster("?a"), []string{"a=1/0"}},
			{20 * time.Minute, collectortest.Cluster("a:running 0:failed"), []string{"a=2/1"}},
		},
		"who comes back within ten minutes goes on": {
			{0, collectortest.Cluster("a:running", "b:running"), []string{"a=0/0", "b=0/0"}},
			{0, collectortest.Cluster("a:running", "b:failed"), []string{"a=0/0", "b=1/0"}},
			{5 * time.Minute, collectortest.Cluster("a:running"), []string{"a=0/0", "b=1/0"}},
			{time.Minute, collectortest.Cluster("a:running", "b:running"), []string{"a=0/0", "b=2/0"}},
		},
		"who stays away is forgotten": {
			{0, collectortest.Cluster("a:running", "b:running"), []string{"a=0/0", "b=0/0"}},
			{0, collectortest.Cluster("a:running", "b:failed"), []string{"a=0/0", "b=1/0"}},
			{time.Minute, collectortest.Cluster("a:running"), []string{"a=0/0", "b=1/0"}},
			{10 * time.Minute, collectortest.Cluster("a:running"), []string{"a=0/0"}},
			{0, collectortest.Cluster("a:running", "b:running"), []string{"a=0/0", "b=0/0"}},
		},
		"a long failure forgets nothing that exists": {
			{0, collectortest.Cluster("a:running"), []string{"a=0/0"}},
			{0, collectortest.Cluster("a:failed"), []string{"a=1/0"}},
			{time.Hour, collectortest.Cluster("a:running"), []string{"a=2/0"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var h History
			now := collectortest.Taken
			for i, step := range steps {
				now = now.Add(step.after)
				h = h.Next(step.snapshot, now, true)
				if have := counts(&h); !reflect.DeepEqual(have, step.want) {
					t.Errorf("after step %d: %q, not %q", i, have, step.want)
				}
			}
		})
	}
}

// ended lists the series that a history holds for stale, without those that
// only count.
func ended(h *History) []string {
	var all []string
	for d := range h.stale {
		line := strings.TrimPrefix(table[d.Family].Name, "kafka_connect_")
		for _, value := range d.Labels {
			if value != "" {
				line += " " + value
			}
		}
		all = append(all, line)
	}
	slices.Sort(all)
	return all
}

func TestEndedSeries(t *testing.T) {
	var h History
	now := collectortest.Taken
	snapshot := func(after time.Duration, s *connect.Snapshot, want ...string) {
		t.Helper()
		now = now.Add(after)
		h = h.Next(s, now, true)
		if have := ended(&h); !slices.Equal(have, want) {
			t.Errorf("ended are %q, not %q", have, want)
		}
	}
	snapshot(0, collectortest.Cluster("a:running 0:running@w1", "b:running"))
	snapshot(0, collectortest.Cluster("a:running 0:running@w1", "b:running"))
	snapshot(0, collectortest.Cluster("a:paused 0:failed@w2", "b:running"),
		"connector_state a running", "task_info a 0 w1", "task_state a running 0", "worker_connectors w1", "worker_tasks w1")
	// Not observed is not gone.
	snapshot(6*time.Minute, collectortest.Cluster("a:paused 0:failed@w2", "?b"),
		"connector_state a running", "task_info a 0 w1", "task_state a running 0", "worker_connectors w1", "worker_tasks w1")
	snapshot(4*time.Minute, collectortest.Cluster("a:paused 0:failed@w2", "?b"))
	// Deleted: all of its series end, once.
	snapshot(0, collectortest.Cluster("?b"), "connector_info a sink", "connector_state a paused", "connector_tasks a", "task_failure_info a E R 0",
		"task_info a 0 w2", "task_state a failed 0", "worker_connectors w2", "worker_tasks w2")
	snapshot(time.Minute, collectortest.Cluster("?b"), "connector_info a sink", "connector_state a paused", "connector_tasks a", "task_failure_info a E R 0",
		"task_info a 0 w2", "task_state a failed 0", "worker_connectors w2", "worker_tasks w2")
	snapshot(9*time.Minute, collectortest.Cluster(), "connector_info b sink", "connector_state b running", "connector_tasks b")
	snapshot(time.Minute, collectortest.Cluster("?b"), "connector_info b sink", "connector_state b running", "connector_tasks b")
	snapshot(time.Minute, collectortest.Cluster("b:running")) // It came back.
	snapshot(time.Minute, collectortest.Cluster("b:failed"), "connector_state b running")
	snapshot(time.Minute, collectortest.Cluster("b:running"), "connector_state b failed")
	snapshot(10*time.Minute, collectortest.Cluster("b:running"))
}

// TestManagedSeriesEnd holds the history to the fields that only providers set:
// a series that ends is remembered.
func TestManagedSeriesEnd(t *testing.T) {
	snapshot := func(version string, failed connect.Count) *connect.Snapshot {
		return &connect.Snapshot{Provider: connect.MSK, Taken: collectortest.Taken, Connectors: []connect.Connector{{
			Name: "orders", Runtime: &connect.Runtime{Version: version}, Reported: &connect.Reported{FailedTasks: failed},
		}}}
	}
	var h History
	h = h.Next(snapshot("2.7.1", connect.Count{Known: true}), collectortest.Taken, true)
	h = h.Next(snapshot("2.7.1", connect.Count{Known: true}), collectortest.Taken, true)
	if len(h.stale) != 0 {
		t.Errorf("series ended though nothing changed: %v", h.stale)
	}
	h = h.Next(snapshot("3.7.x", connect.Count{}), collectortest.Taken, true)
	var ended []Family
	for s := range h.stale {
		ended = append(ended, s.Family)
	}
	slices.Sort(ended)
	if !slices.Equal(ended, []Family{RuntimeInfo, ReportedTasks}) {
		t.Errorf("ended %v, want the runtime's info and the reported tasks", ended)
	}
}

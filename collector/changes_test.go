package collector

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// cluster is a snapshot written short: "orders:running 0:running 1:failed"
// lists a connector and its tasks; "?orders" is one that is not observed.
func cluster(lines ...string) *connect.Snapshot {
	s := &connect.Snapshot{Provider: connect.SelfManaged, HasTasks: true, Taken: taken}
	for _, line := range lines {
		if name, unobserved := strings.CutPrefix(line, "?"); unobserved {
			s.Unobserved = append(s.Unobserved, connect.Unobserved{Connector: name, Reason: connect.Timeout})
			continue
		}
		words := strings.Fields(line)
		name, state, _ := strings.Cut(words[0], ":")
		c := connect.Connector{Name: name, State: connect.ParseState(state), Type: "sink", TaskCount: len(words) - 1}
		for _, word := range words[1:] {
			var t connect.Task
			var state string
			if _, err := fmt.Sscanf(strings.Replace(word, ":", " ", 1), "%d %s", &t.ID, &state); err != nil {
				panic(err)
			}
			state, t.Worker, _ = strings.Cut(state, "@")
			if t.State = connect.ParseState(state); t.State == connect.StateFailed {
				t.Failure = connect.Failure{Exception: "E", RootCause: "R"}
			}
			c.Tasks = append(c.Tasks, t)
		}
		s.Connectors = append(s.Connectors, c)
	}
	return s
}

// counts lists the counters of a tracker: connector=own/tasks.
func counts(t *tracker) []string {
	var all []string
	for _, c := range t.changes {
		all = append(all, fmt.Sprintf("%s=%d/%d", c.connector, c.ofConnector, c.ofTasks))
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
		"the first look is no change": {
			{0, cluster("a:running 0:running", "b:failed"), []string{"a=0/0", "b=0/0"}},
			{0, cluster("a:running 0:running", "b:failed"), []string{"a=0/0", "b=0/0"}},
		},
		"each change counts": {
			{0, cluster("a:running 0:running 1:running", "b:running"), []string{"a=0/0", "b=0/0"}},
			{0, cluster("a:paused 0:paused 1:failed", "b:running"), []string{"a=1/2", "b=0/0"}},
			{0, cluster("a:running 0:running 1:failed", "b:failed"), []string{"a=2/3", "b=1/0"}},
		},
		"tasks that come or go are none": {
			{0, cluster("a:running 1:running"), []string{"a=0/0"}},
			{0, cluster("a:running 0:failed 1:running 2:failed"), []string{"a=0/0"}},
			{0, cluster("a:running 2:running"), []string{"a=0/1"}},
			{0, cluster("a:running 0:failed"), []string{"a=0/1"}},
		},
		"who is not observed for a while goes on": {
			{0, cluster("a:running 0:running"), []string{"a=0/0"}},
			{0, cluster("a:failed 0:running"), []string{"a=1/0"}},
			{20 * time.Minute, cluster("?a"), []string{"a=1/0"}},
			{20 * time.Minute, cluster("?a"), []string{"a=1/0"}},
			{20 * time.Minute, cluster("a:running 0:failed"), []string{"a=2/1"}},
		},
		"who comes back within ten minutes goes on": {
			{0, cluster("a:running", "b:running"), []string{"a=0/0", "b=0/0"}},
			{0, cluster("a:running", "b:failed"), []string{"a=0/0", "b=1/0"}},
			{5 * time.Minute, cluster("a:running"), []string{"a=0/0", "b=1/0"}},
			{time.Minute, cluster("a:running", "b:running"), []string{"a=0/0", "b=2/0"}},
		},
		"who stays away is forgotten": {
			{0, cluster("a:running", "b:running"), []string{"a=0/0", "b=0/0"}},
			{0, cluster("a:running", "b:failed"), []string{"a=0/0", "b=1/0"}},
			{time.Minute, cluster("a:running"), []string{"a=0/0", "b=1/0"}},
			{10 * time.Minute, cluster("a:running"), []string{"a=0/0"}},
			{0, cluster("a:running", "b:running"), []string{"a=0/0", "b=0/0"}},
		},
		"a long failure forgets nothing that exists": {
			{0, cluster("a:running"), []string{"a=0/0"}},
			{0, cluster("a:failed"), []string{"a=1/0"}},
			{time.Hour, cluster("a:running"), []string{"a=2/0"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var tr tracker
			now := taken
			for i, step := range steps {
				now = now.Add(step.after)
				tr.update(step.snapshot, now)
				if have := counts(&tr); !reflect.DeepEqual(have, step.want) {
					t.Errorf("after step %d: %q, not %q", i, have, step.want)
				}
			}
		})
	}
}

// ended lists the series that a tracker holds for ended, without those that
// only count.
func ended(t *tracker) []string {
	var all []string
	for _, d := range t.left {
		line := strings.TrimPrefix(table[d.family].Name, "kafka_connect_")
		for _, value := range d.labels {
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
	var tr tracker
	now := taken
	look := func(after time.Duration, s *connect.Snapshot, want ...string) {
		t.Helper()
		now = now.Add(after)
		tr.update(s, now)
		if have := ended(&tr); !slices.Equal(have, want) {
			t.Errorf("ended are %q, not %q", have, want)
		}
	}
	look(0, cluster("a:running 0:running@w1", "b:running"))
	look(0, cluster("a:running 0:running@w1", "b:running"))
	look(0, cluster("a:paused 0:failed@w2", "b:running"),
		"connector_state a running", "task_info a 0 w1", "task_state a running 0", "worker_connectors w1", "worker_tasks w1")
	// Not observed is not gone.
	look(6*time.Minute, cluster("a:paused 0:failed@w2", "?b"),
		"connector_state a running", "task_info a 0 w1", "task_state a running 0", "worker_connectors w1", "worker_tasks w1")
	look(4*time.Minute, cluster("a:paused 0:failed@w2", "?b"))
	// Deleted: all of its series end, once.
	look(0, cluster("?b"), "connector_info a sink", "connector_state a paused", "connector_tasks a", "task_failure_info a E R 0",
		"task_info a 0 w2", "task_state a failed 0", "worker_connectors w2", "worker_tasks w2")
	look(time.Minute, cluster("?b"), "connector_info a sink", "connector_state a paused", "connector_tasks a", "task_failure_info a E R 0",
		"task_info a 0 w2", "task_state a failed 0", "worker_connectors w2", "worker_tasks w2")
	look(9*time.Minute, cluster(), "connector_info b sink", "connector_state b running", "connector_tasks b")
	look(time.Minute, cluster("?b"), "connector_info b sink", "connector_state b running", "connector_tasks b")
	look(time.Minute, cluster("b:running")) // It came back.
	look(time.Minute, cluster("b:failed"), "connector_state b running")
	look(time.Minute, cluster("b:running"), "connector_state b failed")
	look(10*time.Minute, cluster("b:running"))
}

// TestViewsDoNotChange: what a view holds stays as it is while more looks
// follow.
func TestViewsDoNotChange(t *testing.T) {
	var tr tracker
	tr.update(cluster("a:running 0:running", "b:running"), taken)
	tr.update(cluster("a:failed 0:running", "b:running"), taken)
	v := View{Cluster: "c", Snapshot: tr.newest, changes: tr.changes, left: tr.left}
	renderer := NewRenderer(RendererOptions{})
	before, left := samples(t, renderer.Families([]View{v})), slices.Clone(v.left)
	tr.update(cluster("a:running 0:failed", "aa:running"), taken.Add(time.Minute))
	tr.update(cluster(), taken.Add(time.Hour))
	if after := samples(t, renderer.Families([]View{v})); !reflect.DeepEqual(before, after) || !reflect.DeepEqual(left, v.left) {
		t.Errorf("a view changed from\n%s\nto\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	if want := `kafka_connect_connector_state_changes_total{connect_cluster="c",connector="a"} 1`; !slices.Contains(before, want) {
		t.Errorf("missing: %s", want)
	}
}

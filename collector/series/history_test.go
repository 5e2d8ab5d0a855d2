package series

import (
	"fmt"
	"reflect"
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
				h = h.Next(step.snapshot, now)
				if have := counts(&h); !reflect.DeepEqual(have, step.want) {
					t.Errorf("after step %d: %q, not %q", i, have, step.want)
				}
			}
		})
	}
}

// TestAbsentAreBounded: what vanished is kept for a while, but not without bounds,
// and the newest of it.
func TestAbsentAreBounded(t *testing.T) {
	var h History
	for i := range 50 {
		s := collectortest.Large(100, 1)
		for j := range s.Connectors {
			s.Connectors[j].Name = fmt.Sprintf("%03d-%03d", i, j)
		}
		h = h.Next(s, collectortest.Taken.Add(time.Duration(i)*time.Second))
	}
	if n := len(h.connectors); n != 100+fewAbsent || h.absent != fewAbsent || h.connectors[0].seen.Name != "039-000" {
		t.Errorf("%d are kept, %d of them absent, the first is %s", n, h.absent, h.connectors[0].seen.Name)
	}
	// All at once: as many as there are.
	h = h.Next(collectortest.Large(3000, 1), collectortest.Taken.Add(time.Minute))
	h = h.Next(&connect.Snapshot{Taken: collectortest.Taken}, collectortest.Taken.Add(2*time.Minute))
	if h.absent != fewAbsent || len(h.connectors) != fewAbsent {
		t.Errorf("%d are kept", len(h.connectors))
	}
	h = h.Next(&connect.Snapshot{Taken: collectortest.Taken}, collectortest.Taken.Add(2*time.Minute+Retention))
	if h.absent != 0 || len(h.connectors) != 0 {
		t.Errorf("%d are kept for ever", len(h.connectors))
	}
}

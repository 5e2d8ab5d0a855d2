package series

import (
	"cmp"
	"slices"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// A Result is what one snapshot of one cluster came to. It does not change once
// it is returned, and many readers may share it.
type Result struct {
	// Cluster is the configured name.
	Cluster  string
	Provider connect.Provider
	// Labels are configured to stand on all series of the cluster, sorted by name.
	Labels []Label
	// ExpectedWorkers is how many the cluster should have, 0 if that is not
	// configured.
	ExpectedWorkers int
	// Snapshot is nil if it failed, or if there was none yet.
	Snapshot *connect.Snapshot
	// Brokers are those of the snapshot or, where it failed, what was had in spite
	// of it; nil if there is none.
	Brokers *connect.Brokers
	// Err is why the snapshot failed and wraps a [connect.Reason]; nil if it
	// succeeded, or if there was none yet (At is zero then).
	Err error
	// Previous is the last snapshot that succeeded while Snapshot is nil; nil
	// if there is none, or if Snapshot is there.
	Previous *connect.Snapshot
	// Resource is what an operator's resource says of the cluster, also while the
	// cluster does not answer; nil if it was not found by one.
	Resource *connect.OperatorResource
	// At is when the snapshot ended, zero if there was none yet.
	At time.Time
	// Duration of the snapshot.
	Duration time.Duration
	// Deadline is how long the snapshot might take for the caller, to a hundredth
	// of a second, whoever else waited for it too; zero if nobody asked.
	Deadline time.Duration
	// Requests are the first API calls of the snapshot, at most [MaxRequests].
	Requests []connect.Request
	// History is what the snapshots so far came to.
	History History
}

// MaxRequests is how many API calls a Result lists at most; observation version
// 1 makes two for each connector.
const MaxRequests = 1000

// Identity is what stands on all series of the result.
func (r *Result) Identity() Identity { return Identity{Cluster: r.Cluster, Labels: r.Labels} }

// Known returns the snapshot of this result or, if it failed, the last that
// succeeded; nil if there is none.
func (r *Result) Known() *connect.Snapshot {
	if r.Snapshot != nil {
		return r.Snapshot
	}
	return r.Previous
}

// Summary counts what the snapshot of this result holds; zero if it has none.
func (r *Result) Summary() Summary {
	switch {
	case r.Snapshot == nil:
		return Summary{}
	case r.History.newest == r.Snapshot:
		return *r.History.summary
	}
	return Summarize(r.Snapshot)
}

// Sorted returns the results in the order in which their series are shown, each
// cluster once.
func Sorted(results []Result) []*Result {
	sorted := make([]*Result, len(results))
	for i := range results {
		sorted[i] = &results[i]
	}
	byName := func(a, b *Result) int { return cmp.Compare(a.Cluster, b.Cluster) }
	slices.SortStableFunc(sorted, byName)
	return slices.CompactFunc(sorted, func(a, b *Result) bool { return a.Cluster == b.Cluster })
}

// A Summary counts what a snapshot holds.
type Summary struct {
	// Connectors and Tasks by [connect.State].
	Connectors, Tasks [connect.StateCount]int
	// Workers that the snapshot names, sorted.
	Workers []Worker
	// Unobserved connectors, by reason; only reasons that occur.
	Unobserved map[connect.Reason]int
}

// A Worker and how many connectors and tasks are placed on it, whatever their
// state.
type Worker struct {
	Name              string
	Connectors, Tasks int
}

// Summarize counts what a snapshot holds.
func Summarize(snapshot *connect.Snapshot) Summary {
	var s Summary
	index := make(map[string]int)
	last := -1
	on := func(worker string) *Worker {
		// Most lookups repeat the one before.
		if last >= 0 && s.Workers[last].Name == worker {
			return &s.Workers[last]
		}
		i, known := index[worker]
		if !known {
			i = len(s.Workers)
			index[worker] = i
			s.Workers = append(s.Workers, Worker{Name: worker})
		}
		last = i
		return &s.Workers[i]
	}
	for i := range snapshot.Connectors {
		c := &snapshot.Connectors[i]
		s.Connectors[c.State]++
		if c.Worker != "" {
			on(c.Worker).Connectors++
		}
		for j := range c.Tasks {
			t := &c.Tasks[j]
			s.Tasks[t.State]++
			if t.Worker != "" {
				on(t.Worker).Tasks++
			}
		}
	}
	slices.SortFunc(s.Workers, func(a, b Worker) int { return cmp.Compare(a.Name, b.Name) })
	if len(snapshot.Unobserved) > 0 {
		s.Unobserved = make(map[connect.Reason]int)
		for _, u := range snapshot.Unobserved {
			s.Unobserved[u.Reason]++
		}
	}
	return s
}

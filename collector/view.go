package collector

import (
	"cmp"
	"slices"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// A View is what one look at one cluster yielded. It does not change once it
// is returned, and many readers may share it.
type View struct {
	// Cluster is the configured name.
	Cluster  string
	Provider connect.Provider
	// Snapshot is nil if the look failed, or if there was none yet.
	Snapshot *connect.Snapshot
	// Err is why the look failed and wraps a [connect.Reason]; nil if it
	// succeeded, or if there was none yet (At is zero then).
	Err error
	// Previous is the last snapshot that succeeded while Snapshot is nil; nil
	// if there is none, or if Snapshot is there.
	Previous *connect.Snapshot
	// At is when the look ended, zero if there was none yet.
	At time.Time
	// Duration of the look.
	Duration time.Duration
	// Deadline is how long the look might have taken, to a hundredth of a second;
	// zero if there was none yet.
	Deadline time.Duration
	// Requests are the first API calls of the look, at most [MaxRequests].
	Requests []connect.Request

	// changes and left are those of the tracker at that time.
	changes []changes
	left    []departed
	// summary of the snapshot, nil if it has to be made.
	summary *Summary
}

// MaxRequests is how many API calls a View lists at most; observation version 1
// makes two for each connector.
const MaxRequests = 1000

// Known returns the snapshot of this look or, if it failed, the last that
// succeeded; nil if there is none.
func (v *View) Known() *connect.Snapshot {
	if v.Snapshot != nil {
		return v.Snapshot
	}
	return v.Previous
}

// summarize counts what the snapshot of this look holds.
func (v *View) summarize() Summary {
	switch {
	case v.Snapshot == nil:
		return Summary{}
	case v.summary != nil:
		return *v.summary
	}
	return Summarize(v.Snapshot)
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

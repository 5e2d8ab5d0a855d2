package series

import (
	"iter"
	"slices"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// Retention is how long what is gone is kept: the counters of a connector that
// vanished, that a series is stale, and what is rendered for nobody.
const Retention = 10 * time.Minute

// changes counts the changes of state of one connector and of its tasks.
type changes struct {
	connector            string
	ofConnector, ofTasks uint64

	// seen is the connector as it was seen last; at is when it was last known to
	// exist or, if it was deleted, when that was found.
	seen *connect.Connector
	at   time.Time
	// absent from the newest snapshot; deleted if, since it was seen, the cluster
	// has not listed it either.
	absent, deleted bool
}

// A stale series ended at some time.
type stale struct {
	Series
	at time.Time
}

// A Series is a metric with its labels.
type Series struct {
	Family Family
	Labels Labels
}

// A History is what a [Tracker] knows at some time. It does not change any more:
// each update makes a new one, so that results may share it.
type History struct {
	// changes of all connectors that exist, and of those that were deleted less
	// than ten minutes ago; sorted by name.
	changes []changes
	// stale are series that ended within the last ten minutes and have not come
	// back.
	stale []stale
	// newest snapshot, and its summary.
	newest  *connect.Snapshot
	summary *Summary
}

// Stale returns the series that ended less than [Retention] before now and have
// not come back.
func (h *History) Stale(now time.Time) iter.Seq[Series] {
	return func(yield func(Series) bool) {
		for i := range h.stale {
			if s := &h.stale[i]; now.Sub(s.at) < Retention && !yield(s.Series) {
				return
			}
		}
	}
}

// A Tracker compares the successive snapshots of a cluster. The zero Tracker has
// seen none.
type Tracker struct {
	History
	ended map[Series]time.Time
	// absent tells that changes has connectors that newest has not.
	absent bool
}

// Update compares a snapshot with those before.
func (t *Tracker) Update(snapshot *connect.Snapshot, now time.Time) {
	// Mostly nothing has changed, and an observer that knows so tells it by
	// giving the same memory again.
	same := t.newest != nil && sameSlice(t.newest.Connectors, snapshot.Connectors) && slices.Equal(t.newest.Unobserved, snapshot.Unobserved)
	summary := t.summary
	if !same {
		made := Summarize(snapshot)
		summary = &made
	}
	d := difference{now: now, ended: t.ended, keep: make(map[Series]struct{})}
	if t.newest != nil {
		d.compare(
			func(w *Walk) { w.cluster(t.newest, t.summary) },
			func(w *Walk) { w.cluster(snapshot, summary) })
	}
	if !same || t.absent {
		t.changes = t.merge(snapshot, &d)
		t.absent = len(t.changes) > len(snapshot.Connectors)
	}
	t.newest, t.summary = snapshot, summary
	for s, at := range d.ended {
		if now.Sub(at) >= Retention {
			delete(d.ended, s)
			d.changed = true
		}
	}
	t.ended = d.ended
	if d.changed {
		t.stale = make([]stale, 0, len(t.ended))
		for s, at := range t.ended {
			t.stale = append(t.stale, stale{Series: s, at: at})
		}
	}
}

// merge returns the changes after a snapshot. Both sides are sorted by name.
func (t *Tracker) merge(snapshot *connect.Snapshot, d *difference) []changes {
	merged := make([]changes, 0, max(len(t.changes), len(snapshot.Connectors)))
	known, unobserved := t.changes, snapshot.Unobserved
	missing := func(entry changes) {
		for len(unobserved) > 0 && unobserved[0].Connector < entry.connector {
			unobserved = unobserved[1:]
		}
		switch exists := len(unobserved) > 0 && unobserved[0].Connector == entry.connector; {
		case exists:
			entry.at = d.now
		case !entry.deleted:
			entry.at, entry.deleted = d.now, true
			d.compare(func(w *Walk) { w.connector(snapshot, entry.seen) }, func(*Walk) {})
		}
		if d.now.Sub(entry.at) >= Retention {
			return
		}
		if !entry.absent {
			// Of the snapshot only this is kept.
			seen := *entry.seen
			seen.Tasks = slices.Clone(seen.Tasks)
			entry.seen, entry.absent = &seen, true
		}
		merged = append(merged, entry)
	}
	for i := range snapshot.Connectors {
		c := &snapshot.Connectors[i]
		for len(known) > 0 && known[0].connector < c.Name {
			missing(known[0])
			known = known[1:]
		}
		entry := changes{connector: c.Name, seen: c, at: d.now}
		if len(known) > 0 && known[0].connector == c.Name {
			before := &known[0]
			known = known[1:]
			entry.ofConnector, entry.ofTasks = before.ofConnector, before.ofTasks
			entry.count(before.seen)
			if before.deleted || !sameSeries(before.seen, c) {
				d.compare(
					func(w *Walk) { w.connector(snapshot, before.seen) },
					func(w *Walk) { w.connector(snapshot, c) })
			}
		}
		merged = append(merged, entry)
	}
	for _, entry := range known {
		missing(entry)
	}
	return merged
}

// Counted is how often the state of a connector, and of its tasks, changed.
type Counted struct{ OfConnector, OfTasks uint64 }

// Counted returns the changes of each connector of the result's snapshot.
func (r *Result) Counted() []Counted {
	counts := make([]Counted, len(r.Snapshot.Connectors))
	rest := r.History.changes
	for i := range r.Snapshot.Connectors {
		// Both are sorted by name.
		name := r.Snapshot.Connectors[i].Name
		for len(rest) > 0 && rest[0].connector < name {
			rest = rest[1:]
		}
		if len(rest) > 0 && rest[0].connector == name {
			counts[i] = Counted{rest[0].ofConnector, rest[0].ofTasks}
		}
	}
	return counts
}

// SameChanges tells whether two histories hold the same memory of changes.
func (h *History) SameChanges(other *History) bool { return sameSlice(h.changes, other.changes) }

// count adds what changed since the connector was seen before. A task that
// appears or goes is no change of state.
func (e *changes) count(before *connect.Connector) {
	if e.seen.State != before.State {
		e.ofConnector++
	}
	tasks := before.Tasks
	for i := range e.seen.Tasks {
		t := &e.seen.Tasks[i]
		for len(tasks) > 0 && tasks[0].ID < t.ID {
			tasks = tasks[1:]
		}
		if len(tasks) > 0 && tasks[0].ID == t.ID && tasks[0].State != t.State {
			e.ofTasks++
		}
	}
}

// sameSeries tells whether a connector is the same in two snapshots, and with
// that has the same series; most are.
func sameSeries(a, b *connect.Connector) bool {
	return a.State == b.State && a.Worker == b.Worker && a.Failure == b.Failure && a.Type == b.Type &&
		a.Class == b.Class && a.ID == b.ID && a.Version == b.Version && a.TasksMax == b.TasksMax &&
		equal(a.Runtime, b.Runtime) && equal(a.Reported, b.Reported) && slices.Equal(a.Tasks, b.Tasks)
}

// sameSlice tells whether two slices are the same memory; empty ones never are.
func sameSlice[T any](a, b []T) bool {
	return len(a) == len(b) && len(a) > 0 && &a[0] == &b[0]
}

// equal compares what two pointers point to; nil is only like nil.
func equal[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// A difference collects the series that ended at some time.
type difference struct {
	now     time.Time
	ended   map[Series]time.Time
	changed bool
	keep    map[Series]struct{} // scratch
}

// compare adds the series that before has and after has not, and removes those
// that came back.
func (d *difference) compare(before, after func(*Walk)) {
	clear(d.keep)
	after(&Walk{Emit: func(f Family, _ float64, l Labels) {
		s := Series{f, l}
		d.keep[s] = struct{}{}
		if _, cameBack := d.ended[s]; cameBack {
			delete(d.ended, s)
			d.changed = true
		}
	}})
	before(&Walk{Emit: func(f Family, _ float64, l Labels) {
		s := Series{f, l}
		if _, goesOn := d.keep[s]; goesOn {
			return
		}
		if d.ended == nil {
			d.ended = make(map[Series]time.Time)
		}
		d.ended[s], d.changed = d.now, true
	}})
}

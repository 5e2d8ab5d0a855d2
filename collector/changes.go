package collector

import (
	"slices"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// memory is how long what is gone is remembered: the counters of a connector
// that vanished, and that a series has ended.
const memory = 10 * time.Minute

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

// A departed series ended at some time.
type departed struct {
	series
	at time.Time
}

// A series is a metric with its labels.
type series struct {
	family family
	labels labels
}

// A tracker compares the successive snapshots of a cluster. What changes and
// left hold is not changed any more: each update makes them anew, so that views
// may share them. The zero tracker has seen nothing.
type tracker struct {
	// changes of all connectors that exist, and of those that were deleted less
	// than ten minutes ago; sorted by name.
	changes []changes
	// left are series that ended within the last ten minutes and have not come
	// back.
	left []departed

	newest  *connect.Snapshot
	summary *Summary // of newest; not changed any more
	ended   map[series]time.Time
	// absent tells that changes has connectors that newest has not.
	absent bool
}

// update compares a snapshot with those before.
func (t *tracker) update(snapshot *connect.Snapshot, now time.Time) {
	// Mostly nothing has changed, and an observer that knows so tells it by
	// giving the same memory again.
	same := t.newest != nil && sameSlice(t.newest.Connectors, snapshot.Connectors) && slices.Equal(t.newest.Unobserved, snapshot.Unobserved)
	summary := t.summary
	if !same {
		made := Summarize(snapshot)
		summary = &made
	}
	d := difference{now: now, ended: t.ended, keep: make(map[series]struct{})}
	if t.newest != nil {
		d.compare(
			func(w *walk) { w.cluster(t.newest, t.summary) },
			func(w *walk) { w.cluster(snapshot, summary) })
	}
	if !same || t.absent {
		t.changes = t.merge(snapshot, &d)
		t.absent = len(t.changes) > len(snapshot.Connectors)
	}
	t.newest, t.summary = snapshot, summary
	for s, at := range d.ended {
		if now.Sub(at) >= memory {
			delete(d.ended, s)
			d.changed = true
		}
	}
	t.ended = d.ended
	if d.changed {
		t.left = make([]departed, 0, len(t.ended))
		for s, at := range t.ended {
			t.left = append(t.left, departed{series: s, at: at})
		}
	}
}

// merge returns the changes after a snapshot. Both sides are sorted by name.
func (t *tracker) merge(snapshot *connect.Snapshot, d *difference) []changes {
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
			d.compare(func(w *walk) { w.connector(snapshot, entry.seen) }, func(*walk) {})
		}
		if d.now.Sub(entry.at) >= memory {
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
					func(w *walk) { w.connector(snapshot, before.seen) },
					func(w *walk) { w.connector(snapshot, c) })
			}
		}
		merged = append(merged, entry)
	}
	for _, entry := range known {
		missing(entry)
	}
	return merged
}

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

// sameSeries tells whether two looks at a connector are alike, and with that
// have the same series; most are.
func sameSeries(a, b *connect.Connector) bool {
	return a.State == b.State && a.Worker == b.Worker && a.Failure == b.Failure && a.Type == b.Type &&
		a.Class == b.Class && a.ID == b.ID && a.Version == b.Version && a.TasksMax == b.TasksMax &&
		equal(a.Runtime, b.Runtime) && equal(a.Reported, b.Reported) && slices.Equal(a.Tasks, b.Tasks)
}

// equal compares what two pointers point to; nil is only like nil.
func equal[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// A difference collects the series that ended at some time.
type difference struct {
	now     time.Time
	ended   map[series]time.Time
	changed bool
	keep    map[series]struct{} // scratch
}

// compare adds the series that before has and after has not, and removes those
// that came back.
func (d *difference) compare(before, after func(*walk)) {
	clear(d.keep)
	after(&walk{emit: func(f family, _ float64, l labels) {
		s := series{f, l}
		d.keep[s] = struct{}{}
		if _, cameBack := d.ended[s]; cameBack {
			delete(d.ended, s)
			d.changed = true
		}
	}})
	before(&walk{emit: func(f family, _ float64, l labels) {
		s := series{f, l}
		if _, goesOn := d.keep[s]; goesOn {
			return
		}
		if d.ended == nil {
			d.ended = make(map[series]time.Time)
		}
		d.ended[s], d.changed = d.now, true
	}})
}

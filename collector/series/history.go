package series

import (
	"slices"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// Retention is how long what is gone is kept: the counters of a connector that
// vanished, that a series has ended, and what is rendered for nobody.
const Retention = 10 * time.Minute

// fewAbsent and as many as there are connectors is how many that vanished are
// kept at most.
const fewAbsent = 1000

// A History is what the successive snapshots of a cluster come to. It does not
// change: [History.Next] makes another, so that results may share it. The zero
// History is that of no snapshot.
type History struct {
	// connectors that exist, and those that vanished less than [Retention] ago;
	// sorted by name.
	connectors []past
	// absent is how many of them newest has not.
	absent int
	// revision is that of connectors, as far as they are in newest.
	revision connect.Revision
	// since is when the first snapshot came.
	since time.Time
	// newest snapshot, and its summary.
	newest  *connect.Snapshot
	summary *Summary
}

// A Series is a metric with its labels.
type Series struct {
	Family Family
	Labels Labels
}

// past is what is known of a connector over many snapshots.
type past struct {
	Past
	// seen is the connector as it was seen last; at is when it was last known to
	// exist or, if it was deleted, when that was found.
	seen *connect.Connector
	at   time.Time
	// absent from the newest snapshot; deleted if, since it was seen, the cluster
	// has not listed it either.
	absent, deleted bool
	// events are what the brokers had counted, which Past holds already.
	events *connect.Events
}

// Since is when the first snapshot came: what is counted over many is counted from
// then.
func (h *History) Since() time.Time { return h.since }

// Revision stands for the connectors of the newest snapshot and their pasts: for
// what [Walk.Connector] emits of them.
func (h *History) Revision() connect.Revision { return h.revision }

// Pasts returns the past of each connector of the result's snapshot.
func (r *Result) Pasts() []*Past {
	pasts := make([]*Past, len(r.Snapshot.Connectors))
	rest := r.History.connectors
	for i := range r.Snapshot.Connectors {
		// Both are sorted by name.
		name := r.Snapshot.Connectors[i].Name
		for len(rest) > 0 && rest[0].seen.Name < name {
			rest = rest[1:]
		}
		if len(rest) > 0 && rest[0].seen.Name == name {
			pasts[i] = &rest[0].Past
		} else {
			pasts[i] = &Past{}
		}
	}
	return pasts
}

// Renewed returns the history for another observer of the cluster, whose brokers
// begin to count anew.
func (h *History) Renewed() History {
	n := *h
	n.connectors = slices.Clone(h.connectors)
	for i := range n.connectors {
		if n.connectors[i].events != nil {
			n.connectors[i].events = &connect.Events{}
		}
	}
	return n
}

// Next returns the history after another snapshot.
func (h *History) Next(snapshot *connect.Snapshot, now time.Time) History {
	n := History{connectors: h.connectors, absent: h.absent, revision: h.revision, since: h.since, newest: snapshot, summary: h.summary}
	if h.newest == nil {
		n.since = now
	}
	same := h.newest != nil && sameContent(h.newest, snapshot)
	// What is the same in other memory is merged all the same, so that of an old
	// snapshot nothing is kept.
	identical := same && h.newest.Revision.Same(snapshot.Revision)
	// The brokers know of what came and went between two snapshots.
	events := sameEvents(h.newest, snapshot)
	if !same {
		summary := Summarize(snapshot)
		n.summary = &summary
	}
	if !same || !events {
		n.revision = connect.NewRevision()
	}
	if !identical || !events || h.absent > 0 {
		n.connectors, n.absent = h.merge(snapshot, now)
	}
	return n
}

// sameContent tells whether two snapshots hold the same of connectors.
func sameContent(a, b *connect.Snapshot) bool {
	if a.Provider != b.Provider || a.HasTasks != b.HasTasks {
		return false
	}
	return a.Revision.Same(b.Revision) ||
		slices.Equal(a.Unobserved, b.Unobserved) &&
			slices.EqualFunc(a.Connectors, b.Connectors, func(a, b connect.Connector) bool { return a.Equal(&b) })
}

// sameEvents tells whether the brokers tell the same events in two snapshots.
func sameEvents(a, b *connect.Snapshot) bool {
	if a == nil || a.Brokers == nil || b.Brokers == nil {
		return a == nil || a.Brokers == b.Brokers
	}
	return a.Brokers.Events == nil && b.Brokers.Events == nil || a.Brokers.EventsRevision.Same(b.Brokers.EventsRevision)
}

// merge returns the connectors after a snapshot, and how many of them are absent
// from it. Both sides are sorted by name.
func (h *History) merge(snapshot *connect.Snapshot, now time.Time) (merged []past, absent int) {
	merged = make([]past, 0, len(snapshot.Connectors)+h.absent)
	known, unobserved := h.connectors, snapshot.Unobserved
	missing := func(entry past) {
		for len(unobserved) > 0 && unobserved[0].Connector < entry.seen.Name {
			unobserved = unobserved[1:]
		}
		switch exists := len(unobserved) > 0 && unobserved[0].Connector == entry.seen.Name; {
		case exists:
			entry.at = now
		case !entry.deleted:
			entry.at, entry.deleted = now, true
		}
		if now.Sub(entry.at) >= Retention {
			return
		}
		if !entry.absent {
			// Of the snapshot only this is kept.
			seen := *entry.seen
			seen.Tasks = slices.Clone(seen.Tasks)
			entry.seen, entry.absent = &seen, true
		}
		merged = append(merged, entry)
		absent++
	}
	for i := range snapshot.Connectors {
		c := &snapshot.Connectors[i]
		for len(known) > 0 && known[0].seen.Name < c.Name {
			missing(known[0])
			known = known[1:]
		}
		entry := past{seen: c, at: now, events: snapshot.Brokers.Of(c.Name)}
		var before *past
		if len(known) > 0 && known[0].seen.Name == c.Name {
			before, known = &known[0], known[1:]
		}
		entry.follow(before, snapshot.Taken, h.newest == nil)
		merged = append(merged, entry)
	}
	for _, entry := range known {
		missing(entry)
	}
	if most := max(fewAbsent, len(snapshot.Connectors)); absent > most {
		merged = withoutOldest(merged, absent-most)
		absent = most
	}
	return merged, absent
}

// withoutOldest returns the connectors without n of those that are absent, the
// oldest.
func withoutOldest(merged []past, n int) []past {
	var at []time.Time
	for i := range merged {
		if merged[i].absent {
			at = append(at, merged[i].at)
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	last := at[n-1] // There may be many of this time.
	for _, t := range at[:n] {
		if t.Before(last) {
			n--
		}
	}
	return slices.DeleteFunc(merged, func(p past) bool {
		if p.absent && p.at.Equal(last) && n > 0 {
			n--
			return true
		}
		return p.absent && p.at.Before(last)
	})
}

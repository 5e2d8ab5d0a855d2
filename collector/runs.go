package collector

import (
	"hash/maphash"
	"slices"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// A run is some successive connectors of a cluster, with what is exposed of
// them: what an Exposition encodes at once, and uses again as long as nothing
// of it changes.
type run struct {
	connectors []connect.Connector
	// counted are the changes of each connector.
	counted []counted
	// encoded is the series of each family that the run has, by format.
	encoded map[encoding]*encodedRun
}

// counted is how often the state of a connector, and of its tasks, changed.
type counted struct{ ofConnector, ofTasks uint64 }

// A run ends after a connector whose name has a hash of this kind, so that a
// connector that comes or goes moves no other run's ends; and it has a largest
// size, four times the usual one.
const usualRun = 1 << 7

// runsOf divides the connectors of a view into runs, taking over those of
// before that are still alike.
func runsOf(v *View, seed maphash.Seed, usual int, before []*run) []*run {
	known := make(map[string]*run, len(before))
	for _, r := range before {
		known[r.connectors[0].Name] = r
	}
	connectors, counts := v.Snapshot.Connectors, countedOf(v)
	var runs []*run
	for start := 0; start < len(connectors); {
		end := start + 1
		for end < len(connectors) && end-start < 4*usual && maphash.String(seed, connectors[end-1].Name)%uint64(usual) != 0 {
			end++
		}
		r := &run{connectors: connectors[start:end:end], counted: counts[start:end:end]}
		if old := known[connectors[start].Name]; old != nil && old.sameAs(r) {
			// Of the old snapshot nothing may be kept in memory by this.
			r.encoded = old.encoded
		} else {
			r.encoded = map[encoding]*encodedRun{}
		}
		runs = append(runs, r)
		start = end
	}
	return runs
}

// countedOf returns the changes of each connector of a view.
func countedOf(v *View) []counted {
	counts := make([]counted, len(v.Snapshot.Connectors))
	left := v.changes
	for i := range v.Snapshot.Connectors {
		// Both are sorted by name.
		name := v.Snapshot.Connectors[i].Name
		for len(left) > 0 && left[0].connector < name {
			left = left[1:]
		}
		if len(left) > 0 && left[0].connector == name {
			counts[i] = counted{left[0].ofConnector, left[0].ofTasks}
		}
	}
	return counts
}

// sameAs tells whether two runs have the same series.
func (r *run) sameAs(other *run) bool {
	return slices.Equal(r.counted, other.counted) &&
		slices.EqualFunc(r.connectors, other.connectors, func(a, b connect.Connector) bool { return alike(&a, &b) })
}

// alike tells whether two looks at a connector are the same in every field.
func alike(a, b *connect.Connector) bool {
	return a.Name == b.Name && a.State == b.State && a.Worker == b.Worker && a.Failure == b.Failure &&
		a.Type == b.Type && a.Class == b.Class && a.Version == b.Version && a.ID == b.ID &&
		a.TasksMax == b.TasksMax && a.TaskCount == b.TaskCount && slices.Equal(a.Tasks, b.Tasks) &&
		equalValues(a.Runtime, b.Runtime) && equalValues(a.Reported, b.Reported)
}

// equalValues compares what two pointers point to.
func equalValues[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

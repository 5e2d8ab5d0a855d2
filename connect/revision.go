package connect

import "slices"

// A Revision stands for what a snapshot holds: where two snapshots have the same
// one, they hold the same Connectors and Unobserved, and nobody needs to compare
// them. The zero Revision stands for nothing and is the same as none, not even
// as itself: compare with [Revision.Same].
type Revision struct {
	// One byte, because two pointers to a value without size may be equal.
	token *byte
}

// NewRevision returns a Revision that differs from every other.
func NewRevision() Revision { return Revision{new(byte)} }

// Same tells whether both stand for the same contents.
func (r Revision) Same(other Revision) bool { return r.token != nil && r == other }

// Equal tells whether two snapshots tell the same of a connector, in every field.
func (c *Connector) Equal(other *Connector) bool {
	return c.Name == other.Name && c.State == other.State && c.Worker == other.Worker && c.Failure == other.Failure &&
		c.Type == other.Type && c.Class == other.Class && c.Version == other.Version && c.ID == other.ID &&
		c.ConsumerGroup == other.ConsumerGroup && c.OffsetsTopic == other.OffsetsTopic &&
		c.TasksMax == other.TasksMax && c.TaskCount == other.TaskCount && slices.Equal(c.Tasks, other.Tasks) &&
		slices.Equal(c.Labels, other.Labels) && c.ConfigChanged.Equal(other.ConfigChanged) &&
		equalPointees(c.Runtime, other.Runtime) && equalPointees(c.Reported, other.Reported)
}

func equalPointees[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// Revisions gives the successive snapshots of one Observer their Revision. The
// zero value has seen none.
type Revisions struct {
	revision   Revision
	connectors []Connector
	unobserved []Unobserved
}

// Next sets the Revision of the snapshot that follows, which is complete and not
// returned yet. What is the same as before takes the memory of before, which is
// therefore never written to: neither here nor by the Observer.
func (r *Revisions) Next(s *Snapshot) {
	same := r.revision != Revision{}
	if equalConnectors(r.connectors, s.Connectors) {
		s.Connectors = r.connectors
	} else {
		same, r.connectors = false, s.Connectors
	}
	if slices.Equal(r.unobserved, s.Unobserved) {
		s.Unobserved = r.unobserved
	} else {
		same, r.unobserved = false, s.Unobserved
	}
	if !same {
		r.revision = NewRevision()
	}
	s.Revision = r.revision
}

// equalConnectors tells whether both hold equal connectors, at once where they
// are the same memory.
func equalConnectors(a, b []Connector) bool {
	if len(a) != len(b) || len(a) == 0 || &a[0] == &b[0] {
		return len(a) == len(b)
	}
	for i := range a {
		if !a[i].Equal(&b[i]) {
			return false
		}
	}
	return true
}

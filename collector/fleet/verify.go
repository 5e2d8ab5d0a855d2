package fleet

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// maxExposed is how many bytes the series of a cluster may take as text, roughly:
// about ten times what 10,000 connectors with four tasks each do.
const maxExposed = 512 << 20

// verify checks what a snapshot promises and what the exposition relies on:
// order, no object twice, valid UTF-8, nothing without bounds. An observer that
// breaks it costs its own cluster, not the whole scrape, which Prometheus would
// refuse; a connector that has a text beyond [connect.MaxText] is taken for
// unobserved. It returns the snapshot, or a copy without such connectors.
//
// Connectors of the revision of a snapshot before, which it returned, are not
// verified again.
func verify(snapshot, before *connect.Snapshot) (*connect.Snapshot, error) {
	if snapshot == nil {
		return nil, fmt.Errorf("%w: no snapshot and no error", connect.Decode)
	}
	v := verifier{}
	v.cluster(snapshot)
	if before != nil && before.Revision.Same(snapshot.Revision) {
		if len(before.Connectors) != len(snapshot.Connectors) {
			limited := *snapshot
			limited.Connectors, limited.Unobserved = before.Connectors, before.Unobserved
			snapshot = &limited
		}
	} else {
		v.connectors(snapshot)
		snapshot = v.limit(snapshot)
	}
	return snapshot, v.err()
}

// A verifier remembers what is broken.
type verifier struct {
	broken  string
	exposed int   // bytes of series, roughly
	long    []int // connectors that have a text that is too long
}

func (v *verifier) err() error {
	switch {
	case v.broken != "":
		return fmt.Errorf("%w: %s", connect.Decode, v.broken)
	case v.exposed > maxExposed:
		return fmt.Errorf("%w: its series would take more than %d MB; observe a part of the connectors", connect.TooLarge, maxExposed>>20)
	}
	return nil
}

// cluster verifies what a snapshot says of the cluster as a whole.
func (v *verifier) cluster(s *connect.Snapshot) {
	v.short(s.Version, s.Commit, s.KafkaClusterID, string(s.Provider), s.ObservationVersion)
	for i, probe := range s.Probes {
		v.ordered(i == 0 || probe.Worker > s.Probes[i-1].Worker, "probes")
		v.short(probe.Worker, probe.Version, probe.Commit)
	}
	for i, health := range s.Health {
		v.ordered(i == 0 || health.Worker > s.Health[i-1].Worker, "health of workers")
		v.short(health.Worker)
	}
	for i, c := range s.Certificates {
		v.ordered(i == 0 || c.Host > s.Certificates[i-1].Host, "certificates")
		v.short(c.Host)
	}
}

// connectors verifies the connectors of a snapshot.
func (v *verifier) connectors(s *connect.Snapshot) {
	for i := range s.Connectors {
		c := &s.Connectors[i]
		v.ordered(i == 0 || c.Name > s.Connectors[i-1].Name, "connectors")
		v.state(c.State)
		fits := v.text(c.Name, c.Worker, c.Type, c.Class, c.ID, c.Version, c.Failure.Exception, c.Failure.RootCause)
		for _, l := range c.Labels {
			fits = v.text(l.Key, l.Value) && fits
		}
		size := 1500 + 12*len(c.Name) + len(c.Class) // in about a dozen series
		for j := range c.Tasks {
			t := &c.Tasks[j]
			v.ordered(j == 0 || t.ID > c.Tasks[j-1].ID, "tasks")
			v.state(t.State)
			fits = v.text(t.Worker, t.Version, t.Failure.Exception, t.Failure.RootCause) && fits
			size += 300 + 2*len(c.Name) + len(t.Worker)
		}
		if fits {
			v.exposed += size
		} else {
			v.long = append(v.long, i)
		}
	}
	for _, u := range s.Unobserved {
		v.valid(u.Connector)
	}
}

// limit returns the snapshot without the connectors that have a text that is too
// long. The revision stays: of one, nobody is shown anything else.
func (v *verifier) limit(s *connect.Snapshot) *connect.Snapshot {
	if len(v.long) == 0 {
		return s
	}
	limited := *s
	limited.Connectors = make([]connect.Connector, 0, len(s.Connectors)-len(v.long))
	limited.Unobserved = slices.Clone(s.Unobserved)
	long := v.long
	for i := range s.Connectors {
		if len(long) > 0 && long[0] == i {
			long = long[1:]
			limited.Unobserved = append(limited.Unobserved, connect.Unobserved{Connector: s.Connectors[i].Name, Reason: connect.TooLarge})
			continue
		}
		limited.Connectors = append(limited.Connectors, s.Connectors[i])
	}
	connect.SortUnobserved(limited.Unobserved)
	return &limited
}

func (v *verifier) ordered(ok bool, what string) {
	if !ok {
		v.broken = what + " are not in order or one is there twice"
	}
}

func (v *verifier) state(s connect.State) {
	if int(s) >= connect.StateCount {
		v.broken = "a state is out of range"
	}
}

func (v *verifier) valid(value string) {
	if !utf8.ValidString(value) {
		v.broken = "a text is not valid UTF-8"
	}
}

// text verifies texts and tells whether all are short enough.
func (v *verifier) text(values ...string) (fits bool) {
	fits = true
	for _, value := range values {
		v.valid(value)
		fits = fits && len(value) <= connect.MaxText
	}
	return fits
}

// short verifies texts that must be short enough.
func (v *verifier) short(values ...string) {
	if !v.text(values...) {
		v.broken = "a text is too long"
	}
}

// verifyBrokers is verify for what brokers tell, which costs nothing else: it
// returns that, or why it is none. Events of the revision before are not verified
// again.
func verifyBrokers(b *connect.Brokers, before *connect.Snapshot) *connect.Brokers {
	if b == nil {
		return nil
	}
	v := verifier{}
	if g := b.Group; g != nil {
		v.short(string(g.State))
		for i := range g.Members {
			v.ordered(i == 0 || g.Members[i].Worker > g.Members[i-1].Worker, "members")
			v.short(g.Members[i].Worker)
		}
	}
	for i := range b.Sinks {
		v.ordered(i == 0 || b.Sinks[i].Connector > b.Sinks[i-1].Connector, "sinks")
		v.short(b.Sinks[i].Connector)
		for _, p := range b.Sinks[i].Partitions {
			v.short(p.Topic)
		}
	}
	for i := range b.Sources {
		v.ordered(i == 0 || b.Sources[i].Connector > b.Sources[i-1].Connector, "sources")
		v.short(b.Sources[i].Connector)
		for _, t := range b.Sources[i].Topics {
			v.short(t.Topic)
		}
	}
	known := before != nil && before.Brokers != nil && before.Brokers.EventsRevision.Same(b.EventsRevision)
	if b.TellsTopics && !known {
		for name, events := range b.Events {
			if len(events.Topics) > 0 {
				v.short(name)
				v.short(events.Topics...)
			}
		}
	}
	if err := v.err(); err != nil {
		return &connect.Brokers{Err: fmt.Errorf("ask the brokers: %w", err), Errors: b.Errors, Taken: b.Taken}
	}
	return b
}

package fleet

import (
	"fmt"
	"unicode/utf8"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// verify checks what a snapshot promises and what the exposition relies on:
// order, no object twice, valid UTF-8. An observer that breaks it costs its own
// cluster, not the whole scrape, which Prometheus would refuse. Connectors of the
// revision of a snapshot before, which has been verified, are not verified again.
func verify(snapshot, before *connect.Snapshot) error {
	if snapshot == nil {
		return fmt.Errorf("%w: no snapshot and no error", connect.Decode)
	}
	v := verifier{}
	v.text(snapshot.Version, snapshot.Commit, snapshot.KafkaClusterID, string(snapshot.Provider), snapshot.ObservationVersion)
	for i, probe := range snapshot.Probes {
		if i > 0 && probe.Worker <= snapshot.Probes[i-1].Worker {
			v.broken = "probes are not in order or one is there twice"
		}
		v.text(probe.Worker, probe.Version, probe.Commit)
	}
	for i, health := range snapshot.Health {
		if i > 0 && health.Worker <= snapshot.Health[i-1].Worker {
			v.broken = "health is not in order or one worker is there twice"
		}
		v.text(health.Worker)
	}
	for i, c := range snapshot.Certificates {
		if i > 0 && c.Host <= snapshot.Certificates[i-1].Host {
			v.broken = "certificates are not in order or one host is there twice"
		}
		v.text(c.Host)
	}
	connectors := snapshot.Connectors
	if before != nil && before.Revision.Same(snapshot.Revision) {
		connectors = nil
	}
	for i := range connectors {
		c := &connectors[i]
		if i > 0 && c.Name <= connectors[i-1].Name {
			v.broken = "connectors are not in order or one is there twice"
		}
		v.state(c.State)
		v.text(c.Name, c.Worker, c.Type, c.Class, c.ID, c.Version, c.Failure.Exception, c.Failure.RootCause)
		for _, l := range c.Labels {
			v.text(l.Value)
		}
		for j := range c.Tasks {
			t := &c.Tasks[j]
			if j > 0 && t.ID <= c.Tasks[j-1].ID {
				v.broken = "tasks are not in order or one is there twice"
			}
			v.state(t.State)
			v.text(t.Worker, t.Version, t.Failure.Exception, t.Failure.RootCause)
		}
	}
	if v.broken != "" {
		return fmt.Errorf("%w: %s", connect.Decode, v.broken)
	}
	return nil
}

// A verifier remembers what is broken.
type verifier struct{ broken string }

func (v *verifier) state(s connect.State) {
	if int(s) >= connect.StateCount {
		v.broken = "a state is out of range"
	}
}

func (v *verifier) text(values ...string) {
	for _, value := range values {
		if !utf8.ValidString(value) {
			v.broken = "a text is not valid UTF-8"
		}
	}
}

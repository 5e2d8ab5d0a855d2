package connect

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// An Observer takes snapshots of one Kafka Connect cluster.
type Observer interface {
	// Observe takes one snapshot within ctx's deadline. It is called by one
	// goroutine at a time. An error wraps a [Reason] and says what was being
	// done; it carries no credential, and nothing of a connector's
	// configuration or trace. What fails for single connectors is no error but
	// counted in Snapshot.Unobserved. A snapshot that comes with an error holds
	// nothing but Brokers: what was had in spite of it.
	//
	// report is told of each API call as it ends, possibly from several
	// goroutines at once; it may be nil.
	Observe(ctx context.Context, report func(Request)) (*Snapshot, error)

	// Close releases idle connections. Observe is not called after it.
	Close()
}

// MaxText is how many bytes a text of a cluster may have that stands in a
// snapshot, and so in a label: far more than any real one. A connector that has a
// longer one is unobserved, reason TooLarge.
const MaxText = 1 << 10

// A Snapshot is what a cluster was at one moment. It does not change once it is returned:
// many readers share it.
type Snapshot struct {
	Provider Provider
	// ObservationVersion is how it was taken: "1" is list and a call per
	// connector, "2" is expanded calls, "" where the provider knows no such
	// choice.
	ObservationVersion string

	// Version and Commit of the worker that answered, and the id of the Kafka
	// cluster behind it (GET /); empty where not known.
	Version, Commit, KafkaClusterID string

	// ResourceState is the provider's state of the service as a whole (Aiven);
	// "" where the provider has none, or could not be asked just now.
	ResourceState ResourceState

	// Revision is that of Connectors and Unobserved: two snapshots with the same
	// one hold the same of both. Every observer sets it.
	Revision Revision

	// Connectors observed, sorted by name, no name twice.
	Connectors []Connector

	// Unobserved are the connectors that the cluster lists and that could not
	// be observed, sorted by name; nil when there are none.
	Unobserved []Unobserved

	// HasTasks is false where the provider tells nothing of tasks (MSK
	// Connect), so that none are invented.
	HasTasks bool

	// Probes are the workers that were themselves asked whether they live, sorted
	// by worker, none twice; nil where nobody asked.
	Probes []Probe

	// Health is what workers said of themselves to GET /health (KIP-1017, Kafka 3.9),
	// sorted by worker, none twice: those at the cluster's own URLs, named host:port
	// as in the URL, and those that were probed. One that was not asked lately, or
	// knows no such question, is not in it. It is asked beside the snapshots, so
	// that it may be older than the rest.
	Health []Health

	// Certificates are what hosts showed of themselves when they were connected to
	// by TLS, sorted by host, none twice.
	Certificates []Certificate

	// ForeignHosts are the hosts among the cluster's URLs that lead to another
	// Connect cluster than the one that this snapshot is of, sorted.
	ForeignHosts []string

	// Brokers are what the Kafka brokers tell; nil where they are not asked.
	Brokers *Brokers

	// Bytes is the size of all answers that made this snapshot.
	Bytes int64

	// Taken is when the last answer was in.
	Taken time.Time
}

// An Unobserved connector is listed, but its status could not be had.
type Unobserved struct {
	Connector string
	// Reason is one of [UnobservedReasons].
	Reason Reason
}

// A Probe is whether a worker that the snapshot names answers by itself.
type Probe struct {
	Worker string
	Up     bool
	// Version and Commit as the worker tells them; empty where it did not.
	Version, Commit string
}

// Health is whether a worker says that it can do its work: its herder answers
// and, with that, Kafka does. One that is still starting cannot.
type Health struct {
	Worker  string
	Healthy bool
}

// A Certificate is the leaf that a host, host:port, showed in a TLS handshake.
type Certificate struct {
	Host     string
	NotAfter time.Time
}

// A Connector and its tasks.
type Connector struct {
	Name  string
	State State
	// Worker is the worker that runs the connector (host:port as the worker
	// advertises itself), "" if none is named.
	Worker  string
	Failure Failure

	// Type is "source", "sink" or "unknown".
	Type string
	// Class is connector.class, "" until it was had.
	Class string
	// Version is the plugin's version, on workers since 4.1 (KIP-891).
	Version string
	// ID is the provider's own id of the connector (lcc-… on Confluent Cloud,
	// the ARN on MSK Connect).
	ID string

	// ConsumerGroup is consumer.override.group.id, OffsetsTopic
	// offsets.storage.topic (KIP-618); "" where not set or not known.
	ConsumerGroup, OffsetsTopic string

	// TasksMax is tasks.max, 0 if not known.
	TasksMax int
	// TaskCount is how many tasks exist: as the configuration says where it was
	// had, else as many as have a status.
	TaskCount int
	// Tasks that have a status, sorted by ID, no ID twice.
	Tasks []Task

	// Labels are the values of the configuration's keys that the observer was told
	// to show, in that order and without those that are not set, are too long for
	// a label, or may be secret.
	Labels []Label
	// ConfigChanged is when another configuration than before was first seen, zero
	// if none was: the configuration itself is not kept, and nothing is known of
	// the time before this process.
	ConfigChanged time.Time

	// Runtime and Reported are nil where the provider tells no such thing.
	Runtime  *Runtime
	Reported *Reported
}

// A Label is one setting of a connector that may be shown.
type Label struct{ Key, Value string }

// A Task of a connector.
type Task struct {
	ID      int
	State   State
	Worker  string
	Version string
	Failure Failure
}

// A Failure is why a connector or a task is in StateFailed, as far as it may be
// shown: class names only, because messages quote data and configuration. Zero
// when it has not failed; "unknown" where the cluster names no class.
type Failure struct {
	// Exception is the class that was thrown.
	Exception string
	// RootCause is the class of its innermost cause; Exception if it has none.
	RootCause string
}

// A Request is one API call that an Observer made.
type Request struct {
	// Endpoint is which call it was, from a small fixed set (list, expand,
	// status, info, root, health, plugin, worker, …): a label value.
	Endpoint string
	// Connector that the call was about, "" if about none. Never a label.
	Connector string
	// Host that was asked, host:port, without credentials or path.
	Host string
	// Code is the HTTP status, 0 if there was no answer.
	Code int
	// Start and Duration of the call, the reading of the body included.
	Start    time.Time
	Duration time.Duration
	// Decoding is the part of Duration that was not spent waiting for bytes.
	Decoding time.Duration
	// Bytes of the body that were read.
	Bytes int64
	// Err is why it failed, nil if it did not.
	Err error
}

// SortConnectors brings connectors, and the tasks of each, into the order that
// Snapshot promises.
func SortConnectors(connectors []Connector) {
	byName := func(a, b Connector) int { return cmp.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(connectors, byName) {
		slices.SortFunc(connectors, byName)
	}
	for i := range connectors {
		SortTasks(connectors[i].Tasks)
	}
}

// SortTasks brings tasks into the order of their ids.
func SortTasks(tasks []Task) {
	byID := func(a, b Task) int { return cmp.Compare(a.ID, b.ID) }
	if !slices.IsSortedFunc(tasks, byID) {
		slices.SortFunc(tasks, byID)
	}
}

// SortUnobserved brings unobserved connectors into the order that Snapshot
// promises.
func SortUnobserved(unobserved []Unobserved) {
	slices.SortFunc(unobserved, func(a, b Unobserved) int { return cmp.Compare(a.Connector, b.Connector) })
}

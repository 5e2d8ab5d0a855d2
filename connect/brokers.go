package connect

import "time"

// Brokers are what the Kafka brokers behind a Connect cluster tell of it: its
// workers' group, every transition in its status topic, how far its sinks and
// sources have come. What was not asked for, or could not be had, is nil; Err
// says why.
type Brokers struct {
	// Err is why something that was asked for could not be had, and wraps one of
	// [BrokersReasons]; nil if all was. What it does not concern is there all the same.
	Err error
	// Errors counts the snapshots since the cluster is observed in which something
	// failed, by reason.
	Errors map[Reason]int
	// Taken is when the last answer was in.
	Taken time.Time

	// Group is the workers' group.
	Group *Group
	// OrphanedTasks are said to run on a worker that does not run them: it is no
	// member of the group, or has not been given them.
	OrphanedTasks Count
	// DuplicatedTasks are assigned to more than one worker.
	DuplicatedTasks Count

	// Events are those of the connectors that are alive, by name; nil until the
	// status topic was read to its end once, and from then on always there: where
	// it could not be read this time, they are those of the last time. The map and
	// what it points to do not change.
	Events map[string]*Events
	// EventsRevision is that of Events.
	EventsRevision Revision
	// TellsTopics is whether topics were asked for: whether any of Events may have
	// some.
	TellsTopics bool

	// Sinks are the connectors that have a consumer group, sorted by name.
	Sinks []Sink
	// SinksLimited tells that the partitions of Sinks are left out, because they
	// would be more series than allowed.
	SinksLimited bool
	// Sources are the connectors whose progress is known, sorted by name.
	Sources []Source
}

// Unavailable says that brokers answer, but what was asked for is not there just now: a
// partition without a leader, a coordinator that is loading.
const Unavailable Reason = "unavailable"

// BrokersReasons lists why brokers can fail to tell something.
func BrokersReasons() []Reason {
	return []Reason{Timeout, Unreachable, Unauthorized, Forbidden, NotFound, Unavailable, Decode}
}

// GroupState is the state of a consumer group, in lower case with underscores.
type GroupState string

// The states of a group as brokers write them (kafka.coordinator.group).
const (
	GroupStable              GroupState = "stable"
	GroupPreparingRebalance  GroupState = "preparing_rebalance"
	GroupCompletingRebalance GroupState = "completing_rebalance"
	GroupEmpty               GroupState = "empty"
	// GroupDead is a group that does not exist, too.
	GroupDead    GroupState = "dead"
	GroupUnknown GroupState = "unknown"
)

// GroupStates lists every state of a group.
func GroupStates() []GroupState {
	return []GroupState{GroupStable, GroupPreparingRebalance, GroupCompletingRebalance, GroupEmpty, GroupDead, GroupUnknown}
}

// A Group is the group by which the workers of a Connect cluster share its work.
type Group struct {
	State GroupState
	// Members are sorted by Worker, which is unique.
	Members []Member
	// RebalanceDelay is what is left of the time for which the work of a lost
	// worker is held back for it (KIP-415); 0 when none is.
	RebalanceDelay time.Duration
}

// A Member is a worker that lives, as the group's coordinator sees it.
type Member struct {
	// Worker is how it names itself in statuses, with its address where several
	// have one name (MirrorMaker 2).
	Worker string
	// Leader hands out the work.
	Leader bool
	// Connectors and Tasks are what it was given; not known until the group was
	// stable once.
	Connectors, Tasks Count
	// ConfigLag is by how many records of the config topic its configuration was
	// behind the leader's when it joined.
	ConfigLag Count
}

// Events are what the status topic tells of a connector and its tasks.
type Events struct {
	// State of the connector, and since when it has it; zero time if not known.
	State State
	Since time.Time
	// Tasks that have a status, sorted by ID.
	Tasks []TaskEvents
	// Counts since the exporter reads the topic: changes of state and failures
	// of the connector, and those of its tasks taken together. A restart is a task
	// that came up again on request, or after it had failed.
	StateChanges, Failures                       int
	TaskStateChanges, TaskFailures, TaskRestarts int
	// Topics that the connector uses, sorted; nil where not asked for.
	Topics []string
}

// TaskEvents are the state of a task and since when it has it.
type TaskEvents struct {
	ID    int
	State State
	Since time.Time
}

// Of returns the events of a connector, nil if there are none.
func (b *Brokers) Of(connector string) *Events {
	if b == nil {
		return nil
	}
	return b.Events[connector]
}

// A Sink is how far a connector's consumer group has come.
type Sink struct {
	Connector string
	// HasCommits tells that it has a commit in a partition; without, nothing but
	// Uncommitted is known.
	HasCommits bool
	// Lag is the number of records between what is committed and the end, in all
	// partitions that have a commit; Committed the sum of these commits.
	Lag, Committed int64
	// Seconds is how long ago the oldest record that is not committed was written,
	// as the end offsets of earlier snapshots tell; at least so long where these do not
	// reach back. Negative: not known yet.
	Seconds float64
	// Uncommitted is how many partitions of its topics have no commit.
	Uncommitted int
	// Partitions that have a commit, sorted; nil where limited.
	Partitions []PartitionLag
}

// PartitionLag is the lag in one partition, in records.
type PartitionLag struct {
	Topic     string
	Partition int
	Lag       int64
}

// A Source is how far a connector that reads from elsewhere has come.
type Source struct {
	Connector string
	// Committed is when it last committed an offset; zero if never seen.
	Committed time.Time
	// Topics it writes, and when the newest record of each was written; sorted,
	// nil where not asked for.
	Topics []TopicTime
}

// A TopicTime is when the newest record of a topic was written.
type TopicTime struct {
	Topic  string
	Newest time.Time
}

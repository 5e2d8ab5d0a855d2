package series

import (
	"maps"
	"slices"
	"strconv"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// What several rows of the brokers say.
const (
	onKafka         = "kafka"
	ofGroup         = "the workers' group (DescribeGroups)"
	ofCommits       = "commits of the connector's consumer group, and the ends of its topics"
	perMember       = "1 per member of the group"
	perSink         = "1 per sink"
	onGroup         = "kafka.group_id"
	onOffsets       = "kafka.offset_storage_topic"
	onceKnown       = ", absent until the group was stable once"
	whileKnownGroup = perCluster + ", absent while the group cannot be described"
)

// brokersRows are what only the brokers know.
var brokersRows = map[Group]map[Family]Descriptor{
	GroupCluster: {
		BrokersUp: Gauge.row("kafka.connect.brokers.up", "", "",
			"Whether everything that was asked of the brokers behind the cluster was had (1) or not (0)",
			perCluster, ofOwnWork, onKafka),
		BrokersErrors: Counter.row("kafka.connect.brokers.errors", "{error}", "reason",
			"Snapshots in which something could not be had of the brokers",
			"7 per cluster: every reason, 0 included", ofOwnWork, onKafka),
		GroupState: Gauge.row("kafka.connect.group.state", "", "state",
			"State of the workers' group: 1 for the state that it is in, stable, preparing_rebalance, completing_rebalance, empty, dead or unknown",
			"6 per cluster: every state, 0 included; absent while the group cannot be described", ofGroup, onGroup),
		GroupMembers: Gauge.row("kafka.connect.group.members", "{worker}", "",
			"Workers that are members of the group: those that live, by the brokers",
			whileKnownGroup, ofGroup, onGroup),
		GroupMemberInfo: Gauge.row("kafka.connect.group.member_info", "", "leader worker",
			"Name of a member of the workers' group, and whether it leads: true or false; always 1",
			perMember, ofGroup, onGroup),
		GroupAssignedConnectors: Gauge.row("kafka.connect.group.assigned_connectors", "{connector}", "worker",
			"Connectors that the group has assigned to the worker",
			perMember+onceKnown, ofGroup, onGroup),
		GroupAssignedTasks: Gauge.row("kafka.connect.group.assigned_tasks", "{task}", "worker",
			"Tasks that the group has assigned to the worker",
			perMember+onceKnown, ofGroup, onGroup),
		GroupRebalanceDelay: Gauge.row("kafka.connect.group.scheduled_rebalance_delay", "s", "",
			"How long the work of a lost worker is held back for it from now on, at most; 0 when none is",
			whileKnownGroup, ofGroup, onGroup),
		GroupConfigLag: Gauge.row("kafka.connect.group.config_offset_lag", "{record}", "worker",
			"Records of the config topic that the worker was behind the leader when it joined the group last",
			perMember+onceKnown, ofGroup, onGroup),
		TasksOrphaned: Gauge.row("kafka.connect.tasks.orphaned", "{task}", "",
			"Tasks that are said to run on a worker that does not run them: it is no member of the group, or came back and was not given them for ten seconds",
			whileKnownGroup, "status topic (else REST) beside the workers' group", onGroup),
		TasksDuplicated: Gauge.row("kafka.connect.tasks.duplicated", "{task}", "",
			"Tasks that are assigned to more than one member of the workers' group",
			whileKnownGroup, ofGroup, onGroup),
		SinkLagLimited: Gauge.row("kafka.connect.sink.lag_limited", "", "",
			"Whether kafka_connect_sink_lag is left out because it would have more series than sink_lag.max_series (1) or not (0)",
			perCluster, ofOwnWork, onKafka),
	},
	GroupConnector: {
		SinkLag: Gauge.row("kafka.connect.sink.lag", "{record}", "connector partition topic",
			"Records of the partition that the sink has not committed yet",
			"1 per sink and partition that it has committed in, kafka.sink_lag.max_series at most", ofCommits, onKafka),
		SinkLagSum: Gauge.row("kafka.connect.sink.lag_sum", "{record}", "connector",
			"Records that the sink has not committed yet, in all partitions that it has committed in",
			perSink, ofCommits, onKafka),
		SinkLagSeconds: Gauge.row("kafka.connect.sink.lag.seconds", "s", "connector",
			"How long ago the oldest record that the sink has not committed was written, by the ends of topics in earlier snapshots; at least so long where these do not reach back",
			perSink+", absent until known", ofCommits, onKafka),
		SinkCommitted: Gauge.row("kafka.connect.sink.committed_offset_sum", "{record}", "connector",
			"Sum of the offsets that the sink has committed; that of one that does nothing stands still",
			perSink, ofCommits, onKafka),
		SinkUncommitted: Gauge.row("kafka.connect.sink.partitions_uncommitted", "{partition}", "connector",
			"Partitions of the sink's topics that it has no commit in; its lag does not count them",
			perSink, ofCommits, onKafka),
		SourceCommitTimestamp: Gauge.row("kafka.connect.source.offset_commit_timestamp", "s", "connector",
			"When the source last committed an offset, in seconds since the epoch; one that has nothing to do commits none",
			"1 per source, absent if it never committed", "records of the offset topic", onOffsets),
		SourceNewestRecord: Gauge.row("kafka.connect.source.topic_newest_record_timestamp", "s", "connector topic",
			"Time of the newest record of a topic that the source writes, in seconds since the epoch",
			"1 per source and topic", "ListOffsets of the topic (brokers from 3.0 on)", "kafka.source_topics"),
		ConnectorTopicInfo: Gauge.row("kafka.connect.connector.topic_info", "", "connector topic",
			"A topic that the connector uses; always 1",
			"1 per connector and topic", "status topic (KIP-558)", "kafka.connector_topics"),
	},
}

// These are asked for in every walk.
var (
	groupStates    = connect.GroupStates()
	brokersReasons = connect.BrokersReasons()
)

// brokers emits what only the brokers know, but for what is counted.
func (w *Walk) brokers(b *connect.Brokers) {
	w.Emit(BrokersUp, boolValue(b.Err == nil), Labels{})
	for _, reason := range brokersReasons {
		w.Emit(BrokersErrors, float64(b.Errors[reason]), Labels{string(reason)})
	}
	if b.Group != nil {
		w.group(b.Group)
	}
	if n := b.OrphanedTasks; n.Known {
		w.Emit(TasksOrphaned, float64(n.Value), Labels{})
	}
	if n := b.DuplicatedTasks; n.Known {
		w.Emit(TasksDuplicated, float64(n.Value), Labels{})
	}
	w.Emit(SinkLagLimited, boolValue(b.SinksLimited), Labels{})
	for i := range b.Sinks {
		s := &b.Sinks[i]
		l := Labels{s.Connector}
		w.Emit(SinkUncommitted, float64(s.Uncommitted), l)
		if !s.HasCommits {
			continue
		}
		w.Emit(SinkLagSum, float64(s.Lag), l)
		w.Emit(SinkCommitted, float64(s.Committed), l)
		if s.Seconds >= 0 {
			w.Emit(SinkLagSeconds, s.Seconds, l)
		}
		for _, p := range s.Partitions {
			w.Emit(SinkLag, float64(p.Lag), Labels{s.Connector, strconv.Itoa(p.Partition), p.Topic})
		}
	}
	for i := range b.Sources {
		s := &b.Sources[i]
		if !s.Committed.IsZero() {
			w.Emit(SourceCommitTimestamp, Seconds(s.Committed), Labels{s.Connector})
		}
		for _, t := range s.Topics {
			w.Emit(SourceNewestRecord, Seconds(t.Newest), Labels{s.Connector, t.Topic})
		}
	}
	if b.TellsTopics {
		for _, name := range slices.Sorted(maps.Keys(b.Events)) {
			for _, topic := range b.Events[name].Topics {
				w.Emit(ConnectorTopicInfo, 1, Labels{name, topic})
			}
		}
	}
}

func (w *Walk) group(g *connect.Group) {
	for _, s := range groupStates {
		w.Emit(GroupState, boolValue(s == g.State), Labels{string(s)})
	}
	w.Emit(GroupMembers, float64(len(g.Members)), Labels{})
	w.Emit(GroupRebalanceDelay, g.RebalanceDelay.Seconds(), Labels{})
	for i := range g.Members {
		m := &g.Members[i]
		w.Emit(GroupMemberInfo, 1, Labels{strconv.FormatBool(m.Leader), m.Worker})
		count := func(f Family, n connect.Count) {
			if n.Known {
				w.Emit(f, float64(n.Value), Labels{m.Worker})
			}
		}
		count(GroupAssignedConnectors, m.Connectors)
		count(GroupAssignedTasks, m.Tasks)
		count(GroupConfigLag, m.ConfigLag)
	}
}

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

// brokersTable are the rows of what only the brokers know.
var brokersTable = map[Family]Descriptor{
	BrokersUp: {
		Name: "kafka_connect_brokers_up", OTelName: "kafka.connect.brokers.up", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel},
		Help:        "Whether everything that was asked of the brokers behind the cluster was had (1) or not (0)",
		Cardinality: perCluster, Origin: ofOwnWork, OptIn: onKafka,
	},
	BrokersErrors: {
		Name: "kafka_connect_brokers_errors_total", OTelName: "kafka.connect.brokers.errors", Unit: "{error}", Kind: Counter, Group: GroupCluster,
		Labels:      []string{ClusterLabel, "reason"},
		Help:        "Snapshots in which something could not be had of the brokers",
		Cardinality: "7 per cluster: every reason, 0 included", Origin: ofOwnWork, OptIn: onKafka,
	},
	GroupState: {
		Name: "kafka_connect_group_state", OTelName: "kafka.connect.group.state", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel, "state"},
		Help:        "State of the workers' group: 1 for the state that it is in, stable, preparing_rebalance, completing_rebalance, empty, dead or unknown",
		Cardinality: "6 per cluster: every state, 0 included; absent while the group cannot be described", Origin: ofGroup, OptIn: onGroup,
	},
	GroupMembers: {
		Name: "kafka_connect_group_members", OTelName: "kafka.connect.group.members", Unit: "{worker}", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel},
		Help:        "Workers that are members of the group: those that live, by the brokers",
		Cardinality: whileKnownGroup, Origin: ofGroup, OptIn: onGroup,
	},
	GroupMemberInfo: {
		Name: "kafka_connect_group_member_info", OTelName: "kafka.connect.group.member_info", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel, "leader", "worker"},
		Help:        "Name of a member of the workers' group, and whether it leads: true or false; always 1",
		Cardinality: perMember, Origin: ofGroup, OptIn: onGroup,
	},
	GroupAssignedConnectors: {
		Name: "kafka_connect_group_assigned_connectors", OTelName: "kafka.connect.group.assigned_connectors", Unit: "{connector}", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel, "worker"},
		Help:        "Connectors that the group has assigned to the worker",
		Cardinality: perMember + onceKnown, Origin: ofGroup, OptIn: onGroup,
	},
	GroupAssignedTasks: {
		Name: "kafka_connect_group_assigned_tasks", OTelName: "kafka.connect.group.assigned_tasks", Unit: "{task}", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel, "worker"},
		Help:        "Tasks that the group has assigned to the worker",
		Cardinality: perMember + onceKnown, Origin: ofGroup, OptIn: onGroup,
	},
	GroupRebalanceDelay: {
		Name: "kafka_connect_group_scheduled_rebalance_delay_seconds", OTelName: "kafka.connect.group.scheduled_rebalance_delay", Unit: "s", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel},
		Help:        "How long the work of a lost worker is held back for it from now on, at most; 0 when none is",
		Cardinality: whileKnownGroup, Origin: ofGroup, OptIn: onGroup,
	},
	GroupConfigLag: {
		Name: "kafka_connect_group_config_offset_lag", OTelName: "kafka.connect.group.config_offset_lag", Unit: "{record}", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel, "worker"},
		Help:        "Records of the config topic that the worker was behind the leader when it joined the group last",
		Cardinality: perMember + onceKnown, Origin: ofGroup, OptIn: onGroup,
	},
	TasksOrphaned: {
		Name: "kafka_connect_tasks_orphaned", OTelName: "kafka.connect.tasks.orphaned", Unit: "{task}", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel},
		Help:        "Tasks that are said to run on a worker that does not run them: it is no member of the group, or came back and was not given them for ten seconds",
		Cardinality: whileKnownGroup, Origin: "status topic (else REST) beside the workers' group", OptIn: onGroup,
	},
	TasksDuplicated: {
		Name: "kafka_connect_tasks_duplicated", OTelName: "kafka.connect.tasks.duplicated", Unit: "{task}", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel},
		Help:        "Tasks that are assigned to more than one member of the workers' group",
		Cardinality: whileKnownGroup, Origin: ofGroup, OptIn: onGroup,
	},
	SinkLagLimited: {
		Name: "kafka_connect_sink_lag_limited", OTelName: "kafka.connect.sink.lag_limited", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel},
		Help:        "Whether kafka_connect_sink_lag is left out because it would have more series than sink_lag.max_series (1) or not (0)",
		Cardinality: perCluster, Origin: ofOwnWork, OptIn: onKafka,
	},
	SinkLag: {
		Name: "kafka_connect_sink_lag", OTelName: "kafka.connect.sink.lag", Unit: "{record}", Kind: Gauge, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector", "partition", "topic"},
		Help:        "Records of the partition that the sink has not committed yet",
		Cardinality: "1 per sink and partition that it has committed in, kafka.sink_lag.max_series at most", Origin: ofCommits, OptIn: onKafka,
	},
	SinkLagSum: {
		Name: "kafka_connect_sink_lag_sum", OTelName: "kafka.connect.sink.lag_sum", Unit: "{record}", Kind: Gauge, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector"},
		Help:        "Records that the sink has not committed yet, in all partitions that it has committed in",
		Cardinality: perSink, Origin: ofCommits, OptIn: onKafka,
	},
	SinkLagSeconds: {
		Name: "kafka_connect_sink_lag_seconds", OTelName: "kafka.connect.sink.lag.seconds", Unit: "s", Kind: Gauge, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector"},
		Help:        "How long ago the oldest record that the sink has not committed was written, by the ends of topics in earlier snapshots; at least so long where these do not reach back",
		Cardinality: perSink + ", absent until known", Origin: ofCommits, OptIn: onKafka,
	},
	SinkCommitted: {
		Name: "kafka_connect_sink_committed_offset_sum", OTelName: "kafka.connect.sink.committed_offset_sum", Unit: "{record}", Kind: Gauge, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector"},
		Help:        "Sum of the offsets that the sink has committed; that of one that does nothing stands still",
		Cardinality: perSink, Origin: ofCommits, OptIn: onKafka,
	},
	SinkUncommitted: {
		Name: "kafka_connect_sink_partitions_uncommitted", OTelName: "kafka.connect.sink.partitions_uncommitted", Unit: "{partition}", Kind: Gauge, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector"},
		Help:        "Partitions of the sink's topics that it has no commit in; its lag does not count them",
		Cardinality: perSink, Origin: ofCommits, OptIn: onKafka,
	},
	SourceCommitTimestamp: {
		Name: "kafka_connect_source_offset_commit_timestamp_seconds", OTelName: "kafka.connect.source.offset_commit_timestamp", Unit: "s", Kind: Gauge, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector"},
		Help:        "When the source last committed an offset, in seconds since the epoch; one that has nothing to do commits none",
		Cardinality: "1 per source, absent if it never committed", Origin: "records of the offset topic", OptIn: onOffsets,
	},
	SourceNewestRecord: {
		Name: "kafka_connect_source_topic_newest_record_timestamp_seconds", OTelName: "kafka.connect.source.topic_newest_record_timestamp", Unit: "s", Kind: Gauge, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector", "topic"},
		Help:        "Time of the newest record of a topic that the source writes, in seconds since the epoch",
		Cardinality: "1 per source and topic", Origin: "ListOffsets of the topic (brokers from 3.0 on)", OptIn: "kafka.source_topics",
	},
	ConnectorTopicInfo: {
		Name: "kafka_connect_connector_topic_info", OTelName: "kafka.connect.connector.topic_info", Kind: Gauge, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector", "topic"},
		Help:        "A topic that the connector uses; always 1",
		Cardinality: "1 per connector and topic", Origin: "status topic (KIP-558)", OptIn: "kafka.connector_topics",
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

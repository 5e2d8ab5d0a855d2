package series

import (
	"cmp"
	"slices"
	"strings"

	"github.com/prometheus/otlptranslator"
)

// Kind is what a metric's number is.
type Kind string

// The kinds of metrics.
const (
	Gauge     Kind = "gauge"
	Counter   Kind = "counter"
	Histogram Kind = "histogram"
)

// Group says which part of the exporter a metric speaks of, and with that where
// it is exposed.
type Group string

// The groups, in the order in which they are documented.
const (
	// GroupCluster is one cluster as a whole.
	GroupCluster Group = "cluster"
	// GroupConnector is one connector of a cluster.
	GroupConnector Group = "connector"
	// GroupTask is one task of a connector.
	GroupTask Group = "task"
	// GroupSnapshot is the exporter's work on one cluster.
	GroupSnapshot Group = "snapshot"
	// GroupExporter is the exporter itself: on /metrics only, never on /probe.
	GroupExporter Group = "exporter"
)

// Groups lists the groups in the order in which they are documented.
func Groups() []Group {
	return []Group{GroupCluster, GroupConnector, GroupTask, GroupSnapshot, GroupExporter}
}

// A Descriptor describes one metric: everything that is exposed, documented,
// drawn or alerted on has one.
type Descriptor struct {
	// Name in Prometheus: what a backend makes of OTelName, Unit and Kind.
	Name string
	// OTelName is the name over OTLP; empty if the metric is not sent there.
	OTelName string
	// Unit in UCUM, as OpenTelemetry wants it. Empty on states and infos: "1"
	// on a gauge would become the suffix _ratio.
	Unit string
	Kind Kind
	// Labels are the names of all labels, sorted; not those that Dynamic tells of,
	// nor those that are configured for a cluster.
	Labels []string
	// Dynamic tells that each series has labels of its own beside Labels.
	Dynamic bool
	// Help is one sentence without a full stop.
	Help string
	// Cardinality is the number of series, for documentation.
	Cardinality string
	// Origin is where the number comes from, for documentation.
	Origin string
	Group  Group
	// OptIn is the setting that turns the metric on; empty if it is always on.
	OptIn string
}

// Descriptors returns the table of all metrics, by group and then in the order
// in which they are documented.
func Descriptors() []Descriptor {
	all := make([]Descriptor, 0, FamilyCount)
	for _, group := range Groups() {
		for _, d := range table {
			if d.Group == group {
				d.Labels = slices.Clone(d.Labels)
				all = append(all, d)
			}
		}
	}
	return all
}

// ClusterLabel carries the configured name of the cluster. It is not "cluster",
// which clashes with a label that many put on their targets.
const ClusterLabel = "connect_cluster"

// ScopeName is the instrumentation scope of all metrics over OTLP.
const ScopeName = "github.com/kafka-connect-exporter/kafka-connect-exporter"

// Family is a row of the table.
type Family uint8

// The rows of the table.
const (
	Up Family = iota
	ClusterInfo
	Connectors
	Tasks
	Workers
	WorkerConnectors
	WorkerTasks
	WorkerUp
	WorkerInfo
	WorkerHealthy
	ExpectedWorkers
	CertificateNotAfter
	ForeignURL
	TransitionsComplete
	ConnectorsUnobserved
	ResourceState
	ResourceInfo
	ResourceCondition
	WorkerSetting
	WorkerSettingInfo
	ResourcePluginInfo
	BrokersUp
	BrokersErrors
	GroupState
	GroupMembers
	GroupMemberInfo
	GroupAssignedConnectors
	GroupAssignedTasks
	GroupRebalanceDelay
	GroupConfigLag
	TasksOrphaned
	TasksDuplicated
	SinkLagLimited

	ConnectorState
	ConnectorInfo
	ConnectorTasks
	ConnectorTasksMax
	ConnectorFailureInfo
	ConnectorStateSince
	ConnectorStateChanges
	ConnectorFailures
	TaskStateChanges
	TaskFailures
	TaskRestarts
	ConnectorLabels
	ConfigChanged
	RuntimeInfo
	RuntimeWorkersMin
	RuntimeWorkersMax
	RuntimeWorkerUnits
	ReportedTasks
	ReportedWorkers
	ResourceConnectorWished
	ResourceConnectorAgrees
	ResourceConnectorReady
	ResourceAutoRestarts
	ResourceGaveUp
	SinkLag
	SinkLagSum
	SinkLagSeconds
	SinkCommitted
	SinkUncommitted
	SourceCommitTimestamp
	SourceNewestRecord
	ConnectorTopicInfo

	TaskState
	TaskStateSince
	TaskInfo
	TaskFailureInfo

	SnapshotTimestamp
	SnapshotDeadline
	ResponseBytes
	SnapshotDuration
	SnapshotErrors
	RequestDuration

	BuildInfo
	ReloadSuccessful
	ReloadTimestamp
	LogLinesDropped
	OtlpExports
	ScrapePhases
	DiscoveryUp
	DiscoveryResources
	DiscoveryRefused
	DiscoveryErrors

	// FamilyCount is how many families there are.
	FamilyCount
)

// Descriptor of the family. It must not be changed.
func (f Family) Descriptor() *Descriptor { return &table[f] }

// Families returns all families in the order of their Prometheus names.
func Families() []Family {
	all := make([]Family, FamilyCount)
	for i := range all {
		all[i] = Family(i)
	}
	slices.SortFunc(all, func(a, b Family) int { return cmp.Compare(table[a].Name, table[b].Name) })
	return all
}

// What several rows say of their cardinality or origin.
const (
	perCluster          = "1 per cluster"
	perConnector        = "1 per connector"
	perTask             = "1 per task"
	whileFailed         = "1 per failed connector"
	whileNotRunning     = "1 per connector that is not running"
	whileNotRunningTask = "1 per task that is not running"
	sinceWhen           = "status topic with `kafka`, else when this exporter first saw the state"
	ofTransitions       = "status topic with `kafka`, else what successive snapshots show, see `kafka_connect_transitions_complete`"
	ofStatus            = "status of the connector"
	ofInfo              = "configuration of the connector (info)"
	ofSnapshot          = "counted over the snapshot"
	ofOwnWork           = "measured by the exporter"
	currentOrAll        = "the current state only, or every state of the provider as 0 or 1 with `state_series: all`"
	workerOfState       = "worker_id of the status"
	ofRuntime           = "ListConnectors of MSK Connect"
	onMSK               = "provider: msk"
	onCloudWatch        = "msk.cloudwatch"
	onProbe             = "worker_probe"
)

// table is the one place where metrics are named. The walk, the instruments,
// the documentation and the tests of dashboards and alerts all derive from it.
var table = func() (all [FamilyCount]Descriptor) {
	for _, rows := range []map[Group]map[Family]Descriptor{ownRows, brokersRows, operatorRows} {
		for group, families := range rows {
			for f, d := range families {
				d.Group = group
				if group != GroupExporter {
					d.Labels = append(d.Labels, ClusterLabel)
					slices.Sort(d.Labels)
				}
				all[f] = d
			}
		}
	}
	all[BuildInfo].Name = "kafka_connect_exporter_build_info" // The library's own.
	all[ConnectorLabels].Dynamic = true
	return all
}()

// row describes a metric of this kind. labels are those beside [ClusterLabel], a
// space between two; optIn is "" if it is always on.
func (k Kind) row(otelName, unit, labels, help, cardinality, origin, optIn string) Descriptor {
	namer := otlptranslator.NewMetricNamer("", otlptranslator.UnderscoreEscapingWithSuffixes)
	name, _ := namer.Build(otlptranslator.Metric{Name: otelName, Unit: unit, Type: map[Kind]otlptranslator.MetricType{
		Gauge: otlptranslator.MetricTypeGauge, Counter: otlptranslator.MetricTypeMonotonicCounter, Histogram: otlptranslator.MetricTypeHistogram,
	}[k]})
	return Descriptor{
		Name: name, OTelName: otelName, Unit: unit, Kind: k, Labels: strings.Fields(labels),
		Help: help, Cardinality: cardinality, Origin: origin, OptIn: optIn,
	}
}

var ownRows = map[Group]map[Family]Descriptor{
	GroupCluster: {
		Up: Gauge.row("kafka.connect.up", "", "",
			"Whether the last snapshot of the cluster succeeded (1) or not (0)",
			perCluster+", always present", ofOwnWork, ""),
		ClusterInfo: Gauge.row("kafka.connect.cluster.info", "", "commit kafka_cluster_id provider version",
			"Who runs the cluster, the version and commit of the worker that answered, and the id of the Kafka cluster behind it; always 1",
			perCluster, "GET / of a worker, or the provider's API", ""),
		Connectors: Gauge.row("kafka.connect.connectors", "{connector}", "state",
			"Connectors in each state",
			"10 per cluster: every state, 0 included", ofSnapshot, ""),
		Tasks: Gauge.row("kafka.connect.tasks", "{task}", "state",
			"Tasks in each state",
			"10 per cluster: every state, 0 included", ofSnapshot, ""),
		Workers: Gauge.row("kafka.connect.workers", "{worker}", "",
			"Distinct workers that the snapshot names; one that died is named until its work was handed over, one without work is not named",
			perCluster, ofSnapshot, ""),
		WorkerConnectors: Gauge.row("kafka.connect.worker.connectors", "{connector}", "worker",
			"Connectors placed on the worker, whatever their state",
			"1 per worker", ofSnapshot, ""),
		WorkerTasks: Gauge.row("kafka.connect.worker.tasks", "{task}", "worker",
			"Tasks placed on the worker, whatever their state",
			"1 per worker", ofSnapshot, ""),
		WorkerUp: Gauge.row("kafka.connect.worker.up", "", "worker",
			"Whether a worker that the snapshot names answers by itself (1) or not (0)",
			"1 per worker", "GET / of each worker", onProbe),
		WorkerInfo: Gauge.row("kafka.connect.worker.info", "", "commit version worker",
			"Version and commit of Kafka Connect that a worker tells of itself; always 1",
			"1 per worker, absent if it does not tell", "GET / of each worker", onProbe),
		WorkerHealthy: Gauge.row("kafka.connect.worker.healthy", "", "worker",
			"Whether a worker says that it can do its work (1) or not (0): its herder answers and, with that, Kafka; some seconds old",
			"1 per worker that was asked, absent before Kafka 3.9", "GET /health of the workers at the cluster's URLs, of each with worker_probe", ""),
		ExpectedWorkers: Gauge.row("kafka.connect.expected_workers", "{worker}", "",
			"Workers that the cluster should have, as configured",
			perCluster, "configuration of the exporter", "expected_workers"),
		CertificateNotAfter: Gauge.row("kafka.connect.tls_certificate.not_after_timestamp", "s", "host",
			"When the certificate that a host showed expires, in seconds since the epoch; stays while snapshots fail",
			"1 per host that is connected to by TLS", "TLS handshake", ""),
		ForeignURL: Gauge.row("kafka.connect.foreign_url", "", "host",
			"1 for each of the cluster's urls that leads to another Connect cluster than the one that is shown, by its Kafka cluster or its connectors",
			"1 per such host; none where all is well", "GET / and GET /connectors of each URL, every 5 minutes", ""),
		TransitionsComplete: Gauge.row("kafka.connect.transitions_complete", "", "",
			"Whether changes of state, failures and restarts are all counted, from the status topic (1), or those seen between snapshots (0)",
			perCluster, ofOwnWork, ""),
		ConnectorsUnobserved: Gauge.row("kafka.connect.connectors.unobserved", "{connector}", "reason",
			"Connectors that the cluster lists and that the last snapshot could not observe",
			"11 per cluster: every reason, 0 included", ofOwnWork, ""),
		ResourceState: Gauge.row("kafka.connect.resource.state", "", "state",
			"State of the service that runs the cluster: 1 for the state that it is in, running, rebuilding, rebalancing, poweroff or unknown; one that is powered off is up and has no connectors",
			"5 per cluster: every state, 0 included; absent while the provider cannot be asked", "Aiven's API", "provider: aiven"),
	},
	GroupConnector: {
		ConnectorState: Gauge.row("kafka.connect.connector.state", "", "connector state",
			"State of the connector itself: 1 for the state that it is in",
			perConnector+": "+currentOrAll, ofStatus, ""),
		ConnectorInfo: Gauge.row("kafka.connect.connector.info", "", "connector connector_class connector_id connector_type connector_version worker",
			"Class, type and version of the connector, its id at a provider, and the worker that it is placed on; always 1",
			perConnector, ofInfo+"; "+workerOfState+"; version on workers since Kafka 4.1; id on Confluent Cloud (lcc-…) and MSK Connect (ARN)", ""),
		ConnectorTasks: Gauge.row("kafka.connect.connector.tasks", "{task}", "connector",
			"Tasks that exist of the connector",
			perConnector, ofInfo, ""),
		ConnectorTasksMax: Gauge.row("kafka.connect.connector.tasks_max", "{task}", "connector",
			"The most tasks that the connector may have (tasks.max)",
			perConnector+", absent if not known", ofInfo, ""),
		ConnectorFailureInfo: Gauge.row("kafka.connect.connector.failure_info", "", "connector exception root_cause",
			"Class of the exception that the connector failed with, and of its innermost cause; 1 while it is failed",
			whileFailed, "trace of the status, class names only", ""),
		ConnectorStateSince: Gauge.row("kafka.connect.connector.state_since_timestamp", "s", "connector",
			"When the state of a connector that is not running began, in seconds since the epoch",
			whileNotRunning, sinceWhen, ""),
		ConnectorStateChanges: Counter.row("kafka.connect.connector.state_changes", "{change}", "connector",
			"Changes of the connector's own state",
			perConnector, ofTransitions, ""),
		ConnectorFailures: Counter.row("kafka.connect.connector.failures", "{failure}", "connector",
			"Times that the connector itself failed",
			perConnector, ofTransitions, ""),
		TaskStateChanges: Counter.row("kafka.connect.task.state_changes", "{change}", "connector",
			"Changes of the states of the connector's tasks, summed over its tasks",
			perConnector, ofTransitions, ""),
		TaskFailures: Counter.row("kafka.connect.task.failures", "{failure}", "connector",
			"Times that a task of the connector failed",
			perConnector, ofTransitions, ""),
		TaskRestarts: Counter.row("kafka.connect.task.restarts", "{restart}", "connector",
			"Times that a task of the connector came up again after it had failed, if only to fail in another way, or, by the status topic, on request",
			perConnector, ofTransitions, ""),
		ConnectorLabels: Gauge.row("kafka.connect.connector.labels", "", "connector",
			"Values of chosen keys of the connector's configuration, each as a label with the prefix label_; always 1",
			perConnector+" that has one of the keys", ofInfo, "connector_labels"),
		ConfigChanged: Gauge.row("kafka.connect.connector.config_changed_timestamp", "s", "connector",
			"When another configuration of the connector than before was first seen, in seconds since the epoch",
			perConnector+", absent if none was since the exporter started", ofInfo+", of which a keyed hash is kept", ""),
		RuntimeInfo: Gauge.row("kafka.connect.connector.runtime.info", "", "capacity connect_version connector",
			"Version of Kafka Connect that runs this connector alone, and whether its capacity is provisioned or autoscaled; always 1",
			perConnector, ofRuntime, onMSK),
		RuntimeWorkersMin: Gauge.row("kafka.connect.connector.runtime.workers_min", "{worker}", "connector",
			"Fewest workers that the connector may have; as many as it has where capacity is provisioned",
			perConnector+", absent if not known", ofRuntime, onMSK),
		RuntimeWorkersMax: Gauge.row("kafka.connect.connector.runtime.workers_max", "{worker}", "connector",
			"Most workers that the connector may have; as many as it has where capacity is provisioned",
			perConnector+", absent if not known", ofRuntime, onMSK),
		RuntimeWorkerUnits: Gauge.row("kafka.connect.connector.runtime.worker_units", "{unit}", "connector",
			"Size of each worker of the connector in MSK Connect units (1 vCPU and 4 GiB each)",
			perConnector+", absent if not known", ofRuntime, onMSK),
		ReportedTasks: Gauge.row("kafka.connect.connector.reported_tasks", "{task}", "connector state",
			"Tasks of the connector that the provider's metrics service counts as running or failed; some minutes old",
			"2 per connector, absent if not known", "CloudWatch RunningTaskCount and ErroredTaskCount", onCloudWatch),
		ReportedWorkers: Gauge.row("kafka.connect.connector.reported_workers", "{worker}", "connector",
			"Workers of the connector that the provider's metrics service counts; some minutes old",
			perConnector+", absent if not known", "CloudWatch WorkerCount", onCloudWatch),
	},
	GroupTask: {
		TaskState: Gauge.row("kafka.connect.task.state", "", "connector state task",
			"State of the task: 1 for the state that it is in",
			perTask+": "+currentOrAll, ofStatus, ""),
		TaskStateSince: Gauge.row("kafka.connect.task.state_since_timestamp", "s", "connector task",
			"When the state of a task that is not running began, in seconds since the epoch",
			whileNotRunningTask, sinceWhen, ""),
		TaskInfo: Gauge.row("kafka.connect.task.info", "", "connector task task_version worker",
			"Worker that the task is placed on and the version of its plugin; always 1",
			perTask, workerOfState+"; version on workers since Kafka 4.1", ""),
		TaskFailureInfo: Gauge.row("kafka.connect.task.failure_info", "", "connector exception root_cause task",
			"Class of the exception that the task failed with, and of its innermost cause; 1 while it is failed",
			"1 per failed task", "trace of the status, class names only", ""),
	},
	GroupSnapshot: {
		SnapshotTimestamp: Gauge.row("kafka.connect.snapshot.timestamp", "s", "",
			"When the last successful snapshot was taken, in seconds since the epoch; stays while snapshots fail",
			perCluster+", absent before the first success", ofOwnWork, ""),
		SnapshotDeadline: Gauge.row("kafka.connect.snapshot.deadline", "s", "",
			"Time that a snapshot may take for this scraper: what is left of its scrape timeout, less what it takes to answer",
			perCluster, ofOwnWork, ""),
		ResponseBytes: Gauge.row("kafka.connect.response", "By", "",
			"Bytes of the replies that made the last snapshot",
			perCluster, ofOwnWork, ""),
		SnapshotDuration: Histogram.row("kafka.connect.snapshot.duration", "s", "observation_version outcome",
			"Time that snapshots took; outcome is success, partial (some connectors unobserved) or failure",
			"1 histogram per cluster, observation version and outcome", ofOwnWork, ""),
		SnapshotErrors: Counter.row("kafka.connect.snapshot.errors", "{error}", "reason",
			"Snapshots that failed as a whole",
			"9 per cluster: every reason, 0 included", ofOwnWork, ""),
		RequestDuration: Histogram.row("kafka.connect.request.duration", "s", "call code",
			"Time that single API calls took, the reading of the reply included; code is the HTTP status, 1xx to 5xx for those that are rare, other for what is none, or none without a reply",
			"1 histogram per cluster, call and code; one that has not occurred for an hour goes", ofOwnWork, ""),
	},
	GroupExporter: {
		BuildInfo: Gauge.row("", "", "branch goarch goos goversion revision tags version",
			"Version of the exporter; always 1",
			"1", "build of the exporter", ""),
		ReloadSuccessful: Gauge.row("kafka.connect.exporter.config.last_reload_successful", "", "",
			"Whether the last load of the configuration succeeded (1) or not (0)",
			"1", ofOwnWork, ""),
		ReloadTimestamp: Gauge.row("kafka.connect.exporter.config.last_reload_success_timestamp", "s", "",
			"When the configuration was last loaded successfully, in seconds since the epoch",
			"1", ofOwnWork, ""),
		LogLinesDropped: Counter.row("kafka.connect.exporter.log_lines_dropped", "{line}", "",
			"Lines of the log that were dropped because nobody read them in time",
			"1", ofOwnWork, ""),
		ScrapePhases: Counter.row("kafka.connect.exporter.scrape_phase", "s", "phase",
			"Time spent on scrapes by phase: wait for answers and decode them, both summed over the calls that run side by side, then render and compress",
			"4", ofOwnWork, ""),
		OtlpExports: Counter.row("kafka.connect.exporter.otlp_exports", "{export}", "outcome",
			"Exports over OTLP; outcome is success if the receiver took all of it, else failure",
			"2 while OTLP push is on", ofOwnWork, "otlp"),
	},
}

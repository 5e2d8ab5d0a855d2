package series

import (
	"cmp"
	"slices"
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
	// Name in Prometheus: what OTelName, Unit and Kind translate to by
	// otlptranslator's UnderscoreEscapingWithSuffixes.
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
	perReason           = "1 per cluster and reason"
	workerOfState       = "worker_id of the status"
	ofRuntime           = "ListConnectors of MSK Connect"
	onMSK               = "provider: msk"
	onCloudWatch        = "msk.cloudwatch"
	onProbe             = "worker_probe"
)

// table is the one place where metrics are named. The walk, the instruments,
// the documentation and the tests of dashboards and alerts all derive from it.
var table = func() [FamilyCount]Descriptor {
	all := ownTable
	for _, more := range []map[Family]Descriptor{brokersTable, operatorTable} {
		for family, d := range more {
			all[family] = d
		}
	}
	return all
}()

var ownTable = [FamilyCount]Descriptor{
	Up: {
		Name: "kafka_connect_up", OTelName: "kafka.connect.up", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel},
		Help:        "Whether the last snapshot of the cluster succeeded (1) or not (0)",
		Cardinality: perCluster + ", always present", Origin: ofOwnWork,
	},
	ClusterInfo: {
		Name: "kafka_connect_cluster_info", OTelName: "kafka.connect.cluster.info", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{"commit", ClusterLabel, "kafka_cluster_id", "provider", "version"},
		Help:        "Who runs the cluster, the version and commit of the worker that answered, and the id of the Kafka cluster behind it; always 1",
		Cardinality: perCluster, Origin: "GET / of a worker, or the provider's API",
	},
	Connectors: {
		Name: "kafka_connect_connectors", OTelName: "kafka.connect.connectors", Unit: "{connector}", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel, "state"},
		Help:        "Connectors in each state",
		Cardinality: "10 per cluster: every state, 0 included", Origin: ofSnapshot,
	},
	Tasks: {
		Name: "kafka_connect_tasks", OTelName: "kafka.connect.tasks", Unit: "{task}", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel, "state"},
		Help:        "Tasks in each state",
		Cardinality: "10 per cluster: every state, 0 included", Origin: ofSnapshot,
	},
	Workers: {
		Name: "kafka_connect_workers", OTelName: "kafka.connect.workers", Unit: "{worker}", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel},
		Help:        "Distinct workers that the snapshot names; one that died is named until its work was handed over, one without work is not named",
		Cardinality: perCluster, Origin: ofSnapshot,
	},
	WorkerConnectors: {
		Name: "kafka_connect_worker_connectors", OTelName: "kafka.connect.worker.connectors", Unit: "{connector}", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel, "worker"},
		Help:        "Connectors placed on the worker, whatever their state",
		Cardinality: "1 per worker", Origin: ofSnapshot,
	},
	WorkerTasks: {
		Name: "kafka_connect_worker_tasks", OTelName: "kafka.connect.worker.tasks", Unit: "{task}", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel, "worker"},
		Help:        "Tasks placed on the worker, whatever their state",
		Cardinality: "1 per worker", Origin: ofSnapshot,
	},
	WorkerUp: {
		Name: "kafka_connect_worker_up", OTelName: "kafka.connect.worker.up", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel, "worker"},
		Help:        "Whether a worker that the snapshot names answers by itself (1) or not (0)",
		Cardinality: "1 per worker", Origin: "GET / of each worker",
		OptIn: onProbe,
	},
	WorkerInfo: {
		Name: "kafka_connect_worker_info", OTelName: "kafka.connect.worker.info", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{"commit", ClusterLabel, "version", "worker"},
		Help:        "Version and commit of Kafka Connect that a worker tells of itself; always 1",
		Cardinality: "1 per worker, absent if it does not tell", Origin: "GET / of each worker",
		OptIn: onProbe,
	},
	WorkerHealthy: {
		Name: "kafka_connect_worker_healthy", OTelName: "kafka.connect.worker.healthy", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel, "worker"},
		Help:        "Whether a worker says that it can do its work (1) or not (0): its herder answers and, with that, Kafka; some seconds old",
		Cardinality: "1 per worker that was asked, absent before Kafka 3.9", Origin: "GET /health of the workers at the cluster's URLs, of each with worker_probe",
	},
	ExpectedWorkers: {
		Name: "kafka_connect_expected_workers", OTelName: "kafka.connect.expected_workers", Unit: "{worker}", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel},
		Help:        "Workers that the cluster should have, as configured",
		Cardinality: perCluster, Origin: "configuration of the exporter", OptIn: "expected_workers",
	},
	CertificateNotAfter: {
		Name: "kafka_connect_tls_certificate_not_after_timestamp_seconds", OTelName: "kafka.connect.tls_certificate.not_after_timestamp", Unit: "s", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel, "host"},
		Help:        "When the certificate that a host showed expires, in seconds since the epoch; stays while snapshots fail",
		Cardinality: "1 per host that is connected to by TLS", Origin: "TLS handshake",
	},
	ForeignURL: {
		Name: "kafka_connect_foreign_url", OTelName: "kafka.connect.foreign_url", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel, "host"},
		Help:        "1 for each of the cluster's urls that leads to another Connect cluster than the one that is shown, by its Kafka cluster or its connectors",
		Cardinality: "1 per such host; none where all is well", Origin: "GET / and GET /connectors of each URL, every 5 minutes",
	},
	TransitionsComplete: {
		Name: "kafka_connect_transitions_complete", OTelName: "kafka.connect.transitions_complete", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel},
		Help:        "Whether changes of state, failures and restarts are all counted, from the status topic (1), or those seen between snapshots (0)",
		Cardinality: perCluster, Origin: ofOwnWork,
	},
	ConnectorsUnobserved: {
		Name: "kafka_connect_connectors_unobserved", OTelName: "kafka.connect.connectors.unobserved", Unit: "{connector}", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel, "reason"},
		Help:        "Connectors that the cluster lists and that the last snapshot could not observe",
		Cardinality: "11 per cluster: every reason, 0 included", Origin: ofOwnWork,
	},
	ResourceState: {
		Name: "kafka_connect_resource_state", OTelName: "kafka.connect.resource.state", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel, "state"},
		Help:        "State of the service that runs the cluster: 1 for the state that it is in, running, rebuilding, rebalancing, poweroff or unknown; one that is powered off is up and has no connectors",
		Cardinality: "5 per cluster: every state, 0 included; absent while the provider cannot be asked", Origin: "Aiven's API",
		OptIn: "provider: aiven",
	},

	ConnectorState: {
		Name: "kafka_connect_connector_state", OTelName: "kafka.connect.connector.state", Kind: Gauge, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector", "state"},
		Help:        "State of the connector itself: 1 for the state that it is in",
		Cardinality: perConnector + ": " + currentOrAll, Origin: ofStatus,
	},
	ConnectorInfo: {
		Name: "kafka_connect_connector_info", OTelName: "kafka.connect.connector.info", Kind: Gauge, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector", "connector_class", "connector_id", "connector_type", "connector_version", "worker"},
		Help:        "Class, type and version of the connector, its id at a provider, and the worker that it is placed on; always 1",
		Cardinality: perConnector, Origin: ofInfo + "; " + workerOfState + "; version on workers since Kafka 4.1; id on Confluent Cloud (lcc-…) and MSK Connect (ARN)",
	},
	ConnectorTasks: {
		Name: "kafka_connect_connector_tasks", OTelName: "kafka.connect.connector.tasks", Unit: "{task}", Kind: Gauge, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector"},
		Help:        "Tasks that exist of the connector",
		Cardinality: perConnector, Origin: ofInfo,
	},
	ConnectorTasksMax: {
		Name: "kafka_connect_connector_tasks_max", OTelName: "kafka.connect.connector.tasks_max", Unit: "{task}", Kind: Gauge, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector"},
		Help:        "The most tasks that the connector may have (tasks.max)",
		Cardinality: perConnector + ", absent if not known", Origin: ofInfo,
	},
	ConnectorFailureInfo: {
		Name: "kafka_connect_connector_failure_info", OTelName: "kafka.connect.connector.failure_info", Kind: Gauge, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector", "exception", "root_cause"},
		Help:        "Class of the exception that the connector failed with, and of its innermost cause; 1 while it is failed",
		Cardinality: whileFailed, Origin: "trace of the status, class names only",
	},
	ConnectorStateSince: {
		Name: "kafka_connect_connector_state_since_timestamp_seconds", OTelName: "kafka.connect.connector.state_since_timestamp", Unit: "s", Kind: Gauge, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector"},
		Help:        "When the state of a connector that is not running began, in seconds since the epoch",
		Cardinality: whileNotRunning, Origin: sinceWhen,
	},
	ConnectorStateChanges: {
		Name: "kafka_connect_connector_state_changes_total", OTelName: "kafka.connect.connector.state_changes", Unit: "{change}", Kind: Counter, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector"},
		Help:        "Changes of the connector's own state",
		Cardinality: perConnector, Origin: ofTransitions,
	},
	ConnectorFailures: {
		Name: "kafka_connect_connector_failures_total", OTelName: "kafka.connect.connector.failures", Unit: "{failure}", Kind: Counter, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector"},
		Help:        "Times that the connector itself failed",
		Cardinality: perConnector, Origin: ofTransitions,
	},
	TaskStateChanges: {
		Name: "kafka_connect_task_state_changes_total", OTelName: "kafka.connect.task.state_changes", Unit: "{change}", Kind: Counter, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector"},
		Help:        "Changes of the states of the connector's tasks, summed over its tasks",
		Cardinality: perConnector, Origin: ofTransitions,
	},
	TaskFailures: {
		Name: "kafka_connect_task_failures_total", OTelName: "kafka.connect.task.failures", Unit: "{failure}", Kind: Counter, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector"},
		Help:        "Times that a task of the connector failed",
		Cardinality: perConnector, Origin: ofTransitions,
	},
	TaskRestarts: {
		Name: "kafka_connect_task_restarts_total", OTelName: "kafka.connect.task.restarts", Unit: "{restart}", Kind: Counter, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector"},
		Help:        "Times that a task of the connector came up again after it had failed, if only to fail in another way, or, by the status topic, on request",
		Cardinality: perConnector, Origin: ofTransitions,
	},
	ConnectorLabels: {
		Name: "kafka_connect_connector_labels", OTelName: "kafka.connect.connector.labels", Kind: Gauge, Group: GroupConnector,
		Labels: []string{ClusterLabel, "connector"}, Dynamic: true,
		Help:        "Values of chosen keys of the connector's configuration, each as a label with the prefix label_; always 1",
		Cardinality: perConnector + " that has one of the keys", Origin: ofInfo, OptIn: "connector_labels",
	},
	ConfigChanged: {
		Name: "kafka_connect_connector_config_changed_timestamp_seconds", OTelName: "kafka.connect.connector.config_changed_timestamp", Unit: "s", Kind: Gauge, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector"},
		Help:        "When another configuration of the connector than before was first seen, in seconds since the epoch",
		Cardinality: perConnector + ", absent if none was since the exporter started", Origin: ofInfo + ", of which a keyed hash is kept",
	},
	RuntimeInfo: {
		Name: "kafka_connect_connector_runtime_info", OTelName: "kafka.connect.connector.runtime.info", Kind: Gauge, Group: GroupConnector,
		Labels:      []string{"capacity", ClusterLabel, "connect_version", "connector"},
		Help:        "Version of Kafka Connect that runs this connector alone, and whether its capacity is provisioned or autoscaled; always 1",
		Cardinality: perConnector, Origin: ofRuntime, OptIn: onMSK,
	},
	RuntimeWorkersMin: {
		Name: "kafka_connect_connector_runtime_workers_min", OTelName: "kafka.connect.connector.runtime.workers_min", Unit: "{worker}", Kind: Gauge, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector"},
		Help:        "Fewest workers that the connector may have; as many as it has where capacity is provisioned",
		Cardinality: perConnector + ", absent if not known", Origin: ofRuntime, OptIn: onMSK,
	},
	RuntimeWorkersMax: {
		Name: "kafka_connect_connector_runtime_workers_max", OTelName: "kafka.connect.connector.runtime.workers_max", Unit: "{worker}", Kind: Gauge, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector"},
		Help:        "Most workers that the connector may have; as many as it has where capacity is provisioned",
		Cardinality: perConnector + ", absent if not known", Origin: ofRuntime, OptIn: onMSK,
	},
	RuntimeWorkerUnits: {
		Name: "kafka_connect_connector_runtime_worker_units", OTelName: "kafka.connect.connector.runtime.worker_units", Unit: "{unit}", Kind: Gauge, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector"},
		Help:        "Size of each worker of the connector in MSK Connect units (1 vCPU and 4 GiB each)",
		Cardinality: perConnector + ", absent if not known", Origin: ofRuntime, OptIn: onMSK,
	},
	ReportedTasks: {
		Name: "kafka_connect_connector_reported_tasks", OTelName: "kafka.connect.connector.reported_tasks", Unit: "{task}", Kind: Gauge, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector", "state"},
		Help:        "Tasks of the connector that the provider's metrics service counts as running or failed; some minutes old",
		Cardinality: "2 per connector, absent if not known", Origin: "CloudWatch RunningTaskCount and ErroredTaskCount", OptIn: onCloudWatch,
	},
	ReportedWorkers: {
		Name: "kafka_connect_connector_reported_workers", OTelName: "kafka.connect.connector.reported_workers", Unit: "{worker}", Kind: Gauge, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector"},
		Help:        "Workers of the connector that the provider's metrics service counts; some minutes old",
		Cardinality: perConnector + ", absent if not known", Origin: "CloudWatch WorkerCount", OptIn: onCloudWatch,
	},

	TaskState: {
		Name: "kafka_connect_task_state", OTelName: "kafka.connect.task.state", Kind: Gauge, Group: GroupTask,
		Labels:      []string{ClusterLabel, "connector", "state", "task"},
		Help:        "State of the task: 1 for the state that it is in",
		Cardinality: perTask + ": " + currentOrAll, Origin: ofStatus,
	},
	TaskStateSince: {
		Name: "kafka_connect_task_state_since_timestamp_seconds", OTelName: "kafka.connect.task.state_since_timestamp", Unit: "s", Kind: Gauge, Group: GroupTask,
		Labels:      []string{ClusterLabel, "connector", "task"},
		Help:        "When the state of a task that is not running began, in seconds since the epoch",
		Cardinality: whileNotRunningTask, Origin: sinceWhen,
	},
	TaskInfo: {
		Name: "kafka_connect_task_info", OTelName: "kafka.connect.task.info", Kind: Gauge, Group: GroupTask,
		Labels:      []string{ClusterLabel, "connector", "task", "task_version", "worker"},
		Help:        "Worker that the task is placed on and the version of its plugin; always 1",
		Cardinality: perTask, Origin: workerOfState + "; version on workers since Kafka 4.1",
	},
	TaskFailureInfo: {
		Name: "kafka_connect_task_failure_info", OTelName: "kafka.connect.task.failure_info", Kind: Gauge, Group: GroupTask,
		Labels:      []string{ClusterLabel, "connector", "exception", "root_cause", "task"},
		Help:        "Class of the exception that the task failed with, and of its innermost cause; 1 while it is failed",
		Cardinality: "1 per failed task", Origin: "trace of the status, class names only",
	},

	SnapshotTimestamp: {
		Name: "kafka_connect_snapshot_timestamp_seconds", OTelName: "kafka.connect.snapshot.timestamp", Unit: "s", Kind: Gauge, Group: GroupSnapshot,
		Labels:      []string{ClusterLabel},
		Help:        "When the last successful snapshot was taken, in seconds since the epoch; stays while snapshots fail",
		Cardinality: perCluster + ", absent before the first success", Origin: ofOwnWork,
	},
	SnapshotDeadline: {
		Name: "kafka_connect_snapshot_deadline_seconds", OTelName: "kafka.connect.snapshot.deadline", Unit: "s", Kind: Gauge, Group: GroupSnapshot,
		Labels:      []string{ClusterLabel},
		Help:        "Time that a snapshot may take for this scraper: what is left of its scrape timeout, less what it takes to answer",
		Cardinality: perCluster, Origin: ofOwnWork,
	},
	ResponseBytes: {
		Name: "kafka_connect_response_bytes", OTelName: "kafka.connect.response", Unit: "By", Kind: Gauge, Group: GroupSnapshot,
		Labels:      []string{ClusterLabel},
		Help:        "Bytes of the replies that made the last snapshot",
		Cardinality: perCluster, Origin: ofOwnWork,
	},
	SnapshotDuration: {
		Name: "kafka_connect_snapshot_duration_seconds", OTelName: "kafka.connect.snapshot.duration", Unit: "s", Kind: Histogram, Group: GroupSnapshot,
		Labels:      []string{ClusterLabel, "observation_version", "outcome"},
		Help:        "Time that snapshots took; outcome is success, partial (some connectors unobserved) or failure",
		Cardinality: "1 histogram per cluster, observation version and outcome", Origin: ofOwnWork,
	},
	SnapshotErrors: {
		Name: "kafka_connect_snapshot_errors_total", OTelName: "kafka.connect.snapshot.errors", Unit: "{error}", Kind: Counter, Group: GroupSnapshot,
		Labels:      []string{ClusterLabel, "reason"},
		Help:        "Snapshots that failed as a whole",
		Cardinality: "9 per cluster: every reason, 0 included", Origin: ofOwnWork,
	},
	RequestDuration: {
		Name: "kafka_connect_request_duration_seconds", OTelName: "kafka.connect.request.duration", Unit: "s", Kind: Histogram, Group: GroupSnapshot,
		Labels:      []string{"call", "code", ClusterLabel},
		Help:        "Time that single API calls took, the reading of the reply included; code is the HTTP status, 1xx to 5xx for those that are rare, other for what is none, or none without a reply",
		Cardinality: "1 histogram per cluster, call and code; one that has not occurred for an hour goes", Origin: ofOwnWork,
	},

	BuildInfo: {
		Name: "kafka_connect_exporter_build_info", Kind: Gauge, Group: GroupExporter,
		Labels:      []string{"branch", "goarch", "goos", "goversion", "revision", "tags", "version"},
		Help:        "Version of the exporter; always 1",
		Cardinality: "1", Origin: "build of the exporter",
	},
	ReloadSuccessful: {
		Name: "kafka_connect_exporter_config_last_reload_successful", OTelName: "kafka.connect.exporter.config.last_reload_successful", Kind: Gauge, Group: GroupExporter,
		Help:        "Whether the last load of the configuration succeeded (1) or not (0)",
		Cardinality: "1", Origin: ofOwnWork,
	},
	ReloadTimestamp: {
		Name: "kafka_connect_exporter_config_last_reload_success_timestamp_seconds", OTelName: "kafka.connect.exporter.config.last_reload_success_timestamp", Unit: "s", Kind: Gauge, Group: GroupExporter,
		Help:        "When the configuration was last loaded successfully, in seconds since the epoch",
		Cardinality: "1", Origin: ofOwnWork,
	},
	LogLinesDropped: {
		Name: "kafka_connect_exporter_log_lines_dropped_total", OTelName: "kafka.connect.exporter.log_lines_dropped", Unit: "{line}", Kind: Counter, Group: GroupExporter,
		Help:        "Lines of the log that were dropped because nobody read them in time",
		Cardinality: "1", Origin: ofOwnWork,
	},
	ScrapePhases: {
		Name: "kafka_connect_exporter_scrape_phase_seconds_total", OTelName: "kafka.connect.exporter.scrape_phase", Unit: "s", Kind: Counter, Group: GroupExporter,
		Labels:      []string{"phase"},
		Help:        "Time spent on scrapes by phase: wait for answers and decode them, both summed over the calls that run side by side, then render and compress",
		Cardinality: "4", Origin: ofOwnWork,
	},
	OtlpExports: {
		Name: "kafka_connect_exporter_otlp_exports_total", OTelName: "kafka.connect.exporter.otlp_exports", Unit: "{export}", Kind: Counter, Group: GroupExporter,
		Labels:      []string{"outcome"},
		Help:        "Exports over OTLP; outcome is success if the receiver took all of it, else failure",
		Cardinality: "2 while OTLP push is on", Origin: ofOwnWork,
		OptIn: "otlp",
	},
}

package series

import (
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// What several rows of operators' resources say.
const (
	onDiscovery    = "discovery"
	ofResource     = "the operator's resource"
	perFound       = "1 per cluster that was found"
	perManaged     = "1 per connector that a resource manages"
	perAutoRestart = "1 per connector that its operator restarts by itself"
)

// operatorTable are the rows of what operators' resources say.
var operatorTable = map[Family]Descriptor{
	ResourceInfo: {
		Name: "kafka_connect_resource_info", OTelName: "kafka.connect.resource.info", Kind: Gauge, Group: GroupCluster,
		Labels: []string{
			"cloud_name", ClusterLabel, "group", "kind", "maintenance_window", "plan", "powered", "project",
			"resource_name", "resource_namespace", "termination_protection",
		},
		Help:        "The resource that the cluster was found by, and of Aiven's what it says of the service; always 1",
		Cardinality: perFound, Origin: ofResource, OptIn: onDiscovery,
	},
	ResourceCondition: {
		Name: "kafka_connect_resource_condition", OTelName: "kafka.connect.resource.condition", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel, "status", "type"},
		Help:        "Status of a condition of the resource: True, False or Unknown; always 1",
		Cardinality: "1 per condition", Origin: "status.conditions", OptIn: onDiscovery,
	},
	WorkerSetting: {
		Name: "kafka_connect_worker_setting", OTelName: "kafka.connect.worker.setting", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel, "setting"},
		Help:        "A setting of the workers that is a number, in seconds or bytes where its name says so; the documented default where none is set",
		Cardinality: "9 to 12 per KafkaConnect of Aiven", Origin: "userConfig.kafka_connect", OptIn: onDiscovery,
	},
	WorkerSettingInfo: {
		Name: "kafka_connect_worker_setting_info", OTelName: "kafka.connect.worker.setting_info", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel, "setting", "value"},
		Help:        "A setting of the workers that is one of a few words; the documented default where none is set; always 1",
		Cardinality: "4 or 5 per KafkaConnect of Aiven", Origin: "userConfig.kafka_connect", OptIn: onDiscovery,
	},
	ResourcePluginInfo: {
		Name: "kafka_connect_resource_plugin_info", OTelName: "kafka.connect.resource.plugin_info", Kind: Gauge, Group: GroupCluster,
		Labels:      []string{ClusterLabel, "plugin", "version"},
		Help:        "A plugin that the resource names; always 1",
		Cardinality: "1 per plugin", Origin: "userConfig.plugin_versions (Aiven), status.connectorPlugins (Strimzi)", OptIn: onDiscovery,
	},
	ResourceConnectorWished: {
		Name: "kafka_connect_resource_connector_wished_state", OTelName: "kafka.connect.resource.connector.wished_state", Kind: Gauge, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector", "state"},
		Help:        "State that the connector's resource asks for: running, paused or stopped; always 1",
		Cardinality: perManaged, Origin: "spec.state of the KafkaConnector, or of the mirror", OptIn: onDiscovery,
	},
	ResourceConnectorAgrees: {
		Name: "kafka_connect_resource_connector_agrees", OTelName: "kafka.connect.resource.connector.agrees", Kind: Gauge, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector"},
		Help:        "Whether the connector is paused or stopped exactly as its resource asks for (1) or not (0); absent while it is unassigned or restarted, when operators wait too",
		Cardinality: "at most " + perManaged, Origin: "the resource and the snapshot together", OptIn: onDiscovery,
	},
	ResourceConnectorReady: {
		Name: "kafka_connect_resource_connector_ready", OTelName: "kafka.connect.resource.connector.ready", Kind: Gauge, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector", "status"},
		Help:        "Status of the condition Ready of the connector's resource: True, False or Unknown; always 1",
		Cardinality: "at most " + perManaged, Origin: "status.conditions of the connector's resource", OptIn: onDiscovery,
	},
	ResourceAutoRestarts: {
		Name: "kafka_connect_resource_auto_restarts", OTelName: "kafka.connect.resource.auto_restarts", Unit: "{restart}", Kind: Gauge, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector"},
		Help:        "Restarts by the operator since the connector was last well for a while; back to 0 afterwards",
		Cardinality: perAutoRestart, Origin: "status.autoRestart", OptIn: onDiscovery,
	},
	ResourceGaveUp: {
		Name: "kafka_connect_resource_auto_restart_gave_up", OTelName: "kafka.connect.resource.auto_restart_gave_up", Kind: Gauge, Group: GroupConnector,
		Labels:      []string{ClusterLabel, "connector"},
		Help:        "Whether the operator has restarted the connector as often as maxRestarts allows and does so no more (1) or not (0)",
		Cardinality: perAutoRestart, Origin: "status.autoRestart and spec.autoRestart.maxRestarts", OptIn: onDiscovery,
	},
	DiscoveryUp: {
		Name: "kafka_connect_discovery_up", OTelName: "kafka.connect.discovery.up", Kind: Gauge, Group: GroupExporter,
		Help:        "Whether everything that discovery should watch is watched (1) or not (0)",
		Cardinality: "1", Origin: ofOwnWork, OptIn: onDiscovery,
	},
	DiscoveryResources: {
		Name: "kafka_connect_discovery_resources", OTelName: "kafka.connect.discovery.resources", Unit: "{resource}", Kind: Gauge, Group: GroupExporter,
		Labels:      []string{"group", "kind"},
		Help:        "Resources that discovery knows",
		Cardinality: "1 per kind that is watched", Origin: ofOwnWork, OptIn: onDiscovery,
	},
	DiscoveryRefused: {
		Name: "kafka_connect_discovery_resources_refused", OTelName: "kafka.connect.discovery.resources_refused", Unit: "{resource}", Kind: Gauge, Group: GroupExporter,
		Labels:      []string{"reason"},
		Help:        "Resources that are no cluster, or belong to none, by why: invalid, name_conflict, no_url, secret, settings",
		Cardinality: "5: every reason, 0 included", Origin: ofOwnWork, OptIn: onDiscovery,
	},
	DiscoveryErrors: {
		Name: "kafka_connect_discovery_errors_total", OTelName: "kafka.connect.discovery.errors", Unit: "{error}", Kind: Counter, Group: GroupExporter,
		Labels:      []string{"reason"},
		Help:        "Calls to the Kubernetes API that failed, by why",
		Cardinality: "6: every reason, 0 included", Origin: ofOwnWork, OptIn: onDiscovery,
	},
}

// operator emits what the resource says that the cluster was found by.
func (w *Walk) operator(r *Result) {
	o := r.Resource
	w.Emit(ResourceInfo, 1, Labels{o.CloudName, o.Group, o.Kind, o.MaintenanceWindow, o.Plan, o.Powered, o.Project, o.Name, o.Namespace, o.TerminationProtection})
	// Aiven's API tells the state too, and sooner.
	if o.State != "" && (r.Snapshot == nil || r.Snapshot.ResourceState == "") {
		states := operatorStates
		if o.Project != "" {
			states = resourceStates
		}
		for _, s := range states {
			w.Emit(ResourceState, boolValue(s == o.State), Labels{string(s)})
		}
	}
	for _, c := range o.Conditions {
		w.Emit(ResourceCondition, 1, Labels{c.Status, c.Type})
	}
	for _, s := range o.Settings {
		w.Emit(WorkerSetting, s.Value, Labels{s.Name})
	}
	for _, c := range o.Choices {
		w.Emit(WorkerSettingInfo, 1, Labels{c.Name, c.Value})
	}
	for _, p := range o.Plugins {
		w.Emit(ResourcePluginInfo, 1, Labels{p.Name, p.Version})
	}
	var observed []connect.Connector
	if r.Snapshot != nil {
		observed = r.Snapshot.Connectors
	}
	for i := range o.Connectors {
		c := &o.Connectors[i]
		l := Labels{c.Name}
		if c.Wished != connect.StateUnknown {
			w.Emit(ResourceConnectorWished, 1, Labels{c.Name, c.Wished.String()})
		}
		if c.Ready != "" {
			w.Emit(ResourceConnectorReady, 1, Labels{c.Name, c.Ready})
		}
		if c.HasAutoRestart {
			w.Emit(ResourceAutoRestarts, float64(c.AutoRestarts), l)
			w.Emit(ResourceGaveUp, boolValue(c.GaveUp), l)
		}
		for len(observed) > 0 && observed[0].Name < c.Name { // Both are sorted by name.
			observed = observed[1:]
		}
		if len(observed) > 0 && observed[0].Name == c.Name {
			if agrees, known := c.Agrees(observed[0].State); known {
				w.Emit(ResourceConnectorAgrees, boolValue(agrees), l)
			}
		}
	}
}

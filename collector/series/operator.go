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

// operatorRows are what operators' resources say.
var operatorRows = map[Group]map[Family]Descriptor{
	GroupCluster: {
		ResourceInfo: Gauge.row("kafka.connect.resource.info", "", "cloud_name group kind maintenance_window plan powered project resource_name resource_namespace termination_protection",
			"The resource that the cluster was found by, and of Aiven's what it says of the service; always 1",
			perFound, ofResource, onDiscovery),
		ResourceCondition: Gauge.row("kafka.connect.resource.condition", "", "status type",
			"Status of a condition of the resource: True, False or Unknown; always 1",
			"1 per condition", "status.conditions", onDiscovery),
		WorkerSetting: Gauge.row("kafka.connect.worker.setting", "", "setting",
			"A setting of the workers that is a number, in seconds or bytes where its name says so; the documented default where none is set",
			"9 to 12 per KafkaConnect of Aiven", "userConfig.kafka_connect", onDiscovery),
		WorkerSettingInfo: Gauge.row("kafka.connect.worker.setting_info", "", "setting value",
			"A setting of the workers that is one of a few words; the documented default where none is set; always 1",
			"4 or 5 per KafkaConnect of Aiven", "userConfig.kafka_connect", onDiscovery),
		ResourcePluginInfo: Gauge.row("kafka.connect.resource.plugin_info", "", "plugin version",
			"A plugin that the resource names; always 1",
			"1 per plugin", "userConfig.plugin_versions (Aiven), status.connectorPlugins (Strimzi)", onDiscovery),
	},
	GroupConnector: {
		ResourceConnectorWished: Gauge.row("kafka.connect.resource.connector.wished_state", "", "connector state",
			"State that the connector's resource asks for: running, paused or stopped; always 1",
			perManaged, "spec.state of the KafkaConnector, or of the mirror", onDiscovery),
		ResourceConnectorAgrees: Gauge.row("kafka.connect.resource.connector.agrees", "", "connector",
			"Whether the connector is paused or stopped exactly as its resource asks for (1) or not (0); absent while it is unassigned or restarted, when operators wait too",
			"at most "+perManaged, "the resource and the snapshot together", onDiscovery),
		ResourceConnectorReady: Gauge.row("kafka.connect.resource.connector.ready", "", "connector status",
			"Status of the condition Ready of the connector's resource: True, False or Unknown; always 1",
			"at most "+perManaged, "status.conditions of the connector's resource", onDiscovery),
		ResourceAutoRestarts: Gauge.row("kafka.connect.resource.auto_restarts", "{restart}", "connector",
			"Restarts by the operator since the connector was last well for a while; back to 0 afterwards",
			perAutoRestart, "status.autoRestart", onDiscovery),
		ResourceGaveUp: Gauge.row("kafka.connect.resource.auto_restart_gave_up", "", "connector",
			"Whether the operator has restarted the connector as often as maxRestarts allows and does so no more (1) or not (0)",
			perAutoRestart, "status.autoRestart and spec.autoRestart.maxRestarts", onDiscovery),
	},
	GroupExporter: {
		DiscoveryUp: Gauge.row("kafka.connect.discovery.up", "", "",
			"Whether everything that discovery should watch is watched (1) or not (0)",
			"1", ofOwnWork, onDiscovery),
		DiscoveryResources: Gauge.row("kafka.connect.discovery.resources", "{resource}", "group kind",
			"Resources that discovery knows",
			"1 per kind that is watched", ofOwnWork, onDiscovery),
		DiscoveryRefused: Gauge.row("kafka.connect.discovery.resources_refused", "{resource}", "reason",
			"Resources that are no cluster, or belong to none, by why: invalid, name_conflict, no_url, secret, settings",
			"5: every reason, 0 included", ofOwnWork, onDiscovery),
		DiscoveryErrors: Counter.row("kafka.connect.discovery.errors", "{error}", "reason",
			"Calls to the Kubernetes API that failed, by why",
			"6: every reason, 0 included", ofOwnWork, onDiscovery),
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

package discovery

import (
	"cmp"
	"slices"
	"strings"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// Strimzi's resources, of v1 (from 0.49) and v1beta2 (until 0.51): the fields
// that are used stand in the same places but for the workers' topics.
// Source: the definitions and classes of strimzi-kafka-operator 0.47 to 1.2.

const (
	// clusterLabel of a KafkaConnector names its KafkaConnect.
	clusterLabel = "cluster"
	// pauseAnnotation stops the operator.
	pauseAnnotation = "pause-reconciliation"
	// pausedCondition is then the only one.
	pausedCondition = "ReconciliationPaused"
	// neverGivesUp is autoRestart without maxRestarts.
	neverGivesUp = -1
)

// domain is before the operator's labels and annotations: strimzi.io for Strimzi,
// the group itself for those that are derived from it (IBM Event Streams:
// eventstreams.ibm.com/cluster).
func domain(group string) string { return strings.TrimPrefix(group, "kafka.") + "/" }

func strimziConnect(t tree, o *Object) {
	strimziCluster(t, o)
	spec, config := t.under("spec"), t.under("spec", "config")
	o.Cluster.Brokers = Brokers{
		Bootstrap:   spec.address("bootstrapServers"),
		GroupID:     cmp.Or(spec.text("groupId"), config.text("group.id"), "connect-cluster"),
		StatusTopic: cmp.Or(spec.text("statusStorageTopic"), config.text("status.storage.topic"), "connect-cluster-status"),
		OffsetTopic: cmp.Or(spec.text("offsetStorageTopic"), config.text("offset.storage.topic"), "connect-cluster-offsets"),
	}
}

func strimziMirror(t tree, o *Object) {
	strimziCluster(t, o)
	target, config := t.under("spec", "target"), tree(nil)
	bootstrap := target.address("bootstrapServers")
	if len(target) == 0 { // v1beta2
		for _, cluster := range t.list("spec", "clusters") {
			if cluster.text("alias") == t.text("spec", "connectCluster") {
				bootstrap, config = cluster.address("bootstrapServers"), cluster.under("config")
			}
		}
	}
	o.Cluster.Brokers = Brokers{
		Bootstrap:   bootstrap,
		GroupID:     cmp.Or(target.text("groupId"), config.text("group.id"), "mirrormaker2-cluster"),
		StatusTopic: cmp.Or(target.text("statusStorageTopic"), config.text("status.storage.topic"), "mirrormaker2-cluster-status"),
		OffsetTopic: cmp.Or(target.text("offsetStorageTopic"), config.text("offset.storage.topic"), "mirrormaker2-cluster-offsets"),
	}
	o.Cluster.Resource.Connectors = mirrorConnectors(t)
}

// mirrorConnectors are those that a KafkaMirrorMaker2 lists in its status, with
// what its mirrors wish of them.
func mirrorConnectors(t tree) []connect.OperatorConnector {
	restarts := map[string]float64{}
	for _, status := range t.list("status", "autoRestartStatuses") {
		restarts[status.text("connectorName")], _ = status.number("count")
	}
	wishes := map[string]tree{}
	for _, mirror := range t.list("spec", "mirrors") {
		source := cmp.Or(mirror.text("source", "alias"), mirror.text("sourceCluster"))
		target := cmp.Or(t.text("spec", "target", "alias"), mirror.text("targetCluster"))
		for field, class := range map[string]string{
			"sourceConnector": "MirrorSourceConnector", "checkpointConnector": "MirrorCheckpointConnector", "heartbeatConnector": "MirrorHeartbeatConnector",
		} {
			wishes[source+"->"+target+"."+class] = mirror.under(field)
		}
	}
	var all []connect.OperatorConnector
	for _, status := range t.list("status", "connectors") {
		name := status.text("name")
		if name == "" {
			continue
		}
		c := connect.OperatorConnector{Name: name, Wished: wished(wishes[name])}
		autoRestart(&c, wishes[name].under("autoRestart"), int(restarts[name]))
		all = append(all, c)
	}
	return sortConnectors(all)
}

func sortConnectors(all []connect.OperatorConnector) []connect.OperatorConnector {
	byName := func(a, b connect.OperatorConnector) int { return cmp.Compare(a.Name, b.Name) }
	slices.SortFunc(all, byName)
	return slices.CompactFunc(all, func(a, b connect.OperatorConnector) bool { return a.Name == b.Name })
}

// strimziCluster is what both kinds of clusters have. An address stands in the
// status only while there are replicas.
func strimziCluster(t tree, o *Object) {
	c := o.Cluster
	c.URL = t.address("status", "url")
	replicas, said := t.number("spec", "replicas")
	ready := condition(c.Resource.Conditions, "Ready")
	switch {
	case condition(c.Resource.Conditions, pausedCondition) == "True" || t.under("metadata", "annotations").text(domain(o.Kind.Group)+pauseAnnotation) == "true":
		// The status is not refreshed, but the workers go on.
		c.Resource.State = connect.ResourcePaused
		if c.URL == "" {
			c.Idle = "its reconciliation is paused, and its status has no url"
		}
	case said && replicas == 0:
		c.Resource.State, c.URL, c.Idle = connect.ResourceStopped, "", "it has 0 replicas"
	case ready == "True":
		c.Resource.State = connect.ResourceRunning
	case ready == "False":
		c.Resource.State = connect.ResourceNotReady
	default:
		c.Resource.State = connect.ResourceUnknown
	}
	for _, plugin := range t.list("status", "connectorPlugins") {
		if class := plugin.text("class"); class != "" {
			c.Resource.Plugins = append(c.Resource.Plugins, connect.Plugin{Name: class, Version: plugin.text("version")})
		}
	}
	c.Resource.Plugins = sortPlugins(c.Resource.Plugins)
}

func condition(all []connect.Condition, name string) string {
	for _, c := range all {
		if c.Type == name {
			return c.Status
		}
	}
	return ""
}

func sortPlugins(all []connect.Plugin) []connect.Plugin {
	slices.SortFunc(all, func(a, b connect.Plugin) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})
	return slices.Compact(all)
}

// The name in Connect is that of the resource.
func strimziConnector(t tree, o *Object) {
	label := domain(o.Kind.Group) + clusterLabel
	o.Connector.Cluster, o.Connector.Namespace = t.under("metadata", "labels").text(label), o.Namespace
	if o.Connector.Cluster == "" {
		o.Problem = "has no label " + label
	}
	c := &o.Connector.State
	c.Wished = wished(t.under("spec"))
	c.Ready = condition(conditions(t.list("status", "conditions")), "Ready")
	count, _ := t.number("status", "autoRestart", "count")
	autoRestart(c, t.under("spec", "autoRestart"), int(count))
}

// wished is the state that a spec asks for. pause is of v1beta2, where state
// stands over it.
func wished(spec tree) connect.State {
	switch spec.text("state") {
	case "paused":
		return connect.StatePaused
	case "stopped":
		return connect.StateStopped
	case "running":
		return connect.StateRunning
	}
	if spec.is("pause") {
		return connect.StatePaused
	}
	return connect.StateRunning
}

// autoRestart says what the operator did. Its count is no counter: it goes back
// to none once the connector has been well for a while.
func autoRestart(c *connect.OperatorConnector, spec tree, count int) {
	c.HasAutoRestart = spec.is("enabled")
	if !c.HasAutoRestart {
		return
	}
	c.AutoRestarts = count
	limit, limited := spec.number("maxRestarts")
	c.GaveUp = limited && limit != neverGivesUp && float64(count) >= limit
}

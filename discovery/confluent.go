package discovery

import (
	"cmp"
	"strings"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// Confluent for Kubernetes, platform.confluent.io/v1beta1 as of its schema 3.3.0.

func confluentConnect(t tree, o *Object) {
	c := o.Cluster
	c.URL = cmp.Or(t.address("status", "restConfig", "internalEndpoint"), t.address("status", "restConfig", "externalEndpoint"))
	if c.URL != "" && !strings.Contains(c.URL, "://") {
		scheme := "http://"
		if len(t.under("status", "restConfig", "tls")) > 0 {
			scheme = "https://"
		}
		c.URL = scheme + c.URL
	}
	replicas, said := t.number("spec", "replicas")
	switch phase := t.text("status", "phase"); {
	case said && replicas == 0:
		c.Resource.State, c.URL, c.Idle = connect.ResourceStopped, "", "it has 0 replicas"
	case phase == "RUNNING":
		c.Resource.State = connect.ResourceRunning
	case phase == "":
		c.Resource.State = connect.ResourceUnknown
	default:
		c.Resource.State = connect.ResourceNotReady
	}
	c.Brokers = Brokers{Bootstrap: t.address("status", "kafka", "bootstrapEndpoint"), GroupID: t.text("status", "groupID")}
	topics, _ := t.at("status", "internalTopicNames").([]any)
	for _, topic := range topics {
		name, _ := topic.(string)
		switch {
		case strings.HasSuffix(name, "-status"):
			c.Brokers.StatusTopic = name
		case strings.HasSuffix(name, "-offsets"):
			c.Brokers.OffsetTopic = name
		}
	}
}

// A Connector wishes to run as long as it exists; its trace is never read.
func confluentConnector(t tree, o *Object) {
	// The reference may lead to another namespace.
	o.Connector.Cluster = t.text("spec", "connectClusterRef", "name")
	o.Connector.Namespace = cmp.Or(t.text("spec", "connectClusterRef", "namespace"), o.Namespace)
	if o.Connector.Cluster == "" {
		// http://connect.NAMESPACE.svc.cluster.local:8083 names it too.
		_, host, _ := strings.Cut(t.address("status", "connectRestEndpoint"), "://")
		cluster, rest, _ := strings.Cut(host, ".")
		namespace, _, _ := strings.Cut(rest, ".")
		o.Connector.Cluster, o.Connector.Namespace = cluster, cmp.Or(namespace, o.Namespace)
	}
	if o.Connector.Cluster == "" {
		o.Problem = "names no Connect cluster"
	}
	c := &o.Connector.State
	if name := t.text("spec", "name"); name != "" {
		c.Name = name
	}
	c.Wished = connect.StateRunning
	c.Ready = condition(conditions(t.list("status", "conditions")), "Ready")
	if c.Ready == "" {
		c.Ready = map[string]string{"": "", "RUNNING": "True"}[t.text("status", "connectorState")]
		if failed, _ := t.number("status", "failedTasksCount"); failed > 0 || t.text("status", "connectorState") == "FAILED" {
			c.Ready = "False"
		}
	}
}

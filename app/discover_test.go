package app

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
)

// Resources in files are clusters, without a Kubernetes API; one that is wrong
// costs itself alone.
func TestDiscoveryByFiles(t *testing.T) {
	url := worker(t, cluster("4.1.0"), 0)
	folder := t.TempDir()
	manifest := func(name, text string) { write(t, filepath.Join(folder, name), "%s", text) }
	manifest("one.yaml", fmt.Sprintf(`
apiVersion: kafka.strimzi.io/v1
kind: KafkaConnect
metadata: {name: stream, namespace: data, labels: {team: payments}}
spec: {replicas: 1}
status: {url: %q, conditions: [{type: Ready, status: "True"}]}
---
apiVersion: kafka.strimzi.io/v1
kind: KafkaConnect
metadata: {name: none, namespace: data}
spec: {replicas: 0}
---
apiVersion: kafka.strimzi.io/v1
kind: KafkaConnect
metadata: {name: new, namespace: data}
spec: {replicas: 1}
---
apiVersion: aiven.io/v1alpha1
kind: KafkaConnect
metadata: {name: cloud, namespace: data}
spec: {project: acme, plan: p}
`, url))
	p := start(t, Options{Sources: config.Sources{File: file(t, "discovery: {files: [{paths: [%q], copy_labels: [team]}]}", filepath.Join(folder, "*.yaml"))}})
	p.scrape("/metrics").want(t, series{
		`kafka_connect_up{connect_cluster="data/stream",team="payments"}`:                             1,
		`kafka_connect_up{connect_cluster="data/none"}`:                                               1,
		`kafka_connect_resource_state{connect_cluster="data/none",state="stopped"}`:                   1,
		`kafka_connect_resource_state{connect_cluster="data/stream",state="running",team="payments"}`: 1,
		`kafka_connect_discovery_up`:                                                                  1,
		`kafka_connect_discovery_resources_refused{reason="no_url"}`:                                  1,
		`kafka_connect_discovery_resources_refused{reason="settings"}`:                                1,
	})
}

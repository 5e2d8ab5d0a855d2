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

// The example of the documentation of Aiven's operator, without the operator: its
// service is asked for at Aiven's API with the selector's own token.
func TestAivenManifest(t *testing.T) {
	p := simulate(t)
	folder := t.TempDir()
	write(t, filepath.Join(folder, "connect.yaml"), "%s", `
apiVersion: aiven.io/v1alpha1
kind: KafkaConnect
metadata:
  name: orders-connect
spec:
  authSecretRef: {name: aiven-token, key: token}
  tags: {env: test, instance: foo}
  project: acme
  cloudName: google-europe-west1
  plan: business-4
  userConfig:
    kafka_connect: {consumer_isolation_level: read_committed}
    public_access: {kafka_connect: true}
    ip_filter: [{network: 0.0.0.0/32, description: bar}]
`)
	program := start(t, Options{Sources: config.Sources{File: file(t, "discovery: {files: [{paths: [%q], name: '{name}', copy_labels: [env], aiven: {token: %q, api_url: %q}}]}",
		filepath.Join(folder, "*.yaml"), aivenToken, p.aivenURL)}})
	got := program.scrape("/metrics")
	got.want(t, series{
		`kafka_connect_up{connect_cluster="orders-connect",env="test"}`: 1,
		`kafka_connect_resource_info{cloud_name="google-europe-west1",connect_cluster="orders-connect",env="test",group="aiven.io",kind="KafkaConnect",maintenance_window="",plan="business-4",powered="true",project="acme",resource_name="orders-connect",resource_namespace="default",termination_protection="false"}`: 1,
		`kafka_connect_worker_setting{connect_cluster="orders-connect",env="test",setting="scheduled_rebalance_max_delay_seconds"}`:                                                                                                                                                                                       300,
		`kafka_connect_worker_setting_info{connect_cluster="orders-connect",env="test",setting="consumer_isolation_level",value="read_committed"}`:                                                                                                                                                                        1,
		`kafka_connect_resource_state{connect_cluster="orders-connect",env="test",state="running"}`:                                                                                                                                                                                                                       1,
	})
	for key := range got {
		hidden(t, "a series", key)
	}
}

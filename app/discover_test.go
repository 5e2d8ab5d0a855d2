package app

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
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

// A file that cannot be read, or is not right, takes nothing away that was seen in it.
func TestResourceFilesThatBreak(t *testing.T) {
	resource := func(name string) string {
		return fmt.Sprintf("---\napiVersion: kafka.strimzi.io/v1\nkind: KafkaConnect\nmetadata: {name: %s}\nstatus: {url: 'http://worker:8083'}\n", name)
	}
	folder := t.TempDir()
	one, two := filepath.Join(folder, "one.yaml"), filepath.Join(folder, "two.yaml")
	cfg, err := config.Load(config.Sources{File: file(t, "discovery: {files: [%q]}", filepath.Join(folder, "*.yaml"))})
	if err != nil {
		t.Fatal(err)
	}
	write(t, one, "%s", resource("a")+resource("b"))
	write(t, two, "%s", resource("c"))
	f, err := newDiscoverer(cfg.Discovery, "", 0, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer f.stop()
	for _, step := range []struct {
		name   string
		change func()
		want   []string
	}{
		{"at the start", func() {}, []string{"a", "b", "c"}},
		{"half of a file", func() { write(t, one, "%s", resource("a")+"---\n{{ broken") }, []string{"a", "b", "c"}},
		{"a resource without a name beside a new one", func() { write(t, one, "%s", resource("d")+resource("")) }, []string{"a", "b", "c", "d"}},
		{"a folder in its place", func() {
			if err := os.Remove(one); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(one, 0o700); err != nil {
				t.Fatal(err)
			}
		}, []string{"a", "b", "c", "d"}},
		{"the other is gone", func() {
			if err := os.Remove(two); err != nil {
				t.Fatal(err)
			}
		}, []string{"a", "b", "d"}},
		{"right again", func() {
			if err := os.Remove(one); err != nil {
				t.Fatal(err)
			}
			write(t, one, "%s", resource("b"))
		}, []string{"b"}},
	} {
		step.change()
		f.readFiles()
		f.readFiles()
		var names []string
		for _, o := range f.registry.Objects() {
			names = append(names, o.Name)
		}
		if slices.Sort(names); !slices.Equal(names, step.want) {
			t.Errorf("%s: %v, want %v", step.name, names, step.want)
		}
	}
}

package config

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func discoveryOf(t *testing.T, text string, environ ...string) *Discovery {
	t.Helper()
	cfg, err := load(t, text, environ...)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return cfg.Discovery
}

func foundAt(address string) Found {
	return Found{Settings: Settings{Name: "x", Provider: ProviderConnect, URLs: []string{address}}}
}

func foundAtAiven(route string) Found {
	return Found{Settings: Settings{Name: "x", Provider: ProviderAiven, Services: Services{Aiven: &Aiven{Project: "p", Service: "s", Route: route}}}}
}

// A cluster that is found is watched by the settings of its selector.
func TestFoundClusters(t *testing.T) {
	d := discoveryOf(t, `
discovery:
  kubernetes:
    - kinds: [strimzi]
      namespaces: [data]
      copy_labels: [team, app.kubernetes.io/part-of]
      labels: {env: prod}
      request_timeout: 3s
      connectors: {exclude: ["^test-"]}
      kafka: {}
    - kinds: [aiven]
      name: "{name}"
      aiven: {token: secret, api_url: "https://api.example.org"}
`)
	if len(d.Kubernetes) != 2 || d.Kubernetes[0].Settings.Name != "{namespace}/{name}" || d.Kubernetes[1].Settings.Name != "{name}" {
		t.Fatalf("%+v", d)
	}
	found := foundAt("http://orders:8083")
	found.Name, found.Labels = "data/orders", map[string]string{"team": "a", "app.kubernetes.io/part-of": "shop", "other": "b"}
	found.Kafka = &Kafka{BootstrapServers: []string{"kafka:9092"}, GroupID: "g", StatusStorageTopic: "s", OffsetStorageTopic: "o"}
	c, err := d.Kubernetes[0].Cluster(found)
	if err != nil {
		t.Fatal(err)
	}
	if c.Provider != ProviderConnect || c.URLs[0].String() != "http://orders:8083" || c.RequestTimeout != Duration(3*time.Second) || c.Filter.Keep("test-x") ||
		c.Kafka == nil || c.Kafka.GroupID != "g" || c.Kafka.StatusStorageTopic != "s" || c.Kafka.BootstrapServers[0] != "kafka:9092" {
		t.Errorf("%+v", c)
	}
	if len(c.Labels) != 3 || c.Labels["env"] != "prod" || c.Labels["team"] != "a" || c.Labels["app_kubernetes_io_part_of"] != "shop" {
		t.Errorf("labels are %v", c.Labels)
	}
	delete(found.Labels, "other")
	found.Origin = "elsewhere"
	same, _ := d.Kubernetes[0].Cluster(found)
	if !c.Same(same) {
		t.Error("a cluster that is found again is another")
	}
	cloud, err := d.Kubernetes[1].Cluster(foundAtAiven("private"))
	if err != nil {
		t.Fatal(err)
	}
	if cloud.Aiven.Route != "private" || cloud.Aiven.Project != "p" || cloud.Aiven.APIURL.Host != "api.example.org" || !d.Kubernetes[1].HasToken() || d.Kubernetes[0].HasToken() {
		t.Errorf("%+v", cloud.Aiven)
	}
	if _, err := d.Kubernetes[0].Cluster(foundAtAiven("public")); err == nil || !strings.Contains(err.Error(), "token") {
		t.Errorf("an Aiven service without a token: %v", err)
	}
	idle, err := d.Kubernetes[0].Cluster(Found{Settings: Settings{Name: "x"}, Idle: true})
	if err != nil || !idle.Idle || idle.Labels["env"] != "prod" {
		t.Errorf("%+v, %v", idle, err)
	}
	for _, address := range []string{"http://169.254.169.254", "http://169.254.1.2:8083/x", "http://[fe80::1%25eth0]:8083", "http://[::ffff:169.254.169.254]"} {
		if _, err := d.Kubernetes[0].Cluster(foundAt(address)); err == nil || !strings.Contains(err.Error(), "link-local") {
			t.Errorf("%s: %v", address, err)
		}
	}
	found = foundAt("https://x")
	found.Authorities = "PEM"
	trusting, err := d.Kubernetes[0].Cluster(found)
	found.Authorities = "other PEM"
	other, _ := d.Kubernetes[0].Cluster(found)
	if err != nil || trusting.Authorities != "PEM" || trusting.Same(other) {
		t.Errorf("authorities %q, %v; a change of these: %v", trusting.Authorities, err, !trusting.Same(other))
	}
	if _, err := d.Kubernetes[0].Cluster(foundAt("ftp://x")); err == nil {
		t.Error("any address is taken")
	}
}

func TestDiscoveryFiles(t *testing.T) {
	d := discoveryOf(t, "discovery:\n  files:\n    - resources/*.yaml\n    - paths: [/etc/connect/*.yml]\n      name: '{kind}-{name}'\n")
	if len(d.Files) != 2 || !filepath.IsAbs(d.Files[0].Paths[0]) || !strings.HasSuffix(d.Files[0].Paths[0], "/resources/*.yaml") || d.Files[1].Settings.Name != "{kind}-{name}" {
		t.Errorf("%+v", d.Files)
	}
	again := discoveryOf(t, "discovery:\n  files:\n    - paths: [/etc/connect/*.yml]\n")
	if !again.Same(discoveryOf(t, "discovery: {files: [/etc/connect/*.yml]}")) || again.Same(d) || again.Same(nil) {
		t.Error("settings are not compared by what they say")
	}
}

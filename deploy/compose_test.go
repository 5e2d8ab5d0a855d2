// Package deploy_test holds what stands in this folder to the rest of the
// repository: that the files it names exist and are what they are taken for.
package deploy_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
)

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

type service struct {
	Image     string
	Ports     []string
	Volumes   []string
	DependsOn map[string]any `yaml:"depends_on"`
}

func services(t *testing.T) map[string]service {
	t.Helper()
	var compose struct{ Services map[string]service }
	readYAML(t, "compose.yaml", &compose)
	if len(compose.Services) == 0 {
		t.Fatal("no services")
	}
	return compose.Services
}

func TestComposeMountsWhatExists(t *testing.T) {
	for name, s := range services(t) {
		for _, volume := range s.Volumes {
			source, rest, _ := strings.Cut(volume, ":")
			if _, err := os.Stat(source); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if !strings.HasSuffix(rest, ":ro") {
				t.Errorf("%s: %s is not mounted read-only", name, source)
			}
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s: port %s is open to the network", name, port)
			}
		}
	}
}

func TestComposeHostsAreServices(t *testing.T) {
	all := services(t)
	for name, s := range all {
		for other := range s.DependsOn {
			if _, ok := all[other]; !ok {
				t.Errorf("%s depends on %s, which is no service", name, other)
			}
		}
	}
	cfg, err := config.Load(config.Sources{File: "compose/clusters.yml"})
	if err != nil {
		t.Fatal(err)
	}
	for _, cluster := range cfg.Clusters {
		for _, url := range cluster.URLs {
			if _, ok := all[url.Hostname()]; !ok {
				t.Errorf("the exporter asks %s, which is no service", url)
			}
		}
	}
	var prometheus struct {
		RuleFiles []string `yaml:"rule_files"`
		Alerting  struct {
			Alertmanagers []target
		}
		Scrape []struct {
			Job    string `yaml:"job_name"`
			target `yaml:",inline"`
		} `yaml:"scrape_configs"`
	}
	readYAML(t, "compose/prometheus.yml", &prometheus)
	var targets []string
	for _, a := range prometheus.Alerting.Alertmanagers {
		targets = append(targets, a.all()...)
	}
	for _, s := range prometheus.Scrape {
		// The rules' matcher on "up" takes the exporter's job for this.
		if s.Job != "kafka-connect-exporter" {
			t.Errorf("job %q", s.Job)
		}
		targets = append(targets, s.all()...)
	}
	if len(targets) != 2 {
		t.Errorf("targets %v", targets)
	}
	for _, one := range targets {
		host, _, _ := strings.Cut(one, ":")
		if _, ok := all[host]; !ok {
			t.Errorf("%s is no service", one)
		}
	}
	for _, rules := range prometheus.RuleFiles {
		mounted := false
		for _, volume := range all["prometheus"].Volumes {
			mounted = mounted || strings.Contains(volume, ":/etc/prometheus/"+rules+":")
		}
		if !mounted {
			t.Errorf("%s is not mounted", rules)
		}
	}
}

type target struct {
	Static []struct{ Targets []string } `yaml:"static_configs"`
}

func (c target) all() []string {
	var targets []string
	for _, s := range c.Static {
		targets = append(targets, s.Targets...)
	}
	return targets
}

func TestComposeConnectorsAreConfigurations(t *testing.T) {
	files, err := filepath.Glob("compose/connectors/*.json")
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var configuration map[string]string
		if err := json.Unmarshal(content, &configuration); err != nil || configuration["connector.class"] == "" {
			t.Errorf("%s: %v, %v", file, configuration, err)
		}
	}
}

// An image without a fixed tag is another one tomorrow.
func TestImagesAreNamedByTag(t *testing.T) {
	for name, s := range services(t) {
		image := regexp.MustCompile(`\$\{\w+:-([^}]+)\}`).ReplaceAllString(s.Image, "$1")
		if image == "kafka-connect-exporter" {
			continue // It is built from this repository.
		}
		_, tag, found := strings.Cut(image, ":")
		if !found || !regexp.MustCompile(`^v?[0-9]+\.[0-9]+\.[0-9]+$`).MatchString(tag) {
			t.Errorf("%s: the image %s has no fixed tag", name, s.Image)
		}
	}
}

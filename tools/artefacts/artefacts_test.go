// Package artefacts_test holds the alerts, the mixin and the compose file
// against the programs and libraries that read them in earnest: promtool,
// amtool, go-jsonnet and compose-go. It is a module of its own, so that none of
// them comes into the product's.
package artefacts_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/google/go-jsonnet"
)

const root = "../.."

// tool returns the path of a program that ../build.sh builds and keeps.
func tool(t *testing.T, name, program string) string {
	t.Helper()
	command := exec.Command("../build.sh", name)
	command.Stderr = os.Stderr
	folder, err := command.Output()
	if err != nil {
		t.Fatalf("build %s: %v", name, err)
	}
	return filepath.Join(strings.TrimSpace(string(folder)), program)
}

// run fails the test with what the program printed, unless it ends well.
func run(t *testing.T, program string, arguments ...string) {
	t.Helper()
	if output, err := exec.Command(program, arguments...).CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v\n%s", filepath.Base(program), strings.Join(arguments, " "), err, output)
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	return found
}

func TestRules(t *testing.T) {
	promtool := tool(t, "prometheus", "promtool")
	run(t, promtool, append([]string{"check", "rules", "--lint=all", "--lint-fatal"}, glob(t, root+"/alerts/*.rules.yml")...)...)
	run(t, promtool, append([]string{"test", "rules"}, glob(t, root+"/alerts/*_test.yml")...)...)
}

// What export writes is checked in its extremes: adapted in every way, plain
// and for Kubernetes.
func TestExportedRules(t *testing.T) {
	promtool := tool(t, "prometheus", "promtool")
	folder := t.TempDir()
	exporter := filepath.Join(folder, "kafka-connect-exporter")
	build := exec.Command("go", "build", "-C", root, "-o", exporter, "./cmd/kafka-connect-exporter")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the exporter: %v\n%s", err, output)
	}
	run(t, exporter, "export", "alerts", folder, `--selector=job="it's {odd}",env=~"a|b"`, "--runbooks=https://wiki.example/x",
		"--time-scale=0.02", "--wakeful-names")
	run(t, promtool, append([]string{"check", "rules"}, glob(t, folder+"/*.rules.yml")...)...)
	run(t, tool(t, "alertmanager", "amtool"), "check-config", folder+"/alertmanager.yml")
}

// routes says where an alert must end up.
var routes = []struct{ alert, severity, receiver string }{
	{"KafkaConnectClusterDown", "critical", "pager"},
	{"KafkaConnectTaskFailed", "warning", "team"},
	{"KafkaConnectPaused", "info", "digest"},
	{"SomethingElse", "critical", "team"},
}

func TestAlertmanager(t *testing.T) {
	amtool := tool(t, "alertmanager", "amtool")
	file := root + "/alerts/alertmanager.yml"
	run(t, amtool, "check-config", file)
	for _, r := range routes {
		run(t, amtool, "config", "routes", "test", "--config.file="+file, "--verify.receivers="+r.receiver,
			"alertname="+r.alert, "severity="+r.severity, "connect_cluster=orders", "job=kafka-connect-exporter")
	}
}

func TestPrometheusConfiguration(t *testing.T) {
	content, err := os.ReadFile(root + "/deploy/compose/prometheus.yml")
	if err != nil {
		t.Fatal(err)
	}
	// The rules lie where the compose file mounts them, beside the configuration.
	folder := t.TempDir()
	for from, to := range map[string]string{"alerts/kafka-connect.rules.yml": "kafka-connect.rules.yml"} {
		rules, err := os.ReadFile(filepath.Join(root, from))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, to), rules, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(folder, "prometheus.yml")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, tool(t, "prometheus", "promtool"), "check", "config", "--lint=all", "--lint-fatal", file)
}

func TestMixin(t *testing.T) {
	vm := jsonnet.MakeVM()
	text, err := vm.EvaluateAnonymousSnippet("test.jsonnet", fmt.Sprintf(`
		local shipped = import %[1]q;
		local adapted = shipped + { _config+:: { runbooks: 'https://wiki.example/%%s' } };
		{
			alerts: adapted.prometheusAlerts, rules: adapted.prometheusRules, dashboards: adapted.grafanaDashboards,
			unchanged: shipped.prometheusAlerts,
		}`, root+"/mixin.libsonnet"))
	if err != nil {
		t.Fatal(err)
	}
	type rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Record string
				Annotations   map[string]string
			}
		}
	}
	var mixin struct {
		Alerts, Rules, Unchanged rules
		Dashboards               map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(text), &mixin); err != nil {
		t.Fatal(err)
	}
	alerts, records := 0, 0
	for _, group := range mixin.Alerts.Groups {
		for _, rule := range group.Rules {
			alerts++
			if rule.Annotations["runbook_url"] != "https://wiki.example/"+rule.Alert {
				t.Errorf("%s: runbook_url %s", rule.Alert, rule.Annotations["runbook_url"])
			}
		}
	}
	for _, group := range mixin.Rules.Groups {
		for _, rule := range group.Rules {
			records++
			if rule.Record == "" {
				t.Errorf("%s: an alert among the recording rules", group.Name)
			}
		}
	}
	source, err := os.ReadFile(root + "/alerts/kafka-connect.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	if a, r := strings.Count(string(source), "- alert: "), strings.Count(string(source), "- record: "); alerts != a || records != r {
		t.Errorf("%d alerts and %d recording rules, want %d and %d", alerts, records, a, r)
	}
	if first := mixin.Unchanged.Groups[0].Rules[0].Annotations["runbook_url"]; !strings.Contains(first, "/docs/runbooks/") {
		t.Errorf("without a configuration the runbook is at %s", first)
	}
	for _, file := range glob(t, root+"/dashboards/*.json") {
		if _, ok := mixin.Dashboards[filepath.Base(file)]; !ok {
			t.Errorf("%s is not in the mixin", filepath.Base(file))
		}
	}
	// Prometheus reads JSON as the YAML that it is.
	folder := t.TempDir()
	for name, part := range map[string]rules{"alerts.yml": mixin.Alerts, "rules.yml": mixin.Rules} {
		if len(part.Groups) == 0 {
			t.Errorf("%s is empty", name)
		}
	}
	for name, expression := range map[string]string{"alerts.json": "prometheusAlerts", "rules.json": "prometheusRules"} {
		text, err := vm.EvaluateAnonymousSnippet("test.jsonnet", fmt.Sprintf(`(import %q).%s`, root+"/mixin.libsonnet", expression))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(folder, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		run(t, tool(t, "prometheus", "promtool"), "check", "rules", file)
	}
}

// compose-go is what docker compose reads its files with.
func TestCompose(t *testing.T) {
	options, err := cli.NewProjectOptions([]string{root + "/deploy/compose.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	worker, err := project.GetService("connect-2")
	if err != nil {
		t.Fatal(err)
	}
	if worker.Hostname != "connect-2" || worker.HealthCheck == nil || len(worker.Volumes) != 1 {
		t.Errorf("the second worker has not got what both share: %+v", worker)
	}
	for _, s := range project.Services {
		if s.Image == "" {
			t.Errorf("%s has no image", s.Name)
		}
	}
}

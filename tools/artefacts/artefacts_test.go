// Package artefacts_test holds the alerts, the mixin and the compose file
// against the programs and libraries that read them in earnest: promtool,
// amtool, go-jsonnet and compose-go. It is a module of its own, so that none of
// them comes into the product's.
package artefacts_test

import (
	"bytes"
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
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
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
	for _, file := range glob(t, root+"/alerts/*_test.yml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			run(t, promtool, "test", "rules", file)
		})
	}
}

// The oldest Prometheus that the rules are for, as Debian 12 has it.
func TestRulesOnOldPrometheus(t *testing.T) {
	folder := t.TempDir()
	for _, command := range [][]string{{"apt-get", "download", "prometheus=2.42*"}, {"sh", "-c", "dpkg -x prometheus_*.deb old"}} {
		step := exec.Command(command[0], command[1:]...)
		step.Dir = folder
		if output, err := step.CombinedOutput(); err != nil {
			t.Skipf("no package of Prometheus 2.42: %v\n%.200s", err, output)
		}
	}
	old := filepath.Join(folder, "old/usr/bin/promtool")
	run(t, old, append([]string{"check", "rules"}, glob(t, root+"/alerts/*.rules.yml")...)...)
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
	run(t, exporter, "export", "alerts", folder, `--selector=job="it's {odd} 100%",env=~"a|b"`, "--runbooks=https://wiki.example/x",
		"--grafana=https://grafana.example", "--owner=label_owner_team", "--objective=0.999", "--rebalance-delay=30s", "--equal=env,region",
		"--time-scale=0.02", "--wakeful-names")
	run(t, promtool, append([]string{"check", "rules"}, glob(t, folder+"/*.rules.yml")...)...)
	run(t, tool(t, "alertmanager", "amtool"), "check-config", folder+"/alertmanager.yml")

	// Replicas that a label of their own tells apart, and owners.
	site := filepath.Join(folder, "site")
	run(t, exporter, "export", "alerts", site, "--fold=replica,node", "--owner=label_owner_team", `--selector=env=~"prod|stage"`)
	cases, err := os.ReadFile("testdata/site_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(site, "site_test.yml"), cases, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, promtool, "test", "rules", filepath.Join(site, "site_test.yml"))

	// What the Prometheus Operator's definitions allow.
	kubernetes := filepath.Join(folder, "kubernetes")
	run(t, exporter, "export", "alerts", kubernetes, "--format=kubernetes", "--label=release=prometheus", "--label=tier=a: b", "--wakeful-names",
		`--selector=job="it's {odd}: #100%"`, "--fold=replica,node", "--equal=env,region", "--owner=label_owner_team", "--objective=0.999",
		"--rebalance-delay=90s", "--runbooks=https://wiki.example/{alert}?a=b#c", "--grafana=https://grafana.example/x")
	for file, definition := range map[string]string{
		"kafka-connect.rules.yml": "prometheusrules", "migration-wakeful.rules.yml": "prometheusrules", "alertmanager.yml": "alertmanagerconfigs",
	} {
		resource := fromYAML(t, filepath.Join(kubernetes, file))
		schema := definedIn(t, tool(t, "prometheus-operator", "monitoring.coreos.com_"+definition+".yaml"), resource["apiVersion"].(string))
		compiler := jsonschema.NewCompiler()
		if err := compiler.AddResource("definition.json", schema); err != nil {
			t.Fatal(err)
		}
		if err := compiler.MustCompile("definition.json").Validate(resource); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// fromYAML reads a file into what JSON would be read into.
func fromYAML(t *testing.T, file string) map[string]any {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var value map[string]any
	if err := yaml.Unmarshal(content, &value); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	plain, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := jsonschema.UnmarshalJSON(bytes.NewReader(plain))
	if err != nil {
		t.Fatal(err)
	}
	return decoded.(map[string]any)
}

// definedIn returns the schema of one version in a resource's definition. A field
// that it does not name would be dropped by the API server: here it is an error.
func definedIn(t *testing.T, definition, apiVersion string) any {
	t.Helper()
	spec := fromYAML(t, definition)["spec"].(map[string]any)
	for _, one := range spec["versions"].([]any) {
		version := one.(map[string]any)
		if !strings.HasSuffix(apiVersion, "/"+version["name"].(string)) {
			continue
		}
		schema := version["schema"].(map[string]any)["openAPIV3Schema"].(map[string]any)
		schema["properties"].(map[string]any)["metadata"] = map[string]any{}
		closed(schema)
		return schema
	}
	t.Fatalf("%s has no version %s", definition, apiVersion)
	return nil
}

func closed(schema any) {
	switch node := schema.(type) {
	case map[string]any:
		if _, has := node["properties"].(map[string]any); has && node["additionalProperties"] == nil && node["x-kubernetes-preserve-unknown-fields"] == nil {
			node["additionalProperties"] = false
		}
		if node["x-kubernetes-int-or-string"] == true {
			delete(node, "type")
		}
		for _, child := range node {
			closed(child)
		}
	case []any:
		for _, child := range node {
			closed(child)
		}
	}
}

// routes says where an alert must end up.
var routes = []struct{ alert, severity, team, receiver string }{
	{"KafkaConnectClusterDown", "critical", "", "pager"},
	{"KafkaConnectClusterUnwatched", "critical", "", "pager"},
	{"KafkaConnectTaskFailed", "warning", "", "team"},
	{"KafkaConnectPaused", "info", "", "digest"},
	{"KafkaConnectTaskFailed", "warning", "payments", "payments"},
	{"KafkaConnectAllTasksFailed", "critical", "payments", "payments-pager"},
	{"KafkaConnectAllTasksFailed", "critical", "billing", "pager"},
	{"SomethingElse", "critical", "", "team"},
}

func TestAlertmanager(t *testing.T) {
	amtool := tool(t, "alertmanager", "amtool")
	file := root + "/alerts/alertmanager.yml"
	run(t, amtool, "check-config", file)
	for _, r := range routes {
		run(t, amtool, "config", "routes", "test", "--config.file="+file, "--verify.receivers="+r.receiver,
			"alertname="+r.alert, "severity="+r.severity, "team="+r.team, "connect_cluster=orders", "job=kafka-connect-exporter")
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
			alerts: adapted.prometheusAlerts, dashboards: adapted.grafanaDashboards,
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
		Alerts, Unchanged rules
		Dashboards        map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(text), &mixin); err != nil {
		t.Fatal(err)
	}
	alerts, records := 0, 0
	for _, group := range mixin.Alerts.Groups {
		for _, rule := range group.Rules {
			if rule.Record != "" {
				records++
				continue
			}
			alerts++
			if rule.Annotations["runbook_url"] != "https://wiki.example/"+rule.Alert {
				t.Errorf("%s: runbook_url %s", rule.Alert, rule.Annotations["runbook_url"])
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
	for _, rule := range mixin.Unchanged.Groups[0].Rules {
		if rule.Alert != "" && !strings.Contains(rule.Annotations["runbook_url"], "/docs/runbooks/") {
			t.Errorf("without a configuration the runbook is at %s", rule.Annotations["runbook_url"])
		}
	}
	for _, file := range glob(t, root+"/dashboards/*.json") {
		if _, ok := mixin.Dashboards[filepath.Base(file)]; !ok {
			t.Errorf("%s is not in the mixin", filepath.Base(file))
		}
	}
	// Prometheus reads JSON as the YAML that it is.
	folder := t.TempDir()
	for name, expression := range map[string]string{"alerts.json": "prometheusAlerts"} {
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

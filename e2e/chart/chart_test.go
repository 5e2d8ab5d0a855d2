// Package chart holds the Helm chart and the kustomize base against what reads
// them in earnest: Helm, kubeconform, promtool, the exporter's own check, and a
// real API server that would take them, with the resource definitions of the
// Prometheus operator.
package chart

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kubernetes"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/process"
)

const (
	chart     = "../deploy/helm/kafka-connect-exporter"
	namespace = "data"
)

// TestMain runs from the suite's folder, as all of its packages do.
func TestMain(m *testing.M) {
	if err := os.Chdir(".."); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// tool returns the path of a program that is built if it is not yet.
func tool(t *testing.T, name, program string) string {
	t.Helper()
	folder, err := e2e.Tool(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(folder, program)
}

// run returns what a program prints, and fails the test unless it ends well.
func run(t *testing.T, program string, arguments ...string) []byte {
	t.Helper()
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(t.Context(), program, arguments...)
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(program), strings.Join(arguments, " "), err, stderr.Bytes(), stdout.Bytes())
	}
	return stdout.Bytes()
}

// An object is a Kubernetes resource.
type object map[string]any

func (o object) at(path ...string) any {
	var value any = map[string]any(o)
	for _, key := range path {
		mapping, _ := value.(map[string]any)
		value = mapping[key]
	}
	return value
}

func (o object) text(path ...string) string { text, _ := o.at(path...).(string); return text }

func (o object) String() string {
	return fmt.Sprintf("%s %s/%s", o.text("kind"), o.text("metadata", "namespace"), o.text("metadata", "name"))
}

func objects(t *testing.T, rendered []byte) (all []object) {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader(rendered))
	for {
		var o map[string]any // Not an object: inner mappings would become objects too.
		if err := decoder.Decode(&o); err != nil {
			if len(all) == 0 {
				t.Fatalf("no objects: %v", err)
			}
			return all
		}
		if len(o) > 0 {
			all = append(all, o)
		}
	}
}

func valueFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(chart + "/ci/*-values.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("only %d files of values: %v", len(files), err)
	}
	return files
}

func render(t *testing.T, values string, more ...string) []byte {
	t.Helper()
	return run(t, tool(t, "helm", "helm"), append([]string{"template", "connect", chart, "--namespace", namespace, "--values", values}, more...)...)
}

func TestLint(t *testing.T) {
	for _, values := range valueFiles(t) {
		run(t, tool(t, "helm", "helm"), "lint", "--strict", chart, "--values", values)
	}
}

// What is wrong is refused with a word about it, before anything is installed.
func TestRefused(t *testing.T) {
	for values, want := range map[string]string{
		"{}": "nothing to watch",
		"{config: {clusters: [{name: a, urls: [http://a]}]}, serviceMonitors: {enabled: true}}":                               "serviceMonitors",
		"{config: {clusters: [{name: a, urls: [http://a]}]}, serviceMonitor: {interval: often}}":                              "interval",
		"{config: {clusters: [{name: a, urls: [http://a]}]}, serviceMonitor: {enabled: true}, scrapeConfig: {enabled: true}}": "twice",
		"{discovery: {enabled: true, kinds: [strimsi]}}":                                                                      "strimsi",
	} {
		file := filepath.Join(t.TempDir(), "values.yaml")
		if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
			t.Fatal(err)
		}
		output, err := exec.CommandContext(t.Context(), tool(t, "helm", "helm"), "template", "x", chart, "--values", file).CombinedOutput()
		if err == nil || !strings.Contains(string(output), want) {
			t.Errorf("%s: %v, without a word of %q:\n%s", values, err, want, output)
		}
	}
}

// The schemas of Kubernetes' own kinds come from the API that the suite starts.
func TestKubeconform(t *testing.T) {
	schemas := t.TempDir()
	writeSchemas(t, tool(t, "kubernetes", "swagger.json"), schemas)
	for _, values := range valueFiles(t) {
		file := filepath.Join(t.TempDir(), "rendered.yaml")
		if err := os.WriteFile(file, render(t, values), 0o600); err != nil {
			t.Fatal(err)
		}
		run(t, tool(t, "kubeconform", "kubeconform"), "-strict", "-summary", "-schema-location", schemas+"/{{.ResourceKind}}{{.KindSuffix}}.json",
			"-skip", "ServiceMonitor,PodMonitor,ScrapeConfig,PrometheusRule,AlertmanagerConfig", file)
	}
}

// writeSchemas turns the API's description into a schema a kind, which refuses
// fields that it does not know.
func writeSchemas(t *testing.T, swagger, folder string) {
	t.Helper()
	content, err := os.ReadFile(swagger)
	if err != nil {
		t.Fatal(err)
	}
	var api struct{ Definitions map[string]map[string]any }
	if err := json.Unmarshal(content, &api); err != nil {
		t.Fatal(err)
	}
	var strict func(any)
	strict = func(value any) {
		switch value := value.(type) {
		case map[string]any:
			if value["properties"] != nil && value["additionalProperties"] == nil && value["x-kubernetes-preserve-unknown-fields"] == nil {
				value["additionalProperties"] = false
			}
			for _, inner := range value {
				strict(inner)
			}
		case []any:
			for _, inner := range value {
				strict(inner)
			}
		}
	}
	either := map[string]any{"oneOf": []any{map[string]any{"type": "string"}, map[string]any{"type": "number"}}}
	for name, definition := range api.Definitions {
		strict(definition)
		if strings.HasSuffix(name, ".IntOrString") || strings.HasSuffix(name, ".Quantity") {
			api.Definitions[name] = either
		}
	}
	kinds := 0
	for name, definition := range api.Definitions {
		named, _ := definition["x-kubernetes-group-version-kind"].([]any)
		if len(named) != 1 {
			continue
		}
		kind := object(named[0].(map[string]any))
		parts := slices.DeleteFunc([]string{strings.ToLower(kind.text("kind")), strings.Split(kind.text("group"), ".")[0], kind.text("version")},
			func(part string) bool { return part == "" })
		if !slices.Contains([]string{"apps", "", "policy", "networking", "rbac"}, strings.Split(kind.text("group"), ".")[0]) {
			continue // Kinds that no chart of ours has.
		}
		schema, err := json.Marshal(map[string]any{
			"$schema": "http://json-schema.org/draft-07/schema#",
			"$ref":    "#/definitions/" + name, "definitions": api.Definitions,
		})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains([]string{
			"Deployment", "Service", "ServiceAccount", "ConfigMap", "Secret", "Role", "RoleBinding", "ClusterRole",
			"ClusterRoleBinding", "NetworkPolicy", "PodDisruptionBudget", "Namespace",
		}, kind.text("kind")) {
			continue
		}
		kinds++
		if err := os.WriteFile(filepath.Join(folder, strings.Join(parts, "-")+".json"), schema, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if kinds < 11 {
		t.Fatalf("only %d kinds have a schema", kinds)
	}
}

// exporter is the product's binary, built once.
var exporter = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "chart")
	if err != nil {
		return "", err
	}
	return e2e.BuildExporter(context.Background(), folder)
})

// The exporter itself accepts the configuration, as it stands in the ConfigMap
// and with the flags of the container; Prometheus accepts the rules.
func TestConfiguration(t *testing.T) {
	binary, err := exporter()
	if err != nil {
		t.Fatal(err)
	}
	promtool := tool(t, "prometheus", "promtool")
	rules := 0
	for _, values := range valueFiles(t) {
		folder := t.TempDir()
		for _, o := range objects(t, render(t, values)) {
			switch o.text("kind") {
			case "ConfigMap":
				configuration := o.text("data", "clusters.yml")
				if configuration == "" {
					continue // a dashboard
				}
				// Secrets are mounted where the configuration says; here they lie in a folder.
				configuration = strings.ReplaceAll(configuration, "/secrets/", folder+"/secrets/")
				if err := os.MkdirAll(folder+"/secrets/aiven", 0o700); err != nil {
					t.Fatal(err)
				}
				for name, content := range map[string]string{"clusters.yml": configuration, "secrets/aiven/token": "t"} {
					if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				check := exec.CommandContext(t.Context(), binary, "check", "--config.file="+folder+"/clusters.yml")
				check.Env = append(os.Environ(), "ORDERS_PASSWORD=s3cret")
				if output, err := check.CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s\n%s", values, err, output, configuration)
				}
			case "PrometheusRule":
				rules++
				spec, err := yaml.Marshal(o["spec"])
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(folder+"/rules.yml", spec, 0o600); err != nil {
					t.Fatal(err)
				}
				run(t, promtool, "check", "rules", "--lint=all", "--lint-fatal", folder+"/rules.yml")
			}
		}
	}
	if rules == 0 {
		t.Error("no file of values has the rules")
	}
}

// Every flag of the container is one that the binary has.
func TestFlags(t *testing.T) {
	binary, err := exporter()
	if err != nil {
		t.Fatal(err)
	}
	help := string(run(t, binary, "serve", "--help"))
	for _, values := range valueFiles(t) {
		for _, o := range objects(t, render(t, values)) {
			if o.text("kind") != "Deployment" {
				continue
			}
			for _, flag := range container(t, o)["args"].([]any) {
				name, _, _ := strings.Cut(flag.(string), "=")
				if !strings.Contains(help, name) {
					t.Errorf("%s: the exporter has no flag %s", values, name)
				}
			}
		}
	}
}

func container(t *testing.T, deployment object) object {
	t.Helper()
	containers, _ := deployment.at("spec", "template", "spec", "containers").([]any)
	if len(containers) != 1 {
		t.Fatalf("%s has %d containers", deployment, len(containers))
	}
	return containers[0].(map[string]any)
}

// What each deployment must be, whatever the values: restricted, and without a
// token unless it discovers.
func TestDeployment(t *testing.T) {
	for _, values := range valueFiles(t) {
		rendered := objects(t, render(t, values))
		index := slices.IndexFunc(rendered, func(o object) bool { return o.text("kind") == "Deployment" })
		deployment := rendered[index]
		pod := object(deployment.at("spec", "template", "spec").(map[string]any))
		security := object(container(t, deployment).at("securityContext").(map[string]any))
		drop, _ := security.at("capabilities", "drop").([]any)
		if pod.at("securityContext", "runAsNonRoot") != true || pod.text("securityContext", "seccompProfile", "type") != "RuntimeDefault" ||
			security["allowPrivilegeEscalation"] != false || security["readOnlyRootFilesystem"] != true || len(drop) != 1 || drop[0] != "ALL" {
			t.Errorf("%s: the pod is not restricted: %v, %v", values, pod["securityContext"], security)
		}
		// Where the metrics ask for credentials, no pod reaches the port that does not.
		arguments, _ := container(t, deployment)["args"].([]any)
		guarded := slices.ContainsFunc(arguments, func(a any) bool { return strings.HasPrefix(a.(string), "--web.config.file") })
		closed := slices.ContainsFunc(rendered, func(o object) bool {
			ingress, _ := o.at("spec", "ingress").([]any)
			return o.text("kind") == "NetworkPolicy" && len(ingress) == 1 && !strings.Contains(fmt.Sprint(ingress), "admin")
		})
		if guarded && !closed {
			t.Errorf("%s: other pods reach the admin port", values)
		}
		discovers := slices.ContainsFunc(rendered, func(o object) bool { return strings.HasSuffix(o.text("kind"), "Role") })
		if pod["automountServiceAccountToken"] != discovers {
			t.Errorf("%s: a token is mounted: %v, and there are roles: %v", values, pod["automountServiceAccountToken"], discovers)
		}
		for _, o := range rendered {
			rules, _ := o["rules"].([]any)
			for _, rule := range rules {
				for _, verb := range rule.(map[string]any)["verbs"].([]any) {
					if !slices.Contains([]any{"get", "list", "watch"}, verb) {
						t.Errorf("%s: %s may %s", values, o, verb)
					}
				}
			}
		}
	}
}

// Who has no Helm gets the same pod.
func TestKustomize(t *testing.T) {
	pod := func(rendered []byte) map[string]any {
		for _, o := range objects(t, rendered) {
			if o.text("kind") == "Deployment" {
				spec := o.at("spec", "template", "spec").(map[string]any)
				delete(container(t, o), "image")
				delete(spec, "volumes") // The name of the ConfigMap is generated.
				return spec
			}
		}
		t.Fatal("no deployment")
		return nil
	}
	for _, name := range []string{"base", "strimzi", "aiven"} {
		values := map[string]string{"base": "url"}[name]
		if values == "" {
			values = name
		}
		helm := pod(run(t, tool(t, "helm", "helm"), "template", "kafka-connect-exporter", chart, "--values", chart+"/ci/"+values+"-values.yaml"))
		kustomize := pod(kustomized(t, name))
		if !reflect.DeepEqual(helm, kustomize) {
			t.Errorf("%s: kustomize makes the pod\n%v\nand Helm\n%v", name, kustomize, helm)
		}
	}
}

func kustomized(t *testing.T, name string) []byte {
	t.Helper()
	return run(t, tool(t, "kustomize", "kustomize"), "build", "../deploy/kustomize/"+name)
}

// A real API server would take every object as it is: it refuses unknown fields
// and what its admission refuses in a namespace that is restricted.
func TestServerTakesIt(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	group, err := process.NewGroup(filepath.Join("..", ".e2e", "logs", "chart"))
	if err != nil {
		t.Fatal(err)
	}
	defer group.Close(10 * time.Second)
	tools := kubernetes.Tools{Kubernetes: filepath.Dir(tool(t, "kubernetes", "x")), Etcd: filepath.Dir(tool(t, "etcd", "x"))}
	server, err := kubernetes.Start(ctx, group, process.NewPorts(26000, 26099), tools, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	definitions, err := filepath.Glob(filepath.Dir(tool(t, "prometheus-operator", "x")) + "/*.yaml")
	if err != nil || len(definitions) == 0 {
		t.Fatalf("no definitions: %v", err)
	}
	for _, file := range definitions {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := server.Do(ctx, http.MethodPost, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", content); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{namespace, "streaming", "monitoring"} {
		body := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": %q, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}`, name)
		if _, err := server.Do(ctx, http.MethodPost, "/api/v1/namespaces", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	taken := map[string]int{}
	for _, values := range valueFiles(t) {
		for _, o := range objects(t, render(t, values, "--api-versions", "monitoring.coreos.com/v1")) {
			if err := server.DryRun(ctx, o); err != nil {
				t.Errorf("%s: %s: %v", values, o, err)
			}
			taken[o.text("kind")]++
			if o.text("kind") == "Deployment" {
				// The template as a pod of its own meets the admission of pods.
				pod := object{
					"apiVersion": "v1", "kind": "Pod", "spec": o.at("spec", "template", "spec"),
					"metadata": map[string]any{"name": "x", "namespace": namespace, "labels": o.at("spec", "template", "metadata", "labels")},
				}
				delete(pod["spec"].(map[string]any), "priorityClassName") // which this server has not
				if err := server.DryRun(ctx, pod); err != nil {
					t.Errorf("%s: the pod: %v", values, err)
				}
			}
		}
	}
	for _, name := range []string{"base", "strimzi", "aiven"} {
		for _, o := range objects(t, kustomized(t, name)) {
			if err := server.DryRun(ctx, o); err != nil {
				t.Errorf("kustomize/%s: %s: %v", name, o, err)
			}
		}
	}
	for _, kind := range []string{
		"Deployment", "Service", "ServiceAccount", "ConfigMap", "Secret", "Role", "RoleBinding", "ClusterRole",
		"ClusterRoleBinding", "NetworkPolicy", "PodDisruptionBudget", "ServiceMonitor", "ScrapeConfig", "PodMonitor", "PrometheusRule", "AlertmanagerConfig",
	} {
		if taken[kind] == 0 {
			t.Errorf("no file of values has a %s", kind)
		}
	}
}

// Package dashboards runs every query of the shipped dashboards against a real
// Prometheus that has scraped the demo fleet through an incident, and holds the
// dashboards to Grafana's published schema.
package dashboards

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/process"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/prometheus"
)

// empty are the queries that the incident leaves without an answer, and why.
func empty() map[string]string {
	return map[string]string{
		"kafka-connect-exporter: Failed OTLP exports, 1h A":                  "the demo pushes nothing over OTLP",
		"kafka-connect-exporter: OTLP exports by outcome A":                  "the demo pushes nothing over OTLP",
		"kafka-connect-cluster: Connectors not observed, by reason A":        "every connector of the demo can be observed",
		"kafka-connect-cluster: State of the managed service A":              "no cluster of the demo is managed",
		"kafka-connect-connector: Tasks that the provider counts A":          "no cluster of the demo is managed",
		"kafka-connect-connector: Workers of its own A":                      "no cluster of the demo is managed",
		"kafka-connect-connector: Workers of its own B":                      "no cluster of the demo is managed",
		"kafka-connect-connector: Workers of its own C":                      "no cluster of the demo is managed",
		"kafka-connect-connector: Runtime A":                                 "no cluster of the demo is managed",
		"kafka-connect-connector: Runtime B":                                 "no cluster of the demo is managed",
		"kafka-connect-connector: Runtime C":                                 "no cluster of the demo is managed",
		"kafka-connect-fleet: annotation Alerts firing":                      "no rules are loaded here",
		"kafka-connect-cluster: annotation Configuration changed":            "nobody changes a configuration in the incident",
		"kafka-connect-connector: annotation Configuration changed":          "likewise",
		"kafka-connect-cluster: annotation Plugin changed":                   "nobody upgrades a plugin in the incident",
		"kafka-connect-connector: annotation Plugin changed":                 "likewise",
		"kafka-connect-cluster: annotation Number of tasks changed":          "nobody changes tasks.max in the incident",
		"kafka-connect-connector: annotation Number of tasks changed":        "likewise",
		"kafka-connect-cluster: Connectors with issues B":                    "every connector of the demo has tasks",
		"kafka-connect-fleet: Failing now E":                                 "the demo chooses no labels of connectors",
		"kafka-connect-cluster: annotation Version of the workers changed":   "nobody upgrades a worker in the incident",
		"kafka-connect-fleet: Health of each cluster B":                      "each cluster of the demo may be unwell at some moment of the incident",
		"kafka-connect-cluster: Connectors that change state most, 1h A":     "the incident may pass within the minutes between which it counts",
		"kafka-connect-fleet: State changes of each cluster A":               "likewise",
		"kafka-connect-fleet: Clusters L":                                    "likewise",
		"kafka-connect-connector: annotation Version of the workers changed": "likewise",
		"kafka-connect-cluster: annotation Alerts firing":                    "no rules are loaded here",
		"kafka-connect-connector: annotation Alerts firing":                  "no rules are loaded here",
		"kafka-connect-exporter: annotation Exporter restarted":              "the exporter is not restarted",
		"kafka-connect-fleet: annotation Workers joined or left":             "the incident passes faster than the minute that it compares with can tell for sure",
		"kafka-connect-cluster: annotation Workers joined or left":           "as on the fleet's dashboard",
		"kafka-connect-connector: annotation Workers joined or left":         "as on the fleet's dashboard",
	}
}

type dashboard struct {
	UID        string
	Templating struct {
		List []struct {
			Name  string
			Hide  int
			Query json.RawMessage
		}
	}
	Annotations struct {
		List []struct{ Name, Expr string }
	}
	Panels []panel
}

type panel struct {
	Title   string
	Targets []struct{ RefID, Expr string }
	Panels  []panel
}

// queries returns each query of a dashboard under the name of what it is for.
func (d dashboard) queries() map[string]string {
	found := map[string]string{}
	for _, v := range d.Templating.List {
		var text struct{ Query string }
		if v.Hide == 2 && json.Unmarshal(v.Query, &text) == nil {
			expr, _ := strings.CutPrefix(text.Query, "query_result(")
			found[d.UID+": variable "+v.Name] = strings.TrimSuffix(expr, ")")
		}
	}
	for _, a := range d.Annotations.List {
		found[d.UID+": annotation "+a.Name] = a.Expr
	}
	var add func([]panel)
	add = func(panels []panel) {
		for _, p := range panels {
			for _, target := range p.Targets {
				found[fmt.Sprintf("%s: %s %s", d.UID, p.Title, target.RefID)] = target.Expr
			}
			add(p.Panels)
		}
	}
	add(d.Panels)
	return found
}

var variable = regexp.MustCompile(`\$[a-z_]\w*`) // $1 is of label_replace.

// fill puts values in place of the dashboards' variables. What a dashboard picks
// by itself (hidden variables) may be any connector here.
func (d dashboard) fill(t *testing.T, query, cluster string) string {
	values := map[string]string{
		"$job": ".+", "$instance": ".+", "$connector": ".+", "$connect_cluster": cluster,
		"$__rate_interval": "10s", "$__range": "5m", "$__interval": "1s", "$owner": "label_team",
	}
	for _, v := range d.Templating.List {
		if v.Hide == 2 {
			values["$"+v.Name] = ".+"
		}
	}
	return variable.ReplaceAllStringFunc(query, func(name string) string {
		value, ok := values[name]
		if !ok {
			t.Errorf("no value for the variable %s in %s", name, query)
		}
		return value
	})
}

// TestQueries: each query is valid, and non-empty at some moment of the incident
// for one of its clusters, but for those with a reason.
func TestQueries(t *testing.T) {
	t.Chdir("..")
	server := incident(t)
	files, err := filepath.Glob("../dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("find the dashboards: %v, %d files", err, len(files))
	}
	excused := empty()
	asked := map[string]bool{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(content, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for name, query := range d.queries() {
			asked[name] = true
			series := 0
			for _, cluster := range []string{"orders", "analytics", "warehouse"} {
				answer, err := server.Query(t.Context(), fmt.Sprintf("count_over_time((%s)[5m:1s])", d.fill(t, query, cluster)))
				if err != nil {
					t.Errorf("%s: %v", name, err)
					break
				}
				series += len(answer)
			}
			// The demo's fleet has no brokers; with real ones the series are asked for in
			// the suite's folder brokers.
			if strings.HasPrefix(name, "kafka-connect-dataflow: ") {
				continue
			}
			if series == 0 && excused[name] == "" {
				t.Errorf("%s: nothing answers %s", name, query)
			}
		}
	}
	for name := range excused {
		if !asked[name] {
			t.Errorf("%s is excused and does not exist", name)
		}
	}
}

// TestSchema validates the dashboards, their panels' options and field options
// against JSON Schemas made from Grafana's own types.
func TestSchema(t *testing.T) {
	t.Chdir("../../tools/grafana")
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("npm is not installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	run := func(name string, arguments ...string) (string, error) {
		output, err := exec.CommandContext(ctx, name, arguments...).CombinedOutput()
		return string(output), err
	}
	if _, err := os.Stat("node_modules/ts-json-schema-generator"); err != nil {
		if output, err := run("npm", "install", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
			t.Fatalf("install what the validation needs: %v\n%s", err, output)
		}
	}
	if output, err := run("node", "validate.mjs"); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
	// And it can fail.
	wrong := filepath.Join(t.TempDir(), "wrong.json")
	if err := os.WriteFile(wrong, []byte(`{"title": "x", "panels": [{"type": "stat", "title": "y", "options": {"graphMode": "nope"}}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := run("node", "validate.mjs", wrong); err == nil {
		t.Errorf("a wrong option is taken for right:\n%s", output)
	}
}

// incident runs the demo fleet and its exporter through the incident, scraped
// each second, and returns when the incident is over.
func incident(t *testing.T) *prometheus.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	directory := t.TempDir()
	tools, err := e2e.Tool(ctx, "prometheus")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(directory, "incident")
	if output, err := exec.CommandContext(ctx, "go", "build", "-C", "..", "-o", program, "./tools/grafana/incident").CombinedOutput(); err != nil {
		t.Fatalf("build the incident: %v\n%s", err, output)
	}
	group, err := process.NewGroup(filepath.Join(directory, "logs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { group.Close(5 * time.Second) })
	ports := process.NewPorts(17300, 17399)
	port, err := ports.Next()
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	// The half hour passes in some 90 seconds.
	fleet, err := group.Start("incident", []string{program, "-listen", address, "-speed", "20"})
	if err != nil {
		t.Fatal(err)
	}
	server, err := prometheus.Start(ctx, group, ports, tools, filepath.Join(directory, "prometheus"), fmt.Sprintf(`
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: kafka-connect-exporter
    static_configs: [{targets: [%q]}]
`, address))
	if err != nil {
		t.Fatal(err)
	}
	// Its last act is that analytics, which was away, is back.
	if err := process.Poll(ctx, time.Second, fleet, func(ctx context.Context) error {
		back, err := server.Query(ctx, `kafka_connect_up{connect_cluster="analytics"} == 1 and min_over_time(kafka_connect_up{connect_cluster="analytics"}[30s]) == 0
			and on () max_over_time(kafka_connect_connectors{connect_cluster="orders", state="failed"}[60s]) > 0`)
		if err == nil && len(back) == 0 {
			err = errors.New("analytics was not away and back yet")
		}
		return err
	}); err != nil {
		t.Fatalf("the incident: %v\n%s", err, fleet.Tail(20))
	}
	return server
}

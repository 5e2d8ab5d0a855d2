// Package oracle says what series the exporter must give of a cluster. It asks
// a worker itself, in the plainest way and independently of the product's code.
package oracle

import (
	"context"
	"fmt"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kafka"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/prometheus"
)

// Families are the metrics that follow from what a cluster says of its
// connectors, whichever way it was asked.
const Families = "kafka_connect_(up|cluster_info|connectors|tasks|workers|worker_connectors|worker_tasks|" +
	"connector_state|connector_info|connector_tasks|connector_tasks_max|connector_failure_info|task_state|task_info|task_failure_info)"

// states that Kafka Connect's states become, and those that are of managed
// services only.
var states = []string{"running", "paused", "stopped", "failed", "unassigned", "restarting", "degraded", "provisioning", "deleting", "unknown"}

type status struct {
	State    string
	WorkerID string `json:"worker_id"`
	Trace    string
	Version  string
}

type connector struct {
	Info struct {
		Config map[string]*string
		Tasks  []struct{ Task int }
		Type   string
	}
	Status struct {
		Connector status
		Tasks     []struct {
			ID int
			status
		}
		Type string
	}
}

// Series are the expected series of Families, without the labels that name
// where they come from, as "name{labels} value" in order. Connectors for which
// skip is true are left out.
func Series(ctx context.Context, client *kafka.Client, version string, skip func(name string) bool) ([]string, error) {
	var root struct {
		Version, Commit string
		KafkaClusterID  string `json:"kafka_cluster_id"`
	}
	if err := client.GetJSON(ctx, "/", &root); err != nil {
		return nil, err
	}
	connectors, err := observe(ctx, client, version, skip)
	if err != nil {
		return nil, err
	}
	var series []string
	add := func(value int, name string, labels ...string) {
		s := prometheus.Sample{Labels: map[string]string{"__name__": "kafka_connect_" + name}, Value: float64(value)}
		for i := 0; i < len(labels); i += 2 {
			if labels[i+1] != "" { // An empty label is none.
				s.Labels[labels[i]] = labels[i+1]
			}
		}
		series = append(series, s.String())
	}
	add(1, "up")
	add(1, "cluster_info", "provider", "connect", "version", root.Version, "commit", root.Commit, "kafka_cluster_id", root.KafkaClusterID)
	connectorStates, taskStates := map[string]int{}, map[string]int{}
	workerConnectors, workerTasks := map[string]int{}, map[string]int{}
	for name, c := range connectors {
		state := strings.ToLower(c.Status.Connector.State)
		connectorStates[state]++
		worker := c.Status.Connector.WorkerID
		workerConnectors[worker]++
		class := ""
		if v := c.Info.Config["connector.class"]; v != nil {
			class = *v
		}
		add(1, "connector_state", "connector", name, "state", state)
		add(1, "connector_info", "connector", name, "connector_type", c.Status.Type, "connector_class", class,
			"connector_version", c.Status.Connector.Version, "worker", worker)
		add(len(c.Info.Tasks), "connector_tasks", "connector", name)
		if v := c.Info.Config["tasks.max"]; v != nil {
			tasksMax, err := strconv.Atoi(*v)
			if err != nil {
				return nil, fmt.Errorf("tasks.max of %q: %w", name, err)
			}
			add(tasksMax, "connector_tasks_max", "connector", name)
		}
		if state == "failed" {
			exception, cause := classes(c.Status.Connector.Trace)
			add(1, "connector_failure_info", "connector", name, "exception", exception, "root_cause", cause)
		}
		for _, t := range c.Status.Tasks {
			id, state := strconv.Itoa(t.ID), strings.ToLower(t.State)
			taskStates[state]++
			workerTasks[t.WorkerID]++
			add(1, "task_state", "connector", name, "task", id, "state", state)
			add(1, "task_info", "connector", name, "task", id, "worker", t.WorkerID, "task_version", t.Version)
			if state == "failed" {
				exception, cause := classes(t.Trace)
				add(1, "task_failure_info", "connector", name, "task", id, "exception", exception, "root_cause", cause)
			}
		}
	}
	for _, state := range states {
		add(connectorStates[state], "connectors", "state", state)
		add(taskStates[state], "tasks", "state", state)
	}
	workers := map[string]bool{}
	for _, placed := range []map[string]int{workerConnectors, workerTasks} {
		for worker := range placed {
			workers[worker] = true
		}
	}
	for worker := range workers {
		add(workerConnectors[worker], "worker_connectors", "worker", worker)
		add(workerTasks[worker], "worker_tasks", "worker", worker)
	}
	add(len(workers), "workers")
	sort.Strings(series)
	return series, nil
}

func observe(ctx context.Context, client *kafka.Client, version string, skip func(string) bool) (map[string]connector, error) {
	connectors := map[string]connector{}
	if kafka.AtLeast(version, "2.3") {
		if err := client.GetJSON(ctx, "/connectors?expand=status&expand=info", &connectors); err != nil {
			return nil, err
		}
		for name := range connectors {
			if skip(name) {
				delete(connectors, name)
			}
		}
		return connectors, nil
	}
	var names []string
	if err := client.GetJSON(ctx, "/connectors", &names); err != nil {
		return nil, err
	}
	for _, name := range names {
		if skip(name) {
			continue
		}
		var c connector
		if err := client.GetJSON(ctx, kafka.ConnectorPath(name)+"/status", &c.Status); err != nil {
			return nil, err
		}
		if err := client.GetJSON(ctx, kafka.ConnectorPath(name), &c.Info); err != nil {
			return nil, err
		}
		connectors[name] = c
	}
	return connectors, nil
}

var (
	first = regexp.MustCompile(`^([\w.$]+)`)
	cause = regexp.MustCompile(`(?m)^Caused by: ([\w.$]+)`)
)

// classes are the class that a Java stack trace begins with and that of its
// last cause.
func classes(trace string) (exception, root string) {
	if m := first.FindStringSubmatch(trace); m != nil {
		exception = m[1]
	}
	root = exception
	if all := cause.FindAllStringSubmatch(trace, -1); len(all) > 0 {
		root = all[len(all)-1][1]
	}
	return exception, root
}

package app

import (
	"fmt"
	"maps"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	commoncfg "github.com/prometheus/common/config"
	"pgregory.net/rapid"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/rest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/kafka"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/kafka/kafkatest"
)

// A watched cluster of the model: what its workers write into the status topic is
// written from the outside, as nothing is simulated that would.
type watchedCluster struct {
	*connecttest.Cluster
	brokers *kafkatest.Cluster
	tasks   map[string]int // that each connector has
	paused  map[string]bool
	words   map[string]map[int]string // states that Kafka has not
	traces  map[string]map[int]string // of what failed
	written map[string]map[int]kafkatest.Status
}

// state is the word that a connector or a task says.
func (w *watchedCluster) state(name string, task int) string {
	switch {
	case w.words[name][task] != "":
		return w.words[name][task]
	case w.traces[name][task] != "":
		return "FAILED"
	case w.paused[name]:
		return "PAUSED"
	}
	return "RUNNING"
}

// publish writes what has changed since it was last called, as workers do.
func (w *watchedCluster) publish() {
	var records []kafkatest.Status
	for name, tasks := range w.tasks {
		if w.written[name] == nil {
			w.written[name] = map[int]kafkatest.Status{}
		}
		for task := connecttest.Itself; task < tasks; task++ {
			status := kafkatest.Status{Connector: name, Task: task, State: w.state(name, task), Trace: w.traces[name][task], Worker: w.Placement(name, task), Generation: 1}
			if status.State != "FAILED" {
				status.Trace = ""
			}
			if w.written[name][task] != status {
				records = append(records, status)
			}
			w.written[name][task] = status
		}
	}
	for name, written := range w.written {
		for task := range written {
			if tasks, there := w.tasks[name]; !there || task >= tasks {
				records = append(records, kafkatest.Status{Connector: name, Task: task})
				delete(written, task)
			}
		}
	}
	w.brokers.Write(records...)
}

// seen is what a snapshot says of states, placement and failures.
func seen(s *connect.Snapshot) string {
	var b strings.Builder
	connectors := slices.Clone(s.Connectors)
	slices.SortFunc(connectors, func(a, b connect.Connector) int { return strings.Compare(a.Name, b.Name) })
	for _, c := range connectors {
		fmt.Fprintf(&b, "%q %v %s %v\n", c.Name, c.State, c.Worker, c.Failure)
		for _, task := range c.Tasks {
			fmt.Fprintf(&b, "  %d %v %s %v\n", task.ID, task.State, task.Worker, task.Failure)
		}
	}
	return b.String()
}

// Whatever happens to a cluster, observation version 1, version 2 and the brokers
// say the same of it: which connectors and tasks there are, in which states, where,
// and why they failed.
func TestViewsAgree(t *testing.T) {
	t.Parallel()
	brokers := kafkatest.New(t, nil)
	rapid.Check(t, func(rt *rapid.T) {
		w := &watchedCluster{
			Cluster: connecttest.NewCluster(connecttest.Options{Workers: []string{"10.0.0.1:8083", "10.0.0.2:8083"}}), brokers: brokers,
			tasks: map[string]int{}, traces: map[string]map[int]string{}, words: map[string]map[int]string{}, paused: map[string]bool{}, written: map[string]map[int]kafkatest.Status{},
		}
		defer func() { // The next cluster has the same brokers.
			w.tasks = map[string]int{}
			w.publish()
		}()
		server := httptest.NewServer(w.Handler(w.Workers()[0]))
		defer server.Close()
		address, err := url.Parse(server.URL)
		if err != nil {
			rt.Fatal(err)
		}
		views := map[string]connect.Observer{}
		for _, version := range []string{rest.Version1, rest.Version2} {
			client, err := rest.NewClient(commoncfg.DefaultHTTPClientConfig, "model")
			if err != nil {
				rt.Fatal(err)
			}
			views[version] = rest.New(rest.Options{Name: "model", URLs: []*url.URL{address}, Client: client, ObservationVersion: version})
		}
		views[kafka.Version], err = kafka.New(kafka.Options{Name: "model", BootstrapServers: brokers.ListenAddrs(), StatusTopic: kafkatest.StatusTopic})
		if err != nil {
			rt.Fatal(err)
		}
		defer func() {
			for _, view := range views {
				view.Close()
			}
		}()
		some := func() string {
			if len(w.tasks) == 0 {
				rt.Skip("there is no connector")
			}
			return rapid.SampledFrom(slices.Sorted(maps.Keys(w.tasks))).Draw(rt, "connector")
		}
		task := func(name string) int { return rapid.IntRange(connecttest.Itself, w.tasks[name]-1).Draw(rt, "task") }
		rt.Repeat(map[string]func(*rapid.T){
			"create": func(rt *rapid.T) {
				name := rapid.SampledFrom([]string{"a", "b-1", "é ->\"x", "long " + strings.Repeat("n", 100), "connector-0"}).Draw(rt, "name")
				if _, there := w.tasks[name]; there {
					rt.Skip("it is there")
				}
				w.tasks[name], w.traces[name], w.words[name] = rapid.IntRange(0, 4).Draw(rt, "tasks"), map[int]string{}, map[int]string{}
				w.Create(connecttest.Connector{Name: name, Tasks: w.tasks[name]})
			},
			"delete": func(*rapid.T) {
				name := some()
				w.Delete(name)
				delete(w.tasks, name)
				delete(w.paused, name)
			},
			"fail": func(rt *rapid.T) {
				name := some()
				which := task(name)
				trace := connecttest.Trace(connecttest.Cause{Class: rapid.SampledFrom([]string{"org.example.A", "org.example.B$C"}).Draw(rt, "class"), Message: "of one: of another"}, connecttest.Cause{Class: "java.io.IOException"})
				w.FailTask(name, which, trace)
				w.traces[name][which] = trace
				delete(w.words[name], which)
			},
			"restart": func(*rapid.T) {
				name := some()
				which := task(name)
				w.RestartTask(name, which)
				delete(w.traces[name], which)
				delete(w.words[name], which)
			},
			"pause": func(*rapid.T) {
				name := some()
				w.Pause(name)
				w.paused[name] = true
			},
			"resume": func(*rapid.T) {
				name := some()
				w.Resume(name)
				delete(w.paused, name)
			},
			"move": func(rt *rapid.T) {
				name := some()
				w.Place(name, task(name), rapid.SampledFrom(w.Workers()).Draw(rt, "worker"))
			},
			"an unknown state": func(*rapid.T) {
				name := some()
				which := task(name)
				w.SetState(name, which, "HIBERNATING")
				w.words[name][which] = "HIBERNATING"
			},
			"": func(rt *rapid.T) {
				w.publish()
				said := map[string]string{}
				for name, view := range views {
					snapshot, err := view.Observe(t.Context(), nil)
					if err != nil {
						rt.Fatalf("version %s: %v", name, err)
					}
					said[name] = seen(snapshot)
				}
				if said[rest.Version1] != said[rest.Version2] || said[rest.Version2] != said[kafka.Version] {
					rt.Fatalf("version 1:\n%s\nversion 2:\n%s\nbrokers:\n%s", said[rest.Version1], said[rest.Version2], said[kafka.Version])
				}
			},
		})
	})
}

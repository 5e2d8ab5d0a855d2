// Package collectortest has what the tests of the collector's packages share:
// snapshots written short, observers made of functions, and series as lines.
package collectortest

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"pgregory.net/rapid"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// Taken is when the snapshots of the tests were Taken.
var Taken = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// Large returns a snapshot of many connectors on ten workers; every tenth task
// has failed.
func Large(connectors, tasks int) *connect.Snapshot {
	s := &connect.Snapshot{
		Provider: connect.SelfManaged, ObservationVersion: "2", Version: "4.3.1", Commit: "abcdef0123456789",
		KafkaClusterID: "MkU3OEVBNTcwNTJENDM2Qg", HasTasks: true, Bytes: int64(connectors) * 3000, Taken: Taken,
	}
	worker := func(n int) string { return fmt.Sprintf("connect-%d.example.com:8083", n%10) }
	s.Connectors = make([]connect.Connector, connectors)
	for i := range s.Connectors {
		c := &s.Connectors[i]
		*c = connect.Connector{
			Name: fmt.Sprintf("orders-sink-%06d", i), State: connect.StateRunning, Worker: worker(i), Type: "sink",
			Class: "io.example.connect.jdbc.JdbcSinkConnector", Version: "10.8.0", TasksMax: tasks, TaskCount: tasks,
			Tasks: make([]connect.Task, tasks),
		}
		for j := range c.Tasks {
			t := &c.Tasks[j]
			*t = connect.Task{ID: j, State: connect.StateRunning, Worker: worker(i + j), Version: "10.8.0"}
			if (i*tasks+j)%10 == 0 {
				t.State = connect.StateFailed
				t.Failure = connect.Failure{Exception: "org.apache.kafka.connect.errors.ConnectException", RootCause: "java.sql.SQLException"}
			}
		}
	}
	return s
}

// An Observer is a connect.Observer made of a function; it counts calls, and
// fails the test if two run at once.
type Observer struct {
	T       testing.TB
	Do      func(ctx context.Context, report func(connect.Request)) (*connect.Snapshot, error)
	Calls   atomic.Int64
	running atomic.Int64
	Closed  atomic.Int64
}

// Observe does what Do does, and fails the test if it is called where it must not be.
func (o *Observer) Observe(ctx context.Context, report func(connect.Request)) (*connect.Snapshot, error) {
	o.Calls.Add(1)
	if o.running.Add(1) > 1 {
		o.T.Error("the observer is called by two goroutines at once")
	}
	defer o.running.Add(-1)
	if o.Closed.Load() > 0 {
		o.T.Error("the observer is called after it was closed")
	}
	return o.Do(ctx, report)
}

// Close counts, and fails the test while Observe is under way.
func (o *Observer) Close() {
	if o.running.Load() > 0 {
		o.T.Error("the observer is closed while it is called")
	}
	o.Closed.Add(1)
}

// Constantly answers with a snapshot at once.
func Constantly(t testing.TB, snapshot *connect.Snapshot) *Observer {
	return &Observer{T: t, Do: func(context.Context, func(connect.Request)) (*connect.Snapshot, error) {
		return snapshot, nil
	}}
}

// Cluster is a snapshot written short: "orders:running 0:running 1:failed"
// lists a connector and its tasks; "?orders" is one that is not observed.
func Cluster(lines ...string) *connect.Snapshot {
	s := &connect.Snapshot{Provider: connect.SelfManaged, HasTasks: true, Taken: Taken}
	for _, line := range lines {
		if name, unobserved := strings.CutPrefix(line, "?"); unobserved {
			s.Unobserved = append(s.Unobserved, connect.Unobserved{Connector: name, Reason: connect.Timeout})
			continue
		}
		words := strings.Fields(line)
		name, state, _ := strings.Cut(words[0], ":")
		c := connect.Connector{Name: name, State: connect.ParseState(state), Type: "sink", TaskCount: len(words) - 1}
		for _, word := range words[1:] {
			var t connect.Task
			var state string
			if _, err := fmt.Sscanf(strings.Replace(word, ":", " ", 1), "%d %s", &t.ID, &state); err != nil {
				panic(err)
			}
			state, t.Worker, _ = strings.Cut(state, "@")
			if t.State = connect.ParseState(state); t.State == connect.StateFailed {
				t.Failure = connect.Failure{Exception: "E", RootCause: "R"}
			}
			c.Tasks = append(c.Tasks, t)
		}
		s.Connectors = append(s.Connectors, c)
	}
	return s
}

// Small is a cluster that has one of everything.
func Small() *connect.Snapshot {
	return &connect.Snapshot{
		Provider: connect.SelfManaged, ObservationVersion: "1", Version: "4.3.1", Commit: "abc", KafkaClusterID: "kid",
		HasTasks: true, Bytes: 1234, Taken: Taken,
		Connectors: []connect.Connector{
			{
				Name: "a \"quoted\" -> ü/%\n", State: connect.StateRunning, Worker: "w1:8083", Type: "source", Class: "io.example.Source",
				Version: "1.2", TasksMax: 3, TaskCount: 2,
				Tasks: []connect.Task{
					{ID: 0, State: connect.StateRunning, Worker: "w1:8083", Version: "1.2"},
					{
						ID: 1, State: connect.StateFailed, Worker: "w2:8083",
						Failure: connect.Failure{Exception: "io.example.E", RootCause: "java.io.IOException"},
					},
				},
			},
			{
				Name: "broken", State: connect.StateFailed, Worker: "w2:8083", Type: "unknown",
				Failure: connect.Failure{Exception: "unknown", RootCause: "unknown"},
			},
		},
		Unobserved: []connect.Unobserved{{Connector: "gone", Reason: connect.NoStatus}, {Connector: "slow", Reason: connect.Timeout}},
	}
}

// text renders families as Prometheus would be served them.
func text(t rapid.TB, families []*dto.MetricFamily) string {
	var b bytes.Buffer
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&b, family); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// Samples are the lines of families as text, without comments.
func Samples(t rapid.TB, families []*dto.MetricFamily) []string {
	return Lines(text(t, families))
}

// Lines are the lines of a text without comments.
func Lines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

// Without returns the lines that have none of these beginnings.
func Without(lines []string, beginnings ...string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
		return slices.ContainsFunc(beginnings, func(b string) bool { return strings.HasPrefix(line, b) })
	})
}

// EqualLines fails the test unless both are the same, in the same order.
func EqualLines(t rapid.TB, have, want []string) {
	t.Helper()
	for _, line := range Without(have, want...) {
		t.Errorf("unexpected: %s", line)
	}
	for _, line := range want {
		if !slices.Contains(have, line) {
			t.Errorf("missing:    %s", line)
		}
	}
	if !t.Failed() && !reflect.DeepEqual(have, want) {
		t.Errorf("order is\n%s\nnot\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
}

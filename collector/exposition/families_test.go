package exposition

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/internal/collectortest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

func TestFamilies(t *testing.T) {
	v := resultOf("orders", collectortest.Small())
	lines := linesOf(t, NewRenderer(Options{}), v)
	const quoted = `connector="a \"quoted\" -> ü/%\n"`
	collectortest.EqualLines(t, collectortest.Without(lines, "kafka_connect_connectors_unobserved", "kafka_connect_connectors{", "kafka_connect_tasks{"), []string{
		`kafka_connect_cluster_info{commit="abc",connect_cluster="orders",kafka_cluster_id="kid",provider="connect",version="4.3.1"} 1`,
		`kafka_connect_connector_failure_info{connect_cluster="orders",connector="broken",exception="unknown",root_cause="unknown"} 1`,
		`kafka_connect_connector_failures_total{connect_cluster="orders",` + quoted + `} 0`,
		`kafka_connect_connector_failures_total{connect_cluster="orders",connector="broken"} 0`,
		`kafka_connect_connector_info{connect_cluster="orders",` + quoted + `,connector_class="io.example.Source",connector_id="",connector_type="source",connector_version="1.2",worker="w1:8083"} 1`,
		`kafka_connect_connector_info{connect_cluster="orders",connector="broken",connector_class="",connector_id="",connector_type="unknown",connector_version="",worker="w2:8083"} 1`,
		`kafka_connect_connector_state{connect_cluster="orders",` + quoted + `,state="running"} 1`,
		`kafka_connect_connector_state{connect_cluster="orders",connector="broken",state="failed"} 1`,
		`kafka_connect_connector_state_changes_total{connect_cluster="orders",` + quoted + `} 0`,
		`kafka_connect_connector_state_changes_total{connect_cluster="orders",connector="broken"} 0`,
		`kafka_connect_connector_state_since_timestamp_seconds{connect_cluster="orders",connector="broken"} 1.795176e+09`,
		`kafka_connect_connector_tasks{connect_cluster="orders",` + quoted + `} 2`,
		`kafka_connect_connector_tasks{connect_cluster="orders",connector="broken"} 0`,
		`kafka_connect_connector_tasks_max{connect_cluster="orders",` + quoted + `} 3`,
		`kafka_connect_response_bytes{connect_cluster="orders"} 1234`,
		`kafka_connect_snapshot_timestamp_seconds{connect_cluster="orders"} 1.795176e+09`,
		`kafka_connect_task_failure_info{connect_cluster="orders",` + quoted + `,exception="io.example.E",root_cause="java.io.IOException",task="1"} 1`,
		`kafka_connect_task_failures_total{connect_cluster="orders",` + quoted + `} 0`,
		`kafka_connect_task_failures_total{connect_cluster="orders",connector="broken"} 0`,
		`kafka_connect_task_info{connect_cluster="orders",` + quoted + `,task="0",task_version="1.2",worker="w1:8083"} 1`,
		`kafka_connect_task_info{connect_cluster="orders",` + quoted + `,task="1",task_version="",worker="w2:8083"} 1`,
		`kafka_connect_task_restarts_total{connect_cluster="orders",` + quoted + `} 0`,
		`kafka_connect_task_restarts_total{connect_cluster="orders",connector="broken"} 0`,
		`kafka_connect_task_state{connect_cluster="orders",` + quoted + `,state="running",task="0"} 1`,
		`kafka_connect_task_state{connect_cluster="orders",` + quoted + `,state="failed",task="1"} 1`,
		`kafka_connect_task_state_changes_total{connect_cluster="orders",` + quoted + `} 0`,
		`kafka_connect_task_state_changes_total{connect_cluster="orders",connector="broken"} 0`,
		`kafka_connect_task_state_since_timestamp_seconds{connect_cluster="orders",` + quoted + `,task="1"} 1.795176e+09`,
		`kafka_connect_transitions_complete{connect_cluster="orders"} 0`,
		`kafka_connect_up{connect_cluster="orders"} 1`,
		`kafka_connect_worker_connectors{connect_cluster="orders",worker="w1:8083"} 1`,
		`kafka_connect_worker_connectors{connect_cluster="orders",worker="w2:8083"} 1`,
		`kafka_connect_worker_tasks{connect_cluster="orders",worker="w1:8083"} 1`,
		`kafka_connect_worker_tasks{connect_cluster="orders",worker="w2:8083"} 1`,
		`kafka_connect_workers{connect_cluster="orders"} 2`,
	})
	for state, want := range map[string]string{"running": "1", "failed": "1", "paused": "0", "stopped": "0", "deleting": "0", "unknown": "0"} {
		for _, family := range []string{"kafka_connect_connectors", "kafka_connect_tasks"} {
			if line := family + `{connect_cluster="orders",state="` + state + `"} ` + want; !slices.Contains(lines, line) {
				t.Errorf("missing: %s", line)
			}
		}
	}
	for _, reason := range connect.UnobservedReasons() {
		want := "0"
		if reason == connect.NoStatus || reason == connect.Timeout {
			want = "1"
		}
		if line := `kafka_connect_connectors_unobserved{connect_cluster="orders",reason="` + string(reason) + `"} ` + want; !slices.Contains(lines, line) {
			t.Errorf("missing: %s", line)
		}
	}
}

func TestFamiliesOfWhatFailed(t *testing.T) {
	failed := series.Result{Cluster: "a", Err: connect.Timeout, Previous: collectortest.Small(), At: collectortest.Taken, Deadline: 4900 * time.Millisecond}
	never := series.Result{Cluster: "b", Err: connect.Unreachable, At: collectortest.Taken}
	unasked := series.Result{Cluster: "c"}
	lines := linesOf(t, NewRenderer(Options{}), unasked, never, failed)
	collectortest.EqualLines(t, lines, []string{
		`kafka_connect_snapshot_deadline_seconds{connect_cluster="a"} 4.9`,
		`kafka_connect_snapshot_timestamp_seconds{connect_cluster="a"} 1.795176e+09`,
		`kafka_connect_up{connect_cluster="a"} 0`,
		`kafka_connect_up{connect_cluster="b"} 0`,
		`kafka_connect_up{connect_cluster="c"} 0`,
	})
	if lines := linesOf(t, NewRenderer(Options{})); len(lines) != 0 {
		t.Errorf("no clusters have %d series", len(lines))
	}
}

func TestFamiliesWithoutTasks(t *testing.T) {
	s := collectortest.Small()
	s.Provider, s.HasTasks = connect.MSK, false
	for _, line := range linesOf(t, NewRenderer(Options{}), resultOf("orders", s)) {
		if name, _, _ := strings.Cut(line, "{"); strings.Contains(name, "task") && name != "kafka_connect_connector_tasks_max" {
			t.Errorf("unexpected: %s", line)
		}
	}
}

func TestAllStates(t *testing.T) {
	for _, test := range []struct {
		provider connect.Provider
		states   []string
	}{
		{connect.SelfManaged, []string{"running", "paused", "stopped", "failed", "unassigned", "restarting", "unknown"}},
		{connect.Aiven, []string{"running", "paused", "stopped", "failed", "unassigned", "restarting", "unknown"}},
		{connect.MSK, []string{"running", "failed", "provisioning", "deleting", "unknown"}},
		{connect.ConfluentCloud, []string{"running", "paused", "failed", "unassigned", "restarting", "degraded", "provisioning", "deleting", "unknown"}},
	} {
		s := &connect.Snapshot{Provider: test.provider, Taken: collectortest.Taken, Connectors: []connect.Connector{{Name: "c", State: connect.StateFailed}}}
		var want []string
		for _, state := range test.states {
			value := " 0"
			if state == "failed" {
				value = " 1"
			}
			want = append(want, `kafka_connect_connector_state{connect_cluster="orders",connector="c",state="`+state+`"}`+value)
		}
		lines := linesOf(t, NewRenderer(Options{AllStates: true}), resultOf("orders", s))
		collectortest.EqualLines(t, slices.DeleteFunc(lines, func(line string) bool { return !strings.HasPrefix(line, "kafka_connect_connector_state{") }), want)
	}
	// A state that nobody expects of the provider is shown all the same.
	s := &connect.Snapshot{Provider: connect.MSK, Taken: collectortest.Taken, Connectors: []connect.Connector{{Name: "c", State: connect.StateRestarting}}}
	lines := linesOf(t, NewRenderer(Options{AllStates: true}), resultOf("orders", s))
	if want := `kafka_connect_connector_state{connect_cluster="orders",connector="c",state="restarting"} 1`; !slices.Contains(lines, want) {
		t.Errorf("missing: %s", want)
	}
}

// TestRegistryAccepts lets client_golang's checks look at the series: names,
// labels, types and uniqueness.
func TestRegistryAccepts(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(yardstick{[]series.Result{resultOf("orders", collectortest.Small())}})
	want, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	have := linesOf(t, NewRenderer(Options{}), resultOf("orders", collectortest.Small()))
	expected := collectortest.Samples(t, want)
	slices.Sort(have)
	slices.Sort(expected)
	collectortest.EqualLines(t, have, expected)
}

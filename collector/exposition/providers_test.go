package exposition

import (
	"slices"
	"strings"
	"testing"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/internal/collectortest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// TestManagedSeries holds what only providers tell, and that nothing is
// invented for what they do not tell.
func TestManagedSeries(t *testing.T) {
	msk := &connect.Snapshot{Provider: connect.MSK, Taken: collectortest.Taken, Connectors: []connect.Connector{
		{
			Name: "fixed", ID: "arn:1", State: connect.StateRunning, Type: "unknown",
			Runtime:  &connect.Runtime{Version: "2.7.1", MinWorkers: 2, MaxWorkers: 2, UnitsPerWorker: 4},
			Reported: &connect.Reported{RunningTasks: connect.Count{Value: 3, Known: true}, FailedTasks: connect.Count{Known: true}},
		},
		{
			Name: "scaled", ID: "arn:2", State: connect.StateProvisioning, Type: "unknown", TasksMax: 8,
			Runtime: &connect.Runtime{Version: "3.7.x", Autoscaled: true, MinWorkers: 1, MaxWorkers: 4, UnitsPerWorker: 1},
		},
		{Name: "unknown", ID: "arn:3", State: connect.StateRunning, Type: "unknown", Runtime: &connect.Runtime{}},
	}}
	off := &connect.Snapshot{Provider: connect.Aiven, HasTasks: true, ResourceState: connect.ResourcePowerOff, Taken: collectortest.Taken}
	cloud := &connect.Snapshot{Provider: connect.ConfluentCloud, HasTasks: true, Taken: collectortest.Taken, Connectors: []connect.Connector{
		{Name: "lake", ID: "lcc-1", State: connect.StateDegraded, Type: "sink", TaskCount: 1, Tasks: []connect.Task{{State: connect.StateRunning}}},
	}}
	lines := linesOf(t, NewRenderer(Options{}), resultOf("aws", msk), resultOf("aiven", off), resultOf("cloud", cloud))
	var managed []string
	for _, line := range lines {
		if strings.Contains(line, "_runtime_") || strings.Contains(line, "_reported_") || strings.Contains(line, "_resource_") ||
			strings.Contains(line, "connector_info") || strings.Contains(line, "connect_workers{") || strings.Contains(line, `"aws"`) && strings.Contains(line, "task") {
			managed = append(managed, line)
		}
	}
	slices.Sort(managed)
	collectortest.EqualLines(t, managed, []string{
		`kafka_connect_connector_info{connect_cluster="aws",connector="fixed",connector_class="",connector_id="arn:1",connector_type="unknown",connector_version="",worker=""} 1`,
		`kafka_connect_connector_info{connect_cluster="aws",connector="scaled",connector_class="",connector_id="arn:2",connector_type="unknown",connector_version="",worker=""} 1`,
		`kafka_connect_connector_info{connect_cluster="aws",connector="unknown",connector_class="",connector_id="arn:3",connector_type="unknown",connector_version="",worker=""} 1`,
		`kafka_connect_connector_info{connect_cluster="cloud",connector="lake",connector_class="",connector_id="lcc-1",connector_type="sink",connector_version="",worker=""} 1`,
		`kafka_connect_connector_reported_tasks{connect_cluster="aws",connector="fixed",state="failed"} 0`,
		`kafka_connect_connector_reported_tasks{connect_cluster="aws",connector="fixed",state="running"} 3`,
		`kafka_connect_connector_runtime_info{capacity="",connect_cluster="aws",connect_version="",connector="unknown"} 1`,
		`kafka_connect_connector_runtime_info{capacity="autoscaled",connect_cluster="aws",connect_version="3.7.x",connector="scaled"} 1`,
		`kafka_connect_connector_runtime_info{capacity="provisioned",connect_cluster="aws",connect_version="2.7.1",connector="fixed"} 1`,
		`kafka_connect_connector_runtime_worker_units{connect_cluster="aws",connector="fixed"} 4`,
		`kafka_connect_connector_runtime_worker_units{connect_cluster="aws",connector="scaled"} 1`,
		`kafka_connect_connector_runtime_workers_max{connect_cluster="aws",connector="fixed"} 2`,
		`kafka_connect_connector_runtime_workers_max{connect_cluster="aws",connector="scaled"} 4`,
		`kafka_connect_connector_runtime_workers_min{connect_cluster="aws",connector="fixed"} 2`,
		`kafka_connect_connector_runtime_workers_min{connect_cluster="aws",connector="scaled"} 1`,
		`kafka_connect_connector_tasks_max{connect_cluster="aws",connector="scaled"} 8`,
		`kafka_connect_resource_state{connect_cluster="aiven",state="poweroff"} 1`,
		`kafka_connect_resource_state{connect_cluster="aiven",state="rebalancing"} 0`,
		`kafka_connect_resource_state{connect_cluster="aiven",state="rebuilding"} 0`,
		`kafka_connect_resource_state{connect_cluster="aiven",state="running"} 0`,
		`kafka_connect_resource_state{connect_cluster="aiven",state="unknown"} 0`,
		`kafka_connect_workers{connect_cluster="aiven"} 0`,
	})
}

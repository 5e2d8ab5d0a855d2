package exposition

import (
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/internal/collectortest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// resultOf returns a result as the first successful snapshot of a cluster yields it.
func resultOf(cluster string, snapshot *connect.Snapshot) series.Result {
	var h series.History
	return series.Result{
		Cluster: cluster, Provider: snapshot.Provider, Snapshot: snapshot, At: snapshot.Taken, Duration: time.Second,
		History: h.Next(snapshot, snapshot.Taken),
	}
}

// TestResultsDoNotChange: what a result holds stays as it is while more
// snapshots follow.
func TestResultsDoNotChange(t *testing.T) {
	var history series.History
	history = history.Next(collectortest.Cluster("a:running 0:running", "b:running"), collectortest.Taken)
	newest := collectortest.Cluster("a:failed 0:running", "b:running")
	history = history.Next(newest, collectortest.Taken)
	result := series.Result{Cluster: "c", Snapshot: newest, History: history}
	renderer := NewRenderer(Options{})
	shown := func() []string { return collectortest.Samples(t, renderer.Families([]series.Result{result})) }
	before := shown()
	history = history.Next(collectortest.Cluster("a:running 0:failed", "aa:running"), collectortest.Taken.Add(time.Minute))
	history = history.Next(collectortest.Cluster(), collectortest.Taken.Add(time.Hour))
	if after := shown(); !slices.Equal(before, after) {
		t.Errorf("a result changed from\n%s\nto\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	if want := `kafka_connect_connector_state_changes_total{connect_cluster="c",connector="a"} 1`; !slices.Contains(before, want) {
		t.Errorf("missing: %s", want)
	}
}

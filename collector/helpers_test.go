package collector

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// taken is when the snapshots of the tests were taken.
var taken = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// large returns a snapshot of many connectors on ten workers; every tenth task
// has failed.
func large(connectors, tasks int) *connect.Snapshot {
	s := &connect.Snapshot{
		Provider: connect.SelfManaged, ObservationVersion: "2", Version: "4.3.1", Commit: "abcdef0123456789",
		KafkaClusterID: "MkU3OEVBNTcwNTJENDM2Qg", HasTasks: true, Bytes: int64(connectors) * 3000, Taken: taken,
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

// viewOf returns a view as the first successful look at a cluster yields it.
func viewOf(cluster string, snapshot *connect.Snapshot) View {
	var t tracker
	t.update(snapshot, snapshot.Taken)
	return View{
		Cluster: cluster, Provider: snapshot.Provider, Snapshot: snapshot, At: snapshot.Taken, Duration: time.Second,
		changes: t.changes, left: t.left,
	}
}

// An observerFunc is an Observer made of a function; it counts calls, and
// fails the test if two run at once.
type observerFunc struct {
	t       testing.TB
	observe func(ctx context.Context, report func(connect.Request)) (*connect.Snapshot, error)
	calls   atomic.Int64
	running atomic.Int64
	closed  atomic.Int64
}

func (o *observerFunc) Observe(ctx context.Context, report func(connect.Request)) (*connect.Snapshot, error) {
	o.calls.Add(1)
	if o.running.Add(1) > 1 {
		o.t.Error("the observer is called by two goroutines at once")
	}
	defer o.running.Add(-1)
	if o.closed.Load() > 0 {
		o.t.Error("the observer is called after it was closed")
	}
	return o.observe(ctx, report)
}

func (o *observerFunc) Close() {
	if o.running.Load() > 0 {
		o.t.Error("the observer is closed while it is called")
	}
	o.closed.Add(1)
}

// constantly answers with a snapshot at once.
func constantly(t testing.TB, snapshot *connect.Snapshot) *observerFunc {
	return &observerFunc{t: t, observe: func(context.Context, func(connect.Request)) (*connect.Snapshot, error) {
		return snapshot, nil
	}}
}

package kafka_test

import (
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/kafka/kafkatest"
)

// Clocks of workers differ from each other and from this one, and jump: what holds is
// what was written last, whatever time it bears.
func TestClocksThatJump(t *testing.T) {
	c := kafkatest.New(t, nil)
	now := time.Now().Truncate(time.Millisecond)
	c.Write(running("x", -1, worker1), kafkatest.Status{Connector: "x", State: "RUNNING", Worker: worker1, At: now.Add(time.Hour)})
	o := observer(t, c, without(true, true))
	observe(t, o)
	for _, at := range []time.Time{now.Add(-30 * 24 * time.Hour), now.Add(30 * 24 * time.Hour), time.UnixMilli(1), now} {
		c.Write(kafkatest.Status{Connector: "x", State: "RUNNING", Worker: worker1, At: at.Add(-time.Millisecond)}, kafkatest.Status{Connector: "x", State: "FAILED", Trace: "a.B: x", Worker: worker1, At: at})
		e := observe(t, o).Brokers.Of("x")
		if task := e.Tasks[0]; task.State != connect.StateFailed || !task.Since.Equal(at) {
			t.Errorf("at %v the task is %+v", at, task)
		}
	}
	if e := observe(t, o).Brokers.Of("x"); e.TaskFailures != 4 {
		t.Errorf("%d failures are counted, want 4", e.TaskFailures)
	}
}

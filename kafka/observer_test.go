package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	"go.uber.org/goleak"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/internal/testmain"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/kafka"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/kafka/kafkatest"
)

func TestMain(m *testing.M) {
	testmain.Parallel(16)
	goleak.VerifyTestMain(m)
}

func observer(t *testing.T, c *kafkatest.Cluster, change ...func(*kafka.Options)) *kafka.Observer {
	t.Helper()
	o := kafka.Options{
		Name: "orders", BootstrapServers: c.ListenAddrs(), Group: kafkatest.Group,
		StatusTopic: kafkatest.StatusTopic, OffsetsTopic: kafkatest.OffsetsTopic, MaxLagPartitions: 100,
	}
	for _, f := range change {
		f(&o)
	}
	observer, err := kafka.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(observer.Close)
	return observer
}

// without leaves out parts of what is read.
func without(group, offsets bool) func(*kafka.Options) {
	return func(o *kafka.Options) {
		if group {
			o.Group = ""
		}
		if offsets {
			o.OffsetsTopic = ""
		}
	}
}

func observe(t *testing.T, o *kafka.Observer) *connect.Snapshot {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	snapshot, err := o.Observe(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if snapshot.Brokers.Err != nil {
		t.Fatal(snapshot.Brokers.Err)
	}
	return snapshot
}

const worker1, worker2 = "10.0.0.1:8083", "10.0.0.2:8083"

func running(connector string, task int, worker string) kafkatest.Status {
	return kafkatest.Status{Connector: connector, Task: task, State: "RUNNING", Worker: worker, Generation: 1}
}

// Twenty restarts between two snapshots are twenty, and none of them is counted
// again by an observer that comes later.
func TestEveryTransitionIsCounted(t *testing.T) {
	c := kafkatest.New(t, nil)
	start := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	c.Write(running("bad", -1, worker1), kafkatest.Status{Connector: "bad", State: "FAILED", Trace: "a.B: x", Worker: worker1, Generation: 1, At: start})
	o := observer(t, c, without(true, true))
	s := observe(t, o)
	if e := s.Brokers.Of("bad"); e == nil || e.TaskFailures != 0 || e.TaskRestarts != 0 || e.TaskStateChanges != 0 {
		t.Fatalf("what was there before is counted: %+v", e)
	} else if len(e.Tasks) != 1 || !e.Tasks[0].Since.Equal(start) || e.Tasks[0].State != connect.StateFailed {
		t.Errorf("the task is %+v, want failed since %v", e.Tasks, start)
	}
	var records []kafkatest.Status
	for i := range 20 {
		at := start.Add(time.Minute + time.Duration(i)*15*time.Millisecond)
		records = append(records,
			kafkatest.Status{Connector: "bad", State: "RESTARTING", Worker: worker2, Generation: 1, At: at},
			kafkatest.Status{Connector: "bad", State: "FAILED", Trace: "a.B: x", Worker: worker1, Generation: 1, At: at.Add(15 * time.Millisecond)})
	}
	c.Write(records...)
	for range 2 { // It is counted once, however often it is asked for.
		s = observe(t, o)
		if e := s.Brokers.Of("bad"); e.TaskFailures != 20 || e.TaskRestarts != 20 || e.TaskStateChanges != 40 || e.Failures != 0 || e.StateChanges != 0 {
			t.Errorf("events are %+v", e)
		} else if want := records[39].At; !e.Tasks[0].Since.Equal(want) {
			t.Errorf("failed since %v, want %v", e.Tasks[0].Since, want)
		}
	}
	if again := observe(t, o); !again.Revision.Same(s.Revision) || !again.Brokers.EventsRevision.Same(s.Brokers.EventsRevision) {
		t.Error("nothing changed, and the revision did")
	}
	later := observer(t, c, without(true, true))
	if e := observe(t, later).Brokers.Of("bad"); e.TaskFailures != 0 || e.TaskRestarts != 0 {
		t.Errorf("a new observer begins with %+v", e)
	}
	c.Write(records[:2]...)
	for _, o := range []*kafka.Observer{o, later} {
		if e := observe(t, o).Brokers.Of("bad"); e.TaskFailures%20 != 1 {
			t.Errorf("after one more failure: %+v", e)
		}
	}
}

// What a restart is, and what is none.
func TestRestarts(t *testing.T) {
	t.Parallel()
	type step struct {
		state, worker string
		generation    int
	}
	for name, test := range map[string]struct {
		steps                       []step
		changes, failures, restarts int
	}{
		"tasks/0/restart of one that runs":            {[]step{{"UNASSIGNED", worker1, 1}, {"RUNNING", worker1, 1}}, 2, 0, 1},
		"a rebalance moves it":                        {[]step{{"UNASSIGNED", worker1, 1}, {"RUNNING", worker2, 2}}, 2, 0, 0},
		"a rebalance gives it back":                   {[]step{{"UNASSIGNED", worker1, 1}, {"RUNNING", worker1, 2}}, 2, 0, 0},
		"a worker died":                               {[]step{{"RUNNING", worker2, 2}}, 0, 0, 0},
		"it fails":                                    {[]step{{"FAILED", worker1, 1}}, 1, 1, 0},
		"it fails and a rebalance starts it":          {[]step{{"FAILED", worker1, 1}, {"FAILED", worker2, 2}}, 1, 2, 1},
		"it fails at each start":                      {[]step{{"FAILED", worker1, 1}, {"FAILED", worker1, 1}, {"FAILED", worker1, 1}}, 1, 3, 2},
		"restart?includeTasks, by word first":         {[]step{{"RESTARTING", worker2, 1}, {"UNASSIGNED", worker1, 1}, {"RUNNING", worker1, 1}}, 3, 0, 1},
		"restart?includeTasks, after it was put down": {[]step{{"UNASSIGNED", worker1, 1}, {"RESTARTING", worker1, 1}, {"RUNNING", worker1, 1}}, 3, 0, 1},
		"it fails and is restarted":                   {[]step{{"FAILED", worker1, 1}, {"RESTARTING", worker1, 1}, {"RUNNING", worker1, 1}, {"FAILED", worker1, 1}}, 4, 2, 1},
		"pause and resume":                            {[]step{{"PAUSED", worker1, 1}, {"RUNNING", worker1, 1}}, 2, 0, 0},
		"stop and resume":                             {[]step{{"UNASSIGNED", worker1, 1}, {"", "", 0}, {"RUNNING", worker1, 2}}, 1, 0, 0},
		"the same once more":                          {[]step{{"RUNNING", worker1, 1}, {"RUNNING", worker1, 1}}, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := kafkatest.New(t, nil)
			o := observer(t, c, without(true, true))
			c.Write(running("x", -1, worker1), running("x", 0, worker1))
			observe(t, o)
			for _, s := range test.steps {
				c.Write(kafkatest.Status{Connector: "x", State: s.state, Worker: s.worker, Generation: s.generation})
			}
			e := observe(t, o).Brokers.Of("x")
			if e.TaskStateChanges != test.changes || e.TaskFailures != test.failures || e.TaskRestarts != test.restarts {
				t.Errorf("%d changes, %d failures, %d restarts; want %+v", e.TaskStateChanges, e.TaskFailures, e.TaskRestarts, test)
			}
		})
	}
}

// A connector that is deleted goes, and with it all that is known but its counts.
func TestTombstones(t *testing.T) {
	c := kafkatest.New(t, nil)
	o := observer(t, c, without(true, true))
	c.Write(running("a-1", -1, worker1), running("a-1", 0, worker1), running("a", -1, worker1), running("a", 1, worker2))
	c.UseTopic("a", "t")
	if names := namesOf(observe(t, o)); !slices.Equal(names, []string{"a 1", "a-1 0"}) {
		t.Errorf("connectors are %q", names)
	}
	c.Write(kafkatest.Status{Connector: "a-1", State: "FAILED", Worker: worker1}, kafkatest.Status{Connector: "a-1"}, kafkatest.Status{Connector: "a-1", Task: -1})
	s := observe(t, o)
	if names := namesOf(s); !slices.Equal(names, []string{"a 1"}) || s.Brokers.Of("a-1") != nil {
		t.Errorf("connectors are %q, events %+v", names, s.Brokers.Of("a-1"))
	}
	c.Write(running("a-1", -1, worker1), running("a-1", 0, worker1))
	if e := observe(t, o).Brokers.Of("a-1"); e == nil || e.TaskFailures != 1 || e.TaskStateChanges != 1 {
		t.Errorf("made again under its name it goes on with %+v", e)
	}
	// stop: the connector stays, its tasks go.
	c.Write(kafkatest.Status{Connector: "a", Task: -1, State: "STOPPED", Worker: worker1}, kafkatest.Status{Connector: "a", Task: 1})
	if names := namesOf(observe(t, o)); !slices.Equal(names, []string{"a", "a-1 0"}) {
		t.Errorf("connectors are %q", names)
	}
}

// namesOf returns the connectors and the ids of their tasks.
func namesOf(s *connect.Snapshot) (names []string) {
	for _, c := range s.Connectors {
		name := c.Name
		for _, task := range c.Tasks {
			name += fmt.Sprintf(" %d", task.ID)
		}
		names = append(names, name)
	}
	return names
}

// A topic that was compacted, cut, or made again is read, and nothing counted
// twice.
func TestTopicsThatChange(t *testing.T) {
	statuses := func(state string) (all []kafkatest.Status) {
		for i := range 50 {
			all = append(all, kafkatest.Status{Connector: fmt.Sprintf("c%d", i), Task: -1, State: state, Worker: worker1})
		}
		return all
	}
	failures := func(s *connect.Snapshot) (n int) {
		for _, e := range s.Brokers.Events {
			n += e.Failures
		}
		return n
	}
	t.Run("compacted", func(t *testing.T) {
		c := kafkatest.New(t, nil)
		c.Recreate(kafkatest.StatusTopic, 5, map[string]string{"cleanup.policy": "compact", "segment.bytes": "1024"})
		for range 3 {
			c.Write(statuses("RUNNING")...)
			c.Write(statuses("FAILED")...)
		}
		before := observer(t, c, without(true, true))
		if n := failures(observe(t, before)); n != 0 {
			t.Errorf("%d failures of before", n)
		}
		c.Write(statuses("FAILED")...)
		c.Compact()
		after := observer(t, c, without(true, true))
		for o, want := range map[*kafka.Observer]int{before: 50, after: 0} {
			s := observe(t, o)
			if n := failures(s); n != want || len(s.Connectors) != 50 || s.Connectors[7].State != connect.StateFailed {
				t.Errorf("%d failures, want %d; %d connectors", n, want, len(s.Connectors))
			}
		}
	})
	t.Run("records deleted", func(t *testing.T) {
		c := kafkatest.New(t, nil)
		o := observer(t, c, without(true, true))
		c.Write(statuses("RUNNING")...)
		observe(t, o)
		c.Write(statuses("FAILED")...)
		for p := range int32(5) {
			if err := c.DeleteRecords(kafkatest.StatusTopic, p, -1); err != nil {
				t.Fatal(err)
			}
		}
		c.Write(statuses("FAILED")...)
		s := observe(t, o)
		if n := failures(s); n != 50 || len(s.Connectors) != 50 {
			t.Errorf("%d failures of %d connectors: those that were deleted cannot be known, the others must be", n, len(s.Connectors))
		}
	})
	t.Run("made again", func(t *testing.T) {
		c := kafkatest.New(t, nil)
		o := observer(t, c, without(true, true))
		c.Write(statuses("RUNNING")...)
		observe(t, o)
		c.Write(statuses("FAILED")[:10]...)
		observe(t, o)
		c.Recreate(kafkatest.StatusTopic, 5, nil)
		c.Write(statuses("FAILED")[:5]...)
		s := observe(t, o)
		if len(s.Connectors) != 5 {
			t.Errorf("%d connectors, want those of the new topic", len(s.Connectors))
		}
		if n := failures(s); n != 5 {
			t.Errorf("%d failures counted of the connectors that are left, want the 5 of before", n)
		}
		c.Write(statuses("FAILED")[:5]...)
		if n := failures(observe(t, o)); n != 10 {
			t.Errorf("%d failures, want 10", n)
		}
	})
	// Brokers before 2.8 tell no topic ids.
	t.Run("made again with fewer partitions, no ids", func(t *testing.T) {
		c := kafkatest.New(t, nil, kfake.MaxVersions(kversion.V2_7_0()))
		o := observer(t, c, without(true, true))
		c.Write(statuses("RUNNING")...)
		observe(t, o)
		c.Recreate(kafkatest.StatusTopic, 1, nil)
		c.Write(statuses("FAILED")[:5]...)
		if s := observe(t, o); len(s.Connectors) != 5 {
			t.Errorf("%d connectors, want those of the new topic", len(s.Connectors))
		}
	})
	t.Run("leaders move", func(t *testing.T) {
		c := kafkatest.New(t, nil)
		o := observer(t, c, without(true, true))
		c.Write(statuses("RUNNING")...)
		observe(t, o)
		for p := range int32(5) {
			if err := c.MoveTopicPartition(kafkatest.StatusTopic, p, 0); err != nil {
				t.Fatal(err)
			}
		}
		c.Write(statuses("FAILED")...)
		if n := failures(observe(t, o)); n != 50 {
			t.Errorf("%d failures after the leaders moved, want 50", n)
		}
	})
}

// A record that is not what a worker writes costs itself alone, and is told.
func TestRecordsThatCannotBeDecoded(t *testing.T) {
	c := kafkatest.New(t, nil)
	o := observer(t, c, without(true, true))
	c.Write(running("good", -1, worker1), running("good", 0, worker1))
	c.Produce(
		&kgo.Record{Topic: kafkatest.StatusTopic, Key: []byte("status-task-good-0"), Value: []byte("hunter2")},
		&kgo.Record{Topic: kafkatest.StatusTopic, Key: []byte("status-task-good"), Value: []byte(`{"state":"RUNNING"}`)},
		&kgo.Record{Topic: kafkatest.StatusTopic, Key: []byte("status-plugin-good"), Value: []byte("of a later Kafka")},
		&kgo.Record{Topic: kafkatest.StatusTopic, Value: []byte("without a key")},
	)
	s, err := o.Observe(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !errors.Is(s.Brokers.Err, connect.Decode) || strings.Contains(s.Brokers.Err.Error(), "hunter2") || s.Brokers.Errors[connect.Decode] != 1 {
		t.Errorf("the error is %v", s.Brokers.Err)
	}
	if len(s.Connectors) != 1 || s.Connectors[0].Tasks[0].State != connect.StateRunning {
		t.Errorf("%+v", s.Connectors)
	}
	observe(t, o)
}

// Where nothing is new, each broker is asked once, for the news of all topics.
func TestOneFetchTellsOfAllTopics(t *testing.T) {
	c := kafkatest.New(t, nil)
	var fetches atomic.Int32
	c.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		fetches.Add(1)
		return nil, nil, false
	})
	o := observer(t, c, without(true, false))
	c.Write(running("x", -1, worker1))
	c.Commit("x", "a", []byte("{}"), time.Now())
	observe(t, o)
	fetches.Store(0)
	const snapshots = 5
	for range snapshots {
		observe(t, o)
	}
	if want := int32(snapshots * len(c.ListenAddrs())); fetches.Load() != want {
		t.Errorf("%d fetches in %d snapshots, want %d", fetches.Load(), snapshots, want)
	}
}

// Names are bounded as those that REST tells.
func TestNamesThatAreTooLong(t *testing.T) {
	c := kafkatest.New(t, nil)
	o := observer(t, c, without(false, true))
	longest, longer := strings.Repeat("a", connect.MaxText), strings.Repeat("b", connect.MaxText+1)
	c.Write(
		running(longest, -1, worker1), running(longest, 0, longest), running(longest, 1, longer),
		running(longer, -1, worker1), running(longer, 0, worker1), kafkatest.Status{Connector: longer, Task: 0},
	)
	c.Produce(&kgo.Record{Topic: kafkatest.StatusTopic, Key: []byte("status-topic-" + longer + ":connector-" + longest), Value: []byte("{}")})
	c.SetGroup(kafkatest.State{State: "Stable", Members: []kafkatest.Member{{ID: "a", Client: longer}, {ID: "b", URL: "http://" + longer + "/"}}})
	s, err := o.Observe(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if e := s.Brokers.Err; !errors.Is(e, connect.TooLarge) || !strings.Contains(e.Error(), " 4 records") || strings.Contains(e.Error(), "bbbb") || s.Brokers.Errors[connect.TooLarge] != 1 {
		t.Errorf("the error is %.300v", e)
	}
	if len(s.Connectors) != 1 || s.Connectors[0].Name != longest || len(s.Connectors[0].Tasks) != 1 {
		t.Errorf("%d connectors are shown", len(s.Connectors))
	}
	for _, m := range s.Brokers.Group.Members {
		if !strings.HasPrefix(m.Worker, "bbbb") || len(m.Worker) > len("#2")+len("@")+connect.MaxText {
			t.Errorf("a member is called by %d bytes", len(m.Worker))
		}
	}
	observe(t, o)
}

// A topic that is there and is another one is no silence: its name is asked about.
func TestTopicsThatAreOthers(t *testing.T) {
	c := kafkatest.New(t, nil)
	c.Write(running("theirs", -1, worker1))
	c.Commit("theirs", "a", []byte("{}"), time.Now())
	for name, test := range map[string]struct {
		change func(*kafka.Options)
		want   string
	}{
		"exchanged":          {func(o *kafka.Options) { o.StatusTopic, o.OffsetsTopic = o.OffsetsTopic, o.StatusTopic }, "status.storage.topic? offset.storage.topic?"},
		"of another cluster": {around(telling(connect.Connector{Name: "ours"})), "status.storage.topic?"},
		"the right ones":     {around(telling(connect.Connector{Name: "theirs"})), ""},
	} {
		o := observer(t, c, without(true, false), test.change)
		for range 2 {
			s, err := o.Observe(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if test.want == "" && s.Brokers.Err != nil || test.want != "" && !errors.Is(s.Brokers.Err, connect.NotFound) {
				t.Errorf("%s: %v", name, s.Brokers.Err)
			}
			for want := range strings.FieldsSeq(test.want) {
				if !strings.Contains(s.Brokers.Err.Error(), want) {
					t.Errorf("%s: %v, want %s", name, s.Brokers.Err, want)
				}
			}
		}
	}
}

// A batch that is small and becomes large when it is unpacked costs itself alone.
func TestBatchThatIsTooLarge(t *testing.T) {
	c := kafkatest.New(t, []kgo.Opt{kgo.ProducerBatchMaxBytes(64 << 20), kgo.BrokerMaxWriteBytes(100 << 20), kgo.ProducerBatchCompression(kgo.ZstdCompression())})
	c.Recreate(kafkatest.StatusTopic, 1, nil)
	o := observer(t, c, without(true, true), func(o *kafka.Options) { o.Timeout = time.Minute })
	c.Write(running("good", -1, worker1))
	value := append([]byte(`{"state":"FAILED","worker_id":"`+worker1+`","x":"`), bytes.Repeat([]byte("0"), 33<<20)...)
	c.Produce(&kgo.Record{Topic: kafkatest.StatusTopic, Key: []byte("status-task-good-0"), Value: append(value, `"}`...)})
	c.Write(running("good", 0, worker1), running("good", 1, worker1))
	s, err := o.Observe(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !errors.Is(s.Brokers.Err, connect.Decode) || !strings.Contains(s.Brokers.Err.Error(), "1 batches of records") {
		t.Errorf("the error is %v", s.Brokers.Err)
	}
	for range 2 {
		if names := namesOf(s); !slices.Equal(names, []string{"good 0 1"}) || s.Connectors[0].Tasks[0].State != connect.StateRunning {
			t.Errorf("%q", names)
		}
		s = observe(t, o)
	}
}

// The filter of connectors holds here too.
func TestKeep(t *testing.T) {
	c := kafkatest.New(t, nil)
	o := observer(t, c, without(true, true), func(o *kafka.Options) { o.Keep = func(name string) bool { return name != "secret" } })
	c.Write(running("secret", -1, worker1), running("secret", 0, worker1), running("open", -1, worker1))
	s := observe(t, o)
	if names := slices.Collect(maps.Keys(s.Brokers.Events)); len(s.Connectors) != 1 || !slices.Equal(names, []string{"open"}) {
		t.Errorf("%v, %q", s.Connectors, names)
	}
}

// One broker after the other stops and comes back.
func TestBrokersRestart(t *testing.T) {
	t.Parallel()
	c := kafkatest.New(t, nil, kfake.NumBrokers(3), kfake.SeedTopics(3, "orders"))
	c.Write(running("sink", -1, worker1))
	c.CommitGroup("connect-sink", "orders", map[int32]int64{0: 0, 1: 0, 2: 0})
	c.SetGroup(kafkatest.State{State: "Stable", Members: []kafkatest.Member{member("a", worker1)}, Leader: "a"})
	o := observer(t, c, around(telling(connect.Connector{Name: "sink", Type: "sink"})))
	observe(t, o)
	for round := range 3 {
		node := int32(round)
		if err := c.RemoveNode(node); err != nil {
			t.Fatal(err)
		}
		c.Write(kafkatest.Status{Connector: "sink", Task: 0, State: "FAILED", Worker: worker1})
		for start := time.Now(); ; {
			s, err := o.Observe(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if b := s.Brokers; b.Err == nil && b.Of("sink").TaskFailures == round+1 && len(b.Sinks) == 1 && b.Group != nil {
				break
			}
			if time.Since(start) > 10*time.Second {
				t.Fatalf("broker %d is gone: %v", node, s.Brokers.Err)
			}
		}
		if _, _, err := c.AddNode(node, 0); err != nil {
			t.Fatal(err)
		}
		observe(t, o)
	}
}

// A reload closes an observer that reads the beginning.
func TestCloseWhileReading(t *testing.T) {
	t.Parallel()
	c := kafkatest.New(t, nil)
	var statuses []kafkatest.Status
	for i := range 2000 {
		statuses = append(statuses, running(fmt.Sprintf("connector-%d", i), -1, worker1))
	}
	c.Write(statuses...)
	for i := range 20 {
		o, err := kafka.New(kafka.Options{Name: "orders", BootstrapServers: c.ListenAddrs(), StatusTopic: kafkatest.StatusTopic, OffsetsTopic: kafkatest.OffsetsTopic, Group: kafkatest.Group})
		if err != nil {
			t.Fatal(err)
		}
		read := make(chan error)
		go func() {
			_, err := o.Observe(t.Context(), nil)
			read <- err
		}()
		time.Sleep(time.Duration(i) * time.Millisecond) // Any moment will do.
		o.Close()
		if err := <-read; err != nil && !errors.Is(err, connect.Unreachable) && !errors.Is(err, connect.Timeout) {
			t.Error(err)
		}
	}
}

// Brokers stop in the middle of an answer, and their connections stay open: it costs the
// snapshots that wait for them, and those after that get new connections.
func TestAnswerThatStandsStill(t *testing.T) {
	t.Parallel()
	var all lines
	c := kafkatest.New(t, nil, kfake.ListenFn(func(network, address string) (net.Listener, error) {
		listener, err := net.Listen(network, address)
		return &tapped{listener, &all}, err
	}))
	c.Write(running("x", -1, worker1))
	o := observer(t, c, without(true, true), func(o *kafka.Options) { o.Timeout = 500 * time.Millisecond })
	observe(t, o)
	all.stand()
	if _, err := o.Observe(t.Context(), nil); !errors.Is(err, connect.Timeout) {
		t.Errorf("%v", err)
	}
	for start := time.Now(); ; {
		if _, err := o.Observe(t.Context(), nil); err == nil {
			break
		}
		if time.Since(start) > 6*time.Second {
			t.Fatal("it goes on waiting on the same connections")
		}
	}
}

// lines are the connections to brokers.
type lines struct {
	mu  sync.Mutex
	all []*cut
}

// stand lets nothing come by those that are open but half of the next answer.
func (l *lines) stand() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.all {
		one.standing.Store(true)
	}
}

type tapped struct {
	net.Listener
	lines *lines
}

func (t *tapped) Accept() (net.Conn, error) {
	conn, err := t.Listener.Accept()
	if err != nil {
		return nil, err
	}
	one := &cut{Conn: conn, closed: make(chan struct{})}
	t.lines.mu.Lock()
	defer t.lines.mu.Unlock()
	t.lines.all = append(t.lines.all, one)
	return one, nil
}

type cut struct {
	net.Conn
	standing atomic.Bool
	once     sync.Once
	closed   chan struct{}
}

func (c *cut) Write(p []byte) (int, error) {
	if !c.standing.Load() {
		return c.Conn.Write(p)
	}
	n, err := c.Conn.Write(p[:len(p)/2])
	if err == nil {
		<-c.closed
		err = net.ErrClosed
	}
	return n, err
}

func (c *cut) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

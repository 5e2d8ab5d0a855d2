package kafka_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/kafka"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/kafka/kafkatest"
)

// rest is another observer, which tells what the test says.
type rest struct {
	observe func(ctx context.Context) (*connect.Snapshot, error)
	closed  int
}

func (r *rest) Observe(ctx context.Context, _ func(connect.Request)) (*connect.Snapshot, error) {
	return r.observe(ctx)
}
func (r *rest) Close() { r.closed++ }

// telling returns an observer of these connectors.
func telling(connectors ...connect.Connector) *rest {
	snapshot := &connect.Snapshot{Provider: connect.SelfManaged, HasTasks: true, Connectors: connectors, Revision: connect.NewRevision(), ObservationVersion: "2"}
	return &rest{observe: func(context.Context) (*connect.Snapshot, error) { return snapshot, nil }}
}

func around(r *rest) func(*kafka.Options) { return func(o *kafka.Options) { o.Observer = r } }

func TestSinkLag(t *testing.T) {
	began := time.Now()
	c := kafkatest.New(t, nil, kfake.SeedTopics(3, "orders", "fresh"), kfake.SeedTopics(1, "audit"))
	o := observer(t, c, without(true, true), around(telling(
		connect.Connector{Name: "elsewhere", Type: "sink", ConsumerGroup: "my-group"},
		connect.Connector{Name: "none", Type: "sink"},
		connect.Connector{Name: "sink", Type: "sink"},
		connect.Connector{Name: "src", Type: "source"},
	)))
	for _, name := range []string{"sink", "elsewhere", "none", "src"} {
		c.Write(running(name, -1, worker1), running(name, 0, worker1))
	}
	c.UseTopic("sink", "fresh")
	c.FillPartition("orders", 0, 10)
	c.FillPartition("orders", 1, 5)
	c.FillPartition("audit", 0, 4)
	c.CommitGroup("connect-sink", "orders", map[int32]int64{0: 4, 1: 5})
	c.CommitGroup("my-group", "audit", map[int32]int64{0: 1})
	c.CommitGroup("connect-src", "audit", map[int32]int64{0: 1}) // Nobody asks for a source's.
	b := observe(t, o).Brokers
	if len(b.Sinks) != 2 || b.SinksLimited {
		t.Fatalf("%+v", b.Sinks)
	}
	own, sink := b.Sinks[0], b.Sinks[1]
	if own.Connector != "elsewhere" || own.Lag != 3 || own.Committed != 1 || own.Uncommitted != 0 {
		t.Errorf("a sink with a group of another name: %+v", own)
	}
	// Partition 2 of orders has no commit, nor have the 3 of fresh.
	if sink.Connector != "sink" || sink.Lag != 6 || sink.Committed != 9 || sink.Uncommitted != 4 || sink.Seconds >= 0 {
		t.Errorf("%+v", sink)
	}
	if want := []connect.PartitionLag{{Topic: "orders", Partition: 0, Lag: 6}, {Topic: "orders", Partition: 1}}; !slices.Equal(sink.Partitions, want) {
		t.Errorf("%+v", sink.Partitions)
	}

	// It has not moved: what is not committed is at least so old.
	time.Sleep(20 * time.Millisecond)
	if sink = observe(t, o).Brokers.Sinks[1]; sink.Seconds < 0.02 || sink.Seconds > time.Since(began).Seconds() {
		t.Errorf("%+v", sink)
	}
	// It drains.
	c.CommitGroup("connect-sink", "orders", map[int32]int64{0: 10, 1: 5})
	if sink = observe(t, o).Brokers.Sinks[1]; sink.Lag != 0 || sink.Seconds != 0 || sink.Committed != 15 {
		t.Errorf("%+v", sink)
	}
	// A topic that is made again is shorter than what was committed.
	c.Recreate("audit", 1, nil)
	if own = observe(t, o).Brokers.Sinks[0]; own.Lag != 0 {
		t.Errorf("%+v", own)
	}
	// One that is deleted has commits for a while.
	if err := c.DeleteTopic("audit"); err != nil {
		t.Fatal(err)
	}
	if b = observe(t, o).Brokers; len(b.Sinks) != 1 {
		t.Errorf("%+v", b.Sinks)
	}
}

// A partition that has no leader just now is no partition without lag.
func TestSinkOfWhichAPartIsAway(t *testing.T) {
	t.Parallel()
	c := kafkatest.New(t, nil, kfake.SeedTopics(2, "orders"))
	c.FillPartition("orders", 0, 10)
	c.FillPartition("orders", 1, 10)
	c.CommitGroup("connect-sink", "orders", map[int32]int64{0: 5, 1: 5})
	o := observer(t, c, without(true, true), around(telling(connect.Connector{Name: "sink", Type: "sink"})))
	c.Write(running("sink", -1, worker1))
	if sinks := observe(t, o).Brokers.Sinks; len(sinks) != 1 || sinks[0].Lag != 10 {
		t.Fatalf("%+v", sinks)
	}
	var away atomic.Int32
	c.ControlKey(int16(kmsg.ListOffsets), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		asked := request.(*kmsg.ListOffsetsRequest)
		if len(asked.Topics) != 1 || asked.Topics[0].Topic != "orders" || away.Load() <= 0 {
			return nil, nil, false
		}
		response := asked.ResponseKind().(*kmsg.ListOffsetsResponse)
		topic := kmsg.NewListOffsetsResponseTopic()
		topic.Topic = "orders"
		for _, p := range asked.Topics[0].Partitions {
			partition := kmsg.NewListOffsetsResponseTopicPartition()
			partition.Partition, partition.Offset = p.Partition, 10
			if p.Partition == 1 {
				partition.ErrorCode = kerr.LeaderNotAvailable.Code
				away.Add(-1)
			}
			topic.Partitions = append(topic.Partitions, partition)
		}
		response.Topics = append(response.Topics, topic)
		return response, nil, true
	})
	away.Store(1 << 20)
	s, err := o.Observe(t.Context(), nil)
	if err != nil || !errors.Is(s.Brokers.Err, connect.Unavailable) || len(s.Brokers.Sinks) != 0 {
		t.Errorf("%+v, %v, %v", s.Brokers.Sinks, s.Brokers.Err, err)
	}
	away.Store(1)
	if sinks := observe(t, o).Brokers.Sinks; len(sinks) != 1 || sinks[0].Lag != 10 {
		t.Errorf("it comes back at once: %+v", sinks)
	}
}

func TestSinkLagIsLimited(t *testing.T) {
	c := kafkatest.New(t, nil, kfake.SeedTopics(3, "orders"))
	c.Write(running("a", -1, worker1), running("b", -1, worker1), running("quiet", -1, worker1))
	c.FillPartition("orders", 1, 5)
	for _, name := range []string{"a", "b", "quiet"} {
		c.CommitGroup("connect-"+name, "orders", map[int32]int64{0: 0, 1: 2})
	}
	excluding := func(o *kafka.Options) { o.KeepLag = func(name string) bool { return name != "quiet" } }
	for limit, limited := range map[int]bool{4: false, 3: true, 0: true} {
		b := observe(t, observer(t, c, without(true, true), excluding, func(o *kafka.Options) { o.MaxLagPartitions = limit })).Brokers
		if len(b.Sinks) != 2 || b.SinksLimited != limited || (b.Sinks[0].Partitions == nil) != limited || b.Sinks[1].Lag != 3 {
			t.Errorf("up to %d: %+v", limit, b)
		}
	}
}

func TestSources(t *testing.T) {
	t.Parallel()
	c := kafkatest.New(t, nil, kfake.SeedTopics(2, "out", "quiet"), kfake.SeedTopics(5, "own-offsets"))
	for _, name := range []string{"src", "exact", "sink", "new"} {
		c.Write(running(name, -1, worker1))
	}
	c.UseTopic("src", "out")
	c.UseTopic("src", "quiet")
	c.UseTopic("sink", "out")
	o := observer(t, c, without(true, false), func(o *kafka.Options) { o.SourceTopics, o.ConnectorTopics = true, true }, around(telling(
		connect.Connector{Name: "exact", Type: "source", OffsetsTopic: "own-offsets"},
		connect.Connector{Name: "new", Type: "source"},
		connect.Connector{Name: "sink", Type: "sink"},
		connect.Connector{Name: "src", Type: "source"},
	)))
	start := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	c.Commit("src", "a", []byte(`{"position":1}`), start.Add(time.Minute))
	c.Commit("src", "b", []byte(`{"position":1}`), start)
	c.Commit("src", "b", nil, start.Add(2*time.Minute)) // removed: no progress
	c.Commit("exact", "a", []byte(`{"position":1}`), start)
	c.Commit("gone", "a", []byte(`{"position":1}`), start)
	written := c.FillPartition("out", 1, 3)
	observe(t, o)
	committed := func() map[string]time.Time {
		times := map[string]time.Time{}
		for _, s := range observe(t, o).Brokers.Sources {
			times[s.Connector] = s.Committed
		}
		return times
	}
	if got := committed(); len(got) != 2 || !got["src"].Equal(start.Add(time.Minute)) || !got["exact"].Equal(start) {
		t.Errorf("%v", got)
	}
	// A source with exactly-once support commits to its own topic, in transactions.
	c.CommitIn("own-offsets", "exact", start.Add(time.Minute), true)
	c.CommitIn("own-offsets", "exact", start.Add(time.Hour), false)
	c.Commit("src", "b", []byte(`{"position":2}`), start.Add(3*time.Minute))
	if got := committed(); !got["src"].Equal(start.Add(3*time.Minute)) || !got["exact"].Equal(start.Add(time.Minute)) {
		t.Errorf("%v", got)
	}
	b := observe(t, o).Brokers
	src := b.Sources[slices.IndexFunc(b.Sources, func(s connect.Source) bool { return s.Connector == "src" })]
	if len(src.Topics) != 1 || src.Topics[0].Topic != "out" || !src.Topics[0].Newest.Equal(written) {
		t.Errorf("%+v, want out at %v", src, written)
	}
	if e := b.Of("src"); !slices.Equal(e.Topics, []string{"out", "quiet"}) {
		t.Errorf("%+v", e)
	}
}

// Without a REST API, what the brokers know tells what a connector is.
func TestTypes(t *testing.T) {
	c := kafkatest.New(t, nil, kfake.SeedTopics(1, "orders"))
	o := observer(t, c, without(true, false))
	for _, name := range []string{"sink", "src", "who"} {
		c.Write(running(name, -1, worker1))
	}
	types := func() (all []string) {
		for _, c := range observe(t, o).Connectors {
			all = append(all, c.Type)
		}
		return all
	}
	if got := types(); !slices.Equal(got, []string{"unknown", "unknown", "unknown"}) {
		t.Errorf("%q", got)
	}
	c.CommitGroup("connect-sink", "orders", map[int32]int64{0: 0})
	c.Commit("src", "a", []byte(`{"position":1}`), time.Now())
	if got := types(); !slices.Equal(got, []string{"sink", "source", "unknown"}) {
		t.Errorf("%q", got)
	}
	s := observe(t, o)
	if s.ObservationVersion != kafka.Version || s.Provider != connect.SelfManaged || !s.HasTasks || s.KafkaClusterID != "kafka-of-orders" || s.Taken.IsZero() {
		t.Errorf("%+v", s)
	}
}

// What fails on one side touches nothing of the other.
func TestSidesAreApart(t *testing.T) {
	t.Parallel()
	down := errors.New("connection refused")
	t.Run("the other observer fails", func(t *testing.T) {
		t.Parallel()
		c := kafkatest.New(t, nil, kfake.SeedTopics(1, "orders"))
		c.Write(running("sink", -1, worker1), running("sink", 0, worker1))
		c.CommitGroup("connect-sink", "orders", map[int32]int64{0: 0})
		r := &rest{observe: func(context.Context) (*connect.Snapshot, error) { return nil, down }}
		s, err := observer(t, c, without(true, true), around(r)).Observe(t.Context(), nil)
		if !errors.Is(err, down) || s == nil || s.Connectors != nil {
			t.Fatalf("%+v, %v", s, err)
		}
		if b := s.Brokers; b.Err != nil || b.Of("sink") == nil || len(b.Sinks) != 1 {
			t.Errorf("%+v", b)
		}
	})
	t.Run("the other observer hangs", func(t *testing.T) {
		t.Parallel()
		c := kafkatest.New(t, nil)
		c.Write(running("x", -1, worker1))
		r := &rest{observe: func(ctx context.Context) (*connect.Snapshot, error) { <-ctx.Done(); return nil, ctx.Err() }}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s, err := observer(t, c, without(true, true), around(r)).Observe(ctx, nil)
		if !errors.Is(err, context.DeadlineExceeded) || s.Brokers.Err != nil || s.Brokers.Of("x") == nil {
			t.Fatalf("%+v, %v", s, err)
		}
	})
	t.Run("the brokers are gone", func(t *testing.T) {
		t.Parallel()
		c := kafkatest.New(t, nil)
		c.Write(running("x", -1, worker1))
		o := observer(t, c, around(telling(connect.Connector{Name: "x"})))
		c.Close()
		start := time.Now()
		s, err := o.Observe(t.Context(), nil)
		if err != nil || len(s.Connectors) != 1 || !errors.Is(s.Brokers.Err, connect.Unreachable) || s.Brokers.Errors[connect.Unreachable] == 0 {
			t.Fatalf("%+v, %v", s.Brokers, err)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("brokers that refuse connections held the snapshot up for %v", took)
		}
	})
	t.Run("the brokers hang", func(t *testing.T) {
		t.Parallel()
		address := silent(t)
		o, err := kafka.New(kafka.Options{
			Name: "x", BootstrapServers: []string{address}, Group: "g", StatusTopic: "s", Observer: telling(connect.Connector{Name: "x"}), Timeout: 100 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		s, err := o.Observe(t.Context(), nil)
		if err != nil || len(s.Connectors) != 1 || !errors.Is(s.Brokers.Err, connect.Timeout) {
			t.Fatalf("%+v, %v", s.Brokers, err)
		}
	})
	t.Run("brokers that come back", func(t *testing.T) {
		t.Parallel()
		c := kafkatest.New(t, nil)
		c.Write(running("x", -1, worker1), running("x", 0, worker1))
		o := observer(t, c, without(true, true), around(telling(connect.Connector{Name: "x"})))
		observe(t, o)
		c.Write(kafkatest.Status{Connector: "x", State: "FAILED", Worker: worker1})
		fault := c.Fault(kfake.Fault{Topic: kafkatest.StatusTopic, Err: coordinatorGone, Count: -1})
		s, err := o.Observe(t.Context(), nil)
		if err != nil || !errors.Is(s.Brokers.Err, connect.Unavailable) {
			t.Fatalf("%v, %v", s.Brokers.Err, err)
		}
		if e := s.Brokers.Of("x"); e == nil || e.TaskFailures != 0 {
			t.Errorf("what is known stays: %+v", e)
		}
		fault.Remove()
		if e := observe(t, o).Brokers.Of("x"); e.TaskFailures != 1 {
			t.Errorf("what happened meanwhile is counted: %+v", e)
		}
	})
}

package kafka_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/kafka"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/kafka/kafkatest"
)

func member(id, worker string) kafkatest.Member {
	return kafkatest.Member{ID: id, Client: "connect-" + worker, Host: "10.0.0.9", URL: "http://" + worker + "/", ConfigOffset: 7}
}

func count(n int) connect.Count { return connect.Count{Value: n, Known: true} }

// What members have is what they had when they joined, as the last rebalance
// changed it.
func TestGroup(t *testing.T) {
	c := kafkatest.New(t, nil)
	o := observer(t, c, without(false, true))
	a, b := member("a", worker1), member("b", worker2)
	a.Current, a.Given = []string{"src", "src/0", "src/1"}, []string{"sink/0"}
	a.Revoked = []string{"src/1"}
	b.Current, b.ConfigOffset = nil, 4
	b.Given = []string{"sink", "src/1", "sink/1"}
	c.SetGroup(kafkatest.State{State: "Stable", Members: []kafkatest.Member{b, a}, Leader: "a", ConfigOffset: 7, Delay: time.Minute})
	s := observe(t, o)
	want := []connect.Member{
		{Worker: worker1, Leader: true, Connectors: count(1), Tasks: count(2), ConfigLag: count(0)},
		{Worker: worker2, Connectors: count(1), Tasks: count(2), ConfigLag: count(3)},
	}
	g := s.Brokers.Group
	if g.State != connect.GroupStable || !slices.Equal(g.Members, want) {
		t.Errorf("the group is %+v", g)
	}
	if g.RebalanceDelay > time.Minute || g.RebalanceDelay < 50*time.Second {
		t.Errorf("the delay is %v", g.RebalanceDelay)
	}
	if s.Brokers.DuplicatedTasks != count(0) {
		t.Errorf("duplicated: %+v", s.Brokers.DuplicatedTasks)
	}

	// While it rebalances, brokers tell who is there and nothing else.
	fresh := kafkatest.Member{ID: "n", Client: "connect-10.0.0.3:8083"}
	c.SetGroup(kafkatest.State{State: "PreparingRebalance", Members: []kafkatest.Member{a, fresh}})
	g = observe(t, o).Brokers.Group
	want = []connect.Member{want[0], {Worker: "10.0.0.3:8083"}}
	if g.State != connect.GroupPreparingRebalance || !slices.Equal(g.Members, want) {
		t.Errorf("the group is %+v", g)
	}

	c.SetGroup(kafkatest.State{State: "Empty"})
	if g = observe(t, o).Brokers.Group; g.State != connect.GroupEmpty || len(g.Members) != 0 || g.RebalanceDelay != 0 {
		t.Errorf("the group is %+v", g)
	}
	c.SetGroup(kafkatest.State{State: "Dancing"})
	if g = observe(t, o).Brokers.Group; g.State != connect.GroupUnknown {
		t.Errorf("the group is %+v", g)
	}
}

// The protocol of before 2.3 has no current assignment: what is given is all.
func TestEagerGroup(t *testing.T) {
	c := kafkatest.New(t, nil)
	a := member("a", worker1)
	a.Given = []string{"src", "src/0"}
	c.SetGroup(kafkatest.State{State: "Stable", Members: []kafkatest.Member{a}, Leader: "a", Version: -1})
	m := observe(t, observer(t, c, without(false, true))).Brokers.Group.Members
	if len(m) != 1 || m[0].Tasks != count(1) || m[0].Connectors != count(1) || !m[0].Leader {
		t.Errorf("%+v", m)
	}
}

// A task is an orphan when it is said to run on a worker that is no member: as
// soon as the group has lost it, also while it rebalances, until it runs elsewhere.
func TestOrphanedTasks(t *testing.T) {
	c := kafkatest.New(t, nil)
	o := observer(t, c, without(false, true))
	a, b := member("a", worker1), member("b", worker2)
	a.Current, b.Current = []string{"x", "x/0"}, []string{"x/1", "x/2"}
	both := kafkatest.State{State: "Stable", Members: []kafkatest.Member{a, b}, Leader: "a"}
	c.SetGroup(both)
	c.Write(running("x", -1, worker1), running("x", 0, worker1), running("x", 1, worker2), running("x", 2, worker2))
	orphans := func(want int) {
		t.Helper()
		if got := observe(t, o).Brokers.OrphanedTasks; got != count(want) {
			t.Errorf("orphaned tasks: %+v, want %d", got, want)
		}
	}
	orphans(0)
	c.SetGroup(kafkatest.State{State: "PreparingRebalance", Members: []kafkatest.Member{a, b}})
	orphans(0)
	c.SetGroup(kafkatest.State{State: "PreparingRebalance", Members: []kafkatest.Member{a}})
	orphans(2)
	c.SetGroup(kafkatest.State{State: "Stable", Members: []kafkatest.Member{a}, Leader: "a", Delay: 5 * time.Minute})
	orphans(2)
	orphans(2)
	// One of them comes up elsewhere, the other is put down.
	c.Write(running("x", 1, worker1), kafkatest.Status{Connector: "x", Task: 2, State: "UNASSIGNED", Worker: worker2})
	a.Given = []string{"x/1"}
	c.SetGroup(kafkatest.State{State: "Stable", Members: []kafkatest.Member{a}, Leader: "a"})
	orphans(0)
	// All workers are gone: all that is said to run is an orphan.
	c.SetGroup(kafkatest.State{State: "Empty"})
	orphans(2)
	c.SetGroup(kafkatest.State{State: "Dead"})
	orphans(2)
	// A worker that failed a task has no orphan of it.
	c.Write(kafkatest.Status{Connector: "x", Task: 0, State: "FAILED", Worker: worker1}, kafkatest.Status{Connector: "x", Task: 1, State: "PAUSED", Worker: worker1})
	orphans(0)
}

func TestDuplicatedTasks(t *testing.T) {
	c := kafkatest.New(t, nil)
	o := observer(t, c, without(false, true))
	a, b, d := member("a", worker1), member("b", worker2), member("d", "10.0.0.3:8083")
	a.Current, b.Current, d.Current = []string{"x", "x/0", "x/1"}, []string{"x", "x/0", "x/2"}, []string{"x/0", "x/2"}
	c.SetGroup(kafkatest.State{State: "Stable", Members: []kafkatest.Member{a, b, d}, Leader: "a"})
	if got := observe(t, o).Brokers.DuplicatedTasks; got != count(2) {
		t.Errorf("duplicated tasks: %+v, want x/0 and x/2", got)
	}
}

// A group that is not there may be one that nobody made, or the wrong name.
func TestGroupsThatAreNotThere(t *testing.T) {
	c := kafkatest.New(t, nil)
	o := observer(t, c, without(false, true))
	c.Write(running("x", -1, worker1), running("x", 0, worker1))
	s, err := o.Observe(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !errors.Is(s.Brokers.Err, connect.NotFound) || s.Brokers.OrphanedTasks.Known || len(s.Connectors) != 1 {
		t.Errorf("%v, %+v", s.Brokers.Err, s.Brokers.OrphanedTasks)
	}
	c.SetGroup(kafkatest.State{State: "Stable", Protocol: "consumer"})
	s, err = o.Observe(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !errors.Is(s.Brokers.Err, connect.NotFound) || s.Brokers.Group != nil {
		t.Errorf("%v, %+v", s.Brokers.Err, s.Brokers.Group)
	}
}

// All workers had died before the exporter came.
func TestGroupThatIsEmptyFromTheBeginning(t *testing.T) {
	c := kafkatest.New(t, nil)
	c.SetGroup(kafkatest.State{State: "Empty"})
	c.Write(running("x", -1, worker1), running("x", 0, worker1), running("x", 1, worker2))
	if got := observe(t, observer(t, c, without(false, true))).Brokers.OrphanedTasks; got != count(2) {
		t.Errorf("orphaned: %+v", got)
	}
}

// MirrorMaker 2 in dedicated mode tells no address: its workers are known by
// client.id, and several have the same.
func TestMirrorMakerMembers(t *testing.T) {
	c := kafkatest.New(t, nil)
	o := observer(t, c, without(false, true), func(o *kafka.Options) { o.MirrorMaker2 = true })
	a := kafkatest.Member{ID: "1", Client: "a->b", Host: "10.0.0.1", URL: "NOTUSED", Current: []string{"MirrorSourceConnector", "MirrorSourceConnector/0"}}
	b := kafkatest.Member{ID: "2", Client: "a->b", Host: "10.0.0.2", URL: "NOTUSED", Current: []string{"MirrorSourceConnector/1"}}
	third := kafkatest.Member{ID: "3", Client: "a->b", Host: "10.0.0.2", URL: "NOTUSED"}
	c.SetGroup(kafkatest.State{State: "Stable", Members: []kafkatest.Member{a, b, third}, Leader: "1"})
	c.Write(running("MirrorSourceConnector", -1, "a->b"), running("MirrorSourceConnector", 0, "a->b"), running("MirrorSourceConnector", 1, "host/a->b/9e1c"))
	s := observe(t, o)
	var names []string
	for _, m := range s.Brokers.Group.Members {
		names = append(names, m.Worker)
	}
	if want := []string{"a->b@10.0.0.1", "a->b@10.0.0.2", "a->b@10.0.0.2#2"}; !slices.Equal(names, want) {
		t.Errorf("members are %q, want %q", names, want)
	}
	if s.Brokers.OrphanedTasks != count(0) {
		t.Errorf("orphaned: %+v", s.Brokers.OrphanedTasks)
	}
	if m := s.Connectors[0]; m.Type != "source" || m.Class != "org.apache.kafka.connect.mirror.MirrorSourceConnector" {
		t.Errorf("%+v", m)
	}
	c.SetGroup(kafkatest.State{State: "Empty"})
	if got := observe(t, o).Brokers.OrphanedTasks; got != count(2) {
		t.Errorf("orphaned: %+v", got)
	}
}

// A group that takes long to tell is not asked for again at once, and what becomes of it is
// seen all the same; any other is asked for in each snapshot.
func TestLargeGroup(t *testing.T) {
	const times = 30
	for _, tasks := range []int{10, 10_000} {
		c := kafkatest.New(t, nil)
		o := observer(t, c, without(false, true))
		a := member("a", worker1)
		for i := range tasks {
			a.Current = append(a.Current, fmt.Sprintf("a-connector-with-a-name-%05d/0", i))
		}
		c.SetGroup(kafkatest.State{State: "Stable", Members: []kafkatest.Member{a}, Leader: "a"})
		for range times {
			if g := observe(t, o).Brokers.Group; len(g.Members) != 1 || g.Members[0].Tasks != count(tasks) {
				t.Fatalf("%d tasks: %+v", tasks, g)
			}
		}
		if asked := c.Described(); (asked < times) != (tasks > 10) {
			t.Errorf("%d tasks: asked for %d times in %d snapshots", tasks, asked, times)
		}
		c.SetGroup(kafkatest.State{State: "Stable", Members: []kafkatest.Member{a, member("b", worker2)}, Leader: "a"})
		for start := time.Now(); len(observe(t, o).Brokers.Group.Members) != 2; {
			if time.Since(start) > 30*time.Second {
				t.Fatal("the other member is never seen")
			}
		}
	}
}

// Package kafkatest is a simulated Kafka cluster that holds what the workers of a
// Connect cluster write: statuses, offsets, their group, the groups of sinks.
package kafkatest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Names of what a Cluster has.
const (
	Group        = "connect-orders"
	StatusTopic  = "orders-status"
	OffsetsTopic = "orders-offsets"
)

// A Cluster is one simulated Kafka cluster.
type Cluster struct {
	*kfake.Cluster
	// Client of a user who may do everything.
	Client *kgo.Client

	t       testing.TB
	options []kgo.Opt

	mu sync.Mutex
	// group is what DescribeGroups tells of [Group]; nil: there is none.
	group *kmsg.DescribeGroupsResponseGroup
	// described counts how often it was told.
	described int
}

// New starts a cluster with the topics of a Connect cluster. client are further
// options of its own client.
func New(t testing.TB, client []kgo.Opt, options ...kfake.Opt) *Cluster {
	t.Helper()
	fake, err := kfake.NewCluster(append([]kfake.Opt{
		kfake.NumBrokers(2), kfake.SeedTopics(5, StatusTopic), kfake.SeedTopics(25, OffsetsTopic), kfake.ClusterID("kafka-of-orders"),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	c := &Cluster{Cluster: fake, t: t}
	// A leader that has moved is looked for at once, not in seconds.
	c.options = append([]kgo.Opt{kgo.SeedBrokers(fake.ListenAddrs()...), kgo.MetadataMinAge(100 * time.Millisecond)}, client...)
	c.Client, err = kgo.NewClient(c.options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Client.Close)
	fake.ControlKey(int16(kmsg.DescribeGroups), func(request kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		c.mu.Lock()
		defer c.mu.Unlock()
		asked := request.(*kmsg.DescribeGroupsRequest)
		if c.group == nil || len(asked.Groups) != 1 || asked.Groups[0] != Group {
			return nil, nil, false
		}
		c.described++
		response := asked.ResponseKind().(*kmsg.DescribeGroupsResponse)
		group := *c.group
		group.Members = append([]kmsg.DescribeGroupsResponseGroupMember(nil), group.Members...)
		response.Groups = append(response.Groups, group)
		return response, nil, true
	})
	return c
}

// Produce writes records and waits until they are there, in order.
func (c *Cluster) Produce(records ...*kgo.Record) {
	c.t.Helper()
	if err := c.Client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
}

// A Status is a record of the status topic.
type Status struct {
	// Connector, and Task unless it is negative, that it is of.
	Connector string
	Task      int
	// State in upper case; "" is a tombstone.
	State, Trace, Worker string
	Generation           int
	// At is its time; now if zero.
	At time.Time
}

// Record returns the status as a worker writes it (KafkaStatusBackingStore).
func (s Status) Record() *kgo.Record {
	r := &kgo.Record{Topic: StatusTopic, Key: []byte("status-connector-" + s.Connector), Timestamp: s.At}
	if s.Task >= 0 {
		r.Key = fmt.Appendf(nil, "status-task-%s-%d", s.Connector, s.Task)
	}
	if s.State != "" {
		value := map[string]any{"state": s.State, "trace": nil, "worker_id": s.Worker, "generation": s.Generation}
		if s.Trace != "" {
			value["trace"] = s.Trace
		}
		r.Value, _ = json.Marshal(value)
	}
	return r
}

// Write writes statuses.
func (c *Cluster) Write(statuses ...Status) {
	c.t.Helper()
	records := make([]*kgo.Record, len(statuses))
	for i, s := range statuses {
		records[i] = s.Record()
	}
	c.Produce(records...)
}

// Recreate deletes a topic and makes another one under its name.
func (c *Cluster) Recreate(topic string, partitions int32, configs map[string]string) {
	c.t.Helper()
	if err := c.DeleteTopic(topic); err != nil {
		c.t.Fatal(err)
	}
	if err := c.CreateTopic(topic, partitions, configs); err != nil {
		c.t.Fatal(err)
	}
	c.Client.PurgeTopicsFromClient(topic)
}

// UseTopic writes that a connector uses a topic.
func (c *Cluster) UseTopic(connector, topic string) {
	c.t.Helper()
	c.Produce(&kgo.Record{
		Topic: StatusTopic, Key: []byte("status-topic-" + topic + ":connector-" + connector),
		Value: fmt.Appendf(nil, `{"topic":{"name":%q,"connector":%q,"task":0,"discoverTimestamp":1795741532459}}`, topic, connector),
	})
}

// Commit writes an offset of a source.
func (c *Cluster) Commit(connector, partition string, value []byte, at time.Time) {
	c.t.Helper()
	c.Produce(&kgo.Record{Topic: OffsetsTopic, Key: fmt.Appendf(nil, `[%q,{"file":%q}]`, connector, partition), Value: value, Timestamp: at})
}

// CommitIn writes an offset of a source with exactly-once support to its own
// topic, in a transaction that is committed or aborted.
func (c *Cluster) CommitIn(topic, connector string, at time.Time, committed bool) {
	c.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.TransactionalID(connector+"-0"))
	if err != nil {
		c.t.Fatal(err)
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		c.t.Fatal(err)
	}
	record := &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, `[%q,{"file":"x"}]`, connector), Value: []byte(`{"position":9}`), Timestamp: at}
	if err := client.ProduceSync(context.Background(), record).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
	if err := client.EndTransaction(context.Background(), kgo.TransactionEndTry(committed)); err != nil {
		c.t.Fatal(err)
	}
}

// FillPartition writes so many records to a partition and returns the time of
// the last.
func (c *Cluster) FillPartition(topic string, partition int32, n int) time.Time {
	c.t.Helper()
	client, err := kgo.NewClient(append(c.options, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		c.t.Fatal(err)
	}
	defer client.Close()
	var last time.Time
	for range n {
		last = time.Now().Truncate(time.Millisecond)
		if err := client.ProduceSync(context.Background(), &kgo.Record{Topic: topic, Partition: partition, Value: []byte("v"), Timestamp: last}).FirstErr(); err != nil {
			c.t.Fatal(err)
		}
	}
	return last
}

// CommitGroup commits an offset of a consumer group in each partition given.
func (c *Cluster) CommitGroup(group, topic string, offsets map[int32]int64) {
	c.t.Helper()
	commits := kadm.Offsets{}
	for partition, offset := range offsets {
		commits.AddOffset(topic, partition, offset, -1)
	}
	if err := kadm.NewClient(c.Client).CommitAllOffsets(context.Background(), group, commits); err != nil {
		c.t.Fatal(err)
	}
}

// A Member of the workers' group.
type Member struct {
	ID, Client, Host, URL string
	ConfigOffset          int64
	// Current is what it had when it joined, Given and Revoked what it was told
	// then: "connector" or "connector/task".
	Current, Given, Revoked []string
}

// A State of the workers' group.
type State struct {
	// State as brokers write it: Stable, PreparingRebalance, …
	State   string
	Members []Member
	// Leader is the id of a member.
	Leader       string
	ConfigOffset int64
	Delay        time.Duration
	// Protocol type, connect if empty.
	Protocol string
	// Version of what members tell: 2 (sessioned) if zero, -1 for 0 (eager).
	Version int16
}

// SetGroup makes the group look so. As brokers do, it tells what members have only
// while it is Stable.
func (c *Cluster) SetGroup(s State) {
	group := kmsg.NewDescribeGroupsResponseGroup()
	group.Group, group.State, group.ProtocolType, group.Protocol = Group, s.State, "connect", "sessioned"
	if s.Protocol != "" {
		group.ProtocolType = s.Protocol
	}
	for _, m := range s.Members {
		member := kmsg.NewDescribeGroupsResponseGroupMember()
		member.MemberID, member.ClientID, member.ClientHost = m.ID, m.Client, "/"+m.Host
		if s.State == "Stable" {
			version := s.Version
			switch version {
			case 0:
				version = 2
			case -1:
				version = 0
			}
			// As workers write it, not as kmsg has it: ids of tasks have 32 bits.
			metadata := kbin.AppendInt16(nil, version)
			metadata = kbin.AppendInt64(kbin.AppendString(metadata, m.URL), m.ConfigOffset)
			if version > 0 {
				metadata = kbin.AppendNullableBytes(metadata, appendAssignment(version, s.Leader, m.ConfigOffset, m.Current, nil, 0))
			}
			member.ProtocolMetadata = metadata
			member.MemberAssignment = appendAssignment(version, s.Leader, s.ConfigOffset, m.Given, m.Revoked, s.Delay)
		}
		group.Members = append(group.Members, member)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.group = &group
}

// Described is how often the group was described to somebody.
func (c *Cluster) Described() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.described
}

// appendAssignment encodes an assignment (ConnectProtocol,
// IncrementalCooperativeConnectProtocol).
func appendAssignment(version int16, leader string, configOffset int64, given, revoked []string, delay time.Duration) []byte {
	b := kbin.AppendInt16(kbin.AppendInt16(nil, version), 0)
	b = kbin.AppendString(kbin.AppendString(b, leader), "http://leader/")
	b = appendWork(kbin.AppendInt64(b, configOffset), given)
	if version > 0 {
		b = kbin.AppendInt32(appendWork(b, revoked), int32(delay.Milliseconds()))
	}
	return b
}

// appendWork encodes "connector" and "connector/task".
func appendWork(b []byte, work []string) []byte {
	b = kbin.AppendArrayLen(b, len(work))
	for _, one := range work {
		connector, task := one, int32(-1)
		if at := strings.LastIndexByte(one, '/'); at >= 0 {
			connector = one[:at]
			_, _ = fmt.Sscan(one[at+1:], &task)
		}
		b = kbin.AppendInt32(kbin.AppendArrayLen(kbin.AppendString(b, connector), 1), task)
	}
	return b
}

package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// An Admin asks the broker what only it knows of a Connect cluster.
type Admin struct {
	client    *kadm.Client
	bootstrap string
}

// NewAdmin connects to a broker when it is first asked.
func NewAdmin(bootstrap string) (*Admin, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		return nil, fmt.Errorf("make a Kafka client: %w", err)
	}
	return &Admin{client: kadm.NewClient(client), bootstrap: bootstrap}, nil
}

// Members returns the state of a Connect cluster's group (Stable,
// PreparingRebalance, …) and how many workers are members of it.
func (a *Admin) Members(ctx context.Context, group string) (state string, members int, err error) {
	described, err := a.client.DescribeGroups(ctx, group)
	if err != nil {
		return "", 0, fmt.Errorf("describe group %s: %w", group, err)
	}
	d := described[group]
	return d.State, len(d.Members), d.Err
}

// Leader returns the REST URL of the worker that hands out the work of a Connect
// cluster, as it stands in what the workers were last assigned (KIP-415).
func (a *Admin) Leader(ctx context.Context, group string) (string, error) {
	described, err := a.client.DescribeGroups(ctx, group)
	if err != nil {
		return "", fmt.Errorf("describe group %s: %w", group, err)
	}
	for _, member := range described[group].Members {
		if assignment, ok := member.Assigned.AsConnect(); ok && assignment.LeaderURL != "" {
			return assignment.LeaderURL, nil
		}
	}
	return "", fmt.Errorf("describe group %s: no member names a leader", group)
}

// Close ends the connections.
func (a *Admin) Close() { a.client.Close() }

// Produce writes n records to a topic, which is made with one partition if it is
// not there.
func (a *Admin) Produce(ctx context.Context, topic string, n int) error {
	fail := func(err error) error { return fmt.Errorf("write to topic %s: %w", topic, err) }
	if _, err := a.client.CreateTopic(ctx, 1, 1, nil, topic); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fail(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(a.bootstrap))
	if err != nil {
		return fail(err)
	}
	defer client.Close()
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Topic: topic, Value: []byte(`"x"`)}
	}
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fail(err)
	}
	return nil
}

// Written is how many records were ever written to a topic, also those that were
// compacted away.
func (a *Admin) Written(ctx context.Context, topic string) (total int64, err error) {
	ends, err := a.client.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("list the ends of topic %s: %w", topic, err)
	}
	ends.Each(func(o kadm.ListedOffset) { total += o.Offset })
	return total, nil
}

// Count reads a topic and returns how many records are there.
func (a *Admin) Count(ctx context.Context, topic string) (n int64, err error) {
	ends, err := a.client.ListEndOffsets(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("list the ends of topic %s: %w", topic, err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(a.bootstrap), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return 0, fmt.Errorf("read topic %s: %w", topic, err)
	}
	defer client.Close()
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return 0, fmt.Errorf("read topic %s: %w", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if end, reading := left[r.Partition]; reading && r.Offset < end {
				if n++; r.Offset == end-1 {
					delete(left, r.Partition)
				}
			}
		})
	}
	return n, nil
}

// Allow grants a user an operation (read, describe) on a topic or group; a name
// that ends in * stands for all that begin so.
func (a *Admin) Allow(ctx context.Context, user, kind, name, operation string) error {
	builder := kadm.NewACLs().Allow("User:" + user).AllowHosts("*").ResourcePatternType(kadm.ACLPatternLiteral)
	if prefix, wildcard := strings.CutSuffix(name, "*"); wildcard {
		name = prefix
		builder.ResourcePatternType(kadm.ACLPatternPrefixed)
	}
	if kind == "topic" {
		builder.Topics(name)
	} else {
		builder.Groups(name)
	}
	builder.Operations(map[string]kadm.ACLOperation{"read": kadm.OpRead, "describe": kadm.OpDescribe}[operation])
	results, err := a.client.CreateACLs(ctx, builder)
	if err == nil {
		for _, result := range results {
			if result.Err != nil {
				err = result.Err
			}
		}
	}
	if err != nil {
		return fmt.Errorf("allow %s to %s %s %s: %w", user, operation, kind, name, err)
	}
	return nil
}

// Configure sets configurations of a topic.
func (a *Admin) Configure(ctx context.Context, topic string, configs map[string]string) error {
	var alter []kadm.AlterConfig
	for name, value := range configs {
		alter = append(alter, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &value})
	}
	results, err := a.client.AlterTopicConfigs(ctx, alter, topic)
	if err == nil && len(results) > 0 {
		err = results[0].Err
	}
	if err != nil {
		return fmt.Errorf("configure topic %s: %w", topic, err)
	}
	return nil
}

package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// An Admin asks the broker what only it knows of a Connect cluster.
type Admin struct{ client *kadm.Client }

// NewAdmin connects to a broker when it is first asked.
func NewAdmin(bootstrap string) (*Admin, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		return nil, fmt.Errorf("make a Kafka client: %w", err)
	}
	return &Admin{client: kadm.NewClient(client)}, nil
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

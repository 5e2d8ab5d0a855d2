package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A Member is a member of a group of workers that is no worker: it speaks the
// protocol by which they share their work (KIP-415) and says what a worker would not.
type Member struct {
	client     *kgo.Client
	group, id  string
	worker     string
	generation int32
	protocol   string
}

// NewMember returns a member of a group that calls itself worker (host:port). It
// joins when it is told to.
func NewMember(bootstrap, group, worker string) (*Member, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ClientID("connect-"+worker))
	if err != nil {
		return nil, fmt.Errorf("make a Kafka client: %w", err)
	}
	return &Member{client: client, group: group, worker: worker}, nil
}

// Close leaves the group, if it is in it, and ends the connections.
func (m *Member) Close(ctx context.Context) error {
	defer m.client.Close()
	return m.Leave(ctx)
}

// Leave leaves the group.
func (m *Member) Leave(ctx context.Context) error {
	if m.id == "" {
		return nil
	}
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group, leave.MemberID = m.group, m.id
	one := kmsg.NewLeaveGroupRequestMember()
	one.MemberID = m.id
	leave.Members = append(leave.Members, one)
	m.id = ""
	if _, err := leave.RequestWith(ctx, m.client); err != nil {
		return fmt.Errorf("leave group %s: %w", m.group, err)
	}
	return nil
}

// Join joins, or joins again, and says that it runs this work already: "connector"
// or "connector/task". It returns when all members have joined and it is told its
// own: where it leads, nobody is given anything.
func (m *Member) Join(ctx context.Context, work ...string) error {
	fail := func(err error) error { return fmt.Errorf("join group %s: %w", m.group, err) }
	for {
		join := kmsg.NewPtrJoinGroupRequest()
		join.Group, join.MemberID, join.ProtocolType = m.group, m.id, "connect"
		join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = 10_000, 10_000
		protocol := kmsg.NewJoinGroupRequestProtocol()
		protocol.Name = "sessioned"
		protocol.Metadata = m.metadata(work)
		join.Protocols = append(join.Protocols, protocol)
		joined, err := join.RequestWith(ctx, m.client)
		if err != nil {
			return fail(err)
		}
		switch err := kerr.ErrorForCode(joined.ErrorCode); {
		case errors.Is(err, kerr.MemberIDRequired):
			m.id = joined.MemberID
			continue
		case err != nil:
			return fail(err)
		}
		m.id, m.generation = joined.MemberID, joined.Generation
		if joined.Protocol != nil {
			m.protocol = *joined.Protocol
		}
		sync := kmsg.NewPtrSyncGroupRequest()
		sync.Group, sync.Generation, sync.MemberID = m.group, m.generation, m.id
		sync.ProtocolType, sync.Protocol = new("connect"), new(m.protocol)
		if joined.LeaderID == m.id {
			for _, member := range joined.Members {
				one := kmsg.NewSyncGroupRequestGroupAssignment()
				one.MemberID, one.MemberAssignment = member.MemberID, m.assignment(m.id, nil)
				sync.GroupAssignment = append(sync.GroupAssignment, one)
			}
		}
		synced, err := sync.RequestWith(ctx, m.client)
		if err == nil {
			err = kerr.ErrorForCode(synced.ErrorCode)
		}
		if errors.Is(err, kerr.RebalanceInProgress) {
			continue
		}
		if err != nil {
			return fail(err)
		}
		return nil
	}
}

// Stay heartbeats, and joins again with the same work whenever the group
// rebalances, until ctx ends.
func (m *Member) Stay(ctx context.Context, work ...string) error {
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		heartbeat := kmsg.NewPtrHeartbeatRequest()
		heartbeat.Group, heartbeat.Generation, heartbeat.MemberID = m.group, m.generation, m.id
		response, err := heartbeat.RequestWith(ctx, m.client)
		if err == nil {
			err = kerr.ErrorForCode(response.ErrorCode)
		}
		if errors.Is(err, kerr.RebalanceInProgress) {
			err = m.Join(ctx, work...)
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// metadata is what a worker says of itself when it joins.
func (m *Member) metadata(work []string) []byte {
	b := kbin.AppendInt64(kbin.AppendString(kbin.AppendInt16(nil, 2), "http://"+m.worker+"/"), 0)
	return kbin.AppendNullableBytes(b, m.assignment(m.id, work))
}

func (m *Member) assignment(leader string, work []string) []byte {
	b := kbin.AppendInt16(kbin.AppendInt16(nil, 2), 0)
	b = kbin.AppendString(kbin.AppendString(b, leader), "http://"+m.worker+"/")
	b = kbin.AppendArrayLen(kbin.AppendInt64(b, 0), len(work))
	for _, one := range work {
		connector, task := one, int32(-1)
		if at := strings.LastIndexByte(one, '/'); at >= 0 {
			connector = one[:at]
			_, _ = fmt.Sscan(one[at+1:], &task)
		}
		b = kbin.AppendInt32(kbin.AppendArrayLen(kbin.AppendString(b, connector), 1), task)
	}
	return kbin.AppendInt32(kbin.AppendArrayLen(b, 0), 0) // Nothing is revoked, nothing delayed.
}

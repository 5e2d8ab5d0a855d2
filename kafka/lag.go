package kafka

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// A sinkGroup is a connector and the consumer group that its tasks read by.
type sinkGroup struct {
	connector, group string
	// topics that the connector is known to read, beside those it has committed.
	topics []string
}

// groupOf is the consumer group of a sink that has no other configured
// (SinkUtils.consumerGroupId).
func groupOf(connector string) string { return "connect-" + connector }

// A lagReader reads how far sinks have come. It remembers where topics ended in
// earlier snapshots, to tell when what is not committed yet was written.
type lagReader struct {
	max  int
	ends map[topicPartition]*history
}

type topicPartition struct {
	topic     string
	partition int32
}

// read reads the lag of the groups: their commits, then the ends of the topics
// that these are in, so that an end is never older than a commit.
//
// Commits are asked for without describing the group: for one of the protocol of
// KIP-848 a broker knows no members under the old name, and commits all the same.
func (r *lagReader) read(ctx context.Context, client *kgo.Client, groups []sinkGroup) (sinks []connect.Sink, limited bool, err error) {
	if len(groups) == 0 {
		r.ends = nil
		return nil, false, nil
	}
	names := make([]string, len(groups))
	for i := range groups {
		names[i] = groups[i].group
	}
	slices.Sort(names)
	commits := commitsOf(ctx, client, slices.Compact(names))
	topics := map[string]struct{}{}
	for i := range groups {
		commit := commits[groups[i].group]
		if commit.err != nil {
			err = cmp.Or(err, explain("read the commits of group "+groups[i].group, "DESCRIBE on groups connect-*", commit.err))
			continue
		}
		for j := range commit.topics {
			topics[commit.topics[j].Topic] = struct{}{}
		}
		for _, topic := range groups[i].topics {
			topics[topic] = struct{}{}
		}
	}
	if len(topics) == 0 {
		return nil, false, err
	}
	admin := kadm.NewClient(client)
	ends, failed := admin.ListEndOffsets(ctx, sortedKeys(topics)...)
	if failed == nil && passes(ends) {
		pause(ctx, leaderPatience)
		ends, failed = admin.ListEndOffsets(ctx, sortedKeys(topics)...)
	}
	if failed != nil {
		err = cmp.Or(err, explain("list the ends of topics "+some(sortedKeys(topics)), "DESCRIBE on topics that sinks read", failed))
	}
	if len(ends) == 0 {
		return nil, false, err
	}
	now := time.Now()
	r.remember(ends, now)
	partitions := 0
	for i := range groups {
		commit := commits[groups[i].group]
		if commit.err != nil {
			continue
		}
		sink, failed := r.sink(&groups[i], commit.topics, ends, now)
		err = cmp.Or(err, failed)
		if errors.Is(failed, connect.Unavailable) {
			continue // A sum without a partition that has no leader just now would be another.
		}
		if len(sink.Partitions) > 0 || sink.Uncommitted > 0 {
			partitions += len(sink.Partitions)
			sinks = append(sinks, sink)
		}
	}
	slices.SortFunc(sinks, func(a, b connect.Sink) int { return cmp.Compare(a.Connector, b.Connector) })
	if limited = partitions > r.max; limited {
		for i := range sinks {
			sinks[i].Partitions = nil
		}
	}
	return sinks, limited, err
}

// A groupCommits is what a group has committed; none, if it is not there: it has not begun to
// read, or is that of no sink.
type groupCommits struct {
	topics []kmsg.OffsetFetchResponseGroupTopic
	err    error
}

// commitsOf asks for the commits of many groups, and returns those that have any.
func commitsOf(ctx context.Context, client *kgo.Client, groups []string) map[string]groupCommits {
	request := kmsg.NewPtrOffsetFetchRequest()
	request.Groups = make([]kmsg.OffsetFetchRequestGroup, len(groups))
	for i, name := range groups {
		request.Groups[i].Default()
		request.Groups[i].Group = name
	}
	all := map[string]groupCommits{}
	for _, shard := range client.RequestSharded(ctx, request) {
		if shard.Err != nil {
			for _, group := range shard.Req.(*kmsg.OffsetFetchRequest).Groups {
				all[group.Group] = groupCommits{err: shard.Err}
			}
			continue
		}
		response := shard.Resp.(*kmsg.OffsetFetchResponse)
		for i := range response.Groups {
			group := &response.Groups[i]
			err := kerr.ErrorForCode(group.ErrorCode)
			if errors.Is(err, kerr.GroupIDNotFound) || err == nil && len(group.Topics) == 0 {
				continue
			}
			all[group.Group] = groupCommits{group.Topics, err}
		}
	}
	return all
}

// leaderPatience is longer than what is known of the partitions' leaders is used for.
const leaderPatience = 2 * metadataAge

// passes tells whether an end could not be had for a reason that may pass at once: a
// partition has another leader.
func passes(ends kadm.ListedOffsets) (found bool) {
	ends.Each(func(end kadm.ListedOffset) {
		if end.Err != nil && kerr.IsRetriable(end.Err) {
			reason, _ := classify(end.Err)
			found = found || reason == connect.Unavailable
		}
	})
	return found
}

// sink tells how far one group has come.
func (r *lagReader) sink(group *sinkGroup, commits []kmsg.OffsetFetchResponseGroupTopic, ends kadm.ListedOffsets, now time.Time) (sink connect.Sink, err error) {
	sink = connect.Sink{Connector: group.connector}
	topics, committed := map[string]struct{}{}, map[topicPartition]int64{}
	for i := range commits {
		topics[commits[i].Topic] = struct{}{}
		for j := range commits[i].Partitions {
			if p := &commits[i].Partitions[j]; p.ErrorCode == 0 && p.Offset >= 0 {
				committed[topicPartition{commits[i].Topic, p.Partition}] = p.Offset
			}
		}
	}
	for _, topic := range group.topics {
		topics[topic] = struct{}{}
	}
	unknown := false
	for _, topic := range sortedKeys(topics) {
		for _, id := range sortedKeys(ends[topic]) {
			end := ends[topic][id]
			if end.Err != nil {
				// A topic that was deleted has commits for a while.
				if reason, _ := classify(end.Err); reason != connect.NotFound {
					err = cmp.Or(err, explain("list the end of topic "+topic, "DESCRIBE on topic "+topic, end.Err))
				}
				continue
			}
			commit, found := committed[topicPartition{topic, id}]
			if !found {
				sink.Uncommitted++
				continue
			}
			lag := max(0, end.Offset-commit)
			sink.Lag += lag
			sink.Committed += commit
			sink.HasCommits = true
			sink.Partitions = append(sink.Partitions, connect.PartitionLag{Topic: topic, Partition: int(id), Lag: lag})
			if lag == 0 {
				continue
			}
			since, known := r.ends[topicPartition{topic, id}].at(commit, now)
			if unknown = unknown || !known; known {
				sink.Seconds = max(sink.Seconds, now.Sub(since).Seconds())
			}
		}
	}
	if unknown && sink.Seconds == 0 {
		sink.Seconds = -1
	}
	return sink, err
}

// remember adds where topics end now, and forgets topics that no sink has.
func (r *lagReader) remember(ends kadm.ListedOffsets, now time.Time) {
	next := make(map[topicPartition]*history, len(r.ends))
	ends.Each(func(end kadm.ListedOffset) {
		if end.Err != nil {
			return
		}
		id := topicPartition{end.Topic, end.Partition}
		h := r.ends[id]
		if h == nil {
			h = &history{}
		}
		h.add(now, end.Offset)
		next[id] = h
	})
	r.ends = next
}

// A history is where a partition ended at some moments, the oldest first.
type history struct {
	points []point
}

type point struct {
	at     int64 // milliseconds
	offset int64
}

// maxPoints bounds a history; when it is full, every other point is left out, so
// that it reaches back ever further, and is ever less exact there.
const maxPoints = 32

func (h *history) add(now time.Time, offset int64) {
	p := point{now.UnixMilli(), offset}
	n := len(h.points)
	switch {
	case n > 0 && offset < h.points[n-1].offset:
		h.points = append(h.points[:0], p) // Another topic under the same name.
		return
	case n > 1 && offset == h.points[n-1].offset && offset == h.points[n-2].offset:
		h.points[n-1].at = p.at // While nothing comes, only the first and the last moment count.
		return
	}
	if n == maxPoints {
		kept := h.points[:0]
		for i, old := range h.points {
			// The last two are kept: the next one may go on with them.
			if i%2 == 0 || i >= n-2 {
				kept = append(kept, old)
			}
		}
		h.points = kept
	}
	h.points = append(h.points, p)
}

// at tells when the partition ended at an offset that it has passed, which is
// when the record of that offset was written, between two moments as if records
// had come evenly. Before the first moment it is that moment at the latest; known tells
// whether that says anything.
func (h *history) at(offset int64, now time.Time) (at time.Time, known bool) {
	if h == nil || len(h.points) == 0 {
		return now, false
	}
	after, _ := slices.BinarySearchFunc(h.points, offset+1, func(p point, offset int64) int { return cmp.Compare(p.offset, offset) })
	if after == 0 {
		first := time.UnixMilli(h.points[0].at)
		return first, len(h.points) > 1
	}
	if after == len(h.points) {
		return now, true
	}
	before, next := h.points[after-1], h.points[after]
	part := float64(offset-before.offset) / float64(next.offset-before.offset)
	return time.UnixMilli(before.at + int64(part*float64(next.at-before.at))), true
}

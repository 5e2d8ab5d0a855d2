package kafka

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

const (
	// fetchBytes and partitionBytes bound one answer, unless a single batch is larger.
	fetchBytes     = 4 << 20
	partitionBytes = 1 << 20
	// fetchPatience is how long a broker may wait for what it said it has.
	fetchPatience = 250 * time.Millisecond
	// fetchAttempts bounds how often something that may mend itself is asked for
	// again in one snapshot: a partition without a leader, or that is cut short.
	fetchAttempts = 4
)

// A topic is read by its offsets, from the beginning and without a group, each
// time up to where it ended when that was asked. Nothing runs in between, nothing
// is fetched ahead, and of transactions only what is committed is taken.
type topic struct {
	name string
	// take is told of each record in the order of its partition; isNew is false
	// for what was there when reading began. The record is wiped after it.
	take func(record *kgo.Record, isNew bool)
	// restart is told that the topic is read from its beginning again: it is
	// another one under the same name, or lost what had been read.
	restart func()

	id         [16]byte
	partitions []partition
	// caughtUp tells that all partitions were read to their end once.
	caughtUp bool
	bytes    int64
	// unread is how many batches could not be read and were left out.
	unread int
}

// A partition and how far it is read.
type partition struct {
	id, leader, epoch int32
	position          int64
	// begun is the end that the partition had when reading began; -1 before.
	begun int64
	// end is where it ended when this snapshot asked; -1 before.
	end int64
	err error
	// failed is where a batch could not be read the last time.
	failed int64
}

// read reads what there is in topics, and returns an error or nil for each. It goes on
// where it stopped when time is up.
func read(ctx context.Context, client *kgo.Client, metadata *kmsg.MetadataResponse, topics []*topic) []error {
	errs := make([]error, len(topics))
	for i, t := range topics {
		errs[i] = t.follow(metadata)
		for i := range t.partitions {
			t.partitions[i].end = -1
		}
	}
	// Most of the time there is nothing new: one request tells that of all topics.
	first := round(ctx, client, topics)
	var group sync.WaitGroup
	for i, t := range topics {
		group.Go(func() {
			if errs[i] == nil {
				errs[i] = t.goOn(ctx, client, first[t])
			}
			if errs[i] != nil {
				errs[i] = explain("read topic "+t.name, "READ and DESCRIBE on topic "+t.name, errs[i])
			}
		})
	}
	group.Wait()
	return errs
}

// goOn reads on after a round.
func (t *topic) goOn(ctx context.Context, client *kgo.Client, r result) error {
	for attempt := 0; ; r = round(ctx, client, []*topic{t})[t] {
		switch {
		case errors.Is(r.err, errDone):
			t.caughtUp = true
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case r.progress:
			attempt = 0
			continue
		}
		if attempt++; attempt >= fetchAttempts || r.err != nil && !mayMend(r.err) {
			return cmp.Or(r.err, errStuck)
		}
		switch {
		case r.err == nil:
			continue
		case errors.Is(r.err, kerr.OffsetOutOfRange):
			if err := t.find(ctx, client); err != nil {
				return err
			}
			if t.partitions != nil {
				continue
			}
		default:
			pause(ctx, fetchPatience)
		}
		fresh, err := describe(ctx, client, t.name)
		if err == nil {
			err = t.follow(fresh)
		}
		if err != nil {
			return err
		}
	}
}

// another says that the topic is not what the setting is for.
func (t *topic) another(setting, why string) error {
	return fmt.Errorf("read topic %s: %w: %s: is this the workers' %s?", t.name, connect.NotFound, why, setting)
}

// left says that batches were left out since there were so many.
func (t *topic) left(before int) error {
	if t.unread == before {
		return nil
	}
	return fmt.Errorf("read topic %s: %w: %d batches of records are damaged, or larger than %d MiB when they are unpacked, and were left out",
		t.name, connect.Decode, t.unread-before, maxBatch>>20)
}

var (
	errDone  = errors.New("read to the end")
	errStuck = fmt.Errorf("%w: the broker says that there is more and does not send it", connect.Unavailable)
)

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// mayMend tells whether asking for the leaders and fetching again may help.
func mayMend(err error) bool {
	kafka, ok := errors.AsType[*kerr.Error](err)
	return !ok || kafka.Retriable || errors.Is(err, kerr.OffsetOutOfRange)
}

// follow takes over partitions and their leaders.
func (t *topic) follow(metadata *kmsg.MetadataResponse) error {
	at := slices.IndexFunc(metadata.Topics, func(m kmsg.MetadataResponseTopic) bool { return m.Topic != nil && *m.Topic == t.name })
	if at < 0 {
		return kerr.UnknownTopicOrPartition
	}
	described := &metadata.Topics[at]
	if err := kerr.ErrorForCode(described.ErrorCode); err != nil {
		return err
	}
	if described.TopicID != t.id {
		if len(t.partitions) > 0 && t.id != [16]byte{} {
			t.begin()
		}
		t.id = described.TopicID
	}
	if len(described.Partitions) < len(t.partitions) {
		t.begin() // A topic loses no partition: it is another one, of brokers that have no topic ids.
	}
	slices.SortFunc(described.Partitions, func(a, b kmsg.MetadataResponseTopicPartition) int {
		return cmp.Compare(a.Partition, b.Partition)
	})
	for _, d := range described.Partitions {
		at, found := slices.BinarySearchFunc(t.partitions, d.Partition, func(p partition, id int32) int { return cmp.Compare(p.id, id) })
		if !found {
			p := partition{id: d.Partition, begun: -1, end: -1, failed: -1}
			if t.caughtUp {
				p.begun = 0 // It was added meanwhile: all of it is new.
			}
			t.partitions = slices.Insert(t.partitions, at, p)
		}
		p := &t.partitions[at]
		p.leader, p.epoch, p.err = d.Leader, d.LeaderEpoch, nil
		if d.Leader < 0 {
			p.err = kerr.LeaderNotAvailable
		}
	}
	return nil
}

// begin starts from the beginning.
func (t *topic) begin() {
	t.partitions, t.caughtUp = nil, false
	t.restart()
}

// A result is what came of a round for a topic.
type result struct {
	// progress tells whether something came.
	progress bool
	// err is the first error; errDone when nothing is missing.
	err error
}

// wanted are the partitions of a topic that a leader is asked for.
type wanted struct {
	topic      *topic
	partitions []*partition
}

// round asks each leader once for what is missing of topics.
func round(ctx context.Context, client *kgo.Client, topics []*topic) map[*topic]result {
	results := make(map[*topic]result, len(topics))
	byLeader := map[int32][]wanted{}
	for _, t := range topics {
		r := result{}
		missing := map[int32][]*partition{}
		for i := range t.partitions {
			if p := &t.partitions[i]; p.err != nil {
				r.err = cmp.Or(r.err, p.err)
			} else if p.end < 0 || p.position < p.end {
				missing[p.leader] = append(missing[p.leader], p)
			}
		}
		if len(missing) == 0 && r.err == nil {
			r.err = errDone
		}
		for leader, partitions := range missing {
			byLeader[leader] = append(byLeader[leader], wanted{t, partitions})
		}
		results[t] = r
	}
	type answer struct {
		wanted   []wanted
		response *kmsg.FetchResponse
		err      error
	}
	answers := make(chan answer, len(byLeader))
	var group sync.WaitGroup
	for leader, wanted := range byLeader {
		request := fetch(wanted)
		group.Go(func() {
			response, err := client.Broker(int(leader)).RetriableRequest(ctx, request)
			fetched, _ := response.(*kmsg.FetchResponse)
			answers <- answer{wanted, fetched, err}
		})
	}
	group.Wait()
	close(answers)
	decompressor, _ := client.OptValue(kgo.WithDecompressor).(kgo.Decompressor) // It is bounded by maxBatch.
	for a := range answers {
		if a.err == nil && a.response != nil {
			a.err = kerr.ErrorForCode(a.response.ErrorCode)
		}
		for _, w := range a.wanted {
			r := results[w.topic]
			r.err = cmp.Or(r.err, a.err)
			if a.err == nil {
				r = w.topic.takeAll(w.partitions, a.response, decompressor, r)
			}
			results[w.topic] = r
		}
	}
	return results
}

// fetch asks for partitions from where they were read to, at once: how far there is to go
// stands in the answer.
func fetch(all []wanted) *kmsg.FetchRequest {
	request := kmsg.NewPtrFetchRequest()
	request.ReplicaID = -1
	request.MaxBytes = fetchBytes
	request.SessionEpoch = -1
	request.IsolationLevel = 1 // What is committed.
	for _, w := range all {
		of := kmsg.NewFetchRequestTopic()
		of.Topic, of.TopicID = w.topic.name, w.topic.id
		for _, p := range w.partitions {
			asked := kmsg.NewFetchRequestTopicPartition()
			asked.Partition, asked.FetchOffset, asked.PartitionMaxBytes = p.id, p.position, partitionBytes
			asked.CurrentLeaderEpoch = -1
			of.Partitions = append(of.Partitions, asked)
			if p.end >= 0 {
				// It was told that there is more: a broker may need a moment for it.
				request.MaxWaitMillis, request.MinBytes = int32(fetchPatience.Milliseconds()), 1
			}
		}
		request.Topics = append(request.Topics, of)
	}
	return request
}

// takeAll takes what was fetched of the topic.
func (t *topic) takeAll(wanted []*partition, response *kmsg.FetchResponse, decompressor kgo.Decompressor, r result) result {
	for i := range response.Topics {
		fetched := &response.Topics[i]
		if fetched.Topic != t.name && (fetched.Topic != "" || fetched.TopicID != t.id) {
			continue
		}
		for j := range fetched.Partitions {
			came, failed := t.took(wanted, &fetched.Partitions[j], decompressor)
			r.progress, r.err = r.progress || came, cmp.Or(r.err, failed)
		}
	}
	return r
}

// took takes what was fetched of one partition.
func (t *topic) took(wanted []*partition, fetched *kmsg.FetchResponseTopicPartition, decompressor kgo.Decompressor) (progress bool, err error) {
	at := slices.IndexFunc(wanted, func(p *partition) bool { return p.id == fetched.Partition })
	if at < 0 {
		return false, nil
	}
	p := wanted[at]
	end := fetched.HighWatermark
	if fetched.LastStableOffset >= 0 {
		end = fetched.LastStableOffset
	}
	if err := kerr.ErrorForCode(fetched.ErrorCode); err != nil {
		p.err = err
		return false, err
	}
	// A broker that has just become the leader may not know yet how far its
	// predecessor had come.
	end = max(end, p.position)
	if p.begun < 0 {
		p.begun = end
	}
	if p.end < 0 {
		p.end = end
	}
	defer clear(fetched.RecordBatches) // Traces quote passwords: nothing of them stays.
	records, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: p.position, IsolationLevel: kgo.ReadCommitted(), Topic: t.name, Partition: p.id,
	}, fetched, decompressor, nil)
	t.bytes += int64(len(fetched.RecordBatches))
	for _, record := range records.Records {
		t.take(record, record.Offset >= p.begun)
		clear(record.Value)
	}
	progress = next > p.position
	p.position = next
	if records.Err != nil && !progress {
		// One that is too large when it is unpacked stays so; any other may be whole
		// when it comes again. No batch keeps those behind it from being read.
		_, tooLarge := errors.AsType[*kgo.ErrDecompressTooLarge](records.Err)
		if !tooLarge && p.failed != p.position {
			p.failed = p.position
			return false, fmt.Errorf("%w: a batch that cannot be read", connect.Decode)
		}
		p.position = max(p.position+1, min(behind(fetched.RecordBatches), p.end))
		t.unread++
		return true, nil
	}
	return progress, nil
}

// behind is the offset behind the first batch, as its head says (record batch of
// version 2, Kafka 0.11 and later), or 0.
func behind(batches []byte) int64 {
	const version, delta = 16, 23
	if len(batches) < delta+4 || batches[version] != 2 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(batches)) + int64(int32(binary.BigEndian.Uint32(batches[delta:]))) + 1
}

// find goes on where the log begins now in partitions whose records were deleted
// up to a point beyond where they were read to. Where a log is shorter than it
// was, who knows what in it is the same: then all is read again.
func (t *topic) find(ctx context.Context, client *kgo.Client) error {
	starts, err := kadm.NewClient(client).ListStartOffsets(ctx, t.name)
	if err != nil {
		return err
	}
	for i := range t.partitions {
		p := &t.partitions[i]
		if !errors.Is(p.err, kerr.OffsetOutOfRange) {
			continue
		}
		start, found := starts.Lookup(t.name, p.id)
		switch {
		case !found:
			return kerr.LeaderNotAvailable
		case start.Err != nil:
			return start.Err
		case start.Offset <= p.position:
			t.begin()
			return nil
		}
		p.position, p.err = start.Offset, nil
	}
	return nil
}

// describe asks for the partitions of topics and their leaders.
func describe(ctx context.Context, client *kgo.Client, names ...string) (*kmsg.MetadataResponse, error) {
	request := kmsg.NewPtrMetadataRequest()
	request.AllowAutoTopicCreation = false
	for _, name := range names {
		of := kmsg.NewMetadataRequestTopic()
		of.Topic = new(name)
		request.Topics = append(request.Topics, of)
	}
	if request.Topics == nil {
		request.Topics = []kmsg.MetadataRequestTopic{} // None; nil would be all.
	}
	return request.RequestWith(ctx, client)
}

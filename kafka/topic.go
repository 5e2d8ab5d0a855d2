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
// time up to where it ended when that was asked. Nothing runs in between, and
// nothing is fetched ahead.
type topic struct {
	name string
	// committed reads only what transactions have committed.
	committed bool
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

// read reads what there is. It goes on where it stopped when time is up.
func (t *topic) read(ctx context.Context, client *kgo.Client, metadata *kmsg.MetadataResponse) error {
	doing, right := "read topic "+t.name, "READ and DESCRIBE on topic "+t.name
	if err := t.follow(metadata); err != nil {
		return explain(doing, right, err)
	}
	for i := range t.partitions {
		t.partitions[i].end = -1
	}
	for attempt := 0; ; {
		if t.partitions == nil {
			fresh, err := describe(ctx, client, t.name)
			if err == nil {
				err = t.follow(fresh)
			}
			if err != nil {
				return explain(doing, right, err)
			}
		}
		progress, err := t.round(ctx, client)
		switch {
		case errors.Is(err, errDone):
			t.caughtUp = true
			return nil
		case ctx.Err() != nil:
			return explain(doing, right, ctx.Err())
		case progress:
			attempt = 0
			continue
		}
		if attempt++; attempt >= fetchAttempts || err != nil && !mayMend(err) {
			return explain(doing, right, cmp.Or(err, errStuck))
		}
		if err == nil {
			continue
		}
		if errors.Is(err, kerr.OffsetOutOfRange) {
			err = t.find(ctx, client)
		} else {
			pause(ctx, fetchPatience)
			var fresh *kmsg.MetadataResponse
			if fresh, err = describe(ctx, client, t.name); err == nil {
				err = t.follow(fresh)
			}
		}
		if err != nil {
			return explain(doing, right, err)
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

// round asks each leader once for what is missing. It returns errDone when
// nothing is, else whether something came, and the first error.
func (t *topic) round(ctx context.Context, client *kgo.Client) (progress bool, err error) {
	byLeader := map[int32][]*partition{}
	for i := range t.partitions {
		if p := &t.partitions[i]; p.err != nil {
			err = cmp.Or(err, p.err)
		} else if p.end < 0 || p.position < p.end {
			byLeader[p.leader] = append(byLeader[p.leader], p)
		}
	}
	if len(byLeader) == 0 {
		if err == nil {
			err = errDone
		}
		return false, err
	}
	type answer struct {
		partitions []*partition
		response   *kmsg.FetchResponse
		err        error
	}
	answers := make(chan answer, len(byLeader))
	var group sync.WaitGroup
	for leader, wanted := range byLeader {
		request := t.request(wanted)
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
		if a.err != nil {
			err = cmp.Or(err, a.err)
			continue
		}
		for i := range a.response.Topics {
			fetched := &a.response.Topics[i]
			for j := range fetched.Partitions {
				came, failed := t.took(a.partitions, &fetched.Partitions[j], decompressor)
				progress, err = progress || came, cmp.Or(err, failed)
			}
		}
	}
	return progress, err
}

// request asks for a few partitions from where they were read to, at once: how
// far there is to go stands in the answer.
func (t *topic) request(wanted []*partition) *kmsg.FetchRequest {
	request := kmsg.NewPtrFetchRequest()
	request.ReplicaID = -1
	request.MaxBytes = fetchBytes
	request.SessionEpoch = -1
	if t.committed {
		request.IsolationLevel = 1
	}
	of := kmsg.NewFetchRequestTopic()
	of.Topic, of.TopicID = t.name, t.id
	for _, p := range wanted {
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
	return request
}

// took takes what was fetched of one partition.
func (t *topic) took(wanted []*partition, fetched *kmsg.FetchResponseTopicPartition, decompressor kgo.Decompressor) (progress bool, err error) {
	at := slices.IndexFunc(wanted, func(p *partition) bool { return p.id == fetched.Partition })
	if at < 0 {
		return false, nil
	}
	p := wanted[at]
	end := fetched.HighWatermark
	if t.committed && fetched.LastStableOffset >= 0 {
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
	isolation := kgo.ReadUncommitted()
	if t.committed {
		isolation = kgo.ReadCommitted()
	}
	records, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: p.position, IsolationLevel: isolation, Topic: t.name, Partition: p.id,
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

package kafka

import (
	"cmp"
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// An offsetLog is an offset topic: when each connector committed last. It keeps
// nothing of the offsets themselves.
type offsetLog struct {
	topic     topic
	decoder   *statusDecoder
	committed map[string]time.Time
	// changes counts what was taken.
	changes int
	// offsets is how many records had the key of one, and others how many had not.
	offsets, others int
}

func newOffsetLog(name string) *offsetLog {
	l := &offsetLog{decoder: newStatusDecoder(), committed: map[string]time.Time{}}
	l.topic = topic{name: name, take: l.take, restart: l.restart}
	return l
}

func (l *offsetLog) restart() {
	clear(l.committed)
	l.changes++
	l.offsets, l.others = 0, 0
}

func (l *offsetLog) take(record *kgo.Record, _ bool) {
	connector, ok := l.decoder.offsetKey(record.Key)
	if !ok {
		l.others++
		return
	}
	l.offsets++
	if len(record.Value) == 0 {
		return // An offset that was removed is no progress.
	}
	if record.Timestamp.After(l.committed[connector]) {
		l.committed[connector] = record.Timestamp
		l.changes++
	}
}

// maxForgotten bounds how many connectors that are not alive stay known: their
// offsets stay in the topic for ever.
const maxForgotten = 10_000

// prune forgets connectors that are not alive, when they are many.
func (l *offsetLog) prune(alive func(connector string) bool, count int) {
	if len(l.committed) <= count+maxForgotten {
		return
	}
	for connector := range l.committed {
		if !alive(connector) {
			delete(l.committed, connector)
		}
	}
}

// newest asks when the newest record of each topic was written (KIP-734, brokers
// from 3.0 on). It reads no record.
func newest(ctx context.Context, client *kgo.Client, topics []string) (map[string]time.Time, error) {
	listed, failed := kadm.NewClient(client).ListMaxTimestampOffsets(ctx, topics...)
	times := map[string]time.Time{}
	err := explain("ask for the newest records of topics "+some(topics), "DESCRIBE on topics that sources write", failed)
	listed.Each(func(o kadm.ListedOffset) {
		switch {
		case o.Err != nil:
			if reason, _ := classify(o.Err); reason != connect.NotFound {
				err = cmp.Or(err, explain("ask for the newest record of topic "+o.Topic, "DESCRIBE on topic "+o.Topic, o.Err))
			}
		case o.Timestamp > 0:
			if at := time.UnixMilli(o.Timestamp); at.After(times[o.Topic]) {
				times[o.Topic] = at
			}
		}
	})
	return times, err
}

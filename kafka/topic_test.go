package kafka

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// A batch that is damaged is asked for once more, then left out with all of its
// records and no other.
func TestDamagedBatch(t *testing.T) {
	damaged := func(first int64, delta int32) []byte {
		b := make([]byte, 100)
		binary.BigEndian.PutUint64(b, uint64(first))
		binary.BigEndian.PutUint32(b[8:], 88)
		b[16] = 2
		binary.BigEndian.PutUint32(b[23:], uint32(delta))
		return b
	}
	for name, test := range map[string]struct {
		batch []byte
		want  int64
	}{
		"ten records":                 {damaged(5, 9), 15},
		"it began before":             {damaged(2, 9), 12},
		"a head that is wrong":        {damaged(1<<60, 9), 20},
		"a head that is wrong, too":   {damaged(0, -7), 6},
		"of another form":             {append(damaged(5, 9)[:16], make([]byte, 84)...), 6},
		"of a form that none has yet": {append(damaged(5, 9)[:16], append([]byte{9}, make([]byte, 83)...)...), 6},
	} {
		t.Run(name, func(t *testing.T) {
			topic := topic{name: "t", take: func(*kgo.Record, bool) { t.Error("a record is taken") }}
			p := &partition{position: 5, begun: 0, end: -1, failed: -1}
			for range 2 {
				answer := &kmsg.FetchResponseTopicPartition{HighWatermark: 20, LastStableOffset: -1, RecordBatches: append([]byte(nil), test.batch...)}
				progress, err := topic.took([]*partition{p}, answer, kgo.DefaultDecompressor())
				if progress != (p.position > 5) || err != nil && !errors.Is(err, connect.Decode) {
					t.Errorf("%t, %v", progress, err)
				}
				if p.position > 5 {
					break
				}
			}
			if p.position != test.want {
				t.Errorf("goes on at %d, want %d", p.position, test.want)
			}
		})
	}
}

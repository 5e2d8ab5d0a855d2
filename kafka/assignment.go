package kafka

import (
	"errors"
	"hash/maphash"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
)

// What Connect workers tell each other through their group
// (IncrementalCooperativeConnectProtocol, KIP-415; ConnectProtocol before 2.3).
// kmsg has these as well, with ids of tasks of 16 bits where workers write 32: of a real
// group it reads garbage (kmsg v1.15.1, seen on Kafka 4.3.1).

// memberMetadata is what a worker says of itself when it joins.
type memberMetadata struct {
	url          string
	configOffset int64
	// current is what it runs then; nil before that protocol.
	current *memberAssignment
}

// memberAssignment is what a worker is told, or says that it runs.
type memberAssignment struct {
	leader         string // member id
	configOffset   int64
	given, revoked []taskID
	delay          time.Duration
}

var errAssignment = errors.New("an assignment of another form than workers write")

// decodeMetadata and what it calls hash the names of connectors by a seed.
func decodeMetadata(source []byte, seed maphash.Seed) (memberMetadata, error) {
	r := kbin.Reader{Src: source}
	version := r.Int16()
	m := memberMetadata{url: r.String(), configOffset: r.Int64()}
	var current []byte
	if version >= 1 {
		current = r.NullableBytes()
	}
	if !r.Ok() {
		return memberMetadata{}, errAssignment
	}
	if len(current) > 0 {
		decoded, err := decodeAssignment(current, seed)
		if err != nil {
			return memberMetadata{}, err
		}
		m.current = &decoded
	}
	return m, nil
}

func decodeAssignment(source []byte, seed maphash.Seed) (memberAssignment, error) {
	r := kbin.Reader{Src: source}
	version := r.Int16()
	_ = r.Int16() // error
	a := memberAssignment{leader: r.String()}
	_ = r.String() // the leader's URL
	a.configOffset = r.Int64()
	a.given = decodeWork(&r, seed)
	if version >= 1 {
		a.revoked = decodeWork(&r, seed)
		a.delay = time.Duration(r.Int32()) * time.Millisecond
	}
	if !r.Ok() {
		return memberAssignment{}, errAssignment
	}
	return a, nil
}

func decodeWork(r *kbin.Reader, seed maphash.Seed) (work []taskID) {
	for range max(0, r.ArrayLen()) {
		connector := maphash.Bytes(seed, r.Span(int(r.Int16())))
		for range max(0, r.ArrayLen()) {
			work = append(work, taskID{connector, int(r.Int32())})
		}
		if !r.Ok() {
			return nil
		}
	}
	return work
}

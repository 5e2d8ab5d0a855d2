package kafka

import (
	"hash/maphash"
	"reflect"
	"strings"
	"testing"
)

// Recorded from two workers of Kafka 4.3.1 (2026-11-27), member ids shortened.
func TestDecodeRecordedMembers(t *testing.T) {
	seed := maphash.MakeSeed()
	named := func(connector string, task int) taskID { return taskID{maphash.String(seed, connector), task} }
	const metadata = "\x00\x02\x00\x17http://127.0.0.1:24303/\x00\x00\x00\x00\x00\x00\x00\t\x00\x00\x00\x56" +
		"\x00\x02\x00\x00\x00\x03one\x00\x17http://127.0.0.1:24302/\x00\x00\x00\x00\x00\x00\x00\x06" +
		"\x00\x00\x00\x02\x00\x06sink-1\x00\x00\x00\x01\xff\xff\xff\xff\x00\x06sink-0\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00"
	m, err := decodeMetadata([]byte(metadata), seed)
	if err != nil || m.url != "http://127.0.0.1:24303/" || m.configOffset != 9 || m.current == nil {
		t.Fatalf("%+v, %v", m, err)
	}
	if want := []taskID{named("sink-1", -1), named("sink-0", 1)}; !reflect.DeepEqual(m.current.given, want) || m.current.revoked != nil {
		t.Errorf("%+v", m.current)
	}
	const assignment = "\x00\x02\x00\x00\x00\x03one\x00\x17http://127.0.0.1:24302/\x00\x00\x00\x00\x00\x00\x00\t" +
		"\x00\x00\x00\x01\x00\x06sink-1\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x61\xa8"
	a, err := decodeAssignment([]byte(assignment), seed)
	if err != nil || a.leader != "one" || a.configOffset != 9 || !reflect.DeepEqual(a.given, []taskID{named("sink-1", 1)}) || a.delay.Seconds() != 25 {
		t.Fatalf("%+v, %v", a, err)
	}
	for i := range assignment {
		if _, err := decodeAssignment([]byte(assignment[:i]), seed); err == nil {
			t.Errorf("the first %d bytes are taken for the whole", i)
		}
	}
	for i := range metadata {
		if _, err := decodeMetadata([]byte(metadata[:i]), seed); err == nil {
			t.Errorf("the first %d bytes are taken for the whole", i)
		}
	}
}

// FuzzDecodeMetadata: whatever a member of the group writes is understood or refused,
// and a refusal quotes nothing of it.
func FuzzDecodeMetadata(f *testing.F) {
	f.Add([]byte("\x00\x02\x00\x01x\x00\x00\x00\x00\x00\x00\x00\t\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for cut := range 2 { // The secret stands behind what is read, or is cut into it.
			marked := append(append([]byte(nil), text[:len(text)-len(text)/2*cut]...), fuzzSecret...)
			_, err := decodeMetadata(marked, maphash.MakeSeed())
			_, err2 := decodeAssignment(marked, maphash.MakeSeed())
			for _, err := range []error{err, err2} {
				if err != nil && strings.Contains(err.Error(), fuzzSecret) {
					t.Errorf("the error quotes the member: %v", err)
				}
			}
		}
	})
}

package kafka

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const fuzzSecret = "zq7-secret-7qz"

// FuzzStatusTopic: whatever stands in the status topic is taken or counted, and
// taken again says the same.
func FuzzStatusTopic(f *testing.F) {
	for _, seed := range [][2]string{
		{"status-connector-orders", `{"state":"RUNNING","trace":null,"worker_id":"10.0.0.1:8083","generation":3}`},
		{"status-task-orders-0", `{"state":"FAILED","trace":"org.apache.kafka.connect.errors.ConnectException: x\n\tat a.b(C.java:1)\nCaused by: java.io.IOException\n","worker_id":"10.0.0.1:8083","generation":3,"version":"4.3.1"}`},
		{"status-task-a-b-12", `{"state":"UNASSIGNED","trace":null,"worker_id":"w","generation":-1}`},
		{"status-topic-orders:connector-sink", `{"topic":{"name":"orders","connector":"sink","task":0,"discoverTimestamp":1}}`},
		{"status-task-x", `{}`},
		{"status-connector-", `[]`},
		{"status-task-x-99999999999", `{"state":1}`},
		{"else", "\xff"},
		{"status-connector-x", ""},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		said := func(l *statusLog) string {
			// A decoder may wipe what it has read.
			l.take(&kgo.Record{Key: append([]byte(nil), key...), Value: append([]byte(nil), value...), Timestamp: time.Unix(1, 0)}, true)
			return fmt.Sprintf("%+v %d", l.list(), l.undecoded)
		}
		l := newStatusLog(nil, true)
		first := said(l)
		if second := said(newStatusLog(nil, true)); first != second {
			t.Errorf("once %s, once %s", first, second)
		}
		if strings.Contains(string(value), fuzzSecret) {
			return
		}
		// What follows a value makes it wrong, and is not kept.
		value = append(append([]byte(nil), value...), fuzzSecret...)
		if shown := said(newStatusLog(nil, true)); strings.Contains(shown, fuzzSecret) && !strings.Contains(string(key), fuzzSecret) {
			t.Errorf("kept: %s", shown)
		}
	})
}

// FuzzSecretsOfStatuses: nothing is kept of a message, whatever stands around it.
func FuzzSecretsOfStatuses(f *testing.F) {
	f.Add("orders", "org.example.Failed", "refused: ", "\nCaused by: a.B: c")
	f.Add("a-1", "", "\nCaused by: ", ": x")
	f.Add("é/%", "a.B", "\\nCaused by: ", "\\")
	f.Fuzz(func(t *testing.T, name, class, before, after string) {
		value, err := json.Marshal(map[string]any{"state": "FAILED", "trace": class + ": " + before + fuzzSecret + after, "worker_id": "w:1", "generation": 1, "further": []any{fuzzSecret}})
		if err != nil {
			t.Skip()
		}
		l := newStatusLog(nil, true)
		l.take(&kgo.Record{Key: []byte("status-connector-" + name), Value: value, Timestamp: time.Unix(1, 0)}, true)
		if shown := fmt.Sprintf("%+v %+v", l.list(), l.connectors); strings.Contains(shown, fuzzSecret) {
			t.Errorf("kept of %s: %s", value, shown)
		}
	})
}

// FuzzOffsetKeys: of the key of a source's offset only the connector's name is
// kept.
func FuzzOffsetKeys(f *testing.F) {
	for _, seed := range []string{`["source",{"filename":"x"}]`, `["a",[1,2]]`, `["a"]`, `{}`, `[]`, `["é\"",null]`, `[1,2]`, ``, "\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d := newStatusDecoder()
		_, _ = d.offsetKey(append([]byte(nil), text...))
		name := strings.ReplaceAll(string(text), fuzzSecret, "")
		key, err := json.Marshal([]any{name, map[string]any{name: fuzzSecret, fuzzSecret: name}})
		if err != nil {
			t.Skip()
		}
		if got, _ := d.offsetKey(key); strings.Contains(got, fuzzSecret) {
			t.Errorf("kept of %s: %s", key, got)
		}
		// One that is wrong spoils none after it.
		if got, ok := d.offsetKey([]byte(`["source",{}]`)); !ok || got != "source" {
			t.Errorf("after %q: %q, %v", text, got, ok)
		}
	})
}

package kafka

import (
	"errors"
	"strings"
	"testing"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

func TestParseKey(t *testing.T) {
	for _, test := range []struct {
		text, connector, topic string
		kind                   kind
		task                   int
		bad                    bool
	}{
		{text: "status-connector-src", kind: ofConnector, connector: "src"},
		{text: "status-connector-my/odd ->n", kind: ofConnector, connector: "my/odd ->n"},
		{text: "status-connector-status-task-x-1", kind: ofConnector, connector: "status-task-x-1"},
		{text: "status-connector-größe:connector-1", kind: ofConnector, connector: "größe:connector-1"},
		{text: "status-connector-", kind: ofConnector},
		{text: "status-task-bad-1", kind: ofTask, connector: "bad", task: 1},
		{text: "status-task-a-b-10-12", kind: ofTask, connector: "a-b-10", task: 12},
		{text: "status-task--0", kind: ofTask, connector: ""},
		{text: "status-task-a--3", kind: ofTask, connector: "a-", task: 3},
		{text: "status-task-bad-x", bad: true},
		{text: "status-task-bad-", bad: true},
		{text: "status-task-bad", bad: true},
		{text: "status-task-bad-99999999999", bad: true},
		{text: "status-task-bad-+1", bad: true},
		{text: "status-topic-t1:connector-sink", kind: ofTopic, connector: "sink", topic: "t1"},
		{text: "status-topic-a.b_c-d:connector-x:connector-y", kind: ofTopic, connector: "x:connector-y", topic: "a.b_c-d"},
		{text: "status-topic-t1", bad: true},
		{text: "status-connector-a\xff", bad: true},
		{text: "status-task-a\xff-1", bad: true},
		{text: "status-plugin-x", kind: ofNothing},
		{text: "", kind: ofNothing},
	} {
		k, ok := parseKey([]byte(test.text))
		if ok == test.bad {
			t.Errorf("%q: ok is %t", test.text, ok)
		}
		if !ok {
			continue
		}
		if k.kind != test.kind || string(k.connector) != test.connector || k.task != test.task || string(k.topic) != test.topic {
			t.Errorf("%q is kind %d, connector %q, task %d, topic %q", test.text, k.kind, k.connector, k.task, k.topic)
		}
	}
}

func TestDecodeStatus(t *testing.T) {
	d := newStatusDecoder()
	const failed = "org.apache.kafka.connect.errors.ConnectException"
	for text, want := range map[string]status{
		`{"state":"RUNNING","trace":null,"worker_id":"127.0.0.1:28081","generation":3}`: {state: connect.StateRunning, worker: "127.0.0.1:28081", generation: 3},
		`{"state":"FAILED","trace":"` + failed + `: hunter2\n\tat a.b(C.java:1)\nCaused by: java.io.IOException: x\n","worker_id":"w","generation":6,"version":"4.1.0"}`: {
			state: connect.StateFailed, worker: "w", generation: 6, version: "4.1.0",
			failure: connect.Failure{Exception: failed, RootCause: "java.io.IOException"},
		},
		`{"state":"FAILED","trace":null,"worker_id":"w","generation":1}`:      {state: connect.StateFailed, worker: "w", generation: 1, failure: connect.Failure{Exception: "unknown", RootCause: "unknown"}},
		`{"state":"FAILED","trace":{"a":[1]},"worker_id":"w"}`:                {state: connect.StateFailed, worker: "w", failure: connect.Failure{Exception: "unknown", RootCause: "unknown"}},
		`{"state":"RUNNING","trace":"a.B: left over","worker_id":"a->b"}`:     {state: connect.StateRunning, worker: "a->b"},
		`{"later":{"x":[{}]},"state":"DANCING","worker_id":"w\u002d1"}`:       {state: connect.StateUnknown, worker: "w-1"},
		`{"state":"PAUSED","worker_id":null,"generation":1.5,"version":null}`: {state: connect.StatePaused},
	} {
		got, err := d.decode([]byte(text))
		if err != nil || got != want {
			t.Errorf("%s\nis  %+v, %v\nnot %+v", text, got, err, want)
		}
	}
	for _, text := range []string{
		``, `null`, `[]`, `"RUNNING"`, `{}`, `{"worker_id":"w"}`, `{"state":null}`, `{"state":3}`, `{"state":"RUNNING"`, `{"state":"RUNNING","worker_id":7}`,
		`{"state":"RUNNING","state":"FAILED"}`, `{"state":"RUNNING",}`, "{\"state\":\"RUNNING\",\"worker_id\":\"\xff\"}", `hunter2`, `{"state":"FAILED","trace":"hunter2`,
	} {
		_, err := d.decode([]byte(text))
		if !errors.Is(err, connect.Decode) {
			t.Errorf("%s: %v", text, err)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error quotes the value: %v", text, err)
		}
	}
}

// A value is decoded in place, so that wiping it wipes all of it.
func TestTraceIsDecodedInPlace(t *testing.T) {
	d := newStatusDecoder()
	value := []byte(`{"state":"FAILED","trace":"a.B: hunter2"}`)
	if _, err := d.decode(value); err != nil {
		t.Fatal(err)
	}
	clear(value)
	if left := d.buffer.Bytes(); strings.Contains(string(left[:cap(left)]), "hunter2") {
		t.Error("a copy of the value is left")
	}
	if strings.Contains(string(d.scratch[:cap(d.scratch)]), "hunter2") {
		t.Error("a copy of the trace is left")
	}
	for s := range d.strings.known {
		if strings.Contains(s, "hunter2") {
			t.Errorf("%q is kept", s)
		}
	}
}

func TestOffsetKey(t *testing.T) {
	d := newStatusDecoder()
	for text, want := range map[string]string{
		`["src",{"filename":"/tmp/x"}]`:                                       "src",
		`["MirrorSourceConnector",{"cluster":"a","partition":0,"topic":"t"}]`: "MirrorSourceConnector",
		`["a\"b",null]`: `a"b`,
	} {
		if got, ok := d.offsetKey([]byte(text)); !ok || got != want {
			t.Errorf("%s: %q, %t", text, got, ok)
		}
	}
	for _, text := range []string{``, `{}`, `[]`, `[1]`, `"x"`, `[null,{}]`, `["a`} {
		if got, ok := d.offsetKey([]byte(text)); ok {
			t.Errorf("%s: %q", text, got)
		}
	}
}

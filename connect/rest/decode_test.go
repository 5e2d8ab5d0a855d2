package rest

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// decodeAll decodes an expanded answer into a map.
func decodeAll(t testing.TB, text string, dialect Dialect) (map[string]entry, []string, error) {
	t.Helper()
	got := map[string]entry{}
	list, err := newDecoder(strings.NewReader(text), newInterner(), dialect).decodeExpanded(func(e *entry) { got[e.name] = *e })
	return got, list, err
}

func TestExpandedStatus(t *testing.T) {
	text := `{"orders-sink":{"status":{"name":"orders-sink","connector":{"state":"RUNNING","worker_id":"10.0.0.5:8083","version":"2.4.0"},
		"tasks":[{"id":1,"state":"FAILED","worker_id":"10.0.0.6:8083","version":"2.4.0","trace":"org.apache.kafka.connect.errors.ConnectException: password=hunter2\n\tat x.y(Z.java:1)\nCaused by: java.nio.file.NoSuchFileException: /secret\n\t... 9 more\n"},
		         {"id":0,"state":"RUNNING","worker_id":"10.0.0.5:8083","version":null}],"type":"sink"},
		"info":{"name":"orders-sink","config":{"connector.class":"io.example.Sink","tasks.max":"2","password":"hunter2","nothing":null},"tasks":[{"connector":"orders-sink","task":0},{"connector":"orders-sink","task":1}],"type":"sink"}},
	 "src->dst é \"q\" /%":{"status":{"tasks":[],"connector":{"worker_id":"w","state":"LEVITATING"}}}}`
	got, _, err := decodeAll(t, text, Dialect{})
	if err != nil {
		t.Fatal(err)
	}
	first := got["orders-sink"]
	want := connect.Connector{
		Name: "orders-sink", State: connect.StateRunning, Worker: "10.0.0.5:8083", Version: "2.4.0", Type: "sink",
		Tasks: []connect.Task{
			{ID: 1, State: connect.StateFailed, Worker: "10.0.0.6:8083", Version: "2.4.0", Failure: connect.Failure{
				Exception: "org.apache.kafka.connect.errors.ConnectException", RootCause: "java.nio.file.NoSuchFileException",
			}},
			{ID: 0, State: connect.StateRunning, Worker: "10.0.0.5:8083"},
		},
	}
	if first.bad || first.badInfo || !first.hasStatus || !first.hasInfo || !reflect.DeepEqual(first.status, want) {
		t.Errorf("status is\n%+v, want\n%+v", first.status, want)
	}
	if wantInfo := (info{class: "io.example.Sink", kind: "sink", tasksMax: 2, tasks: 2, hasTasks: true}); first.info != wantInfo {
		t.Errorf("info is %+v, want %+v", first.info, wantInfo)
	}
	second, ok := got[`src->dst é "q" /%`]
	if !ok || second.status.State != connect.StateUnknown || second.status.Worker != "w" || second.bad {
		t.Errorf("second is %+v, %v", second, ok)
	}
}

// One odd connector costs that connector; odd info costs its info.
func TestOddEntries(t *testing.T) {
	const good = `"good":{"status":{"connector":{"state":"RUNNING","worker_id":"w"},"tasks":[]}}`
	for _, test := range []struct {
		name, odd                   string
		bad, badInfo, status, hasIt bool
	}{
		{name: "a number", odd: `7`, bad: true},
		{name: "null", odd: `null`, bad: true},
		{name: "an array", odd: `[{"status":{}}]`, bad: true},
		{name: "no status", odd: `{}`},
		{name: "null status", odd: `{"status":null}`},
		{name: "status without connector", odd: `{"status":{"tasks":[]}}`, bad: true, status: true},
		{name: "status is text", odd: `{"status":"RUNNING"}`, bad: true, status: true},
		{name: "state is a number", odd: `{"status":{"connector":{"state":3},"tasks":[]}}`, bad: true, status: true},
		{name: "tasks is an object", odd: `{"status":{"connector":{"state":"RUNNING"},"tasks":{}}}`, bad: true, status: true},
		{name: "task without id", odd: `{"status":{"connector":{"state":"RUNNING"},"tasks":[{"state":"RUNNING"}]}}`, bad: true, status: true},
		{name: "negative task id", odd: `{"status":{"connector":{"state":"RUNNING"},"tasks":[{"id":-1,"state":"RUNNING"}]}}`, bad: true, status: true},
		{name: "huge task id", odd: `{"status":{"connector":{"state":"RUNNING"},"tasks":[{"id":99999999999999999999,"state":"RUNNING"}]}}`, bad: true, status: true},
		{name: "null state and worker", odd: `{"status":{"connector":{"state":null,"worker_id":null},"tasks":null}}`, status: true},
		{name: "null info", odd: `{"info":null,"status":{"connector":{"state":"RUNNING"},"tasks":[]}}`, status: true},
		{name: "info is text", odd: `{"info":"x","status":{"connector":{"state":"RUNNING"},"tasks":[]}}`, badInfo: true, status: true, hasIt: true},
		{name: "null config", odd: `{"info":{"config":null,"tasks":null},"status":{"connector":{"state":"RUNNING"},"tasks":[]}}`, status: true, hasIt: true},
		{name: "class is a number", odd: `{"info":{"config":{"connector.class":1}},"status":{"connector":{"state":"RUNNING"},"tasks":[]}}`, badInfo: true, status: true, hasIt: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, _, err := decodeAll(t, `{"odd":`+test.odd+`,`+good+`}`, Dialect{})
			if err != nil {
				t.Fatal(err)
			}
			odd := got["odd"]
			if odd.bad != test.bad || odd.badInfo != test.badInfo || odd.hasStatus != test.status || odd.hasInfo != test.hasIt {
				t.Errorf("entry is %+v", odd)
			}
			if g := got["good"]; g.bad || !g.hasStatus || g.status.State != connect.StateRunning {
				t.Errorf("its neighbour is %+v", g)
			}
		})
	}
}

func TestRefusedAnswers(t *testing.T) {
	for name, text := range map[string]string{
		"empty":                "",
		"HTML":                 "<html><body>404</body></html>",
		"number":               "7",
		"null":                 "null",
		"text":                 `"hunter2"`,
		"cut short":            `{"a":{"status":{"connector":{"state":"RUN`,
		"cut in a list":        `["a","b`,
		"trailing garbage":     `{} hunter2`,
		"two values":           `{}{}`,
		"duplicate connector":  `{"a":{"status":null},"a":{"status":null}}`,
		"duplicate key":        `{"a":{"status":{"type":"sink","type":"source"}}}`,
		"duplicate config key": `{"a":{"info":{"config":{"x":"1","x":"2"}}}}`,
		"invalid UTF-8":        "{\"a\xff\":{}}",
		"invalid UTF-8 inside": "{\"a\":{\"info\":{\"config\":{\"x\":\"\xc3\x28\"}}}}",
		"list of numbers":      `[1,2]`,
		"lone surrogate":       `{"\ud800":{}}`,
		"deep":                 `{"a":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := decodeAll(t, text, Dialect{})
			if !errors.Is(err, connect.Decode) {
				t.Fatalf("err = %v, want decode", err)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
				t.Errorf("the error quotes the input: %v", err)
			}
		})
	}
}

// A worker before 2.3 answers expand with the plain list.
func TestListForExpand(t *testing.T) {
	_, list, err := decodeAll(t, ` ["b","a","b"] `, Dialect{})
	if !errors.Is(err, errList) || !reflect.DeepEqual(list, []string{"b", "a"}) {
		t.Errorf("list = %v, err = %v", list, err)
	}
	_, list, err = decodeAll(t, `[]`, Dialect{})
	if !errors.Is(err, errList) || list == nil {
		t.Errorf("list = %v, err = %v", list, err)
	}
}

func TestTasksMax(t *testing.T) {
	for value, want := range map[string]int{`"3"`: 3, `3`: 3, `"${env:MAX}"`: 0, `""`: 0, `"-1"`: 0, `null`: 1, `{}`: 1} {
		got, _, err := decodeAll(t, `{"a":{"info":{"config":{"tasks.max":`+value+`}}}}`, Dialect{})
		if err != nil || got["a"].info.tasksMax != want {
			t.Errorf("tasks.max %s is %d, want %d (%v)", value, got["a"].info.tasksMax, want, err)
		}
	}
}

// A failure is named where something failed, and nowhere else.
func TestFailureFollowsState(t *testing.T) {
	got, _, err := decodeAll(t, `{"a":{"status":{"connector":{"state":"RUNNING","trace":"a.B: left over"},
		"tasks":[{"id":0,"state":"FAILED"},{"id":1,"state":"FAILED","trace":""},{"id":2,"state":"FAILED","trace":null},{"id":3,"state":"RESTARTING","trace":"a.B"}]}}}`, Dialect{})
	if err != nil {
		t.Fatal(err)
	}
	if f := got["a"].status.Failure; f != (connect.Failure{}) {
		t.Errorf("a running connector has failure %+v", f)
	}
	unknown := connect.Failure{Exception: "unknown", RootCause: "unknown"}
	for i, want := range []connect.Failure{unknown, unknown, unknown, {}} {
		if f := got["a"].status.Tasks[i].Failure; f != want {
			t.Errorf("task %d has failure %+v, want %+v", i, f, want)
		}
	}
}

// Tasks of many connectors share a slab and must not share places in it.
func TestTasksDoNotOverlap(t *testing.T) {
	var text strings.Builder
	counts := []int{0, 3, 1, 40, 0, 1200, 2, 1023, 5}
	text.WriteByte('{')
	for c, n := range counts {
		if c > 0 {
			text.WriteByte(',')
		}
		text.WriteString(`"` + string(rune('a'+c)) + `":{"status":{"connector":{"state":"RUNNING"},"tasks":[`)
		for i := range n {
			if i > 0 {
				text.WriteByte(',')
			}
			text.WriteString(`{"id":` + itoa(i) + `,"state":"RUNNING","worker_id":"` + string(rune('a'+c)) + `"}`)
		}
		text.WriteString(`]}}`)
	}
	text.WriteByte('}')
	got, _, err := decodeAll(t, text.String(), Dialect{})
	if err != nil {
		t.Fatal(err)
	}
	for c, n := range counts {
		name := string(rune('a' + c))
		tasks := got[name].status.Tasks
		if len(tasks) != n || cap(tasks) != n {
			t.Errorf("%s has %d tasks (room for %d), want %d", name, len(tasks), cap(tasks), n)
		}
		for i, task := range tasks {
			if task.ID != i || task.Worker != name {
				t.Fatalf("task %d of %s is %+v", i, name, task)
			}
		}
	}
}

func FuzzDecodeExpanded(f *testing.F) {
	f.Add(`{"a":{"status":{"connector":{"state":"FAILED","trace":"a.B: x\nCaused by: c.D"},"tasks":[{"id":0,"state":"RUNNING"}]},"info":{"config":{"tasks.max":"2"}}}}`)
	f.Add(`["a"]`)
	f.Add(`{"a":{"status":null,"info":null}}`)
	f.Fuzz(func(t *testing.T, text string) {
		got, _, err := decodeAll(t, text, Dialect{})
		if err != nil && connect.ReasonOf(err) != connect.Decode {
			t.Errorf("reason of %v", err)
		}
		for name, e := range got {
			if e.status.Name != "" && e.status.Name != name {
				t.Errorf("entry %q is named %q", name, e.status.Name)
			}
		}
	})
}

// Whether a value is too large does not depend on where the answer is read from:
// a part of it, how large is chance, is in memory already.
func TestLargeValue(t *testing.T) {
	for size, want := range map[int]error{6 << 20: nil, 20 << 20: connect.TooLarge} {
		text := `{"x":{"status":{"connector":{"state":"FAILED","trace":"` + strings.Repeat("a", size) + `"}}}}`
		if _, _, err := decodeAll(t, text, Dialect{}); !errors.Is(err, want) {
			t.Errorf("%d bytes in memory: %v, want %v", size, err, want)
		}
	}
}

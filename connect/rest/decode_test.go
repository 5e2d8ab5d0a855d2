package rest

import (
	"errors"
	"hash/maphash"
	"reflect"
	"strings"
	"testing"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// decodeAll decodes an expanded answer into a map.
func decodeAll(t testing.TB, text string, dialect Dialect) (map[string]entry, []listed, error) {
	t.Helper()
	got := map[string]entry{}
	options := decoderOptions{dialect: dialect, labels: []string{"owner.team", "tier"}}
	list, err := newDecoder(strings.NewReader(text), newInterner(), options).decodeExpanded(1_000_000, func(e *entry) error {
		got[e.name] = *e
		return nil
	})
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
	if first.bad != "" || first.badInfo != "" || !first.hasStatus || !first.hasInfo || !reflect.DeepEqual(first.status, want) {
		t.Errorf("status is\n%+v, want\n%+v", first.status, want)
	}
	wantInfo := info{class: "io.example.Sink", kind: "sink", hasConfig: true, tasksMax: 2, tasks: 2, hasTasks: true, hash: first.info.hash}
	if !reflect.DeepEqual(first.info, wantInfo) || first.info.hash == 0 {
		t.Errorf("info is %+v, want %+v", first.info, wantInfo)
	}
	second, ok := got[`src->dst é "q" /%`]
	if !ok || second.status.State != connect.StateUnknown || second.status.Worker != "w" || second.bad != "" {
		t.Errorf("second is %+v, %v", second, ok)
	}
}

// One odd connector costs that connector; odd info costs its info.
func TestOddEntries(t *testing.T) {
	const good = `"good":{"status":{"connector":{"state":"RUNNING","worker_id":"w"},"tasks":[]}}`
	for _, test := range []struct {
		name, odd     string
		bad, badInfo  connect.Reason
		status, hasIt bool
	}{
		{name: "a number", odd: `7`, bad: connect.Decode},
		{name: "null", odd: `null`, bad: connect.Decode},
		{name: "an array", odd: `[{"status":{}}]`, bad: connect.Decode},
		{name: "no status", odd: `{}`},
		{name: "null status", odd: `{"status":null}`},
		{name: "status without connector", odd: `{"status":{"tasks":[]}}`, bad: connect.Decode, status: true},
		{name: "status is text", odd: `{"status":"RUNNING"}`, bad: connect.Decode, status: true},
		{name: "state is a number", odd: `{"status":{"connector":{"state":3},"tasks":[]}}`, bad: connect.Decode, status: true},
		{name: "tasks is an object", odd: `{"status":{"connector":{"state":"RUNNING"},"tasks":{}}}`, bad: connect.Decode, status: true},
		{name: "task without id", odd: `{"status":{"connector":{"state":"RUNNING"},"tasks":[{"state":"RUNNING"}]}}`, bad: connect.Decode, status: true},
		{name: "negative task id", odd: `{"status":{"connector":{"state":"RUNNING"},"tasks":[{"id":-1,"state":"RUNNING"}]}}`, bad: connect.Decode, status: true},
		{name: "huge task id", odd: `{"status":{"connector":{"state":"RUNNING"},"tasks":[{"id":99999999999999999999,"state":"RUNNING"}]}}`, bad: connect.Decode, status: true},
		{name: "null state and worker", odd: `{"status":{"connector":{"state":null,"worker_id":null},"tasks":null}}`, status: true},
		{name: "status twice", odd: `{"status":{"connector":{"state":"RUNNING"}},"status":{"connector":{"state":"FAILED"}}}`, bad: connect.Decode, status: true},
		{name: "status twice, once escaped", odd: `{"status":{"connector":{"state":"RUNNING"}},"st\u0061tus":{"connector":{"state":"FAILED"}}}`, bad: connect.Decode, status: true},
		{name: "type twice", odd: `{"status":{"connector":{"state":"RUNNING"},"type":"sink","type":"source"}}`, bad: connect.Decode, status: true},
		{name: "worker is no UTF-8", odd: "{\"status\":{\"connector\":{\"state\":\"RUNNING\",\"worker_id\":\"a\xff\"}}}", bad: connect.Decode, status: true},
		{name: "task's worker has a lone surrogate", odd: `{"status":{"connector":{"state":"RUNNING"},"tasks":[{"id":0,"worker_id":"\udc00"}]}}`, bad: connect.Decode, status: true},
		{name: "worker too long", odd: `{"status":{"connector":{"state":"RUNNING","worker_id":"` + strings.Repeat("w", connect.MaxText+1) + `"}}}`, bad: connect.TooLarge, status: true},
		{name: "task's version too long", odd: `{"status":{"connector":{"state":"RUNNING"},"tasks":[{"id":0,"version":"` + strings.Repeat("1", connect.MaxText+1) + `"}]}}`, bad: connect.TooLarge, status: true},
		{name: "class too long", odd: `{"info":{"config":{"connector.class":"` + strings.Repeat("c", connect.MaxText+1) + `"}},"status":{"connector":{"state":"RUNNING"},"tasks":[]}}`, badInfo: connect.TooLarge, status: true, hasIt: true},
		{name: "a worker as long as may be", odd: `{"status":{"connector":{"state":"RUNNING","worker_id":"` + strings.Repeat("w", connect.MaxText) + `"}}}`, status: true},
		{name: "class twice", odd: `{"info":{"config":{"connector.class":"a","connector.class":"b"}},"status":{"connector":{"state":"RUNNING"},"tasks":[]}}`, badInfo: connect.Decode, status: true, hasIt: true},
		{name: "a setting twice", odd: `{"info":{"config":{"x":"1","x":"2"}},"status":{"connector":{"state":"RUNNING"},"tasks":[]}}`, status: true, hasIt: true},
		{name: "a setting that is no UTF-8", odd: "{\"info\":{\"config\":{\"x\":\"\xc3\x28\"}},\"status\":{\"connector\":{\"state\":\"RUNNING\"}}}", status: true, hasIt: true},
		{name: "too many tasks", odd: `{"status":{"connector":{"state":"RUNNING"},"tasks":[{"id":0}` + strings.Repeat(`,{"id":1}`, maxTasksOfOne) + `]}}`, bad: connect.TooLarge, status: true},
		{name: "null info", odd: `{"info":null,"status":{"connector":{"state":"RUNNING"},"tasks":[]}}`, status: true},
		{name: "info is text", odd: `{"info":"x","status":{"connector":{"state":"RUNNING"},"tasks":[]}}`, badInfo: connect.Decode, status: true, hasIt: true},
		{name: "null config", odd: `{"info":{"config":null,"tasks":null},"status":{"connector":{"state":"RUNNING"},"tasks":[]}}`, status: true, hasIt: true},
		{name: "class is a number", odd: `{"info":{"config":{"connector.class":1}},"status":{"connector":{"state":"RUNNING"},"tasks":[]}}`, badInfo: connect.Decode, status: true, hasIt: true},
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
			if g := got["good"]; g.bad != "" || !g.hasStatus || g.status.State != connect.StateRunning {
				t.Errorf("its neighbour is %+v", g)
			}
		})
	}
}

func TestRefusedAnswers(t *testing.T) {
	for name, text := range map[string]string{
		"empty":            "",
		"HTML":             "<html><body>404</body></html>",
		"number":           "7",
		"null":             "null",
		"text":             `"hunter2"`,
		"cut short":        `{"a":{"status":{"connector":{"state":"RUN`,
		"cut in a list":    `["a","b`,
		"trailing garbage": `{} hunter2`,
		"two values":       `{}{}`,
		"list of numbers":  `[1,2]`,
		"deep":             `{"a":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`,
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

// What a name cannot be shown as costs that connector only, and is not taken for
// another's.
func TestOddNames(t *testing.T) {
	long := strings.Repeat("n", 1<<20)
	for quoted, want := range map[string]struct {
		shown string
		bad   connect.Reason
	}{
		`"\ud800"`:       {`\ud800`, connect.Decode},
		`"\udbff"`:       {`\udbff`, connect.Decode},
		`"x\uDC00y"`:     {`x\uDC00y`, connect.Decode},
		"\"a\xffb\"":     {`a\xffb`, connect.Decode},
		`"\ud83d\ude00"`: {"😀", ""},
		`"a\u0062"`:      {"ab", ""},
		`"` + strings.Repeat("n", connect.MaxText) + `"`: {strings.Repeat("n", connect.MaxText), ""},
		`"` + long + `"`: {strings.Repeat("n", maxShown) + "… (1048576 bytes", connect.TooLarge},
	} {
		if len(quoted) < 100 || want.bad != "" {
			got, _, err := decodeAll(t, `{`+quoted+`:{"status":{"connector":{"state":"RUNNING"}}},"good":{"status":{"connector":{"state":"RUNNING"}}}}`, Dialect{})
			if err != nil || len(got) != 2 || got["good"].bad != "" {
				t.Errorf("%.20s: %v, %d connectors", quoted, err, len(got))
			}
			for name, e := range got {
				if name != "good" && (!strings.HasPrefix(name, want.shown) || len(name) > 2*maxShown || e.bad != want.bad) {
					t.Errorf("%.20s is %q (%s), want %q (%s)", quoted, name, e.bad, want.shown, want.bad)
				}
			}
		}
		names, err := newDecoder(strings.NewReader(`[`+quoted+`,"good"]`), newInterner(), decoderOptions{}).decodeList(2)
		if err != nil || len(names) != 2 || names[1] != (listed{name: "good"}) || names[0].bad != want.bad || !strings.HasPrefix(names[0].name, want.shown) {
			t.Errorf("%.20s in a list: %v (%v)", quoted, names, err)
		}
	}
	names, err := newDecoder(strings.NewReader(`["a",7,{"x":"hunter2"},"a",null]`), newInterner(), decoderOptions{}).decodeList(9)
	want := []listed{{name: "a"}, {"(item 1 of the list)", connect.Decode}, {"(item 2 of the list)", connect.Decode}, {"(item 4 of the list)", connect.Decode}}
	if err != nil || !reflect.DeepEqual(names, want) {
		t.Errorf("%v (%v), want %v", names, err, want)
	}
}

// A configuration's hash is that of its content, in whatever order, and of each
// value.
func TestConfigHash(t *testing.T) {
	d := decoderOptions{seed: maphash.MakeSeed()}
	hash := func(config string) uint64 {
		var got entry
		_, err := newDecoder(strings.NewReader(`{"a":{"info":{"config":`+config+`}}}`), newInterner(), d).decodeExpanded(9, func(e *entry) error { got = *e; return nil })
		if err != nil {
			t.Fatal(err)
		}
		return got.info.hash
	}
	same := hash(`{"name":"a","x":"1","y":"2","password":"hunter2"}`)
	if got := hash(`{"password":"hunter2", "y":"2","x":"1","name":"a"}`); got != same {
		t.Error("another order is another configuration")
	}
	seen := map[uint64]string{same: "first"}
	for _, other := range []string{`{"name":"a","x":"2","y":"1","password":"hunter2"}`, `{"name":"a","x":"1","y":"2","password":"hunter3"}`, `{"name":"a","x":"1","y":"2"}`, `{"name":"a","x":"1","y":null}`, `{}`, `{"x":"1"}`, `{"x":"1","x":"1"}`} {
		got := hash(other)
		if before, twice := seen[got]; twice {
			t.Errorf("%s has the hash of %s", other, before)
		}
		seen[got] = other
	}
}

// Of a configuration's values only those are kept that may be shown.
func TestLabels(t *testing.T) {
	options := decoderOptions{labels: []string{"owner.team", "tier", "runbook"}}
	for config, want := range map[string][]connect.Label{
		`{"tier":"gold","x":"y","owner.team":"payments"}`:                 {{Key: "owner.team", Value: "payments"}, {Key: "tier", Value: "gold"}},
		`{"owner.t\u0065am":"payments"}`:                                  {{Key: "owner.team", Value: "payments"}},
		`{"owner.team":"a","owner.team":"b"}`:                             {{Key: "owner.team", Value: "a"}},
		`{"tier":7,"owner.team":null}`:                                    nil,
		`{"tier":"","owner.team":"` + strings.Repeat("x", 1025) + `"}`:    nil,
		`{"tier":"\ud800"}`:                                               nil,
		`{"runbook":"https://wiki.example/orders"}`:                       {{Key: "runbook", Value: "https://wiki.example/orders"}},
		`{"runbook":"https://u:p@wiki.example/orders"}`:                   nil,
		`{"tier":"jdbc:oracle:thin:scott/tiger@//db:1521/x"}`:             nil,
		`{"tier":"${file:/secrets:tier}"}`:                                nil,
		`{"tier":"****************"}`:                                     nil,
		`{"tier":"PlainLoginModule required username=a password=\"b\";"}`: nil,
		`{"tier":"-----BEGIN PRIVATE KEY-----"}`:                          nil,
	} {
		var got entry
		_, err := newDecoder(strings.NewReader(`{"a":{"info":{"config":`+config+`}}}`), newInterner(), options).decodeExpanded(9, func(e *entry) error { got = *e; return nil })
		if err != nil || got.badInfo != "" || !reflect.DeepEqual(got.info.labels, want) {
			t.Errorf("%s: %v, want %v (%v)", config, got.info.labels, want, err)
		}
	}
}

func TestSecretKey(t *testing.T) {
	for _, key := range []string{
		"password", "database.password", "ssl.key.password", "ssl.keystore.key", "ssl.keystore.certificate.chain", "sasl.jaas.config",
		"producer.override.sasl.jaas.config", "aws.secret.access.key", "aws.access.key.id", "azblob.account.key", "gcp.credentials.json", "keyfile",
		"basic.auth.user.info", "authorization", "oauth.token", "Api-Key", "apiKey", "connection.passwd", "passphrase", "snowflake.private.key", "db.pwd",
		"client.secret", "value.converter.schema.registry.basic.auth.user.info", "license.key", "connection.string", "http.headers", "sas",
	} {
		if !SecretKey(key) {
			t.Errorf("%s passes for no secret", key)
		}
	}
	for _, key := range []string{"owner.team", "owner", "team", "author", "tier", "topics", "connector.class", "cost-center", "env", "service", "runbook.url", "tasks.max", "description", "monkey"} {
		if SecretKey(key) {
			t.Errorf("%s passes for a secret", key)
		}
	}
}

// A worker before 2.3 answers expand with the plain list.
func TestListForExpand(t *testing.T) {
	_, list, err := decodeAll(t, ` ["b","a","b"] `, Dialect{})
	if !errors.Is(err, errList) || !reflect.DeepEqual(list, []listed{{name: "b"}, {name: "a"}}) {
		t.Errorf("list = %v, err = %v", list, err)
	}
	_, list, err = decodeAll(t, `[]`, Dialect{})
	if !errors.Is(err, errList) || list == nil {
		t.Errorf("list = %v, err = %v", list, err)
	}
}

func TestTasksMax(t *testing.T) {
	for value, want := range map[string]int{
		`"tasks.max":"3"`: 3, `"tasks.max":3`: 3, `"tasks.max":" 3 "`: 3, `"tasks.max":"+2"`: 2, `"tasks.max":"\t\u0034\n"`: 4, `"tasks.m\u0061x":"5"`: 5,
		`"tasks.max":"${env:MAX}"`: 0, `"tasks.max":""`: 0, `"tasks.max":"-1"`: 0, `"tasks.max":"2147483648"`: 0, `"tasks.max":null`: 0, `"tasks.max":{}`: 0, `"tasks.max":1.5`: 0,
		`"tasks.max":true`: 0, ``: 1, `"tasks":"7"`: 1,
	} {
		got, _, err := decodeAll(t, `{"a":{"info":{"config":{`+value+`}}}}`, Dialect{})
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
		if _, _, err := decodeAll(t, text+fuzzSecret, Dialect{}); err == nil || strings.Contains(err.Error(), fuzzSecret) {
			t.Errorf("with a secret behind it: %v", err)
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

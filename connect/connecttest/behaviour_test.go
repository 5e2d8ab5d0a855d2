package connecttest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	worker1 = "10.0.0.5:8083"
	worker2 = "10.0.0.6:8083"
)

// A clock that is set by hand.
type clock struct {
	mutex sync.Mutex
	at    time.Time
}

func (c *clock) now() time.Time {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.at = c.at.Add(d)
}

// said is "STATE@worker" of a connector and of each task.
func said(c *Cluster, name string) string {
	defer c.lock()()
	it := c.find(name)
	out := it.state(&it.itself) + "@" + it.itself.worker
	for _, task := range it.tasks {
		out += " " + it.state(task) + "@" + task.worker
	}
	return strings.NewReplacer(worker1, "1", worker2, "2").Replace(out)
}

func two(clock *clock, version string) *Cluster {
	c := NewCluster(Options{Version: version, Workers: []string{worker1, worker2}, Now: clock.now, StartupTime: 4 * time.Second})
	c.Create(Connector{Name: "a", Tasks: 2})
	c.Create(Connector{Name: "b", Tasks: 2})
	return c
}

func TestLostWorkers(t *testing.T) {
	type step struct {
		do      func(*Cluster)
		advance time.Duration
		a, b    string
	}
	const (
		beforeA, beforeB = "RUNNING@1 RUNNING@1 RUNNING@2", "RUNNING@2 RUNNING@1 RUNNING@2"
		afterA, afterB   = "RUNNING@1 RUNNING@1 RUNNING@1", "RUNNING@1 RUNNING@1 RUNNING@1"
	)
	for name, steps := range map[string][]step{
		"killed": {
			{func(c *Cluster) { c.KillWorker(worker2) }, 0, beforeA, beforeB},
			{nil, 309 * time.Second, beforeA, beforeB},
			{nil, time.Second, afterA, afterB},
		},
		"killed while a task has failed": {
			{func(c *Cluster) { c.FailTask("b", 1, "x"); c.KillWorker(worker2) }, 0, beforeA, "RUNNING@2 RUNNING@1 FAILED@2"},
			{nil, 310 * time.Second, afterA, "RUNNING@1 RUNNING@1 FAILED@1"},
		},
		"stopped": {
			{func(c *Cluster) { c.StopWorker(worker2) }, 0, "RUNNING@1 RUNNING@1 UNASSIGNED@2", "UNASSIGNED@2 RUNNING@1 UNASSIGNED@2"},
			{nil, 299 * time.Second, "RUNNING@1 RUNNING@1 UNASSIGNED@2", "UNASSIGNED@2 RUNNING@1 UNASSIGNED@2"},
			{nil, time.Second, afterA, afterB},
		},
		"stopped while paused": {
			{func(c *Cluster) { c.Pause("b"); c.StopWorker(worker2) }, 0, "RUNNING@1 RUNNING@1 UNASSIGNED@2", "UNASSIGNED@2 PAUSED@1 UNASSIGNED@2"},
			{nil, 300 * time.Second, afterA, "PAUSED@1 PAUSED@1 PAUSED@1"},
		},
		"back in time": {
			{func(c *Cluster) { c.StopWorker(worker2) }, 100 * time.Second, "RUNNING@1 RUNNING@1 UNASSIGNED@2", "UNASSIGNED@2 RUNNING@1 UNASSIGNED@2"},
			{func(c *Cluster) { c.StartWorker(worker2) }, 5 * time.Second, beforeA, beforeB},
			{nil, time.Hour, beforeA, beforeB},
		},
		"back late": {
			{func(c *Cluster) { c.StopWorker(worker2) }, time.Hour, afterA, afterB},
			{func(c *Cluster) { c.StartWorker(worker2) }, 5 * time.Second, "RUNNING@2 RUNNING@2 RUNNING@2", "RUNNING@1 RUNNING@1 RUNNING@1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			time := &clock{}
			c := two(time, "4.3.1")
			for i, step := range steps {
				if step.do != nil {
					step.do(c)
				}
				time.advance(step.advance)
				if a, b := said(c, "a"), said(c, "b"); a != step.a || b != step.b {
					t.Errorf("step %d: got %s, %s; want %s, %s", i, a, b, step.a, step.b)
				}
			}
		})
	}
}

func TestStartOfAWorker(t *testing.T) {
	clock := &clock{}
	c := two(clock, "4.3.1")
	server := serve(t, c, worker2)
	c.StopWorker(worker2)
	c.StartWorker(worker2)
	for _, test := range []struct {
		after        time.Duration
		list, health int // 0: the connection breaks
	}{{0, 0, 0}, {3200 * time.Millisecond, 404, 404}, {800 * time.Millisecond, 200, 503}, {time.Second, 200, 200}} {
		clock.advance(test.after)
		for path, want := range map[string]int{"/connectors": test.list, "/health": test.health} {
			response, err := server.Client().Get(server.URL + path)
			if want == 0 {
				if err == nil {
					t.Errorf("after %v: %s answered %d, want a broken connection", test.after, path, response.StatusCode)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != want {
				t.Errorf("after %v: %s is %d, want %d", test.after, path, response.StatusCode, want)
			}
			// Go's client accepts anything, so that Jetty answers with a page.
			if isHTML := strings.HasPrefix(response.Header.Get("Content-Type"), "text/html"); isHTML != (want == 404) {
				t.Errorf("after %v: %s is %s", test.after, path, response.Header.Get("Content-Type"))
			}
		}
	}
}

func TestRebalance(t *testing.T) {
	for _, test := range []struct {
		version, path string
		status        int
		body          string
	}{
		{"2.2.2", "/connectors", 409, "stale configuration"},
		{"3.4.1", "/connectors", 200, `["`},
		{"3.4.1", "/connectors/a", 409, "stale configuration"},
		{"3.5.2", "/connectors/a", 500, "Request cannot be completed because a rebalance is expected"},
		{"4.3.1", "/connectors/a/status", 200, "RUNNING"},
		{"4.3.1", "/connectors?expand=info", 200, `"info"`},
	} {
		t.Run(test.version+test.path, func(t *testing.T) {
			c := two(&clock{}, test.version)
			server := serve(t, c, worker1)
			c.StartRebalance(0)
			if status, _, body := get(t, server, test.path); status != test.status || !strings.Contains(body, test.body) {
				t.Errorf("got %d %s", status, body)
			}
			c.EndRebalance()
			if status, _, body := get(t, server, test.path); status != 200 {
				t.Errorf("after the rebalance: %d %s", status, body)
			}
		})
	}
}

func TestRebalanceThatEndsWhileACallWaits(t *testing.T) {
	c := two(&clock{}, "4.3.1")
	server := serve(t, c, worker1)
	c.StartRebalance(time.Hour)
	status := make(chan int)
	go func() {
		got, _, _ := get(t, server, "/connectors/a")
		status <- got
	}()
	if err := c.Await(t.Context(), Match{Endpoint: EndpointInfo, Connector: "a"}, 1); err != nil {
		t.Fatal(err)
	}
	c.EndRebalance()
	if got := <-status; got != 200 {
		t.Errorf("got %d", got)
	}
}

func TestMissingPlugin(t *testing.T) {
	const gone = "io.example.Gone"
	text := "Failed to find any class that implements Connector and which name matches " + gone
	for _, test := range []struct {
		version, path string
		status        int
		body          string
	}{
		{"3.3.2", "/connectors?expand=status", 500, text},
		{"2.3.1", "/connectors?expand=info", 500, text},
		{"2.2.2", "/connectors?expand=info", 200, "["},
		{"3.3.2", "/connectors", 200, `"gone"`},
		{"3.3.2", "/connectors/a/status", 200, "RUNNING"},
		{"3.3.2", "/connectors/gone/status", 500, text},
		{"3.3.2", "/connectors/gone", 500, text},
		{"3.5.2", "/connectors?expand=status", 200, text},
		{"3.3.2", "/connectors/gone/status", 500, text},
		{"3.5.2", "/connectors/gone/status", 200, `"type":"unknown"`},
		{"3.5.2", "/connectors/gone/status", 200, "Failed to start task gone-0 since it is not a recognizable type"},
		{"4.3.1", "/connectors/gone/status", 200, `"version":null,"trace":`},
	} {
		t.Run(test.version+test.path, func(t *testing.T) {
			c := two(&clock{}, test.version)
			c.Create(Connector{Name: "gone", Class: gone, Tasks: 1})
			c.RemovePlugin(worker1, gone)
			if status, _, body := get(t, serve(t, c, worker1), test.path); status != test.status || !strings.Contains(body, test.body) {
				t.Errorf("got %d %s", status, body)
			}
		})
	}
}

func TestNamesThatNeedEscaping(t *testing.T) {
	const separator, encoding = "Ambiguous URI path separator", "Ambiguous URI path encoding"
	for _, test := range []struct {
		version, name, escaped string
		status                 int
		body                   string
	}{
		{"4.3.1", "a/b", "a%2Fb", 400, separator},
		{"4.3.1", "a%b", "a%25b", 400, encoding},
		{"4.3.1", `a\b`, "a%5Cb", 400, "Suspicious Path Character"},
		{"3.9.1", "a/b", "a%2fb", 200, `"name":"a/b"`},
		{"3.9.1", "a%b", "a%25b", 200, `"name":"a%b"`},
		{"4.3.1", "eu->us", "eu-%3Eus", 200, `"name":"eu->us"`},
		{"4.3.1", "größe \"1\"", "gr%C3%B6%C3%9Fe%20%221%22", 200, `"name":"größe \"1\""`},
	} {
		t.Run(test.version+" "+test.name, func(t *testing.T) {
			c := NewCluster(Options{Version: test.version})
			c.Create(Connector{Name: test.name, Tasks: 1})
			server := serve(t, c, c.Workers()[0])
			status, header, body := get(t, server, "/connectors/"+test.escaped+"/status")
			if status != test.status || !strings.Contains(body, test.body) {
				t.Errorf("got %d %s", status, body)
			}
			if status == 400 && !strings.HasPrefix(header.Get("Content-Type"), "text/html") {
				t.Errorf("got %s", header.Get("Content-Type"))
			}
			quoted, err := json.Marshal(test.name)
			if err != nil {
				t.Fatal(err)
			}
			var all map[string]any
			if _, _, body := get(t, server, "/connectors?expand=status"); json.Unmarshal([]byte(body), &all) != nil || all[test.name] == nil {
				t.Errorf("expand does not show %s: %s", quoted, body)
			}
		})
	}
}

func TestASlashKeepsAConnectorFromItsTasks(t *testing.T) {
	clock := &clock{}
	c := NewCluster(Options{Version: "4.3.1", Workers: []string{worker1, worker2}, Now: clock.now})
	c.Create(Connector{Name: "on the leader", Tasks: 1})
	c.Create(Connector{Name: "not/on the leader", Tasks: 1})
	if got := said(c, "not/on the leader"); got != "RUNNING@2" {
		t.Errorf("got %s, want no tasks", got)
	}
	c.KillWorker(worker1)
	clock.advance(310 * time.Second)
	if got := said(c, "not/on the leader"); got != "RUNNING@2 RUNNING@2" {
		t.Errorf("got %s, want a task once its worker is the leader", got)
	}
}

func TestListsThatAreNotWhole(t *testing.T) {
	c := two(&clock{}, "4.3.1")
	server := serve(t, c, worker1)
	c.DropStatus("b")
	for path, want := range map[string]string{
		"/connectors":               `"b"`,
		"/connectors?expand=info":   `"b":{"info"`,
		"/connectors?expand=status": `"a":{"status"`,
	} {
		if _, _, body := get(t, server, path); !strings.Contains(body, want) || path == "/connectors?expand=status" && strings.Contains(body, `"b"`) {
			t.Errorf("without a status of b, %s is %s", path, body)
		}
	}
	if status, _, body := get(t, server, "/connectors/b/status"); status != 404 || !strings.Contains(body, "No status found for connector b") {
		t.Errorf("status of b: %d %s", status, body)
	}
	c.RestoreStatus("b")
	c.Replay(worker1, 0)
	for path, want := range map[string]string{"/connectors": "[]", "/connectors?expand=status": "{}"} {
		if _, _, body := get(t, server, path); body != want {
			t.Errorf("before the config topic was read, %s is %s", path, body)
		}
	}
	if _, _, body := get(t, serve(t, c, worker2), "/connectors"); body != `["a","b"]` {
		t.Errorf("the other worker lists %s", body)
	}
}

func TestTasksThatAreGone(t *testing.T) {
	for version, want := range map[string]int{"2.2.2": 2, "2.5.1": 1} {
		c := two(&clock{}, version)
		c.SetTasksMax("a", 1)
		server := serve(t, c, worker1)
		var status, info struct{ Tasks []any }
		_, _, body := get(t, server, "/connectors/a/status")
		if err := json.Unmarshal([]byte(body), &status); err != nil || len(status.Tasks) != want {
			t.Errorf("%s: %d tasks have a status, want %d (%v)", version, len(status.Tasks), want, err)
		}
		_, _, body = get(t, server, "/connectors/a")
		if err := json.Unmarshal([]byte(body), &info); err != nil || len(info.Tasks) != 1 {
			t.Errorf("%s: info names %d tasks, want 1 (%v)", version, len(info.Tasks), err)
		}
	}
}

func TestStopAndResume(t *testing.T) {
	c := two(&clock{}, "3.5.2")
	c.Stop("a")
	if got := said(c, "a"); got != "STOPPED@1" {
		t.Errorf("stopped: %s", got)
	}
	c.Resume("a")
	if got := said(c, "a"); strings.Count(got, "RUNNING") != 3 {
		t.Errorf("resumed: %s", got)
	}
	defer func() {
		if recover() == nil {
			t.Error("3.4 stopped a connector")
		}
	}()
	two(&clock{}, "3.4.0").Stop("a")
}

func TestBasicAuth(t *testing.T) {
	c := NewCluster(Options{Username: "scout", Password: "secret"})
	server := serve(t, c, c.Workers()[0])
	status, header, body := get(t, server, "/")
	if status != 401 || body != "User cannot access the resource." || header.Get("Content-Type") != "application/json" || header.Get("WWW-Authenticate") != "" {
		t.Errorf("got %d %v %s", status, header, body)
	}
	request, err := http.NewRequest(http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth("scout", "secret")
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("with the password: %d", response.StatusCode)
	}
}

func TestRequestsAreCounted(t *testing.T) {
	c := two(&clock{}, "4.3.1")
	server := serve(t, c, worker1)
	for _, path := range []string{"/", "/connectors", "/connectors?expand=status", "/connectors/a/status", "/connectors/b/status", "/connectors/a"} {
		get(t, server, path)
	}
	response, err := server.Client().Post(server.URL+"/connectors/a/restart", "application/json", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	requests := c.Requests()
	for _, test := range []struct {
		match Match
		count int
	}{
		{Match{}, 7},
		{Match{Endpoint: EndpointRoot}, 1},
		{Match{Endpoint: EndpointList}, 1},
		{Match{Endpoint: EndpointExpand}, 1},
		{Match{Endpoint: EndpointStatus}, 2},
		{Match{Endpoint: EndpointStatus, Connector: "a"}, 1},
		{Match{Connector: "a"}, 3},
		{Match{Method: "POST"}, 1},
		{Match{Worker: worker2}, 0},
	} {
		if got := requests.Count(test.match); got != test.count {
			t.Errorf("%+v: %d, want %d", test.match, got, test.count)
		}
	}
	if fmt.Sprint(requests.NotGET) != "[POST /connectors/a/restart]" {
		t.Errorf("not GET: %v", requests.NotGET)
	}
	if requests.MaxInFlight != 1 {
		t.Errorf("%d in flight, want 1", requests.MaxInFlight)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Await(ctx, Match{}, 8); err == nil || !strings.Contains(err.Error(), "have 7") {
		t.Errorf("await: %v", err)
	}
	c.ResetRequests()
	if got := c.Requests().Count(Match{}); got != 0 {
		t.Errorf("after the reset: %d", got)
	}
}

func TestListsAreNotInOrder(t *testing.T) {
	c := NewCluster(Options{})
	for _, name := range []string{"status", "info", "Aa", "BB"} {
		c.Create(Connector{Name: name})
	}
	// java.util.HashMap: "Aa" and "BB" have one hash (2112), bucket 0; "status"
	// and "info" share bucket 15. Within a bucket the older is first.
	if _, _, body := get(t, serve(t, c, c.Workers()[0]), "/connectors"); body != `["Aa","BB","status","info"]` {
		t.Errorf("got %s", body)
	}
	if _, _, body := get(t, serve(t, Large(20, 0), "10.0.0.11:8083"), "/connectors"); strings.HasPrefix(body, `["connector-00000","connector-00001","connector-00002"`) {
		t.Errorf("sorted by name, which a client could come to rely on: %s", body)
	}
}

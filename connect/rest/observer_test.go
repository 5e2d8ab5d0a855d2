package rest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	commoncfg "github.com/prometheus/common/config"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest/observertest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/internal/testmain"
)

func TestMain(m *testing.M) {
	testmain.Draw(30) // Each is a history of a cluster, observed.
	testmain.Parallel(32)
	goleak.VerifyTestMain(m)
}

// serve puts workers of a simulated cluster on loopback; none named serves all.
func serve(t testing.TB, c *connecttest.Cluster, workers ...string) []*url.URL {
	t.Helper()
	if workers == nil {
		workers = c.Workers()
	}
	var urls []*url.URL
	for _, worker := range workers {
		urls = append(urls, serveHandler(t, c.Handler(worker)))
	}
	return urls
}

func serveHandler(t testing.TB, handler http.Handler) *url.URL {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return base
}

// newObserver returns an Observer with the defaults of a configured cluster,
// changed by adjust.
func newObserver(t testing.TB, urls []*url.URL, adjust ...func(*Options)) *Observer {
	t.Helper()
	client, err := NewClient(commoncfg.DefaultHTTPClientConfig, "test")
	if err != nil {
		t.Fatal(err)
	}
	options := Options{Name: "test", URLs: urls, Client: client, InfoMaxAge: 5 * time.Minute}
	for _, a := range adjust {
		a(&options)
	}
	o := New(options)
	o.patience = 10 * time.Second // machines that run tests are slow
	t.Cleanup(o.Close)
	return o
}

func version(v string) func(*Options) { return func(o *Options) { o.ObservationVersion = v } }
func infoAge(d time.Duration) func(*Options) {
	return func(o *Options) { o.InfoMaxAge = d }
}

func requestTimeout(d time.Duration) func(*Options) {
	return func(o *Options) { o.RequestTimeout = d }
}

// observe takes one snapshot with the deadline of an ordinary scrape.
func observe(t testing.TB, o *Observer) (*connect.Snapshot, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return o.Observe(ctx, nil)
}

func mustObserve(t testing.TB, o *Observer) *connect.Snapshot {
	t.Helper()
	s, err := observe(t, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// seen is what a snapshot says of a cluster, without what is each observer's own.
type seen struct {
	Version, Commit, KafkaClusterID string
	Connectors                      []connect.Connector
	Unobserved                      []connect.Unobserved
}

func content(s *connect.Snapshot) seen {
	connectors := slices.Clone(s.Connectors)
	for i := range connectors {
		connectors[i].ConfigChanged = time.Time{}
	}
	return seen{s.Version, s.Commit, s.KafkaClusterID, connectors, s.Unobserved}
}

func seesTheSame(a, b *connect.Snapshot) bool {
	return reflect.DeepEqual(content(a), content(b))
}

func find(s *connect.Snapshot, name string) *connect.Connector {
	for i := range s.Connectors {
		if s.Connectors[i].Name == name {
			return &s.Connectors[i]
		}
	}
	return nil
}

func unobserved(s *connect.Snapshot) map[string]connect.Reason {
	got := map[string]connect.Reason{}
	for _, u := range s.Unobserved {
		got[u.Connector] = u.Reason
	}
	return got
}

// oddNames need care in a path.
var oddNames = []string{"a b", "src->dst.MirrorSourceConnector", `"quoted"`, "smörgås☃", "plus+and&?#", ";semi=colon", "."}

// fleet makes a cluster with a connector in each condition.
func fleet(version string) *connecttest.Cluster {
	c := connecttest.NewCluster(connecttest.Options{Version: version, Workers: []string{"10.0.0.1:8083", "10.0.0.2:8083"}})
	for _, name := range []string{"healthy", "failing", "broken", "paused"} {
		c.Create(connecttest.Connector{Name: name, Tasks: 3})
	}
	c.FailTask("failing", 1, connecttest.Trace(
		connecttest.Cause{Class: "org.apache.kafka.connect.errors.ConnectException", Message: "password is hunter2"},
		connecttest.Cause{Class: "java.nio.file.NoSuchFileException", Message: "/secret"}))
	c.FailConnector("broken", connecttest.Trace(connecttest.Cause{Class: "org.apache.kafka.common.config.ConfigException"}))
	c.Pause("paused")
	for _, name := range oddNames[:len(oddNames)-1] {
		c.Create(connecttest.Connector{Name: name, Tasks: 1})
	}
	return c
}

// Both observation versions see the same, on every Kafka that knows both.
func TestVersionsAgree(t *testing.T) {
	for _, kafka := range []string{"2.3.1", "2.8.2", "3.3.2", "3.5.2", "3.9.1", "4.3.1"} {
		t.Run(kafka, func(t *testing.T) {
			c := fleet(kafka)
			urls := serve(t, c)
			one := mustObserve(t, newObserver(t, urls, version(Version1)))
			two := mustObserve(t, newObserver(t, urls, version(Version2)))
			auto := mustObserve(t, newObserver(t, urls))
			if one.ObservationVersion != "1" || two.ObservationVersion != "2" || auto.ObservationVersion != "2" {
				t.Errorf("versions are %q, %q, %q", one.ObservationVersion, two.ObservationVersion, auto.ObservationVersion)
			}
			if !seesTheSame(one, two) {
				t.Errorf("version 1 sees\n%+v\nversion 2 sees\n%+v", content(one), content(two))
			}
			if !seesTheSame(two, auto) {
				t.Error("auto sees something else")
			}
			if len(two.Connectors) != 4+len(oddNames)-1 || len(two.Unobserved) != 0 {
				t.Errorf("%d connectors, unobserved %v", len(two.Connectors), two.Unobserved)
			}
			if two.Version != kafka || two.Commit == "" || two.KafkaClusterID == "" {
				t.Errorf("version %q, commit %q, cluster id %q", two.Version, two.Commit, two.KafkaClusterID)
			}
			failing := find(two, "failing")
			if failing.State != connect.StateRunning || failing.TasksMax != 3 || failing.TaskCount != 3 || failing.Class == "" || failing.Type == "" {
				t.Errorf("failing is %+v", failing)
			}
			want := connect.Failure{Exception: "org.apache.kafka.connect.errors.ConnectException", RootCause: "java.nio.file.NoSuchFileException"}
			if failing.Tasks[1].State != connect.StateFailed || failing.Tasks[1].Failure != want || failing.Tasks[0].Worker == "" {
				t.Errorf("its tasks are %+v", failing.Tasks)
			}
			if broken := find(two, "broken"); broken.State != connect.StateFailed || broken.Failure.Exception != "org.apache.kafka.common.config.ConfigException" {
				t.Errorf("broken is %+v", broken)
			}
			if paused := find(two, "paused"); paused.State != connect.StatePaused || paused.Tasks[2].State != connect.StatePaused {
				t.Errorf("paused is %+v", paused)
			}
			if notGet := c.Requests().NotGET; len(notGet) != 0 {
				t.Errorf("sent %v", notGet)
			}
		})
	}
}

// A worker before 2.3 answers the expanded call with the list, which auto takes
// as version 1's, at no lost call.
func TestAutoOnOldWorker(t *testing.T) {
	c := fleet("2.2.2")
	urls := serve(t, c)
	auto := newObserver(t, urls)
	s := mustObserve(t, auto)
	if s.ObservationVersion != "1" || len(s.Connectors) != 4+len(oddNames)-1 {
		t.Errorf("version %s, %d connectors", s.ObservationVersion, len(s.Connectors))
	}
	r := c.Requests()
	if expand, list := r.Count(connecttest.Match{Endpoint: connecttest.EndpointExpand}), r.Count(connecttest.Match{Endpoint: connecttest.EndpointList}); expand+list != 1 {
		t.Errorf("%d expanded calls and %d lists, want one in all", expand, list)
	}
	if _, err := observe(t, newObserver(t, urls, version(Version2))); !errors.Is(err, connect.Decode) || !strings.Contains(err.Error(), "older than Kafka 2.3") {
		t.Errorf("version 2 alone: %v", err)
	}
}

// On 2.3 to 3.3 a missing plugin makes the expanded call fail for all.
func TestMissingPlugin(t *testing.T) {
	c := connecttest.NewCluster(connecttest.Options{Version: "3.3.2"})
	c.Create(connecttest.Connector{Name: "good", Tasks: 1})
	c.Create(connecttest.Connector{Name: "orphan", Class: "org.apache.kafka.connect.file.FileStreamSinkConnector", Tasks: 1})
	c.RemovePlugin(c.Workers()[0], "org.apache.kafka.connect.file.FileStreamSinkConnector")
	urls := serve(t, c)
	if _, err := observe(t, newObserver(t, urls, version(Version2))); !errors.Is(err, connect.HTTPStatus) || !strings.Contains(err.Error(), "plugin is missing on this worker; observation version 1 or auto shows the others") {
		t.Errorf("version 2: %v", err)
	}
	for _, v := range []string{VersionAuto, Version1} {
		s := mustObserve(t, newObserver(t, urls, version(v)))
		if s.ObservationVersion != "1" || find(s, "good") == nil || find(s, "good").Class == "" {
			t.Errorf("%s: version %s, %+v", v, s.ObservationVersion, s.Connectors)
		}
		if got := unobserved(s); !maps.Equal(got, map[string]connect.Reason{"orphan": connect.HTTPStatus}) {
			t.Errorf("%s: unobserved %v", v, got)
		}
	}
	// With the plugin on another worker, that worker's answer is whole.
	two := connecttest.NewCluster(connecttest.Options{Version: "3.3.2", Workers: []string{"a:1", "b:1"}})
	two.Create(connecttest.Connector{Name: "good", Class: "org.apache.kafka.connect.file.FileStreamSinkConnector", Tasks: 1})
	two.RemovePlugin("a:1", "org.apache.kafka.connect.file.FileStreamSinkConnector")
	if s := mustObserve(t, newObserver(t, serve(t, two))); s.ObservationVersion != "2" || len(s.Unobserved) != 0 {
		t.Errorf("version %s, unobserved %v", s.ObservationVersion, s.Unobserved)
	}
}

// Names with / and % cannot be addressed on 4.x, and on no version is a name
// taken for a path.
func TestUnaddressableNames(t *testing.T) {
	for kafka, want := range map[string]map[string]connect.Reason{
		"3.5.2": {},
		"4.3.1": {"a/b": connect.Unaddressable, "100%": connect.Unaddressable, "../connectors": connect.Unaddressable},
	} {
		c := connecttest.NewCluster(connecttest.Options{Version: kafka})
		for _, name := range []string{"plain", "a/b", "100%", "../connectors"} {
			c.Create(connecttest.Connector{Name: name, Tasks: 1})
		}
		urls := serve(t, c)
		one := mustObserve(t, newObserver(t, urls, version(Version1)))
		if got := unobserved(one); !maps.Equal(got, want) {
			t.Errorf("%s: unobserved %v, want %v", kafka, got, want)
		}
		if len(one.Connectors) != 4-len(want) {
			t.Errorf("%s: %d connectors", kafka, len(one.Connectors))
		}
		if two := mustObserve(t, newObserver(t, urls, version(Version2))); len(two.Connectors) != 4 {
			t.Errorf("%s: version 2 has %d connectors", kafka, len(two.Connectors))
		}
	}
}

// A connector without a status is missing from the expanded answer without a
// word, and 404 by itself: both versions say so, and when it is over.
func TestNoStatus(t *testing.T) {
	for _, v := range []string{Version1, Version2} {
		c := connecttest.NewCluster(connecttest.Options{})
		c.Create(connecttest.Connector{Name: "good", Tasks: 1})
		c.Create(connecttest.Connector{Name: "new", Tasks: 1})
		c.DropStatus("new")
		o := newObserver(t, serve(t, c), version(v))
		for range 2 {
			s := mustObserve(t, o)
			if got := unobserved(s); !maps.Equal(got, map[string]connect.Reason{"new": connect.NoStatus}) || len(s.Connectors) != 1 {
				t.Errorf("version %s: unobserved %v", v, got)
			}
		}
		if v == Version2 { // the list failing does not make it forget
			clear := c.SetFault(connecttest.Match{Endpoint: connecttest.EndpointList}, connecttest.ErrorReply(500, "no"))
			if got := unobserved(mustObserve(t, o)); len(got) != 1 {
				t.Errorf("unobserved %v while the list fails", got)
			}
			clear()
		}
		c.RestoreStatus("new")
		if s := mustObserve(t, o); len(s.Unobserved) != 0 || len(s.Connectors) != 2 {
			t.Errorf("version %s: unobserved %v once it has a status", v, s.Unobserved)
		}
	}
}

// In the steady state version 2 is one call for the statuses.
func TestSteadyCalls(t *testing.T) {
	for v, want := range map[string]map[string]int{
		Version2: {connecttest.EndpointExpand: 1},
		Version1: {connecttest.EndpointList: 1, connecttest.EndpointStatus: 4 + len(oddNames) - 1},
	} {
		c := fleet("4.3.1")
		o := newObserver(t, serve(t, c)[:1], version(v))
		mustObserve(t, o)
		c.ResetRequests()
		mustObserve(t, o)
		got := map[string]int{}
		for match, n := range c.Requests().Counts {
			if match.Endpoint != connecttest.EndpointHealth { // which is under way yet
				got[match.Endpoint] += n
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("version %s: %v, want %v", v, got, want)
		}
	}
}

// The same answer is not decoded again, and what it came to is shared; any other
// is, whatever it differs in.
func TestSameAnswer(t *testing.T) {
	c := fleet("4.3.1")
	o := newObserver(t, serve(t, c)[:1], version(Version2))
	first, second := mustObserve(t, o), mustObserve(t, o)
	if &first.Connectors[0] != &second.Connectors[0] {
		t.Error("the connectors of the same answer are not shared")
	}
	if !second.Taken.After(first.Taken) || second.Bytes == 0 {
		t.Errorf("taken %v after %v, %d bytes", second.Taken, first.Taken, second.Bytes)
	}
	c.FailTask("healthy", 2, "a.B: x")
	third := mustObserve(t, o)
	if find(third, "healthy").Tasks[2].State != connect.StateFailed {
		t.Errorf("a failed task is not seen: %+v", find(third, "healthy"))
	}
	if find(second, "healthy").Tasks[2].State != connect.StateRunning {
		t.Error("a snapshot changed after it was returned")
	}
	for i, b := range o.buffer[:cap(o.buffer)] {
		if b != 0 {
			t.Fatalf("byte %d of the answer stayed", i)
		}
	}
}

// Info that nothing hints at is as old as InfoMaxAge at most; 0 asks each time.
func TestInfoMaxAge(t *testing.T) {
	for _, v := range []string{Version1, Version2} {
		c := connecttest.NewCluster(connecttest.Options{})
		c.Create(connecttest.Connector{Name: "x", Tasks: 2})
		urls := serve(t, c)
		steady, eager := newObserver(t, urls, version(v), infoAge(time.Hour)), newObserver(t, urls, version(v), infoAge(0))
		for _, o := range []*Observer{steady, eager} {
			if got := find(mustObserve(t, o), "x").TasksMax; got != 2 {
				t.Errorf("tasks.max %d", got)
			}
		}
		c.SetConfig("x", "tasks.max", "9") // no task comes or goes
		if got := find(mustObserve(t, steady), "x").TasksMax; got != 2 {
			t.Errorf("version %s: tasks.max %d within its age", v, got)
		}
		if got := find(mustObserve(t, eager), "x").TasksMax; got != 9 {
			t.Errorf("version %s: tasks.max %d with age 0", v, got)
		}
		c.SetTasksMax("x", 3)
		if got := find(mustObserve(t, steady), "x"); got.TasksMax != 3 || got.TaskCount != 3 {
			t.Errorf("version %s: once a task came: %+v", v, got)
		}
	}
}

// A rebalance refuses info (409, later 500) or lets it wait; the states stay, and
// so does the last known info.
func TestRebalance(t *testing.T) {
	t.Parallel()
	for _, kafka := range []string{"3.3.2", "4.3.1"} {
		t.Run(kafka, func(t *testing.T) {
			t.Parallel()
			c := connecttest.NewCluster(connecttest.Options{Version: kafka})
			c.Create(connecttest.Connector{Name: "x", Tasks: 2})
			o := newObserver(t, serve(t, c), version(Version1), infoAge(0))
			mustObserve(t, o)
			c.StartRebalance(0)
			c.ResetRequests()
			if got := find(mustObserve(t, o), "x"); got == nil || got.State != connect.StateRunning || got.TasksMax != 2 || got.Class == "" {
				t.Errorf("in a rebalance: %+v", got)
			}
			if n := c.Requests().Count(connecttest.Match{Endpoint: connecttest.EndpointInfo}); n != 2 {
				t.Errorf("info was asked for %d times, want one retry", n)
			}
			c.EndRebalance()
			release := make(chan struct{})
			clear := c.SetFault(connecttest.Match{Endpoint: connecttest.EndpointInfo}, connecttest.Hang(release))
			slow := newObserver(t, serve(t, c), version(Version1), requestTimeout(time.Second))
			if got := find(mustObserve(t, slow), "x"); got == nil || got.State != connect.StateRunning || got.Class != "" || got.TaskCount != 2 {
				t.Errorf("info that hangs: %+v", got)
			}
			clear()
			close(release)
			slow.now = func() time.Time { return time.Now().Add(time.Minute) }
			if got := find(mustObserve(t, slow), "x"); got.Class == "" || got.TasksMax != 2 {
				t.Errorf("info was not asked for again: %+v", got)
			}
		})
	}
}

// A list that a rebalance refuses (before 2.3) has one retry.
func TestRebalanceOfList(t *testing.T) {
	t.Parallel()
	c := connecttest.NewCluster(connecttest.Options{Version: "2.2.2"})
	c.Create(connecttest.Connector{Name: "x", Tasks: 1})
	o := newObserver(t, serve(t, c), version(Version1))
	refuse := connecttest.ErrorReply(http.StatusConflict, "Cannot complete request momentarily due to stale configuration (typically caused by a concurrent config change)")
	c.SetFault(connecttest.Match{Endpoint: connecttest.EndpointList}, connecttest.Times(1, refuse))
	mustObserve(t, o)
	c.SetFault(connecttest.Match{Endpoint: connecttest.EndpointList}, refuse)
	if _, err := observe(t, o); !errors.Is(err, connect.Rebalancing) {
		t.Errorf("err = %v", err)
	}
}

// One connector that fails costs that connector.
func TestOneBadConnector(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault connecttest.Fault
		want  connect.Reason
	}{
		"500":            {connecttest.ErrorReply(500, "hunter2"), connect.HTTPStatus},
		"403":            {connecttest.ErrorReply(403, "no"), connect.Forbidden},
		"404":            {connecttest.ErrorReply(404, "No status found for connector bad"), connect.NoStatus},
		"404 of a proxy": {connecttest.HTML(404), connect.NotFound},
		"HTML":           {connecttest.HTML(200), connect.Decode},
		"reset":          {connecttest.Reset(), connect.Unreachable},
		"hang":           {connecttest.Hang(nil), connect.Timeout},
		"cut":            {connecttest.Truncate(connecttest.CutLength), connect.Decode},
		"endless":        {connecttest.EndlessString(), connect.TooLarge},
		"duplicate ids":  {connecttest.Reply(200, "application/json", `{"connector":{"state":"RUNNING"},"tasks":[{"id":0},{"id":0}]}`), connect.Decode},
		"no object":      {connecttest.Reply(200, "application/json", `[]`), connect.Decode},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := connecttest.NewCluster(connecttest.Options{Version: "3.9.1"})
			c.Create(connecttest.Connector{Name: "good", Tasks: 1})
			c.Create(connecttest.Connector{Name: "bad", Tasks: 1})
			o := newObserver(t, serve(t, c), version(Version1), requestTimeout(time.Second), func(o *Options) { o.MaxBodyBytes = 1 << 20 })
			clear := c.SetFault(connecttest.Match{Endpoint: connecttest.EndpointStatus, Connector: "bad"}, test.fault)
			s := mustObserve(t, o)
			if got := unobserved(s); !maps.Equal(got, map[string]connect.Reason{"bad": test.want}) || find(s, "good") == nil {
				t.Errorf("unobserved %v, connectors %+v", got, s.Connectors)
			}
			clear()
			if s := mustObserve(t, o); len(s.Connectors) != 2 || len(s.Unobserved) != 0 {
				t.Errorf("afterwards: %+v", s)
			}
		})
	}
}

// endlessList is a plain list that goes on for ever.
func endlessList(http.Handler) http.Handler {
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		_, err := out.Write([]byte("["))
		for i := 0; err == nil && r.Context().Err() == nil; i++ {
			_, err = fmt.Fprintf(out, "%q,", strings.Repeat("x", 1<<10)+fmt.Sprint(i))
		}
	})
}

// encoded answers with this body and Content-Encoding.
func encoded(coding string, body []byte) connecttest.Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", coding)
			_, _ = w.Write(body)
		})
	}
}

// A proxy that compresses though nobody asked costs nothing.
func TestCompressedUnasked(t *testing.T) {
	c := connecttest.NewCluster(connecttest.Options{})
	c.Create(connecttest.Connector{Name: "x", Tasks: 2})
	c.Create(connecttest.Connector{Name: "statusless"})
	compressing := func(honest http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "identity" {
				t.Errorf("Accept-Encoding: %q", r.Header.Get("Accept-Encoding"))
			}
			answer := httptest.NewRecorder()
			if r.URL.Path == "/connectors/statusless/status" {
				answer.WriteHeader(http.StatusNotFound)
				_, _ = answer.WriteString(`{"error_code": 404, "message": "No status found for connector statusless"}`)
			} else {
				honest.ServeHTTP(answer, r)
			}
			maps.Copy(w.Header(), answer.Header())
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Del("Content-Length")
			w.WriteHeader(answer.Code)
			packer := gzip.NewWriter(w)
			_, _ = packer.Write(answer.Body.Bytes())
			_ = packer.Close()
		})
	}
	c.SetFault(connecttest.Match{}, compressing)
	for v, want := range map[string][]connect.Unobserved{
		Version1: {{Connector: "statusless", Reason: connect.NoStatus}}, Version2: nil,
	} {
		s := mustObserve(t, newObserver(t, serve(t, c), version(v)))
		x := s.Connectors[len(s.Connectors)-1]
		if x.Name != "x" || len(x.Tasks) != 2 || x.Class == "" || !slices.Equal(s.Unobserved, want) {
			t.Errorf("version %s: %+v", v, s)
		}
	}
}

// A snapshot that fails says why, quotes nothing, and the next one is whole.
func TestFailedSnapshot(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault connecttest.Fault
		want  connect.Reason
		// onlyVersion2: the fault spoils objects.
		onlyVersion2 bool
	}{
		"hang":             {connecttest.Hang(nil), connect.Timeout, false},
		"drip":             {connecttest.Drip(1, 100*time.Millisecond), connect.Timeout, false},
		"reset":            {connecttest.Reset(), connect.Unreachable, false},
		"HTML":             {connecttest.HTML(200), connect.Decode, false},
		"starting":         {connecttest.HTML(404), connect.NotFound, false},
		"401":              {connecttest.Reply(401, "application/json", "User cannot access the resource."), connect.Unauthorized, false},
		"403":              {connecttest.ErrorReply(403, "hunter2"), connect.Forbidden, false},
		"503":              {connecttest.HTML(503), connect.HTTPStatus, false},
		"cut by length":    {connecttest.Truncate(connecttest.CutLength), connect.Decode, false},
		"cut in chunks":    {connecttest.Truncate(connecttest.CutChunks), connect.Decode, false},
		"cut by close":     {connecttest.Truncate(connecttest.CutClose), connect.Decode, false},
		"cut JSON":         {connecttest.Truncate(connecttest.CutBody), connect.Decode, false},
		"endless list":     {endlessList, connect.TooLarge, false},
		"gzip bomb":        {connecttest.GzipBomb(32 << 20), connect.TooLarge, true},
		"corrupt gzip":     {encoded("gzip", []byte("\x1f\x8b\x08\x00hunter2")), connect.Decode, false},
		"no gzip":          {encoded("gzip", []byte(`["hunter2"]`)), connect.Decode, false},
		"other coding":     {encoded("br", []byte("hunter2")), connect.Decode, false},
		"endless":          {connecttest.Endless(), connect.TooLarge, true},
		"endless text":     {connecttest.EndlessString(), connect.TooLarge, true},
		"trailing garbage": {connecttest.TrailingGarbage("hunter2"), connect.Decode, false},
		"deep":             {connecttest.DeepNesting(100_000), connect.Decode, false},
		"redirect":         {connecttest.Redirect("http://127.0.0.1:1/connectors?token=hunter2"), connect.HTTPStatus, false},
		"redirect loop":    {connecttest.RedirectLoop(), connect.HTTPStatus, false},
		"empty":            {connecttest.Reply(200, "application/json", ""), connect.Decode, false},
		"no content":       {connecttest.Reply(204, "", ""), connect.HTTPStatus, false},
	} {
		for _, v := range []string{Version1, Version2} {
			if v == Version1 && test.onlyVersion2 {
				continue
			}
			t.Run(name+"/"+v, func(t *testing.T) {
				t.Parallel()
				c := connecttest.NewCluster(connecttest.Options{})
				for i := range 3 {
					c.Create(connecttest.Connector{Name: fmt.Sprint("c", i), Tasks: 2})
				}
				timeout := 30 * time.Second
				if test.want == connect.Timeout {
					timeout = time.Second // It is waited for.
				}
				o := newObserver(t, serve(t, c), version(v), requestTimeout(timeout), func(o *Options) { o.MaxBodyBytes = 4 << 20 })
				clear := c.SetFault(connecttest.Match{}, test.fault)
				_, err := observe(t, o)
				if !errors.Is(err, test.want) {
					t.Errorf("err = %v, want %s", err, test.want)
				}
				if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n")) {
					t.Errorf("the error quotes the answer: %v", err)
				}
				clear()
				if s := mustObserve(t, o); len(s.Connectors) != 3 {
					t.Errorf("afterwards: %+v", s)
				}
			})
		}
	}
}

// What is odd about single connectors costs these, is named, and is over when it
// is over.
func TestOddConnectors(t *testing.T) {
	long := strings.Repeat("w", connect.MaxText+1)
	big := `{"connector":{"state":"RUNNING"},"tasks":[{"id":0}` + strings.Repeat(`,{"id":1}`, maxTasksOfOne) + `]}`
	all := map[string]connect.Reason{"c0": connect.Decode, "c1": connect.Decode, "c2": connect.Decode}
	for name, test := range map[string]struct {
		one, two connecttest.Fault // of version 1 (its list), of version 2
		want     map[string]connect.Reason
	}{
		"every name twice": {nil, connecttest.DuplicateKeys(), all},
		"a name twice, once escaped": {nil, connecttest.EditBytes(func(body []byte) []byte {
			return append(body[:len(body)-1], `,"c\u0031":{"status":{"connector":{"state":"FAILED"},"tasks":[]}}}`...)
		}), map[string]connect.Reason{"c1": connect.Decode}},
		"a name twice, once odd": {nil, connecttest.EditBytes(func(body []byte) []byte {
			return append(body[:len(body)-1], `,"c\u0031":7}`...)
		}), map[string]connect.Reason{"c1": connect.Decode}},
		"a lone surrogate": {
			connecttest.EditBytes(func(body []byte) []byte { return append(body[:len(body)-1], `,"x\ud800"]`...) }),
			connecttest.EditBytes(func(body []byte) []byte {
				return append(body[:len(body)-1], `,"x\ud800":{"status":{"connector":{"state":"RUNNING"},"tasks":[]}}}`...)
			}),
			map[string]connect.Reason{`x\ud800`: connect.Decode},
		},
		"two lone surrogates": {
			connecttest.EditBytes(func(body []byte) []byte { return append(body[:len(body)-1], `,"x\ud800","x\ud801"]`...) }),
			connecttest.EditBytes(func(body []byte) []byte {
				return append(body[:len(body)-1], `,"x\ud800":{},"x\ud801":{"status":null}}`...)
			}),
			map[string]connect.Reason{`x\ud800`: connect.Decode, `x\ud801`: connect.Decode},
		},
		"a long name": {
			connecttest.EditBytes(func(body []byte) []byte { return append(body[:len(body)-1], `,"`+strings.Repeat("n", 1<<20)+`"]`...) }),
			connecttest.EditBytes(func(body []byte) []byte {
				return append(body[:len(body)-1], `,"`+strings.Repeat("n", 1<<20)+`":{"status":{"connector":{"state":"RUNNING"},"tasks":[]}}}`...)
			}),
			map[string]connect.Reason{strings.Repeat("n", maxShown) + "…": connect.TooLarge},
		},
		"a long worker id":           {nil, connecttest.SetMember("c1", long, "status", "connector", "worker_id"), map[string]connect.Reason{"c1": connect.TooLarge}},
		"a state of the wrong type":  {nil, connecttest.SetMember("c1", 7, "status", "connector", "state"), map[string]connect.Reason{"c1": connect.Decode}},
		"a status of the wrong type": {nil, connecttest.SetMember("c1", "RUNNING", "status"), map[string]connect.Reason{"c1": connect.Decode}},
		"no status":                  {nil, connecttest.SetMember("c1", nil, "status"), map[string]connect.Reason{"c1": connect.NoStatus}},
		"too many tasks":             {nil, connecttest.SetMember("c1", json.RawMessage(big), "status"), map[string]connect.Reason{"c1": connect.TooLarge}},
		"a long class":               {nil, connecttest.SetMember("c1", long, "info", "config", "connector.class"), map[string]connect.Reason{"c1": connect.TooLarge}},
	} {
		for v, fault := range map[string]connecttest.Fault{Version1: test.one, Version2: test.two} {
			if fault == nil {
				continue
			}
			t.Run(name+"/"+v, func(t *testing.T) {
				c := connecttest.NewCluster(connecttest.Options{})
				for i := range 3 {
					c.Create(connecttest.Connector{Name: fmt.Sprint("c", i), Tasks: 2})
				}
				endpoint := connecttest.EndpointExpand
				if v == Version1 {
					endpoint = connecttest.EndpointList
				}
				clear := c.SetFault(connecttest.Match{Endpoint: endpoint}, fault)
				o := newObserver(t, serve(t, c), version(v), infoAge(0))
				s := mustObserve(t, o)
				got := map[string]connect.Reason{}
				for name, reason := range unobserved(s) {
					short, _, cut := strings.Cut(name, "…")
					if cut {
						short += "…"
					}
					got[short] = reason
				}
				ours := 0
				for name := range test.want {
					if all[name] != "" {
						ours++
					}
				}
				if !maps.Equal(got, test.want) || len(s.Connectors) != 3-ours {
					t.Errorf("unobserved %v, want %v; %d connectors", got, test.want, len(s.Connectors))
				}
				clear()
				if s := mustObserve(t, o); len(s.Connectors) != 3 || len(s.Unobserved) != 0 {
					t.Errorf("afterwards: %+v", s)
				}
			})
		}
	}
}

// A cluster with more connectors, or tasks, than may be costs no more than to
// notice it.
func TestTooManyConnectors(t *testing.T) {
	for _, v := range []string{Version1, Version2} {
		c := connecttest.NewCluster(connecttest.Options{})
		for i := range 4 {
			c.Create(connecttest.Connector{Name: fmt.Sprint("c", i), Tasks: 2})
		}
		urls := serve(t, c)
		limit := func(n int) func(*Options) { return func(o *Options) { o.MaxConnectors = n } }
		if s := mustObserve(t, newObserver(t, urls, version(v), limit(4))); len(s.Connectors) != 4 {
			t.Errorf("version %s: %d connectors", v, len(s.Connectors))
		}
		if _, err := observe(t, newObserver(t, urls, version(v), limit(3))); !errors.Is(err, connect.TooLarge) || !strings.Contains(err.Error(), "more than 3 connectors") {
			t.Errorf("version %s: %v", v, err)
		}
		keep := func(o *Options) { o.Keep = func(name string) bool { return name == "c1" } }
		if s := mustObserve(t, newObserver(t, urls, version(v), limit(1), keep)); len(s.Connectors) != 1 {
			t.Errorf("version %s: %d connectors", v, len(s.Connectors))
		}
		for i := range 3 { // 41 tasks of the 40 that 4 connectors may have
			c.SetTasksMax(fmt.Sprint("c", i), 13)
		}
		s, err := observe(t, newObserver(t, urls, version(v), limit(4)))
		if v == Version2 && !errors.Is(err, connect.TooLarge) || v == Version1 && (err != nil || len(s.Unobserved) != 1 || s.Unobserved[0].Reason != connect.TooLarge) {
			t.Errorf("version %s: %+v %v", v, s, err)
		}
	}
}

// A type, or whatever else, that tells less than is known changes nothing.
func TestLessThanIsKnown(t *testing.T) {
	for _, v := range []string{Version1, Version2} {
		t.Run(v, func(t *testing.T) {
			c := connecttest.NewCluster(connecttest.Options{Version: "4.3.1"})
			c.Create(connecttest.Connector{Name: "x", Tasks: 2})
			o := newObserver(t, serve(t, c), version(v), infoAge(0))
			before := mustObserve(t, o)
			if x := find(before, "x"); x.Type != "source" || x.Class == "" || x.Version != "4.3.1" {
				t.Fatalf("x is %+v", x)
			}
			less := func(clear ...func()) {
				t.Helper()
				s := mustObserve(t, o)
				if x := find(s, "x"); x == nil || !x.Equal(find(before, "x")) || !s.Revision.Same(before.Revision) {
					t.Errorf("x is %+v, was %+v", x, find(before, "x"))
				}
				for _, c := range clear {
					c()
				}
			}
			all := connecttest.Match{}
			in := func(path ...any) []any { // of the expanded answer, or of the call for the part
				if v == Version1 {
					return path[1:]
				}
				return path
			}
			edit := func(value any, path ...any) func() {
				endpoint := map[any]string{"status": connecttest.EndpointStatus, "info": connecttest.EndpointInfo}[path[0]]
				if v == Version2 {
					return c.SetFault(all, connecttest.SetMember("x", value, path...))
				}
				return c.SetFault(connecttest.Match{Endpoint: endpoint}, connecttest.EditJSON(func(document any) any {
					at := document.(map[string]any)
					steps := in(path...)
					for _, step := range steps[:len(steps)-1] {
						at = at[step.(string)].(map[string]any)
					}
					at[steps[len(steps)-1].(string)] = value
					return document
				}))
			}
			less(edit("unknown", "status", "type"), edit("unknown", "info", "type"))
			less(edit(nil, "status", "type"), edit("", "info", "type"))
			less(edit("LEVITATING", "status", "type"))
			less(edit(nil, "status", "connector", "version"))
			less(edit(nil, "info", "config"))
			less(edit(nil, "info", "tasks"))
			defer edit(nil, "info", "config", "connector.class")() // is another configuration, without a class
			if x := find(mustObserve(t, o), "x"); x.Class != find(before, "x").Class || x.ConfigChanged.IsZero() {
				t.Errorf("x is %+v", x)
			}
		})
	}
}

// Info that is odd or fails costs info, in version 2 too.
func TestBadInfo(t *testing.T) {
	for name, fault := range map[string]connecttest.Fault{
		"null":     connecttest.SetMember("x", nil, "info"),
		"text":     connecttest.SetMember("x", "hunter2", "info"),
		"failing":  connecttest.ErrorReply(500, "boom"),
		"too much": connecttest.Endless(),
	} {
		t.Run(name, func(t *testing.T) {
			c := connecttest.NewCluster(connecttest.Options{})
			c.Create(connecttest.Connector{Name: "x", Tasks: 2})
			info := connecttest.Match{Endpoint: connecttest.EndpointExpand}
			// The statuses come first, by a call of their own.
			clear := c.SetFault(info, func(worker http.Handler) http.Handler {
				spoiled := fault(worker)
				return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
					if slices.Contains(r.URL.Query()["expand"], "info") {
						spoiled.ServeHTTP(out, r)
						return
					}
					worker.ServeHTTP(out, r)
				})
			})
			o := newObserver(t, serve(t, c), version(Version2), func(o *Options) { o.MaxBodyBytes = 1 << 20 })
			if x := find(mustObserve(t, o), "x"); x == nil || x.State != connect.StateRunning || x.Class != "" || len(x.Tasks) != 2 {
				t.Errorf("x is %+v", x)
			}
			clear()
			if x := find(mustObserve(t, o), "x"); x.Class == "" || x.TasksMax != 2 {
				t.Errorf("info was not asked for again: %+v", x)
			}
		})
	}
}

// A worker that is gone, hangs or starts costs its share of the time once; the
// next snapshot begins with the one that answered.
func TestSeveralWorkers(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*connecttest.Cluster){
		"down":     func(c *connecttest.Cluster) { c.SetPhase("a:1", connecttest.Down) },
		"starting": func(c *connecttest.Cluster) { c.SetPhase("a:1", connecttest.Listening) },
		"hanging": func(c *connecttest.Cluster) {
			c.SetFault(connecttest.Match{Worker: "a:1"}, connecttest.Hang(nil))
		},
		"HTML": func(c *connecttest.Cluster) { c.SetFault(connecttest.Match{Worker: "a:1"}, connecttest.HTML(502)) },
	} {
		for _, v := range []string{Version1, Version2} {
			t.Run(name+"/"+v, func(t *testing.T) {
				t.Parallel()
				c := connecttest.NewCluster(connecttest.Options{Workers: []string{"a:1", "b:1"}})
				c.Create(connecttest.Connector{Name: "x", Tasks: 2})
				o := newObserver(t, serve(t, c), version(v), requestTimeout(time.Second))
				spoil(c)
				if s := mustObserve(t, o); find(s, "x") == nil || find(s, "x").Class == "" {
					t.Fatalf("snapshot is %+v", s)
				}
				c.ResetRequests()
				mustObserve(t, o)
				for _, endpoint := range []string{connecttest.EndpointExpand, connecttest.EndpointStatus, connecttest.EndpointInfo} {
					if n := c.Requests().Count(connecttest.Match{Worker: "a:1", Endpoint: endpoint}); n != 0 {
						t.Errorf("the bad worker was asked %d times again for %s", n, endpoint)
					}
				}
			})
		}
	}
}

// What is left until the deadline is shared among the workers that are left.
func TestHangingWorkersShareTheDeadline(t *testing.T) {
	t.Parallel()
	c := connecttest.NewCluster(connecttest.Options{Workers: []string{"a:1", "b:1", "c:1"}})
	c.Create(connecttest.Connector{Name: "x", Tasks: 1})
	c.SetFault(connecttest.Match{Worker: "a:1"}, connecttest.Hang(nil))
	c.SetFault(connecttest.Match{Worker: "b:1"}, connecttest.Hang(nil))
	o := newObserver(t, serve(t, c), requestTimeout(time.Hour))
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	s, err := o.Observe(ctx, nil)
	if err != nil || find(s, "x") == nil {
		t.Errorf("%+v, %v", s, err)
	}
}

// All workers away: the error names each, and no password of the URLs.
func TestAllWorkersAway(t *testing.T) {
	c := connecttest.NewCluster(connecttest.Options{Workers: []string{"a:1", "b:1"}})
	urls := serve(t, c)
	c.SetPhase("a:1", connecttest.Down)
	c.SetPhase("b:1", connecttest.Listening)
	_, err := observe(t, newObserver(t, urls))
	if err == nil || !strings.Contains(err.Error(), urls[0].Host) || !strings.Contains(err.Error(), urls[1].Host) || !errors.Is(err, connect.NotFound) {
		t.Errorf("err = %v", err)
	}
}

func TestParallelismIsKept(t *testing.T) {
	c := connecttest.Large(100, 1)
	c.SetFault(connecttest.Match{Endpoint: connecttest.EndpointStatus}, connecttest.Delay(time.Millisecond))
	o := newObserver(t, serve(t, c)[:1], version(Version1), func(o *Options) { o.Parallelism = 3 })
	if s := mustObserve(t, o); len(s.Connectors) != 100 {
		t.Errorf("%d connectors", len(s.Connectors))
	}
	// Beside them the worker may be asked for its version, health and plugins.
	if most := c.Requests().MaxInFlight; most < 3 || most > 3+3 {
		t.Errorf("%d calls in flight, want 3", most)
	}
}

func TestFilter(t *testing.T) {
	for _, v := range []string{Version1, Version2} {
		c := fleet("4.3.1")
		c.Create(connecttest.Connector{Name: "new-but-unwanted", Tasks: 1})
		c.DropStatus("new-but-unwanted")
		o := newObserver(t, serve(t, c), version(v), func(o *Options) { o.Keep = func(name string) bool { return name == "healthy" } })
		if s := mustObserve(t, o); len(s.Connectors) != 1 || s.Connectors[0].Name != "healthy" || len(s.Unobserved) != 0 {
			t.Errorf("version %s: %+v, unobserved %v", v, s.Connectors, s.Unobserved)
		}
		if v == Version1 && c.Requests().Count(connecttest.Match{Connector: "failing"}) != 0 {
			t.Error("a connector that is filtered out was asked for")
		}
	}
}

// A base URL with a path is joined, not replaced.
func TestBasePath(t *testing.T) {
	c := fleet("4.3.1")
	base := serveHandler(t, http.StripPrefix("/behind/connect", c.Handler(c.Workers()[0])))
	for _, path := range []string{"/behind/connect", "/behind/connect/"} {
		u, err := base.Parse(path)
		if err != nil {
			t.Fatal(err)
		}
		if s := mustObserve(t, newObserver(t, []*url.URL{u}, version(Version1))); len(s.Connectors) == 0 || len(s.Unobserved) != 0 {
			t.Errorf("%s: %+v", path, s)
		}
	}
}

func TestBasicAuth(t *testing.T) {
	c := connecttest.NewCluster(connecttest.Options{Username: "scout", Password: "hunter2"})
	c.Create(connecttest.Connector{Name: "x", Tasks: 1})
	urls := serve(t, c)
	config := commoncfg.DefaultHTTPClientConfig
	config.BasicAuth = &commoncfg.BasicAuth{Username: "scout", Password: "hunter2"}
	client, err := NewClient(config, "test")
	if err != nil {
		t.Fatal(err)
	}
	mustObserve(t, newObserver(t, urls, func(o *Options) { o.Client = client }))

	if _, err := observe(t, newObserver(t, urls)); !errors.Is(err, connect.Unauthorized) {
		t.Errorf("without credentials: %v", err)
	}

	// They follow no redirect to another host.
	var leaked http.Header
	elsewhere := serveHandler(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { leaked = r.Header.Clone() }))
	c.SetFault(connecttest.Match{}, connecttest.Redirect(elsewhere.String()+"/connectors"))
	if _, err := observe(t, newObserver(t, urls, func(o *Options) { o.Client = client })); !errors.Is(err, connect.HTTPStatus) {
		t.Errorf("redirected: %v", err)
	}
	if leaked != nil {
		t.Errorf("another host was asked, with %v", leaked)
	}
}

// Each call is reported with what a histogram and a page need.
func TestReport(t *testing.T) {
	c := fleet("4.3.1")
	var mu sync.Mutex
	var requests []connect.Request
	o := newObserver(t, serve(t, c)[:1], version(Version2))
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, err := o.Observe(ctx, func(r connect.Request) {
		mu.Lock()
		defer mu.Unlock()
		requests = append(requests, r)
	})
	if err != nil {
		t.Fatal(err)
	}
	var total int64
	var endpoints []string
	for _, r := range requests {
		total += r.Bytes
		if r.Endpoint == "health" { // may end later
			continue
		}
		endpoints = append(endpoints, r.Endpoint)
		if r.Code != 200 || r.Duration <= 0 || r.Host == "" || r.Bytes == 0 || r.Err != nil {
			t.Errorf("request %+v", r)
		}
	}
	slices.Sort(endpoints)
	if want := []string{"expand", "expand", "list", "root"}; !slices.Equal(endpoints, want) {
		t.Errorf("endpoints %v, want %v", endpoints, want)
	}
	if total != s.Bytes {
		t.Errorf("%d bytes in requests, %d in the snapshot", total, s.Bytes)
	}
}

// A deadline in the middle of version 1 leaves what was had by then.
func TestPartialAtDeadline(t *testing.T) {
	t.Parallel()
	c := connecttest.NewCluster(connecttest.Options{})
	for i := range 20 {
		c.Create(connecttest.Connector{Name: fmt.Sprintf("c%02d", i), Tasks: 1})
	}
	c.SetFault(connecttest.Match{Endpoint: connecttest.EndpointStatus, Connector: "c19"}, connecttest.Hang(nil))
	o := newObserver(t, serve(t, c), version(Version1))
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s, err := o.Observe(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := unobserved(s); len(s.Connectors) != 19 || !maps.Equal(got, map[string]connect.Reason{"c19": connect.Timeout}) {
		t.Errorf("%d connectors, unobserved %v", len(s.Connectors), got)
	}
}

// Whatever happens to a cluster, asking for info only when it is needed gives
// the snapshots that asking for it each time gives.
func TestLazyInfoIsRight(t *testing.T) {
	classes := []string{"org.apache.kafka.connect.file.FileStreamSourceConnector", "org.apache.kafka.connect.file.FileStreamSinkConnector"}
	names := []string{"a", "b", "c", "d"}
	for _, v := range []string{Version1, Version2} {
		t.Run(v, func(t *testing.T) {
			rapid.Check(t, func(r *rapid.T) {
				c := connecttest.NewCluster(connecttest.Options{Workers: []string{"a:1", "b:1"}})
				handlers := []http.Handler{c.Handler("a:1")}
				server := httptest.NewServer(handlers[0])
				defer server.Close()
				base, err := url.Parse(server.URL)
				if err != nil {
					r.Fatal(err)
				}
				lazy, eager := newObserver(t, []*url.URL{base}, version(v), infoAge(time.Hour)), newObserver(t, []*url.URL{base}, version(v), infoAge(0))
				defer lazy.Close()
				defer eager.Close()
				exists := map[string]bool{}
				compare := func() {
					a, errA := observe(t, lazy)
					b, errB := observe(t, eager)
					if errA != nil || errB != nil {
						r.Fatal(errA, errB)
					}
					if !seesTheSame(a, b) {
						r.Fatalf("lazy sees\n%+v\neager sees\n%+v", content(a), content(b))
					}
				}
				for range rapid.IntRange(1, 12).Draw(r, "steps") {
					name := rapid.SampledFrom(names).Draw(r, "name")
					spec := connecttest.Connector{Name: name, Class: rapid.SampledFrom(classes).Draw(r, "class"), Tasks: rapid.IntRange(0, 3).Draw(r, "tasks")}
					step := rapid.SampledFrom([]string{"create", "delete", "observe", "recreate", "tasks", "fail", "pause", "resume", "partial", "whole"}).Draw(r, "step")
					switch {
					case step == "create" && !exists[name]:
						c.Create(spec)
						exists[name] = true
					case step == "observe":
						compare()
					case step == "partial":
						c.Replay("a:1", rapid.IntRange(0, 3).Draw(r, "read"))
					case step == "whole":
						c.Replay("a:1", -1)
					case !exists[name]:
					case step == "delete":
						c.Delete(name)
						exists[name] = false
					case step == "recreate":
						// Unseen in between it is only noticed by what its status
						// shows; seen, it always is.
						c.Delete(name)
						compare()
						c.Create(spec)
					case step == "tasks":
						c.SetTasksMax(name, spec.Tasks+4-len(names)+rapid.IntRange(0, 2).Draw(r, "more"))
					case step == "fail" && spec.Tasks > 0:
						c.FailConnector(name, "a.B: x")
					case step == "pause":
						c.Pause(name)
					case step == "resume":
						c.Resume(name)
					}
				}
				compare()
			})
		})
	}
}

func TestOverlappingSnapshots(t *testing.T) {
	for _, v := range []string{Version1, Version2} {
		t.Run(v, func(t *testing.T) {
			c := fleet("4.3.1")
			// One worker alone: the answers of two may differ in order.
			o := newObserver(t, serve(t, c)[:1], version(v), infoAge(0))
			observertest.Overlap(t, o,
				func() { c.FailTask("healthy", 2, "a.B: x") },
				func() { c.SetConfig("healthy", "tasks.max", "9") },
				func() { c.DropStatus("paused") },
				func() { c.Delete("paused") },
				func() { c.Create(connecttest.Connector{Name: "new", Tasks: 1}) },
			)
		})
	}
}

// What comes to the same is the same, though no byte of the answer is where it
// was.
func TestRevisionOfAnotherAnswer(t *testing.T) {
	c := fleet("4.3.1")
	o := newObserver(t, serve(t, c)[:1], version(Version2))
	first := mustObserve(t, o)
	c.SetFault(connecttest.Match{Endpoint: connecttest.EndpointExpand}, connecttest.EditJSON(func(document any) any { return document }))
	second := mustObserve(t, o)
	if !second.Revision.Same(first.Revision) || &first.Connectors[0] != &second.Connectors[0] {
		t.Error("the same in other words is taken for another snapshot")
	}
}

// Connectors that cannot be observed are named in the log, once.
func TestUnobservedAreLogged(t *testing.T) {
	c := connecttest.NewCluster(connecttest.Options{})
	for i := range 9 {
		c.Create(connecttest.Connector{Name: fmt.Sprintf("c%d\x1b", i), Tasks: 1})
	}
	for _, v := range []string{Version1, Version2} {
		var log bytes.Buffer
		o := newObserver(t, serve(t, c), version(v), func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		clear := c.SetFault(connecttest.Match{}, connecttest.EditBytes(func(body []byte) []byte {
			return bytes.ReplaceAll(body, []byte(`"state":"RUNNING"`), []byte(`"state":7`))
		}))
		mustObserve(t, o)
		mustObserve(t, o)
		clear()
		text := log.String()
		if strings.Count(text, "connectors cannot be observed") != 1 || !strings.Contains(text, "count=9") || !strings.Contains(text, "reason=decode") ||
			!strings.Contains(text, "c0") || !strings.Contains(text, "c4") || strings.Contains(text, "c5") || strings.Contains(text, "\x1b") {
			t.Errorf("version %s: %s", v, text)
		}
	}
}

// A login or a proxy that answers 200 with a page is called by its name.
func TestPageForAnAnswer(t *testing.T) {
	for kind, want := range map[string]string{"text/html; charset=utf-8": "the answer is a page", "application/json": "not valid JSON at byte 0"} {
		at := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write([]byte("<html>login</html>"))
		}))
		for _, v := range []string{Version1, Version2, VersionAuto} {
			_, err := observe(t, newObserver(t, []*url.URL{at}, version(v)))
			if !errors.Is(err, connect.Decode) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s, version %s: %v", kind, v, err)
			}
		}
	}
}

// Of a list that goes on, no more is read than may be.
func TestListOfTooMany(t *testing.T) {
	ended := make(chan int, 1)
	at := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/connectors" {
			return
		}
		n, text := 0, "["
		for ; n < 1e7; n++ {
			if _, err := fmt.Fprintf(w, "%s\"c%d\"", text, n); err != nil {
				break
			}
			text = ","
		}
		ended <- n
	}))
	_, err := observe(t, newObserver(t, []*url.URL{at}, version(Version1), func(o *Options) { o.MaxConnectors = 1000 }))
	if !errors.Is(err, connect.TooLarge) || !strings.Contains(err.Error(), "more than 1000 connectors") {
		t.Errorf("err = %v", err)
	}
	if n := <-ended; n == 1e7 {
		t.Error("the whole list was read")
	}
}

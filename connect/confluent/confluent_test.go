package confluent

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	commoncfg "github.com/prometheus/common/config"
	"go.uber.org/goleak"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/confluent/confluenttest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest/observertest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/rest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	key    = "CLOUDKEY"
	secret = "cloud-secret-value"
)

// start returns a simulated service and an observer of it. change may alter the
// observer's options.
func start(t *testing.T, change func(*rest.Options)) (*confluenttest.Service, *Observer) {
	t.Helper()
	simulated := confluenttest.New("env-abc12", "lkc-xyz98", key, secret)
	server := httptest.NewServer(simulated)
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL + simulated.Path())
	if err != nil {
		t.Fatal(err)
	}
	options := rest.Options{Name: "cloud", URLs: []*url.URL{base}, Client: client(t, key, secret), RequestTimeout: time.Minute}
	if change != nil {
		change(&options)
	}
	o := New(options)
	t.Cleanup(o.Close)
	return simulated, o
}

func client(t *testing.T, user, password string) *http.Client {
	t.Helper()
	cfg := commoncfg.DefaultHTTPClientConfig
	cfg.BasicAuth = &commoncfg.BasicAuth{Username: user, Password: commoncfg.Secret(password)}
	client, err := rest.NewClient(cfg, "cloud")
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func observe(t *testing.T, o *Observer) *connect.Snapshot {
	t.Helper()
	snapshot, err := o.Observe(within(t, time.Minute), nil)
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

// shapes is every form in which the API shows a connector, with what becomes of it.
var shapes = []struct {
	connector confluenttest.Connector
	want      connect.Connector
}{
	{
		confluenttest.Connector{
			Name: "running", ID: "lcc-1", State: "RUNNING", Type: "sink",
			Config: map[string]string{"connector.class": "S3_SINK", "tasks.max": "2", "kafka.api.key": "hunter2"},
			Tasks:  []confluenttest.Task{{State: "RUNNING"}, {State: "RUNNING"}},
		},
		connect.Connector{
			ID: "lcc-1", State: connect.StateRunning, Type: "sink", Class: "S3_SINK", TasksMax: 2, TaskCount: 2,
			Tasks: []connect.Task{{ID: 0, State: connect.StateRunning}, {ID: 1, State: connect.StateRunning}},
		},
	},
	{
		confluenttest.Connector{
			Name: "degraded", ID: "lcc-2", State: "DEGRADED", Type: "source", Config: map[string]string{"connector.class": "PostgresSource", "tasks.max": "4"},
			Tasks: []confluenttest.Task{{State: "RUNNING"}, {State: "USER_ACTIONABLE_ERROR", Message: "password hunter2 of io.example.SomeException: is wrong"}, {State: "SYSTEM_ERROR", Message: "hunter2"}, {State: "FAILED"}},
		},
		connect.Connector{ID: "lcc-2", State: connect.StateDegraded, Type: "source", Class: "PostgresSource", TasksMax: 4, TaskCount: 4, Tasks: []connect.Task{
			{ID: 0, State: connect.StateRunning},
			{ID: 1, State: connect.StateFailed, Failure: connect.Failure{Exception: "USER_ACTIONABLE_ERROR", RootCause: "USER_ACTIONABLE_ERROR"}},
			{ID: 2, State: connect.StateFailed, Failure: connect.Failure{Exception: "SYSTEM_ERROR", RootCause: "SYSTEM_ERROR"}},
			{ID: 3, State: connect.StateFailed, Failure: connect.Failure{Exception: "unknown", RootCause: "unknown"}},
		}},
	},
	{
		confluenttest.Connector{Name: "paused", ID: "lcc-3", State: "PAUSED", Type: "sink", Config: map[string]string{"connector.class": "S3_SINK"}, Tasks: []confluenttest.Task{{State: "STOPPED"}}},
		connect.Connector{ID: "lcc-3", State: connect.StatePaused, Type: "sink", Class: "S3_SINK", TasksMax: 1, TaskCount: 1, Tasks: []connect.Task{{State: connect.StatePaused}}},
	},
	{
		confluenttest.Connector{Name: "failed", ID: "lcc-4", State: "FAILED", Type: "sink", Trace: "hunter2 was refused", Config: map[string]string{"connector.class": "S3_SINK"}, NoTasks: true},
		connect.Connector{ID: "lcc-4", State: connect.StateFailed, Type: "sink", Class: "S3_SINK", TasksMax: 1, Failure: connect.Failure{Exception: "unknown", RootCause: "unknown"}},
	},
	{
		confluenttest.Connector{Name: "provisioning", ID: "lcc-5", State: "PROVISIONING", NoTasks: true, Config: map[string]string{"connector.class": "S3_SINK", "type": "sink"}},
		connect.Connector{ID: "lcc-5", State: connect.StateProvisioning, Type: "sink", Class: "S3_SINK", TasksMax: 1},
	},
	{
		confluenttest.Connector{Name: "deleted", ID: "lcc-6", State: "DELETED", NoTasks: true, Config: map[string]string{"connector.class": "S3_SINK", "type": "hunter2"}},
		connect.Connector{ID: "lcc-6", State: connect.StateDeleting, Type: "unknown", Class: "S3_SINK", TasksMax: 1},
	},
	{
		confluenttest.Connector{Name: "restarting", ID: "lcc-7", State: "RESTARTING", Type: "sink", Config: map[string]string{}, Tasks: []confluenttest.Task{{State: "RESTARTING"}, {State: "UNASSIGNED"}, {State: "DREAMING"}}},
		connect.Connector{ID: "lcc-7", State: connect.StateRestarting, Type: "sink", TasksMax: 1, TaskCount: 3, Tasks: []connect.Task{
			{ID: 0, State: connect.StateRestarting}, {ID: 1, State: connect.StateUnassigned}, {ID: 2, State: connect.StateUnknown},
		}},
	},
	{
		confluenttest.Connector{Name: "none", ID: "lcc-8", State: "NONE", Type: "sink", NoInfo: true},
		connect.Connector{ID: "lcc-8", State: connect.StateUnknown, Type: "sink"},
	},
	{
		confluenttest.Connector{Name: "a/b %25 \"c\" → ü", ID: "lcc-9", State: "HAPPY", Type: "sink", Config: map[string]string{"connector.class": "S3_SINK"}},
		connect.Connector{ID: "lcc-9", State: connect.StateUnknown, Type: "sink", Class: "S3_SINK", TasksMax: 1},
	},
}

func TestShapes(t *testing.T) {
	for _, version := range []string{rest.VersionAuto, rest.Version2, rest.Version1} {
		t.Run(version, func(t *testing.T) {
			simulated, o := start(t, func(o *rest.Options) { o.ObservationVersion = version })
			want := map[string]connect.Connector{}
			for _, shape := range shapes {
				simulated.Put(shape.connector)
				shape.want.Name = shape.connector.Name
				if version == rest.Version1 {
					shape.want.ID = "" // only the expanded call tells it
				}
				want[shape.want.Name] = shape.want
			}
			snapshot := observe(t, o)
			if len(snapshot.Connectors) != len(shapes) || len(snapshot.Unobserved) != 0 {
				t.Errorf("%d connectors, unobserved %v", len(snapshot.Connectors), snapshot.Unobserved)
			}
			for _, got := range snapshot.Connectors {
				if expected := want[got.Name]; !reflect.DeepEqual(got, expected) {
					t.Errorf("%s:\n got %+v\nwant %+v", got.Name, got, expected)
				}
			}
			if strings.Contains(fmt.Sprintf("%+v", snapshot), "hunter2") {
				t.Error("the snapshot holds what is not to be shown")
			}
			if snapshot.Provider != connect.ConfluentCloud || !snapshot.HasTasks || snapshot.Version != "" || snapshot.Bytes == 0 {
				t.Errorf("snapshot %+v", snapshot)
			}
			if version != rest.Version1 {
				observe(t, o)
				if calls := simulated.Calls(); !reflect.DeepEqual(calls, map[string]int{"/connectors?expand=info,status,id": 2}) {
					t.Errorf("calls %v: one for each snapshot is enough", calls)
				}
			}
			if _, asked := simulated.Calls()["/"]; asked {
				t.Error("asked for GET /, which Confluent Cloud has not")
			}
		})
	}
}

func TestFilterAndMissingStatus(t *testing.T) {
	simulated, o := start(t, func(o *rest.Options) { o.Keep = func(name string) bool { return name != "drop" } })
	simulated.Put(confluenttest.Connector{Name: "keep", State: "RUNNING"}, confluenttest.Connector{Name: "drop", State: "RUNNING"}, confluenttest.Connector{Name: "new", NoStatus: true})
	snapshot := observe(t, o)
	if len(snapshot.Connectors) != 1 || snapshot.Connectors[0].Name != "keep" {
		t.Errorf("connectors %+v", snapshot.Connectors)
	}
	if want := []connect.Unobserved{{Connector: "new", Reason: connect.NoStatus}}; !reflect.DeepEqual(snapshot.Unobserved, want) {
		t.Errorf("unobserved %v", snapshot.Unobserved)
	}
	simulated.Delete("keep")
	simulated.Delete("new")
	if snapshot := observe(t, o); len(snapshot.Connectors)+len(snapshot.Unobserved) != 0 {
		t.Errorf("connectors stay: %+v", snapshot)
	}
}

func TestErrors(t *testing.T) {
	for _, test := range []struct {
		name   string
		fault  *confluenttest.Fault
		set    func(*confluenttest.Service)
		change func(*testing.T, *rest.Options)
		reason connect.Reason
		says   string
	}{
		{name: "wrong key", change: func(t *testing.T, o *rest.Options) { o.Client = client(t, "KAFKAKEY", secret) }, reason: connect.Unauthorized, says: "Cloud API key"},
		{name: "wrong secret", change: func(t *testing.T, o *rest.Options) { o.Client = client(t, key, "wrong") }, reason: connect.Unauthorized, says: "Cloud API key"},
		{name: "no permission", set: func(s *confluenttest.Service) { s.Forbid(true) }, reason: connect.Forbidden, says: "a role that may view connectors"},
		{name: "wrong cluster", change: func(_ *testing.T, o *rest.Options) { o.URLs[0].Path += "0" }, reason: connect.NotFound, says: "check environment (env-…) and cluster (lkc-…)"},
		{name: "account not found", fault: &confluenttest.Fault{Status: 404}, reason: connect.NotFound, says: "organization"},
		{name: "internal", fault: &confluenttest.Fault{Status: 500}, reason: connect.HTTPStatus, says: "HTTP 500"},
		{name: "a proxy's page", fault: &confluenttest.Fault{Status: 502, Body: "<html>hunter2"}, reason: connect.HTTPStatus, says: "HTTP 502"},
		{name: "a page for an answer", fault: &confluenttest.Fault{Status: 200, Body: "<html>hunter2"}, reason: connect.Decode, says: "JSON"},
		{name: "truncated", fault: &confluenttest.Fault{Status: 200, Body: `{"hunter2":{"status":`}, reason: connect.Decode, says: "cut short"},
		{name: "an error for an answer", fault: &confluenttest.Fault{Status: 200, Body: `{"error":{"code":401,"message":"hunter2"}}`}, reason: connect.Decode, says: "without their status"},
		{name: "too large", fault: &confluenttest.Fault{Status: 200, Body: strings.Repeat(" ", 2<<20)}, reason: connect.TooLarge, says: "limit"},
		{name: "hangs", fault: &confluenttest.Fault{Hang: true}, reason: connect.Timeout, says: "in time"},
	} {
		t.Run(test.name, func(t *testing.T) {
			simulated, o := start(t, func(o *rest.Options) {
				o.ObservationVersion, o.MaxBodyBytes, o.RequestTimeout = rest.Version2, 1<<20, time.Minute
				if test.reason == connect.Timeout {
					o.RequestTimeout = 100 * time.Millisecond
				}
				if test.change != nil {
					test.change(t, o)
				}
			})
			if test.set != nil {
				test.set(simulated)
			}
			simulated.SetFault(test.fault)
			snapshot, err := o.Observe(within(t, time.Minute), nil)
			if snapshot != nil || err == nil {
				t.Fatal("no error")
			}
			if reason := connect.ReasonOf(err); reason != test.reason {
				t.Errorf("reason %s, want %s", reason, test.reason)
			}
			text := err.Error()
			if !strings.Contains(text, test.says) || strings.ContainsAny(text, "\n") {
				t.Errorf("error %q, want one line with %q", text, test.says)
			}
			for _, private := range []string{secret, key, "hunter2"} {
				if strings.Contains(text, private) {
					t.Errorf("error %q shows %q", text, private)
				}
			}
		})
	}
}

// TestRateLimitIsHonoured asks for a pause that is longer than the deadline: what
// waited for its end would run into that.
func TestRateLimitIsHonoured(t *testing.T) {
	simulated, o := start(t, nil)
	simulated.Put(confluenttest.Connector{Name: "orders", State: "RUNNING"})
	var clock sync.Mutex
	now := time.Now()
	o.limiter.now = func() time.Time { clock.Lock(); defer clock.Unlock(); return now }
	observe(t, o)

	simulated.SetFault(confluenttest.Limit(30))
	first := ""
	for range 3 {
		_, err := o.Observe(within(t, 10*time.Second), nil)
		if connect.ReasonOf(err) != connect.HTTPStatus || !strings.Contains(err.Error(), "HTTP 429") {
			t.Fatalf("error %v", err)
		}
		if first == "" {
			first = err.Error()
		}
		if err.Error() != first {
			t.Errorf("error changes from %q to %q", first, err)
		}
	}
	if total := simulated.Total(); total != 2 {
		t.Errorf("%d requests, want one before the limit and one that was told of it", total)
	}
	simulated.SetFault(nil)
	clock.Lock()
	now = now.Add(30 * time.Second)
	clock.Unlock()
	if snapshot := observe(t, o); len(snapshot.Connectors) != 1 {
		t.Errorf("connectors %+v", snapshot.Connectors)
	}
}

func TestRateLimitInVersion1(t *testing.T) {
	simulated, o := start(t, func(o *rest.Options) { o.ObservationVersion, o.Parallelism = rest.Version1, 1 })
	for i := range 40 {
		simulated.Put(confluenttest.Connector{Name: fmt.Sprint("c", i), State: "RUNNING"})
	}
	// The list and four statuses are answered, the rest is kept back.
	limit := confluenttest.Limit(30)
	limit.After = 5
	simulated.SetFault(limit)
	var mutex sync.Mutex
	codes := map[int]int{}
	snapshot, err := o.Observe(within(t, time.Minute), func(r connect.Request) {
		mutex.Lock()
		defer mutex.Unlock()
		codes[r.Code]++
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(snapshot.Connectors) != 4 || len(snapshot.Unobserved) != 36 || snapshot.Unobserved[0].Reason != connect.HTTPStatus {
		t.Errorf("%d connectors, %d unobserved", len(snapshot.Connectors), len(snapshot.Unobserved))
	}
	if want := map[int]int{200: 5, 429: 1}; !reflect.DeepEqual(codes, want) || simulated.Total() != 6 {
		t.Errorf("requests %v, %d of them sent", codes, simulated.Total())
	}

	simulated, o = start(t, func(o *rest.Options) { o.ObservationVersion, o.Parallelism = rest.Version1, 1 })
	simulated.Put(confluenttest.Connector{Name: "orders", State: "RUNNING"})
	limit = confluenttest.Limit(30)
	limit.After = 1
	simulated.SetFault(limit)
	if snapshot, err := o.Observe(within(t, time.Minute), nil); connect.ReasonOf(err) != connect.HTTPStatus {
		t.Errorf("a list of which nothing could be observed: %+v, %v", snapshot, err)
	}
}

func TestPause(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, test := range []struct {
		retryAfter, reset string
		want              time.Duration
	}{
		{"", "", minPause},
		{"7", "", 7 * time.Second},
		{"7", "90", 7 * time.Second},
		{"", "90", 90 * time.Second},
		{"0", "", minPause},
		{"0.5", "", minPause},
		{"Fri, 02 Jan 2026 03:04:25 GMT", "", 20 * time.Second},
		{"Fri, 02 Jan 2026 03:00:00 GMT", "", minPause},
		{"-5", "", minPause},
		{"soon", "4", 4 * time.Second},
		{"1e300", "", maxPause},
		{"NaN", "", minPause},
		{"Inf", "", maxPause},
	} {
		header := http.Header{}
		if test.retryAfter != "" {
			header.Set("Retry-After", test.retryAfter)
		}
		if test.reset != "" {
			header.Set("X-RateLimit-Reset", test.reset)
		}
		if got := pause(header, now); got != test.want {
			t.Errorf("Retry-After %q, X-RateLimit-Reset %q: %v, want %v", test.retryAfter, test.reset, got, test.want)
		}
	}
}

func TestBaseURLWithTrailingSlash(t *testing.T) {
	simulated, o := start(t, func(o *rest.Options) { o.URLs[0].Path += "/" })
	simulated.Put(confluenttest.Connector{Name: "orders", State: "RUNNING"})
	if snapshot := observe(t, o); len(snapshot.Connectors) != 1 {
		t.Errorf("connectors %+v", snapshot.Connectors)
	}
}

func TestOverlappingSnapshots(t *testing.T) {
	simulated, o := start(t, nil)
	connector := confluenttest.Connector{Name: "orders", ID: "lcc-1", State: "RUNNING", Tasks: []confluenttest.Task{{State: "RUNNING"}}}
	simulated.Put(connector)
	observertest.Overlap(t, o,
		func() { connector.Tasks[0].State = "SYSTEM_ERROR"; simulated.Put(connector) },
		func() { simulated.Delete("orders") },
	)
}

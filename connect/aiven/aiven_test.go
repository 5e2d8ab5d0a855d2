package aiven

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"go.uber.org/goleak"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/aiven/aiventest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest/observertest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/rest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	token    = "aiven-token-value"
	user     = "avnadmin"
	password = "AVNS_first/pass word"
	rotated  = "AVNS_second:pass@word"
)

// A stage is a service with its Connect cluster, and an observer of it.
type stage struct {
	service  *aiventest.Service
	cluster  *connecttest.Cluster
	guarded  http.Handler
	observer *Observer
	log      *strings.Builder
	now      time.Time
}

func start(t *testing.T, kind string, change func(*Options)) *stage {
	t.Helper()
	s := &stage{cluster: connecttest.NewCluster(connecttest.Options{}), log: &strings.Builder{}, now: time.Now()}
	s.cluster.Create(connecttest.Connector{Name: "orders", Tasks: 2})
	s.cluster.Create(connecttest.Connector{Name: "drop", Tasks: 1})
	s.service = aiventest.New("acme", "orders-connect", aiventest.State{Type: kind, State: "RUNNING", User: user, Password: password})
	s.service.Grant(token, aiventest.ReadServices, aiventest.ReadSecrets)
	s.guarded = s.service.Connect(s.cluster.Handler(s.cluster.Workers()[0]))
	s.service.Change(func(state *aiventest.State) { state.URL = serve(t, s.guarded).URL })
	api, err := url.Parse(serve(t, s.service).URL)
	if err != nil {
		t.Fatal(err)
	}
	options := Options{
		Project: "acme", Service: "orders-connect", APIURL: api, Route: RouteDynamic, Token: func() (string, error) { return token, nil },
		Rest: rest.Options{
			Name: "aiven", RequestTimeout: time.Minute, Logger: slog.New(slog.NewTextHandler(s.log, nil)),
			Keep: func(name string) bool { return name != "drop" },
		},
	}
	if change != nil {
		change(&options)
	}
	if s.observer, err = New(options); err != nil {
		t.Fatal(err)
	}
	s.observer.now = func() time.Time { return s.now }
	t.Cleanup(s.observer.Close)
	return s
}

func serve(t *testing.T, handler http.Handler) *httptest.Server {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func (s *stage) observe(t *testing.T) (*connect.Snapshot, error) {
	t.Helper()
	snapshot, err := s.observer.Observe(within(t, time.Minute), nil)
	for _, private := range []string{token, password, rotated, url.QueryEscape(password), "AVNS"} {
		if err != nil && strings.Contains(err.Error(), private) || strings.Contains(s.log.String(), private) {
			t.Errorf("%q is shown: %v\n%s", private, err, s.log)
		}
	}
	if err != nil && strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %v", err)
	}
	return snapshot, err
}

func (s *stage) expect(t *testing.T, state connect.ResourceState, names ...string) *connect.Snapshot {
	t.Helper()
	snapshot, err := s.observe(t)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range snapshot.Connectors {
		got = append(got, c.Name)
	}
	if !reflect.DeepEqual(got, names) || snapshot.ResourceState != state || snapshot.Provider != connect.Aiven || !snapshot.HasTasks {
		t.Errorf("connectors %v of a service that is %q, want %v and %q", got, snapshot.ResourceState, names, state)
	}
	return snapshot
}

func (s *stage) expectError(t *testing.T, reason connect.Reason, says string) {
	t.Helper()
	snapshot, err := s.observe(t)
	if snapshot != nil || connect.ReasonOf(err) != reason || !strings.Contains(fmt.Sprint(err), says) {
		t.Errorf("error %v (%s), want %s with %q", err, connect.ReasonOf(err), reason, says)
	}
}

func TestBothKindsOfService(t *testing.T) {
	for _, kind := range []string{"kafka_connect", "kafka"} {
		for _, userOnly := range []bool{false, true} {
			s := start(t, kind, nil)
			s.service.Change(func(state *aiventest.State) { state.UserOnly = userOnly })
			snapshot := s.expect(t, connect.ResourceRunning, "orders")
			if c := snapshot.Connectors[0]; c.TaskCount != 2 || c.Class == "" || c.Worker == "" {
				t.Errorf("connector %+v", c)
			}
			if snapshot.Version == "" || snapshot.Bytes == 0 {
				t.Errorf("snapshot %+v", snapshot)
			}
			s.expect(t, connect.ResourceRunning, "orders")
			if calls := s.service.Calls(); calls != 1 {
				t.Errorf("%d calls of the API: its answer holds for a minute", calls)
			}
			s.now = s.now.Add(refreshInterval)
			s.expect(t, connect.ResourceRunning, "orders")
			if calls := s.service.Calls(); calls != 2 {
				t.Errorf("%d calls of the API after a minute", calls)
			}
		}
	}
}

func TestStates(t *testing.T) {
	for word, want := range map[string]connect.ResourceState{
		"RUNNING": connect.ResourceRunning, "REBUILDING": connect.ResourceRebuilding, "REBALANCING": connect.ResourceRebalancing, "DREAMING": connect.ResourceUnknown,
	} {
		s := start(t, "kafka_connect", nil)
		s.service.Change(func(state *aiventest.State) { state.State = word })
		s.expect(t, want, "orders")
	}
}

func TestPoweredOffIsOffNotDown(t *testing.T) {
	s := start(t, "kafka_connect", nil)
	s.service.Change(func(state *aiventest.State) { state.State = "POWEROFF" })
	s.expect(t, connect.ResourcePowerOff)
	// On again is seen in the next snapshot, not after a minute.
	s.service.Change(func(state *aiventest.State) { state.State = "RUNNING" })
	s.expect(t, connect.ResourceRunning, "orders")
	// And so is off, since the cluster breaks off.
	s.service.Change(func(state *aiventest.State) { state.State = "POWEROFF" })
	s.expect(t, connect.ResourcePowerOff)
	s.service.SetFault(&aiventest.Fault{Status: 500})
	s.expectError(t, connect.Unreachable, "HTTP 500")
	s.service.SetFault(nil)
	s.expect(t, connect.ResourcePowerOff)
}

func TestRotatedCredentialsCostNothing(t *testing.T) {
	s := start(t, "kafka_connect", nil)
	s.expect(t, connect.ResourceRunning, "orders")
	s.service.Change(func(state *aiventest.State) { state.Password = rotated })
	s.expect(t, connect.ResourceRunning, "orders")
	if calls := s.service.Calls(); calls != 2 {
		t.Errorf("%d calls of the API", calls)
	}
	if !strings.Contains(s.log.String(), "credentials were changed") {
		t.Errorf("log %q", s.log)
	}
}

func TestMovedServiceIsFound(t *testing.T) {
	s := start(t, "kafka_connect", nil)
	s.expect(t, connect.ResourceRunning, "orders")
	gone := httptest.NewServer(s.guarded)
	next := serve(t, s.guarded)
	s.service.Change(func(state *aiventest.State) { state.URL = gone.URL })
	s.now = s.now.Add(refreshInterval)
	s.expect(t, connect.ResourceRunning, "orders")
	gone.Close()
	s.service.Change(func(state *aiventest.State) { state.URL = next.URL })
	s.expect(t, connect.ResourceRunning, "orders")
}

func TestSlowApiLeavesTheClusterItsTime(t *testing.T) {
	s := start(t, "kafka_connect", nil)
	s.expect(t, connect.ResourceRunning, "orders")
	s.service.SetFault(&aiventest.Fault{Hang: true})
	s.now = s.now.Add(refreshInterval)
	snapshot, err := s.observer.Observe(within(t, time.Second), nil)
	if err != nil || len(snapshot.Connectors) != 1 || snapshot.ResourceState != "" {
		t.Fatalf("snapshot %+v, error %v", snapshot, err)
	}
	s.expect(t, "", "orders")
	if got := s.log.String(); strings.Count(got, "level=WARN") != 1 {
		t.Errorf("log %q", got)
	}
	s.service.SetFault(nil)
	s.now = s.now.Add(refreshInterval)
	s.expect(t, connect.ResourceRunning, "orders")
	if got := s.log.String(); strings.Count(got, "level=INFO") != 1 {
		t.Errorf("log %q", got)
	}
}

func TestErrorsOfTheApi(t *testing.T) {
	set := func(fault aiventest.Fault) func(*stage) { return func(s *stage) { s.service.SetFault(&fault) } }
	for _, test := range []struct {
		name   string
		break_ func(*stage)
		change func(*Options)
		reason connect.Reason
		says   string
	}{
		{"wrong token", func(s *stage) { s.service.Revoke(token) }, nil, connect.Unauthorized, "does not accept the API token"},
		{"no token", nil, func(o *Options) {
			o.Token = func() (string, error) { return "", errors.New("read the Aiven token: no such file") }
		}, connect.Unauthorized, "no such file"},
		{"no permission", func(s *stage) { s.service.Grant(token) }, nil, connect.Forbidden, "project:services:read"},
		{"no permission for secrets", func(s *stage) { s.service.Grant(token, aiventest.ReadServices) }, nil, connect.Forbidden, "service:secrets:read"},
		{"wrong project", nil, func(o *Options) { o.Project = "other" }, connect.NotFound, "check aiven.project"},
		{"wrong service", nil, func(o *Options) { o.Service = "other" }, connect.NotFound, "find service other of project acme at Aiven"},
		{"throttled", set(aiventest.Fault{Status: 429}), nil, connect.HTTPStatus, "limits the rate"},
		{"not now", set(aiventest.Fault{Status: 501}), nil, connect.HTTPStatus, "HTTP 501"},
		{"page for an answer", set(aiventest.Fault{Status: 200, Body: "<html>AVNS_x"}), nil, connect.Decode, "check aiven.api_url"},
		{"object for an answer", set(aiventest.Fault{Status: 200, Body: `{"message":"AVNS_x"}`}), nil, connect.Decode, "check aiven.api_url"},
		{"wrong types", set(aiventest.Fault{Status: 200, Body: `{"service":{"service_type":"kafka_connect","service_uri":{"AVNS_x":1}}}`}), nil, connect.Decode, "check aiven.api_url"},
		{"truncated", set(aiventest.Fault{Status: 200, Body: `{"service":{"service_uri":"https://avnadmin:AVNS_x`}), nil, connect.Decode, "check aiven.api_url"},
		{"hangs", set(aiventest.Fault{Hang: true}), nil, connect.Timeout, "in time"},
		{"nobody there", nil, func(o *Options) { o.APIURL = &url.URL{Scheme: "http", Host: "127.0.0.1:1"} }, connect.Unreachable, "check aiven.api_url and proxy"},
		{"another kind", func(s *stage) { s.service.Change(func(state *aiventest.State) { state.Type = "pg" }) }, nil, connect.NotFound, `of type "pg"`},
		{"no address", func(s *stage) { s.service.Change(func(state *aiventest.State) { state.URL = "" }) }, nil, connect.NotFound, "no address yet"},
		{"cluster gone", func(s *stage) { s.service.Change(func(state *aiventest.State) { state.URL = "http://127.0.0.1:1" }) }, nil, connect.Unreachable, "route dynamic"},
		{"cluster rebuilding", func(s *stage) {
			s.service.Change(func(state *aiventest.State) { state.URL, state.State = "http://127.0.0.1:1", "REBUILDING" })
		}, nil, connect.Unreachable, "Aiven says that the service is rebuilding"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := start(t, "kafka_connect", func(o *Options) {
				if test.reason == connect.Timeout {
					o.Rest.RequestTimeout = 100 * time.Millisecond
				}
				if test.change != nil {
					test.change(o)
				}
			})
			if test.break_ != nil {
				test.break_(s)
			}
			s.expectError(t, test.reason, test.says)
			s.expectError(t, test.reason, test.says)
		})
	}
}

func TestServiceThatIsDeleted(t *testing.T) {
	s := start(t, "kafka_connect", nil)
	s.expect(t, connect.ResourceRunning, "orders")
	s.service.Change(func(state *aiventest.State) { state.Password = rotated })
	s.service.SetFault(&aiventest.Fault{Status: 404})
	s.expectError(t, connect.NotFound, "check aiven.project and aiven.service")
}

func TestPasswordThatDoesNotFit(t *testing.T) {
	s := start(t, "kafka_connect", nil)
	other := connecttest.NewCluster(connecttest.Options{Username: user, Password: "another"})
	s.service.Change(func(state *aiventest.State) { state.URL = serve(t, other.Handler(other.Workers()[0])).URL })
	s.expectError(t, connect.Unauthorized, "the credentials that Aiven's API tells")
}

func TestRequestsAreReported(t *testing.T) {
	s := start(t, "kafka_connect", nil)
	var mu sync.Mutex
	got := map[string]int{}
	if _, err := s.observer.Observe(within(t, time.Minute), func(r connect.Request) {
		mu.Lock()
		defer mu.Unlock()
		got[r.Endpoint]++
		if r.Code != 200 || r.Bytes == 0 || r.Duration <= 0 || r.Host == "" || strings.Contains(r.Host, "@") {
			t.Errorf("request %+v", r)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if got["service"] != 1 || got["expand"] == 0 {
		t.Errorf("requests %v", got)
	}
}

func TestEndpoint(t *testing.T) {
	const uri = `"service_uri":"https://avnadmin:p%2Fw@c.aivencloud.com:443"`
	component := func(route, usage, host string) string {
		return fmt.Sprintf(`{"component":"kafka_connect","host":%q,"port":443,"route":%q,"usage":%q}`, host, route, usage)
	}
	kafka := `{"component":"kafka","host":"kafka.aivencloud.com","port":9092,"route":"public","usage":"primary"}`
	all := `"components":[` + strings.Join([]string{
		kafka, component("dynamic", "primary", "c.aivencloud.com"), component("public", "replica", "replica.aivencloud.com"),
		component("public", "primary", "public-c.aivencloud.com"), component("private", "primary", "private-c.aivencloud.com"), component("privatelink", "primary", "privatelink-c.aivencloud.com"),
	}, ",") + `]`
	for _, test := range []struct {
		name, service, route string
		want, says           string // URL with credentials, or an error
		reason               connect.Reason
	}{
		{"own host", `"service_type":"kafka_connect",` + uri, RouteDynamic, "https://avnadmin:p%2Fw@c.aivencloud.com:443", "", ""},
		{"public outside of a VPC", `"service_type":"kafka_connect",` + uri, RoutePublic, "https://avnadmin:p%2Fw@c.aivencloud.com:443", "", ""},
		{"dynamic of many", `"service_type":"kafka_connect",` + uri + "," + all, RouteDynamic, "https://avnadmin:p%2Fw@c.aivencloud.com:443", "", ""},
		{"public", `"service_type":"kafka_connect",` + uri + "," + all, RoutePublic, "https://avnadmin:p%2Fw@public-c.aivencloud.com:443", "", ""},
		{"private", `"service_type":"kafka_connect",` + uri + "," + all, RoutePrivate, "https://avnadmin:p%2Fw@private-c.aivencloud.com:443", "", ""},
		{"privatelink", `"service_type":"kafka_connect",` + uri + "," + all, RoutePrivatelink, "https://avnadmin:p%2Fw@privatelink-c.aivencloud.com:443", "", ""},
		{"no privatelink", `"service_type":"kafka_connect",` + uri, RoutePrivatelink, "", "no route privatelink, only dynamic", connect.NotFound},
		{"Kafka service", `"service_type":"kafka","service_uri":"kafka.aivencloud.com:9092","connection_info":{"kafka_connect_uri":"https://avnadmin:pw@k.aivencloud.com:443"}`, RoutePublic, "https://avnadmin:pw@k.aivencloud.com:443", "", ""},
		{"Kafka service without Connect", `"service_type":"kafka","service_uri":"kafka.aivencloud.com:9092","components":[` + kafka + `]`, RoutePublic, "", "enable kafka_connect", connect.NotFound},
		{"no URI, but components and users", `"service_type":"kafka_connect","service_uri":null,` + all + `,"users":[{"username":"x","password":null,"type":"regular"},{"username":"avnadmin","password":"pw","type":"primary"}]`, RouteDynamic, "https://avnadmin:pw@c.aivencloud.com:443", "", ""},
		{"path", `"service_type":"kafka_connect","service_uri":"https://u:p@c.aivencloud.com:443/connect/"`, RouteDynamic, "https://u:p@c.aivencloud.com:443/connect", "", ""},
		{"redacted", `"service_type":"kafka_connect","service_uri":"https://avnadmin:%3Credacted%3E@c.aivencloud.com:443","users":[{"username":"avnadmin","password":"<redacted>","type":"primary"}]`, RouteDynamic, "", "service:secrets:read", connect.Forbidden},
		{"redacted URI alone", `"service_type":"kafka_connect","service_uri":"https://avnadmin:%3Credacted%3E@c.aivencloud.com:443","users":[{"username":"other","password":"no"},{"username":"avnadmin","password":"pw"}]`, RouteDynamic, "https://avnadmin:pw@c.aivencloud.com:443", "", ""},
		{"no URI that can be used", `"service_type":"kafka_connect","service_uri":"avnadmin:AVNS@c.aivencloud.com"`, RouteDynamic, "", "none that can be used", connect.Decode},
		{"ports that are none", `"service_type":"kafka_connect","components":[{"component":"kafka_connect","host":"h","port":0,"route":"dynamic"}]`, RouteDynamic, "", "no address yet", connect.NotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			var s service
			if err := json.Unmarshal([]byte("{"+test.service+"}"), &s); err != nil {
				t.Fatal(err)
			}
			got, err := s.endpoint(test.route)
			if test.says != "" {
				if connect.ReasonOf(err) != test.reason || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "AVNS") {
					t.Errorf("error %v, want %s with %q", err, test.reason, test.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.url.User != nil {
				t.Error("the URL carries credentials")
			}
			whole := *got.url
			whole.User = url.UserPassword(got.user, got.password)
			if whole.String() != test.want {
				t.Errorf("%s, want %s", whole.String(), test.want)
			}
		})
	}
}

func TestOverlappingSnapshots(t *testing.T) {
	s := start(t, "kafka_connect", nil)
	observertest.Overlap(t, s.observer,
		func() { s.cluster.FailTask("orders", 1, "a.B: x") },
		func() {
			s.service.Change(func(state *aiventest.State) { state.State = "POWEROFF" })
			s.now = s.now.Add(time.Hour)
		},
	)
	off := s.expect(t, connect.ResourcePowerOff)
	if again := s.expect(t, connect.ResourcePowerOff); !again.Revision.Same(off.Revision) {
		t.Error("another revision although the service is off as before")
	}
}

package rest

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	commoncfg "github.com/prometheus/common/config"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/internal/beside"
)

// onlyInfo makes a fault that of expanded calls for info.
func onlyInfo(fault connecttest.Fault) connecttest.Fault {
	return func(worker http.Handler) http.Handler {
		spoiled := fault(worker)
		return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			if slices.Contains(r.URL.Query()["expand"], "info") {
				spoiled.ServeHTTP(out, r)
				return
			}
			worker.ServeHTTP(out, r)
		})
	}
}

// What a snapshot can do without and that hangs costs at most a moment of one
// snapshot, and nothing of any after it; once it answers, all is there.
func TestWhatHangsBeside(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		version string
		match   connecttest.Match
		fault   func(connecttest.Fault) connecttest.Fault
	}{
		"root/1":   {Version1, connecttest.Match{Endpoint: connecttest.EndpointRoot}, nil},
		"root/2":   {Version2, connecttest.Match{Endpoint: connecttest.EndpointRoot}, nil},
		"info/1":   {Version1, connecttest.Match{Endpoint: connecttest.EndpointInfo}, nil},
		"info/2":   {Version2, connecttest.Match{Endpoint: connecttest.EndpointExpand}, onlyInfo},
		"list/2":   {Version2, connecttest.Match{Endpoint: connecttest.EndpointList}, nil},
		"health/1": {Version1, connecttest.Match{Endpoint: connecttest.EndpointHealth}, nil},
		"plugin/2": {Version2, connecttest.Match{Endpoint: connecttest.EndpointPluginDef}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := connecttest.NewCluster(connecttest.Options{})
			for _, name := range []string{"x", "y"} {
				c.Create(connecttest.Connector{Name: name, Tasks: 2, Config: map[string]string{"owner.team": "payments"}})
			}
			o := newObserver(t, serve(t, c)[:1], version(test.version), infoAge(0), requestTimeout(time.Minute), func(o *Options) { o.Labels = []string{"owner.team"} })
			now := time.Now()
			o.now, o.patience = func() time.Time { return now }, beside.Stall
			fault := connecttest.Hang(nil)
			if test.fault != nil {
				fault = test.fault(fault)
			}
			clear := c.SetFault(test.match, fault)
			for i := range 4 {
				if i == 1 {
					c.FailTask("x", 1, "a.B: x")
				}
				limit := 100 * time.Millisecond
				if i == 0 {
					limit = beside.Stall + beside.Stall/2
				}
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				began := time.Now()
				s, err := o.Observe(ctx, nil)
				cancel()
				if took := time.Since(began); took > 5*limit && took > limit+time.Second {
					t.Errorf("snapshot %d took %v", i, took)
				}
				if err != nil || len(s.Connectors) != 2 || i > 0 && find(s, "x").Tasks[1].State != connect.StateFailed {
					t.Fatalf("snapshot %d: %+v, %v", i, s, err)
				}
				now = now.Add(15 * time.Second)
			}
			clear()
			o.end() // what hangs
			o.background, o.end = context.WithCancel(context.Background())
			for began := time.Now(); time.Since(began) < time.Minute; { // it ends soon, and is asked anew then
				now = now.Add(time.Minute)
				s := mustObserve(t, o)
				x := find(s, "x")
				if s.Version != "" && x.Class != "" && len(s.Health) == 1 && slices.Equal(x.Labels, []connect.Label{{Key: "owner.team", Value: "payments"}}) {
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
			t.Errorf("it is not whole again: %+v", mustObserve(t, o))
		})
	}
}

// What is being asked when an observer is closed ends.
func TestCloseEndsWhatIsAskedBeside(t *testing.T) {
	t.Parallel()
	c := connecttest.NewCluster(connecttest.Options{})
	c.Create(connecttest.Connector{Name: "x", Tasks: 1})
	for _, endpoint := range []string{connecttest.EndpointRoot, connecttest.EndpointHealth, connecttest.EndpointInfo} {
		c.SetFault(connecttest.Match{Endpoint: endpoint}, connecttest.Hang(nil))
	}
	o := newObserver(t, serve(t, c), version(Version1), requestTimeout(time.Hour))
	o.patience = 50 * time.Millisecond
	mustObserve(t, o)
	o.Close() // goleak finds what has not ended
}

// URLs of two Kafka clusters, and of two groups on one, are not one cluster.
func TestForeignURLs(t *testing.T) {
	for name, otherID := range map[string]string{"another Kafka": "other", "another group": "one"} {
		t.Run(name, func(t *testing.T) {
			one := connecttest.NewCluster(connecttest.Options{KafkaClusterID: "one"})
			two := connecttest.NewCluster(connecttest.Options{KafkaClusterID: otherID})
			for _, name := range []string{"a", "b", "c"} {
				one.Create(connecttest.Connector{Name: name, Tasks: 1})
			}
			two.Create(connecttest.Connector{Name: "d", Tasks: 1})
			urls := append(serve(t, one), serve(t, two)...)
			var log bytes.Buffer
			o := newObserver(t, urls, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			now := time.Now()
			o.now = func() time.Time { return now }
			want := []string{urls[1].Host}
			for began := time.Now(); ; {
				s := mustObserve(t, o)
				if len(s.Connectors) != 3 {
					t.Fatalf("connectors of %+v", s)
				}
				if slices.Equal(s.ForeignHosts, want) {
					break
				}
				if s.ForeignHosts != nil || time.Since(began) > time.Minute {
					t.Fatalf("foreign hosts %v, want %v", s.ForeignHosts, want)
				}
				now = now.Add(time.Minute)
				time.Sleep(5 * time.Millisecond) // it is asked beside
			}
			if text := log.String(); strings.Count(text, "urls lead to different Connect clusters") != 1 || !strings.Contains(text, urls[1].Host) {
				t.Errorf("log:\n%s", text)
			}
		})
	}
}

// Two workers of one cluster are one, also while one of them has not read all
// yet, and where connectors come and go.
func TestOneClusterIsNotForeign(t *testing.T) {
	c := connecttest.NewCluster(connecttest.Options{Workers: []string{"a:1", "b:1"}})
	for _, name := range []string{"a", "b", "c", "d"} {
		c.Create(connecttest.Connector{Name: name, Tasks: 1})
	}
	o := newObserver(t, serve(t, c))
	now := time.Now()
	o.now = func() time.Time { return now }
	c.Replay("b:1", 0)
	mustObserve(t, o)
	for i := range 6 {
		now = now.Add(time.Minute)
		if s := mustObserve(t, o); s.ForeignHosts != nil {
			t.Errorf("%v are foreign", s.ForeignHosts)
		}
		for !o.sites[1].listAsk.Due(now.Add(time.Hour)) { // while it is under way
			time.Sleep(time.Millisecond)
			o.collect()
		}
		c.Replay("b:1", -1)
		if names := []string{"a", "b", "c"}; i < len(names) {
			c.Delete(names[i])
		}
	}
}

func TestHealthOfWorkers(t *testing.T) {
	c := connecttest.NewCluster(connecttest.Options{Version: "3.9.1"})
	c.Create(connecttest.Connector{Name: "x", Tasks: 1})
	urls := serve(t, c)
	o := newObserver(t, urls)
	now := time.Now()
	o.now = func() time.Time { return now }
	expect := func(want ...connect.Health) {
		t.Helper()
		for range 1000 {
			if s := mustObserve(t, o); slices.Equal(s.Health, want) {
				return
			}
			time.Sleep(time.Millisecond)
		}
		t.Errorf("health is %v, want %v", mustObserve(t, o).Health, want)
	}
	host := urls[0].Host
	expect(connect.Health{Worker: host, Healthy: true})
	clear := c.SetFault(connecttest.Match{Endpoint: connecttest.EndpointHealth}, connecttest.Reply(500, "application/json", `{"status":"unhealthy","message":"Worker was unable to handle this request"}`))
	now = now.Add(beside.HealthEvery)
	expect(connect.Health{Worker: host})
	clear()
	now = now.Add(beside.HealthEvery)
	expect(connect.Health{Worker: host, Healthy: true})
	c.SetFault(connecttest.Match{Endpoint: connecttest.EndpointHealth}, connecttest.HTML(502))
	now = now.Add(beside.HealthEvery)
	expect() // a proxy says nothing of the worker

	old := connecttest.NewCluster(connecttest.Options{Version: "3.8.1"})
	o = newObserver(t, serve(t, old))
	o.now = func() time.Time { return now }
	for asked := false; !asked || now.Minute()%5 != 0; now = now.Add(time.Minute) {
		if s := mustObserve(t, o); len(s.Health) != 0 {
			t.Errorf("health %v of a worker that tells none", s.Health)
		}
		if asked = o.sites[0].health == beside.NeverHealth; !asked {
			time.Sleep(time.Millisecond)
		}
	}
	if n := old.Requests().Count(connecttest.Match{Endpoint: connecttest.EndpointHealth}); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestCertificates(t *testing.T) {
	c := connecttest.NewCluster(connecttest.Options{})
	c.Create(connecttest.Connector{Name: "x", Tasks: 1})
	server := httptest.NewUnstartedServer(c.Handler(c.Workers()[0]))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	config := commoncfg.DefaultHTTPClientConfig
	config.TLSConfig.InsecureSkipVerify = true
	client, err := NewClient(config, "test")
	if err != nil {
		t.Fatal(err)
	}
	s := mustObserve(t, newObserver(t, append(serve(t, c), base), func(o *Options) { o.Client = client }))
	for range 100 { // the second URL is asked beside
		if len(s.Certificates) > 0 {
			break
		}
		time.Sleep(5 * time.Millisecond)
		s = mustObserve(t, newObserver(t, []*url.URL{base}, func(o *Options) { o.Client = client }))
	}
	if want := []connect.Certificate{{Host: base.Host, NotAfter: server.Certificate().NotAfter}}; !slices.Equal(s.Certificates, want) {
		t.Errorf("certificates %v, want %v", s.Certificates, want)
	}
}

// The worker's own words are told of calls that are about no connector, and
// nothing else of an answer.
func TestWords(t *testing.T) {
	const kafka = "Request timed out. The worker is currently ensuring membership in the cluster"
	long := strings.Repeat("ä", maxWords)
	for name, test := range map[string]struct {
		body, want string
	}{
		"words":            {kafka, kafka},
		"long":             {long + "tail", "says: " + long + "…"},
		"control":          {"a\u0000b\x1b[31mc\r\n\td\u202ee\u0085f\u200bg", "says: ab[31mc de f"},
		"password":         {"no such user scout with hunter2", ""},
		"password upper":   {"no such user scout with HUNTER2", ""},
		"header":           {"bad header Basic " + base64.StdEncoding.EncodeToString([]byte("scout:hunter2")), ""},
		"header's value":   {"bad X-Token: tok3n", ""},
		"nothing":          {"", ""},
		"password in JSON": {`so "hunter2"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := connecttest.NewCluster(connecttest.Options{})
			c.Create(connecttest.Connector{Name: "x", Tasks: 1})
			config := commoncfg.DefaultHTTPClientConfig
			config.BasicAuth = &commoncfg.BasicAuth{Username: "scout", Password: "hunter2"}
			config.HTTPHeaders = &commoncfg.Headers{Headers: map[string]commoncfg.Header{"X-Token": {Secrets: []commoncfg.Secret{"tok3n"}}}}
			client, err := NewClient(config, "test")
			if err != nil {
				t.Fatal(err)
			}
			for _, code := range []int{500, 503} {
				c.SetFault(connecttest.Match{}, connecttest.ErrorReply(code, test.body))
				for _, v := range []string{Version1, Version2, VersionAuto} {
					_, err := observe(t, newObserver(t, serve(t, c), version(v), func(o *Options) { o.Client = client }))
					switch {
					case !errors.Is(err, connect.HTTPStatus), strings.Contains(strings.ToLower(err.Error()), "hunter2"), strings.Contains(err.Error(), "tok3n"), strings.ContainsAny(err.Error(), "\x1b\n\u202e\u0085\u200b"):
						t.Errorf("version %s: %q", v, err)
					case test.want != "" && !strings.Contains(err.Error(), test.want), test.want == "" && strings.Contains(err.Error(), "says"):
						t.Errorf("version %s: %v, want %q", v, err, test.want)
					}
				}
			}
		})
	}
	// Those about a connector are never told.
	c := connecttest.NewCluster(connecttest.Options{})
	c.Create(connecttest.Connector{Name: "x", Tasks: 1})
	for _, endpoint := range []string{connecttest.EndpointExpand, connecttest.EndpointStatus, connecttest.EndpointInfo} {
		c.SetFault(connecttest.Match{Endpoint: endpoint}, connecttest.ErrorReply(500, "hunter2"))
	}
	for _, v := range []string{Version1, Version2, VersionAuto} {
		var requests []string
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err := newObserver(t, serve(t, c), version(v)).Observe(ctx, func(r connect.Request) {
			if r.Err != nil && strings.Contains(r.Err.Error(), "hunter2") {
				requests = append(requests, r.Endpoint)
			}
		})
		cancel()
		if err != nil && strings.Contains(err.Error(), "hunter2") || requests != nil {
			t.Errorf("version %s: %v, requests %v", v, err, requests)
		}
	}
}

// A configuration that changes has a time; what it was before, none.
func TestConfigChanged(t *testing.T) {
	for _, v := range []string{Version1, Version2} {
		c := connecttest.NewCluster(connecttest.Options{})
		c.Create(connecttest.Connector{Name: "x", Tasks: 1})
		c.Create(connecttest.Connector{Name: "y", Tasks: 1})
		o := newObserver(t, serve(t, c)[:1], version(v), infoAge(0))
		for range 2 {
			if x := find(mustObserve(t, o), "x"); !x.ConfigChanged.IsZero() {
				t.Errorf("version %s: changed %v", v, x.ConfigChanged)
			}
		}
		before := time.Now()
		c.SetConfig("x", "database.password", "hunter3")
		s := mustObserve(t, o)
		at := find(s, "x").ConfigChanged
		if at.Before(before.Round(0)) || at.After(time.Now()) || !find(s, "y").ConfigChanged.IsZero() {
			t.Errorf("version %s: changed %v, and y %v", v, at, find(s, "y").ConfigChanged)
		}
		if again := find(mustObserve(t, o), "x"); !again.ConfigChanged.Equal(at) {
			t.Errorf("version %s: changed %v, then %v", v, at, again.ConfigChanged)
		}
	}
}

// Chosen settings are shown, but no password, whether by its name, by what its
// plugin says, or by what it holds.
func TestShownSettings(t *testing.T) {
	for kafka, want := range map[string][]connect.Label{
		"4.3.1": {{Key: "owner.team", Value: "payments"}},
		"3.1.2": {{Key: "owner.team", Value: "payments"}, {Key: "owner.pin", Value: "1234"}}, // tells nothing of types
	} {
		c := connecttest.NewCluster(connecttest.Options{Version: kafka})
		c.Create(connecttest.Connector{Name: "x", Tasks: 1, Config: map[string]string{
			"owner.team": "payments", "owner.pin": "1234", "database.password": "hunter2", "tier": "${file:/x:tier}",
		}})
		for _, v := range []string{Version1, Version2} {
			o := newObserver(t, serve(t, c)[:1], version(v), func(o *Options) {
				o.Labels = []string{"tier", "owner.team", "none", "owner.pin", "database.password"}
			})
			for range 2 {
				if x := find(mustObserve(t, o), "x"); !slices.Equal(x.Labels, want) {
					t.Errorf("%s by version %s: %v, want %v", kafka, v, x.Labels, want)
				}
			}
			// While the plugin cannot be asked about, nothing is shown.
			clear := c.SetFault(connecttest.Match{Endpoint: connecttest.EndpointPluginDef}, connecttest.ErrorReply(500, "no"))
			if x := find(mustObserve(t, newObserver(t, serve(t, c)[:1], version(v), func(o *Options) { o.Labels = []string{"owner.team"} })), "x"); x.Labels != nil || x.Class == "" {
				t.Errorf("%s by version %s: %+v", kafka, v, x)
			}
			clear()
		}
		if n := maps.Collect(maps.All(c.Requests().Counts))[connecttest.Match{Worker: c.Workers()[0], Endpoint: connecttest.EndpointPluginDef, Method: http.MethodGet}]; n == 0 {
			t.Errorf("%s was not asked", kafka)
		}
	}
}

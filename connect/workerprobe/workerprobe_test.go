package workerprobe

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest/observertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// names is an observer whose snapshot names these workers.
type names struct {
	workers []string
	err     error
	closed  bool
	health  []connect.Health

	revisions connect.Revisions
}

func (n *names) Observe(context.Context, func(connect.Request)) (*connect.Snapshot, error) {
	if n.err != nil {
		return nil, n.err
	}
	c := connect.Connector{Name: "a"}
	for i, worker := range n.workers {
		c.Tasks = append(c.Tasks, connect.Task{ID: i, Worker: worker})
	}
	snapshot := &connect.Snapshot{Connectors: []connect.Connector{c}, Health: n.health}
	n.revisions.Next(snapshot)
	return snapshot, nil
}

func (n *names) Close() { n.closed = true }

// tripper answers by host.
type tripper func(*http.Request) (*http.Response, error)

func (t tripper) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

func client(t tripper) *http.Client {
	return &http.Client{Transport: t}
}

func status(code int) *http.Response {
	recorder := httptest.NewRecorder()
	recorder.WriteHeader(code)
	return recorder.Result()
}

func TestProbes(t *testing.T) {
	synctest.Test(t, testProbes)
}

func testProbes(t *testing.T) {
	var mu sync.Mutex
	asked := map[string][]string{} // by host: with which client, and what
	// What answers with 200, and with what.
	roots := map[string]string{
		"well:8083":    `{"version":"4.3.1","commit":"abc","kafka_cluster_id":"id"}`,
		"text:8083":    "User cannot access the resource.",
		"odd:8083":     `{"version":431,"commit":"abc"}`,
		"twice:8083":   `{"version":"1","version":"2"}`,
		"foreign:8083": "{\"version\":\"\xff\"}",
		"long:8083":    `{"version":"` + strings.Repeat("4", connect.MaxText+1) + `"}`,
		"endless:8083": `{"version":"4.3.1","more":"` + strings.Repeat("x", maxBody),
	}
	answers := func(kind string) *http.Client {
		return client(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			asked[r.URL.Host] = append(asked[r.URL.Host], kind+" "+r.Method+" "+r.URL.String())
			mu.Unlock()
			if r.URL.Path == "/health" {
				return status(http.StatusNotFound), nil
			}
			if body, ok := roots[r.URL.Host]; ok {
				recorder := httptest.NewRecorder()
				_, _ = recorder.WriteString(body)
				return recorder.Result(), nil
			}
			switch r.URL.Host {
			case "plain:8083":
				return status(http.StatusBadRequest), nil
			case "switching:8083":
				return status(http.StatusSwitchingProtocols), nil
			case "secured:8083":
				return status(http.StatusUnauthorized), nil
			case "starting:8083":
				return status(http.StatusNotFound), nil
			case "broken:8083":
				return status(http.StatusBadGateway), nil
			case "moved:8083":
				response := status(http.StatusFound)
				response.Header.Set("Location", "http://moved:8083/admin/secrets")
				return response, nil
			}
			return nil, errors.New("connection refused")
		})
	}
	inner := &names{workers: []string{
		"well:8083", "secured:8083", "well:8083", "starting:8083", "broken:8083", "gone:8083", "moved:8083", "",
		"plain:8083", "switching:8083", "text:8083", "odd:8083", "twice:8083", "foreign:8083", "long:8083", "endless:8083",
		"no-port", "user:password@well:8083", "well:8083/path", "well:8083/admin/secrets", "well:8083?query", "well:8083#fragment", "well:80%2F83", `well:8083\admin`, "//well:8083", "well:8083 ", "http://well:8083", "well%2Fadmin:8083", ":8083", "a b:80", "[::1]:8083",
	}}
	o := New(Options{
		Observer: inner, Scheme: "https", Anonymous: answers("anonymous"), Authenticated: answers("authenticated"),
		SendCredentials: func(host string) bool { return strings.HasPrefix(host, "secured") },
	})
	var requests []connect.Request
	snapshot, err := o.Observe(t.Context(), func(r connect.Request) {
		mu.Lock()
		defer mu.Unlock()
		requests = append(requests, r)
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []connect.Probe{
		{Worker: "[::1]:8083"},
		{Worker: "broken:8083"},
		{Worker: "endless:8083", Up: true},
		{Worker: "foreign:8083", Up: true},
		{Worker: "gone:8083"},
		{Worker: "long:8083", Up: true},
		{Worker: "moved:8083", Up: true},
		{Worker: "odd:8083", Up: true},
		{Worker: "plain:8083"},
		{Worker: "secured:8083", Up: true},
		{Worker: "starting:8083"},
		{Worker: "switching:8083"},
		{Worker: "text:8083", Up: true},
		{Worker: "twice:8083", Up: true},
		{Worker: "well:8083", Up: true, Version: "4.3.1", Commit: "abc"},
	}
	if !reflect.DeepEqual(snapshot.Probes, want) {
		t.Errorf("probes %v, want %v", snapshot.Probes, want)
	}
	synctest.Wait() // What is asked beside the snapshot has been asked.
	o.Close()
	mu.Lock()
	defer mu.Unlock()
	requests = slices.DeleteFunc(requests, func(r connect.Request) bool { return r.Endpoint == "health" })
	if len(requests) != len(want) || len(asked) != len(want) {
		t.Errorf("%d requests to %d hosts, want %d", len(requests), len(asked), len(want))
	}
	for host, got := range asked {
		kind := "anonymous"
		if host == "secured:8083" {
			kind = "authenticated"
		}
		slices.Sort(got)
		if want := []string{kind + " GET https://" + host + "/", kind + " GET https://" + host + "/health"}; !slices.Equal(slices.Compact(got), want) {
			t.Errorf("asked %v, want %v", got, want)
		}
	}
	for _, r := range requests {
		if r.Endpoint != "worker" || r.Err != nil && !errors.Is(r.Err, connect.Unreachable) {
			t.Errorf("request %+v", r)
		}
	}
	if !inner.closed {
		t.Error("the observer inside was not closed")
	}
}

func TestWorkersThatHangCostOneSecondTogetherAndOnce(t *testing.T) {
	for budget, first := range map[time.Duration]time.Duration{10 * time.Second: time.Second, time.Second: 500 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			var whole atomic.Bool
			answers := client(func(r *http.Request) (*http.Response, error) {
				if !whole.Load() {
					<-r.Context().Done()
					return nil, r.Context().Err()
				}
				return status(http.StatusOK), nil
			})
			o := New(Options{
				Observer: &names{workers: []string{"a:1", "b:1", "c:1"}}, Scheme: "http",
				Anonymous: answers, Authenticated: answers, SendCredentials: func(string) bool { return false },
			})
			defer o.Close()
			observe := func(want time.Duration) []connect.Probe {
				t.Helper()
				ctx, cancel := context.WithTimeout(t.Context(), budget)
				defer cancel()
				began := time.Now()
				snapshot, err := o.Observe(ctx, func(r connect.Request) {
					if !whole.Load() && !errors.Is(r.Err, connect.Timeout) {
						t.Errorf("request %+v", r)
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took != want {
					t.Errorf("it took %v, want %v", took, want)
				}
				return snapshot.Probes
			}
			probes := observe(first)
			if budget < 2*time.Second { // not long enough to tell
				if len(probes) != 0 {
					t.Errorf("probes %v", probes)
				}
			} else if len(probes) != 3 || probes[0].Up {
				t.Errorf("probes %v", probes)
			}
			time.Sleep(15 * time.Second)
			for range 3 {
				if probes := observe(0); len(probes) != 3 || probes[0].Up {
					t.Errorf("probes %v", probes)
				}
				time.Sleep(15 * time.Second)
			}
			whole.Store(true)
			observe(0)
			time.Sleep(15 * time.Second)
			if probes := observe(0); len(probes) != 3 || !probes[0].Up {
				t.Errorf("probes %v of workers that answer again", probes)
			}
		})
	}
}

// Health is asked beside: what hangs costs nothing and is unhealthy.
func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := client(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path != "/health" {
				return status(http.StatusOK), nil
			}
			recorder := httptest.NewRecorder()
			switch r.URL.Host {
			case "stuck:1":
				<-r.Context().Done()
				return nil, r.Context().Err()
			case "well:1":
				_, _ = recorder.WriteString(`{"status":"healthy"}`)
			case "starting:1":
				recorder.WriteHeader(http.StatusServiceUnavailable)
				_, _ = recorder.WriteString(`{"status":"starting"}`)
			case "old:1":
				recorder.WriteHeader(http.StatusNotFound)
				_, _ = recorder.WriteString(`{"error_code":404}`)
			}
			return recorder.Result(), nil
		})
		inner := &names{workers: []string{"stuck:1", "well:1", "starting:1", "old:1", "odd:1"}}
		inner.health = []connect.Health{{Worker: "lb:443", Healthy: true}, {Worker: "well:1"}}
		o := New(Options{
			Observer: inner, Scheme: "http",
			Anonymous: answers, Authenticated: answers, SendCredentials: func(string) bool { return false },
		})
		defer o.Close()
		for range 3 {
			began := time.Now()
			if _, err := o.Observe(t.Context(), nil); err != nil || time.Since(began) != 0 {
				t.Errorf("after %v: %v", time.Since(began), err)
			}
			time.Sleep(15 * time.Second)
		}
		snapshot, err := o.Observe(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		want := []connect.Health{{Worker: "lb:443", Healthy: true}, {Worker: "starting:1"}, {Worker: "stuck:1"}, {Worker: "well:1", Healthy: true}}
		if !reflect.DeepEqual(snapshot.Health, want) {
			t.Errorf("health %v, want %v", snapshot.Health, want)
		}
	})
}

// Where no worker answers by the scheme of the urls and one does by the other,
// that is told, or taken where the scheme was only guessed. Credentials never go
// by plain HTTP where the cluster's do not.
func TestTheOtherScheme(t *testing.T) {
	for _, test := range []struct{ configured, answers string }{{"https", "http"}, {"http", "https"}} {
		for _, guessed := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				var log strings.Builder
				var authenticated atomic.Int32
				answers := func(count *atomic.Int32) *http.Client {
					return client(func(r *http.Request) (*http.Response, error) {
						if r.URL.Scheme != test.answers {
							return nil, errors.New("http: server gave HTTP response to HTTPS client")
						}
						if count != nil {
							count.Add(1)
						}
						return status(http.StatusOK), nil
					})
				}
				o := New(Options{
					Name: "orders", Observer: &names{workers: []string{"a:1", "b:1"}}, Scheme: test.configured, Guessed: guessed,
					Anonymous: answers(nil), Authenticated: answers(&authenticated), SendCredentials: func(string) bool { return true },
					Logger: slog.New(slog.NewTextHandler(&log, nil)),
				})
				defer o.Close()
				var last []connect.Probe
				for range 5 {
					snapshot, err := o.Observe(t.Context(), nil)
					if err != nil {
						t.Fatal(err)
					}
					last = snapshot.Probes
					time.Sleep(15 * time.Second)
				}
				if len(last) != 2 || last[0].Up != guessed {
					t.Errorf("%+v, guessed %v: %v", test, guessed, last)
				}
				if n := strings.Count(log.String(), "cluster=orders"); n != 1 || strings.Contains(log.String(), "worker_probe.scheme") == guessed {
					t.Errorf("%+v, guessed %v: %s", test, guessed, &log)
				}
				if sent := authenticated.Load() > 0; sent != (guessed && test.answers == "https") {
					t.Errorf("%+v, guessed %v: credentials sent: %v", test, guessed, sent)
				}
			})
		}
	}
}

func TestAFailedLookAsksNobody(t *testing.T) {
	never := client(func(*http.Request) (*http.Response, error) {
		t.Error("a worker was asked")
		return nil, errors.New("refused")
	})
	o := New(Options{Observer: &names{err: connect.Timeout}, Scheme: "http", Anonymous: never, Authenticated: never, SendCredentials: func(string) bool { return false }})
	if _, err := o.Observe(t.Context(), nil); !errors.Is(err, connect.Timeout) {
		t.Errorf("error %v", err)
	}
}

func TestOverlappingSnapshots(t *testing.T) {
	inner := &names{workers: []string{"a:1", "b:1"}}
	answers := client(func(*http.Request) (*http.Response, error) { return status(http.StatusOK), nil })
	o := New(Options{
		Observer: inner, Scheme: "http", Anonymous: answers, Authenticated: answers,
		SendCredentials: func(string) bool { return false },
	})
	observertest.Overlap(t, o, func() { inner.workers = []string{"b:1"} })
}

package workerprobe

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
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
	snapshot := &connect.Snapshot{Connectors: []connect.Connector{c}}
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
	var mu sync.Mutex
	asked := map[string]string{} // by host: with which client, and what
	// What answers with 200, and with what.
	roots := map[string]string{
		"well:8083":    `{"version":"4.3.1","commit":"abc","kafka_cluster_id":"id"}`,
		"text:8083":    "User cannot access the resource.",
		"odd:8083":     `{"version":431,"commit":"abc"}`,
		"twice:8083":   `{"version":"1","version":"2"}`,
		"foreign:8083": "{\"version\":\"\xff\"}",
		"long:8083":    `{"version":"` + strings.Repeat("4", 129) + `"}`,
		"endless:8083": `{"version":"4.3.1","more":"` + strings.Repeat("x", maxBody),
	}
	answers := func(kind string) *http.Client {
		return client(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			asked[r.URL.Host] = kind + " " + r.Method + " " + r.URL.String()
			mu.Unlock()
			if body, ok := roots[r.URL.Host]; ok {
				recorder := httptest.NewRecorder()
				_, _ = recorder.WriteString(body)
				return recorder.Result(), nil
			}
			switch r.URL.Host {
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
		"switching:8083", "text:8083", "odd:8083", "twice:8083", "foreign:8083", "long:8083", "endless:8083",
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
	if len(requests) != len(want) || len(asked) != len(want) {
		t.Errorf("%d requests to %d hosts, want %d", len(requests), len(asked), len(want))
	}
	if got := asked["secured:8083"]; got != "authenticated GET https://secured:8083/" {
		t.Errorf("asked the trusted worker: %s", got)
	}
	if got := asked["moved:8083"]; got != "anonymous GET https://moved:8083/" {
		t.Errorf("followed a redirect: %s", got)
	}
	if got := asked["well:8083"]; got != "anonymous GET https://well:8083/" {
		t.Errorf("asked another worker: %s", got)
	}
	for _, r := range requests {
		if r.Endpoint != "worker" || r.Err != nil && !errors.Is(r.Err, connect.Unreachable) {
			t.Errorf("request %+v", r)
		}
	}
	o.Close()
	if !inner.closed {
		t.Error("the observer inside was not closed")
	}
}

func TestWorkersThatHangCostOneSecondTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := client(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		o := New(Options{
			Observer: &names{workers: []string{"a:1", "b:1", "c:1"}}, Scheme: "http",
			Anonymous: hangs, Authenticated: hangs, SendCredentials: func(string) bool { return false },
		})
		for budget, want := range map[time.Duration]time.Duration{10 * time.Second: time.Second, time.Second: 500 * time.Millisecond} {
			ctx, cancel := context.WithTimeout(t.Context(), budget)
			began := time.Now()
			snapshot, err := o.Observe(ctx, func(r connect.Request) {
				if !errors.Is(r.Err, connect.Timeout) {
					t.Errorf("request %+v", r)
				}
			})
			cancel()
			if err != nil || len(snapshot.Probes) != 3 || snapshot.Probes[0].Up {
				t.Errorf("%v %v", snapshot, err)
			}
			if took := time.Since(began); took != want {
				t.Errorf("with %v left it took %v, want %v", budget, took, want)
			}
		}
	})
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
	answers := client(func(r *http.Request) (*http.Response, error) { return status(http.StatusOK), nil })
	o := New(Options{
		Observer: inner, Scheme: "http", Anonymous: answers, Authenticated: answers,
		SendCredentials: func(string) bool { return false },
	})
	observertest.Overlap(t, o, func() { inner.workers = []string{"b:1"} })
}

package rest

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
)

// A worker that reads its configuration topic lists none or some of the connectors:
// that is no sign that the others are gone.
func TestWorkerThatStartsListsSome(t *testing.T) {
	t.Parallel()
	for _, v := range []string{Version1, Version2, VersionAuto} {
		for _, test := range []struct {
			kafka   string
			listed  int
			hangs   bool
			phase   connecttest.Phase
			believe bool
		}{
			{"3.9.1", 0, false, connecttest.Starting, false},
			{"4.3.1", 4, false, connecttest.Starting, false},
			{"4.3.1", 0, true, connecttest.Starting, false},
			{"4.3.1", 5, false, connecttest.Starting, true}, // not less than half
			{"4.3.1", 0, false, connecttest.Up, true},
			{"3.8.0", 0, false, connecttest.Starting, true}, // says nothing of its health
		} {
			t.Run(fmt.Sprint(v, test), func(t *testing.T) {
				t.Parallel()
				c := connecttest.NewCluster(connecttest.Options{Version: test.kafka})
				for i := range 10 {
					c.Create(connecttest.Connector{Name: fmt.Sprint("c", i), Class: "org.example.Sink", Type: "sink", Tasks: 1})
				}
				worker, released := c.Workers()[0], make(chan struct{})
				var hangs atomic.Bool
				next := c.Handler(worker)
				at := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/health" && hangs.Load() {
						<-released
					}
					next.ServeHTTP(w, r)
				}))
				defer close(released)
				timeout := time.Minute
				if test.hangs {
					timeout = 500 * time.Millisecond // It is waited for three times.
				}
				o := newObserver(t, []*url.URL{at}, version(v), requestTimeout(timeout))
				clock := time.Now()
				o.now = func() time.Time { return clock }
				if s := mustObserve(t, o); len(s.Connectors) != 10 {
					t.Fatalf("%d connectors", len(s.Connectors))
				}
				c.SetPhase(worker, test.phase)
				c.Replay(worker, test.listed)
				hangs.Store(test.hangs)
				for range 2 {
					s, err := observe(t, o)
					switch {
					case test.believe && (err != nil || len(s.Connectors) != test.listed):
						t.Fatalf("not believed: %v", err)
					case !test.believe && (!errors.Is(err, connect.NotFound) || !strings.Contains(err.Error(), fmt.Sprintf("it lists %d of 10 connectors", test.listed))):
						t.Fatalf("err = %v", err)
					}
				}
				// What goes on for so long is so.
				clock = clock.Add(maxStart)
				if s := mustObserve(t, o); len(s.Connectors) != test.listed {
					t.Errorf("%d connectors in the end", len(s.Connectors))
				}
				c.SetPhase(worker, connecttest.Up)
				c.Replay(worker, -1)
				hangs.Store(false)
				if s := mustObserve(t, o); len(s.Connectors) != 10 {
					t.Errorf("%d connectors when it has started", len(s.Connectors))
				}
			})
		}
	}
}

// Where one of several workers starts, another is asked in the same snapshot.
func TestAnotherWorkerHasStarted(t *testing.T) {
	for _, v := range []string{Version1, Version2} {
		c := connecttest.NewCluster(connecttest.Options{Version: "4.3.1", Workers: []string{"one:8083", "two:8083"}})
		for i := range 10 {
			c.Create(connecttest.Connector{Name: fmt.Sprint("c", i), Class: "org.example.Sink", Type: "sink", Tasks: 1})
		}
		o := newObserver(t, serve(t, c), version(v))
		mustObserve(t, o)
		c.SetPhase("one:8083", connecttest.Starting)
		c.Replay("one:8083", 0)
		if s := mustObserve(t, o); len(s.Connectors) != 10 {
			t.Errorf("version %s: %d connectors", v, len(s.Connectors))
		}
	}
}

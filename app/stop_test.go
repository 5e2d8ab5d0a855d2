package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
)

// A scrape that hangs, a receiver that hangs, and a reload that hangs have one
// budget together.
func TestStopHasOneBudget(t *testing.T) {
	t.Parallel()
	c := cluster("4.3.1")
	pushed := make(chan struct{}, 1)
	released := make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case pushed <- struct{}{}:
		default:
		}
		select {
		case <-released:
		case <-r.Context().Done():
		}
	}))
	defer receiver.Close()
	defer close(released)
	const budget = 2 * time.Second
	p := start(t, Options{stopLimit: budget, Sources: fromFile(file(t,
		"clusters: [{name: orders, urls: [%q]}]\notlp: {endpoint: %q, interval: 1h, timeout: 1m}\n", worker(t, c, 0), receiver.URL))})
	asked := make(chan struct{}, 10)
	c.SetFault(connecttest.Match{}, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked <- struct{}{}
			connecttest.Hang(nil)(next).ServeHTTP(w, r)
		})
	})
	scraped := make(chan error)
	go func() {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.base+"/metrics", nil)
		if err == nil {
			var response *http.Response
			if response, err = http.DefaultClient.Do(request); err == nil {
				_ = response.Body.Close()
			}
		}
		scraped <- err
	}()
	<-asked
	began := time.Now()
	if err := p.stop(); err != nil {
		t.Errorf("Run returned %v", err)
	}
	// Observers have a second to notice.
	if took := time.Since(began); took < budget || took > 3*budget {
		t.Errorf("it took %s", took)
	}
	<-scraped
}

// Files that hang when they are read hold up neither a stop nor what is served.
func TestStopWhileFilesHang(t *testing.T) {
	c := cluster("4.3.1")
	hanging, release := make(chan struct{}, 1), make(chan struct{})
	defer close(release)
	hangs := func(config.Sources) (*config.Config, error) {
		hanging <- struct{}{}
		<-release
		return nil, errors.New("released")
	}
	loads := 0
	p := start(t, Options{
		Sources: fromFile(file(t, "clusters: [{name: orders, urls: [%q]}]\n", worker(t, c, 0))),
		load: func(s config.Sources) (*config.Config, error) {
			if loads++; loads == 1 {
				return config.Load(s)
			}
			return hangs(s)
		},
	})
	reloaded := make(chan answer)
	go func() { reloaded <- p.do(http.MethodPost, "/-/reload") }()
	<-hanging
	p.scrape("/metrics").want(t, series{`kafka_connect_up{connect_cluster="orders"}`: 1})
	began := time.Now()
	if err := p.stop(); err != nil || time.Since(began) > 5*time.Second {
		t.Errorf("Run returned %v after %s", err, time.Since(began))
	}
	if a := <-reloaded; a.status != http.StatusInternalServerError || !strings.Contains(a.body, "stopping") {
		t.Errorf("the reload that hung: %d %s", a.status, a.body)
	}

	// At the start.
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-hanging
		cancel()
	}()
	if err := Run(ctx, Options{load: hangs, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// A reading that hangs is left, and the next begins; too many at a time are not
// begun, however often files are looked at.
func TestReadingsThatHangAreLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		places, release := make(chan struct{}, maxReadings), make(chan struct{})
		var begun atomic.Int32
		hangs := func() int { begun.Add(1); <-release; return 0 }
		for i := range 2 * maxReadings {
			began := time.Now()
			if _, err := within(t.Context(), places, hangs); err == nil || !strings.Contains(err.Error(), "mounted") || time.Since(began) != loadLimit {
				t.Fatalf("reading %d: %v after %s", i, err, time.Since(began))
			}
			if got, err := within(t.Context(), places, func() int { return 7 }); i+1 < maxReadings && (got != 7 || err != nil) {
				t.Fatalf("after %d that hang: %d, %v", i+1, got, err)
			}
		}
		if n := begun.Load(); n != maxReadings {
			t.Errorf("%d were begun", n)
		}
		close(release)
		synctest.Wait()
		if got, err := within(t.Context(), places, func() int { return 7 }); got != 7 || err != nil {
			t.Errorf("after they returned: %d, %v", got, err)
		}
	})
}

// Package web is the HTTP face of the exporter: the metrics, the pages for
// people, and the endpoints that say how the exporter itself is doing.
//
// It knows nothing of how a cluster is observed. All it does with clusters is to
// ask a [fleet.Fleet] for results and to hand them to a renderer.
//
// Nobody spoils it for others: what a request waits for, what it makes and what
// it writes is bounded each by itself (see gate), and no request's body is read.
package web

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"net/url"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/singleflight"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/exposition"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/fleet"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/self"
)

// Options are what the handlers are made of. Every field is required unless its
// comment says otherwise.
type Options struct {
	Fleet *fleet.Fleet
	// Renderer of results; a reload may change it.
	Renderer func() *exposition.Renderer
	// Self is what the exporter tells of its own work.
	Self *self.Metrics
	// Config is the effective configuration as YAML, secrets masked.
	Config func() []byte
	// Reload reads the configuration again. An error says what is wrong with it,
	// and that nothing has changed.
	Reload func(context.Context) error
	// Ready says why the exporter is not ready yet, nil if it is.
	Ready func() error

	// TelemetryPath is where the metrics are: "/metrics" if empty.
	TelemetryPath string
	// Limit bounds a scrape that names no timeout, or a longer one: one minute
	// if 0.
	Limit time.Duration
	// TimeoutOffset is taken off the scraper's timeout.
	TimeoutOffset time.Duration
	// MaxRequests bounds the scrapes that are answered at the same time; 0 is no
	// bound. Waiting for clusters does not count.
	MaxRequests int

	// EnableLifecycle allows a reload by request.
	EnableLifecycle bool
	// EnablePprof serves profiles of the process under /debug/pprof/.
	EnablePprof bool
	// AdminApart moves reload, configuration, debugging pages and profiles to a
	// handler of their own.
	AdminApart bool
	// Hosts are names of the exporter beside localhost and its IP addresses, and
	// ExternalURLs where it is served by a proxy: pages for people, and what shows
	// or changes the configuration, are answered under no other name. Both may be
	// empty.
	Hosts        []string
	ExternalURLs []*url.URL
	// TrustedProxies are who is believed what X-Forwarded-Host, -Proto and -Prefix
	// say; nobody if empty.
	TrustedProxies []netip.Prefix

	// Version of the exporter, for the pages.
	Version string
	Logger  *slog.Logger
}

// CheckTelemetryPath says what is wrong with a path for the metrics.
func CheckTelemetryPath(p string) error {
	switch {
	case !strings.HasPrefix(p, "/") || path.Clean(p) != p || strings.ContainsAny(p, "{}?#% \t"):
		return fmt.Errorf("--web.telemetry-path %q is no plain absolute path such as /metrics", p)
	case slices.Contains([]string{"/", "/probe", "/sd", "/config"}, p), strings.HasPrefix(p+"/", "/-/"), strings.HasPrefix(p+"/", "/debug/pprof/"):
		return fmt.Errorf("--web.telemetry-path %q is taken by another page, choose one such as /metrics", p)
	}
	return nil
}

const (
	// maxPages is how many pages for people are made and written at the same time.
	maxPages = 8
	// maxProfiles likewise, of the process's profiles.
	maxProfiles = 2
)

// server answers the requests.
type server struct {
	Options
	hosts []string

	// What requests may do at the same time: wait for a cluster, or for all; be
	// written the series of clusters, the exporter's own, a page, a profile.
	waiting, waitingAll, scrapes, own, pages, profiles *gate
	// rendering has room for the answers that are made at the same time, preparing
	// for one that is made ahead, parted for the requests that go on though their
	// client has closed its side.
	rendering, preparing, parted chan struct{}
	refreshing                   singleflight.Group
	describing                   sync.Mutex // a status page
	// buffers are what answers are written through, compressors what pages are.
	buffers, compressors sync.Pool
}

// New returns the handler of all paths, and with AdminApart a second one of those
// that are for administrators alone, else nil.
func New(o Options) (public, admin http.Handler, err error) {
	o.TelemetryPath = cmp.Or(o.TelemetryPath, "/metrics")
	o.Limit = cmp.Or(o.Limit, time.Minute)
	if err := CheckTelemetryPath(o.TelemetryPath); err != nil {
		return nil, nil, err
	}
	if o.TimeoutOffset < 0 || o.MaxRequests < 0 {
		return nil, nil, errors.New("--timeout-offset and --web.max-requests cannot be negative")
	}
	s := &server{
		Options: o, hosts: o.names(),
		waiting: newGate(waitFactor*o.MaxRequests, 0), waitingAll: newGate(wholeFactor*o.MaxRequests, 0),
		scrapes: newGate(o.MaxRequests, stillness), own: newGate(o.MaxRequests, stillness),
		pages: newGate(maxPages, stillness), profiles: newGate(maxProfiles, stillness),
		rendering: make(chan struct{}, runtime.GOMAXPROCS(0)), preparing: make(chan struct{}, 1), parted: make(chan struct{}, maxParted),
	}
	s.buffers.New = func() any { return bufio.NewWriterSize(nil, pieceSize) }
	s.compressors.New = func() any { return gzip.NewWriter(nil) }

	mux := http.NewServeMux()
	mux.Handle("GET "+o.TelemetryPath, s.instrument(http.HandlerFunc(s.metrics)))
	mux.HandleFunc("GET /{$}", s.guard(s.status))
	mux.HandleFunc("GET /probe", s.probe(!o.AdminApart))
	mux.Handle("GET /sd", s.throughGate(s.pages, s.discovery))
	s.health(mux)
	if !o.AdminApart {
		s.administration(mux)
		return around(mux), nil, nil
	}
	apart := http.NewServeMux()
	apart.HandleFunc("GET /probe", s.probe(true))
	s.health(apart)
	s.administration(apart)
	return around(mux), around(apart), nil
}

// health adds what orchestrators ask.
func (s *server) health(mux *http.ServeMux) {
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { plain(w, "The exporter is healthy.\n") })
	mux.HandleFunc("GET /-/ready", s.ready)
}

// administration adds what shows or changes the exporter's inside.
func (s *server) administration(mux *http.ServeMux) {
	mux.Handle("GET /config", s.guard(s.throughGate(s.pages, s.config).ServeHTTP))
	// A page of somebody else cannot make a reader's browser reload the exporter.
	reload := s.sameSite(s.guard(s.reload))
	mux.Handle("POST /-/reload", reload)
	mux.Handle("PUT /-/reload", reload)
	if s.EnablePprof {
		// Not cmdline: a flag may hold credentials.
		for path, handler := range map[string]http.HandlerFunc{
			"": pprof.Index, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
		} {
			mux.Handle("GET /debug/pprof/"+path, s.guard(s.throughGate(s.profiles, handler).ServeHTTP))
		}
	}
}

// around is what is around every answer: no body is read; browsers guess no type,
// send no referrer, and load nothing that a page does not allow for itself.
func around(next http.Handler) http.Handler {
	return bodiless(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	}))
}

// plain answers with a line of text.
func plain(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, text)
}

func (s *server) ready(w http.ResponseWriter, _ *http.Request) {
	if err := s.Ready(); err != nil {
		http.Error(w, "The exporter is not ready: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	plain(w, "The exporter is ready.\n")
}

func (s *server) config(w http.ResponseWriter, _ *http.Request) {
	plain(w, string(s.Config()))
}

func (s *server) reload(w http.ResponseWriter, r *http.Request) {
	if !s.EnableLifecycle {
		http.Error(w, "Reloading by request is not enabled: start with --web.enable-lifecycle, or send SIGHUP.", http.StatusForbidden)
		return
	}
	if err := s.Reload(r.Context()); err != nil {
		http.Error(w, "Nothing was reloaded: "+err.Error(), http.StatusInternalServerError)
		return
	}
	plain(w, "The configuration was reloaded.\n")
}

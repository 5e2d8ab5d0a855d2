// Package web is the HTTP face of the exporter: the metrics, the pages for
// people, and the endpoints that say how the exporter itself is doing.
//
// It knows nothing of how a cluster is observed. All it does with clusters is to
// ask a [Fleet] for views and to hand them to a renderer.
package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/exposition"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/fleet"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/self"
)

// Options are what a handler is made of. Every field is required unless its
// comment says otherwise.
type Options struct {
	Fleet *fleet.Fleet
	// Renderer of views; a reload may change it.
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
	// MaxRequests bounds the scrapes in flight; 0 is no bound.
	MaxRequests int
	// Version of the exporter, for the pages.
	Version string
	Logger  *slog.Logger
}

// CheckTelemetryPath says what is wrong with a path for the metrics.
func CheckTelemetryPath(p string) error {
	switch {
	case !strings.HasPrefix(p, "/") || path.Clean(p) != p || strings.ContainsAny(p, "{}?#% \t"):
		return fmt.Errorf("--web.telemetry-path %q is no plain absolute path such as /metrics", p)
	case slices.Contains([]string{"/", "/probe", "/sd", "/config", "/-/healthy", "/-/ready", "/-/reload"}, p):
		return fmt.Errorf("--web.telemetry-path %q is taken by another page, choose one such as /metrics", p)
	}
	return nil
}

// server answers the requests.
type server struct {
	Options
	// slots has room for the scrapes that may be in flight, nil for any number.
	slots chan struct{}
	// buffers are what answers are written through.
	buffers sync.Pool
}

// New returns the handler of all paths.
func New(o Options) (http.Handler, error) {
	if o.TelemetryPath == "" {
		o.TelemetryPath = "/metrics"
	}
	if o.Limit <= 0 {
		o.Limit = time.Minute
	}
	if err := CheckTelemetryPath(o.TelemetryPath); err != nil {
		return nil, err
	}
	if o.TimeoutOffset < 0 || o.MaxRequests < 0 {
		return nil, errors.New("--timeout-offset and --web.max-requests cannot be negative")
	}
	s := &server{Options: o}
	s.buffers.New = func() any { return bufio.NewWriterSize(nil, writeBuffer) }
	if o.MaxRequests > 0 {
		s.slots = make(chan struct{}, o.MaxRequests)
	}

	mux := http.NewServeMux()
	mux.Handle("GET "+o.TelemetryPath, s.instrument(s.limit(http.HandlerFunc(s.metrics))))
	mux.HandleFunc("GET /-/healthy", s.healthy)
	mux.HandleFunc("GET /-/ready", s.ready)
	mux.HandleFunc("GET /{$}", s.status)
	mux.Handle("GET /probe", s.limit(http.HandlerFunc(s.probe)))
	mux.HandleFunc("GET /sd", s.discovery)
	mux.HandleFunc("GET /config", s.config)
	// A page of somebody else cannot make a reader's browser reload the exporter.
	mux.Handle("POST /-/reload", http.NewCrossOriginProtection().Handler(http.HandlerFunc(s.reload)))
	return headers(mux), nil
}

// headers sets what every answer carries: browsers guess no type, send no
// referrer, and load nothing that a page does not allow for itself.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	})
}

// plain answers with a line of text.
func plain(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, text)
}

func (s *server) healthy(w http.ResponseWriter, _ *http.Request) {
	plain(w, "The exporter is healthy.\n")
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
	if err := s.Reload(r.Context()); err != nil {
		http.Error(w, "Nothing was reloaded: "+err.Error(), http.StatusInternalServerError)
		return
	}
	plain(w, "The configuration was reloaded.\n")
}

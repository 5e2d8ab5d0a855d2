package push

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // The receiver understands it.
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// points is a Producer of so many points.
type points int

func (n points) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	data := make([]metricdata.DataPoint[float64], n)
	for i := range data {
		data[i] = metricdata.DataPoint[float64]{Attributes: attribute.NewSet(attribute.Int("n", i)), Time: time.Unix(1, 0), Value: 1}
	}
	return []metricdata.ScopeMetrics{{
		Scope:   instrumentation.Scope{Name: "test"},
		Metrics: []metricdata.Metrics{{Name: "kafka.connect.up", Data: metricdata.Gauge[float64]{DataPoints: data}}},
	}}, nil
}

// A received request.
type received struct {
	key, encoding string
	request       *collectormetrics.ExportMetricsServiceRequest
}

func (r *received) points() (n int) {
	for _, resource := range r.request.ResourceMetrics {
		for _, scope := range resource.ScopeMetrics {
			for _, m := range scope.Metrics {
				n += len(m.GetGauge().GetDataPoints())
			}
		}
	}
	return n
}

func (r *received) attributes() string {
	var all []string
	for _, kv := range r.request.ResourceMetrics[0].Resource.Attributes {
		all = append(all, kv.Key+"="+kv.Value.GetStringValue())
	}
	return strings.Join(all, " ")
}

// receive is a receiver over HTTP that hands on what it got.
func receive(t *testing.T, requests chan<- *received) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			unpacked, err := gzip.NewReader(body)
			if err != nil {
				t.Error(err)
				return
			}
			body = unpacked
		}
		all, err := io.ReadAll(body)
		if err != nil {
			return // The client has gone.
		}
		got := &received{key: r.Header.Get("Api-Key"), encoding: r.Header.Get("Content-Encoding"), request: &collectormetrics.ExportMetricsServiceRequest{}}
		if err := proto.Unmarshal(all, got.request); err != nil || r.URL.Path != "/v1/metrics" {
			t.Errorf("%s: %v", r.URL, err)
		}
		select {
		case requests <- got:
		case <-r.Context().Done():
		}
	}
}

// server is a receiver over gRPC.
type server struct {
	collectormetrics.UnimplementedMetricsServiceServer
	export func(context.Context, *collectormetrics.ExportMetricsServiceRequest) error
}

func (s *server) Export(ctx context.Context, r *collectormetrics.ExportMetricsServiceRequest) (*collectormetrics.ExportMetricsServiceResponse, error) {
	return &collectormetrics.ExportMetricsServiceResponse{}, s.export(ctx, r)
}

func serveGRPC(t *testing.T, certificate *tls.Config, export func(context.Context, *collectormetrics.ExportMetricsServiceRequest) error) *url.URL {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &url.URL{Scheme: "http", Host: listener.Addr().String()}
	var options []grpc.ServerOption
	if certificate != nil {
		u.Scheme = "https"
		options = append(options, grpc.Creds(credentials.NewTLS(certificate)))
	}
	s := grpc.NewServer(options...)
	collectormetrics.RegisterMetricsServiceServer(s, &server{export: export})
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return u
}

// logs is where a test's log goes.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// options are those of the tests: often, and not patient.
func options(endpoint *url.URL, log *logs) Options {
	return Options{
		Endpoint: endpoint, Protocol: HTTP, Headers: map[string]string{"api-key": "secret", "authorization": "Bearer hunter2"}, Interval: 10 * time.Millisecond,
		Timeout: 10 * time.Second, Produce: time.Second, Attributes: map[string]string{"service.name": "test"}, Version: "1.2.3",
		Producer: points(1), Logger: slog.New(slog.NewTextHandler(log, nil)),
	}
}

func start(t *testing.T, o Options) *Pusher {
	t.Helper()
	p, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// stop shuts down without waiting for a receiver that does not answer.
func stop(t *testing.T, p *Pusher) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := p.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func endpoint(t *testing.T, s *httptest.Server) *url.URL {
	u, err := url.Parse(s.URL + "/v1/metrics")
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestPush(t *testing.T) {
	// What the libraries would read by themselves, against what is configured.
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=other")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "gzip")
	for _, protocol := range []string{HTTP, GRPC} {
		for _, zip := range []bool{false, true} {
			for _, secure := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s gzip=%v tls=%v", protocol, zip, secure), func(t *testing.T) {
					requests := make(chan *received, 1000)
					var log logs
					var o Options
					// Over gRPC, this is only where a certificate comes from.
					s := httptest.NewUnstartedServer(receive(t, requests))
					if secure {
						s.StartTLS()
					} else {
						s.Start()
					}
					defer s.Close()
					if protocol == GRPC {
						o = options(serveGRPC(t, s.TLS, func(ctx context.Context, r *collectormetrics.ExportMetricsServiceRequest) error {
							md, _ := metadata.FromIncomingContext(ctx)
							got := &received{key: strings.Join(md["api-key"], ","), request: r}
							select {
							case requests <- got:
							case <-ctx.Done():
							}
							return nil
						}), &log)
					} else {
						o = options(endpoint(t, s), &log)
					}
					if secure {
						authorities := x509.NewCertPool()
						authorities.AddCert(s.Certificate())
						o.TLS = &tls.Config{RootCAs: authorities}
					}
					o.Protocol, o.Gzip = protocol, zip
					exported := make(chan bool, 1000)
					o.Exported = func(succeeded bool) { exported <- succeeded }
					p := start(t, o)
					for range 3 {
						got := <-requests
						if got.points() != 1 || got.key != "secret" || got.attributes() != "service.name=test service.version=1.2.3" ||
							protocol == HTTP && (got.encoding == "gzip") != zip {
							t.Errorf("received %+v", got)
						}
						if !<-exported {
							t.Error("counted as a failure")
						}
					}
					stop(t, p)
					if log.String() != "" {
						t.Errorf("logged %s", &log)
					}
				})
			}
		}
	}
}

// TestShutdownSendsOnceMore: what happened since the last export is not lost.
func TestShutdownSendsOnceMore(t *testing.T) {
	requests := make(chan *received, 1)
	s := httptest.NewServer(receive(t, requests))
	defer s.Close()
	o := options(endpoint(t, s), &logs{})
	o.Interval = time.Hour
	p := start(t, o)
	if err := p.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if got := <-requests; got.points() != 1 {
		t.Errorf("received %+v", got)
	}
}

func TestBatches(t *testing.T) {
	requests := make(chan *received)
	s := httptest.NewServer(receive(t, requests))
	defer s.Close()
	o := options(endpoint(t, s), &logs{})
	o.Producer, o.Gzip = points(2*maxBatch+1), true
	p := start(t, o)
	var sizes []int
	for range 3 {
		sizes = append(sizes, (<-requests).points())
	}
	if want := []int{maxBatch, maxBatch, 1}; fmt.Sprint(sizes) != fmt.Sprint(want) {
		t.Errorf("batches of %v points, not %v", sizes, want)
	}
	stop(t, p)
}

// TestReceivers: whatever a receiver does is counted each time and logged once,
// and over as soon as it does better.
func TestReceivers(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("credentials follow a redirect: %v", r.Header)
	}))
	defer elsewhere.Close()
	for name, bad := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"4xx": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "no\nsuch "+strings.Repeat("thing ", 1000), http.StatusBadRequest)
		}, "400 Bad Request (body: no such thing"},
		"5xx": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "broken", http.StatusInternalServerError) }, "500 Internal Server Error"},
		"repeats": {func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "no key "+r.Header.Get("api-key")+", no "+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), http.StatusUnauthorized)
		}, "no key <secret>, no <secret>"},
		"busy":   {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "later", http.StatusServiceUnavailable) }, "later"},
		"slow":   {func(_ http.ResponseWriter, r *http.Request) { <-drained(r).Done() }, "deadline exceeded"},
		"hangup": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, "307 Temporary Redirect"},
	} {
		t.Run(name, func(t *testing.T) {
			var well atomic.Bool
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !well.Load() {
					bad.answer(w, r)
				}
			}))
			defer s.Close()
			var log logs
			o := options(endpoint(t, s), &log)
			o.Timeout = 50 * time.Millisecond
			outcomes := make(chan bool, 1000)
			o.Exported = func(succeeded bool) { outcomes <- succeeded }
			p := start(t, o)
			for range 3 {
				if <-outcomes {
					t.Fatal("counted as a success")
				}
			}
			well.Store(true)
			for !<-outcomes {
			}
			stop(t, p)
			text := log.String()
			if strings.Count(text, "level=WARN") != 1 || strings.Count(text, "level=INFO") != 1 || strings.Count(text, "\n") != 2 || !strings.Contains(text, bad.want) {
				t.Errorf("logged\n%s", text)
			}
			if strings.Contains(strings.ReplaceAll(text, "<secret>", ""), "secret") || strings.Contains(text, "hunter2") || len(text) > 2000 {
				t.Errorf("logged too much\n%s", text)
			}
		})
	}
}

// drained reads a request, so that the server notices when the client leaves.
func drained(r *http.Request) context.Context {
	_, _ = io.Copy(io.Discard, r.Body)
	return r.Context()
}

// TestNobodyThere: a receiver that is gone costs one warning, and its return
// none of what the exporter does.
func TestNobodyThere(t *testing.T) {
	for _, protocol := range []string{HTTP, GRPC} {
		t.Run(protocol, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			address := listener.Addr().String()
			if err := listener.Close(); err != nil {
				t.Fatal(err)
			}
			var log logs
			o := options(&url.URL{Scheme: "http", Host: address, Path: "/v1/metrics"}, &log)
			o.Protocol, o.Timeout = protocol, 50*time.Millisecond
			outcomes := make(chan bool, 1000)
			o.Exported = func(succeeded bool) { outcomes <- succeeded }
			p := start(t, o)
			for range 3 {
				if <-outcomes {
					t.Fatal("counted as a success")
				}
			}
			stop(t, p)
			if text := log.String(); strings.Count(text, "level=WARN") != 1 || strings.Count(text, "\n") != 1 {
				t.Errorf("logged\n%s", text)
			}
		})
	}
}

func TestRefusedOverGRPC(t *testing.T) {
	var well atomic.Bool
	var log logs
	o := options(serveGRPC(t, nil, func(context.Context, *collectormetrics.ExportMetricsServiceRequest) error {
		if well.Load() {
			return nil
		}
		return status.Error(codes.Unauthenticated, "who are you?")
	}), &log)
	o.Protocol = GRPC
	outcomes := make(chan bool, 1000)
	o.Exported = func(succeeded bool) { outcomes <- succeeded }
	p := start(t, o)
	for range 3 {
		if <-outcomes {
			t.Fatal("counted as a success")
		}
	}
	well.Store(true)
	for !<-outcomes {
	}
	stop(t, p)
	if text := log.String(); strings.Count(text, "level=WARN") != 1 || strings.Count(text, "level=INFO") != 1 || !strings.Contains(text, "who are you?") {
		t.Errorf("logged\n%s", text)
	}
}

// TestASlowReceiverCostsOneTimeout: the other batches of the cycle are not
// tried, or a large fleet would wait for each.
func TestASlowReceiverCostsOneTimeout(t *testing.T) {
	var requests atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		<-drained(r).Done()
	}))
	defer s.Close()
	o := options(endpoint(t, s), &logs{})
	cycles := &counted{Producer: points(2*maxBatch + 1)}
	o.Timeout, o.Producer = 300*time.Millisecond, cycles
	outcomes := make(chan bool, 1000)
	o.Exported = func(succeeded bool) { outcomes <- succeeded }
	p := start(t, o)
	for range 6 {
		if <-outcomes {
			t.Fatal("counted as a success")
		}
	}
	stop(t, p)
	if n, most := requests.Load(), cycles.n.Load(); n == 0 || n > most {
		t.Errorf("%d requests in %d cycles", n, most)
	}
}

// counted counts how often a producer is asked.
type counted struct {
	metric.Producer
	n atomic.Int64
}

func (c *counted) Produce(ctx context.Context) ([]metricdata.ScopeMetrics, error) {
	c.n.Add(1)
	return c.Producer.Produce(ctx)
}

func TestWrongOptions(t *testing.T) {
	o := options(&url.URL{Scheme: "http", Host: "127.0.0.1:1", User: url.UserPassword("me", "hidden")}, &logs{})
	o.Protocol = "http/json"
	_, err := Start(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), `unknown protocol "http/json"`) || strings.Contains(err.Error(), "hidden") {
		t.Errorf("error is %v", err)
	}
}

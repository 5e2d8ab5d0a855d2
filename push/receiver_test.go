package push

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/internal/testlog"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/internal/testmain"
)

func TestMain(m *testing.M) {
	testmain.Parallel(16)
	goleak.VerifyTestMain(m)
}

// parts is a source: each export has so many parts of two points that tell which
// export they are of.
type parts struct {
	n       int
	exports atomic.Int64
}

func (p *parts) Produce(context.Context) iter.Seq[*metrics.ScopeMetrics] {
	export := strconv.FormatInt(p.exports.Add(1), 10)
	return func(yield func(*metrics.ScopeMetrics) bool) {
		for range p.n {
			point := &metrics.NumberDataPoint{
				Attributes: []*common.KeyValue{{Key: "export", Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: export}}}},
				Value:      &metrics.NumberDataPoint_AsDouble{AsDouble: 1},
			}
			ended := &metrics.NumberDataPoint{Attributes: point.Attributes, Flags: 1}
			if !yield(&metrics.ScopeMetrics{Metrics: []*metrics.Metric{{
				Name: "kafka.connect.up", Data: &metrics.Metric_Gauge{Gauge: &metrics.Gauge{DataPoints: []*metrics.NumberDataPoint{point, ended}}},
			}}}) {
				return
			}
		}
	}
}

// A received request.
type received struct {
	headers  map[string]string // key, authorization, agent, encoding
	resource string
	export   string
	points   int // that have a value, and ended ones
	ended    int
}

func newReceived(headers map[string]string, request *collector.ExportMetricsServiceRequest) *received {
	r := &received{headers: headers}
	for _, of := range request.ResourceMetrics {
		var pairs []string
		for _, kv := range of.Resource.Attributes {
			pairs = append(pairs, kv.Key+"="+kv.Value.GetStringValue())
		}
		r.resource = strings.Join(pairs, " ")
		for _, scope := range of.ScopeMetrics {
			for _, m := range scope.Metrics {
				for _, p := range m.GetGauge().DataPoints {
					r.export = p.Attributes[0].Value.GetStringValue()
					r.points++
					if p.Flags == 1 && p.Value == nil {
						r.ended++
					}
				}
			}
		}
	}
	return r
}

// A receiver takes OTLP at a port of its own, by HTTP or gRPC, unless a test says
// how it does not.
type receiver struct {
	t        *testing.T
	protocol string
	url      *url.URL
	requests chan *received

	// connection is what becomes of a new connection, answerHTTP and answerGRPC
	// of a request; nil is what they should.
	connection atomic.Pointer[func(net.Conn)]
	answerHTTP atomic.Pointer[http.HandlerFunc]
	answerGRPC atomic.Pointer[func(context.Context) (*collector.ExportMetricsServiceResponse, error)]

	goesAway atomic.Bool // each connection ends after a request, as HTTP/2 does it

	mu     sync.Mutex
	points map[string]int // taken, by export
}

// receive starts a receiver; certificate is nil without TLS.
func receive(t *testing.T, protocol string, certificate *tls.Config) *receiver {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{
		t: t, protocol: protocol, requests: make(chan *received, 10_000), points: map[string]int{},
		url: &url.URL{Scheme: "http", Host: listener.Addr().String(), Path: "/v1/metrics"},
	}
	if certificate != nil {
		r.url.Scheme = "https"
	}
	front := &front{Listener: listener, fault: &r.connection}
	if protocol == HTTP {
		s := httptest.NewUnstartedServer(http.HandlerFunc(r.serveHTTP))
		s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		_ = s.Listener.Close()
		s.Listener = front
		if certificate != nil {
			s.TLS = certificate
			s.EnableHTTP2 = true
			s.StartTLS()
		} else {
			s.Start()
		}
		t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
		return r
	}
	options := []grpc.ServerOption{grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: 30 * time.Millisecond, MaxConnectionAgeGrace: time.Second})}
	if certificate != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(certificate)))
	}
	s := grpc.NewServer(options...)
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "opentelemetry.proto.collector.metrics.v1.MetricsService", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Export", Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			request := &collector.ExportMetricsServiceRequest{}
			if err := decode(request); err != nil {
				return nil, err
			}
			return r.serveGRPC(ctx, request)
		}}},
	}, nil)
	served := make(chan error, 1)
	go func() { served <- s.Serve(front) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return r
}

// front hands connections to the server behind it, or to a fault.
type front struct {
	net.Listener
	fault *atomic.Pointer[func(net.Conn)]
	group sync.WaitGroup
	mu    sync.Mutex
	open  []net.Conn
}

func (f *front) Accept() (net.Conn, error) {
	for {
		c, err := f.Listener.Accept()
		if err != nil {
			return nil, err
		}
		fault := f.fault.Load()
		if fault == nil {
			return c, nil
		}
		f.mu.Lock()
		f.open = append(f.open, c)
		f.mu.Unlock()
		f.group.Go(func() {
			(*fault)(c)
			_ = c.Close()
		})
	}
}

// Close ends the faults, too.
func (f *front) Close() error {
	err := f.Listener.Close()
	f.mu.Lock()
	for _, c := range f.open {
		_ = c.Close()
	}
	f.mu.Unlock()
	f.group.Wait()
	return err
}

func (r *receiver) serveHTTP(w http.ResponseWriter, request *http.Request) {
	if answer := r.answerHTTP.Load(); answer != nil {
		(*answer)(w, request)
		return
	}
	if r.goesAway.Load() {
		w.Header().Set("Connection", "close")
		if request.ProtoMajor != 2 {
			r.t.Errorf("a request came by %s", request.Proto)
		}
	}
	body := io.Reader(request.Body)
	if request.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			return
		}
		body = unpacked
	}
	all, err := io.ReadAll(body)
	if err != nil {
		return // The client has gone.
	}
	var message collector.ExportMetricsServiceRequest
	if err := proto.Unmarshal(all, &message); err != nil || request.URL.Path != "/v1/metrics" || request.Header.Get("Content-Type") != protobufType {
		r.t.Errorf("%s: %v", request.URL, err)
	}
	r.take(newReceived(map[string]string{
		"key": request.Header.Get("Api-Key"), "authorization": request.Header.Get("Authorization"), "agent": request.Header.Get("User-Agent"), "encoding": request.Header.Get("Content-Encoding"),
	}, &message))
}

func (r *receiver) serveGRPC(ctx context.Context, request *collector.ExportMetricsServiceRequest) (*collector.ExportMetricsServiceResponse, error) {
	if answer := r.answerGRPC.Load(); answer != nil {
		return (*answer)(ctx)
	}
	md, _ := metadata.FromIncomingContext(ctx)
	agent, _, _ := strings.Cut(strings.Join(md["user-agent"], ","), " grpc-go/")
	r.take(newReceived(map[string]string{
		"key": strings.Join(md["api-key"], ","), "authorization": strings.Join(md["authorization"], ","), "agent": agent,
		"encoding": strings.Join(md["grpc-accept-encoding"], ","),
	}, request))
	return &collector.ExportMetricsServiceResponse{}, nil
}

func (r *receiver) take(got *received) {
	r.mu.Lock()
	r.points[got.export] += got.points
	r.mu.Unlock()
	select {
	case r.requests <- got:
	default:
		r.t.Error("too many requests for a test")
	}
}

// taken is how many points of an export were taken.
func (r *receiver) taken(export int64) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.points[strconv.FormatInt(export, 10)]
}

// logs is where a test's log goes.
type logs = testlog.Log

// options are those of the tests: often, and patient.
func options(r *receiver, log *logs) Options {
	return Options{
		Endpoint: r.url, Protocol: r.protocol, Interval: 10 * time.Millisecond, Timeout: 10 * time.Second,
		Credentials: constantly(Credentials{Headers: map[string]string{
			"api-key": "secret", "authorization": "Basic c2NvdXQ6aHVudGVyMg==", // scout:hunter2
		}}),
		Attributes: map[string]string{"service.name": "test"}, Version: "1.2.3",
		Source: &parts{n: 1}, Logger: slog.New(slog.NewTextHandler(log, nil)),
	}
}

func constantly(c Credentials) func() (Credentials, error) {
	return func() (Credentials, error) { return c, nil }
}

func start(t *testing.T, o Options) *Pusher {
	t.Helper()
	p, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// stop shuts down without waiting for a receiver that does not answer.
func stop(t *testing.T, p *Pusher) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := p.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// protocols runs a test by HTTP and by gRPC, side by side.
func protocols(t *testing.T, test func(t *testing.T, protocol string)) {
	for _, protocol := range []string{HTTP, GRPC} {
		t.Run(protocol[:4], func(t *testing.T) {
			t.Parallel()
			test(t, protocol)
		})
	}
}

// outcomes has an Options tell how its exports ended.
func outcomes(o *Options) <-chan bool {
	ended := make(chan bool, 10_000)
	o.Exported = func(succeeded bool) { ended <- succeeded }
	return ended
}

// wellLogged holds a log to what is said of a failure that began and was over.
func wellLogged(t *testing.T, log *logs, recovered bool) {
	t.Helper()
	text, infos := log.String(), 0
	if recovered {
		infos = 1
		// What a busy machine does not manage in time after that is another failure.
		if begin := strings.Index(text, "level=INFO"); begin >= 0 {
			text = text[:begin+1+strings.Index(text[begin:], "\n")]
		}
	}
	if strings.Count(text, "level=WARN") != 1 || strings.Count(text, "level=INFO") != infos || strings.Count(text, "\n") != 1+infos {
		t.Errorf("logged\n%s", text)
	}
	if plain := strings.ReplaceAll(text, "<secret>", ""); strings.Contains(plain, "secret") || strings.Contains(plain, "hunter2") || strings.Contains(plain, "c2NvdXQ") || len(text) > 2000 {
		t.Errorf("logged too much\n%s", text)
	}
}

// drained reads a request, so that the server notices when the client leaves.
func drained(r *http.Request) context.Context {
	_, _ = io.Copy(io.Discard, r.Body)
	return r.Context()
}

func sprint(values ...any) string { return fmt.Sprint(values...) }

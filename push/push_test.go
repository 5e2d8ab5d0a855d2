package push

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

func TestPush(t *testing.T) {
	// What OpenTelemetry's libraries would read by themselves, against what is
	// configured.
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=other")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "gzip")
	for _, protocol := range []string{HTTP, GRPC} { // Not side by side: the environment is that of all.
		for _, zip := range []bool{false, true} {
			for _, secure := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s gzip=%v tls=%v", protocol[:4], zip, secure), func(t *testing.T) {
					var certificate, trust *tls.Config
					if secure {
						certificate, trust = certified(t, "127.0.0.1", time.Now())
					}
					r := receive(t, protocol, certificate)
					var log logs
					o := options(r, &log)
					o.Gzip = zip
					headers, _ := o.Credentials()
					o.Credentials = constantly(Credentials{Headers: headers.Headers, TLS: trust})
					exported := outcomes(&o)
					p := start(t, o)
					for range 3 {
						got := <-r.requests
						if got.points != 2 || got.ended != 1 || got.headers["key"] != "secret" || got.resource != "service.name=test service.version=1.2.3" ||
							got.headers["agent"] != "kafka-connect-exporter/1.2.3" || protocol == HTTP && (got.headers["encoding"] == "gzip") != zip {
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
	protocols(t, func(t *testing.T, protocol string) {
		r := receive(t, protocol, nil)
		o := options(r, &logs{})
		o.Interval, o.Source = time.Hour, &parts{n: 3}
		p := start(t, o)
		if err := p.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if n := r.taken(1); n != 6 {
			t.Errorf("%d points were taken", n)
		}
		if err := p.Shutdown(t.Context()); err != nil || len(r.requests) != 3 {
			t.Errorf("a second shutdown sends: %v", err)
		}
	})
}

// TestShutdownInTime: whatever the receiver does, and the source.
func TestShutdownInTime(t *testing.T) {
	t.Parallel()
	within := func(t *testing.T, p *Pusher) {
		t.Helper()
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		// Over gRPC the receiver may notice first that the time is over.
		if err := p.Shutdown(ctx); err != nil && (!errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "end the push over OTLP")) {
			t.Errorf("shutdown returns %v", err)
		}
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("shutdown took %v", took)
		}
	}
	protocols(t, func(t *testing.T, protocol string) {
		for _, name := range []string{"in flight", "idle"} {
			t.Run(name, func(t *testing.T) {
				r := receive(t, protocol, nil)
				asked := make(chan struct{}, 100)
				hangs(r, asked)
				o := options(r, &logs{})
				if name == "idle" {
					o.Interval = time.Hour
				}
				o.Source = &parts{n: 3}
				p := start(t, o)
				if name != "idle" {
					<-asked
				}
				within(t, p)
			})
		}
	})
	t.Run("source", func(t *testing.T) {
		r := receive(t, HTTP, nil)
		o := options(r, &logs{})
		release := make(chan struct{})
		asked := make(chan struct{})
		o.Source = sourceFunc(func(context.Context) { close(asked); <-release })
		p := start(t, o)
		<-asked
		within(t, p)
		close(release)
		<-p.done
	})
}

// hangs has a receiver take requests, tell of them, and never answer.
func hangs(r *receiver, asked chan<- struct{}) {
	inHTTP := http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		gone := drained(request)
		asked <- struct{}{}
		<-gone.Done()
	})
	r.answerHTTP.Store(&inHTTP)
	inGRPC := func(ctx context.Context) (*collector.ExportMetricsServiceResponse, error) {
		asked <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	r.answerGRPC.Store(&inGRPC)
}

// refuses has a receiver answer requests that it is to refuse with a status of
// either protocol, for ever or so many times.
func refuses(r *receiver, times int64, code int, header http.Header, said *status.Status) {
	var n atomic.Int64
	inHTTP := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), header)
		if n.Add(1) == times {
			r.answerHTTP.Store(nil)
		}
		http.Error(w, "not now", code)
	})
	r.answerHTTP.Store(&inHTTP)
	inGRPC := func(context.Context) (*collector.ExportMetricsServiceResponse, error) {
		if n.Add(1) == times {
			r.answerGRPC.Store(nil)
		}
		return nil, said.Err()
	}
	r.answerGRPC.Store(&inGRPC)
}

// TestRetries: what may succeed later is tried again, after the pause that the
// receiver asks for, and then nothing has failed.
func TestRetries(t *testing.T) {
	t.Parallel()
	exhausted, err := status.New(codes.ResourceExhausted, "not now").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	protocols(t, func(t *testing.T, protocol string) {
		for name, test := range map[string]struct {
			code   int
			header http.Header
			said   *status.Status
			pause  time.Duration
		}{
			"soon": {http.StatusServiceUnavailable, nil, status.New(codes.Unavailable, "not now"), retryFirst / 2},
			"told": {http.StatusTooManyRequests, http.Header{"Retry-After": {"1"}}, exhausted, time.Second},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r := receive(t, protocol, nil)
				refuses(r, 1, test.code, test.header, test.said)
				var log logs
				o := options(r, &log)
				o.Interval = time.Hour // The export is asked for.
				ended := outcomes(&o)
				p := start(t, o)
				begin := time.Now()
				p.export(t.Context(), false)
				if !<-ended || log.String() != "" {
					t.Errorf("counted as a failure: %s", &log)
				}
				if took := time.Since(begin); took < test.pause {
					t.Errorf("tried again after %v", took)
				}
				stop(t, p)
			})
		}
		t.Run("not where the next export is near", func(t *testing.T) {
			t.Parallel()
			r := receive(t, protocol, nil)
			refuses(r, 1, http.StatusServiceUnavailable, nil, status.New(codes.Unavailable, "not now"))
			o := options(r, &logs{})
			ended := outcomes(&o)
			begin := time.Now()
			p := start(t, o)
			if <-ended || time.Since(begin) > o.Timeout/2 {
				t.Errorf("waited %v", time.Since(begin))
			}
			stop(t, p)
		})
	})
}

// TestARefusalStarvesNobody: a request that is refused makes its export a failed
// one, and all others of it are sent; whether it may be tried again or not.
func TestARefusalStarvesNobody(t *testing.T) {
	protocols(t, func(t *testing.T, protocol string) {
		for name, test := range map[string]struct {
			code int
			said *status.Status
		}{
			"for good": {http.StatusBadRequest, status.New(codes.InvalidArgument, "not now")},
			"for now":  {http.StatusServiceUnavailable, status.New(codes.Aborted, "not now")},
		} {
			t.Run(name, func(t *testing.T) {
				r := receive(t, protocol, nil)
				refuses(r, 1, test.code, nil, test.said)
				var log logs
				o := options(r, &log)
				// Too short for another try.
				o.Timeout, o.Interval, o.Source = retryFirst/2, time.Hour, &parts{n: 5}
				ended := outcomes(&o)
				p := start(t, o)
				if err := p.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				if len(ended) != 1 || <-ended || r.taken(1) != 8 {
					t.Errorf("%d exports have ended, %d points were taken", len(ended), r.taken(1))
				}
				if !strings.Contains(log.String(), "requests=5 failed=1") || !strings.Contains(log.String(), "not now") {
					t.Errorf("logged %s", &log)
				}
			})
		}
	})
}

// TestASlowReceiverCostsTwoTimeouts: one request may be what it cannot bear; after
// the second the others of the export are not tried, or a large one would wait
// for each.
func TestASlowReceiverCostsTwoTimeouts(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, protocol string) {
		r := receive(t, protocol, nil)
		asked := make(chan struct{}, 1000)
		hangs(r, asked)
		o := options(r, &logs{})
		source := &parts{n: 9}
		o.Timeout, o.Source = 50*time.Millisecond, source
		ended := outcomes(&o)
		p := start(t, o)
		for range 3 {
			if <-ended {
				t.Fatal("counted as a success")
			}
		}
		stop(t, p)
		if n, most := len(asked), 2*int(source.exports.Load()); n == 0 || n > most {
			t.Errorf("%d requests in %d exports", n, most/2)
		}
	})
	t.Run("one request", func(t *testing.T) {
		t.Parallel()
		r := receive(t, HTTP, nil)
		hang := http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
			r.answerHTTP.Store(nil)
			<-drained(request).Done()
		})
		o := options(r, &logs{})
		o.Timeout = time.Second
		// On a busy machine another request may be late, too, but not in each export.
		for range 5 {
			r.answerHTTP.Store(&hang)
			o.Source = &parts{n: 9}
			ended, before := outcomes(&o), r.taken(1)
			p := start(t, o)
			if <-ended {
				t.Error("counted as a success")
			}
			taken := r.taken(1) - before
			stop(t, p)
			if taken == 16 {
				return
			}
		}
		t.Error("never is all taken but what hangs")
	})
}

// TestAnExportEnds: one that takes longer than an interval is broken off, and says
// so.
func TestAnExportEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logs
		o := options(&receiver{}, &log)
		o.Interval, o.Source, o.Endpoint = time.Minute, &parts{n: 100}, &url.URL{Scheme: "http", Host: "receiver"}
		ended := outcomes(&o)
		slow := &slow{takes: 9 * time.Second}
		p := &Pusher{options: o, logger: o.Logger, sender: slow, connected: time.Now().Add(time.Hour)}
		begin := time.Now()
		p.export(t.Context(), false)
		if took := time.Since(begin); took > time.Minute+o.Timeout || <-ended || slow.requests != 7 || !strings.Contains(log.String(), "not all is sent after 1m0s") {
			t.Errorf("%d requests in %v: %s", slow.requests, took, &log)
		}
	})
}

// slow takes every request, and its time.
type slow struct {
	takes    time.Duration
	requests int
}

func (s *slow) send(ctx context.Context, _ map[string]string, _ *collector.ExportMetricsServiceRequest) (*collector.ExportMetricsPartialSuccess, error) {
	s.requests++
	select {
	case <-time.After(s.takes):
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *slow) close() {}

// TestPartialSuccess: with a message alone it is a hint, logged once; with rejected
// points it is a loss.
func TestPartialSuccess(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, protocol string) {
		r := receive(t, protocol, nil)
		var said atomic.Pointer[collector.ExportMetricsPartialSuccess]
		said.Store(&collector.ExportMetricsPartialSuccess{ErrorMessage: "metric names want\nno dots, secret or not"})
		answers(r, said.Load)
		var log logs
		o := options(r, &log)
		o.Source = &parts{n: 2}
		ended := outcomes(&o)
		p := start(t, o)
		for range 3 {
			if !<-ended {
				t.Error("a hint is counted as a failure")
			}
		}
		if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "level=INFO") || !strings.Contains(text, "metric names want no dots, <secret> or not") {
			t.Errorf("logged\n%s", text)
		}
		said.Store(&collector.ExportMetricsPartialSuccess{RejectedDataPoints: 3, ErrorMessage: "too old"})
		for <-ended {
		}
		if <-ended {
			t.Error("a loss is counted as a success")
		}
		said.Store(nil)
		for !<-ended {
		}
		stop(t, p)
		text := log.String()
		_, text, _ = strings.Cut(text, "\n")
		if strings.Count(text, "\n") != 2 || !strings.Contains(text, "level=WARN") || !strings.Contains(text, "the receiver rejected 3 data points: too old") {
			t.Errorf("logged\n%s", text)
		}
	})
}

// TestRotation: headers and TLS of the next export are those that there are then.
func TestRotation(t *testing.T) {
	protocols(t, func(t *testing.T, protocol string) {
		var serving atomic.Pointer[tls.Config]
		first, trustsFirst := certified(t, "127.0.0.1", time.Now())
		serving.Store(first)
		r := receive(t, protocol, &tls.Config{NextProtos: []string{"h2"}, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return serving.Load(), nil }, Certificates: first.Certificates})
		var log logs
		o := options(r, &log)
		var (
			mu         sync.Mutex
			current    = Credentials{Headers: map[string]string{"api-key": "first"}, TLS: trustsFirst, Version: "1"}
			unreadable error
		)
		rotate := func(c Credentials, err error) {
			mu.Lock()
			defer mu.Unlock()
			current, unreadable = c, err
		}
		o.Credentials = func() (Credentials, error) {
			mu.Lock()
			defer mu.Unlock()
			return current, unreadable
		}
		o.Timeout = 200 * time.Millisecond
		ended := outcomes(&o)
		p := start(t, o)
		arrives := func(key string) {
			t.Helper()
			for range 2000 {
				if got := <-r.requests; got.headers["key"] == key {
					return
				}
			}
			t.Fatalf("%s does not arrive", key)
		}
		arrives("first")
		rotate(Credentials{Headers: map[string]string{"api-key": "second"}, TLS: trustsFirst, Version: "1"}, nil)
		arrives("second")
		// In the middle of a rotation nothing can be read: it goes on.
		rotate(Credentials{}, errors.New("otlp.headers_files.api-key: token cannot be read"))
		for !strings.Contains(log.String(), "cannot be read") {
			<-r.requests
		}
		arrives("second")
		rotate(Credentials{Headers: map[string]string{"api-key": "third"}, TLS: trustsFirst, Version: "1"}, nil)
		arrives("third")
		// Another authority: the receiver has it first, then this side.
		second, trustsSecond := certified(t, "127.0.0.1", time.Now())
		serving.Store(second)
		rotate(Credentials{Headers: map[string]string{"api-key": "fourth"}, TLS: trustsFirst, Version: "half"}, nil)
		for <-ended {
		}
		rotate(Credentials{Headers: map[string]string{"api-key": "fifth"}, TLS: trustsSecond, Version: "2"}, nil)
		arrives("fifth")
		for !<-ended {
		}
		stop(t, p)
		text := log.String()
		if strings.Count(text, "level=WARN") != 2 || strings.Count(text, "level=INFO") != 2 || !strings.Contains(text, "certificate signed by unknown authority") {
			t.Errorf("logged\n%s", text)
		}
	})
}

// TestConnectionsHaveALifetime: a name that leads elsewhere is followed.
func TestConnectionsHaveALifetime(t *testing.T) {
	r := receive(t, HTTP, nil)
	o := options(r, &logs{})
	o.Interval = time.Hour
	p := start(t, o)
	before := p.sender
	p.refresh(t.Context())
	if p.sender != before {
		t.Error("a young connection is not used on")
	}
	p.connected = time.Now().Add(-2 * lifetime)
	p.refresh(t.Context())
	if p.sender == before {
		t.Error("an old connection is used on")
	}
	stop(t, p)
}

func TestWrongOptions(t *testing.T) {
	o := options(&receiver{protocol: "http/json", url: &url.URL{Scheme: "http", Host: "127.0.0.1:1", User: url.UserPassword("me", "hidden")}}, &logs{})
	if _, err := Start(o); err == nil || !strings.Contains(err.Error(), `unknown protocol "http/json"`) || strings.Contains(err.Error(), "hidden") {
		t.Errorf("error is %v", err)
	}
	o.Protocol, o.Credentials = HTTP, func() (Credentials, error) { return Credentials{}, errors.New("no file") }
	if _, err := Start(o); err == nil || !strings.Contains(err.Error(), "no file") {
		t.Errorf("error is %v", err)
	}
}

// TestSecretsAreHidden: in whatever form a receiver repeats them.
func TestSecretsAreHidden(t *testing.T) {
	p := &Pusher{
		options: Options{Logger: slog.New(slog.DiscardHandler), Endpoint: &url.URL{Scheme: "https", Host: "receiver"}},
		credentials: Credentials{Headers: map[string]string{
			"authorization": "Basic c2NvdXQ6aHVu/GVyMg==", "api-key": `k3y "quoted"/x`, "short": "a",
		}},
	}
	for text, want := range map[string]string{
		"no user for Basic c2NvdXQ6aHVu/GVyMg==":     "no user for <secret>",
		"no user for c2NvdXQ6aHVu/GVyMg==, basic":    "no user for <secret>, basic",
		`header "k3y \"quoted\"/x" is`:               `header "<secret>" is`,
		"?key=k3y+%22quoted%22%2Fx&a":                "?key=<secret>&a",
		"a\nb\u2028\xffc" + strings.Repeat("d", 400): "a b \uFFFDc" + strings.Repeat("d", 300-8) + "… (408 bytes)",
	} {
		if got := p.brief(errors.New(text)); got != want {
			t.Errorf("%q\nis %q\nnot %q", text, got, want)
		}
	}
}

// A proxy may repeat what it was shown, too.
func TestProxyAuthorization(t *testing.T) {
	find := func(r *http.Request) (*url.URL, error) {
		if r.URL.Scheme != "https" {
			return nil, nil
		}
		return &url.URL{Scheme: "http", Host: "proxy:3128", User: url.UserPassword("scout", "hunter2")}, nil
	}
	const want = "Basic c2NvdXQ6aHVudGVyMg=="
	for _, test := range []struct{ endpoint, protocol, want string }{
		{"https://receiver", HTTP, want}, {"http://receiver", HTTP, ""}, {"http://receiver", GRPC, want}, {"https://receiver", GRPC, want},
	} {
		endpoint, err := url.Parse(test.endpoint)
		if err != nil {
			t.Fatal(err)
		}
		if got := proxyAuthorization(&Options{Endpoint: endpoint, Protocol: test.protocol}, find); got != test.want {
			t.Errorf("%s by %s: %q", test.endpoint, test.protocol, got)
		}
	}
	if got := strings.NewReplacer(secrets(map[string]string{"Proxy-Authorization": want})...).Replace("407 hunter2 c2NvdXQ6aHVudGVyMg=="); got != "407 <secret> <secret>" {
		t.Error(got)
	}
}

// certified returns a certificate of a host that a new authority made, valid for
// an hour from then, and who trusts it.
func certified(t *testing.T, host string, from time.Time) (server, client *tls.Config) {
	t.Helper()
	certificate := selfSigned(t, host, from)
	pool := x509.NewCertPool()
	pool.AddCert(certificate.Leaf)
	return &tls.Config{Certificates: []tls.Certificate{certificate}}, &tls.Config{RootCAs: pool}
}

// answers has a receiver answer what said returns.
func answers(r *receiver, said func() *collector.ExportMetricsPartialSuccess) {
	inHTTP := http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		drained(request)
		w.Header().Set("Content-Type", protobufType)
		_, _ = w.Write(marshal(&collector.ExportMetricsServiceResponse{PartialSuccess: said()}))
	})
	r.answerHTTP.Store(&inHTTP)
	inGRPC := func(context.Context) (*collector.ExportMetricsServiceResponse, error) {
		return &collector.ExportMetricsServiceResponse{PartialSuccess: said()}, nil
	}
	r.answerGRPC.Store(&inGRPC)
}

// TestCredentialsFollowNoRedirect: to wherever, and by whatever status.
func TestCredentialsFollowNoRedirect(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a redirect is followed: %s %v", r.Method, r.Header)
	}))
	defer elsewhere.Close()
	for _, code := range []int{301, 302, 303, 307, 308} {
		for _, to := range []string{elsewhere.URL, "/v2/metrics"} {
			r := receive(t, HTTP, nil)
			redirect := http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
				if request.URL.Path != "/v1/metrics" {
					t.Errorf("a redirect to %s is followed", request.URL)
				}
				http.Redirect(w, request, to, code)
			})
			r.answerHTTP.Store(&redirect)
			var log logs
			o := options(r, &log)
			ended := outcomes(&o)
			p := start(t, o)
			if <-ended || strings.Contains(log.String(), elsewhere.URL) || !strings.Contains(log.String(), "the receiver answered "+sprint(code)) {
				t.Errorf("%d: %s", code, &log)
			}
			stop(t, p)
		}
	}
}

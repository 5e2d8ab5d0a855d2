package push

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"io"
	"iter"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	rpc "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// A fault is what a receiver does instead of taking metrics.
type fault struct {
	// One of these: what becomes of connections, or of requests.
	connection func(net.Conn)
	http       http.HandlerFunc
	grpc       func(context.Context) (*collector.ExportMetricsServiceResponse, error)
	// want is part of what is logged; "" where it depends on who is first.
	want string
	// patient is how long requests may take: short where a fault hangs.
	patient time.Duration
}

const (
	// impatient leaves no time for an answer.
	impatient = 50 * time.Millisecond
	// calm is enough on a busy machine. Nothing is tried again meanwhile: the next
	// export is near.
	calm = 10 * time.Second
)

// TestFaults: whatever a receiver does is counted once for each export and logged
// once, ends in time, costs little memory, and is over when it is: the next export
// arrives whole.
func TestFaults(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, protocol string) {
		faults := map[string]fault{}
		ofConnections(faults)
		if protocol == HTTP {
			ofHTTP(t, faults)
		} else {
			ofGRPC(faults)
		}
		for name, f := range faults {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r := receive(t, protocol, nil)
				good := func() {
					r.connection.Store(nil)
					r.answerHTTP.Store(nil)
					r.answerGRPC.Store(nil)
				}
				if f.connection != nil {
					r.connection.Store(&f.connection)
				}
				if f.http != nil {
					r.answerHTTP.Store(&f.http)
				}
				if f.grpc != nil {
					r.answerGRPC.Store(&f.grpc)
				}
				withstand(t, r, f, nil, good)
			})
		}
	})
}

// withstand pushes to a receiver that has a fault, then to a good one.
func withstand(t *testing.T, r *receiver, f fault, trust *tls.Config, good func()) {
	t.Helper()
	var log logs
	o := options(r, &log)
	c, _ := o.Credentials()
	c.TLS = trust
	source := &parts{n: 3}
	o.Timeout, o.Credentials, o.Source, o.Gzip = f.patient, constantly(c), source, true
	ended := outcomes(&o)
	begin := time.Now()
	p := start(t, o)
	n := int64(0)
	for range 2 {
		if n++; <-ended {
			t.Fatal("counted as a success")
		}
	}
	if took := time.Since(begin); took > 2*2*f.patient+3*time.Second {
		t.Errorf("two exports took %v", took)
	}
	good()
	for n++; !<-ended; n++ {
		if n > 500 {
			t.Fatalf("does not succeed again: %s", &log)
		}
	}
	if points := r.taken(n); points != 6 {
		t.Errorf("of the next good export %d points were taken, not 6", points)
	}
	stop(t, p)
	if produced := source.exports.Load(); produced < n || produced > n+int64(len(ended))+2 {
		t.Errorf("%d exports have begun, %d outcomes are told", produced, n+int64(len(ended)))
	}
	wellLogged(t, &log, true)
	if !strings.Contains(log.String(), f.want) {
		t.Errorf("logged\n%s\nwithout %q", &log, f.want)
	}
}

// ofConnections are faults that know no protocol.
func ofConnections(faults map[string]fault) {
	add := func(name, want string, do func(net.Conn)) {
		faults[name] = fault{connection: do, want: want, patient: impatient}
	}
	add("hangs up", "", func(net.Conn) {})
	add("resets", "", func(c net.Conn) {
		_, _ = io.ReadFull(c, make([]byte, 20))
		_ = c.(*net.TCPConn).SetLinger(0)
	})
	add("says nothing", "no answer within 50ms", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	add("reads nothing", "no answer within 50ms", func(c net.Conn) {
		for c.SetDeadline(time.Now().Add(time.Minute)) == nil { // Until it is closed.
			time.Sleep(5 * time.Millisecond)
		}
	})
	add("speaks SSH", "", func(c net.Conn) {
		_, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.2p1\r\n")
		_, _ = io.Copy(io.Discard, c)
	})
	add("never stops talking", "", func(c net.Conn) {
		go func() { _, _ = io.Copy(io.Discard, c) }()
		noise := bytes.Repeat([]byte("HTTP/1.1 "), 1000)
		for {
			if _, err := c.Write(noise); err != nil {
				return
			}
		}
	})
}

// raw reads a request and answers with bytes, then goes on.
func raw(answer string, then func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		request, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, request.Body)
		if _, err := io.WriteString(c, answer); err == nil && then != nil {
			then(c)
		}
	}
}

func ofHTTP(t *testing.T, faults map[string]fault) {
	stays := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	repeats := func(text string, pause time.Duration) func(net.Conn) {
		return func(c net.Conn) {
			for {
				if _, err := io.WriteString(c, text); err != nil {
					return
				}
				time.Sleep(pause)
			}
		}
	}
	packed := bomb()
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, f := range map[string]fault{
		"breaks off in the body":      {connection: raw(ok+"Content-Length: 100\r\n\r\nabc", nil), want: "breaks off"},
		"hangs in the headers":        {connection: raw(ok+"Content-Type", stays), want: "no answer within 50ms"},
		"hangs in the body":           {connection: raw(ok+"Content-Length: 100\r\n\r\nabc", stays), want: "no answer within 50ms"},
		"drips for ever":              {connection: raw(ok+"Transfer-Encoding: chunked\r\n\r\n", repeats("1\r\na\r\n", 5*time.Millisecond)), want: "no answer within 50ms"},
		"gives a negative length":     {connection: raw(ok+"Content-Length: -1\r\n\r\n", nil), want: "Content-Length"},
		"gives two lengths":           {connection: raw(ok+"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", nil), want: "Content-Length"},
		"sends wrong chunks":          {connection: raw(ok+"Transfer-Encoding: chunked\r\n\r\nzz\r\n", stays), want: "breaks off"},
		"sends 103 for ever":          {connection: raw("", repeats("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 0)), want: "headers exceeded"},
		"sends headers for ever":      {connection: raw(ok, repeats("X-Bomb: "+strings.Repeat("b", 1000)+"\r\n", 0)), want: "headers exceeded"},
		"has a status of four digits": {connection: raw("HTTP/1.1 2000 OK\r\n\r\n", nil), want: "malformed HTTP"},
	} {
		if f.patient = calm; strings.HasPrefix(f.want, "no answer") {
			f.patient = impatient
		}
		faults[name] = f
	}
	faults["switches protocols (101)"] = fault{connection: raw("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", stays), want: "the receiver answered 101", patient: calm}

	answer := func(code int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			drained(r)
			w.Header().Set("Content-Type", kind)
			if kind == "" {
				w.Header()["Content-Type"] = nil
			}
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	said := func(m proto.Message) string { return string(marshal(m)) }
	const page = "<!DOCTYPE html>\n<html><head><title>Sign in</title>"
	const notOTLP = "not as OTLP does"
	for name, f := range map[string]fault{
		"200 with HTML":                   {http: answer(200, "text/html; charset=utf-8", page), want: "it is a page"},
		"200 with HTML, untyped":          {http: answer(200, "", " \r\n"+page), want: "it is a page"},
		"200 with HTML, as protobuf":      {http: answer(200, protobufType, page), want: "it is a page"},
		"202 with HTML, empty":            {http: answer(202, "text/html", ""), want: "it is a page"},
		"200 with text":                   {http: answer(200, "text/plain", "default backend"), want: "15 bytes of text/plain"},
		"200 with other JSON":             {http: answer(200, "application/json", `{"error":"no such tenant"}`), want: notOTLP},
		"200 with JSON nested 3,000 deep": {http: answer(200, "application/json", strings.Repeat(`{"partialSuccess":`, 3000)), want: notOTLP},
		"200 with noise":                  {http: answer(200, protobufType, "\xff\xfe\x00noise"), want: notOTLP},
		"rejects points, in JSON":         {http: answer(200, "application/json", `{"partialSuccess":{"rejectedDataPoints":"2","errorMessage":"too old"}}`), want: "the receiver rejected 2 data points: too old"},
		"rejects points, with a charset":  {http: answer(200, protobufType+"; charset=utf-8", said(&collector.ExportMetricsServiceResponse{PartialSuccess: &collector.ExportMetricsPartialSuccess{RejectedDataPoints: 1}})), want: "the receiver rejected 1 data points"},
		"503 with HTML":                   {http: answer(503, "text/html", page), want: "503 Service Unavailable (a page of 50 bytes)", patient: calm},
		"429":                             {http: answer(429, "text/plain", "later"), want: "429 Too Many Requests (later)", patient: calm},
		"400 with protobuf":               {http: answer(400, protobufType, said(&rpc.Status{Code: 3, Message: "no tenant"})), want: "400 Bad Request (no tenant)"},
		"401":                             {http: answer(401, "text/plain", ""), want: "401 Unauthorized (without a word)"},
		"403":                             {http: answer(403, "application/json", `{"message":"no"}`), want: "403 Forbidden"},
		"404":                             {http: answer(404, "text/plain", "404 page not found\n"), want: "404 page not found"},
		"409":                             {http: answer(409, "", "conflict"), want: "409 Conflict (conflict)"},
		"413":                             {http: answer(413, "", "too large"), want: "413 Request Entity Too Large"},
		"500":                             {http: answer(500, "", "broken"), want: "500 Internal Server Error (broken)"},
		"302":                             {http: answer(302, "", ""), want: "302 Found"},
		"999":                             {http: answer(999, "", ""), want: "the receiver answered 999"},
		"refuses at great length":         {http: answer(400, "", "no\nsuch "+strings.Repeat("thing ", 100_000)), want: "(no such thing"},
		"refuses with control characters": {http: answer(400, "", "\x1b[2J\u202e\xff\x00"), want: `(\x1b[2J\u202e`},
		"repeats the headers": {http: func(w http.ResponseWriter, r *http.Request) {
			drained(r)
			http.Error(w, "no key "+r.Header.Get("Api-Key")+", no "+r.Header.Get("Authorization")+", scout, hunter2", http.StatusUnauthorized)
		}, want: "no key <secret>, no <secret>, scout, <secret>"},
		"answers 200 for ever": {http: func(w http.ResponseWriter, r *http.Request) {
			drained(r)
			sent := 0
			for {
				n, err := w.Write(make([]byte, 1<<16))
				if sent += n; err != nil {
					break
				}
				if sent > 32<<20 {
					t.Error("an endless body is read on")
					break
				}
			}
		}, want: "longer than 64 KiB"},
		"answers 200 with a gzip bomb": {http: func(w http.ResponseWriter, r *http.Request) {
			drained(r)
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(packed)
		}, want: "longer than 64 KiB"},
		"resets after it has read": {http: func(w http.ResponseWriter, r *http.Request) {
			drained(r)
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = c.(*net.TCPConn).SetLinger(0)
				_ = c.Close()
			}
		}, patient: calm},
		"reads and never answers": {http: func(_ http.ResponseWriter, r *http.Request) { <-drained(r).Done() }, want: "no answer within 50ms", patient: impatient},
	} {
		if f.patient == 0 {
			f.patient = calm
		}
		faults[name] = f
	}
}

// words of a receiver over gRPC.
const words = "who are you?"

func ofGRPC(faults map[string]fault) {
	const (
		settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
		goAway   = "\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
		ping     = "\x00\x00\x08\x06\x00\x00\x00\x00\x00pingpong"
	)
	sends := func(text string, again time.Duration) func(net.Conn) {
		return func(c net.Conn) {
			go func() { _, _ = io.Copy(io.Discard, c) }()
			for next := text; ; next = ping {
				if _, err := io.WriteString(c, next); err != nil {
					return
				}
				time.Sleep(again)
			}
		}
	}
	for name, do := range map[string]func(net.Conn){
		"answers HTTP/1":          raw("HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Length: 0\r\n\r\n", nil),
		"GOAWAY":                  goesAway(settings + goAway),
		"pings and never answers": sends(settings, time.Millisecond),
		"sends a frame too long":  sends(settings+"\xff\xff\xff\x00\x00\x00\x00\x00\x01", time.Millisecond),
		"sends unknown frames":    sends(settings+strings.Repeat("\x00\x00\x00\x99\x00\x00\x00\x00\x00", 1000), time.Millisecond),
	} {
		faults[name] = fault{connection: do, patient: impatient}
	}
	for code, patient := range map[codes.Code]time.Duration{
		codes.InvalidArgument: calm, codes.Unauthenticated: calm, codes.PermissionDenied: calm, codes.NotFound: calm, codes.Unimplemented: calm,
		codes.ResourceExhausted: calm, codes.Internal: calm, codes.Unknown: calm, codes.FailedPrecondition: calm,
		codes.Unavailable: calm, codes.Aborted: calm, codes.DataLoss: calm, codes.OutOfRange: calm, codes.DeadlineExceeded: calm, codes.Canceled: calm,
	} {
		faults["status "+code.String()] = fault{grpc: func(context.Context) (*collector.ExportMetricsServiceResponse, error) {
			return nil, status.Error(code, words+" no key secret,\n\x1b[2J")
		}, want: code.String() + ": " + words, patient: patient}
	}
	faults["rejects points"] = fault{grpc: func(context.Context) (*collector.ExportMetricsServiceResponse, error) {
		return &collector.ExportMetricsServiceResponse{PartialSuccess: &collector.ExportMetricsPartialSuccess{RejectedDataPoints: 2, ErrorMessage: "too old"}}, nil
	}, want: "the receiver rejected 2 data points: too old", patient: calm}
	faults["takes them at great length"] = fault{grpc: func(context.Context) (*collector.ExportMetricsServiceResponse, error) {
		return &collector.ExportMetricsServiceResponse{PartialSuccess: &collector.ExportMetricsPartialSuccess{ErrorMessage: strings.Repeat("long ", 50_000)}}, nil
	}, want: "larger than max", patient: calm}
	faults["refuses at great length"] = fault{grpc: func(context.Context) (*collector.ExportMetricsServiceResponse, error) {
		return nil, status.Error(codes.InvalidArgument, strings.Repeat("long ", 50_000))
	}, patient: calm}
	faults["reads and never answers"] = fault{grpc: func(ctx context.Context) (*collector.ExportMetricsServiceResponse, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}, want: "no answer within 50ms", patient: impatient}
}

// goesAway sends bytes and waits for the other side to leave.
func goesAway(text string) func(net.Conn) {
	return func(c net.Conn) {
		if _, err := io.WriteString(c, text); err == nil {
			_, _ = io.Copy(io.Discard, c)
		}
	}
}

// A tlsFault is one of a receiver's certificate.
type tlsFault struct {
	name, want   string
	serves       *tls.Config
	good, trusts *tls.Config
}

func tlsFaults(t *testing.T) []tlsFault {
	now := time.Now()
	good, trusts := certified(t, "127.0.0.1", now.Add(-time.Minute))
	serving := func(host string, from time.Time, trusted bool) *tls.Config {
		certificate := selfSigned(t, host, from)
		if trusted {
			trusts.RootCAs.AddCert(certificate.Leaf)
		}
		return &tls.Config{Certificates: []tls.Certificate{certificate}}
	}
	demanding, old := good.Clone(), good.Clone()
	demanding.ClientAuth = tls.RequireAnyClientCert
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	faults := []tlsFault{
		{name: "certificate expired", want: "certificate has expired or is not yet valid", serves: serving("127.0.0.1", now.Add(-2*time.Hour), true)},
		{name: "certificate not yet valid", want: "certificate has expired or is not yet valid", serves: serving("127.0.0.1", now.Add(2*time.Hour), true)},
		{name: "certificate of another host", want: "cannot validate certificate for 127.0.0.1", serves: serving("collector.example.com", now.Add(-time.Minute), true)},
		{name: "certificate of another authority", want: "unknown authority", serves: serving("127.0.0.1", now.Add(-time.Minute), false)},
		{name: "wants a client certificate", serves: demanding},
		{name: "speaks TLS 1.1 at most", serves: old},
	}
	for i := range faults {
		faults[i].good, faults[i].trusts = good, trusts
	}
	return faults
}

// TestTLSFaults are those of certificates.
func TestTLSFaults(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, protocol string) {
		good, trust := certified(t, "127.0.0.1", time.Now().Add(-time.Minute))
		for _, f := range tlsFaults(t) {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				var serves atomic.Pointer[tls.Config]
				serves.Store(f.serves)
				r := receive(t, protocol, &tls.Config{
					Certificates: f.good.Certificates, NextProtos: []string{"h2"},
					GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
						c := serves.Load().Clone()
						c.NextProtos = []string{"h2"}
						return c, nil
					},
				})
				withstand(t, r, fault{want: f.want, patient: calm}, f.trusts, func() { serves.Store(f.good) })
			})
		}
		t.Run("no TLS at all", func(t *testing.T) {
			t.Parallel()
			r := receive(t, protocol, good)
			plain := func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }
			r.connection.Store(&plain)
			withstand(t, r, fault{patient: calm}, trust, func() { r.connection.Store(nil) })
		})
		t.Run("TLS where none is expected", func(t *testing.T) {
			t.Parallel()
			r := receive(t, protocol, nil)
			secure := func(c net.Conn) { _ = tls.Server(c, good).HandshakeContext(t.Context()) }
			r.connection.Store(&secure)
			withstand(t, r, fault{patient: calm}, trust, func() { r.connection.Store(nil) })
		})
	})
}

// nobody has addresses at which nobody is.
func nobody(gone string) map[string]string {
	return map[string]string{"is not there": gone, "has a name that nobody knows": "no-such-host.invalid:4317"}
}

// TestNobodyThere: an address that nobody has, and one that nobody listens on.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, protocol string) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		gone := listener.Addr().String()
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
		for name, host := range nobody(gone) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r := receive(t, protocol, nil)
				u := *r.url
				u.Host = host
				var log logs
				o := options(r, &log)
				o.Endpoint, o.Timeout = &u, calm
				ended := outcomes(&o)
				p := start(t, o)
				for range 3 {
					if <-ended {
						t.Fatal("counted as a success")
					}
				}
				stop(t, p)
				wellLogged(t, &log, false)
			})
		}
	})
}

// TestTakenInManyForms: success is told in several ways.
func TestTakenInManyForms(t *testing.T) {
	for name, answer := range map[string]struct {
		code       int
		kind, body string
	}{
		"nothing":         {200, "", ""},
		"nothing, typed":  {200, "text/plain; charset=utf-8", ""},
		"204":             {204, "", ""},
		"202":             {202, "", ""},
		"JSON":            {200, "application/json", "{}"},
		"JSON, untyped":   {200, "text/plain", ` {"partialSuccess":{}}`},
		"JSON, snake":     {200, "application/json", `{"partial_success":{"rejected_data_points":0}}`},
		"protobuf":        {200, protobufType, "\x0a\x00"},
		"unknown fields":  {200, protobufType, "\x78\x01"},
		"octets":          {200, "application/octet-stream", "\x0a\x00"},
		"negative number": {200, "application/json", `{"partialSuccess":{"rejectedDataPoints":"-1"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			said, err := understand(answer.kind, []byte(answer.body))
			if err != nil || said.GetRejectedDataPoints() > 0 {
				t.Errorf("%v, %v", said, err)
			}
			r := receive(t, HTTP, nil)
			handler := http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
				drained(request)
				w.Header()["Content-Type"] = []string{answer.kind}
				w.WriteHeader(answer.code)
				_, _ = io.WriteString(w, answer.body)
			})
			r.answerHTTP.Store(&handler)
			var log logs
			o := options(r, &log)
			ended := outcomes(&o)
			p := start(t, o)
			if !<-ended {
				t.Errorf("counted as a failure: %s", &log)
			}
			stop(t, p)
		})
	}
}

// TestGoAway: a receiver that ends connections, as HTTP/2 does it, loses nothing.
func TestGoAway(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, protocol string) {
		certificate, trust := certified(t, "127.0.0.1", time.Now().Add(-time.Minute))
		r := receive(t, protocol, certificate)
		r.goesAway.Store(true)
		var log logs
		o := options(r, &log)
		c, _ := o.Credentials()
		c.TLS = trust
		o.Credentials, o.Source = constantly(c), &parts{n: 3}
		ended := outcomes(&o)
		p := start(t, o)
		for n := range int64(20) {
			if !<-ended || r.taken(n+1) != 6 {
				t.Errorf("of export %d, %d points were taken: %s", n+1, r.taken(n+1), &log)
			}
		}
		stop(t, p)
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "3": 3 * time.Second, "-3": 0, "soon": 0, "99999999999999999999": 0, "2147483647": 2147483647 * time.Second,
		"Fri, 27 Nov 2026 12:00:07 GMT": 7 * time.Second,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q is %v, not %v", text, got, want)
		}
	}
}

// sourceFunc is a source of nothing.
type sourceFunc func(context.Context)

func (f sourceFunc) Produce(ctx context.Context) iter.Seq[*metrics.ScopeMetrics] {
	f(ctx)
	return func(func(*metrics.ScopeMetrics) bool) {}
}

func marshal(m proto.Message) []byte {
	all, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return all
}

// bomb is 16 MB of nothing in 16 KB.
func bomb() []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	for range 16 {
		_, _ = w.Write(make([]byte, 1<<20))
	}
	_ = w.Close()
	return b.Bytes()
}

// selfSigned is a certificate of a host for an hour.
func selfSigned(t *testing.T, host string, from time.Time) tls.Certificate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(from.UnixNano()), NotBefore: from, NotAfter: from.Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(nil, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}
}

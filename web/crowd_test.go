package web

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// narrow is a listener whose connections hold little of what is not read, until it
// is made wide.
type narrow struct {
	net.Listener
	wide atomic.Bool
}

func (l *narrow) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err == nil && !l.wide.Load() {
		err = connection.(*net.TCPConn).SetWriteBuffer(4 << 10)
	}
	return connection, err
}

// narrowServer is a server behind such a listener.
type narrowServer struct {
	*httptest.Server
	narrow *narrow
}

// listenNarrow serves a handler, with HTTP/2 if it is to be secure.
func listenNarrow(t *testing.T, handler http.Handler, secure bool) narrowServer {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	through := &narrow{Listener: server.Listener}
	server.Listener = through
	server.Config.WriteTimeout = time.Minute
	if server.EnableHTTP2 = secure; secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return narrowServer{server, through}
}

// send writes a request over a connection of its own and does not read.
func send(t *testing.T, server narrowServer, request string) *net.TCPConn {
	t.Helper()
	connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	tcp := connection.(*net.TCPConn)
	if err := tcp.SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(tcp, request); err != nil {
		t.Fatal(err)
	}
	return tcp
}

// fetch returns the status and the text of an answer, which must be there in
// time.
func fetch(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Errorf("GET %s: %v", url, err)
		return 0, ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Errorf("GET %s: %v", url, err)
	}
	return response.StatusCode, string(text)
}

// large has an answer of about half a kilobyte for each connector.
func large(connectors int) *observer {
	var many []connect.Connector
	for i := range connectors {
		many = append(many, running(fmt.Sprintf("connector-%04d", i)))
	}
	return shows(many...)
}

// hangs until the test is over, and says so when it is asked.
func hangs(t *testing.T, asked chan<- struct{}) *observer {
	t.Helper()
	return &observer{observe: func(context.Context, func(connect.Request)) (*connect.Snapshot, error) {
		asked <- struct{}{}
		<-t.Context().Done()
		return nil, t.Context().Err()
	}}
}

func TestWaitingForClustersTakesNoPlace(t *testing.T) {
	const hanging = 45
	asked := make(chan struct{}, hanging)
	clusters := []named{{"well", shows(running("one"))}}
	for i := range hanging {
		clusters = append(clusters, named{fmt.Sprintf("hangs-%d", i), hangs(t, asked)})
	}
	server := listenNarrow(t, serve(t, func(o *Options) { o.MaxRequests = 2 }, clusters...), false)
	for i := range hanging {
		send(t, server, fmt.Sprintf("GET /probe?cluster=hangs-%d HTTP/1.1\r\nHost: a\r\n\r\n", i))
	}
	for range hanging {
		<-asked
	}
	for path, want := range map[string]string{
		"/probe?cluster=well": `kafka_connect_up{connect_cluster="well"} 1`, "/metrics?clusters=none": "go_goroutines", "/-/healthy": "healthy", "/-/ready": "ready",
		"/config": "clusters", "/sd": "well",
	} {
		if status, text := fetch(t, server.Client(), server.URL+path); status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("GET %s while others wait: status %d: %.200s", path, status, text)
		}
	}
}

// Too many that wait for one cluster are turned away, the oldest first, and take
// nothing from who asks for another.
func TestTooManyWait(t *testing.T) {
	asked := make(chan struct{}, 1)
	server := listenNarrow(t, serve(t, func(o *Options) { o.MaxRequests = 1 }, named{"hangs", hangs(t, asked)}, named{"well", shows()}), false)
	const request = "GET /probe?cluster=hangs HTTP/1.1\r\nHost: a\r\n\r\n"
	first := send(t, server, request)
	<-asked
	for range waitFactor {
		send(t, server, request)
	}
	answer, err := http.ReadResponse(bufio.NewReader(first), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Errorf("the oldest of too many: status %d", answer.StatusCode)
	}
	if status, _ := fetch(t, server.Client(), server.URL+"/probe?cluster=well"); status != http.StatusOK {
		t.Errorf("who asks for another cluster: status %d", status)
	}
}

// Whoever does not read is no hindrance, on each path and in each protocol.
func TestNobodyReadsTheAnswer(t *testing.T) {
	t.Parallel()
	const crowd = 45
	wants := []string{"/metrics", "/probe?cluster=large", "/metrics?clusters=none", "/", "/probe?cluster=large&debug=true", "/sd", "/config", "/-/healthy"}
	check := func(t *testing.T, server narrowServer, client *http.Client) {
		t.Helper()
		server.narrow.wide.Store(true) // Through a needle's eye nothing is fast.
		for _, path := range wants {
			if status, text := fetch(t, client, server.URL+path); status != http.StatusOK || text == "" {
				t.Errorf("GET %s: status %d, %d bytes", path, status, len(text))
			}
		}
	}
	options := func(o *Options) {
		o.MaxRequests = 20
		o.Config = func() []byte { return []byte(strings.Repeat("# a large configuration\n", 10000)) }
	}
	for _, path := range wants {
		// Several requests a connection: none is read.
		for name, times := range map[string]int{"HTTP/1.1": 1, "pipelined": 20} {
			t.Run(name+" "+path, func(t *testing.T) {
				t.Parallel()
				server := listenNarrow(t, serve(t, options, named{"large", large(400)}), false)
				for range crowd {
					send(t, server, strings.Repeat("GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n", times))
				}
				check(t, server, server.Client())
			})
		}
	}
	t.Run("HTTP/2", func(t *testing.T) {
		t.Parallel()
		server := listenNarrow(t, serve(t, options, named{"large", large(400)}), true)
		transport := server.Client().Transport.(*http.Transport).Clone()
		transport.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 16 << 10, MaxReceiveBufferPerConnection: 64 << 10}
		t.Cleanup(transport.CloseIdleConnections)
		var group sync.WaitGroup
		for i := range crowd {
			group.Go(func() {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+wants[i%5], nil)
				if err != nil {
					t.Error(err)
					return
				}
				response, err := transport.RoundTrip(request)
				if err != nil {
					t.Error(err)
					return
				}
				if response.ProtoMajor != 2 {
					t.Errorf("it is %s", response.Proto)
				}
				t.Cleanup(func() { _ = response.Body.Close() })
			})
		}
		group.Wait()
		check(t, server, server.Client()) // over a connection of its own
	})
}

// Who reads nothing is cut off, though nobody else asks.
func TestUnreadAnswersEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, connection := net.Pipe()
		listener := oneConnection{connection, make(chan struct{})}
		server := &http.Server{Handler: serve(t, nil, named{"large", large(2000)}), WriteTimeout: 90 * time.Second, ReadHeaderTimeout: time.Minute}
		go func() { _ = server.Serve(&listener) }()
		start := time.Now()
		if _, err := io.WriteString(client, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(writePatience + time.Second)
		synctest.Wait()
		// A pipe keeps nothing: that it has ended is seen at once.
		if n, err := io.Copy(io.Discard, client); err != nil || n > 0 {
			t.Errorf("after %s there were %d bytes more (%v)", time.Since(start), n, err)
		}
		_ = server.Close()
	})
}

// oneConnection is a listener with one connection to accept.
type oneConnection struct {
	connection net.Conn
	closed     chan struct{}
}

func (l *oneConnection) Accept() (net.Conn, error) {
	if connection := l.connection; connection != nil {
		l.connection = nil
		return connection, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConnection) Close() error   { close(l.closed); return nil }
func (l *oneConnection) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// A slow reader who does read gets the whole answer.
func TestSlowReaderGetsTheWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, connection := net.Pipe()
		server := &http.Server{Handler: serve(t, nil, named{"large", large(2000)}), WriteTimeout: 90 * time.Second, ReadHeaderTimeout: time.Minute}
		go func() { _ = server.Serve(&oneConnection{connection, make(chan struct{})}) }()
		if _, err := io.WriteString(client, "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReaderSize(slowReader{client}, 16<<10), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		start := time.Now()
		text, err := io.ReadAll(answer.Body)
		if err != nil || int64(len(text)) != answer.ContentLength || time.Since(start) < 2*writePatience {
			t.Errorf("%d of %d bytes in %s: %v", len(text), answer.ContentLength, time.Since(start), err)
		}
		_ = server.Close()
	})
}

type slowReader struct{ io.Reader }

func (r slowReader) Read(p []byte) (int, error) {
	time.Sleep(200 * time.Millisecond)
	return r.Reader.Read(p[:min(len(p), 16<<10)])
}

// A client that closes its side after it has asked gets the whole answer or, if
// there are too many such clients, none; never one without content.
func TestHalfClosed(t *testing.T) {
	release := make(chan struct{})
	asked := make(chan struct{}, 1)
	o := &observer{observe: func(ctx context.Context, _ func(connect.Request)) (*connect.Snapshot, error) {
		select {
		case asked <- struct{}{}:
		default:
		}
		select {
		case <-release:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return &connect.Snapshot{Taken: time.Now(), Connectors: []connect.Connector{running("one")}, HasTasks: true}, nil
	}}
	server := listenNarrow(t, serve(t, nil, named{"a", o}), false)
	paths := []string{"/metrics", "/probe?cluster=a", "/probe?cluster=a&debug=true", "/metrics?clusters=none", "/sd", "/-/healthy", "/config"}
	const clients, tooMany = 2 * maxParted, 10
	results := make(chan string, clients)
	waiting := 0
	for i := range clients {
		path := paths[i%len(paths)]
		if waiting == maxParted+tooMany {
			path = "/-/healthy"
		} else if i%len(paths) < 3 || i >= maxParted/2 {
			waiting++
			path = paths[i%3]
		}
		client := send(t, server, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if err := client.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		go func() {
			reader := bufio.NewReader(client)
			if _, err := reader.Peek(1); err == io.EOF {
				results <- "none"
				return
			}
			answer, err := http.ReadResponse(reader, nil)
			if err != nil {
				results <- err.Error()
				return
			}
			defer func() { _ = answer.Body.Close() }()
			text, err := io.ReadAll(answer.Body)
			if err != nil || answer.StatusCode != http.StatusOK || len(text) == 0 {
				results <- fmt.Sprintf("%s: status %d, %d bytes (%v)", path, answer.StatusCode, len(text), err)
				return
			}
			results <- "whole"
		}()
	}
	counts := map[string]int{}
	for range clients {
		counts[<-results]++
		if counts["none"] == tooMany && asked != nil {
			<-asked
			asked = nil
			close(release)
		}
	}
	if want := map[string]int{"whole": clients - tooMany, "none": tooMany}; !maps.Equal(counts, want) {
		t.Errorf("%v, want %v", counts, want)
	}
}

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(2, time.Second)
		var cut []string
		enter := func(name, group string) (*pass, error) {
			return g.enter(group, func() { cut = append(cut, name) })
		}
		must := func(p *pass, err error) *pass {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		a, b := must(enter("a", "")), must(enter("b", ""))
		a.move()
		time.Sleep(300 * time.Millisecond)
		b.move()
		// A newcomer gets the place of who stood still the longest, once that is long.
		start := time.Now()
		c := must(enter("c", ""))
		if waited := time.Since(start); waited != 700*time.Millisecond || len(cut) != 1 || cut[0] != "a" || !a.lost.Load() || b.lost.Load() {
			t.Errorf("after %s %q are cut", waited, cut)
		}
		a.leave() // It has no place to give back.
		if len(g.inside) != 2 {
			t.Errorf("%d inside", len(g.inside))
		}
		// Who has not begun loses no place, who moves neither.
		moving := time.NewTicker(100 * time.Millisecond)
		ended := make(chan struct{})
		go func() {
			for {
				select {
				case <-moving.C:
					b.move()
				case <-ended:
					return
				}
			}
		}()
		start = time.Now()
		if _, err := enter("d", ""); err == nil || time.Since(start) != gatePatience || len(cut) != 1 {
			t.Errorf("a place after %s, %q are cut (%v)", time.Since(start), cut, err)
		}
		// A place that is given back goes to the newest; the oldest of too many is
		// turned away at once.
		results := make(chan string, 3*queueFactor)
		for i := range 2*queueFactor + 1 {
			go func() {
				outcome := "in"
				if _, err := enter("w", ""); err != nil {
					outcome = "out"
				}
				results <- fmt.Sprint(outcome, i)
			}()
			synctest.Wait()
		}
		if got := <-results; got != "out0" {
			t.Errorf("first: %s", got)
		}
		c.leave()
		if got := <-results; got != fmt.Sprint("in", 2*queueFactor) {
			t.Errorf("then: %s", got)
		}
		close(ended)
		moving.Stop()
		for range 2*queueFactor - 1 {
			<-results
		}

		// The largest group loses a place first.
		g = newGate(3, 0)
		cut = nil
		for _, name := range []string{"x", "y1", "y2", "y3", "x2"} {
			must(enter(name, name[:1])).move()
			time.Sleep(time.Millisecond)
		}
		if fmt.Sprint(cut) != "[y1 y2]" {
			t.Errorf("%q are cut", cut)
		}
		// Without a bound everybody is let in.
		g = newGate(0, time.Second)
		for range 1000 {
			must(enter("many", "")).move()
		}
		synctest.Wait()
	})
}

// A scraper in a hurry has his own timeout: the rendering ends with it, and nobody
// is told.
func TestScraperInAHurry(t *testing.T) {
	log := &strings.Builder{}
	handler := serve(t, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(log, nil)) }, named{"large", large(2000)})
	if answer := ask(handler, http.MethodGet, "/metrics"); answer.Code != http.StatusOK {
		t.Fatalf("status %d", answer.Code)
	}
	for _, path := range []string{"/metrics", "/probe?cluster=large", "/probe?cluster=large&debug=true"} {
		for range 20 {
			answer := ask(handler, http.MethodGet, "http://localhost"+path, scrapeTimeoutHeader, "0.00001")
			if answer.Code != http.StatusOK && answer.Code != http.StatusServiceUnavailable {
				t.Errorf("%s: status %d: %.100s", path, answer.Code, answer.Body)
			}
		}
	}
	if log.Len() > 0 {
		t.Errorf("logged: %s", log)
	}
}

// A place is lost to a newcomer by a client that takes nothing, and not while the
// next piece of its answer is made.
func TestMakingAnAnswerIsNoStillness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, stillness)
		inside := make(chan error, 1)
		s := &server{}
		go func() {
			s.gated(g, httptest.NewRecorder(), func(w http.ResponseWriter) {
				_, err := w.Write([]byte("first"))
				time.Sleep(gatePatience / 2) // to make the second
				if _, again := w.Write([]byte("second")); err == nil {
					err = again
				}
				inside <- err
			})
		}()
		synctest.Wait()
		began := time.Now()
		p, err := g.enter("", func() {})
		if err != nil || time.Since(began) != gatePatience/2 {
			t.Fatalf("a newcomer: %v after %s", err, time.Since(began))
		}
		p.leave()
		if err := <-inside; err != nil {
			t.Error(err)
		}
	})
}

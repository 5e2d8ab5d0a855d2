package rest

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	commoncfg "github.com/prometheus/common/config"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
)

// An answer that switches protocols on a connection that stays open is an answer
// like any other, for each kind of call.
func TestSwitchingProtocols(t *testing.T) {
	for _, endpoint := range []string{connecttest.EndpointList, connecttest.EndpointExpand, connecttest.EndpointStatus, connecttest.EndpointRoot} {
		t.Run(endpoint, func(t *testing.T) {
			c := connecttest.NewCluster(connecttest.Options{})
			c.Create(connecttest.Connector{Name: "x", Tasks: 1})
			v := VersionAuto
			if endpoint == connecttest.EndpointList || endpoint == connecttest.EndpointStatus {
				v = Version1
			}
			o := newObserver(t, serve(t, c), version(v))
			release := make(chan struct{})
			var open sync.WaitGroup
			clear := c.SetFault(connecttest.Match{Endpoint: endpoint}, func(http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					conn, _, err := http.NewResponseController(w).Hijack()
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: hunter2\r\n\r\nhunter2")
					open.Go(func() { <-release; _ = conn.Close() })
				})
			})
			began := time.Now()
			_, err := observe(t, o)
			switch endpoint {
			case connecttest.EndpointExpand, connecttest.EndpointList:
				if !errors.Is(err, connect.HTTPStatus) || !strings.Contains(err.Error(), "HTTP 101") {
					t.Errorf("err = %v", err)
				}
			default:
				if err != nil {
					t.Errorf("err = %v", err)
				}
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("it took %v", took)
			}
			clear()
			if s := mustObserve(t, o); find(s, "x") == nil {
				t.Errorf("afterwards %+v", s)
			}
			close(release)
			open.Wait()
		})
	}
}

// A password file that is a named pipe for a while holds nothing up.
func TestPasswordFileIsAPipe(t *testing.T) {
	c := connecttest.NewCluster(connecttest.Options{Username: "scout", Password: "hunter2"})
	c.Create(connecttest.Connector{Name: "x", Tasks: 1})
	file := t.TempDir() + "/password"
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Skip(err)
	}
	config := commoncfg.DefaultHTTPClientConfig
	config.BasicAuth = &commoncfg.BasicAuth{Username: "scout", PasswordFile: file}
	client, err := NewClient(config, "test")
	if err != nil {
		t.Fatal(err)
	}
	o := newObserver(t, serve(t, c), func(o *Options) { o.Client = client })
	began := time.Now()
	if _, err := observe(t, o); err == nil || !strings.Contains(err.Error(), "pipe") || time.Since(began) > 2*time.Second {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustObserve(t, o)
}

// Of a redirect that is not followed nothing is told.
func TestRefusedRedirectIsNotQuoted(t *testing.T) {
	where := serveHandler(t, http.RedirectHandler("http://scout-hunter2.evil.example:81/hunter2?hunter2", http.StatusFound))
	_, err := observe(t, newObserver(t, []*url.URL{where}))
	if !errors.Is(err, connect.HTTPStatus) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "evil") {
		t.Errorf("err = %v", err)
	}
}

// A proxy that refuses a connection says so in words that net/http passes on.
func TestProxyIsNotQuoted(t *testing.T) {
	for words, want := range map[string]string{"Proxy Authentication Required": ": Proxy Authentication Required", "no %s here": ""} {
		proxy := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			connection, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			_, _ = io.WriteString(connection, "HTTP/1.1 407 "+strings.Replace(words, "%s", r.Header.Get("Proxy-Authorization"), 1)+"\r\nContent-Length: 0\r\n\r\n")
			_ = connection.Close()
		}))
		cfg := commoncfg.DefaultHTTPClientConfig
		proxy.User = url.UserPassword("scout", "hunter2")
		cfg.ProxyURL = commoncfg.URL{URL: proxy}
		client, err := NewClient(cfg, "test")
		if err != nil {
			t.Fatal(err)
		}
		defer client.CloseIdleConnections()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://connect.example:8083", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request) //nolint:bodyclose // There is none.
		if err == nil {
			t.Fatalf("it answers: %v", response.Status)
		}
		if err = TransportError(t.Context(), err); err.Error() != "unreachable: the proxy refuses the connection"+want {
			t.Errorf("%q: %v", words, err)
		}
	}
}

// No connection serves new requests for longer than its lifetime, and requests
// that are under way when that is over end on the one they began on.
func TestConnectionsHaveALifetime(t *testing.T) {
	for proto, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		t.Run(proto, func(t *testing.T) {
			hang := make(chan struct{})
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/hang" {
					_ = http.NewResponseController(w).Flush()
					<-hang
				}
				_, _ = io.WriteString(w, r.Proto+" "+r.RemoteAddr)
			}))
			closed := make(chan string, 10)
			server.Config.ConnState = func(conn net.Conn, state http.ConnState) {
				if state == http.StateClosed {
					closed <- proto + " " + conn.RemoteAddr().String()
				}
			}
			server.EnableHTTP2 = http2
			server.StartTLS()
			defer server.Close()
			config := commoncfg.DefaultHTTPClientConfig
			config.TLSConfig.InsecureSkipVerify = true
			client, err := NewClient(config, "test")
			if err != nil {
				t.Fatal(err)
			}
			defer client.CloseIdleConnections()
			now := time.Now()
			client.Transport.(*upright).next.(*renewing).now = func() time.Time { return now }
			begin := func(path string) *http.Response {
				t.Helper()
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				response, err := client.Do(request)
				if err != nil {
					t.Fatal(err)
				}
				return response
			}
			end := func(response *http.Response) string {
				t.Helper()
				text, err := io.ReadAll(response.Body)
				if err != nil || !strings.HasPrefix(string(text), proto+" ") {
					t.Fatal(string(text), err)
				}
				return string(text)
			}
			get := func() string {
				t.Helper()
				response := begin("/")
				defer func() { _ = response.Body.Close() }()
				return end(response)
			}
			first := get()
			if again := get(); again != first {
				t.Errorf("a connection was not kept: %s after %s", again, first)
			}
			hanging := begin("/hang")
			defer func() { _ = hanging.Body.Close() }()
			now = now.Add(connectionLifetime)
			second := get()
			if second == first {
				t.Error("the connection outlives its lifetime")
			}
			close(hang)
			if last := end(hanging); last != first {
				t.Errorf("what was under way ended on %s, not %s", last, first)
			}
			if !http2 { // HTTP/2 closes it after its idle time
				if gone := <-closed; gone != first {
					t.Errorf("%s was closed, not %s", gone, first)
				}
			}
			if again := get(); again != second {
				t.Errorf("a connection was not kept: %s after %s", again, second)
			}
		})
	}
}

// A client that cannot be made anew, because a file is being exchanged, goes on
// as it is.
func TestRenewalFails(t *testing.T) {
	made := 0
	transport, err := newRenewing(time.Minute, func() (http.RoundTripper, error) {
		if made++; made > 1 {
			return nil, errors.New("half a file")
		}
		return http.NewFileTransport(http.Dir(t.TempDir())), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	transport.now = func() time.Time { return now }
	for range 3 {
		if transport.transport() == nil {
			t.Error("no transport")
		}
		now = now.Add(time.Minute)
	}
	if made != 3 {
		t.Errorf("tried %d times", made)
	}
}

func TestNotAfter(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are refused
	server.StartTLS()
	defer server.Close()
	want := server.Certificate().NotAfter
	for _, insecure := range []bool{true, false} {
		config := commoncfg.DefaultHTTPClientConfig
		config.TLSConfig.InsecureSkipVerify = insecure
		client, err := NewClient(config, "test")
		if err != nil {
			t.Fatal(err)
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if got := NotAfter(response, err); !got.Equal(want) || (err == nil) != insecure {
			t.Errorf("insecure %v: %v, want %v (%v)", insecure, got, want, err)
		}
		if response != nil {
			_ = response.Body.Close()
		}
		client.CloseIdleConnections()
	}
	if got := NotAfter(nil, errors.New("refused")); !got.IsZero() {
		t.Error(got)
	}
}

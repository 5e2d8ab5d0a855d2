package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	commoncfg "github.com/prometheus/common/config"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
)

// withTokens returns an observer of a cluster that fetches tokens from there,
// waiting for one at most as long as patience.
func withTokens(t *testing.T, endpoint *url.URL, patience time.Duration, change ...func(*commoncfg.OAuth2)) *Observer {
	t.Helper()
	c := connecttest.NewCluster(connecttest.Options{})
	c.Create(connecttest.Connector{Name: "x", Tasks: 1})
	config := commoncfg.DefaultHTTPClientConfig
	config.OAuth2 = &commoncfg.OAuth2{ClientID: "scout", ClientSecret: "hunter2", TokenURL: endpoint.String() + "/hunter2"}
	for _, c := range change {
		c(config.OAuth2)
	}
	client, err := newClient(config, "test", clientTimes{token: patience, connection: connectionLifetime}, "")
	if err != nil {
		t.Fatal(err)
	}
	return newObserver(t, serve(t, c), func(o *Options) { o.Client = client })
}

const token = `{"access_token": "abc", "token_type": "bearer", "expires_in": 3600}`

// A token endpoint that hangs is not waited for without end, and once it answers
// the cluster is whole.
func TestTokenEndpointHangs(t *testing.T) {
	var healed atomic.Bool
	endpoint := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // Only then the server notices that the client has gone.
		if !healed.Load() {
			<-r.Context().Done()
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, token)
	}))
	o := withTokens(t, endpoint, 50*time.Millisecond)
	if _, err := observe(t, o); !errors.Is(err, connect.Timeout) || !strings.Contains(err.Error(), "token endpoint") {
		t.Errorf("while it hangs: %v", err)
	}
	healed.Store(true)
	if s := mustObserve(t, o); len(s.Connectors) != 1 {
		t.Errorf("afterwards: %+v", s)
	}
}

// One that goes on sending without ever ending is not waited for either: neither
// beyond its time, nor by a request whose own time is over before.
func TestTokenEndpointDrips(t *testing.T) {
	t.Parallel()
	endpoint := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, " ")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(time.Millisecond)
		}
	}))
	if _, err := observe(t, withTokens(t, endpoint, 100*time.Millisecond)); !errors.Is(err, connect.Timeout) || !strings.Contains(err.Error(), "token endpoint") {
		t.Errorf("%v", err)
	}
	o := withTokens(t, endpoint, time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := o.Observe(ctx, nil); !errors.Is(err, connect.Timeout) || time.Since(began) > 900*time.Millisecond {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	o.Close()
}

// No credential follows a redirect of the token endpoint elsewhere, and nothing
// of where it leads is told.
func TestTokenEndpointRedirects(t *testing.T) {
	var leaked atomic.Int32
	elsewhere := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		leaked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, token)
	}))
	for _, code := range []int{301, 302, 303, 307, 308} {
		endpoint := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, password, _ := r.BasicAuth()
			to := *elsewhere
			to.User, to.Path = url.UserPassword(user, password), "/hunter2"
			http.Redirect(w, r, to.String(), code)
		}))
		_, err := observe(t, withTokens(t, endpoint, tokenTimeout, func(o *commoncfg.OAuth2) {
			o.EndpointParams = map[string]string{"resource": "hunter2"}
		}))
		if !errors.Is(err, connect.HTTPStatus) || !strings.Contains(err.Error(), "token_url") {
			t.Errorf("%d: %v", code, err)
		}
		if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), elsewhere.Host) || strings.Contains(err.Error(), "scout") {
			t.Errorf("%d: quotes where it leads: %v", code, err)
		}
	}
	if n := leaked.Load(); n > 0 {
		t.Errorf("another host was asked %d times", n)
	}
}

// A token serves until it ends, or until the secret is another.
func TestTokenIsKept(t *testing.T) {
	var secrets []string
	endpoint := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, secret, _ := r.BasicAuth()
		secrets = append(secrets, secret)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, token)
	}))
	file := t.TempDir() + "/secret"
	write := func(secret string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	o := withTokens(t, endpoint, tokenTimeout, func(o *commoncfg.OAuth2) { o.ClientSecret, o.ClientSecretFile = "", file })
	mustObserve(t, o)
	mustObserve(t, o)
	write("second")
	mustObserve(t, o)
	if !slices.Equal(secrets, []string{"first", "second"}) {
		t.Errorf("asked with %q", secrets)
	}
}

// What a token endpoint answers is not quoted; that it refuses is told from that
// it cannot be asked.
func TestTokenRefused(t *testing.T) {
	for name, test := range map[string]struct {
		code int
		body string
		want connect.Reason
		says string
	}{
		"wrong secret":  {401, `{"error": "invalid_client", "error_description": "no hunter2"}`, connect.Unauthorized, "HTTP 401, invalid_client"},
		"unknown error": {400, `{"error": "hunter2"}`, connect.Unauthorized, "HTTP 400"},
		"broken":        {500, "hunter2", connect.Unreachable, "HTTP 500"},
		"page":          {200, "<html>hunter2", connect.Unreachable, "oauth2"},
		"none":          {200, "{}", connect.Unreachable, "access_token"},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(test.code)
				_, _ = io.WriteString(w, test.body)
			}))
			_, err := observe(t, withTokens(t, endpoint, tokenTimeout))
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v", err)
			}
		})
	}
	nobody, err := url.Parse("http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := observe(t, withTokens(t, nobody, tokenTimeout)); !errors.Is(err, connect.Unreachable) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("nobody there: %v", err)
	}
}

// What is no HTTP is not quoted either.
func TestNoHTTP(t *testing.T) {
	for name, answer := range map[string]string{
		"other protocol":    "SSH-2.0-hunter2\r\n",
		"status":            "HTTP/1.1 hunter2 OK\r\n\r\n",
		"length":            "HTTP/1.1 200 OK\r\nContent-Length: hunter2\r\n\r\n",
		"header":            "HTTP/1.1 200 OK\r\nhunter2\r\n\r\n",
		"quoted header":     "HTTP/1.1 200 OK\r\na\"hunter2\\\r\n\r\n",
		"transfer encoding": "HTTP/1.1 200 OK\r\nTransfer-Encoding: hunter2\r\n\r\n",
		"location":          "HTTP/1.1 302 Found\r\nLocation: http://%zz/hunter2\r\n\r\n",
		"trailer":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nhunter2\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			where := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.WriteString(conn, answer)
				_ = conn.Close()
			}))
			if _, err := observe(t, newObserver(t, []*url.URL{where})); err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v", err)
			}
		})
	}
}

// Clients of clusters that come and go with reloads leave nothing behind: the
// library's connection tracking counts by name, for ever.
func TestClientsLeaveNothingBehind(t *testing.T) {
	names := func() int {
		families, err := prometheus.DefaultGatherer.Gather()
		if err != nil {
			t.Fatal(err)
		}
		series := 0
		for _, family := range families {
			if strings.HasPrefix(family.GetName(), "net_conntrack_") {
				series += len(family.Metric)
			}
		}
		return series
	}
	var counts [2]int
	for i := range counts {
		if _, err := NewClient(commoncfg.DefaultHTTPClientConfig, fmt.Sprint("cluster-", i)); err != nil {
			t.Fatal(err)
		}
		counts[i] = names()
	}
	if counts[0] == 0 || counts[0] != counts[1] {
		t.Errorf("series of connection tracking: %v", counts)
	}
}

package kubernetes

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/discovery"
)

// kubeconfig writes a file whose cluster and user have these settings.
func kubeconfig(t *testing.T, cluster, user string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: x, clusters: [{name: x, cluster: {%s}}],
		users: [{name: x, user: {%s}}], contexts: [{name: x, context: {cluster: x, user: x, namespace: data}}]}`, cluster, user)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func following(t *testing.T, kubeconfig string) (*Client, *discovery.Registry, *logs, error) {
	t.Helper()
	kinds, err := discovery.ParseKinds("kafkaconnects.kafka.strimzi.io")
	if err != nil {
		t.Fatal(err)
	}
	registry, log := discovery.NewRegistry(), &logs{}
	client, err := start(Options{
		Kubeconfig: kubeconfig, Selectors: []Selector{{Kinds: kinds}}, Registry: registry, Logger: slog.New(slog.NewTextHandler(log, nil)),
	}, pace{absent: 20 * time.Millisecond, first: 10 * time.Millisecond, longest: 50 * time.Millisecond})
	if err == nil {
		t.Cleanup(client.Close)
	}
	return client, registry, log, err
}

// secure starts an API server that speaks TLS, without which client-go sends no
// token, and returns what a kubeconfig says of it.
func secure(t *testing.T, handler http.HandlerFunc) (cluster string) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	authority := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("server: %q, certificate-authority: %q", server.URL, authority)
}

// The token goes to the API server and nowhere else.
func TestTokenFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a redirect is followed: %s, %v", r.URL, r.Header)
	}))
	defer elsewhere.Close()
	for _, code := range []int{301, 302, 303, 307, 308} {
		var asked atomic.Bool
		cluster := secure(t, func(w http.ResponseWriter, r *http.Request) {
			asked.Store(r.Header.Get("Authorization") == "Bearer s3cret")
			http.Redirect(w, r, elsewhere.URL, code)
		})
		client, _, log, err := following(t, kubeconfig(t, cluster, "token: s3cret"))
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("not that of an API server: HTTP %d", code)
		eventually(t, "a word about the redirect", func() bool { return strings.Contains(log.String(), want) })
		if client.Up() || !asked.Load() || strings.Contains(log.String(), elsewhere.URL) {
			t.Errorf("%d: up %v, asked with the token %v: %s", code, client.Up(), asked.Load(), log)
		}
	}
}

// Whatever an API server, or what stands before it, does with the token, it is not
// repeated.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	raw := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			connection, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			_, _ = fmt.Fprint(connection, text)
			_ = connection.Close()
		}
	}
	says := func(code int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Warning", `299 - "s3cret"`)
			w.WriteHeader(code)
			_, _ = fmt.Fprint(w, text)
		}
	}
	refusal := func(code int, reason string) http.HandlerFunc {
		text, _ := json.Marshal(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "s3cret", "reason": reason})
		return says(code, string(text))
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"a header that is none":      {raw("HTTP/1.1 200 OK\r\nBearer s3cret\r\n\r\n"), "malformed MIME header"},
		"a status that is none":      {raw("HTTP/1.1 s3cret\r\n\r\n"), "malformed HTTP status"},
		"a length that is none":      {raw("HTTP/1.1 200 OK\r\nContent-Length: s3cret\r\n\r\n"), "bad Content-Length"},
		"a redirect to what is none": {raw("HTTP/1.1 307 x\r\nLocation: https://s3cret.example/[%\r\nContent-Length: 0\r\n\r\n"), "failed to parse Location"},
		"a reason":                   {refusal(500, "Bearer s3cret"), "answers HTTP 500"},
		"a reason of a teapot":       {refusal(418, "s3cret"), "HTTP 418"},
		"no list":                    {says(200, `"s3cret"`), "not that of an API server"},
		"resources that are none": {func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/kafkaconnects") {
				says(200, `{"s3cret": "s3cret"}`)(w, r)
				return
			}
			says(200, `{"kind": "APIResourceList", "resources": [{"name": "kafkaconnects"}]}`)(w, r)
		}, "not that of an API server"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, log, err := following(t, kubeconfig(t, secure(t, test.answer), "token: s3cret"))
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, test.want, func() bool { return strings.Contains(log.String(), test.want) })
			if strings.Contains(log.String(), "s3cret") {
				t.Errorf("the token is logged: %s", log)
			}
		})
	}
}

// A server that is not reached is told with the cause.
func TestServerIsNotReached(t *testing.T) {
	trusted := secure(t, http.NotFound)
	server, authority, _ := strings.Cut(trusted, ", ")
	for name, test := range map[string]struct{ cluster, want string }{
		"refused":           {`server: "https://127.0.0.1:1"`, "connection refused"},
		"unknown name":      {`server: "https://nobody.invalid"`, "the API server is not reached"},
		"another authority": {server, "unknown authority"},
		"another name":      {strings.Replace(trusted, "127.0.0.1", "localhost", 1), "certificate is valid for"},
		"no TLS":            {strings.Replace(server, "https", "http", 1) + ", " + authority, "answers HTTP 400"},
	} {
		t.Run(name, func(t *testing.T) {
			client, _, log, err := following(t, kubeconfig(t, test.cluster, "token: s3cret"))
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, test.want, func() bool { return strings.Contains(log.String(), test.want) })
			if strings.Contains(log.String(), "s3cret") {
				t.Errorf("the token is logged: %s", log)
			}
			if client.Up() {
				t.Error("it is up")
			}
		})
	}
}

type endless struct{}

func (endless) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{Body: io.NopCloser(endless{})}, nil
}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// An answer without end is read up to a bound, a watch for as long as it lasts.
func TestAnswersAreBounded(t *testing.T) {
	for query, want := range map[string]int64{"": maxAnswer, "?limit=500": maxAnswer, "?watch=true": maxAnswer + 1} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://server/apis"+query, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := bounded{endless{}}.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.CopyN(io.Discard, response.Body, maxAnswer+1)
		if n != want || (want == maxAnswer) != errors.Is(err, errTooLarge) {
			t.Errorf("%q: %d bytes: %v", query, n, err)
		}
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := explain(fmt.Errorf("of a library: %w", errTooLarge), "list", "x", "y"); got != "the answer is larger than 128 MB" {
		t.Error(got)
	}
}

// What a kubeconfig is or names is never waited for, and its secrets are in no error.
func TestKubeconfigsThatAreNone(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	const server = `server: "https://127.0.0.1:1"`
	for name, test := range map[string]struct{ path, want string }{
		"a pipe":                    {pipe, "is a pipe"},
		"a device":                  {"/dev/zero", "is a device"},
		"an authority in a pipe":    {kubeconfig(t, fmt.Sprintf("%s, certificate-authority: %q", server, pipe), "token: s3cret"), "is a pipe"},
		"a token in a pipe":         {kubeconfig(t, server, fmt.Sprintf("tokenFile: %q", pipe)), "is a pipe"},
		"a certificate in a pipe":   {kubeconfig(t, server, fmt.Sprintf("client-certificate: %q, client-key: %q", pipe, pipe)), "is a pipe"},
		"a token of another kind":   {kubeconfig(t, server, "token: !!int s3cret"), "is no kubeconfig"},
		"a password of another one": {kubeconfig(t, server, "username: u, password: [s3cret]"), "is no kubeconfig"},
		"quotes that do not end":    {kubeconfig(t, server, `token: "s3cret`), "is no kubeconfig (line "},
		"a proxy that is no URL":    {kubeconfig(t, server+`, proxy-url: "http://u:s3cret@proxy:x"`, "token: s3cret"), "proxy-url of cluster x must be"},
		"it is not there":           {"/nonexistent/kubeconfig", "no such file"},
	} {
		_, _, _, err := following(t, test.path)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A token that is rotated in place is used at once, and one whose file became a
// pipe holds up nothing that comes later.
func TestTokenIsRotated(t *testing.T) {
	a := &api{installed: true, names: []string{"a"}, version: 1, watches: map[chan event]bool{}, methods: map[string]bool{}}
	var right atomic.Value
	right.Store("Bearer first")
	cluster := secure(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != right.Load() {
			status(w, http.StatusUnauthorized, "Unauthorized")
			return
		}
		a.ServeHTTP(w, r)
	})
	token := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		t.Helper()
		_ = os.Remove(token)
		if err := os.WriteFile(token, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first\n")
	client, registry, log, err := following(t, kubeconfig(t, cluster, fmt.Sprintf("tokenFile: %q", token)))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the list", func() bool { return names(registry) == "a" && client.Up() })
	_ = os.Remove(token)
	if err := syscall.Mkfifo(token, 0o600); err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	a.expired = true
	for events := range a.watches { // The watch ends with 410, and is begun again.
		events <- event{"ERROR", map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired"}}
	}
	a.mu.Unlock()
	eventually(t, "a word about the pipe", func() bool { return strings.Contains(log.String(), "is a pipe") })
	right.Store("Bearer second")
	write("second\n")
	eventually(t, "the watch again", client.Up)
}

package kubernetes

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/discovery"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/internal/testlog"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/internal/testmain"
)

func TestMain(m *testing.M) {
	testmain.Parallel(8)
	goleak.VerifyTestMain(collected{m})
}

// collected are tests after which the garbage is collected: the library follows the
// files of a client certificate until its transport is.
type collected struct{ *testing.M }

func (c collected) Run() int {
	code := c.M.Run()
	runtime.GC()
	return code
}

// api is as much of a Kubernetes API as discovery asks for: one kind, whose bad
// days a test decides. What a real server does is shown by the suite on real
// parts.
type api struct {
	mu        sync.Mutex
	installed bool
	forbidden string // the verb that is refused
	names     []string
	version   int
	lists     int
	expired   bool // the next watch ends with 410
	watches   map[chan event]bool
	methods   map[string]bool
	// answers comes before all else, if it is set: it tells whether it has answered.
	// a.mu is not held.
	answers func(w http.ResponseWriter, r *http.Request) bool
	server  *httptest.Server
	failed  map[string]int
}

type event struct {
	Type   string         `json:"type"`
	Object map[string]any `json:"object"`
}

func resource(name string, version int) map[string]any {
	return map[string]any{
		"apiVersion": "kafka.strimzi.io/v1", "kind": "KafkaConnect",
		"metadata": map[string]any{"name": name, "namespace": "data", "resourceVersion": fmt.Sprint(version)},
		"spec":     map[string]any{"replicas": 1, "config": map[string]any{"password": "s3cret"}},
		"status":   map[string]any{"url": "http://" + name},
	}
}

func status(w http.ResponseWriter, code int, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": "s3cret " + reason})
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.methods[r.Method] = true
	if answers := a.answers; answers != nil {
		a.mu.Unlock()
		if answers(w, r) {
			return
		}
		a.mu.Lock()
	}
	watching := r.URL.Query().Get("watch") != ""
	switch {
	case !a.installed || strings.HasSuffix(r.URL.Path, "/v1beta2"):
		a.mu.Unlock()
		status(w, http.StatusNotFound, "NotFound")
		return
	case strings.HasSuffix(r.URL.Path, "/apis/kafka.strimzi.io/v1"):
		a.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"kind": "APIResourceList", "groupVersion": "kafka.strimzi.io/v1", "resources": [{"name": "kafkaconnects", "kind": "KafkaConnect", "namespaced": true}]}`)
		return
	case watching && r.URL.Query().Get("sendInitialEvents") != "":
		a.mu.Unlock()
		status(w, http.StatusUnprocessableEntity, "Invalid") // as servers before 1.32
		return
	case watching && a.forbidden == "watch", !watching && a.forbidden == "list":
		a.mu.Unlock()
		status(w, http.StatusForbidden, "Forbidden")
		return
	case watching:
		a.watch(w, r)
		return
	}
	a.lists++
	items := []any{}
	for _, name := range a.names {
		items = append(items, resource(name, a.version))
	}
	version := a.version
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": "KafkaConnectList", "apiVersion": "kafka.strimzi.io/v1", "metadata": map[string]any{"resourceVersion": fmt.Sprint(version)}, "items": items})
}

// watch streams events; a.mu is held.
func (a *api) watch(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	if a.expired {
		a.expired = false
		a.mu.Unlock()
		_ = encoder.Encode(event{"ERROR", map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired"}})
		return
	}
	events := make(chan event, 10)
	a.watches[events] = true
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		delete(a.watches, events)
		a.mu.Unlock()
	}()
	flusher := w.(http.Flusher)
	flusher.Flush()
	for {
		select {
		case e := <-events:
			_ = encoder.Encode(e)
			flusher.Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// change tells all watches.
func (a *api) change(kind, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.version++
	for events := range a.watches {
		events <- event{kind, resource(name, a.version)}
	}
}

type logs = testlog.Log

// begin starts a client of the API.
func begin(t *testing.T, a *api) (*Client, *discovery.Registry, *logs) {
	t.Helper()
	a.watches, a.methods, a.failed = map[chan event]bool{}, map[string]bool{}, map[string]int{}
	server := httptest.NewServer(a)
	a.server = server
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, []byte(fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: x, clusters: [{name: x, cluster: {server: %q}}],
		users: [{name: x, user: {token: s3cret}}], contexts: [{name: x, context: {cluster: x, user: x, namespace: data}}]}`, server.URL)), 0o600); err != nil {
		t.Fatal(err)
	}
	kinds, err := discovery.ParseKinds("kafkaconnects.kafka.strimzi.io")
	if err != nil {
		t.Fatal(err)
	}
	registry, log := discovery.NewRegistry(), &logs{}
	client, err := start(Options{
		Kubeconfig: kubeconfig, Selectors: []Selector{{Kinds: kinds}}, Registry: registry,
		Failed: func(reason string) { a.mu.Lock(); defer a.mu.Unlock(); a.failed[reason]++ },
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	}, pace{absent: 20 * time.Millisecond, first: 30 * time.Millisecond, longest: 100 * time.Millisecond, initial: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		server.CloseClientConnections()
		server.Close()
		if len(registry.Objects()) > 0 {
			t.Error("a client that is closed leaves objects")
		}
		if a.methods[http.MethodGet] != true || len(a.methods) != 1 {
			t.Errorf("it sends %v", a.methods)
		}
		if strings.Contains(log.String(), "s3cret") {
			t.Errorf("a secret is logged:\n%s", log)
		}
	})
	return client, registry, log
}

// eventually waits for what the registry tells of.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); !is(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

func names(r *discovery.Registry) string {
	var all []string
	for _, o := range r.Objects() {
		all = append(all, o.Name)
	}
	return strings.Join(all, ",")
}

func TestResourcesAreFollowed(t *testing.T) {
	a := &api{installed: true, names: []string{"a", "b"}, version: 1}
	client, registry, _ := begin(t, a)
	<-client.Listed()
	eventually(t, "the list", func() bool { return names(registry) == "a,b" && client.Up() })
	a.change("ADDED", "c")
	eventually(t, "an addition", func() bool { return names(registry) == "a,b,c" })
	a.change("DELETED", "a")
	eventually(t, "a deletion", func() bool { return names(registry) == "b,c" })
	if o := registry.Objects()[0]; strings.Contains(fmt.Sprintf("%+v", o.Cluster), "s3cret") {
		t.Error("a secret of the configuration is kept")
	}
}

// A watch that has expired is a list anew: what went meanwhile goes.
func TestExpiredWatch(t *testing.T) {
	a := &api{installed: true, names: []string{"a"}, version: 1, expired: true}
	client, registry, _ := begin(t, a)
	<-client.Listed()
	a.mu.Lock()
	a.names, a.version = []string{"b"}, 7
	a.mu.Unlock()
	eventually(t, "the list after 410", func() bool { return names(registry) == "b" && client.Up() })
}

func TestMissingRights(t *testing.T) {
	for verb, want := range map[string]string{
		"list":  "may not list kafkaconnects.kafka.strimzi.io in namespace data",
		"watch": "may not watch kafkaconnects.kafka.strimzi.io in namespace data",
	} {
		t.Run(verb, func(t *testing.T) {
			a := &api{installed: true, names: []string{"a"}, version: 1, forbidden: verb}
			client, registry, log := begin(t, a)
			eventually(t, "the missing right", func() bool { return strings.Contains(log.String(), want) })
			if client.Up() {
				t.Error("up without rights")
			}
			a.mu.Lock()
			a.forbidden = ""
			a.mu.Unlock()
			eventually(t, "the right that was given", func() bool { return names(registry) == "a" && client.Up() })
		})
	}
}

// A definition that is not installed is waited for, and counts as no failure.
func TestDefinitionComesLater(t *testing.T) {
	a := &api{names: []string{"a"}, version: 1}
	client, registry, log := begin(t, a)
	<-client.Listed()
	if !client.Up() || names(registry) != "" {
		t.Errorf("up %v, %s", client.Up(), names(registry))
	}
	eventually(t, "the word about it", func() bool { return strings.Contains(log.String(), "not installed") })
	a.mu.Lock()
	a.installed = true
	a.mu.Unlock()
	eventually(t, "its resources", func() bool { return names(registry) == "a" })
}

func TestCheckLabels(t *testing.T) {
	for selector, right := range map[string]bool{"": true, "a=b,c!=d": true, "e in (f,g)": true, "a=(b": false, "=": false} {
		if err := CheckLabels(selector); (err == nil) != right {
			t.Errorf("%q: %v", selector, err)
		}
	}
}

// is tells what a request wants: "served", "list", "initial" (to be told what is
// there by a watch) or "watch".
func is(r *http.Request) string {
	switch query := r.URL.Query(); {
	case query.Get("sendInitialEvents") != "":
		return "initial"
	case query.Get("watch") != "":
		return "watch"
	case strings.HasSuffix(r.URL.Path, "/kafkaconnects"):
		return "list"
	}
	return "served"
}

// Whatever a server answers, it is told in a word and not repeated; what is known
// stays, and the first right answer is believed.
func TestStrangeAnswers(t *testing.T) {
	t.Parallel()
	page := "<html>s3cret " + strings.Repeat("x", 1<<20)
	for name, test := range map[string]struct {
		answer func(w http.ResponseWriter)
		reason string
	}{
		"HTML": {func(w http.ResponseWriter) { w.Header().Set("Content-Type", "text/html"); fmt.Fprint(w, page) }, Other},
		"JSON of another kind": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"kind": "s3cret", "apiVersion": "s3cret"}`)
		}, Other},
		"nothing": {func(http.ResponseWriter) {}, Other},
		"500":     {func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError); fmt.Fprint(w, page) }, Other},
		"429 for an hour": {func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "3600")
			status(w, http.StatusTooManyRequests, "TooManyRequests")
		}, ""},
		"cut": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, `{"kind":`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, ""},
		"elsewhere": {func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://127.0.0.1:1/s3cret")
			w.WriteHeader(http.StatusFound)
		}, Other},
	} {
		for _, what := range []string{"served", "list", "watch"} {
			t.Run(name+" "+what, func(t *testing.T) {
				t.Parallel()
				a := &api{installed: true, names: []string{"a"}, version: 1}
				client, registry, log := begin(t, a)
				eventually(t, "the list", func() bool { return names(registry) == "a" && client.Up() })
				a.mu.Lock()
				a.answers = func(w http.ResponseWriter, r *http.Request) bool {
					if is(r) == what {
						test.answer(w)
					}
					return is(r) == what
				}
				a.mu.Unlock()
				a.server.CloseClientConnections()
				if name != "429 for an hour" { // That is waited for, until the call has taken too long.
					eventually(t, "the word about it", func() bool { return strings.Contains(log.String(), "cannot be watched") })
				}
				if names(registry) != "a" {
					t.Error("what was known is forgotten")
				}
				if client.Up() && name != "429 for an hour" {
					t.Error("up")
				}
				a.mu.Lock()
				if test.reason != "" && a.failed[test.reason] == 0 {
					t.Errorf("counted %v, want %s", a.failed, test.reason)
				}
				a.answers, a.names, a.version = nil, []string{"b"}, 7
				a.mu.Unlock()
				if len(log.String()) > 4<<10 {
					t.Errorf("the log has %d bytes: %.4000s", len(log.String()), log)
				}
				if name != "429 for an hour" {
					eventually(t, "the right answer", func() bool { return names(registry) == "b" && client.Up() })
				}
			})
		}
	}
}

// A watch that ends as soon as it has begun does not become a storm of calls, and
// what changes is seen all the same.
func TestWatchEndsAtOnce(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"":                "",
		"with a bookmark": `{"type": "BOOKMARK", "object": {"kind": "KafkaConnect", "apiVersion": "kafka.strimzi.io/v1", "metadata": {"resourceVersion": "1"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			a := &api{installed: true, names: []string{"a"}, version: 1}
			calls := 0
			a.answers = func(w http.ResponseWriter, r *http.Request) bool {
				a.mu.Lock()
				calls++
				a.mu.Unlock()
				if is(r) == "watch" {
					w.Header().Set("Content-Type", "application/json")
					fmt.Fprint(w, body)
				}
				return is(r) == "watch"
			}
			_, registry, _ := begin(t, a)
			eventually(t, "the list", func() bool { return names(registry) == "a" })
			start := time.Now()
			a.mu.Lock()
			calls = 0
			a.mu.Unlock()
			eventually(t, "some calls", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return calls >= 20 })
			// At least 30 ms are between two watches, each with three calls before it.
			if took := time.Since(start); took < 100*time.Millisecond {
				t.Errorf("20 calls in %v", took)
			}
		})
	}
}

// A server that is replaced by another, whose versions are lower and resources
// others, is believed.
func TestServerIsReplaced(t *testing.T) {
	a := &api{installed: true, names: []string{"a"}, version: 1000}
	client, registry, _ := begin(t, a)
	eventually(t, "the list", func() bool { return names(registry) == "a" && client.Up() })
	a.mu.Lock()
	a.names, a.version = []string{"b"}, 1
	a.mu.Unlock()
	a.server.CloseClientConnections()
	eventually(t, "what it has", func() bool { return names(registry) == "b" && client.Up() })
}

// A server that has just begun does not have its definitions at once: clusters do
// not go for that. They go with a definition that stays away.
func TestDefinitionIsAwayForAMoment(t *testing.T) {
	t.Parallel()
	a := &api{installed: true, names: []string{"a"}, version: 1}
	client, registry, _ := begin(t, a)
	eventually(t, "the list", func() bool { return names(registry) == "a" && client.Up() })
	asked := 0
	a.mu.Lock()
	a.answers = func(w http.ResponseWriter, r *http.Request) bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		if is(r) != "served" {
			return false
		}
		if asked++; asked > 2 { // of each version once
			return false
		}
		if names(registry) != "a" {
			t.Error("the clusters are gone at once")
		}
		status(w, http.StatusNotFound, "NotFound")
		return true
	}
	a.version = 2
	a.mu.Unlock()
	a.server.CloseClientConnections()
	eventually(t, "that it is there again", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return asked > 2 && a.lists > 1 })
	if names(registry) != "a" {
		t.Error("the clusters are gone")
	}
	a.mu.Lock()
	a.answers, a.installed = nil, false
	a.mu.Unlock()
	a.server.CloseClientConnections()
	eventually(t, "its end", func() bool { return names(registry) == "" })
	if !client.Up() {
		t.Error("a definition that is not installed counts as a failure")
	}
}

// A watch that is to tell what is there and does not is given up for a list.
func TestInitialEventsDoNotCome(t *testing.T) {
	t.Parallel()
	a := &api{installed: true, names: []string{"a"}, version: 1}
	a.answers = func(w http.ResponseWriter, r *http.Request) bool {
		if is(r) != "initial" {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	}
	client, registry, _ := begin(t, a)
	eventually(t, "the list", func() bool { return names(registry) == "a" && client.Up() })
}

// Ending waits for nobody: neither for one who hangs, nor for one who is away.
func TestCloseIsPrompt(t *testing.T) {
	t.Parallel()
	for name, answers := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"hangs": func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true },
		"limits": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", "3600")
			status(w, http.StatusTooManyRequests, "TooManyRequests")
			return true
		},
		"is away": nil,
	} {
		t.Run(name, func(t *testing.T) {
			a := &api{installed: true, names: []string{"a"}, version: 1}
			client, registry, _ := begin(t, a)
			eventually(t, "the list", func() bool { return names(registry) == "a" && client.Up() })
			var asked atomic.Bool
			a.mu.Lock()
			a.answers = func(w http.ResponseWriter, r *http.Request) bool {
				asked.Store(true)
				return answers != nil && answers(w, r)
			}
			a.mu.Unlock()
			a.server.CloseClientConnections()
			if answers == nil {
				_ = a.server.Listener.Close()
			}
			// It tries again then, which is what may not be waited for.
			eventually(t, "another try", func() bool { return asked.Load() || answers == nil && !client.Up() })
			start := time.Now()
			client.Close()
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("it takes %v to end", took)
			}
		})
	}
}

// Whatever a kubeconfig says of credentials is used, and none of it is logged; a token
// that a file or a program gives is asked for anew, as the library does.
func TestKubeconfigs(t *testing.T) {
	t.Parallel()
	key, certificate := clientCertificate(t)
	folder := t.TempDir()
	plugin := filepath.Join(folder, "plugin")
	for name, content := range map[string]string{
		"token": "s3cret\n", "key": key, "certificate": certificate,
		"plugin": "#!/bin/sh\necho s3cret-of-the-plugin >&2\necho '{\"apiVersion\": \"client.authentication.k8s.io/v1\", \"kind\": \"ExecCredential\", \"status\": {\"token\": \"s3cret\"}}'\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct{ user, why string }{
		"token":                {"{token: s3cret}", ""},
		"token file":           {fmt.Sprintf("{tokenFile: %q}", filepath.Join(folder, "token")), ""},
		"program":              {fmt.Sprintf("{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: %q}}", plugin), ""},
		"client certificate":   {fmt.Sprintf("{client-certificate: %q, client-key: %q}", filepath.Join(folder, "certificate"), filepath.Join(folder, "key")), ""},
		"basic":                {"{username: scout, password: s3cret}", ""},
		"wrong token":          {"{token: s3cret-of-yesterday}", "unauthorized"},
		"no program":           {"{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: /no/such/program}}", "/no/such/program"},
		"program that fails":   {"{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: 'false'}}", "exit code 1"},
		"token file is absent": {"{tokenFile: /no/such/file}", "/no/such/file"},
		"nothing":              {"{}", "unauthorized"},
	} {
		t.Run(name, func(t *testing.T) {
			a := &api{installed: true, names: []string{"a"}, version: 1, watches: map[chan event]bool{}, methods: map[string]bool{}}
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, password, _ := r.BasicAuth()
				if r.Header.Get("Authorization") != "Bearer s3cret" && password != "s3cret" && len(r.TLS.PeerCertificates) == 0 {
					status(w, http.StatusUnauthorized, "Unauthorized")
					return
				}
				a.ServeHTTP(w, r)
			}))
			server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
			server.StartTLS()
			defer server.Close()
			authority := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
			kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
			if err := os.WriteFile(kubeconfig, []byte(fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: x, clusters: [{name: x, cluster: {server: %q, certificate-authority-data: %s}}],
				users: [{name: x, user: %s}], contexts: [{name: x, context: {cluster: x, user: x, namespace: data}}]}`, server.URL, authority, test.user)), 0o600); err != nil {
				t.Fatal(err)
			}
			kinds, _ := discovery.ParseKinds("kafkaconnects.kafka.strimzi.io")
			registry, log := discovery.NewRegistry(), &logs{}
			client, err := Start(Options{Kubeconfig: kubeconfig, Selectors: []Selector{{Kinds: kinds}}, Registry: registry, Logger: slog.New(slog.NewTextHandler(log, nil))})
			if err == nil {
				defer server.CloseClientConnections()
				defer client.Close()
				eventually(t, "what it says", func() bool { return names(registry) == "a" || strings.Contains(log.String(), "cannot be watched") })
			}
			said := log.String() + fmt.Sprint(err)
			if right := names(registry) == "a"; right != (test.why == "") || !strings.Contains(said, test.why) || strings.Contains(said, "s3cret") {
				t.Errorf("right: %v, said: %s", right, said)
			}
		})
	}
}

func clientCertificate(t *testing.T) (key, certificate string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded})), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}))
}

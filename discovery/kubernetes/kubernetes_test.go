package kubernetes

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/discovery"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

type logs struct {
	mu   sync.Mutex
	text strings.Builder
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

// begin starts a client of the API.
func begin(t *testing.T, a *api) (*Client, *discovery.Registry, *logs) {
	t.Helper()
	a.watches, a.methods = map[chan event]bool{}, map[string]bool{}
	server := httptest.NewServer(a)
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
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	}, pace{absent: 20 * time.Millisecond, first: 10 * time.Millisecond, longest: 50 * time.Millisecond})
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

package app

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/discovery/kubernetes"
)

// apiServerDoor is the door by which the API server of Kubernetes answers.
const apiServerDoor = "API server"

// apiServer has one resource, of a cluster at url.
func apiServer(url string) http.Handler {
	answer := func(w http.ResponseWriter, code int, body map[string]any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(body)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch query := r.URL.Query(); {
		case query.Get("sendInitialEvents") != "": // as servers before 1.32
			answer(w, http.StatusUnprocessableEntity, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 422, "reason": "Invalid"})
		case query.Get("watch") != "":
			w.Header().Set("Content-Type", "application/json")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		case r.URL.Path == "/apis/kafka.strimzi.io/v1":
			answer(w, http.StatusOK, map[string]any{"kind": "APIResourceList", "groupVersion": "kafka.strimzi.io/v1", "resources": []any{
				map[string]any{"name": "kafkaconnects", "kind": "KafkaConnect", "namespaced": true},
			}})
		case strings.HasSuffix(r.URL.Path, "/kafkaconnects"):
			answer(w, http.StatusOK, map[string]any{"kind": "KafkaConnectList", "apiVersion": "kafka.strimzi.io/v1", "metadata": map[string]any{"resourceVersion": "7"}, "items": []any{
				map[string]any{
					"apiVersion": "kafka.strimzi.io/v1", "kind": "KafkaConnect", "metadata": map[string]any{"name": "found", "namespace": "data", "resourceVersion": "7"},
					"spec": map[string]any{"replicas": 1}, "status": map[string]any{"url": url},
				},
			}})
		default:
			http.NotFound(w, r)
		}
	})
}

// An apiServerTry is a fault at an API server.
type apiServerTry struct {
	*spoilt
	trouble, url string
	authority    string        // of its certificate, "" without TLS
	timeout      time.Duration // of its calls, 0 is the usual one
	never        bool          // nobody answers, ever
}

// apiServerTries are the faults of an API server, each at one of its own. good,
// authority and bad are those of [tlsTroubles].
func apiServerTries(t *testing.T, rows map[string]trouble, good *tls.Config, authority string, bad map[string]*tls.Config) (tries []apiServerTry) {
	t.Helper()
	well := apiServer(worker(t, cluster("4.3.1"), 0))
	for name, trouble := range rows {
		if trouble.heavy {
			continue // The reader is another; it has bounds and tests of its own.
		}
		faulty := trouble.spoils().fault
		s := &spoilt{fault: func(next http.Handler) http.Handler {
			faulty := faulty(next)
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Get("watch") != "" {
					next.ServeHTTP(w, r) // A watch has no end that what edits could wait for.
					return
				}
				faulty.ServeHTTP(w, r)
			})
		}}
		made := apiServerTry{spoilt: s, trouble: name, url: s.serve(t, well)}
		if trouble.waits || name == "resets" { // client-go tries that again by itself.
			made.timeout = 2 * time.Second
		}
		tries = append(tries, made)
	}
	for name, config := range bad {
		s := &spoilt{fault: connecttest.Redirect("http://127.0.0.1:1/hunter2")}
		tries = append(tries, apiServerTry{spoilt: s, trouble: name, url: overTLS(t, s, good, config, well), authority: authority})
	}
	for name, address := range nowhere() {
		tries = append(tries, apiServerTry{spoilt: &spoilt{}, trouble: name, url: "http://" + address, never: true})
	}
	return tries
}

// apiServerFaults lets each fault stand before an API server, for an exporter of its own
// that has a configured cluster beside it, and tells what becomes of it: the reason
// that is counted. When it is over, the cluster that is found there is whole.
func apiServerFaults(t *testing.T, tries []apiServerTry, tell func(trouble, became string)) {
	t.Helper()
	url := worker(t, cluster("4.3.1"), 0)
	var sides sync.WaitGroup
	for _, try := range tries {
		kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
		write(t, kubeconfig, `{apiVersion: v1, kind: Config, current-context: x, clusters: [{name: x, cluster: {server: %q, certificate-authority: %q}}],
			users: [{name: x, user: {token: hunter2}}], contexts: [{name: x, context: {cluster: x, user: x, namespace: data}}]}`, try.url, try.authority)
		try.on.Store(true)
		p := start(t, Options{apiTimeout: try.timeout, Sources: fromFile(file(t,
			"snapshot_max_age: 0s\ndiscovery: {kubeconfig: %q, kubernetes: [{kinds: [kafkaconnects.kafka.strimzi.io]}]}\nclusters:\n- {name: well, urls: [%q]}\n", kubeconfig, url))})
		sides.Go(func() { tell(try.trouble, apiServerBecame(t, p, try)) })
	}
	sides.Wait()
}

// apiServerBecame waits for what becomes of a fault, lets it be over and waits for the
// cluster that is found then.
func apiServerBecame(t *testing.T, p *program, try apiServerTry) (became string) {
	t.Helper()
	const (
		found, failed, absent = `"what was found is watched" clusters=2`, "resources cannot be watched", "resource is not installed"

		up = "kafka_connect_discovery_up"
	)
	scrape := func() series {
		began := time.Now()
		got := p.scrape("/metrics")
		if took := time.Since(began); got[`kafka_connect_up{connect_cluster="well"}`] != 1 || took > 10*time.Second {
			t.Errorf("%s: the configured cluster is not whole, or not in time: %v", try.trouble, took)
		}
		return got
	}
	// It is found when it is listed, a moment before the watch begins.
	whole := func() bool {
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
			if got := scrape(); got[`kafka_connect_up{connect_cluster="data/found"}`] == 1 && got[up] == 1 {
				return true
			}
		}
		return false
	}
	happened := p.logs.Await(t, found+"|"+failed+"|"+absent)
	switch got := scrape(); {
	case happened == found && whole():
		became = "whole"
	case happened == absent && got[up] == 1:
		became = "none is found"
	case happened == failed && got[up] == 0:
		for _, reason := range kubernetes.Reasons() {
			if got[fmt.Sprintf("kafka_connect_discovery_errors_total{reason=%q}", reason)] > 0 {
				became = reason
			}
		}
	}
	if became == "" {
		t.Errorf("%s: after %q there is no reason: %v", try.trouble, happened, p.logs)
	}
	if try.on.Store(false); !try.never {
		p.logs.Await(t, found)
		if happened == failed {
			p.logs.Await(t, "resources are watched again")
		}
		if !whole() {
			t.Errorf("%s: not whole again: %v", try.trouble, p.logs)
		}
	}
	if strings.Contains(p.logs.String(), "hunter2") || strings.Contains(p.get("/metrics").body, "hunter2") {
		t.Errorf("%s: what was sent or answered is shown", try.trouble)
	}
	return became
}

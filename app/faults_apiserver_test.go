package app

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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

// apiServerFaults lets each fault stand before an API server, for an exporter of its own
// that has a configured cluster beside it, and tells what becomes of it: the reason
// that is counted. When it is over, the cluster that is found there is whole.
func apiServerFaults(t *testing.T, rows map[string]trouble, tell func(trouble, became string)) {
	t.Helper()
	url := worker(t, cluster("4.3.1"), 0)
	type tried struct {
		*spoilt
		*program
		trouble string
	}
	var all []tried
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		switch trouble := rows[name]; {
		case trouble.heavy, trouble.waits: // The reader is another, and has half a minute.
			continue
		case name == "404 of a worker that starts", strings.HasPrefix(name, "resets"):
			continue // Nothing is wrong with the first; client-go tries the others again for long.
		}
		fault := rows[name].fault
		s := &spoilt{fault: func(next http.Handler) http.Handler {
			faulty := fault(next)
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Get("watch") != "" {
					next.ServeHTTP(w, r) // A watch has no end that what edits could wait for.
					return
				}
				faulty.ServeHTTP(w, r)
			})
		}}
		s.on.Store(true)
		kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
		write(t, kubeconfig, `{apiVersion: v1, kind: Config, current-context: x, clusters: [{name: x, cluster: {server: %q}}],
			users: [{name: x, user: {token: hunter2}}], contexts: [{name: x, context: {cluster: x, user: x, namespace: data}}]}`, s.serve(t, apiServer(url)))
		all = append(all, tried{s, start(t, Options{Sources: fromFile(file(t,
			"snapshot_max_age: 0s\ndiscovery: {kubeconfig: %q, kubernetes: [{kinds: [kafkaconnects.kafka.strimzi.io]}]}\nclusters:\n- {name: well, urls: [%q]}\n", kubeconfig, url))}), name})
	}
	const up = "kafka_connect_discovery_up"
	found := func(got series) bool { return got[`kafka_connect_up{connect_cluster="data/found"}`] == 1 }
	deadline := time.Now().Add(30 * time.Second)
	until := func(a tried, what string, is func(got series) bool) series {
		t.Helper()
		for {
			began := time.Now()
			got := a.scrape("/metrics")
			if took := time.Since(began); got[`kafka_connect_up{connect_cluster="well"}`] != 1 || took > 10*time.Second {
				t.Errorf("%s: the configured cluster is not whole, or not in time: %v", a.trouble, took)
			}
			if is(got) {
				return got
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %s: not within 30 s: %v", a.trouble, what, got)
			}
			time.Sleep(10 * time.Millisecond) // Until it has asked.
		}
	}
	for _, a := range all {
		became := "whole"
		until(a, "a failure is counted, or nothing fails", func(got series) bool {
			for _, reason := range kubernetes.Reasons() {
				if got[fmt.Sprintf("kafka_connect_discovery_errors_total{reason=%q}", reason)] > 0 {
					became = reason
					return got[up] == 0
				}
			}
			return found(got) && got[up] == 1
		})
		tell(a.trouble, became)
	}
	for _, a := range all {
		a.on.Store(false)
	}
	for _, a := range all {
		until(a, "the cluster is found", func(got series) bool { return found(got) && got[up] == 1 })
		if strings.Contains(a.logs.String(), "hunter2") || strings.Contains(a.get("/metrics").body, "hunter2") {
			t.Errorf("%s: what was sent or answered is shown", a.trouble)
		}
	}
}

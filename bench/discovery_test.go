package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
)

// kubernetesAPI answers as an API server does that has resources of Strimzi's
// KafkaConnect, as large as operators leave them (10 KB): live of them with an
// address, the others without workers.
func kubernetesAPI(t *testing.T, resources, live int, address string) string {
	t.Helper()
	managed := map[string]any{"manager": strings.Repeat("m", 8<<10)}
	resource := func(i int) map[string]any {
		replicas, status := 0, map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "True"}}}
		if i < live {
			replicas, status["url"] = 1, address
		}
		return map[string]any{
			"apiVersion": "kafka.strimzi.io/v1", "kind": "KafkaConnect",
			"metadata": map[string]any{
				"name": fmt.Sprintf("orders-%d", i), "namespace": "data", "resourceVersion": "1", "managedFields": []any{managed},
				"labels": map[string]any{"app": "orders", "team": "payments"},
			},
			"spec": map[string]any{
				"replicas": replicas, "bootstrapServers": "kafka:9092", "groupId": "orders", "configStorageTopic": "c", "statusStorageTopic": "s", "offsetStorageTopic": "o",
				"template": map[string]any{"pod": strings.Repeat("t", 1<<10)},
			},
			"status": status,
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		encoder := json.NewEncoder(w)
		switch query := r.URL.Query(); {
		case strings.HasSuffix(r.URL.Path, "/v1"):
			fmt.Fprint(w, `{"kind": "APIResourceList", "groupVersion": "kafka.strimzi.io/v1", "resources": [{"name": "kafkaconnects", "kind": "KafkaConnect", "namespaced": true}]}`)
			return
		case query.Get("sendInitialEvents") == "true":
			for i := range resources {
				_ = encoder.Encode(map[string]any{"type": "ADDED", "object": resource(i)})
			}
			fmt.Fprint(w, `{"type": "BOOKMARK", "object": {"kind": "KafkaConnect", "apiVersion": "kafka.strimzi.io/v1", "metadata": {"resourceVersion": "1", "annotations": {"k8s.io/initial-events-end": "true"}}}}`)
		case query.Get("watch") == "":
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// The resident memory with discovery has a ceiling, too. What is kept of resources
// is a few megabytes of it; the rest is what as many clusters cost that were
// configured, most of it the text of their series in a scrape.
func TestResidentMemoryOfDiscovery(t *testing.T) {
	inBench(t)
	binary := build(t)
	cluster := connecttest.Large(1, 1)
	worker := httptest.NewServer(cluster.Handler(cluster.Workers()[0]))
	defer worker.Close()
	prometheus := accept("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3", "gzip")
	for _, test := range []struct {
		what                     string
		resources, live, ceiling int
	}{
		{"no resource", 0, 0, 44 << 20},
		{"20 resources, each a cluster that answers", 20, 20, 52 << 20},
		{"300 resources, each a cluster that answers", 300, 300, 128 << 20},
		{"2,000 resources without workers", 2000, 0, 160 << 20},
		{"2,000 resources, 20 of them clusters that answer", 2000, 20, 176 << 20},
	} {
		folder := t.TempDir()
		api := kubernetesAPI(t, test.resources, test.live, worker.URL)
		for name, content := range map[string]string{
			"kubeconfig": fmt.Sprintf("{apiVersion: v1, kind: Config, current-context: x, clusters: [{name: x, cluster: {server: %q}}], contexts: [{name: x, context: {cluster: x, namespace: data}}]}", api),
			"config.yml": "discovery: {kubeconfig: kubeconfig, kubernetes: [{kinds: [kafkaconnects.kafka.strimzi.io]}]}\n",
		} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		least := 0
		for range 3 {
			process, address := start(t, binary, "--config.file="+filepath.Join(folder, "config.yml"))
			// The last one in the order of names is there when all are.
			last, up := fmt.Sprintf(`kafka_connect_discovery_resources{group="kafka.strimzi.io",kind="KafkaConnect"} %d`, test.resources), ""
			if test.resources > 0 {
				up = fmt.Sprintf(`kafka_connect_up{connect_cluster="data/orders-%d"} 1`, test.resources-1)
			}
			for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
				if all := read(t, "http://"+address+"/metrics"); strings.Contains(all, last+"\n") && strings.Contains(all, up+"\n") {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("%s: not found within a minute", test.what)
				}
			}
			for range 10 {
				download(t, "http://"+address+"/metrics", prometheus)
			}
			peak, now := memory(t, process.Process.Pid, "VmHWM"), memory(t, process.Process.Pid, "VmRSS")
			if least == 0 || peak < least {
				least = peak
			}
			t.Logf("%s: resident memory %.1f MB, at most %.1f MB", test.what, float64(now)/(1<<20), float64(peak)/(1<<20))
			_ = process.Process.Kill()
			if least <= test.ceiling {
				break
			}
		}
		if least > test.ceiling {
			t.Errorf("%s: peak resident memory is %d bytes, more than %d", test.what, least, test.ceiling)
		}
	}
}

// read returns the body of an answer.
func read(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

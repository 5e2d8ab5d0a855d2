package app

import (
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
)

// Workers advertise the very addresses at which they are served here, so that
// they can be asked.
func TestWorkerProbe(t *testing.T) {
	var servers []*httptest.Server
	var workers []string
	for range 2 {
		server := httptest.NewUnstartedServer(nil)
		servers = append(servers, server)
		workers = append(workers, server.Listener.Addr().String())
	}
	c := connecttest.NewCluster(connecttest.Options{Version: "4.3.1", Workers: workers})
	for i, server := range servers {
		server.Config.Handler = c.Handler(workers[i])
		server.Start()
		t.Cleanup(server.Close)
	}
	for i := range 4 {
		c.Create(connecttest.Connector{Name: fmt.Sprint("c", i), Class: "org.example.Sink", Tasks: 2})
	}
	p := start(t, Options{Sources: fromFile(file(t,
		"snapshot_max_age: 0s\nclusters:\n- {name: asked, urls: [%q], worker_probe: true}\n- {name: unasked, urls: [%q]}\n", servers[0].URL, servers[0].URL))})
	up := func(worker string) string {
		return fmt.Sprintf("kafka_connect_worker_up{connect_cluster=\"asked\",worker=%q}", worker)
	}
	got := p.scrape("/metrics")
	got.want(t, series{up(workers[0]): 1, up(workers[1]): 1})
	for _, worker := range workers {
		prefix, suffix := `kafka_connect_worker_info{commit="`, fmt.Sprintf(`",connect_cluster="asked",version="4.3.1",worker=%q}`, worker)
		if !slices.ContainsFunc(slices.Collect(maps.Keys(got)), func(key string) bool {
			return strings.HasPrefix(key, prefix) && strings.HasSuffix(key, suffix)
		}) {
			t.Errorf("no version of %s", worker)
		}
	}
	for key := range got.of("unasked") {
		if strings.HasPrefix(key, "kafka_connect_worker_up") || strings.HasPrefix(key, "kafka_connect_worker_info") {
			t.Errorf("workers were asked without worker_probe: %s", key)
		}
	}

	// The API goes on to name a worker that was killed, and to say that all runs;
	// the probe tells.
	c.KillWorker(workers[1])
	got = p.scrape("/metrics")
	got.want(t, series{
		up(workers[0]): 1, up(workers[1]): 0,
		`kafka_connect_up{connect_cluster="asked"}`:                    1,
		`kafka_connect_tasks{connect_cluster="asked",state="running"}`: 8,
		`kafka_connect_workers{connect_cluster="asked"}`:               2,
	})
}

func TestFilterKeepsTheConnectorsThatAreWanted(t *testing.T) {
	c := cluster("4.3.1")
	url := worker(t, c, 0)
	p := start(t, Options{Sources: fromFile(file(t, `clusters:
- {name: v2, urls: [%[1]q], observation_version: "2", connectors: {exclude: ["si.*"]}}
- {name: v1, urls: [%[1]q], observation_version: "1", connectors: {include: ["so.*", "none"]}}
- {name: none, urls: [%[1]q], connectors: {include: ["nothing"]}}
`, url))})
	got := p.scrape("/metrics")
	for _, name := range []string{"v1", "v2"} {
		got.want(t, series{
			fmt.Sprintf(`kafka_connect_connectors{connect_cluster=%q,state="running"}`, name):                         1,
			fmt.Sprintf(`kafka_connect_connector_state{connect_cluster=%q,connector="source",state="running"}`, name): 1,
			fmt.Sprintf(`kafka_connect_tasks{connect_cluster=%q,state="failed"}`, name):                               0,
			fmt.Sprintf(`kafka_connect_connectors_unobserved{connect_cluster=%q,reason="no_status"}`, name):           0,
		})
	}
	got.want(t, series{`kafka_connect_up{connect_cluster="none"}`: 1, `kafka_connect_connectors{connect_cluster="none",state="running"}`: 0})
	for key := range got {
		if strings.Contains(key, `connector="sink"`) {
			t.Errorf("a connector that is not wanted is shown: %s", key)
		}
	}
	// Nor is it asked for, where it can be left out.
	for match, n := range c.Requests().Counts {
		if match.Connector == "sink" {
			t.Errorf("a connector that is not wanted was asked for %d times: %+v", n, match)
		}
	}
}

// A worker that may have no credentials is not shown the client certificate
// either: a cluster names workers as it likes.
func TestClientCertificateGoesToTrustedWorkersOnly(t *testing.T) {
	directory := t.TempDir()
	certificate(t, directory)
	shown := map[string]bool{} // by worker: whether it saw a certificate
	var mu sync.Mutex
	var workers []string
	c := connecttest.NewCluster(connecttest.Options{})
	secured := func(name string, handler http.Handler) string {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			shown[name] = shown[name] || len(r.TLS.PeerCertificates) > 0
			mu.Unlock()
			handler.ServeHTTP(w, r)
		}))
		server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
		server.StartTLS()
		t.Cleanup(server.Close)
		return server.Listener.Addr().String()
	}
	root := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	for _, name := range []string{"trusted", "other"} {
		workers = append(workers, secured(name, root))
	}
	c.Create(connecttest.Connector{Name: "x", Tasks: 1})
	document := fmt.Sprintf(`{"x":{"status":{"connector":{"state":"RUNNING","worker_id":%q},"tasks":[{"id":0,"state":"RUNNING","worker_id":%q}]}}}`, workers[0], workers[1])
	c.SetFault(connecttest.Match{Endpoint: connecttest.EndpointExpand}, connecttest.Reply(http.StatusOK, "application/json", document))
	cluster := secured("cluster", c.Handler(c.Workers()[0]))
	path := filepath.Join(directory, "config.yml")
	write(t, path, `clusters:
- name: orders
  urls: ["https://%s"]
  http_client: {tls_config: {insecure_skip_verify: true, cert_file: cert.pem, key_file: key.pem}}
  worker_probe: {credentials_hosts: [%q]}
`, cluster, workers[0])
	p := start(t, Options{Sources: fromFile(path)})
	p.scrape("/metrics").want(t, series{
		fmt.Sprintf(`kafka_connect_worker_up{connect_cluster="orders",worker=%q}`, workers[0]): 1,
		fmt.Sprintf(`kafka_connect_worker_up{connect_cluster="orders",worker=%q}`, workers[1]): 1,
	})
	mu.Lock()
	defer mu.Unlock()
	if !shown["cluster"] || !shown["trusted"] || shown["other"] {
		t.Errorf("the client certificate was shown to %v", shown)
	}
}

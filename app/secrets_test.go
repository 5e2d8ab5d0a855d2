package app

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
)

// A Secret that hangs delays no other, and of a large one is kept what is used.
func TestSecretsOfResources(t *testing.T) {
	encoded := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	var password atomic.Value
	password.Store("first")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/apis/aiven.io/v1alpha1":
			fmt.Fprint(w, `{"kind": "APIResourceList", "resources": [{"name": "kafkas"}]}`)
		case strings.HasSuffix(r.URL.Path, "/secrets/hangs"):
			<-r.Context().Done()
		case strings.HasSuffix(r.URL.Path, "/secrets/large"):
			fmt.Fprintf(w, `{"data": {"KAFKA_CONNECT_HOST": %q, "KAFKA_CONNECT_PORT": %q, "KAFKA_PASSWORD": %q, "KAFKA_USERNAME": %q, "KAFKA_ACCESS_KEY": %q}}`,
				encoded("host"), encoded("443"), encoded(password.Load().(string)), encoded("avnadmin"), encoded(strings.Repeat("s3cret", 1<<17)))
		case strings.HasSuffix(r.URL.Path, "/secrets/absent"):
			w.WriteHeader(http.StatusNotFound)
		case r.URL.Query().Get("watch") == "":
			for i, name := range []string{"hangs", "large", "absent"} {
				fmt.Fprintf(w, `%s{"apiVersion": "aiven.io/v1alpha1", "kind": "Kafka", "metadata": {"name": %q, "namespace": "data", "resourceVersion": "1"}, "spec": {"project": "p", "userConfig": {"kafka_connect": true}}}`,
					[]string{`{"kind": "KafkaList", "apiVersion": "aiven.io/v1alpha1", "metadata": {"resourceVersion": "1"}, "items": [`, ",", ","}[i], name)
			}
			fmt.Fprint(w, "]}")
		case r.URL.Query().Get("sendInitialEvents") != "":
			w.WriteHeader(http.StatusUnprocessableEntity)
		default:
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	}))
	defer server.Close()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	write(t, kubeconfig, "{apiVersion: v1, kind: Config, current-context: x, clusters: [{name: x, cluster: {server: %q}}], contexts: [{name: x, context: {cluster: x, namespace: data}}]}", server.URL)
	cfg, err := config.Load(config.Sources{File: file(t, "discovery: {kubeconfig: %q, kubernetes: [kafkas.aiven.io]}", kubeconfig)})
	if err != nil {
		t.Fatal(err)
	}
	finder, err := newDiscoverer(cfg.Discovery, "", 0, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer finder.stop()
	defer server.CloseClientConnections()
	finder.listed(t.Context())
	// read reads until the password of the large one is known, which it is while the
	// other hangs.
	read := func(again bool, password string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		done := make(chan struct{})
		go func() { defer close(done); finder.readSecrets(ctx, again) }()
		defer func() { cancel(); <-done }()
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			wishes := finder.wishes(cfg)
			if len(wishes) == 1 && wishes[0].Name == "data/large" && string(wishes[0].HTTPClient.BasicAuth.Password) == password && wishes[0].URLs[0].String() == "https://host:443" {
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Fatalf("the password %s is not known: %v", password, finder.refusals)
			}
		}
	}
	read(false, "first")
	if got := finder.refused["secret"]; got != 2 {
		t.Errorf("%d are refused for their Secrets, want 2: %v", got, finder.refusals)
	}
	for name, s := range finder.secrets {
		for key, value := range s.data {
			if strings.Contains(value, "s3cret") {
				t.Errorf("%s of %s is kept", key, name.name)
			}
		}
	}
	password.Store("second")
	read(true, "second")
}

package web

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/exposition"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

func TestAcceptsGzip(t *testing.T) {
	for value, want := range map[string]bool{
		"": false, "gzip": true, "gzip, deflate, br": true, "br;q=1.0, GZIP;q=0.8": true, "gzip;q=0": false, "gzip;q=0.0, *": false,
		"*": true, "*;q=0": false, "identity": false, "identity;q=1, *;q=0": false, "deflate , gzip ; q=0.5": true, "gzip;q=x": false, "xgzip": false,
	} {
		if got := acceptsGzip(http.Header{"Accept-Encoding": {value}}); got != want {
			t.Errorf("Accept-Encoding %q: %v, want %v", value, got, want)
		}
	}
}

// While a slow cluster is waited for, what the others have brought is written already.
func TestWritesWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		prepared := make(chan struct{})
		var once sync.Once
		slow := &observer{observe: func(ctx context.Context, _ func(connect.Request)) (*connect.Snapshot, error) {
			select {
			case <-prepared:
				return nil, connect.Unreachable
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}}
		handler := serve(t, func(o *Options) {
			renderer := o.Renderer()
			o.Renderer = func() *exposition.Renderer {
				once.Do(func() { close(prepared) })
				return renderer
			}
		}, named{"slow", slow}, named{"well", shows(running("one"))})
		answer := ask(handler, http.MethodGet, "/metrics", scrapeTimeoutHeader, "4")
		// It would be a timeout if the slow cluster had not seen that there was a renderer.
		for _, want := range []string{`kafka_connect_snapshot_errors_total{connect_cluster="slow",reason="unreachable"} 1`, `kafka_connect_connector_state{connect_cluster="well"`} {
			if !strings.Contains(answer.Body.String(), want) {
				t.Errorf("no %s", want)
			}
		}
	})
}

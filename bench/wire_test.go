package bench

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/rest"
)

// BenchmarkWire is what a steady scrape as Prometheus makes it puts on the wire.
// Its yardstick is promhttp with the same series at hand: what it takes to write
// and compress them.
func BenchmarkWire(b *testing.B) {
	zipped := http.Header{"Accept-Encoding": {"gzip"}}
	run := func(name string, urls []string) {
		exporter := exporter(b, urls, rest.VersionAuto, 5*time.Minute)
		yardstick := httptest.NewServer(promhttp.HandlerFor(familiesOf(b, exporter.URL+"/metrics"), promhttp.HandlerOpts{}))
		b.Cleanup(yardstick.Close)
		b.Run(name+"/promhttp", func(b *testing.B) {
			measure(b, func() int64 { return download(b, yardstick.URL, zipped) })
		})
		b.Run(name+"/steady", func(b *testing.B) {
			measure(b, func() int64 { return download(b, exporter.URL+"/metrics", zipped) })
		})
	}
	workers := func(clusters, connectors int) (urls []string) {
		cluster := connecttest.Large(connectors, 4)
		for range clusters {
			server := httptest.NewServer(cluster.Handler(cluster.Workers()[0]))
			b.Cleanup(server.Close)
			urls = append(urls, server.URL)
		}
		return urls
	}
	for _, test := range []struct{ clusters, connectors int }{{1, 1000}, {100, 10}} {
		run(fmt.Sprintf("clusters=%d,connectors=%d", test.clusters, test.connectors), workers(test.clusters, test.connectors))
	}
	demo, err := connecttest.NewDemo(connecttest.DemoOptions{})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = demo.Run(ctx)
	}()
	b.Cleanup(func() {
		stop()
		<-ended
	})
	var urls []string
	for _, cluster := range demo.Clusters {
		urls = append(urls, cluster.URLs[0])
	}
	run("demo", urls)
}

// familiesOf reads what an exporter answers into the library's types.
func familiesOf(b *testing.B, target string) prometheus.Gatherer {
	b.Helper()
	response, err := http.Get(target)
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	parsed, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		b.Fatal(err)
	}
	families := slices.SortedFunc(maps.Values(parsed), func(x, y *dto.MetricFamily) int { return strings.Compare(x.GetName(), y.GetName()) })
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil })
}

// What is on the wire is little larger than what promhttp would put there, for a
// large cluster, for many small ones and for a handful.
func TestWire(t *testing.T) {
	for _, test := range []struct{ clusters, connectors int }{{1, 1000}, {100, 10}, {3, 12}} {
		cluster := connecttest.Large(test.connectors, 4)
		var urls []string
		for range test.clusters {
			server := httptest.NewServer(cluster.Handler(cluster.Workers()[0]))
			t.Cleanup(server.Close)
			urls = append(urls, server.URL)
		}
		exporter := exporter(t, urls, rest.VersionAuto, 5*time.Minute)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, exporter.URL+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept-Encoding", "gzip")
		response, err := exporter.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		answer, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		text, err := gzip.NewReader(bytes.NewReader(answer))
		if err != nil {
			t.Fatal(err)
		}
		var packed bytes.Buffer
		yardstick := gzip.NewWriter(&packed) // promhttp's
		if _, err := io.Copy(yardstick, text); err != nil {
			t.Fatal(err)
		}
		if err := yardstick.Close(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d × %d: %d bytes, %d by promhttp", test.clusters, test.connectors, len(answer), packed.Len())
		if len(answer) > packed.Len()*5/4 {
			t.Errorf("%d clusters × %d connectors: %d bytes, more than 1.25 × %d", test.clusters, test.connectors, len(answer), packed.Len())
		}
	}
}

// Package bench measures whole scrapes, beside the yardsticks that a figure
// means something against. It holds no code of the product.
package bench

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"syscall"
	"testing"
	"time"

	commoncfg "github.com/prometheus/common/config"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/exposition"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/fleet"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/self"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/rest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/web"
)

// exporter serves the metrics of the workers at urls, one cluster each.
func exporter(b testing.TB, urls []string, version string, infoMaxAge time.Duration) *httptest.Server {
	b.Helper()
	return exporterAround(b, urls, version, infoMaxAge, func(o connect.Observer) connect.Observer { return o })
}

// exporterAround puts each cluster's observer into another.
func exporterAround(b testing.TB, urls []string, version string, infoMaxAge time.Duration, wrap func(connect.Observer) connect.Observer) *httptest.Server {
	b.Helper()
	self, err := self.New(self.Options{})
	if err != nil {
		b.Fatal(err)
	}
	var clusters []fleet.Cluster
	for i, text := range urls {
		u, err := url.Parse(text)
		if err != nil {
			b.Fatal(err)
		}
		name := fmt.Sprintf("cluster-%d", i)
		client, err := rest.NewClient(commoncfg.DefaultHTTPClientConfig, name)
		if err != nil {
			b.Fatal(err)
		}
		clusters = append(clusters, fleet.Cluster{Name: name, Provider: connect.SelfManaged, Observer: wrap(rest.New(rest.Options{
			Name: name, URLs: []*url.URL{u}, Client: client, ObservationVersion: version, InfoMaxAge: infoMaxAge, RequestTimeout: time.Minute,
		}))})
	}
	silent := slog.New(slog.DiscardHandler)
	fleet := fleet.New(clusters, fleet.Options{Timeout: time.Minute, Recorder: self.Instruments(), Logger: silent})
	renderer := exposition.NewRenderer(exposition.Options{})
	handler, _, err := web.New(web.Options{
		Fleet: fleet, Renderer: func() *exposition.Renderer { return renderer }, Self: self,
		Config: func() []byte { return nil }, Reload: func(context.Context) error { return nil }, Ready: func() error { return nil },
		Logger: silent,
	})
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(handler)
	b.Cleanup(func() {
		server.Close()
		fleet.Close()
	})
	return server
}

// download reads an answer as it comes over the wire and throws it away.
func download(b testing.TB, target string, header http.Header) int64 {
	b.Helper()
	request, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		b.Fatal(err)
	}
	request.Header = header
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections() // Thousands of them would be too many files.
	response, err := transport.RoundTrip(request)
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	n, err := io.Copy(io.Discard, response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		b.Fatal(err, response.Status)
	}
	return n
}

// processorTime is the CPU time of this process so far, both sides of each
// connection included.
func processorTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func measure(b *testing.B, do func() int64) {
	measureWith(b, func() {}, do)
}

// measureWith measures what do does, and not what prepare does before it.
func measureWith(b *testing.B, prepare func(), do func() int64) {
	b.ReportAllocs()
	var bytes int64
	var spent time.Duration
	for b.Loop() {
		b.StopTimer()
		prepare()
		before := processorTime()
		b.StartTimer()
		bytes = do()
		b.StopTimer()
		spent += processorTime() - before
		b.StartTimer()
	}
	b.ReportMetric(float64(spent)/float64(b.N)/1e6, "cpu-ms/op")
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)*1e3, "ms/op")
	b.ReportMetric(float64(bytes), "answer-bytes")
}

// BenchmarkScrape is one whole scrape over loopback connections: simulated
// worker, exporter, scraper. Its floor is downloading what a worker answers to
// expand=info&expand=status, once, by io.Copy.
func BenchmarkScrape(b *testing.B) {
	plain, zipped := http.Header{}, http.Header{"Accept-Encoding": {"gzip"}}
	for _, connectors := range []int{1_000, 10_000} {
		cluster := connecttest.Large(connectors, 4)
		worker := httptest.NewServer(cluster.Handler(cluster.Workers()[0]))
		run := func(name, version string, infoMaxAge time.Duration, header http.Header) {
			b.Run(fmt.Sprintf("connectors=%d/%s", connectors, name), func(b *testing.B) {
				exporter := exporter(b, []string{worker.URL}, version, infoMaxAge)
				download(b, exporter.URL+"/metrics", header)
				measure(b, func() int64 { return download(b, exporter.URL+"/metrics", header) })
			})
		}
		b.Run(fmt.Sprintf("connectors=%d/floor", connectors), func(b *testing.B) {
			measure(b, func() int64 { return download(b, worker.URL+"/connectors?expand=info&expand=status", plain) })
		})
		run("v2-steady", rest.Version2, time.Hour, plain)
		run("v2-steady-gzip", rest.Version2, time.Hour, zipped)
		b.Run(fmt.Sprintf("connectors=%d/v2-changed", connectors), func(b *testing.B) {
			exporter := exporter(b, []string{worker.URL}, rest.Version2, time.Hour)
			download(b, exporter.URL+"/metrics", zipped)
			failed := false
			measureWith(b, func() {
				// The simulated worker renders its answer anew, which is not ours
				// to measure.
				if failed = !failed; failed {
					cluster.FailTask(connecttest.LargeName(connectors/2), 1, "a.B: x")
				} else {
					cluster.RestartTask(connecttest.LargeName(connectors/2), 1)
				}
				cluster.Prepare()
			}, func() int64 { return download(b, exporter.URL+"/metrics", zipped) })
		})
		run("v2-cold", rest.Version2, 0, plain)
		if connectors <= 1_000 {
			run("v1-steady", rest.Version1, time.Hour, plain)
			run("v1-cold", rest.Version1, 0, plain)
		}
		worker.Close()
	}
}

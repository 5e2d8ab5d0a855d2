package exposition

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/internal/collectortest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
)

// yardstick is what a Renderer is measured against: the same series by the
// means of the library, a collector of constant metrics.
type yardstick struct{ results []series.Result }

var yardstickDescs = func() (descs [series.FamilyCount]*prometheus.Desc) {
	for f := range descs {
		d := series.Family(f).Descriptor()
		names := []string{series.ClusterLabel}
		for _, name := range d.Labels {
			if name != series.ClusterLabel {
				names = append(names, name)
			}
		}
		descs[f] = prometheus.NewDesc(d.Name, d.Help, names, nil)
	}
	return descs
}()

func (yardstick) Describe(chan<- *prometheus.Desc) {}

func (y yardstick) Collect(metrics chan<- prometheus.Metric) {
	for i := range y.results {
		result := &y.results[i]
		summary := result.Summary()
		w := series.Walk{Emit: func(f series.Family, value float64, l series.Labels) {
			kind := prometheus.GaugeValue
			if f.Descriptor().Kind == series.Counter {
				kind = prometheus.CounterValue
			}
			values := append(make([]string, 0, 1+series.MaxLabels), result.Cluster)
			values = append(values, l[:len(f.Descriptor().Labels)-1]...)
			metrics <- prometheus.MustNewConstMetric(yardstickDescs[f], kind, value, values...)
		}}
		w.Result(result, &summary)
	}
}

// BenchmarkAnswer is a first answer, compressed, and beside it that of client_golang
// with the same series: a collector of constant metrics behind promhttp.
func BenchmarkAnswer(b *testing.B) {
	for _, test := range []struct{ clusters, connectors int }{{1, 1000}, {1, 10_000}, {100, 10}} {
		var results []series.Result
		registry := prometheus.NewRegistry()
		for i := range test.clusters {
			result := resultOf(fmt.Sprintf("cluster-%d", i), collectortest.Large(test.connectors, 4))
			results = append(results, result)
		}
		registry.MustRegister(yardstick{results})
		name := fmt.Sprintf("clusters=%d,connectors=%d", test.clusters, test.connectors)
		b.Run(name+"/first", func(b *testing.B) {
			measure(b, func() int {
				answer, err := NewRenderer(Options{}).Answer(b.Context(), results, nil, expfmt.FmtText, true)
				if err != nil {
					b.Fatal(err)
				}
				if err := answer.Write(io.Discard); err != nil {
					b.Fatal(err)
				}
				return answer.Size()
			})
		})
		b.Run(name+"/promhttp", func(b *testing.B) {
			handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
			request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
			request.Header.Set("Accept-Encoding", "gzip")
			measure(b, func() int {
				response := httptest.NewRecorder()
				handler.ServeHTTP(response, request)
				return response.Body.Len()
			})
		})
	}
}

// measure reports, beside the time, the processor time of all threads: what a
// loaded machine does not distort, and what the garbage collector hides on
// others.
func measure(b *testing.B, answer func() (bytes int)) {
	b.Helper()
	b.ReportAllocs()
	var bytes int
	start := processorTime(b)
	for b.Loop() {
		bytes = answer()
	}
	b.ReportMetric(float64(processorTime(b)-start)/float64(b.N)/1e6, "cpu-ms/op")
	b.ReportMetric(float64(bytes), "answer-bytes")
}

func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

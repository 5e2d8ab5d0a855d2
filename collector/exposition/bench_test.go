package exposition

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/internal/collectortest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
)

// yardstick is what a Renderer is measured against: the same series by the
// means of the library, a collector of constant metrics.
type yardstick struct{ result series.Result }

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
	summary := y.result.Summary()
	w := series.Walk{Emit: func(f series.Family, value float64, l series.Labels) {
		kind := prometheus.GaugeValue
		if f.Descriptor().Kind == series.Counter {
			kind = prometheus.CounterValue
		}
		values := append(make([]string, 0, 1+series.MaxLabels), y.result.Cluster)
		values = append(values, l[:len(f.Descriptor().Labels)-1]...)
		metrics <- prometheus.MustNewConstMetric(yardstickDescs[f], kind, value, values...)
	}}
	w.Result(&y.result, &summary)
}

// BenchmarkRender renders one scrape by the Renderer and, beside it, by a
// collector of constant metrics.
func BenchmarkRender(b *testing.B) {
	for _, connectors := range []int{1000, 10_000} {
		results := []series.Result{resultOf("orders", collectortest.Large(connectors, 4))}
		b.Run(fmt.Sprintf("connectors=%d/slab", connectors), func(b *testing.B) {
			renderer := NewRenderer(Options{})
			measure(b, func() []*dto.MetricFamily { return renderer.Families(results) })
		})
		b.Run(fmt.Sprintf("connectors=%d/const-metrics", connectors), func(b *testing.B) {
			registry := prometheus.NewRegistry()
			registry.MustRegister(yardstick{results[0]})
			measure(b, func() []*dto.MetricFamily {
				families, err := registry.Gather()
				if err != nil {
					b.Fatal(err)
				}
				return families
			})
		})
	}
}

// measure reports, beside the time, the processor time of all threads: what a
// loaded machine does not distort, and what the garbage collector hides on
// others.
func measure(b *testing.B, render func() []*dto.MetricFamily) {
	b.Helper()
	b.ReportAllocs()
	var families []*dto.MetricFamily
	start := processorTime(b)
	for b.Loop() {
		families = render()
	}
	b.ReportMetric(float64(processorTime(b)-start)/float64(b.N), "cpu-ns/op")
	series := 0
	for _, family := range families {
		series += len(family.Metric)
	}
	b.ReportMetric(float64(series), "series")
}

func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

package collector

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// yardstick is what a Renderer is measured against: the same series by the
// means of the library, a collector of constant metrics.
type yardstick struct{ view View }

var yardstickDescs = func() (descs [familyCount]*prometheus.Desc) {
	for f, d := range table {
		names := []string{clusterLabel}
		for _, name := range d.Labels {
			if name != clusterLabel {
				names = append(names, name)
			}
		}
		descs[f] = prometheus.NewDesc(d.Name, d.Help, names, nil)
	}
	return descs
}()

func (yardstick) Describe(chan<- *prometheus.Desc) {}

func (y yardstick) Collect(metrics chan<- prometheus.Metric) {
	summary := Summarize(y.view.Snapshot)
	w := walk{emit: func(f family, value float64, l labels) {
		kind := prometheus.GaugeValue
		if table[f].Kind == Counter {
			kind = prometheus.CounterValue
		}
		values := append(make([]string, 0, 1+maxLabels), y.view.Cluster)
		values = append(values, l[:len(table[f].Labels)-1]...)
		metrics <- prometheus.MustNewConstMetric(yardstickDescs[f], kind, value, values...)
	}}
	w.view(&y.view, &summary)
}

// BenchmarkRender renders one scrape by the Renderer and, beside it, by a
// collector of constant metrics.
func BenchmarkRender(b *testing.B) {
	for _, connectors := range []int{1000, 10_000} {
		views := []View{viewOf("orders", large(connectors, 4))}
		b.Run(fmt.Sprintf("connectors=%d/slab", connectors), func(b *testing.B) {
			renderer := NewRenderer(RendererOptions{})
			measure(b, func() []*dto.MetricFamily { return renderer.Families(views) })
		})
		b.Run(fmt.Sprintf("connectors=%d/const-metrics", connectors), func(b *testing.B) {
			registry := prometheus.NewRegistry()
			registry.MustRegister(yardstick{views[0]})
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

// BenchmarkTrack compares two successive snapshots that are alike, as most are.
func BenchmarkTrack(b *testing.B) {
	before, after := large(10_000, 4), large(10_000, 4)
	var t tracker
	t.update(before, taken)
	b.ReportAllocs()
	for b.Loop() {
		t.update(after, taken)
		before, after = after, before
	}
	if t.changes[0].ofConnector != 0 {
		b.Fatal("changes were counted where there were none")
	}
}

package otlp

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	collector "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/internal/collectortest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
)

// BenchmarkProduce makes and encodes one export of a large cluster.
func BenchmarkProduce(b *testing.B) {
	snapshot := collectortest.Large(10_000, 4)
	var h series.History
	result := series.Result{Cluster: "orders", Provider: snapshot.Provider, Snapshot: snapshot, History: h.Next(snapshot, collectortest.Taken)}
	p := New(Options{
		Observe: func(context.Context, ...string) []series.Result { return []series.Result{result} },
		Own:     func(context.Context) ([]metricdata.ScopeMetrics, error) { return nil, nil },
	})
	bytes, parts := 0, 0
	for b.Loop() {
		bytes, parts = 0, 0
		for part := range p.Produce(context.Background()) {
			message, err := proto.Marshal(&collector.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{ScopeMetrics: []*metrics.ScopeMetrics{part}}}})
			if err != nil {
				b.Fatal(err)
			}
			bytes += len(message)
			parts++
		}
	}
	b.ReportMetric(float64(bytes)/1e6, "MB/export")
	b.ReportMetric(float64(parts), "requests/export")
}

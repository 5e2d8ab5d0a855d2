package otlp

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
)

// What goes in one request at most: gRPC receivers take four megabytes unless
// told otherwise.
const (
	maxPoints = 4000
	maxBytes  = 1 << 20
)

// noValue marks a data point of a stale series.
const noValue = uint32(metrics.DataPointFlags_DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK)

// A batch collects data points until they are enough for a request.
type batch struct {
	yield   func(*metrics.ScopeMetrics) bool
	most    int // points
	version string
	now     time.Time
	stopped bool // nobody wants more

	list, ends    []*metrics.Metric // ends stand behind what goes on
	byName        map[string]*metrics.Metric
	points, bytes int
}

// A family describes a metric over OTLP.
type family struct {
	name, help, unit string
	kind             series.Kind
}

func familyOf(f series.Family) family {
	d := f.Descriptor()
	return family{name: d.OTelName, help: d.Help, unit: d.Unit, kind: d.Kind}
}

// metric returns the batch's metric of a family.
func (b *batch) metric(f *family) *metrics.Metric {
	m := b.byName[f.name]
	if m == nil {
		m = f.metric()
		if b.byName == nil {
			b.byName = map[string]*metrics.Metric{}
		}
		b.byName[f.name] = m
		b.list = append(b.list, m)
	}
	return m
}

// metric returns one without points.
func (f *family) metric() *metrics.Metric {
	m := &metrics.Metric{Name: f.name, Description: f.help, Unit: f.unit}
	const cumulative = metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE
	switch f.kind {
	case series.Counter:
		m.Data = &metrics.Metric_Sum{Sum: &metrics.Sum{AggregationTemporality: cumulative, IsMonotonic: true}}
	case series.Histogram:
		m.Data = &metrics.Metric_Histogram{Histogram: &metrics.Histogram{AggregationTemporality: cumulative}}
	default:
		m.Data = &metrics.Metric_Gauge{Gauge: &metrics.Gauge{}}
	}
	return m
}

// number adds a point of a gauge or counter.
func (b *batch) number(f *family, point *metrics.NumberDataPoint) {
	b.addNumber(b.metric(f), point)
	b.added(proto.Size(point))
}

func (b *batch) addNumber(to *metrics.Metric, point *metrics.NumberDataPoint) {
	point.TimeUnixNano = nanoseconds(b.now)
	if gauge := to.GetGauge(); gauge != nil {
		point.StartTimeUnixNano = 0
		gauge.DataPoints = append(gauge.DataPoints, point)
	} else {
		to.GetSum().DataPoints = append(to.GetSum().DataPoints, point)
	}
}

// histogram adds a point of a histogram.
func (b *batch) histogram(f *family, point *metrics.HistogramDataPoint) {
	b.addHistogram(b.metric(f), point)
	b.added(proto.Size(point))
}

func (b *batch) addHistogram(to *metrics.Metric, point *metrics.HistogramDataPoint) {
	point.TimeUnixNano = nanoseconds(b.now)
	to.GetHistogram().DataPoints = append(to.GetHistogram().DataPoints, point)
}

// end marks the end of a series, in a metric of its own: the Collector's Prometheus
// exporter (seen in 0.120) reads the points of a metric up to the first such mark
// and no further. A histogram's bounds are told, because in Prometheus each of them
// is a series.
func (b *batch) end(f *family, attributes []*common.KeyValue, start time.Time, bounds []float64) {
	m := f.metric()
	if f.kind == series.Histogram {
		b.addHistogram(m, &metrics.HistogramDataPoint{
			Attributes: attributes, StartTimeUnixNano: nanoseconds(start), Flags: noValue,
			Sum: new(float64), ExplicitBounds: bounds, BucketCounts: make([]uint64, len(bounds)+1),
		})
	} else {
		b.addNumber(m, &metrics.NumberDataPoint{Attributes: attributes, StartTimeUnixNano: nanoseconds(start), Flags: noValue})
	}
	b.ends = append(b.ends, m)
	b.added(proto.Size(m))
}

func (b *batch) added(bytes int) {
	b.points++
	b.bytes += bytes
	if b.points >= b.most || b.bytes >= maxBytes {
		b.flush()
	}
}

// flush hands on what was collected.
func (b *batch) flush() {
	if b.points > 0 && !b.stopped {
		b.stopped = !b.yield(&metrics.ScopeMetrics{
			Scope: &common.InstrumentationScope{Name: series.ScopeName, Version: b.version}, Metrics: append(b.list, b.ends...),
		})
	}
	b.list, b.ends, b.byName, b.points, b.bytes = nil, nil, nil, 0, 0
}

// pairs are the attributes of a series of a cluster.
func pairs(f series.Family, id *series.Identity, l *series.Labels) []*common.KeyValue {
	var few [series.MaxLabels + 2]series.Label
	labels := f.Append(few[:0], id, l)
	all := make([]*common.KeyValue, len(labels))
	for i, label := range labels {
		all[i] = pair(label.Name, label.Value)
	}
	return all
}

// pairsOf are the attributes of an instrument.
func pairsOf(set *attribute.Set) []*common.KeyValue {
	all := make([]*common.KeyValue, 0, set.Len())
	for i := set.Iter(); i.Next(); {
		kv := i.Attribute()
		all = append(all, pair(string(kv.Key), kv.Value.String()))
	}
	return all
}

func pair(name, value string) *common.KeyValue {
	return &common.KeyValue{Key: name, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
}

func nanoseconds(t time.Time) uint64 {
	if t.IsZero() {
		return 0 // Not known.
	}
	return uint64(t.UnixNano())
}

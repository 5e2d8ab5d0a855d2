package self

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/otel/attribute"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
)

// Options configure the exporter's own metrics.
type Options struct {
	// Version of the exporter, that of the instrumentation scope.
	Version string
	// LogLinesDropped is how many lines of the log were dropped so far; nil is
	// none.
	LogLinesDropped func() uint64
}

// Metrics are what the exporter says of its own work: what [Instruments] record,
// the Go runtime and the process.
type Metrics struct {
	options     Options
	instruments *Instruments
	start       time.Time
	provider    *sdkmetric.MeterProvider
	reader      *sdkmetric.ManualReader // for OTLP
	recorded    *prometheus.Registry    // what the SDK records
	process     *prometheus.Registry    // build, Go runtime, process, HTTP
}

// New starts the exporter's own metrics.
func New(options Options) (*Metrics, error) {
	s := &Metrics{
		options: options, start: time.Now(),
		reader: sdkmetric.NewManualReader(), recorded: prometheus.NewRegistry(), process: prometheus.NewRegistry(),
	}
	err := errors.Join(
		s.process.Register(versioncollector.NewCollector("kafka_connect_exporter")),
		s.process.Register(collectors.NewGoCollector()),
		s.process.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
	)
	if err != nil {
		return nil, fmt.Errorf("register the process's metrics: %w", err)
	}
	shown, err := otelprometheus.New(
		otelprometheus.WithRegisterer(s.recorded),
		otelprometheus.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithSuffixes),
		otelprometheus.WithoutScopeInfo(),
		otelprometheus.WithoutTargetInfo(),
	)
	if err != nil {
		return nil, fmt.Errorf("show the instruments to Prometheus: %w", err)
	}
	s.provider = sdkmetric.NewMeterProvider(
		sdkmetric.WithReader(shown), sdkmetric.WithReader(s.reader), sdkmetric.WithExemplarFilter(exemplar.AlwaysOffFilter))
	s.instruments, err = newInstruments(s.provider.Meter(series.ScopeName, metric.WithInstrumentationVersion(options.Version)), options.LogLinesDropped)
	if err != nil {
		return nil, errors.Join(err, s.provider.Shutdown(context.Background()))
	}
	return s, nil
}

// MeterProvider makes further instruments of the exporter as a whole: none whose
// attributes go on changing, because the SDK drops none.
func (s *Metrics) MeterProvider() metric.MeterProvider { return s.provider }

// Instruments that the fleet and others record with.
func (s *Metrics) Instruments() *Instruments { return s.instruments }

// Registerer takes further metrics of the exporter itself, such as promhttp's.
func (s *Metrics) Registerer() prometheus.Registerer { return s.process }

// Gatherer returns all of the exporter's own metrics.
func (s *Metrics) Gatherer() prometheus.TransactionalGatherer {
	return prometheus.NewMultiTRegistry(s.ForCluster(""), prometheus.ToTransactionalGatherer(s.recorded), prometheus.ToTransactionalGatherer(s.process))
}

// Own returns the exporter's own metrics without what was recorded of clusters:
// with all of ForCluster it makes what Gatherer returns.
func (s *Metrics) Own() prometheus.TransactionalGatherer {
	return prometheus.NewMultiTRegistry(prometheus.ToTransactionalGatherer(s.recorded), prometheus.ToTransactionalGatherer(s.process))
}

// ForCluster returns what was recorded of one cluster, of all if it has no name,
// and nothing of the exporter itself.
func (s *Metrics) ForCluster(name string) prometheus.TransactionalGatherer {
	return gatherer(func(p *points) { s.instruments.ofClusters(p, name) })
}

// gatherer shows points to Prometheus. Its families are its caller's.
type gatherer func(*points)

// Gather implements prometheus.TransactionalGatherer.
func (g gatherer) Gather() ([]*dto.MetricFamily, func(), error) {
	var p points
	g(&p)
	var families []*dto.MetricFamily
	for _, f := range series.Families() {
		if len(p[f]) > 0 {
			families = append(families, family(f, p[f]))
		}
	}
	return families, func() {}, nil
}

// family is a family as Prometheus has it.
func family(f series.Family, of []point) *dto.MetricFamily {
	d := f.Descriptor()
	out := &dto.MetricFamily{Name: &d.Name, Help: &d.Help, Metric: make([]*dto.Metric, 0, len(of))}
	var labels []series.Label
	for i := range of {
		p := &of[i]
		m := &dto.Metric{}
		labels = f.Append(labels[:0], p.identity, &p.labels)
		for _, l := range labels {
			m.Label = append(m.Label, &dto.LabelPair{Name: &l.Name, Value: &l.Value})
		}
		if p.histogram != nil {
			out.Type = dto.MetricType_HISTOGRAM.Enum()
			h := &dto.Histogram{SampleCount: new(p.histogram.count()), SampleSum: &p.histogram.sum}
			var below uint64
			for b := range bounds {
				below += p.histogram.counts[b]
				h.Bucket = append(h.Bucket, &dto.Bucket{CumulativeCount: new(below), UpperBound: &bounds[b]})
			}
			m.Histogram = h
		} else {
			out.Type = dto.MetricType_COUNTER.Enum()
			m.Counter = &dto.Counter{Value: &p.value}
		}
		out.Metric = append(out.Metric, m)
	}
	return out
}

// Collect returns what was recorded, as OTLP data.
func (s *Metrics) Collect(ctx context.Context) ([]metricdata.ScopeMetrics, error) {
	var data metricdata.ResourceMetrics
	err := s.reader.Collect(ctx, &data)
	if err != nil {
		err = fmt.Errorf("collect the exporter's own metrics: %w", err)
	}
	return append(data.ScopeMetrics, s.ofClusters()), err
}

// Shutdown ends the recording.
func (s *Metrics) Shutdown(ctx context.Context) error {
	if err := s.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("shut down the exporter's own metrics: %w", err)
	}
	return nil
}

// ofClusters is what was recorded of clusters, as OTLP data.
func (s *Metrics) ofClusters() metricdata.ScopeMetrics {
	var p points
	s.instruments.ofClusters(&p, "")
	scope := metricdata.ScopeMetrics{Scope: instrumentation.Scope{Name: series.ScopeName, Version: s.options.Version}}
	now := time.Now()
	for _, f := range series.Families() {
		if len(p[f]) > 0 {
			d := f.Descriptor()
			scope.Metrics = append(scope.Metrics, metricdata.Metrics{
				Name: d.OTelName, Description: d.Help, Unit: d.Unit, Data: aggregation(f, p[f], s.start, now),
			})
		}
	}
	return scope
}

// aggregation is a family as OTLP has it.
func aggregation(f series.Family, of []point, start, now time.Time) metricdata.Aggregation {
	var (
		histograms []metricdata.HistogramDataPoint[float64]
		numbers    []metricdata.DataPoint[float64]
	)
	for i := range of {
		p := &of[i]
		attributes := attributesOf(f, p)
		if h := p.histogram; h != nil {
			histograms = append(histograms, metricdata.HistogramDataPoint[float64]{
				Attributes: attributes, StartTime: start, Time: now, Count: h.count(), Sum: h.sum,
				Bounds: bounds[:], BucketCounts: h.counts[:],
			})
			continue
		}
		numbers = append(numbers, metricdata.DataPoint[float64]{Attributes: attributes, StartTime: start, Time: now, Value: p.value})
	}
	if len(histograms) > 0 {
		return metricdata.Histogram[float64]{DataPoints: histograms, Temporality: metricdata.CumulativeTemporality}
	}
	return metricdata.Sum[float64]{DataPoints: numbers, Temporality: metricdata.CumulativeTemporality, IsMonotonic: true}
}

// attributesOf are the labels of a point over OTLP.
func attributesOf(f series.Family, p *point) attribute.Set {
	var attributes []attribute.KeyValue
	for _, l := range f.Append(nil, p.identity, &p.labels) {
		attributes = append(attributes, attribute.String(l.Name, l.Value))
	}
	return attribute.NewSet(attributes...)
}

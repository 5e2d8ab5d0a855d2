package self

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/otel/attribute"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
)

// Options configure the exporter's own metrics.
type Options struct {
	// Version of the exporter, that of the instrumentation scope.
	Version string
}

// Metrics are what the exporter says of its own work: OpenTelemetry instruments
// shown to Prometheus, the Go runtime and the process.
type Metrics struct {
	instruments *Instruments
	provider    *sdkmetric.MeterProvider
	reader      *sdkmetric.ManualReader // for OTLP
	recorded    *prometheus.Registry    // the instruments
	process     *prometheus.Registry    // build, Go runtime, process, HTTP
}

// New starts the exporter's own metrics.
func New(options Options) (*Metrics, error) {
	s := &Metrics{
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
		sdkmetric.WithReader(shown),
		sdkmetric.WithReader(s.reader),
		// The SDK folds what is beyond 2,000 series of an instrument into one:
		// a fleet of a hundred clusters has more.
		sdkmetric.WithCardinalityLimit(0),
		sdkmetric.WithExemplarFilter(exemplar.AlwaysOffFilter),
	)
	s.instruments, err = newInstruments(s.provider.Meter(series.ScopeName, metric.WithInstrumentationVersion(options.Version)))
	if err != nil {
		return nil, errors.Join(err, s.provider.Shutdown(context.Background()))
	}
	return s, nil
}

// Instruments that the fleet and others record with.
func (s *Metrics) Instruments() *Instruments { return s.instruments }

// Registerer takes further metrics of the exporter itself, such as promhttp's.
func (s *Metrics) Registerer() prometheus.Registerer { return s.process }

// Gatherer returns all of the exporter's own metrics. What was recorded of a
// cluster that is no longer configured is left out.
func (s *Metrics) Gatherer() prometheus.TransactionalGatherer {
	return prometheus.NewMultiTRegistry(
		s.filtered(func(cluster string, of bool) bool { return !of || s.instruments.configured(cluster) }),
		s.ofProcess())
}

// Own returns the exporter's own metrics without what was recorded of clusters:
// with all of ForCluster it makes what Gatherer returns.
func (s *Metrics) Own() prometheus.TransactionalGatherer {
	return prometheus.NewMultiTRegistry(
		s.filtered(func(_ string, of bool) bool { return !of }),
		s.ofProcess())
}

// ofProcess returns the process's metrics but for one that has the name of a
// counter without its _total, which OpenMetrics takes for the same family twice
// and refuses. go_memstats_heap_alloc_bytes has its value.
func (s *Metrics) ofProcess() prometheus.TransactionalGatherer {
	return prometheus.ToTransactionalGatherer(prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		families, err := s.process.Gather()
		return slices.DeleteFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == "go_memstats_alloc_bytes" }), err
	}))
}

// ForCluster returns what was recorded of one cluster, and nothing of the
// exporter itself.
func (s *Metrics) ForCluster(name string) prometheus.TransactionalGatherer {
	return s.filtered(func(cluster string, of bool) bool { return of && cluster == name })
}

// Collect returns what was recorded, as OTLP data; without what was recorded of
// a cluster that is no longer configured.
func (s *Metrics) Collect(ctx context.Context) ([]metricdata.ScopeMetrics, error) {
	var data metricdata.ResourceMetrics
	if err := s.reader.Collect(ctx, &data); err != nil {
		return nil, fmt.Errorf("collect the exporter's own metrics: %w", err)
	}
	for i := range data.ScopeMetrics {
		scope := &data.ScopeMetrics[i]
		for j := range scope.Metrics {
			m := &scope.Metrics[j]
			switch points := m.Data.(type) {
			case metricdata.Histogram[float64]:
				points.DataPoints = configuredOnly(s, points.DataPoints, func(p *metricdata.HistogramDataPoint[float64]) attribute.Set { return p.Attributes })
				m.Data = points
			case metricdata.Sum[int64]:
				points.DataPoints = configuredOnly(s, points.DataPoints, func(p *metricdata.DataPoint[int64]) attribute.Set { return p.Attributes })
				m.Data = points
			}
		}
	}
	return data.ScopeMetrics, nil
}

// configuredOnly returns the points that are of a configured cluster, or of
// none.
func configuredOnly[P any](s *Metrics, points []P, attributes func(*P) attribute.Set) []P {
	return slices.DeleteFunc(points, func(p P) bool {
		set := attributes(&p)
		cluster, of := set.Value(series.ClusterLabel)
		return of && !s.instruments.configured(cluster.AsString())
	})
}

// Shutdown ends the recording.
func (s *Metrics) Shutdown(ctx context.Context) error {
	if err := s.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("shut down the exporter's own metrics: %w", err)
	}
	return nil
}

// filtered gathers the recorded series that keep wants; it is asked with the
// cluster that a series is of, if it is of one.
func (s *Metrics) filtered(keep func(cluster string, of bool) bool) prometheus.TransactionalGatherer {
	return filter{from: s.recorded, keep: keep}
}

type filter struct {
	from prometheus.Gatherer
	keep func(cluster string, of bool) bool
}

// Gather implements prometheus.TransactionalGatherer. The families are its own.
func (f filter) Gather() ([]*dto.MetricFamily, func(), error) {
	gathered, err := f.from.Gather()
	families := gathered[:0]
	for _, family := range gathered {
		kept := family.Metric[:0]
		for _, m := range family.Metric {
			cluster, of := "", false
			for _, label := range m.Label {
				if label.GetName() == series.ClusterLabel {
					cluster, of = label.GetValue(), true
				}
			}
			if f.keep(cluster, of) {
				kept = append(kept, m)
			}
		}
		if family.Metric = kept; len(kept) > 0 {
			families = append(families, family)
		}
	}
	return families, func() {}, err
}

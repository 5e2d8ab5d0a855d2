package collector

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/otlptranslator"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/resource"
)

// ScopeName is the instrumentation scope of all metrics over OTLP.
const ScopeName = "github.com/kafka-connect-exporter/kafka-connect-exporter"

// SelfOptions configure the exporter's own metrics.
type SelfOptions struct {
	// Version of the exporter, that of the instrumentation scope.
	Version string
	// Readers get the instruments beside /metrics: the readers of OTLP push.
	Readers []sdkmetric.Reader
	// Resource that the readers' exports carry; nil takes OpenTelemetry's
	// default, which OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME fill.
	Resource *resource.Resource
}

// Self is what the exporter says of its own work: OpenTelemetry instruments
// shown to Prometheus, the Go runtime and the process.
type Self struct {
	instruments *Instruments
	provider    *sdkmetric.MeterProvider
	recorded    *prometheus.Registry // the instruments
	process     *prometheus.Registry // build, Go runtime, process, HTTP
}

// NewSelf starts the exporter's own metrics.
func NewSelf(options SelfOptions) (*Self, error) {
	s := &Self{recorded: prometheus.NewRegistry(), process: prometheus.NewRegistry()}
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
	providerOptions := []sdkmetric.Option{
		sdkmetric.WithReader(shown),
		// The SDK folds what is beyond 2,000 series of an instrument into one:
		// a fleet of a hundred clusters has more.
		sdkmetric.WithCardinalityLimit(0),
		sdkmetric.WithExemplarFilter(exemplar.AlwaysOffFilter),
	}
	for _, reader := range options.Readers {
		providerOptions = append(providerOptions, sdkmetric.WithReader(reader))
	}
	if options.Resource != nil {
		providerOptions = append(providerOptions, sdkmetric.WithResource(options.Resource))
	}
	s.provider = sdkmetric.NewMeterProvider(providerOptions...)
	s.instruments, err = newInstruments(s.provider.Meter(ScopeName))
	if err != nil {
		return nil, errors.Join(err, s.provider.Shutdown(context.Background()))
	}
	return s, nil
}

// Instruments that a [Fleet] and others record with.
func (s *Self) Instruments() *Instruments { return s.instruments }

// Registerer takes further metrics of the exporter itself, such as promhttp's.
func (s *Self) Registerer() prometheus.Registerer { return s.process }

// Gatherer returns all of the exporter's own metrics. What was recorded of a
// cluster that is no longer configured is left out.
func (s *Self) Gatherer() prometheus.TransactionalGatherer {
	return prometheus.NewMultiTRegistry(
		s.filtered(func(cluster string, of bool) bool { return !of || s.instruments.configured(cluster) }),
		prometheus.ToTransactionalGatherer(s.process))
}

// ForCluster returns what was recorded of one cluster, and nothing of the
// exporter itself.
func (s *Self) ForCluster(name string) prometheus.TransactionalGatherer {
	return s.filtered(func(cluster string, of bool) bool { return of && cluster == name })
}

// Shutdown ends all readers, which send what they have, by ctx's deadline.
func (s *Self) Shutdown(ctx context.Context) error {
	if err := s.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("shut down the exporter's own metrics: %w", err)
	}
	return nil
}

// filtered gathers the recorded series that keep wants; it is asked with the
// cluster that a series is of, if it is of one.
func (s *Self) filtered(keep func(cluster string, of bool) bool) prometheus.TransactionalGatherer {
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
				if label.GetName() == clusterLabel {
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

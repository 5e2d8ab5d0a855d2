package otlp

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
)

// defaultTimeout leaves time for the export itself.
const defaultTimeout = 10 * time.Second

// Options say what a Producer sends.
type Options struct {
	// Observe takes a snapshot of all clusters if none is named, for each export.
	Observe func(ctx context.Context, clusters ...string) []series.Result
	// Own are the exporter's own metrics.
	Own func(context.Context) ([]metricdata.ScopeMetrics, error)
	// AllStates tells whether every state that an object can be in is sent as 0
	// or 1, instead of the current one as 1; it is asked each time.
	AllStates func() bool
	// Timeout is the most time that a snapshot gets; 10 s if zero.
	Timeout time.Duration
	// Version of the exporter, that of the instrumentation scope.
	Version string
	// Logger is told what cannot be sent; nil discards.
	Logger *slog.Logger
}

// A Producer gives OpenTelemetry the same series that exposition gives
// Prometheus, and the exporter's own. It implements
// go.opentelemetry.io/otel/sdk/metric.Producer.
//
// OTLP has no mark for the end of a series. One that ended within the last ten
// minutes, because an object is gone or left a state, is sent as 0, so that no
// backend goes on with the 1 that was.
type Producer struct {
	options Options
	// start is when the counters may have begun.
	start time.Time
}

// New returns a Producer.
func New(options Options) *Producer {
	if options.Timeout <= 0 {
		options.Timeout = defaultTimeout
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	return &Producer{options: options, start: time.Now()}
}

// Produce takes a snapshot of the fleet and returns its metrics. It never returns an
// error: the reader would drop the whole export for it. A cluster that cannot
// be observed has kafka.connect.up 0.
func (p *Producer) Produce(ctx context.Context) ([]metricdata.ScopeMetrics, error) {
	observing, cancel := context.WithTimeout(ctx, p.options.Timeout)
	defer cancel()
	results := p.options.Observe(observing)
	own, err := p.options.Own(ctx)
	if err != nil {
		p.options.Logger.Warn("own metrics cannot be sent over OTLP", "err", err)
	}
	scope := instrumentation.Scope{Name: series.ScopeName, Version: p.options.Version}
	return append(own, metricdata.ScopeMetrics{Scope: scope, Metrics: p.metrics(results)}), nil
}

// metrics turns results into OTLP data.
func (p *Producer) metrics(results []series.Result) []metricdata.Metrics {
	now := time.Now()
	allStates := p.options.AllStates != nil && p.options.AllStates()
	var points [series.FamilyCount][]metricdata.DataPoint[float64]
	for _, r := range series.Sorted(results) {
		stale := map[series.Series]bool{}
		for s := range r.History.Stale(now) {
			stale[s] = true
		}
		add := func(f series.Family, value float64, l series.Labels) {
			points[f] = append(points[f], metricdata.DataPoint[float64]{
				Attributes: attributes(f, r.Cluster, &l), StartTime: p.start, Time: now, Value: value,
			})
		}
		summary := r.Summary()
		w := series.Walk{AllStates: allStates, Emit: func(f series.Family, value float64, l series.Labels) {
			if len(stale) > 0 {
				delete(stale, series.Series{Family: f, Labels: l}) // It is there after all.
			}
			add(f, value, l)
		}}
		w.Result(r, &summary)
		for s := range stale {
			add(s.Family, 0, s.Labels)
		}
	}
	metrics := make([]metricdata.Metrics, 0, len(points))
	for f := range points {
		if len(points[f]) == 0 {
			continue
		}
		d := series.Family(f).Descriptor()
		m := metricdata.Metrics{Name: d.OTelName, Description: d.Help, Unit: d.Unit}
		if d.Kind == series.Counter {
			m.Data = metricdata.Sum[float64]{DataPoints: points[f], Temporality: metricdata.CumulativeTemporality, IsMonotonic: true}
		} else {
			m.Data = metricdata.Gauge[float64]{DataPoints: points[f]}
		}
		metrics = append(metrics, m)
	}
	return metrics
}

// attributes of a series; the table's labels are sorted, as a Set wants them.
func attributes(f series.Family, cluster string, l *series.Labels) attribute.Set {
	labels := f.Descriptor().Labels
	var all [series.MaxLabels + 1]attribute.KeyValue
	i := 0
	for at, name := range labels {
		value := cluster
		if name != series.ClusterLabel {
			value = l[i]
			i++
		}
		all[at] = attribute.String(name, value)
	}
	return attribute.NewSet(all[:len(labels)]...)
}

package collector

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// ProducerOptions say what a Producer sends.
type ProducerOptions struct {
	// Fleet is looked at for each export.
	Fleet *Fleet
	// Self is what the exporter says of its own work.
	Self *Self
	// AllStates tells whether every state that an object can be in is sent as 0
	// or 1, instead of the current one as 1; it is asked each time.
	AllStates func() bool
	// Timeout is the most time that a look gets; 10 s if zero.
	Timeout time.Duration
	// Version of the exporter, that of the instrumentation scope.
	Version string
	// Logger is told what cannot be sent; nil discards.
	Logger *slog.Logger
}

// A Producer gives OpenTelemetry the same series that a Renderer gives
// Prometheus, and those of [Self]. It implements
// go.opentelemetry.io/otel/sdk/metric.Producer.
//
// OTLP has no mark for the end of a series. One that ended within the last ten
// minutes, because an object is gone or left a state, is sent as 0, so that no
// backend goes on with the 1 that was.
type Producer struct {
	options ProducerOptions
	// start is when the counters may have begun.
	start time.Time
}

// NewProducer returns a Producer.
func NewProducer(options ProducerOptions) *Producer {
	if options.Timeout <= 0 {
		options.Timeout = defaultTimeout
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	return &Producer{options: options, start: time.Now()}
}

// Produce looks at the fleet and returns its metrics. It never returns an
// error: the reader would drop the whole export for it. A cluster that cannot
// be observed has kafka.connect.up 0.
func (p *Producer) Produce(ctx context.Context) ([]metricdata.ScopeMetrics, error) {
	look, cancel := context.WithTimeout(ctx, p.options.Timeout)
	defer cancel()
	views := p.options.Fleet.Observe(look)
	own, err := p.options.Self.collect(ctx)
	if err != nil {
		p.options.Logger.Warn("own metrics cannot be sent over OTLP", "err", err)
	}
	scope := instrumentation.Scope{Name: ScopeName, Version: p.options.Version}
	return append(own, metricdata.ScopeMetrics{Scope: scope, Metrics: p.metrics(views)}), nil
}

// metrics turns views into OTLP data.
func (p *Producer) metrics(views []View) []metricdata.Metrics {
	now := time.Now()
	allStates := p.options.AllStates != nil && p.options.AllStates()
	var points [familyCount][]metricdata.DataPoint[float64]
	for _, v := range sortedViews(views) {
		if errors.Is(v.Err, errClosed) {
			continue // It was removed meanwhile, or the exporter ends.
		}
		ended := make(map[series]bool, len(v.left))
		for _, d := range v.left {
			if now.Sub(d.at) < memory {
				ended[d.series] = true
			}
		}
		add := func(f family, value float64, l labels) {
			points[f] = append(points[f], metricdata.DataPoint[float64]{
				Attributes: attributes(f, v.Cluster, &l), StartTime: p.start, Time: now, Value: value,
			})
		}
		var summary Summary
		if v.Snapshot != nil {
			summary = Summarize(v.Snapshot)
		}
		w := walk{allStates: allStates, emit: func(f family, value float64, l labels) {
			if len(ended) > 0 {
				delete(ended, series{f, l}) // It is there after all.
			}
			add(f, value, l)
		}}
		w.view(v, &summary)
		for s := range ended {
			add(s.family, 0, s.labels)
		}
	}
	metrics := make([]metricdata.Metrics, 0, len(points))
	for f := range points {
		if len(points[f]) == 0 {
			continue
		}
		d := &table[f]
		m := metricdata.Metrics{Name: d.OTelName, Description: d.Help, Unit: d.Unit}
		if d.Kind == Counter {
			m.Data = metricdata.Sum[float64]{DataPoints: points[f], Temporality: metricdata.CumulativeTemporality, IsMonotonic: true}
		} else {
			m.Data = metricdata.Gauge[float64]{DataPoints: points[f]}
		}
		metrics = append(metrics, m)
	}
	return metrics
}

// attributes of a series; the table's labels are sorted, as a Set wants them.
func attributes(f family, cluster string, l *labels) attribute.Set {
	var all [maxLabels + 1]attribute.KeyValue
	i := 0
	for at, name := range table[f].Labels {
		value := cluster
		if name != clusterLabel {
			value = l[i]
			i++
		}
		all[at] = attribute.String(name, value)
	}
	return attribute.NewSet(all[:len(table[f].Labels)]...)
}

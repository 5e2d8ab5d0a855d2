package otlp

import (
	"cmp"
	"context"
	"iter"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"

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
	// Timeout is the most time that a snapshot gets, and half of what an export has;
	// 10 s if zero.
	Timeout time.Duration
	// Version of the exporter, that of the instrumentation scope.
	Version string
	// Logger is told what cannot be sent; nil discards.
	Logger *slog.Logger
}

// A Producer gives a receiver of OTLP the same series that exposition gives
// Prometheus, and the exporter's own.
//
// A scraper sees that a series is stale when it is no longer there. Over OTLP it
// is told: a series that was sent before and is no more is sent without a value
// and with the flag NO_RECORDED_VALUE, for [series.Retention]. Prometheus writes
// a stale marker for it, the Collector's Prometheus exporter drops the series.
type Producer struct {
	options Options
	// turn is held by the export that is under way: retention is its own.
	turn      chan struct{}
	retention retention
	points    int // at most in a part
}

// New returns a Producer. One serves all exports of a process, one after the
// other: it knows what was sent.
func New(options Options) *Producer {
	options.Timeout = cmp.Or(options.Timeout, defaultTimeout)
	options.Logger = cmp.Or(options.Logger, slog.New(slog.DiscardHandler))
	return &Producer{options: options, turn: make(chan struct{}, 1), retention: newRetention(), points: maxPoints}
}

// Produce takes a snapshot of the fleet and yields its metrics, in parts of at
// most 4,000 data points and about a megabyte. A cluster that cannot be observed
// has kafka.connect.up 0.
func (p *Producer) Produce(ctx context.Context) iter.Seq[*metrics.ScopeMetrics] {
	return func(yield func(*metrics.ScopeMetrics) bool) {
		select {
		case p.turn <- struct{}{}:
			defer func() { <-p.turn }()
		case <-ctx.Done():
			return
		}
		timeout := p.options.Timeout
		if deadline, ok := ctx.Deadline(); ok {
			timeout = min(timeout, time.Until(deadline)/2) // The rest is for sending.
		}
		observing, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		results := p.options.Observe(observing)
		own, err := p.options.Own(ctx)
		if ctx.Err() != nil {
			return // The push ends: nothing of this is sent, and nothing went wrong.
		}
		if err != nil {
			p.options.Logger.Warn("own metrics cannot be sent over OTLP", "err", err)
		}
		b := batch{yield: yield, most: p.points, version: p.options.Version, now: time.Now()}
		p.own(own, &b)
		p.clusters(results, &b)
		b.flush()
	}
}

// clusters sends the series of all clusters, and then of those that are no more.
func (p *Producer) clusters(results []series.Result, b *batch) {
	p.retention.allStates = p.options.AllStates != nil && p.options.AllStates()
	current := make(map[string]bool, len(results))
	for _, r := range series.Sorted(results) {
		id := r.Identity()
		current[key(&id)] = true
		p.retention.cluster(r, b)
		if b.stopped {
			return
		}
	}
	p.retention.removed(current, b)
}

// own sends the exporter's own metrics, and marks those of them that are no more.
func (p *Producer) own(scopes []metricdata.ScopeMetrics, b *batch) {
	for _, scope := range scopes {
		for i := range scope.Metrics {
			p.retention.instrument(&scope.Metrics[i], b)
		}
	}
	p.retention.markStale(b)
}

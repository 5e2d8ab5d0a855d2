package self

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// quietAfter is when a kind of request that does not occur any more is dropped:
// longer than any rate is taken over, and than what is asked for now and then
// stays away.
const quietAfter = time.Hour

// Instruments record what the exporter does. What speaks of the exporter as a
// whole is recorded with OpenTelemetry's SDK; what speaks of a cluster is kept
// here, because the SDK cannot drop an attribute set: it would keep what was
// recorded of a cluster for ever, 28 KB each, though nobody watches it any more.
// A nil *Instruments records nothing.
type Instruments struct {
	reloadSuccessful metric.Int64Gauge
	reloadTimestamp  metric.Float64Gauge
	otlpExports      metric.Int64Counter
	scrapePhases     metric.Float64Counter
	discovering      *discovering
	phases           [phaseCount]metric.MeasurementOption

	mu       sync.RWMutex
	clusters []cluster // those that are configured
	byName   map[string]*recorded
}

// cluster is one that is configured.
type cluster struct {
	series.Identity
	*recorded
}

// recorded is what was recorded of one cluster.
type recorded struct {
	mu        sync.Mutex
	errors    map[connect.Reason]uint64
	snapshots map[snapshotKind]*histogram
	requests  map[requestKind]*histogram
}

// What snapshots and requests are told apart by.
type (
	snapshotKind struct{ version, outcome string }
	requestKind  struct{ code, call string }
)

// newInstruments makes the instruments as the table describes them.
func newInstruments(meter metric.Meter, logLinesDropped func() uint64) (*Instruments, error) {
	var failed error
	i := &Instruments{
		reloadSuccessful: instrument(&failed, series.ReloadSuccessful, meter.Int64Gauge),
		reloadTimestamp:  instrument(&failed, series.ReloadTimestamp, meter.Float64Gauge),
		otlpExports:      instrument(&failed, series.OtlpExports, meter.Int64Counter),
		scrapePhases:     instrument(&failed, series.ScrapePhases, meter.Float64Counter),
		discovering:      newDiscovering(&failed, meter),
		phases:           phaseOptions(),
	}
	instrument(&failed, series.LogLinesDropped, meter.Int64ObservableCounter, metric.Int64ObservableCounterOption(metric.WithInt64Callback(
		func(_ context.Context, o metric.Int64Observer) error {
			var dropped uint64
			if logLinesDropped != nil {
				dropped = logLinesDropped()
			}
			o.Observe(int64(dropped))
			return nil
		})))
	if failed != nil {
		return nil, failed
	}
	for p := range phaseCount {
		i.spent(p, 0)
	}
	return i, nil
}

// instrument makes that of a family by a method of a [metric.Meter].
func instrument[I, O any](failed *error, f series.Family, construct func(string, ...O) (I, error), more ...O) I {
	d := f.Descriptor()
	// Both are options of every instrument.
	options := append([]O{any(metric.WithUnit(d.Unit)).(O), any(metric.WithDescription(d.Help)).(O)}, more...)
	made, err := construct(d.OTelName, options...)
	if err != nil {
		*failed = errors.Join(*failed, fmt.Errorf("make the instrument %s: %w", d.OTelName, err))
	}
	return made
}

// The phases of a scrape.
type phase int

const (
	phaseWait phase = iota
	phaseDecode
	phaseRender
	phaseCompress
	phaseCount
)

// phaseOptions are the attributes of each phase, made once.
func phaseOptions() (options [phaseCount]metric.MeasurementOption) {
	for p, name := range [phaseCount]string{"wait", "decode", "render", "compress"} {
		options[p] = metric.WithAttributeSet(attribute.NewSet(attribute.String("phase", name)))
	}
	return options
}

// spent adds to the time that a phase of scrapes took.
func (i *Instruments) spent(p phase, took time.Duration) {
	i.scrapePhases.Add(context.Background(), took.Seconds(), i.phases[p])
}

// Answered records what an answer took to render and to compress.
func (i *Instruments) Answered(rendering, compressing time.Duration) {
	if i != nil {
		i.spent(phaseRender, rendering)
		i.spent(phaseCompress, compressing)
	}
}

// Reloaded records that the configuration was loaded, or could not be.
func (i *Instruments) Reloaded(succeeded bool, at time.Time) {
	if i == nil {
		return
	}
	ctx := context.Background()
	if !succeeded {
		i.reloadSuccessful.Record(ctx, 0)
		return
	}
	i.reloadSuccessful.Record(ctx, 1)
	i.reloadTimestamp.Record(ctx, series.Seconds(at))
}

// Outcomes of snapshots and exports.
const (
	outcomeSuccess = "success"
	outcomePartial = "partial"
	outcomeFailure = "failure"
)

// Exported records that an export over OTLP has ended.
func (i *Instruments) Exported(succeeded bool) {
	if i == nil {
		return
	}
	outcome := outcomeFailure
	if succeeded {
		outcome = outcomeSuccess
	}
	i.exported(1, outcome)
}

// ExpectExports makes the outcomes of exports appear at 0.
func (i *Instruments) ExpectExports() {
	if i == nil {
		return
	}
	i.exported(0, outcomeSuccess)
	i.exported(0, outcomeFailure)
}

func (i *Instruments) exported(n int64, outcome string) {
	i.otlpExports.Add(context.Background(), n, metric.WithAttributes(attribute.String("outcome", outcome)))
}

// Configured says which clusters are configured: their errors appear at 0, and
// what was recorded of others is dropped.
func (i *Instruments) Configured(clusters []series.Identity) {
	if i == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	before := i.byName
	i.clusters, i.byName = make([]cluster, 0, len(clusters)), make(map[string]*recorded, len(clusters))
	for _, id := range clusters {
		c := before[id.Cluster]
		if c == nil {
			c = &recorded{
				errors: map[connect.Reason]uint64{}, snapshots: map[snapshotKind]*histogram{}, requests: map[requestKind]*histogram{},
			}
		}
		i.clusters, i.byName[id.Cluster] = append(i.clusters, cluster{id, c}), c
	}
	slices.SortFunc(i.clusters, func(a, b cluster) int { return cmp.Compare(a.Cluster, b.Cluster) })
}

// of returns what is recorded of a cluster, nil if it is not configured.
func (i *Instruments) of(cluster string) *recorded {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.byName[cluster]
}

// Snapshot records how a snapshot ended.
func (i *Instruments) Snapshot(r *series.Result) {
	if i == nil {
		return
	}
	c := i.of(r.Cluster)
	if c == nil {
		return // It was removed meanwhile.
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	kind := snapshotKind{outcome: outcomeSuccess}
	if known := r.Known(); known != nil {
		kind.version = known.ObservationVersion
	}
	switch {
	case r.Err != nil:
		kind.outcome = outcomeFailure
		c.errors[reasonOf(r.Err)]++
	case len(r.Snapshot.Unobserved) > 0:
		kind.outcome = outcomePartial
	}
	kindOf(c.snapshots, kind).observe(r.Duration)
}

// reasonOf is [connect.ReasonOf] for whole snapshots: a reason that only single
// connectors have would be a series that nobody expects.
func reasonOf(err error) connect.Reason {
	if reason := connect.ReasonOf(err); slices.Contains(connect.Reasons(), reason) {
		return reason
	}
	return connect.Decode
}

// Request records an API call.
func (i *Instruments) Request(cluster string, r connect.Request) {
	if i == nil {
		return
	}
	i.spent(phaseWait, r.Duration-r.Decoding)
	i.spent(phaseDecode, r.Decoding)
	c := i.of(cluster)
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	kindOf(c.requests, requestKind{code: codeOf(r.Code), call: r.Endpoint}).observe(r.Duration)
}

// codeOf is the label of an HTTP status: those that tell something each, the
// others by their class, so that whatever is answered there are few.
func codeOf(code int) string {
	switch code {
	case 200, 301, 302, 307, 308, 400, 401, 403, 404, 405, 408, 409, 429, 500, 502, 503, 504:
		return strconv.Itoa(code)
	case 0:
		return "none"
	}
	if code < 100 || code > 599 {
		return "other"
	}
	return strconv.Itoa(code/100) + "xx"
}

// quiet drops the kinds of requests that have not occurred for long; c.mu is held.
func (c *recorded) quiet(now time.Time) {
	for kind, h := range c.requests {
		if now.Sub(h.last) >= quietAfter {
			delete(c.requests, kind)
		}
	}
}

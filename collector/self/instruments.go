package self

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// Buckets of the histograms, in seconds: from an answer on the same host to the
// longest scrape that anybody waits for.
func durationBuckets() []float64 {
	return []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}
}

// Instruments record what the exporter does. A nil *Instruments records
// nothing.
type Instruments struct {
	snapshotDuration metric.Float64Histogram
	snapshotErrors   metric.Int64Counter
	requestDuration  metric.Float64Histogram
	reloadSuccessful metric.Int64Gauge
	reloadTimestamp  metric.Float64Gauge
	otlpExports      metric.Int64Counter
	scrapePhases     metric.Float64Counter
	phases           [phaseCount]metric.MeasurementOption

	mu       sync.RWMutex
	clusters map[string]bool // those that are configured
	// attributes of each kind of request, made once.
	requests map[requestKind]metric.MeasurementOption
}

// A requestKind is what requests are told apart by.
type requestKind struct {
	cluster, endpoint string
	code              int
}

// newInstruments makes the instruments as the table describes them.
func newInstruments(meter metric.Meter) (*Instruments, error) {
	var first error
	check := func(f series.Family, err error) {
		if err != nil && first == nil {
			first = fmt.Errorf("make the instrument %s: %w", f.Descriptor().OTelName, err)
		}
	}
	histogram := func(f series.Family) metric.Float64Histogram {
		d := f.Descriptor()
		h, err := meter.Float64Histogram(d.OTelName, metric.WithUnit(d.Unit), metric.WithDescription(d.Help),
			metric.WithExplicitBucketBoundaries(durationBuckets()...))
		check(f, err)
		return h
	}
	counter := func(f series.Family) metric.Int64Counter {
		d := f.Descriptor()
		c, err := meter.Int64Counter(d.OTelName, metric.WithUnit(d.Unit), metric.WithDescription(d.Help))
		check(f, err)
		return c
	}
	i := &Instruments{
		snapshotDuration: histogram(series.SnapshotDuration),
		snapshotErrors:   counter(series.SnapshotErrors),
		requestDuration:  histogram(series.RequestDuration),
		otlpExports:      counter(series.OtlpExports),
		phases:           phaseOptions(),
		requests:         make(map[requestKind]metric.MeasurementOption),
	}
	var err error
	d := series.ReloadSuccessful.Descriptor()
	i.reloadSuccessful, err = meter.Int64Gauge(d.OTelName, metric.WithUnit(d.Unit), metric.WithDescription(d.Help))
	check(series.ReloadSuccessful, err)
	d = series.ReloadTimestamp.Descriptor()
	i.reloadTimestamp, err = meter.Float64Gauge(d.OTelName, metric.WithUnit(d.Unit), metric.WithDescription(d.Help))
	check(series.ReloadTimestamp, err)
	d = series.ScrapePhases.Descriptor()
	i.scrapePhases, err = meter.Float64Counter(d.OTelName, metric.WithUnit(d.Unit), metric.WithDescription(d.Help))
	check(series.ScrapePhases, err)
	if first != nil {
		return nil, first
	}
	for p := range phaseCount {
		i.spent(p, 0)
	}
	return i, nil
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
	i.otlpExports.Add(context.Background(), 1, metric.WithAttributes(attribute.String("outcome", outcome(succeeded))))
}

// ExpectExports makes the outcomes of exports appear at 0.
func (i *Instruments) ExpectExports() {
	if i == nil {
		return
	}
	for _, succeeded := range []bool{true, false} {
		i.otlpExports.Add(context.Background(), 0, metric.WithAttributes(attribute.String("outcome", outcome(succeeded))))
	}
}

func outcome(succeeded bool) string {
	if succeeded {
		return outcomeSuccess
	}
	return outcomeFailure
}

// Configured says which clusters are configured: their errors appear at 0, and
// what was recorded of others is not shown.
func (i *Instruments) Configured(names []string) {
	if i == nil {
		return
	}
	ctx := context.Background()
	configured := make(map[string]bool, len(names))
	for _, name := range names {
		configured[name] = true
		for _, reason := range connect.Reasons() {
			i.snapshotErrors.Add(ctx, 0, metric.WithAttributes(
				attribute.String(series.ClusterLabel, name), attribute.String("reason", string(reason))))
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.clusters = configured
	for kind := range i.requests {
		if !configured[kind.cluster] {
			delete(i.requests, kind)
		}
	}
}

// configured tells whether a cluster is configured.
func (i *Instruments) configured(cluster string) bool {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.clusters[cluster]
}

// Snapshot records how a snapshot ended.
func (i *Instruments) Snapshot(r *series.Result) {
	if i == nil {
		return
	}
	ctx := context.Background()
	cluster := attribute.String(series.ClusterLabel, r.Cluster)
	result, version := outcomeSuccess, ""
	if known := r.Known(); known != nil {
		version = known.ObservationVersion
	}
	switch {
	case r.Err != nil:
		result = outcomeFailure
		i.snapshotErrors.Add(ctx, 1, metric.WithAttributes(cluster, attribute.String("reason", string(reasonOf(r.Err)))))
	case len(r.Snapshot.Unobserved) > 0:
		result = outcomePartial
	}
	i.snapshotDuration.Record(ctx, r.Duration.Seconds(), metric.WithAttributes(
		cluster, attribute.String("observation_version", version), attribute.String("outcome", result)))
}

// reasonOf is [connect.ReasonOf] for whole snapshots: a reason that only single
// connectors have would be a series that nobody expects.
func reasonOf(err error) connect.Reason {
	switch reason := connect.ReasonOf(err); reason {
	case connect.NoStatus, connect.Unaddressable:
		return connect.Decode
	default:
		return reason
	}
}

// Request records an API call.
func (i *Instruments) Request(cluster string, r connect.Request) {
	if i == nil {
		return
	}
	i.spent(phaseWait, r.Duration-r.Decoding)
	i.spent(phaseDecode, r.Decoding)
	kind := requestKind{cluster: cluster, endpoint: r.Endpoint, code: r.Code}
	i.mu.RLock()
	option := i.requests[kind]
	i.mu.RUnlock()
	if option == nil {
		code := "none"
		if r.Code != 0 {
			code = strconv.Itoa(r.Code)
		}
		option = metric.WithAttributeSet(attribute.NewSet(
			attribute.String(series.ClusterLabel, cluster), attribute.String("endpoint", r.Endpoint), attribute.String("code", code)))
		i.mu.Lock()
		i.requests[kind] = option
		i.mu.Unlock()
	}
	i.requestDuration.Record(context.Background(), r.Duration.Seconds(), option)
}

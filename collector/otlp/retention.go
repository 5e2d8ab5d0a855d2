package otlp

import (
	"fmt"
	"hash/maphash"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
)

// maxStale is how many stale series are kept, of all clusters together: about
// 10 MB. The end of one beyond is told once.
const maxStale = 50_000

// A retention knows what was sent, and so what is stale since.
type retention struct {
	seed      maphash.Seed
	allStates bool
	clusters  map[string]*sent // by identity
	own       map[instrumentKey]*instrument
	export    uint64 // counts exports
	kept      int    // stale series that are kept
	most      int    // of them
}

func newRetention() retention {
	return retention{seed: maphash.MakeSeed(), clusters: map[string]*sent{}, own: map[instrumentKey]*instrument{}, most: maxStale}
}

// sent is what a receiver has of a cluster.
type sent struct {
	series.Identity
	// base is the last result that was sent and had a snapshot; without any, the
	// last. It is nil when what it had is stale long since.
	base      *series.Result
	allStates bool // of base
	// since when the series of base that are no more are stale; zero while the
	// cluster can be observed.
	since time.Time
	// last is the last result that was sent since then.
	last *series.Result
	// stale are further series that are.
	stale map[uint64]stale
	// gone: no longer configured. Then so many series of base are counted as kept.
	gone    bool
	counted int
}

// A stale series is there no more. Since when is not known yet of one that may have
// come in an export that was broken off: it is not stale if it is there the next time.
type stale struct {
	series.Series
	at, start time.Time
}

// key tells the clusters' identities apart: other labels are other series.
func key(id *series.Identity) string {
	if len(id.Labels) == 0 {
		return id.Cluster
	}
	return fmt.Sprintf("%q %q", id.Cluster, id.Labels)
}

// walk calls emit for each series of a result.
func walk(r *series.Result, allStates bool, emit func(series.Family, float64, series.Labels)) {
	summary := r.Summary()
	w := series.Walk{AllStates: allStates, Emit: emit}
	w.Result(r, &summary)
}

func (m *retention) hash(f series.Family, l *series.Labels) uint64 {
	return maphash.Comparable(m.seed, series.Series{Family: f, Labels: *l})
}

// cluster sends the series of a result, and marks those that are stale.
func (m *retention) cluster(r *series.Result, b *batch) {
	id := r.Identity()
	known := m.clusters[key(&id)]
	if known == nil {
		known = &sent{Identity: id}
		m.clusters[key(&id)] = known
	}
	m.kept -= known.counted
	known.gone, known.counted = false, 0
	current := make(map[uint64]struct{})
	walk(r, m.allStates, func(f series.Family, value float64, l series.Labels) {
		h := m.hash(f, &l)
		current[h] = struct{}{}
		if _, cameBack := known.stale[h]; cameBack {
			m.forget(known, h)
		}
		described := familyOf(f)
		b.number(&described, &metrics.NumberDataPoint{
			Attributes: pairs(f, &id, &l), StartTimeUnixNano: nanoseconds(r.History.Since()),
			Value: &metrics.NumberDataPoint_AsDouble{AsDouble: value},
		})
	})
	if b.stopped {
		m.unsure(known, r)
		return
	}
	result := *r
	result.Requests = nil
	if known.last != nil { // What it had is stale since later than what the base had.
		m.keepAll(known, known.last, m.allStates, current, b.now, b)
	}
	down := r.Snapshot == nil && known.base != nil && known.base.Snapshot != nil
	if down && known.since.IsZero() {
		known.since = b.now
	}
	if down && b.now.Sub(known.since) < series.Retention {
		known.last = &result
		m.endBase(known, current, b)
	} else {
		if !down && known.base != nil { // What it had and is not current is stale.
			at := b.now
			if !known.since.IsZero() {
				at = known.since
			}
			m.keepAll(known, known.base, known.allStates, current, at, b)
		}
		known.base, known.allStates, known.since, known.last = &result, m.allStates, time.Time{}, nil
	}
	m.endOthers(known, b)
}

// endBase marks the end of all series of the base that are not current, and tells
// how many they are.
func (m *retention) endBase(known *sent, current map[uint64]struct{}, b *batch) (n int) {
	walk(known.base, known.allStates, func(f series.Family, _ float64, l series.Labels) {
		h := m.hash(f, &l)
		_, goesOn := current[h]
		if _, kept := known.stale[h]; goesOn || kept {
			return
		}
		known.end(known.base, f, &l, b)
		n++
	})
	return n
}

// keepAll keeps the series of a result that are not current. The end of what cannot
// be kept is marked at once, if b is there.
func (m *retention) keepAll(known *sent, of *series.Result, allStates bool, current map[uint64]struct{}, at time.Time, b *batch) {
	walk(of, allStates, func(f series.Family, _ float64, l series.Labels) {
		h := m.hash(f, &l)
		if _, goesOn := current[h]; goesOn {
			return
		}
		s := stale{Series: series.Series{Family: f, Labels: l}, at: at, start: of.History.Since()}
		if !m.keep(known, h, s) && b != nil {
			known.end(of, f, &l, b)
		}
	})
}

// end marks the end of a series of a result.
func (known *sent) end(of *series.Result, f series.Family, l *series.Labels, b *batch) {
	described := familyOf(f)
	b.end(&described, pairs(f, &known.Identity, l), of.History.Since(), nil)
}

// unsure keeps the series of a result that the base has not: the export was broken
// off, and some of them may have come, and some of the base again.
func (m *retention) unsure(known *sent, r *series.Result) {
	if r.Snapshot != nil {
		known.since, known.last = time.Time{}, nil
	}
	base := make(map[uint64]struct{})
	if known.base != nil {
		walk(known.base, known.allStates, func(f series.Family, _ float64, l series.Labels) { base[m.hash(f, &l)] = struct{}{} })
	}
	m.keepAll(known, r, m.allStates, base, time.Time{}, nil)
}

// keep remembers a stale series, unless there are too many.
func (m *retention) keep(known *sent, h uint64, s stale) bool {
	if before, twice := known.stale[h]; twice {
		if !s.at.IsZero() && !before.at.Before(s.at) {
			return true // It is stale since later than that.
		}
	} else if m.kept >= m.most {
		return false
	} else {
		m.kept++
	}
	if known.stale == nil {
		known.stale = make(map[uint64]stale)
	}
	known.stale[h] = s
	return true
}

// endOthers marks the end of the series that became stale while others of the
// cluster went on.
func (m *retention) endOthers(known *sent, b *batch) {
	for h, s := range known.stale {
		if s.at.IsZero() {
			s.at = b.now
			known.stale[h] = s
		}
		if b.now.Sub(s.at) >= series.Retention {
			m.forget(known, h)
			continue
		}
		described := familyOf(s.Family)
		b.end(&described, pairs(s.Family, &known.Identity, &s.Labels), s.start, nil)
	}
	if len(known.stale) == 0 {
		known.stale = nil // A map does not shrink by itself.
	}
}

func (m *retention) forget(known *sent, h uint64) {
	delete(known.stale, h)
	m.kept--
}

// removed marks the end of all series of the clusters that are not current.
func (m *retention) removed(current map[string]bool, b *batch) {
	for name, known := range m.clusters {
		if current[name] {
			continue
		}
		first := !known.gone
		if known.gone = true; first {
			if known.since.IsZero() {
				known.since = b.now
			} else if known.last != nil {
				m.keepAll(known, known.last, m.allStates, nil, b.now, b)
				known.last = nil
			}
		}
		if known.base != nil && b.now.Sub(known.since) >= series.Retention {
			m.kept -= known.counted
			known.base, known.counted = nil, 0
		}
		if known.base != nil {
			n := m.endBase(known, nil, b)
			if fits := m.kept+n <= m.most; first && fits {
				known.counted = n
				m.kept += n
			} else if first {
				known.base = nil
			}
		}
		m.endOthers(known, b)
		if known.base == nil && len(known.stale) == 0 {
			delete(m.clusters, name)
		}
	}
}

// An instrumentKey tells the exporter's own series apart.
type instrumentKey struct {
	name       string
	attributes attribute.Distinct
}

// An instrument is a series of the exporter's own.
type instrument struct {
	family
	attributes attribute.Set
	start      time.Time
	bounds     []float64
	export     uint64    // that sent it last
	stale      time.Time // zero while it goes on
}

// instrument sends the series of an instrument.
func (m *retention) instrument(data *metricdata.Metrics, b *batch) {
	f := family{name: data.Name, help: data.Description, unit: data.Unit, kind: series.Gauge}
	switch points := data.Data.(type) {
	case metricdata.Gauge[int64]:
		numbers(m, &f, points.DataPoints, b)
	case metricdata.Gauge[float64]:
		numbers(m, &f, points.DataPoints, b)
	case metricdata.Sum[int64]:
		f.kind = series.Counter
		numbers(m, &f, points.DataPoints, b)
	case metricdata.Sum[float64]:
		f.kind = series.Counter
		numbers(m, &f, points.DataPoints, b)
	case metricdata.Histogram[float64]:
		f.kind = series.Histogram
		for i := range points.DataPoints {
			p := &points.DataPoints[i]
			m.goesOn(&f, p.Attributes, p.StartTime, p.Bounds)
			sum := p.Sum
			b.histogram(&f, &metrics.HistogramDataPoint{
				Attributes: pairsOf(&p.Attributes), StartTimeUnixNano: nanoseconds(p.StartTime),
				Count: p.Count, Sum: &sum, BucketCounts: p.BucketCounts, ExplicitBounds: p.Bounds,
			})
		}
	}
}

func numbers[N int64 | float64](m *retention, f *family, points []metricdata.DataPoint[N], b *batch) {
	for i := range points {
		p := &points[i]
		m.goesOn(f, p.Attributes, p.StartTime, nil)
		sent := &metrics.NumberDataPoint{Attributes: pairsOf(&p.Attributes), StartTimeUnixNano: nanoseconds(p.StartTime)}
		switch value := any(p.Value).(type) {
		case int64:
			sent.Value = &metrics.NumberDataPoint_AsInt{AsInt: value}
		case float64:
			sent.Value = &metrics.NumberDataPoint_AsDouble{AsDouble: value}
		}
		b.number(f, sent)
	}
}

// goesOn remembers a series of the exporter's own.
func (m *retention) goesOn(f *family, attributes attribute.Set, start time.Time, bounds []float64) {
	key := instrumentKey{f.name, attributes.Equivalent()}
	known := m.own[key]
	if known == nil {
		known = &instrument{family: *f, attributes: attributes, bounds: bounds}
		m.own[key] = known
	}
	if !known.stale.IsZero() {
		known.stale = time.Time{}
		m.kept--
	}
	known.start, known.export = start, m.export
}

// markStale marks the end of the exporter's own series that this export has not, and
// begins the next.
func (m *retention) markStale(b *batch) {
	for key, known := range m.own {
		if known.export == m.export {
			continue
		}
		first := known.stale.IsZero()
		if first {
			known.stale = b.now
			m.kept++
		}
		over := b.now.Sub(known.stale) >= series.Retention
		if !over {
			b.end(&known.family, pairsOf(&known.attributes), known.start, known.bounds)
		}
		if over || m.kept > m.most {
			delete(m.own, key)
			m.kept--
		}
	}
	m.export++
}

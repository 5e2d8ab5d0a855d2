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

// maxEnded is how many series that have ended are kept, of all clusters together:
// about 10 MB. The end of one beyond is told once.
const maxEnded = 50_000

// A memory knows what was sent, and so what has ended since.
type memory struct {
	seed      maphash.Seed
	allStates bool
	clusters  map[string]*sent // by identity
	own       map[instrumentKey]*instrument
	export    uint64 // counts exports
	kept      int    // series that have ended and are kept
}

func newMemory() memory {
	return memory{seed: maphash.MakeSeed(), clusters: map[string]*sent{}, own: map[instrumentKey]*instrument{}}
}

// sent is what a receiver has of a cluster.
type sent struct {
	// base is the last result that was sent and had a snapshot; without any, the
	// last. It is let go when what it had has ended long enough ago.
	base      series.Result
	allStates bool // of base
	// since when the series of base that are no more have ended; zero while the
	// cluster can be observed.
	since time.Time
	// ended are further series that have.
	ended map[uint64]ended
	// removed is how many series of base are counted as kept.
	removed int
}

// An ended series.
type ended struct {
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

func (m *memory) hash(f series.Family, l *series.Labels) uint64 {
	return maphash.Comparable(m.seed, series.Series{Family: f, Labels: *l})
}

// cluster sends the series of a result, and marks those that have ended.
func (m *memory) cluster(r *series.Result, b *batch) {
	id := r.Identity()
	known := m.clusters[key(&id)]
	if known == nil {
		known = &sent{base: *r, allStates: m.allStates}
		m.clusters[key(&id)] = known
	}
	m.kept -= known.removed // It is back.
	known.removed = 0
	current := make(map[uint64]struct{})
	walk(r, m.allStates, func(f series.Family, value float64, l series.Labels) {
		h := m.hash(f, &l)
		current[h] = struct{}{}
		if _, cameBack := known.ended[h]; cameBack {
			m.forget(known, h)
		}
		described := familyOf(f)
		b.number(&described, &metrics.NumberDataPoint{
			Attributes: pairs(f, &id, &l), StartTimeUnixNano: nanoseconds(r.History.Since()),
			Value: &metrics.NumberDataPoint_AsDouble{AsDouble: value},
		})
	})
	if b.stopped {
		return // Not all was sent.
	}
	down := r.Snapshot == nil && known.base.Snapshot != nil
	if down && known.since.IsZero() {
		known.since = b.now
	}
	if down && b.now.Sub(known.since) < series.Retention {
		m.endBase(known, current, b)
	} else {
		if !down {
			m.compare(known, current, b)
		}
		known.base, known.allStates, known.since = *r, m.allStates, time.Time{}
	}
	m.endOthers(known, b)
}

// endBase marks the end of all series of the base that are not current.
func (m *memory) endBase(known *sent, current map[uint64]struct{}, b *batch) (n int) {
	base := &known.base
	id := base.Identity()
	walk(base, known.allStates, func(f series.Family, _ float64, l series.Labels) {
		if _, goesOn := current[m.hash(f, &l)]; goesOn {
			return
		}
		described := familyOf(f)
		b.end(&described, pairs(f, &id, &l), base.History.Since(), nil)
		n++
	})
	return n
}

// compare finds the series of the base that are not current. The end of what
// cannot be kept is marked at once.
func (m *memory) compare(known *sent, current map[uint64]struct{}, b *batch) {
	base, at := &known.base, known.since
	id := base.Identity()
	if at.IsZero() {
		at = b.now
	}
	walk(base, known.allStates, func(f series.Family, _ float64, l series.Labels) {
		h := m.hash(f, &l)
		if _, goesOn := current[h]; goesOn {
			return
		}
		if m.kept >= maxEnded {
			described := familyOf(f)
			b.end(&described, pairs(f, &id, &l), base.History.Since(), nil)
			return
		}
		if known.ended == nil {
			known.ended = make(map[uint64]ended)
		}
		if _, twice := known.ended[h]; !twice {
			m.kept++
		}
		known.ended[h] = ended{Series: series.Series{Family: f, Labels: l}, at: at, start: base.History.Since()}
	})
}

// endOthers marks the end of the series that ended while others of the cluster
// went on.
func (m *memory) endOthers(known *sent, b *batch) {
	id := known.base.Identity()
	for h, s := range known.ended {
		if b.now.Sub(s.at) >= series.Retention {
			m.forget(known, h)
			continue
		}
		described := familyOf(s.Family)
		b.end(&described, pairs(s.Family, &id, &s.Labels), s.start, nil)
	}
	if len(known.ended) == 0 {
		known.ended = nil // A map does not shrink by itself.
	}
}

func (m *memory) forget(known *sent, h uint64) {
	delete(known.ended, h)
	m.kept--
}

// removed marks the end of all series of the clusters that are not current.
func (m *memory) removed(current map[string]bool, b *batch) {
	for name, known := range m.clusters {
		if current[name] {
			continue
		}
		if known.removed == 0 {
			known.since = b.now
		}
		if b.now.Sub(known.since) < series.Retention {
			n := m.endBase(known, nil, b)
			m.endOthers(known, b)
			if known.removed > 0 {
				continue
			}
			if m.kept+n <= maxEnded {
				known.removed = n
				m.kept += n
				continue
			}
		}
		m.kept -= len(known.ended) + known.removed
		delete(m.clusters, name)
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
	ended      time.Time // zero while it goes on
}

// instrument sends the series of an instrument.
func (m *memory) instrument(data *metricdata.Metrics, b *batch) {
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

func numbers[N int64 | float64](m *memory, f *family, points []metricdata.DataPoint[N], b *batch) {
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
func (m *memory) goesOn(f *family, attributes attribute.Set, start time.Time, bounds []float64) {
	key := instrumentKey{f.name, attributes.Equivalent()}
	known := m.own[key]
	if known == nil {
		known = &instrument{family: *f, attributes: attributes, bounds: bounds}
		m.own[key] = known
	}
	if !known.ended.IsZero() {
		known.ended = time.Time{}
		m.kept--
	}
	known.start, known.export = start, m.export
}

// ended marks the end of the exporter's own series that this export has not, and
// begins the next.
func (m *memory) ended(b *batch) {
	for key, known := range m.own {
		if known.export == m.export {
			continue
		}
		first := known.ended.IsZero()
		if first {
			known.ended = b.now
			m.kept++
		}
		over := b.now.Sub(known.ended) >= series.Retention
		if !over {
			b.end(&known.family, pairsOf(&known.attributes), known.start, known.bounds)
		}
		if over || m.kept > maxEnded {
			delete(m.own, key)
			m.kept--
		}
	}
	m.export++
}

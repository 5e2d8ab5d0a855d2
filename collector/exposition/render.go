package exposition

import (
	"hash/maphash"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
)

// Options say what a Renderer shows.
type Options struct {
	// AllStates shows every state that an object can be in as 0 or 1, instead
	// of the current one as 1.
	AllStates bool
}

// A Renderer turns results into Prometheus metric families, and into what
// Prometheus scrapes. It may be used by many goroutines.
type Renderer struct {
	options Options
	kept    *kept
}

// NewRenderer returns a Renderer.
func NewRenderer(options Options) *Renderer {
	return &Renderer{options: options, kept: newKept()}
}

// Gatherer returns a gatherer of the results' families, to be joined to other
// registries by [prometheus.NewMultiTRegistry]. They are rendered when it is
// asked; it never fails.
func (r *Renderer) Gatherer(results []series.Result) prometheus.TransactionalGatherer {
	return gatherer(func() []*dto.MetricFamily { return r.Families(results) })
}

// gatherer is a source of families that needs no release and cannot fail.
type gatherer func() []*dto.MetricFamily

// Gather implements prometheus.TransactionalGatherer.
func (g gatherer) Gather() ([]*dto.MetricFamily, func(), error) { return g(), func() {}, nil }

// Families renders the results: families sorted by name and none of them empty,
// series in the order of clusters, connectors and tasks. The families share
// memory with each other and with the snapshots; they must not be changed.
//
// Everything is laid out in a few slabs, so that the number of allocations does
// not grow with the number of series: one walk counts, a second fills.
func (r *Renderer) Families(results []series.Result) []*dto.MetricFamily {
	return r.render(series.Sorted(results), (*series.Walk).Result)
}

// render renders what a walk of each result emits.
func (r *Renderer) render(sorted []*series.Result, of func(*series.Walk, *series.Result, *series.Summary)) []*dto.MetricFamily {
	summaries := make([]series.Summary, len(sorted))
	var counts [series.FamilyCount]int
	w := series.Walk{AllStates: r.options.AllStates, Emit: func(f series.Family, _ float64, _ series.Labels) { counts[f]++ }}
	for i, v := range sorted {
		summaries[i] = v.Summary()
		of(&w, v, &summaries[i])
	}
	s := newSlab(&counts)
	w.Emit = s.add
	for i, v := range sorted {
		s.cluster = s.label(labelIndex[series.ClusterLabel], v.Cluster)
		of(&w, v, &summaries[i])
	}
	return s.families()
}

// labelNames are the names of all labels in the table; labelIndex is where each
// stands there.
var labelNames, labelIndex = func() ([]string, map[string]int) {
	var names []string
	for _, f := range series.Families() {
		names = append(names, f.Descriptor().Labels...)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	index := make(map[string]int, len(names))
	for i, name := range names {
		index[name] = i
	}
	return names, index
}()

// layout is, for each family, which labels it has: indexes into labelNames.
var layout = func() (l [series.FamilyCount][]int) {
	for _, f := range series.Families() {
		for _, name := range f.Descriptor().Labels {
			l[f] = append(l[f], labelIndex[name])
		}
	}
	return l
}()

// byName are the families in the order of their Prometheus names.
var byName = series.Families()

// A slab is where the families of one scrape are laid out.
type slab struct {
	metrics  [series.FamilyCount][]dto.Metric
	filled   [series.FamilyCount]int
	pointers []*dto.LabelPair
	cluster  *dto.LabelPair

	pairs    chunks[pair]
	gauges   chunks[gaugeCell]
	counters chunks[counterCell]

	// recent pairs of each label, in the slots that their values hash to: most
	// values come again soon, and pairs are only read.
	seed   maphash.Seed
	recent [][recentPairs]*dto.LabelPair
	// last is the pair that each label had last.
	last []*dto.LabelPair
	// zero and one serve all series that have that value.
	zeroGauge, oneGauge *dto.Gauge
	zeroCounter         *dto.Counter
}

// A pair, a gauge and a counter beside what they point to.
type (
	pair struct {
		dto   dto.LabelPair
		value string
	}
	gaugeCell struct {
		dto   dto.Gauge
		value float64
	}
	counterCell struct {
		dto   dto.Counter
		value float64
	}
)

// chunks hands out memory piece by piece, from chunks that double.
type chunks[T any] struct {
	chunk []T
	used  int
}

// Chunks begin and end with these numbers of parts. The largest keeps at most
// some hundred kilobytes unused.
const (
	smallestChunk = 64
	largestChunk  = 1 << 14
)

// next returns a zero T.
func (c *chunks[T]) next() *T {
	if c.used == len(c.chunk) {
		c.chunk, c.used = make([]T, max(smallestChunk, min(2*len(c.chunk), largestChunk))), 0
	}
	c.used++
	return &c.chunk[c.used-1]
}

// recentPairs is more than most fleets have workers and most connectors tasks.
const recentPairs = 64

func newSlab(counts *[series.FamilyCount]int) *slab {
	s := &slab{
		seed:   maphash.MakeSeed(),
		recent: make([][recentPairs]*dto.LabelPair, len(labelNames)),
		last:   make([]*dto.LabelPair, len(labelNames)),
	}
	pointers := 0
	for f, n := range counts {
		s.metrics[f] = make([]dto.Metric, n)
		pointers += n * len(layout[f])
	}
	s.pointers = make([]*dto.LabelPair, 0, pointers)
	s.zeroGauge, s.oneGauge, s.zeroCounter = s.gauge(0), s.gauge(1), s.count(0)
	return s
}

func (s *slab) gauge(value float64) *dto.Gauge {
	switch {
	case value == 1 && s.oneGauge != nil:
		return s.oneGauge
	case value == 0 && s.zeroGauge != nil:
		return s.zeroGauge
	}
	cell := s.gauges.next()
	cell.value = value
	cell.dto.Value = &cell.value
	return &cell.dto
}

func (s *slab) count(value float64) *dto.Counter {
	if value == 0 && s.zeroCounter != nil {
		return s.zeroCounter
	}
	cell := s.counters.next()
	cell.value = value
	cell.dto.Value = &cell.value
	return &cell.dto
}

// label returns the pair of a label's index and value.
func (s *slab) label(index int, value string) *dto.LabelPair {
	if last := s.last[index]; last != nil && *last.Value == value {
		return last
	}
	recent := &s.recent[index][maphash.String(s.seed, value)%recentPairs]
	if *recent == nil || *(*recent).Value != value {
		p := s.pairs.next()
		p.value = value
		p.dto.Name, p.dto.Value = &labelNames[index], &p.value
		*recent = &p.dto
	}
	s.last[index] = *recent
	return *recent
}

// add fills the next metric of a family.
func (s *slab) add(f series.Family, value float64, l series.Labels) {
	m := &s.metrics[f][s.filled[f]]
	s.filled[f]++
	if f.Descriptor().Kind == series.Counter {
		m.Counter = s.count(value)
	} else {
		m.Gauge = s.gauge(value)
	}
	start := len(s.pointers)
	i := 0
	for _, index := range layout[f] {
		if index == clusterIndex {
			s.pointers = append(s.pointers, s.cluster)
			continue
		}
		s.pointers = append(s.pointers, s.label(index, l[i]))
		i++
	}
	m.Label = s.pointers[start:len(s.pointers):len(s.pointers)]
}

var clusterIndex = labelIndex[series.ClusterLabel]

// family returns what was filled of one family.
func (s *slab) family(f series.Family) *dto.MetricFamily {
	pointers := make([]*dto.Metric, len(s.metrics[f]))
	for i := range s.metrics[f] {
		pointers[i] = &s.metrics[f][i]
	}
	return &dto.MetricFamily{Name: &f.Descriptor().Name, Help: &f.Descriptor().Help, Type: dtoType(f.Descriptor().Kind).Enum(), Metric: pointers}
}

// families returns what was filled.
func (s *slab) families() []*dto.MetricFamily {
	total, used := 0, 0
	for _, n := range s.filled {
		total += n
		used += min(n, 1)
	}
	all := make([]dto.MetricFamily, 0, used)
	families := make([]*dto.MetricFamily, 0, used)
	pointers := make([]*dto.Metric, 0, total)
	for _, f := range byName {
		if s.filled[f] == 0 {
			continue
		}
		start := len(pointers)
		for i := range s.metrics[f] {
			pointers = append(pointers, &s.metrics[f][i])
		}
		all = all[:len(all)+1]
		family := &all[len(all)-1]
		family.Name, family.Help = &f.Descriptor().Name, &f.Descriptor().Help
		family.Type = dtoType(f.Descriptor().Kind).Enum()
		family.Metric = pointers[start:len(pointers):len(pointers)]
		families = append(families, family)
	}
	return families
}

// dtoType is a kind in Prometheus's exposition.
func dtoType(kind series.Kind) dto.MetricType {
	switch kind {
	case series.Counter:
		return dto.MetricType_COUNTER
	case series.Histogram:
		return dto.MetricType_HISTOGRAM
	default:
		return dto.MetricType_GAUGE
	}
}

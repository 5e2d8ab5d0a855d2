package self

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// A point is a counter or a histogram of a cluster at this moment.
type point struct {
	identity *series.Identity
	labels   series.Labels
	value    float64
	// histogram is there instead of value where the family is one; it is a copy.
	histogram *histogram
}

// points of each family.
type points [series.FamilyCount][]point

func (p *points) add(f series.Family, id *series.Identity, value float64, labels ...string) {
	of := point{identity: id, value: value}
	copy(of.labels[:], labels)
	p[f] = append(p[f], of)
}

func (p *points) addHistogram(f series.Family, id *series.Identity, h *histogram, labels ...string) {
	p.add(f, id, 0, labels...)
	of := *h
	p[f][len(p[f])-1].histogram = &of
}

// ofClusters adds what was recorded of clusters, in the order of their names; of
// one if it is named.
func (i *Instruments) ofClusters(p *points, name string) {
	i.mu.RLock()
	clusters := i.clusters // Replaced as a whole, never changed.
	i.mu.RUnlock()
	now := time.Now()
	for at := range clusters {
		if c := &clusters[at]; name == "" || c.Cluster == name {
			c.points(p, now)
		}
	}
}

func (c *cluster) points(p *points, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quiet(now)
	for _, reason := range connect.Reasons() {
		p.add(series.SnapshotErrors, &c.Identity, float64(c.errors[reason]), string(reason))
	}
	for _, kind := range slices.SortedFunc(maps.Keys(c.snapshots), func(a, b snapshotKind) int {
		return cmp.Or(cmp.Compare(a.version, b.version), cmp.Compare(a.outcome, b.outcome))
	}) {
		p.addHistogram(series.SnapshotDuration, &c.Identity, c.snapshots[kind], kind.version, kind.outcome)
	}
	for _, kind := range slices.SortedFunc(maps.Keys(c.requests), func(a, b requestKind) int {
		return cmp.Or(cmp.Compare(a.call, b.call), cmp.Compare(a.code, b.code))
	}) {
		p.addHistogram(series.RequestDuration, &c.Identity, c.requests[kind], kind.call, kind.code)
	}
}

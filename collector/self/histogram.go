package self

import (
	"sort"
	"time"
)

// bounds of the histograms, in seconds: from an answer on the same host to the
// longest scrape that anybody waits for.
var bounds = [...]float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}

// A histogram counts durations.
type histogram struct {
	// counts of what is at most each bound and more than the one before; the last
	// has no bound.
	counts [len(bounds) + 1]uint64
	sum    float64
	last   time.Time
}

func (h *histogram) observe(d time.Duration) {
	s := d.Seconds()
	h.counts[sort.SearchFloat64s(bounds[:], s)]++
	h.sum += s
	h.last = time.Now()
}

// count of all.
func (h *histogram) count() (n uint64) {
	for _, c := range h.counts {
		n += c
	}
	return n
}

// kindOf returns the histogram of a kind, a new one if there is none.
func kindOf[K comparable](all map[K]*histogram, kind K) *histogram {
	h := all[kind]
	if h == nil {
		h = &histogram{}
		all[kind] = h
	}
	return h
}

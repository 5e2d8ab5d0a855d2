package self

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// quietAfter is when a kind of request that does not occur any more is dropped:
// longer than any rate is taken over, and than what is asked for now and then
// stays away.
const quietAfter = time.Hour

// Instruments record what the exporter does. What was recorded of a cluster goes
// with it. A nil *Instruments records nothing.
type Instruments struct {
	mu       sync.RWMutex
	clusters []cluster // those that are configured
	byName   map[string]*recorded

	reloads struct {
		sync.Mutex
		known, successful bool
		succeeded         time.Time
	}
	exports struct {
		sync.Mutex
		expected           bool
		succeeded, refused uint64
	}
	phases [phaseCount]seconds
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

func newInstruments() *Instruments {
	return &Instruments{}
}

// seconds add up.
type seconds struct{ bits atomic.Uint64 }

func (s *seconds) add(d time.Duration) {
	for {
		before := s.bits.Load()
		if s.bits.CompareAndSwap(before, math.Float64bits(math.Float64frombits(before)+d.Seconds())) {
			return
		}
	}
}

func (s *seconds) value() float64 { return math.Float64frombits(s.bits.Load()) }

// The phases of a scrape.
type phase int

const (
	phaseWait phase = iota
	phaseDecode
	phaseRender
	phaseCompress
	phaseCount
)

func (p phase) String() string {
	return [phaseCount]string{"wait", "decode", "render", "compress"}[p]
}

// Answered records what an answer took to render and to compress.
func (i *Instruments) Answered(rendering, compressing time.Duration) {
	if i != nil {
		i.phases[phaseRender].add(rendering)
		i.phases[phaseCompress].add(compressing)
	}
}

// Reloaded records that the configuration was loaded, or could not be.
func (i *Instruments) Reloaded(succeeded bool, at time.Time) {
	if i == nil {
		return
	}
	i.reloads.Lock()
	defer i.reloads.Unlock()
	i.reloads.known, i.reloads.successful = true, succeeded
	if succeeded {
		i.reloads.succeeded = at
	}
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
	i.exports.Lock()
	defer i.exports.Unlock()
	i.exports.expected = true
	if succeeded {
		i.exports.succeeded++
	} else {
		i.exports.refused++
	}
}

// ExpectExports makes the outcomes of exports appear at 0.
func (i *Instruments) ExpectExports() {
	if i == nil {
		return
	}
	i.exports.Lock()
	defer i.exports.Unlock()
	i.exports.expected = true
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
	i.phases[phaseWait].add(r.Duration - r.Decoding)
	i.phases[phaseDecode].add(r.Decoding)
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

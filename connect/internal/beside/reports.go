package beside

import (
	"sync"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// Reports pass on what an Observer's calls are told to, those beside snapshots
// included: what ends between two snapshots is told in the next.
type Reports struct {
	mu    sync.RWMutex
	to    func(connect.Request) // nil between snapshots
	kept  []connect.Request
	count sync.Mutex
	bytes int64
}

// maxKept is how many calls are kept until the next snapshot.
const maxKept = 1000

// Open begins a snapshot.
func (r *Reports) Open(to func(connect.Request)) {
	r.mu.Lock()
	kept := r.kept
	r.kept, r.bytes = nil, 0
	r.to = func(request connect.Request) {
		r.count.Lock()
		r.bytes += request.Bytes
		r.count.Unlock()
		if to != nil {
			to(request)
		}
	}
	r.mu.Unlock()
	for _, request := range kept {
		r.Report(request)
	}
}

// Close ends a snapshot: nothing is told until the next.
func (r *Reports) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = nil
}

// Bytes is the size of the answers since Open.
func (r *Reports) Bytes() int64 {
	r.count.Lock()
	defer r.count.Unlock()
	return r.bytes
}

// Report tells of a call, from any goroutine.
func (r *Reports) Report(request connect.Request) {
	r.mu.RLock()
	if r.to != nil {
		defer r.mu.RUnlock()
		r.to(request)
		return
	}
	r.mu.RUnlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.kept) < maxKept {
		r.kept = append(r.kept, request)
	}
}

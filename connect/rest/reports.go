package rest

import (
	"slices"
	"sync"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// reports are told of each call, of those beside snapshots, too: what ends
// between two snapshots is told in the next.
type reports struct {
	mu    sync.RWMutex
	to    func(connect.Request) // nil between snapshots
	kept  []connect.Request
	count sync.Mutex
	bytes int64
}

// maxKept is how many calls are kept until the next snapshot.
const maxKept = 1000

// open begins a snapshot.
func (r *reports) open(to func(connect.Request)) {
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
		r.report(request)
	}
}

// close ends a snapshot: nothing is told until the next.
func (r *reports) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = nil
}

// total is the size of the answers since open.
func (r *reports) total() int64 {
	r.count.Lock()
	defer r.count.Unlock()
	return r.bytes
}

func (r *reports) report(request connect.Request) {
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

// arrived are infos that were had beside snapshots and not taken in yet.
type arrived struct {
	mu    sync.Mutex
	infos []named
}

func (a *arrived) add(infos ...named) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.infos = append(a.infos, infos...)
}

func (a *arrived) take() []named {
	a.mu.Lock()
	defer a.mu.Unlock()
	infos := a.infos
	a.infos = nil
	return slices.Clip(infos)
}

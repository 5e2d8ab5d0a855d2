package main

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// maxQueued is how many bytes a relay keeps for a reader that is slow.
const maxQueued = 1 << 20

// A relay hands lines on to a writer from a goroutine of its own, so that nobody
// who logs ever waits for who reads the log: a pipe that nobody empties, a disk
// that is full. What does not fit is dropped and counted. It never fails.
type relay struct {
	to      io.Writer
	dropped atomic.Uint64
	// recovered is told how many lines were dropped, once lines are taken again.
	recovered atomic.Pointer[func(dropped uint64)]

	mu     sync.Mutex
	queue  bytes.Buffer
	closed bool
	wake   chan struct{} // room for one
	ended  chan struct{}
}

func newRelay(to io.Writer) *relay {
	r := &relay{to: to, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go r.run()
	return r
}

// Write takes whole lines.
func (r *relay) Write(p []byte) (int, error) {
	r.mu.Lock()
	if r.closed || r.queue.Len()+len(p) > maxQueued {
		r.dropped.Add(1)
	} else {
		r.queue.Write(p)
	}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (r *relay) run() {
	defer close(r.ended)
	var told uint64
	for range r.wake {
		r.mu.Lock()
		lines, closed := bytes.Clone(r.queue.Bytes()), r.closed
		if r.queue.Reset(); r.queue.Cap() > maxQueued/8 {
			r.queue = bytes.Buffer{} // A burst is over.
		}
		r.mu.Unlock()
		if _, err := r.to.Write(lines); err != nil {
			r.dropped.Add(uint64(bytes.Count(lines, []byte("\n"))))
		} else if dropped, tell := r.dropped.Load(), r.recovered.Load(); dropped > told && tell != nil && !closed {
			(*tell)(dropped - told)
			told = dropped
		}
		if closed {
			return
		}
	}
}

// close waits until what was written is handed on, or until the time is over.
func (r *relay) close(patience time.Duration) {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
	select {
	case <-r.ended:
	case <-time.After(patience):
	}
}

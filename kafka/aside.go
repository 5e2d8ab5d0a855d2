package kafka

import (
	"context"
	"sync"
	"time"
)

// asideDelay is for how long what is large is left alone: the snapshot that asks for it, and
// what becomes of it, shall have the processors to themselves.
const asideDelay = 100 * time.Millisecond

// An aside is something that takes longer the larger a cluster is. Where it is
// small, each snapshot waits for it; where it is large, it is read between the snapshots,
// for a fiftieth of the time at most, and they take what was read last.
type aside[T any] struct {
	mu      sync.Mutex
	running bool
	known   bool // that something was read
	last    T
	next    time.Time // not started before this
	closed  bool
	stop    context.CancelFunc // of what runs, or ran

	done sync.WaitGroup
}

// get returns what read returns: now if small, or if nothing was read yet, else what it
// returned last. It is called by one goroutine at a time; read is not called
// while it runs still.
func (a *aside[T]) get(ctx context.Context, limit time.Duration, small bool, read func(context.Context) T) T {
	a.mu.Lock()
	if a.running || a.closed || !small && a.known && time.Now().Before(a.next) {
		defer a.mu.Unlock()
		return a.last
	}
	if small {
		a.mu.Unlock()
		last := read(ctx)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.known, a.last = true, last
		return last
	}
	// It goes on when the snapshot is over: the scrape that asked for it has gone by then.
	known, last := a.known, a.last
	var delay time.Duration
	if known {
		delay = asideDelay
	}
	reading, stop := context.WithTimeout(context.WithoutCancel(ctx), delay+limit)
	a.running, a.stop = true, stop
	finished := make(chan struct{})
	a.done.Go(func() {
		defer close(finished)
		defer stop()
		pause(reading, delay)
		start := time.Now()
		got := read(reading)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.running, a.known, a.last = false, true, got
		a.next = time.Now().Add(49 * time.Since(start))
	})
	a.mu.Unlock()
	if known {
		return last
	}
	select {
	case <-finished:
	case <-ctx.Done():
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// close ends what runs, and nothing is started after it.
func (a *aside[T]) close() {
	a.mu.Lock()
	a.closed = true
	stop := a.stop
	a.mu.Unlock()
	if stop != nil {
		stop()
	}
	a.done.Wait()
}

package fleet

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// A flight is one snapshot under way. The coalescer's mutex guards what changes;
// result, late and hurried may be read once done is closed.
type flight struct {
	ctx      *flightContext
	start    time.Time
	planned  time.Duration                    // how much time its observer began to plan with
	observer connect.Observer                 // what is asked; nil while it is made
	renew    func() (connect.Observer, error) // if a new observer has to be made
	done     chan struct{}                    // closed when concluded
	ended    chan struct{}                    // closed when the observer has returned

	waiters   int
	longest   time.Duration // the most that a waiter who joined gives
	abandoned bool          // all have left before its time: its failure says nothing
	concluded bool
	over      time.Time // when it was concluded or abandoned
	result    series.Result
	brokers   *connect.Brokers // what the observer had of them, also when it failed
	// late tells that result is an error because time was up, hurried that it is
	// a timeout that was planned for less time than a waiter gives.
	late, hurried bool

	requestsMu sync.Mutex
	requests   []connect.Request
}

// open tells whether there is something to wait for.
func (f *flight) open() bool { return !f.concluded && !f.abandoned }

// lists adds an API call to those that the result lists.
func (f *flight) lists(r connect.Request) {
	f.requestsMu.Lock()
	defer f.requestsMu.Unlock()
	if len(f.requests) < series.MaxRequests {
		f.requests = append(f.requests, r)
	}
}

// listed returns the API calls so far.
func (f *flight) listed() []connect.Request {
	f.requestsMu.Lock()
	defer f.requestsMu.Unlock()
	return slices.Clone(f.requests)
}

// A flightContext is the context of a flight. It ends after as much time as the
// most patient of those who wait for it gives, which is not known from the
// beginning: who joins may give more. Its Deadline is what an observer may plan
// with, and may be later than its end.
type flightContext struct {
	context.Context
	finish context.CancelCauseFunc

	mu    sync.Mutex
	plan  time.Time // Deadline
	end   time.Time
	timer *time.Timer
}

// newFlightContext returns a context that ends at end, or with its parent.
func newFlightContext(parent context.Context, end, plan time.Time) *flightContext {
	c := &flightContext{end: end, plan: plan}
	c.Context, c.finish = context.WithCancelCause(parent)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = time.AfterFunc(time.Until(end), c.expire)
	return c
}

// Deadline implements context.Context; it is not when the context ends.
func (c *flightContext) Deadline() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.plan, true
}

// Err implements context.Context. What derives from it tells the same by
// [context.Cause].
func (c *flightContext) Err() error {
	if errors.Is(context.Cause(c.Context), context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return c.Context.Err()
}

// extend moves the end, and the deadline to plan with, to this if it is later.
func (c *flightContext) extend(end time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if end.After(c.end) {
		c.end = end
	}
	if end.After(c.plan) {
		c.plan = end
	}
}

// cancel ends it at once.
func (c *flightContext) cancel() {
	c.timer.Stop()
	c.finish(nil)
}

// expire ends it if it was not extended meanwhile.
func (c *flightContext) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if left := time.Until(c.end); left > 0 && c.Context.Err() == nil {
		c.timer.Reset(left)
		return
	}
	c.finish(context.DeadlineExceeded)
}

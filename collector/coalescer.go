package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

const (
	// maxGrace and a tenth of the caller's time, whichever is less, is how much
	// earlier than its first caller's deadline a flight ends: time for an
	// observer to hand over what it has, and for the caller to show it.
	maxGrace = 100 * time.Millisecond
	// endPatience is how long a caller waits for a call to an observer that was
	// cancelled and has not returned yet. One that heeds its context needs
	// milliseconds.
	endPatience = time.Second
)

// Why a caller gets no snapshot although no flight failed for him.
var (
	errEnding = fmt.Errorf("%w: the look before was given up and has not ended yet", connect.Timeout)
	errLate   = fmt.Errorf("%w: no answer within the time that the caller gives", connect.Timeout)
	errClosed = errors.New("no longer watched")
)

// A coalescer looks at one cluster for all who ask. At any time there is one
// call to its observer at most.
type coalescer struct {
	Cluster
	parent  context.Context
	options *FleetOptions
	maxAge  *atomic.Int64 // that of the fleet, in nanoseconds

	mu     sync.Mutex
	flight *flight // under way, or concluded and its call not yet returned
	closed bool
	// last is what the last flight concluded with; if that was for want of
	// time, lastBudget is how much it had.
	last       View
	lastBudget time.Duration
	// given is how much time the last flight was given.
	given time.Duration
	// success is the last snapshot that was had.
	success *connect.Snapshot
	tracker tracker
	health  health
}

// health is what was last told of a cluster.
type health uint8

const (
	healthUnknown health = iota
	healthUp
	healthDown
)

// A flight is one look. The coalescer's mutex guards what changes; view and
// late may be read once done is closed.
type flight struct {
	ctx    context.Context
	cancel context.CancelFunc
	start  time.Time
	budget time.Duration
	timer  *time.Timer   // concludes the flight if the observer does not
	done   chan struct{} // closed when concluded
	ended  chan struct{} // closed when the observer has returned

	waiters   int
	abandoned bool // all have left before their time: its failure says nothing
	concluded bool
	view      View
	late      bool // view is an error because time was up

	requestsMu sync.Mutex
	requests   []connect.Request
}

func newCoalescer(f *Fleet, cluster Cluster) *coalescer {
	return &coalescer{
		Cluster: cluster, parent: f.ctx, options: &f.options, maxAge: &f.maxAge,
		last: View{Cluster: cluster.Name, Provider: cluster.Provider},
	}
}

// observe returns a view by ctx's deadline, which there must be.
func (c *coalescer) observe(ctx context.Context) View {
	entered := time.Now()
	for again := false; ; again = true {
		f, view := c.join(ctx, entered)
		if f == nil {
			return view
		}
		select {
		case <-f.done:
			// What a flight could not do for want of time, it may do for a
			// caller who has more than it had: then one more is taken.
			if !again && f.late && hasMore(ctx, f.budget) {
				continue
			}
			return f.view
		case <-ctx.Done():
			return c.leave(ctx, f, entered)
		}
	}
}

// hasMore tells whether ctx leaves more time than a flight had. A flight of the
// caller's own leaves him less, so that he takes no second one.
func hasMore(ctx context.Context, budget time.Duration) bool {
	deadline, _ := ctx.Deadline()
	return time.Until(deadline) > budget
}

// join returns the flight to wait for, which it starts if there is none; or nil
// and a view.
func (c *coalescer) join(ctx context.Context, entered time.Time) (*flight, View) {
	patience := time.NewTimer(endPatience)
	defer patience.Stop()
	for {
		c.mu.Lock()
		f := c.flight
		switch {
		case c.closed:
			view := c.view(entered, errClosed)
			c.mu.Unlock()
			return nil, view
		case f != nil && !f.concluded && !f.abandoned:
			f.waiters++
			c.mu.Unlock()
			return f, View{}
		case c.fresh() && (c.lastBudget == 0 || !hasMore(ctx, c.lastBudget)):
			view := c.last
			c.mu.Unlock()
			return nil, view
		case f == nil:
			f = c.start(ctx)
			c.mu.Unlock()
			return f, View{}
		}
		c.mu.Unlock()
		// The observer was cancelled and has not returned yet.
		select {
		case <-f.ended:
		case <-patience.C:
			c.mu.Lock()
			view := c.view(entered, errEnding)
			c.record(&view)
			c.mu.Unlock()
			return nil, view
		case <-ctx.Done():
			c.mu.Lock()
			defer c.mu.Unlock()
			return nil, c.view(entered, ctx.Err())
		}
	}
}

// fresh tells whether the last result is young enough to be given again.
func (c *coalescer) fresh() bool {
	return !c.last.At.IsZero() && time.Since(c.last.At) < time.Duration(c.maxAge.Load())
}

// start begins a flight for a caller; c.mu is held.
func (c *coalescer) start(ctx context.Context) *flight {
	deadline, _ := ctx.Deadline()
	remaining := time.Until(deadline)
	grace := min(maxGrace, remaining/10)
	f := &flight{
		start: time.Now(), budget: remaining - grace, waiters: 1,
		done: make(chan struct{}), ended: make(chan struct{}),
	}
	f.ctx, f.cancel = context.WithTimeout(c.parent, f.budget)
	f.timer = time.AfterFunc(f.budget+grace/2, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.conclude(f, nil, errLate)
	})
	c.flight, c.given = f, f.budget
	go c.fly(f)
	return f
}

// fly calls the observer and ends the flight, however the call ends.
func (c *coalescer) fly(f *flight) {
	var (
		snapshot *connect.Snapshot
		err      = fmt.Errorf("%w: the observer did not return", connect.Decode)
	)
	defer func() {
		if panicked := recover(); panicked != nil {
			// The value may quote what a cluster answered: only its type is told.
			snapshot, err = nil, fmt.Errorf("%w: the observer panicked with a %T", connect.Decode, panicked)
			c.options.Logger.Error("observer panicked", "cluster", c.Name, "err", err, "stack", string(debug.Stack()))
		}
		c.end(f, snapshot, err)
	}()
	snapshot, err = c.Observer.Observe(f.ctx, func(r connect.Request) { c.report(f, r) })
	if err == nil {
		c.mu.Lock()
		before := c.success
		c.mu.Unlock()
		err = verify(snapshot, before)
	}
	if err != nil {
		snapshot = nil
	}
}

// report is told of each API call of a flight.
func (c *coalescer) report(f *flight, r connect.Request) {
	c.options.Instruments.request(c.Name, r)
	if c.options.Logger.Enabled(f.ctx, slog.LevelDebug) {
		c.options.Logger.LogAttrs(f.ctx, slog.LevelDebug, "call", slog.String("cluster", c.Name), slog.String("endpoint", r.Endpoint),
			slog.String("connector", r.Connector), slog.String("host", r.Host), slog.Int("code", r.Code),
			slog.Duration("took", r.Duration), slog.Int64("bytes", r.Bytes), slog.Any("err", r.Err))
	}
	f.requestsMu.Lock()
	defer f.requestsMu.Unlock()
	if len(f.requests) < MaxRequests {
		f.requests = append(f.requests, r)
	}
}

// conclude gives a flight its result, the first one counts; c.mu is held.
func (c *coalescer) conclude(f *flight, snapshot *connect.Snapshot, err error) {
	if f.concluded {
		return
	}
	f.concluded = true
	defer close(f.done)
	if err == nil {
		c.success = snapshot
		c.tracker.update(snapshot, time.Now())
	}
	f.view = c.view(f.start, err)
	f.requestsMu.Lock()
	f.view.Requests = slices.Clip(f.requests)
	f.requestsMu.Unlock()
	if err == nil {
		f.view.Snapshot, f.view.Previous, f.view.summary = snapshot, nil, c.tracker.summary
	} else if errors.Is(err, errLate) || errors.Is(f.ctx.Err(), context.DeadlineExceeded) {
		f.late, f.budget = true, f.view.Duration
	}
	if err != nil && (f.abandoned || c.closed) {
		return
	}
	c.lastBudget = 0
	if f.late {
		c.lastBudget = f.budget
	}
	c.record(&f.view)
}

// end concludes a flight whose call to the observer has returned.
func (c *coalescer) end(f *flight, snapshot *connect.Snapshot, err error) {
	f.timer.Stop()
	c.mu.Lock()
	c.conclude(f, snapshot, err)
	c.flight = nil
	closed := c.closed
	c.mu.Unlock()
	f.cancel()
	if closed {
		c.Observer.Close()
	}
	close(f.ended)
}

// leave takes a caller whose time is up, or who has gone, out of a flight. The
// last one cancels it.
func (c *coalescer) leave(ctx context.Context, f *flight, entered time.Time) View {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.waiters--
	if f.waiters == 0 && !f.concluded {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			c.conclude(f, nil, errLate)
		} else {
			f.abandoned = true
		}
		f.cancel()
	}
	return c.view(entered, ctx.Err())
}

// close cancels the flight under way and closes the observer after it. The
// channel is closed when both have ended.
func (c *coalescer) close() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, closed := c.flight, c.closed
	c.closed = true
	if f != nil {
		f.cancel()
		return f.ended
	}
	ended := make(chan struct{})
	close(ended)
	if !closed {
		c.Observer.Close()
	}
	return ended
}

// view is what a look that began at start and failed with err yields; c.mu is
// held.
func (c *coalescer) view(start time.Time, err error) View {
	if err != nil {
		err = fmt.Errorf("observe %s: %w", c.Name, err)
	}
	now := time.Now()
	return View{
		Cluster: c.Name, Provider: c.Provider, Err: err, Previous: c.success,
		At: now, Duration: now.Sub(start), Deadline: c.given.Round(10 * time.Millisecond), changes: c.tracker.changes, left: c.tracker.left,
	}
}

// lastView is the last result; c.mu is not held.
func (c *coalescer) lastView() View {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// record remembers, counts and logs a result; c.mu is held.
func (c *coalescer) record(view *View) {
	c.last = *view
	c.options.Instruments.look(view)
	log, took := c.options.Logger, view.Duration
	now := healthUp
	if view.Err != nil {
		now = healthDown
	}
	before := c.health
	c.health = now
	switch {
	case now == healthDown && before == healthDown:
		log.Debug("cluster still cannot be observed", "cluster", c.Name, "err", view.Err, "took", took)
	case now == healthDown:
		log.Warn("cluster cannot be observed", "cluster", c.Name, "err", view.Err, "took", took)
	case before == healthUp:
		log.Debug("cluster observed", "cluster", c.Name, "connectors", len(view.Snapshot.Connectors),
			"unobserved", len(view.Snapshot.Unobserved), "took", took)
	case before == healthDown:
		log.Info("cluster is observed again", "cluster", c.Name, "connectors", len(view.Snapshot.Connectors), "took", took)
	default:
		log.Info("cluster is observed", "cluster", c.Name, "version", view.Snapshot.Version,
			"observation_version", view.Snapshot.ObservationVersion, "connectors", len(view.Snapshot.Connectors), "took", took)
	}
}

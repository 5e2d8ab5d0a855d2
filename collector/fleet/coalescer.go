package fleet

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

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
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
	errEnding = fmt.Errorf("%w: the snapshot before was given up and has not ended yet", connect.Timeout)
	errLate   = fmt.Errorf("%w: no answer within the time that the caller gives", connect.Timeout)
)

// A coalescer asks one cluster for all who want to know. At any time there is one
// call to its observer at most.
type coalescer struct {
	Cluster
	parent  context.Context
	options *Options
	maxAge  *atomic.Int64 // that of the fleet, in nanoseconds

	mu     sync.Mutex
	flight *flight // under way, or concluded and its call not yet returned
	closed bool
	// last is what the last flight concluded with; if that was for want of
	// time, lastBudget is how much it had.
	last       series.Result
	lastBudget time.Duration
	// budget is how much time the last flight had.
	budget time.Duration
	// success is the last snapshot that was had.
	success *connect.Snapshot
	tracker series.Tracker
	health  health
}

// health is what was last told of a cluster.
type health uint8

const (
	healthUnknown health = iota
	healthUp
	healthDown
)

// A flight is one snapshot under way. The coalescer's mutex guards what changes; result and
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
	result    series.Result
	late      bool // result is an error because time was up

	requestsMu sync.Mutex
	requests   []connect.Request
}

func newCoalescer(f *Fleet, cluster Cluster) *coalescer {
	return &coalescer{
		Cluster: cluster, parent: f.ctx, options: &f.options, maxAge: &f.maxAge,
		last: series.Result{Cluster: cluster.Name, Provider: cluster.Provider},
	}
}

// observe returns a result by ctx's deadline, which there must be.
func (c *coalescer) observe(ctx context.Context) series.Result {
	entered := time.Now()
	for again := false; ; again = true {
		f, result := c.join(ctx, entered)
		if f == nil {
			return result
		}
		select {
		case <-f.done:
			// What a flight could not do for want of time, it may do for a
			// caller who has more than it had: then one more is taken.
			if !again && f.late && hasMore(ctx, f.budget) {
				continue
			}
			return f.result
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
// and a result.
func (c *coalescer) join(ctx context.Context, entered time.Time) (*flight, series.Result) {
	patience := time.NewTimer(endPatience)
	defer patience.Stop()
	for {
		c.mu.Lock()
		f := c.flight
		switch {
		case c.closed:
			result := c.result(entered, series.ErrRemoved)
			c.mu.Unlock()
			return nil, result
		case f != nil && !f.concluded && !f.abandoned:
			f.waiters++
			c.mu.Unlock()
			return f, series.Result{}
		case c.fresh() && (c.lastBudget == 0 || !hasMore(ctx, c.lastBudget)):
			result := c.last
			c.mu.Unlock()
			return nil, result
		case f == nil:
			f = c.start(ctx)
			c.mu.Unlock()
			return f, series.Result{}
		}
		c.mu.Unlock()
		// The observer was cancelled and has not returned yet.
		select {
		case <-f.ended:
		case <-patience.C:
			c.mu.Lock()
			result := c.result(entered, errEnding)
			c.record(&result)
			c.mu.Unlock()
			return nil, result
		case <-ctx.Done():
			c.mu.Lock()
			defer c.mu.Unlock()
			return nil, c.result(entered, ctx.Err())
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
	c.flight, c.budget = f, f.budget
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
	c.options.Recorder.Request(c.Name, r)
	if c.options.Logger.Enabled(f.ctx, slog.LevelDebug) {
		c.options.Logger.LogAttrs(f.ctx, slog.LevelDebug, "call", slog.String("cluster", c.Name), slog.String("endpoint", r.Endpoint),
			slog.String("connector", r.Connector), slog.String("host", r.Host), slog.Int("code", r.Code),
			slog.Duration("took", r.Duration), slog.Int64("bytes", r.Bytes), slog.Any("err", r.Err))
	}
	f.requestsMu.Lock()
	defer f.requestsMu.Unlock()
	if len(f.requests) < series.MaxRequests {
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
		c.tracker.Update(snapshot, time.Now())
	}
	f.result = c.result(f.start, err)
	f.requestsMu.Lock()
	f.result.Requests = slices.Clip(f.requests)
	f.requestsMu.Unlock()
	if err == nil {
		f.result.Snapshot, f.result.Previous = snapshot, nil
	} else if errors.Is(err, errLate) || errors.Is(f.ctx.Err(), context.DeadlineExceeded) {
		f.late, f.budget = true, f.result.Duration
	}
	if err != nil && (f.abandoned || c.closed) {
		return
	}
	c.lastBudget = 0
	if f.late {
		c.lastBudget = f.budget
	}
	c.record(&f.result)
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
func (c *coalescer) leave(ctx context.Context, f *flight, entered time.Time) series.Result {
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
	return c.result(entered, ctx.Err())
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

// result is what a snapshot that began at start and failed with err yields; c.mu is
// held.
func (c *coalescer) result(start time.Time, err error) series.Result {
	if err != nil {
		err = fmt.Errorf("observe %s: %w", c.Name, err)
	}
	now := time.Now()
	return series.Result{
		Cluster: c.Name, Provider: c.Provider, Err: err, Previous: c.success,
		At: now, Duration: now.Sub(start), Deadline: c.budget.Round(10 * time.Millisecond), History: c.tracker.History,
	}
}

// lastResult is the last result; c.mu is not held.
func (c *coalescer) lastResult() series.Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// record keeps, counts and logs a result; c.mu is held.
func (c *coalescer) record(result *series.Result) {
	c.last = *result
	c.options.Recorder.Snapshot(result)
	log, took := c.options.Logger, result.Duration
	now := healthUp
	if result.Err != nil {
		now = healthDown
	}
	before := c.health
	c.health = now
	switch {
	case now == healthDown && before == healthDown:
		log.Debug("cluster still cannot be observed", "cluster", c.Name, "err", result.Err, "took", took)
	case now == healthDown:
		log.Warn("cluster cannot be observed", "cluster", c.Name, "err", result.Err, "took", took)
	case before == healthUp:
		log.Debug("cluster observed", "cluster", c.Name, "connectors", len(result.Snapshot.Connectors),
			"unobserved", len(result.Snapshot.Unobserved), "took", took)
	case before == healthDown:
		log.Info("cluster is observed again", "cluster", c.Name, "connectors", len(result.Snapshot.Connectors), "took", took)
	default:
		log.Info("cluster is observed", "cluster", c.Name, "version", result.Snapshot.Version,
			"observation_version", result.Snapshot.ObservationVersion, "connectors", len(result.Snapshot.Connectors), "took", took)
	}
}

package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

const (
	// maxGrace and a tenth of a caller's time, whichever is less, is how much
	// earlier than his deadline a flight ends: time for an observer to hand over
	// what it has, and for the caller to show it.
	maxGrace = 100 * time.Millisecond
	// leastBudget is how much time a flight has at least: a little less than what
	// a scrape timeout of one second leaves, the least that Prometheus's users set.
	// Who waits less long leaves before.
	leastBudget = 400 * time.Millisecond
	// endPatience is how long a call to an observer that was cancelled is waited
	// for. One that heeds its context needs milliseconds.
	endPatience = time.Second
	// Calls that do not return are left behind, with their observer: fewHung as
	// often as they occur, then one at an interval that doubles up to the longest.
	// So a cluster that is well again is seen however often it hung before, and of
	// one that never is there are about four a day. Of all clusters there are
	// mostHung at a time: each may hold a thread, of which Go allows 10,000.
	fewHung, mostHung             = 8, 2000
	hungInterval, maxHungInterval = 10 * time.Minute, 6 * time.Hour
	// maxNamed is how many unobserved connectors are named in the log.
	maxNamed = 100
)

// Why a caller gets no snapshot although no flight failed for him.
var (
	errHung    = fmt.Errorf("%w: calls to the cluster before were given up and have not ended yet", connect.Timeout)
	errLate    = fmt.Errorf("%w: no answer within the time that the caller gives", connect.Timeout)
	errRemoved = errors.New("no longer watched")
)

// A coalescer asks one cluster for all who want to know. At any time there is one
// call to its observer at most.
type coalescer struct {
	Cluster
	fleet *Fleet

	mu     sync.Mutex
	labels []series.Label // sorted
	// observer that flights ask; nil while a new one is made.
	observer connect.Observer
	flight   *flight // under way, or over and its call not yet returned
	removed  bool
	// hung are the calls left behind, leftAt is when the last one was.
	hung   int
	leftAt time.Time
	// last is what the last flight that counts concluded with; if that was for
	// want of time, lastBudget is how much it had.
	last       series.Result
	lastBudget time.Duration
	// success is the last snapshot that was had, history what all came to.
	success *connect.Snapshot
	history series.History
	health  health
	longest longest
}

// health is what was last told of a cluster.
type health uint8

const (
	healthUnknown health = iota
	healthUp
	healthDown
)

// newCoalescer returns the coalescer of a cluster; before is the one of the same
// name that it replaces, or nil.
func newCoalescer(f *Fleet, cluster Cluster, before *coalescer) *coalescer {
	c := &coalescer{Cluster: cluster, fleet: f, labels: series.SortedLabels(cluster.Labels), observer: cluster.Observer}
	c.last = series.Result{Cluster: cluster.Name, Provider: cluster.Provider, Labels: c.labels, ExpectedWorkers: cluster.ExpectedWorkers}
	if before != nil && before.Provider == cluster.Provider {
		// Other settings, but most likely the same cluster: counters go on.
		before.mu.Lock()
		defer before.mu.Unlock()
		c.success, c.history, c.health = before.success, before.history.Renewed(), before.health
	}
	return c
}

// configure takes over what may change while the observer stays.
func (c *coalescer) configure(cluster Cluster) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.labels, c.ExpectedWorkers, c.Renew = series.SortedLabels(cluster.Labels), cluster.ExpectedWorkers, cluster.Renew
}

// A caller waits for a snapshot.
type caller struct {
	ctx     context.Context
	entered time.Time
	// budget is how much time a flight has on his behalf, end when it is over.
	budget time.Duration
	end    time.Time
	// scrapes tells that he comes regularly, so that his time says how long a
	// snapshot may take.
	scrapes bool
}

// newCaller makes a caller of a context, which has a deadline. He leaves a little
// before, but later than a flight ends that was begun for him.
func newCaller(ctx context.Context, scrapes bool) (w *caller, cancel context.CancelFunc) {
	deadline, _ := ctx.Deadline()
	now := time.Now()
	remaining := deadline.Sub(now)
	grace := min(maxGrace, remaining/10)
	w = &caller{entered: now, budget: remaining - grace, end: deadline.Add(-grace), scrapes: scrapes}
	w.ctx, cancel = context.WithDeadline(ctx, deadline.Add(-grace/4))
	return w, cancel
}

// hasMore tells whether a flight begun now for this caller would have more time
// than this.
func (w *caller) hasMore(than time.Duration) bool { return time.Until(w.end) > than }

// observe returns a result by the caller's deadline; false if the cluster was
// removed.
func (c *coalescer) observe(w *caller) (result series.Result, watched bool) {
	// Whoever else asked, his own time is what his scrapes have.
	defer func() { result.Deadline = w.budget.Round(10 * time.Millisecond) }()
	for again := false; ; again = true {
		f, result, err := c.join(w)
		if f == nil {
			return result, !errors.Is(err, errRemoved)
		}
		select {
		case <-f.done:
			// What failed for want of time may be had in that of this caller, if
			// it was planned for less, or if he came when it was nearly over: then
			// one more is taken.
			if !again && (f.hurried && w.hasMore(f.planned) || f.late && w.hasMore(f.planned/2)) {
				continue
			}
			return f.result, !errors.Is(f.result.Err, errRemoved)
		case <-w.ctx.Done():
			return c.leave(w, f), true
		}
	}
}

// join returns the flight to wait for, which it starts if there is none; or nil
// and a result, and why it is none of a flight for the caller.
func (c *coalescer) join(w *caller) (*flight, series.Result, error) {
	if w.scrapes {
		c.longest.note(w.budget)
	}
	for {
		c.mu.Lock()
		f := c.flight
		switch {
		case c.removed:
			c.mu.Unlock()
			return nil, series.Result{}, errRemoved
		case f != nil && f.open():
			f.waiters++
			f.longest = max(f.longest, w.budget)
			f.ctx.extend(f.start.Add(w.budget))
			c.mu.Unlock()
			return f, series.Result{}, nil
		case c.fresh() && (c.lastBudget == 0 || !w.hasMore(c.lastBudget)):
			result := c.last
			result.Resource = c.resource() // Newer than the snapshot.
			c.mu.Unlock()
			return nil, result, nil
		case w.ctx.Err() != nil:
			result := c.result(w.entered, w.ctx.Err())
			c.mu.Unlock()
			return nil, result, w.ctx.Err()
		case f == nil:
			f = c.start(w)
			c.mu.Unlock()
			return f, series.Result{}, nil
		}
		// The observer was cancelled and has not returned yet.
		patience := endPatience - time.Since(f.over)
		if patience <= 0 {
			f = c.startAnew(w)
			if f == nil {
				result := c.result(w.entered, errHung)
				c.record(&result)
				c.mu.Unlock()
				return nil, result, errHung
			}
			c.mu.Unlock()
			return f, series.Result{}, nil
		}
		c.mu.Unlock()
		timer := time.NewTimer(patience)
		select {
		case <-f.ended:
		case <-timer.C:
		case <-w.ctx.Done():
			timer.Stop()
			c.mu.Lock()
			defer c.mu.Unlock()
			return nil, c.result(w.entered, w.ctx.Err()), w.ctx.Err()
		}
		timer.Stop()
	}
}

// fresh tells whether the last result is young enough to be given again.
func (c *coalescer) fresh() bool {
	return !c.last.At.IsZero() && time.Since(c.last.At) < c.fleet.snapshotMaxAge()
}

// start begins a flight for a caller; c.mu is held.
func (c *coalescer) start(w *caller) *flight {
	now := time.Now()
	end := now.Add(max(time.Until(w.end), leastBudget))
	// Others who are likely to join have as much time as others had lately.
	plan := now.Add(max(end.Sub(now), c.longest.budget()))
	f := &flight{
		ctx: newFlightContext(c.fleet.ctx, end, plan), start: now, planned: plan.Sub(now), waiters: 1,
		observer: c.observer,
		done:     make(chan struct{}), ended: make(chan struct{}),
	}
	if f.observer == nil {
		f.renew = c.Renew
	}
	context.AfterFunc(f.ctx, func() {
		if errors.Is(f.ctx.Err(), context.DeadlineExceeded) {
			grace := min(maxGrace, time.Since(f.start)/10)
			time.AfterFunc(grace/2, func() {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.conclude(f, nil, c.history, errLate)
			})
		}
	})
	c.flight = f
	go c.fly(f)
	return f
}

// startAnew leaves a call that does not return behind, with its observer, and
// begins a flight with a new one; nil if too many are left behind. c.mu is held.
func (c *coalescer) startAnew(w *caller) *flight {
	if c.Renew == nil || c.fleet.hung.Load() >= mostHung {
		return nil
	}
	if more := c.hung - fewHung; more >= 0 && time.Since(c.leftAt) < min(hungInterval<<min(more, 10), maxHungInterval) {
		return nil
	}
	c.hung++
	c.fleet.hung.Add(1)
	c.leftAt = time.Now()
	c.observer, c.flight, c.history = nil, nil, c.history.Renewed()
	c.fleet.options.Logger.Warn("call to the cluster does not end, leaving it behind", "cluster", c.Name, "left", c.hung)
	return c.start(w)
}

// fly calls the observer and ends the flight, however the call ends.
func (c *coalescer) fly(f *flight) {
	var (
		snapshot *connect.Snapshot
		history  series.History
		err      = fmt.Errorf("%w: the observer did not return", connect.Decode)
	)
	defer func() {
		if panicked := recover(); panicked != nil {
			// The value may quote what a cluster answered: only its type is told.
			snapshot, err = nil, fmt.Errorf("%w: the observer panicked with a %T", connect.Decode, panicked)
			c.fleet.options.Logger.Error("observer panicked", "cluster", c.Name, "err", err, "stack", string(debug.Stack()))
		}
		c.end(f, snapshot, history, err)
	}()
	if f.renew != nil {
		observer, renewErr := f.renew()
		c.mu.Lock()
		f.observer = observer
		if c.flight == f && renewErr == nil {
			c.observer = observer
		}
		c.mu.Unlock()
		if renewErr != nil {
			err = renewErr
			return
		}
	}
	snapshot, err = f.observer.Observe(f.ctx, func(r connect.Request) { c.report(f, r) })
	c.mu.Lock()
	known, past := c.success, c.history
	c.mu.Unlock()
	if snapshot != nil {
		brokers := verifyBrokers(snapshot.Brokers, known)
		if brokers != snapshot.Brokers {
			checked := *snapshot
			checked.Brokers = brokers
			snapshot = &checked
		}
		c.mu.Lock()
		f.brokers = brokers
		c.mu.Unlock()
	}
	if err == nil {
		snapshot, err = verify(snapshot, known)
	}
	if err != nil {
		snapshot = nil
		return
	}
	history = past.Next(snapshot, time.Now())
}

// report is told of each API call of a flight.
func (c *coalescer) report(f *flight, r connect.Request) {
	c.fleet.options.Recorder.Request(c.Name, r)
	if log := c.fleet.options.Logger; log.Enabled(f.ctx, slog.LevelDebug) {
		log.LogAttrs(f.ctx, slog.LevelDebug, "call", slog.String("cluster", c.Name), slog.String("endpoint", r.Endpoint),
			slog.String("connector", r.Connector), slog.String("host", r.Host), slog.Int("code", r.Code),
			slog.Duration("took", r.Duration), slog.Int64("bytes", r.Bytes), slog.Any("err", r.Err))
	}
	f.lists(r)
}

// conclude gives a flight its result, the first one counts; c.mu is held.
func (c *coalescer) conclude(f *flight, snapshot *connect.Snapshot, history series.History, err error) {
	if f.concluded {
		return
	}
	f.concluded = true
	if f.over.IsZero() {
		f.over = time.Now()
	}
	defer close(f.done)
	if c.fleet.ctx.Err() != nil {
		err = errRemoved // The exporter ends; that says nothing of the cluster.
	}
	if err == nil && c.flight == f {
		c.success, c.history = snapshot, history
	}
	f.result = c.result(f.start, err)
	f.result.Requests, f.result.Brokers = f.listed(), f.brokers
	if err == nil {
		f.result.Snapshot, f.result.Previous, f.result.History = snapshot, nil, history
	}
	f.late = errors.Is(err, errLate) || err != nil && errors.Is(f.ctx.Err(), context.DeadlineExceeded)
	f.hurried = err != nil && connect.ReasonOf(err) == connect.Timeout && f.planned < f.longest
	switch {
	case c.removed, c.flight != f, err != nil && f.abandoned:
		return
	case (f.late || f.hurried) && c.longest.exceeds(f.result.Duration):
		return // Others give it more time: it did not fail them.
	}
	c.lastBudget = 0
	if f.late {
		c.lastBudget = f.result.Duration
	}
	c.record(&f.result)
}

// end concludes a flight whose call to the observer has returned.
func (c *coalescer) end(f *flight, snapshot *connect.Snapshot, history series.History, err error) {
	c.mu.Lock()
	c.conclude(f, snapshot, history, err)
	left := c.flight != f
	if left {
		c.hung--
		c.fleet.hung.Add(-1)
	} else {
		c.flight = nil
	}
	let := left || c.removed
	c.mu.Unlock()
	f.ctx.cancel()
	if let && f.observer != nil {
		f.observer.Close()
	}
	close(f.ended)
}

// leave takes a caller whose time is up, or who has gone, out of a flight. If
// the last one has gone, it is cancelled; if his time was up, it ends by itself.
func (c *coalescer) leave(w *caller, f *flight) series.Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.waiters--
	if f.waiters == 0 && f.open() && (c.removed || errors.Is(w.ctx.Err(), context.Canceled)) {
		f.abandoned, f.over = true, time.Now()
		f.ctx.cancel()
	}
	return c.result(w.entered, w.ctx.Err())
}

// remove ends the coalescer. A flight under way goes on for those who wait for it,
// unless now is true; the observer is closed after it. The channel is closed when
// both have ended.
func (c *coalescer) remove(now bool) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, removed := c.flight, c.removed
	c.removed = true
	if f != nil {
		if now || f.waiters == 0 {
			f.ctx.cancel()
		}
		return f.ended
	}
	ended := make(chan struct{})
	if removed || c.observer == nil {
		close(ended)
		return ended
	}
	go func() {
		defer close(ended)
		c.observer.Close()
	}()
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
		Cluster: c.Name, Provider: c.Provider, Labels: c.labels, ExpectedWorkers: c.ExpectedWorkers, Err: err, Previous: c.success,
		At: now, Duration: now.Sub(start), History: c.history, Resource: c.resource(),
	}
}

// resource is what is known now of the resource that the cluster was found by;
// c.mu is held.
func (c *coalescer) resource() *connect.OperatorResource {
	if o, found := c.Observer.(connect.OperatorObserver); found {
		return o.OperatorResource()
	}
	return nil
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
	c.fleet.options.Recorder.Snapshot(result)
	log, took := c.fleet.options.Logger, result.Duration
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
	if result.Snapshot != nil && log.Enabled(c.fleet.ctx, slog.LevelDebug) {
		for i, u := range result.Snapshot.Unobserved {
			if i == maxNamed {
				log.Debug("more connectors are not observed", "cluster", c.Name, "more", len(result.Snapshot.Unobserved)-i)
				break
			}
			log.Debug("connector not observed", "cluster", c.Name, "connector", u.Connector, "reason", string(u.Reason))
		}
	}
}

package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/internal/collectortest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

type (
	observeFunc = func(context.Context, func(connect.Request)) (*connect.Snapshot, error)
	reportFunc  = func(connect.Request)
)

// fleetOf returns a fleet of one cluster, orders.
func fleetOf(t *testing.T, options Options, observe observeFunc) (*Fleet, *collectortest.Observer) {
	o := &collectortest.Observer{T: t, Do: observe}
	f := New([]Cluster{{Name: "orders", Provider: connect.SelfManaged, Observer: o}}, options)
	t.Cleanup(f.Close)
	return f, o
}

// within asks the clusters with a deadline of so long from now.
func within(f *Fleet, d time.Duration) []series.Result {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return f.Observe(ctx)
}

// takes answers after d, or fails when its time is up.
func takes(d time.Duration, snapshot *connect.Snapshot) observeFunc {
	return func(ctx context.Context, _ reportFunc) (*connect.Snapshot, error) {
		select {
		case <-time.After(d):
			return snapshot, nil
		case <-ctx.Done():
			return nil, fmt.Errorf("list connectors: %w", ctx.Err())
		}
	}
}

func succeeded(t *testing.T, v series.Result, snapshot *connect.Snapshot) {
	t.Helper()
	if v.Err != nil || v.Snapshot != snapshot || v.Previous != nil || v.At.IsZero() {
		t.Errorf("result is %+v, not the snapshot", v)
	}
}

func failed(t *testing.T, v series.Result, reason connect.Reason) {
	t.Helper()
	if v.Snapshot != nil || v.Err == nil || connect.ReasonOf(v.Err) != reason {
		t.Errorf("result has snapshot %v and error %v, not reason %s", v.Snapshot != nil, v.Err, reason)
	}
	if v.Err != nil && !strings.HasPrefix(v.Err.Error(), "observe orders: ") {
		t.Errorf("error does not say what was being done: %v", v.Err)
	}
}

func TestCallersShareAFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := collectortest.Small()
		f, o := fleetOf(t, Options{}, takes(time.Second, s))
		var callers sync.WaitGroup
		for i := range 20 {
			callers.Go(func() {
				time.Sleep(time.Duration(i) * 40 * time.Millisecond)
				succeeded(t, within(f, 10*time.Second)[0], s)
			})
		}
		callers.Wait()
		if n := o.Calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
		succeeded(t, within(f, 10*time.Second)[0], s)
		if n := o.Calls.Load(); n != 2 {
			t.Errorf("without an age, results are shared while under way only; %d calls", n)
		}
	})
}

func TestYoungResultsAreGivenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, down := collectortest.Small(), true
		f, o := fleetOf(t, Options{SnapshotMaxAge: 2 * time.Second}, func(context.Context, reportFunc) (*connect.Snapshot, error) {
			if down {
				return nil, connect.Forbidden
			}
			return s, nil
		})
		failed(t, within(f, time.Second)[0], connect.Forbidden)
		down = false
		time.Sleep(1900 * time.Millisecond)
		failed(t, within(f, time.Second)[0], connect.Forbidden)
		time.Sleep(100 * time.Millisecond)
		first := within(f, time.Second)[0]
		succeeded(t, first, s)
		time.Sleep(1900 * time.Millisecond)
		if second := within(f, time.Second)[0]; second.At != first.At || second.Snapshot != first.Snapshot {
			t.Errorf("%+v is given, not %+v", second, first)
		}
		if n := o.Calls.Load(); n != 2 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestWhoLeavesTakesNothingFromOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := collectortest.Small()
		f, o := fleetOf(t, Options{}, takes(time.Second, s))
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		var callers sync.WaitGroup
		callers.Go(func() {
			failed(t, f.Observe(ctx)[0], connect.Timeout) // It started the flight and goes.
		})
		synctest.Wait()
		callers.Go(func() { succeeded(t, within(f, 10*time.Second)[0], s) })
		callers.Go(func() { // It cannot wait so long.
			start := time.Now()
			failed(t, within(f, 500*time.Millisecond)[0], connect.Timeout)
			if took := time.Since(start); took > 500*time.Millisecond || took < 450*time.Millisecond {
				t.Errorf("left after %v", took)
			}
		})
		synctest.Wait()
		cancel()
		callers.Wait()
		if n := o.Calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestTheLastWhoLeavesCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := collectortest.Small()
		var cause error
		f, o := fleetOf(t, Options{SnapshotMaxAge: time.Minute}, func(ctx context.Context, _ reportFunc) (*connect.Snapshot, error) {
			select {
			case <-time.After(time.Second):
				return s, nil
			case <-ctx.Done():
				cause = ctx.Err()
				time.Sleep(10 * time.Millisecond) // Until the connection is closed.
				return nil, ctx.Err()
			}
		})
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		var callers sync.WaitGroup
		for range 3 {
			callers.Go(func() { f.Observe(ctx) })
		}
		synctest.Wait()
		cancel()
		callers.Wait()
		synctest.Wait()
		if !errors.Is(cause, context.Canceled) {
			t.Errorf("the flight ended with %v", cause)
		}
		if last := f.Last()[0]; !last.At.IsZero() {
			t.Errorf("that nobody waited says nothing of the cluster: %+v", last)
		}
		// Who comes while the call is being cancelled waits for its end.
		succeeded(t, within(f, 10*time.Second)[0], s)
		if n := o.Calls.Load(); n != 2 {
			t.Errorf("%d calls", n)
		}
	})
}

// TestPartialSnapshotArrives: what an observer has when its time is up reaches
// the caller who set the time.
func TestPartialSnapshotArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := collectortest.Small()
		f, _ := fleetOf(t, Options{}, func(ctx context.Context, _ reportFunc) (*connect.Snapshot, error) {
			<-ctx.Done()
			time.Sleep(20 * time.Millisecond)
			return s, nil
		})
		for _, budget := range []time.Duration{10 * time.Second, 2 * time.Second} {
			start := time.Now()
			succeeded(t, within(f, budget)[0], s)
			if took := time.Since(start); took < budget*8/10 || took >= budget {
				t.Errorf("of %v, the flight took %v", budget, took)
			}
		}
	})
}

// TestMoreTimeThanTheFlightHad: who brings more time than a flight had whose
// failure is still young gets one of his own.
func TestMoreTimeThanTheFlightHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := collectortest.Small()
		f, o := fleetOf(t, Options{SnapshotMaxAge: time.Minute}, takes(3*time.Second, s))
		failed(t, within(f, 2*time.Second)[0], connect.Timeout)
		failed(t, within(f, 1900*time.Millisecond)[0], connect.Timeout)
		if n := o.Calls.Load(); n != 1 {
			t.Errorf("the young failure was not given again: %d calls", n)
		}
		succeeded(t, within(f, 10*time.Second)[0], s)
	})
	// His own flight fails too: he takes no third.
	synctest.Test(t, func(t *testing.T) {
		f, o := fleetOf(t, Options{SnapshotMaxAge: time.Minute}, takes(time.Hour, nil))
		failed(t, within(f, time.Second)[0], connect.Timeout)
		time.Sleep(time.Second)
		start := time.Now()
		failed(t, within(f, 10*time.Second)[0], connect.Timeout)
		if n := o.Calls.Load(); n != 2 || time.Since(start) > 10*time.Second {
			t.Errorf("%d calls, %v", n, time.Since(start))
		}
	})
	// What an observer could not do in the time that it planned with is tried once
	// more for who joined with more.
	synctest.Test(t, func(t *testing.T) {
		s := collectortest.Small()
		var logs bytes.Buffer
		counted := &recorder{}
		f, o := fleetOf(t, Options{Recorder: counted, Logger: slog.New(slog.NewTextHandler(&logs, nil))}, func(ctx context.Context, report reportFunc) (*connect.Snapshot, error) {
			deadline, _ := ctx.Deadline()
			call, cancel := context.WithTimeout(ctx, time.Until(deadline)/2)
			defer cancel()
			return takes(2*time.Second, s)(call, report)
		})
		var callers sync.WaitGroup
		callers.Go(func() { failed(t, within(f, 3*time.Second)[0], connect.Timeout) })
		synctest.Wait()
		callers.Go(func() { succeeded(t, within(f, 20*time.Second)[0], s) })
		callers.Wait()
		if n := o.Calls.Load(); n != 2 || counted.failures.Load() != 0 || strings.Contains(logs.String(), "cannot") {
			t.Errorf("%d calls, %d failures, logged %s", n, counted.failures.Load(), &logs)
		}
	})
}

// A recorder counts.
type recorder struct {
	nobody
	failures, successes atomic.Int64
}

func (r *recorder) Snapshot(result *series.Result) {
	if result.Err != nil {
		r.failures.Add(1)
	} else {
		r.successes.Add(1)
	}
}

// TestImpatientCallers: the time of one in a hurry is his own. It fails nobody
// else, is no failure of the cluster, and what was begun for him is had by others.
func TestImpatientCallers(t *testing.T) {
	for name, test := range map[string]struct {
		takes     time.Duration
		impatient []time.Duration
	}{
		"far too short": {300 * time.Millisecond, []time.Duration{2 * time.Millisecond, 60 * time.Millisecond, 240 * time.Millisecond}},
		"a bit short":   {3 * time.Second, []time.Duration{60 * time.Millisecond, time.Second, 1500 * time.Millisecond, 2900 * time.Millisecond}},
		"half":          {6 * time.Second, []time.Duration{5 * time.Second, 5900 * time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := collectortest.Small()
				var logs bytes.Buffer
				counted := &recorder{}
				f, _ := fleetOf(t, Options{Recorder: counted, Logger: slog.New(slog.NewTextHandler(&logs, nil))}, takes(test.takes, s))
				succeeded(t, within(f, 10*time.Second)[0], s) // He comes regularly.
				var callers sync.WaitGroup
				stop := make(chan struct{})
				for i, budget := range test.impatient {
					callers.Go(func() {
						time.Sleep(time.Duration(i) * 7 * time.Millisecond)
						for {
							select {
							case <-stop:
								return
							default:
							}
							start := time.Now()
							// He may find one that others began long before.
							within(f, budget)
							if took := time.Since(start); took > budget {
								t.Errorf("an impatient one waited %v, not %v", took, budget)
							}
						}
					})
				}
				for range 20 {
					time.Sleep(time.Second)
					succeeded(t, within(f, 10*time.Second)[0], s)
				}
				close(stop)
				callers.Wait()
				if n := counted.failures.Load(); n != 0 || strings.Contains(logs.String(), "cannot") {
					t.Errorf("%d failures of the cluster, logged %s", n, &logs)
				}
			})
		})
	}
	// One by one, the impatient first.
	synctest.Test(t, func(t *testing.T) {
		s := collectortest.Small()
		counted := &recorder{}
		f, o := fleetOf(t, Options{Recorder: counted}, takes(300*time.Millisecond, s))
		for range 200 {
			failed(t, within(f, 2*time.Millisecond)[0], connect.Timeout)
			succeeded(t, within(f, 10*time.Second)[0], s)
		}
		if n := o.Calls.Load(); n != 200 || counted.failures.Load() != 0 || counted.successes.Load() != 200 {
			t.Errorf("%d calls, %d failures, %d successes", n, counted.failures.Load(), counted.successes.Load())
		}
	})
	// Nobody else there: what was begun is ended, and kept.
	synctest.Test(t, func(t *testing.T) {
		s := collectortest.Small()
		f, o := fleetOf(t, Options{SnapshotMaxAge: time.Minute}, takes(300*time.Millisecond, s))
		failed(t, within(f, 2*time.Millisecond)[0], connect.Timeout)
		time.Sleep(time.Second)
		succeeded(t, within(f, 2*time.Millisecond)[0], s)
		if n := o.Calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
	// A cluster that hangs is down all the same.
	synctest.Test(t, func(t *testing.T) {
		counted := &recorder{}
		f, _ := fleetOf(t, Options{Recorder: counted}, takes(time.Hour, nil))
		failed(t, within(f, 2*time.Millisecond)[0], connect.Timeout)
		time.Sleep(2 * time.Second)
		if n := counted.failures.Load(); n != 1 {
			t.Errorf("with the impatient alone, %d failures", n)
		}
		failed(t, within(f, 10*time.Second)[0], connect.Timeout)
		failed(t, within(f, time.Second)[0], connect.Timeout)
		failed(t, within(f, 10*time.Second)[0], connect.Timeout)
		if n := counted.failures.Load(); n != 3 {
			t.Errorf("%d failures", n)
		}
	})
	// Who only visits says nothing of how long a snapshot may take.
	synctest.Test(t, func(t *testing.T) {
		counted := &recorder{}
		f, _ := fleetOf(t, Options{Recorder: counted}, takes(time.Hour, nil))
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		failed(t, f.Refresh(ctx)[0], connect.Timeout)
		failed(t, within(f, 5*time.Second)[0], connect.Timeout)
		if n := counted.failures.Load(); n != 2 {
			t.Errorf("%d failures", n)
		}
	})
}

// TestAClusterFailsAlone: whatever one observer does, the others are whole and
// the answer is there in time.
func TestAClusterFailsAlone(t *testing.T) {
	for name, test := range map[string]struct {
		observe observeFunc
		reason  connect.Reason
	}{
		"panics": {func(context.Context, reportFunc) (*connect.Snapshot, error) { panic("password=secret") }, connect.Decode},
		"ends its goroutine": {func(context.Context, reportFunc) (*connect.Snapshot, error) {
			runtime.Goexit()
			return nil, nil
		}, connect.Decode},
		"nothing":   {func(context.Context, reportFunc) (*connect.Snapshot, error) { return nil, nil }, connect.Decode},
		"a refusal": {func(context.Context, reportFunc) (*connect.Snapshot, error) { return nil, connect.Unauthorized }, connect.Unauthorized},
		"no reason": {func(context.Context, reportFunc) (*connect.Snapshot, error) { return nil, errors.New("x") }, connect.Unreachable},
		"both": {func(context.Context, reportFunc) (*connect.Snapshot, error) {
			return collectortest.Small(), connect.TooLarge
		}, connect.TooLarge},
		"late":       {takes(time.Hour, nil), connect.Timeout},
		"twice":      {func(context.Context, reportFunc) (*connect.Snapshot, error) { return twice(), nil }, connect.Decode},
		"tasks":      {func(context.Context, reportFunc) (*connect.Snapshot, error) { return unsortedTasks(), nil }, connect.Decode},
		"no UTF-8":   {func(context.Context, reportFunc) (*connect.Snapshot, error) { return noText(), nil }, connect.Decode},
		"strange":    {func(context.Context, reportFunc) (*connect.Snapshot, error) { return strangeState(), nil }, connect.Decode},
		"a deadline": {func(context.Context, reportFunc) (*connect.Snapshot, error) { return nil, context.DeadlineExceeded }, connect.Timeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := collectortest.Small()
				var logs bytes.Buffer
				bad := &collectortest.Observer{T: t, Do: test.observe}
				f := New([]Cluster{{Name: "good", Observer: collectortest.Constantly(t, s)}, {Name: "orders", Observer: bad}, {Name: "slow", Observer: &collectortest.Observer{T: t, Do: takes(800*time.Millisecond, s)}}},
					Options{Logger: slog.New(slog.NewTextHandler(&logs, nil))})
				defer f.Close()
				start := time.Now()
				results := within(f, time.Second)
				if took := time.Since(start); took >= time.Second {
					t.Errorf("took %v", took)
				}
				succeeded(t, results[0], s)
				failed(t, results[1], test.reason)
				succeeded(t, results[2], s)
				time.Sleep(time.Second)
				synctest.Wait()
				if strings.Contains(logs.String(), "secret") || strings.Contains(results[1].Err.Error(), "secret") {
					t.Errorf("the value of a panic is told: %v, %s", results[1].Err, &logs)
				}
				bad.Do = func(context.Context, reportFunc) (*connect.Snapshot, error) { return s, nil }
				succeeded(t, within(f, time.Second)[1], s)
			})
		})
	}
}

// TestLimits: what has no bounds costs the connector, or its cluster.
func TestLimits(t *testing.T) {
	long := strings.Repeat("x", connect.MaxText+1)
	s := collectortest.Cluster("a:running 0:running", "b:running", "c:running 0:running")
	s.Revision = connect.NewRevision()
	s.Connectors[0].Tasks[0].Worker = long
	s.Connectors[1].Name = "b" + long
	connect.SortConnectors(s.Connectors)
	f, _ := fleetOf(t, Options{}, func(context.Context, reportFunc) (*connect.Snapshot, error) {
		again := *s
		return &again, nil
	})
	for range 3 {
		r := f.Observe(t.Context())[0]
		if r.Err != nil || len(r.Snapshot.Connectors) != 1 || r.Snapshot.Connectors[0].Name != "c" || len(r.Snapshot.Unobserved) != 2 ||
			r.Snapshot.Unobserved[0] != (connect.Unobserved{Connector: "a", Reason: connect.TooLarge}) {
			t.Fatalf("%v, %+v", r.Err, r.Snapshot)
		}
	}
	if len(s.Connectors) != 3 || s.Unobserved != nil {
		t.Error("what the observer returned was changed")
	}
	many := func(connectors, tasks, name int) *connect.Snapshot {
		s := &connect.Snapshot{Connectors: make([]connect.Connector, connectors)}
		shared := make([]connect.Task, tasks)
		for i := range shared {
			shared[i].ID = i
		}
		for i := range s.Connectors {
			s.Connectors[i] = connect.Connector{Name: fmt.Sprintf("%0*d", name, i), Tasks: shared}
		}
		return s
	}
	for name, test := range map[string]struct {
		snapshot *connect.Snapshot
		fits     bool
	}{
		"many small":   {many(10_000, 8, 40), true},
		"far too many": {many(250_000, 1, 40), false},
		"long names":   {many(200, 2_000, 1000), false},
	} {
		if _, err := verify(test.snapshot, nil); (err == nil) != test.fits || err != nil && connect.ReasonOf(err) != connect.TooLarge {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBrokersAreVerified: what is wrong with them costs them, not the rest.
func TestBrokersAreVerified(t *testing.T) {
	for name, b := range map[string]*connect.Brokers{
		"member twice":   {Group: &connect.Group{Members: []connect.Member{{Worker: "w"}, {Worker: "w"}}}},
		"no text":        {Sinks: []connect.Sink{{Connector: "\xff"}}},
		"sources":        {Sources: []connect.Source{{Connector: "b"}, {Connector: "a"}}},
		"far too long":   {Sinks: []connect.Sink{{Connector: strings.Repeat("x", connect.MaxText+1)}}},
		"topic":          {Sources: []connect.Source{{Connector: "b", Topics: []connect.TopicTime{{Topic: "\xff"}}}}},
		"topic of event": {TellsTopics: true, Events: map[string]*connect.Events{"a": {Topics: []string{"\xff"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			f, _ := fleetOf(t, Options{}, func(context.Context, reportFunc) (*connect.Snapshot, error) {
				s := collectortest.Small()
				s.Brokers = b
				return s, err
			})
			b.Errors = map[connect.Reason]int{connect.Timeout: 3}
			r := f.Observe(t.Context())[0]
			if r.Err != nil || connect.ReasonOf(r.Brokers.Err) != connect.Decode || r.Snapshot.Brokers.Err == nil || r.Brokers.Errors[connect.Timeout] != 3 || r.Brokers.Group != nil || r.Brokers.Sinks != nil {
				t.Errorf("%v, %+v", r.Err, r.Brokers)
			}
			err = connect.Unreachable
			if r := f.Observe(t.Context())[0]; r.Err == nil || connect.ReasonOf(r.Brokers.Err) != connect.Decode {
				t.Errorf("%v, %+v", r.Err, r.Brokers)
			}
		})
	}
}

func twice() *connect.Snapshot {
	return &connect.Snapshot{Connectors: []connect.Connector{{Name: "a"}, {Name: "a"}}}
}

func unsortedTasks() *connect.Snapshot {
	return &connect.Snapshot{Connectors: []connect.Connector{{Name: "a", Tasks: []connect.Task{{ID: 1}, {ID: 0}}}}}
}

func noText() *connect.Snapshot {
	return &connect.Snapshot{Connectors: []connect.Connector{{Name: "a", Tasks: []connect.Task{{Worker: "\xff"}}}}}
}

func strangeState() *connect.Snapshot {
	return &connect.Snapshot{Connectors: []connect.Connector{{Name: "a", State: 200}}}
}

// TestAHangingObserver ignores its context: nobody waits for it beyond his
// time, and without another it is not called again before it returns.
func TestAHangingObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, release := collectortest.Small(), make(chan struct{})
		hanging := &collectortest.Observer{T: t, Do: func(context.Context, reportFunc) (*connect.Snapshot, error) {
			<-release
			return s, nil
		}}
		f := New([]Cluster{{Name: "good", Observer: collectortest.Constantly(t, s)}, {Name: "orders", Observer: hanging}}, Options{})
		for i := range 3 {
			start := time.Now()
			results := within(f, 5*time.Second)
			succeeded(t, results[0], s)
			failed(t, results[1], connect.Timeout)
			most := 5 * time.Second
			if i > 0 {
				most = endPatience + time.Millisecond
			}
			if took := time.Since(start); took >= most {
				t.Errorf("scrape %d took %v", i, took)
			}
		}
		if n := hanging.Calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
		close(release)
		synctest.Wait()
		succeeded(t, within(f, 5*time.Second)[1], s)

		// Closing does not wait for ever either; the observer is closed after
		// its call.
		release = make(chan struct{})
		failed(t, within(f, time.Second)[1], connect.Timeout)
		start := time.Now()
		f.Close()
		if took := time.Since(start); took != endPatience {
			t.Errorf("closing took %v", took)
		}
		if n := hanging.Closed.Load(); n != 0 {
			t.Error("closed while it was called")
		}
		close(release)
		synctest.Wait()
		if n := hanging.Closed.Load(); n != 1 {
			t.Errorf("closed %d times", n)
		}
	})
}

// TestWhatHangsIsLeftBehind: a call that never returns costs its cluster one
// snapshot; the next is taken by another observer.
func TestWhatHangsIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, release := collectortest.Small(), make(chan struct{})
		hangs := func() *collectortest.Observer {
			return &collectortest.Observer{T: t, Do: func(context.Context, reportFunc) (*connect.Snapshot, error) {
				<-release
				return s, nil
			}}
		}
		first := hangs()
		made := []*collectortest.Observer{first}
		next := func() (connect.Observer, error) { return collectortest.Constantly(t, s), nil }
		f := New([]Cluster{{Name: "orders", Observer: first, Renew: func() (connect.Observer, error) {
			o, err := next()
			if o, ok := o.(*collectortest.Observer); ok {
				made = append(made, o)
			}
			return o, err
		}}}, Options{})
		failed(t, within(f, 5*time.Second)[0], connect.Timeout)
		// Several come at once.
		var callers sync.WaitGroup
		for range 5 {
			callers.Go(func() { succeeded(t, within(f, 5*time.Second)[0], s) })
		}
		callers.Wait()
		if len(made) != 2 || first.Calls.Load() != 1 || first.Closed.Load() != 0 {
			t.Fatalf("%d observers, the first was called %d times", len(made), first.Calls.Load())
		}
		// What is made cannot be made, or hangs while it is: the same.
		synctest.Wait()
		made[1].Do = first.Do
		failed(t, within(f, 5*time.Second)[0], connect.Timeout)
		time.Sleep(time.Minute)
		synctest.Wait()
		next = func() (connect.Observer, error) { return nil, connect.Unauthorized }
		failed(t, within(f, 5*time.Second)[0], connect.Unauthorized)
		next = func() (connect.Observer, error) { <-release; return collectortest.Constantly(t, s), nil }
		failed(t, within(f, 5*time.Second)[0], connect.Timeout)
		time.Sleep(time.Minute)
		synctest.Wait()
		next = func() (connect.Observer, error) { return hangs(), nil }
		// It hangs always: that is bounded, and goes on now and then.
		for range 3 * fewHung {
			failed(t, within(f, 5*time.Second)[0], connect.Timeout)
			time.Sleep(10 * time.Second)
		}
		synctest.Wait()
		few := len(made)
		if few != 2+fewHung-2 {
			t.Errorf("%d observers were made", few)
		}
		for day := range 30 {
			time.Sleep(24 * time.Hour)
			synctest.Wait()
			failed(t, within(f, 5*time.Second)[0], connect.Timeout)
			if got := len(made) - few; got != day+1 {
				t.Errorf("%d more observers were made in %d days that it was asked once a day", got, day+1)
			}
		}
		time.Sleep(maxHungInterval)
		synctest.Wait()
		next = func() (connect.Observer, error) { return collectortest.Constantly(t, s), nil }
		succeeded(t, within(f, 5*time.Second)[0], s)
		// What returns in the end says nothing any more, and is closed.
		before := f.Last()[0]
		close(release)
		synctest.Wait()
		if after := f.Last()[0]; after.At != before.At {
			t.Error("a call that was left behind counts")
		}
		f.Close()
		for i, o := range made {
			if o.Closed.Load() != 1 {
				t.Errorf("observer %d was closed %d times", i, o.Closed.Load())
			}
		}
	})
}

// TestHungCallsAreBounded: calls of all clusters together, and what returns in the
// end makes room.
func TestHungCallsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, release := collectortest.Small(), make(chan struct{})
		observer := func() (connect.Observer, error) {
			return &collectortest.Observer{T: t, Do: func(context.Context, reportFunc) (*connect.Snapshot, error) {
				<-release
				return s, nil
			}}, nil
		}
		first, _ := observer()
		f := New([]Cluster{{Name: "orders", Observer: first, Renew: observer}}, Options{})
		f.hung.Store(mostHung - 1)
		for range 3 {
			failed(t, within(f, 5*time.Second)[0], connect.Timeout)
			time.Sleep(time.Minute)
		}
		if n := f.hung.Load(); n != mostHung {
			t.Errorf("%d calls are left behind", n)
		}
		close(release)
		synctest.Wait()
		if n := f.hung.Load(); n != mostHung-1 {
			t.Errorf("%d calls are left behind", n)
		}
		succeeded(t, within(f, 5*time.Second)[0], s)
		f.Close()
	})
}

// TestLeftBehindCountsNothing: neither does a call that nobody waited for any more
// and that returned when another observer had long been asked.
func TestLeftBehindCountsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, fresh, release := collectortest.Small(), collectortest.Small(), make(chan struct{})
		counted := &recorder{}
		first := &collectortest.Observer{T: t, Do: func(context.Context, reportFunc) (*connect.Snapshot, error) {
			<-release
			return old, nil
		}}
		f := New([]Cluster{{Name: "orders", Observer: first, Renew: func() (connect.Observer, error) {
			return collectortest.Constantly(t, fresh), nil
		}}}, Options{Recorder: counted})
		defer f.Close()
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Second, cancel)
		f.Observe(ctx) // He goes.
		succeeded(t, within(f, 5*time.Second)[0], fresh)
		close(release)
		synctest.Wait()
		succeeded(t, f.Last()[0], fresh)
		if n := counted.successes.Load(); n != 1 {
			t.Errorf("%d successes are counted", n)
		}
	})
}

// TestRemovedCountsNothing: how a snapshot ends of a cluster that was removed
// meanwhile is told to who waited, and nobody else.
func TestRemovedCountsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logs bytes.Buffer
		counted := &recorder{}
		f, _ := fleetOf(t, Options{Recorder: counted, Logger: slog.New(slog.NewTextHandler(&logs, nil))}, func(context.Context, reportFunc) (*connect.Snapshot, error) {
			time.Sleep(time.Second)
			return nil, connect.Unreachable
		})
		var caller sync.WaitGroup
		caller.Go(func() { failed(t, within(f, 5*time.Second)[0], connect.Unreachable) })
		synctest.Wait()
		f.Replace(nil)
		caller.Wait()
		if counted.failures.Load() != 0 || logs.Len() > 0 {
			t.Errorf("%d failures are counted, logged %s", counted.failures.Load(), &logs)
		}
	})
}

// TestClosingMayHang: an observer that does not close holds up neither a reload
// nor the end.
func TestClosingMayHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		f := New([]Cluster{{Name: "orders", Observer: closing{collectortest.Constantly(t, collectortest.Small()), release}}, {Name: "others", Observer: closing{collectortest.Constantly(t, collectortest.Small()), release}}}, Options{})
		start := time.Now()
		f.Replace([]Cluster{f.list("others")[0].Cluster})
		if took := time.Since(start); took != 0 {
			t.Errorf("replacing took %v", took)
		}
		f.Close()
		if took := time.Since(start); took > endPatience {
			t.Errorf("closing took %v", took)
		}
	})
}

// closing is an observer whose Close waits.
type closing struct {
	*collectortest.Observer
	release chan struct{}
}

func (c closing) Close() { <-c.release }

func TestObserveWithoutADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := fleetOf(t, Options{Timeout: 3 * time.Second}, takes(time.Hour, nil))
		start := time.Now()
		failed(t, f.Observe(context.Background())[0], connect.Timeout)
		if took := time.Since(start); took >= 3*time.Second || took < 2*time.Second {
			t.Errorf("took %v", took)
		}
		expired, cancel := context.WithTimeout(context.Background(), -time.Second)
		defer cancel()
		failed(t, f.Observe(expired)[0], connect.Timeout)
	})
}

func TestObserveSome(t *testing.T) {
	s := collectortest.Small()
	f := New([]Cluster{{Name: "b", Observer: collectortest.Constantly(t, s)}, {Name: "a", Observer: collectortest.Constantly(t, s)}, {Name: "c", Observer: collectortest.Constantly(t, s)}}, Options{})
	defer f.Close()
	var names []string
	for _, v := range f.Observe(context.Background(), "c", "b", "no such cluster") {
		names = append(names, v.Cluster)
	}
	if want := []string{"b", "c"}; !reflect.DeepEqual(names, want) {
		t.Errorf("results of %q, not %q", names, want)
	}
	if want := []string{"b", "a", "c"}; !reflect.DeepEqual(f.Names(), want) {
		t.Errorf("names are %q, not %q", f.Names(), want)
	}
	if last := f.Last(); last[1].Snapshot != nil || last[0].Snapshot != s || !last[1].At.IsZero() || last[1].Cluster != "a" {
		t.Errorf("last results are %+v", last)
	}
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, o := fleetOf(t, Options{}, takes(time.Hour, nil))
		var caller sync.WaitGroup
		caller.Go(func() {
			if results := within(f, time.Minute); len(results) != 0 {
				t.Errorf("that the exporter ends is told of the cluster: %+v", results)
			}
		})
		synctest.Wait()
		f.Close()
		f.Close()
		caller.Wait()
		if n := o.Closed.Load(); n != 1 {
			t.Errorf("closed %d times", n)
		}
		if results := within(f, time.Minute); len(results) != 0 || o.Calls.Load() != 1 {
			t.Errorf("a closed fleet asks again: %v", results)
		}
	})
}

// TestReplace: what is under way ends and counts, whatever is replaced meanwhile.
func TestReplace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, other := collectortest.Small(), collectortest.Small()
		stays, goes, comes := collectortest.Constantly(t, s), &collectortest.Observer{T: t, Do: takes(3*time.Second, s)}, collectortest.Constantly(t, other)
		f := New([]Cluster{{Name: "orders", Observer: goes}, {Name: "stays", Observer: stays}}, Options{SnapshotMaxAge: time.Hour})
		defer f.Close()
		var caller sync.WaitGroup
		caller.Go(func() {
			results := within(f, time.Minute)
			succeeded(t, results[0], s)
			succeeded(t, results[1], s)
		})
		synctest.Wait()
		f.Replace([]Cluster{{Name: "stays", Observer: stays}, {Name: "orders", Observer: comes}})
		if goes.Closed.Load() != 0 {
			t.Error("closed while somebody waits for it")
		}
		results := within(f, time.Minute)
		succeeded(t, results[0], s)
		succeeded(t, results[1], other)
		caller.Wait()
		synctest.Wait()
		if goes.Closed.Load() != 1 || stays.Closed.Load() != 0 {
			t.Errorf("closed: %d that goes, %d that stays", goes.Closed.Load(), stays.Closed.Load())
		}
		if stays.Calls.Load() != 1 || comes.Calls.Load() != 1 {
			t.Errorf("what was known of the cluster that stays is gone")
		}
		succeeded(t, f.Last()[1], other)
	})
	// Nobody waits any more: it is cancelled.
	synctest.Test(t, func(t *testing.T) {
		goes := &collectortest.Observer{T: t, Do: takes(time.Hour, nil)}
		f := New([]Cluster{{Name: "orders", Observer: goes}}, Options{})
		defer f.Close()
		var caller sync.WaitGroup
		caller.Go(func() { failed(t, within(f, 3*time.Second)[0], connect.Timeout) })
		synctest.Wait()
		f.Replace(nil)
		if results := within(f, time.Second); len(results) != 0 {
			t.Errorf("a cluster that was removed is told of: %+v", results)
		}
		caller.Wait()
		synctest.Wait()
		if goes.Closed.Load() != 1 {
			t.Errorf("closed %d times", goes.Closed.Load())
		}
	})
}

// TestReloadsDuringScrapes: no reload shows an outage that was none, whatever it
// changes and whenever it comes.
func TestReloadsDuringScrapes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := collectortest.Small()
		observer := func() connect.Observer { return &collectortest.Observer{T: t, Do: takes(70*time.Millisecond, s)} }
		f := New([]Cluster{{Name: "a", Observer: observer()}, {Name: "b", Observer: observer()}}, Options{})
		defer f.Close()
		stop := make(chan struct{})
		var scrapers sync.WaitGroup
		for i := range 4 {
			scrapers.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(time.Duration(3+i) * time.Millisecond):
					}
					for _, r := range within(f, 10*time.Second) {
						if r.Err != nil {
							t.Errorf("%s: %v", r.Cluster, r.Err)
						}
					}
				}
			})
		}
		for i := range 400 {
			time.Sleep(time.Duration(i%13) * time.Millisecond)
			clusters := []Cluster{{Name: "a", Observer: observer()}, {Name: fmt.Sprint("b", i%3), Observer: observer()}}
			f.Replace(clusters[:1+i%2])
		}
		close(stop)
		scrapers.Wait()
	})
}

// TestSuccessorsGoOn: other settings of a cluster do not make it another cluster.
func TestSuccessorsGoOn(t *testing.T) {
	now := collectortest.Cluster("a:running")
	f := New([]Cluster{{Name: "orders", Provider: connect.SelfManaged, Observer: collectortest.Constantly(t, now)}}, Options{})
	defer f.Close()
	f.Observe(t.Context())
	f.Replace([]Cluster{{Name: "orders", Provider: connect.SelfManaged, Observer: collectortest.Constantly(t, collectortest.Cluster("a:failed"))}})
	if r := f.Observe(t.Context())[0]; r.Pasts()[0].StateChanges != 1 {
		t.Errorf("%d changes", r.Pasts()[0].StateChanges)
	}
	f.Replace([]Cluster{{Name: "orders", Provider: connect.MSK, Observer: collectortest.Constantly(t, now)}})
	if r := f.Observe(t.Context())[0]; r.Pasts()[0].StateChanges != 0 {
		t.Error("another provider's cluster goes on")
	}
}

// TestHealthIsLogged: a change is one line, a repetition none.
func TestHealthIsLogged(t *testing.T) {
	var logs bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == "time" || a.Key == "took" {
			return slog.Attr{}
		}
		return a
	}}))
	var err error
	f, _ := fleetOf(t, Options{Logger: logger}, func(context.Context, reportFunc) (*connect.Snapshot, error) {
		if err != nil {
			return nil, err
		}
		return collectortest.Small(), nil
	})
	for _, err = range []error{nil, nil, connect.Forbidden, connect.Forbidden, connect.Timeout, nil, nil} {
		f.Observe(t.Context())
	}
	want := `level=INFO msg="cluster is observed" cluster=orders version=4.3.1 observation_version=1 connectors=2
level=WARN msg="cluster cannot be observed" cluster=orders err="observe orders: forbidden"
level=INFO msg="cluster is observed again" cluster=orders connectors=2
`
	if logs.String() != want {
		t.Errorf("logged\n%snot\n%s", &logs, want)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	f, _ := fleetOf(t, Options{}, func(_ context.Context, report reportFunc) (*connect.Snapshot, error) {
		var callers sync.WaitGroup
		for range 3 {
			callers.Go(func() {
				for range series.MaxRequests {
					report(connect.Request{Endpoint: "status"})
				}
			})
		}
		callers.Wait()
		return collectortest.Small(), nil
	})
	if n := len(f.Observe(t.Context())[0].Requests); n != series.MaxRequests {
		t.Errorf("%d requests are listed", n)
	}
}

// TestResultsTellTheirDeadline: each caller is told how long a snapshot may take
// for him, whoever else asks, and whether or not it used the time.
func TestResultsTellTheirDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := fleetOf(t, Options{SnapshotMaxAge: 2 * time.Second}, takes(time.Second, collectortest.Small()))
		deadline := func(want time.Duration, results []series.Result) {
			t.Helper()
			if got := results[0].Deadline; got != want {
				t.Errorf("the deadline is %v, not %v", got, want)
			}
		}
		deadline(0, f.Last())
		deadline(9900*time.Millisecond, within(f, 10*time.Second))
		deadline(19900*time.Millisecond, within(f, 20*time.Second)) // It is given again.
		time.Sleep(3 * time.Second)
		var callers sync.WaitGroup
		callers.Go(func() { deadline(29900*time.Millisecond, within(f, 30*time.Second)) })
		synctest.Wait()
		deadline(4900*time.Millisecond, within(f, 5*time.Second)) // It joins.
		deadline(450*time.Millisecond, within(f, 500*time.Millisecond))
		callers.Wait()
	})
}

// TestFlightContext: what derives from it ends with it, by the end that it has at
// last.
func TestFlightContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		after := func(d time.Duration) time.Time { return start.Add(d) }
		parent, cancel := context.WithCancel(context.Background())
		defer cancel()
		c := newFlightContext(parent, after(time.Second), after(3*time.Second))
		derived, stop := context.WithTimeout(c, 20*time.Second)
		defer stop()
		if deadline, ok := derived.Deadline(); !ok || deadline != after(3*time.Second) {
			t.Errorf("the deadline to plan with is %v", deadline.Sub(start))
		}
		c.extend(after(5 * time.Second))
		c.extend(after(2 * time.Second))
		<-derived.Done()
		if took := time.Since(start); took != 5*time.Second || derived.Err() == nil || !errors.Is(context.Cause(derived), context.DeadlineExceeded) {
			t.Errorf("ended after %v: %v", took, derived.Err())
		}
		c.cancel()
		if !errors.Is(c.Err(), context.DeadlineExceeded) {
			t.Errorf("it ended twice: %v", c.Err())
		}
		late, stop := context.WithCancel(c)
		defer stop()
		<-late.Done()

		c = newFlightContext(parent, after(time.Hour), after(time.Hour))
		called := make(chan struct{})
		context.AfterFunc(c, func() { close(called) })
		undo := context.AfterFunc(c, func() { t.Error("called though it was stopped") })
		if !undo() || undo() {
			t.Error("stopping does not tell what it did")
		}
		cancel()
		<-called
		if !errors.Is(c.Err(), context.Canceled) {
			t.Errorf("its parent ended, it did with %v", c.Err())
		}
	})
}

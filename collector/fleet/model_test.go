package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/internal/collectortest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// A visit is one caller: when he comes, how long he waits, and whether he goes
// before.
type visit struct {
	at, patience, goes time.Duration
	got                []series.Result
	took               time.Duration
}

// A scene is what happens to one cluster.
type scene struct {
	takes    time.Duration   // to answer
	ignores  []bool          // whether a call ignores that it is cancelled, by number
	maxAge   time.Duration   // of results
	visits   []*visit        // sorted by time
	replaced []time.Duration // when other settings are taken over
}

func drawScene(r *rapid.T) *scene {
	milliseconds := func(from, to int, name string) time.Duration {
		return time.Duration(rapid.IntRange(from, to).Draw(r, name)) * time.Millisecond
	}
	s := &scene{
		takes:  milliseconds(1, 5000, "takes"),
		maxAge: time.Duration(rapid.IntRange(0, 2).Draw(r, "max age")) * time.Second,
	}
	for range rapid.IntRange(0, 3).Draw(r, "calls") {
		s.ignores = append(s.ignores, rapid.IntRange(0, 3).Draw(r, "ignores") == 0)
	}
	for range rapid.IntRange(1, 12).Draw(r, "visits") {
		v := &visit{at: milliseconds(0, 20_000, "at"), patience: milliseconds(1, 15_000, "patience")}
		if rapid.IntRange(0, 4).Draw(r, "goes") == 0 {
			v.goes = milliseconds(0, 3000, "goes after")
		}
		s.visits = append(s.visits, v)
	}
	for range rapid.IntRange(0, 2).Draw(r, "replaced") {
		s.replaced = append(s.replaced, milliseconds(0, 20_000, "replaced at"))
	}
	slices.SortFunc(s.visits, func(a, b *visit) int { return int(a.at - b.at) })
	return s
}

// play lets everything happen, and returns how many calls there were and what was
// recorded.
func (s *scene) play(t *testing.T) (calls int, counted *recorder) {
	counted = &recorder{}
	synctest.Test(t, func(t *testing.T) {
		snapshot := collectortest.Small()
		var mu sync.Mutex
		var made []*collectortest.Observer
		observer := func() (connect.Observer, error) {
			o := &collectortest.Observer{T: t, Do: func(ctx context.Context, _ reportFunc) (*connect.Snapshot, error) {
				mu.Lock()
				ignores := calls < len(s.ignores) && s.ignores[calls]
				calls++
				mu.Unlock()
				if ignores {
					time.Sleep(s.takes + 10*time.Second)
					return snapshot, nil
				}
				return takes(s.takes, snapshot)(ctx, nil)
			}}
			mu.Lock()
			defer mu.Unlock()
			made = append(made, o)
			return o, nil
		}
		cluster := func() Cluster {
			o, _ := observer()
			return Cluster{Name: "orders", Observer: o, Renew: observer}
		}
		f := New([]Cluster{cluster()}, Options{SnapshotMaxAge: s.maxAge, Recorder: counted})
		var wait sync.WaitGroup
		for _, v := range s.visits {
			wait.Go(func() {
				time.Sleep(v.at)
				ctx, cancel := context.WithTimeout(context.Background(), v.patience)
				defer cancel()
				if v.goes > 0 {
					time.AfterFunc(v.goes, cancel)
				}
				start := time.Now()
				v.got, v.took = f.Observe(ctx), time.Since(start)
			})
		}
		for _, at := range s.replaced {
			wait.Go(func() {
				time.Sleep(at)
				f.Replace([]Cluster{cluster()})
			})
		}
		wait.Wait()
		time.Sleep(leastBudget) // What was begun for somebody in a hurry ends.
		f.Close()
		time.Sleep(time.Minute) // Until what was left behind has returned.
		synctest.Wait()
		for i, o := range made {
			if o.Closed.Load() != 1 {
				t.Errorf("observer %d was closed %d times", i, o.Closed.Load())
			}
		}
	})
	return calls, counted
}

// flights is the reference: which calls there are, and who gets what, if every
// call answers after the same time, nobody goes and nothing is replaced.
func (s *scene) flights() (calls int, succeeds []bool) {
	type flight struct{ start, end time.Duration }
	var last flight
	for i, v := range s.visits {
		stays := v.patience - min(maxGrace, v.patience/10)/4
		switch {
		case i > 0 && v.at < last.end: // He joins.
		case i > 0 && v.at-last.end < s.maxAge: // It is given again.
		default:
			calls++
			last = flight{v.at, v.at + s.takes}
		}
		succeeds = append(succeeds, last.end < v.at+stays)
	}
	return calls, succeeds
}

// TestModel plays scenes that nobody thought of.
func TestModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := drawScene(r)
		calls, counted := s.play(t)
		if calls > len(s.visits)*2 {
			r.Errorf("%d calls for %d visits", calls, len(s.visits))
		}
		wellBehaved := !slices.Contains(s.ignores, true)
		for i, v := range s.visits {
			who := fmt.Sprintf("visit %d at %v for %v", i, v.at, v.patience)
			if v.took > v.patience || v.goes > 0 && v.took > max(v.goes, time.Millisecond) {
				r.Errorf("%s took %v", who, v.took)
			}
			if len(v.got) != 1 {
				r.Fatalf("%s got %d results", who, len(v.got))
			}
			result := &v.got[0]
			if (result.Err == nil) == (result.Snapshot == nil) {
				r.Errorf("%s got %v and a snapshot: %v", who, result.Err, result.Snapshot != nil)
			}
			if result.Err != nil && !errors.Is(result.Err, connect.Timeout) && connect.ReasonOf(result.Err) != connect.Timeout {
				r.Errorf("%s failed for another reason than time: %v", who, result.Err)
			}
			// Whoever else came or went: who waits long enough for one to be over
			// and another to be taken is served.
			if wellBehaved && v.goes == 0 && v.patience > 2*s.takes+time.Second && result.Err != nil {
				r.Errorf("%s of a cluster that answers in %v failed: %v", who, s.takes, result.Err)
			}
		}
		if wellBehaved && s.takes < leastBudget && counted.failures.Load() > 0 {
			r.Errorf("%d failures of a cluster that answers in %v", counted.failures.Load(), s.takes)
		}
	})
}

// TestReference compares with what is easily told: a cluster that is always well,
// and callers who stay and have time.
func TestReference(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := drawScene(r)
		s.ignores, s.replaced = nil, nil
		s.takes = min(s.takes, 300*time.Millisecond)
		at := map[time.Duration]bool{}
		s.visits = slices.DeleteFunc(s.visits, func(v *visit) bool {
			v.goes = 0
			// No two things at the same moment, which would be a matter of luck.
			v.at = v.at.Truncate(10*time.Millisecond) + time.Millisecond
			defer func() { at[v.at] = true }()
			return at[v.at]
		})
		s.takes = s.takes.Truncate(10*time.Millisecond) + 5*time.Millisecond + 7*time.Microsecond
		wantCalls, succeeds := s.flights()
		calls, counted := s.play(t)
		if calls != wantCalls || int(counted.successes.Load()) != wantCalls || counted.failures.Load() != 0 {
			r.Errorf("%d calls, %d successes and %d failures, not %d calls", calls, counted.successes.Load(), counted.failures.Load(), wantCalls)
		}
		for i, v := range s.visits {
			if got := v.got[0].Err == nil; got != succeeds[i] {
				r.Errorf("visit %d at %v for %v: success %v, not %v: %v", i, v.at, v.patience, got, succeeds[i], v.got[0].Err)
			}
		}
	})
}

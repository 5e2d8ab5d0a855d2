// Package beside asks for what a snapshot can do without, such as a worker's
// version, while snapshots go on: whatever hangs costs them nothing.
package beside

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

const (
	// Stall is how long a snapshot waits for an ask that makes no progress.
	Stall = time.Second
	// minPause and maxPause bound the time between asks that fail.
	minPause = 5 * time.Second
	maxPause = 5 * time.Minute
)

// An Ask is one thing that is asked for again and again, by one goroutine at a
// time that may outlive the snapshot that began it. One that was too slow for a
// snapshot is not waited for again until it is fast, and one that fails is asked
// ever more seldom. Its methods are called by one goroutine only. The zero Ask is
// due.
type Ask struct {
	// ended is closed when the ask under way has ended; nil: none is. What follows
	// is set before.
	ended chan struct{}
	apply func()
	good  time.Duration
	err   error
	took  time.Duration

	due    time.Time
	failed int
	// slow is how long a snapshot waited in vain for the last that was waited for;
	// 0: it did not.
	slow time.Duration
}

// Due tells whether it may be started: none is under way, and it is time.
func (a *Ask) Due(now time.Time) bool { return a.ended == nil && !now.Before(a.due) }

// Reset makes it due, or due again when what is under way has ended.
func (a *Ask) Reset() { a.due, a.failed = time.Time{}, 0 }

// Postpone makes it due then and not before.
func (a *Ask) Postpone(until time.Time) { a.due = until }

// Start runs run in a goroutine of its own. What it returns is taken in by
// Collect: apply, if not nil, is called there, whether it failed or not; good is
// how long the result will do before it is due again.
func (a *Ask) Start(ctx context.Context, run func(context.Context) (apply func(), good time.Duration, err error)) {
	ended, began := make(chan struct{}), time.Now()
	a.ended = ended
	go func() {
		defer close(ended)
		defer func() {
			if panicked := recover(); panicked != nil {
				// The value may quote what was answered: only its type is told.
				a.apply, a.err = nil, fmt.Errorf("%w: it panicked with a %T", connect.Decode, panicked)
			}
			a.took = time.Since(began)
		}()
		a.apply, a.good, a.err = run(ctx)
	}()
}

// Collect takes in what has ended by now, and tells whether anything has.
func (a *Ask) Collect(now time.Time) bool {
	if a.ended == nil {
		return false
	}
	select {
	case <-a.ended:
	default:
		return false
	}
	a.ended = nil
	if a.err == nil {
		a.failed, a.due = 0, now.Add(a.good)
		if a.took <= a.slow {
			a.slow = 0
		}
	} else {
		a.failed++
		pause := Pause(a.failed)
		if errors.Is(a.err, connect.Timeout) {
			pause = Pause(a.failed + 1)
		}
		a.due = now.Add(pause)
	}
	if a.apply != nil {
		a.apply()
		a.apply = nil
	}
	return true
}

// Wait waits until what is under way has ended, for as long as limit and as
// something is sent on progress at least every stall. It does not where it had to
// wait in vain before.
func (a *Ask) Wait(ctx context.Context, stall, limit time.Duration, progress <-chan struct{}) {
	if a.ended == nil || a.slow > 0 {
		return
	}
	all, stalled := time.NewTimer(limit), time.NewTimer(stall)
	defer all.Stop()
	defer stalled.Stop()
	for {
		select {
		case <-a.ended:
			return
		case <-progress:
			stalled.Reset(stall)
			continue
		case <-stalled.C:
		case <-all.C:
		case <-ctx.Done():
		}
		a.slow = stall
		return
	}
}

// Pause is how long to leave alone what has failed so many times in a row: the
// first time not at all.
func Pause(failed int) time.Duration {
	if failed <= 1 {
		return 0
	}
	return min(minPause<<min(failed-2, 10), maxPause)
}

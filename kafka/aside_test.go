package kafka

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// What is small is read in each snapshot; what is large is waited for once, then
// read beside them, for a fiftieth of the time.
func TestAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &aside[int]{}
		var reads atomic.Int32
		read := func(took time.Duration) func(context.Context) int {
			return func(ctx context.Context) int {
				n := int(reads.Add(1))
				select {
				case <-time.After(took):
				case <-ctx.Done():
				}
				return n
			}
		}
		get := func(small bool, took time.Duration) int {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			got := a.get(ctx, 5*time.Second, small, read(took))
			synctest.Wait() // What was started has begun.
			return got
		}
		if got := get(true, time.Millisecond); got != 1 {
			t.Errorf("small: %d", got)
		}
		if got := get(true, time.Millisecond); got != 2 {
			t.Errorf("small, again: %d", got)
		}
		// It has grown: what is known is given at once.
		if got := get(false, 100*time.Millisecond); got != 2 {
			t.Errorf("large: %d", got)
		}
		if got := get(false, 100*time.Millisecond); got != 2 || reads.Load() != 2 {
			t.Errorf("before it is read: %d after %d reads", got, reads.Load())
		}
		time.Sleep(asideDelay + time.Millisecond)
		if got := get(false, 100*time.Millisecond); got != 2 || reads.Load() != 3 {
			t.Errorf("while it is read: %d after %d reads", got, reads.Load())
		}
		time.Sleep(200 * time.Millisecond)
		if got := get(false, 100*time.Millisecond); got != 3 || reads.Load() != 3 {
			t.Errorf("too soon for another: %d after %d reads", got, reads.Load())
		}
		time.Sleep(5 * time.Second)
		if got := get(false, time.Hour); got != 3 {
			t.Errorf("later: %d", got)
		}
		time.Sleep(asideDelay + time.Millisecond)
		if reads.Load() != 4 {
			t.Errorf("%d reads", reads.Load())
		}
		// One that hangs ends by its limit.
		time.Sleep(6 * time.Second)
		if got := get(true, 0); got != 5 {
			t.Errorf("small after all: %d", got)
		}

		// The first of a large one is waited for, as long as the snapshot has.
		b := &aside[int]{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got := b.get(ctx, 5*time.Second, false, func(context.Context) int { time.Sleep(time.Millisecond); return 7 }); got != 7 {
			t.Errorf("the first: %d", got)
		}
		late := &aside[int]{}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got := late.get(ctx, 5*time.Second, false, func(context.Context) int { time.Sleep(2 * time.Second); return 7 }); got != 0 {
			t.Errorf("one that is not there in time: %d", got)
		}
		time.Sleep(2 * time.Second)
		if got := late.get(t.Context(), time.Second, false, func(context.Context) int { return 8 }); got != 7 {
			t.Errorf("what was not there in time comes later: %d", got)
		}
		a.close()
		b.close()
		late.close()

		// Closing ends what runs.
		c := &aside[int]{}
		ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		c.get(ctx, time.Hour, false, func(ctx context.Context) int { <-ctx.Done(); return 0 })
		start := time.Now()
		if c.close(); time.Since(start) > 0 {
			t.Error("it was waited for")
		}
	})
}

package fleet

import (
	"sync"
	"time"
)

// longestPeriod is for how long, and at most for twice as long, the time that a
// caller gave counts: some scrape intervals.
const longestPeriod = 3 * time.Minute

// longest is the most time that callers of the last minutes gave. The zero value
// is ready.
type longest struct {
	mu                sync.Mutex
	since             time.Time // when current began
	current, previous time.Duration
}

// note that a caller gives so much time.
func (l *longest) note(budget time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn()
	l.current = max(l.current, budget)
}

// budget is the longest.
func (l *longest) budget() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn()
	return max(l.current, l.previous)
}

// exceeds tells whether others give clearly more time than this.
func (l *longest) exceeds(budget time.Duration) bool { return budget < l.budget()*9/10 }

// turn begins a new period if it is time; l.mu is held.
func (l *longest) turn() {
	switch passed := time.Since(l.since); {
	case passed >= 2*longestPeriod:
		l.current, l.previous, l.since = 0, 0, time.Now()
	case passed >= longestPeriod:
		l.current, l.previous, l.since = 0, l.current, time.Now()
	}
}

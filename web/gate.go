package web

import (
	"errors"
	"math"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// stillness is how long a client must have taken nothing of its answer before
	// a newcomer gets its place, where places are scarce; the more wait the less,
	// down to minStillness: a client on another continent takes the next piece a
	// round trip later, and a machine that is busy writes it later still.
	stillness, minStillness = 500 * time.Millisecond, 300 * time.Millisecond
	// writePatience is how long a client may take for each piece of an answer,
	// and answerPatience for the whole of it, whether places are scarce or not.
	writePatience, answerPatience = 5 * time.Second, time.Minute
	// gatePatience is how long a request waits for a place.
	gatePatience = 5 * time.Second
	// queueFactor times as many as have a place may wait for one.
	queueFactor = 5
	// pieceSize of an answer, in bytes.
	pieceSize = 32 << 10
)

// A gate bounds how many requests do one thing at the same time, and sees to it
// that those who stand still take nothing from the others: where it is full, a
// newcomer gets the place of who has stood still for the longest. Of those that
// wait, the newest is let in first and the oldest of too many is turned away, so
// that a crowd that has come to stay does not shut others out.
type gate struct {
	size int // 0 is any number
	// stillness is how long a pass must have stood still to lose its place.
	stillness time.Duration

	mu      sync.Mutex
	inside  map[*pass]struct{}
	waiting []*pass // the newest last
	timer   *time.Timer
}

func newGate(size int, stillness time.Duration) *gate {
	return &gate{size: size, stillness: stillness, inside: map[*pass]struct{}{}}
}

// A pass is a place inside a gate.
type pass struct {
	gate *gate
	// group is whose place it is: the largest group loses one first.
	group string
	// cut ends what the pass is held for.
	cut func()
	// moved is when it moved last, in nanoseconds since 1970.
	moved atomic.Int64
	lost  atomic.Bool
	turn  chan bool
}

// errBusy is why there was no place.
var errBusy = errors.New("too many requests")

// enter waits for a place, but not for long. The pass does not lose its place
// before it has moved for the first time; when it does, cut is called.
func (g *gate) enter(group string, cut func()) (*pass, error) {
	p := &pass{gate: g, group: group, cut: cut, turn: make(chan bool, 1)}
	p.moved.Store(math.MaxInt64)
	g.mu.Lock()
	g.waiting = append(g.waiting, p)
	g.admit()
	if len(g.waiting) > queueFactor*g.size {
		g.waiting[0].turn <- false
		g.waiting = slices.Delete(g.waiting, 0, 1)
	}
	g.mu.Unlock()

	patience := time.NewTimer(gatePatience)
	defer patience.Stop()
	select {
	case admitted := <-p.turn:
		if !admitted {
			return nil, errBusy
		}
		return p, nil
	case <-patience.C:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.waiting, p); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
		return nil, errBusy
	}
	if !<-p.turn { // It was decided this very moment.
		return nil, errBusy
	}
	return p, nil
}

// admit lets in whom there is a place for; g.mu is held.
func (g *gate) admit() {
	for len(g.waiting) > 0 {
		if g.size > 0 && len(g.inside) >= g.size {
			wait := g.displace()
			if wait > 0 {
				g.later(wait)
				return
			}
		}
		last := len(g.waiting) - 1
		p := g.waiting[last]
		g.waiting = slices.Delete(g.waiting, last, last+1)
		g.inside[p] = struct{}{}
		p.turn <- true
	}
}

// displace takes the place of who has stood still for long enough, or returns
// when to try again; g.mu is held.
func (g *gate) displace() (wait time.Duration) {
	sizes := map[string]int{}
	for p := range g.inside {
		sizes[p.group]++
	}
	var stillest *pass
	for p := range g.inside {
		if stillest == nil || sizes[p.group] > sizes[stillest.group] ||
			sizes[p.group] == sizes[stillest.group] && p.moved.Load() < stillest.moved.Load() {
			stillest = p
		}
	}
	moved := stillest.moved.Load()
	if moved == math.MaxInt64 {
		return max(min(g.stillness, minStillness), time.Millisecond) // It has not begun, or rests.
	}
	still := g.stillness / time.Duration(1+len(g.waiting)/g.size)
	still = max(still, min(g.stillness, minStillness))
	if wait = still - time.Since(time.Unix(0, moved)); wait > 0 {
		return wait
	}
	delete(g.inside, stillest)
	stillest.lost.Store(true)
	stillest.cut()
	return 0
}

// later tries to let somebody in after a while; g.mu is held.
func (g *gate) later(wait time.Duration) {
	if g.timer == nil {
		g.timer = time.AfterFunc(wait, func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.timer = nil
			g.admit()
		})
	}
}

// move says that the pass does not stand still.
func (p *pass) move() { p.moved.Store(time.Now().UnixNano()) }

// rest says that nothing is waited for: until it moves again, its place is safe.
func (p *pass) rest() { p.moved.Store(math.MaxInt64) }

// leave gives the place back.
func (p *pass) leave() {
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	delete(p.gate.inside, p)
	p.gate.admit()
}

// A pacedWriter writes an answer in pieces, each of which the client must take
// in time: who does not read is cut off.
type pacedWriter struct {
	http.ResponseWriter
	controller *http.ResponseController
	pass       *pass
	// end is by when the whole must be taken, zero before the first piece.
	end time.Time
}

var errDisplaced = errors.New("the client took nothing while others waited")

// Write implements [io.Writer].
func (w *pacedWriter) Write(text []byte) (written int, err error) {
	for first := true; first || len(text) > 0; first = false {
		now := time.Now()
		if w.end.IsZero() {
			w.end = now.Add(answerPatience)
		}
		deadline := now.Add(writePatience)
		if w.end.Before(deadline) {
			deadline = w.end
		}
		// A test's recorder has no deadlines.
		_ = w.controller.SetWriteDeadline(deadline)
		if w.pass.lost.Load() { // After the deadline, which cut may have set before.
			return written, errDisplaced
		}
		w.pass.move()
		n, err := w.ResponseWriter.Write(text[:min(len(text), pieceSize)])
		w.pass.rest() // What comes next is made here: the client holds nothing up.
		written += n
		if err != nil {
			return written, err
		}
		text = text[n:]
	}
	return written, nil
}

// Unwrap is for [http.ResponseController].
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// gated calls answer with a writer that cuts off who does not read, once there is
// a place for it.
func (s *server) gated(g *gate, w http.ResponseWriter, answer func(http.ResponseWriter)) {
	paced := &pacedWriter{ResponseWriter: w, controller: http.NewResponseController(w)}
	p, err := g.enter("", func() { _ = paced.controller.SetWriteDeadline(time.Unix(1, 0)) })
	if err != nil {
		busy(w, g)
		return
	}
	defer p.leave()
	paced.pass = p
	answer(paced)
}

// throughGate is gated as a handler.
func (s *server) throughGate(g *gate, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.gated(g, w, func(w http.ResponseWriter) { next(w, r) })
	})
}

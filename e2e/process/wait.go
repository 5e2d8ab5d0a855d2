package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"
)

// Permanent marks an error of a check after which no further try makes sense.
type Permanent struct{ Err error }

func (e *Permanent) Error() string { return e.Err.Error() }

// Unwrap returns the error that is marked.
func (e *Permanent) Unwrap() error { return e.Err }

// Poll calls check every interval until it returns nil or a [Permanent] error.
// When ctx ends, or process (which may be nil) has, the error is the last one
// of check.
func Poll(ctx context.Context, interval time.Duration, process *Process, check func(context.Context) error) error {
	var gone <-chan struct{}
	if process != nil {
		gone = process.Done()
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	last := errors.New("nothing yet")
	for {
		err := check(ctx)
		if err != nil && ctx.Err() == nil {
			last = err // Else it says no more than that ctx has ended.
		}
		var permanent *Permanent
		switch {
		case err == nil:
			return nil
		case errors.As(err, &permanent):
			return permanent.Err
		}
		select {
		case <-ticker.C:
		case <-gone:
			return fmt.Errorf("%s has ended (%s), its log %s ends with:\n%s", process.Name, fmt.Sprint(process.Err()), process.Log, process.Tail(4000))
		case <-ctx.Done():
			return fmt.Errorf("%w; last seen: %w", ctx.Err(), last)
		}
	}
}

// Ports hands out free ports of the loopback address. They lie below the range
// from which the kernel takes ports for outgoing connections, so that none is
// taken between the moment it is handed out and that in which a slowly
// starting program listens on it.
type Ports struct {
	mu         sync.Mutex
	next, last int
}

// NewPorts hands out ports from first to last.
func NewPorts(first, last int) *Ports { return &Ports{next: first, last: last} }

// Next returns a port on which nobody listens.
func (p *Ports) Next() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for ; p.next <= p.last; p.next++ {
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.next)))
		if err != nil {
			continue
		}
		listener.Close()
		p.next++
		return p.next - 1, nil
	}
	return 0, fmt.Errorf("no free port up to %d", p.last)
}

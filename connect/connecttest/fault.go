package connecttest

import (
	"net/http"
	"slices"
)

// A Fault spoils answers: it stands before a worker's handler and may call it or
// not. Faults run without the cluster's lock, so that they may take their time.
type Fault func(worker http.Handler) http.Handler

type setFault struct {
	match Match
	fault Fault
}

// SetFault lets a fault spoil the requests that match, from the next one on,
// until the function that it returns is called or [Cluster.ClearFaults]. Where
// several match, the one that was set last stands before the others.
func (c *Cluster) SetFault(match Match, fault Fault) (clear func()) {
	defer c.lock()()
	set := &setFault{match, fault}
	c.faults = append(c.faults, set)
	return func() {
		defer c.lock()()
		c.faults = slices.DeleteFunc(c.faults, func(f *setFault) bool { return f == set })
	}
}

// ClearFaults takes all faults away. Requests that a fault has got already stay
// its own.
func (c *Cluster) ClearFaults() {
	defer c.lock()()
	c.faults = nil
}

// spoil puts the faults that match before a handler.
func (c *Cluster) spoil(request Match, worker http.Handler) http.Handler {
	defer c.lock()()
	for _, set := range c.faults {
		if set.match.matches(request) {
			worker = set.fault(worker)
		}
	}
	return worker
}

package app

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// maxConnections is how many connections there are at the same time to the public
// addresses, and to those for administrators: enough for two Prometheis that ask
// for a thousand clusters one by one. Each takes memory and a descriptor, which
// the calls to the clusters need too.
const maxConnections = 2048

// connectionsOf so many descriptors: a third for each of both, if that is less, so
// that connections without a request take none from the calls.
func connectionsOf(descriptors uint64) int { return int(min(maxConnections, descriptors/3)) }

// connections bounds how many there are. Beyond that, the one that has been
// without a request for the longest makes room for a new one.
type connections struct {
	limit int

	mu sync.Mutex
	// without a request, and since when; busy are the others.
	without map[net.Conn]time.Time
	busy    map[net.Conn]struct{}
}

func newConnections(limit int) *connections {
	return &connections{limit: limit, without: map[net.Conn]time.Time{}, busy: map[net.Conn]struct{}{}}
}

// changed is the ConnState of a [http.Server].
func (c *connections) changed(connection net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.without, connection)
	delete(c.busy, connection)
	switch state {
	case http.StateNew, http.StateIdle:
		c.without[connection] = time.Now()
	case http.StateActive:
		c.busy[connection] = struct{}{}
	default:
		return
	}
	if len(c.without)+len(c.busy) <= c.limit || len(c.without) == 0 {
		return
	}
	var oldest net.Conn
	for other, since := range c.without {
		if oldest == nil || since.Before(c.without[oldest]) {
			oldest = other
		}
	}
	delete(c.without, oldest)
	if secure, ok := oldest.(interface{ NetConn() net.Conn }); ok {
		oldest = secure.NetConn() // Without a farewell, for which it would wait.
	}
	_ = oldest.Close()
}

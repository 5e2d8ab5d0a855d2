package bench

import (
	"net"
	"net/http"
	"sync"
)

// connections counts how many each server has open at a time.
type connections struct {
	mu   sync.Mutex
	open map[string]int
	most map[string]int
}

// changed is a server's ConnState.
func (c *connections) changed(server string) func(net.Conn, http.ConnState) {
	return func(_ net.Conn, state http.ConnState) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.open == nil {
			c.open = map[string]int{}
		}
		switch state {
		case http.StateNew:
			c.open[server]++
			c.most[server] = max(c.most[server], c.open[server])
		case http.StateClosed, http.StateHijacked:
			c.open[server]--
		}
	}
}

func (c *connections) highest() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	highest := 0
	for _, n := range c.most {
		highest = max(highest, n)
	}
	return highest
}

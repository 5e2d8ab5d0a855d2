package connecttest

import (
	"context"
	"fmt"
	"maps"
	"net/http"
)

// The endpoints of a worker, as [Match] and [Requests] name them.
const (
	EndpointRoot      = "root"       // /
	EndpointHealth    = "health"     // /health
	EndpointList      = "list"       // /connectors
	EndpointExpand    = "expand"     // /connectors?expand=…
	EndpointInfo      = "info"       // /connectors/{connector}
	EndpointStatus    = "status"     // /connectors/{connector}/status
	EndpointPluginDef = "plugin_def" // /connector-plugins/{class}/config
	EndpointOther     = "other"      // any other path, all of which are 404
)

// A Match picks requests; an empty field matches all.
type Match struct {
	// Worker that was asked.
	Worker string
	// Endpoint is one of the constants.
	Endpoint string
	// Connector that the path names, decoded.
	Connector string
	// Method is the HTTP method.
	Method string
}

func (m Match) matches(request Match) bool {
	return (m.Worker == "" || m.Worker == request.Worker) &&
		(m.Endpoint == "" || m.Endpoint == request.Endpoint) &&
		(m.Connector == "" || m.Connector == request.Connector) &&
		(m.Method == "" || m.Method == request.Method)
}

// Requests are what a cluster's workers were asked, up to now.
type Requests struct {
	// Counts by worker, endpoint, connector and method.
	Counts map[Match]int
	// NotGET are the requests that were not GET, in order: "POST /connectors".
	NotGET []string
	// InFlight is how many requests are being answered, MaxInFlight how many
	// were at most.
	InFlight, MaxInFlight int
}

// Count is the number of requests that match.
func (r Requests) Count(match Match) int {
	total := 0
	for request, count := range r.Counts {
		if match.matches(request) {
			total += count
		}
	}
	return total
}

// requests is the record that a cluster keeps, under its mutex.
type requests struct {
	Requests
	arrival chan struct{} // closed when the next request arrives
}

func (r *requests) reset() {
	r.Counts, r.NotGET, r.MaxInFlight = map[Match]int{}, nil, r.InFlight
	if r.arrival == nil {
		r.arrival = make(chan struct{})
	}
}

// Requests returns what the workers were asked since the cluster was made or
// [Cluster.ResetRequests] was called.
func (c *Cluster) Requests() Requests {
	defer c.lock()()
	counted := c.requests.Requests
	counted.Counts = maps.Clone(counted.Counts)
	return counted
}

// ResetRequests begins to count anew.
func (c *Cluster) ResetRequests() {
	defer c.lock()()
	c.requests.reset()
}

// Await returns when count requests that match have arrived since the counting
// began, or with an error when ctx ends.
func (c *Cluster) Await(ctx context.Context, match Match, count int) error {
	for {
		unlock := c.lock()
		have, arrival := c.requests.Count(match), c.requests.arrival
		unlock()
		if have >= count {
			return nil
		}
		select {
		case <-arrival:
		case <-ctx.Done():
			return fmt.Errorf("await %d requests %+v, have %d: %w", count, match, have, ctx.Err())
		}
	}
}

// arrived records a request before anything else happens to it; the function
// that it returns is called when it is answered.
func (c *Cluster) arrived(request Match, r *http.Request) (answered func()) {
	defer c.lock()()
	c.requests.Counts[request]++
	if r.Method != http.MethodGet {
		c.requests.NotGET = append(c.requests.NotGET, r.Method+" "+r.URL.RequestURI())
	}
	c.requests.InFlight++
	c.requests.MaxInFlight = max(c.requests.MaxInFlight, c.requests.InFlight)
	close(c.requests.arrival)
	c.requests.arrival = make(chan struct{})
	return func() {
		defer c.lock()()
		c.requests.InFlight--
	}
}

package app

import (
	"sync"
	"testing"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
)

// Two Prometheus servers, a probe and OTLP push together cost a worker one
// snapshot, whether they come at the same time or one after the other.
func TestOneSnapshotServesAll(t *testing.T) {
	c := cluster("4.3.1")
	receiver := newReceiver(t)
	p := start(t, Options{Sources: fromFile(file(t, `clusters: [{name: orders, urls: [%q]}]
otlp: {endpoint: %q, interval: 1h, compression: none, headers: {X-Key: s3cret}}
snapshot_max_age: 1h
`, worker(t, c, 0), receiver.URL+"/v1/metrics"))})

	// The first two come while the worker is slow to answer.
	release := make(chan struct{})
	clear := c.SetFault(connecttest.Match{Endpoint: connecttest.EndpointExpand}, connecttest.Hang(release))
	var scrapers sync.WaitGroup
	for range 2 {
		scrapers.Go(func() {
			p.scrape("/metrics").want(t, series{`kafka_connect_up{connect_cluster="orders"}`: 1})
		})
	}
	if err := c.Await(t.Context(), connecttest.Match{Endpoint: connecttest.EndpointExpand}, 1); err != nil {
		t.Fatal(err)
	}
	clear()
	close(release)
	scrapers.Wait()
	p.scrape("/probe?cluster=orders").want(t, series{`kafka_connect_up{connect_cluster="orders"}`: 1})
	if err := p.stop(); err != nil { // what the push has to send is sent now
		t.Fatal(err)
	}
	if !receiver.got("kafka.connect.up") {
		t.Error("nothing was pushed")
	}
	// The statuses, and as this is the first snapshot, info beside them.
	if n := c.Requests().Count(connecttest.Match{Endpoint: connecttest.EndpointExpand}); n != 2 {
		t.Errorf("the worker had %d expanded calls, want those of one snapshot", n)
	}
}

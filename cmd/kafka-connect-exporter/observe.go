package main

import (
	"context"
	"fmt"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/fleet"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// result is what a snapshot of one cluster brought, or why there is none.
type result struct {
	cluster  string
	provider connect.Provider
	snapshot *connect.Snapshot
	// brokers are what these told, also where there is no snapshot; nil where
	// they were not asked.
	brokers *connect.Brokers
	err     error
	took    time.Duration
}

// endPatience is how long observers may take to notice that the time is over.
const endPatience = time.Second

// observe takes a snapshot of every cluster at the same time and returns the
// results in configured order. It returns a second after ctx ends at the latest,
// whatever an observer does.
func observe(ctx context.Context, clusters []fleet.Cluster) []result {
	start := time.Now()
	results := make([]result, len(clusters))
	type indexed struct {
		result
		index int
	}
	returned := make(chan indexed, len(clusters))
	for i, cluster := range clusters {
		results[i] = result{cluster: cluster.Name, provider: cluster.Provider, err: fmt.Errorf("%w: no answer", connect.Timeout)}
		go func() {
			snapshot, err := cluster.Observer.Observe(ctx, nil)
			r := result{cluster: cluster.Name, provider: cluster.Provider, err: err, took: time.Since(start)}
			if snapshot != nil {
				r.brokers = snapshot.Brokers
			}
			if err == nil {
				r.snapshot = snapshot
			}
			returned <- indexed{r, i}
		}()
	}
	late := make(chan struct{})
	defer context.AfterFunc(ctx, func() {
		time.AfterFunc(endPatience, func() { close(late) })
	})()
	for range clusters {
		select {
		case r := <-returned:
			results[r.index] = r.result
		case <-late:
			for i := range results {
				if results[i].took == 0 {
					results[i].took = time.Since(start)
				}
			}
			return results
		}
	}
	return results
}

// closeAll releases what the observers hold.
func closeAll(clusters []fleet.Cluster) {
	for _, cluster := range clusters {
		cluster.Observer.Close()
	}
}

package main

import (
	"context"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/fleet"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// look is what one look at a cluster brought: a snapshot or an error.
type look struct {
	cluster  string
	provider connect.Provider
	snapshot *connect.Snapshot
	err      error
	took     time.Duration
}

// lookAt looks at every cluster at the same time and returns the looks in
// configured order.
func lookAt(ctx context.Context, clusters []fleet.Cluster) []look {
	looks := make([]look, len(clusters))
	var group sync.WaitGroup
	for i, cluster := range clusters {
		group.Go(func() {
			start := time.Now()
			snapshot, err := cluster.Observer.Observe(ctx, nil)
			looks[i] = look{cluster.Name, cluster.Provider, snapshot, err, time.Since(start)}
		})
	}
	group.Wait()
	return looks
}

// closeAll releases what the observers hold.
func closeAll(clusters []fleet.Cluster) {
	for _, cluster := range clusters {
		cluster.Observer.Close()
	}
}

// printable replaces what a terminal might act on: names come from the clusters.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

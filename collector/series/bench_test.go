package series

import (
	"testing"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/internal/collectortest"
)

// BenchmarkTrack compares two successive snapshots that are alike, as most are.
func BenchmarkTrack(b *testing.B) {
	before, after := collectortest.Large(10_000, 4), collectortest.Large(10_000, 4)
	var h History
	h = h.Next(before, collectortest.Taken)
	b.ReportAllocs()
	for b.Loop() {
		h = h.Next(after, collectortest.Taken)
		before, after = after, before
	}
	if h.connectors[0].StateChanges != 0 {
		b.Fatal("changes were counted where there were none")
	}
}

package series

import (
	"testing"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/internal/collectortest"
)

// BenchmarkTrack compares two successive snapshots that are alike, as most are.
func BenchmarkTrack(b *testing.B) {
	before, after := collectortest.Large(10_000, 4), collectortest.Large(10_000, 4)
	var t Tracker
	t.Update(before, collectortest.Taken)
	b.ReportAllocs()
	for b.Loop() {
		t.Update(after, collectortest.Taken)
		before, after = after, before
	}
	if t.changes[0].ofConnector != 0 {
		b.Fatal("changes were counted where there were none")
	}
}

package large

import (
	"flag"
	"path/filepath"
	"testing"
	"time"
)

var (
	blocks     = flag.String("blocks", "", "write the fleet's last six hours below this folder, for a Prometheus to draw from")
	connectors = flag.Int("connectors", 2000, "connectors of the fleet that is written")
)

// TestBlocks writes a fleet of any size, so that the dashboards can be looked at.
func TestBlocks(t *testing.T) {
	if *blocks == "" {
		t.Skip("-blocks says where to write them")
	}
	target, err := filepath.Abs(*blocks)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("..")
	f := newFleet()
	f.start = time.Now().Add(-6 * time.Hour).Truncate(time.Minute).UnixMilli()
	if f.connectors = *connectors; f.connectors < 1000 {
		f.workers, f.others = 3, 2
	}
	drawn, err := f.build(metrics(dashboards(t)))
	if err != nil {
		t.Fatal(err)
	}
	if err := write(t.Context(), target, f.clock, drawn); err != nil {
		t.Fatal(err)
	}
}

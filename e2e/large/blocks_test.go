package large

import (
	"flag"
	"path/filepath"
	"testing"
	"time"
)

var (
	blocks     = flag.String("blocks", "", "write the fleet's last six hours below this folder and keep them, for a Prometheus to draw from")
	connectors = flag.Int("connectors", 40, "connectors of the fleet that is written")
)

// TestBlocks writes a fleet of any size, so that the dashboards can be looked at.
func TestBlocks(t *testing.T) {
	target := t.TempDir()
	if *blocks != "" {
		var err error
		if target, err = filepath.Abs(*blocks); err != nil {
			t.Fatal(err)
		}
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
	if written, err := filepath.Glob(filepath.Join(target, "*", "index")); err != nil || len(written) < 3 {
		t.Errorf("%d blocks: %v", len(written), err)
	}
}

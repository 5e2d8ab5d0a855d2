// Package observertest holds what every Observer is tested for.
package observertest

import (
	"context"
	"encoding/json"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// Overlap takes snapshots while those before are still being read, and checks
// that none changes once it is returned, and that revisions tell what changed:
// the first two snapshots are of the same content; change then changes it, once
// before each further snapshot. Run it with -race.
func Overlap(t *testing.T, o connect.Observer, changes ...func()) {
	t.Helper()
	var readers sync.WaitGroup
	stop := make(chan struct{})
	defer func() { close(stop); readers.Wait() }()
	take := func() *connect.Snapshot {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		s, err := o.Observe(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		before, again := content(t, s), make(chan struct{})
		readers.Go(func() {
			for first := true; ; first = false {
				if now := content(t, s); now != before {
					t.Errorf("a snapshot changed after it was returned: it was\n%s\nand is\n%s", before, now)
					return
				}
				if first {
					close(again) // reading goes on beside the next snapshot
				}
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
			}
		})
		<-again
		return s
	}
	before := take()
	if (before.Revision == connect.Revision{}) {
		t.Fatal("no revision")
	}
	if s := take(); !s.Revision.Same(before.Revision) {
		t.Errorf("nothing changed, and the revision did: from\n%s\nto\n%s", content(t, before), content(t, s))
	}
	for i, change := range changes {
		change()
		s := take()
		same := reflect.DeepEqual(s.Unobserved, before.Unobserved) && len(s.Connectors) == len(before.Connectors)
		for j := 0; same && j < len(s.Connectors); j++ {
			same = s.Connectors[j].Equal(&before.Connectors[j])
		}
		if same {
			t.Fatalf("change %d did not change the snapshot", i)
		}
		if s.Revision.Same(before.Revision) || (s.Revision == connect.Revision{}) {
			t.Errorf("change %d did not change the revision", i)
		}
		before = s
	}
}

// content reads all of a snapshot.
func content(t *testing.T, s *connect.Snapshot) string {
	text, err := json.Marshal(s)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

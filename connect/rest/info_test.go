package rest

import (
	"fmt"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// Of connectors that are gone, not more stay than there are, and the newest.
func TestGoneAreBounded(t *testing.T) {
	i := infos{byName: map[string]*known{}}
	start := time.Now()
	see := func(after time.Duration, name string, n int) {
		now := start.Add(after)
		for c := range n {
			i.want(&connect.Connector{Name: fmt.Sprint(name, c)}, now)
		}
		i.end(now)
	}
	for round := range 20 {
		see(time.Duration(round)*time.Second, fmt.Sprint("round ", round, " connector "), 300)
	}
	// Those of a round go together.
	if n := len(i.byName); n != 300+900 || i.byName["round 16 connector 0"] == nil || i.byName["round 15 connector 0"] != nil {
		t.Errorf("%d are kept", n)
	}
	see(time.Minute, "many ", 5000)
	see(2*time.Minute, "others ", 5000)
	if n := len(i.byName); n != 10_000 {
		t.Errorf("%d are kept", n)
	}
	see(3*time.Minute, "few ", 1)
	if n := len(i.byName); n > 1+fewGone {
		t.Errorf("%d are kept", n)
	}
	see(3*time.Minute+forgetAfter+time.Second, "few ", 1)
	if n := len(i.byName); n != 1 {
		t.Errorf("%d are kept for ever", n)
	}
}

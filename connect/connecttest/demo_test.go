package connecttest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// history is every state of a demo, minute by minute.
func history(t *testing.T, seed uint64, minutes int) []string {
	t.Helper()
	d, err := NewDemo(DemoOptions{Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var history []string
	for range minutes {
		d.Advance(time.Minute)
		for _, cluster := range d.Clusters {
			for _, name := range slices.Sorted(maps.Keys(cluster.connectors)) {
				unlock := cluster.lock()
				it := cluster.connectors[name]
				states := []string{it.state(&it.itself)}
				for _, task := range it.tasks {
					states = append(states, it.state(task))
				}
				unlock()
				history = append(history, fmt.Sprintf("%s %s %s", cluster.Name, name, states))
			}
		}
	}
	return history
}

func TestDemoIsLivelyAndRepeatsItselfBySeed(t *testing.T) {
	first := strings.Join(history(t, 1, 60), "\n")
	if again := strings.Join(history(t, 1, 60), "\n"); again != first {
		t.Error("the same seed gave another history")
	}
	if other := strings.Join(history(t, 2, 60), "\n"); other == first {
		t.Error("another seed gave the same history")
	}
	for _, want := range []string{
		"orders orders-jdbc-sink [RUNNING RUNNING RUNNING RUNNING RUNNING]",
		"orders orders-jdbc-sink [RUNNING RUNNING RUNNING FAILED RUNNING]",
		"orders audit-s3-sink [PAUSED PAUSED PAUSED]",
		"orders invoices archive [STOPPED]",
		"UNASSIGNED",
		"analytics crm-jdbc-source [FAILED RUNNING RUNNING]",
		"analytics backfill-2-jdbc-sink [RUNNING RUNNING RUNNING]",
		"warehouse returns-jdbc-sink [PAUSED PAUSED]",
	} {
		if !strings.Contains(first, want) {
			t.Errorf("never seen in an hour: %s", want)
		}
	}
}

func TestDemoServesItsWorkers(t *testing.T) {
	ticks := make(chan time.Time)
	d, err := NewDemo(DemoOptions{Ticks: ticks, Step: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- d.Run(ctx) }()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	read := func(url string) string {
		response, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	versions := map[string]string{DemoOrders: "4.3.1", DemoAnalytics: "3.9.1", DemoWarehouse: "2.2.2"}
	for _, cluster := range d.Clusters {
		for _, url := range cluster.URLs {
			var root struct{ Version string }
			if err := json.Unmarshal([]byte(read(url)), &root); err != nil || root.Version != versions[cluster.Name] {
				t.Errorf("%s: version %q, %v", cluster.Name, root.Version, err)
			}
		}
	}
	status := d.Clusters[0].URLs[0] + "/connectors/orders-jdbc-sink/status"
	if !strings.Contains(read(status), "FAILED") {
		t.Error("at the start no task of orders-jdbc-sink has failed")
	}
	for range 3 { // The third tick is taken once the second has been acted on.
		ticks <- time.Time{}
	}
	if strings.Contains(read(status), "FAILED") {
		t.Error("after two minutes the task has not been restarted")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

package collector

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

func newSelf(t *testing.T, options SelfOptions) *Self {
	t.Helper()
	s, err := NewSelf(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func gather(t *testing.T, g prometheus.TransactionalGatherer) []*dto.MetricFamily {
	t.Helper()
	families, done, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(done)
	return families
}

// of returns the lines that begin so.
func of(lines []string, beginning string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !strings.HasPrefix(line, beginning) })
}

func TestSelf(t *testing.T) {
	self := newSelf(t, SelfOptions{})
	var err error
	observer := &observerFunc{t: t, observe: func(_ context.Context, report func(connect.Request)) (*connect.Snapshot, error) {
		report(connect.Request{Endpoint: "list", Code: 200, Duration: 2 * time.Millisecond})
		report(connect.Request{Endpoint: "status", Duration: time.Minute, Err: connect.Timeout})
		if err != nil {
			return nil, err
		}
		return small(), nil
	}}
	whole := *small()
	whole.Unobserved, whole.ObservationVersion = nil, "2"
	fleet := NewFleet([]Cluster{{Name: "orders", Observer: observer}, {Name: "whole", Observer: constantly(t, &whole)}},
		FleetOptions{Instruments: self.Instruments()})
	defer fleet.Close()
	self.Instruments().Reloaded(true, taken)
	self.Instruments().Reloaded(false, taken.Add(time.Hour))

	// Before the first look, the errors that can be are there.
	lines := samples(t, gather(t, self.Gatherer()))
	for _, cluster := range fleet.Names() {
		for _, reason := range connect.Reasons() {
			if line := `kafka_connect_snapshot_errors_total{connect_cluster="` + cluster + `",reason="` + string(reason) + `"} 0`; !slices.Contains(lines, line) {
				t.Errorf("missing: %s", line)
			}
		}
	}
	for _, err = range []error{nil, connect.Forbidden, connect.NoStatus} {
		fleet.Observe(t.Context())
	}
	lines = samples(t, gather(t, self.Gatherer()))
	for _, want := range []string{
		`kafka_connect_snapshot_errors_total{connect_cluster="orders",reason="forbidden"} 1`,
		`kafka_connect_snapshot_errors_total{connect_cluster="orders",reason="decode"} 1`, // No reason for a whole snapshot.
		`kafka_connect_snapshot_duration_seconds_count{connect_cluster="orders",observation_version="1",outcome="partial"} 1`,
		`kafka_connect_snapshot_duration_seconds_count{connect_cluster="orders",observation_version="1",outcome="failure"} 2`,
		`kafka_connect_snapshot_duration_seconds_count{connect_cluster="whole",observation_version="2",outcome="success"} 3`,
		`kafka_connect_request_duration_seconds_bucket{code="200",connect_cluster="orders",endpoint="list",le="0.001"} 0`,
		`kafka_connect_request_duration_seconds_bucket{code="200",connect_cluster="orders",endpoint="list",le="0.0025"} 3`,
		`kafka_connect_request_duration_seconds_bucket{code="none",connect_cluster="orders",endpoint="status",le="30"} 0`,
		`kafka_connect_request_duration_seconds_bucket{code="none",connect_cluster="orders",endpoint="status",le="+Inf"} 3`,
		`kafka_connect_exporter_config_last_reload_successful 0`,
		`kafka_connect_exporter_config_last_reload_success_timestamp_seconds 1.795176e+09`,
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("missing: %s", want)
		}
	}
	for _, want := range []string{"kafka_connect_exporter_build_info{", "go_goroutines ", "process_cpu_seconds_total "} {
		if len(of(lines, want)) != 1 {
			t.Errorf("missing: %s", want)
		}
	}
	if exports := of(lines, "kafka_connect_exporter_otlp"); len(exports) != 0 {
		t.Errorf("there although nothing is exported: %q", exports)
	}

	// One cluster shows its own and nothing else.
	probe := samples(t, gather(t, self.ForCluster("orders")))
	for _, line := range probe {
		if !strings.Contains(line, `connect_cluster="orders"`) {
			t.Errorf("unexpected: %s", line)
		}
	}
	if len(probe) == 0 {
		t.Error("nothing of the one cluster")
	}

	// What is gone from the configuration is gone here.
	fleet.Replace([]Cluster{{Name: "whole", Observer: constantly(t, &whole)}})
	for _, line := range samples(t, gather(t, self.Gatherer())) {
		if strings.Contains(line, "orders") {
			t.Errorf("still there: %s", line)
		}
	}
}

// TestSelfIsInTheTable: what is shown is described, with the same type, help
// and labels.
func TestSelfIsInTheTable(t *testing.T) {
	self := newSelf(t, SelfOptions{})
	i := self.Instruments()
	i.setClusters([]string{"orders"})
	v := viewOf("orders", small())
	i.look(&v)
	i.request("orders", connect.Request{Endpoint: "list", Code: 200})
	i.Reloaded(true, taken)
	i.ExpectExports()
	i.Exported(true)
	known := make(map[string]Descriptor)
	for _, d := range Descriptors() {
		known[d.Name] = d
	}
	seen := 0
	for _, family := range gather(t, self.Gatherer()) {
		name := family.GetName()
		if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") {
			continue
		}
		d, ok := known[name]
		var labels []string
		for _, l := range family.Metric[0].Label {
			labels = append(labels, l.GetName())
		}
		if !ok || d.Kind.dtoType() != family.GetType() || !slices.Equal(labels, d.Labels) {
			t.Errorf("%s %s with labels %q is not what the table says: %+v", family.GetType(), name, labels, d)
		}
		if d.OTelName != "" && family.GetHelp() != d.Help {
			t.Errorf("%s: help is %q", name, family.GetHelp())
		}
		seen++
	}
	if seen != 8 {
		t.Errorf("%d families of its own", seen)
	}
}

// TestManyClusters: beyond 2,000 series, the SDK's default folds the rest into
// one.
func TestManyClusters(t *testing.T) {
	t.Setenv("OTEL_GO_X_CARDINALITY_LIMIT", "100")
	self := newSelf(t, SelfOptions{})
	names := make([]string, 300)
	for i := range names {
		names[i] = fmt.Sprintf("cluster-%d", i)
	}
	self.Instruments().setClusters(names)
	if n := len(of(samples(t, gather(t, self.Gatherer())), "kafka_connect_snapshot_errors_total")); n != 300*9 {
		t.Errorf("%d series, not %d", n, 300*9)
	}
}

// TestNoInstruments: a fleet works without.
func TestNoInstruments(t *testing.T) {
	var i *Instruments
	i.Reloaded(true, taken)
	i.Exported(true)
	i.ExpectExports()
	f := NewFleet([]Cluster{{Name: "orders", Observer: constantly(t, small())}}, FleetOptions{})
	defer f.Close()
	succeeded(t, f.Observe(t.Context())[0], f.Last()[0].Snapshot)
}

// In OpenMetrics a counter's family has no _total: another of that name would be
// the same family twice, for which a parser refuses the whole answer.
func TestNoFamilyTwiceInOpenMetrics(t *testing.T) {
	self := newSelf(t, SelfOptions{})
	for name, gatherer := range map[string]prometheus.TransactionalGatherer{"all": self.Gatherer(), "own": self.Own()} {
		seen := map[string]bool{}
		for _, family := range gather(t, gatherer) {
			of := family.GetName()
			if family.GetType() == dto.MetricType_COUNTER {
				of = strings.TrimSuffix(of, "_total")
			}
			if seen[of] {
				t.Errorf("%s: %s is there twice", name, of)
			}
			seen[of] = true
		}
		if !seen["go_memstats_heap_alloc_bytes"] {
			t.Errorf("%s: the memory in use is not told", name)
		}
	}
}

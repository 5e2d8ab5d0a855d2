package self

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/fleet"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/internal/collectortest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

func newMetrics(t *testing.T, options Options) *Metrics {
	t.Helper()
	s, err := New(options)
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
	own := newMetrics(t, Options{})
	var err error
	observer := &collectortest.Observer{T: t, Do: func(_ context.Context, report func(connect.Request)) (*connect.Snapshot, error) {
		report(connect.Request{Endpoint: "list", Code: 200, Duration: 2 * time.Millisecond})
		report(connect.Request{Endpoint: "status", Duration: time.Minute, Err: connect.Timeout})
		if err != nil {
			return nil, err
		}
		return collectortest.Small(), nil
	}}
	whole := *collectortest.Small()
	whole.Unobserved, whole.ObservationVersion = nil, "2"
	watched := fleet.New([]fleet.Cluster{{Name: "orders", Observer: observer}, {Name: "whole", Observer: collectortest.Constantly(t, &whole)}},
		fleet.Options{Recorder: own.Instruments()})
	defer watched.Close()
	own.Instruments().Reloaded(true, collectortest.Taken)
	own.Instruments().Reloaded(false, collectortest.Taken.Add(time.Hour))

	// Before the first snapshot, the errors that can be are there.
	lines := collectortest.Samples(t, gather(t, own.Gatherer()))
	for _, cluster := range watched.Names() {
		for _, reason := range connect.Reasons() {
			if line := `kafka_connect_snapshot_errors_total{connect_cluster="` + cluster + `",reason="` + string(reason) + `"} 0`; !slices.Contains(lines, line) {
				t.Errorf("missing: %s", line)
			}
		}
	}
	for _, err = range []error{nil, connect.Forbidden, connect.NoStatus} {
		watched.Observe(t.Context())
	}
	lines = collectortest.Samples(t, gather(t, own.Gatherer()))
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
	probe := collectortest.Samples(t, gather(t, own.ForCluster("orders")))
	for _, line := range probe {
		if !strings.Contains(line, `connect_cluster="orders"`) {
			t.Errorf("unexpected: %s", line)
		}
	}
	if len(probe) == 0 {
		t.Error("nothing of the one cluster")
	}

	// What is gone from the configuration is gone here.
	watched.Replace([]fleet.Cluster{{Name: "whole", Observer: collectortest.Constantly(t, &whole)}})
	for _, line := range collectortest.Samples(t, gather(t, own.Gatherer())) {
		if strings.Contains(line, "orders") {
			t.Errorf("still there: %s", line)
		}
	}
}

// TestSelfIsInTheTable: what is shown is described, with the same type, help
// and labels.
func TestSelfIsInTheTable(t *testing.T) {
	own := newMetrics(t, Options{})
	i := own.Instruments()
	i.Configured([]string{"orders"})
	v := series.Result{Cluster: "orders", Snapshot: collectortest.Small()}
	i.Snapshot(&v)
	i.Request("orders", connect.Request{Endpoint: "list", Code: 200})
	i.Reloaded(true, collectortest.Taken)
	i.ExpectExports()
	i.Exported(true)
	known := make(map[string]series.Descriptor)
	for _, d := range series.Descriptors() {
		known[d.Name] = d
	}
	seen := 0
	for _, family := range gather(t, own.Gatherer()) {
		name := family.GetName()
		if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") {
			continue
		}
		d, ok := known[name]
		var labels []string
		for _, l := range family.Metric[0].Label {
			labels = append(labels, l.GetName())
		}
		if !ok || string(d.Kind) != strings.ToLower(family.GetType().String()) || !slices.Equal(labels, d.Labels) {
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
	own := newMetrics(t, Options{})
	names := make([]string, 300)
	for i := range names {
		names[i] = fmt.Sprintf("cluster-%d", i)
	}
	own.Instruments().Configured(names)
	if n := len(of(collectortest.Samples(t, gather(t, own.Gatherer())), "kafka_connect_snapshot_errors_total")); n != 300*9 {
		t.Errorf("%d series, not %d", n, 300*9)
	}
}

// TestNoInstruments: whoever records works without.
func TestNoInstruments(t *testing.T) {
	var i *Instruments
	i.Reloaded(true, collectortest.Taken)
	i.Exported(true)
	i.ExpectExports()
	i.Answered(time.Second, time.Second)
	f := fleet.New([]fleet.Cluster{{Name: "orders", Observer: collectortest.Constantly(t, collectortest.Small())}}, fleet.Options{Recorder: i})
	defer f.Close()
	if r := f.Observe(t.Context())[0]; r.Err != nil {
		t.Error(r.Err)
	}
}

// In OpenMetrics a counter's family has no _total: another of that name would be
// the same family twice, for which a parser refuses the whole answer.
func TestNoFamilyTwiceInOpenMetrics(t *testing.T) {
	own := newMetrics(t, Options{})
	for name, gatherer := range map[string]prometheus.TransactionalGatherer{"all": own.Gatherer(), "own": own.Own()} {
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

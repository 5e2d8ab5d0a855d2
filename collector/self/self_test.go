package self

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

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
		`kafka_connect_request_duration_seconds_bucket{call="list",code="200",connect_cluster="orders",le="0.001"} 0`,
		`kafka_connect_request_duration_seconds_bucket{call="list",code="200",connect_cluster="orders",le="0.0025"} 3`,
		`kafka_connect_request_duration_seconds_bucket{call="status",code="none",connect_cluster="orders",le="30"} 0`,
		`kafka_connect_request_duration_seconds_bucket{call="status",code="none",connect_cluster="orders",le="+Inf"} 3`,
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
	i.Configured([]series.Identity{{Cluster: "orders"}})
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
	if seen != 9 {
		t.Errorf("%d families of its own", seen)
	}
}

// TestRemovedClusters: of clusters that were removed nothing is left, whatever is
// still recorded of them.
func TestRemovedClusters(t *testing.T) {
	own := newMetrics(t, Options{})
	i := own.Instruments()
	record := func(cluster string) {
		i.Snapshot(&series.Result{Cluster: cluster, Snapshot: collectortest.Small()})
		i.Request(cluster, connect.Request{Endpoint: "list", Code: 200})
	}
	for n := range 2000 {
		cluster := fmt.Sprintf("cluster-%d", n)
		i.Configured([]series.Identity{{Cluster: cluster}})
		record(cluster)
	}
	i.Configured([]series.Identity{{Cluster: "stays"}})
	record("cluster-1999")
	record("stays")
	i.Configured([]series.Identity{{Cluster: "new", Labels: []series.Label{{Name: "team", Value: "a"}}}, {Cluster: "stays", Labels: []series.Label{{Name: "team", Value: "b"}}}})
	record("stays")
	if len(i.byName) != 2 || len(i.clusters) != 2 {
		t.Errorf("%d clusters are kept", len(i.clusters))
	}
	lines := collectortest.Samples(t, gather(t, own.Gatherer()))
	for _, line := range lines {
		if strings.Contains(line, "cluster-") {
			t.Errorf("still there: %s", line)
		}
	}
	for _, want := range []string{
		`kafka_connect_snapshot_duration_seconds_count{connect_cluster="stays",observation_version="1",outcome="partial",team="b"} 2`,
		`kafka_connect_request_duration_seconds_count{call="list",code="200",connect_cluster="stays",team="b"} 2`,
		`kafka_connect_snapshot_errors_total{connect_cluster="new",reason="timeout",team="a"} 0`,
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("missing: %s", want)
		}
	}
}

// TestCodes: whatever is answered, there are few series, and those of what does
// not occur any more go.
func TestCodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := newMetrics(t, Options{})
		own.Instruments().Configured([]series.Identity{{Cluster: "orders"}})
		for code := -1; code < 1000; code++ {
			own.Instruments().Request("orders", connect.Request{Endpoint: "list", Code: code})
		}
		counts := func() []string {
			var p points
			own.Instruments().ofClusters(&p, "")
			var codes []string
			for _, of := range p[series.RequestDuration] {
				codes = append(codes, fmt.Sprintf("%s=%d", of.labels[1], of.histogram.count()))
			}
			return codes
		}
		want := []string{
			"1xx=100", "200=1", "2xx=99", "301=1", "302=1", "307=1", "308=1", "3xx=96", "400=1", "401=1", "403=1", "404=1", "405=1", "408=1",
			"409=1", "429=1", "4xx=92", "500=1", "502=1", "503=1", "504=1", "5xx=96", "none=1", "other=500",
		}
		if have := counts(); !slices.Equal(have, want) {
			t.Errorf("codes are %q, not %q", have, want)
		}
		time.Sleep(30 * time.Minute)
		own.Instruments().Request("orders", connect.Request{Endpoint: "list", Code: 200})
		time.Sleep(30 * time.Minute)
		if have := counts(); !slices.Equal(have, []string{"200=2"}) {
			t.Errorf("an hour later, codes are %q", have)
		}
	})
}

// TestOverOTLP: histograms are those that Prometheus is shown.
func TestOverOTLP(t *testing.T) {
	own := newMetrics(t, Options{Version: "1.2.3"})
	own.Instruments().Configured([]series.Identity{{Cluster: "orders"}})
	for _, d := range []time.Duration{0, time.Millisecond, 3 * time.Millisecond, time.Hour} {
		own.Instruments().Request("orders", connect.Request{Endpoint: "list", Code: 200, Duration: d})
	}
	scopes, err := own.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []metricdata.Metrics
	for _, scope := range scopes {
		if scope.Scope.Name != series.ScopeName || scope.Scope.Version != "1.2.3" {
			t.Errorf("the scope is %+v", scope.Scope)
		}
		all = append(all, scope.Metrics...)
	}
	for _, m := range all {
		if h, ok := m.Data.(metricdata.Histogram[float64]); ok && m.Name == "kafka.connect.request.duration" {
			p := h.DataPoints[0]
			if p.Count != 4 || p.Sum != 3600.004 || !slices.Equal(p.BucketCounts[:4], []uint64{2, 0, 1, 0}) || p.BucketCounts[len(bounds)] != 1 || len(p.BucketCounts) != len(p.Bounds)+1 {
				t.Errorf("the histogram is %+v", p)
			}
			return
		}
	}
	t.Error("there is no histogram of requests")
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

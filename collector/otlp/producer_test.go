package otlp

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/exposition"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/fleet"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/internal/collectortest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/self"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// translated writes OTLP data as Prometheus would show it, sorted; histograms
// by their counts.
func translated(t *testing.T, scopes []metricdata.ScopeMetrics) []string {
	t.Helper()
	namer := otlptranslator.NewMetricNamer("", otlptranslator.UnderscoreEscapingWithSuffixes)
	var lines []string
	for _, scope := range scopes {
		if scope.Scope.Name != series.ScopeName || scope.Scope.Version != "1.2.3" {
			t.Errorf("scope is %+v", scope.Scope)
		}
		for _, m := range scope.Metrics {
			var kind otlptranslator.MetricType = otlptranslator.MetricTypeGauge
			add := func(suffix string, set attribute.Set, value float64) {
				name, err := namer.Build(otlptranslator.Metric{Name: m.Name, Unit: m.Unit, Type: kind})
				if err != nil {
					t.Fatal(err)
				}
				var labels []string
				for _, kv := range set.ToSlice() {
					labels = append(labels, fmt.Sprintf("%s=%s", kv.Key, strconv.Quote(kv.Value.AsString())))
				}
				line := name + suffix
				if len(labels) > 0 {
					line += "{" + strings.Join(labels, ",") + "}"
				}
				lines = append(lines, line+" "+strconv.FormatFloat(value, 'g', -1, 64))
			}
			switch data := m.Data.(type) {
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					add("", p.Attributes, p.Value)
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					add("", p.Attributes, float64(p.Value))
				}
			case metricdata.Sum[float64]:
				kind = otlptranslator.MetricTypeMonotonicCounter
				if !data.IsMonotonic || data.Temporality != metricdata.CumulativeTemporality {
					t.Errorf("%s is no counter", m.Name)
				}
				for _, p := range data.DataPoints {
					add("", p.Attributes, p.Value)
					if p.StartTime.IsZero() || p.StartTime.After(p.Time) {
						t.Errorf("%s counts from %v to %v", m.Name, p.StartTime, p.Time)
					}
				}
			case metricdata.Sum[int64]:
				kind = otlptranslator.MetricTypeMonotonicCounter
				for _, p := range data.DataPoints {
					add("", p.Attributes, float64(p.Value))
				}
			case metricdata.Histogram[float64]:
				kind = otlptranslator.MetricTypeHistogram
				for _, p := range data.DataPoints {
					add("_count", p.Attributes, float64(p.Count))
				}
			default:
				t.Errorf("%s is a %T", m.Name, data)
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func produce(t *testing.T, p *Producer) []string {
	t.Helper()
	scopes, err := p.Produce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return translated(t, scopes)
}

func newSelf(t *testing.T, options self.Options) *self.Metrics {
	t.Helper()
	own, err := self.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return own
}

// fleetOf returns a fleet of one cluster, orders.
func fleetOf(t *testing.T, options fleet.Options, observe func(context.Context, func(connect.Request)) (*connect.Snapshot, error)) *fleet.Fleet {
	f := fleet.New([]fleet.Cluster{{Name: "orders", Provider: connect.SelfManaged, Observer: &collectortest.Observer{T: t, Do: observe}}}, options)
	t.Cleanup(f.Close)
	return f
}

// TestOneVocabulary: what is pushed is what is scraped.
func TestOneVocabulary(t *testing.T) {
	for _, all := range []bool{false, true} {
		own := newSelf(t, self.Options{Version: "1.2.3"})
		down := &collectortest.Observer{T: t, Do: func(context.Context, func(connect.Request)) (*connect.Snapshot, error) { return nil, connect.Forbidden }}
		watched := fleet.New([]fleet.Cluster{{Name: "orders", Observer: collectortest.Constantly(t, collectortest.Small())}, {Name: "down", Observer: down}, {Name: "big", Observer: collectortest.Constantly(t, collectortest.Large(30, 4))}},
			fleet.Options{SnapshotMaxAge: time.Hour, Recorder: own.Instruments()})
		defer watched.Close()
		own.Instruments().Reloaded(true, collectortest.Taken)
		own.Instruments().ExpectExports()
		pushed := produce(t, New(Options{Observe: watched.Observe, Own: own.Collect, Version: "1.2.3", AllStates: func() bool { return all }}))

		scraped := collectortest.Samples(t, exposition.NewRenderer(exposition.Options{AllStates: all}).Families(watched.Observe(t.Context())))
		gathered, done, err := own.Gatherer().Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range collectortest.Samples(t, gathered) {
			if strings.HasPrefix(line, "kafka_") && !strings.Contains(line, "_bucket{") && !strings.Contains(line, "_sum{") && !strings.HasPrefix(line, "kafka_connect_exporter_build_info") {
				scraped = append(scraped, line)
			}
		}
		done()
		slices.Sort(scraped)
		collectortest.EqualLines(t, pushed, scraped)
	}
}

// TestEndedIsSentAsZero: a backend that keeps the last value shall not keep a
// state that was left.
func TestEndedIsSentAsZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := newSelf(t, self.Options{Version: "1.2.3"})
		var snapshot *connect.Snapshot
		var err error
		watched := fleetOf(t, fleet.Options{Recorder: own.Instruments()}, func(context.Context, func(connect.Request)) (*connect.Snapshot, error) {
			if err != nil {
				return nil, err
			}
			return snapshot, nil
		})
		watched.KeepStale(true)
		producer := New(Options{Observe: watched.Observe, Own: own.Collect, Version: "1.2.3"})
		states := func(s *connect.Snapshot) []string {
			snapshot = s
			var lines []string
			for _, line := range produce(t, producer) {
				if strings.HasPrefix(line, "kafka_connect_connector_state{") || strings.HasPrefix(line, "kafka_connect_task_failure_info{") {
					_, labels, _ := strings.Cut(line, `connector="`)
					lines = append(lines, strings.NewReplacer(`"`, "", "state=", "", "}", "").Replace(labels))
				}
			}
			return lines
		}
		collectortest.EqualLines(t, states(collectortest.Cluster("a:running 0:failed", "b:running")), []string{"a,running 1", "b,running 1", "a,exception=E,root_cause=R,task=0 1"})
		collectortest.EqualLines(t, states(collectortest.Cluster("a:paused 0:running")), []string{"a,paused 1", "a,running 0", "b,running 0", "a,exception=E,root_cause=R,task=0 0"})
		time.Sleep(5 * time.Minute)
		err = connect.Timeout // What ended has ended, whatever is known of the rest.
		collectortest.EqualLines(t, states(nil), []string{"a,running 0", "b,running 0", "a,exception=E,root_cause=R,task=0 0"})
		err = nil
		collectortest.EqualLines(t, states(collectortest.Cluster("a:running 0:running")), []string{"a,paused 0", "a,running 1", "b,running 0", "a,exception=E,root_cause=R,task=0 0"})
		time.Sleep(5 * time.Minute)
		collectortest.EqualLines(t, states(collectortest.Cluster("a:running 0:running")), []string{"a,paused 0", "a,running 1"})
		time.Sleep(5 * time.Minute)
		collectortest.EqualLines(t, states(collectortest.Cluster("a:running 0:running")), []string{"a,running 1"})
	})
}

// TestProduceInTime: a dead cluster leaves time for the export.
func TestProduceInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := newSelf(t, self.Options{Version: "1.2.3"})
		watched := fleetOf(t, fleet.Options{Recorder: own.Instruments()}, func(ctx context.Context, _ func(connect.Request)) (*connect.Snapshot, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		start := time.Now()
		lines := produce(t, New(Options{Observe: watched.Observe, Own: own.Collect, Timeout: 2 * time.Second, Version: "1.2.3"}))
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("took %v", took)
		}
		for _, want := range []string{`kafka_connect_up{connect_cluster="orders"} 0`, `kafka_connect_snapshot_errors_total{connect_cluster="orders",reason="timeout"} 1`} {
			if !slices.Contains(lines, want) {
				t.Errorf("missing: %s", want)
			}
		}
		// One that is removed is not sent as down, nor is what was recorded of it.
		watched.Replace(nil)
		for _, line := range produce(t, New(Options{Observe: watched.Observe, Own: own.Collect, Version: "1.2.3"})) {
			if strings.Contains(line, "orders") {
				t.Errorf("still sent: %s", line)
			}
		}
	})
}

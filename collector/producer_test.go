package collector

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

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// translated writes OTLP data as Prometheus would show it, sorted; histograms
// by their counts.
func translated(t *testing.T, scopes []metricdata.ScopeMetrics) []string {
	t.Helper()
	namer := otlptranslator.NewMetricNamer("", otlptranslator.UnderscoreEscapingWithSuffixes)
	var lines []string
	for _, scope := range scopes {
		if scope.Scope.Name != ScopeName || scope.Scope.Version != "1.2.3" {
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

// TestOneVocabulary: what is pushed is what is scraped.
func TestOneVocabulary(t *testing.T) {
	for _, all := range []bool{false, true} {
		self := newSelf(t, SelfOptions{Version: "1.2.3"})
		down := &observerFunc{t: t, observe: func(context.Context, reportFunc) (*connect.Snapshot, error) { return nil, connect.Forbidden }}
		fleet := NewFleet([]Cluster{{Name: "orders", Observer: constantly(t, small())}, {Name: "down", Observer: down}, {Name: "big", Observer: constantly(t, large(30, 4))}},
			FleetOptions{SnapshotMaxAge: time.Hour, Instruments: self.Instruments()})
		defer fleet.Close()
		self.Instruments().Reloaded(true, taken)
		self.Instruments().ExpectExports()
		pushed := produce(t, NewProducer(ProducerOptions{Fleet: fleet, Self: self, Version: "1.2.3", AllStates: func() bool { return all }}))

		scraped := samples(t, NewRenderer(RendererOptions{AllStates: all}).Families(fleet.Observe(t.Context())))
		for _, line := range samples(t, gather(t, self.Gatherer())) {
			if strings.HasPrefix(line, "kafka_") && !strings.Contains(line, "_bucket{") && !strings.Contains(line, "_sum{") && !strings.HasPrefix(line, "kafka_connect_exporter_build_info") {
				scraped = append(scraped, line)
			}
		}
		slices.Sort(scraped)
		equalLines(t, pushed, scraped)
	}
}

// TestEndedIsSentAsZero: a backend that keeps the last value shall not keep a
// state that was left.
func TestEndedIsSentAsZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		self := newSelf(t, SelfOptions{Version: "1.2.3"})
		var snapshot *connect.Snapshot
		var err error
		fleet, _ := fleetOf(t, FleetOptions{Instruments: self.Instruments()}, func(context.Context, reportFunc) (*connect.Snapshot, error) {
			if err != nil {
				return nil, err
			}
			return snapshot, nil
		})
		producer := NewProducer(ProducerOptions{Fleet: fleet, Self: self, Version: "1.2.3"})
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
		equalLines(t, states(cluster("a:running 0:failed", "b:running")), []string{"a,running 1", "b,running 1", "a,exception=E,root_cause=R,task=0 1"})
		equalLines(t, states(cluster("a:paused 0:running")), []string{"a,paused 1", "a,running 0", "b,running 0", "a,exception=E,root_cause=R,task=0 0"})
		time.Sleep(5 * time.Minute)
		err = connect.Timeout // What ended has ended, whatever is known of the rest.
		equalLines(t, states(nil), []string{"a,running 0", "b,running 0", "a,exception=E,root_cause=R,task=0 0"})
		err = nil
		equalLines(t, states(cluster("a:running 0:running")), []string{"a,paused 0", "a,running 1", "b,running 0", "a,exception=E,root_cause=R,task=0 0"})
		time.Sleep(5 * time.Minute)
		equalLines(t, states(cluster("a:running 0:running")), []string{"a,paused 0", "a,running 1"})
		time.Sleep(5 * time.Minute)
		equalLines(t, states(cluster("a:running 0:running")), []string{"a,running 1"})
	})
}

// TestProduceInTime: a dead cluster leaves time for the export.
func TestProduceInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		self := newSelf(t, SelfOptions{Version: "1.2.3"})
		fleet, _ := fleetOf(t, FleetOptions{Instruments: self.Instruments()}, takes(time.Hour, nil))
		start := time.Now()
		lines := produce(t, NewProducer(ProducerOptions{Fleet: fleet, Self: self, Timeout: 2 * time.Second, Version: "1.2.3"}))
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("took %v", took)
		}
		for _, want := range []string{`kafka_connect_up{connect_cluster="orders"} 0`, `kafka_connect_snapshot_errors_total{connect_cluster="orders",reason="timeout"} 1`} {
			if !slices.Contains(lines, want) {
				t.Errorf("missing: %s", want)
			}
		}
		// One that is removed is not sent as down, nor is what was recorded of it.
		views := fleet.list()
		fleet.Replace(nil)
		removed := views[0].view(time.Now(), errClosed)
		if metrics := (&Producer{}).metrics([]View{removed}); len(metrics) != 0 {
			t.Errorf("of a removed cluster, %d metrics are sent", len(metrics))
		}
		for _, line := range produce(t, NewProducer(ProducerOptions{Fleet: fleet, Self: self, Version: "1.2.3"})) {
			if strings.Contains(line, "orders") {
				t.Errorf("still sent: %s", line)
			}
		}
	})
}

package otlp

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/otlptranslator"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/exposition"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/fleet"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/internal/collectortest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/self"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// translated writes OTLP data as Prometheus would show it, sorted. A series that
// has ended has no value.
func translated(t rapid.TB, parts []*metrics.ScopeMetrics) []string {
	t.Helper()
	namer := otlptranslator.NewMetricNamer("", otlptranslator.UnderscoreEscapingWithSuffixes)
	var lines []string
	for _, part := range parts {
		if part.Scope.Name != series.ScopeName || part.Scope.Version != "1.2.3" {
			t.Errorf("scope is %+v", part.Scope)
		}
		for _, m := range part.Metrics {
			var kind otlptranslator.MetricType = otlptranslator.MetricTypeGauge
			add := func(suffix string, pairs []*common.KeyValue, more string, flags uint32, value float64) {
				name, err := namer.Build(otlptranslator.Metric{Name: m.Name, Unit: m.Unit, Type: kind})
				if err != nil {
					t.Fatal(err)
				}
				var labels []string
				for _, kv := range pairs {
					labels = append(labels, fmt.Sprintf("%s=%s", kv.Key, strconv.Quote(kv.Value.GetStringValue())))
				}
				if more != "" {
					labels = append(labels, more)
				}
				line := name + suffix
				if len(labels) > 0 {
					line += "{" + strings.Join(labels, ",") + "}"
				}
				if flags == 0 {
					line += " " + strconv.FormatFloat(value, 'g', -1, 64)
				}
				lines = append(lines, line)
			}
			numbers := func(points []*metrics.NumberDataPoint) {
				for _, p := range points {
					if p.Flags != 0 && len(points) > 1 {
						t.Errorf("%s has a mark that is not alone", m.Name)
					}
					value := p.GetAsDouble()
					if _, whole := p.Value.(*metrics.NumberDataPoint_AsInt); whole {
						value = float64(p.GetAsInt())
					}
					if (p.Flags == 0) != (p.Value != nil) || p.TimeUnixNano == 0 {
						t.Errorf("%s: a point is %v", m.Name, p)
					}
					add("", p.Attributes, "", p.Flags, value)
				}
			}
			switch data := m.Data.(type) {
			case *metrics.Metric_Gauge:
				numbers(data.Gauge.DataPoints)
			case *metrics.Metric_Sum:
				kind = otlptranslator.MetricTypeMonotonicCounter
				if !data.Sum.IsMonotonic || data.Sum.AggregationTemporality != metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE {
					t.Errorf("%s is no counter", m.Name)
				}
				numbers(data.Sum.DataPoints)
				for _, p := range data.Sum.DataPoints {
					if p.StartTimeUnixNano == 0 || p.StartTimeUnixNano > p.TimeUnixNano {
						t.Errorf("%s counts from %v to %v", m.Name, p.StartTimeUnixNano, p.TimeUnixNano)
					}
				}
			case *metrics.Metric_Histogram:
				kind = otlptranslator.MetricTypeHistogram
				for _, p := range data.Histogram.DataPoints {
					add("_count", p.Attributes, "", p.Flags, float64(p.Count))
					add("_sum", p.Attributes, "", p.Flags, *p.Sum)
					var sum uint64
					for i, n := range p.BucketCounts {
						bound := "+Inf"
						if i < len(p.ExplicitBounds) {
							bound = strconv.FormatFloat(p.ExplicitBounds[i], 'g', -1, 64)
						}
						sum += n
						add("_bucket", p.Attributes, `le="`+bound+`"`, p.Flags, float64(sum))
					}
				}
			default:
				t.Errorf("%s is a %T", m.Name, data)
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func produce(t testing.TB, p *Producer) []string {
	t.Helper()
	return translated(t, slices.Collect(p.Produce(t.Context())))
}

func newSelf(t *testing.T, options self.Options) *self.Metrics {
	t.Helper()
	own, err := self.New(options)
	if err != nil {
		t.Fatal(err)
	}
	return own
}

// fleetOf returns a fleet of one cluster, orders.
func fleetOf(t *testing.T, options fleet.Options, observe func(context.Context, func(connect.Request)) (*connect.Snapshot, error)) *fleet.Fleet {
	f := fleet.New([]fleet.Cluster{{Name: "orders", Provider: connect.SelfManaged, Observer: &collectortest.Observer{T: t, Do: observe}}}, options)
	t.Cleanup(f.Close)
	return f
}

// scraped lists what Prometheus is served of results and of the exporter's own
// metrics, as far as they are sent over OTLP.
func scraped(t rapid.TB, own *self.Metrics, results []series.Result, allStates bool) []string {
	t.Helper()
	answer, err := exposition.NewRenderer(exposition.Options{AllStates: allStates}).Answer(context.Background(), results, nil, expfmt.FmtText, false)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := answer.Write(&text); err != nil {
		t.Fatal(err)
	}
	lines := collectortest.Lines(text.String())
	gathered, done, err := own.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	for _, line := range collectortest.Samples(t, gathered) {
		if strings.HasPrefix(line, "kafka_") && !strings.HasPrefix(line, "kafka_connect_exporter_build_info") {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
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
		var observed []series.Result
		observe := func(ctx context.Context, _ ...string) []series.Result {
			observed = watched.Observe(ctx)
			return observed
		}
		pushed := produce(t, New(Options{Observe: observe, Own: own.Collect, Version: "1.2.3", AllStates: func() bool { return all }}))
		collectortest.EqualLines(t, pushed, scraped(t, own, observed, all))
	}
}

// TestEndIsMarked: once when a series ends, again for ten minutes, and never as a
// value.
func TestEndIsMarked(t *testing.T) {
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
		producer := New(Options{Observe: watched.Observe, Own: own.Collect, Version: "1.2.3"})
		states := func(s *connect.Snapshot) []string {
			snapshot = s
			var lines []string
			for _, line := range produce(t, producer) {
				if strings.HasPrefix(line, "kafka_connect_connector_state{") || strings.HasPrefix(line, "kafka_connect_task_failure_info{") || strings.HasPrefix(line, "kafka_connect_worker_tasks{") {
					_, labels, _ := strings.Cut(line, `connect_cluster="orders",`)
					lines = append(lines, strings.NewReplacer(`"`, "", "state=", "", "}", "", "connector=", "").Replace(labels))
				}
			}
			return lines
		}
		expect := func(s *connect.Snapshot, want ...string) {
			t.Helper()
			collectortest.EqualLines(t, states(s), want)
		}
		expect(collectortest.Cluster("a:running 0:failed@w1", "b:running"), "a,running 1", "b,running 1", "a,exception=E,root_cause=R,task=0 1", "worker=w1 1")
		expect(collectortest.Cluster("a:paused 0:running@w2"), "a,paused 1", "a,running", "b,running", "a,exception=E,root_cause=R,task=0", "worker=w1", "worker=w2 1")
		time.Sleep(5 * time.Minute)
		// Nothing is known of a cluster that does not answer, as on /metrics.
		err = connect.Timeout
		expect(nil, "a,paused", "a,running", "b,running", "a,exception=E,root_cause=R,task=0", "worker=w1", "worker=w2")
		time.Sleep(4 * time.Minute)
		expect(nil, "a,paused", "a,running", "b,running", "a,exception=E,root_cause=R,task=0", "worker=w1", "worker=w2")
		err = nil
		expect(collectortest.Cluster("a:running 0:running@w2"), "a,paused", "a,running 1", "b,running", "a,exception=E,root_cause=R,task=0", "worker=w1", "worker=w2 1")
		time.Sleep(time.Minute)
		expect(collectortest.Cluster("a:running 0:running@w2"), "a,paused", "a,running 1", "worker=w2 1")
		time.Sleep(5 * time.Minute)
		expect(collectortest.Cluster("a:running 0:running@w2"), "a,running 1", "worker=w2 1")
		// A listed connector that is not observed has no series either.
		expect(collectortest.Cluster("?a"), "a,running", "worker=w2")
		err = connect.Timeout
		expect(nil, "a,running", "worker=w2")
		time.Sleep(10 * time.Minute)
		expect(nil)
		if n := producer.retention.kept; n != 0 || producer.retention.clusters["orders"].base.Snapshot != nil {
			t.Errorf("%d series are kept after all has ended", n)
		}
	})
}

// TestEndOfACluster: what is no longer configured has ended, what was recorded of
// it too.
func TestEndOfACluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := newSelf(t, self.Options{Version: "1.2.3"})
		cluster := func(name string) fleet.Cluster {
			return fleet.Cluster{Name: name, Provider: connect.SelfManaged, Observer: collectortest.Constantly(t, collectortest.Small())}
		}
		stays := cluster("stays")
		watched := fleet.New([]fleet.Cluster{stays, cluster("goes")}, fleet.Options{Recorder: own.Instruments()})
		defer watched.Close()
		producer := New(Options{Observe: watched.Observe, Own: own.Collect, Version: "1.2.3"})
		of := func(ended bool) (lines []string) {
			for _, line := range produce(t, producer) {
				if strings.Contains(line, `connect_cluster="goes"`) && strings.HasSuffix(line, "}") == ended {
					lines = append(lines, strings.TrimRight(line, "0123456789.e+- "))
				} else if strings.HasSuffix(line, "}") {
					t.Errorf("ended: %s", line)
				}
			}
			return lines
		}
		live := of(false)
		watched.Replace([]fleet.Cluster{stays})
		for range 2 {
			if marked := of(true); len(live) < 50 || !slices.Equal(live, marked) {
				t.Errorf("of\n%s\nmarked are\n%s", strings.Join(live, "\n"), strings.Join(marked, "\n"))
			}
			time.Sleep(5*time.Minute - time.Second)
		}
		// It comes back, and goes.
		watched.Replace([]fleet.Cluster{stays, cluster("goes")})
		if again := of(false); !slices.Equal(live, again) {
			t.Errorf("of\n%s\ncame back\n%s", strings.Join(live, "\n"), strings.Join(again, "\n"))
		}
		watched.Replace([]fleet.Cluster{stays})
		if marked := of(true); !slices.Equal(live, marked) {
			t.Errorf("of\n%s\nmarked are\n%s", strings.Join(live, "\n"), strings.Join(marked, "\n"))
		}
		time.Sleep(10 * time.Minute)
		if late := of(true); len(late) > 0 || producer.retention.kept != 0 || len(producer.retention.clusters) != 1 {
			t.Errorf("after ten minutes %d series are kept and %q sent", producer.retention.kept, late)
		}
	})
}

// TestLabelsOfACluster: they stand on all of its series, and other labels are
// other series.
func TestLabelsOfACluster(t *testing.T) {
	own := newSelf(t, self.Options{Version: "1.2.3"})
	observer := collectortest.Constantly(t, collectortest.Small())
	labelled := func(team string) []fleet.Cluster {
		return []fleet.Cluster{{Name: "orders", Provider: connect.SelfManaged, Observer: observer, Labels: map[string]string{"team": team, "a": "b"}}}
	}
	watched := fleet.New(labelled("x"), fleet.Options{Recorder: own.Instruments()})
	defer watched.Close()
	producer := New(Options{Observe: watched.Observe, Own: own.Collect, Version: "1.2.3"})
	count := func(team string) (live, ended int) {
		for _, line := range produce(t, producer) {
			switch {
			case !strings.Contains(line, "connect_cluster="):
			case !strings.Contains(line, `{a="b",`), !strings.Contains(line, `team="`):
				t.Errorf("labels are missing: %s", line)
			case strings.HasSuffix(line, "}"):
				ended++
			case !strings.Contains(line, fmt.Sprintf("team=%q", team)):
				t.Errorf("other labels: %s", line)
			default:
				live++
			}
		}
		return live, ended
	}
	n, ended := count("x")
	if n < 50 || ended != 0 {
		t.Errorf("%d series, %d have ended", n, ended)
	}
	watched.Replace(labelled("y"))
	if live, ended := count("y"); live != n || ended != n {
		t.Errorf("%d series and %d that have ended, not %d", live, ended, n)
	}
}

// TestEndsAreBounded: what cannot be kept has its end told once.
func TestEndsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := newSelf(t, self.Options{Version: "1.2.3"})
		snapshot := collectortest.Large(100, 4)
		watched := fleetOf(t, fleet.Options{Recorder: own.Instruments()}, func(context.Context, func(connect.Request)) (*connect.Snapshot, error) { return snapshot, nil })
		producer := New(Options{Observe: watched.Observe, Own: own.Collect, Version: "1.2.3"})
		const most = 500
		producer.retention.most = most
		marks := func() (n int) {
			for part := range producer.Produce(t.Context()) {
				for _, m := range part.Metrics {
					for _, p := range append(m.GetGauge().GetDataPoints(), m.GetSum().GetDataPoints()...) {
						if p.Flags == noValue {
							n++
						}
					}
				}
			}
			return n
		}
		if n := marks(); n != 0 {
			t.Errorf("%d have ended at first", n)
		}
		snapshot = collectortest.Cluster()
		if n := marks(); n < 1000 {
			t.Errorf("only %d are marked", n)
		}
		if n := marks(); n != most {
			t.Errorf("%d are marked again, not %d", n, most)
		}
		watched.Replace(nil)
		if n := marks(); n < most || n > most+100 {
			t.Errorf("%d are marked when the cluster goes", n)
		}
		if n := marks(); n != most {
			t.Errorf("%d are marked although they cannot be kept", n)
		}
		time.Sleep(series.Retention)
		if n := marks(); n != 0 || producer.retention.kept != 0 || len(producer.retention.clusters) != 0 {
			t.Errorf("%d are marked, %d kept after ten minutes", n, producer.retention.kept)
		}
	})
}

// TestPartsFitInARequest: by number, and by bytes where names are long.
func TestPartsFitInARequest(t *testing.T) {
	own := newSelf(t, self.Options{Version: "1.2.3"})
	for _, length := range []int{1, 1000} {
		snapshot := collectortest.Large(1000, 4)
		for i := range snapshot.Connectors {
			snapshot.Connectors[i].Name += strings.Repeat("n", length)
		}
		watched := fleetOf(t, fleet.Options{}, func(context.Context, func(connect.Request)) (*connect.Snapshot, error) { return snapshot, nil })
		producer := New(Options{Observe: watched.Observe, Own: own.Collect, Version: "1.2.3"})
		n := 0
		for part := range producer.Produce(t.Context()) {
			points := 0
			for _, m := range part.Metrics {
				points += len(m.GetGauge().GetDataPoints()) + len(m.GetSum().GetDataPoints())
			}
			if size := proto.Size(part); points > maxPoints || size > 5*maxBytes/4 {
				t.Errorf("a part has %d points and %d bytes", points, size)
			}
			n += points
		}
		if n < 1000*(4+4*2) {
			t.Errorf("only %d points", n)
		}
		// Who wants no more gets no more, and the next export begins anew.
		for range producer.Produce(t.Context()) {
			break
		}
	}
}

// TestCountersBeginOnce: the time that a counter began at is that of its cluster's
// first snapshot, whoever is sent it since when.
func TestCountersBeginOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := newSelf(t, self.Options{Version: "1.2.3"})
		watched := fleetOf(t, fleet.Options{Recorder: own.Instruments()}, func(context.Context, func(connect.Request)) (*connect.Snapshot, error) {
			return collectortest.Small(), nil
		})
		begun := uint64(time.Now().UnixNano())
		watched.Observe(t.Context())
		for range 2 {
			time.Sleep(time.Hour)
			for part := range New(Options{Observe: watched.Observe, Own: own.Collect, Version: "1.2.3"}).Produce(t.Context()) {
				for _, m := range part.Metrics {
					for _, p := range m.GetSum().GetDataPoints() {
						if p.StartTimeUnixNano > begun {
							t.Errorf("%s begins %v later", m.Name, time.Duration(p.StartTimeUnixNano-begun))
						}
					}
				}
			}
		}
	})
}

// TestPushEnds: one that is told to end while a cluster is asked sends nothing more,
// forgets nothing, and has nothing to complain of.
func TestPushEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		own := newSelf(t, self.Options{Version: "1.2.3"})
		watched := fleetOf(t, fleet.Options{Recorder: own.Instruments()}, func(context.Context, func(connect.Request)) (*connect.Snapshot, error) {
			time.Sleep(time.Second)
			return collectortest.Small(), nil
		})
		producer := New(Options{Observe: watched.Observe, Own: own.Collect, Version: "1.2.3", Logger: slog.New(slog.NewTextHandler(&log, nil))})
		produce(t, producer)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second/2, cancel)
		for part := range producer.Produce(ctx) {
			t.Errorf("sent: %d metrics", len(part.Metrics))
		}
		for _, line := range produce(t, producer) {
			if strings.HasSuffix(line, "}") {
				t.Errorf("told as ended: %s", line)
			}
		}
		if log.Len() > 0 {
			t.Errorf("logged: %s", &log)
		}
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
		// The last export, which has a deadline, has half of it left to be sent.
		start = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		for range New(Options{Observe: watched.Observe, Own: own.Collect, Version: "1.2.3"}).Produce(ctx) {
		}
		if took := time.Since(start); took > 1500*time.Millisecond {
			t.Errorf("took %v of 3s", took)
		}
		// One that is removed is not sent as down.
		watched.Replace(nil)
		for _, line := range produce(t, New(Options{Observe: watched.Observe, Own: own.Collect, Version: "1.2.3"})) {
			if strings.Contains(line, "orders") {
				t.Errorf("still sent: %s", line)
			}
		}
	})
}

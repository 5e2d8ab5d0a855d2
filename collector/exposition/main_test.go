package exposition

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"go.uber.org/goleak"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/internal/collectortest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/internal/testmain"
)

func TestMain(m *testing.M) {
	testmain.Draw(30) // Each is a history of whole scrapes.
	goleak.VerifyTestMain(m)
}

// resultOf returns a result as the first successful snapshot of a cluster yields it.
func resultOf(cluster string, snapshot *connect.Snapshot) series.Result {
	var h series.History
	return series.Result{
		Cluster: cluster, Provider: snapshot.Provider, Snapshot: snapshot, At: snapshot.Taken, Duration: time.Second,
		History: h.Next(snapshot, snapshot.Taken),
	}
}

// linesOf are the samples of results as a scraper is given them, by family.
func linesOf(t testing.TB, r *Renderer, results ...series.Result) []string {
	t.Helper()
	answer, err := r.Answer(t.Context(), results, nil, expfmt.FmtText, false)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := answer.Write(&text); err != nil {
		t.Fatal(err)
	}
	lines := collectortest.Lines(text.String())
	slices.SortStableFunc(lines, func(a, b string) int {
		return strings.Compare(a[:strings.IndexByte(a, '{')], b[:strings.IndexByte(b, '{')])
	})
	return lines
}

// reference are the families of results, by way of the library's types: what an
// answer is held against.
func reference(results []series.Result, allStates bool) []*dto.MetricFamily {
	families := map[series.Family]*dto.MetricFamily{}
	for _, r := range series.Sorted(results) {
		w := series.Walk{AllStates: allStates, Emit: func(f series.Family, value float64, l series.Labels) {
			d := f.Descriptor()
			if families[f] == nil {
				families[f] = &dto.MetricFamily{Name: &d.Name, Help: &d.Help, Type: dtoType(d.Kind).Enum()}
			}
			m := &dto.Metric{Gauge: &dto.Gauge{Value: &value}}
			if d.Kind == series.Counter {
				m = &dto.Metric{Counter: &dto.Counter{Value: &value}}
			}
			id := r.Identity()
			for _, label := range f.Append(nil, &id, &l) {
				m.Label = append(m.Label, &dto.LabelPair{Name: &label.Name, Value: &label.Value})
			}
			families[f].Metric = append(families[f].Metric, m)
		}}
		summary := r.Summary()
		w.Result(r, &summary)
	}
	return slices.SortedFunc(maps.Values(families), func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
}

// TestResultsDoNotChange: what a result holds stays as it is while more
// snapshots follow.
func TestResultsDoNotChange(t *testing.T) {
	var history series.History
	history = history.Next(collectortest.Cluster("a:running 0:running", "b:running"), collectortest.Taken)
	newest := collectortest.Cluster("a:failed 0:running", "b:running")
	history = history.Next(newest, collectortest.Taken)
	result := series.Result{Cluster: "c", Snapshot: newest, History: history}
	shown := func() []string { return linesOf(t, NewRenderer(Options{}), result) }
	before := shown()
	history = history.Next(collectortest.Cluster("a:running 0:failed", "aa:running"), collectortest.Taken.Add(time.Minute))
	history.Next(collectortest.Cluster(), collectortest.Taken.Add(time.Hour))
	if after := shown(); !slices.Equal(before, after) {
		t.Errorf("a result changed from\n%s\nto\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	if want := `kafka_connect_connector_state_changes_total{connect_cluster="c",connector="a"} 1`; !slices.Contains(before, want) {
		t.Errorf("missing: %s", want)
	}
}

package exposition

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/internal/collectortest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// decodeAnswer writes an answer, unpacks it and reads the families back, sorted
// by name; OpenMetrics, for which expfmt has no parser, as text.
func decodeAnswer(t rapid.TB, a *Answer, format expfmt.Format, compressed bool) string {
	t.Helper()
	var out bytes.Buffer
	if err := a.Write(&out); err != nil {
		t.Fatal(err)
	}
	if out.Len() != a.Size() {
		t.Errorf("%d bytes, said to be %d", out.Len(), a.Size())
	}
	var in io.Reader = &out
	if compressed {
		unpacked, err := gzip.NewReader(&out)
		if err != nil {
			t.Fatal(err)
		}
		in = unpacked
	}
	text, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return readBack(t, text, format)
}

func readBack(t rapid.TB, text []byte, format expfmt.Format) string {
	t.Helper()
	if format.FormatType() == expfmt.TypeOpenMetrics {
		return byFamily(t, text)
	}
	decoder := expfmt.NewDecoder(bytes.NewReader(text), format)
	families := map[string]*dto.MetricFamily{}
	for {
		var f dto.MetricFamily
		err := decoder.Decode(&f)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%.2000s", err, text)
		}
		if families[f.GetName()] != nil {
			t.Errorf("%s is there twice", f.GetName())
		}
		families[f.GetName()] = &f
	}
	var out bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(families)) {
		data, err := proto.MarshalOptions{Deterministic: true}.Marshal(families[name])
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s %q\n", name, data)
	}
	return out.String()
}

// byFamily sorts the families of an OpenMetrics text.
func byFamily(t rapid.TB, text []byte) string {
	t.Helper()
	body, found := bytes.CutSuffix(text, []byte("# EOF\n"))
	if !found {
		t.Fatalf("no end in %.2000s", text)
	}
	families := bytes.Split(body, []byte("# HELP "))
	slices.SortFunc(families, bytes.Compare)
	return string(bytes.Join(families, nil))
}

var formats = []expfmt.Format{
	expfmt.NewFormat(expfmt.TypeTextPlain), expfmt.NewFormat(expfmt.TypeOpenMetrics), expfmt.NewFormat(expfmt.TypeProtoDelim),
}

// Whatever happens to the clusters, what is remembered gives the answers that
// rendering everything anew gives.
func TestAnswersAreTheFamilies(t *testing.T) {
	further := []*dto.MetricFamily{{
		Name: new("go_goroutines"), Help: new("x"), Type: dto.MetricType_GAUGE.Enum(),
		Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: proto.Float64(7)}}},
	}}
	rapid.Check(t, func(r *rapid.T) {
		options := Options{AllStates: rapid.Bool().Draw(r, "all states")}
		renderer := NewRenderer(options)
		renderer.kept.usualBlock = 3
		histories := map[string]series.History{}
		snapshots := map[string]*connect.Snapshot{}
		for range rapid.IntRange(1, 8).Draw(r, "scrapes") {
			var results []series.Result
			for _, name := range []string{"b", "a"} {
				snapshot := drawNext(r, snapshots[name])
				snapshots[name] = snapshot
				result := series.Result{Cluster: name, Provider: connect.SelfManaged}
				if rapid.IntRange(0, 5).Draw(r, "fails") > 0 {
					history := histories[name]
					histories[name] = history.Next(snapshot, time.Now())
					result.Snapshot, result.History = snapshot, histories[name]
				}
				results = append(results, result)
			}
			format, compressed := rapid.SampledFrom(formats).Draw(r, "format"), rapid.Bool().Draw(r, "compressed")
			var want bytes.Buffer
			encoder := expfmt.NewEncoder(&want, format)
			for _, f := range append(renderer.Families(results), further...) {
				if err := encoder.Encode(f); err != nil {
					r.Fatal(err)
				}
			}
			if err := encoder.(expfmt.Closer).Close(); err != nil {
				r.Fatal(err)
			}
			answer, err := renderer.Answer(results, further, format, compressed)
			if err != nil {
				r.Fatal(err)
			}
			if got, want := decodeAnswer(r, answer, format, compressed), readBack(r, want.Bytes(), format); got != want {
				r.Fatalf("%s: got\n%s\nwant\n%s", format, got, want)
			}
		}
	})
}

// drawNext draws what follows a snapshot: the same, or one that differs in
// some connectors.
func drawNext(r *rapid.T, before *connect.Snapshot) *connect.Snapshot {
	if before == nil {
		before = collectortest.Large(rapid.IntRange(0, 12).Draw(r, "connectors"), 2)
	}
	next := *before
	switch rapid.SampledFrom([]string{"same memory", "alike", "change", "change", "remove", "add", "no tasks"}).Draw(r, "step") {
	case "same memory":
		return &next
	case "remove":
		if n := len(before.Connectors); n > 0 {
			at := rapid.IntRange(0, n-1).Draw(r, "at")
			next.Connectors = slices.Delete(slices.Clone(before.Connectors), at, at+1)
		}
		return &next
	case "add":
		next.Connectors = append(slices.Clone(before.Connectors), connect.Connector{
			Name: rapid.StringN(1, 5, 20).Draw(r, "name"), State: connect.StateRunning,
		})
		connect.SortConnectors(next.Connectors)
		next.Connectors = slices.CompactFunc(next.Connectors, func(a, b connect.Connector) bool { return a.Name == b.Name })
		return &next
	case "no tasks":
		next.HasTasks = !next.HasTasks
	}
	next.Connectors = slices.Clone(before.Connectors)
	for i := range next.Connectors {
		next.Connectors[i].Tasks = slices.Clone(next.Connectors[i].Tasks)
	}
	if len(next.Connectors) == 0 {
		return &next
	}
	c := &next.Connectors[rapid.IntRange(0, len(next.Connectors)-1).Draw(r, "changed")]
	switch rapid.IntRange(0, 6).Draw(r, "what") {
	case 0:
		c.State = connect.StatePaused
	case 1:
		c.Class += "X"
	case 2:
		c.TasksMax++
	case 3:
		c.TaskCount++
	case 4:
		c.Failure = connect.Failure{Exception: "a.B", RootCause: "c.D"}
	case 5:
		if len(c.Tasks) > 0 {
			c.Tasks[0].Worker = "elsewhere"
		}
	}
	return &next
}

// What does not change is not encoded again, and allocates nothing for each
// connector.
func TestSteadyAnswer(t *testing.T) {
	for _, compressed := range []bool{false, true} {
		allocations := func(connectors int) float64 {
			renderer := NewRenderer(Options{})
			results := []series.Result{resultOf("a", collectortest.Large(connectors, 4))}
			return testing.AllocsPerRun(5, func() {
				if _, err := renderer.Answer(results, nil, formats[0], compressed); err != nil {
					t.Fatal(err)
				}
			})
		}
		if few, many := allocations(100), allocations(10_000); many > few+20 {
			t.Errorf("compressed %v: %v allocations for 100 connectors, %v for 10,000", compressed, few, many)
		}
	}
}

// One connector that changes costs its block, not all.
func TestOneChangeEncodesOneBlock(t *testing.T) {
	renderer := NewRenderer(Options{})
	snapshot := collectortest.Large(10_000, 1)
	encode := func(s *connect.Snapshot) map[*encodedBlock]bool {
		result := resultOf("a", s)
		blocks, err := renderer.encodedBlocks(&result, encoding{format: formats[0]}, new(time.Duration))
		if err != nil {
			t.Fatal(err)
		}
		set := map[*encodedBlock]bool{}
		for _, r := range blocks {
			set[r] = true
		}
		return set
	}
	before := encode(snapshot)
	changed := *snapshot
	changed.Connectors = slices.Clone(snapshot.Connectors)
	changed.Connectors[5000].State = connect.StatePaused
	after := encode(&changed)
	fresh := 0
	for r := range after {
		if !before[r] {
			fresh++
		}
	}
	if fresh != 1 || len(after) != len(before) || len(after) < 20 {
		t.Errorf("%d of %d blocks are encoded anew", fresh, len(after))
	}
}

// What nobody asks for any more is forgotten.
func TestRendererForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		renderer := NewRenderer(Options{})
		ask := func(cluster string, compressed bool) {
			if _, err := renderer.Answer([]series.Result{resultOf(cluster, collectortest.Large(3, 1))}, nil, formats[0], compressed); err != nil {
				t.Fatal(err)
			}
		}
		ask("gone", true)
		ask("stays", true)
		time.Sleep(series.Retention)
		ask("stays", false)
		if len(renderer.kept.clusters) != 1 || len(renderer.kept.asked) != 1 {
			t.Errorf("%d clusters, %d encodings", len(renderer.kept.clusters), len(renderer.kept.asked))
		}
		for _, r := range renderer.kept.clusters["stays"].blocks {
			if len(r.encoded) != 1 {
				t.Errorf("a block has %d encodings", len(r.encoded))
			}
		}
	})
}

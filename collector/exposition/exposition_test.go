package exposition

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
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

var formats = []expfmt.Format{expfmt.FmtText, expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtProtoDelim}

func answerOf(t rapid.TB, r *Renderer, results []series.Result, further []*dto.MetricFamily, format expfmt.Format, compressed bool) *Answer {
	t.Helper()
	answer, err := r.Answer(context.Background(), results, further, format, compressed)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func gauge(name string, value float64) *dto.MetricFamily {
	return &dto.MetricFamily{
		Name: &name, Help: new("x"), Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: &value}}},
	}
}

// Whatever happens to the clusters, and whichever of them are asked for, what is
// kept gives the answers that the library gives for all series made anew.
func TestAnswersAreTheFamilies(t *testing.T) {
	further := []*dto.MetricFamily{gauge("go_goroutines", 7)}
	compressors := &sync.Pool{New: newCompressor} // They take longer to make than to use.
	rapid.Check(t, func(r *rapid.T) {
		all := rapid.Bool().Draw(r, "all states")
		renderer := NewRenderer(Options{AllStates: all})
		renderer.usual, renderer.compressors = 4, compressors
		names := []string{"d", "b", "a", "c"}[:rapid.IntRange(1, 4).Draw(r, "clusters")]
		histories := map[string]series.History{}
		snapshots := map[string]*connect.Snapshot{}
		for range rapid.IntRange(1, 8).Draw(r, "scrapes") {
			asked := names
			if rapid.IntRange(0, 3).Draw(r, "probe") == 0 {
				asked = []string{rapid.SampledFrom(names).Draw(r, "cluster")}
			}
			var results []series.Result
			for _, name := range asked {
				snapshot := drawNext(r, snapshots[name])
				snapshots[name] = snapshot
				result := series.Result{Cluster: name, Provider: connect.SelfManaged}
				if rapid.IntRange(0, 9).Draw(r, "labelled") == 0 {
					result.Labels = []series.Label{{Name: "team", Value: rapid.SampledFrom([]string{"a", "b"}).Draw(r, "team")}}
				}
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
			for _, f := range append(reference(results, all), further...) {
				if err := encoder.Encode(f); err != nil {
					r.Fatal(err)
				}
			}
			if err := encoder.(expfmt.Closer).Close(); err != nil {
				r.Fatal(err)
			}
			answer := answerOf(r, renderer, results, further, format, compressed)
			if got, want := decodeAnswer(r, answer, format, compressed), readBack(r, want.Bytes(), format); got != want {
				r.Fatalf("%s: got\n%s\nwant\n%s", format, got, want)
			}
		}
	})
}

// Whatever labels and values hold, each syntax is the library's.
func TestSyntaxesAreTheLibrarys(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		format := rapid.SampledFrom(formats).Draw(r, "format")
		syntax, err := syntaxOf(format)
		if err != nil {
			r.Fatal(err)
		}
		f := rapid.SampledFrom(series.Families()).Draw(r, "family")
		d := f.Descriptor()
		if d.Kind == series.Histogram || d.Group == series.GroupExporter {
			r.Skip("the walk has none of these")
		}
		text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", `\`, `"`, "\n", "a\\b\"c\nd\r"}))
		var s sheet
		s.reset(syntax)
		want := &dto.MetricFamily{Name: &d.Name, Help: &d.Help, Type: dtoType(d.Kind).Enum()}
		for range rapid.IntRange(1, 3).Draw(r, "series") {
			cluster, value := text.Draw(r, "cluster"), rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, 1, -1, 12, 1e21, math.NaN(), math.Inf(1), math.Inf(-1)})).Draw(r, "value")
			id := series.Identity{Cluster: cluster}
			if rapid.Bool().Draw(r, "labelled") {
				id.Labels = []series.Label{{Name: "a_team", Value: text.Draw(r, "team")}, {Name: "zone", Value: "z"}}
			}
			var l series.Labels
			for i := range l {
				l[i] = text.Draw(r, "label")
			}
			if d.Dynamic { // What is packed into one value has names that may stand there.
				l[len(d.Labels)-1] = "label_owner\xff" + strings.ToValidUTF8(text.Draw(r, "owner"), "") + "\xff"
			}
			m := &dto.Metric{Gauge: &dto.Gauge{Value: &value}}
			if d.Kind == series.Counter {
				m = &dto.Metric{Counter: &dto.Counter{Value: &value}}
			}
			for _, label := range f.Append(nil, &id, &l) {
				m.Label = append(m.Label, &dto.LabelPair{Name: &label.Name, Value: &label.Value})
			}
			want.Metric = append(want.Metric, m)
			s.cluster = id
			s.add(f, value, l)
		}
		got := append(appendHeader(nil, syntax, d, len(s.families[f])), s.families[f]...)
		var encoded bytes.Buffer
		if err := expfmt.NewEncoder(&encoded, format).Encode(want); err != nil {
			r.Fatal(err)
		}
		if !bytes.Equal(got, encoded.Bytes()) {
			r.Fatalf("%s: got\n%s\nwant\n%s", format, got, encoded.Bytes())
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

// What does not change is not written again, and allocates nothing for each
// connector.
func TestSteadyAnswer(t *testing.T) {
	for _, compressed := range []bool{false, true} {
		allocations := func(connectors int) float64 {
			renderer := NewRenderer(Options{})
			results := []series.Result{resultOf("a", collectortest.Large(connectors, 4))}
			return testing.AllocsPerRun(5, func() {
				if err := answerOf(t, renderer, results, nil, formats[0], compressed).Write(io.Discard); err != nil {
					t.Fatal(err)
				}
			})
		}
		if few, many := allocations(300), allocations(3000); many > few+300 {
			t.Errorf("compressed %v: %v allocations for 300 connectors, %v for 3,000", compressed, few, many)
		}
	}
}

// partsOf is the memory of what is kept of a cluster with many connectors, or of
// the first of a group.
func partsOf(r *Renderer, k key, s syntax) map[*written]bool {
	set := map[*written]bool{}
	for _, b := range r.kept[k].blocks {
		set[b.written[s]] = true
	}
	return set
}

// One connector that changes costs its block, not all.
func TestOneChangeWritesOneBlock(t *testing.T) {
	renderer := NewRenderer(Options{})
	snapshot := collectortest.Large(10_000, 1)
	write := func(s *connect.Snapshot) map[*written]bool {
		answerOf(t, renderer, []series.Result{resultOf("a", s)}, nil, formats[0], true)
		return partsOf(renderer, key{"a", false}, textSyntax)
	}
	// One that comes or goes seldom moves the ends of some blocks near it.
	changed := func(most int, change func(s *connect.Snapshot)) {
		t.Helper()
		before := write(snapshot)
		next := *snapshot
		next.Connectors = slices.Clone(snapshot.Connectors)
		change(&next)
		after := write(&next)
		fresh := 0
		for w := range after {
			if !before[w] {
				fresh++
			}
		}
		if fresh < 1 || fresh > most || len(after) < 10 {
			t.Errorf("%d of %d blocks are written anew", fresh, len(after))
		}
	}
	changed(1, func(s *connect.Snapshot) { s.Connectors[5000].State = connect.StatePaused })
	changed(4, func(s *connect.Snapshot) {
		s.Connectors = slices.Insert(s.Connectors, 5000, connect.Connector{Name: s.Connectors[4999].Name + "0"})
	})
	changed(4, func(s *connect.Snapshot) { s.Connectors = slices.Delete(s.Connectors, 5000, 5001) })
}

// Clusters that have few connectors have blocks together, one with many has the
// same ones whoever asks.
func TestBlocksOfManyClusters(t *testing.T) {
	renderer := NewRenderer(Options{})
	var results []series.Result
	for i := range 100 {
		results = append(results, resultOf(fmt.Sprintf("small-%d", i), collectortest.Large(10, 1)))
	}
	results = append(results, resultOf("large", collectortest.Large(3000, 1)))
	answerOf(t, renderer, results, nil, formats[0], true)
	of := partsOf(renderer, key{"large", false}, textSyntax)
	blocks := 0
	for _, k := range renderer.kept {
		blocks += len(k.blocks)
	}
	// Some eight; where a seed lets a block end at a name, each cluster has that name.
	if small := blocks - len(of); small > 30 {
		t.Errorf("1,000 connectors of 100 clusters are in %d blocks", small)
	}
	answerOf(t, renderer, results[100:], nil, formats[0], true)
	if got := partsOf(renderer, key{"large", false}, textSyntax); !maps.Equal(got, of) {
		t.Error("whoever asks for the cluster alone gets blocks that are not those of all")
	}
}

// A block is bounded by its tasks, too: what is written at once takes memory and
// time.
func TestBlocksOfManyTasks(t *testing.T) {
	snapshot := collectortest.Large(10, 5000)
	snapshot.Connectors[4] = collectortest.Large(1, 20_000).Connectors[0]
	snapshot.Connectors[4].Name = "orders-sink-000004"
	result := resultOf("a", snapshot)
	connectors := 0
	for _, b := range divide([]*series.Result{&result}, maphash.MakeSeed(), usualBlock, nil) {
		tasks, n := 0, 0
		for _, s := range b.stretches {
			n += len(s.connectors)
			for i := range s.connectors {
				tasks += len(s.connectors[i].Tasks)
			}
		}
		if connectors += n; n > 1 && tasks > largestTasks*usualBlock {
			t.Errorf("%d tasks of %d connectors are in a block", tasks, n)
		}
	}
	if connectors != 10 {
		t.Errorf("%d connectors", connectors)
	}
}

// What is kept is bounded whatever scrapers ask for, and goes when nobody does.
func TestKeptIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		renderer := NewRenderer(Options{})
		results := []series.Result{resultOf("a", collectortest.Large(2000, 4)), resultOf("b", collectortest.Large(3, 1))}
		size := func() (bytes int) {
			for _, k := range renderer.kept {
				for _, b := range k.blocks {
					for _, w := range b.written {
						if w == nil {
							continue
						}
						bytes += cap(w.whole.bytes)
						for f := range w.families {
							bytes += cap(w.families[f].bytes)
						}
					}
				}
			}
			return bytes
		}
		plain := 0
		for i := range 50 {
			for _, format := range Formats() {
				for _, escaping := range []string{"allow-utf-8", "underscores", "dots", "values", strconv.Itoa(i)} {
					answer := answerOf(t, renderer, results, nil, format+expfmt.Format("; escaping="+escaping), i%2 == 0)
					plain = max(plain, plainSize(answer.parts))
				}
			}
		}
		if kept := size(); kept > 3*plain/10 {
			t.Errorf("%d bytes are kept of answers of at most %d", kept, plain)
		}
		time.Sleep(series.Retention)
		answerOf(t, renderer, results[1:], nil, formats[0], true)
		if kept := size(); len(renderer.kept) != 1 || kept > 2000 {
			t.Errorf("%d bytes of %d groups are kept of what nobody asks for", kept, len(renderer.kept))
		}
	})
}

// A family that has two sources is an error, never there twice.
func TestFamilyOfTwoSources(t *testing.T) {
	renderer := NewRenderer(Options{})
	results := []series.Result{resultOf("a", collectortest.Small())}
	for _, further := range [][]*dto.MetricFamily{
		{gauge("kafka_connect_up", 1)}, {gauge("kafka_connect_task_state", 1)}, {gauge("x", 1), gauge("y", 1), gauge("x", 1)},
	} {
		if _, err := renderer.Answer(t.Context(), results, further, formats[0], true); err == nil || !strings.Contains(err.Error(), "two sources") {
			t.Errorf("%v: %v", further, err)
		}
	}
}

// Whatever the format, every exporter's go_memstats_alloc_bytes and its _total are
// there, and OpenMetrics has no name twice, for which parsers refuse it.
func TestAllocBytes(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector())
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range formats {
		text := decodeAnswer(t, answerOf(t, NewRenderer(Options{}), nil, families, format, false), format, false)
		for _, name := range []string{"go_memstats_alloc_bytes ", "go_memstats_alloc_bytes_total ", "go_memstats_heap_alloc_bytes ", "go_memstats_frees_total "} {
			if !strings.Contains(text, "\n"+name) {
				t.Errorf("%s: no %sin\n%s", format, name, text)
			}
		}
		if format != expfmt.FmtOpenMetrics_1_0_0 {
			continue
		}
		seen := map[string]bool{}
		for line := range strings.Lines(text) {
			words := strings.Fields(line)
			if len(words) != 4 || words[1] != "TYPE" {
				continue
			}
			names := []string{words[2]}
			if words[3] == "counter" {
				names = append(names, words[2]+"_total", words[2]+"_created")
			}
			for _, name := range names {
				if seen[name] {
					t.Errorf("%s is there twice", name)
				}
				seen[name] = true
			}
		}
		if !seen["go_memstats_frees_total"] || !seen["go_memstats_alloc_bytes_total"] {
			t.Errorf("counters are missing in\n%s", text)
		}
	}
}

// A dying context ends so many blocks later.
type dying struct {
	context.Context
	left int
}

func (d *dying) Err() error {
	if d.left--; d.left < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// An answer that takes too long ends, and what was made of it is there for the
// next.
func TestAnswerEndsWithItsContext(t *testing.T) {
	renderer := NewRenderer(Options{})
	results := []series.Result{resultOf("a", collectortest.Large(5000, 1))}
	dead, cancel := context.WithCancelCause(t.Context())
	cancel(io.ErrUnexpectedEOF)
	if _, err := renderer.Answer(dead, results, nil, formats[0], true); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	tries := 0
	for ; ; tries++ {
		if _, err := renderer.Answer(&dying{t.Context(), 3}, results, nil, formats[0], true); err == nil {
			break
		}
	}
	if tries < 2 || tries > 10 {
		t.Errorf("%d tries", tries)
	}
	// Nobody waits beyond his own deadline for another who renders.
	renderer.kept[key{"a", false}].lock <- struct{}{}
	if _, err := renderer.Answer(dead, results, nil, formats[0], true); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

// What no scraper is offered is an error, not another format.
func TestUnknownFormat(t *testing.T) {
	if _, err := NewRenderer(Options{}).Answer(t.Context(), nil, nil, expfmt.FmtProtoText, false); err == nil {
		t.Error("no error")
	}
}

// Of many small clusters one that hangs, or is gone, costs the blocks that it is in,
// and not those of all that come after it.
func TestOneClusterMovesNoOthers(t *testing.T) {
	renderer := NewRenderer(Options{})
	var results []series.Result
	for i := range 400 {
		results = append(results, resultOf(fmt.Sprintf("small-%03d", i), collectortest.Large(20, 1)))
	}
	blocks := func(results []series.Result) map[*written]bool {
		answerOf(t, renderer, results, nil, formats[0], true)
		all := map[*written]bool{}
		for _, group := range groups(series.Sorted(results), renderer.seed, renderer.usual) {
			maps.Copy(all, partsOf(renderer, keyOf(group), textSyntax))
		}
		return all
	}
	before := blocks(results)
	after := blocks(slices.Delete(slices.Clone(results), 200, 201))
	fresh := 0
	for w := range after {
		if !before[w] {
			fresh++
		}
	}
	// Where blocks end differs by process: a handful here, half of all if the rest moved.
	if fresh > len(after)/8 || len(after) < 20 {
		t.Errorf("%d of %d blocks are written anew", fresh, len(after))
	}
}

// What is prepared is not written again.
func TestPrepare(t *testing.T) {
	renderer := NewRenderer(Options{})
	results := []series.Result{resultOf("a", collectortest.Large(3000, 1)), resultOf("b", collectortest.Large(10, 1))}
	ended, end := context.WithCancel(t.Context())
	end()
	renderer.Prepare(ended, results, formats[0])
	if got := partsOf(renderer, key{"a", false}, textSyntax); len(got) > 1 {
		t.Errorf("%d blocks were written when there was no time", len(got))
	}
	renderer.Prepare(t.Context(), results, formats[0])
	prepared := partsOf(renderer, key{"a", false}, textSyntax)
	answerOf(t, renderer, results, nil, formats[0], true)
	if got := partsOf(renderer, key{"a", false}, textSyntax); len(got) < 10 || !maps.Equal(got, prepared) {
		t.Errorf("%d blocks, %d were prepared", len(got), len(prepared))
	}
}

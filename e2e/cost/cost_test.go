// Package cost measures what a snapshot costs the worker that is asked: a real
// one, by each way in which the exporter can ask it. The table is the figure by
// which people choose; it goes to .e2e/cost.md and, by
//
//	go test -C e2e -count=1 -v ./cost -update
//
// from the top of the repository, into docs/performance.md.
//
// The exporter is its binary, with a cluster for each way and snapshot_max_age
// 0s: so it is all of the path that people run, and the figures are those that
// it tells of itself on /probe; only the worker's processor time is taken from
// the kernel.
package cost

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kafka"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/process"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/scenario"
)

var update = flag.Bool("update", false, "put the tables into docs/performance.md")

// What is watched: most of it stopped, which is quick to create and costs as much
// to tell of.
const (
	connectors = 300
	settings   = 40 // of each connector, name and class included
	sources    = 30 // of these run, with one task each
	sinks      = 20 // of these run, with two
	tasks      = sources + 2*sinks
)

const (
	rounds = 5
	// interval of scrapes for which the share of a processor is told.
	interval = 15 * time.Second
)

// versions of the workers. The broker is of the first.
var versions = []string{"4.3.1", "3.9.1"}

// A way to take a snapshot.
type way struct {
	// name of the cluster in the exporter's configuration; "" asks without the exporter.
	name string
	// label in the table.
	label string
	// settings of the cluster.
	settings string
	// snapshots in each round: the dearer, the fewer.
	snapshots int
	// warm is how many there are before: enough in all for the compilers to have
	// made the worker's code what it stays.
	warm int
	// change creates a connector before each snapshot.
	change bool
	// pause is before each snapshot; the others follow upon each other.
	pause time.Duration
	// calls that a snapshot must take.
	calls int
}

// The names of the ways that are compared.
const (
	version2     = "v2"
	version2Info = "v2-info"
	changed      = "v2-changed"
)

func version1(parallelism int) string     { return fmt.Sprintf("v1-%d", parallelism) }
func version1Info(parallelism int) string { return fmt.Sprintf("v1-%d-info", parallelism) }

var parallelisms = []int{1, 8, 32}

func ways() []way {
	all := []way{
		{label: "`GET /connectors` alone, the floor", snapshots: 300, warm: 1000, calls: 1},
		{name: version2, label: "version 2, nothing changed", settings: `observation_version: "2", info_max_age: 1h`, snapshots: 300, warm: 1500, calls: 1},
		{name: "v2-paused", label: "version 2, nothing changed, after a pause", settings: `observation_version: "2", info_max_age: 1h`, snapshots: 5, warm: 1, pause: 200 * time.Millisecond, calls: 1},
		{name: changed, label: "version 2, just after a change", settings: `observation_version: "2", info_max_age: 1h`, snapshots: 3, warm: 1, change: true, calls: 3},
		{name: version2Info, label: "version 2, `info_max_age: 0s`", settings: `observation_version: "2", info_max_age: 0s`, snapshots: 30, warm: 60, calls: 3},
	}
	for _, parallelism := range parallelisms {
		warm := 1
		if parallelism == 8 {
			warm = 15
		}
		configured := fmt.Sprintf(`observation_version: "1", parallelism: %d, info_max_age: `, parallelism)
		all = append(all,
			way{name: version1(parallelism), label: fmt.Sprintf("version 1, `parallelism: %d`, nothing changed", parallelism), settings: configured + "1h", snapshots: 3, warm: warm, calls: 1 + connectors},
			way{name: version1Info(parallelism), label: fmt.Sprintf("version 1, `parallelism: %d`, `info_max_age: 0s`", parallelism), settings: configured + "0s", snapshots: 3, warm: warm, calls: 1 + 2*connectors})
	}
	return all
}

// cost of one snapshot.
type cost struct {
	calls, bytes float64
	took         time.Duration // median
	processor    time.Duration // of the worker, median of the rounds
}

// result of one worker.
type result struct {
	version string
	atRest  float64 // processor time a second, without any snapshot
	costs   map[string]cost
}

func TestCostToAWorker(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	directory := t.TempDir()
	kept, err := filepath.Abs(filepath.Join("..", "..", ".e2e"))
	if err != nil {
		t.Fatal(err)
	}
	logs := filepath.Join(kept, "logs", "cost")
	if err := os.RemoveAll(logs); err != nil {
		t.Fatal(err)
	}
	group, err := process.NewGroup(logs)
	if err != nil {
		t.Fatal(err)
	}
	defer group.Close(5 * time.Second)
	binary := filepath.Join(directory, "kafka-connect-exporter")
	build := exec.CommandContext(ctx, "go", "build", "-C", filepath.Join("..", ".."), "-trimpath", "-o", binary, "./cmd/kafka-connect-exporter")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the exporter: %v\n%s", err, output)
	}
	ports := process.NewPorts(22000, 22499)
	broker, err := kafka.StartBroker(ctx, group, ports, filepath.Join(directory, "broker"), versions[0])
	if err != nil {
		t.Fatal(err)
	}

	var results []result
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			r := measure(ctx, t, group, ports, broker, binary, filepath.Join(directory, version), version)
			t.Logf("\n%s", r.table())
			check(t, r)
			results = append(results, r)
		})
	}
	if t.Failed() {
		return
	}
	java, err := exec.CommandContext(ctx, "java", "-version").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := bytes.Cut(java, []byte("\n"))
	text := fmt.Sprintf("%d connectors with %d settings each, %d of them running with %d tasks in all.\nOne machine with %d processors for broker, worker and exporter; %s.\n",
		connectors, settings, sources+sinks, tasks, runtime.NumCPU(), first)
	for _, r := range results {
		text += fmt.Sprintf("\n**Kafka Connect %s**", r.version) + r.table()
	}
	if err := os.WriteFile(filepath.Join(kept, "cost.md"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if *update {
		if len(results) < len(versions) {
			t.Fatalf("%s is about all versions: run all", performance)
		}
		document(t, text)
	}
}

// measure starts a worker and an exporter, and takes the costs of each way.
func measure(ctx context.Context, t *testing.T, group *process.Group, ports *process.Ports, broker *kafka.Broker, binary, directory, version string) result {
	t.Helper()
	fatal := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	began := time.Now()
	progress := func(what string) { t.Logf("%5.1f s: %s", time.Since(began).Seconds(), what) }
	port, err := ports.Next()
	fatal(err)
	worker := kafka.NewWorker(group, kafka.WorkerOptions{
		Version: version, Group: "cost-" + version, Bootstrap: broker.Address, Port: port, Directory: directory,
		// As connect-distributed.sh and kafka-run-class.sh start it, not as quickly as it can be: the compilers are part of what is measured.
		Java: []string{"-XX:TieredStopAtLevel=4", "-XX:-UseSerialGC", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35", "-Xms256M", "-Xmx2G"},
	})
	fatal(kafka.StartReady(ctx, worker))
	defer worker.Kill()
	progress("the worker is ready")
	fatal(create(ctx, worker))
	progress("its connectors are there")

	address, err := ports.Next()
	fatal(err)
	listen := net.JoinHostPort("127.0.0.1", strconv.Itoa(address))
	file := filepath.Join(directory, "exporter.yml")
	configuration := "snapshot_max_age: 0s\nclusters:\n"
	for _, w := range ways() {
		if w.name != "" {
			configuration += fmt.Sprintf("  - {name: %s, urls: [%q], %s}\n", w.name, "http://"+worker.ID(), w.settings)
		}
	}
	fatal(os.WriteFile(file, []byte(configuration), 0o600))
	exporter, err := group.Start("exporter-"+version, []string{binary, "--config.file=" + file, "--web.listen-address=" + listen})
	fatal(err)
	defer exporter.Kill()
	m := &meter{worker: worker, exporter: "http://" + listen, told: map[string]told{}}
	fatal(process.Poll(ctx, 100*time.Millisecond, exporter, func(ctx context.Context) error {
		_, err := m.get(ctx, m.exporter+"/-/ready")
		return err
	}))

	for _, w := range ways() {
		if _, err := m.round(ctx, w, w.warm); err != nil {
			t.Fatalf("warm up %s: %v", w.label, err)
		}
	}
	// Its compilers go on for a while, the longer the busier the machine: what they
	// use while it is at rest would be taken off what snapshots cost.
	for until := time.Now().Add(time.Minute); ; {
		rest, err := m.rest(ctx)
		fatal(err)
		if rest < 0.08 || time.Now().After(until) {
			break
		}
	}
	progress("warm")

	// Round by round, so that whatever else the machine does falls upon all.
	atRest := make([]float64, rounds)
	all := map[string][]sample{}
	for i := range rounds {
		atRest[i], err = m.rest(ctx)
		fatal(err)
		for _, w := range ways() {
			s, err := m.round(ctx, w, w.snapshots)
			if err != nil {
				t.Fatalf("%s: %v", w.label, err)
			}
			all[w.name] = append(all[w.name], s)
		}
	}
	progress("measured")

	r := result{version: version, atRest: median(atRest), costs: map[string]cost{}}
	for name, samples := range all {
		var calls, sizes []float64
		var took, processor []time.Duration
		for _, s := range samples {
			calls, sizes, took = append(calls, s.calls...), append(sizes, s.bytes...), append(took, s.took...)
			own := s.processor - time.Duration(r.atRest*float64(s.elapsed))
			processor = append(processor, own/time.Duration(len(s.took)))
		}
		r.costs[name] = cost{calls: median(calls), bytes: median(sizes), took: median(took), processor: median(processor)}
	}
	return r
}

// create makes the connectors through worker, and waits until they are what they
// are to be.
func create(ctx context.Context, worker *kafka.Worker) error {
	names := make(chan int)
	errs := make(chan error, connectors)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for i := range names {
				errs <- worker.Create(ctx, connector(fmt.Sprintf("orders-connector-%03d", i), i))
			}
		})
	}
	for i := range connectors {
		names <- i
	}
	close(names)
	wait.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return process.Poll(ctx, 200*time.Millisecond, worker.Process, func(ctx context.Context) error {
		statuses, err := worker.Statuses(ctx)
		if err != nil {
			return err
		}
		running := 0
		for _, status := range statuses {
			for _, task := range status.Tasks {
				if task.State == "RUNNING" {
					running++
				}
			}
		}
		if len(statuses) != connectors || running != tasks {
			return fmt.Errorf("%d connectors and %d running tasks, want %d and %d", len(statuses), running, connectors, tasks)
		}
		return nil
	})
}

// connector is the i-th: those that run come last.
func connector(name string, i int) kafka.Connector {
	c := kafka.Connector{Name: name, InitialState: "STOPPED", Config: map[string]any{
		"connector.class": scenario.FileSource, "tasks.max": "1", "topic": "orders", "file": "/missing/orders.txt",
	}}
	switch left := connectors - i; {
	case left <= 0: // beyond: another stopped one
	case left <= sinks:
		c.InitialState = ""
		c.Config = map[string]any{"connector.class": scenario.FileSink, "tasks.max": "2", "topics": "orders", "file": "/dev/null"}
	case left <= sinks+sources:
		c.InitialState = ""
	}
	for i := len(c.Config) + 1; i < settings; i++ {
		c.Config[fmt.Sprintf("transforms.reroute.setting.%02d", i)] = strings.Repeat("a value as long as many are, ", 2) + name
	}
	return c
}

// check holds what must be so on any machine, however busy.
func check(t *testing.T, r result) {
	t.Helper()
	for _, w := range ways() {
		if got := r.costs[w.name].calls; got != float64(w.calls) {
			t.Errorf("%s: %v calls, want %d", w.label, got, w.calls)
		}
	}
	less := func(what string, a, b string, factor float64, of func(cost) float64) {
		x, y := of(r.costs[a]), of(r.costs[b])
		if !(x > 0 && x < factor*y) {
			t.Errorf("%s of %s is %.4g, want less than %g × %.4g, that of %s", what, a, x, factor, y, b)
		}
	}
	processor := func(c cost) float64 { return c.processor.Seconds() }
	took := func(c cost) float64 { return c.took.Seconds() }
	size := func(c cost) float64 { return c.bytes }
	for _, parallelism := range parallelisms {
		one, info := version1(parallelism), version1Info(parallelism)
		less("the worker's processor time", version2, one, 0.25, processor)
		less("the time", version2, one, 0.5, took)
		less("the worker's processor time", one, info, 1, processor)
		less("the worker's processor time", version2Info, info, 0.75, processor)
		less("the size", one, info, 0.5, size)
	}
	less("the worker's processor time", version2, version2Info, 0.5, processor)
	less("the time", version2, version2Info, 0.75, took)
	less("the size", version2, version2Info, 0.25, size)
	// A change costs once what is saved as long as nothing changes, not more.
	less("the worker's processor time", version2, changed, 1, processor)
	less("the worker's processor time", changed, version1Info(8), 1, processor)
	less("the size", changed, version2Info, 1.1, size)
}

// table of r in Markdown, with a line above it and one below.
func (r result) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n\n| a snapshot by | calls | answers | takes | worker's processor time | × | scraped every %.0f s, of a processor |\n|---|---:|---:|---:|---:|---:|---:|\n", interval.Seconds())
	for _, w := range ways() {
		c := r.costs[w.name]
		fmt.Fprintf(&b, "| %s | %.0f | %.0f KB | %s | %s | %s | %s %% |\n", w.label, c.calls, c.bytes/1000, milliseconds(c.took), milliseconds(c.processor),
			digits(c.processor.Seconds()/r.costs[version2].processor.Seconds()), digits(100*c.processor.Seconds()/interval.Seconds()))
	}
	fmt.Fprintf(&b, "\nAt rest, without a snapshot, this worker uses %s %% of a processor; that is taken off above.\n", digits(100*r.atRest))
	return b.String()
}

func milliseconds(d time.Duration) string {
	return digits(float64(d)/float64(time.Millisecond)) + " ms"
}

// digits writes a figure with two significant digits, of which no more are true.
func digits(x float64) string {
	if x <= 0 {
		return "0"
	}
	places := max(0, 1-int(math.Floor(math.Log10(x))))
	if places > 0 {
		return strconv.FormatFloat(x, 'f', places, 64)
	}
	unit := math.Pow(10, math.Floor(math.Log10(x))-1)
	return strconv.FormatFloat(math.Round(x/unit)*unit, 'f', 0, 64)
}

func median[T float64 | time.Duration](all []T) T {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

// Where the tables stand in the document.
const (
	begin = "<!-- measured: e2e/cost -->\n"
	end   = "<!-- end -->\n"
)

var performance = filepath.Join("..", "..", "docs", "performance.md")

// parts of the document: before the tables, they, and after them.
func parts(t *testing.T) (before, tables, after string) {
	t.Helper()
	text, err := os.ReadFile(performance)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	tables, after, found2 := strings.Cut(rest, end)
	if !found || !found2 {
		t.Fatalf("%s lacks the lines %q and %q", performance, begin, end)
	}
	return before, tables, after
}

func document(t *testing.T, text string) {
	t.Helper()
	before, _, after := parts(t)
	if err := os.WriteFile(performance, []byte(before+begin+text+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDocumented holds the rows of the document to the ways that are measured.
func TestDocumented(t *testing.T) {
	_, tables, _ := parts(t)
	var want, got []string
	for range versions {
		for _, w := range ways() {
			want = append(want, w.label)
		}
	}
	for _, row := range regexp.MustCompile(`(?m)^\| (.+?) \|(?:.* %) \|$`).FindAllStringSubmatch(tables, -1) {
		got = append(got, row[1])
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s has the rows\n%s\nwant\n%s\ngo test -C e2e -count=1 ./cost -update mends it", performance, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/rest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/kafka"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/kafka/kafkatest"
)

// brokersOf starts brokers whose status topic has the statuses of a cluster as
// large as [connecttest.Large], twice, and its workers' group.
func brokersOf(t testing.TB, connectors, tasks int) *kafkatest.Cluster {
	t.Helper()
	c := kafkatest.New(t, nil)
	var records []*kgo.Record
	workers := make([]kafkatest.Member, 8)
	for i := range workers {
		host := fmt.Sprintf("10.0.0.%d:8083", 11+i)
		workers[i] = kafkatest.Member{ID: host, Client: "connect-" + host, URL: "http://" + host + "/"}
	}
	for range 2 {
		for i := range connectors {
			name := connecttest.LargeName(i)
			for task := -1; task < tasks; task++ {
				w := &workers[(i+task+1)%len(workers)]
				records = append(records, kafkatest.Status{Connector: name, Task: task, State: "RUNNING", Worker: w.ID, Generation: 7}.Record())
				if len(records) <= connectors*(tasks+1) {
					work := name
					if task >= 0 {
						work += fmt.Sprintf("/%d", task)
					}
					w.Current = append(w.Current, work)
				}
			}
		}
	}
	c.Produce(records...)
	c.SetGroup(kafkatest.State{State: "Stable", Leader: workers[0].ID, Members: workers})
	return c
}

// costConnectors and costTasks are of the cluster that is measured.
const costConnectors, costTasks = 10_000, 4

// asPrometheus asks as Prometheus does.
var asPrometheus = accept("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3", "gzip")

func options(brokers []string, o connect.Observer) kafka.Options {
	return kafka.Options{
		Name: "cluster-0", Observer: o, BootstrapServers: brokers,
		Group: kafkatest.Group, StatusTopic: kafkatest.StatusTopic, OffsetsTopic: kafkatest.OffsetsTopic, MaxLagPartitions: 5000,
	}
}

// BenchmarkBrokers is what reading the brokers adds to a scrape in which nothing
// changed.
func BenchmarkBrokers(b *testing.B) {
	cluster := connecttest.Large(costConnectors, costTasks)
	worker := httptest.NewServer(cluster.Handler(cluster.Workers()[0]))
	defer worker.Close()
	brokers := brokersOf(b, costConnectors, costTasks)
	zipped := http.Header{"Accept-Encoding": {"gzip"}}
	scrape := func(b *testing.B, wrap func(connect.Observer) connect.Observer) {
		exporter := exporterAround(b, []string{worker.URL}, rest.Version2, time.Hour, wrap)
		for range 3 {
			download(b, exporter.URL+"/metrics", zipped)
		}
		measure(b, func() int64 { return download(b, exporter.URL+"/metrics", zipped) })
	}
	with := func(b *testing.B) func(connect.Observer) connect.Observer {
		return func(o connect.Observer) connect.Observer {
			observer, err := kafka.New(options(brokers.ListenAddrs(), o))
			if err != nil {
				b.Fatal(err)
			}
			return observer
		}
	}
	b.Run("connectors=10000/without", func(b *testing.B) { scrape(b, func(o connect.Observer) connect.Observer { return o }) })
	b.Run("connectors=10000/brokers", func(b *testing.B) { scrape(b, with(b)) })
}

// Reading the brokers of 10,000 connectors has a ceiling: two seconds for the
// 100,000 records of a status topic, 32 MB of memory, and a fifth of the time that a
// scrape takes in which nothing changed, whether scrapes follow upon each other or are so
// far apart that each asks for all the work of the group.
func TestBrokersCost(t *testing.T) {
	inBench(t)
	parts := startParts(t)
	least := time.Hour
	for range 3 {
		observer, err := kafka.New(options(parts.Brokers, nil))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		snapshot, err := observer.Observe(t.Context(), nil)
		least = min(least, time.Since(start))
		if err != nil || len(snapshot.Connectors) != costConnectors {
			t.Fatal(err)
		}
		observer.Close()
	}
	t.Logf("the status topic, 100,000 records, is read in %v", least.Round(time.Millisecond))
	if least > 2*time.Second {
		t.Errorf("it takes %v", least)
	}
	binary := build(t)
	block := fmt.Sprintf(", kafka: {bootstrap_servers: ['%s'], group_id: %s, status_storage_topic: %s, offset_storage_topic: %s}",
		strings.Join(parts.Brokers, "','"), kafkatest.Group, kafkatest.StatusTopic, kafkatest.OffsetsTopic)
	var flags [2]string // without the brokers, and with them
	for i, more := range []string{"", block} {
		file := filepath.Join(t.TempDir(), "clusters.yml")
		if err := os.WriteFile(file, fmt.Appendf(nil, "clusters:\n- {name: default, urls: [%q]%s}\nsnapshot_max_age: 0s\n", parts.Worker, more), 0o600); err != nil {
			t.Fatal(err)
		}
		flags[i] = "--config.file=" + file
	}
	var peak [2]int
	for i := range peak {
		peak[i] = 1 << 40
		for range 3 { // A garbage collector that gets no processor is late.
			peak[i] = min(peak[i], peakMemoryOf(t, binary, flags[i], []http.Header{asPrometheus}))
		}
	}
	t.Logf("peak resident memory %.1f MB, with the brokers %.1f MB", float64(peak[0])/(1<<20), float64(peak[1])/(1<<20))
	if peak[1]-peak[0] > 32<<20 {
		t.Errorf("the brokers need %d bytes", peak[1]-peak[0])
	}
	for _, pace := range []struct {
		pause time.Duration
		times int
	}{{0, 300}, {150 * time.Millisecond, 80}, {time.Second, 32}} {
		wall := compared(t, pace.times, pace.pause, binary, flags)
		for range 2 { // What else the machine does only adds.
			if wall > 1.2 {
				wall = min(wall, compared(t, pace.times, pace.pause, binary, flags))
			}
		}
		if wall > 1.2 {
			t.Errorf("scrapes %v apart: with the brokers one takes %.2f times as long", pace.pause, wall)
		}
	}
}

// compared returns how many times as long a scrape takes with one configuration as with
// another, by so many scrapes of each: turn about, so that what else the machine does is
// shared out, with a pause before each. What else it does only adds, and adds most to what
// does two things at once: lower quartiles are compared, and medians told.
func compared(t *testing.T, times int, pause time.Duration, binary string, flags [2]string) (wall float64) {
	t.Helper()
	var (
		pids    [2]int
		scrapes [2]func()
		before  [2]time.Duration
		took    [2][]time.Duration
		spent   [2]time.Duration
	)
	for i := range scrapes {
		process, address := start(t, binary, flags[i])
		defer func() { _ = process.Process.Kill() }()
		pids[i], scrapes[i] = process.Process.Pid, func() { download(t, "http://"+address+"/metrics", asPrometheus) }
		for range 20 {
			scrapes[i]()
		}
		before[i] = processorTimeOf(t, pids[i])
	}
	for range times {
		for i, scrape := range scrapes {
			time.Sleep(pause)
			start := time.Now()
			scrape()
			took[i] = append(took[i], time.Since(start))
		}
	}
	for i := range took {
		slices.Sort(took[i])
		spent[i] = (processorTimeOf(t, pids[i]) - before[i]) / time.Duration(times)
	}
	ratio := func(a, b time.Duration) float64 { return float64(b) / float64(a) }
	at := func(share int) [2]time.Duration { return [2]time.Duration{took[0][times/share], took[1][times/share]} }
	quartile, median := at(4), at(2)
	wall = ratio(quartile[0], quartile[1])
	t.Logf("scrapes %v apart: one takes %v, with the brokers %v (%.2f; medians %.2f); the exporter's processor time %v, with the brokers %v (%.2f)",
		pause, quartile[0], quartile[1], wall, ratio(median[0], median[1]), spent[0], spent[1], ratio(spent[0], spent[1]))
	return wall
}

// processorTimeOf is the processor time that all threads of a process had so far.
func processorTimeOf(t *testing.T, pid int) (sum time.Duration) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(threads) == 0 {
		t.Skipf("no /proc to read the processor time of a process from: %v", err)
	}
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		var had time.Duration
		if _, scanned := fmt.Sscan(string(text), &had); err != nil || scanned != nil {
			t.Fatal(err, scanned)
		}
		sum += had
	}
	return sum
}

// parts are the other sides of an exporter: a worker, and the brokers behind it.
type parts struct {
	Worker  string
	Brokers []string
}

// partsVariable is set where the test binary is to be the parts.
const partsVariable = "BENCH_PARTS"

// startParts starts them in a process of their own, so that none of their work is taken
// for the exporter's.
func startParts(t *testing.T) (p parts) {
	t.Helper()
	command := exec.Command(os.Args[0], "-test.run=^TestParts$")
	command.Env = append(os.Environ(), partsVariable+"=1")
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = input.Close()
		_ = command.Wait()
	})
	if err := json.NewDecoder(output).Decode(&p); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestParts is no test: it is the parts, until its input ends.
func TestParts(t *testing.T) {
	if os.Getenv(partsVariable) == "" {
		t.Skip("TestBrokersCost runs it")
	}
	cluster := connecttest.Large(costConnectors, costTasks)
	worker := httptest.NewServer(cluster.Handler(cluster.Workers()[0]))
	defer worker.Close()
	brokers := brokersOf(t, costConnectors, costTasks)
	if err := json.NewEncoder(os.Stdout).Encode(parts{worker.URL, brokers.ListenAddrs()}); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

package bench

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
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

func options(c *kafkatest.Cluster, o connect.Observer) kafka.Options {
	return kafka.Options{
		Name: "cluster-0", Observer: o, BootstrapServers: c.ListenAddrs(),
		Group: kafkatest.Group, StatusTopic: kafkatest.StatusTopic, OffsetsTopic: kafkatest.OffsetsTopic, MaxLagPartitions: 5000,
	}
}

// BenchmarkBrokers is what reading the brokers adds to a scrape in which nothing
// changed.
func BenchmarkBrokers(b *testing.B) {
	const connectors, tasks = 10_000, 4
	cluster := connecttest.Large(connectors, tasks)
	worker := httptest.NewServer(cluster.Handler(cluster.Workers()[0]))
	defer worker.Close()
	brokers := brokersOf(b, connectors, tasks)
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
			observer, err := kafka.New(options(brokers, o))
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
// 100,000 records of a status topic, 32 MB of memory, a fifth of the time that a scrape
// takes in which nothing changed, and somewhat more of its processor time. Where scrapes
// are so far apart that each asks for the group's assignments, the processor time
// doubles at most.
func TestBrokersCost(t *testing.T) {
	inBench(t)
	const connectors, tasks = 10_000, 4
	cluster := connecttest.Large(connectors, tasks)
	worker := httptest.NewServer(cluster.Handler(cluster.Workers()[0]))
	defer worker.Close()
	brokers := brokersOf(t, connectors, tasks)
	least := time.Hour
	for range 3 {
		observer, err := kafka.New(options(brokers, nil))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		snapshot, err := observer.Observe(t.Context(), nil)
		least = min(least, time.Since(start))
		if err != nil || len(snapshot.Connectors) != connectors {
			t.Fatal(err)
		}
		observer.Close()
	}
	t.Logf("the status topic, 100,000 records, is read in %v", least.Round(time.Millisecond))
	if least > 2*time.Second {
		t.Errorf("it takes %v", least)
	}
	scraped := func(wrap func(connect.Observer) connect.Observer) func() {
		address := exporterAround(t, []string{worker.URL}, rest.Version2, time.Hour, wrap).URL + "/metrics"
		return func() { download(t, address, http.Header{"Accept-Encoding": {"gzip"}}) }
	}
	alone := scraped(func(o connect.Observer) connect.Observer { return o })
	beside := scraped(func(o connect.Observer) connect.Observer {
		observer, err := kafka.New(options(brokers, o))
		if err != nil {
			t.Fatal(err)
		}
		return observer
	})
	// A scrape is done by the exporter, the worker that it asks, the brokers and who
	// scrapes: all of them are this process, so its processor time is that of all.
	wall, processor := 10.0, 10.0
	for range 5 {
		w, p := compared(t, 300, 0, alone, beside)
		wall, processor = min(wall, w), min(processor, p)
	}
	if wall > 1.2 || processor > 1.3 {
		t.Errorf("with the brokers a scrape takes %.2f times as long, and %.2f times the processor time", wall, processor)
	}
	// So far apart that the group is asked for all its work in each.
	if _, processor := compared(t, 40, 150*time.Millisecond, alone, beside); processor > 2 {
		t.Errorf("with the brokers and their large answer a scrape takes %.2f times the processor time", processor)
	}
	binary := build(t)
	block := fmt.Sprintf("kafka: {bootstrap_servers: ['%s'], group_id: %s, status_storage_topic: %s, offset_storage_topic: %s}",
		strings.Join(brokers.ListenAddrs(), "','"), kafkatest.Group, kafkatest.StatusTopic, kafkatest.OffsetsTopic)
	peak := func(more string) int {
		file := filepath.Join(t.TempDir(), "clusters.yml")
		if err := os.WriteFile(file, fmt.Appendf(nil, "clusters:\n- {name: default, urls: [%q]%s}\nsnapshot_max_age: 0s\n", worker.URL, more), 0o600); err != nil {
			t.Fatal(err)
		}
		least := 1 << 40
		for range 3 { // A garbage collector that gets no processor is late.
			least = min(least, peakMemoryOf(t, binary, "--config.file="+file, []http.Header{accept("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3", "gzip")}))
		}
		return least
	}
	without, with := peak(""), peak(", "+block)
	t.Logf("peak resident memory %.1f MB, with the brokers %.1f MB", float64(without)/(1<<20), float64(with)/(1<<20))
	if with-without > 32<<20 {
		t.Errorf("the brokers need %d bytes", with-without)
	}
}

// compared returns how many times as long one takes as the other, and how many
// times the processor time, by so many scrapes of each: turn about, so that what
// else the machine does is shared out, with a pause before each.
func compared(t *testing.T, times int, pause time.Duration, alone, beside func()) (wall, processor float64) {
	t.Helper()
	var took, spent [2][]time.Duration
	runtime.GC()
	for range times {
		for i, scrape := range []func(){alone, beside} {
			time.Sleep(pause)
			start, before := time.Now(), processorTime()
			scrape()
			took[i], spent[i] = append(took[i], time.Since(start)), append(spent[i], processorTime()-before)
		}
	}
	// What is read beside the snapshots, and the garbage that is collected, falls
	// into few of them: of the processor time, the mean.
	mean := func(all []time.Duration) time.Duration {
		var sum time.Duration
		for _, d := range all {
			sum += d
		}
		return sum / time.Duration(len(all))
	}
	for i := range took {
		slices.Sort(took[i])
	}
	w, p := [2]time.Duration{took[0][times/2], took[1][times/2]}, [2]time.Duration{mean(spent[0]), mean(spent[1])}
	wall, processor = float64(w[1])/float64(w[0]), float64(p[1])/float64(p[0])
	t.Logf("scrapes %v apart: one takes %v, with the brokers %v (%.2f); processor time %v, with the brokers %v (%.2f)",
		pause, w[0], w[1], wall, p[0], p[1], processor)
	return wall, processor
}

package bench

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
)

const (
	// fleetConnectors and fleetTasks of each cluster.
	fleetConnectors, fleetTasks = 50, 4
	// fleetHanging is every so many-eth cluster: 50 of a thousand never answer.
	fleetHanging = 20
	// scrapeTimeout and probesAtOnce as Prometheus has them: its default, and what it
	// has under way when a thousand targets are spread over 15 s and a few hang.
	scrapeTimeout = 10 * time.Second
	probesAtOnce  = 64
)

// A thousand clusters and more in one process, scraped as a whole and by /probe, one
// in twenty of which hangs: the others are whole within the deadline. How many can be
// watched is what CLUSTERS says, "1000 2000 5000" if it is not set; a thousand must.
func TestThousandClusters(t *testing.T) {
	inBench(t)
	binary := build(t)
	good, bad := connecttest.Large(fleetConnectors, fleetTasks), connecttest.NewCluster(connecttest.Options{})
	bad.SetFault(connecttest.Match{}, connecttest.Hang(nil))
	// Clusters share two servers: the exporter has a client, and connections, for each.
	answers, hangs := httptest.NewServer(good.Handler(good.Workers()[0])), httptest.NewServer(bad.Handler(bad.Workers()[0]))
	t.Cleanup(answers.Close)
	t.Cleanup(hangs.Close)
	many := os.Getenv("CLUSTERS")
	if many == "" {
		many = "1000 2000 5000"
	}
	var table strings.Builder
	table.WriteString("\n| clusters | first scrape | each further one | processor time | on the wire | by `/probe`, median | slowest that answers | all of them | memory at most | descriptors | goroutines | whole |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n")
	for n := range strings.FieldsSeq(many) {
		clusters, err := strconv.Atoi(n)
		if err != nil {
			t.Fatal(err)
		}
		f := &bigFleet{t: t, clusters: clusters}
		f.start(binary, answers.URL, hangs.URL)
		first := f.scrape()
		processor := f.own("process_cpu_seconds_total")
		const further = 5
		var took []time.Duration
		for range further {
			took = append(took, f.scrape())
		}
		spent := time.Duration((f.own("process_cpu_seconds_total") - processor) / further * float64(time.Second))
		slices.Sort(took)
		probes, all := f.probe()
		descriptors, goroutines := f.own("process_open_fds"), f.own("go_goroutines")
		whole := "yes"
		if f.missing > 0 {
			whole = fmt.Sprintf("%d answers were not", f.missing)
		}
		fmt.Fprintf(&table, "| %d | %.1f s | %.1f s | %.2f s | %.1f MB | %d ms | %d ms | %.1f s | %d MB | %.0f | %.0f | %s |\n", clusters, first.Seconds(), took[further/2].Seconds(), spent.Seconds(), float64(f.wire)/(1<<20),
			probes[len(probes)/2].Milliseconds(), probes[len(probes)-1].Milliseconds(), all.Seconds(), memory(t, f.pid, "VmHWM")>>20, descriptors, goroutines, whole)
		if clusters <= 1000 && f.missing > 0 {
			t.Errorf("%d clusters: %d answers were not whole", clusters, f.missing)
		}
		f.stop()
	}
	t.Log(table.String())
}

// A bigFleet is an exporter that watches many clusters.
type bigFleet struct {
	t        *testing.T
	clusters int
	url      string
	pid      int
	stop     func()
	wire     int64 // bytes of a scrape
	missing  int   // answers of clusters that are well, and were not whole
}

func (f *bigFleet) start(binary, answers, hangs string) {
	f.t.Helper()
	var text strings.Builder
	text.WriteString("snapshot_max_age: 0s\nclusters:\n")
	for i := range f.clusters {
		where := answers
		if i%fleetHanging == 0 {
			where = hangs
		}
		fmt.Fprintf(&text, "- {name: cluster-%d, urls: [%q]}\n", i, where)
	}
	file := filepath.Join(f.t.TempDir(), "clusters.yml")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		f.t.Fatal(err)
	}
	command, address := start(f.t, binary, "--config.file="+file)
	f.url, f.pid = "http://"+address, command.Process.Pid
	f.stop = func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	}
}

// ask sends a request as Prometheus does and hands each line of the answer on.
func (f *bigFleet) ask(path string, line func(string)) (took time.Duration, wire int64, err error) {
	request, err := http.NewRequest(http.MethodGet, f.url+path, nil)
	if err != nil {
		return 0, 0, err
	}
	request.Header = http.Header{"Accept-Encoding": {"gzip"}, "X-Prometheus-Scrape-Timeout-Seconds": {strconv.FormatFloat(scrapeTimeout.Seconds(), 'f', -1, 64)}}
	began := time.Now()
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = response.Body.Close() }()
	packed, err := io.ReadAll(response.Body)
	took = time.Since(began)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.100s", response.Status, packed)
	}
	if err != nil {
		return took, 0, err
	}
	unpacked, err := gzip.NewReader(strings.NewReader(string(packed)))
	if err != nil {
		return took, 0, err
	}
	lines := bufio.NewScanner(unpacked)
	for lines.Scan() {
		line(lines.Text())
	}
	return took, int64(len(packed)), lines.Err()
}

// scrape asks for all clusters and counts those that are not as they should be.
func (f *bigFleet) scrape() time.Duration {
	f.t.Helper()
	up, tasks := map[string]bool{}, map[string]int{}
	took, wire, err := f.ask("/metrics", func(line string) {
		if rest, found := strings.CutPrefix(line, `kafka_connect_up{connect_cluster="`); found {
			name, value, _ := strings.Cut(rest, `"} `)
			up[name] = value == "1"
		} else if rest, found := strings.CutPrefix(line, `kafka_connect_task_info{connect_cluster="`); found {
			name, _, _ := strings.Cut(rest, `"`)
			tasks[name]++
		}
	})
	if err != nil || took > scrapeTimeout {
		f.t.Logf("%d clusters: a scrape took %v: %v", f.clusters, took, err)
		f.missing += f.clusters
		return took
	}
	f.wire = wire
	for i := range f.clusters {
		name := fmt.Sprintf("cluster-%d", i)
		if _, told := up[name]; !told || i%fleetHanging != 0 && (!up[name] || tasks[name] != fleetConnectors*fleetTasks) {
			f.missing++
		}
	}
	return took
}

// probe asks for each cluster by itself and returns how long those that are well took,
// sorted, and how long all.
func (f *bigFleet) probe() (took []time.Duration, all time.Duration) {
	f.t.Helper()
	next := make(chan int)
	var mu sync.Mutex
	var workers sync.WaitGroup
	began := time.Now()
	for range probesAtOnce {
		workers.Go(func() {
			for i := range next {
				name, tasks := fmt.Sprintf("cluster-%d", i), 0
				d, _, err := f.ask("/probe?cluster="+name, func(line string) {
					if strings.HasPrefix(line, "kafka_connect_task_info{") {
						tasks++
					}
				})
				mu.Lock()
				if i%fleetHanging != 0 {
					took = append(took, d)
					if tasks != fleetConnectors*fleetTasks {
						f.missing++
					}
				}
				if err != nil {
					f.t.Logf("%s: %v", name, err)
				}
				mu.Unlock()
			}
		})
	}
	for i := range f.clusters {
		next <- i
	}
	close(next)
	workers.Wait()
	slices.Sort(took)
	return took, time.Since(began)
}

// own is a metric of the exporter itself.
func (f *bigFleet) own(name string) (value float64) {
	f.t.Helper()
	_, _, err := f.ask("/metrics?clusters=none", func(line string) {
		if rest, found := strings.CutPrefix(line, name+" "); found {
			value, _ = strconv.ParseFloat(rest, 64)
		}
	})
	if err != nil || value == 0 {
		f.t.Fatalf("%s: %v", name, err)
	}
	return value
}

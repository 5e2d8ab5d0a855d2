package bench

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/rest"
)

// inBench skips what takes long, or measures what an idle machine alone tells.
func inBench(t *testing.T) {
	t.Helper()
	if os.Getenv("BENCH") == "" {
		t.Skip("make bench runs it")
	}
}

// 200 clusters in one scrape, of which 5 never answer: the other 195 are whole,
// in time, and neither connections nor goroutines nor memory grow with scrapes.
func TestManyClusters(t *testing.T) {
	inBench(t)
	const clusters, connectors, hanging, scrapes = 200, 50, 5, 1000
	// Clusters may share a model: what counts is that each is asked for itself.
	good, bad := connecttest.Large(connectors, 4), connecttest.NewCluster(connecttest.Options{})
	bad.SetFault(connecttest.Match{}, connecttest.Hang(nil))
	open := &connections{most: map[string]int{}}
	var urls []string
	for i := range clusters {
		cluster := good
		if i%(clusters/hanging) == 0 {
			cluster = bad
		}
		server := httptest.NewUnstartedServer(cluster.Handler(cluster.Workers()[0]))
		server.Config.ConnState = open.changed(strconv.Itoa(i))
		server.Start()
		t.Cleanup(server.Close)
		urls = append(urls, server.URL)
	}
	exporter := exporter(t, urls, rest.VersionAuto, 5*time.Minute)
	scrape := func(timeout string) {
		t.Helper()
		request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, exporter.URL+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", timeout)
		response, err := exporter.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		up, tasks := map[string]string{}, 0
		lines := bufio.NewScanner(response.Body)
		for lines.Scan() {
			if cluster, found := strings.CutPrefix(lines.Text(), `kafka_connect_up{connect_cluster="`); found {
				name, value, _ := strings.Cut(cluster, `"} `)
				up[name] = value
			} else if strings.HasPrefix(lines.Text(), "kafka_connect_task_info{") {
				tasks++
			}
		}
		if err := lines.Err(); err != nil || response.StatusCode != http.StatusOK {
			t.Fatal(err, response.Status)
		}
		for i := range clusters {
			want := "1"
			if i%(clusters/hanging) == 0 {
				want = "0"
			}
			if name := fmt.Sprintf("cluster-%d", i); up[name] != want {
				t.Errorf("%s is up %q, want %s", name, up[name], want)
			}
		}
		if want := (clusters - hanging) * connectors * 4; tasks != want {
			t.Fatalf("%d tasks, want %d", tasks, want)
		}
	}
	measure := func() (goroutines int, heap uint64) {
		var stats runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return runtime.NumGoroutine(), stats.HeapAlloc
	}
	// In seconds: what those that hang are waited for, and many times what the
	// others need, on a machine that does much else too.
	scrape("10")
	scrape("1") // what was idle for long has been closed meanwhile, and is open again
	goroutines, heap := measure()
	for range scrapes {
		scrape("1")
	}
	goroutinesAfter, heapAfter := measure()
	t.Logf("after %d scrapes: goroutines %d, then %d; heap %.1f MB, then %.1f MB", scrapes, goroutines, goroutinesAfter, float64(heap)/(1<<20), float64(heapAfter)/(1<<20))
	if goroutinesAfter > goroutines+clusters/2 {
		t.Errorf("goroutines grew from %d to %d", goroutines, goroutinesAfter)
	}
	if heapAfter > heap+heap/2 {
		t.Errorf("the heap grew from %d to %d bytes", heap, heapAfter)
	}
	if most := open.highest(); most > rest.DefaultParallelism {
		t.Errorf("a worker had %d connections", most)
	}
}

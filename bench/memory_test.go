package bench

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
)

// build makes the binary as it is released.
func build(t testing.TB) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "kafka-connect-exporter")
	command := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "../cmd/kafka-connect-exporter")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return binary
}

// start runs the binary on a free port and returns its process and address.
func start(t testing.TB, binary string, arguments ...string) (*exec.Cmd, string) {
	t.Helper()
	return startLogged(t, binary, io.Discard, arguments...)
}

// startLogged also writes its log somewhere, from when it listens on.
func startLogged(t testing.TB, binary string, to io.Writer, arguments ...string) (*exec.Cmd, string) {
	t.Helper()
	command := exec.Command(binary, append(arguments, "--web.listen-address=127.0.0.1:0")...)
	// Only what the flags say counts.
	command.Env = []string{}
	log, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	listening := regexp.MustCompile(`127\.0\.0\.1:[1-9][0-9]*`)
	lines := bufio.NewReader(log)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break
		}
		if strings.Contains(strings.ToLower(line), "listening") {
			if address := listening.FindString(line); address != "" {
				go func() { _, _ = io.Copy(to, lines) }()
				return command, address
			}
		}
	}
	t.Fatal("the exporter did not say where it listens")
	return nil, ""
}

// memory is a line of /proc/PID/status, in bytes.
func memory(t testing.TB, pid int, line string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skipf("no /proc to read the memory of a process from: %v", err)
	}
	found := regexp.MustCompile(`(?m)^` + line + `:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		t.Fatalf("no %s in /proc/%d/status", line, pid)
	}
	kilobytes, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}

// The resident memory of the released binary has a ceiling: what it had at most
// in a hundred scrapes, the start and the first snapshot included.
func TestResidentMemory(t *testing.T) {
	inBench(t)
	binary := build(t)
	prometheus := []http.Header{accept("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3", "gzip")}
	var all, fifty []http.Header
	for _, format := range []string{
		"text/plain;version=0.0.4", "application/openmetrics-text;version=1.0.0", "application/openmetrics-text;version=0.0.1",
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
	} {
		for _, encoding := range []string{"gzip", "identity"} {
			all = append(all, accept(format, encoding))
			for _, escaping := range []string{"allow-utf-8", "underscores", "dots", "values", "none", "x", "y"} {
				fifty = append(fifty, accept(format+";escaping="+escaping, encoding))
			}
		}
	}
	for _, test := range []struct {
		what                string
		connectors, ceiling int
		scrapers            []http.Header
	}{
		{"100 connectors × 4 tasks, one Prometheus", 100, 40 << 20, prometheus},
		{"10,000 connectors × 4 tasks, one Prometheus", 10_000, 64 << 20, prometheus},
		{"10,000 connectors × 4 tasks, every format in turn", 10_000, 80 << 20, all},
		{"10,000 connectors × 4 tasks, fifty scrapers with Accept headers of their own", 10_000, 80 << 20, fifty},
	} {
		cluster := connecttest.Large(test.connectors, 4)
		worker := httptest.NewServer(cluster.Handler(cluster.Workers()[0]))
		defer worker.Close()
		// What it needs is the least of a few runs: a garbage collector that gets
		// no processor on a loaded machine is late.
		peak := peakMemory(t, binary, worker.URL, test.scrapers)
		for range 2 {
			if peak > test.ceiling {
				peak = min(peak, peakMemory(t, binary, worker.URL, test.scrapers))
			}
		}
		t.Logf("%s: peak resident memory %.1f MB", test.what, float64(peak)/(1<<20))
		if peak > test.ceiling {
			t.Errorf("%s: peak resident memory is %d bytes, more than %d", test.what, peak, test.ceiling)
		}
	}
}

func accept(format, encoding string) http.Header {
	return http.Header{"Accept": {format}, "Accept-Encoding": {encoding}}
}

// peakMemory starts the binary, scrapes it a hundred times, each in turn and then
// all at once, and returns the most that was resident until then.
func peakMemory(t *testing.T, binary, worker string, scrapers []http.Header) int {
	t.Helper()
	return peakMemoryOf(t, binary, "--connect.url="+worker, scrapers)
}

// peakMemoryOf does so with a flag that says which clusters there are.
func peakMemoryOf(t *testing.T, binary, clusters string, scrapers []http.Header) int {
	t.Helper()
	process, address := start(t, binary, clusters)
	for i := range 100 {
		if download(t, "http://"+address+"/metrics", scrapers[i%len(scrapers)]) < 1000 {
			t.Fatal("an answer is too small to be one")
		}
	}
	var together sync.WaitGroup
	for _, scraper := range scrapers {
		together.Go(func() { download(t, "http://"+address+"/metrics", scraper) })
	}
	together.Wait()
	return memory(t, process.Process.Pid, "VmHWM")
}

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
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if strings.Contains(strings.ToLower(lines.Text()), "listening") {
			if address := listening.FindString(lines.Text()); address != "" {
				go func() { _, _ = io.Copy(io.Discard, log) }()
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
// in a hundred scrapes as Prometheus makes them, the start and the first look
// included.
func TestResidentMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binary and scrapes it a hundred times; run without -short")
	}
	binary := build(t)
	for _, test := range []struct{ connectors, ceiling int }{{100, 40 << 20}, {10_000, 64 << 20}} {
		cluster := connecttest.Large(test.connectors, 4)
		worker := httptest.NewServer(cluster.Handler(cluster.Workers()[0]))
		defer worker.Close()
		// What it needs is the least of a few runs: a garbage collector that gets
		// no processor on a loaded machine is late.
		peak := peakMemory(t, binary, worker.URL)
		for range 2 {
			if peak > test.ceiling {
				peak = min(peak, peakMemory(t, binary, worker.URL))
			}
		}
		t.Logf("%d connectors × 4 tasks: peak resident memory %.1f MB", test.connectors, float64(peak)/(1<<20))
		if peak > test.ceiling {
			t.Errorf("%d connectors: peak resident memory is %d bytes, more than %d", test.connectors, peak, test.ceiling)
		}
	}
}

// peakMemory starts the binary, scrapes it a hundred times, and returns the most
// that was resident until then.
func peakMemory(t *testing.T, binary, worker string) int {
	t.Helper()
	process, address := start(t, binary, "--connect.url="+worker)
	header := http.Header{"Accept-Encoding": {"gzip"}, "Accept": {"application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3"}}
	for range 100 {
		if download(t, "http://"+address+"/metrics", header) < 1000 {
			t.Fatal("an answer is too small to be one")
		}
	}
	return memory(t, process.Process.Pid, "VmHWM")
}

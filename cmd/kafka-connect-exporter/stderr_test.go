//go:build unix

package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
)

// A log that nobody reads holds no scrape up, one whose reader has gone ends
// nothing (SIGPIPE), and neither keeps the program from ending.
func TestNobodyReadsTheLog(t *testing.T) {
	t.Parallel()
	c := connecttest.NewCluster(connecttest.Options{Version: "2.2.2"})
	for i := range 100 {
		c.Create(connecttest.Connector{Name: fmt.Sprintf("connector-%03d", i), Class: "org.example.Sink", Type: "sink", Tasks: 1})
	}
	worker := httptest.NewServer(c.Handler(c.Workers()[0]))
	defer worker.Close()
	file := t.TempDir() + "/clusters.yml"
	if err := os.WriteFile(file, []byte("snapshot_max_age: 0s\nclusters: [{name: a, urls: ["+worker.URL+"]}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, reader := range []string{"sleeps", "has gone"} {
		t.Run("the reader "+reader, func(t *testing.T) {
			// The command is this test's binary, see TestMain.
			exporter := exec.CommandContext(t.Context(), "kafka-connect-exporter", "--config.file="+file, "--web.listen-address=127.0.0.1:0", "--log.level=debug")
			log, err := exporter.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := exporter.Start(); err != nil {
				t.Fatal(err)
			}
			var metrics string
			lines := bufio.NewScanner(log)
			for metrics == "" && lines.Scan() {
				if _, address, found := strings.Cut(lines.Text(), `msg="Listening on" address=`); found {
					metrics = "http://" + address + "/metrics"
				}
			}
			if reader == "has gone" {
				if err := log.Close(); err != nil {
					t.Fatal(err)
				}
			}
			// More than a pipe holds (64 KiB).
			for range 10 {
				if got := get(t, metrics); !strings.Contains(got, `kafka_connect_up{connect_cluster="a"} 1`) {
					t.Fatalf("scraped: %.300s", got)
				}
			}
			if got := get(t, metrics+"?clusters=none"); !regexp.MustCompile(`(?m)^kafka_connect_exporter_log_lines_dropped_total \d`).MatchString(got) ||
				reader == "has gone" && strings.Contains(got, "kafka_connect_exporter_log_lines_dropped_total 0\n") {
				t.Errorf("the lines that were dropped are not counted: %s", got)
			}
			if err := exporter.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if state, err := exporter.Process.Wait(); err != nil || state.ExitCode() != exitWell {
				t.Errorf("it ended with %v (%v)", state, err)
			}
		})
	}
}

// A command that prints to somebody who does not read ends soon when it is told to.
func TestNobodyReadsWhatIsPrinted(t *testing.T) {
	t.Parallel()
	c := connecttest.NewCluster(connecttest.Options{Version: "2.2.2"})
	for i := range 2000 { // More than a pipe holds (64 KiB).
		c.Create(connecttest.Connector{Name: fmt.Sprintf("connector-%04d", i), Class: "org.example.Sink", Type: "sink", Tasks: 1})
	}
	worker := httptest.NewServer(c.Handler(c.Workers()[0]))
	defer worker.Close()
	command := exec.CommandContext(t.Context(), "kafka-connect-exporter", "snapshot", "--connect.url="+worker.URL)
	printed, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(printed, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	state, err := command.Process.Wait()
	if took := time.Since(began); err != nil || state.ExitCode() != exitTrouble || took > commandPatience+stopPatience/2 {
		t.Errorf("it ended with %v (%v) after %s", state, err, took)
	}
}

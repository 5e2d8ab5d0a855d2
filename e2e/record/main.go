// Command record starts real Kafka Connect workers and writes what they answer,
// byte by byte, into folders of fixtures: one per version, with an index of the
// requests. Run it in the folder e2e:
//
//	go run ./record
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kafka"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/process"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/scenario"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	output := flag.String("output", "../connect/rest/testdata", "folder that gets a folder per version")
	versions := flag.String("versions", "2.2.2,2.3.1,3.3.2,3.5.2,3.9.1,4.3.1", "versions to record, comma-separated")
	firstPort := flag.Int("port", 18083, "first port; workers are numbered from here, so that their names stay the same")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	work, err := os.MkdirTemp("", "record-")
	if err != nil {
		return err
	}
	group, err := process.NewGroup(filepath.Join(work, "logs"))
	if err != nil {
		return err
	}
	defer func() {
		group.Close(0)
		if err != nil {
			fmt.Fprintln(os.Stderr, "logs are in", group.Directory())
			return
		}
		os.RemoveAll(work)
	}()
	broker, err := kafka.StartBroker(ctx, group, process.NewPorts(*firstPort+100, *firstPort+200), filepath.Join(work, "broker"), "4.3.1")
	if err != nil {
		return err
	}
	for version := range strings.SplitSeq(*versions, ",") {
		start := time.Now()
		r := &recorder{
			version: version, bootstrap: broker.Address, group: group, work: work, port: *firstPort,
			output: filepath.Join(*output, version),
		}
		if err := r.record(ctx); err != nil {
			return fmt.Errorf("record %s: %w", version, err)
		}
		fmt.Printf("%s: %d answers in %s (%.0f s)\n", version, len(r.index), r.output, time.Since(start).Seconds())
	}
	return nil
}

// An entry of index.json: what was asked and the file with the whole answer.
type entry struct {
	// Request is the method and the target as they stood in the request line.
	Request string `json:"request"`
	// File has status line, headers and body as they came from the socket.
	File string `json:"file"`
	// Status is the answer's.
	Status int `json:"status"`
	// When says at which moment, if that matters.
	When string `json:"when,omitempty"`
}

type recorder struct {
	version, bootstrap, work, output string
	group                            *process.Group
	port                             int

	mu    sync.Mutex
	index []entry
}

func (r *recorder) worker(offset int, without []string, properties map[string]string, java ...string) *kafka.Worker {
	return kafka.NewWorker(r.group, kafka.WorkerOptions{
		Version: r.version, Group: "record-" + r.version, Bootstrap: r.bootstrap, Port: r.port + offset,
		Without: without, Properties: properties, Java: java, Directory: filepath.Join(r.work, r.version),
	})
}

func (r *recorder) record(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := os.RemoveAll(r.output); err != nil {
		return err
	}
	if err := os.MkdirAll(r.output, 0o755); err != nil {
		return err
	}
	if _, err := kafka.Jars(ctx, r.version); err != nil {
		return err
	}
	first := r.worker(0, nil, nil)
	workers := []*kafka.Worker{first}
	if kafka.AtLeast(r.version, "3.9") {
		workers = append(workers, r.worker(1, nil, nil))
	}
	if err := first.Start(ctx); err != nil {
		return err
	}
	if err := r.starting(ctx, first); err != nil {
		return err
	}
	if err := first.Ready(ctx); err != nil {
		return err
	}
	if err := kafka.StartReady(ctx, workers[1:]...); err != nil {
		return err
	}
	options := scenario.Options{Version: r.version, Bootstrap: r.bootstrap}
	if err := scenario.Create(ctx, first.Client, options); err != nil {
		return err
	}
	if err := r.settled(ctx, first, options); err != nil {
		return err
	}
	r.answers(first)
	if err := r.rebalancing(ctx, first); err != nil {
		return err
	}
	for _, w := range workers {
		if err := w.Terminate(ctx); err != nil {
			return err
		}
	}
	if err := r.pluginMissing(ctx); err != nil {
		return err
	}
	if err := r.unauthorized(ctx); err != nil {
		return err
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(r.index); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.output, "index.json"), text.Bytes(), 0o644)
}

// starting keeps what a worker answers before it has its REST resources.
func (r *recorder) starting(ctx context.Context, w *kafka.Worker) error {
	return process.Poll(ctx, 10*time.Millisecond, w.Process, func(context.Context) error {
		for _, target := range []string{"/connectors", "/connectors?expand=status&expand=info", "/health"} {
			answer, err := get(w, target)
			if err != nil {
				return err
			}
			if answer.status == http.StatusOK {
				return nil
			}
			if !strings.Contains(target, "health") || answer.status == http.StatusServiceUnavailable {
				r.keep("starting-"+slug(target), target, "while the worker starts", answer)
			}
		}
		return errors.New("still starting")
	})
}

// settled waits until the scenario shows the states that it was made for.
func (r *recorder) settled(ctx context.Context, w *kafka.Worker, o scenario.Options) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	want := map[string]string{scenario.Paused: "PAUSED", scenario.Stopped: "STOPPED", scenario.FailingStart: "FAILED"}
	return process.Poll(ctx, 200*time.Millisecond, w.Process, func(ctx context.Context) error {
		if err := w.GetJSON(ctx, "/connectors", nil); err != nil {
			return err // On 2.2 the list waits for the end of a rebalance.
		}
		for _, c := range scenario.Connectors(o) {
			path := kafka.ConnectorPath(c.Name) + "/status"
			if slices.Contains(scenario.UnforwardableNames(), c.Name) {
				continue // Maybe without tasks, maybe not addressable.
			}
			var status kafka.Status
			if err := w.GetJSON(ctx, path, &status); err != nil {
				return err
			}
			state := want[c.Name]
			if state == "" {
				state = "RUNNING"
			}
			if status.Connector.State != state {
				return fmt.Errorf("%q is %s, not %s", c.Name, status.Connector.State, state)
			}
			task := state
			switch c.Name {
			case scenario.FailingTasks:
				task = "FAILED"
			case scenario.Stopped, scenario.FailingStart:
				continue
			}
			if len(status.Tasks) == 0 {
				return fmt.Errorf("%q has no tasks", c.Name)
			}
			for _, t := range status.Tasks {
				if t.State != task {
					return fmt.Errorf("task %d of %q is %s, not %s", t.ID, c.Name, t.State, task)
				}
			}
		}
		return nil
	})
}

// answers keeps what a settled cluster says to every call of interest.
func (r *recorder) answers(w *kafka.Worker) {
	r.ask(w, "root", "/", "")
	r.ask(w, "health", "/health", "")
	r.ask(w, "connectors", "/connectors", "")
	r.ask(w, "expand-status-info", "/connectors?expand=status&expand=info", "")
	r.ask(w, "expand-status", "/connectors?expand=status", "")
	r.ask(w, "expand-info", "/connectors?expand=info", "")
	r.ask(w, "expand-comma", "/connectors?expand=info,status", "")
	for _, c := range scenario.Connectors(scenario.Options{Version: r.version, Bootstrap: r.bootstrap}) {
		path := kafka.ConnectorPath(c.Name)
		r.ask(w, "info-"+slug(c.Name), path, "")
		r.ask(w, "status-"+slug(c.Name), path+"/status", "")
	}
	r.ask(w, "error-info-unknown", "/connectors/unknown", "")
	r.ask(w, "error-status-unknown", "/connectors/unknown/status", "")
	r.ask(w, "error-path-unknown", "/nothing", "")
}

// rebalancing changes connectors without a pause and asks for info until the
// worker answers that it cannot say now: 409 up to 3.4, 500 since. It happens
// now and then only, so not to see it is no error.
func (r *recorder) rebalancing(ctx context.Context, w *kafka.Worker) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	churn := make(chan error, 1)
	go func() {
		for i := 0; ctx.Err() == nil; i++ {
			name := fmt.Sprintf("churn-%d", i%3)
			_ = w.Create(ctx, kafka.Connector{Name: name, Config: map[string]any{
				"connector.class": scenario.FileSink, "tasks.max": "1", "topics": "orders", "file": "/dev/null",
			}})
			_, _ = w.Do(ctx, http.MethodDelete, kafka.ConnectorPath(name), nil)
		}
		churn <- nil
	}()
	seen := map[string]bool{}
	targets := map[string]string{"error-rebalancing-info": kafka.ConnectorPath(scenario.Source), "error-rebalancing-list": "/connectors"}
	if kafka.AtLeast(r.version, "2.3") {
		delete(targets, "error-rebalancing-list") // Since 2.3 the list waits for nothing.
	}
	for ctx.Err() == nil && len(seen) < len(targets) {
		for name, target := range targets {
			answer, err := get(w, target)
			if err != nil || seen[name] || (answer.status != http.StatusConflict && answer.status != http.StatusInternalServerError) {
				continue
			}
			seen[name] = true
			r.keep(name, target, "while connectors are created and deleted", answer)
		}
	}
	cancel()
	return <-churn
}

// pluginMissing starts the cluster again without the jar of one connector.
func (r *recorder) pluginMissing(ctx context.Context) error {
	if !kafka.AtLeast(r.version, "2.3") {
		return nil
	}
	without, missing := "connect-mirror-", scenario.Arrow
	if !kafka.AtLeast(r.version, "2.4") {
		without, missing = "connect-file-", scenario.Source
	}
	w := r.worker(0, []string{without}, nil)
	if err := kafka.StartReady(ctx, w); err != nil {
		return err
	}
	// The connector's status is that of the last run until this worker has tried to start it.
	if err := process.Poll(ctx, 200*time.Millisecond, w.Process, func(context.Context) error {
		answer, err := get(w, kafka.ConnectorPath(missing)+"/status")
		if err == nil && answer.status == http.StatusOK && !bytes.Contains(answer.raw, []byte("Failed to find any class")) {
			return errors.New("not yet failed")
		}
		return err
	}); err != nil {
		return err
	}
	when := "after a restart without " + without + "*.jar"
	for _, ask := range [][2]string{
		{"connectors", "/connectors"},
		{"expand-status-info", "/connectors?expand=status&expand=info"},
		{"expand-status", "/connectors?expand=status"},
		{"info-missing", kafka.ConnectorPath(missing)},
		{"status-missing", kafka.ConnectorPath(missing) + "/status"},
		{"info-failing-connector", kafka.ConnectorPath(scenario.FailingStart)},
		{"status-failing-connector", kafka.ConnectorPath(scenario.FailingStart) + "/status"},
		{"info-source", kafka.ConnectorPath(scenario.Source)},
		{"status-source", kafka.ConnectorPath(scenario.Source) + "/status"},
	} {
		r.ask(w, "plugin-missing-"+ask[0], ask[1], when)
	}
	return w.Terminate(ctx)
}

// unauthorized keeps what a worker with basic auth says to one without.
func (r *recorder) unauthorized(ctx context.Context) error {
	if !kafka.AtLeast(r.version, "4.0") {
		return nil
	}
	properties, java, err := kafka.BasicAuth(filepath.Join(r.work, r.version), "reader", "basic-s3cret")
	if err != nil {
		return err
	}
	w := r.worker(0, nil, properties, java...)
	w.Client = kafka.NewClient(&url.URL{Scheme: "http", Host: w.ID(), User: url.UserPassword("reader", "basic-s3cret")}, nil)
	if err := kafka.StartReady(ctx, w); err != nil {
		return err
	}
	r.ask(w, "unauthorized-connectors", "/connectors", "without credentials, on a worker with basic auth")
	return w.Terminate(ctx)
}

// An answer as it came from the socket.
type answer struct {
	raw    []byte
	status int
}

// get asks w for target and reads its answer until w closes the connection.
func get(w *kafka.Worker, target string) (answer, error) {
	connection, err := net.DialTimeout("tcp", w.ID(), time.Second)
	if err != nil {
		return answer{}, err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: application/json\r\nConnection: close\r\n\r\n", target, w.ID()); err != nil {
		return answer{}, err
	}
	raw, err := io.ReadAll(connection)
	if err != nil {
		return answer{}, err
	}
	response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil)
	if err != nil {
		return answer{}, err
	}
	_ = response.Body.Close()
	return answer{raw: raw, status: response.StatusCode}, nil
}

// ask keeps the answer to target, and asks again where a late rebalance stands
// in the way.
func (r *recorder) ask(w *kafka.Worker, name, target, when string) {
	var got answer
	err := process.Poll(context.Background(), 200*time.Millisecond, w.Process, func(context.Context) (err error) {
		got, err = get(w, target)
		switch {
		case err != nil:
			return &process.Permanent{Err: err}
		case got.status == http.StatusConflict || bytes.Contains(got.raw, []byte("rebalance is expected")):
			return errors.New("rebalancing")
		}
		return nil
	})
	if err != nil {
		fmt.Fprintf(os.Stderr, "record: %s: GET %s: %v\n", r.version, target, err)
		return
	}
	r.keep(name, target, when, got)
}

// keep writes an answer, unless one of that name was kept before.
func (r *recorder) keep(name, target, when string, got answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	file := name + ".http"
	for _, e := range r.index {
		if e.File == file {
			return
		}
	}
	if err := os.WriteFile(filepath.Join(r.output, file), got.raw, 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		return
	}
	r.index = append(r.index, entry{Request: "GET " + target, File: file, Status: got.status, When: when})
}

// slug makes a file name of a connector's name or of a path.
func slug(name string) string {
	switch name {
	case scenario.Space:
		return "name-with-spaces"
	case scenario.Arrow:
		return "name-with-arrow"
	case scenario.Quotes:
		return "name-with-quotes"
	case scenario.Unicode:
		return "name-with-unicode"
	case scenario.Slash:
		return "name-with-slash"
	case scenario.Percent:
		return "name-with-percent"
	case scenario.Backslash:
		return "name-with-backslash"
	case scenario.Semicolon:
		return "name-with-semicolon"
	case "/connectors?expand=status&expand=info":
		return "expand-status-info"
	}
	return strings.Trim(name, "/")
}

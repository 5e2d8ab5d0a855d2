// Package brokers watches real Connect clusters by what their brokers know, beside
// what REST tells: workers that are killed, tasks that fail and restart between
// two scrapes, lag, progress, MirrorMaker 2 without a REST API.
package brokers

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kafka"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/process"
)

var update = flag.Bool("update", false, "write what was measured into docs/brokers.md")

const (
	// version of brokers and workers.
	version = "4.3.1"
	// delay is scheduled.rebalance.max.delay.ms: long enough to see for how long REST
	// is wrong.
	delay = 25 * time.Second
	// interval between two scrapes.
	interval = time.Second
	settle   = 2 * time.Minute

	sinkClass   = "org.apache.kafka.connect.file.FileStreamSinkConnector"
	sourceClass = "org.apache.kafka.connect.file.FileStreamSourceConnector"
)

// parts are what a test runs on.
type parts struct {
	t         *testing.T
	directory string
	group     *process.Group
	ports     *process.Ports
	binary    string
	broker    *kafka.Broker
	admin     *kafka.Admin
}

// start starts a broker and builds the exporter.
func start(t *testing.T, first int, o kafka.BrokerOptions) *parts {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), settle)
	defer cancel()
	p := &parts{t: t, directory: t.TempDir(), ports: process.NewPorts(first, first+49)}
	logs := filepath.Join("..", "..", ".e2e", "logs", "brokers", t.Name())
	if err := os.RemoveAll(logs); err != nil {
		t.Fatal(err)
	}
	var err error
	if p.group, err = process.NewGroup(logs); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.group.Close(5 * time.Second) })
	p.binary = filepath.Join(p.directory, "kafka-connect-exporter")
	build := exec.CommandContext(ctx, "go", "build", "-C", filepath.Join("..", ".."), "-trimpath", "-o", p.binary, "./cmd/kafka-connect-exporter")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the exporter: %v\n%s", err, output)
	}
	if p.broker, err = kafka.StartBrokerWith(ctx, p.group, p.ports, filepath.Join(p.directory, "broker"), version, o); err != nil {
		t.Fatal(err)
	}
	if p.admin, err = kafka.NewAdmin(p.broker.Address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.admin.Close)
	return p
}

func (p *parts) port() int {
	p.t.Helper()
	port, err := p.ports.Next()
	if err != nil {
		p.t.Fatal(err)
	}
	return port
}

// workers starts n workers of a group.
func (p *parts) workers(group string, n int, properties map[string]string) []*kafka.Worker {
	p.t.Helper()
	var workers []*kafka.Worker
	for range n {
		workers = append(workers, kafka.NewWorker(p.group, kafka.WorkerOptions{
			Version: version, Group: group, Bootstrap: p.broker.Address, Port: p.port(), Delay: delay,
			Directory: filepath.Join(p.directory, group), Properties: properties,
		}))
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), settle)
	defer cancel()
	if err := kafka.StartReady(ctx, workers...); err != nil {
		p.t.Fatal(err)
	}
	return workers
}

// block is the configuration that leads to the brokers of a group.
func (p *parts) block(group string) string {
	return fmt.Sprintf("kafka: {bootstrap_servers: [%q], group_id: %[2]s, status_storage_topic: %[2]s-status, offset_storage_topic: %[2]s-offsets, source_topics: true}", p.broker.Address, group)
}

// An exporter that is scraped.
type exporter struct {
	*process.Process
	p    *parts
	url  string
	argv []string
	name string
}

// exporter starts one with these clusters; each scrape takes a snapshot.
func (p *parts) exporter(name, clusters string) *exporter {
	p.t.Helper()
	file := filepath.Join(p.directory, name+".yml")
	if err := os.WriteFile(file, []byte("snapshot_max_age: 0s\nclusters:\n"+clusters), 0o600); err != nil {
		p.t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port()))
	e := &exporter{p: p, name: name, url: "http://" + address, argv: []string{p.binary, "--config.file=" + file, "--web.listen-address=" + address}}
	e.start()
	return e
}

func (e *exporter) start() {
	e.p.t.Helper()
	var err error
	if e.Process, err = e.p.group.Start(e.name, e.argv); err != nil {
		e.p.t.Fatal(err)
	}
	e.p.eventually("the exporter "+e.name+" answers", func(ctx context.Context) error {
		_, err := e.try(ctx)
		return err
	})
}

// series are the values of a scrape: name{labels} as they are written.
type series map[string]float64

func (e *exporter) try(ctx context.Context) (series, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "8")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	all := series{}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if line := lines.Text(); !strings.HasPrefix(line, "#") {
			at := strings.LastIndexByte(line, ' ')
			value, err := strconv.ParseFloat(line[at+1:], 64)
			if err != nil {
				return nil, err
			}
			all[line[:at]] = value
		}
	}
	return all, lines.Err()
}

func (e *exporter) scrape() series {
	e.p.t.Helper()
	s, err := e.try(e.p.t.Context())
	if err != nil {
		e.p.t.Fatal(err)
	}
	return s
}

// of returns the value of a series, NaN-free: ok is false if there is none.
// labels beside the cluster are written as they are exposed.
func (s series) of(family, cluster string, labels ...string) (float64, bool) {
	all := append([]string{fmt.Sprintf("connect_cluster=%q", cluster)}, labels...)
next:
	for key, value := range s {
		name, rest, _ := strings.Cut(key, "{")
		if name != family || strings.Count(rest, "=\"") != len(all) {
			continue
		}
		for _, label := range all {
			if !strings.Contains("{"+rest, "{"+label) && !strings.Contains(rest, ","+label) {
				continue next
			}
		}
		return value, true
	}
	return 0, false
}

// sum adds the series of a family that have these labels.
func (s series) sum(family, cluster string, labels ...string) (total float64, n int) {
next:
	for key, value := range s {
		name, rest, _ := strings.Cut(key, "{")
		if name != family {
			continue
		}
		for _, label := range append([]string{fmt.Sprintf("connect_cluster=%q", cluster)}, labels...) {
			if !strings.Contains(rest, label) {
				continue next
			}
		}
		total += value
		n++
	}
	return total, n
}

// check says what is wrong with a series, nil if nothing is.
func (s series) check(want float64, family, cluster string, labels ...string) error {
	if got, found := s.of(family, cluster, labels...); !found || got != want {
		return fmt.Errorf("%s %s %v is %v (%t), want %v", family, cluster, labels, got, found, want)
	}
	return nil
}

// eventually waits until a condition holds.
func (p *parts) eventually(what string, condition func(ctx context.Context) error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), settle)
	defer cancel()
	if err := process.Poll(ctx, 250*time.Millisecond, nil, condition); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

// expect waits until a series of the exporter has a value.
func (e *exporter) expect(want float64, family, cluster string, labels ...string) {
	e.p.t.Helper()
	e.p.eventually(fmt.Sprintf("%s is %v", family, want), func(ctx context.Context) error {
		s, err := e.try(ctx)
		if err != nil {
			return err
		}
		return s.check(want, family, cluster, labels...)
	})
}

// create makes a connector.
func (p *parts) create(w *kafka.Worker, name, class string, config map[string]any) {
	p.t.Helper()
	all := map[string]any{"connector.class": class}
	maps.Copy(all, config)
	ctx, cancel := context.WithTimeout(p.t.Context(), settle)
	defer cancel()
	if err := w.Create(ctx, kafka.Connector{Name: name, Config: all}); err != nil {
		p.t.Fatal(err)
	}
}

// write sends a request that changes something.
func (p *parts) write(w *kafka.Worker, method, path string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), settle)
	defer cancel()
	if err := w.Write(ctx, method, path, nil); err != nil {
		p.t.Fatal(err)
	}
}

// document writes a table between two marks of docs/brokers.md, if that is asked
// for, and keeps it beside the logs.
func (p *parts) document(mark, table string) {
	p.t.Helper()
	p.t.Logf("\n%s", table)
	if err := os.WriteFile(filepath.Join("..", "..", ".e2e", "brokers-"+mark+".md"), []byte(table), 0o644); err != nil {
		p.t.Error(err)
	}
	if !*update {
		return
	}
	file := filepath.Join("..", "..", "docs", "brokers.md")
	text, err := os.ReadFile(file)
	if err != nil {
		p.t.Fatal(err)
	}
	block := regexp.MustCompile(`(?s)(<!-- measured: ` + mark + ` -->\n).*?(\n<!-- end -->)`)
	if !block.Match(text) {
		p.t.Fatalf("%s has no place for %s", file, mark)
	}
	text = block.ReplaceAll(text, []byte("${1}"+strings.ReplaceAll(table, "$", "$$")+"${2}"))
	if err := os.WriteFile(file, text, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

package bench

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/kafka/kafkatest"
)

var plotFile = flag.String("plot", "", "write what the soak saw into this file, as SVG")

const (
	// A trouble lasts so long, so that some scrapes and an export meet it.
	troubled = 250 * time.Millisecond
	// steadyConnectors are those of the cluster that nothing happens to.
	steadyConnectors = 100
)

// TestSoak lets everything happen that may happen, over and over: each round has
// every fault of a worker, workers and brokers that go, a receiver that fails, names
// that are invented, clusters and resources that come and go, reloads right and
// wrong, scrapes in every format and scrapers that hang up. A cluster that nothing
// happens to is whole in every scrape, and after each round, when all is over,
// nothing has grown: goroutines, descriptors, heap, series, lines of the log.
//
// SOAK is how long, at least a minute.
func TestSoak(t *testing.T) {
	lasts, err := time.ParseDuration(os.Getenv("SOAK"))
	if err != nil {
		t.Skip("make soak runs it")
	}
	s := newSoak(t)
	var rounds []reading
	for began := time.Now(); len(rounds) < 3 || time.Since(began) < lasts; {
		if s.round(); t.Failed() {
			break
		}
		rounds = append(rounds, s.calm())
		t.Logf("round %d: %v", len(rounds), rounds[len(rounds)-1])
	}
	if len(rounds) > 0 {
		// What was opened for the troubles and stands idle is closed in time.
		rounds[len(rounds)-1] = s.settled(rounds[0])
		t.Logf("settled: %v", rounds[len(rounds)-1])
		flat(t, rounds)
	}
	if *plotFile != "" {
		if err := os.WriteFile(*plotFile, plot(s.samples, s.calms), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// A reading is what the exporter has at a moment.
type reading struct {
	at         time.Duration // since the start
	goroutines float64
	files      float64 // descriptors
	heap       float64 // bytes, after a garbage collection
	series     float64 // on /metrics
	lines      float64 // of the log, in the round
}

func (r reading) String() string {
	return fmt.Sprintf("%.0f s: %.0f goroutines, %.0f descriptors, %.2f MB of heap, %.0f series, %.0f lines of the log",
		r.at.Seconds(), r.goroutines, r.files, r.heap/(1<<20), r.series, r.lines)
}

// flat holds what there is after the last round to what there was after the first.
func flat(t *testing.T, rounds []reading) {
	t.Helper()
	first, last := rounds[0], rounds[len(rounds)-1]
	for _, grown := range []struct {
		what                 string
		before, after, slack float64
	}{
		{"goroutines", first.goroutines, last.goroutines, 4},
		{"descriptors", first.files, last.files, 4},
		// Buffers that are kept for reuse come and go with what was last rendered.
		{"bytes of heap", first.heap, last.heap, first.heap/4 + 4<<20},
		{"series", first.series, last.series, 0},
		{"lines of the log in a round", first.lines, last.lines, first.lines/2 + 20},
	} {
		if grown.after > grown.before+grown.slack {
			t.Errorf("%s grew from %.0f to %.0f", grown.what, grown.before, grown.after)
		}
	}
	if first.series < 500 || first.heap < 1<<20 || first.lines < 5 {
		t.Errorf("nothing was measured: %v", first)
	}
}

// A soak is an exporter and all that happens around it.
type soak struct {
	t       *testing.T
	began   time.Time
	random  *rand.Rand
	client  *http.Client
	url     string
	process *os.Process

	troubled map[string]*soaked
	steady   string // where the cluster that nothing happens to is
	brokers  *kafkatest.Cluster
	receiver atomic.Pointer[http.HandlerFunc] // nil: takes everything
	exports  atomic.Int64                     // that were taken
	config   string                           // file
	base     string                           // its text without the clusters that come and go
	found    string                           // folder of resources
	log      *counted

	invented int
	samples  []reading // now and then while things happen
	calms    []reading // after each round
}

// A soaked cluster can also refuse connections.
type soaked struct {
	*connecttest.Cluster
	address string
	server  *http.Server
}

func (c *soaked) listen(t *testing.T) {
	t.Helper()
	var listener net.Listener
	var err error
	for range 100 { // The kernel may have lent the port to an outgoing connection.
		if listener, err = net.Listen("tcp", c.address); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.address = listener.Addr().String()
	c.server = &http.Server{Handler: c.Handler(c.Workers()[0]), ErrorLog: discard}
	go func() { _ = c.server.Serve(listener) }()
}

// counted counts lines, and keeps what should not be there.
type counted struct {
	mu    sync.Mutex
	lines int
	part  []byte
	panic []string
}

func (c *counted) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.part = append(c.part, p...)
	for {
		line, rest, found := bytes.Cut(c.part, []byte("\n"))
		if !found {
			return len(p), nil
		}
		c.lines++
		if len(c.panic) > 0 || bytes.Contains(line, []byte("panic")) || bytes.Contains(line, []byte("SIGSEGV")) {
			c.panic = append(c.panic, string(line))
		}
		c.part = slices.Clone(rest)
	}
}

// take returns how many lines there were since it was last asked.
func (c *counted) take() (lines int, panics string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines, c.lines = c.lines, 0
	return lines, strings.Join(c.panic, "\n")
}

func newSoak(t *testing.T) *soak {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	s := &soak{
		t: t, began: time.Now(), random: rand.New(rand.NewPCG(seed, 0)), client: &http.Client{}, log: &counted{},
		troubled: map[string]*soaked{}, found: t.TempDir(),
	}
	steady := connecttest.NewCluster(connecttest.Options{})
	for i := range steadyConnectors {
		steady.Create(connecttest.Connector{Name: connecttest.LargeName(i), Tasks: 2})
	}
	server := httptest.NewServer(steady.Handler(steady.Workers()[0]))
	t.Cleanup(server.Close)
	s.steady = server.URL
	s.brokers = kafkatest.New(t, nil)
	worker := kafkatest.Member{ID: "10.0.0.1:8083", Client: "connect-1", URL: "http://10.0.0.1:8083/"}
	s.brokers.SetGroup(kafkatest.State{State: "Stable", Leader: worker.ID, Members: []kafkatest.Member{worker}})
	var clusters strings.Builder
	fmt.Fprintf(&clusters, "- {name: steady, urls: [%q]}\n", s.steady)
	for name, more := range map[string]string{
		"one":     "observation_version: '1'",
		"two":     "observation_version: '2'",
		"auto":    "info_max_age: 100ms",
		"probed":  "worker_probe: {}",
		"brokers": fmt.Sprintf("kafka: {bootstrap_servers: ['%s'], group_id: %s, status_storage_topic: %s, offset_storage_topic: %s}", strings.Join(s.brokers.ListenAddrs(), "','"), kafkatest.Group, kafkatest.StatusTopic, kafkatest.OffsetsTopic),
	} {
		c := &soaked{Cluster: connecttest.NewCluster(connecttest.Options{}), address: "127.0.0.1:0"}
		for i := range 10 {
			c.Create(connecttest.Connector{Name: connecttest.LargeName(i), Tasks: 2})
			s.brokers.Write(kafkatest.Status{Connector: connecttest.LargeName(i), Task: -1, State: "RUNNING", Worker: worker.ID, Generation: 1})
		}
		c.listen(t)
		t.Cleanup(func() { _ = c.server.Close() })
		s.troubled[name] = c
		fmt.Fprintf(&clusters, "- {name: %s, urls: ['http://%s'], request_timeout: 200ms, %s}\n", name, c.address, more)
	}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if fails := s.receiver.Load(); fails != nil {
			(*fails)(w, r)
			return
		}
		s.exports.Add(1)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(receiver.Close)
	s.base = fmt.Sprintf("snapshot_max_age: 0s\notlp: {endpoint: '%s/', interval: 300ms, timeout: 200ms}\ndiscovery: {files: ['%s/*.yaml']}\nclusters:\n%s", receiver.URL, s.found, clusters.String())
	s.config = filepath.Join(t.TempDir(), "clusters.yml")
	s.configure(s.base)
	process, address := startLogged(t, build(t), s.log, "--config.file="+s.config, "--web.enable-lifecycle", "--web.enable-pprof")
	s.process, s.url = process.Process, "http://"+address
	s.fill()
	return s
}

// fill lets as many series end as are kept at most to tell of their end by OTLP, so
// that what they cost is there from the beginning.
func (s *soak) fill() {
	s.t.Helper()
	text := s.base
	for range 50 {
		text += fmt.Sprintf("- {name: %q, urls: [%q]}\n", strings.ReplaceAll(s.name(), "\t", " "), s.steady)
	}
	s.configure(text)
	if err := s.reload(); err != nil {
		s.t.Fatal(err)
	}
	exported := func() {
		s.t.Helper()
		exports := s.exports.Load()
		s.await("the series are exported", func() error {
			if s.exports.Load() < exports+60 { // Each has several requests.
				return errors.New("not yet")
			}
			return nil
		})
	}
	exported()
	s.back()
	exported()
}

func (s *soak) configure(text string) {
	s.t.Helper()
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// reload asks for it and returns why the configuration was not taken.
func (s *soak) reload() error {
	s.t.Helper()
	response, err := s.client.Post(s.url+"/-/reload", "", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	return err
}

// name makes one up that was never there: odd, long, or ordinary.
func (s *soak) name() string {
	s.invented++
	return fmt.Sprintf("%s %d", []string{"invented", `a"b\c`, "é/%ü ->", strings.Repeat("long", 40), "x\ty", "<script>"}[s.invented%6], s.invented)
}

// A trouble happens, and is over when the function that it returns was called.
type trouble func() (over func())

// round lets each trouble happen once, in another order each time, while scrapers
// come all the time.
func (s *soak) round() {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	var scrapers sync.WaitGroup
	come := func(all []func(context.Context), every time.Duration) {
		for _, scrape := range all {
			scrapers.Go(func() {
				for ctx.Err() == nil {
					scrape(ctx)
					select {
					case <-ctx.Done():
					case <-time.After(every):
					}
				}
			})
		}
	}
	come(s.scrapers(), 100*time.Millisecond)
	come(s.leavers(), 500*time.Millisecond) // These wait for no answer: they must not be too many.
	troubles := s.troubles()
	s.random.Shuffle(len(troubles), func(i, j int) { troubles[i], troubles[j] = troubles[j], troubles[i] })
	for i, happens := range troubles {
		over := happens()
		time.Sleep(troubled) // It is to be met by those who ask meanwhile.
		over()
		if i%4 == 0 {
			s.samples = append(s.samples, s.read(false))
		}
	}
	cancel()
	scrapers.Wait()
}

// troubles are all that there are.
func (s *soak) troubles() (all []trouble) {
	for _, fault := range []connecttest.Fault{
		connecttest.Hang(nil), connecttest.Delay(100 * time.Millisecond), connecttest.Drip(10, 20*time.Millisecond), connecttest.Reset(), connecttest.Times(1, connecttest.Reset()),
		connecttest.Truncate(connecttest.CutLength), connecttest.Truncate(connecttest.CutChunks), connecttest.Truncate(connecttest.CutClose), connecttest.Truncate(connecttest.CutBody),
		connecttest.HTML(200), connecttest.HTML(404), connecttest.HTML(503), connecttest.Reply(401, "application/json", "User cannot access the resource."), connecttest.ErrorReply(403, "no"),
		connecttest.ErrorReply(409, "Cannot complete request momentarily"), connecttest.ErrorReply(429, "later"), connecttest.ErrorReply(500, "Request cannot be completed because a rebalance is expected"),
		connecttest.ErrorReply(500, "Failed to find any class that implements Connector and which name matches x"), connecttest.Reply(204, "", ""), connecttest.Reply(200, "application/json", "[]"),
		connecttest.Reply(200, "application/json", "{}"), connecttest.Reply(200, "application/json", "null"), connecttest.Redirect("http://127.0.0.1:1/"), connecttest.RedirectLoop(),
		connecttest.Endless(), connecttest.EndlessString(), connecttest.GzipBomb(8 << 20), connecttest.Gzip(), connecttest.TrailingGarbage("x"), connecttest.InvalidUTF8(), connecttest.DuplicateKeys(), connecttest.DeepNesting(10_000),
	} {
		all = append(all, func() func() {
			for _, c := range s.troubled {
				c.SetFault(connecttest.Match{}, fault)
			}
			return func() {
				for _, c := range s.troubled {
					c.ClearFaults()
				}
			}
		})
	}
	return append(all, s.refused, s.killed, s.names, s.states, s.broken, s.statuses, s.clusters, s.wrong, s.hangup, s.resources, s.pipe,
		s.receives(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }),
		s.receives(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }),
		s.receives(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
		s.receives(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
		s.receives(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }),
		s.receives(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }))
}

// refused: nobody listens.
func (s *soak) refused() func() {
	for _, c := range s.troubled {
		_ = c.server.Close()
	}
	return func() {
		for _, c := range s.troubled {
			c.listen(s.t)
		}
	}
}

// killed: the worker goes and comes back.
func (s *soak) killed() func() {
	for _, c := range s.troubled {
		c.KillWorker(c.Workers()[0])
	}
	return func() {
		for _, c := range s.troubled {
			c.StartWorker(c.Workers()[0])
		}
	}
}

// names of connectors and classes that nobody has seen before.
func (s *soak) names() func() {
	names := make([]string, 20)
	for i := range names {
		names[i] = s.name()
	}
	for _, c := range s.troubled {
		for i, name := range names {
			c.Create(connecttest.Connector{Name: name, Class: "org.example." + strconv.Itoa(s.invented+i), Tasks: 2, Config: map[string]string{"password": "hidden"}})
			c.FailConnector(name, fmt.Sprintf("org.example.Failed%d: x\n\tat a.B.c(D.java:1)\nCaused by: org.example.Cause%d: y\n", s.invented+i, s.invented+i))
		}
	}
	return func() {
		for _, c := range s.troubled {
			for _, name := range names {
				c.Delete(name)
			}
		}
	}
}

// states that no version of Kafka knows, failures and pauses.
func (s *soak) states() func() {
	for _, c := range s.troubled {
		c.SetState(connecttest.LargeName(0), 0, s.name())
		c.FailTask(connecttest.LargeName(1), 0, "a.B: x")
		c.Pause(connecttest.LargeName(2))
		c.Stop(connecttest.LargeName(3))
		c.DropStatus(connecttest.LargeName(4))
	}
	return func() {
		for _, c := range s.troubled {
			c.RestartConnector(connecttest.LargeName(0))
			c.RestartConnector(connecttest.LargeName(1))
			c.Resume(connecttest.LargeName(2))
			c.Resume(connecttest.LargeName(3))
			c.RestoreStatus(connecttest.LargeName(4))
		}
	}
}

// broken brokers answer with errors.
func (s *soak) broken() func() {
	fault := s.brokers.Fault(kfake.Fault{Err: kerr.CoordinatorNotAvailable, Count: -1})
	return fault.Remove
}

// statuses of connectors that come and go in the status topic.
func (s *soak) statuses() func() {
	name := s.name()
	s.brokers.Write(kafkatest.Status{Connector: name, Task: -1, State: "RUNNING", Worker: "10.0.0.1:8083"}, kafkatest.Status{Connector: name, State: "FAILED", Trace: "a.B: x", Worker: name})
	return func() {
		s.brokers.Write(kafkatest.Status{Connector: name, Task: -1}, kafkatest.Status{Connector: name})
	}
}

// clusters that come and go by reload.
func (s *soak) clusters() func() {
	text := s.base
	for range 5 {
		text += fmt.Sprintf("- {name: %q, urls: [%q], labels: {team: %q}}\n", strings.ReplaceAll(s.name(), "\t", " "), s.steady, "t"+strconv.Itoa(s.invented))
	}
	s.configure(text)
	if err := s.reload(); err != nil {
		s.t.Errorf("a right configuration was refused: %v", err)
	}
	return s.back
}

func (s *soak) back() {
	s.configure(s.base)
	if err := s.reload(); err != nil {
		s.t.Errorf("the configuration was refused: %v", err)
	}
}

// wrong configurations change nothing.
func (s *soak) wrong() func() {
	s.configure("clusters: [" + s.name())
	if s.reload() == nil {
		s.t.Error("a wrong configuration was taken")
	}
	return s.back
}

// hangup: a reload by signal.
func (s *soak) hangup() func() {
	_ = s.process.Signal(syscall.SIGHUP)
	return func() {}
}

// resources that come and go, one of which is wrong.
func (s *soak) resources() func() {
	var files []string
	for i := range 5 {
		s.invented++
		text := fmt.Sprintf("apiVersion: kafka.strimzi.io/v1\nkind: KafkaConnect\nmetadata: {name: found-%d, namespace: soak, labels: {a: b}}\nspec: {replicas: 1, groupId: g}\nstatus: {url: %q, conditions: [{type: Ready, status: 'True'}]}\n", s.invented, s.steady)
		if i == 4 {
			text = "a: [" // No YAML.
		}
		file := filepath.Join(s.found, fmt.Sprintf("%d.yaml", s.invented))
		files = append(files, file)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	// Resources in files are looked for each second.
	s.await("the resources are clusters", func() error {
		text, err := s.get("/metrics", nil)
		if err == nil && strings.Count(text, `kafka_connect_up{connect_cluster="soak/found-`) != 4 {
			err = errors.New("not yet")
		}
		return err
	})
	return func() {
		for _, file := range files {
			_ = os.Remove(file)
		}
	}
}

// pipe: a pipe stands in the place of a resource.
func (s *soak) pipe() func() {
	file := filepath.Join(s.found, "pipe.yaml")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return func() { _ = os.Remove(file) }
}

// receives is a receiver of OTLP that does so.
func (s *soak) receives(fails http.HandlerFunc) trouble {
	return func() func() {
		s.receiver.Store(&fails)
		return func() { s.receiver.Store(nil) }
	}
}

// scrapers ask in every format, for everything.
func (s *soak) scrapers() (all []func(context.Context)) {
	for _, format := range []string{
		"", "text/plain;version=0.0.4", "text/plain;version=1.0.0;escaping=allow-utf-8", "application/openmetrics-text;version=0.0.1", "application/openmetrics-text;version=1.0.0",
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", "text/html,*/*;q=0.1",
	} {
		for _, path := range []string{"/metrics", "/probe?cluster=steady"} {
			header := http.Header{"Accept": {format}, "X-Prometheus-Scrape-Timeout-Seconds": {"10"}}
			all = append(all, func(ctx context.Context) {
				text, err := s.get(path, header)
				if err == nil && ctx.Err() == nil && !strings.Contains(format, "protobuf") {
					if n := strings.Count(text, `kafka_connect_task_info{connect_cluster="steady"`); n != 2*steadyConnectors || !strings.Contains(text, `kafka_connect_up{connect_cluster="steady"} 1`) {
						err = fmt.Errorf("%d tasks of the cluster that is well", n)
					}
				}
				if err != nil {
					s.t.Errorf("%s as %q: %v", path, format, err)
				}
			})
		}
	}
	plain := func(path string, status int) func(context.Context) {
		return func(context.Context) {
			response, err := s.client.Get(s.url + path)
			if err != nil {
				s.t.Error(err)
				return
			}
			defer func() { _ = response.Body.Close() }()
			if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != status {
				s.t.Errorf("%s: %s %v", path, response.Status, err)
			}
		}
	}
	return append(all, plain("/", 200), plain("/?cluster=two&q=invented", 200), plain("/sd", 200), plain("/config", 200), plain("/probe?cluster=nobody", 404), plain("/-/ready", 200), plain("/nothing", 404))
}

// leavers ask, and leave in the middle of the answer.
func (s *soak) leavers() []func(context.Context) {
	leaves := func(path string, after int) func(context.Context) {
		return func(context.Context) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
			if err != nil {
				s.t.Error(err)
				return
			}
			_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path)
			_, _ = io.CopyN(io.Discard, conn, int64(after))
			_ = conn.Close()
		}
	}
	return []func(context.Context){leaves("/metrics", 0), leaves("/metrics", 1000), leaves("/probe?cluster=steady", 100), leaves("\x16\x03\x01", 10)}
}

// get returns the body of a 200.
func (s *soak) get(path string, header http.Header) (string, error) {
	request, err := http.NewRequest(http.MethodGet, s.url+path, nil)
	if err != nil {
		return "", err
	}
	request.Header = header
	response, err := s.client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.200s", response.Status, text)
	}
	return string(text), err
}

// await waits until something holds.
func (s *soak) await(what string, check func() error) {
	s.t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	s.t.Fatalf("waited for that %s: %v", what, err)
}

// whole says what is not as it was before the first trouble.
func (s *soak) whole() error {
	text, err := s.get("/metrics", nil)
	if err != nil {
		return err
	}
	if n, up := strings.Count(text, "\nkafka_connect_up{"), strings.Count(text, "\"} 1\nkafka_connect_up{")+1; n != len(s.troubled)+1 || up != n {
		return fmt.Errorf("%d clusters, %d of them up", n, up)
	}
	if n := strings.Count(text, "\nkafka_connect_task_info{"); n != 2*steadyConnectors+20*len(s.troubled) {
		return fmt.Errorf("%d tasks", n)
	}
	if !strings.Contains(text, `kafka_connect_brokers_up{connect_cluster="brokers"} 1`) {
		return errors.New("the brokers are not read")
	}
	return nil
}

// calm waits until all is whole again, and reads.
func (s *soak) calm() reading {
	s.t.Helper()
	s.await("all is whole again", s.whole)
	exports := s.exports.Load()
	s.await("exports are taken again", func() error {
		if s.exports.Load() < exports+3 {
			return errors.New("none")
		}
		return nil
	})
	r := s.read(true)
	for range 4 { // An export or a scrape that is under way has its buffers.
		r.heap = min(r.heap, s.read(true).heap)
	}
	lines, panics := s.log.take()
	if panics != "" {
		s.t.Errorf("the log has %s", panics)
	}
	r.lines = float64(lines)
	s.calms = append(s.calms, r)
	return r
}

// settled reads until goroutines and descriptors are no more than they were, for as
// long as an idle connection may stay.
func (s *soak) settled(first reading) (r reading) {
	s.t.Helper()
	last := s.calms[len(s.calms)-1]
	for deadline := time.Now().Add(45 * time.Second); time.Now().Before(deadline); time.Sleep(time.Second) {
		r = s.calm()
		if r.goroutines <= first.goroutines && r.files <= first.files {
			break
		}
	}
	r.lines = last.lines
	s.calms = append(s.calms[:slices.Index(s.calms, last)+1], r)
	return r
}

// read asks the exporter for what it has; collected is after a collection of
// garbage, with the series counted.
func (s *soak) read(collected bool) (r reading) {
	s.t.Helper()
	s.client.CloseIdleConnections() // Those of this test are none of its own.
	must := func(path string) string {
		s.t.Helper()
		text, err := s.get(path, nil)
		if err != nil {
			s.t.Fatal(err)
		}
		return text
	}
	if collected {
		for line := range strings.Lines(must("/metrics")) {
			// Of durations there are histograms for each call, code and outcome that was
			// met so far; workers that come back are asked for their health by and by.
			if !strings.HasPrefix(line, "#") && !strings.Contains(line, "_duration_seconds") && !strings.HasPrefix(line, "kafka_connect_worker_healthy") {
				r.series++
			}
		}
		must("/debug/pprof/heap?gc=1")
		must("/debug/pprof/heap?gc=1")
	}
	own := must("/metrics?clusters=none")
	value := func(name string) float64 {
		s.t.Helper()
		found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(own)
		if found == nil {
			s.t.Fatalf("no %s", name)
		}
		v, err := strconv.ParseFloat(found[1], 64)
		if err != nil {
			s.t.Fatal(err)
		}
		return v
	}
	r.at = time.Since(s.began)
	r.goroutines, r.files, r.heap = value("go_goroutines"), value("process_open_fds"), value("go_memstats_heap_alloc_bytes")
	return r
}

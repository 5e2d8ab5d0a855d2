package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/internal/testlog"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/internal/testmain"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/web"
)

func TestMain(m *testing.M) {
	testmain.Draw(30) // Each is a history of a cluster, and has observers of its own.
	testmain.Parallel(16)
	goleak.VerifyTestMain(m)
}

// program is an exporter that runs in this process.
type program struct {
	t    *testing.T
	base string
	// addresses served on.
	addresses []net.Addr
	logs      *testlog.Log
	// stop ends it, once, and returns what Run returned.
	stop func() error
}

// start runs the exporter on a free port until the test ends.
func start(t *testing.T, o Options) *program {
	t.Helper()
	p := &program{t: t, logs: &testlog.Log{}}
	o.Web.EnableLifecycle = true
	if o.ListenAddresses == nil {
		o.ListenAddresses = []string{"127.0.0.1:0"}
	}
	o.Logger = slog.New(slog.NewTextHandler(p.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	addresses, ended := make(chan []net.Addr, 1), make(chan error, 1)
	o.Ready = func(a []net.Addr) { addresses <- a }
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- Run(ctx, o) }()
	p.stop = sync.OnceValue(func() error {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = p.stop() })
	select {
	case a := <-addresses:
		p.addresses, p.base = a, "http://"+a[0].String()
	case err := <-ended:
		ended <- err
		t.Fatalf("the exporter ended at once: %v", err)
	}
	return p
}

// answer is what the exporter answered.
type answer struct {
	status int
	header http.Header
	body   string
}

func (p *program) get(path string, header ...string) answer {
	p.t.Helper()
	return p.do(http.MethodGet, path, header...)
}

func (p *program) do(method, path string, header ...string) answer {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), method, p.base+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

// series are the values of all series of a scrape, as Prometheus writes them.
type series map[string]float64

// scrape reads /metrics, or another path, as Prometheus does.
func (p *program) scrape(path string, header ...string) series {
	p.t.Helper()
	a := p.get(path, header...)
	if a.status != http.StatusOK {
		p.t.Fatalf("GET %s: status %d: %s", path, a.status, a.body)
	}
	return parse(p.t, a.body)
}

func parse(t *testing.T, text string) series {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("what was scraped cannot be parsed: %v", err)
	}
	all := series{}
	for name, family := range families {
		for _, m := range family.Metric {
			labels := make([]string, 0, len(m.Label))
			for _, l := range m.Label {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			slices.Sort(labels)
			key := name
			if len(labels) > 0 {
				key += "{" + strings.Join(labels, ",") + "}"
			}
			all[key] = value(m)
		}
	}
	return all
}

func value(m *dto.Metric) float64 {
	switch {
	case m.Gauge != nil:
		return m.Gauge.GetValue()
	case m.Counter != nil:
		return m.Counter.GetValue()
	case m.Histogram != nil:
		return float64(m.Histogram.GetSampleCount())
	default:
		return m.Untyped.GetValue()
	}
}

// of keeps the series of one cluster that say what the cluster is like, not what
// it took to see that.
func (s series) of(cluster string) series {
	of := maps.Clone(s)
	maps.DeleteFunc(of, func(key string, _ float64) bool {
		return !strings.Contains(key, fmt.Sprintf("connect_cluster=%q", cluster)) ||
			strings.HasPrefix(key, "kafka_connect_snapshot_") || strings.HasPrefix(key, "kafka_connect_request_") ||
			strings.HasPrefix(key, "kafka_connect_response_") || strings.HasPrefix(key, "kafka_connect_worker_healthy")
	})
	return of
}

// want compares some series; a missing one is an error, whatever its value.
func (s series) want(t *testing.T, want series) {
	t.Helper()
	for key, value := range want {
		if got, found := s[key]; !found || got != value {
			t.Errorf("%s = %v (found: %v), want %v", key, got, found, value)
		}
	}
}

// worker serves one worker of a simulated cluster and returns its URL.
func worker(t *testing.T, c *connecttest.Cluster, index int) string {
	t.Helper()
	server := httptest.NewServer(c.Handler(c.Workers()[index]))
	t.Cleanup(server.Close)
	return server.URL
}

// cluster is a simulated cluster with a source, and a sink of which one task has
// failed.
func cluster(version string) *connecttest.Cluster {
	c := connecttest.NewCluster(connecttest.Options{Version: version})
	c.Create(connecttest.Connector{Name: "source", Class: "org.example.Source", Type: "source", Version: "1.2.3", Tasks: 1})
	c.Create(connecttest.Connector{Name: "sink", Class: "org.example.Sink", Type: "sink", Version: "1.2.3", Tasks: 2})
	c.FailTask("sink", 1, connecttest.Trace(
		connecttest.Cause{Class: "org.example.SinkException"}, connecttest.Cause{Class: "java.io.IOException"}))
	return c
}

// file writes a configuration file.
func file(t *testing.T, format string, arguments ...any) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "clusters.yml")
	write(t, name, format, arguments...)
	return name
}

func write(t *testing.T, name, format string, arguments ...any) {
	t.Helper()
	if err := os.WriteFile(name, fmt.Appendf(nil, format, arguments...), 0o600); err != nil {
		t.Fatal(err)
	}
}

func fromFile(name string) config.Sources { return config.Sources{File: name} }

func TestScrapeShowsTheClusters(t *testing.T) {
	new, old := cluster("4.3.1"), cluster("2.2.2")
	p := start(t, Options{Sources: fromFile(file(t, "clusters:\n- {name: new, urls: [%q]}\n- {name: old, urls: [%q]}\n", worker(t, new, 0), worker(t, old, 0)))})
	got := p.scrape("/metrics")
	for _, name := range []string{"new", "old"} {
		got.want(t, series{
			fmt.Sprintf(`kafka_connect_up{connect_cluster=%q}`, name):                                                                                                                 1,
			fmt.Sprintf(`kafka_connect_connectors{connect_cluster=%q,state="running"}`, name):                                                                                         2,
			fmt.Sprintf(`kafka_connect_tasks{connect_cluster=%q,state="running"}`, name):                                                                                              2,
			fmt.Sprintf(`kafka_connect_tasks{connect_cluster=%q,state="failed"}`, name):                                                                                               1,
			fmt.Sprintf(`kafka_connect_task_state{connect_cluster=%q,connector="sink",state="failed",task="1"}`, name):                                                                1,
			fmt.Sprintf(`kafka_connect_connector_tasks_max{connect_cluster=%q,connector="sink"}`, name):                                                                               2,
			fmt.Sprintf(`kafka_connect_snapshot_errors_total{connect_cluster=%q,reason="timeout"}`, name):                                                                             0,
			fmt.Sprintf(`kafka_connect_task_failure_info{connect_cluster=%q,connector="sink",exception="org.example.SinkException",root_cause="java.io.IOException",task="1"}`, name): 1,
		})
	}
	got.want(t, series{
		`kafka_connect_exporter_config_last_reload_successful`: 1,
		`promhttp_metric_handler_requests_in_flight`:           1,
	})
	for _, c := range []*connecttest.Cluster{new, old} {
		if r := c.Requests(); len(r.NotGET) > 0 {
			t.Errorf("not only GET was sent: %q", r.NotGET)
		}
	}
}

func TestLog(t *testing.T) {
	c := cluster("4.3.1")
	p := start(t, Options{Sources: fromFile(file(t, "snapshot_max_age: 0s\nclusters: [{name: a, urls: [%q]}]\n", worker(t, c, 0)))})
	count := func(level, words string) (n int) {
		for line := range strings.Lines(p.logs.String()) {
			if strings.Contains(line, "level="+level) && strings.Contains(line, words) {
				n++
			}
		}
		return n
	}
	p.scrape("/metrics")
	if count("DEBUG", "msg=call cluster=a endpoint=expand ") == 0 || count("DEBUG", "took=") == 0 {
		t.Errorf("the log shows no calls: %s", p.logs)
	}
	// A change of health is one line, however often it is seen.
	c.SetFault(connecttest.Match{}, connecttest.Reset())
	for range 3 {
		p.scrape("/metrics")
	}
	c.ClearFaults()
	for range 3 {
		p.scrape("/metrics")
	}
	if warnings, recoveries := count("WARN", "cluster=a"), count("INFO", "observed again"); warnings != 1 || recoveries != 1 {
		t.Errorf("%d warnings and %d recoveries, want one each: %s", warnings, recoveries, p.logs)
	}
}

func TestGracefulStopLetsAScrapeEnd(t *testing.T) {
	c := cluster("4.3.1")
	release := make(chan struct{})
	p := start(t, Options{Sources: fromFile(file(t, "clusters:\n- {name: slow, urls: [%q]}\n", worker(t, c, 0)))})
	asked := make(chan struct{})
	var once sync.Once
	c.SetFault(connecttest.Match{}, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			once.Do(func() { close(asked) })
			connecttest.Hang(release)(next).ServeHTTP(w, r)
		})
	})
	result := make(chan series)
	go func() { result <- p.scrape("/metrics") }()
	<-asked
	stopped := make(chan error)
	go func() { stopped <- p.stop() }()
	// The port is closed first, so that no new request comes.
	for dialer := (net.Dialer{}); ; {
		connection, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(p.base, "http://"))
		if err != nil {
			break
		}
		connection.Close()
	}
	close(release)
	(<-result).want(t, series{`kafka_connect_up{connect_cluster="slow"}`: 1})
	if err := <-stopped; err != nil {
		t.Errorf("Run returned %v", err)
	}
}

func TestStartFails(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c := cluster("4.3.1")
	url := worker(t, c, 0)
	missing := filepath.Join(t.TempDir(), "missing.yml")
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()

	for name, test := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"no configuration":   {func(o *Options) { o.Sources = config.Sources{} }, "no Connect cluster is configured"},
		"port in use":        {func(o *Options) { o.ListenAddresses = []string{"127.0.0.1:0", taken.Addr().String()} }, "address already in use"},
		"no address":         {func(o *Options) { o.ListenAddresses = []string{"nonsense"} }, "--web.listen-address nonsense"},
		"missing web config": {func(o *Options) { o.WebConfigFile = missing }, "--web.config.file " + missing},
		"admin config alone": {func(o *Options) { o.AdminConfigFile = file(t, "{}\n") }, "--web.admin-address, which is not set"},
		"wrong admin config": {func(o *Options) {
			o.AdminConfigFile, o.AdminAddresses = file(t, "nonsense: true\n"), []string{"127.0.0.1:0"}
		}, "--web.admin-config.file"},
		"admin port in use": {func(o *Options) { o.AdminAddresses = []string{taken.Addr().String()} }, "--web.admin-address " + taken.Addr().String()},
		"wrong web config":  {func(o *Options) { o.WebConfigFile = file(t, "nonsense: true\n") }, "nonsense"},
		"path taken":        {func(o *Options) { o.Web.TelemetryPath = "/-/ready" }, "is taken by another page"},
		"path not absolute": {func(o *Options) { o.Web.TelemetryPath = "metrics" }, "no plain absolute path"},
		"startup validation": {func(o *Options) {
			o.Sources = fromFile(file(t, "clusters:\n- {name: gone, urls: [%q], startup_validation: true}\n", closed.URL))
		}, "startup validation of cluster gone"},
		"provider not wrapped": {func(o *Options) { o.Sources = fromFile(file(t, "clusters:\n- name: a\n")) }, "urls"},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{
				Sources:         config.Sources{ConnectURL: url},
				ListenAddresses: []string{"127.0.0.1:0"},
				Logger:          slog.New(slog.DiscardHandler),
				Ready:           func([]net.Addr) { t.Error("it started") },
			}
			test.change(&o)
			err := Run(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Run returned %v, want one line with %q", err, test.want)
			}
		})
	}
}

func TestSeveralAddressesAndTheirPages(t *testing.T) {
	c := cluster("4.3.1")
	p := start(t, Options{
		Sources:         config.Sources{ConnectURL: worker(t, c, 0)},
		ListenAddresses: []string{"127.0.0.1:0", "127.0.0.1:0"},
		Web:             web.Options{TelemetryPath: "/telemetry"},
	})
	p.scrape("/telemetry").want(t, series{`kafka_connect_up{connect_cluster="default"}`: 1})
	for path, want := range map[string]int{"/-/healthy": 200, "/-/ready": 200, "/": 200, "/metrics": 404, "/debug/pprof/": 404, "/config": 200, "/sd": 200} {
		if a := p.get(path); a.status != want {
			t.Errorf("GET %s: status %d, want %d", path, a.status, want)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		if a := p.do(method, "/telemetry"); a.status != http.StatusMethodNotAllowed {
			t.Errorf("%s /telemetry: status %d", method, a.status)
		}
	}
	if a := p.do(http.MethodHead, "/-/healthy"); a.status != http.StatusOK || a.body != "" {
		t.Errorf("HEAD /-/healthy: %+v", a)
	}
}

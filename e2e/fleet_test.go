package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kafka"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/oracle"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/process"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/prometheus"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/recorder"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/scenario"
)

const (
	basicUser     = "scout"
	basicPassword = "basic-s3cret"
	// settle is how long anything may take that is waited for, on a busy machine.
	settle = 90 * time.Second
)

// observationVersions are the ways in which each cluster is watched.
var observationVersions = []string{"1", "2", "auto"}

// A cluster is real Connect workers of one group.
type cluster struct {
	name    string
	version string
	workers []*kafka.Worker
	// proxies stand between the exporter and the workers, one per worker for
	// each observation version, where calls are counted; nil where they are not.
	proxies map[string][]*recorder.Proxy
	// file is where the failing tasks write: in a folder that is missing.
	file string
	// http is the http_client section of its configuration, indented YAML.
	http string
}

// entry is the name under which the exporter watches c by an observation version.
func (c *cluster) entry(observationVersion string) string { return c.name + "-" + observationVersion }

// skip tells which connectors cannot be seen by an observation version.
func (c *cluster) skip(observationVersion string) func(string) bool {
	return func(name string) bool {
		return observationVersion == "1" && kafka.AtLeast(c.version, "4.0") && slices.Contains(scenario.UnaddressableNames(), name)
	}
}

// calls counts what an observation version has asked of all workers.
func (c *cluster) calls(observationVersion string) map[string]int {
	total := map[string]int{}
	for _, proxy := range c.proxies[observationVersion] {
		for call, n := range proxy.Calls() {
			total[call] += n
		}
	}
	return total
}

// A fleet is all real parts, started once for all tests.
type fleet struct {
	directory  string
	kept       string // Folder of the tables that are printed at the end.
	group      *process.Group
	ports      *process.Ports
	broker     *kafka.Broker
	clusters   []*cluster
	exporter   *process.Process
	binary     string
	config     string
	url        string
	prometheus *prometheus.Server
	tools      string
}

// parts is the fleet that TestMain started.
var parts *fleet

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (status int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	f, err := start(ctx)
	if f != nil && f.group != nil {
		defer func() {
			f.group.Close(5 * time.Second)
			if status != 0 {
				fmt.Fprintln(os.Stderr, "logs of all parts are in", f.group.Directory())
			}
		}()
		// An interrupt ends the parts, and with that the tests; their own end, which
		// ends ctx too, does not.
		defer context.AfterFunc(ctx, func() {
			f.group.Close(0)
			os.Exit(1)
		})()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "start the real parts:", err)
		return 1
	}
	parts = f
	status = m.Run()
	return status
}

// start brings up broker, clusters with their connectors, exporter and
// Prometheus. The fleet that it returns with an error is what runs already.
func start(ctx context.Context) (*fleet, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	kept, err := filepath.Abs(filepath.Join("..", ".e2e")) // Other packages' logs stand there too.
	if err != nil {
		return nil, err
	}
	directory, logs := filepath.Join(kept, "fleet"), filepath.Join(kept, "logs", "fleet")
	for _, last := range []string{directory, logs} {
		if err := os.RemoveAll(last); err != nil {
			return nil, err
		}
	}
	f := &fleet{directory: directory, kept: kept, ports: process.NewPorts(18300, 18999)}
	if f.group, err = process.NewGroup(logs); err != nil {
		return nil, err
	}
	begin := time.Now()
	step := func(what string) {
		fmt.Printf("%6.1f s  %s\n", time.Since(begin).Seconds(), what)
	}
	if f.tools, err = Tool(ctx, "prometheus"); err != nil {
		return f, err
	}
	step("Prometheus is built")
	if f.binary, err = BuildExporter(ctx, directory); err != nil {
		return f, err
	}
	step("the exporter is built")
	if f.broker, err = kafka.StartBroker(ctx, f.group, f.ports, filepath.Join(directory, "broker"), "4.3.1"); err != nil {
		return f, err
	}
	step("the broker runs")
	if err := f.startClusters(ctx, step); err != nil {
		return f, err
	}
	if err := f.startExporter(ctx); err != nil {
		return f, err
	}
	step("the exporter runs")
	address := strings.TrimPrefix(f.url, "http://")
	f.prometheus, err = prometheus.Start(ctx, f.group, f.ports, f.tools, filepath.Join(directory, "prometheus"), fmt.Sprintf(`
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: exporter
    static_configs: [{targets: [%q]}]
`, address))
	if err != nil {
		return f, err
	}
	step("Prometheus scrapes")
	return f, nil
}

func (f *fleet) startClusters(ctx context.Context, step func(string)) error {
	add := func(name, version string, workers int, delay time.Duration) (*cluster, error) {
		c := &cluster{
			name: name, version: version,
			// The folder's name is a secret: the failure's message has it.
			file: filepath.Join(f.directory, "missing", scenario.Secrets()[0]+"-"+name, "out.txt"),
		}
		for range workers {
			port, err := f.ports.Next()
			if err != nil {
				return nil, err
			}
			c.workers = append(c.workers, kafka.NewWorker(f.group, kafka.WorkerOptions{
				Version: version, Group: name, Bootstrap: f.broker.Address, Port: port, Delay: delay, Directory: filepath.Join(f.directory, name),
			}))
		}
		f.clusters = append(f.clusters, c)
		return c, nil
	}
	// The longer delay shows what REST does not say of a lost worker.
	if _, err := add("kafka-4.3", "4.3.1", 2, 25*time.Second); err != nil {
		return err
	}
	counted, err := add("kafka-3.9", "3.9.1", 2, 3*time.Second)
	if err != nil {
		return err
	}
	if _, err := add("kafka-3.3", "3.3.2", 1, 3*time.Second); err != nil {
		return err
	}
	if _, err := add("kafka-2.2", "2.2.2", 1, 3*time.Second); err != nil {
		return err
	}
	guarded, err := add("kafka-tls", "4.3.1", 1, 3*time.Second)
	if err != nil {
		return err
	}
	if err := f.guard(ctx, guarded); err != nil {
		return err
	}
	counted.proxies = map[string][]*recorder.Proxy{}
	for _, v := range observationVersions {
		for _, w := range counted.workers {
			counted.proxies[v] = append(counted.proxies[v], recorder.New(w.ID()))
		}
	}
	for _, c := range f.clusters { // Downloads, one after the other.
		if _, err := kafka.Jars(ctx, c.version); err != nil {
			return err
		}
	}
	step("the jars are here")
	// Two clusters start at a time: more only wait for each other on few processors.
	limit := make(chan struct{}, 2)
	var wait sync.WaitGroup
	errs := make([]error, len(f.clusters))
	for i, c := range f.clusters {
		wait.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			if errs[i] = kafka.StartReady(ctx, c.workers...); errs[i] != nil {
				return
			}
			errs[i] = scenario.Create(ctx, c.workers[0].Client, scenario.Options{Version: c.version, Bootstrap: f.broker.Address, FailingFile: c.file})
			step(c.name + " has its connectors")
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// guard puts TLS and basic auth before the only worker of c.
func (f *fleet) guard(ctx context.Context, c *cluster) error {
	w := c.workers[0]
	properties, java, err := kafka.BasicAuth(w.Options.Directory, basicUser, basicPassword)
	if err != nil {
		return err
	}
	encrypted, certificate, err := kafka.TLS(ctx, w.Options.Directory, w.Options.Port)
	if err != nil {
		return err
	}
	maps.Copy(properties, encrypted)
	text, err := os.ReadFile(certificate)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	w.Options.Properties, w.Options.Java = properties, java
	w.Client = kafka.NewClient(&url.URL{Scheme: "https", Host: w.ID(), User: url.UserPassword(basicUser, basicPassword)}, client)
	password := filepath.Join(w.Options.Directory, "password")
	if err := os.WriteFile(password, []byte(basicPassword+"\n"), 0o600); err != nil {
		return err
	}
	c.http = fmt.Sprintf("      basic_auth: {username: %s, password_file: %s}\n      tls_config: {ca_file: %s}\n", basicUser, password, certificate)
	return nil
}

// configuration is the exporter's file: each cluster once for each observation
// version.
func (f *fleet) configuration() string {
	var b strings.Builder
	b.WriteString("snapshot_max_age: 500ms\nclusters:\n")
	for _, c := range f.clusters {
		for _, v := range observationVersions {
			var urls []string
			for i, w := range c.workers {
				base := &url.URL{Scheme: w.URL.Scheme, Host: w.URL.Host}
				if c.proxies != nil {
					urls = append(urls, strconv.Quote(c.proxies[v][i].URL))
					continue
				}
				urls = append(urls, strconv.Quote(base.String()))
			}
			fmt.Fprintf(&b, "  - name: %s\n    urls: [%s]\n    observation_version: %s\n    connector_labels: [topic]\n", c.entry(v), strings.Join(urls, ", "), v)
			if c.http != "" {
				fmt.Fprintf(&b, "    http_client:\n%s", c.http)
			}
		}
	}
	guarded := f.cluster("kafka-tls")
	base := "https://" + guarded.workers[0].ID()
	fmt.Fprintf(&b, "  - name: wrong-password\n    urls: [%q]\n    http_client:\n      basic_auth: {username: %s, password: wrong-%s}\n%s",
		base, basicUser, basicPassword, guarded.http[strings.Index(guarded.http, "      tls_config"):])
	fmt.Fprintf(&b, "  - name: unknown-authority\n    urls: [%q]\n    http_client:\n      basic_auth: {username: %s, password: %s}\n", base, basicUser, basicPassword)
	return b.String()
}

func (f *fleet) startExporter(ctx context.Context) error {
	f.config = filepath.Join(f.directory, "exporter.yml")
	if err := os.WriteFile(f.config, []byte(f.configuration()), 0o600); err != nil {
		return err
	}
	port, err := f.ports.Next()
	if err != nil {
		return err
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	f.url = "http://" + address
	if f.exporter, err = f.group.Start("exporter", []string{f.binary, "--config.file=" + f.config, "--web.listen-address=" + address, "--log.level=debug"}); err != nil {
		return err
	}
	return process.Poll(ctx, 100*time.Millisecond, f.exporter, func(ctx context.Context) error {
		_, _, err := f.get(ctx, "/-/ready")
		return err
	})
}

// get asks the exporter; the error is of an answer that is not 200 too.
func (f *fleet) get(ctx context.Context, path string) (body string, header http.Header, err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+path, nil)
	if err != nil {
		return "", nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: HTTP %d: %.300s", path, response.StatusCode, text)
	}
	return string(text), response.Header, err
}

// cluster returns the cluster of that name.
func (f *fleet) cluster(name string) *cluster {
	return f.clusters[slices.IndexFunc(f.clusters, func(c *cluster) bool { return c.name == name })]
}

// eventually waits until check returns nil.
func eventually(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), settle)
	defer cancel()
	start := time.Now()
	if err := process.Poll(ctx, 250*time.Millisecond, nil, check); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if took := time.Since(start); took > 2*time.Second { // Else it was so already.
		t.Logf("%s: after %.1f s", what, took.Seconds())
	}
}

// query is an instant query that must be answered.
func query(t *testing.T, promql string) []prometheus.Sample {
	t.Helper()
	samples, err := parts.prometheus.Query(t.Context(), promql)
	if err != nil {
		t.Fatal(err)
	}
	return samples
}

// expect waits until an instant query gives one sample of this value.
func expect(t *testing.T, promql string, value float64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s is %v", promql, value), func(ctx context.Context) error {
		samples, err := parts.prometheus.Query(ctx, promql)
		switch {
		case err != nil:
			return err
		case len(samples) != 1:
			return fmt.Errorf("%d samples: %.500v", len(samples), samples)
		case samples[0].Value != value:
			return fmt.Errorf("%v", samples[0])
		}
		return nil
	})
}

// expectNone waits until an instant query gives nothing.
func expectNone(t *testing.T, promql string) {
	t.Helper()
	eventually(t, promql+" is empty", func(ctx context.Context) error {
		samples, err := parts.prometheus.Query(ctx, promql)
		if err == nil && len(samples) > 0 {
			err = fmt.Errorf("%d samples: %.500v", len(samples), samples)
		}
		return err
	})
}

// scraped returns the series that Prometheus has of an entry of the exporter's
// configuration, in the oracle's notation.
func scraped(ctx context.Context, entry, families string, skip func(string) bool) ([]string, error) {
	samples, err := parts.prometheus.Query(ctx, fmt.Sprintf("{__name__=~%q, connect_cluster=%q}", families, entry))
	if err != nil {
		return nil, err
	}
	var series []string
	for _, s := range samples {
		if skip(s.Labels["connector"]) {
			continue
		}
		for _, label := range []string{"connect_cluster", "job", "instance"} {
			delete(s.Labels, label)
		}
		series = append(series, s.String())
	}
	slices.Sort(series)
	return series, nil
}

// converge waits until Prometheus has, of each given entry of c, exactly the
// series that follow from what worker says right now.
func converge(t *testing.T, c *cluster, worker *kafka.Worker, observationVersions ...string) {
	t.Helper()
	for _, v := range observationVersions {
		eventually(t, c.entry(v)+" has the series that the worker's answers ask for", func(ctx context.Context) error {
			want, err := oracle.Series(ctx, worker.Client, c.version, c.skip(v))
			if err != nil {
				return err
			}
			got, err := scraped(ctx, c.entry(v), oracle.Families, func(string) bool { return false })
			if err != nil {
				return err
			}
			return difference(want, got)
		})
	}
}

// difference tells how got differs from want, both sorted.
func difference(want, got []string) error {
	var b strings.Builder
	for _, s := range want {
		if _, found := slices.BinarySearch(got, s); !found {
			fmt.Fprintf(&b, "\n  missing: %s", s)
		}
	}
	for _, s := range got {
		if _, found := slices.BinarySearch(want, s); !found {
			fmt.Fprintf(&b, "\n  too much: %s", s)
		}
	}
	if b.Len() == 0 {
		return nil
	}
	return fmt.Errorf("%d series, %d expected:%.4000s", len(got), len(want), b.String())
}

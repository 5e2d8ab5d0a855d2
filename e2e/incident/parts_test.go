package incident

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kafka"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/process"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/prometheus"
)

const (
	// scale shortens the rules' times: their group is evaluated every 1.8 s.
	scale = 0.03
	// longScale is for the alerts that wait for hours: a day becomes 17 s.
	longScale = 0.0002
	// longest is how long Alertmanager waits at most before it tells of a group.
	longest = 3 * time.Second
	// delay is scheduled.rebalance.max.delay.ms: longer than the waits of
	// KafkaConnectTasksNotRunning and KafkaConnectUnassigned, 13 and 14 s here.
	delay = 30 * time.Second

	version, older = "4.3.1", "3.9.1"
	user, password = "exporter", "b4sic-s3cret"
	job            = "connect" // No rule knows it.
	also           = "also"    // the cluster as a second exporter sees it
	orders         = "orders"  // the cluster, observation version 2
	byName         = "by-name" // the same by version 1, which cannot ask for some names
	refused        = "refused" // the same with a password that can be wrong
	distant        = "distant" // the same over a line that can be slow
)

// receivers says where Alertmanager's routes lead the alerts of each severity.
var receivers = map[string]string{"critical": "pager", "warning": "team", "info": "digest"}

// parts are all real parts of the incident.
type parts struct {
	t          *testing.T
	directory  string
	group      *process.Group
	ports      *process.Ports
	exporter   *process.Process
	second     second
	binary     string
	amtool     string // its folder
	address    string // of the exporter
	bootstrap  string // address of the broker
	workers    []*kafka.Worker
	prometheus *prometheus.Server
	alerts     *alertmanager
	line       *toxiproxy
	webhook    *webhook
	passwords  string // file with the password of the cluster "refused"
	config     string // file of the exporter
	// silent are the alerts of connectors that run without tasks.
	silent []labels
}

// start brings up everything; it is ended with the test.
func start(ctx context.Context, t *testing.T) *parts {
	t.Helper()
	output, err := filepath.Abs(filepath.Join("..", ".e2e"))
	if err != nil {
		t.Fatal(err)
	}
	directory, logs := filepath.Join(output, "incident"), filepath.Join(output, "logs", "incident")
	for _, last := range []string{directory, logs} {
		if err := os.RemoveAll(last); err != nil {
			t.Fatal(err)
		}
	}
	p := &parts{t: t, directory: directory, ports: process.NewPorts(21000, 21999), webhook: newWebhook(t)}
	if p.group, err = process.NewGroup(logs); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.group.Close(5 * time.Second)
		told := filepath.Join(logs, "told.txt")
		if err := os.WriteFile(told, []byte(p.webhook.story()+"\n"), 0o644); err != nil {
			t.Error(err)
		}
		t.Log("what was told stands in", told)
	})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	step := func(what string) { t.Logf("%6.1f s  %s", time.Since(begin).Seconds(), what) }
	tools := map[string]string{}
	for _, name := range []string{"prometheus", "alertmanager", "toxiproxy"} {
		tools[name], err = e2e.Tool(ctx, name)
		must(err)
	}
	p.amtool = tools["alertmanager"]
	p.binary, err = e2e.BuildExporter(ctx, directory)
	must(err)
	step("programs are built")
	broker, err := kafka.StartBroker(ctx, p.group, p.ports, filepath.Join(directory, "broker"), version)
	must(err)
	p.bootstrap = broker.Address
	must(p.startWorkers(ctx))
	step("two workers run")
	p.line, err = startToxiproxy(ctx, p.group, p.ports, tools["toxiproxy"], p.workers[0].ID())
	must(err)
	must(p.configure())
	must(p.startExporter(ctx))
	must(p.second.start(ctx, p))
	rules := p.export("rules", scale)
	p.alerts, err = startAlertmanager(ctx, p, tools["alertmanager"], p.routes(filepath.Join(filepath.Dir(rules), "alertmanager.yml")))
	must(err)
	p.prometheus, err = prometheus.Start(ctx, p.group, p.ports, tools["prometheus"], filepath.Join(directory, "prometheus"), fmt.Sprintf(`
global: {scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 500ms}
rule_files: [%q, %q]
alerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}
scrape_configs:
  - job_name: %s
    static_configs: [{targets: [%q, %q]}]
`, rules, p.hours(), strings.TrimPrefix(p.alerts.url, "http://"), job, p.address, p.second.address))
	must(err)
	step("exporter, Prometheus and Alertmanager run")
	return p
}

// startWorkers starts a cluster of two that asks for a password. The first is the
// leader: only one that stays remembers what a worker had that left, and delays
// its handing out; where the leader itself leaves, there is no delay.
func (p *parts) startWorkers(ctx context.Context) error {
	directory := filepath.Join(p.directory, orders)
	properties, java, err := kafka.BasicAuth(directory, user, password)
	if err != nil {
		return err
	}
	for range 2 {
		port, err := p.ports.Next()
		if err != nil {
			return err
		}
		w := kafka.NewWorker(p.group, kafka.WorkerOptions{
			Version: version, Group: orders, Bootstrap: p.bootstrap, Port: port, Delay: delay,
			Directory: directory, Properties: properties, Java: java,
		})
		w.Client = kafka.NewClient(&url.URL{Scheme: "http", Host: w.ID(), User: url.UserPassword(user, password)}, nil)
		p.workers = append(p.workers, w)
		if err := kafka.StartReady(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// configure writes the exporter's configuration: the cluster four times.
func (p *parts) configure() error {
	right := filepath.Join(p.directory, "right")
	p.passwords, p.config = filepath.Join(p.directory, "changing"), filepath.Join(p.directory, "exporter.yml")
	for _, file := range []string{right, p.passwords} {
		if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
			return err
		}
	}
	w := p.workers
	return os.WriteFile(p.config, []byte(fmt.Sprintf(`
snapshot_max_age: 500ms
clusters:
  - name: %[1]s
    urls: ["http://%[2]s", "http://%[3]s"]
    info_max_age: 1s
    worker_probe: {credentials_hosts: ["127.0.0.1"]}
    http_client: {basic_auth: {username: %[4]s, password_file: %[5]q}}
  - name: %[6]s
    urls: ["http://%[2]s", "http://%[3]s"]
    observation_version: "1"
    connectors: {include: ["^eu/.*"]}
    http_client: {basic_auth: {username: %[4]s, password_file: %[5]q}}
  - name: %[7]s
    urls: ["http://%[2]s", "http://%[3]s"]
    connectors: {include: ["^none$"]}
    http_client: {basic_auth: {username: %[4]s, password_file: %[8]q}}
  - name: %[9]s
    urls: ["http://%[10]s"]
    connectors: {include: ["^none$"]}
    http_client: {basic_auth: {username: %[4]s, password_file: %[5]q}}
`, orders, w[0].ID(), w[1].ID(), user, right, byName, refused, p.passwords, distant, p.line.address)), 0o600)
}

func (p *parts) startExporter(ctx context.Context) (err error) {
	if p.address == "" {
		if p.address, err = free(p.ports); err != nil {
			return err
		}
	}
	p.exporter, err = p.group.Start("exporter", []string{p.binary, "--config.file=" + p.config, "--web.listen-address=" + p.address, "--timeout-offset=200ms"})
	if err != nil {
		return err
	}
	return answers(ctx, p.exporter, "http://"+p.address+"/-/ready")
}

// A second exporter of the same job, which watches one cluster that the first does
// not.
type second struct {
	*process.Process
	address string
}

func (s *second) start(ctx context.Context, p *parts) (err error) {
	if s.address == "" {
		if s.address, err = free(p.ports); err != nil {
			return err
		}
	}
	file := filepath.Join(p.directory, "second.yml")
	if err := os.WriteFile(file, []byte(fmt.Sprintf(`
clusters:
  - name: %s
    urls: ["http://%s", "http://%s"]
    connectors: {include: ["^none$"]}
    http_client: {basic_auth: {username: %s, password: %s}}
`, also, p.workers[0].ID(), p.workers[1].ID(), user, password)), 0o600); err != nil {
		return err
	}
	s.Process, err = p.group.Start("second", []string{p.binary, "--config.file=" + file, "--web.listen-address=" + s.address, "--timeout-offset=200ms"})
	if err != nil {
		return err
	}
	return answers(ctx, s.Process, "http://"+s.address+"/-/ready")
}

// export runs the command that users run and returns the path of the rules.
func (p *parts) export(name string, scale float64) string {
	p.t.Helper()
	directory := filepath.Join(p.directory, name)
	output, err := exec.Command(p.binary, "export", "alerts", directory, fmt.Sprint("--time-scale=", scale)).CombinedOutput()
	if err != nil {
		p.t.Fatalf("export the rules: %v\n%s", err, output)
	}
	return filepath.Join(directory, "kafka-connect.rules.yml")
}

// hours returns the path of rules with the alerts alone that wait for hours, asked
// twice a second. What they build upon is recorded by the others.
func (p *parts) hours() string {
	p.t.Helper()
	file := p.export("hours", longScale)
	text, err := os.ReadFile(file)
	if err != nil {
		p.t.Fatal(err)
	}
	var rules struct {
		Groups []struct {
			Rules []map[string]any
		}
	}
	if err := yaml.Unmarshal(text, &rules); err != nil {
		p.t.Fatal(err)
	}
	var kept []map[string]any
	for _, rule := range rules.Groups[0].Rules {
		switch rule["alert"] {
		case "KafkaConnectPaused", "KafkaConnectFewerTasksThanMaximum", "KafkaConnectMixedWorkerVersions":
			kept = append(kept, rule)
		}
	}
	if len(kept) != 3 {
		p.t.Fatalf("%d alerts wait for hours", len(kept))
	}
	text, err = yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "hours", "interval": "500ms", "rules": kept}}})
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return file
}

// routes are the shipped routes and inhibitions of a file, with the webhook in
// each receiver and times as short as those of the rules.
func (p *parts) routes(file string) string {
	p.t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		p.t.Fatal(err)
	}
	replace := func(pattern string, by func(match []string) string) {
		expression := regexp.MustCompile(pattern)
		if !expression.Match(text) {
			p.t.Fatalf("the shipped Alertmanager configuration has no %s", pattern)
		}
		text = expression.ReplaceAllFunc(text, func(found []byte) []byte { return []byte(by(expression.FindStringSubmatch(string(found)))) })
	}
	replace(`(group_wait|group_interval): (\w+)`, func(m []string) string {
		wait, err := time.ParseDuration(m[2])
		if err != nil {
			p.t.Fatal(err)
		}
		return fmt.Sprintf("%s: %dms", m[1], min(time.Duration(float64(wait)*scale), longest).Milliseconds())
	})
	replace(`(?m)^( +)- name: (\w+)$`, func(m []string) string {
		return fmt.Sprintf("%s\n%s  webhook_configs: [{url: %q}]", m[0], m[1], p.webhook.url+"/"+m[2])
	})
	return string(text)
}

// free returns an address on which nobody listens.
func free(ports *process.Ports) (string, error) {
	port, err := ports.Next()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), err
}

// answers waits until a program answers 200.
func answers(ctx context.Context, program *process.Process, address string) error {
	return process.Poll(ctx, 100*time.Millisecond, program, func(ctx context.Context) error {
		_, err := fetch(ctx, address)
		return err
	})
}

// fetch returns the body of an answer of 200.
func fetch(ctx context.Context, address string) (text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: HTTP %d: %.300s", address, response.StatusCode, body)
	}
	return string(body), err
}

// call sends JSON and decodes the answer, either may be nil.
func call(ctx context.Context, method, address string, body, answer any) error {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, address, content)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return err
	case response.StatusCode/100 != 2:
		return fmt.Errorf("%s %s: HTTP %d: %.300s", method, address, response.StatusCode, text)
	case answer == nil:
		return nil
	}
	return json.Unmarshal(text, answer)
}

// An alertmanager that runs.
type alertmanager struct{ url string }

func startAlertmanager(ctx context.Context, p *parts, tools, configuration string) (*alertmanager, error) {
	file := filepath.Join(p.directory, "alertmanager.yml")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		return nil, err
	}
	address, err := free(p.ports)
	if err != nil {
		return nil, err
	}
	program, err := p.group.Start("alertmanager", []string{
		filepath.Join(tools, "alertmanager"), "--config.file=" + file,
		"--storage.path=" + filepath.Join(p.directory, "alertmanager"), "--web.listen-address=" + address, "--cluster.listen-address=",
	})
	if err != nil {
		return nil, err
	}
	a := &alertmanager{url: "http://" + address}
	return a, answers(ctx, program, a.url+"/-/ready")
}

// held are the names of the alerts by which Alertmanager holds the one with
// these labels back; none if it does not, or does not have it.
func (a *alertmanager) held(ctx context.Context, l labels) (by []string, err error) {
	var all []struct {
		Fingerprint string
		Labels      labels
		Status      struct {
			State       string
			InhibitedBy []string
		}
	}
	if err := call(ctx, http.MethodGet, a.url+"/api/v2/alerts", nil, &all); err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, alert := range all {
		names[alert.Fingerprint] = alert.Labels["alertname"]
	}
	for _, alert := range all {
		if alert.Labels.String() == l.String() && alert.Status.State == "suppressed" {
			for _, fingerprint := range alert.Status.InhibitedBy {
				by = append(by, names[fingerprint])
			}
		}
	}
	return by, nil
}

// A toxiproxy that stands before a worker.
type toxiproxy struct{ api, address string }

func startToxiproxy(ctx context.Context, group *process.Group, ports *process.Ports, tools, upstream string) (*toxiproxy, error) {
	port, err := ports.Next()
	if err != nil {
		return nil, err
	}
	x := &toxiproxy{api: fmt.Sprintf("http://127.0.0.1:%d", port)}
	program, err := group.Start("toxiproxy", []string{filepath.Join(tools, "toxiproxy-server"), "-host", "127.0.0.1", "-port", strconv.Itoa(port)})
	if err != nil {
		return nil, err
	}
	if err := answers(ctx, program, x.api+"/version"); err != nil {
		return nil, err
	}
	if x.address, err = free(ports); err != nil {
		return nil, err
	}
	return x, call(ctx, http.MethodPost, x.api+"/proxies", map[string]any{"name": "line", "listen": x.address, "upstream": upstream, "enabled": true}, nil)
}

// slow delays each answer.
func (x *toxiproxy) slow(ctx context.Context, latency time.Duration) error {
	return call(ctx, http.MethodPost, x.api+"/proxies/line/toxics", map[string]any{
		"name": "slow", "type": "latency", "stream": "downstream",
		"attributes": map[string]any{"latency": latency.Milliseconds()},
	}, nil)
}

// enable lets connections through, or refuses them.
func (x *toxiproxy) enable(ctx context.Context, enabled bool) error {
	return call(ctx, http.MethodPost, x.api+"/proxies/line", map[string]any{"enabled": enabled}, nil)
}

// mend takes the delay away.
func (x *toxiproxy) mend(ctx context.Context) error {
	return call(ctx, http.MethodDelete, x.api+"/proxies/line/toxics/slow", nil, nil)
}

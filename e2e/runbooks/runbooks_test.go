// Package runbooks runs every command of the runbooks' self-managed sections, as it
// is typed, against real workers and connectors of odd names.
package runbooks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kafka"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/process"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/scenario"
)

// cases are workers and a name that each can be asked for by: since Kafka 4.0 no
// name with "/" or "%" can stand in a path.
var cases = []struct{ version, name string }{
	{"3.9.1", `eu->us.My "odd" sink's 100% a/b & ü`},
	{"4.3.1", `eu->us.MirrorSource "odd" sink's & ü`},
}

const cluster = "Orders, EU"

type command struct{ page, text string }

// commands are the blocks of the self-managed sections, in order.
func commands(t *testing.T) []command {
	t.Helper()
	pages, err := filepath.Glob("../docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```sh\n(.*?)```")
	var all []command
	for _, page := range pages {
		content, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		_, section, _ := strings.Cut(string(content), "\n### Self-managed\n")
		section, _, _ = strings.Cut(section, "\n### Strimzi\n")
		for _, found := range block.FindAllStringSubmatch(section, -1) {
			all = append(all, command{strings.TrimSuffix(filepath.Base(page), ".md"), found[1]})
		}
	}
	if len(all) < 50 {
		t.Fatalf("only %d commands", len(all))
	}
	return all
}

// commandsOf are the blocks of one section of a page.
func commandsOf(t *testing.T, page, heading string) []command {
	t.Helper()
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(content), "\n"+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var all []command
	for _, found := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(section, -1) {
		all = append(all, command{heading, found[1]})
	}
	return all
}

// run types a command, with the values that whoever types it would put into its
// first lines, and returns what it says.
func (c command) run(t *testing.T, values map[string]string) string {
	t.Helper()
	lines := strings.Split(c.text, "\n")
	for i, line := range lines {
		for name, value := range values {
			if strings.HasPrefix(line, name+"='") || strings.HasPrefix(line, name+"=0") {
				lines[i] = name + "='" + strings.ReplaceAll(value, "'", `'\''`) + "'"
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	output, err := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", strings.Join(lines, "\n")).CombinedOutput()
	if err != nil || strings.Contains(string(output), "curl: ") || strings.Contains(string(output), `"error_code"`) || strings.Contains(string(output), "<html") {
		t.Errorf("%s: %v\n%s\n%s", c.page, err, strings.Join(lines, "\n"), output)
	}
	return string(output)
}

func eventually(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	if err := process.Poll(ctx, 200*time.Millisecond, nil, check); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func TestCommands(t *testing.T) {
	t.Chdir("..")
	for _, program := range []string{"bash", "curl", "jq", "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	directory := t.TempDir()
	group, err := process.NewGroup(filepath.Join(directory, "logs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { group.Close(5 * time.Second) })
	ports := process.NewPorts(25300, 25399)
	broker, err := kafka.StartBroker(ctx, group, ports, filepath.Join(directory, "broker"), "4.3.1")
	if err != nil {
		t.Fatal(err)
	}
	exporter, err := e2e.BuildExporter(ctx, directory)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.version, func(t *testing.T) {
			port, err := ports.Next()
			if err != nil {
				t.Fatal(err)
			}
			w := kafka.NewWorker(group, kafka.WorkerOptions{
				Version: c.version, Group: "runbooks-" + c.version, Bootstrap: broker.Address, Port: port,
				Directory: filepath.Join(directory, c.version),
			})
			if err := kafka.StartReady(ctx, w); err != nil {
				t.Fatal(err)
			}
			try(ctx, t, w, c.name, exporter, group, ports, directory)
			if kafka.AtLeast(c.version, "4.0") {
				tryNoPath(ctx, t, w, directory)
			}
		})
	}
}

func try(ctx context.Context, t *testing.T, w *kafka.Worker, name, exporter string, group *process.Group, ports *process.Ports, directory string) {
	folder := filepath.Join(directory, w.Options.Version+"-out")
	create := kafka.Connector{Name: name, Config: map[string]any{
		"connector.class": scenario.FileSink, "tasks.max": "2", "topics": "orders", "file": filepath.Join(folder, "x.txt"),
	}}
	if err := w.Create(ctx, create); err != nil {
		t.Fatal(err)
	}
	is := func(connector, tasks string) func(context.Context) error {
		return func(ctx context.Context) error {
			statuses, err := w.Statuses(ctx)
			if err != nil {
				return err
			}
			s := statuses[name]
			for _, task := range s.Tasks {
				if task.State != tasks {
					return fmt.Errorf("%+v", s)
				}
			}
			if s.Connector.State != connector || len(s.Tasks) != 2 {
				return fmt.Errorf("%+v", s)
			}
			return nil
		}
	}
	eventually(t, "both tasks fail", is("RUNNING", "FAILED"))
	// The exporter that watches it, what takes pushes, and what speaks TLS.
	file := filepath.Join(directory, w.Options.Version+".yml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "clusters: [{name: %q, urls: [%q]}]\n", cluster, w.URL.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	port, err := ports.Next()
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	program, err := group.Start("exporter-"+w.Options.Version, []string{exporter, "--config.file=" + file, "--web.listen-address=" + address, "--web.enable-lifecycle"})
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Poll(ctx, 100*time.Millisecond, program, func(context.Context) error {
		response, err := http.Get("http://" + address + "/-/ready")
		if err != nil {
			return err
		}
		return response.Body.Close()
	}); err != nil {
		t.Fatal(err)
	}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	t.Cleanup(receiver.Close)
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	values := map[string]string{
		"CONNECT": w.URL.String(), "CONNECTOR": name, "TASK": "0", "WORKER": w.ID(), "CLUSTER": cluster, "EXPORTER": "http://" + address,
		"RECEIVER": receiver.URL, "HOST": strings.TrimPrefix(secure.URL, "https://"), "USER_AND_PASSWORD": "exporter:secret",
	}
	said := map[string]string{} // What the commands of a page say.
	for _, c := range commands(t) {
		if strings.Contains(c.text, "$CONNECT/health") && !kafka.AtLeast(w.Options.Version, "3.9") {
			continue
		}
		// What a command before it restarted, and did not mend, has failed again.
		eventually(t, "what was restarted fails again", func(ctx context.Context) error {
			statuses, err := w.Statuses(ctx)
			for _, task := range statuses[name].Tasks {
				if err == nil && (task.State == "RESTARTING" || statuses[name].Connector.State != "PAUSED" && task.State != "FAILED") {
					err = fmt.Errorf("%+v", statuses[name])
				}
			}
			return err
		})
		said[c.page] += c.run(t, values)
	}
	// What they look at is the connector of that name, and what failed of it.
	for page, want := range map[string]string{
		"KafkaConnectTaskFailed": "NoSuchFileException", "KafkaConnectAllTasksFailed": "NoSuchFileException", "KafkaConnectConnectorFailed": "NoSuchFileException",
		"KafkaConnectManyConnectorsFailed": name + "\t0\t", "KafkaConnectFlapping": "FAILED", "KafkaConnectUnassigned": `"FAILED"`,
		"KafkaConnectFewerTasksThanMaximum": `"tasks": 2`, "KafkaConnectWorkerDown": name + "\t0\tFAILED", "KafkaConnectClusterDown": w.Options.Version,
		"KafkaConnectConnectorsVanished": "1\n", "KafkaConnectCertificateExpiring": "notAfter=", "KafkaConnectExporterAbsent": "kafka_connect_up{connect_cluster=\"" + cluster + "\"} 1",
		"KafkaConnectReplicaBlind": "kafka_connect_up", "KafkaConnectCredentialsRefused": "200", "KafkaConnectTasksUneven": w.ID(),
	} {
		if !strings.Contains(said[page], want) {
			t.Errorf("%s does not say %q:\n%s", page, want, said[page])
		}
	}
	// What they change is it, too. The pages end with a connector that was resumed and
	// restarted; with its cause mended each restart is its own proof.
	eventually(t, "it is resumed", is("RUNNING", "FAILED"))
	mended := func(page, text string) {
		t.Helper()
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		if err := w.Write(ctx, http.MethodPost, kafka.ConnectorPath(name)+"/restart?includeTasks=true", nil); err != nil {
			t.Fatal(err)
		}
		eventually(t, "both tasks fail", is("RUNNING", "FAILED"))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, c := range commands(t) {
			if c.page == page && strings.Contains(c.text, text) {
				c.run(t, values)
			}
		}
		eventually(t, page+" restarts "+text, is("RUNNING", "RUNNING"))
	}
	mended("KafkaConnectAllTasksFailed", "includeTasks=true&onlyFailed=true")
	mended("KafkaConnectAllTasksFailed", "before 3.0")
	mended("KafkaConnectManyConnectorsFailed", "restart?includeTasks")
	for _, c := range commands(t) {
		if c.page == "KafkaConnectFailingAgain" && strings.Contains(c.text, "/pause") {
			c.run(t, values)
		}
	}
	eventually(t, "it is paused", is("PAUSED", "PAUSED"))
	for _, c := range commands(t) {
		if c.page == "KafkaConnectPaused" && strings.Contains(c.text, "/resume") {
			c.run(t, values)
		}
	}
	eventually(t, "it runs again", is("RUNNING", "RUNNING"))
}

// tryNoPath asks a worker for a connector whose name it refuses in every path, and
// does what the page on such names says.
func tryNoPath(ctx context.Context, t *testing.T, w *kafka.Worker, directory string) {
	const name = `eu/us 100%\`
	folder := filepath.Join(directory, "no-path")
	if err := w.Create(ctx, kafka.Connector{Name: name, Config: map[string]any{
		"connector.class": scenario.FileSink, "tasks.max": "2", "topics": "orders", "file": filepath.Join(folder, "x.txt"),
	}}); err != nil {
		t.Fatal(err)
	}
	is := func(connector, tasks string) func(context.Context) error {
		return func(ctx context.Context) error {
			statuses, err := w.Statuses(ctx)
			if err != nil {
				return err
			}
			s := statuses[name]
			if s.Connector.State != connector || len(s.Tasks) != 2 || s.Tasks[0].State != tasks || s.Tasks[1].State != tasks {
				return fmt.Errorf("%+v", s)
			}
			return nil
		}
	}
	eventually(t, "both tasks fail", is("RUNNING", "FAILED"))
	for _, path := range []string{"/status", "/restart", "/pause", ""} {
		method := map[string]string{"/restart": http.MethodPost, "/pause": http.MethodPut}[path]
		if method == "" {
			method = http.MethodGet
		}
		_, err := w.Do(ctx, method, kafka.ConnectorPath(name)+path, nil)
		var status *kafka.StatusError
		if !errors.As(err, &status) || status.Code != http.StatusBadRequest {
			t.Errorf("%s %s: %v, want HTTP 400", method, path, err)
		}
	}
	// The worker is restarted, once the cause is mended.
	there := func(is bool) {
		t.Helper()
		err := os.RemoveAll(folder)
		if err == nil && is {
			err = os.MkdirAll(folder, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	there(true)
	if err := w.Terminate(ctx); err != nil {
		t.Fatal(err)
	}
	if err := kafka.StartReady(ctx, w); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a restart of the worker restarts them", is("RUNNING", "RUNNING"))
	// What it would write itself.
	producer, err := kafka.ConsoleProducer(ctx, filepath.Join(directory, "bin"), w.Options.Version)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", producer+":"+os.Getenv("PATH"))
	values := map[string]string{"BOOTSTRAP": w.Options.Bootstrap, "TOPIC": w.Options.Group + "-configs", "CONNECTOR": name, "STATE": "PAUSED"}
	written := commandsOf(t, "../docs/alerts.md", "## Names that no path can hold")
	if len(written) != 3 {
		t.Fatalf("%d commands", len(written))
	}
	restart, state, remove := written[0], written[1], written[2]
	state.run(t, values)
	eventually(t, "it is paused", is("PAUSED", "PAUSED"))
	values["STATE"] = "STARTED"
	state.run(t, values)
	eventually(t, "it is resumed", is("RUNNING", "RUNNING"))
	there(false)
	all := restart
	all.text = strings.Replace(all.text, `"only-failed":true`, `"only-failed":false`, 1)
	all.run(t, values)
	eventually(t, "all are restarted, and fail", is("RUNNING", "FAILED"))
	there(true)
	restart.run(t, values)
	eventually(t, "what failed is restarted", is("RUNNING", "RUNNING"))
	remove.run(t, values)
	eventually(t, "it is deleted", func(ctx context.Context) error {
		statuses, err := w.Statuses(ctx)
		if _, there := statuses[name]; err == nil && there {
			err = errors.New("it is listed")
		}
		return err
	})
}

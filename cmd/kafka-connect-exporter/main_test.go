package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/internal/testlog"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/internal/testmain"
)

var update = flag.Bool("update", false, "write what the commands print into testdata/script")

func TestMain(m *testing.M) {
	testmain.Parallel(8)
	testscript.Main(m, map[string]func(){"kafka-connect-exporter": func() { os.Exit(run()) }})
}

// The command lines with what they print are in testdata/script. Beside the
// commands of testscript there are
//
//	cluster NAME VERSION   starts a simulated cluster, its URL is $NAME
//	providers              starts a simulation of each managed service, at
//	                       $CLOUD, $AWS and $AIVEN
//	status N COMMAND...    runs a command that ends with this exit status
//	expand FILE            replaces $NAME in a file
//	normalize              makes a file "printed" of stdout, in which time spans
//	                       read TIME and addresses URL
//
// go test -update writes what is compared by cmp into the scripts.
func TestCommandLines(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"cluster":   startCluster,
			"brokers":   startBrokers,
			"providers": startProviders,
			"expand":    expandFile,
			"status":    expectStatus,
			"normalize": normalize,
		},
	})
}

func startCluster(ts *testscript.TestScript, negated bool, arguments []string) {
	if negated || len(arguments) != 2 {
		ts.Fatalf("usage: cluster NAME VERSION")
	}
	c := connecttest.NewCluster(connecttest.Options{Version: arguments[1]})
	switch arguments[0] {
	case "WELL":
		c.Create(connecttest.Connector{Name: "source", Class: "org.example.Source", Type: "source", Version: "1.2.3", Tasks: 1})
		c.Create(connecttest.Connector{Name: "idle sink", Class: "org.example.Sink", Type: "sink", Version: "1.2.3", Tasks: 1})
		c.Pause("idle sink")
	case "FAILING":
		c.Create(connecttest.Connector{Name: "a well", Class: "org.example.Source", Type: "source", Version: "1.2.3", Tasks: 2})
		c.Create(connecttest.Connector{Name: "b task failed", Class: "org.example.Sink", Type: "sink", Version: "1.2.3", Tasks: 2, Config: map[string]string{"password": "s3cret"}})
		c.FailTask("b task failed", 1, connecttest.Trace(
			connecttest.Cause{Class: "org.example.SinkException", Message: "s3cret"}, connecttest.Cause{Class: "java.io.IOException"}))
		c.Create(connecttest.Connector{Name: "c failed → überall", Class: "org.example.Sink", Type: "sink", Version: "1.2.3", Tasks: 1})
		c.FailConnector("c failed → überall", connecttest.Trace(connecttest.Cause{Class: "org.example.StartException"}))
	case "SECURED":
		c = connecttest.NewCluster(connecttest.Options{Version: arguments[1], Username: "user", Password: "s3cret"})
	case "NAMELESS":
		c.Create(connecttest.Connector{Name: "no status", Class: "org.example.Source", Type: "source", Version: "1.2.3", Tasks: 1})
		c.DropStatus("no status")
	}
	server := httptest.NewServer(c.Handler(c.Workers()[0]))
	ts.Defer(server.Close)
	ts.Setenv(arguments[0], server.URL)
}

func expandFile(ts *testscript.TestScript, _ bool, arguments []string) {
	for _, name := range arguments {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

func expectStatus(ts *testscript.TestScript, _ bool, arguments []string) {
	status := 0
	switch exit, err := (*exec.ExitError)(nil), ts.Exec(arguments[1], arguments[2:]...); {
	case errors.As(err, &exit):
		status = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%q did not run: %v", arguments[1:], err)
	}
	if fmt.Sprint(status) != arguments[0] {
		ts.Fatalf("%q ended with status %d, want %s", arguments[1:], status, arguments[0])
	}
}

// failure is a test that notes how it fails.
type failure struct {
	*testing.T
	log string
}

var errFailNow = errors.New("the test has failed")

func (f *failure) Run(_ string, run func(testscript.T)) { run(f) }
func (f *failure) Parallel()                            {}
func (f *failure) Verbose() bool                        { return false }
func (f *failure) FailNow()                             { panic(errFailNow) }
func (f *failure) Log(arguments ...any)                 { f.log += fmt.Sprintln(arguments...) }
func (f *failure) Fatal(arguments ...any) {
	f.Log(arguments...)
	f.FailNow()
}

// A script is not content with a command that never ran.
func TestStatusOfNoCommand(t *testing.T) {
	directory := t.TempDir()
	if err := os.WriteFile(filepath.Join(directory, "x.txtar"), []byte("status 0 no-such-command\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &failure{T: t}
	defer func() {
		p := recover()
		if err, _ := p.(error); !errors.Is(err, errFailNow) || !strings.Contains(f.log, "did not run") {
			t.Errorf("%v\n%s", p, f.log)
		}
	}()
	testscript.RunT(f, testscript.Params{Dir: directory, Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": expectStatus}})
}

func normalize(ts *testscript.TestScript, _ bool, _ []string) {
	text := ts.ReadFile("stdout")
	for pattern, replacement := range map[string]string{
		`(http://)?127\.0\.0\.1:[0-9]+`:   "URL",
		`\b[0-9.]+(ms|s|µs)\b`:            "TIME",
		`("duration_seconds": )[0-9.e-]+`: "${1}TIME",
	} {
		text = regexp.MustCompile(pattern).ReplaceAllString(text, replacement)
	}
	ts.Check(os.WriteFile(ts.MkAbs("printed"), []byte(text), 0o600))
}

func get(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// background runs a command line until stop is called, which returns its exit
// status.
func background(t *testing.T, sys system, arguments ...string) (stop func() int) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() { ended <- execute(ctx, arguments, sys) }()
	stop = sync.OnceValue(func() int {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		return <-ended
	})
	t.Cleanup(func() { stop() })
	return stop
}

func TestDemo(t *testing.T) {
	t.Parallel()
	out := &testlog.Log{}
	stop := background(t, system{Stdout: out, Stderr: io.Discard}, "demo", "--web.listen-address=127.0.0.1:0", "--log.level=error")
	address := out.Await(t, `(http://\S+)/metrics`)
	file := out.Await(t, `--config.file=(\S+)`)
	out.Await(t, "Ctrl-C")
	metrics := get(t, address+"/metrics")
	for _, want := range []string{
		`kafka_connect_up{connect_cluster="orders"} 1`,
		`kafka_connect_up{connect_cluster="warehouse"} 1`,
		`kafka_connect_task_state{connect_cluster="orders",connector="orders-jdbc-sink",state="failed",task="2"} 1`,
		`kafka_connect_connector_state{connect_cluster="orders",connector="audit-s3-sink",state="paused"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the demo's metrics have no %s", want)
		}
	}
	if page := get(t, address+"/"); !strings.Contains(page, "orders-jdbc-sink") {
		t.Errorf("the page shows no connector:\n%s", page)
	}
	// What it printed to be run in another terminal does run.
	table := &testlog.Log{}
	if status := execute(t.Context(), []string{"snapshot", "--config.file=" + file}, system{Stdout: table, Stderr: table}); status != exitFailed {
		t.Errorf("snapshot of the demo ended with %d:\n%s", status, table)
	}
	if status := stop(); status != exitWell {
		t.Errorf("the demo ended with %d", status)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the demo left %s behind", file)
	}
}

func TestHangupReloads(t *testing.T) {
	c := connecttest.NewCluster(connecttest.Options{})
	server := httptest.NewServer(c.Handler(c.Workers()[0]))
	defer server.Close()
	file := t.TempDir() + "/clusters.yml"
	configure := func(name string) {
		if err := os.WriteFile(file, []byte("clusters: [{name: "+name+", urls: ["+server.URL+"]}]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure("before")
	log := &testlog.Log{}
	stop := background(t, system{Stdout: io.Discard, Stderr: log}, "--config.file="+file, "--web.listen-address=127.0.0.1:0")
	address := log.Await(t, `msg="Listening on" address=(\S+)`)
	log.Await(t, `TLS is disabled`)
	if got := get(t, "http://"+address+"/metrics"); !strings.Contains(got, `kafka_connect_up{connect_cluster="before"} 1`) {
		t.Errorf("before the reload: %s", got)
	}
	configure("after")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	log.Await(t, "configuration reloaded")
	if got := get(t, "http://"+address+"/metrics"); !strings.Contains(got, `kafka_connect_up{connect_cluster="after"} 1`) || strings.Contains(got, `"before"`) {
		t.Errorf("after the reload: %s", got)
	}
	if status := stop(); status != exitWell {
		t.Errorf("serve ended with %d", status)
	}
}

func TestTimeoutOffset(t *testing.T) {
	for text, want := range map[string]string{
		"500ms": "", "0.5": "", "0": "", "2": "", "1m": "",
		"-1s": "no time span", "soon": "no time span", "NaN": "no time span", "1e300": "no time span", "": "no time span",
	} {
		var o offset
		err := o.UnmarshalText([]byte(text))
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

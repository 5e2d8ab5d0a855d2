package alerts_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// odd is a name such as MirrorMaker's, with everything in it that a URL or a shell
// would take for its own.
const odd = `eu->us.My "odd" sink 100%/1 $HOME & ü`

// A command is one block of a runbook for clusters that are managed by themselves.
type command struct{ page, text string }

// commands returns the blocks of the self-managed sections.
func commands(t *testing.T) []command {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join(runbooks, "*.md"))
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
		_, section, found := strings.Cut(string(content), "\n### Self-managed\n")
		section, _, ended := strings.Cut(section, "\n### Strimzi\n")
		if !found || !ended {
			t.Fatalf("%s has no section of self-managed clusters", page)
		}
		for _, found := range block.FindAllStringSubmatch(section, -1) {
			all = append(all, command{strings.TrimSuffix(filepath.Base(page), ".md"), found[1]})
		}
	}
	if len(all) < 50 {
		t.Fatalf("only %d commands", len(all))
	}
	return all
}

// filled puts values in place of those that a block begins with.
func (c command) filled(values map[string]string) string {
	lines := strings.Split(c.text, "\n")
	for i, line := range lines {
		for name, value := range values {
			if strings.HasPrefix(line, name+"='") || strings.HasPrefix(line, name+"=0") {
				lines[i] = name + "='" + strings.ReplaceAll(value, "'", `'\''`) + "'"
			}
		}
	}
	return strings.Join(lines, "\n")
}

// A worker that has one connector, of the odd name, with a task of each state, and
// notes what it is asked.
type worker struct {
	mu      sync.Mutex
	asked   []string
	unknown []string
}

func (w *worker) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, request.Method+" "+request.URL.RequestURI())
	status := strings.ReplaceAll(`{"name":%[1]q,"connector":{"state":"FAILED","worker_id":"w1:8083","trace":"java.io.IOException: x\nCaused by: y"},"tasks":[`+
		`{"id":0,"state":"FAILED","worker_id":"w1:8083","trace":"java.io.IOException: x\nCaused by: y"},{"id":1,"state":"UNASSIGNED","worker_id":"w1:8083"},{"id":2,"state":"RUNNING","worker_id":"w1:8083"}],"type":"sink"}`, "w1:8083", request.Host)
	name, rest, _ := strings.Cut(strings.TrimPrefix(request.URL.EscapedPath(), "/connectors/"), "/")
	switch path := request.URL.Path; {
	case path == "/", path == "/health":
		fmt.Fprint(response, `{"version":"4.3.1"}`)
	case path == "/connectors" && request.URL.RawQuery == "":
		fmt.Fprintf(response, `[%q]`, odd)
	case path == "/connectors":
		fmt.Fprintf(response, `{%[1]q:{"status":`+status+`,"info":{"name":%[1]q,"config":{"tasks.max":"3"},"tasks":[{"connector":%[1]q,"task":0}]}}}`, odd)
	case unescaped(name) == odd:
		if rest == "status" {
			fmt.Fprintf(response, status, odd)
			return
		}
		response.WriteHeader(http.StatusAccepted)
	case strings.HasPrefix(path, "/connectors/"):
		w.unknown = append(w.unknown, request.URL.RequestURI())
		response.WriteHeader(http.StatusNotFound)
	default: // The exporter's, or a receiver's.
		fmt.Fprintln(response, "kafka_connect_up 1\nkafka_connect_exporter_build_info 1")
	}
}

func unescaped(path string) string {
	name, err := url.PathUnescape(path)
	if err != nil {
		return ""
	}
	return name
}

// Every command is run as it stands, with the address of a worker and an odd name in
// its first lines: it must end well and reach the connector of that name.
func TestRunbooksCommandsWorkAsTyped(t *testing.T) {
	for _, program := range []string{"bash", "curl", "jq", "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	w := &worker{}
	server := httptest.NewServer(w)
	defer server.Close()
	values := map[string]string{
		"CONNECT": server.URL, "EXPORTER": server.URL, "RECEIVER": server.URL, "WORKER": strings.TrimPrefix(server.URL, "http://"),
		"CONNECTOR": odd, "CLUSTER": "a/b c", "TASK": "0", "USER_AND_PASSWORD": "a:b", "HOST": "127.0.0.1:1",
	}
	var group sync.WaitGroup
	slots := make(chan struct{}, 4)
	for _, c := range commands(t) {
		if strings.Contains(c.text, "openssl s_client") {
			continue // It wants TLS; the suite on real parts has it.
		}
		group.Add(1)
		slots <- struct{}{}
		go func() {
			defer func() { <-slots; group.Done() }()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			shell := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", c.filled(values))
			shell.Env = append(os.Environ(), "no_proxy=*")
			output, err := shell.CombinedOutput()
			if err != nil || strings.Contains(string(output), "curl: ") || strings.Contains(string(output), "error") {
				t.Errorf("%s: %v\n%s\n%s", c.page, err, c.text, output)
			}
			if len(strings.TrimSpace(string(output))) == 0 && !strings.Contains(c.text, "-X P") && !strings.Contains(c.text, "comm ") {
				t.Errorf("%s: a command says nothing:\n%s", c.page, c.text)
			}
		}()
	}
	group.Wait()
	if len(w.unknown) > 0 {
		t.Errorf("asked for connectors that there are not: %q", w.unknown)
	}
	// Each kind of change has been asked for, by its right path.
	path := "/connectors/" + strings.ReplaceAll(url.QueryEscape(odd), "+", "%20")
	for _, want := range []string{
		"POST " + path + "/restart", "POST " + path + "/restart?includeTasks=true&onlyFailed=true", "POST " + path + "/tasks/0/restart",
		"POST " + path + "/tasks/1/restart", "PUT " + path + "/pause", "PUT " + path + "/resume", "GET " + path + "/status", "GET /probe?cluster=a%2Fb%20c&debug=true",
	} {
		if !slices.Contains(w.asked, want) {
			t.Errorf("nobody asked %s", want)
		}
	}
}

// What a shell would read otherwise than it is meant: an address without quotes, a
// name that is not encoded, a placeholder that would have to be replaced within.
func TestRunbooksCommandsAreQuoted(t *testing.T) {
	address := regexp.MustCompile(`(?:^|\s)(?:-u \S+ |-X \w+ |-\w+ |-o \S+ )*(https?://\S+|\$CONNECT\S*)`)
	for _, c := range commands(t) {
		for line := range strings.Lines(c.text) {
			if strings.HasPrefix(line, "#") {
				continue
			}
			if found := address.FindStringSubmatch(line); strings.Contains(line, "curl") && found != nil {
				t.Errorf("%s: an address without quotes: %s", c.page, line)
			}
			if strings.Contains(line, "/connectors/$CONNECTOR") || regexp.MustCompile(`http://[A-Z]+[:/]`).MatchString(line) {
				t.Errorf("%s: a name that is not encoded, or a placeholder: %s", c.page, line)
			}
		}
	}
}

// Since Kafka 4.0 not each name can stand in a path: where a command needs that, the
// page says what works instead.
func TestRunbooksTellOfNamesThatNoPathCanHold(t *testing.T) {
	pages := map[string]bool{}
	for _, c := range commands(t) {
		if strings.Contains(strings.ToLower(c.text), "/connectors/$name") {
			pages[c.page] = true
		}
	}
	if len(pages) < 12 {
		t.Fatalf("only %d pages", len(pages))
	}
	for page := range pages {
		content, err := os.ReadFile(filepath.Join(runbooks, page+".md"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(content), "such a call answers 400") || !strings.Contains(string(content), "(../alerts.md#names-that-no-path-can-hold)") {
			t.Errorf("%s calls a connector by its name and does not say what works where that cannot be", page)
		}
	}
}

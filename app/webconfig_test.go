//go:build unix

package app

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/internal/testlog"
)

func TestCheckWebConfig(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ path, want string }{
		"none":               {"", ""},
		"a pipe":             {pipe, "cannot be read: is a pipe, not a regular file"},
		"a device":           {"/dev/zero", "cannot be read: is a device, not a regular file"},
		"a key that is one":  {file(t, "tls_server_config: {cert_file: %s, key_file: %s}\n", pipe, pipe), pipe + " cannot be read: is a pipe, not a regular file"},
		"authorities":        {file(t, "tls_server_config: {client_ca_file: %s}\n", pipe), pipe + " cannot be read: is a pipe, not a regular file"},
		"a bomb":             {file(t, "%s", "http_server_config: &a {a: b}\n"+bomb(30)), "has too many values"},
		"a value":            {file(t, "basic_auth_users: hunter2\n"), "cannot unmarshal"},
		"an anchor":          {file(t, "basic_auth_users: {a: *hunter2}\n"), "unknown anchor"},
		"users, as they are": {file(t, "basic_auth_users: {}\n"), ""},
	} {
		err := checkWebConfig("--web.config.file", test.path)
		switch {
		case test.want == "" && err != nil, test.want != "" && err == nil:
			t.Errorf("%s: %v", name, err)
		case err != nil && (!strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n")):
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A file that becomes a pipe while the exporter runs holds up no request, on a new
// connection or on one that is open, and no stop.
func TestWebConfigBecomesAPipe(t *testing.T) {
	webConfig := file(t, "basic_auth_users: {}\n")
	p := start(t, Options{WebConfigFile: webConfig, Sources: fromFile(file(t, "clusters: [{name: orders, urls: [%q]}]\n", worker(t, cluster("4.3.1"), 0)))})
	get := func(client *http.Client) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.base+"/-/healthy", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			return 0
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		return response.StatusCode
	}
	client := func() *http.Client {
		transport := &http.Transport{}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport, Timeout: 10 * time.Second}
	}
	open := client()
	if status := get(open); status != http.StatusOK {
		t.Fatalf("before: %d", status)
	}
	if err := os.Rename(webConfig, webConfig+".whole"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(webConfig, 0o600); err != nil {
		t.Skip(err)
	}
	began := time.Now()
	if status := get(open); status != http.StatusInternalServerError {
		t.Errorf("a pipe, open connection: %d", status)
	}
	if status := get(client()); status != 0 {
		t.Errorf("a pipe, new connection: %d", status)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	if err := os.Rename(webConfig+".whole", webConfig); err != nil {
		t.Fatal(err)
	}
	if status := get(client()); status != http.StatusOK {
		t.Errorf("whole again: %d", status)
	}
	if log := p.logs.String(); strings.Count(log, "nothing is served") != 1 || !strings.Contains(log, "can be read again") {
		t.Errorf("log:\n%s", log)
	}
}

// Files that are not right any more are told of once, and when they are again.
func TestWebConfigThatIsWrong(t *testing.T) {
	path := file(t, "basic_auth_users: {}\n")
	var log testlog.Log
	f := &webFiles{path: path, logger: slog.New(slog.NewTextHandler(&log, nil))}
	for _, step := range []struct {
		text         string
		wrong, right int // lines of the log after it
	}{
		{"basic_auth_users: {}\n", 0, 0},
		{"basic_auth_users: {u: hunter2}\n", 1, 0},
		{"basic_auth_users: {u: hunter2}\n", 1, 0},
		{"basic_auth_users: {u: hunter3}\n", 2, 0},
		{"basic_auth_users: {}\n", 2, 1},
		{"tls_server_config: {cert: hunter2, key: hunter2}\n", 3, 1},
		{"# nothing\n", 3, 2},
	} {
		write(t, path, "%s", step.text)
		for range 3 {
			if !f.ok() {
				t.Fatalf("%q cannot be read", step.text)
			}
		}
		text := log.String()
		if wrong, right := strings.Count(text, "is wrong"), strings.Count(text, "is right again"); wrong != step.wrong || right != step.right || strings.Contains(text, "hunter") {
			t.Errorf("after %q:\n%s", step.text, text)
		}
	}
}

// bomb is YAML of which each line stands for four times the one before.
func bomb(lines int) string {
	text, before := "a0: &a0 {a: b}\n", "a0"
	for i := range lines {
		name := fmt.Sprintf("b%d", i)
		text += fmt.Sprintf("%s: &%s {<<: [*%s, *%s, *%s, *%s]}\n", name, name, before, before, before, before)
		before = name
	}
	return text
}

// Package image builds the Dockerfile without a container engine and starts what
// comes out as a cluster would: as its user, on a root file system that cannot be
// written.
//
// The bases are stand-ins of the same names: an empty image for the last stage,
// and for the first one an empty image into which this machine's Go and libraries
// are mounted. So this tests the steps of the Dockerfile, not its bases.
package image

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/process"
)

const (
	name = "localhost/kafka-connect-exporter:test"
	user = "65532:65532"
	// maxBytes is a ceiling for the image: the binary and next to nothing else.
	maxBytes = 48 << 20
)

// builder runs buildah with a store of its own.
type builder struct {
	t     *testing.T
	ctx   context.Context
	store string
}

func (b builder) run(arguments ...string) string {
	b.t.Helper()
	argv := append([]string{"--storage-driver", "vfs", "--root", filepath.Join(b.store, "root"), "--runroot", filepath.Join(b.store, "run")}, arguments...)
	command := exec.CommandContext(b.ctx, "buildah", argv...)
	var complaint strings.Builder
	command.Stderr = &complaint
	printed, err := command.Output()
	if err != nil {
		b.t.Fatalf("buildah %q: %v\n%s%s", arguments, err, printed, complaint.String())
	}
	return strings.TrimSpace(string(printed))
}

// standIn makes an image that has only a folder for temporary files.
func (b builder) standIn(name string, environment ...string) {
	b.t.Helper()
	empty := filepath.Join(b.t.TempDir(), "empty")
	if err := os.MkdirAll(filepath.Join(empty, "tmp"), 0o755); err != nil {
		b.t.Fatal(err)
	}
	container := b.run("from", "scratch")
	b.run("copy", "-q", container, empty, "/")
	for _, variable := range environment {
		b.run("config", "--env", variable, container)
	}
	b.run("commit", "-q", "--rm", container, name)
}

func goEnv(ctx context.Context, t *testing.T, variable string) string {
	t.Helper()
	value, err := exec.CommandContext(ctx, "go", "env", variable).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(value))
}

// build builds the image and returns its configuration.
func (b builder) build(revision string) (config imageConfig) {
	b.t.Helper()
	root := goEnv(b.ctx, b.t, "GOROOT")
	b.standIn("docker.io/library/golang:1.26-bookworm", "PATH="+root+"/bin:/usr/bin:/bin", "GOTOOLCHAIN=local",
		"GOPROXY=file:///modules", "GOSUMDB=off", "GOFLAGS=-modcacherw")
	b.standIn("gcr.io/distroless/static-debian12:nonroot")

	// The modules that the product's own build has downloaded serve this one.
	prepare := exec.CommandContext(b.ctx, "go", "build", "-C", filepath.Join("..", ".."), "-o", os.DevNull, "./cmd/kafka-connect-exporter")
	if printed, err := prepare.CombinedOutput(); err != nil {
		b.t.Fatalf("%v\n%s", err, printed)
	}
	arguments := []string{
		"bud", "--isolation", "chroot", "--pull-never", "--build-arg", "VERSION=1.2.3", "--build-arg", "REVISION=" + revision,
		"--volume", filepath.Join(goEnv(b.ctx, b.t, "GOMODCACHE"), "cache", "download") + ":/modules:ro", "-t", name,
	}
	for _, folder := range []string{root, "/usr", "/bin", "/lib", "/lib64"} {
		if _, err := os.Stat(folder); err == nil {
			arguments = append(arguments, "--volume", folder+":"+folder+":ro")
		}
	}
	b.run(append(arguments, filepath.Join("..", ".."))...)

	var inspected struct{ OCIv1 struct{ Config imageConfig } }
	if err := json.Unmarshal([]byte(b.run("inspect", "--type", "image", name)), &inspected); err != nil {
		b.t.Fatal(err)
	}
	return inspected.OCIv1.Config
}

type imageConfig struct {
	User         string
	Entrypoint   []string
	Cmd          []string
	ExposedPorts map[string]any
	Labels       map[string]string
}

// start runs the image's entry point as its user, in its root, which is mounted
// read-only.
func (b builder) start(group *process.Group, config imageConfig, arguments ...string) *process.Process {
	b.t.Helper()
	container := b.run("from", "--pull-never", name)
	root := b.run("mount", container)
	script := `mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec chroot --userspec="$1" "$0" "${@:2}"`
	argv := append([]string{"unshare", "--mount", "bash", "-c", script, root, config.User}, config.Entrypoint...)
	p, err := group.Start("container", append(argv, arguments...))
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
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
		err = fmt.Errorf("%s: %s", url, response.Status)
	}
	return string(body), err
}

func TestImage(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can start a process as somebody else")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	b := builder{t, ctx, t.TempDir()}
	config := b.build("0123abc")

	if config.User != user {
		t.Errorf("user %q, want %q: numeric, and not root", config.User, user)
	}
	if entry := strings.Join(config.Entrypoint, " "); entry != "/usr/bin/kafka-connect-exporter" || len(config.Cmd) > 0 {
		t.Errorf("entry point %q, command %q", entry, config.Cmd)
	}
	if _, exposed := config.ExposedPorts["10083/tcp"]; !exposed {
		t.Errorf("exposed ports %v", config.ExposedPorts)
	}
	for label, want := range map[string]string{
		"title": "kafka-connect-exporter", "version": "1.2.3", "revision": "0123abc", "licenses": "Apache-2.0",
		"source": "https://github.com/kafka-connect-exporter/kafka-connect-exporter",
	} {
		if got := config.Labels["org.opencontainers.image."+label]; got != want {
			t.Errorf("label %s is %q, want %q", label, got, want)
		}
	}
	var images []struct{ Size string }
	if err := json.Unmarshal([]byte(b.run("images", "--json", name)), &images); err != nil || len(images) != 1 {
		t.Fatalf("%v %v", images, err)
	}
	var unit string
	var amount float64
	if _, err := fmt.Sscanf(images[0].Size, "%g %s", &amount, &unit); err != nil || unit != "MB" {
		t.Fatalf("size %q: %v", images[0].Size, err)
	}
	if amount*1e6 > maxBytes {
		t.Errorf("the image has %s, the ceiling is %d bytes", images[0].Size, maxBytes)
	}

	// A worker without connectors is all that a scrape needs.
	worker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			_, _ = io.WriteString(w, `{"version":"4.3.1","commit":"c","kafka_cluster_id":"k"}`)
		default:
			if r.URL.Query().Has("expand") {
				_, _ = io.WriteString(w, "{}")
				return
			}
			_, _ = io.WriteString(w, "[]")
		}
	}))
	defer worker.Close()
	logs := filepath.Join("..", "..", ".e2e", "logs", "image")
	if err := os.RemoveAll(logs); err != nil {
		t.Fatal(err)
	}
	group, err := process.NewGroup(logs)
	if err != nil {
		t.Fatal(err)
	}
	defer group.Close(5 * time.Second)
	port, err := process.NewPorts(24200, 24299).Next()
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	p := b.start(group, config, "--connect.url="+worker.URL, "--web.listen-address="+address)
	if err := process.Poll(ctx, 100*time.Millisecond, p, func(ctx context.Context) error {
		_, err := get(ctx, "http://"+address+"/-/ready")
		return err
	}); err != nil {
		t.Fatalf("%v\n%s", err, p.Tail(4096))
	}
	metrics, err := get(ctx, "http://"+address+"/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`kafka_connect_up{connect_cluster="default"} 1`, `version="1.2.3"`, `revision="0123abc"`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the container's metrics have no %s", want)
		}
	}

	// unshare, the shell and chroot have become the exporter: who is it?
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Name:\tkafka-connect-e", "Uid:\t65532\t65532", "Gid:\t65532\t65532"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("the process is not %q:\n%s", want, status)
		}
	}
	if err := p.Terminate(ctx); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	if err := p.Err(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

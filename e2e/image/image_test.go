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
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kafka"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/process"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/prometheus"
)

const (
	name = "localhost/kafka-connect-exporter:test"
	user = "65532:65532"
	// maxBytes is a ceiling for the image: the binary and next to nothing else.
	maxBytes = 48 << 20
)

// builder runs buildah with a store of its own, and caches that stay.
type builder struct {
	t            *testing.T
	ctx          context.Context
	store, cache string
}

func (b builder) run(arguments ...string) string {
	b.t.Helper()
	argv := append([]string{"--storage-driver", "vfs", "--root", filepath.Join(b.store, "root"), "--runroot", filepath.Join(b.store, "run")}, arguments...)
	command := exec.CommandContext(b.ctx, "buildah", argv...)
	command.Env = append(command.Environ(), "TMPDIR="+b.cache) // Where the caches that RUN mounts live.
	var complaint strings.Builder
	command.Stderr = &complaint
	printed, err := command.Output()
	if err != nil {
		b.t.Fatalf("buildah %q: %v\n%s%s", arguments, err, printed, complaint.String())
	}
	return strings.TrimSpace(string(printed))
}

// standIn makes an image that has only folders for temporary files and for what
// an engine mounts.
func (b builder) standIn(name string, environment ...string) {
	b.t.Helper()
	empty := filepath.Join(b.t.TempDir(), "empty")
	for _, folder := range []string{"tmp", "proc"} {
		if err := os.MkdirAll(filepath.Join(empty, folder), 0o777); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(empty, "tmp"), 0o1777); err != nil {
		b.t.Fatal(err)
	}
	container := b.run("from", "scratch")
	b.run("copy", "-q", container, empty, "/")
	for _, variable := range environment {
		b.run("config", "--env", variable, container)
	}
	b.run("commit", "-q", "--rm", container, name)
}

// base returns the image that an argument of the Dockerfile names.
func (b builder) base(argument string) string {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "Dockerfile"))
	if err != nil {
		b.t.Fatal(err)
	}
	match := regexp.MustCompile(`(?m)^ARG ` + argument + `=(\S+)$`).FindSubmatch(text)
	if match == nil {
		b.t.Fatalf("the Dockerfile has no argument %s", argument)
	}
	return string(match[1])
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
	b.standIn("docker.io/library/"+b.base("GO_IMAGE"), "PATH="+root+"/bin:/usr/bin:/bin", "GOTOOLCHAIN=local",
		"GOPROXY=file:///modules", "GOSUMDB=off", "GOFLAGS=-modcacherw")
	b.standIn(b.base("BASE_IMAGE"))

	// The modules that the product's own build has downloaded serve this one.
	prepare := exec.CommandContext(b.ctx, "go", "build", "-C", "..", "-o", os.DevNull, "./cmd/kafka-connect-exporter")
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
	b.run(append(arguments, "..")...)

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
	Volumes      map[string]any
	Env          []string
	Labels       map[string]string
}

// root returns the folder that has an image's files.
func (b builder) root(image string) string {
	b.t.Helper()
	return b.run("mount", b.run("from", "--pull-never", image))
}

// content checks the files that the image adds to its base.
func (b builder) content(root string) {
	b.t.Helper()
	list := func(root string) (found []string) {
		if err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				found = append(found, strings.TrimPrefix(path, root))
			}
			return err
		}); err != nil {
			b.t.Fatal(err)
		}
		return found
	}
	before := list(b.root(b.base("BASE_IMAGE")))
	added := slices.DeleteFunc(list(root), func(file string) bool { return slices.Contains(before, file) })
	if want := []string{"/licenses/LICENSE", "/usr/bin/kafka-connect-exporter"}; !slices.Equal(added, want) {
		b.t.Fatalf("the image adds %q, expected %q", added, want)
	}
	for _, file := range added {
		info, err := os.Stat(filepath.Join(root, file))
		if err != nil {
			b.t.Fatal(err)
		}
		if info.Mode()&(fs.ModeSetuid|fs.ModeSetgid|0o022) != 0 {
			b.t.Errorf("%s has mode %v", file, info.Mode())
		}
	}
	program, err := elf.Open(filepath.Join(root, added[1]))
	if err != nil {
		b.t.Fatal(err)
	}
	defer program.Close()
	for _, header := range program.Progs {
		if header.Type == elf.PT_INTERP {
			b.t.Error("the program is not static")
		}
	}
}

// start runs the image's entry point as its user, in its root, which is mounted
// read-only. (buildah itself starts processes in roots that can be written only.)
func (b builder) start(group *process.Group, root string, config imageConfig, arguments ...string) *process.Process {
	b.t.Helper()
	script := `mount --bind "$0" "$0" && mount -t proc proc "$0/proc" && mount -o remount,ro,bind "$0" && exec env -i "$(command -v chroot)" --userspec="$1" "$0" "${@:2}"`
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

// missing fails where everything must be there, and skips elsewhere.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

func TestImage(t *testing.T) {
	for _, program := range []string{"buildah", "unshare", "chroot"} {
		if _, err := exec.LookPath(program); err != nil {
			missing(t, program+" is not installed")
		}
	}
	if os.Getuid() != 0 {
		missing(t, "only root can start a process as somebody else")
	}
	t.Chdir("..") // From where e2e finds its tools.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cache, err := kafka.CacheDirectory()
	if err != nil {
		t.Fatal(err)
	}
	cache = filepath.Join(cache, "image")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	tools, err := e2e.Tool(ctx, "prometheus")
	if err != nil {
		t.Fatal(err)
	}
	b := builder{t, ctx, t.TempDir(), cache}
	config := b.build("0123abc")
	root := b.root(name)
	b.content(root)

	if config.User != user {
		t.Errorf("user %q, want %q: numeric, and not root", config.User, user)
	}
	if entry := strings.Join(config.Entrypoint, " "); entry != "/usr/bin/kafka-connect-exporter" || len(config.Cmd) > 0 {
		t.Errorf("entry point %q, command %q", entry, config.Cmd)
	}
	if _, exposed := config.ExposedPorts["10083/tcp"]; !exposed || len(config.ExposedPorts) > 1 || len(config.Volumes) > 0 {
		t.Errorf("exposed ports %v, volumes %v", config.ExposedPorts, config.Volumes)
	}
	for _, variable := range config.Env {
		if !strings.HasPrefix(variable, "PATH=") {
			t.Errorf("the environment has %s", variable)
		}
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
	ports := process.NewPorts(20300, 20399)
	port, err := ports.Next()
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	p := b.start(group, root, config, "--connect.url="+worker.URL, "--web.listen-address="+address)
	for _, path := range []string{"/-/ready", "/-/healthy"} {
		if err := process.Poll(ctx, 100*time.Millisecond, p, func(ctx context.Context) error {
			_, err := get(ctx, "http://"+address+path)
			return err
		}); err != nil {
			t.Fatalf("%v\n%s", err, p.Tail(4096))
		}
	}
	server, err := prometheus.Start(ctx, group, ports, tools, filepath.Join(b.store, "prometheus"), fmt.Sprintf(
		"global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n- {job_name: image, static_configs: [{targets: [%q]}]}\n", address))
	if err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{
		`kafka_connect_up{connect_cluster="default"} == 1`, `kafka_connect_exporter_build_info{version="1.2.3", revision="0123abc"}`,
		`process_resident_memory_bytes > 0`, // It has /proc.
	} {
		if err := process.Poll(ctx, 200*time.Millisecond, p, func(ctx context.Context) error {
			samples, err := server.Query(ctx, query)
			if err == nil && len(samples) != 1 {
				err = fmt.Errorf("%s: %v", query, samples)
			}
			return err
		}); err != nil {
			t.Error(err)
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
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	// Mount point and options, as the process sees them (proc(5)).
	if !regexp.MustCompile(`(?m)^\S+ \S+ \S+ \S+ / ro[, ]`).Match(mounts) {
		t.Errorf("the root is not read-only:\n%s", mounts)
	}
	if err := p.Terminate(ctx); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	if err := p.Err(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

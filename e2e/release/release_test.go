// Package release holds what a release is made by: that the release tool accepts
// its configuration, and that two builds of one commit are the same.
package release

import (
	"bytes"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e"
)

// TestMain runs from the suite's folder, as all of its packages do.
func TestMain(m *testing.M) {
	if err := os.Chdir(".."); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func run(t *testing.T, folder string, environment []string, argv ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	command.Dir, command.Stdout, command.Stderr = folder, &stdout, &stderr
	command.Env = append(os.Environ(), environment...)
	if err := command.Run(); err != nil {
		t.Fatalf("%q: %v\n%s%s", argv, err, stdout.Bytes(), stderr.Bytes())
	}
	return strings.TrimSpace(stdout.String())
}

func TestReleaseConfiguration(t *testing.T) {
	tools, err := e2e.Tool(t.Context(), "goreleaser")
	if err != nil {
		t.Fatal(err)
	}
	run(t, "..", []string{"LDFLAGS=" + run(t, "..", nil, "make", "-s", "ldflags")}, filepath.Join(tools, "goreleaser"), "check")
}

// Two clones in different folders, one of them built with nothing from the cache
// of the other's packages: their paths and the time must not matter.
func TestBuildsAreReproducible(t *testing.T) {
	var sums [2][sha256.Size]byte
	var versions [2]string
	for i, folder := range []string{"a", "another/much/longer/path"} {
		clone := filepath.Join(t.TempDir(), folder)
		run(t, ".", nil, "git", "clone", "--quiet", "file://"+repository(t), clone)
		// Without -trimpath by the environment of this test: the Makefile says it.
		run(t, clone, []string{"GOFLAGS="}, "make", "build")
		binary := filepath.Join(clone, "bin", "kafka-connect-exporter")
		content, err := os.ReadFile(binary)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte(clone)) {
			t.Errorf("the binary carries the path of its folder")
		}
		sums[i], versions[i] = sha256.Sum256(content), run(t, ".", nil, binary, "--version")
	}
	if sums[0] != sums[1] {
		t.Errorf("two builds of one commit differ:\n%s\n%s", versions[0], versions[1])
	}
	for _, part := range []string{"version ", "branch: ", "revision: ", "build date: "} {
		if !strings.Contains(versions[0], part) {
			t.Errorf("--version has no %q:\n%s", part, versions[0])
		}
	}
	if strings.Contains(versions[0], "unknown)") || strings.Contains(versions[0], "build date:       unknown") {
		t.Errorf("--version does not know its commit:\n%s", versions[0])
	}
}

func repository(t *testing.T) string {
	t.Helper()
	return run(t, "..", nil, "git", "rev-parse", "--show-toplevel")
}

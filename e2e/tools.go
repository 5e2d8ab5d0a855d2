// Package e2e is the suite on real parts: the exporter's binary watches real
// Kafka Connect clusters and is scraped by a real Prometheus, through whose
// query API everything is asserted. Start it by run.sh, which installs and
// builds what it needs.
package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// Tool returns the folder with the programs of one of the tools that
// ../tools/build.sh knows, built if they are not yet.
func Tool(ctx context.Context, name string) (string, error) {
	command := exec.CommandContext(ctx, filepath.Join("..", "tools", "build.sh"), name)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, stderr.Bytes())
	}
	return strings.TrimSpace(string(output)), nil
}

// BuildExporter builds the product's binary into directory, as a release is
// built, and returns its path.
func BuildExporter(ctx context.Context, directory string) (string, error) {
	path, err := filepath.Abs(filepath.Join(directory, "kafka-connect-exporter"))
	if err != nil {
		return "", err
	}
	command := exec.CommandContext(ctx, "go", "build", "-C", "..", "-trimpath", "-o", path, "./cmd/kafka-connect-exporter")
	command.Env = append(command.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the exporter: %w\n%s", err, output)
	}
	return path, nil
}

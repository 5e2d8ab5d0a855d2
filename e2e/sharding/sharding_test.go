// Package sharding runs the configuration that docs/scaling.md tells readers to
// copy: a real Prometheus spreads clusters over two replicas of the exporter.
package sharding

import (
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

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/process"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/prometheus"
)

// clusters is how many are spread.
const clusters = 8

// output runs a command and returns what it prints.
func output(ctx context.Context, t *testing.T, argv ...string) string {
	t.Helper()
	command := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var complaint strings.Builder
	command.Stderr = &complaint
	printed, err := command.Output()
	if err != nil {
		t.Fatalf("%q: %v\n%s", argv, err, complaint.String())
	}
	return strings.TrimSpace(string(printed))
}

// documented is the scrape configuration of docs/scaling.md.
func documented(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "scaling.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(block[1], "http_sd_configs") {
			return block[1]
		}
	}
	t.Fatal("docs/scaling.md shows no http_sd_configs")
	return ""
}

// get returns the body of an answer of 200.
func get(ctx context.Context, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", address, response.Status)
	}
	return body, err
}

func TestClustersAreSpreadOverReplicas(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	directory := t.TempDir()
	binary := filepath.Join(directory, "kafka-connect-exporter")
	output(ctx, t, "go", "build", "-C", filepath.Join("..", ".."), "-o", binary, "./cmd/kafka-connect-exporter")
	tools := output(ctx, t, filepath.Join("..", "..", "tools", "build.sh"), "prometheus")
	logs := filepath.Join("..", "..", ".e2e", "logs", "sharding")
	if err := os.RemoveAll(logs); err != nil {
		t.Fatal(err)
	}
	group, err := process.NewGroup(logs)
	if err != nil {
		t.Fatal(err)
	}
	defer group.Close(5 * time.Second)
	ports := process.NewPorts(24100, 24199)
	address := func() string {
		port, err := ports.Next()
		if err != nil {
			t.Fatal(err)
		}
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}

	// The demo's workers stand for the clusters, its own exporter for nothing.
	demo, err := group.Start("demo", []string{binary, "demo", "--web.listen-address=" + address()})
	if err != nil {
		t.Fatal(err)
	}
	var configuration strings.Builder
	err = process.Poll(ctx, 100*time.Millisecond, demo, func(context.Context) error {
		match := regexp.MustCompile(`orders +Kafka Connect \S+ +(http://\S+)`).FindStringSubmatch(demo.Tail(1 << 16))
		if match == nil {
			return fmt.Errorf("the demo has not said where its workers are")
		}
		configuration.WriteString("clusters:\n")
		for i := range clusters {
			fmt.Fprintf(&configuration, "  - {name: cluster-%d, urls: [%q]}\n", i, match[1])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(directory, "clusters.yml")
	if err := os.WriteFile(file, []byte(configuration.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	scrapes := "global: {scrape_interval: 1s, scrape_timeout: 1s}\n" + documented(t)
	replicas := map[string]int{}
	for i := range 2 {
		replica := address()
		replicas[replica] = 0
		p, err := group.Start(fmt.Sprint("replica-", i), []string{binary, "--config.file=" + file, "--web.listen-address=" + replica})
		if err != nil {
			t.Fatal(err)
		}
		if err := process.Poll(ctx, 100*time.Millisecond, p, func(ctx context.Context) error {
			_, err := get(ctx, "http://"+replica+"/-/ready")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("exporter-%d:10083", i)
		if !strings.Contains(scrapes, name) {
			t.Fatalf("the documented configuration names no %s", name)
		}
		scrapes = strings.ReplaceAll(scrapes, name, replica)
	}
	server, err := prometheus.Start(ctx, group, ports, tools, filepath.Join(directory, "prometheus"), scrapes)
	if err != nil {
		t.Fatal(err)
	}

	// Every cluster is there, once; every replica too, without the clusters.
	for query, want := range map[string]int{
		`kafka_connect_up == 1`: clusters,
		`kafka_connect_exporter_build_info{job="kafka-connect-exporter"}`: len(replicas),
		`up{job="kafka-connect"} == 1`:                                    clusters,
	} {
		if err := process.Poll(ctx, 200*time.Millisecond, server.Process, func(ctx context.Context) error {
			samples, err := server.Query(ctx, query)
			if err == nil && len(samples) != want {
				err = fmt.Errorf("%s: %d series, want %d: %v", query, len(samples), want, samples)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, query := range []string{
		`{job="kafka-connect-exporter", connect_cluster!=""}`,
		`count by (connect_cluster) (kafka_connect_up) != 1`,
		`{__name__=~"go_.+|kafka_connect_exporter_.+", job="kafka-connect"}`,
		`kafka_connect_up unless on (connect_cluster) label_replace(up{job="kafka-connect"}, "connect_cluster", "$1", "instance", "(.+)")`,
	} {
		samples, err := server.Query(ctx, query)
		if err != nil {
			t.Error(err)
		}
		if len(samples) > 0 {
			t.Errorf("%s: %v, want nothing", query, samples)
		}
	}

	// Who asks for which cluster.
	body, err := get(ctx, server.URL+"/api/v1/targets?state=active&scrapePool=kafka-connect")
	if err != nil {
		t.Fatal(err)
	}
	var targets struct {
		Data struct {
			ActiveTargets []struct {
				ScrapeURL string `json:"scrapeUrl"`
			} `json:"activeTargets"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &targets); err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{}
	for _, target := range targets.Data.ActiveTargets {
		u, err := url.Parse(target.ScrapeURL)
		if err != nil {
			t.Fatal(err)
		}
		if _, known := replicas[u.Host]; !known || u.Path != "/probe" {
			t.Errorf("a target at %s", target.ScrapeURL)
		}
		replicas[u.Host]++
		asked[u.Query().Get("cluster")] = true
	}
	if len(asked) != clusters {
		t.Errorf("%d clusters are asked for, want %d", len(asked), clusters)
	}
	for replica, share := range replicas {
		if share == 0 {
			t.Errorf("replica %s asks for no cluster: %v", replica, replicas)
		}
	}
}

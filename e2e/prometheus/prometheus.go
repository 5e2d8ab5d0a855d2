// Package prometheus runs a real Prometheus server and asks its query API.
package prometheus

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/process"
)

// A Server is a running Prometheus.
type Server struct {
	*process.Process
	URL string
}

// Start runs the program in the folder tools with the configuration (YAML) and
// returns when it is ready. Its data go below directory. The OTLP receiver is
// on.
func Start(ctx context.Context, group *process.Group, ports *process.Ports, tools, directory, configuration string) (*Server, error) {
	fail := func(err error) (*Server, error) { return nil, fmt.Errorf("start Prometheus: %w", err) }
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return fail(err)
	}
	file := filepath.Join(directory, "prometheus.yml")
	if err := os.WriteFile(file, []byte(configuration), 0o644); err != nil {
		return fail(err)
	}
	port, err := ports.Next()
	if err != nil {
		return fail(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	p, err := group.Start("prometheus", []string{
		filepath.Join(tools, "prometheus"), "--config.file=" + file,
		"--storage.tsdb.path=" + filepath.Join(directory, "data"), "--web.listen-address=" + address, "--web.enable-otlp-receiver",
	})
	if err != nil {
		return fail(err)
	}
	s := &Server{Process: p, URL: "http://" + address}
	if err := process.Poll(ctx, 100*time.Millisecond, p, func(ctx context.Context) error {
		_, err := s.get(ctx, "/-/ready")
		return err
	}); err != nil {
		return fail(err)
	}
	return s, nil
}

// A Sample is one series of an instant query's answer.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// String is the sample as PromQL would show it, labels in order.
func (s Sample) String() string {
	return fmt.Sprintf("%s %v", Series(s.Labels), s.Value)
}

// Series is labels in the notation of a series, in order.
func Series(labels map[string]string) string {
	var pairs []string
	for name, value := range labels {
		if name != "__name__" {
			pairs = append(pairs, fmt.Sprintf("%s=%q", name, value))
		}
	}
	sort.Strings(pairs)
	return labels["__name__"] + "{" + strings.Join(pairs, ", ") + "}"
}

// Query evaluates an instant query now; the answer is a vector or a scalar.
func (s *Server) Query(ctx context.Context, query string) ([]Sample, error) {
	text, err := s.get(ctx, "/api/v1/query?query="+url.QueryEscape(query))
	if err != nil {
		return nil, fmt.Errorf("query %s: %w", query, err)
	}
	var answer struct {
		Data struct {
			ResultType string
			Result     json.RawMessage
		}
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("query %s: %w", query, err)
	}
	value := func(point [2]any) (float64, error) {
		text, _ := point[1].(string)
		return strconv.ParseFloat(text, 64)
	}
	if answer.Data.ResultType == "scalar" {
		var point [2]any
		if err := json.Unmarshal(answer.Data.Result, &point); err != nil {
			return nil, fmt.Errorf("query %s: %w", query, err)
		}
		v, err := value(point)
		return []Sample{{Value: v}}, err
	}
	var vector []struct {
		Metric map[string]string
		Value  [2]any
	}
	if err := json.Unmarshal(answer.Data.Result, &vector); err != nil {
		return nil, fmt.Errorf("query %s: %w", query, err)
	}
	samples := make([]Sample, len(vector))
	for i, element := range vector {
		samples[i].Labels = element.Metric
		if samples[i].Value, err = value(element.Value); err != nil {
			return nil, fmt.Errorf("query %s: %w", query, err)
		}
	}
	sort.Slice(samples, func(i, j int) bool { return samples[i].String() < samples[j].String() })
	return samples, nil
}

func (s *Server) get(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP %d: %.300s", response.StatusCode, text)
	}
	return text, nil
}

package otlp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/process"
)

// A collector is a real OpenTelemetry Collector: what it receives by OTLP it
// appends to a file and shows on a page for Prometheus.
type collector struct {
	*process.Process
	name           string
	grpc, http, by string // addresses; by is where Prometheus can scrape it
	file           string
	fleet          *fleet
	runs           int
}

// newCollector describes a collector of that name; start runs it.
func newCollector(f *fleet, name string) (*collector, error) {
	c := &collector{name: name, fleet: f}
	for _, address := range []*string{&c.grpc, &c.http, &c.by} {
		port, err := f.ports.Next()
		if err != nil {
			return nil, err
		}
		*address = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	return c, nil
}

// documentation is the block of docs/scaling.md that has this text.
func documentation(part string) (string, error) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "scaling.md"))
	if err != nil {
		return "", err
	}
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1) {
		if strings.Contains(string(block[1]), part) {
			return string(block[1]), nil
		}
	}
	return "", fmt.Errorf("docs/scaling.md has no block with %s", part)
}

// start runs the collector, again if it was killed, and returns when it takes
// connections. It is the one that docs/scaling.md shows. Each run has a file of its own: the end of that of one that was
// killed is half a line.
func (c *collector) start(ctx context.Context) (err error) {
	c.runs++
	path := filepath.Join(c.fleet.directory, fmt.Sprintf("%s-%d", c.name, c.runs))
	c.file = path + ".jsonl"
	documented, err := documentation("receivers:")
	if err != nil {
		return err
	}
	for address, mine := range map[string]string{"0.0.0.0:4317": c.grpc, "0.0.0.0:4318": c.http, "0.0.0.0:8889": c.by} {
		if !strings.Contains(documented, address) {
			return fmt.Errorf("the documented collector has no %s", address)
		}
		documented = strings.ReplaceAll(documented, address, mine)
	}
	argv := []string{filepath.Join(c.fleet.otelcol, "otelcol")}
	for name, text := range map[string]string{"documented": documented, "file": fmt.Sprintf(`
exporters:
  file: {path: %q, flush_interval: 100ms}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    metrics: {exporters: [prometheus, file]}
`, c.file)} {
		if err := os.WriteFile(path+"-"+name+".yml", []byte(text), 0o600); err != nil {
			return err
		}
	}
	for _, name := range []string{"documented", "file"} { // The later one changes the earlier.
		argv = append(argv, "--config=file:"+path+"-"+name+".yml")
	}
	if c.Process, err = c.fleet.group.Start(c.name, argv); err != nil {
		return err
	}
	return process.Poll(ctx, 50*time.Millisecond, c.Process, func(ctx context.Context) error {
		for _, address := range []string{c.grpc, c.http, c.by} {
			connection, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			if err != nil {
				return err
			}
			connection.Close()
		}
		return nil
	})
}

// An export is one request as the collector has written it down: OTLP's JSON.
// Source: opentelemetry-proto v1.5.0, metrics/v1/metrics.proto.
type export struct {
	ResourceMetrics []struct {
		Resource     struct{ Attributes []attribute }
		ScopeMetrics []struct {
			Scope   struct{ Name, Version string }
			Metrics []metric
		}
	}
}

type attribute struct {
	Key   string
	Value struct{ StringValue string }
}

type metric struct {
	Name, Description, Unit string
	Gauge, Histogram        *data
	Sum                     *struct {
		data
		IsMonotonic bool
	}
}

type data struct {
	// AggregationTemporality is 2 for cumulative.
	AggregationTemporality int
	DataPoints             []struct {
		Attributes []attribute
		AsDouble   *float64
		AsInt      *string
		Count      string
	}
}

func (m *metric) data() *data {
	switch {
	case m.Gauge != nil:
		return m.Gauge
	case m.Histogram != nil:
		return m.Histogram
	case m.Sum != nil:
		return &m.Sum.data
	}
	return &data{}
}

func values(attributes []attribute) map[string]string {
	all := map[string]string{}
	for _, a := range attributes {
		all[a.Key] = a.Value.StringValue
	}
	return all
}

// size of the file: what comes later stands behind it.
func (c *collector) size() int64 {
	if info, err := os.Stat(c.file); err == nil {
		return info.Size()
	}
	return 0
}

// since returns the exports whose lines begin behind an offset of the file.
func (c *collector) since(offset int64) ([]export, error) {
	file, err := os.Open(c.file)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if _, err := file.Seek(max(0, offset-1), io.SeekStart); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return nil, err
	}
	if offset > 0 { // It may lie in a line.
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	var exports []export
	for line := range bytes.Lines(text) {
		if line[len(line)-1] != '\n' {
			break // It is being written.
		}
		var e export
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("read what the collector has written: %w", err)
		}
		exports = append(exports, e)
	}
	return exports, nil
}

// newest is the last export behind an offset that came from a service.
func (c *collector) newest(offset int64, service string) (*export, error) {
	exports, err := c.since(offset)
	if err != nil {
		return nil, err
	}
	for i := len(exports) - 1; i >= 0; i-- {
		for _, r := range exports[i].ResourceMetrics {
			if values(r.Resource.Attributes)["service.name"] == service {
				return &exports[i], nil
			}
		}
	}
	return nil, fmt.Errorf("nothing has come from %s", service)
}

// metric returns one metric by its name over OTLP, nil if it is not there.
func (e *export) metric(name string) *metric {
	for _, r := range e.ResourceMetrics {
		for _, s := range r.ScopeMetrics {
			for i := range s.Metrics {
				if s.Metrics[i].Name == name {
					return &s.Metrics[i]
				}
			}
		}
	}
	return nil
}

// gauge returns the value of a gauge's point with all these attributes.
func (e *export) gauge(name string, attributes map[string]string) (float64, bool) {
	m := e.metric(name)
	if m == nil || m.Gauge == nil {
		return 0, false
	}
next:
	for _, p := range m.Gauge.DataPoints {
		have := values(p.Attributes)
		for key, value := range attributes {
			if have[key] != value {
				continue next
			}
		}
		if p.AsDouble != nil {
			return *p.AsDouble, true
		}
	}
	return 0, false
}

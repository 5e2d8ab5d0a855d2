package app

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	"google.golang.org/protobuf/proto"
)

// receiver takes OTLP over HTTP and remembers what it got.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []byte
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil || request.Header.Get("X-Key") != "s3cret" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.bodies = append(r.bodies, body...)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) got(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Contains(r.bodies, []byte(name))
}

// The interval is an hour: what is sent is sent because a push ends.
func TestPushFollowsTheConfiguration(t *testing.T) {
	c := cluster("4.3.1")
	first, second := newReceiver(t), newReceiver(t)
	url := worker(t, c, 0)
	const text = `clusters: [{name: orders, urls: [%q]}]
otlp: {endpoint: %q, interval: 1h, compression: none, headers: {X-Key: s3cret}}
`
	name := file(t, text, url, first.URL+"/v1/metrics")
	p := start(t, Options{Sources: fromFile(name)})
	p.scrape("/metrics").want(t, series{
		`kafka_connect_exporter_otlp_exports_total{outcome="success"}`: 0,
		`kafka_connect_exporter_otlp_exports_total{outcome="failure"}`: 0,
	})

	// The same again leaves the push alone, a wrong file too.
	if a := p.do(http.MethodPost, "/-/reload"); a.status != http.StatusOK || first.got("kafka") {
		t.Errorf("reload of the same: %d, and the push has ended: %v", a.status, first.got("kafka"))
	}
	write(t, name, text+"nonsense: true\n", url, second.URL+"/v1/metrics")
	if a := p.do(http.MethodPost, "/-/reload"); a.status == http.StatusOK || first.got("kafka") {
		t.Errorf("reload of a wrong file: %d, and the push has ended: %v", a.status, first.got("kafka"))
	}

	// Another receiver: the first one's push ends with what there is.
	write(t, name, text, url, second.URL+"/v1/metrics")
	if a := p.do(http.MethodPost, "/-/reload"); a.status != http.StatusOK {
		t.Fatalf("reload: %d %s", a.status, a.body)
	}
	for _, metric := range []string{"kafka.connect.up", "kafka.connect.task.state", "kafka.connect.snapshot.duration", "orders"} {
		if !first.got(metric) {
			t.Errorf("the first receiver did not get %s", metric)
		}
	}
	if second.got("kafka") {
		t.Error("the second receiver got something before the push has begun")
	}
	p.scrape("/metrics").want(t, series{`kafka_connect_exporter_otlp_exports_total{outcome="success"}`: 1})
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if !second.got("kafka.connect.up") {
		t.Error("the second receiver got nothing when the program ended")
	}
	if strings.Contains(p.logs.String(), "s3cret") {
		t.Error("a header is in the log")
	}
}

func TestReceiverThatIsGoneHarmsNothing(t *testing.T) {
	c := cluster("4.3.1")
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	p := start(t, Options{Sources: fromFile(file(t,
		"clusters: [{name: orders, urls: [%q]}]\notlp: {endpoint: %q, interval: 1h, timeout: 100ms}\n", worker(t, c, 0), gone.URL))})
	p.scrape("/metrics").want(t, series{`kafka_connect_up{connect_cluster="orders"}`: 1})
	if err := p.stop(); err != nil {
		t.Errorf("Run returned %v", err)
	}
	if !strings.Contains(p.logs.String(), "level=WARN") {
		t.Errorf("the log does not tell that the receiver is gone: %s", p.logs)
	}
}

// TestPushFollowsRotatedFiles: a token that is exchanged is shown from the next
// export on, and nobody reloads for it.
func TestPushFollowsRotatedFiles(t *testing.T) {
	shown := make(chan string, 1000)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { shown <- r.Header.Get("Authorization") }))
	t.Cleanup(receiver.Close)
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, "Bearer first\n")
	p := start(t, Options{Sources: fromFile(file(t, `clusters: [{name: orders, urls: [%q]}]
otlp: {endpoint: %q, interval: 10ms, headers_files: {authorization: %q}}
`, worker(t, cluster("4.3.1"), 0), receiver.URL, token))})
	arrives := func(want string) {
		t.Helper()
		for range cap(shown) {
			if <-shown == want {
				return
			}
		}
		t.Fatalf("%q is not shown", want)
	}
	arrives("Bearer first")
	// As Kubernetes does it: another file at the same name.
	write(t, token+".new", "Bearer second\n")
	if err := os.Rename(token+".new", token); err != nil {
		t.Fatal(err)
	}
	arrives("Bearer second")
	if err := os.Remove(token); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(p.logs.String(), "cannot be read") {
		arrives("Bearer second")
	}
	write(t, token, "Bearer third\n")
	arrives("Bearer third")
	if text := p.logs.String(); strings.Contains(text, "was reloaded") || strings.Contains(text, "Bearer") {
		t.Errorf("logged\n%s", text)
	}
}

// TestCountersOutliveSettings: other settings of the push change nothing of what
// is counted, nor since when.
func TestCountersOutliveSettings(t *testing.T) {
	var mu sync.Mutex
	begun := map[string]uint64{} // of each counter
	n, again := 0, 0
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		all, err := io.ReadAll(r.Body)
		var request collector.ExportMetricsServiceRequest
		if err == nil {
			err = proto.Unmarshal(all, &request)
		}
		if err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		n++
		for _, scope := range request.ResourceMetrics[0].ScopeMetrics {
			for _, m := range scope.Metrics {
				at := func(attributes any, start uint64) {
					name := fmt.Sprint(m.Name, attributes)
					was, known := begun[name]
					if known {
						again++
					}
					if known && was != start || start == 0 {
						t.Errorf("%s begins at %d, then at %d", name, was, start)
					}
					begun[name] = start
				}
				for _, p := range m.GetSum().GetDataPoints() {
					at(p.Attributes, p.StartTimeUnixNano)
				}
				for _, p := range m.GetHistogram().GetDataPoints() {
					at(p.Attributes, p.StartTimeUnixNano)
				}
			}
		}
	}))
	t.Cleanup(receiver.Close)
	const text = `clusters: [{name: orders, urls: [%q]}]
otlp: {endpoint: %q, interval: %s, compression: none}
`
	url := worker(t, cluster("4.3.1"), 0)
	name := file(t, text, url, receiver.URL, "1h")
	p := start(t, Options{Sources: fromFile(name)})
	for _, interval := range []string{"2h", "3h"} {
		write(t, name, text, url, receiver.URL, interval)
		if a := p.do(http.MethodPost, "/-/reload"); a.status != http.StatusOK {
			t.Fatalf("reload: %d %s", a.status, a.body)
		}
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if mu.Lock(); n < 3 || len(begun) < 10 || again < 2*10 {
		t.Errorf("%d exports, %d counters, %d times again", n, len(begun), again)
	}
	mu.Unlock()
}

package app

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
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

package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"go.uber.org/goleak"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/exposition"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/fleet"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/self"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/internal/testmain"
)

func TestMain(m *testing.M) {
	testmain.Parallel(8)
	goleak.VerifyTestMain(m)
}

// observer is a cluster that answers as a test wants.
type observer struct {
	mu        sync.Mutex
	snapshots int
	observe   func(ctx context.Context, report func(connect.Request)) (*connect.Snapshot, error)
}

func (o *observer) Observe(ctx context.Context, report func(connect.Request)) (*connect.Snapshot, error) {
	o.mu.Lock()
	o.snapshots++
	o.mu.Unlock()
	return o.observe(ctx, report)
}

func (o *observer) Close() {}

func (o *observer) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.snapshots
}

// shows answers with the connectors.
func shows(connectors ...connect.Connector) *observer {
	return &observer{observe: func(_ context.Context, report func(connect.Request)) (*connect.Snapshot, error) {
		report(connect.Request{Endpoint: "expand", Host: "worker:8083", Code: 200, Start: time.Now(), Duration: time.Millisecond, Bytes: 17})
		return &connect.Snapshot{
			Provider: connect.SelfManaged, ObservationVersion: "2", Version: "4.3.1",
			Connectors: connectors, HasTasks: true, Taken: time.Now(),
		}, nil
	}}
}

// fails answers with an error.
func fails(err error) *observer {
	return &observer{observe: func(context.Context, func(connect.Request)) (*connect.Snapshot, error) { return nil, err }}
}

func running(name string) connect.Connector {
	return connect.Connector{
		Name: name, State: connect.StateRunning, Worker: "worker:8083", Type: "sink", Class: "org.example.Sink",
		TaskCount: 1, Tasks: []connect.Task{{ID: 0, State: connect.StateRunning, Worker: "worker:8083"}},
	}
}

func failing(name string) connect.Connector {
	c := running(name)
	c.Tasks[0].State = connect.StateFailed
	c.Tasks[0].Failure = connect.Failure{Exception: "org.example.SinkException", RootCause: "java.io.IOException"}
	return c
}

// named is an observer with the name of its cluster.
type named struct {
	name     string
	observer connect.Observer
}

// serve makes the handler of these clusters.
func serve(t *testing.T, change func(*Options), clusters ...named) http.Handler {
	t.Helper()
	self, err := self.New(self.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var list []fleet.Cluster
	for _, c := range clusters {
		list = append(list, fleet.Cluster{Name: c.name, Provider: connect.SelfManaged, Observer: c.observer})
	}
	fleet := fleet.New(list, fleet.Options{Recorder: self.Instruments()})
	t.Cleanup(func() {
		fleet.Close()
	})
	renderer := exposition.NewRenderer(exposition.Options{})
	o := Options{
		Fleet: fleet, Self: self, Renderer: func() *exposition.Renderer { return renderer },
		Config: func() []byte { return []byte("clusters: []\n") },
		Reload: func(context.Context) error { return nil },
		Ready:  func() error { return nil },
		Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&o)
	}
	handler, _, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// ask sends one request; header are names and values in turn.
func ask(handler http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, target, nil)
	request.Host = "localhost:10083"
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder
}

func TestScrapeTimeout(t *testing.T) {
	const limit, offset = time.Minute, 500 * time.Millisecond
	for header, want := range map[string]time.Duration{
		"":        limit - offset,
		"10":      10*time.Second - offset,
		"2.5":     2 * time.Second,
		"60":      limit - offset,
		"1e300":   limit - offset,
		"+Inf":    limit - offset,
		"-Inf":    limit - offset,
		"NaN":     limit - offset,
		"-5":      limit - offset,
		"0":       limit - offset,
		"soon":    limit - offset,
		"10s":     limit - offset,
		"0.6":     300 * time.Millisecond, // The offset takes no more than half.
		"0.00001": 5 * time.Microsecond,
	} {
		if got := scrapeTimeout(header, limit, offset); got != want {
			t.Errorf("header %q: %v, want %v", header, got, want)
		}
	}
}

func TestScrapeContextReachesTheObserver(t *testing.T) {
	var left time.Duration
	o := &observer{}
	o.observe = func(ctx context.Context, _ func(connect.Request)) (*connect.Snapshot, error) {
		deadline, _ := ctx.Deadline()
		left = time.Until(deadline)
		return &connect.Snapshot{Taken: time.Now()}, nil
	}
	ask(serve(t, nil, named{"a", o}), http.MethodGet, "/metrics", scrapeTimeoutHeader, "5")
	if left <= 0 || left > 5*time.Second {
		t.Errorf("the observer had %v, want at most the 5 s of the header", left)
	}
}

func TestMetricsFormats(t *testing.T) {
	handler := serve(t, nil, named{"a", shows(running("one"))})
	for accept, want := range map[string]string{
		"":                             "text/plain; version=0.0.4",
		"application/openmetrics-text": "application/openmetrics-text",
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited": "application/vnd.google.protobuf",
	} {
		answer := ask(handler, http.MethodGet, "/metrics", "Accept", accept)
		if got := answer.Header().Get("Content-Type"); answer.Code != http.StatusOK || !strings.HasPrefix(got, want) {
			t.Errorf("Accept %q: status %d, %s, want %s", accept, answer.Code, got, want)
		}
	}
	packed := ask(handler, http.MethodGet, "/metrics", "Accept-Encoding", "gzip")
	if got := packed.Header().Get("Content-Encoding"); got != "gzip" {
		t.Errorf("Content-Encoding %q, want gzip", got)
	}
	if got := ask(handler, http.MethodGet, "/metrics").Body.String(); strings.Count(got, "# TYPE promhttp_metric_handler_requests_total ") != 1 {
		t.Errorf("promhttp's own metrics are not there once:\n%s", got)
	}
}

func TestOwnMetricsAlone(t *testing.T) {
	o := shows(running("one"))
	handler := serve(t, nil, named{"a", o})
	ask(handler, http.MethodGet, "/metrics")
	text := ask(handler, http.MethodGet, "/metrics?clusters=none").Body.String()
	if strings.Contains(text, "connect_cluster=") || !strings.Contains(text, "go_goroutines") || !strings.Contains(text, "kafka_connect_exporter_build_info") {
		t.Errorf("not the exporter's own metrics alone: %s", text)
	}
	if o.count() != 1 {
		t.Errorf("%d snapshots, want only that of the first scrape", o.count())
	}
	// Who asks for a part that there is not is not answered all.
	for query, want := range map[string]int{
		"clusters=": 200, "clusters=none&clusters=all": 400, "clusters=None": 400, "clusters=a": 400, "cluster=a": 400, "clusters=none&cluster=a": 400, "name[]=up": 200,
	} {
		if answer := ask(handler, http.MethodGet, "/metrics?"+query); answer.Code != want {
			t.Errorf("%s: status %d, want %d", query, answer.Code, want)
		}
	}
}

func TestOneBrokenClusterCostsTheOthersNothing(t *testing.T) {
	handler := serve(t, nil, named{"broken", fails(connect.Unauthorized)}, named{"well", shows(running("one"))})
	answer := ask(handler, http.MethodGet, "/metrics")
	for _, want := range []string{
		`kafka_connect_up{connect_cluster="broken"} 0`,
		`kafka_connect_up{connect_cluster="well"} 1`,
		`kafka_connect_connector_state{connect_cluster="well",connector="one",state="running"} 1`,
		`kafka_connect_snapshot_errors_total{connect_cluster="broken",reason="unauthorized"} 1`,
	} {
		if !strings.Contains(answer.Body.String(), want+"\n") {
			t.Errorf("not there: %s", want)
		}
	}
}

func TestProbe(t *testing.T) {
	a, b := shows(running("one")), shows(running("two"))
	handler := serve(t, nil, named{"a", a}, named{"b & c", b})
	answer := ask(handler, http.MethodGet, "/probe?cluster="+url.QueryEscape("b & c"))
	text := answer.Body.String()
	if answer.Code != http.StatusOK || !strings.Contains(text, `kafka_connect_up{connect_cluster="b & c"} 1`) {
		t.Errorf("status %d: %s", answer.Code, text)
	}
	if !strings.Contains(text, "kafka_connect_snapshot_duration_seconds_count") {
		t.Error("the probe does not tell what it took")
	}
	for _, unwanted := range []string{`connect_cluster="a"`, "go_goroutines", "process_", "promhttp_", "kafka_connect_exporter_"} {
		if strings.Contains(text, unwanted) {
			t.Errorf("the probe shows what is not of its cluster: %s", unwanted)
		}
	}
	if a.count() != 0 || b.count() != 1 {
		t.Errorf("snapshots: %d at a, %d at b, want 0 and 1", a.count(), b.count())
	}
}

func TestWrongProbes(t *testing.T) {
	a := shows(running("one"))
	handler := serve(t, nil, named{"orders", a}, named{"<b>", shows()})
	for target, want := range map[string]int{
		"/probe":                                          400,
		"/probe?cluster=orders&cluster=orders":            400,
		"/probe?cluster=%zz":                              400,
		"/probe?cluster=orders;debug=true":                400,
		"/probe?cluster=orders&debug=perhaps":             400,
		"/probe?cluster=":                                 404,
		"/probe?cluster=ORDERS":                           404,
		"/probe?cluster=http://169.254.169.254/":          404,
		"/probe?target=http://169.254.169.254/":           400,
		"/probe?cluster=" + strings.Repeat("x", 1<<20):    404,
		"/probe?cluster=%00%ff%3Cscript%3Ealert(1)":       404,
		"/probe?cluster=" + strings.Repeat("&a=b", 10000): 400,
	} {
		answer := ask(handler, http.MethodGet, target)
		text := answer.Body.String()
		if answer.Code != want {
			t.Errorf("%.60s: status %d, want %d", target, answer.Code, want)
		}
		if len(text) > 1000 || strings.Contains(text, "169.254") || strings.Contains(text, "alert") {
			t.Errorf("%.60s: what was asked is repeated: %.200s", target, text)
		}
		if want == 404 && !strings.Contains(text, "The clusters are: orders, <b>.") {
			t.Errorf("%.60s: the names that exist are not shown: %s", target, text)
		}
		if kind := answer.Header().Get("Content-Type"); !strings.HasPrefix(kind, "text/plain") {
			t.Errorf("%.60s: an error as %s", target, kind)
		}
	}
	if a.count() != 0 {
		t.Errorf("wrong probes made %d snapshots", a.count())
	}
}

func TestProbeDebug(t *testing.T) {
	answer := ask(serve(t, nil, named{"a", shows(running("<script>alert(1)</script>"))}), http.MethodGet, "http://localhost/probe?cluster=a&debug=true")
	text := answer.Body.String()
	if answer.Code != http.StatusOK || !strings.HasPrefix(answer.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("status %d, %s", answer.Code, answer.Header())
	}
	for _, want := range []string{"Probe of a", "expand from worker:8083 in 1ms: 200, 17 bytes", "kafka_connect_up{connect_cluster=&#34;a&#34;} 1"} {
		if !strings.Contains(text, want) {
			t.Errorf("not there: %s", want)
		}
	}
	if strings.Contains(text, "<script>alert") {
		t.Error("a connector's name is markup")
	}
	answer = ask(serve(t, nil, named{"a", fails(fmt.Errorf("list connectors: %w", connect.Timeout))}), http.MethodGet, "http://localhost/probe?cluster=a&debug=1")
	if text := answer.Body.String(); !strings.Contains(text, "failed: observe a: list connectors: timeout") {
		t.Errorf("the error is not shown: %s", text)
	}
}

func TestDiscovery(t *testing.T) {
	handler := serve(t, nil, named{"a", shows()}, named{"b & c", shows()})
	for host, want := range map[string]string{
		"exporter:10083": "exporter:10083",
		"exporter":       "exporter:80",
		"[::1]:10083":    "[::1]:10083",
		"[::1]":          "[::1]:80",
	} {
		request := httptest.NewRequest(http.MethodGet, "/sd", nil)
		request.Host = host
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		if kind := recorder.Header().Get("Content-Type"); kind != "application/json" {
			t.Errorf("Content-Type %q", kind)
		}
		var got []targetGroup
		if err := json.Unmarshal(recorder.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		var groups []targetGroup
		for _, name := range []string{"a", "b & c"} {
			groups = append(groups, targetGroup{[]string{want}, map[string]string{
				"__metrics_path__": "/probe", "__param_cluster": name,
				"__meta_kafka_connect_cluster": name, "__meta_kafka_connect_cluster_provider": "connect",
			}})
		}
		if !reflect.DeepEqual(got, groups) {
			t.Errorf("Host %s: %v, want %v", host, got, groups)
		}
	}
}

func TestReload(t *testing.T) {
	reloads, err := 0, error(nil)
	off := serve(t, func(o *Options) {
		o.Reload = func(context.Context) error { t.Error("reloaded though that is not enabled"); return nil }
	})
	for _, method := range []string{http.MethodPost, http.MethodPut} {
		if answer := ask(off, method, "http://localhost:10083/-/reload"); answer.Code != http.StatusForbidden || !strings.Contains(answer.Body.String(), "--web.enable-lifecycle") {
			t.Errorf("%s without --web.enable-lifecycle: status %d: %s", method, answer.Code, answer.Body)
		}
	}
	handler := serve(t, func(o *Options) {
		o.EnableLifecycle = true
		o.Reload = func(context.Context) error { reloads++; return err }
	})
	if answer := ask(handler, http.MethodPost, "http://localhost:10083/-/reload"); answer.Code != http.StatusOK {
		t.Errorf("status %d: %s", answer.Code, answer.Body)
	}
	if answer := ask(handler, http.MethodPut, "http://localhost:10083/-/reload"); answer.Code != http.StatusOK {
		t.Errorf("PUT: status %d: %s", answer.Code, answer.Body)
	}
	err = errors.New("clusters.yml:3: unknown field")
	if answer := ask(handler, http.MethodPost, "http://localhost:10083/-/reload"); answer.Code != http.StatusInternalServerError || !strings.Contains(answer.Body.String(), "clusters.yml:3") {
		t.Errorf("status %d: %s", answer.Code, answer.Body)
	}
	if answer := ask(handler, http.MethodGet, "http://localhost:10083/-/reload"); answer.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: status %d", answer.Code)
	}
	if answer := ask(handler, http.MethodPost, "http://localhost:10083/-/reload", "Sec-Fetch-Site", "cross-site"); answer.Code != http.StatusForbidden {
		t.Errorf("from a page of somebody else: status %d", answer.Code)
	}
	if reloads != 3 {
		t.Errorf("%d reloads, want 3", reloads)
	}
}

func TestReady(t *testing.T) {
	handler := serve(t, func(o *Options) { o.Ready = func() error { return errors.New("waiting") } })
	if answer := ask(handler, http.MethodGet, "/-/ready"); answer.Code != http.StatusServiceUnavailable || !strings.Contains(answer.Body.String(), "waiting") {
		t.Errorf("status %d: %s", answer.Code, answer.Body)
	}
	if answer := ask(handler, http.MethodGet, "/-/healthy"); answer.Code != http.StatusOK {
		t.Errorf("healthy: status %d", answer.Code)
	}
}

func TestStatusPage(t *testing.T) {
	hostile := `</script><img src=x onerror=alert(1)> "quoted" & 'so' {{.}}`
	handler := serve(t, nil,
		named{"orders", shows(running(hostile), running("a-well"), failing("z-failing"))},
		named{"gone", fails(fmt.Errorf("list connectors of gone: %w", connect.Unreachable))})
	answer := ask(handler, http.MethodGet, "/")
	text := answer.Body.String()
	for _, want := range []string{
		"orders", "gone", "4.3.1", "list connectors of gone: unreachable", "3 connectors",
		html.EscapeString(hostile), "org.example.SinkException, caused by java.io.IOException", "./probe?debug=true&amp;cluster=orders",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("not there: %s", want)
		}
	}
	if strings.Contains(text, "<img") {
		t.Error("a connector's name is markup")
	}
	if failed, well := strings.Index(text, ">z-failing<"), strings.Index(text, ">a-well<"); failed < 0 || well < failed {
		t.Errorf("failing first: z-failing at %d, a-well at %d", failed, well)
	}
	if regexp.MustCompile(`(?:src|href)="(?:https?:)?//`).FindAllString(strings.ReplaceAll(text, `<a href="https://github.com/`, ""), -1) != nil {
		t.Error("the page loads something from elsewhere")
	}

	policy := answer.Header().Get("Content-Security-Policy")
	nonce := regexp.MustCompile(`'nonce-([A-Z2-7]+)'`).FindStringSubmatch(policy)
	if nonce == nil || strings.Contains(policy, "unsafe") || !strings.HasPrefix(policy, "default-src 'none'") {
		t.Fatalf("Content-Security-Policy: %s", policy)
	}
	for _, element := range regexp.MustCompile(`<(?:script|style)[^>]*>`).FindAllString(text, -1) {
		if !strings.Contains(element, `nonce="`+nonce[1]+`"`) {
			t.Errorf("without the nonce: %s", element)
		}
	}
	// Values of attributes are text, whatever they hold.
	markup := regexp.MustCompile(`(?s)<(script|style).*?</(script|style)>`).ReplaceAllString(text, "")
	markup = regexp.MustCompile(`"[^"]*"`).ReplaceAllString(markup, `""`)
	if regexp.MustCompile(`<[^>]*\s(on[a-z]+|style)=`).MatchString(markup) {
		t.Error("an attribute holds script or style")
	}
	if again := ask(handler, http.MethodGet, "/").Header().Get("Content-Security-Policy"); again == policy {
		t.Error("the nonce is used twice")
	}
}

// What drives a terminal, or hides in a browser, is shown as what it is.
func TestPagesShowWhatHides(t *testing.T) {
	handler := serve(t, nil, named{"orders", shows(running("a\u009b31m\u202eb\x1b[2J\u2066\u200ec"))})
	for _, path := range []string{"/", "/probe?cluster=orders&debug=true"} {
		text := ask(handler, http.MethodGet, path).Body.String()
		if !strings.Contains(text, `a\u009b31m\u202eb\u001b[2J\u2066\u200ec`) {
			t.Errorf("GET %s does not show the name", path)
		}
		if hidden := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) && r != '\n' && r != '\t' }); hidden >= 0 {
			t.Errorf("GET %s: %q", path, text[max(0, hidden-20):min(len(text), hidden+20)])
		}
	}
}

func TestStatusPageAsksSparingly(t *testing.T) {
	o := shows(running("one"))
	handler := serve(t, nil, named{"a", o})
	for range 5 {
		ask(handler, http.MethodGet, "/")
	}
	if o.count() != 1 {
		t.Errorf("five pages made %d snapshots, want 1", o.count())
	}
}

func TestStatusPageFilter(t *testing.T) {
	handler := serve(t, nil, named{"orders", shows(running("billing-sink"), failing("orders-sink"))})
	for filter, want := range map[string]string{
		"":                    "billing-sink orders-sink",
		"BILLING":             "billing-sink",
		"failed":              "orders-sink",
		"ioexception sink":    "orders-sink",
		"billing failed":      "",
		"org.example":         "billing-sink orders-sink",
		"worker:8083 running": "billing-sink orders-sink",
		`"><script>`:          "",
	} {
		text := ask(handler, http.MethodGet, "/?filter="+url.QueryEscape(filter)).Body.String()
		var got []string
		for _, name := range []string{"billing-sink", "orders-sink"} {
			if strings.Contains(text, `<span class="name">`+name+`<`) {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("filter %q shows %q, want %q", filter, got, want)
		}
		if !strings.Contains(text, `value="`+html.EscapeString(filter)+`"`) {
			t.Errorf("filter %q is not kept in its box", filter)
		}
	}
	if answer := ask(handler, http.MethodGet, "/?filter="+strings.Repeat("x", maxFilter+1)); answer.Code != http.StatusBadRequest {
		t.Errorf("a filter that is too long: status %d", answer.Code)
	}
}

func TestStatusPageShowsTheLastKnown(t *testing.T) {
	fail := false
	o := shows(running("one"))
	observe := o.observe
	o.observe = func(ctx context.Context, report func(connect.Request)) (*connect.Snapshot, error) {
		if fail {
			return nil, connect.Timeout
		}
		return observe(ctx, report)
	}
	handler := serve(t, nil, named{"a", o})
	ask(handler, http.MethodGet, "/metrics")
	fail = true
	ask(handler, http.MethodGet, "/metrics")
	text := ask(handler, http.MethodGet, "/").Body.String()
	for _, want := range []string{"What follows was seen", `<span class="name">one<`, "timeout", `class="cluster down"`} {
		if !strings.Contains(text, want) {
			t.Errorf("not there: %s", want)
		}
	}
}

func TestConfigIsPlainText(t *testing.T) {
	answer := ask(serve(t, nil), http.MethodGet, "http://127.0.0.1:10083/config")
	if answer.Body.String() != "clusters: []\n" || !strings.HasPrefix(answer.Header().Get("Content-Type"), "text/plain") {
		t.Errorf("%s %s", answer.Header(), answer.Body)
	}
}

func TestEveryAnswerIsGuarded(t *testing.T) {
	handler := serve(t, nil, named{"a", shows()})
	for _, target := range []string{"/", "/metrics", "/probe?cluster=a", "/probe", "/sd", "/config", "/-/healthy", "/-/ready", "/nothing"} {
		header := ask(handler, http.MethodGet, target).Header()
		if header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("GET %s: %v", target, header)
		}
	}
}

package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

// external parses a URL of the exporter.
func external(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// Pages for people, and what shows or changes the inside, are answered under a known
// name alone; what Prometheus and orchestrators ask, under any.
func TestGuardAgainstRebinding(t *testing.T) {
	handler := serve(t, func(o *Options) {
		o.EnableLifecycle, o.EnablePprof = true, true
		o.Hosts = []string{"Exporter-0"}
		o.ExternalURLs = []*url.URL{external(t, "https://Monitoring.example.com/connect"), external(t, "http://other.example.com:8080")}
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
	}, named{"a", shows(running("one"))})
	guarded := map[string]string{
		"/config": http.MethodGet, "/-/reload": http.MethodPost, "/probe?cluster=a&debug=true": http.MethodGet,
		"/": http.MethodGet, "/debug/pprof/": http.MethodGet, "/debug/pprof/heap": http.MethodGet, "/debug/pprof/symbol": http.MethodGet,
	}
	open := []string{"/metrics", "/probe?cluster=a", "/sd", "/-/healthy", "/-/ready"}
	for _, test := range []struct {
		host, remote, forwarded string
		known                   bool
	}{
		{host: "localhost:10083", known: true},
		{host: "LOCALHOST.", known: true},
		{host: "127.0.0.1:10083", known: true},
		{host: "[::1]:10083", known: true},
		{host: "[fd00::1]", known: true},
		{host: "192.0.2.7:10083", known: true}, // No rebinding without a name.
		{host: "exporter-0:10083", known: true},
		{host: "monitoring.example.com", known: true},
		{host: "monitoring.example.com.:443", known: true},
		{host: "other.example.com", known: true},
		{host: "evil.example.com:10083"},
		{host: "example.com"},
		{host: "localhost.example.com"},
		{host: "127.0.0.1.example.com:10083"},
		{host: "monitoring.example.com.evil.example"},
		{host: "notlocalhost"},
		{host: ""},
		// What a proxy says counts if it is trusted.
		{host: "exporter.svc", remote: "10.1.2.3:4711", forwarded: "monitoring.example.com", known: true},
		{host: "localhost", remote: "10.1.2.3:4711", forwarded: "evil.example.com"},
		{host: "evil.example.com", remote: "10.2.2.3:4711", forwarded: "localhost"},
	} {
		answer := func(method, path string) *httptest.ResponseRecorder {
			request := httptest.NewRequest(method, path, nil)
			request.Host = test.host
			if test.remote != "" {
				request.RemoteAddr = test.remote
			}
			if test.forwarded != "" {
				request.Header.Set("X-Forwarded-Host", test.forwarded)
			}
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, request)
			return recorder
		}
		for path, method := range guarded {
			got := answer(method, path)
			if want := map[bool]int{true: 200, false: 403}[test.known]; got.Code != want {
				t.Errorf("%s %s for host %q (%q from %q): status %d, want %d", method, path, test.host, test.forwarded, test.remote, got.Code, want)
			}
			if !test.known && !strings.Contains(got.Body.String(), "--web.external-url") {
				t.Errorf("%s: it is not said how to mend it: %s", path, got.Body)
			}
		}
		for _, path := range open {
			if path == "/sd" && test.host == "" {
				continue // It has no address to tell.
			}
			if got := answer(http.MethodGet, path); got.Code != http.StatusOK {
				t.Errorf("GET %s for host %q: status %d", path, test.host, got.Code)
			}
		}
	}
}

func TestReloadFromAPage(t *testing.T) {
	reloads := 0
	handler := serve(t, func(o *Options) {
		o.EnableLifecycle = true
		o.Reload = func(context.Context) error { reloads++; return nil }
		o.ExternalURLs = []*url.URL{external(t, "https://monitoring.example.com/connect/")}
	})
	for _, test := range []struct {
		headers []string
		want    int
	}{
		{nil, 200}, // curl
		{[]string{"Sec-Fetch-Site", "same-origin"}, 200},
		{[]string{"Sec-Fetch-Site", "none"}, 200},
		{[]string{"Origin", "http://localhost:10083"}, 200},
		{[]string{"Origin", "https://monitoring.example.com"}, 200},
		{[]string{"Sec-Fetch-Site", "cross-site"}, 403},
		{[]string{"Sec-Fetch-Site", "same-site"}, 403},
		{[]string{"Origin", "http://evil.example.com"}, 403},
		{[]string{"Origin", "null"}, 403},
	} {
		reloads = 0
		for _, method := range []string{http.MethodPost, http.MethodPut} {
			if got := ask(handler, method, "http://localhost:10083/-/reload", test.headers...); got.Code != test.want {
				t.Errorf("%s with %q: status %d, want %d", method, test.headers, got.Code, test.want)
			}
		}
		if reloads != map[int]int{200: 2, 403: 0}[test.want] {
			t.Errorf("with %q: %d reloads", test.headers, reloads)
		}
	}
}

// unread is a body that must not be read.
type unread struct{ t *testing.T }

func (b unread) Read([]byte) (int, error) {
	b.t.Error("the body is read")
	return 0, errors.New("read")
}

func (b unread) Close() error { return nil }

// No body is read, whatever it says it is, on any path and by any method.
func TestBodiesAreNotRead(t *testing.T) {
	options := func(o *Options) { o.EnableLifecycle, o.EnablePprof = true, true }
	handler := serve(t, options, named{"a", shows(running("one"))})
	paths := []string{
		"/", "/?filter=x", "/metrics", "/probe?cluster=a", "/probe?cluster=a&debug=true", "/sd", "/config", "/-/healthy", "/-/ready", "/-/reload",
		"/debug/pprof/", "/debug/pprof/heap?seconds=0", "/debug/pprof/symbol", "/nothing",
	}
	for _, path := range paths {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"} {
			for _, kind := range []string{"multipart/form-data; boundary=b", "application/x-www-form-urlencoded", "application/json", ""} {
				for _, length := range []int64{-1, 1 << 40} {
					request := httptest.NewRequest(method, "http://localhost"+path, unread{t})
					request.ContentLength = length
					request.Header.Set("Content-Type", kind)
					recorder := httptest.NewRecorder()
					handler.ServeHTTP(recorder, request)
					if recorder.Header().Get("Connection") != "close" {
						t.Fatalf("%s %s: the connection stays open for the body", method, path)
					}
				}
			}
		}
	}

	// Over a connection, the answer does not wait for the body.
	server := listenNarrow(t, handler, false)
	for _, path := range paths {
		for _, body := range []string{
			"Transfer-Encoding: chunked\r\n\r\n5\r\nfilte\r\n", "Content-Length: 1000000000\r\n\r\nfilter=x", "Content-Length: 10\r\nExpect: 100-continue\r\n\r\n",
			"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n--b\r\nContent-Disposition: form-data; name=\"filter\"\r\n\r\nx",
		} {
			connection := send(t, server, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n"+body)
			if err := connection.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			start := make([]byte, 12)
			if _, err := io.ReadFull(connection, start); err != nil || !strings.HasPrefix(string(start), "HTTP/1.1 ") {
				t.Errorf("GET %s with a body: %q (%v)", path, start, err)
			}
			_ = connection.Close()
		}
	}
}

func TestDiscoveryBehindProxies(t *testing.T) {
	handler := serve(t, func(o *Options) {
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")}
	}, named{"a", shows()})
	for name, test := range map[string]struct {
		secure  bool
		remote  string
		headers map[string]string
		status  int
		target  string
		labels  map[string]string
	}{
		"plain":                {remote: "10.2.0.1:1", target: "exporter:10083", labels: map[string]string{"__metrics_path__": "/probe"}},
		"TLS":                  {secure: true, remote: "10.2.0.1:1", target: "exporter:10083", labels: map[string]string{"__metrics_path__": "/probe", "__scheme__": "https"}},
		"a proxy, not trusted": {remote: "10.2.0.1:1", headers: map[string]string{"X-Forwarded-Host": "evil", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/evil"}, target: "exporter:10083", labels: map[string]string{"__metrics_path__": "/probe"}},
		"a proxy": {
			remote: "10.1.0.1:1", headers: map[string]string{"X-Forwarded-Host": "mon.example.com", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/connect/"},
			target: "mon.example.com:443", labels: map[string]string{"__metrics_path__": "/connect/probe", "__scheme__": "https"},
		},
		"a chain of proxies": {
			remote: "[fd00::7]:1", headers: map[string]string{"X-Forwarded-Host": "mon.example.com:8443, inner", "X-Forwarded-Proto": "HTTPS, http"},
			target: "mon.example.com:8443", labels: map[string]string{"__metrics_path__": "/probe", "__scheme__": "https"},
		},
		"mapped address":        {remote: "[::ffff:10.1.0.1]:1", headers: map[string]string{"X-Forwarded-Host": "mon"}, target: "mon:80", labels: map[string]string{"__metrics_path__": "/probe"}},
		"TLS to the proxy only": {secure: true, remote: "10.1.0.1:1", headers: map[string]string{"X-Forwarded-Proto": "http"}, target: "exporter:10083", labels: map[string]string{"__metrics_path__": "/probe"}},
		"nonsense":              {remote: "10.1.0.1:1", headers: map[string]string{"X-Forwarded-Proto": "gopher", "X-Forwarded-Prefix": "https://evil/"}, target: "exporter:10083", labels: map[string]string{"__metrics_path__": "/probe"}},
		"no host":               {remote: "10.1.0.1:1", headers: map[string]string{"X-Forwarded-Host": "a/b"}, status: 400},
	} {
		address := "http://exporter:10083/sd"
		if test.secure {
			address = "https://exporter:10083/sd"
		}
		request := httptest.NewRequest(http.MethodGet, address, nil)
		request.RemoteAddr = test.remote
		for header, value := range test.headers {
			request.Header.Set(header, value)
		}
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		if test.status != 0 {
			if recorder.Code != test.status {
				t.Errorf("%s: status %d, want %d", name, recorder.Code, test.status)
			}
			continue
		}
		var groups []targetGroup
		if err := json.Unmarshal(recorder.Body.Bytes(), &groups); err != nil || len(groups) != 1 {
			t.Fatalf("%s: %s (%v)", name, recorder.Body, err)
		}
		maps.DeleteFunc(groups[0].Labels, func(label, _ string) bool { return label != "__scheme__" && label != "__metrics_path__" })
		if fmt.Sprint(groups[0].Targets) != fmt.Sprint([]string{test.target}) || !maps.Equal(groups[0].Labels, test.labels) {
			t.Errorf("%s: %v, want %s %v", name, groups[0], test.target, test.labels)
		}
	}
}

// With an address of their own, the pages for administrators are there and nowhere
// else.
func TestAdministrationApart(t *testing.T) {
	var admin http.Handler
	public := serve(t, func(o *Options) {
		o.AdminApart, o.EnableLifecycle, o.EnablePprof = true, true, true
		var err error
		if _, admin, err = New(*o); err != nil {
			t.Fatal(err)
		}
	}, named{"a", shows(running("one"))})
	for path, want := range map[string][2]int{ // public, admin
		"/metrics": {200, 404}, "/": {200, 404}, "/sd": {200, 404}, "/probe?cluster=a": {200, 200}, "/-/healthy": {200, 200}, "/-/ready": {200, 200},
		"/config": {404, 200}, "/probe?cluster=a&debug=true": {404, 200}, "/debug/pprof/": {404, 200}, "/debug/pprof/goroutine": {404, 200},
		"/debug/pprof/cmdline": {404, 404}, // A flag may hold credentials.
	} {
		for i, handler := range []http.Handler{public, admin} {
			if got := ask(handler, http.MethodGet, "http://localhost"+path); got.Code != want[i] {
				t.Errorf("GET %s: status %d, want %d", path, got.Code, want[i])
			}
		}
	}
	if got := ask(public, http.MethodPost, "http://localhost/-/reload"); got.Code != http.StatusNotFound {
		t.Errorf("POST /-/reload: status %d", got.Code)
	}
	if got := ask(admin, http.MethodPost, "http://localhost/-/reload"); got.Code != http.StatusOK {
		t.Errorf("POST /-/reload for administrators: status %d", got.Code)
	}
	if page := ask(public, http.MethodGet, "/").Body.String(); strings.Contains(page, "./config") || strings.Contains(page, "debug=true") {
		t.Error("the page has links to what is not there")
	}
	// Nothing of it is there unless it is asked for.
	plain := serve(t, nil)
	if got := ask(plain, http.MethodGet, "http://localhost/debug/pprof/"); got.Code != http.StatusNotFound {
		t.Errorf("profiles without --web.enable-pprof: status %d", got.Code)
	}
}

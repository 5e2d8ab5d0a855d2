// Package recorder is a reverse proxy that stands in front of a worker and
// remembers what it was asked.
package recorder

import (
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
)

// A Proxy passes every request on to one worker, byte for byte as to its
// target, and counts it.
type Proxy struct {
	// URL under which the proxy is reached.
	URL string

	server *httptest.Server

	mu    sync.Mutex
	calls map[string]int
}

// New starts a proxy to the worker at host:port.
func New(worker string) *Proxy {
	p := &Proxy{calls: map[string]int{}}
	transport := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true, DialContext: new(net.Dialer).DialContext}
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.calls[kind(r)]++
		p.mu.Unlock()
		// As opaque the target stays as it was escaped, which is what awkward names are about.
		target := &url.URL{Scheme: "http", Host: worker, Opaque: r.RequestURI}
		out := &http.Request{Method: r.Method, URL: target, Host: worker, Header: r.Header, Body: r.Body, ContentLength: r.ContentLength}
		response, err := transport.RoundTrip(out.WithContext(r.Context()))
		if err != nil {
			panic(http.ErrAbortHandler) // The caller sees a broken connection, as it would without the proxy.
		}
		defer response.Body.Close()
		maps.Copy(w.Header(), response.Header)
		w.WriteHeader(response.StatusCode)
		_, _ = io.Copy(w, response.Body)
	}))
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.server.Start()
	p.URL = p.server.URL
	return p
}

// kind is a request without what differs from connector to connector.
func kind(r *http.Request) string {
	path := r.URL.EscapedPath()
	if rest, ok := strings.CutPrefix(path, "/connectors/"); ok {
		_, after, _ := strings.Cut(rest, "/")
		path = strings.TrimSuffix("/connectors/{connector}/"+after, "/")
	}
	if r.URL.RawQuery != "" {
		path += "?" + r.URL.RawQuery
	}
	return fmt.Sprintf("%s %s", r.Method, path)
}

// Calls returns how often each kind of request ("GET /connectors/{connector}/status")
// came so far.
func (p *Proxy) Calls() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.calls)
}

// Close stops the proxy.
func (p *Proxy) Close() { p.server.CloseClientConnections(); p.server.Close() }

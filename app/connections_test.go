package app

import (
	"bufio"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Connections that nobody asks anything on make room for others.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		const limit = 5
		c := newConnections(limit)
		entered, release := make(chan struct{}), make(chan struct{})
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/waits" {
				entered <- struct{}{}
				<-release
			}
		}))
		server.Config.ConnState = c.changed
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		if secure {
			server.StartTLS()
		} else {
			server.Start()
		}
		t.Cleanup(server.Close)
		transport := server.Client().Transport.(*http.Transport).Clone()
		transport.DisableKeepAlives = true
		client := &http.Client{Transport: transport}
		waits := make(chan error)
		go func() {
			response, err := client.Get(server.URL + "/waits")
			if err == nil {
				err = response.Body.Close()
			}
			waits <- err
		}()
		<-entered
		// Some that ask nothing, some half a question.
		var silent []net.Conn
		for i := range 10 * limit {
			connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = connection.Close() })
			if i%2 == 0 && !secure {
				_, _ = io.WriteString(connection, "GET / HTTP/1.1\r\nHost:")
			}
			silent = append(silent, connection)
		}
		for range 3 {
			response, err := client.Get(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
		}
		// The oldest are closed, and nobody who has asked.
		for _, connection := range silent[:9*limit] {
			if _, err := bufio.NewReader(connection).ReadByte(); err == nil {
				t.Error("a silent connection was answered")
			}
		}
		close(release)
		if err := <-waits; err != nil {
			t.Errorf("who waited: %v", err)
		}
		c.mu.Lock()
		if n := len(c.without) + len(c.busy); n > limit {
			t.Errorf("%d connections", n)
		}
		c.mu.Unlock()
	}
}

// Where the process may have few descriptors, some are left for the clusters.
func TestConnectionsOfFewDescriptors(t *testing.T) {
	for descriptors, want := range map[uint64]int{256: 85, 1024: 341, 1 << 20: maxConnections, math.MaxUint64: maxConnections} {
		if got := connectionsOf(descriptors); got != want {
			t.Errorf("of %d descriptors: %d connections, want %d", descriptors, got, want)
		}
	}
	if n := connectionsOf(descriptors()); n < 1 || n > maxConnections {
		t.Errorf("%d connections of the process", n)
	}
}

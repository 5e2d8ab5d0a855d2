package main

import (
	"bytes"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/internal/testlog"
)

// gate is a writer that is stuck while it is shut.
type gate struct {
	mu      sync.Mutex
	err     error
	written bytes.Buffer
	open    chan struct{}
}

func (g *gate) Write(p []byte) (int, error) {
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		return 0, g.err
	}
	return g.written.Write(p)
}

func TestRelayNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		r := newRelay(g)
		line := strings.Repeat("x", 1023) + "\n"
		const lines = 4000
		for range lines {
			if n, err := io.WriteString(r, line); n != len(line) || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
		}
		// Nobody reads: it ends all the same.
		start := time.Now()
		r.close(time.Second)
		if took := time.Since(start); took != time.Second {
			t.Errorf("closing took %s", took)
		}
		close(g.open)
		synctest.Wait()

		g = &gate{open: make(chan struct{})}
		r = newRelay(g)
		var told []uint64
		tell := func(n uint64) { told = append(told, n) }
		r.recovered.Store(&tell)
		for range lines {
			_, _ = io.WriteString(r, line)
		}
		dropped := r.dropped.Load()
		if dropped < lines/4 || dropped >= lines {
			t.Errorf("%d lines dropped", dropped)
		}
		close(g.open)
		synctest.Wait()
		if len(told) != 1 || told[0] != dropped {
			t.Errorf("told of %d dropped lines, not of %d", told, dropped)
		}
		// A reader that is gone costs the lines, and the next one gets his.
		g.mu.Lock()
		g.err = errors.New("broken pipe")
		g.mu.Unlock()
		_, _ = io.WriteString(r, "lost\n")
		synctest.Wait()
		g.mu.Lock()
		g.err = nil
		g.mu.Unlock()
		_, _ = io.WriteString(r, "last\n")
		r.close(time.Second)
		if got := strings.Count(g.written.String(), line); uint64(got) != lines-dropped {
			t.Errorf("%d lines written, %d dropped, of %d", got, dropped, lines)
		}
		if got := g.written.String(); strings.Contains(got, "lost") || !strings.Contains(got, "last\n") || r.dropped.Load() != dropped+1 {
			t.Errorf("%d dropped, and written: %.200s", r.dropped.Load(), got[max(0, len(got)-200):])
		}
	})
}

// Whatever a connector is called, no command and no log writes what drives a
// terminal.
func TestNamesDriveNoTerminal(t *testing.T) {
	const name = "a\u009b31m\u202eb\x1b[2J\u2028\u0007c\U000E0041"
	c := connecttest.NewCluster(connecttest.Options{Version: "2.2.2"})
	c.Create(connecttest.Connector{Name: name, Class: "org.example.Sink\u202e", Type: "sink", Tasks: 1})
	worker := httptest.NewServer(c.Handler(c.Workers()[0]))
	defer worker.Close()
	for _, command := range [][]string{{"snapshot"}, {"snapshot", "-o", "json"}, {"check", "--connect"}, {"check"}} {
		var out bytes.Buffer
		execute(t.Context(), append(command, "--connect.url="+worker.URL), system{Stdout: &out, Stderr: connect.EscapeWriter{Writer: &out}})
		if text := out.String(); text != connect.Escaped(text) || text == "" {
			t.Errorf("%q prints %q", command, text)
		}
	}
	for _, format := range []string{"json", "logfmt"} {
		log := &testlog.Log{}
		stop := background(t, system{Stdout: io.Discard, Stderr: connect.EscapeWriter{Writer: log}}, "--connect.url="+worker.URL, "--web.listen-address=127.0.0.1:0", "--log.level=debug", "--log.format="+format)
		address := log.Await(t, `(127\.0\.0\.1:[1-9]\d*)`)
		get(t, "http://"+address+"/metrics")
		log.Await(t, `[:=]"?status\b`)
		if status := stop(); status != exitWell {
			t.Errorf("serve ended with %d", status)
		}
		if text := log.String(); text != connect.Escaped(text) {
			t.Errorf("logged in %s: %q", format, text)
		}
	}
}

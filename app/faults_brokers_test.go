package app

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

const (
	// brokersDoor is the door by which brokers answer.
	brokersDoor = "brokers"
	// brokersTell is how many of the series that are counted those of [brokersOf] tell.
	brokersTell = 4
)

// A wireTrouble is what becomes of an answer that a broker would send.
type wireTrouble struct {
	answer func(w *wire, answer []byte) error
	// heavy takes a processor for a while.
	heavy bool
}

func wireTroubles() map[string]wireTrouble {
	sends := func(text []byte) func(*wire, []byte) error {
		return func(w *wire, _ []byte) error {
			_, _ = w.Conn.Write(text)
			return w.Close()
		}
	}
	edits := func(edit func(answer []byte)) func(*wire, []byte) error {
		return func(w *wire, answer []byte) error {
			answer = bytes.Clone(answer)
			edit(answer)
			_, err := w.Conn.Write(answer)
			return err
		}
	}
	// What is announced comes before what would be the correlation id.
	announces := func(length uint32) []byte {
		return append(binary.BigEndian.AppendUint32(nil, length), "hunter2 hunter2"...)
	}
	resets := func(w *wire) error {
		_ = w.Conn.(*net.TCPConn).SetLinger(0)
		return w.Close()
	}
	return map[string]wireTrouble{
		"closes the connection": {answer: sends(nil)},
		"resets":                {answer: func(w *wire, _ []byte) error { return resets(w) }},
		"resets a connection that was kept": {answer: func(w *wire, answer []byte) (err error) {
			if w.reset.CompareAndSwap(false, true) {
				return resets(w)
			}
			_, err = w.Conn.Write(answer)
			return err
		}},
		"hangs before an answer": {answer: func(w *wire, _ []byte) error { return w.hang() }},
		"hangs in an answer": {answer: func(w *wire, answer []byte) error {
			_, _ = w.Conn.Write(answer[:len(answer)/2])
			return w.hang()
		}},
		"drips": {answer: func(w *wire, answer []byte) error {
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for i := range answer {
				if _, err := w.Conn.Write(answer[i : i+1]); err != nil {
					return err
				}
				select {
				case <-tick.C:
				case <-w.closed:
					return net.ErrClosed
				}
			}
			return nil
		}},
		"breaks off in an answer": {answer: func(w *wire, answer []byte) error {
			_, _ = w.Conn.Write(answer[:len(answer)/2])
			return w.Close()
		}},
		"answers with HTML":               {answer: sends([]byte("HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<html>hunter2</html>"))},
		"speaks SSH":                      {answer: sends([]byte("SSH-2.0-OpenSSH_9.2 hunter2\r\n"))},
		"announces an answer of 2 GB":     {answer: sends(announces(1<<31 - 1))},
		"announces an answer of no bytes": {answer: sends(announces(0))},
		"announces a negative length":     {answer: sends(announces(1<<32 - 1))},
		"answers another question": {answer: edits(func(answer []byte) {
			binary.BigEndian.PutUint32(answer[4:], binary.BigEndian.Uint32(answer[4:])+7)
		})},
		"noise within an answer": {answer: edits(func(answer []byte) {
			for i := 8; i < len(answer); i++ {
				answer[i] ^= 0xa5
			}
		})},
		"announces 16 MB and never stops talking": {heavy: true, answer: func(w *wire, _ []byte) error {
			_, err := w.Conn.Write(announces(16 << 20))
			for piece := bytes.Repeat([]byte("hunter2 "), 8<<10); err == nil; {
				_, err = w.Conn.Write(piece)
			}
			return err
		}},
	}
}

// wires lets connections to brokers be spoilt while the fault is on.
type wires struct {
	net.Listener
	*spoilt
	// reset tells that a connection to one of the brokers was.
	reset *atomic.Bool
	// answer stands in for what would be sent while the fault is on; nil: nothing does.
	answer func(w *wire, answer []byte) error
	// good is what is spoken, bad what those speak who come while the fault is on; nil:
	// no TLS.
	good, bad *tls.Config
}

func (l *wires) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: conn, wires: l, late: l.on.Load(), closed: make(chan struct{})}
	config := l.good
	if w.late {
		config = l.bad
	}
	if config != nil {
		w.Conn = tls.Server(conn, config)
	}
	return w, nil
}

// A wire is one connection to a broker.
type wire struct {
	net.Conn
	*wires
	late   bool // It came while the fault was on.
	once   sync.Once
	closed chan struct{}
}

// Read knows as a broker does that what TLS begins with is no question.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if w.late && w.good != nil && w.bad == nil && n > 0 && p[0] == 0x16 {
		return 0, net.ErrClosed
	}
	return n, err
}

// Write is called once for each answer.
func (w *wire) Write(answer []byte) (int, error) {
	if !w.on.Load() || w.answer == nil {
		return w.Conn.Write(answer)
	}
	if err := w.answer(w, answer); err != nil {
		return 0, err
	}
	return len(answer), nil
}

func (w *wire) hang() error {
	<-w.closed
	return net.ErrClosed
}

func (w *wire) Addr() net.Addr { return w.LocalAddr() }

func (w *wire) Close() error {
	w.once.Do(func() { close(w.closed) })
	return w.Conn.Close()
}

// brokerTries are the faults of brokers, each behind a cluster of its own whose REST
// API is well; slow are those that take a processor for a while. good, authority and
// bad are those of [tlsTroubles].
func brokerTries(t *testing.T, good *tls.Config, authority string, bad map[string]*tls.Config) (tries []try, slow map[string]bool) {
	t.Helper()
	rest := worker(t, cluster("4.3.1"), 0)
	slow = map[string]bool{}
	pool := x509.NewCertPool()
	if text, err := os.ReadFile(authority); err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatal("no authority", err)
	}
	add := func(name string, l *wires) {
		l.spoilt = &spoilt{}
		var client []kgo.Opt
		security, reset := "", &atomic.Bool{}
		if l.good != nil {
			client = append(client, kgo.DialTLSConfig(&tls.Config{RootCAs: pool}))
			security = fmt.Sprintf(", tls_config: {ca_file: %q}}", authority)
		}
		_, block := brokersOf(t, client, kfake.ListenFn(func(network, address string) (net.Listener, error) {
			listener, err := net.Listen(network, address)
			return &wires{Listener: listener, spoilt: l.spoilt, reset: reset, answer: l.answer, good: l.good, bad: l.bad}, err
		}))
		if security != "" {
			block = strings.TrimSuffix(block, "}") + security
		}
		tries = append(tries, try{spoilt: l.spoilt, cluster: name + " at brokers", trouble: name, door: brokersDoor, lines: fmt.Sprintf("urls: [%q], %s", rest, block), old: l.answer == nil, became: brokersBecame})
	}
	troubles := wireTroubles()
	for _, name := range slices.Sorted(maps.Keys(troubles)) {
		slow[name] = troubles[name].heavy
		add(name, &wires{answer: troubles[name].answer})
	}
	// What was spoken on a connection when it began holds for as long as it is kept:
	// these faults are there from the beginning.
	add("speaks TLS where none is configured", &wires{bad: good})
	add("speaks no TLS where it is configured", &wires{good: good})
	for _, name := range slices.Sorted(maps.Keys(bad)) {
		if config := bad[name]; config != nil && !slices.Contains(config.NextProtos, "h2") {
			add(name, &wires{good: good, bad: config})
		}
	}
	for name, address := range nowhere() {
		lines := fmt.Sprintf("urls: [%q], kafka: {bootstrap_servers: [%q], group_id: connect-orders, status_storage_topic: orders-status}", rest, address)
		tries = append(tries, try{spoilt: &spoilt{}, cluster: name + " at brokers", trouble: name, door: brokersDoor, lines: lines, never: true, became: brokersBecame})
	}
	return tries, slow
}

// brokersBecame is the reason that is counted for the brokers behind a cluster, or "whole"
// if all that they tell is there. What REST tells must be whole anyhow.
func brokersBecame(t *testing.T, before, now counted, cluster string) string {
	t.Helper()
	if rest := became(t, before, now, cluster); rest != "whole" {
		t.Errorf("%s: brokers cost what REST tells: %s", cluster, rest)
	}
	var reasons []string
	for _, reason := range connect.BrokersReasons() {
		errors := fmt.Sprintf("kafka_connect_brokers_errors_total{connect_cluster=%q,reason=%q}", cluster, reason)
		if now.values[errors] != before.values[errors] {
			reasons = append(reasons, string(reason))
		}
	}
	if slices.Contains(reasons, string(connect.Timeout)) {
		// The connection is given up at the same moment as the snapshot: another request on
		// it may be told of that first.
		reasons = slices.DeleteFunc(reasons, func(reason string) bool { return reason == string(connect.Unreachable) })
	}
	switch up := now.values[fmt.Sprintf("kafka_connect_brokers_up{connect_cluster=%q}", cluster)]; {
	case up == "1" && now.told[cluster] == brokersTell:
		return "whole"
	case up == "0" && len(reasons) > 0:
		return strings.Join(reasons, ", ")
	default:
		t.Errorf("%s: brokers_up is %q, %d series, counted %q", cluster, up, now.told[cluster], reasons)
		return "unclear"
	}
}

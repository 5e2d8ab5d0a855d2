package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

func itoa(n int) string { return strconv.Itoa(n) }

// expandedAnswer is what a worker answers to an expanded call for status and
// info: as many settings for each connector as Debezium or MirrorMaker users
// have, 2.9 KB a connector with four tasks.
func expandedAnswer(connectors, tasks int) []byte {
	type object = map[string]any
	answer := object{}
	for c := range connectors {
		name := fmt.Sprintf("orders-%05d", c)
		config := map[string]string{"name": name, "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "tasks.max": itoa(tasks)}
		for s := range 36 {
			config[fmt.Sprintf("transforms.step%02d.setting.name", s)] = strings.Repeat("v", 20)
		}
		var ids, statuses []object
		for i := range tasks {
			ids = append(ids, object{"connector": name, "task": i})
			status := object{"id": i, "state": "RUNNING", "worker_id": fmt.Sprintf("10.0.0.%d:8083", (c+i)%8), "version": "3.1.0.Final"}
			if c%200 == 0 && i == 0 {
				status["state"] = "FAILED"
				status["trace"] = "org.apache.kafka.connect.errors.ConnectException: broken\n" + strings.Repeat("\tat io.example.Some$Inner.method(Some.java:100)\n", 60) + "Caused by: java.net.SocketTimeoutException: x\n"
			}
			statuses = append(statuses, status)
		}
		answer[name] = object{
			"info":   object{"name": name, "config": config, "tasks": ids, "type": "source"},
			"status": object{"name": name, "connector": object{"state": "RUNNING", "worker_id": fmt.Sprintf("10.0.0.%d:8083", c%8), "version": "3.1.0.Final"}, "tasks": statuses, "type": "source"},
		}
	}
	text, err := json.Marshal(answer)
	if err != nil {
		panic(err)
	}
	return text
}

// yardstick is the same answer as encoding/json users declare it, without what
// is not needed.
type yardstick map[string]struct {
	Info struct {
		Config map[string]string `json:"config"`
		Tasks  []struct {
			Task int `json:"task"`
		} `json:"tasks"`
		Type string `json:"type"`
	} `json:"info"`
	Status struct {
		Connector struct {
			State    string `json:"state"`
			WorkerID string `json:"worker_id"`
			Version  string `json:"version"`
			Trace    string `json:"trace"`
		} `json:"connector"`
		Tasks []struct {
			ID       int    `json:"id"`
			State    string `json:"state"`
			WorkerID string `json:"worker_id"`
			Version  string `json:"version"`
			Trace    string `json:"trace"`
		} `json:"tasks"`
		Type string `json:"type"`
	} `json:"status"`
}

// BenchmarkDecode decodes an expanded answer with status and info; its
// yardstick is encoding/json's streaming decoder over the same bytes.
func BenchmarkDecode(b *testing.B) {
	for _, connectors := range []int{1_000, 10_000} {
		answer := expandedAnswer(connectors, 4)
		b.Run(fmt.Sprintf("connectors=%d/decoder=ours", connectors), func(b *testing.B) {
			b.SetBytes(int64(len(answer)))
			b.ReportAllocs()
			strings := newInterner()
			for b.Loop() {
				strings.turn()
				decodeSnapshot(b, bytes.NewReader(answer), strings, connectors)
			}
		})
		b.Run(fmt.Sprintf("connectors=%d/decoder=encoding-json", connectors), func(b *testing.B) {
			b.SetBytes(int64(len(answer)))
			b.ReportAllocs()
			for b.Loop() {
				var got yardstick
				if err := json.NewDecoder(bytes.NewReader(answer)).Decode(&got); err != nil || len(got) != connectors {
					b.Fatal(err, len(got))
				}
			}
		})
	}
}

func decodeSnapshot(t testing.TB, r io.Reader, strings *interner, want int) ([]connect.Connector, []named) {
	connectors, infos := make([]connect.Connector, 0, want), make([]named, 0, want)
	_, err := newDecoder(r, strings, decoderOptions{}).decodeExpanded(1_000_000, func(e *entry) error {
		connectors = append(connectors, e.status)
		infos = append(infos, named{e.name, e.info, e.badInfo})
		return nil
	})
	if err != nil || len(connectors) != want {
		t.Fatal(err, len(connectors))
	}
	return connectors, infos
}

// The heap that decoding the largest answer needs stays a fraction of the
// answer: a quarter of a gigabyte of configurations must not become one here.
func TestDecodePeakHeap(t *testing.T) {
	if os.Getenv("BENCH") == "" {
		t.Skip("make bench runs it")
	}
	const connectors, ceiling = 10_000, 16 << 20
	answer := expandedAnswer(connectors, 4)
	var before, now runtime.MemStats
	for range 3 { // what making the answer left, pools included
		runtime.GC()
	}
	runtime.ReadMemStats(&before)
	var peak uint64
	reader := &watchingReader{Reader: bytes.NewReader(answer), every: 1 << 20, watch: func() {
		// What is reachable counts, not what the collector has not come to yet.
		runtime.GC()
		runtime.ReadMemStats(&now)
		peak = max(peak, now.HeapAlloc)
	}}
	kept, infos := decodeSnapshot(t, reader, newInterner(), connectors)
	reader.watch()
	got := peak - min(peak, before.HeapAlloc)
	t.Logf("%d MB answer, peak heap %.1f MB", len(answer)>>20, float64(got)/(1<<20))
	if got > ceiling {
		t.Errorf("decoding needs %d bytes of heap, more than %d", got, ceiling)
	}
	runtime.KeepAlive(kept)
	runtime.KeepAlive(infos)
	runtime.KeepAlive(answer)
}

type watchingReader struct {
	io.Reader
	every, read int
	watch       func()
}

func (r *watchingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if r.read += n; r.read >= r.every {
		r.read = 0
		r.watch()
	}
	return n, err
}

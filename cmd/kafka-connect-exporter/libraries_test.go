package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"go.opentelemetry.io/otel"
	"google.golang.org/grpc/grpclog"
	"k8s.io/klog/v2"
)

// What libraries have to say is lines of the log, in its format.
func TestAdopt(t *testing.T) {
	var out bytes.Buffer
	adopt(slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer adopt(slog.New(slog.DiscardHandler))
	otel.Handle(errors.New("no exporter"))
	grpclog.Error("no transport")
	klog.Error("no watch")
	klog.Flush()
	var levels []string
	for line := range strings.Lines(out.String()) {
		var parsed struct{ Level, Msg, Err string }
		if err := json.Unmarshal([]byte(line), &parsed); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		levels = append(levels, parsed.Level)
	}
	if got := strings.Join(levels, " "); got != "WARN DEBUG DEBUG" {
		t.Errorf("%s in\n%s", got, out.String())
	}
	for _, said := range []string{"no exporter", "no transport", "no watch"} {
		if !strings.Contains(out.String(), said) {
			t.Errorf("no %q in\n%s", said, out.String())
		}
	}
}

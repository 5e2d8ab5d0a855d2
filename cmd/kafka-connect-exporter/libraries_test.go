package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"

	"go.opentelemetry.io/otel"
)

// What OpenTelemetry has to say is a line of the log, in its format.
func TestAdopt(t *testing.T) {
	var out bytes.Buffer
	adopt(slog.New(slog.NewJSONHandler(&out, nil)))
	defer adopt(slog.New(slog.DiscardHandler))
	otel.Handle(errors.New("no exporter"))
	var line struct{ Level, Msg, Err string }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v in %s", err, out.Bytes())
	}
	if line.Level != "WARN" || line.Err != "no exporter" {
		t.Errorf("%+v", line)
	}
}

package rest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// fuzzSecret has no shape in which anything of an answer is kept.
const fuzzSecret = "zq7-secret-7qz"

// recorded are the bodies of the workers' answers in testdata.
func recorded(f *testing.F) (bodies []string) {
	files, err := filepath.Glob("testdata/*/*.http")
	if err != nil || len(files) == 0 {
		f.Fatalf("no recorded answers: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if _, body, found := strings.Cut(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n\n"); found && len(body) < 8<<10 {
			bodies = append(bodies, body)
		}
	}
	return bodies
}

// FuzzDecodeOne: whatever a worker answers about one connector is understood or
// refused, and a refusal quotes nothing of it.
func FuzzDecodeOne(f *testing.F) {
	for _, body := range recorded(f) {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text += fuzzSecret // What follows the answer makes every one of them wrong.
		for what, read := range map[string]func(*decoder) error{
			"list":   func(d *decoder) error { _, err := d.decodeList(1_000_000); return err },
			"status": func(d *decoder) error { return d.decodeOne(&entry{}, d.status) },
			"info":   func(d *decoder) error { return d.decodeOne(&entry{}, d.info) },
			"all": func(d *decoder) error {
				_, err := d.decodeExpanded(1_000_000, func(*entry) error { return nil })
				return err
			},
		} {
			err := read(newDecoder(strings.NewReader(text), newInterner(), decoderOptions{labels: []string{"owner.team"}}))
			if err == nil {
				t.Errorf("%s: %q is accepted", what, text)
				continue
			}
			if reason := connect.ReasonOf(err); reason != connect.Decode && reason != connect.TooLarge {
				t.Errorf("%s: reason of %v", what, err)
			}
			if strings.Contains(err.Error(), fuzzSecret) {
				t.Errorf("%s: the error quotes the answer: %v", what, err)
			}
		}
	})
}

// FuzzSecretsOfConnectors: what stands in a message, in a further member or in a
// setting that was not asked for is kept nowhere, whatever stands around it.
func FuzzSecretsOfConnectors(f *testing.F) {
	f.Add("orders", "org.example.Failed", "refused: ", "\nCaused by: a.B: c", "password")
	f.Add("a\"b", "", "\nCaused by: ", ": x", "owner.team ")
	f.Add("é/%", "a.B", "\\nCaused by: ", "\\", "connector.class")
	f.Add("x", "java.lang.X", "Caused by: \r\nCaused by: a.", "\r\n\tat a.b(C.java)", "TASKS.MAX")
	f.Fuzz(func(t *testing.T, name, class, before, after, key string) {
		if key == "connector.class" || key == "tasks.max" || key == "owner.team" || key == "tier" || key == "name" {
			key += "_"
		}
		trace := class + ": " + before + fuzzSecret + after
		text, err := json.Marshal(map[string]any{name: map[string]any{
			"status": map[string]any{
				"name": name, "type": "sink", "further": fuzzSecret,
				"connector": map[string]any{"state": "FAILED", "worker_id": "w:1", "trace": trace, "msg": fuzzSecret},
				"tasks":     []any{map[string]any{"id": 0, "state": "FAILED", "worker_id": "w:1", "trace": trace}},
			},
			"info": map[string]any{"name": name, "config": map[string]any{"tasks.max": "1", key: fuzzSecret, key + "x": map[string]any{"y": fuzzSecret}}, "type": "sink"},
		}})
		if err != nil {
			t.Skip()
		}
		got, list, err := decodeAll(t, string(text), Dialect{})
		if shown := fmt.Sprintf("%+v %+v %v", got, list, err); strings.Contains(shown, fuzzSecret) {
			t.Errorf("kept of %s: %s", text, shown)
		}
		for _, e := range got {
			if e.status.State != connect.StateFailed || e.status.Failure.Exception == "" {
				t.Errorf("%s is understood as %+v", text, e.status)
			}
		}
	})
}

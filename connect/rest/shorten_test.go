package rest

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
)

func TestShortener(t *testing.T) {
	for name, text := range map[string]string{
		"short":                  `{"a":"b\\\"c","d":[1,"\u00e9",null]}`,
		"as long as is kept":     `["` + strings.Repeat("x", keptOfText) + `"]`,
		"longer":                 `{"a":"` + strings.Repeat("x", keptOfText+1) + `","b":"c"}`,
		"escape across":          `["` + strings.Repeat("x", keptOfText-1) + `\u00e9tail","y"]`,
		"escape of one across":   `["` + strings.Repeat("x", keptOfText-1) + `\\","y"]`,
		"quotes in what is cut":  `["` + strings.Repeat("x", keptOfText) + strings.Repeat(`\"\\`, 1000) + `","y"]`,
		"a name":                 `{"` + strings.Repeat("n", 3*keptOfText) + `":1}`,
		"an escape ends the cut": `["` + strings.Repeat("x", keptOfText) + `\u0022","y"]`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, from := range []io.Reader{strings.NewReader(text), iotest.HalfReader(bytes.NewReader([]byte(text)))} {
				s := &shortener{from: from}
				got, err := io.ReadAll(s)
				if err != nil {
					t.Fatal(err)
				}
				if long := len(text) > keptOfText+4; !long && string(got) != text || s.cut != (len(got) != len(text)) {
					t.Errorf("%d bytes became %d, cut is %v", len(text), len(got), s.cut)
				}
				if !json.Valid(got) {
					t.Errorf("%d bytes became no JSON: …%s", len(text), got[max(0, len(got)-40):])
				}
				if strings.HasSuffix(text, `"y"]`) && !strings.HasSuffix(string(got), `,"y"]`) {
					t.Errorf("what follows is lost: …%s", got[max(0, len(got)-40):])
				}
			}
		})
	}
}

// A trace of many megabytes, which quotes a record, costs nobody's state.
func TestHugeTrace(t *testing.T) {
	for _, size := range []int{12 << 20, 20 << 20} { // held whole, and not
		c := connecttest.NewCluster(connecttest.Options{})
		c.Create(connecttest.Connector{Name: "x", Tasks: 1})
		c.Create(connecttest.Connector{Name: "y", Tasks: 1})
		c.FailTask("x", 0, "org.apache.kafka.connect.errors.DataException: "+strings.Repeat("hunter2 ", size/8)+"\nCaused by: a.B: c")
		o := newObserver(t, serve(t, c)[:1], version(Version2), requestTimeout(time.Minute))
		s, err := observe(t, o)
		if err != nil { // Only where it is not held whole, and only once.
			if size < wholeLimit {
				t.Fatal(err)
			}
			s = mustObserve(t, o)
		}
		if len(s.Connectors) != 2 || find(s, "x").Tasks[0].State != connect.StateFailed ||
			find(s, "x").Tasks[0].Failure.Exception != "org.apache.kafka.connect.errors.DataException" || find(s, "y").Tasks[0].State != connect.StateRunning {
			t.Errorf("%d bytes: %+v", size, s.Connectors)
		}
		if !o.longStatus.Load() {
			t.Error("not noted")
		}
		c.RestartTask("x", 0)
		mustObserve(t, o)
		mustObserve(t, o)
		if o.longStatus.Load() {
			t.Error("not forgotten")
		}
	}
}

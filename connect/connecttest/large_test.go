package connecttest

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestLargeIsAsLargeAsPromised(t *testing.T) {
	c := Large(1000, 4)
	server := serve(t, c, c.Workers()[0])
	for _, test := range []struct {
		query    string
		from, to int
	}{
		{"?expand=info&expand=status", 2_300_000, 2_500_000},
		{"?expand=status", 360_000, 440_000},
		{"?expand=info", 1_900_000, 2_150_000},
		{"", 15_000, 25_000},
	} {
		_, header, body := get(t, server, "/connectors"+test.query)
		if len(body) < test.from || len(body) > test.to {
			t.Errorf("%q is %d bytes, want %d to %d", test.query, len(body), test.from, test.to)
		}
		if !json.Valid([]byte(body)) || header.Get("Content-Length") != "" {
			t.Errorf("%q: want valid JSON in chunks, got %v", test.query, header)
		}
	}
	_, _, info := get(t, server, "/connectors/"+LargeName(0))
	if n := strings.Count(info, `":"`); n < 35 || n > 48 {
		t.Errorf("a connector has %d settings, want about 40", n)
	}
}

func TestLargeFollowsAChange(t *testing.T) {
	c := Large(100, 2)
	server := serve(t, c, c.Workers()[0])
	c.Pause(LargeName(7))
	_, _, body := get(t, server, "/connectors?expand=status")
	if n := strings.Count(body, `"PAUSED"`); n != 3 {
		t.Errorf("%d times PAUSED after one connector of two tasks was paused", n)
	}
}

package connect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestEscaped(t *testing.T) {
	for text, want := range map[string]string{
		"plain, ünïcode → 漢字 \U0001F600\n\ttab": "plain, ünïcode → 漢字 \U0001F600\n\ttab",
		"esc \x1b[31m":                           `esc \u001b[31m`,
		"c1 \u009b31m \u0085":                    `c1 \u009b31m \u0085`,
		"return \r bell \a delete \x7f nul \x00": `return \u000d bell \u0007 delete \u007f nul \u0000`,
		"bidi \u202e \u2066 \u200f \u061c":       `bidi \u202e \u2066 \u200f \u061c`,
		"separators \u2028 \u2029 \ufeff":        `separators \u2028 \u2029 \ufeff`,
		"tag \U000E0041":                         `tag \udb40\udc41`,
		"no utf-8 \x9b31m":                       "no utf-8 \ufffd31m",
	} {
		if got := Escaped(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		if got := Printable(text); strings.ContainsFunc(got, drivesTerminal) {
			t.Errorf("%q as a cell: %q", text, got)
		}
	}
	// JSON means what it meant.
	const name = "a\u009b\u202e\U000E0041\x1b\u2028\"\\"
	whole, err := json.Marshal(name)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if n, err := (EscapeWriter{&out}).Write(whole); n != len(whole) || err != nil {
		t.Errorf("%d of %d bytes: %v", n, len(whole), err)
	}
	var got string
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got != name || strings.ContainsFunc(out.String(), drivesTerminal) {
		t.Errorf("%s reads %q: %v", out.String(), got, err)
	}
}

// What another side sent is in no text of an error, however net/http puts it there.
func TestUnquoted(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("dial tcp: lookup %s: no such host", "connect-1"), "dial tcp: lookup connect-1: no such host"},
		{fmt.Errorf("malformed MIME header: missing colon: %q", `Bearer "s3cret`), `malformed MIME header: missing colon: "…"`},
		{fmt.Errorf("yaml: cannot decode !!str `%s` as a !!int", "s3cret"), `yaml: cannot decode !!str "…" as a !!int`},
		{fmt.Errorf("bad answer\n%s", "s3cret"), "bad answer"},
	} {
		if got := Unquoted(test.err); got != test.want {
			t.Errorf("%q: %q, want %q", test.err, got, test.want)
		}
	}
}

func TestOfProxy(t *testing.T) {
	for text, want := range map[string]string{
		"EOF": "EOF",
		"http: server gave HTTP response to HTTPS client":       "http: server gave HTTP response to HTTPS client",
		"tls: server selected unsupported protocol version 302": "tls: server selected unsupported protocol version 302",
		"tls: s3cret":                   "unreachable: it does not speak TLS or HTTP as it should, or the proxy refuses the connection",
		"http: server gave s3cret":      "unreachable: it does not speak TLS or HTTP as it should, or the proxy refuses the connection",
		"Proxy Authentication Required": "unreachable: the proxy refuses the connection: Proxy Authentication Required",
		"Basic s3cret":                  "unreachable: the proxy refuses the connection",
	} {
		if got := OfProxy(errors.New(text)).Error(); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if typed := fmt.Errorf("Basic: %w", Timeout); !errors.Is(OfProxy(typed), typed) || OfProxy(nil) != nil {
		t.Error("an error of another type is changed")
	}
}

package trace

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzFailure: what is taken out of a trace is short and has the shape of a class
// name; a message is none, whatever stands around it.
func FuzzFailure(f *testing.F) {
	f.Add("org.apache.kafka.connect.errors.ConnectException", "Tolerance exceeded", "\n\tat a.b(C.java:1)\nCaused by: java.sql.SQLException: x\n\t... 9 more\n")
	f.Add("", "\nCaused by: ", ": x")
	f.Add("a.B", "\\nCaused by: ", "\\\\nCaused by: c.D")
	f.Add("a.B", "\r\nCaused by: c.", "\u2028Caused by: e.F")
	const secret = "zq7-secret-7qz"
	f.Fuzz(func(t *testing.T, class, before, after string) {
		quoted, err := json.Marshal(class + ": " + before + secret + after)
		if err != nil {
			t.Skip()
		}
		for _, text := range [][]byte{quoted, []byte(class + ": " + before + secret + after)} {
			failure := Failure(bytes.Clone(text), func(b []byte) string { return string(b) })
			for _, name := range []string{failure.Exception, failure.RootCause} {
				if name == "" || len(name) > maxClassLength || !utf8.ValidString(name) || strings.Contains(name, secret) || strings.ContainsAny(name, " \n\r\t\"\\") {
					t.Errorf("%q is taken out of %q", name, text)
				}
			}
		}
	})
}

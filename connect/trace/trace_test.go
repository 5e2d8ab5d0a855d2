package trace_test

import (
	"strings"
	"testing"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/trace"
)

func TestFailure(t *testing.T) {
	const connectException = "org.apache.kafka.connect.errors.ConnectException"
	for _, test := range []struct{ name, trace, exception, root string }{
		{"no message", connectException + `\n\tat a.b(C.java:1)\n`, connectException, connectException},
		{"only a class", connectException, connectException, connectException},
		{"message", connectException + `: boom: java.io.IOException\n\tat`, connectException, connectException},
		{"causes", connectException + `: x\n\tat a\nCaused by: a.b.C: y\n\tat\nCaused by: d.e.F$G\n\t... 3 more\n`, connectException, "d.e.F$G"},
		{"Windows line ends", connectException + `: x\r\n\tat a\r\nCaused by: a.b.C\r\n`, connectException, "a.b.C"},
		{"suppressed is no cause", connectException + `\n\tSuppressed: a.b.C\n\tCaused by: d.e.F\n`, connectException, connectException},
		{"cause in a message", connectException + `: said \\nCaused by: a.b.C: z\n\tat`, connectException, connectException},
		{"nothing", "", "", ""},
		{"no class at all", `hunter2`, "unknown", "unknown"},
		{"a word of a message", `Failed to find any class`, "unknown", "unknown"},
		{"a cause that is no class", connectException + `: x\nCaused by: hunter2\n`, connectException, connectException},
		{"a host name", `db.internal.example: refused`, "unknown", "unknown"},
		{"too long", strings.Repeat("a.", 200) + "B", "unknown", "unknown"},
		{"empty segments", `a..B: x`, "unknown", "unknown"},
		{"unicode", `org.exámple.Größe: x`, "org.exámple.Größe", "org.exámple.Größe"},
		{"control characters", `a.B\u0000C: x`, "a.B", "a.B"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := trace.Failure([]byte(`"`+test.trace+`"`), func(text []byte) string { return string(text) })
			if want := (connect.Failure{Exception: test.exception, RootCause: test.root}); got != want {
				t.Errorf("failure is %+v, want %+v", got, want)
			}
		})
	}
}

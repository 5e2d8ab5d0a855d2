package otlp

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// Cases drawn are fewer than rapid's hundred, unless RAPID_CHECKS or
// -rapid.checks says otherwise: each is a history of whole scrapes.
func TestMain(m *testing.M) {
	if os.Getenv("RAPID_CHECKS") == "" {
		if err := flag.Set("rapid.checks", "30"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

package otlp

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/internal/testmain"
)

func TestMain(m *testing.M) {
	testmain.Draw(30) // Each is a history of whole scrapes.
	goleak.VerifyTestMain(m)
}

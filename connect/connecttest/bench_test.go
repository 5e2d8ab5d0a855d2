package connecttest

import (
	"fmt"
	"net/http"
	"testing"
)

// A discard takes an answer and keeps nothing of it.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) WriteHeader(int)             {}
func (discard) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkServe is what the simulation itself costs: a steady cluster, and one
// of which a connector changes before each request.
func BenchmarkServe(b *testing.B) {
	for _, connectors := range []int{1000, 10_000} {
		c := Large(connectors, 4)
		handler := c.Handler(c.Workers()[0])
		request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "/connectors?expand=status&expand=info", nil)
		if err != nil {
			b.Fatal(err)
		}
		for _, changes := range []bool{false, true} {
			b.Run(fmt.Sprintf("connectors=%d/changes=%v", connectors, changes), func(b *testing.B) {
				for i := 0; b.Loop(); i++ {
					if changes {
						c.SetState(LargeName(7), 0, [2]string{"RUNNING", "RESTARTING"}[i%2])
					}
					handler.ServeHTTP(discard{http.Header{}}, request)
				}
			})
		}
	}
}

func BenchmarkLarge(b *testing.B) {
	for b.Loop() {
		Large(10_000, 4)
	}
}

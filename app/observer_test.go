package app

import (
	"maps"
	"slices"
	"testing"

	metrics "github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
)

// Every provider that can be configured can be observed.
func TestConstructors(t *testing.T) {
	want := slices.Sorted(slices.Values(config.Providers()))
	if got := slices.Sorted(maps.Keys(constructors())); !slices.Equal(got, want) {
		t.Errorf("constructors for %q, providers %q", got, want)
	}
}

// A cluster can have no label that its series have by themselves.
func TestOwnLabels(t *testing.T) {
	own := config.OwnLabels()
	for _, metric := range metrics.Descriptors() {
		for _, label := range metric.Labels {
			if !slices.Contains(own, label) {
				t.Errorf("label %s of %s is missing in config.OwnLabels", label, metric.Name)
			}
		}
	}
}

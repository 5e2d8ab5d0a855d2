package otlp

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestOneVocabulary: what Prometheus has scraped and what it has got by OTLP are
// the same series with the same values. One snapshot serves the whole test, so
// that everything that was measured once stands still; only the counters of the
// exporter's own exports and scrapes move, and of these the names and labels are
// compared.
func TestOneVocabulary(t *testing.T) {
	for _, route := range []struct {
		name, endpoint, protocol, states string
	}{
		{name: "http-to-prometheus", endpoint: parts.prometheus.URL + "/api/v1/otlp/v1/metrics", protocol: "http/protobuf", states: "current"},
		{name: "http-to-collector", endpoint: "http://" + parts.collector.http, protocol: "http/protobuf", states: "current"},
		{name: "grpc-to-collector", endpoint: "http://" + parts.collector.grpc, protocol: "grpc", states: "all"},
	} {
		t.Run(route.name, func(t *testing.T) {
			e := push(t, route.name, fmt.Sprintf(`
snapshot_max_age: 1h
state_series: %s
clusters:
  - {name: orders, urls: ["http://%s"], observation_version: 2, worker_probe: true}
  - {name: gone, urls: ["http://%s"]}
otlp: {endpoint: %q, protocol: %s, interval: 1s, resource_attributes: {deployment.environment.name: test}}
`, route.states, parts.worker.ID(), address(t), route.endpoint, route.protocol))
			e.scrape(t)
			e.eventually(t, "scraped and pushed series are the same", func(ctx context.Context) error {
				scraped, err := series(ctx, "scraped-"+e.service)
				if err != nil {
					return err
				}
				pushed, err := series(ctx, e.service)
				if err != nil {
					return err
				}
				if err := whole(scraped, route.states); err != nil {
					return err
				}
				return difference(scraped, pushed)
			})
		})
	}
}

// moving are counters that go on with every scrape and every export, and the time
// that whoever asks gives a snapshot.
var moving = regexp.MustCompile(`^kafka_connect_(exporter_(otlp_exports_total|scrape_.+_total)|snapshot_deadline_seconds)\{`)

// series returns what Prometheus has of a job, in the notation of PromQL,
// without what says where it came from.
func series(ctx context.Context, job string) ([]string, error) {
	// Build information describes the process that is scraped; over OTLP the
	// resource does that.
	samples, err := parts.prometheus.Query(ctx, fmt.Sprintf(`{__name__=~"kafka_connect_.+", __name__!="kafka_connect_exporter_build_info", job=%q}`, job))
	if err != nil {
		return nil, err
	}
	var all []string
	for _, s := range samples {
		delete(s.Labels, "job")
		delete(s.Labels, "instance")
		// A bound that is a whole number is le="1.0" where Prometheus has scraped
		// it and le="1" where it came by OTLP: its notation, not the exporter's.
		if bound, found := s.Labels["le"]; found {
			s.Labels["le"] = strings.TrimSuffix(bound, ".0")
		}
		text := s.String()
		if moving.MatchString(text) {
			text = text[:strings.LastIndexByte(text, ' ')]
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return all, nil
}

// whole makes sure that there is something to compare.
func whole(series []string, states string) error {
	contains := map[string]int{
		`kafka_connect_up{connect_cluster="orders"} 1`:                                        1,
		`kafka_connect_up{connect_cluster="gone"} 0`:                                          1,
		`kafka_connect_snapshot_errors_total{connect_cluster="gone", reason="unreachable"} 1`: 1,
		`kafka_connect_worker_up{`:                                                            1,
		`connector="failing-tasks", exception="org.apache.kafka.connect.errors.ConnectException", root_cause="java.nio.file.NoSuchFileException"`: 2,
		`kafka_connect_connector_failure_info{`:                              1,
		`connector="zażółć-コネクタ-☃"`:                                          10,
		`connector="say \"hi\" & 'bye' <b>ok? #1"`:                           8,
		`kafka_connect_snapshot_duration_seconds_bucket{`:                    30,
		`kafka_connect_request_duration_seconds_sum{`:                        3,
		`kafka_connect_connector_state_changes_total{`:                       14,
		`kafka_connect_exporter_otlp_exports_total{`:                         2,
		`kafka_connect_exporter_config_last_reload_successful{`:              1,
		`kafka_connect_snapshot_timestamp_seconds{connect_cluster="orders"}`: 1,
		`kafka_connect_response_bytes{connect_cluster="orders"}`:             1,
	}
	contains[`kafka_connect_connector_state{`] = 14
	if states == "all" {
		contains[`kafka_connect_connector_state{`] = 5 * 14
	}
	for part, least := range contains {
		n := 0
		for _, s := range series {
			if strings.Contains(s, part) {
				n++
			}
		}
		if n < least {
			return fmt.Errorf("%d of %d series have %s, expected %d at least", n, len(series), part, least)
		}
	}
	return nil
}

// difference tells how pushed series differ from scraped ones, both sorted.
func difference(scraped, pushed []string) error {
	var b strings.Builder
	for _, s := range scraped {
		if _, found := slices.BinarySearch(pushed, s); !found {
			fmt.Fprintf(&b, "\n  only scraped: %s", s)
		}
	}
	for _, s := range pushed {
		if _, found := slices.BinarySearch(scraped, s); !found {
			fmt.Fprintf(&b, "\n  only pushed: %s", s)
		}
	}
	if b.Len() == 0 {
		return nil
	}
	return fmt.Errorf("%d series are scraped, %d pushed:%.6000s", len(scraped), len(pushed), b.String())
}

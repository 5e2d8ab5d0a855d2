package app

import (
	"strings"
	"testing"
	"time"
)

// What is configured about owners stands on all series of a cluster, in each way
// to ask for them; a failure that comes and goes is counted and dated.
func TestLabelsAndTransitions(t *testing.T) {
	c := cluster("4.3.1")
	c.SetConfig("source", "owner.team", "payments")
	p := start(t, Options{Sources: fromFile(file(t, `snapshot_max_age: 0s
clusters:
- name: one
  urls: [%q]
  labels: {team: platform, zone: eu-1}
  connector_labels: [owner.team]
  expected_workers: 3
`, worker(t, c, 0)))})
	began := float64(time.Now().Unix())
	for _, path := range []string{"/metrics", "/probe?cluster=one"} {
		for _, accept := range []string{"text/plain", "application/openmetrics-text;version=1.0.0"} {
			for line := range strings.Lines(p.get(path, "Accept", accept).body) {
				if strings.Contains(line, `connect_cluster="`) && (!strings.Contains(line, `team="platform"`) || !strings.Contains(line, `zone="eu-1"`)) {
					t.Errorf("%s: labels of the cluster are missing: %s", path, line)
				}
			}
		}
	}
	got := p.scrape("/metrics")
	got.want(t, series{
		`kafka_connect_expected_workers{connect_cluster="one",team="platform",zone="eu-1"}`:                                                                                                   3,
		`kafka_connect_connector_labels{connect_cluster="one",connector="source",label_owner_team="payments",team="platform",zone="eu-1"}`:                                                    1,
		`kafka_connect_transitions_complete{connect_cluster="one",team="platform",zone="eu-1"}`:                                                                                               0,
		`kafka_connect_task_failures_total{connect_cluster="one",connector="sink",team="platform",zone="eu-1"}`:                                                                               0,
		`kafka_connect_task_restarts_total{connect_cluster="one",connector="sink",team="platform",zone="eu-1"}`:                                                                               0,
		`kafka_connect_snapshot_errors_total{connect_cluster="one",reason="timeout",team="platform",zone="eu-1"}`:                                                                             0,
		`kafka_connect_request_duration_seconds{call="expand",code="200",connect_cluster="one",team="platform",zone="eu-1"}`:                                                                  got[`kafka_connect_request_duration_seconds{call="expand",code="200",connect_cluster="one",team="platform",zone="eu-1"}`],
		`kafka_connect_task_failure_info{connect_cluster="one",connector="sink",exception="org.example.SinkException",root_cause="java.io.IOException",task="1",team="platform",zone="eu-1"}`: 1,
	})
	const since = `kafka_connect_task_state_since_timestamp_seconds{connect_cluster="one",connector="sink",task="1",team="platform",zone="eu-1"}`
	if at := got[since]; at < began-60 || at > began+60 {
		t.Errorf("%s is %v", since, at)
	}
	c.RestartTask("sink", 1)
	for _, found := got[since]; found; _, found = got[since] {
		got = p.scrape("/metrics")
	}
	c.FailTask("sink", 1, "")
	for found := false; !found; _, found = got[since] {
		got = p.scrape("/metrics")
	}
	got.want(t, series{
		`kafka_connect_task_failures_total{connect_cluster="one",connector="sink",team="platform",zone="eu-1"}`: 1,
		`kafka_connect_task_restarts_total{connect_cluster="one",connector="sink",team="platform",zone="eu-1"}`: 1,
	})
}

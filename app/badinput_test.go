package app

import (
	"fmt"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/web"
)

// What a cluster may say without being wrong, however odd: it stays up.
func TestOddAnswersThatAreBorne(t *testing.T) {
	status := func(version string, connector, state string, more ...series) series {
		want := series{
			fmt.Sprintf("kafka_connect_up{connect_cluster=%q}", version):                                                      1,
			fmt.Sprintf("kafka_connect_connector_state{connect_cluster=%q,connector=%q,state=%q}", version, connector, state): 1,
			fmt.Sprintf(`kafka_connect_connector_state{connect_cluster=%q,connector="source",state="running"}`, version):      1,
			fmt.Sprintf(`kafka_connect_task_state{connect_cluster=%q,connector="source",state="running",task="0"}`, version):  1,
			fmt.Sprintf(`kafka_connect_connector_tasks_max{connect_cluster=%q,connector="source"}`, version):                  1,
		}
		for _, m := range more {
			maps.Copy(want, m)
		}
		return want
	}
	for name, test := range map[string]struct {
		fault connecttest.Fault
		path  []any // in the expanded answer
		value any
		state string
	}{
		"unknown state of a connector": {path: []any{"status", "connector", "state"}, value: "HIBERNATING", state: "unknown"},
		"unknown state of a task":      {path: []any{"status", "tasks", 0, "state"}, value: "HIBERNATING", state: "running"},
		"null info":                    {path: []any{"info"}, value: nil, state: "running"},
		"null configuration value":     {path: []any{"info", "config", "topics"}, value: nil, state: "running"},
		"a field that is new":          {path: []any{"status", "mood"}, value: map[string]any{"a": []any{1, "b"}}, state: "running"},
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster("4.3.1")
			c.SetFault(connecttest.Match{Endpoint: connecttest.EndpointExpand}, connecttest.SetMember("sink", test.value, test.path...))
			// In version 1 the parts come one by one, so the path begins below.
			endpoint := connecttest.EndpointStatus
			if test.path[0] == "info" {
				endpoint = connecttest.EndpointInfo
			}
			if len(test.path) > 1 {
				c.SetFault(connecttest.Match{Endpoint: endpoint}, connecttest.SetMember("sink", test.value, test.path[1:]...))
			} else {
				c.SetFault(connecttest.Match{Endpoint: endpoint, Connector: "sink"}, connecttest.Reply(http.StatusOK, "application/json", "null"))
			}
			url := worker(t, c, 0)
			p := start(t, Options{Sources: fromFile(file(t,
				"clusters:\n- {name: v2, urls: [%q], observation_version: '2'}\n- {name: v1, urls: [%q], observation_version: '1'}\n", url, url))})
			got := p.scrape("/metrics")
			for _, version := range []string{"v1", "v2"} {
				got.want(t, status(version, "sink", test.state))
			}
		})
	}
}

// The deadline of the scrape is kept although a cluster never answers and its
// own timeout is far away.
func TestScrapeTimeoutIsKept(t *testing.T) {
	t.Parallel()
	hanging, well := cluster("4.3.1"), cluster("4.3.1")
	hanging.SetFault(connecttest.Match{}, connecttest.Hang(nil))
	p := start(t, Options{Web: web.Options{TimeoutOffset: 2500 * time.Millisecond}, Sources: fromFile(file(t,
		"clusters:\n- {name: hanging, urls: [%q], request_timeout: 10m}\n- {name: well, urls: [%q]}\n", worker(t, hanging, 0), worker(t, well, 0)))})
	began := time.Now()
	scrape := func() series { return p.scrape("/metrics", "X-Prometheus-Scrape-Timeout-Seconds", "3") }
	got := scrape()
	// Without the header it would have taken a minute.
	if took := time.Since(began); took > scrapeLimit/2 {
		t.Errorf("the scrape took %v", took)
	}
	got.want(t, series{
		`kafka_connect_up{connect_cluster="hanging"}`:                      0,
		`kafka_connect_up{connect_cluster="well"}`:                         1,
		`kafka_connect_connectors{connect_cluster="well",state="running"}`: 2,
	})
	// It is counted when the calls have ended: a busy machine tells it a scrape later.
	for began := time.Now(); got[`kafka_connect_snapshot_errors_total{connect_cluster="hanging",reason="timeout"}`] == 0; got = scrape() {
		if time.Since(began) > scrapeLimit {
			t.Fatal("the timeout is not counted")
		}
	}
}

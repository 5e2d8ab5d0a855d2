package app

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/web"
)

// faults are the ways in which a whole cluster can misbehave, and the reason
// that is counted for each.
func faults() map[string]struct {
	fault  connecttest.Fault
	reason connect.Reason
} {
	type row = struct {
		fault  connecttest.Fault
		reason connect.Reason
	}
	return map[string]row{
		"hang":          {connecttest.Hang(nil), connect.Timeout},
		"drip":          {connecttest.Drip(1, 100*time.Millisecond), connect.Timeout},
		"reset":         {connecttest.Reset(), connect.Unreachable},
		"cut-length":    {connecttest.Truncate(connecttest.CutLength), connect.Decode},
		"cut-chunks":    {connecttest.Truncate(connecttest.CutChunks), connect.Decode},
		"cut-close":     {connecttest.Truncate(connecttest.CutClose), connect.Decode},
		"cut-body":      {connecttest.Truncate(connecttest.CutBody), connect.Decode},
		"html":          {connecttest.HTML(http.StatusOK), connect.Decode},
		"html-502":      {connecttest.HTML(http.StatusBadGateway), connect.HTTPStatus},
		"starting":      {connecttest.HTML(http.StatusNotFound), connect.NotFound},
		"unauthorized":  {connecttest.Reply(http.StatusUnauthorized, "application/json", "User cannot access the resource."), connect.Unauthorized},
		"forbidden":     {connecttest.HTML(http.StatusForbidden), connect.Forbidden},
		"rebalance-409": {connecttest.ErrorReply(http.StatusConflict, "Cannot complete request momentarily"), connect.Rebalancing},
		"rebalance-500": {connecttest.ErrorReply(http.StatusInternalServerError, "Request cannot be completed because a rebalance is expected"), connect.Rebalancing},
		"no-content":    {connecttest.Reply(http.StatusNoContent, "", ""), connect.HTTPStatus},
		"empty":         {connecttest.Reply(http.StatusOK, "application/json", ""), connect.Decode},
		"null-json":     {connecttest.Reply(http.StatusOK, "application/json", "null"), connect.Decode},
		"number":        {connecttest.Reply(http.StatusOK, "application/json", "42"), connect.Decode},
		"garbage":       {connecttest.TrailingGarbage("garbage"), connect.Decode},
		"second-value":  {connecttest.TrailingGarbage("{}"), connect.Decode},
		"deep":          {connecttest.DeepNesting(1 << 20), connect.Decode},
		"endless":       {connecttest.EndlessString(), connect.TooLarge},
		// Compression is not asked for, so that a bomb is no JSON and stays packed.
		"gzip-bomb":     {connecttest.GzipBomb(1 << 26), connect.TooLarge},
		"redirect-loop": {connecttest.RedirectLoop(), connect.HTTPStatus},
		"redirect-away": {connecttest.Redirect("http://other.example.com/connectors"), connect.HTTPStatus},
	}
}

// Every fault stands at the same time, each in a cluster of its own, and beside
// them a cluster that is well: one scrape shows them all.
func TestClustersThatMisbehave(t *testing.T) {
	rows := faults()
	names := slices.Sorted(maps.Keys(rows))
	var text strings.Builder
	text.WriteString("snapshot_max_age: 0s\nclusters:\n")
	clusters := map[string]*connecttest.Cluster{}
	for _, name := range append(slices.Clone(names), "well") {
		clusters[name] = cluster("4.3.1")
		timeout := "30s"
		if rows[name].reason == connect.Timeout {
			timeout = "2s" // These would use up the scrape's own timeout.
		}
		fmt.Fprintf(&text, "- {name: %s, urls: [%q], request_timeout: %s}\n", name, worker(t, clusters[name], 0), timeout)
	}
	p := start(t, Options{Sources: fromFile(file(t, "%s", text.String())), Web: web.Options{TimeoutOffset: 500 * time.Millisecond}})

	before := p.scrape("/metrics", "X-Prometheus-Scrape-Timeout-Seconds", "60")
	for name := range rows {
		clusters[name].SetFault(connecttest.Match{}, rows[name].fault)
	}
	during := p.scrape("/metrics", "X-Prometheus-Scrape-Timeout-Seconds", "60")
	for _, name := range names {
		during.want(t, series{fmt.Sprintf("kafka_connect_up{connect_cluster=%q}", name): 0})
		for _, reason := range connect.Reasons() {
			count := 0.0
			if reason == rows[name].reason {
				count = 1
			}
			during.want(t, series{fmt.Sprintf("kafka_connect_snapshot_errors_total{connect_cluster=%q,reason=%q}", name, reason): count})
		}
		for key := range during {
			if strings.HasPrefix(key, "kafka_connect_connector_state{") && strings.Contains(key, fmt.Sprintf("connect_cluster=%q", name)) {
				t.Errorf("a connector of a cluster that is not up is shown: %s", key)
			}
		}
	}
	before.of("well").same(t, during.of("well"), "the cluster that is well is not whole")

	for _, c := range clusters {
		c.ClearFaults()
	}
	after := p.scrape("/metrics", "X-Prometheus-Scrape-Timeout-Seconds", "60")
	for name := range clusters {
		before.of(name).same(t, after.of(name), name+" is not whole again")
	}
}

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

// In version 1 a connector that fails costs itself alone, and is counted.
func TestConnectorsThatMisbehave(t *testing.T) {
	for name, test := range faults() {
		if test.reason == connect.Unauthorized || test.reason == connect.TooLarge {
			continue // Not of a single connector; and large bodies take their time.
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cluster("4.3.1")
			c.SetFault(connecttest.Match{Endpoint: connecttest.EndpointStatus, Connector: "sink"}, test.fault)
			p := start(t, Options{Sources: fromFile(file(t,
				"snapshot_max_age: 0s\nclusters: [{name: one, urls: [%q], observation_version: '1', request_timeout: 1s}]\n", worker(t, c, 0)))})
			got := p.scrape("/metrics")
			reason := test.reason
			got.want(t, series{
				`kafka_connect_up{connect_cluster="one"}`:                                                   1,
				fmt.Sprintf(`kafka_connect_connectors_unobserved{connect_cluster="one",reason=%q}`, reason): 1,
				`kafka_connect_connector_state{connect_cluster="one",connector="source",state="running"}`:   1,
				`kafka_connect_snapshot_errors_total{connect_cluster="one",reason="timeout"}`:               0,
				`kafka_connect_connectors{connect_cluster="one",state="running"}`:                           1,
			})
			c.ClearFaults()
			p.scrape("/metrics").want(t, series{
				fmt.Sprintf(`kafka_connect_connectors_unobserved{connect_cluster="one",reason=%q}`, reason): 0,
				`kafka_connect_connectors{connect_cluster="one",state="running"}`:                           2,
			})
		})
	}
}

// The deadline of the scrape is kept although a cluster never answers and its
// own timeout is far away.
func TestScrapeTimeoutIsKept(t *testing.T) {
	hanging, well := cluster("4.3.1"), cluster("4.3.1")
	hanging.SetFault(connecttest.Match{}, connecttest.Hang(nil))
	p := start(t, Options{Web: web.Options{TimeoutOffset: 500 * time.Millisecond}, Sources: fromFile(file(t,
		"clusters:\n- {name: hanging, urls: [%q], request_timeout: 10m}\n- {name: well, urls: [%q]}\n", worker(t, hanging, 0), worker(t, well, 0)))})
	began := time.Now()
	scrape := func() series { return p.scrape("/metrics", "X-Prometheus-Scrape-Timeout-Seconds", "1") }
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

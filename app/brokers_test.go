package app

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/kafka/kafkatest"
)

// brokersOf starts brokers with what the workers of a cluster write, and returns
// the block of the configuration that leads there. client are options of the one who
// writes.
func brokersOf(t *testing.T, client []kgo.Opt, options ...kfake.Opt) (*kafkatest.Cluster, string) {
	t.Helper()
	c := kafkatest.New(t, client, options...)
	write := func(connector string, task int, state, worker string) {
		c.Write(kafkatest.Status{Connector: connector, Task: task, State: state, Worker: worker, Generation: 1, Trace: map[string]string{"FAILED": "org.example.SinkException: hunter2"}[state]})
	}
	write("source", -1, "RUNNING", "10.0.0.1:8083")
	write("source", 0, "RUNNING", "10.0.0.1:8083")
	write("sink", -1, "RUNNING", "10.0.0.2:8083")
	write("sink", 0, "RUNNING", "10.0.0.2:8083")
	write("sink", 1, "FAILED", "10.0.0.1:8083")
	c.Commit("source", "x", []byte(`{"position":1}`), time.UnixMilli(1795741532459))
	c.UseTopic("sink", "orders")
	c.SetGroup(kafkatest.State{State: "Stable", Leader: "a", Members: []kafkatest.Member{{ID: "a", URL: "http://10.0.0.1:8083/", Given: []string{"source", "source/0", "sink/1"}}}})
	return c, "kafka: {bootstrap_servers: ['" + strings.Join(c.ListenAddrs(), "','") + "'], group_id: " + kafkatest.Group +
		", status_storage_topic: " + kafkatest.StatusTopic + ", offset_storage_topic: " + kafkatest.OffsetsTopic + ", connector_topics: true}"
}

// What the brokers know stands beside what REST tells, and goes on when REST does
// not answer; a cluster without REST is seen by them alone.
func TestBrokers(t *testing.T) {
	t.Parallel()
	brokers, block := brokersOf(t, nil)
	rest := cluster("4.3.1")
	configuration := file(t, "snapshot_max_age: 0s\nclusters:\n- {name: both, urls: [%q], %s}\n- {name: down, urls: ['http://127.0.0.1:1'], %s}\n- {name: alone, observation_version: brokers, %s}\n- {name: without, urls: [%q]}\n",
		worker(t, rest, 0), block, block, block, worker(t, rest, 0))
	p := start(t, Options{Sources: fromFile(configuration)})
	got := p.scrape("/metrics")
	for _, name := range []string{"both", "down", "alone"} {
		label := `{connect_cluster="` + name + `"`
		got.want(t, series{
			`kafka_connect_brokers_up` + label + `}`:                                                1,
			`kafka_connect_brokers_errors_total` + label + `,reason="forbidden"}`:                   0,
			`kafka_connect_group_state` + label + `,state="stable"}`:                                1,
			`kafka_connect_group_state` + label + `,state="dead"}`:                                  0,
			`kafka_connect_group_members` + label + `}`:                                             1,
			`kafka_connect_group_member_info` + label + `,leader="true",worker="10.0.0.1:8083"}`:    1,
			`kafka_connect_group_assigned_tasks` + label + `,worker="10.0.0.1:8083"}`:               2,
			`kafka_connect_group_assigned_connectors` + label + `,worker="10.0.0.1:8083"}`:          1,
			`kafka_connect_group_config_offset_lag` + label + `,worker="10.0.0.1:8083"}`:            0,
			`kafka_connect_group_scheduled_rebalance_delay_seconds` + label + `}`:                   0,
			`kafka_connect_tasks_orphaned` + label + `}`:                                            1,
			`kafka_connect_tasks_duplicated` + label + `}`:                                          0,
			`kafka_connect_sink_lag_limited` + label + `}`:                                          0,
			`kafka_connect_source_offset_commit_timestamp_seconds` + label + `,connector="source"}`: 1795741532.459,
			`kafka_connect_connector_topic_info` + label + `,connector="sink",topic="orders"}`:      1,
		})
	}
	got.want(t, series{
		`kafka_connect_up{connect_cluster="both"}`:                                                   1,
		`kafka_connect_up{connect_cluster="down"}`:                                                   0,
		`kafka_connect_up{connect_cluster="alone"}`:                                                  1,
		`kafka_connect_tasks{connect_cluster="alone",state="running"}`:                               2,
		`kafka_connect_task_state{connect_cluster="alone",connector="sink",state="failed",task="1"}`: 1,
		`kafka_connect_task_failure_info{connect_cluster="alone",connector="sink",exception="org.example.SinkException",root_cause="org.example.SinkException",task="1"}`:                 1,
		`kafka_connect_connector_info{connect_cluster="alone",connector="source",connector_class="",connector_id="",connector_type="source",connector_version="",worker="10.0.0.1:8083"}`: 1,
		`kafka_connect_workers{connect_cluster="alone"}`: 2,
	})
	for key := range got.of("without") {
		if strings.Contains(key, "brokers") || strings.Contains(key, "_group_") || strings.Contains(key, "sink_lag") {
			t.Errorf("%s, without a block kafka", key)
		}
	}
	brokers.Close()
	got = p.scrape("/metrics")
	got.want(t, series{
		`kafka_connect_brokers_up{connect_cluster="both"}`:                                0,
		`kafka_connect_brokers_errors_total{connect_cluster="both",reason="unreachable"}`: 1,
		`kafka_connect_up{connect_cluster="both"}`:                                        1,
		`kafka_connect_brokers_up{connect_cluster="alone"}`:                               0,
		`kafka_connect_up{connect_cluster="alone"}`:                                       0,
	})
	for _, secret := range []string{"hunter2"} {
		if strings.Contains(p.logs.String(), secret) || strings.Contains(p.get("/").body, secret) || strings.Contains(p.get("/metrics").body, secret) {
			t.Errorf("%s is shown", secret)
		}
	}
}

// Who runs the exporter is told whether brokers are read, as the clusters change.
func TestWhetherBrokersAreRead(t *testing.T) {
	told := make(chan bool, 10)
	name := file(t, "clusters: [{name: a, urls: ['http://127.0.0.1:1']}]\n")
	p := start(t, Options{Sources: fromFile(name), Brokers: func(any bool) { told <- any }})
	check := func(want bool) {
		t.Helper()
		if len(told) != 1 || <-told != want {
			t.Errorf("it is not told once that it is %t", want)
		}
	}
	check(false)
	for _, want := range []bool{true, false} {
		block := ""
		if want {
			block = ", kafka: {bootstrap_servers: ['127.0.0.1:1'], group_id: g}"
		}
		write(t, name, "clusters: [{name: a, urls: ['http://127.0.0.1:1']%s}]\n", block)
		if a := p.do(http.MethodPost, "/-/reload"); a.status != http.StatusOK {
			t.Fatalf("reload: %d %s", a.status, a.body)
		}
		check(want)
	}
}

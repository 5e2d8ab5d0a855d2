// Package scenario has the connectors that the suite on real parts watches and
// that the fixtures record: sources and sinks that run, fail, are paused and
// stopped, under names that are awkward in a path, with secrets all over their
// configurations.
package scenario

import (
	"context"
	"fmt"
	"net/http"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kafka"
)

// Connector classes that come with Kafka.
const (
	FileSource = "org.apache.kafka.connect.file.FileStreamSourceConnector"
	FileSink   = "org.apache.kafka.connect.file.FileStreamSinkConnector"
	Heartbeat  = "org.apache.kafka.connect.mirror.MirrorHeartbeatConnector"
	// MockSink can be told to fail; it is in the runtime's jar up to 3.5. (Its
	// source sibling would keep a processor busy: it polls without a pause.)
	MockSink = "org.apache.kafka.connect.tools.MockSinkConnector"
)

// Names of the connectors.
const (
	Source          = "orders-source"
	Sink            = "orders-sink"
	FailingTasks    = "failing-tasks"
	FailingStart    = "failing-connector"
	Paused          = "paused-source"
	Stopped         = "stopped-source"
	Space           = "name with  spaces"
	Arrow           = "primary->backup.MirrorHeartbeatConnector"
	Quotes          = `say "hi" & 'bye' <b>ok? #1`
	Unicode         = "zażółć-コネクタ-☃"
	Slash           = "orders/eu"
	Percent         = "orders%2Fus"
	Backslash       = `orders\eu`
	Semicolon       = "orders;eu"
	missingFile     = "/missing/" + traceSecret + "/out.txt"
	traceSecret     = "tr4ce-s3cret"
	passwordSecret  = "hunter2"
	urlSecret       = "url-s3cret"
	jaasSecret      = "jaas-s3cret"
	tokenSecret     = "tok3n-s3cret"
	bootstrapSecret = "b00tstrap-s3cret"
)

// Secrets are strings that stand in the connectors' configurations, or in the
// messages of their failures, and must not leave the exporter by any door.
func Secrets() []string {
	return []string{traceSecret, passwordSecret, urlSecret, jaasSecret, tokenSecret, bootstrapSecret}
}

// AwkwardNames need escaping in a path and behave on every version.
func AwkwardNames() []string { return []string{Space, Arrow, Quotes, Unicode} }

// UnaddressableNames cannot stand in a path of a worker from 4.0 on.
func UnaddressableNames() []string { return []string{Slash, Percent, Backslash} }

// UnforwardableNames are those with which one worker fails to address another:
// of two workers the one that owns such a connector cannot hand its tasks to the
// leader (HTTP 400 or 404, tried for ever), and the connector stays without. (Worse:
// "a%2Fb" hands its tasks to a connector "a/b" if there is one.)
func UnforwardableNames() []string { return append(UnaddressableNames(), Semicolon) }

// Options say what of the scenario a cluster gets.
type Options struct {
	// Version of its workers.
	Version string
	// Bootstrap is a broker's address for connectors that talk to one.
	Bootstrap string
	// FailingFile is where the failing sink's tasks write: a file in a folder
	// that is missing. Empty for one that stays missing.
	FailingFile string
}

// Connectors of the scenario.
func Connectors(o Options) []kafka.Connector {
	secrets := func(config map[string]any) map[string]any {
		config["database.password"] = passwordSecret
		config["connection.url"] = "jdbc:postgresql://admin:" + urlSecret + "@db.example/orders"
		config["sasl.jaas.config"] = `org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="` + jaasSecret + `";`
		config["authorization.token"] = tokenSecret
		return config
	}
	// A source waits for its file for ever; what a sink writes to the null device is gone.
	source := func() map[string]any {
		return map[string]any{"connector.class": FileSource, "tasks.max": "1", "topic": "orders", "file": "/missing/orders.txt"}
	}
	sink := func(tasks int) map[string]any {
		return map[string]any{"connector.class": FileSink, "tasks.max": fmt.Sprint(tasks), "topics": "orders", "file": "/dev/null"}
	}
	failing := sink(2)
	failing["file"] = missingFile
	if o.FailingFile != "" {
		failing["file"] = o.FailingFile
	}
	connectors := []kafka.Connector{
		{Name: Source, Config: secrets(source())},
		{Name: Sink, Config: secrets(sink(3))},
		{Name: FailingTasks, Config: failing},
		{Name: Paused, Config: source()},
		{Name: Space, Config: sink(1)},
		{Name: Quotes, Config: source()},
		{Name: Unicode, Config: sink(2)},
		{Name: Slash, Config: sink(1)},
		{Name: Percent, Config: source()},
		{Name: Backslash, Config: sink(1)},
		{Name: Semicolon, Config: sink(1)},
	}
	heartbeat := func(bootstrap string) map[string]any {
		return map[string]any{
			"connector.class": Heartbeat, "tasks.max": "1",
			"source.cluster.alias": "primary", "target.cluster.alias": "backup",
			"source.cluster.bootstrap.servers": bootstrap, "target.cluster.bootstrap.servers": bootstrap,
			"heartbeats.topic.replication.factor": "1",
		}
	}
	if kafka.AtLeast(o.Version, "2.4") {
		connectors = append(connectors, kafka.Connector{Name: Arrow, Config: heartbeat(o.Bootstrap)})
	} else {
		connectors = append(connectors, kafka.Connector{Name: Arrow, Config: source()})
	}
	if kafka.AtLeast(o.Version, "3.6") {
		// It makes an admin client when it starts, and cannot of what is no address.
		connectors = append(connectors, kafka.Connector{Name: FailingStart, Config: heartbeat(bootstrapSecret)})
	} else {
		connectors = append(connectors, kafka.Connector{Name: FailingStart, Config: map[string]any{
			"connector.class": MockSink, "tasks.max": "1", "topics": "orders", "mock_mode": "connector-failure", "delay_ms": "100",
		}})
	}
	switch {
	case kafka.AtLeast(o.Version, "3.7"):
		connectors = append(connectors, kafka.Connector{Name: Stopped, Config: source(), InitialState: "STOPPED"})
	case kafka.AtLeast(o.Version, "3.5"):
		connectors = append(connectors, kafka.Connector{Name: Stopped, Config: source()})
	}
	return connectors
}

// Create makes the scenario's connectors through client and brings them into
// their states; it does not wait until the cluster says so.
func Create(ctx context.Context, client *kafka.Client, o Options) error {
	for _, connector := range Connectors(o) {
		if err := client.Create(ctx, connector); err != nil {
			return fmt.Errorf("create %q on %s: %w", connector.Name, o.Version, err)
		}
		if connector.Name == Stopped && connector.InitialState == "" {
			if err := client.Write(ctx, http.MethodPut, kafka.ConnectorPath(Stopped)+"/stop", nil); err != nil {
				return fmt.Errorf("stop %q: %w", Stopped, err)
			}
		}
	}
	if err := client.Write(ctx, http.MethodPut, kafka.ConnectorPath(Paused)+"/pause", nil); err != nil {
		return fmt.Errorf("pause %q: %w", Paused, err)
	}
	return nil
}

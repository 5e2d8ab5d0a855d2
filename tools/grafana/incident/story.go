package main

import (
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
)

// A happening is one step of the incident.
type happening struct {
	// after is when it happens, by the demo's clock.
	after time.Duration
	what  string
	do    func()
}

// story is a bad half hour: a worker stopped until what it ran is handed to the
// others, a worker killed, a task that fails and is restarted, a connector that
// fails, and a whole cluster away for three minutes.
func story(demo *connecttest.Demo) []happening {
	orders, analytics := demo.Cluster(connecttest.DemoOrders), demo.Cluster(connecttest.DemoAnalytics)
	workers := orders.Workers()
	all := func(do func(worker string)) func() {
		return func() {
			for _, worker := range analytics.Workers() {
				do(worker)
			}
		}
	}
	const sink, source = "orders-jdbc-sink", "billing-mysql-source"
	thrown := connecttest.Cause{Class: "org.apache.kafka.connect.errors.ConnectException"}
	refused := connecttest.Trace(thrown, connecttest.Cause{Class: "java.sql.SQLException"})
	denied := connecttest.Trace(thrown, connecttest.Cause{Class: "io.debezium.DebeziumException"}, connecttest.Cause{Class: "org.postgresql.util.PSQLException"})
	return []happening{
		{2 * time.Minute, "the third worker of orders is stopped", func() { orders.StopWorker(workers[2]) }},
		{7 * time.Minute, "it is started again", func() { orders.StartWorker(workers[2]) }},
		{10 * time.Minute, "two tasks of " + sink + " fail", func() { orders.FailTask(sink, 0, refused); orders.FailTask(sink, 3, refused) }},
		{14 * time.Minute, "they are restarted", func() { orders.RestartTask(sink, 0); orders.RestartTask(sink, 3) }},
		{16 * time.Minute, "the second worker of orders is killed", func() { orders.KillWorker(workers[1]) }},
		{21 * time.Minute, "it is started again", func() { orders.StartWorker(workers[1]) }},
		{23 * time.Minute, source + " fails with its task", func() { orders.FailConnector(source, denied); orders.FailTask(source, 0, denied) }},
		{26 * time.Minute, "it is restarted", func() { orders.RestartConnector(source) }},
		{27 * time.Minute, "analytics is away", all(analytics.KillWorker)},
		{30 * time.Minute, "analytics is back", all(analytics.StartWorker)},
	}
}

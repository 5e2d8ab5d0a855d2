package connecttest

import (
	"fmt"
	"time"
)

// live makes the demo's connectors and begins what happens to them.
func (d *Demo) live() {
	d.liveOrders(d.Cluster(DemoOrders))
	d.liveAnalytics(d.Cluster(DemoAnalytics))
	d.liveWarehouse(d.Cluster(DemoWarehouse))
}

func (d *Demo) liveOrders(c *Cluster) {
	create(c, []Connector{
		{Name: "orders-postgres-source", Class: postgresClass, Type: "source", Version: "3.2.4.Final", Tasks: 1, Config: databaseConfig("orders-db.example.com", "orders")},
		{Name: "billing-mysql-source", Class: mysqlClass, Type: "source", Version: "3.2.4.Final", Tasks: 1, Config: databaseConfig("billing-db.example.com", "billing")},
		{Name: "orders-jdbc-sink", Class: jdbcSinkClass, Version: "10.8.4", Tasks: 4, Config: jdbcConfig("v1.orders")},
		{Name: "payments-s3-sink", Class: s3SinkClass, Version: "10.6.7", Tasks: 3, Config: s3Config("v1.payments", "example-payments")},
		{Name: "customers-elasticsearch-sink", Class: elasticClass, Version: "14.1.3", Tasks: 2, Config: with(map[string]string{"topics": "v1.customers", "connection.url": "https://search.example.com:9200", "connection.password": "Hunter2-database"})},
		{Name: "eu->us.MirrorSourceConnector", Class: mirrorClass, Tasks: 4, Config: mirrorConfig("eu", "us")},
		{Name: "audit-s3-sink", Class: s3SinkClass, Version: "10.6.7", Tasks: 2, Config: s3Config("v1.audit", "example-audit")},
		{Name: "invoices archive", Class: s3SinkClass, Version: "10.6.7", Tasks: 1, Config: s3Config("v1.invoices", "example-invoices")},
	})
	c.Pause("audit-s3-sink")
	c.Stop("invoices archive")
	// Something has failed already when the demo is looked at for the first time.
	d.failTask(c, "orders-jdbc-sink", 2, jdbcTrace(), 90*time.Second)
	d.again(3*time.Minute, 6*time.Minute, func() {
		d.failTask(c, "orders-jdbc-sink", d.pick(4), jdbcTrace(), d.between(time.Minute, 2*time.Minute))
	})
	d.again(5*time.Minute, 9*time.Minute, func() {
		d.failTask(c, "payments-s3-sink", d.pick(3), s3Trace(), d.between(time.Minute, 3*time.Minute))
	})
	turn := 0
	d.again(8*time.Minute, 12*time.Minute, func() {
		id := c.Workers()[turn%3]
		turn++
		d.restartWorker(c, id, 30*time.Second)
	})
}

func (d *Demo) liveAnalytics(c *Cluster) {
	create(c, []Connector{
		{Name: "clickstream-s3-sink", Class: s3SinkClass, Tasks: 6, Config: s3Config("v1.clicks", "example-lake")},
		{Name: "sessions-elasticsearch-sink", Class: elasticClass, Tasks: 2, Config: with(map[string]string{"topics": "v1.sessions", "connection.url": "https://search.example.com:9200", "connection.password": "Hunter2-database"})},
		{Name: "us->eu.MirrorSourceConnector", Class: mirrorClass, Tasks: 3, Config: mirrorConfig("us", "eu")},
		{Name: "us->eu.MirrorCheckpointConnector", Class: "org.apache.kafka.connect.mirror.MirrorCheckpointConnector", Type: "source", Tasks: 1, Config: mirrorConfig("us", "eu")},
		{Name: "us->eu.MirrorHeartbeatConnector", Class: "org.apache.kafka.connect.mirror.MirrorHeartbeatConnector", Type: "source", Tasks: 1, Config: mirrorConfig("us", "eu")},
		{Name: "crm-jdbc-source", Class: jdbcSourceClass, Type: "source", Tasks: 2, Config: databaseConfig("crm-db.example.com", "crm")},
	})
	d.again(4*time.Minute, 7*time.Minute, func() {
		c.FailConnector("crm-jdbc-source", debeziumTrace())
		d.After(d.between(time.Minute, 2*time.Minute), func() { c.RestartTask("crm-jdbc-source", Itself) })
	})
	d.again(3*time.Minute, 8*time.Minute, func() {
		d.failTask(c, "clickstream-s3-sink", d.pick(6), converterTrace(), d.between(time.Minute, 2*time.Minute))
	})
	backfill := 0
	d.again(4*time.Minute, 6*time.Minute, func() {
		backfill++
		name := fmt.Sprintf("backfill-%d-jdbc-sink", backfill)
		c.Create(Connector{Name: name, Class: jdbcSinkClass, Tasks: 2, Config: jdbcConfig("v1.sessions")})
		d.After(2*time.Minute, func() { c.Delete(name) })
	})
}

// slowness is how long the slow cluster takes for each answer, on average, in real
// time.
const slowness = 250 * time.Millisecond

func (d *Demo) liveWarehouse(c *Cluster) {
	create(c, []Connector{
		{Name: "stock-jdbc-source", Class: jdbcSourceClass, Type: "source", Tasks: 2, Config: databaseConfig("stock-db.example.com", "stock")},
		{Name: "stock-jdbc-sink", Class: jdbcSinkClass, Tasks: 2, Config: jdbcConfig("stock")},
		{Name: "deliveries-jdbc-sink", Class: jdbcSinkClass, Tasks: 3, Config: jdbcConfig("deliveries")},
		{Name: "returns-jdbc-sink", Class: jdbcSinkClass, Tasks: 1, Config: jdbcConfig("returns")},
	})
	c.Pause("returns-jdbc-sink")
	slow := func() func() {
		share := time.Duration(50 + d.pick(101)) // percent
		return c.SetFault(Match{}, Delay(slowness*share/100))
	}
	ends := slow()
	d.again(15*time.Second, 30*time.Second, func() {
		ends()
		ends = slow()
	})
	d.again(4*time.Minute, 7*time.Minute, func() {
		c.StartRebalance(time.Second)
		d.After(6*time.Second, c.EndRebalance)
	})
}

func create(c *Cluster, connectors []Connector) {
	for _, connector := range connectors {
		c.Create(connector)
	}
}

// failTask fails a task, and restarts it later.
func (d *Demo) failTask(c *Cluster, name string, task int, trace string, recovers time.Duration) {
	c.FailTask(name, task, trace)
	d.After(recovers, func() { c.RestartTask(name, task) })
}

// restartWorker stops a worker as SIGTERM does, and starts it later.
func (d *Demo) restartWorker(c *Cluster, id string, away time.Duration) {
	c.StopWorker(id)
	d.After(away, func() { c.StartWorker(id) })
}

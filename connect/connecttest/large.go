package connecttest

import "fmt"

// Large returns a cluster of eight workers with many connectors, as benchmarks
// want it: about forty settings each, one task in a thousand failed with a trace
// of some kilobytes, all replies about all connectors rendered. An expansion of
// info and status of 1,000 connectors with 4 tasks is about 2.4 MB, of status
// alone about 0.4 MB. It is a cluster of 3.9.1. Changing a connector costs
// rendering that one, and copying the rest at the next request.
func Large(connectors, tasks int) *Cluster {
	options := Options{Version: "3.9.1"}
	for i := range 8 {
		options.Workers = append(options.Workers, fmt.Sprintf("10.0.0.%d:8083", 11+i))
	}
	c := NewCluster(options)
	configs := []Connector{
		{Class: postgresClass, Type: "source", Config: databaseConfig("orders-db.example.com", "orders")},
		{Class: jdbcSinkClass, Type: "sink", Config: jdbcConfig("v1.orders")},
		{Class: s3SinkClass, Type: "sink", Config: s3Config("v1.orders", "example-lake")},
		{Class: mysqlClass, Type: "source", Config: databaseConfig("billing-db.example.com", "billing")},
	}
	for i := range connectors {
		spec := configs[i%len(configs)]
		spec.Name, spec.Tasks = LargeName(i), tasks
		c.Create(spec)
	}
	trace := jdbcTrace()
	for number := 500; number < connectors*tasks; number += 1000 {
		c.FailTask(LargeName(number/tasks), number%tasks, trace)
	}
	c.Prepare()
	return c
}

// LargeName is the name of connector i of [Large].
func LargeName(i int) string { return fmt.Sprintf("connector-%05d", i) }

// Prepare renders the replies about all connectors (the list, and the expansions
// of status, of info and of status and info in that order), so that the next
// requests cost only their sending. Others are rendered when they are asked for.
func (c *Cluster) Prepare() {
	defer c.lock()()
	w := c.workers[0]
	c.list(w)
	for _, expansions := range [][]string{{"status"}, {"info"}, {"status", "info"}} {
		c.expand(w, expansions)
	}
}

// Package connecttest simulates Kafka Connect clusters: a model of workers,
// connectors and tasks in memory, and of the REST API of each worker what the
// exporter asks, as the named version of Apache Kafka answers it, down to its
// headers, its error bodies and its oddities. The demo, the tests and the
// benchmarks share it.
//
// A [Cluster] is the model and its [Cluster.Handler] is one worker. Methods of
// Cluster change the model as an operator or a failure would. A [Fault] spoils
// what a worker answers. [Large] makes a big cluster that costs little to serve
// and [NewDemo] a small fleet that lives by itself.
//
// What is simulated was observed on real workers of 2.2.2, 2.3.1, 3.3.2, 3.5.2,
// 3.9.1 and 4.3.1, or is read from the source of Apache Kafka
// (connect/runtime, package org.apache.kafka.connect.runtime.rest). What a
// cluster does over time (the delay before lost tasks are handed out again, the
// start of a worker) follows the cluster's clock and happens at the next look at
// it: a Cluster starts no goroutine.
//
// Methods that take the name of a connector or of a worker panic if there is
// none: a script that names one is mistaken.
package connecttest

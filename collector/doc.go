// Package collector turns looks at Kafka Connect clusters into metrics.
//
// A [Fleet] takes the snapshots: all clusters at once, concurrent callers
// joined, nobody delayed beyond his own deadline. One table of [Descriptor]
// says which metrics exist, and one walk turns a [View] into their series; a
// [Renderer] puts these into Prometheus metric families, and into answers of which
// it keeps what does not change; a [Producer] puts them into OTLP data. [Self] holds what the exporter says of its own work.
//
// Nothing here knows how the bytes came from a cluster.
package collector

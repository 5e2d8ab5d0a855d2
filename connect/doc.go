// Package connect is the domain of the exporter: what one snapshot of a Kafka
// Connect cluster yields, whoever runs that cluster, and how taking it can fail.
//
// Sub-packages implement [Observer] for each kind of cluster. Nothing here
// knows how a snapshot is exposed.
package connect

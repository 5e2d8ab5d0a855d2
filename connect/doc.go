// Package connect is the domain of the exporter: what one look at a Kafka
// Connect cluster yields, whoever runs that cluster, and how looking can fail.
//
// Sub-packages implement [Observer] for each kind of cluster. Nothing here
// knows how a snapshot is exposed.
package connect

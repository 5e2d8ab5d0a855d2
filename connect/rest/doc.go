// Package rest observes a Kafka Connect cluster through the REST API of its
// workers, and whatever speaks that API.
//
// Observation version 1 lists the connectors and then asks for each; version 2
// is one expanded call (KIP-465, Kafka 2.3). Either way status and info are two
// things: status is asked for in every snapshot, info (class, tasks.max, type,
// task ids) only where it may have changed, because it is most of the bytes,
// carries secrets and, in version 1, waits for the worker's herder. Info, like all
// that a snapshot can do without, is asked for beside it, and never in its way.
package rest

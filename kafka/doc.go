// Package kafka reads what only the brokers behind a Connect cluster know: its
// status topic, the group of its workers, the lag of its sinks, the progress of
// its sources. It asks and never writes, and never reads the config topic, which
// holds every connector's secrets.
//
// Its [Observer] adds this to the snapshots of another observer, or is the only
// one of a cluster without a REST API.
package kafka

// Package self holds what the exporter says of its own work: OpenTelemetry
// instruments of the exporter as a whole, what it records of each cluster, both
// shown to Prometheus and over OTLP, the Go runtime and the process.
package self

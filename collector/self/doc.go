// Package self holds what the exporter says of its own work: OpenTelemetry
// instruments shown to Prometheus and over OTLP, the Go runtime and the process.
package self

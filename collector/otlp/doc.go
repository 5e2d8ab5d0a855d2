// Package otlp turns results into OTLP data, for package push to send.
package otlp

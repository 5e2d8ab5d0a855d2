package main

import (
	"log/slog"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
)

// adopt makes what OpenTelemetry's libraries have to say part of the log: they
// know no logger but a global one, and write lines of their own to stderr without.
func adopt(logger *slog.Logger) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		logger.Warn("opentelemetry reports an error", "err", err)
	}))
	otel.SetLogger(logr.FromSlogHandler(logger.Handler()))
}

package main

import (
	"io"
	"log/slog"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"go.opentelemetry.io/otel"
	"google.golang.org/grpc/grpclog"
	"k8s.io/klog/v2"
)

// adopt makes what libraries have to say part of the log: they know no logger but a
// global one, and write lines of their own to stderr without. What OpenTelemetry
// reports nobody else does; of what gRPC and the Kubernetes client do, the exporter
// tells itself what failed, so that theirs is for debugging.
func adopt(logger *slog.Logger) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		logger.Warn("opentelemetry reports an error", "err", err)
	}))
	otel.SetLogger(logr.FromSlogHandler(logger.Handler()))
	ofGRPC := slog.NewLogLogger(logger.Handler(), slog.LevelDebug).Writer()
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, ofGRPC))
	klog.SetLogger(funcr.NewJSON(func(said string) { logger.Debug("the kubernetes client reports", "said", said) }, funcr.Options{}))
}

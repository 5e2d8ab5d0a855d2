package push

import (
	"context"
	"crypto/tls"
	"fmt"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// exportMethod is of the service that receivers implement.
const exportMethod = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"

// overGRPC sends as https://opentelemetry.io/docs/specs/otlp/#otlpgrpc says.
type overGRPC struct {
	connection *grpc.ClientConn
}

func newGRPC(o *Options, verify *tls.Config) (*overGRPC, error) {
	secure := insecure.NewCredentials()
	if o.Endpoint.Scheme != "http" {
		secure = credentials.NewTLS(verify)
	}
	calls := []grpc.CallOption{grpc.MaxCallRecvMsgSize(maxAnswer)}
	if o.Gzip {
		calls = append(calls, grpc.UseCompressor(gzip.Name))
	}
	target := o.Endpoint.Host
	if o.Endpoint.Port() == "" && o.Endpoint.Scheme == "http" {
		target += ":4317" // OTLP's; gRPC itself takes 443, which is right with TLS.
	}
	connection, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(secure),
		grpc.WithUserAgent(agent(o)),
		grpc.WithDefaultCallOptions(calls...),
		grpc.WithMaxHeaderListSize(maxAnswer),
		// What is tried again is decided here, for both protocols alike.
		grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(),
	)
	if err != nil {
		return nil, fmt.Errorf("prepare gRPC: %w", err)
	}
	return &overGRPC{connection}, nil
}

func (s *overGRPC) close() { _ = s.connection.Close() }

func (s *overGRPC) send(ctx context.Context, headers map[string]string, request *collector.ExportMetricsServiceRequest) (*collector.ExportMetricsPartialSuccess, error) {
	// gRPC itself would wait longer with each failure, up to two minutes.
	s.connection.ResetConnectBackoff()
	var answer collector.ExportMetricsServiceResponse
	err := s.connection.Invoke(metadata.NewOutgoingContext(ctx, metadata.New(headers)), exportMethod, request, &answer)
	if err == nil {
		return answer.GetPartialSuccess(), nil
	}
	said := status.Convert(err)
	f := &failure{err: fmt.Errorf("the receiver answered %s: %s", said.Code(), said.Message()), answered: true}
	switch said.Code() {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		// Mostly said by this side: nobody is there, or does not answer.
		f.err, f.answered, f.retry = fmt.Errorf("%s: %s", said.Code(), said.Message()), false, true
	case codes.Aborted, codes.OutOfRange, codes.DataLoss:
		f.retry = true
	}
	for _, detail := range said.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			// Of RESOURCE_EXHAUSTED only this says that it may get better.
			f.retry, f.pause = f.retry || said.Code() == codes.ResourceExhausted, info.GetRetryDelay().AsDuration()
		}
	}
	return nil, f
}

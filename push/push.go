// Package push sends metrics over OTLP, by HTTP or gRPC: the exporters and
// their life cycle. Where the metrics come from it does not know.
package push

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"google.golang.org/grpc/credentials"
)

// Protocols that a receiver can speak, as OTEL_EXPORTER_OTLP_PROTOCOL names
// them.
const (
	HTTP = "http/protobuf"
	GRPC = "grpc"
)

// maxBatch is how many points go in one request: about a megabyte, where gRPC
// receivers take four unless told otherwise.
const maxBatch = 4000

// Options say what is sent where.
type Options struct {
	// Endpoint is the whole URL; of gRPC only scheme, host and port are used.
	// Scheme http means no TLS.
	Endpoint *url.URL
	// Protocol is [HTTP] or [GRPC].
	Protocol string
	// Headers go with each request. They are secret, and follow no redirect.
	Headers map[string]string
	// Interval between exports. Timeout of each request, retries included.
	Interval, Timeout time.Duration
	// Produce is how much time the Producer gets beside.
	Produce time.Duration
	// Gzip compresses what is sent.
	Gzip bool
	// TLS verifies the receiver; nil takes the system's authorities.
	TLS *tls.Config
	// Attributes of the resource, service.name among them.
	Attributes map[string]string
	// Version of the exporter: the attribute service.version.
	Version string
	// Producer is asked for the metrics of each export.
	Producer metric.Producer
	// Exported is told how each request ended; may be nil.
	Exported func(succeeded bool)
	// Logger is told when exports begin to fail and when they succeed again.
	Logger *slog.Logger
}

// A Pusher sends metrics until it is shut down.
type Pusher struct {
	provider *metric.MeterProvider
}

// Start begins to send, one interval from now. A receiver that is not there is
// no error: it may come.
func Start(ctx context.Context, options Options) (*Pusher, error) {
	exporter, release, err := newExporter(ctx, &options)
	if err != nil {
		return nil, fmt.Errorf("push to %s over %s: %w", options.Endpoint.Redacted(), options.Protocol, err)
	}
	attributes := []attribute.KeyValue{semconv.ServiceVersion(options.Version)}
	for name, value := range options.Attributes {
		attributes = append(attributes, attribute.String(name, value))
	}
	watched := &watched{Exporter: exporter, release: release, options: &options}
	reader := metric.NewPeriodicReader(watched,
		metric.WithInterval(options.Interval),
		metric.WithTimeout(options.Produce+options.Timeout),
		metric.WithMaxExportBatchSize(maxBatch),
		metric.WithProducer(cycle{options.Producer, watched}),
	)
	// The provider has no instruments: it is what a reader belongs to, and
	// carries the resource.
	return &Pusher{metric.NewMeterProvider(
		metric.WithReader(reader),
		metric.WithResource(resource.NewSchemaless(attributes...)),
	)}, nil
}

// Shutdown sends once more and ends, by ctx's deadline.
func (p *Pusher) Shutdown(ctx context.Context) error {
	if err := p.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("end the push over OTLP: %w", err)
	}
	return nil
}

// newExporter makes the exporter, and release closes what it leaves open. All
// options are given, so that the variables that the libraries read by
// themselves change nothing: the configuration has them already. (gRPC has
// no option that turns compression off; what it would come from is the same
// variable.)
func newExporter(ctx context.Context, o *Options) (exporter metric.Exporter, release func(), err error) {
	switch o.Protocol {
	case HTTP:
		transport, ok := http.DefaultTransport.(*http.Transport)
		if !ok {
			return nil, nil, errors.New("the process has no usual HTTP transport")
		}
		transport = transport.Clone()
		transport.TLSClientConfig = o.TLS
		compression := otlpmetrichttp.NoCompression
		if o.Gzip {
			compression = otlpmetrichttp.GzipCompression
		}
		exporter, err = otlpmetrichttp.New(ctx,
			otlpmetrichttp.WithEndpointURL(o.Endpoint.String()),
			otlpmetrichttp.WithHeaders(o.Headers),
			otlpmetrichttp.WithCompression(compression),
			otlpmetrichttp.WithTimeout(o.Timeout),
			otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{
				Enabled: true, InitialInterval: retryFirst, MaxInterval: retryMost, MaxElapsedTime: o.Timeout,
			}),
			otlpmetrichttp.WithHTTPClient(&http.Client{
				Transport:     transport,
				Timeout:       o.Timeout,
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			}),
		)
		return exporter, transport.CloseIdleConnections, err
	case GRPC:
		options := []otlpmetricgrpc.Option{
			otlpmetricgrpc.WithEndpoint(o.Endpoint.Host),
			otlpmetricgrpc.WithHeaders(o.Headers),
			otlpmetricgrpc.WithTimeout(o.Timeout),
			otlpmetricgrpc.WithRetry(otlpmetricgrpc.RetryConfig{
				Enabled: true, InitialInterval: retryFirst, MaxInterval: retryMost, MaxElapsedTime: o.Timeout,
			}),
		}
		if o.Endpoint.Scheme == "http" {
			options = append(options, otlpmetricgrpc.WithInsecure())
		} else {
			options = append(options, otlpmetricgrpc.WithTLSCredentials(credentials.NewTLS(o.TLS)))
		}
		if o.Gzip {
			options = append(options, otlpmetricgrpc.WithCompressor("gzip"))
		}
		exporter, err = otlpmetricgrpc.New(ctx, options...)
		return exporter, func() {}, err
	default:
		return nil, nil, fmt.Errorf("unknown protocol %q", o.Protocol)
	}
}

// Between attempts at one request, within its timeout.
const (
	retryFirst = 500 * time.Millisecond
	retryMost  = 5 * time.Second
)

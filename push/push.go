// Package push sends metrics over OTLP, by HTTP or gRPC: the senders and their
// life cycle. Where the metrics come from it does not know.
//
// It speaks OTLP's own data model, not that of the OpenTelemetry SDK, whose
// metricdata cannot say that a series has ended (the flag NO_RECORDED_VALUE of
// a data point), and whose exporters take any answer with status 200 for a
// success.
package push

import (
	"context"
	"crypto/tls"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"sync"
	"time"

	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	resource "go.opentelemetry.io/proto/slim/otlp/resource/v1"
)

// Protocols that a receiver can speak, as OTEL_EXPORTER_OTLP_PROTOCOL names
// them.
const (
	HTTP = "http/protobuf"
	GRPC = "grpc"
)

// Options say what is sent where.
type Options struct {
	// Endpoint is the whole URL; of gRPC only scheme, host and port are used.
	// Scheme http means no TLS.
	Endpoint *url.URL
	// Protocol is [HTTP] or [GRPC].
	Protocol string
	// Credentials are asked for before each export, because files that they come
	// from are rotated. After an error those before are used again.
	Credentials func() (Credentials, error)
	// Interval between exports.
	Interval time.Duration
	// Timeout of each request, retries included.
	Timeout time.Duration
	// Gzip compresses what is sent.
	Gzip bool
	// Attributes of the resource, service.name among them.
	Attributes map[string]string
	// Version of the exporter: the attribute service.version.
	Version string
	// Source is asked for the metrics of each export.
	Source Source
	// Exported is told how each export ended, may be nil. An export succeeds if
	// the receiver has taken all of it.
	Exported func(succeeded bool)
	// Logger is told when exports begin to fail and when they succeed again.
	Logger *slog.Logger
}

// Credentials are what an exporter shows to the receiver, and what it wants to
// see. They are secret.
type Credentials struct {
	// Headers go with each request and follow no redirect.
	Headers map[string]string
	// TLS verifies the receiver; nil takes the system's authorities. It must not
	// be changed.
	TLS *tls.Config
	// Version differs when TLS does: connections are then made anew.
	Version string
}

// A Source gives what is sent.
type Source interface {
	// Produce yields the metrics of one export in parts, each of a size for one
	// request: a few megabytes at most, which is what gRPC receivers take unless
	// told otherwise. When ctx ends it ends soon, too.
	Produce(ctx context.Context) iter.Seq[*metrics.ScopeMetrics]
}

// A Pusher sends metrics until it is shut down.
type Pusher struct {
	options  Options
	resource *resource.Resource
	logger   *slog.Logger

	ctx  context.Context // ends when the Pusher is told to
	end  context.CancelFunc
	done chan struct{} // closed when run has returned
	once sync.Once

	// What follows belongs to run, and after it has returned to Shutdown.

	credentials Credentials
	unreadable  bool // the credentials, the last time
	sender      sender
	connected   time.Time // when sender was made
	failing     bool
	hinted      bool
}

// Start begins to send, one interval from now. A receiver that is not there is
// no error: it may come.
func Start(options Options) (*Pusher, error) {
	p := &Pusher{
		options: options, resource: &resource.Resource{Attributes: attributes(&options)}, done: make(chan struct{}),
		logger: options.Logger.With("endpoint", options.Endpoint.Redacted()),
	}
	var err error
	if p.credentials, err = options.Credentials(); err == nil {
		p.sender, err = p.connect()
	}
	if err != nil {
		return nil, fmt.Errorf("push to %s over %s: %w", options.Endpoint.Redacted(), options.Protocol, err)
	}
	p.connected = time.Now()
	p.ctx, p.end = context.WithCancel(context.Background())
	go p.run()
	return p, nil
}

// attributes of the resource, in the order of their names.
func attributes(o *Options) []*common.KeyValue {
	all := maps.Clone(o.Attributes)
	if all == nil {
		all = map[string]string{}
	}
	if _, given := all["service.version"]; !given {
		all["service.version"] = o.Version
	}
	pairs := make([]*common.KeyValue, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		pairs = append(pairs, &common.KeyValue{Key: name, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: all[name]}}})
	}
	return pairs
}

func (p *Pusher) run() {
	defer close(p.done)
	ticker := time.NewTicker(p.options.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-ticker.C:
			if p.ctx.Err() == nil {
				p.export(p.ctx, false)
			}
		}
	}
}

// Shutdown breaks off what is being sent, sends once more, and returns by ctx's
// deadline, whatever the receiver does. Only the first call does something.
func (p *Pusher) Shutdown(ctx context.Context) error {
	var err error
	p.once.Do(func() {
		p.end()
		select {
		case <-p.done:
		case <-ctx.Done():
			go func() { // It ends as soon as what it waits for does.
				<-p.done
				p.sender.close()
			}()
			err = fmt.Errorf("end the push over OTLP: %w", ctx.Err())
			return
		}
		p.export(ctx, true)
		p.sender.close()
		if ctx.Err() != nil {
			err = fmt.Errorf("end the push over OTLP: %w", ctx.Err())
		}
	})
	return err
}

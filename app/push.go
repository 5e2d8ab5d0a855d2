package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	commoncfg "github.com/prometheus/common/config"
	"github.com/prometheus/common/version"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/otlp"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/push"
)

const (
	// produceLimit is how long an export waits for the clusters.
	produceLimit = 10 * time.Second
	// pushStopLimit is how long the last export may take.
	pushStopLimit = 10 * time.Second
)

// pushing is a push over OTLP that goes on. The zero value is none.
type pushing struct {
	fingerprint string
	pusher      *push.Pusher
}

// follow returns the push that cfg wants: this one if it is as before, a new one,
// or none. It does not end this one.
func (p pushing) follow(ctx context.Context, cfg *config.Config, w *watch) (pushing, error) {
	o := cfg.OTLP()
	switch {
	case o == nil:
		return pushing{}, nil
	case o.Fingerprint() == p.fingerprint:
		return p, nil
	}
	tls, err := commoncfg.NewTLSConfig(&o.TLS)
	if err != nil {
		return pushing{}, fmt.Errorf("otlp.tls_config: %w", err)
	}
	w.instruments.ExpectExports()
	pusher, err := push.Start(ctx, push.Options{
		Endpoint: o.Endpoint, Protocol: o.Protocol, Headers: o.Headers,
		Interval: o.Interval, Timeout: o.Timeout, Produce: produceLimit,
		Gzip: o.Compression == "gzip", TLS: tls, Attributes: o.ResourceAttributes, Version: version.Version,
		Producer: otlp.New(otlp.Options{
			Observe: w.fleet.Observe, Own: w.self.Collect, Timeout: produceLimit, Version: version.Version, Logger: w.options.Logger,
			AllStates: func() bool { return w.current.Load().config.StateSeriesAll() },
		}),
		Exported: w.instruments.Exported,
		Logger:   w.options.Logger,
	})
	if err != nil {
		return pushing{}, err
	}
	w.options.Logger.Info("Pushing over OTLP", "endpoint", o.Endpoint.Redacted(), "protocol", o.Protocol, "interval", o.Interval)
	return pushing{o.Fingerprint(), pusher}, nil
}

// stop sends once more and ends the push.
func (p pushing) stop(ctx context.Context, w *watch) {
	if p.pusher == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, pushStopLimit)
	defer cancel()
	if err := p.pusher.Shutdown(ctx); err != nil && !errors.Is(err, context.Canceled) {
		w.options.Logger.Warn("The push over OTLP did not end well", "err", err)
	}
}

package app

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/common/version"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/otlp"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/push"
)

// produceLimit is how long an export waits for the clusters.
const produceLimit = 10 * time.Second

// pushStopLimit is how long the last export of a push that a reload ends may
// take. When the program ends, there is one budget for all.
const pushStopLimit = 10 * time.Second

// pushing is a push over OTLP that goes on. The zero value is none.
type pushing struct {
	settings *config.OTLP
	pusher   *push.Pusher
	// producer goes on when the settings change: it knows what was sent.
	producer *otlp.Producer
}

// reconcile returns the push that cfg wants: this one if it is as before, a new one,
// or none. It does not end this one.
func (p pushing) reconcile(cfg *config.Config, w *watch) (pushing, error) {
	o := cfg.OTLP
	switch {
	case o == nil:
		return pushing{}, nil
	case p.settings != nil && o.Same(p.settings):
		return p, nil
	}
	producer := p.producer
	if producer == nil {
		producer = otlp.New(otlp.Options{
			Observe: w.fleet.Observe, Own: w.self.Collect, Timeout: produceLimit, Version: version.Version, Logger: w.options.Logger,
			AllStates: func() bool { return w.current.Load().config.StateSeriesAll },
		})
	}
	w.instruments.ExpectExports()
	pusher, err := push.Start(push.Options{
		Endpoint: o.Endpoint, Protocol: o.Protocol, Interval: time.Duration(o.Interval), Timeout: time.Duration(o.Timeout), Gzip: o.Compression == "gzip",
		Credentials: func() (push.Credentials, error) {
			c, err := o.Credentials()
			return push.Credentials(c), err
		},
		Attributes: o.ResourceAttributes, Version: version.Version,
		Source: producer, Exported: w.instruments.Exported, Logger: w.options.Logger,
	})
	if err != nil {
		return pushing{}, err
	}
	w.options.Logger.Info("pushing over OTLP", "endpoint", o.Endpoint.Redacted(), "protocol", o.Protocol, "interval", time.Duration(o.Interval))
	return pushing{o, pusher, producer}, nil
}

// stop sends once more and ends the push, by the end of ctx and within
// pushStopLimit.
func (p pushing) stop(ctx context.Context, w *watch) {
	if p.pusher == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, pushStopLimit)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- p.pusher.Shutdown(ctx) }()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		w.options.Logger.Warn("the push over OTLP did not end well", "err", err)
	}
}

package rest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/internal/beside"
)

// maxStart is for how long a worker may list less than half of what there was, and
// not say that it has started, until that is believed.
const maxStart = 5 * time.Minute

// errStarting is an answer of a worker that has not read all that it should answer.
var errStarting = fmt.Errorf("%w: the worker is starting, as it seems", connect.NotFound)

// observeStarted observes by the first worker that is believed.
func (d *draft) observeStarted(ctx context.Context) (err error) {
	for range d.options.URLs {
		if err = d.observe(ctx); err == nil {
			err = d.believe(ctx)
		}
		if !errors.Is(err, errStarting) || ctx.Err() != nil {
			return err
		}
		at := d.client.current.Load()
		d.client.current.CompareAndSwap(at, (at+1)%int32(len(d.sites)))
		d.reset()
	}
	return err
}

// believe returns an error where a worker lists less than half of the connectors
// that there were, and does not say that it has started: while it reads its
// configuration topic, it answers with none or some of them, in 200 (since Kafka
// 2.3). Its herder answers nothing then, and GET /health (3.9) says so after 10 s. An
// older worker cannot be asked.
func (d *draft) believe(ctx context.Context) error {
	before, now := len(d.same.connectors)+len(d.same.list), len(d.snapshot.Connectors)+len(d.unobserved)
	s := d.site()
	if d.reused || now*2 >= before || d.options.Dialect.NoRoot || s.health == beside.NeverHealth || !d.starting(ctx, s) {
		d.fewSince = time.Time{}
		return nil
	}
	if d.fewSince.IsZero() {
		d.fewSince = d.began
	}
	if d.began.Sub(d.fewSince) >= maxStart {
		return nil
	}
	return fmt.Errorf("list connectors of %s: %s: %w: it lists %d of %d connectors", d.options.Name, s.url.Host, errStarting, now, before)
}

// starting tells whether a worker says so, or nothing for a while.
func (d *draft) starting(ctx context.Context, s *site) bool {
	health, err := d.healthOf(ctx, s, min(beside.Stall, d.options.RequestTimeout))
	return health == beside.Unhealthy || errors.Is(err, connect.Timeout)
}

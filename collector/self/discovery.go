package self

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
)

// Discovery is how the search for clusters stands.
type Discovery struct {
	// Up says that everything that should be watched is watched.
	Up bool
	// Resources that are known, by kind; Refused are those that are no cluster, by
	// reason. Both have what is 0 too.
	Resources map[ResourceKind]int
	Refused   map[string]int
}

// A ResourceKind names a kind of resource.
type ResourceKind struct{ Group, Kind string }

// discovering are the instruments of discovery: they show nothing while nobody
// looks for clusters.
type discovering struct {
	state  atomic.Pointer[func() Discovery]
	errors metric.Int64Counter
}

func newDiscovering(failed *error, meter metric.Meter) *discovering {
	d := &discovering{errors: instrument(failed, series.DiscoveryErrors, meter.Int64Counter)}
	up := instrument(failed, series.DiscoveryUp, meter.Int64ObservableGauge)
	resources := instrument(failed, series.DiscoveryResources, meter.Int64ObservableGauge)
	refused := instrument(failed, series.DiscoveryRefused, meter.Int64ObservableGauge)
	if *failed != nil {
		return nil
	}
	_, *failed = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		state := d.state.Load()
		if state == nil {
			return nil
		}
		now, one := (*state)(), int64(0)
		if now.Up {
			one = 1
		}
		o.ObserveInt64(up, one)
		for kind, n := range now.Resources {
			o.ObserveInt64(resources, int64(n), metric.WithAttributes(attribute.String("group", kind.Group), attribute.String("kind", kind.Kind)))
		}
		for reason, n := range now.Refused {
			o.ObserveInt64(refused, int64(n), metric.WithAttributes(attribute.String("reason", reason)))
		}
		return nil
	}, up, resources, refused)
	return d
}

// Discovering shows from now on how the search for clusters stands, with the
// reasons of failed calls at 0; nil ends that. state is asked in each scrape.
func (i *Instruments) Discovering(state func() Discovery, reasons ...string) {
	if i == nil {
		return
	}
	if state == nil {
		i.discovering.state.Store(nil)
		return
	}
	i.discovering.state.Store(&state)
	for _, reason := range reasons {
		i.discovering.errors.Add(context.Background(), 0, metric.WithAttributes(attribute.String("reason", reason)))
	}
}

// DiscoveryFailed records that a call of discovery failed.
func (i *Instruments) DiscoveryFailed(reason string) {
	if i != nil {
		i.discovering.errors.Add(context.Background(), 1, metric.WithAttributes(attribute.String("reason", reason)))
	}
}

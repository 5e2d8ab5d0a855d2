package connecttest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"
)

// DemoOptions say how a [Demo] goes on. The zero value is a demo in real time on
// free ports.
type DemoOptions struct {
	// Seed of all that happens by chance; the same seed gives the same history.
	Seed uint64
	// Step is how far the demo's clock goes at each tick, 1 second if 0. With
	// more than the time between two ticks, everything happens faster.
	Step time.Duration
	// Ticks drive the clock; one a second of real time if nil.
	Ticks <-chan time.Time
}

// The clusters of a [Demo].
const (
	// DemoOrders runs 4.3.1 on three workers: what a shop needs.
	DemoOrders = "orders"
	// DemoAnalytics runs 3.9.1 on two workers: MirrorMaker 2 and a data lake.
	DemoAnalytics = "analytics"
	// DemoWarehouse runs 2.2.2 on one worker: old, without expand, and slow.
	DemoWarehouse = "warehouse"
)

// A Demo is a small fleet of clusters that live by themselves: tasks fail and
// are restarted, workers are restarted in turn, a connector comes and goes, one
// cluster is slow.
type Demo struct {
	// Clusters in the order in which they are shown.
	Clusters []DemoCluster

	options   DemoOptions
	listeners []net.Listener

	mutex  sync.Mutex // of what follows: the demo's time
	now    time.Time
	agenda []event
	chance *rand.Rand
}

// A DemoCluster is one cluster of a demo.
type DemoCluster struct {
	Name string
	*Cluster
	// URLs of its workers.
	URLs []string
}

// NewDemo makes the clusters and listens on their workers' ports, so that the
// URLs are known; [Demo.Run] serves them. An error names the address that could
// not be listened on.
func NewDemo(options DemoOptions) (*Demo, error) {
	options.Step = cmp.Or(options.Step, time.Second)
	d := &Demo{
		options: options,
		now:     time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		chance:  rand.New(rand.NewPCG(options.Seed, 0)), //nolint:gosec // A demo needs no secret randomness.
	}
	for _, cluster := range []struct {
		name, version string
		workers       int
	}{{DemoOrders, "4.3.1", 3}, {DemoAnalytics, "3.9.1", 2}, {DemoWarehouse, "2.2.2", 1}} {
		if err := d.add(cluster.name, cluster.version, cluster.workers); err != nil {
			return nil, errors.Join(err, d.Close())
		}
	}
	d.live()
	return d, nil
}

func (d *Demo) add(name, version string, workers int) error {
	cluster := DemoCluster{Name: name}
	var ids []string
	for range workers {
		listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("listen for a worker of the demo cluster %s: %w", name, err)
		}
		d.listeners = append(d.listeners, listener)
		ids = append(ids, listener.Addr().String())
		cluster.URLs = append(cluster.URLs, "http://"+listener.Addr().String())
	}
	cluster.Cluster = NewCluster(Options{
		Version: version, Workers: ids, Now: d.Now,
		RebalanceDelay: 2 * time.Minute, StartupTime: 4 * time.Second,
	})
	d.Clusters = append(d.Clusters, cluster)
	return nil
}

// Run serves the workers and lets time go on until ctx ends; then it stops all
// of it and returns nil. An error says which worker could not be served. Run can
// be called once.
func (d *Demo) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ticks := d.options.Ticks
	if ticks == nil {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		ticks = ticker.C
	}
	var serving sync.WaitGroup
	var servers []*http.Server
	listeners := d.listeners
	for _, cluster := range d.Clusters {
		for _, id := range cluster.Workers() {
			server := &http.Server{
				Handler:           cluster.Handler(id),
				ReadHeaderTimeout: 10 * time.Second,
				BaseContext:       func(net.Listener) context.Context { return ctx },
				ErrorLog:          log.New(io.Discard, "", 0),
			}
			listener := listeners[len(servers)]
			servers = append(servers, server)
			serving.Go(func() {
				if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
					cancel(fmt.Errorf("serve worker %s of the demo cluster %s: %w", id, cluster.Name, err))
				}
			})
		}
	}
	for ctx.Err() == nil {
		select {
		case <-ticks:
			d.Advance(d.options.Step)
		case <-ctx.Done():
		}
	}
	for _, server := range servers {
		stop(context.WithoutCancel(ctx), server)
	}
	serving.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// stop waits for answers to end, which they do as their context has ended, and
// cuts off those whose client does not read.
func stop(ctx context.Context, server *http.Server) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close()
	}
}

// Close stops listening, for a demo that is not run.
func (d *Demo) Close() error {
	var errs []error
	for _, listener := range d.listeners {
		errs = append(errs, listener.Close())
	}
	return errors.Join(errs...)
}

// Cluster returns the cluster of a name. It panics if there is none.
func (d *Demo) Cluster(name string) *Cluster {
	for _, cluster := range d.Clusters {
		if cluster.Name == name {
			return cluster.Cluster
		}
	}
	panic(fmt.Sprintf("connecttest: no demo cluster %q", name))
}

// Now is the demo's clock.
func (d *Demo) Now() time.Time {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.now
}

// Advance lets time go on, with everything that is to happen in it, in order.
func (d *Demo) Advance(by time.Duration) {
	for end := d.Now().Add(by); ; {
		happens := d.next(end)
		if happens == nil {
			return
		}
		happens()
	}
}

// next moves the clock to the next event up to end and returns what happens
// then; with none left it moves the clock to end and returns nil.
func (d *Demo) next(end time.Time) func() {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if len(d.agenda) == 0 || d.agenda[0].at.After(end) {
		d.now = end
		return nil
	}
	happens := d.agenda[0]
	d.agenda = d.agenda[1:]
	d.now = happens.at
	return happens.do
}

// After lets something happen when the demo's clock is further.
func (d *Demo) After(wait time.Duration, do func()) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.agenda = schedule(d.agenda, event{d.now.Add(wait), do})
}

// between is a time by chance, in whole seconds.
func (d *Demo) between(least, most time.Duration) time.Duration {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return least + time.Duration(d.chance.Int64N(int64((most-least)/time.Second)+1))*time.Second
}

// pick is a number below n by chance.
func (d *Demo) pick(n int) int {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.chance.IntN(n)
}

// again lets something happen now and then, for ever.
func (d *Demo) again(least, most time.Duration, do func()) {
	d.After(d.between(least, most), func() {
		do()
		d.again(least, most, do)
	})
}

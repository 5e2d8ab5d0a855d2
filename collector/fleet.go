package collector

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// A Cluster is one cluster to be watched.
type Cluster struct {
	// Name is the value of the label connect_cluster; unique in a Fleet, valid
	// UTF-8 and not empty.
	Name     string
	Provider connect.Provider
	// Observer looks at it. The fleet closes it.
	Observer connect.Observer
}

// FleetOptions configure a Fleet.
type FleetOptions struct {
	// SnapshotMaxAge is how old a result may be to be given again; 0 shares
	// only looks that are still under way.
	SnapshotMaxAge time.Duration
	// Timeout is the deadline of a look whose caller has none; 10 s if zero.
	Timeout time.Duration
	// Instruments record the looks; nil records nothing.
	Instruments *Instruments
	// Logger is told when a cluster's health changes; nil discards.
	Logger *slog.Logger
}

// defaultTimeout is Prometheus's default scrape_timeout.
const defaultTimeout = 10 * time.Second

// A Fleet watches many clusters. Each has a flight at most: one look that all
// who ask meanwhile wait for together.
type Fleet struct {
	options FleetOptions
	ctx     context.Context // ends with the fleet
	cancel  context.CancelFunc
	maxAge  atomic.Int64 // SnapshotMaxAge, which may change, in nanoseconds

	mu       sync.RWMutex
	clusters []*coalescer
}

// NewFleet returns a fleet of the clusters. It looks at none of them by itself.
func NewFleet(clusters []Cluster, options FleetOptions) *Fleet {
	if options.Timeout <= 0 {
		options.Timeout = defaultTimeout
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Fleet{options: options}
	f.SetSnapshotMaxAge(options.SnapshotMaxAge)
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.Replace(clusters)
	return f
}

// Replace makes these the fleet's clusters. One that was there with the same
// name, provider and Observer goes on with what is known of it; the others are
// let go and their observers closed, without waiting for looks under way.
func (f *Fleet) Replace(clusters []Cluster) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := make(map[Cluster]*coalescer, len(f.clusters))
	for _, c := range f.clusters {
		before[c.Cluster] = c
	}
	f.clusters = make([]*coalescer, 0, len(clusters))
	names := make([]string, 0, len(clusters))
	for _, cluster := range clusters {
		c := before[cluster]
		if c == nil {
			c = newCoalescer(f, cluster)
		}
		delete(before, cluster)
		f.clusters = append(f.clusters, c)
		names = append(names, cluster.Name)
	}
	f.options.Instruments.setClusters(names)
	for _, c := range before {
		c.close()
	}
}

// SetSnapshotMaxAge changes [FleetOptions].SnapshotMaxAge from the next look on.
func (f *Fleet) SetSnapshotMaxAge(age time.Duration) { f.maxAge.Store(int64(age)) }

// Names returns the clusters' names in the configured order.
func (f *Fleet) Names() []string {
	all := f.list()
	names := make([]string, len(all))
	for i, c := range all {
		names[i] = c.Name
	}
	return names
}

// list returns the clusters of these names in the configured order, all if
// there are none.
func (f *Fleet) list(names ...string) []*coalescer {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if len(names) == 0 {
		return f.clusters // Replaced as a whole, never changed.
	}
	wanted := make(map[string]bool, len(names))
	for _, name := range names {
		wanted[name] = true
	}
	var some []*coalescer
	for _, c := range f.clusters {
		if wanted[c.Name] {
			some = append(some, c)
		}
	}
	return some
}

// Observe looks at the named clusters at once, at all if there are none, and
// returns their views in the configured order; names that are not configured
// are left out. It returns by ctx's deadline, whatever a cluster does: one that
// is late is a view with an error that wraps [connect.Timeout].
func (f *Fleet) Observe(ctx context.Context, names ...string) []View {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.options.Timeout)
		defer cancel()
	}
	clusters := f.list(names...)
	views := make([]View, len(clusters))
	var wait sync.WaitGroup
	for i, c := range clusters {
		wait.Go(func() { views[i] = c.observe(ctx) })
	}
	wait.Wait()
	return views
}

// Last returns the last view of each cluster in the configured order, and asks
// no cluster. A cluster that was not looked at yet has a View whose At is zero.
func (f *Fleet) Last() []View {
	clusters := f.list()
	views := make([]View, len(clusters))
	for i, c := range clusters {
		views[i] = c.lastView()
	}
	return views
}

// Close cancels the looks under way, closes all observers and waits for them to
// end. An observer that does not end within a second is closed when it does.
func (f *Fleet) Close() {
	f.cancel()
	var wait sync.WaitGroup
	for _, c := range f.list() {
		wait.Go(func() { awaitClosed(c) })
	}
	wait.Wait()
}

func awaitClosed(c *coalescer) {
	ended := c.close()
	timer := time.NewTimer(endPatience)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	}
}

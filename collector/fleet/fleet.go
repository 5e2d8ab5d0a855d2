package fleet

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// A Cluster is one cluster to be watched.
type Cluster struct {
	// Name is the value of the label connect_cluster; unique in a Fleet, valid
	// UTF-8 and not empty.
	Name     string
	Provider connect.Provider
	// Labels stand on all series of the cluster.
	Labels map[string]string
	// ExpectedWorkers is how many workers it should have, 0 if that is not known.
	ExpectedWorkers int
	// Observer takes its snapshots. The fleet closes it.
	Observer connect.Observer
	// Renew makes another Observer of the same cluster, for when a call to the one
	// before does not return; nil if there is no way to.
	Renew func() (connect.Observer, error)
}

// Options configure a Fleet.
type Options struct {
	// SnapshotMaxAge is how old a result may be to be given again; 0 shares
	// only snapshots that are still under way.
	SnapshotMaxAge time.Duration
	// Timeout is the deadline of a snapshot whose caller has none; 10 s if zero.
	Timeout time.Duration
	// Recorder is told of what the fleet does; nil records nothing.
	Recorder Recorder
	// Logger is told when a cluster's health changes; nil discards.
	Logger *slog.Logger
}

// A Recorder is told of what a fleet does, by several goroutines at once.
type Recorder interface {
	// Configured says which clusters there are from now on.
	Configured(clusters []series.Identity)
	// Request is an API call that has ended.
	Request(cluster string, r connect.Request)
	// Snapshot is one that has ended.
	Snapshot(r *series.Result)
}

// nobody records nothing.
type nobody struct{}

func (nobody) Configured([]series.Identity)    {}
func (nobody) Request(string, connect.Request) {}
func (nobody) Snapshot(*series.Result)         {}

// defaultTimeout is Prometheus's default scrape_timeout.
const defaultTimeout = 10 * time.Second

// A Fleet watches many clusters. Each has a flight at most: one snapshot that
// all who ask meanwhile wait for together.
type Fleet struct {
	options Options
	ctx     context.Context // ends with the fleet
	cancel  context.CancelFunc
	maxAge  atomic.Int64 // SnapshotMaxAge, which may change, in nanoseconds
	hung    atomic.Int64 // calls that were left behind and have not returned

	mu       sync.RWMutex
	clusters []*coalescer
}

// New returns a fleet of the clusters. It asks none of them by itself.
func New(clusters []Cluster, options Options) *Fleet {
	options.Timeout = cmp.Or(options.Timeout, defaultTimeout)
	options.Logger = cmp.Or(options.Logger, slog.New(slog.DiscardHandler))
	if options.Recorder == nil {
		options.Recorder = nobody{}
	}
	f := &Fleet{options: options}
	f.SetSnapshotMaxAge(options.SnapshotMaxAge)
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.Replace(clusters)
	return f
}

// Replace makes these the fleet's clusters. One that was there with the same
// name, provider and Observer goes on with what is known of it, one with the same
// name and provider with what was counted. The others are let go: who waits for a
// snapshot of one gets it, then its Observer is closed.
func (f *Fleet) Replace(clusters []Cluster) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := make(map[string]*coalescer, len(f.clusters))
	for _, c := range f.clusters {
		before[c.Name] = c
	}
	f.clusters = make([]*coalescer, 0, len(clusters))
	identities := make([]series.Identity, 0, len(clusters))
	for _, cluster := range clusters {
		c := before[cluster.Name]
		if c == nil || c.Provider != cluster.Provider || c.Observer != cluster.Observer {
			c = newCoalescer(f, cluster, c)
		} else {
			delete(before, cluster.Name)
			c.configure(cluster)
		}
		f.clusters = append(f.clusters, c)
		identities = append(identities, series.Identity{Cluster: cluster.Name, Labels: series.SortedLabels(cluster.Labels)})
	}
	f.options.Recorder.Configured(identities)
	for _, c := range before {
		c.remove(false)
	}
}

// SetSnapshotMaxAge changes [Options].SnapshotMaxAge from the next snapshot on.
func (f *Fleet) SetSnapshotMaxAge(age time.Duration) { f.maxAge.Store(int64(age)) }

func (f *Fleet) snapshotMaxAge() time.Duration { return time.Duration(f.maxAge.Load()) }

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

// Observe takes a snapshot of the named clusters at once, of all if there are
// none, and returns their results in the configured order; names that are not
// configured, or no longer when it is their turn, are left out. It returns by
// ctx's deadline, whatever a cluster does: one that is late is a result with an
// error that wraps [connect.Timeout].
func (f *Fleet) Observe(ctx context.Context, names ...string) []series.Result {
	return f.observe(ctx, names, true)
}

// Refresh is Observe for somebody who does not come regularly: how long he waits
// says nothing of how long a snapshot may take.
func (f *Fleet) Refresh(ctx context.Context, names ...string) []series.Result {
	return f.observe(ctx, names, false)
}

func (f *Fleet) observe(ctx context.Context, names []string, scrapes bool) []series.Result {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.options.Timeout)
		defer cancel()
	}
	clusters := f.list(names...)
	caller, cancel := newCaller(ctx, scrapes)
	defer cancel()
	results := make([]series.Result, len(clusters))
	watched := make([]bool, len(clusters))
	var wait sync.WaitGroup
	for i, c := range clusters {
		wait.Go(func() {
			for c != nil && !watched[i] {
				results[i], watched[i] = c.observe(caller)
				if !watched[i] {
					c = f.successor(c)
				}
			}
		})
	}
	wait.Wait()
	kept := results[:0]
	for i := range results {
		if watched[i] {
			kept = append(kept, results[i])
		}
	}
	return kept
}

// successor returns the cluster that has taken the place of one that was removed,
// nil if there is none.
func (f *Fleet) successor(removed *coalescer) *coalescer {
	if f.ctx.Err() != nil {
		return nil
	}
	for _, c := range f.list(removed.Name) {
		if c != removed {
			return c
		}
	}
	return nil
}

// Last returns the last result of each cluster in the configured order, and asks
// no cluster. A cluster that was not asked yet has a series.Result whose At is zero.
func (f *Fleet) Last() []series.Result {
	clusters := f.list()
	results := make([]series.Result, len(clusters))
	for i, c := range clusters {
		results[i] = c.lastResult()
	}
	return results
}

// Close cancels the snapshots under way, closes all observers and waits for them to
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
	ended := c.remove(true)
	timer := time.NewTimer(endPatience)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	}
}

package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/exposition"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/fleet"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/self"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/discovery/kubernetes"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/safefile"
	"github.com/prometheus/common/version"
)

// watch is the fleet and the configuration that it follows.
type watch struct {
	options     Options
	fleet       *fleet.Fleet
	self        *self.Metrics
	instruments *self.Instruments
	current     atomic.Pointer[loaded]

	// mu is held while the configuration is replaced.
	mu       sync.Mutex
	clusters clusters
	finder   *discoverer
	pushing  pushing
}

// loaded is what holds until the next reload.
type loaded struct {
	config   *config.Config
	renderer *exposition.Renderer
}

// newWatch loads the configuration for the first time.
func newWatch(ctx context.Context, o Options, self *self.Metrics) (*watch, error) {
	o.Sources.InstanceID = cmp.Or(o.Sources.InstanceID, uuid.NewString())
	w := &watch{options: o, self: self, instruments: self.Instruments()}
	cfg, err := config.Load(o.Sources)
	if err != nil {
		return nil, err
	}
	if w.finder, err = w.find(cfg); err != nil {
		return nil, err
	}
	wishes := w.finder.wishes(cfg)
	if w.clusters, err = clusters(nil).follow(wishes, o.Logger); err != nil {
		w.finder.stop()
		return nil, err
	}
	w.fleet = fleet.New(w.clusters.list(wishes), fleet.Options{
		SnapshotMaxAge: cfg.SnapshotMaxAge(), Timeout: scrapeLimit, Recorder: w.instruments, Logger: o.Logger,
	})
	w.use(cfg)
	if w.pushing, err = w.pushing.follow(cfg, w); err != nil {
		w.finder.stop()
		w.fleet.Close()
		return nil, err
	}
	w.follow(w.finder)
	return w, nil
}

// find begins to look for clusters where the configuration says, unless that is
// looked at already.
func (w *watch) find(cfg *config.Config) (*discoverer, error) {
	if w.finder != nil && w.finder.settings.Same(cfg.Discovery()) {
		return w.finder, nil
	}
	return newDiscoverer(cfg.Discovery(), version.Version, w.instruments, w.options.Logger)
}

// follow takes over what a discoverer finds from now on.
func (w *watch) follow(finder *discoverer) {
	if finder == nil {
		return
	}
	w.instruments.Discovering(finder.state, kubernetes.Reasons()...)
	go finder.run(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.finder != finder {
			return // A reload has replaced it.
		}
		wishes := finder.wishes(w.current.Load().config)
		next, err := w.clusters.follow(wishes, w.options.Logger)
		if err != nil {
			w.options.Logger.Error("clusters that were found cannot be watched", "err", err)
			return
		}
		w.clusters = next
		w.fleet.Replace(next.list(wishes))
	})
}

// close ends the push, then the fleet that it sends of.
func (w *watch) close(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.finder.stop()
	w.pushing.stop(ctx, w)
	w.fleet.Close()
}

// use makes cfg the one that holds.
func (w *watch) use(cfg *config.Config) {
	for _, warning := range cfg.Warnings() {
		w.options.Logger.Warn("The configuration is accepted, but hardly meant so", "warning", warning)
	}
	w.current.Store(&loaded{cfg, exposition.NewRenderer(exposition.Options{AllStates: cfg.StateSeriesAll()})})
	w.instruments.Reloaded(true, time.Now())
}

// reload loads the configuration again. Clusters whose settings are as before
// keep what is known of them and their connections. An error changes nothing.
func (w *watch) reload(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.load(ctx); err != nil {
		w.instruments.Reloaded(false, time.Now())
		w.options.Logger.Error("The configuration was not reloaded, the one before goes on", "err", err)
		return err
	}
	w.options.Logger.Info("The configuration was reloaded", "clusters", len(w.clusters))
	return nil
}

// load makes everything that the configuration wants anew before it takes any of
// it into use.
func (w *watch) load(ctx context.Context) error {
	cfg, err := config.Load(w.options.Sources)
	if err != nil {
		return err
	}
	finder, err := w.find(cfg)
	if err != nil {
		return err
	}
	if finder != nil && finder != w.finder {
		finder.before = found(w.finder.wishes(w.current.Load().config))
	}
	abandon := func() {
		if finder != w.finder {
			finder.stop()
		}
	}
	wishes := finder.wishes(cfg)
	next, err := w.clusters.follow(wishes, w.options.Logger)
	if err != nil {
		abandon()
		return err
	}
	pushing, err := w.pushing.follow(cfg, w)
	if err != nil {
		abandon()
		next.closeBut(w.clusters)
		return err
	}
	w.clusters = next
	w.fleet.Replace(next.list(wishes))
	w.fleet.SetSnapshotMaxAge(cfg.SnapshotMaxAge())
	w.use(cfg)
	if finder != w.finder {
		w.finder.stop()
		w.finder = finder
		w.instruments.Discovering(nil)
		w.follow(finder)
	}
	if pushing != w.pushing {
		w.pushing.stop(ctx, w)
		w.pushing = pushing
	}
	return nil
}

// run reloads when it is asked to or a file has changed, until ctx ends or a
// server fails.
func (w *watch) run(ctx context.Context, failed <-chan error) error {
	var tick <-chan time.Time
	if w.options.AutoReload > 0 {
		ticker := time.NewTicker(w.options.AutoReload)
		defer ticker.Stop()
		tick = ticker.C
	}
	seen := checksum(w.current.Load().config.Files())
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-w.options.Hangup:
			_ = w.reload(ctx) // It has said what is wrong.
		case <-tick:
			if now := checksum(w.current.Load().config.Files()); now != seen {
				_ = w.reload(ctx)
				// A configuration may name other files than the one before.
				seen = checksum(w.current.Load().config.Files())
			}
		}
	}
}

// checksum is of the content of all files, wherever their names may lead: a
// Kubernetes ConfigMap is swapped by a symbolic link. A file that cannot be read
// counts as an empty one.
func checksum(files []string) (sum [sha256.Size]byte) {
	hash := sha256.New()
	for _, name := range files {
		content, _ := safefile.Read(name, safefile.MaxConfig)
		digest := sha256.Sum256(content)
		hash.Write(digest[:])
	}
	hash.Sum(sum[:0])
	return sum
}

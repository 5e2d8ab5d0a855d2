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
	"github.com/kafka-connect-exporter/kafka-connect-exporter/safefile"
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
	if w.clusters, err = clusters(nil).follow(cfg, o.Logger); err != nil {
		return nil, err
	}
	w.fleet = fleet.New(w.clusters.list(cfg), fleet.Options{
		SnapshotMaxAge: cfg.SnapshotMaxAge(), Timeout: scrapeLimit, Recorder: w.instruments, Logger: o.Logger,
	})
	w.use(cfg)
	if w.pushing, err = w.pushing.follow(cfg, w); err != nil {
		w.fleet.Close()
		return nil, err
	}
	return w, nil
}

// close ends the push, then the fleet that it sends of.
func (w *watch) close(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
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
	next, err := w.clusters.follow(cfg, w.options.Logger)
	if err != nil {
		return err
	}
	pushing, err := w.pushing.follow(cfg, w)
	if err != nil {
		next.closeBut(w.clusters)
		return err
	}
	w.clusters = next
	w.fleet.Replace(next.list(cfg))
	w.fleet.SetSnapshotMaxAge(cfg.SnapshotMaxAge())
	w.use(cfg)
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

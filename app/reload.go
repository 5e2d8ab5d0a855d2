package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/common/version"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/exposition"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/fleet"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/self"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/discovery/kubernetes"
)

const (
	// loadLimit bounds how long the files of a configuration may take to be read,
	// wherever they are mounted from.
	loadLimit = 15 * time.Second
	// minSettle and maxSettle bound for how long files that have changed must stay
	// as they are before they are taken for whole; between them it is the interval
	// at which they are checked.
	minSettle, maxSettle = 2 * time.Second, 5 * time.Second
	// maxReadings is how many readings of files may hang before no more are begun.
	maxReadings = 16
)

// watch is the fleet and the configuration that it is reconciled with.
type watch struct {
	options     Options
	fleet       *fleet.Fleet
	self        *self.Metrics
	instruments *self.Instruments
	current     atomic.Pointer[loaded]
	// ready is set when the clusters with startup_validation have answered.
	ready atomic.Bool

	// busy is full while the configuration is replaced. It is a channel so that
	// waiting for it can end. It guards what follows.
	busy     chan struct{}
	clusters clusters
	finder   *discoverer
	pushing  pushing
	// read is what the files held when the configuration was last loaded, or
	// could not be; failure is why it could not be, nil if it was.
	read    contents
	failure error
	// reading has room for readings of files that go on, those that hang included.
	reading chan struct{}
}

// loaded is what holds until the next reload.
type loaded struct {
	config   *config.Config
	renderer *exposition.Renderer
}

// newWatch loads the configuration for the first time.
func newWatch(ctx context.Context, o Options, own *self.Metrics) (*watch, error) {
	o.Sources.InstanceID = cmp.Or(o.Sources.InstanceID, uuid.NewString())
	w := &watch{options: o, self: own, instruments: own.Instruments(), busy: make(chan struct{}, 1), reading: make(chan struct{}, maxReadings)}
	var files []string
	if o.Sources.File != "" {
		files = []string{o.Sources.File}
	}
	cfg, read, err := w.readConfig(ctx, files)
	w.read = read
	if err != nil {
		return nil, err
	}
	if w.finder, err = w.find(cfg); err != nil {
		return nil, err
	}
	wishes := w.finder.wishes(cfg)
	if w.clusters, err = clusters(nil).reconcile(wishes, o.Logger); err != nil {
		w.finder.stop()
		return nil, err
	}
	w.fleet = fleet.New(w.clusters.list(wishes), fleet.Options{
		SnapshotMaxAge: cfg.SnapshotMaxAge, Timeout: scrapeLimit, Recorder: w.instruments, Logger: o.Logger,
	})
	w.tell()
	w.apply(cfg)
	if w.pushing, err = w.pushing.reconcile(cfg, w); err != nil {
		w.finder.stop()
		w.fleet.Close()
		return nil, err
	}
	w.follow(w.finder)
	return w, nil
}

// readConfig loads the configuration, and reads what the files held that it names
// and the others: before it is loaded, so that one that changes meanwhile has
// changed since. On an error there are the others alone, or nothing.
func (w *watch) readConfig(ctx context.Context, others []string) (*config.Config, contents, error) {
	type result struct {
		config *config.Config
		read   contents
		err    error
	}
	r, err := within(ctx, w.reading, func() result {
		read := contentsOf(others)
		cfg, err := w.options.load(w.options.Sources)
		if err == nil {
			read = read.with(cfg.Files)
		}
		return result{cfg, read, err}
	})
	if err != nil {
		return nil, nil, err
	}
	return r.config, r.read, r.err
}

// within reads files until ctx ends, and not for ever: they may be on something
// that hangs. What hangs is left behind, and takes its place until it returns.
func within[T any](ctx context.Context, places chan struct{}, read func() T) (result T, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, loadLimit,
		fmt.Errorf("reading the configuration takes more than %s: check what its files are mounted from", loadLimit))
	defer cancel()
	select {
	case places <- struct{}{}:
	case <-ctx.Done():
		return result, context.Cause(ctx)
	}
	done := make(chan T, 1)
	go func() {
		defer func() { <-places }()
		done <- read()
	}()
	select {
	case result = <-done:
		return result, nil
	case <-ctx.Done():
		return result, context.Cause(ctx)
	}
}

// find begins to search for clusters where the configuration says, unless it has
// begun already.
func (w *watch) find(cfg *config.Config) (*discoverer, error) {
	if w.finder != nil && w.finder.settings.Same(cfg.Discovery) {
		return w.finder, nil
	}
	return newDiscoverer(cfg.Discovery, version.Version, w.options.apiTimeout, w.instruments, w.options.Logger)
}

// follow takes over what a discoverer finds from now on.
func (w *watch) follow(finder *discoverer) {
	if finder == nil {
		return
	}
	w.instruments.Discovering(finder.state, kubernetes.Reasons()...)
	go finder.run(func() {
		select {
		case w.busy <- struct{}{}:
			defer func() { <-w.busy }()
		case <-finder.ctx.Done():
			return
		}
		if w.finder != finder {
			return // A reload has replaced it.
		}
		wishes := finder.wishes(w.current.Load().config)
		next, err := w.clusters.reconcile(wishes, w.options.Logger)
		if err != nil {
			w.options.Logger.Error("clusters that were found cannot be watched", "err", err)
			return
		}
		w.observe(next, wishes)
		w.options.Logger.Debug("what was found is watched", "clusters", len(next))
	})
}

// observe has other clusters observed from now on.
func (w *watch) observe(next clusters, wishes []wish) {
	w.clusters = next
	w.fleet.Replace(next.list(wishes))
	w.tell()
}

// tell says whether brokers are read.
func (w *watch) tell() {
	if w.options.Brokers != nil {
		w.options.Brokers(w.clusters.brokered())
	}
}

// close ends the push, then the fleet that it sends of.
func (w *watch) close(ctx context.Context) {
	w.settleDown(ctx)
	w.fleet.Close()
}

// settleDown ends what changes the clusters, and the push once it has sent what
// there is, by the end of ctx. Nothing is reloaded any more.
func (w *watch) settleDown(ctx context.Context) {
	select {
	case w.busy <- struct{}{}:
		w.finder.stop()
		w.pushing.stop(ctx, w)
	case <-ctx.Done():
	}
}

// apply makes cfg the one that holds.
func (w *watch) apply(cfg *config.Config) {
	for _, warning := range cfg.Warnings {
		w.options.Logger.Warn("the configuration is accepted, but hardly meant so", "warning", warning)
	}
	w.current.Store(&loaded{cfg, exposition.NewRenderer(exposition.Options{AllStates: cfg.StateSeriesAll})})
	w.instruments.Reloaded(true, time.Now())
}

// reload loads the configuration again. Clusters whose settings are as before
// keep what is known of them and their connections. An error changes nothing.
func (w *watch) reload(ctx context.Context) error { return w.replace(ctx, false) }

// replace is reload. An error that was told already is not told again by a retry.
func (w *watch) replace(ctx context.Context, retry bool) error {
	select {
	case w.busy <- struct{}{}:
		defer func() { <-w.busy }()
	case <-ctx.Done():
		return errStopping
	}
	told := w.failure
	err := w.load(ctx)
	w.failure = err
	switch {
	case err == nil:
		w.options.Logger.Info("configuration reloaded", "clusters", len(w.clusters))
	case ctx.Err() != nil:
		return errStopping
	case retry && told != nil && told.Error() == err.Error():
	default:
		w.instruments.Reloaded(false, time.Now())
		w.options.Logger.Error("configuration not reloaded, the one before goes on", "err", err)
	}
	return err
}

// errStopping is why nothing is reloaded any more.
var errStopping = errors.New("the exporter is stopping")

// load makes everything that the configuration wants anew before it applies any
// of it.
func (w *watch) load(ctx context.Context) error {
	cfg, read, err := w.readConfig(ctx, w.current.Load().config.Files)
	if read != nil {
		w.read = read
	}
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
	next, err := w.clusters.reconcile(wishes, w.options.Logger)
	if err != nil {
		abandon()
		return err
	}
	pushing, err := w.pushing.reconcile(cfg, w)
	if err != nil {
		abandon()
		next.closeBut(w.clusters)
		return err
	}
	w.observe(next, wishes)
	w.fleet.SetSnapshotMaxAge(cfg.SnapshotMaxAge)
	w.apply(cfg)
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

// run reloads when it is asked to, or a file has changed, until ctx ends.
func (w *watch) run(ctx context.Context) {
	var group sync.WaitGroup
	defer group.Wait()
	if w.options.AutoReload > 0 {
		group.Go(func() { w.watchFiles(ctx) })
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.options.Hangup:
			_ = w.reload(ctx) // It has said what is wrong.
		}
	}
}

// watchFiles reloads when a file has changed since the configuration was last
// loaded, for whatever reason that was, and has stayed so for a while: until
// then it may be half written. What could not be loaded is tried again: it may
// name a file that comes later.
func (w *watch) watchFiles(ctx context.Context) {
	settle := min(max(w.options.AutoReload, minSettle), maxSettle)
	var unsettled contents // what a changed file held at the last check
	for pause := w.options.AutoReload; ; {
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		now, changed, failed := w.changed(ctx)
		switch {
		case !changed && failed:
			_ = w.replace(ctx, true)
			unsettled, pause = nil, w.options.AutoReload
		case !changed:
			unsettled, pause = nil, w.options.AutoReload
		case unsettled == nil || !maps.Equal(unsettled, now):
			unsettled, pause = now, settle
		default:
			_ = w.reload(ctx) // It has said what is wrong.
			unsettled, pause = nil, w.options.AutoReload
		}
	}
}

// changed tells what the files hold, whether that is not what was loaded, and
// whether that could not be loaded.
func (w *watch) changed(ctx context.Context) (now contents, changed, failed bool) {
	select {
	case w.busy <- struct{}{}:
		defer func() { <-w.busy }()
	case <-ctx.Done():
		return nil, false, false
	}
	names := slices.Collect(maps.Keys(w.read))
	now, err := within(ctx, w.reading, func() contents { return contentsOf(names) })
	if err != nil {
		return nil, false, w.failure != nil // Nothing is known of them now.
	}
	return now, !maps.Equal(now, w.read), w.failure != nil
}

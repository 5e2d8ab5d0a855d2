// Package app is the wiring: it makes observers of configured clusters, a fleet
// of observers, and serves what the fleet sees. [Run] is the whole program in
// one call, as main starts it and as tests start it.
package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/version"
	toolkit "github.com/prometheus/exporter-toolkit/web"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/exposition"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/fleet"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/self"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/web"
)

const (
	// scrapeLimit bounds a scrape whose scraper names no timeout, or a longer
	// one.
	scrapeLimit = time.Minute
	// stopLimit is for how long all that is under way may go on after the program
	// was told to stop, scrapes and the last export together: with the second
	// that observers have to notice, it is less than the 30 s that Kubernetes
	// waits before it kills.
	stopLimit = 18 * time.Second
	// validationLimit bounds startup_validation.
	validationLimit = 30 * time.Second
)

// Options are what the program is started with.
type Options struct {
	// Sources of the configuration.
	Sources config.Sources
	// ListenAddresses to serve on, host:port; port 0 takes a free one.
	ListenAddresses []string
	// AdminAddresses likewise for reload, configuration, debugging pages and
	// profiles; if there are none, the ListenAddresses serve these too.
	AdminAddresses []string
	// WebConfigFile and AdminConfigFile turn on TLS and authentication on the
	// ListenAddresses and the AdminAddresses, see exporter-toolkit; "" serves plain
	// HTTP.
	WebConfigFile, AdminConfigFile string
	// Web holds what is said of the HTTP side by flags: TelemetryPath,
	// MaxRequests, TimeoutOffset, EnableLifecycle, EnablePprof, ExternalURLs and
	// TrustedProxies. The other fields are set by [Run].
	Web    web.Options
	Logger *slog.Logger
	// LogLinesDropped is how many lines Logger has dropped; nil is none.
	LogLinesDropped func() uint64
	// Hangup asks for a reload (SIGHUP); nil never does.
	Hangup <-chan os.Signal
	// AutoReload is how often the files of the configuration are checked, to
	// reload when their content has changed; 0 is never.
	AutoReload time.Duration
	// Ready is called once with the addresses served on, those for administrators
	// last, when every cluster with startup_validation has answered; it may be
	// nil.
	Ready func([]net.Addr)

	// Brokers is told whether the brokers behind any cluster are read, at the start and
	// when the clusters have changed; it may be nil.
	Brokers func(bool)

	// For tests: stopLimit unless 0, the timeout of the API server's calls unless 0,
	// and [config.Load] unless nil.
	stopLimit, apiTimeout time.Duration
	load                  func(config.Sources) (*config.Config, error)
}

// errStarting is why the exporter is not ready before startup_validation is
// over.
var errStarting = errors.New("waiting for the clusters with startup_validation")

// Run is the program: it serves until ctx ends, then lets what is under way finish
// within stopLimit and returns nil. An error says why it could not start or go on.
func Run(ctx context.Context, o Options) error {
	if o.load == nil {
		o.load = config.Load
	}
	for flag, file := range map[string]string{"--web.config.file": o.WebConfigFile, "--web.admin-config.file": o.AdminConfigFile} {
		if err := checkWebConfig(flag, file); err != nil {
			return err
		}
	}
	if o.AdminConfigFile != "" && len(o.AdminAddresses) == 0 {
		return errors.New("--web.admin-config.file is for --web.admin-address, which is not set")
	}
	own, err := self.New(self.Options{Version: version.Version, LogLinesDropped: o.LogLinesDropped})
	if err != nil {
		return err
	}
	defer func() { _ = own.Shutdown(context.WithoutCancel(ctx)) }()
	w, err := newWatch(ctx, o, own)
	if err != nil {
		if ctx.Err() != nil {
			return nil // It was told to stop.
		}
		return err
	}
	server, err := w.serve(ctx)
	if err != nil {
		w.close(context.WithoutCancel(ctx))
		return err
	}

	// From here on a change of the configuration is not missed.
	watching, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() { w.run(watching) })
	if err = validate(ctx, w.current.Load().config, w.fleet); err == nil && ctx.Err() == nil {
		w.ready.Store(true)
		if o.Ready != nil {
			o.Ready(server.addresses())
		}
		select {
		case <-ctx.Done():
		case err = <-server.failed:
		}
	}
	o.Logger.Info("stopping")
	cancel()
	group.Wait()
	// One budget for all: the last export is sent while scrapes end.
	stopping, stopped := context.WithTimeout(context.WithoutCancel(ctx), cmp.Or(o.stopLimit, stopLimit))
	defer stopped()
	group.Go(func() { w.settleDown(stopping) })
	server.stop(stopping)
	group.Wait()
	w.fleet.Close()
	return err
}

// serve opens the addresses and serves on them.
func (w *watch) serve(ctx context.Context) (*servers, error) {
	o := w.options
	settings := o.Web
	settings.Fleet, settings.Self, settings.Logger = w.fleet, w.self, o.Logger
	settings.Renderer = func() *exposition.Renderer { return w.current.Load().renderer }
	settings.Config = func() []byte { return w.current.Load().config.Masked() }
	// A client that leaves does not stop a reload half-way.
	settings.Reload = func(context.Context) error { return w.reload(ctx) }
	settings.Ready = func() error {
		if !w.ready.Load() {
			return errStarting
		}
		return nil
	}
	settings.Limit = scrapeLimit
	settings.AdminApart = len(o.AdminAddresses) > 0
	settings.Hosts = ownNames(slices.Concat(o.ListenAddresses, o.AdminAddresses))
	settings.Version = "version " + cmp.Or(version.Version, "unknown")
	public, admin, err := web.New(settings)
	if err != nil {
		return nil, err
	}
	listeners, err := listen(ctx, "--web.listen-address", o.ListenAddresses)
	if err != nil {
		return nil, err
	}
	adminListeners, err := listen(ctx, "--web.admin-address", o.AdminAddresses)
	if err != nil {
		closeListeners(listeners)
		return nil, err
	}
	o.Logger.Info("starting", "version", version.Info(), "clusters", strings.Join(w.fleet.Names(), ","))
	s := &servers{failed: make(chan error, len(listeners)+len(adminListeners))}
	s.start(listeners, public, o.WebConfigFile, o.Logger)
	s.start(adminListeners, admin, o.AdminConfigFile, o.Logger)
	return s, nil
}

// ownNames are the names by which this machine, and what it listens on, is called.
func ownNames(addresses []string) []string {
	var names []string
	if name, err := os.Hostname(); err == nil {
		names = append(names, name)
	}
	for _, address := range addresses {
		if host, _, err := net.SplitHostPort(address); err == nil && host != "" {
			names = append(names, host)
		}
	}
	return names
}

// listen opens all addresses or none.
func listen(ctx context.Context, flag string, addresses []string) ([]net.Listener, error) {
	var listeners []net.Listener
	for _, address := range addresses {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			closeListeners(listeners)
			return nil, fmt.Errorf("%s %s: %w", flag, address, err)
		}
		listeners = append(listeners, listener)
	}
	return listeners, nil
}

func closeListeners(listeners []net.Listener) {
	for _, listener := range listeners {
		_ = listener.Close()
	}
}

// validate takes a snapshot of each cluster that asked for it and returns the
// first, in configured order, that does not answer.
func validate(ctx context.Context, cfg *config.Config, fleet *fleet.Fleet) error {
	var names []string
	origins := map[string]string{}
	for _, cluster := range cfg.Clusters {
		if cluster.StartupValidation {
			names = append(names, cluster.Name)
			origins[cluster.Name] = cluster.Origin
		}
	}
	if len(names) == 0 {
		return nil
	}
	validating, cancel := context.WithTimeout(ctx, validationLimit)
	defer cancel()
	for _, result := range fleet.Refresh(validating, names...) {
		if result.Err != nil && ctx.Err() == nil {
			return fmt.Errorf("startup validation of cluster %s (%s): %w", result.Cluster, origins[result.Cluster], result.Err)
		}
	}
	return nil
}

// servers are one HTTP server a listener, because exporter-toolkit changes the
// server that it is given.
type servers struct {
	list      []*http.Server
	listeners []net.Listener
	// failed carries the error of a server that ended by itself.
	failed chan error
	group  sync.WaitGroup
}

// start serves on more listeners.
func (s *servers) start(listeners []net.Listener, handler http.Handler, webConfigFile string, logger *slog.Logger) {
	s.listeners = append(s.listeners, listeners...)
	connections := newConnections(connectionsOf(descriptors()))
	for _, listener := range listeners {
		server := &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: 10 * time.Second,
			ReadTimeout:       30 * time.Second,
			// The slowest scrape, and time to send what it brought. What takes
			// long to write has deadlines of its own, see package web.
			WriteTimeout:   scrapeLimit + 30*time.Second,
			IdleTimeout:    2 * time.Minute,
			MaxHeaderBytes: 64 << 10,
			HTTP2: &http.HTTP2Config{
				MaxConcurrentStreams: 64,
				// No body is read: nothing need be kept for one.
				MaxReceiveBufferPerConnection: 64 << 10, MaxReceiveBufferPerStream: 64 << 10,
				WriteByteTimeout: 10 * time.Second,
			},
			ConnState: connections.changed,
			ErrorLog:  slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		}
		if webConfigFile != "" {
			files := &webFiles{path: webConfigFile, logger: logger}
			listener = guardedListener{listener, files}
			// By now exporter-toolkit has put its handler, which reads, before ours.
			server.BaseContext = func(net.Listener) context.Context {
				server.Handler = files.guard(server.Handler)
				return context.Background()
			}
		}
		s.list = append(s.list, server)
		s.group.Go(func() {
			err := toolkit.Serve(listener, server, &toolkit.FlagConfig{WebConfigFile: &webConfigFile}, logger)
			if !errors.Is(err, http.ErrServerClosed) {
				s.failed <- fmt.Errorf("serve %s: %w", listener.Addr(), err)
			}
		})
	}
}

func (s *servers) addresses() []net.Addr {
	addresses := make([]net.Addr, len(s.listeners))
	for i, listener := range s.listeners {
		addresses[i] = listener.Addr()
	}
	return addresses
}

// stop takes no new requests, lets those in flight finish, and cuts off what
// takes longer than ctx.
func (s *servers) stop(ctx context.Context) {
	var group sync.WaitGroup
	for _, server := range s.list {
		group.Go(func() {
			if server.Shutdown(ctx) != nil {
				_ = server.Close()
			}
		})
	}
	group.Wait()
	closeListeners(s.listeners) // They are open still if their server never began.
	s.group.Wait()
}

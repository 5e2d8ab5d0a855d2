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
	"strings"
	"sync"
	"sync/atomic"
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
	// stopLimit is how long requests in flight may go on after the program was
	// told to stop: less than the 30 s that Kubernetes waits before it kills.
	stopLimit = 20 * time.Second
	// validationLimit bounds startup_validation.
	validationLimit = 30 * time.Second
)

// Options are what the program is started with.
type Options struct {
	// Sources of the configuration.
	Sources config.Sources
	// ListenAddresses to serve on, host:port; port 0 takes a free one.
	ListenAddresses []string
	// WebConfigFile turns on TLS and authentication, see exporter-toolkit; ""
	// serves plain HTTP.
	WebConfigFile string
	// TelemetryPath, MaxRequests and TimeoutOffset are those of [web.Options].
	TelemetryPath string
	MaxRequests   int
	TimeoutOffset time.Duration
	Logger        *slog.Logger
	// Hangup asks for a reload (SIGHUP); nil never does.
	Hangup <-chan os.Signal
	// AutoReload is how often the files of the configuration are looked at, to
	// reload when their content has changed; 0 is never.
	AutoReload time.Duration
	// Ready is called once with the addresses served on, when every cluster with
	// startup_validation has answered; it may be nil.
	Ready func([]net.Addr)
}

// errStarting is why the exporter is not ready before startup_validation is
// over.
var errStarting = errors.New("waiting for the clusters with startup_validation")

// Run is the program: it serves until ctx ends, then lets requests in flight
// finish and returns nil. An error says why it could not start or go on.
func Run(ctx context.Context, o Options) error {
	if err := checkWebConfig(o.WebConfigFile); err != nil {
		return err
	}
	self, err := self.New(self.Options{Version: version.Version})
	if err != nil {
		return err
	}
	defer func() { _ = self.Shutdown(context.WithoutCancel(ctx)) }()
	w, err := newWatch(ctx, o, self)
	if err != nil {
		return err
	}
	defer w.close(context.WithoutCancel(ctx))

	var ready atomic.Bool
	handler, err := web.New(web.Options{
		Fleet:    w.fleet,
		Renderer: func() *exposition.Renderer { return w.current.Load().renderer },
		Self:     self,
		Config:   func() []byte { return w.current.Load().config.Masked() },
		Reload:   func(context.Context) error { return w.reload(ctx) },
		Ready: func() error {
			if !ready.Load() {
				return errStarting
			}
			return nil
		},
		TelemetryPath: o.TelemetryPath,
		Limit:         scrapeLimit,
		TimeoutOffset: o.TimeoutOffset,
		MaxRequests:   o.MaxRequests,
		Version:       "version " + cmp.Or(version.Version, "unknown"),
		Logger:        o.Logger,
	})
	if err != nil {
		return err
	}
	listeners, err := listen(ctx, o.ListenAddresses)
	if err != nil {
		return err
	}
	o.Logger.Info("Starting", "version", version.Info(), "clusters", strings.Join(w.fleet.Names(), ","))
	server := startServers(listeners, handler, o.WebConfigFile, o.Logger)
	if err = validate(ctx, w.current.Load().config, w.fleet); err == nil && ctx.Err() == nil {
		ready.Store(true)
		if o.Ready != nil {
			o.Ready(server.addresses())
		}
		err = w.run(ctx, server.failed)
	}
	o.Logger.Info("Stopping")
	server.stop(context.WithoutCancel(ctx))
	return err
}

// listen opens all addresses or none.
func listen(ctx context.Context, addresses []string) ([]net.Listener, error) {
	var listeners []net.Listener
	for _, address := range addresses {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			for _, opened := range listeners {
				_ = opened.Close()
			}
			return nil, fmt.Errorf("--web.listen-address %s: %w", address, err)
		}
		listeners = append(listeners, listener)
	}
	return listeners, nil
}

// validate looks at each cluster that asked for it and returns the first, in
// configured order, that does not answer.
func validate(ctx context.Context, cfg *config.Config, fleet *fleet.Fleet) error {
	var names []string
	origins := map[string]string{}
	for _, cluster := range cfg.Clusters() {
		if cluster.StartupValidation {
			names = append(names, cluster.Name)
			origins[cluster.Name] = cluster.Origin
		}
	}
	if len(names) == 0 {
		return nil
	}
	looking, cancel := context.WithTimeout(ctx, validationLimit)
	defer cancel()
	for _, view := range fleet.Refresh(looking, names...) {
		if view.Err != nil && ctx.Err() == nil {
			return fmt.Errorf("startup validation of cluster %s (%s): %w", view.Cluster, origins[view.Cluster], view.Err)
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

func startServers(listeners []net.Listener, handler http.Handler, webConfigFile string, logger *slog.Logger) *servers {
	s := &servers{listeners: listeners, failed: make(chan error, len(listeners))}
	for _, listener := range listeners {
		server := &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: 10 * time.Second,
			ReadTimeout:       30 * time.Second,
			// The slowest scrape, and time to send what it brought.
			WriteTimeout:   scrapeLimit + 30*time.Second,
			IdleTimeout:    2 * time.Minute,
			MaxHeaderBytes: 64 << 10,
			ErrorLog:       slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		}
		s.list = append(s.list, server)
		s.group.Go(func() {
			err := toolkit.Serve(listener, server, &toolkit.FlagConfig{WebConfigFile: &webConfigFile}, logger)
			if !errors.Is(err, http.ErrServerClosed) {
				s.failed <- fmt.Errorf("serve %s: %w", listener.Addr(), err)
			}
		})
	}
	return s
}

func (s *servers) addresses() []net.Addr {
	addresses := make([]net.Addr, len(s.listeners))
	for i, listener := range s.listeners {
		addresses[i] = listener.Addr()
	}
	return addresses
}

// stop takes no new requests, lets those in flight finish, and cuts off what
// takes too long.
func (s *servers) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	var group sync.WaitGroup
	for _, server := range s.list {
		group.Go(func() {
			if server.Shutdown(ctx) != nil {
				_ = server.Close()
			}
		})
	}
	group.Wait()
	for _, listener := range s.listeners {
		_ = listener.Close() // It is open still if its server never began.
	}
	s.group.Wait()
}

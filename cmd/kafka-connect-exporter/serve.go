package main

import (
	"context"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/app"
)

type serveCommand struct {
	sourceFlags
	ConfigCheck    bool          `name:"config.check" help:"Print the effective configuration, secrets masked, or what is wrong with it; then exit."`
	AutoReload     bool          `name:"config.enable-auto-reload" help:"Reload by itself when a file of the configuration has changed and stays so for some seconds."`
	ReloadInterval time.Duration `name:"config.auto-reload-interval" default:"30s" help:"How often --config.enable-auto-reload checks the files."`
	webFlags
	logFlags
}

// Help is shown by serve --help.
func (serveCommand) Help() string {
	return `Serves /metrics (every configured cluster), /probe?cluster=NAME (one of them), a status page on /, /sd (service discovery), /config, /-/healthy and /-/ready.

  kafka-connect-exporter serve --connect.url=http://connect:8083
  kafka-connect-exporter --config.file=clusters.yml --web.listen-address=127.0.0.1:10083
  kafka-connect-exporter --config.file=clusters.yml --config.check

SIGHUP reads the configuration again, and so does POST /-/reload with --web.enable-lifecycle; a wrong one changes nothing. SIGTERM lets the scrapes in flight end, then stops, within 20 seconds.

The status page, and what shows or changes the inside (/config, /-/reload, /probe?debug=true, /debug/pprof/), answer only under localhost, an IP address or --web.external-url; the latter moves elsewhere by --web.admin-address.`
}

// Run serves until the context ends.
func (c serveCommand) Run(ctx context.Context, sys system) error {
	if c.ConfigCheck {
		return checkCommand{sourceFlags: c.sourceFlags}.Run(ctx, sys)
	}
	sys.serving()
	logger, err := c.logger(sys)
	if err != nil {
		return err
	}
	adopt(logger)
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	var autoReload time.Duration
	if c.AutoReload {
		autoReload = max(c.ReloadInterval, time.Second)
	}
	return app.Run(ctx, app.Options{
		Sources:         c.sources(sys),
		ListenAddresses: c.ListenAddress,
		AdminAddresses:  c.AdminAddress,
		WebConfigFile:   c.WebConfigFile,
		AdminConfigFile: c.AdminConfigFile,
		Web:             c.options(),
		Logger:          logger,
		LogLinesDropped: sys.logLinesDropped(),
		Hangup:          hangup,
		// What the start needed is not needed again.
		Ready:      func([]net.Addr) { debug.FreeOSMemory() },
		AutoReload: autoReload,
		Brokers:    collectGarbage,
	})
}

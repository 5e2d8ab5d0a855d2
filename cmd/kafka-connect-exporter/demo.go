package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/app"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/web"
)

type demoCommand struct {
	ListenAddress []string `name:"web.listen-address" default:"127.0.0.1:10083" sep:"none" placeholder:"ADDRESS" help:"Address to serve on (default 127.0.0.1:10083); may be repeated."`
	Level         string   `name:"log.level" default:"warn" enum:"debug,info,warn,error" help:"Least severity that is logged: ${enum}."`
	Format        string   `name:"log.format" default:"logfmt" enum:"logfmt,json" help:"Format of the log: ${enum}."`
}

// Help is shown by demo --help.
func (demoCommand) Help() string {
	return `Simulated workers answer on free ports of this machine as real ones do: tasks fail and recover, workers restart, a connector comes and goes, one cluster is slow.

  kafka-connect-exporter demo
  curl -s http://127.0.0.1:10083/metrics | grep failed`
}

// Run serves the demo until the context ends.
func (c demoCommand) Run(ctx context.Context, sys system) error {
	sys.serving()
	logger, err := logFlags{c.Level, c.Format}.logger(sys)
	if err != nil {
		return err
	}
	adopt(logger)
	demo, err := connecttest.NewDemo(connecttest.DemoOptions{})
	if err != nil {
		return err
	}
	file, err := demoConfiguration(demo)
	if err != nil {
		return errors.Join(err, demo.Close())
	}
	defer func() { _ = os.Remove(file) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- demo.Run(ctx)
		cancel()
	}()
	err = app.Run(ctx, app.Options{
		Sources:         config.Sources{File: file},
		ListenAddresses: c.ListenAddress,
		Web:             web.Options{MaxRequests: defaultMaxRequests, TimeoutOffset: defaultTimeoutOffset},
		Logger:          logger,
		LogLinesDropped: sys.logLinesDropped(),
		Ready:           func(addresses []net.Addr) { welcome(sys, demo, file, addresses) },
	})
	cancel()
	return errors.Join(err, <-ended)
}

// demoConfiguration writes a file that configures the demo's clusters as one
// would configure real ones, and returns its name.
func demoConfiguration(demo *connecttest.Demo) (string, error) {
	var text strings.Builder
	text.WriteString("clusters:\n")
	for _, cluster := range demo.Clusters {
		fmt.Fprintf(&text, "  - name: %s\n    urls: [%s]\n", cluster.Name, strings.Join(cluster.URLs, ", "))
	}
	file, err := os.CreateTemp("", "kafka-connect-demo-*.yml")
	if err != nil {
		return "", fmt.Errorf("write the demo's configuration: %w", err)
	}
	_, err = file.WriteString(text.String())
	return file.Name(), errors.Join(err, file.Close())
}

// welcome says what to open.
func welcome(sys system, demo *connecttest.Demo, file string, addresses []net.Addr) {
	base := "http://" + addresses[0].String()
	fmt.Fprintln(sys.Stdout, "A simulated fleet is being watched:")
	fmt.Fprintln(sys.Stdout)
	for _, cluster := range demo.Clusters {
		fmt.Fprintf(sys.Stdout, "  %-10s Kafka Connect %-6s %s\n", cluster.Name, cluster.Version(), strings.Join(cluster.URLs, " "))
	}
	fmt.Fprintf(sys.Stdout, `
Open

  %s/          the clusters at a glance
  %s/metrics   what Prometheus scrapes

or take a snapshot from another terminal:

  kafka-connect-exporter snapshot --config.file=%s

Ctrl-C ends the demo.
`, base, base, file)
}

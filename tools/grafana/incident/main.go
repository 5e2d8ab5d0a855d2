// Command incident serves the demo fleet, watched by the exporter, while it
// lives through an incident faster than in real time: what the pictures of the
// dashboards are taken of.
//
//	go run ./tools/grafana/incident -listen 127.0.0.1:10083 -speed 5
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/app"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/web"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	listen := flag.String("listen", "127.0.0.1:10083", "address that the exporter serves on")
	speed := flag.Int("speed", 5, "seconds of the demo's time in each second")
	seed := flag.Uint64("seed", 1, "seed of what happens by chance beside the incident")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	demo, err := connecttest.NewDemo(connecttest.DemoOptions{Seed: *seed, Step: time.Duration(*speed) * time.Second})
	if err != nil {
		return err
	}
	for _, h := range story(demo) {
		demo.After(h.after, func() {
			fmt.Printf("%d %s\n", time.Now().Unix(), h.what)
			h.do()
		})
	}
	folder, err := os.MkdirTemp("", "incident")
	if err != nil {
		return errors.Join(err, demo.Close())
	}
	defer func() { _ = os.RemoveAll(folder) }()
	var text strings.Builder
	text.WriteString("snapshot_max_age: 500ms\nclusters:\n")
	for _, cluster := range demo.Clusters {
		fmt.Fprintf(&text, "  - name: %s\n    worker_probe: true\n    urls: [%s]\n", cluster.Name, strings.Join(cluster.URLs, ", "))
	}
	file := filepath.Join(folder, "exporter.yml")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		return errors.Join(err, demo.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- demo.Run(ctx) }()
	err = app.Run(ctx, app.Options{
		Sources:         config.Sources{File: file},
		ListenAddresses: []string{*listen},
		Web:             web.Options{MaxRequests: 40, TimeoutOffset: 200 * time.Millisecond},
		Logger:          slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Ready:           func([]net.Addr) { fmt.Printf("%d the exporter is ready\n", time.Now().Unix()) },
	})
	cancel()
	return errors.Join(err, <-ended)
}

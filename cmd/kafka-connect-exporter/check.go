package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/prometheus/common/promslog"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/app"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/fleet"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

type checkCommand struct {
	sourceFlags
	Connect bool          `name:"connect" help:"Look at each cluster too: version, observation version, connectors, time taken."`
	Timeout time.Duration `name:"timeout" default:"10s" help:"How long --connect waits for the clusters."`
}

// Help is shown by check --help.
func (checkCommand) Help() string {
	return `Prints the effective configuration with every secret masked, or one line that says what is wrong with it.

  kafka-connect-exporter check --config.file=clusters.yml
  kafka-connect-exporter check --config.file=clusters.yml --connect

Exit status: 0 it is right, 2 it is not, or a cluster does not answer.`
}

// Run prints the configuration, or returns what is wrong with it.
func (c checkCommand) Run(ctx context.Context, sys system) error {
	cfg, err := config.Load(c.sources(sys))
	if err != nil {
		return err
	}
	for _, warning := range cfg.Warnings() {
		fmt.Fprintln(sys.Stderr, "kafka-connect-exporter: warning: "+warning)
	}
	clusters, err := app.Clusters(cfg, promslog.NewNopLogger())
	if err != nil {
		return err
	}
	defer closeAll(clusters)
	if !c.Connect {
		_, err := sys.Stdout.Write(cfg.Masked())
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return reach(ctx, sys, clusters)
}

// reach prints what a look at each cluster brought.
func reach(ctx context.Context, sys system, clusters []fleet.Cluster) error {
	var result error
	for _, look := range lookAt(ctx, clusters) {
		if look.err != nil {
			result = errTrouble
		}
		fmt.Fprintf(sys.Stdout, "%s: %s\n", printable(look.cluster), found(look))
	}
	return result
}

// found says in one line what a look at a cluster brought.
func found(l look) string {
	took := l.took.Round(time.Millisecond)
	if l.err != nil {
		return fmt.Sprintf("FAILED after %s (%s): %s", took, connect.ReasonOf(l.err), printable(l.err.Error()))
	}
	how := "provider " + string(l.provider)
	if l.snapshot.ObservationVersion != "" {
		how = "observation version " + l.snapshot.ObservationVersion
	}
	line := fmt.Sprintf("ok, version %s, %s, %d connectors", printable(cmp.Or(l.snapshot.Version, "not told")), how, len(l.snapshot.Connectors))
	if state := l.snapshot.ResourceState; state != "" && state != connect.ResourceRunning {
		line += ", the service is " + string(state)
	}
	if n := len(l.snapshot.Unobserved); n > 0 {
		line += fmt.Sprintf(" and %d that could not be observed", n)
	}
	return line + fmt.Sprintf(", %s", took)
}

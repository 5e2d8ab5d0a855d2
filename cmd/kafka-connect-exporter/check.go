package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/prometheus/common/promslog"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/app"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/fleet"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/discovery"
)

type checkCommand struct {
	sourceFlags
	Connect bool          `name:"connect" help:"Also take a snapshot of each cluster: version, observation version, connectors, time taken; and what the brokers tell."`
	Timeout time.Duration `name:"timeout" default:"10s" help:"How long --connect waits for the clusters."`
}

// Help is shown by check --help.
func (checkCommand) Help() string {
	return `Prints the effective configuration with every secret masked, or one line that says what is wrong with it.

  kafka-connect-exporter check --config.file=clusters.yml
  kafka-connect-exporter check --config.file=clusters.yml --connect

What is printed is a configuration file in turn, with what CONNECT_* variables and flags say in it.

Manifests that discovery.files names are compared with Aiven's definition; a field that it does not know is a warning.

Exit status: 0 it is right, 2 it is not, or a cluster does not answer.`
}

// Run prints the configuration, or returns what is wrong with it.
func (c checkCommand) Run(ctx context.Context, sys system) error {
	cfg, err := config.Load(c.sources(sys))
	if err != nil {
		return err
	}
	for _, warning := range cfg.Warnings {
		fmt.Fprintln(sys.Stderr, "kafka-connect-exporter: warning: "+warning)
	}
	if err := app.Validate(cfg, promslog.NewNopLogger()); err != nil {
		return err
	}
	verdict := checkManifests(cfg, sys)
	if !c.Connect {
		if _, err := io.WriteString(sys.Stdout, connect.Escaped(string(cfg.Masked()))); err != nil {
			return err
		}
		return verdict
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	found, err := app.Clusters(ctx, cfg, promslog.NewNopLogger())
	if err != nil {
		return err
	}
	watched := fleet.New(found.Clusters, fleet.Options{})
	defer watched.Close()
	if !found.Complete {
		fmt.Fprintln(sys.Stdout, "discovery: FAILED: not everything could be listed; serve says why in its log")
		verdict = errTrouble
	}
	if cfg.Discovery != nil && found.Complete && len(found.Clusters)+len(found.Refused) == 0 {
		fmt.Fprintln(sys.Stdout, "discovery: ok, but no resource was found")
	}
	for _, refused := range found.Refused {
		fmt.Fprintln(sys.Stdout, notWatched(refused))
		verdict = errTrouble
	}
	return cmp.Or(reach(sys, watched.Observe(ctx)), verdict)
}

// notWatched says of a resource why it is no cluster.
func notWatched(r discovery.Refusal) string {
	return fmt.Sprintf("%s: is not watched (%s): %s", connect.Printable(r.Key.String()), r.Reason, connect.Printable(r.Detail))
}

// checkManifests compares the manifests that discovery reads from files with
// their definition, and says line by line what is wrong with them.
func checkManifests(cfg *config.Config, sys system) (verdict error) {
	findings, problems, unmatched := app.ResourceFindings(cfg)
	for _, pattern := range unmatched {
		fmt.Fprintln(sys.Stderr, "kafka-connect-exporter: warning: discovery.files: no file has the name "+connect.Printable(pattern))
	}
	for _, err := range problems {
		fmt.Fprintln(sys.Stderr, "kafka-connect-exporter: "+connect.Printable(err.Error()))
		verdict = errTrouble
	}
	for _, f := range findings {
		level := ""
		if f.Warning {
			level = "warning: "
		} else {
			verdict = errTrouble
		}
		fmt.Fprintln(sys.Stderr, "kafka-connect-exporter: "+level+connect.Printable(f.String()))
	}
	return verdict
}

// reach prints what a snapshot of each cluster brought.
func reach(sys system, results []series.Result) (verdict error) {
	for i := range results {
		r := &results[i]
		if r.Err != nil || r.Brokers != nil && r.Brokers.Err != nil {
			verdict = errTrouble
		}
		writeFound(sys.Stdout, r)
	}
	return verdict
}

// writeFound says what a snapshot of a cluster, and its brokers, brought.
func writeFound(w io.Writer, r *series.Result) {
	for _, line := range append([]string{found(r)}, foundByBrokers(r.Brokers)...) {
		fmt.Fprintf(w, "%s: %s\n", connect.Printable(r.Cluster), connect.Printable(line))
	}
}

// foundByBrokers says what the brokers told, and in a line each what could not be
// had and what it needs; nothing where they were not asked.
func foundByBrokers(b *connect.Brokers) (lines []string) {
	if b == nil {
		return nil
	}
	if b.Err != nil {
		for why := range strings.SplitSeq(b.Err.Error(), "\n") {
			lines = append(lines, "brokers FAILED: "+why)
		}
		return lines
	}
	line := "brokers ok"
	if g := b.Group; g != nil {
		line += fmt.Sprintf(", group %s with %d workers", g.State, len(g.Members))
	}
	if b.Events != nil {
		line += fmt.Sprintf(", %d connectors in the status topic", len(b.Events))
	}
	return append(lines, line+fmt.Sprintf(", %d sinks, %d sources", len(b.Sinks), len(b.Sources)))
}

// why a snapshot failed, without the name of the cluster, which stands before it.
func why(r *series.Result) string { return cmp.Or(errors.Unwrap(r.Err), r.Err).Error() }

// found says in one line what a snapshot of a cluster brought.
func found(r *series.Result) string {
	took := r.Duration.Round(time.Millisecond)
	if r.Err != nil {
		return fmt.Sprintf("FAILED after %s (%s): %s", took, connect.ReasonOf(r.Err), why(r))
	}
	how := "provider " + string(r.Provider)
	if r.Snapshot.ObservationVersion != "" {
		how = "observation version " + r.Snapshot.ObservationVersion
	}
	line := fmt.Sprintf("ok, version %s, %s, %d connectors", cmp.Or(r.Snapshot.Version, "not told"), how, len(r.Snapshot.Connectors))
	if state := r.Snapshot.ResourceState; state != "" && state != connect.ResourceRunning {
		line += ", the service is " + string(state)
	}
	if n := len(r.Snapshot.Unobserved); n > 0 {
		line += fmt.Sprintf(" and %d that could not be observed", n)
	}
	return line + fmt.Sprintf(", %s", took)
}

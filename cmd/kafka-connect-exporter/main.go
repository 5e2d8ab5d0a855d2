// Command kafka-connect-exporter watches Kafka Connect clusters and exposes
// what it sees as metrics.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/prometheus/common/version"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

func main() { os.Exit(run()) }

// buildVersion is what the linker was told, or else the version that go install
// was asked for.
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && version.Version == "" {
		return info.Main.Version
	}
	return version.Version
}

// run is main with an exit status, so that deferred clean-up happens.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	version.Version = buildVersion()
	// All that is said goes to a logger of our own. What is left is net/http's
	// client, which quotes what a server sends without having been asked.
	log.SetOutput(io.Discard)
	collectGarbage(false)
	// A second signal ends the program at once: from the first on, the default
	// behaviour is restored. The first one ends it too, whatever may hang.
	var serves atomic.Bool
	context.AfterFunc(ctx, func() {
		stop()
		patience := commandPatience
		if serves.Load() {
			patience = stopPatience
		}
		time.AfterFunc(patience, func() { os.Exit(exitTrouble) })
	})
	// Nobody waits for who reads the log.
	stderr := newRelay(os.Stderr)
	defer stderr.close(time.Second)
	return execute(ctx, os.Args[1:], system{
		Stdout: os.Stdout, Stderr: connect.EscapeWriter{Writer: stderr}, Environ: os.Environ(), stderr: stderr, serves: &serves,
	})
}

const (
	// stopPatience is how long what serves may take to end after SIGINT or SIGTERM:
	// a little more than [app.Run] takes at most, and less than the 30 s after which
	// Kubernetes kills.
	stopPatience = 25 * time.Second
	// commandPatience likewise of the other commands, of which one may be writing
	// to a pipe that nobody reads.
	commandPatience = 3 * time.Second
)

// garbagePercent is how much the heap grows before it is collected, in percent of what is
// in use: a snapshot of a large cluster is a short burst of memory, and collecting it
// sooner costs little time and keeps the process a third smaller. Brokers tell all that a
// group works at in each snapshot, which is read and thrown away: to collect that as
// soon costs more time than reading it.
const garbagePercent, brokersGarbagePercent = 25, 50

// collectGarbage sets that, unless GOGC says otherwise.
func collectGarbage(brokers bool) {
	if os.Getenv("GOGC") != "" {
		return
	}
	percent := garbagePercent
	if brokers {
		percent = brokersGarbagePercent
	}
	debug.SetGCPercent(percent)
}

// The exit statuses. They are those of grep: a script can tell the answer "no"
// from not having got an answer.
const (
	// exitWell: done, and all is well.
	exitWell = 0
	// exitFailed: done, and something that was observed has failed.
	exitFailed = 1
	// exitTrouble: it could not be done (command line, configuration, a port in
	// use, a cluster that does not answer).
	exitTrouble = 2
)

// system is what a command may know of the process it runs in.
type system struct {
	Stdout, Stderr io.Writer
	// Environ in the form of os.Environ.
	Environ []string
	// stderr is what Stderr writes through, nil if it is written at once.
	stderr *relay
	// serves is set by a command that others wait for answers of; nil in tests.
	serves *atomic.Bool
}

// serving says that the command serves: it has time to end well.
func (s system) serving() {
	if s.serves != nil {
		s.serves.Store(true)
	}
}

// logLinesDropped tells how many lines were dropped that nobody read, nil if none
// ever is.
func (s system) logLinesDropped() func() uint64 {
	if s.stderr == nil {
		return nil
	}
	return s.stderr.dropped.Load
}

// getenv returns the value of one variable, "" if it is not set.
func (s system) getenv(name string) string {
	for _, variable := range slices.Backward(s.Environ) {
		if value, found := strings.CutPrefix(variable, name+"="); found {
			return value
		}
	}
	return ""
}

// errFailed ends a command that has already said what has failed.
var errFailed = errors.New("something has failed")

// errTrouble ends a command that has already said why it could not be done.
var errTrouble = errors.New("it could not be done")

// commandLine is the whole grammar.
type commandLine struct {
	Serve    serveCommand    `cmd:"" default:"withargs" help:"Serve the metrics of the configured clusters (the default command)."`
	Check    checkCommand    `cmd:"" help:"Check the configuration and print it, secrets masked; with --connect reach each cluster too."`
	Snapshot snapshotCommand `cmd:"" help:"Take one snapshot of the clusters and print their connectors and tasks, failed ones first."`
	Demo     demoCommand     `cmd:"" help:"Serve the metrics of a lively simulated fleet: needs no Kafka and no configuration."`
	Export   exportCommand   `cmd:"" help:"Write the alert rules or the Grafana dashboards that ship with the exporter."`

	Version kong.VersionFlag `name:"version" help:"Print the version and exit."`
}

const description = `Watches Kafka Connect clusters and exposes the state of every connector and task on /metrics.

Where the clusters are is said in one of three ways:

  kafka-connect-exporter --connect.url=http://connect:8083
  CONNECT_REST_URL=http://connect:8083 kafka-connect-exporter
  kafka-connect-exporter --config.file=clusters.yml

Without any Kafka at hand:

  kafka-connect-exporter demo

Exit status: 0 all is well, 1 something that was observed has failed, 2 it could not be done.`

// exited carries an exit status out of the parser, which ends --help and
// --version by calling an exit function.
type exited int

// execute runs one command line and returns the exit status.
func execute(ctx context.Context, arguments []string, sys system) (status int) {
	defer func() {
		if p := recover(); p != nil {
			code, ok := p.(exited)
			if !ok {
				panic(p)
			}
			status = int(code)
		}
	}()
	var line commandLine
	parser, err := kong.New(&line,
		kong.Name("kafka-connect-exporter"),
		kong.Description(description),
		kong.Vars{"version": version.Print("kafka-connect-exporter")},
		kong.Writers(sys.Stdout, sys.Stderr),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 100}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(sys),
	)
	if err != nil {
		return trouble(sys, err)
	}
	command, err := parser.Parse(arguments)
	if err == nil {
		err = given(command, "config.file", "connect.url")
	}
	if err != nil {
		return trouble(sys, fmt.Errorf("%w%s (see kafka-connect-exporter --help)", err, commands(err)))
	}
	switch err := command.Run(); {
	case err == nil:
		return exitWell
	case errors.Is(err, errFailed):
		return exitFailed
	case errors.Is(err, errTrouble):
		return exitTrouble
	default:
		return trouble(sys, err)
	}
}

// given refuses flags that are given twice: of several clusters, one alone would be
// watched.
func given(command *kong.Context, once ...string) error {
	var seen []string
	for _, step := range command.Path {
		if step.Flag == nil {
			continue
		}
		name := step.Flag.Name
		if slices.Contains(seen, name) && slices.Contains(once, name) {
			return fmt.Errorf("--%s is given twice; several clusters, or several workers of one, are listed in a file", name)
		}
		seen = append(seen, name)
	}
	return nil
}

// commands lists them where a word that is none was taken for an argument of the
// default one.
func commands(err error) string {
	wrong, ok := errors.AsType[*kong.ParseError](err)
	if !ok || !strings.HasPrefix(err.Error(), "unexpected argument ") || wrong.Context.Command() != "serve" {
		return ""
	}
	var names []string
	for _, command := range wrong.Context.Model.Children {
		names = append(names, command.Name)
	}
	return "; the commands are " + strings.Join(names, ", ")
}

// trouble says in one line why it could not be done.
func trouble(sys system, err error) int {
	message := strings.Join(strings.Fields(strings.ReplaceAll(err.Error(), "\n", " ")), " ")
	fmt.Fprintln(sys.Stderr, "kafka-connect-exporter: "+message)
	return exitTrouble
}

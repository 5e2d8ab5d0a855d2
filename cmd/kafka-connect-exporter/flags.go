package main

import (
	"fmt"
	"log/slog"
	"math"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/prometheus/common/promslog"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
)

// sourceFlags say where the clusters are configured.
type sourceFlags struct {
	ConfigFile string `name:"config.file" placeholder:"FILE" help:"YAML file with the clusters."`
	ConnectURL string `name:"connect.url" placeholder:"URL" help:"REST URL of a single cluster, instead of a file."`
}

func (f sourceFlags) sources(sys system) config.Sources {
	return config.Sources{File: f.ConfigFile, ConnectURL: f.ConnectURL, Environ: sys.Environ}
}

// logFlags carry the names that the Prometheus ecosystem uses.
type logFlags struct {
	Level  string `name:"log.level" default:"info" enum:"debug,info,warn,error" help:"Least severity that is logged: ${enum}. debug shows each call to a cluster with its timing."`
	Format string `name:"log.format" default:"logfmt" enum:"logfmt,json" help:"Format of the log: ${enum}."`
}

// logger returns the logger of a program that goes on: what reads its log may be
// slow, stuck or gone, and neither holds it up nor ends it.
func (f logFlags) logger(sys system) (*slog.Logger, error) {
	level, format := promslog.NewLevel(), promslog.NewFormat()
	if err := level.Set(f.Level); err != nil {
		return nil, err
	}
	if err := format.Set(f.Format); err != nil {
		return nil, err
	}
	logger := promslog.New(&promslog.Config{Level: level, Format: format, Writer: sys.Stderr})
	if sys.stderr != nil {
		// Without this, a write to a pipe that nobody holds ends the process.
		signal.Ignore(syscall.SIGPIPE)
		tell := func(dropped uint64) { logger.Warn("log lines were dropped, nobody read them", "count", dropped) }
		sys.stderr.recovered.Store(&tell)
	}
	return logger, nil
}

// What the demo takes from the defaults of the flags.
const (
	defaultMaxRequests   = 40
	defaultTimeoutOffset = 500 * time.Millisecond
)

// webFlags say how the exporter itself is reached.
type webFlags struct {
	ListenAddress []string `name:"web.listen-address" default:":10083" sep:"none" placeholder:"ADDRESS" help:"Address to serve on (default :10083); may be repeated."`
	WebConfigFile string   `name:"web.config.file" placeholder:"FILE" help:"File that turns on TLS, client certificates and basic auth (Prometheus exporter-toolkit)."`
	TelemetryPath string   `name:"web.telemetry-path" default:"/metrics" placeholder:"PATH" help:"Path of the metrics (default /metrics)."`
	MaxRequests   int      `name:"web.max-requests" default:"40" help:"Scrapes answered at the same time, further ones get 503; 0 is no limit."`
	TimeoutOffset offset   `name:"timeout-offset" default:"500ms" help:"Taken off the scraper's timeout, so that the answer arrives before it gives up."`
}

// offset is a duration that may also be written as a plain number of seconds,
// as other exporters take this flag.
type offset time.Duration

func (o *offset) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if seconds, floatErr := strconv.ParseFloat(string(text), 64); err != nil && floatErr == nil && math.Abs(seconds) < 1e9 {
		d, err = time.Duration(seconds*float64(time.Second)), nil
	}
	if err != nil || d < 0 {
		return fmt.Errorf("%q is no time span such as 500ms or 0.5 (seconds)", text)
	}
	*o = offset(d)
	return nil
}

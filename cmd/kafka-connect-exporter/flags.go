package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"net/url"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/prometheus/common/promslog"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/web"
)

// sourceFlags say where the clusters are configured.
type sourceFlags struct {
	ConfigFile string `name:"config.file" placeholder:"FILE" help:"YAML file with the clusters; CONNECT_* variables are read beside it."`
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
	ListenAddress   []string      `name:"web.listen-address" default:":10083" sep:"none" placeholder:"ADDRESS" help:"Address to serve on (default :10083); may be repeated."`
	WebConfigFile   string        `name:"web.config.file" placeholder:"FILE" help:"File that turns on TLS, client certificates and basic auth (Prometheus exporter-toolkit)."`
	AdminAddress    []string      `name:"web.admin-address" sep:"none" placeholder:"ADDRESS" help:"Address that reload, /config, debugging pages and profiles move to, such as 127.0.0.1:10084; /-/healthy and /-/ready answer there too. Plain HTTP unless --web.admin-config.file: keep it where administrators alone reach it. May be repeated."`
	AdminConfigFile string        `name:"web.admin-config.file" placeholder:"FILE" help:"As --web.config.file, for --web.admin-address."`
	TelemetryPath   string        `name:"web.telemetry-path" default:"/metrics" placeholder:"PATH" help:"Path of the metrics (default /metrics)."`
	MaxRequests     int           `name:"web.max-requests" default:"40" help:"Scrapes answered at the same time, further ones wait a moment, then get 503; 0 is no limit. Waiting for clusters does not count."`
	TimeoutOffset   offset        `name:"timeout-offset" default:"500ms" help:"Taken off the scraper's timeout, so that the answer arrives before it gives up."`
	EnableLifecycle bool          `name:"web.enable-lifecycle" help:"Allow a reload by POST /-/reload (SIGHUP always reloads)."`
	EnablePprof     bool          `name:"web.enable-pprof" help:"Serve profiles of the process under /debug/pprof/."`
	ExternalURL     []externalURL `name:"web.external-url" sep:"none" placeholder:"URL" help:"URL under which a proxy or a DNS name leads to the exporter: the status page, reload, /config, debugging pages and profiles answer under no other name but localhost and IP addresses. May be repeated."`
	TrustedProxy    []proxy       `name:"web.trusted-proxy" sep:"none" placeholder:"NETWORK" help:"Address or network (10.1.0.0/16) of a proxy whose X-Forwarded-Host, -Proto and -Prefix headers are believed. May be repeated."`
}

// options are those of the HTTP side.
func (f webFlags) options() web.Options {
	o := web.Options{
		TelemetryPath: f.TelemetryPath, MaxRequests: f.MaxRequests, TimeoutOffset: time.Duration(f.TimeoutOffset),
		EnableLifecycle: f.EnableLifecycle, EnablePprof: f.EnablePprof,
	}
	for _, external := range f.ExternalURL {
		o.ExternalURLs = append(o.ExternalURLs, (*url.URL)(&external))
	}
	for _, trusted := range f.TrustedProxy {
		o.TrustedProxies = append(o.TrustedProxies, netip.Prefix(trusted))
	}
	return o
}

// externalURL is a URL of the exporter as others see it.
type externalURL url.URL

func (e *externalURL) UnmarshalText(text []byte) error {
	u, err := url.Parse(string(text))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		// Not quoted: it may hold a password.
		return errors.New("write it as https://NAME, without user, query and fragment")
	}
	*e = externalURL(*u)
	return nil
}

// proxy is the network that proxies are in.
type proxy netip.Prefix

func (p *proxy) UnmarshalText(text []byte) error {
	network, err := netip.ParsePrefix(string(text))
	if address, addressErr := netip.ParseAddr(string(text)); err != nil && addressErr == nil {
		network, err = address.Unmap().Prefix(address.Unmap().BitLen())
	}
	if err != nil {
		return fmt.Errorf("%q is no address or network such as 10.1.0.0/16", text)
	}
	*p = proxy(network.Masked())
	return nil
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

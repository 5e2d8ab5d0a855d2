package config

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	commoncfg "github.com/prometheus/common/config"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config/internal/client"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/config/internal/strict"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/safefile"
)

// Load reads the configuration from all doors that are open, and validates it.
// It keeps no state: to reload is to load again. Relative paths in the file are
// relative to the file's directory. An error is one line.
func Load(sources Sources) (*Config, error) {
	l := &loader{sources: sources, environment: newEnvironment(sources.Environ), standard: defaultCluster(), names: map[string]string{}}
	l.config.effective = strict.Default[document]()
	if err := l.load(); err != nil {
		return nil, errors.New(strict.OneLine(err))
	}
	return &l.config, nil
}

// A loader builds one Config.
type loader struct {
	sources     Sources
	environment *environment
	config      Config
	// standard is a cluster of which nothing is said.
	standard Settings
	// names of clusters, with where each was given.
	names map[string]string
}

// An origin is where a cluster was configured.
type origin struct {
	// Place is that of its fields.
	strict.Place
	// name is for people: "clusters.yml:12".
	name string
	// files are those that the fields name.
	files []strict.File
}

func originOf(document *strict.Document, path string) origin {
	return origin{func(field string) string { return document.At(strict.Join(path, field)) }, document.Origin(path), document.Files(path)}
}

// A candidate is a cluster that is not validated yet.
type candidate struct {
	settings Settings
	at       origin
}

func (l *loader) load() error {
	candidates, err := l.fromFile()
	if err != nil {
		return err
	}
	l.config.SnapshotMaxAge, l.config.StateSeriesAll = time.Duration(l.config.effective.SnapshotMaxAge), l.config.effective.StateSeries == stateSeriesAll
	fromEnvironment, err := l.environment.clusters()
	if err != nil {
		return err
	}
	candidates = append(candidates, fromEnvironment...)
	if l.sources.ConnectURL != "" {
		c := candidate{defaultCluster(), origin{name: "--connect.url", Place: func(string) string { return "--connect.url" }}}
		c.settings.Name, c.settings.URLs = "default", []string{l.sources.ConnectURL}
		if err := selectProvider(&c.settings, c.at); err != nil {
			return err
		}
		if err := l.environment.throughProxy(&c.settings); err != nil {
			return err
		}
		candidates = append(candidates, c)
	}
	l.config.Warnings = append(l.config.Warnings, l.environment.warnings...)
	if len(candidates) == 0 && l.config.Discovery == nil {
		return l.nothing()
	}
	l.config.effective.Clusters = nil
	for _, c := range candidates {
		cluster, err := l.cluster(&c.settings, c.at)
		if err != nil {
			return err
		}
		l.config.Clusters = append(l.config.Clusters, cluster)
		l.config.effective.Clusters = append(l.config.effective.Clusters, c.settings)
		l.dependOn(cluster.files...)
	}
	return nil
}

// nothing says that no cluster is configured, and what came nearest.
func (l *loader) nothing() error {
	if l.sources.File != "" {
		return fmt.Errorf("%s: lists no clusters, and neither CONNECT_REST_URL nor --connect.url names one", l.sources.File)
	}
	if near := l.environment.warnings; len(near) > 0 {
		return fmt.Errorf("%w (%s)", errNothing, near[0])
	}
	return errNothing
}

// fromFile reads the file and validates what is not of a cluster.
func (l *loader) fromFile() (candidates []candidate, err error) {
	if l.sources.File == "" {
		return nil, l.loadOTLP(nil)
	}
	content, err := safefile.Read(l.sources.File, safefile.MaxConfig)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: check --config.file", l.sources.File, err)
	}
	effective := &l.config.effective
	document, err := strict.Decode(l.sources.File, content, "clusters: with a name and urls", l.environment.refer, effective)
	if err != nil {
		return nil, err
	}
	l.dependOn(l.sources.File)
	for i := range effective.Clusters {
		candidates = append(candidates, candidate{effective.Clusters[i], originOf(document, strict.Item("clusters", i))})
	}
	if err := strict.Place(document.At).Choice("state_series", effective.StateSeries, stateSeriesCurrent, stateSeriesAll); err != nil {
		return nil, err
	}
	if err := l.loadDiscovery(document); err != nil {
		return nil, err
	}
	return candidates, l.loadOTLP(document)
}

func (l *loader) dependOn(files ...string) {
	for _, file := range files {
		if file != "" && !slices.Contains(l.config.Files, file) {
			l.config.Files = append(l.config.Files, file)
		}
	}
}

func (l *loader) warn(format string, args ...any) {
	l.config.Warnings = append(l.config.Warnings, strict.OneLine(fmt.Errorf(format, args...)))
}

// cluster validates settings, puts them into their normal form, and makes a
// Cluster of them.
func (l *loader) cluster(settings *Settings, at origin) (Cluster, error) {
	if settings.Kafka != nil && len(settings.URLs) == 0 && settings.Provider == ProviderConnect && settings.ObservationVersion == versionAuto {
		settings.ObservationVersion = versionBrokers
	}
	cluster := Cluster{Origin: at.name}
	for _, validate := range []func() error{
		func() error { return l.name(settings.Name, at) },
		func() error { return general(settings, &cluster, at) },
		func() error { return labels(settings, at) },
		func() error { return workerProbe(&settings.WorkerProbe, at) },
		func() error { return settings.Kafka.validate(at) },
		func() error { return l.provider(settings, &cluster, at) },
		func() error { return l.client(settings, &cluster, at) },
	} {
		if err := validate(); err != nil {
			return Cluster{}, err
		}
	}
	cluster.Settings = *settings
	return cluster, nil
}

func (l *loader) name(name string, at origin) error {
	first, taken := l.names[name]
	l.names[name] = at.name
	return cmp.Or(
		at.When(name == "", "name", "is required: it becomes the connect_cluster label"),
		at.When(!printable(name), "name", "must be printable UTF-8"),
		at.When(strings.TrimSpace(name) != name, "name", "must not begin or end with a space"),
		at.When(len(name) > maxLabelBytes, "name", "must not be longer than %d bytes", maxLabelBytes),
		at.When(taken, "name", "%q is already the name of the cluster at %s; names are unique over file, environment and flag", name, first),
	)
}

func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// general validates what has a range.
func general(settings *Settings, cluster *Cluster, at origin) error {
	if expected := settings.ExpectedWorkers; expected != nil {
		cluster.ExpectedWorkers = *expected
		if err := at.Between("expected_workers", *expected, 1, maxWorkers); err != nil {
			return err
		}
	}
	return cmp.Or(
		at.Choice("observation_version", settings.ObservationVersion, versionAuto, "1", "2", versionBrokers),
		at.Between("parallelism", settings.Parallelism, 1, maxParallelism),
		at.Between("max_connectors", settings.MaxConnectors, 1, maxMaxConnectors),
		at.When(settings.RequestTimeout == 0, "request_timeout", "must be more than 0s"),
	)
}

var probeHost = regexp.MustCompile(`^(\*\.)?([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]+)?$`)

func workerProbe(probe *WorkerProbe, at origin) error {
	for i, host := range probe.CredentialsHosts {
		host = strings.ToLower(host)
		if !probeHost.MatchString(host) || strings.HasPrefix(host, "*.") && strings.Contains(host, ":") {
			return at.Wrong(strict.Item("worker_probe.credentials_hosts", i), "must be host, host:port or *.domain")
		}
		probe.CredentialsHosts[i] = host
	}
	return at.Choice("worker_probe.scheme", probe.Scheme, schemeAuto, "http", "https")
}

// client validates how requests are made, and reads the files of the cluster.
func (l *loader) client(settings *Settings, cluster *Cluster, at origin) (err error) {
	cluster.HTTPClient = settings.HTTPClient
	if oauth := settings.HTTPClient.OAuth2; oauth != nil { // prometheus/common writes into it, and settings are compared.
		clone := *oauth
		cluster.HTTPClient.OAuth2 = &clone
	}
	for _, file := range at.files {
		// What cannot be read is reported now, and not by the first request.
		content, err := safefile.Read(file.Path, safefile.MaxSecret)
		if err != nil {
			return at.Wrong(file.Field, "%s %s", file.Path, err)
		}
		digest := sha256.Sum256(content)
		cluster.files, cluster.contents = append(cluster.files, file.Path), append(cluster.contents, string(digest[:]))
	}
	if settings.HTTPClient.TLSConfig != (commoncfg.TLSConfig{}) && len(cluster.URLs) > 0 && !settings.WorkerProbe.Enabled && !slices.ContainsFunc(cluster.URLs, encrypted) {
		l.warn("%s: does nothing, no URL of cluster %s begins with https://", at.Place("http_client.tls_config"), settings.Name)
	}
	return client.Check(&settings.HTTPClient, "http_client", at.Place)
}

func encrypted(address *url.URL) bool { return address.Scheme == "https" }

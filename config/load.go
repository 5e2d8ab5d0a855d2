package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"reflect"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	commoncfg "github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/safefile"
)

// Load reads the configuration from all doors that are open, and validates it.
// It keeps no state: to reload is to load again. Relative paths in the file are
// relative to the file's directory. An error is one line.
func Load(sources Sources) (*Config, error) {
	l := &loader{sources: sources, environment: newEnvironment(sources.Environ), names: map[string]string{}}
	l.config.effective = defaultDocument()
	if err := l.load(); err != nil {
		return nil, errors.New(oneLine(err))
	}
	return &l.config, nil
}

// A loader builds one Config.
type loader struct {
	sources     Sources
	environment *environment
	config      Config
	// names of clusters, with where each was given.
	names map[string]string
}

// An origin is where a cluster was configured.
type origin struct {
	// name is for people: "clusters.yml:12".
	name string
	// field names the place of one of its fields.
	field func(name string) string
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
	fromEnvironment, err := l.environment.clusters()
	if err != nil {
		return err
	}
	candidates = append(candidates, fromEnvironment...)
	if l.sources.ConnectURL != "" {
		cluster := defaultCluster()
		cluster.Name, cluster.URLs = "default", []string{l.sources.ConnectURL}
		const flag = "--connect.url"
		at := origin{flag, func(string) string { return flag }}
		if err := selectProvider(&cluster, at); err != nil {
			return err
		}
		if err := l.environment.throughProxy(&cluster); err != nil {
			return err
		}
		candidates = append(candidates, candidate{cluster, at})
	}
	l.config.warnings = append(l.config.warnings, l.environment.warnings()...)
	if len(candidates) == 0 && l.config.discovery == nil {
		return l.nothing()
	}
	l.config.effective.Clusters = nil
	for _, c := range candidates {
		cluster, err := l.cluster(&c.settings, c.at)
		if err != nil {
			return err
		}
		l.config.clusters = append(l.config.clusters, cluster)
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
	if stray := l.environment.stray(variables()); stray != "" {
		return fmt.Errorf("%w (%s is set, but names no cluster)", errNothing, stray)
	}
	return errNothing
}

// fromFile reads the file and validates what is not of a cluster.
func (l *loader) fromFile() (candidates []candidate, err error) {
	document := &l.config.effective
	place := func(field string) string { return field }
	var otlp *yaml.Node
	if l.sources.File != "" {
		content, err := safefile.Read(l.sources.File, safefile.MaxConfig)
		if err != nil {
			return nil, fmt.Errorf("%s: %w: check --config.file", l.sources.File, err)
		}
		source, err := parseFile(l.sources.File, content, l.environment, document)
		if err != nil {
			return nil, err
		}
		l.dependOn(l.sources.File)
		place, otlp = source.at, child(source.body, "otlp")
		l.resolvePaths()
		for i := range document.Clusters {
			path := fmt.Sprintf("clusters[%d]", i)
			candidates = append(candidates, candidate{document.Clusters[i], source.origin(path)})
		}
		if err := cmp.Or((origin{field: source.at}).choice("state_series", document.StateSeries, stateSeriesCurrent, stateSeriesAll), l.loadDiscovery(source)); err != nil {
			return nil, err
		}
	}
	return candidates, l.loadOTLP(otlp, place)
}

func (l *loader) directory() string { return filepath.Dir(l.sources.File) }

// resolvePaths makes paths relative to the file's directory.
func (l *loader) resolvePaths() {
	document := &l.config.effective
	eachFile(reflect.ValueOf(document), "", func(_ string, file *string) { *file = commoncfg.JoinDir(l.directory(), *file) })
}

func (l *loader) dependOn(files ...string) {
	for _, file := range files {
		if file != "" && !slices.Contains(l.config.files, file) {
			l.config.files = append(l.config.files, file)
		}
	}
}

func (l *loader) warn(format string, args ...any) {
	l.config.warnings = append(l.config.warnings, oneLine(fmt.Errorf(format, args...)))
}

// cluster validates settings, puts them into their normal form, and makes a
// Cluster of them.
func (l *loader) cluster(settings *Settings, at origin) (Cluster, error) {
	if settings.Kafka != nil && len(settings.URLs) == 0 && settings.Provider == ProviderConnect && settings.ObservationVersion == versionAuto {
		settings.ObservationVersion = versionBrokers
	}
	cluster := Cluster{Origin: at.name}
	for _, validate := range []func(*Settings, *Cluster, origin) error{l.name, general, labels, workerProbe, brokers, l.provider, l.client} {
		if err := validate(settings, &cluster, at); err != nil {
			return Cluster{}, err
		}
	}
	cluster.Settings = *settings
	return cluster, nil
}

func (l *loader) name(settings *Settings, _ *Cluster, at origin) error {
	if problem := nameProblem(settings.Name); problem != "" {
		return at.wrong("name", "%s", problem)
	}
	if first, taken := l.names[settings.Name]; taken {
		return at.wrong("name", "%q is already the name of the cluster at %s; names are unique over file, environment and flag", settings.Name, first)
	}
	l.names[settings.Name] = at.name
	return nil
}

func nameProblem(name string) string {
	switch {
	case name == "":
		return "is required: it becomes the connect_cluster label"
	case !printable(name):
		return "must be printable UTF-8"
	case strings.TrimSpace(name) != name:
		return "must not begin or end with a space"
	case len(name) > maxLabelBytes:
		return fmt.Sprintf("must not be longer than %d bytes", maxLabelBytes)
	}
	return ""
}

func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// general validates what has a range.
func general(settings *Settings, cluster *Cluster, at origin) error {
	if expected := settings.ExpectedWorkers; expected != nil {
		cluster.ExpectedWorkers = *expected
		if err := at.between("expected_workers", *expected, 1, maxWorkers); err != nil {
			return err
		}
	}
	return cmp.Or(
		at.choice("observation_version", settings.ObservationVersion, versionAuto, "1", "2", versionBrokers),
		at.between("parallelism", settings.Parallelism, 1, maxParallelism),
		at.between("max_connectors", settings.MaxConnectors, 1, maxMaxConnectors),
		at.when(settings.RequestTimeout == 0, "request_timeout", "must be more than 0s"),
	)
}

// patternProblem says what is wrong with a regular expression, without the piece
// of it that the library quotes.
func patternProblem(err error) string {
	problem, _ := errors.AsType[*syntax.Error](err)
	if problem == nil {
		return ""
	}
	switch problem.Code {
	case syntax.ErrMissingParen, syntax.ErrUnexpectedParen:
		return ": ( and ) must come in pairs; write \\( for the character"
	case syntax.ErrMissingBracket, syntax.ErrInvalidCharRange, syntax.ErrInvalidCharClass:
		return ": a class of characters in [ ] is malformed; write \\[ for the character"
	case syntax.ErrMissingRepeatArgument, syntax.ErrInvalidRepeatOp:
		return ": * + ? repeat what stands before them; for any text write .*"
	case syntax.ErrInvalidRepeatSize, syntax.ErrLarge, syntax.ErrNestingDepth:
		return ": it repeats or nests too much"
	case syntax.ErrInvalidEscape, syntax.ErrTrailingBackslash:
		return ": \\ stands before a character that it cannot escape"
	case syntax.ErrInvalidPerlOp, syntax.ErrInvalidNamedCapture:
		return ": (? begins a group that RE2 does not know, such as a look-ahead"
	case syntax.ErrInvalidUTF8:
		return ": it is no UTF-8 text"
	}
	return ""
}

var probeHost = regexp.MustCompile(`^(\*\.)?([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]+)?$`)

func workerProbe(settings *Settings, _ *Cluster, at origin) error {
	probe := &settings.WorkerProbe
	for i, host := range probe.CredentialsHosts {
		host = strings.ToLower(host)
		if !probeHost.MatchString(host) || strings.HasPrefix(host, "*.") && strings.Contains(host, ":") {
			return at.wrong(item("worker_probe.credentials_hosts", i), "must be host, host:port or *.domain")
		}
		probe.CredentialsHosts[i] = host
	}
	return at.choice("worker_probe.scheme", probe.Scheme, schemeAuto, "http", "https")
}

func brokers(settings *Settings, _ *Cluster, at origin) error {
	if settings.Kafka == nil {
		return nil
	}
	return settings.Kafka.validate(at)
}

// client validates how requests are made, and reads the files of the cluster.
func (l *loader) client(settings *Settings, cluster *Cluster, at origin) (err error) {
	cluster.HTTPClient = settings.HTTPClient
	if oauth := settings.HTTPClient.OAuth2; oauth != nil { // prometheus/common writes into it, and settings are compared.
		clone := *oauth
		cluster.HTTPClient.OAuth2 = &clone
	}
	if cluster.files, cluster.contents, err = readFiles(settings, at); err != nil {
		return err
	}
	cluster.files = append(slices.Clone(settings.files), cluster.files...)
	if settings.HTTPClient.TLSConfig != (commoncfg.TLSConfig{}) && len(cluster.URLs) > 0 && !settings.WorkerProbe.Enabled && !encrypted(cluster.URLs) {
		l.warn("%s: does nothing, no URL of cluster %s begins with https://", at.field("http_client.tls_config"), settings.Name)
	}
	return usableClient(&settings.HTTPClient, at)
}

func encrypted(urls []*url.URL) bool {
	return slices.ContainsFunc(urls, func(address *url.URL) bool { return address.Scheme == "https" })
}

// item names an item of a list.
func item(field string, index int) string { return fmt.Sprintf("%s[%d]", field, index) }

// parseURL parses the URL of a service and takes its userinfo off. Its errors
// never repeat the URL: what is malformed can have a password anywhere.
func parseURL(text string) (*url.URL, *url.Userinfo, error) {
	text = strings.TrimSpace(text)
	lower := strings.ToLower(text)
	if !strings.HasPrefix(lower, "http://") && !strings.HasPrefix(lower, "https://") {
		return nil, nil, errors.New("must be a URL that begins with http:// or https://, such as http://connect-1:8083")
	}
	if err := oneAddress(lower); err != nil {
		return nil, nil, err
	}
	parsed, err := url.Parse(text)
	if err != nil {
		return nil, nil, errors.New("is no valid URL; special characters of a user or password must be percent-encoded")
	}
	if parsed.Hostname() == "" {
		return nil, nil, errors.New("has no host, such as http://connect-1:8083")
	}
	if port := parsed.Port(); port != "" {
		if number, err := strconv.Atoi(port); err != nil || number < 1 || number > 65535 {
			return nil, nil, errors.New("has a port that is not between 1 and 65535")
		}
	} else if strings.HasSuffix(parsed.Host, ":") {
		return nil, nil, errors.New("has a colon but no port behind its host")
	}
	if parsed.RawQuery != "" || parsed.ForceQuery || strings.Contains(text, "#") {
		return nil, nil, errors.New("must not have a query (?) or fragment (#): give the address alone")
	}
	user := parsed.User
	parsed.User = nil
	parsed.Path = strings.TrimRight(parsed.Path, "/")
	parsed.RawPath = strings.TrimRight(parsed.RawPath, "/")
	return parsed, user, nil
}

// oneAddress refuses what is often written where one URL is wanted, and which as
// a URL would only be a strange one.
func oneAddress(text string) error {
	_, host, _ := strings.Cut(text, "://")
	if end := strings.IndexAny(host, "/?#"); end >= 0 {
		host = host[:end]
	}
	host = host[strings.LastIndex(host, "@")+1:]
	if strings.ContainsAny(host, ",; ") || strings.Contains(text, ",http://") || strings.Contains(text, ",https://") {
		return errors.New("names more than one address, and takes one; urls of a file lists several workers of a cluster")
	}
	withoutPort := host[:max(0, strings.LastIndex(host, ":"))]
	for _, address := range []string{host, withoutPort} {
		if parsed, err := netip.ParseAddr(address); err == nil && parsed.Is6() {
			return errors.New("has an IPv6 address without brackets: write it as in http://[2001:db8::1]:8083")
		}
	}
	return nil
}

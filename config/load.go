package config

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	commoncfg "github.com/prometheus/common/config"

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

func (l *loader) load() error {
	settings, origins, err := l.fromFile()
	if err != nil {
		return err
	}
	fromEnvironment, environmentOrigins, err := l.environment.clusters()
	if err != nil {
		return err
	}
	settings, origins = append(settings, fromEnvironment...), append(origins, environmentOrigins...)
	if l.sources.ConnectURL != "" {
		cluster := defaultCluster()
		cluster.Name, cluster.URLs = "default", []string{l.sources.ConnectURL}
		const flag = "--connect.url"
		at := origin{flag, func(string) string { return flag }}
		if err := selectProvider(&cluster, at); err != nil {
			return err
		}
		settings, origins = append(settings, cluster), append(origins, at)
	}
	l.config.warnings = append(l.config.warnings, l.environment.warnings()...)
	if len(settings) == 0 {
		return l.nothing()
	}
	for i := range settings {
		cluster, err := l.cluster(&settings[i], origins[i])
		if err != nil {
			return err
		}
		l.config.clusters = append(l.config.clusters, cluster)
	}
	l.config.effective.Clusters = settings
	for _, cluster := range l.config.clusters {
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
func (l *loader) fromFile() (settings []clusterSettings, origins []origin, err error) {
	document := &l.config.effective
	place := func(field string) string { return field }
	if l.sources.File != "" {
		content, err := safefile.Read(l.sources.File, safefile.MaxConfig)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w: check --config.file", l.sources.File, err)
		}
		source, err := parseFile(l.sources.File, content, document)
		if err != nil {
			return nil, nil, err
		}
		l.dependOn(l.sources.File)
		place = source.at
		for i := range document.Clusters {
			path := fmt.Sprintf("clusters[%d]", i)
			origins = append(origins, origin{
				name:  strings.TrimSuffix(source.at(path), ": "+path),
				field: func(field string) string { return source.at(join(path, field)) },
			})
			l.resolvePaths(&document.Clusters[i])
		}
		if !slices.Contains([]string{stateSeriesCurrent, stateSeriesAll}, document.StateSeries) {
			return nil, nil, fmt.Errorf("%s: must be current or all", source.at("state_series"))
		}
		if document.OTLP != nil {
			document.OTLP.TLSConfig.SetDirectory(l.directory())
			for name, file := range document.OTLP.HeadersFiles {
				document.OTLP.HeadersFiles[name] = commoncfg.JoinDir(l.directory(), file)
			}
		}
	}
	return document.Clusters, origins, l.loadOTLP(place)
}

func (l *loader) directory() string { return filepath.Dir(l.sources.File) }

func (l *loader) resolvePaths(settings *clusterSettings) {
	settings.HTTPClient.SetDirectory(l.directory())
	if settings.Aiven != nil {
		settings.Aiven.TokenFile = commoncfg.JoinDir(l.directory(), settings.Aiven.TokenFile)
	}
}

func (l *loader) dependOn(files ...string) {
	for _, file := range files {
		if !slices.Contains(l.config.files, file) {
			l.config.files = append(l.config.files, file)
		}
	}
}

func (l *loader) warn(format string, args ...any) {
	l.config.warnings = append(l.config.warnings, oneLine(fmt.Errorf(format, args...)))
}

// cluster validates settings, puts them into their normal form, and makes a
// Cluster of them.
func (l *loader) cluster(settings *clusterSettings, at origin) (Cluster, error) {
	cluster := Cluster{
		Name:               settings.Name,
		Provider:           settings.Provider,
		ObservationVersion: settings.ObservationVersion,
		Parallelism:        settings.Parallelism,
		RequestTimeout:     time.Duration(settings.RequestTimeout),
		InfoMaxAge:         time.Duration(settings.InfoMaxAge),
		StartupValidation:  settings.StartupValidation,
		OffsetStorageTopic: settings.OffsetStorageTopic,
		GroupID:            settings.GroupID,
		Origin:             at.name,
	}
	wrong := func(field, format string, args ...any) (Cluster, error) {
		return Cluster{}, fmt.Errorf("%s: %s", at.field(field), fmt.Sprintf(format, args...))
	}
	if problem := nameProblem(settings.Name); problem != "" {
		return wrong("name", "%s", problem)
	}
	if first, taken := l.names[settings.Name]; taken {
		return wrong("name", "%q is already the name of the cluster at %s; names are unique over file, environment and flag", settings.Name, first)
	}
	l.names[settings.Name] = at.name
	if !slices.Contains([]string{"auto", "1", "2", "brokers"}, settings.ObservationVersion) {
		return wrong("observation_version", "must be auto, 1, 2 or brokers")
	}
	if settings.Kafka != nil {
		kafka, err := settings.Kafka.validate(l, at)
		if err != nil {
			return Cluster{}, err
		}
		cluster.Kafka = kafka
	}
	if settings.Parallelism < 1 || settings.Parallelism > maxParallelism {
		return wrong("parallelism", "%d is not between 1 and %d", settings.Parallelism, maxParallelism)
	}
	if settings.RequestTimeout == 0 {
		return wrong("request_timeout", "must be more than 0s")
	}
	var err error
	if cluster.Filter, err = l.filter(settings.Connectors, at); err != nil {
		return Cluster{}, err
	}
	if cluster.WorkerProbe, err = workerProbe(&settings.WorkerProbe, at); err != nil {
		return Cluster{}, err
	}
	if err := l.provider(settings, &cluster, at); err != nil {
		return Cluster{}, err
	}
	cluster.HTTPClient = settings.HTTPClient
	files := clientFiles(&settings.HTTPClient)
	if cluster.Aiven != nil && cluster.Aiven.TokenFile != "" {
		files = append(files, fileField{"aiven.token_file", cluster.Aiven.TokenFile})
	}
	contents, err := readFields(files, at)
	if err != nil {
		return Cluster{}, err
	}
	if err := usableClient(&settings.HTTPClient, at); err != nil {
		return Cluster{}, err
	}
	cluster.files = slices.Clone(settings.files)
	for _, file := range files {
		cluster.files = append(cluster.files, file.path)
	}
	cluster.fingerprint = fingerprint(*settings, contents)
	return cluster, nil
}

func nameProblem(name string) string {
	switch {
	case name == "":
		return "is required: it becomes the connect_cluster label"
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "must be printable UTF-8"
	case strings.TrimSpace(name) != name:
		return "must not begin or end with a space"
	case len(name) > 200:
		return "must not be longer than 200 bytes"
	}
	return ""
}

func (l *loader) filter(settings filterSettings, at origin) (filter Filter, err error) {
	compile := func(field string, patterns []string) (compiled []*regexp.Regexp, err error) {
		for i, pattern := range patterns {
			place := at.field(fmt.Sprintf("connectors.%s[%d]", field, i))
			expression, err := regexp.Compile(pattern)
			if err != nil {
				return nil, fmt.Errorf("%s: is no regular expression (RE2): %s", place, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
			}
			compiled = append(compiled, expression)
		}
		return compiled, nil
	}
	if filter.include, err = compile("include", settings.Include); err != nil {
		return Filter{}, err
	}
	filter.exclude, err = compile("exclude", settings.Exclude)
	return filter, err
}

var probeHost = regexp.MustCompile(`^(\*\.)?([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]+)?$`)

func workerProbe(settings *probeSettings, at origin) (WorkerProbe, error) {
	for i, host := range settings.CredentialsHosts {
		host = strings.ToLower(host)
		if !probeHost.MatchString(host) || strings.HasPrefix(host, "*.") && strings.Contains(host, ":") {
			return WorkerProbe{}, fmt.Errorf("%s: must be host, host:port or *.domain", at.field(fmt.Sprintf("worker_probe.credentials_hosts[%d]", i)))
		}
		settings.CredentialsHosts[i] = host
	}
	return WorkerProbe{Enabled: settings.Enabled, CredentialsHosts: settings.CredentialsHosts}, nil
}

// provider validates what depends on the provider.
func (l *loader) provider(settings *clusterSettings, cluster *Cluster, at origin) error {
	wrong := func(field, format string, args ...any) error {
		return fmt.Errorf("%s: %s", at.field(field), fmt.Sprintf(format, args...))
	}
	blocks := []struct {
		provider, field string
		present         bool
	}{
		{ProviderConfluentCloud, "confluent_cloud", settings.ConfluentCloud != nil},
		{ProviderMSK, "msk", settings.MSK != nil},
		{ProviderAiven, "aiven", settings.Aiven != nil},
	}
	known := settings.Provider == ProviderConnect
	for _, block := range blocks {
		if block.present && block.provider != settings.Provider {
			return wrong(block.field, "belongs to provider: %s, but the provider here is %s: change one of them", block.provider, settings.Provider)
		}
		if block.provider == settings.Provider {
			known = true
			if !block.present {
				return wrong("provider", "%s needs a block %s beside it", settings.Provider, block.field)
			}
		}
	}
	if !known {
		return wrong("provider", "must be connect, confluent-cloud, msk or aiven")
	}
	if settings.Provider != ProviderConnect && len(settings.URLs) > 0 {
		return wrong("urls", "belongs to provider: connect; for %s the block %s says where to go", settings.Provider, strings.ReplaceAll(settings.Provider, "-", "_"))
	}
	if settings.Provider == ProviderConfluentCloud || settings.Provider == ProviderMSK {
		if settings.WorkerProbe.Enabled {
			return wrong("worker_probe", "provider %s shows no workers that could be asked: remove it", settings.Provider)
		}
	}
	client := &settings.HTTPClient
	authenticated := client.BasicAuth != nil || client.Authorization != nil || client.OAuth2 != nil
	var err error
	switch settings.Provider {
	case ProviderConnect:
		if settings.Kafka != nil && len(settings.URLs) == 0 {
			cluster.ObservationVersion = "brokers"
			return nil
		}
		cluster.URLs, err = connectURLs(settings, at)
		return err
	case ProviderConfluentCloud:
		block := settings.ConfluentCloud
		for _, id := range []struct{ field, value, example string }{{"environment", block.Environment, "env-abc123"}, {"cluster", block.Cluster, "lkc-abc123"}} {
			if id.value == "" {
				return wrong("confluent_cloud."+id.field, "is required, such as %s", id.example)
			}
			if id.value != url.PathEscape(id.value) {
				return wrong("confluent_cloud."+id.field, "must be an id, such as %s", id.example)
			}
		}
		if !authenticated {
			return wrong("http_client", "provider confluent-cloud needs a Cloud API key: basic_auth with the key as username and the secret as password or password_file")
		}
		base, err := serviceURL(&block.APIURL, defaultConfluentURL, at.field("confluent_cloud.api_url"))
		if err != nil {
			return err
		}
		cluster.ConfluentCloud = &ConfluentCloud{Environment: block.Environment, Cluster: block.Cluster, APIURL: base}
		cluster.URLs = []*url.URL{base.JoinPath("connect/v1/environments", block.Environment, "clusters", block.Cluster)}
	case ProviderMSK:
		block := settings.MSK
		if settings.ObservationVersion != "auto" {
			return wrong("observation_version", "MSK Connect has but one way to be asked: remove it")
		}
		if block.Region == "" {
			return wrong("msk.region", "is required, such as eu-west-1")
		}
		if !regionName.MatchString(block.Region) {
			return wrong("msk.region", "must be the name of an AWS region, such as eu-west-1")
		}
		if block.RoleARN != "" && !strings.HasPrefix(block.RoleARN, "arn:") {
			return wrong("msk.role_arn", "must be an ARN, such as arn:aws:iam::123456789012:role/reader")
		}
		if authenticated {
			return wrong("http_client", "MSK Connect takes AWS credentials, from the environment, a profile or a role: remove basic_auth, authorization and oauth2")
		}
		cluster.MSK = &MSK{Region: block.Region, NamePrefix: block.NamePrefix, RoleARN: block.RoleARN, Describe: block.Describe, CloudWatch: block.CloudWatch}
		if block.Endpoint != "" {
			cluster.MSK.Endpoint, err = serviceURL(&block.Endpoint, "", at.field("msk.endpoint"))
		}
		return err
	case ProviderAiven:
		block := settings.Aiven
		for _, name := range []struct{ field, value string }{{"project", block.Project}, {"service", block.Service}} {
			if name.value == "" {
				return wrong("aiven."+name.field, "is required: its name at Aiven")
			}
			if name.value != url.PathEscape(name.value) {
				return wrong("aiven."+name.field, "must be a name, without / or spaces")
			}
		}
		if !slices.Contains([]string{"public", "private", "privatelink", "dynamic"}, block.Route) {
			return wrong("aiven.route", "must be public, private, privatelink or dynamic")
		}
		if authenticated {
			return wrong("http_client", "the credentials of an Aiven service come from its API: remove basic_auth, authorization and oauth2")
		}
		if block.Token != "" && block.TokenFile != "" {
			return wrong("aiven.token", "token and token_file are both set: keep one")
		}
		if block.Token == "" && block.TokenFile == "" {
			token, _ := l.environment.lookup("AIVEN_TOKEN")
			if block.Token = commoncfg.Secret(token); token == "" {
				return wrong("aiven", "needs an API token: token_file, token, or the variable AIVEN_TOKEN")
			}
		}
		base, err := serviceURL(&block.APIURL, defaultAivenURL, at.field("aiven.api_url"))
		if err != nil {
			return err
		}
		cluster.Aiven = &Aiven{Project: block.Project, Service: block.Service, Token: block.Token, TokenFile: block.TokenFile, APIURL: base, Route: block.Route}
	}
	return nil
}

var regionName = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`)

// serviceURL parses a base URL of a service in place, falling back where it is
// empty.
func serviceURL(text *string, fallback, place string) (*url.URL, error) {
	if *text == "" {
		*text = fallback
	}
	parsed, user, err := parseURL(*text)
	if err == nil && user != nil {
		err = errors.New("must not carry a user and password")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", place, err)
	}
	*text = parsed.String()
	return parsed, nil
}

// connectURLs parses the URLs of workers, and moves their userinfo to basic_auth.
func connectURLs(settings *clusterSettings, at origin) (parsed []*url.URL, err error) {
	if len(settings.URLs) == 0 {
		return nil, fmt.Errorf(`%s: is required for provider: connect, such as urls: ["http://connect-1:8083"]`, at.field("urls"))
	}
	var user *url.Userinfo
	for i, text := range settings.URLs {
		place := at.field(fmt.Sprintf("urls[%d]", i))
		worker, workerUser, err := parseURL(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", place, err)
		}
		if _, cloud := confluentPath(worker); cloud {
			return nil, fmt.Errorf("%s: is Confluent Cloud's API: write provider: confluent-cloud and confluent_cloud: {environment, cluster} in place of urls", place)
		}
		if i > 0 && (user == nil) != (workerUser == nil) || user != nil && *user != *workerUser {
			return nil, fmt.Errorf("%s: its user and password are not those of urls[0]: all workers of a cluster share them; use http_client.basic_auth", place)
		}
		user, settings.URLs[i] = workerUser, worker.String()
		if first := slices.Index(settings.URLs[:i], settings.URLs[i]); first >= 0 {
			return nil, fmt.Errorf("%s: repeats urls[%d]: remove it", place, first)
		}
		parsed = append(parsed, worker)
	}
	return parsed, authenticateAs(&settings.HTTPClient, user, at.field("urls[0]"))
}

// authenticateAs turns the userinfo of a URL into basic_auth.
func authenticateAs(client *commoncfg.HTTPClientConfig, user *url.Userinfo, place string) error {
	if user == nil {
		return nil
	}
	if client.BasicAuth != nil || client.Authorization != nil || client.OAuth2 != nil {
		return fmt.Errorf("%s: carries a user and password, and credentials are configured besides: remove those of the URL", place)
	}
	password, _ := user.Password()
	client.BasicAuth = &commoncfg.BasicAuth{Username: user.Username(), Password: commoncfg.Secret(password)}
	return nil
}

// parseURL parses the URL of a service and takes its userinfo off. Its errors
// never repeat the URL: what is malformed can have a password anywhere.
func parseURL(text string) (*url.URL, *url.Userinfo, error) {
	text = strings.TrimSpace(text)
	lower := strings.ToLower(text)
	if !strings.HasPrefix(lower, "http://") && !strings.HasPrefix(lower, "https://") {
		return nil, nil, errors.New("must be a URL that begins with http:// or https://, such as http://connect-1:8083")
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

var confluentPathForm = regexp.MustCompile(`^(.*)/connect/v1/environments/([^/]+)/clusters/([^/]+)(/connectors)?$`)

// confluentPath recognises the address of a Connect cluster in Confluent
// Cloud's API: https://api.confluent.cloud/connect/v1/environments/E/clusters/C.
func confluentPath(address *url.URL) (confluentSettings, bool) {
	match := confluentPathForm.FindStringSubmatch(address.Path)
	if match == nil {
		return confluentSettings{}, false
	}
	base := *address
	base.Path, base.RawPath = match[1], ""
	return confluentSettings{Environment: match[2], Cluster: match[3], APIURL: base.String()}, true
}

// selectProvider makes a cluster that was given by a URL alone one of Confluent
// Cloud if the URL says so.
func selectProvider(settings *clusterSettings, at origin) error {
	address, user, err := parseURL(settings.URLs[0])
	if err != nil {
		return fmt.Errorf("%s: %w", at.field("urls[0]"), err)
	}
	block, cloud := confluentPath(address)
	if !cloud {
		return nil
	}
	settings.Provider, settings.ConfluentCloud, settings.URLs = ProviderConfluentCloud, &block, nil
	return authenticateAs(&settings.HTTPClient, user, at.field("urls[0]"))
}

// readFile reads a file of configuration. Its error says why, not which file.
func readFile(path string) ([]byte, error) { return safefile.Read(path, safefile.MaxSecret) }

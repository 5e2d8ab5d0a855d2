package config

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	commoncfg "github.com/prometheus/common/config"
	"golang.org/x/net/http/httpproxy"
)

// The environment is read as Kpow reads it (https://docs.factorhouse.io,
// "Kafka Connect"): its variables, meanings and defaults. An empty value counts
// as not set.
type environment struct {
	values map[string]string
	// names, sorted.
	names []string
	// used are those that the file refers to.
	used  map[string]bool
	notes []string
}

func newEnvironment(environ []string) *environment {
	e := &environment{values: map[string]string{}, used: map[string]bool{}}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if _, twice := e.values[name]; !twice && strings.TrimSpace(value) != "" {
			e.values[name] = value
			e.names = append(e.names, name)
		}
	}
	slices.Sort(e.names)
	return e
}

// lookup returns a value without the spaces around it.
func (e *environment) lookup(name string) (value string, set bool) {
	value, set = e.values[name]
	return strings.TrimSpace(value), set
}

// first returns the first of the variables that is set, "" if none is.
func (e *environment) first(names ...string) (name, value string) {
	for _, name := range names {
		if value, set := e.lookup(name); set {
			return name, value
		}
	}
	return "", ""
}

func (e *environment) warnings() []string { return e.notes }

func (e *environment) warn(format string, args ...any) {
	e.notes = append(e.notes, fmt.Sprintf(format, args...))
}

// A variable of a cluster, or of its brokers, as it is called without a resource
// id before it.
type variable[T any] struct {
	name string
	// standard is the default as the documentation writes it.
	standard string
	meaning  string
	// field is the setting that it gives, as errors of validation name it.
	field string
	set   func(to *T, value string) error
}

// read takes over the variables that are set, and notes which one gives which
// field.
func read[T any](e *environment, prefix string, known []variable[T], to *T, fields map[string]string) error {
	for _, variable := range known {
		name := prefix + variable.name
		value, set := e.lookup(name)
		if !set {
			continue
		}
		if strings.HasSuffix(name, "_PASS") || strings.HasSuffix(name, "_PASSWORD") {
			value = strings.TrimRight(e.values[name], "\r\n") // Spaces may belong to it.
		}
		if err := variable.set(to, value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if variable.field != "" {
			fields[variable.field] = name
		}
	}
	return nil
}

// An environmentCluster is what the variables of one cluster say.
type environmentCluster struct {
	settings       Settings
	url, region    string
	basic          bool
	user, password string
	stores         stores
	// What tells the workers' topics and group.
	group, statuses, offsets string
}

// variables lists every variable of one cluster.
func variables() []variable[environmentCluster] {
	return slices.Concat([]variable[environmentCluster]{
		{"CONNECT_NAME", "the resource id, else default", "Name of the cluster: its connect_cluster label.", "name", text(func(c *environmentCluster) *string { return &c.settings.Name })},
		{"CONNECT_REST_URL", "", "REST URL of the cluster. A URL of Confluent Cloud's API (https://api.confluent.cloud/connect/v1/environments/ENV/clusters/CLUSTER) selects provider confluent-cloud.", "urls", text(func(c *environmentCluster) *string { return &c.url })},
		{
			"CONNECT_AUTH", "", "BASIC: send CONNECT_BASIC_AUTH_USER and CONNECT_BASIC_AUTH_PASS.", "http_client",
			func(c *environmentCluster, value string) error {
				if c.basic = strings.EqualFold(value, "BASIC"); !c.basic {
					return errors.New("must be BASIC, or not be set")
				}
				return nil
			},
		},
		{"CONNECT_BASIC_AUTH_USER", "", "User name, with CONNECT_AUTH=BASIC.", "", text(func(c *environmentCluster) *string { return &c.user })},
		{"CONNECT_BASIC_AUTH_PASS", "", "Password, with CONNECT_AUTH=BASIC.", "", text(func(c *environmentCluster) *string { return &c.password })},
		{"CONNECT_STARTUP_VALIDATION", "true", "The exporter starts only if the cluster answers.", "startup_validation", func(c *environmentCluster, value string) error { return boolean(&c.settings.StartupValidation)(value) }},
		{"CONNECT_GROUP_ID", "", "The workers' group.id, read from the brokers.", "kafka.group_id", text(func(c *environmentCluster) *string { return &c.group })},
		{"CONNECT_STATUS_STORAGE_TOPIC", "", "The workers' status.storage.topic, read from the brokers (not known to Kpow).", "kafka.status_storage_topic", text(func(c *environmentCluster) *string { return &c.statuses })},
		{"CONNECT_OFFSET_STORAGE_TOPIC", "", "The workers' offset.storage.topic, read from the brokers.", "kafka.offset_storage_topic", text(func(c *environmentCluster) *string { return &c.offsets })},
		{
			"CONNECT_PERMISSIVE_SSL", "false", "true: the server's certificate is not verified.", "http_client.tls_config",
			func(c *environmentCluster, value string) error {
				return boolean(&c.settings.HTTPClient.TLSConfig.InsecureSkipVerify)(value)
			},
		},
		{
			"CONNECT_TIMEOUT_MS", "5000", "Limit of each HTTP request in milliseconds.", "request_timeout",
			func(c *environmentCluster, value string) error {
				return milliseconds(&c.settings.RequestTimeout)(value)
			},
		},
		{
			"CONNECT_OBSERVATION_VERSION", "1; auto for Confluent Cloud", "1: a list and calls per connector. 2: one expanded call. auto: 2 where the worker can; brokers: no REST API is asked (both not known to Kpow).", "observation_version",
			func(c *environmentCluster, value string) error {
				if !slices.Contains([]string{"1", "2", versionAuto, versionBrokers}, value) {
					return errors.New("must be 1, 2, auto or brokers")
				}
				c.settings.ObservationVersion = value
				return nil
			},
		},
		{"CONNECT_AWS_REGION", "", "Watch the MSK Connect connectors of this region instead of a REST URL.", "msk.region", text(func(c *environmentCluster) *string { return &c.region })},
	}, storeVariables("CONNECT_SSL", "server", "http_client.tls_config", func(c *environmentCluster) *stores { return &c.stores }))
}

// text sets a field to what a variable holds.
func text[T any](field func(*T) *string) func(*T, string) error {
	return func(to *T, value string) error { *field(to) = value; return nil }
}

const resourceIDsVariable = "CONNECT_RESOURCE_IDS"

var resourceID = regexp.MustCompile(`^[A-Z0-9_]+$`)

// clusters reads the clusters of the environment, in the order of
// CONNECT_RESOURCE_IDS.
func (e *environment) clusters() (all []candidate, err error) {
	known := variables()
	if err := e.refuseNumbered(known); err != nil {
		return nil, err
	}
	var ids []string
	list, several := e.lookup(resourceIDsVariable)
	for id := range strings.SplitSeq(list, ",") {
		id = strings.TrimSpace(id)
		switch {
		case id == "":
		case slices.Contains(ids, id):
			return nil, fmt.Errorf("%s: %s is listed twice: remove one", resourceIDsVariable, id)
		case !resourceID.MatchString(id) && resourceID.MatchString(strings.ToUpper(id)):
			return nil, fmt.Errorf("%s: %s must be upper case: %s, with variables such as %s_CONNECT_REST_URL", resourceIDsVariable, id, strings.ToUpper(id), strings.ToUpper(id))
		case !resourceID.MatchString(id):
			return nil, fmt.Errorf("%s: an id consists of upper-case letters, digits and _, with commas between ids: DEV1,QA2", resourceIDsVariable)
		default:
			ids = append(ids, id)
		}
	}
	if several && len(ids) == 0 {
		return nil, fmt.Errorf("%s: lists no id: give some, such as DEV1,QA2, or remove it", resourceIDsVariable)
	}
	e.warnOfSlips(known, ids)
	for _, id := range ids {
		cluster, err := e.cluster(known, id+"_", id)
		if err != nil {
			return nil, err
		}
		all = append(all, cluster)
	}
	_, hasURL := e.lookup("CONNECT_REST_URL")
	_, hasRegion := e.lookup("CONNECT_AWS_REGION")
	version, _ := e.lookup("CONNECT_OBSERVATION_VERSION")
	if !several && (hasURL || hasRegion || version == versionBrokers) {
		cluster, err := e.cluster(known, "", "default")
		return []candidate{cluster}, err
	}
	if stray := e.stray(known); !several && stray != "" {
		e.warn("%s is ignored: neither CONNECT_REST_URL nor %s is set", stray, resourceIDsVariable)
	}
	return all, nil
}

// stray returns a variable that is set as if for a cluster. Images of Kafka
// Connect itself have the group, the topics and the stores too.
func (e *environment) stray(known []variable[environmentCluster]) string {
	for _, variable := range known {
		if _, set := e.lookup(variable.name); set && !strings.HasPrefix(variable.name, "CONNECT_SSL_") && !strings.HasPrefix(variable.field, "kafka.") {
			return variable.name
		}
	}
	return ""
}

// cluster reads the variables that begin with the prefix.
func (e *environment) cluster(known []variable[environmentCluster], prefix, name string) (candidate, error) {
	c := &environmentCluster{settings: defaultCluster()}
	c.settings.Name, c.settings.StartupValidation, c.settings.ObservationVersion = name, true, ""
	fields := map[string]string{}
	if err := read(e, prefix, known, c, fields); err != nil {
		return candidate{}, err
	}
	main := "CONNECT_REST_URL"
	switch {
	case c.url != "" && c.region != "":
		return candidate{}, fmt.Errorf("%sCONNECT_AWS_REGION: stands for MSK Connect and %sCONNECT_REST_URL for another cluster: remove one, or name both in %s", prefix, prefix, resourceIDsVariable)
	case c.region != "":
		main = "CONNECT_AWS_REGION"
	case c.settings.ObservationVersion == versionBrokers:
		main = "CONNECT_OBSERVATION_VERSION"
	case c.url == "":
		return candidate{}, fmt.Errorf("%sCONNECT_REST_URL: is not set, but %s lists %s (for MSK Connect set %sCONNECT_AWS_REGION)", prefix, resourceIDsVariable, name, prefix)
	}
	at := origin{prefix + main, func(field string) string {
		for around := field; around != ""; around = around[:max(0, strings.LastIndexAny(around, ".["))] {
			if variable, found := fields[around]; found {
				return variable
			}
		}
		return prefix + main
	}}
	for _, complete := range []func() error{
		func() error { return c.authenticate(e, prefix) },
		func() error { return c.readStores(e, prefix) },
		func() error { return c.selectProvider(prefix, at) },
		func() error { c.selectVersion(e, prefix); return e.throughProxy(&c.settings) },
		func() error { return c.brokers(e, prefix, fields) },
	} {
		if err := complete(); err != nil {
			return candidate{}, err
		}
	}
	return candidate{c.settings, at}, nil
}

func (c *environmentCluster) readStores(e *environment, prefix string) error {
	files, err := c.stores.read(e, prefix+"CONNECT_SSL", &c.settings.HTTPClient.TLSConfig)
	c.settings.files = append(c.settings.files, files...)
	return err
}

func (c *environmentCluster) selectProvider(prefix string, at origin) error {
	switch {
	case c.region != "":
		c.settings.Provider, c.settings.MSK = ProviderMSK, &MSK{Region: c.region}
		return nil
	case c.url == "":
		return nil
	}
	c.settings.URLs = []string{c.url}
	if err := selectProvider(&c.settings, at); err != nil {
		return err
	}
	if c.settings.Provider == ProviderConfluentCloud && c.settings.HTTPClient.BasicAuth == nil {
		return fmt.Errorf("%sCONNECT_REST_URL: provider confluent-cloud needs a Cloud API key: set %sCONNECT_AUTH=BASIC, %sCONNECT_BASIC_AUTH_USER and %sCONNECT_BASIC_AUTH_PASS", prefix, prefix, prefix, prefix)
	}
	return nil
}

// selectVersion gives Kpow's default where it is of use: a call per connector
// meets a cloud's rate limit, and MSK Connect has no versions.
func (c *environmentCluster) selectVersion(e *environment, prefix string) {
	version := &c.settings.ObservationVersion
	switch {
	case c.settings.Provider == ProviderMSK:
		if *version != "" && *version != versionAuto {
			e.warn("%sCONNECT_OBSERVATION_VERSION is ignored: MSK Connect has but one way to be asked", prefix)
		}
		*version = versionAuto
	case *version != "":
	case c.settings.Provider == ProviderConfluentCloud:
		*version = versionAuto
	default:
		*version = "1"
	}
}

// throughProxy gives a cluster that is known by its URL alone the proxy of
// HTTPS_PROXY, unless NO_PROXY says otherwise. Plain HTTP is spoken within a
// network, where proxies seldom lead: such a cluster has none.
func (e *environment) throughProxy(settings *Settings) error {
	target := append(slices.Clone(settings.URLs), "")[0]
	if settings.ConfluentCloud != nil {
		target = settings.ConfluentCloud.APIURL.String()
	}
	address, err := url.Parse(strings.TrimSpace(target))
	if err != nil || address.Scheme != "https" {
		return nil
	}
	name, proxy := e.first("HTTPS_PROXY", "https_proxy")
	if name == "" {
		return nil
	}
	if !strings.Contains(proxy, "://") {
		proxy = "http://" + proxy
	}
	if parsed, err := url.Parse(proxy); err != nil || !usableProxyURL(parsed) {
		return fmt.Errorf("%s: must be a URL such as http://proxy:3128", name)
	}
	_, exceptions := e.first("NO_PROXY", "no_proxy")
	if settings.HTTPClient.ProxyURL.URL, err = (&httpproxy.Config{HTTPSProxy: proxy, NoProxy: exceptions}).ProxyFunc()(address); err != nil {
		return fmt.Errorf("%s: cannot be used for this address", name)
	}
	return nil
}

// authenticate turns user and password into basic_auth.
func (c *environmentCluster) authenticate(e *environment, prefix string) error {
	const user, password = "CONNECT_BASIC_AUTH_USER", "CONNECT_BASIC_AUTH_PASS"
	switch {
	case c.basic && c.region != "":
		e.warn("%sCONNECT_AUTH is ignored: MSK Connect takes AWS credentials", prefix)
	case c.basic && c.user == "":
		return fmt.Errorf("%s%s: is not set, but %sCONNECT_AUTH is BASIC", prefix, user, prefix)
	case c.basic && c.password == "":
		return fmt.Errorf("%s%s: is not set, but %sCONNECT_AUTH is BASIC", prefix, password, prefix)
	case c.basic:
		c.settings.HTTPClient.BasicAuth = &commoncfg.BasicAuth{Username: c.user, Password: commoncfg.Secret(c.password)}
	case c.user != "" || c.password != "":
		e.warn("%s%s and %s are ignored, no credentials are sent: set %sCONNECT_AUTH=BASIC to send them", prefix, user, password, prefix)
	}
	return nil
}

// numbered are variables with Kpow's suffix for a further Kafka cluster.
var numbered = regexp.MustCompile(`^(.*)_([0-9]+)$`)

func (e *environment) refuseNumbered(known []variable[environmentCluster]) error {
	for _, name := range e.names {
		match := numbered.FindStringSubmatch(name)
		if match == nil {
			continue
		}
		for _, variable := range known {
			if match[1] == variable.name || strings.HasSuffix(match[1], "_"+variable.name) {
				return fmt.Errorf("%s: numbered variables are not read: list an id for each cluster in %s=DEV1,QA2 and set DEV1_%s, QA2_%s", name, resourceIDsVariable, variable.name, variable.name)
			}
		}
	}
	return nil
}

// warnOfSlips warns of variables that are hardly meant as they are written.
// Others that are unknown stay unmentioned: Kubernetes sets CONNECT_PORT,
// CONNECT_SERVICE_HOST and the like beside a service that is called connect, and
// images of Kafka Connect take all their settings as CONNECT_….
func (e *environment) warnOfSlips(known []variable[environmentCluster], ids []string) {
	names := []string{resourceIDsVariable}
	for _, variable := range known {
		names = append(names, variable.name)
	}
	others := map[string]string{
		"CONNECT_URL": "CONNECT_REST_URL", "CONNECT_HOST": "CONNECT_REST_URL", "CONNECT_ENDPOINT": "CONNECT_REST_URL",
		"CONNECT_BASIC_AUTH_USERNAME": "CONNECT_BASIC_AUTH_USER", "CONNECT_USER": "CONNECT_BASIC_AUTH_USER", "CONNECT_USERNAME": "CONNECT_BASIC_AUTH_USER", "CONNECT_AUTH_USER": "CONNECT_BASIC_AUTH_USER",
		"CONNECT_BASIC_AUTH_PASSWORD": "CONNECT_BASIC_AUTH_PASS", "CONNECT_PASSWORD": "CONNECT_BASIC_AUTH_PASS", "CONNECT_AUTH_PASS": "CONNECT_BASIC_AUTH_PASS",
		"CONNECT_TIMEOUT": "CONNECT_TIMEOUT_MS", "CONNECT_REGION": "CONNECT_AWS_REGION", "CONNECT_IDS": resourceIDsVariable, "CONNECT_RESOURCES": resourceIDsVariable,
		"CONNECT_SSL_TRUSTSTORE": "CONNECT_SSL_TRUSTSTORE_LOCATION", "CONNECT_SSL_KEYSTORE": "CONNECT_SSL_KEYSTORE_LOCATION",
	}
	for _, name := range e.names {
		at := strings.Index(name, "CONNECT_")
		if at < 0 || at > 0 && name[at-1] != '_' || e.used[name] {
			continue
		}
		prefix, rest := name[:at], name[at:]
		ours := prefix == "" || slices.Contains(ids, strings.TrimSuffix(prefix, "_"))
		switch {
		case slices.Contains(names, rest) && prefix == "" && len(ids) > 0 && rest != resourceIDsVariable:
			e.warn("%s is ignored, because %s is set: variables without a resource id are no defaults; set %s_%s", name, resourceIDsVariable, ids[0], rest)
		case slices.Contains(names, rest) && !ours && (rest == "CONNECT_REST_URL" || rest == "CONNECT_AWS_REGION"):
			e.warn("%s is ignored, because %s does not list %s", name, resourceIDsVariable, strings.TrimSuffix(prefix, "_"))
		case slices.Contains(names, rest) || !ours:
		case others[rest] != "":
			e.warn("%s is not known: did you mean %s%s?", name, prefix, others[rest])
		default:
			if near := nearest(rest, names); near != "" {
				e.warn("%s is not known: did you mean %s%s?", name, prefix, near)
			}
		}
	}
}

package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	commoncfg "github.com/prometheus/common/config"
	"golang.org/x/net/http/httpproxy"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config/internal/client"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/config/internal/java"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/config/internal/strict"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/safefile"
)

// The environment is read as Kpow reads it (https://docs.factorhouse.io,
// "Kafka Connect"): its variables, meanings and defaults. An empty value counts
// as not set.
type environment struct {
	values map[string]string
	// used are those that the file refers to.
	used     map[string]bool
	warnings []string
}

func newEnvironment(environ []string) *environment {
	e := &environment{values: map[string]string{}, used: map[string]bool{}}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if _, twice := e.values[name]; !twice && strings.TrimSpace(value) != "" {
			e.values[name] = value
		}
	}
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

// refer returns what the file refers to by ${NAME}.
func (e *environment) refer(name string) (value string, set bool) {
	value, e.used[name] = e.values[name], true
	return value, value != ""
}

func (e *environment) warn(format string, args ...any) {
	e.warnings = append(e.warnings, fmt.Sprintf(format, args...))
}

// An environmentCluster is what the variables of one cluster say.
type environmentCluster struct {
	*environment
	settings Settings
	// prefix is its resource id, with _.
	prefix string
	// given are the values by the names without prefix.
	given map[string]string
	// fields has the variable that gave a setting, and files are those of stores.
	fields map[string]string
	files  []strict.File
}

// read takes over the variables that are set.
func (c *environmentCluster) read(prefix string, known []variable) error {
	for _, variable := range known {
		name := prefix + variable.name
		value, set := c.lookup(name)
		if !set {
			continue
		}
		if strings.HasSuffix(name, "_PASS") || strings.HasSuffix(name, "_PASSWORD") {
			value = strings.TrimRight(c.values[name], "\r\n") // Spaces may belong to it.
		}
		if variable.set != nil {
			if err := variable.set(&c.settings)(value); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		if c.given[variable.name] = value; variable.field != "" {
			c.fields[variable.field] = name
		}
	}
	return nil
}

// wrong is an error about a variable.
func (c *environmentCluster) wrong(variable, format string, args ...any) error {
	return fmt.Errorf("%s%s: %s", c.prefix, variable, fmt.Sprintf(format, args...))
}

const resourceIDsVariable = "CONNECT_RESOURCE_IDS"

var resourceID = regexp.MustCompile(`^[A-Z0-9_]+$`)

// resourceIDs reads CONNECT_RESOURCE_IDS; none: it is not set.
func (e *environment) resourceIDs() (ids []string, err error) {
	list, several := e.lookup(resourceIDsVariable)
	for id := range strings.SplitSeq(list, ",") {
		id = strings.TrimSpace(id)
		switch {
		case id == "":
		case slices.Contains(ids, id):
			return nil, fmt.Errorf("%s: %s is listed twice: remove one", resourceIDsVariable, id)
		case !resourceID.MatchString(id) && resourceID.MatchString(strings.ToUpper(id)):
			return nil, fmt.Errorf("%s: %s must be upper case: %s, with variables such as %[3]s_CONNECT_REST_URL", resourceIDsVariable, id, strings.ToUpper(id))
		case !resourceID.MatchString(id):
			return nil, fmt.Errorf("%s: an id consists of upper-case letters, digits and _, with commas between ids: DEV1,QA2", resourceIDsVariable)
		default:
			ids = append(ids, id)
		}
	}
	if several && len(ids) == 0 {
		return nil, fmt.Errorf("%s: lists no id: give some, such as DEV1,QA2, or remove it", resourceIDsVariable)
	}
	return ids, nil
}

// clusters reads the clusters of the environment, in the order of
// CONNECT_RESOURCE_IDS.
func (e *environment) clusters() (all []candidate, err error) {
	if err := e.refuseNumbered(); err != nil {
		return nil, err
	}
	ids, err := e.resourceIDs()
	if err != nil {
		return nil, err
	}
	e.warnOfSlips(ids)
	named, _ := e.first("CONNECT_REST_URL", "CONNECT_AWS_REGION")
	version, _ := e.lookup("CONNECT_OBSERVATION_VERSION")
	switch stray := e.stray(); {
	case len(ids) > 0:
	case named != "" || version == versionBrokers:
		ids = []string{""}
	case stray != "":
		e.warn("%s is ignored: neither CONNECT_REST_URL nor %s is set", stray, resourceIDsVariable)
	}
	for _, id := range ids {
		cluster, err := e.cluster(id)
		if err != nil {
			return nil, err
		}
		all = append(all, cluster)
	}
	return all, nil
}

// stray returns a variable that is set as if for a cluster. Images of Kafka
// Connect itself have the group, the topics and the stores too.
func (e *environment) stray() string {
	for _, variable := range variables() {
		if _, set := e.lookup(variable.name); set && !strings.HasPrefix(variable.name, "CONNECT_SSL_") && !strings.HasPrefix(variable.field, "kafka.") {
			return variable.name
		}
	}
	return ""
}

// cluster reads the variables of a resource id; "" for those without.
func (e *environment) cluster(id string) (candidate, error) {
	prefix := ""
	if id != "" {
		prefix = id + "_"
	}
	c := &environmentCluster{environment: e, settings: defaultCluster(), prefix: prefix, given: map[string]string{}, fields: map[string]string{}}
	c.settings.Name, c.settings.StartupValidation, c.settings.ObservationVersion = cmp.Or(id, "default"), true, ""
	if err := c.read(prefix, variables()); err != nil {
		return candidate{}, err
	}
	address, region, main := c.given["CONNECT_REST_URL"], c.given["CONNECT_AWS_REGION"], "CONNECT_REST_URL"
	switch {
	case address != "" && region != "":
		return candidate{}, c.wrong("CONNECT_AWS_REGION", "stands for MSK Connect and %sCONNECT_REST_URL for another cluster: remove one, or name both in %s", prefix, resourceIDsVariable)
	case region != "":
		main = "CONNECT_AWS_REGION"
	case c.settings.ObservationVersion == versionBrokers:
		main = "CONNECT_OBSERVATION_VERSION"
	case address == "":
		return candidate{}, c.wrong(main, "is not set, but %s lists %s (for MSK Connect set %sCONNECT_AWS_REGION)", resourceIDsVariable, id, prefix)
	}
	at := origin{name: prefix + main, Place: func(field string) string {
		variable, _ := strict.Around(c.fields, field)
		return cmp.Or(variable, prefix+main)
	}}
	for _, complete := range []func() error{
		c.authenticate,
		func() error { return c.stores(prefix, "CONNECT_SSL", &c.settings.HTTPClient.TLSConfig) },
		func() error { return c.selectProvider(at) },
		func() error { c.selectVersion(); return e.throughProxy(&c.settings) },
		c.brokers,
	} {
		if err := complete(); err != nil {
			return candidate{}, err
		}
	}
	at.files = c.files
	return candidate{c.settings, at}, nil
}

// stores puts what the Java stores hold into TLS settings, as PEM.
func (c *environmentCluster) stores(prefix, variables string, tls *commoncfg.TLSConfig) error {
	for _, store := range []string{"_TRUSTSTORE", "_KEYSTORE"} {
		location, password, name := c.given[variables+store+"_LOCATION"], c.given[variables+store+"_PASSWORD"], prefix+variables+store
		if location == "" {
			if password != "" {
				c.warn("%s_PASSWORD is ignored: %[1]s_LOCATION is not set", name)
			}
			continue
		}
		file, err := safefile.Read(location, safefile.MaxSecret)
		switch {
		case err != nil:
		case store == "_TRUSTSTORE":
			tls.CA, err = java.TrustStore(file, password)
		default:
			var key string
			tls.Cert, key, err = java.KeyStore(file, password)
			tls.Key = commoncfg.Secret(key)
		}
		if errors.Is(err, java.ErrPassword) {
			return fmt.Errorf("%s_PASSWORD: does not open %s", name, location)
		} else if err != nil {
			return fmt.Errorf("%s_LOCATION: %s %w", name, location, err)
		}
		c.files = append(c.files, strict.File{Path: location})
	}
	return nil
}

func (c *environmentCluster) selectProvider(at origin) error {
	if region := c.given["CONNECT_AWS_REGION"]; region != "" {
		c.settings.Provider, c.settings.MSK = ProviderMSK, &MSK{Region: region}
		return nil
	}
	if c.given["CONNECT_REST_URL"] == "" {
		return nil
	}
	c.settings.URLs = []string{c.given["CONNECT_REST_URL"]}
	if err := selectProvider(&c.settings, at); err != nil {
		return err
	}
	if c.settings.Provider == ProviderConfluentCloud && c.settings.HTTPClient.BasicAuth == nil {
		return c.wrong("CONNECT_REST_URL", "provider confluent-cloud needs a Cloud API key: set %sCONNECT_AUTH=BASIC, %[1]sCONNECT_BASIC_AUTH_USER and %[1]sCONNECT_BASIC_AUTH_PASS", c.prefix)
	}
	return nil
}

// selectVersion gives Kpow's default where it is of use: a call per connector
// meets a cloud's rate limit, and MSK Connect has no versions.
func (c *environmentCluster) selectVersion() {
	version := &c.settings.ObservationVersion
	switch c.settings.Provider {
	case ProviderMSK:
		if *version != "" && *version != versionAuto {
			c.warn("%sCONNECT_OBSERVATION_VERSION is ignored: MSK Connect has but one way to be asked", c.prefix)
		}
		*version = versionAuto
	case ProviderConfluentCloud:
		*version = cmp.Or(*version, versionAuto)
	default:
		*version = cmp.Or(*version, "1")
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
	if parsed, err := url.Parse(proxy); err != nil || !client.IsProxy(parsed) {
		return fmt.Errorf("%s: must be a URL such as http://proxy:3128", name)
	}
	_, exceptions := e.first("NO_PROXY", "no_proxy")
	if settings.HTTPClient.ProxyURL.URL, err = (&httpproxy.Config{HTTPSProxy: proxy, NoProxy: exceptions}).ProxyFunc()(address); err != nil {
		return fmt.Errorf("%s: cannot be used for this address", name)
	}
	return nil
}

// authenticate turns user and password into basic_auth.
func (c *environmentCluster) authenticate() error {
	const userVariable, passwordVariable = "CONNECT_BASIC_AUTH_USER", "CONNECT_BASIC_AUTH_PASS"
	user, password := c.given[userVariable], c.given[passwordVariable]
	switch basic := c.given["CONNECT_AUTH"] != ""; {
	case basic && c.given["CONNECT_AWS_REGION"] != "":
		c.warn("%sCONNECT_AUTH is ignored: MSK Connect takes AWS credentials", c.prefix)
	case basic && user == "":
		return c.wrong(userVariable, "is not set, but %sCONNECT_AUTH is BASIC", c.prefix)
	case basic && password == "":
		return c.wrong(passwordVariable, "is not set, but %sCONNECT_AUTH is BASIC", c.prefix)
	case basic:
		c.settings.HTTPClient.BasicAuth = &commoncfg.BasicAuth{Username: user, Password: commoncfg.Secret(password)}
	case user != "" || password != "":
		c.warn("%s%s and %s are ignored, no credentials are sent: set %[1]sCONNECT_AUTH=BASIC to send them", c.prefix, userVariable, passwordVariable)
	}
	return nil
}

// numbered are variables with Kpow's suffix for a further Kafka cluster.
var numbered = regexp.MustCompile(`^(.*)_([0-9]+)$`)

func (e *environment) refuseNumbered() error {
	for _, name := range slices.Sorted(maps.Keys(e.values)) {
		match := numbered.FindStringSubmatch(name)
		if match == nil {
			continue
		}
		for _, variable := range variables() {
			if match[1] == variable.name || strings.HasSuffix(match[1], "_"+variable.name) {
				return fmt.Errorf("%s: numbered variables are not read: list an id for each cluster in %s=DEV1,QA2 and set DEV1_%s, QA2_%[3]s", name, resourceIDsVariable, variable.name)
			}
		}
	}
	return nil
}

// slips are names that others use for what the exporter calls otherwise.
func slips() map[string]string {
	return map[string]string{
		"CONNECT_URL": "CONNECT_REST_URL", "CONNECT_HOST": "CONNECT_REST_URL", "CONNECT_ENDPOINT": "CONNECT_REST_URL",
		"CONNECT_BASIC_AUTH_USERNAME": "CONNECT_BASIC_AUTH_USER", "CONNECT_USER": "CONNECT_BASIC_AUTH_USER", "CONNECT_USERNAME": "CONNECT_BASIC_AUTH_USER", "CONNECT_AUTH_USER": "CONNECT_BASIC_AUTH_USER",
		"CONNECT_BASIC_AUTH_PASSWORD": "CONNECT_BASIC_AUTH_PASS", "CONNECT_PASSWORD": "CONNECT_BASIC_AUTH_PASS", "CONNECT_AUTH_PASS": "CONNECT_BASIC_AUTH_PASS",
		"CONNECT_TIMEOUT": "CONNECT_TIMEOUT_MS", "CONNECT_REGION": "CONNECT_AWS_REGION", "CONNECT_IDS": resourceIDsVariable, "CONNECT_RESOURCES": resourceIDsVariable,
		"CONNECT_SSL_TRUSTSTORE": "CONNECT_SSL_TRUSTSTORE_LOCATION", "CONNECT_SSL_KEYSTORE": "CONNECT_SSL_KEYSTORE_LOCATION",
	}
}

// warnOfSlips warns of variables that are hardly meant as they are written.
// Others that are unknown stay unmentioned: Kubernetes sets CONNECT_PORT,
// CONNECT_SERVICE_HOST and the like beside a service that is called connect, and
// images of Kafka Connect take all their settings as CONNECT_….
func (e *environment) warnOfSlips(ids []string) {
	names := []string{resourceIDsVariable}
	for _, variable := range variables() {
		names = append(names, variable.name)
	}
	for _, name := range slices.Sorted(maps.Keys(e.values)) {
		at := strings.Index(name, "CONNECT_")
		if at < 0 || at > 0 && name[at-1] != '_' || e.used[name] {
			continue
		}
		prefix, rest := name[:at], name[at:]
		id, known := strings.TrimSuffix(prefix, "_"), slices.Contains(names, rest)
		ours := prefix == "" || slices.Contains(ids, id)
		switch {
		case known && prefix == "" && len(ids) > 0 && rest != resourceIDsVariable:
			e.warn("%s is ignored, because %s is set: variables without a resource id are no defaults; set %s_%s", name, resourceIDsVariable, ids[0], rest)
		case known && !ours && (rest == "CONNECT_REST_URL" || rest == "CONNECT_AWS_REGION"):
			e.warn("%s is ignored, because %s does not list %s", name, resourceIDsVariable, id)
		case known || !ours:
		default:
			if meant := cmp.Or(slips()[rest], strict.Nearest(rest, names)); meant != "" {
				e.warn("%s is not known: did you mean %s%s?", name, prefix, meant)
			}
		}
	}
}

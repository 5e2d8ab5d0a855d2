// Package config turns a file, the environment and a flag into one validated
// configuration.
//
// [Load] applies the defaults, validates, and returns a [Config] that is valid
// as a whole; there is no other way to get one. Everything that is wrong is one
// error on one line that names what, where and how to mend it, and that never
// carries a credential.
package config

import (
	"crypto/tls"
	"errors"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	commoncfg "github.com/prometheus/common/config"
)

// Sources are the doors through which configuration comes in. A cluster may
// come through any of them.
type Sources struct {
	// File is the path of the YAML file, "" for none.
	File string
	// Environ is the environment, "NAME=value" as os.Environ returns it.
	Environ []string
	// ConnectURL is the REST URL of one cluster, which is called "default"; ""
	// for none.
	ConnectURL string
	// InstanceID tells this process from others in what is pushed, unless
	// service.instance.id is configured; "" does not.
	InstanceID string
}

// Config is a valid configuration. It is shared: do not change it.
type Config struct {
	// Clusters are those of the file in its order, then those of the environment,
	// then that of the flag. Names are unique.
	Clusters []Cluster
	// SnapshotMaxAge is up to which age a snapshot is used for a further request;
	// 0 asks each time.
	SnapshotMaxAge time.Duration
	// StateSeriesAll says whether every state of a provider is a series (0 or 1),
	// not only the one that holds.
	StateSeriesAll bool
	// OTLP is where to push by OTLP, Discovery where clusters are found at run time;
	// nil for nowhere.
	OTLP      *OTLP
	Discovery *Discovery
	// Files that the configuration was read from, the configuration file first: when
	// one changes, it is time to load again.
	Files []string
	// Warnings are lines about what is accepted but hardly meant.
	Warnings []string

	effective document
}

// A Cluster is one Connect cluster to watch: its settings in their normal form,
// and what follows from them. Its fields are shared: do not change what they
// point to.
type Cluster struct {
	Settings
	// URLs of workers, without userinfo, query and trailing slash; any of them
	// answers for the cluster. For [ProviderConnect] at least one unless it is
	// observed by its brokers, for [ProviderConfluentCloud] exactly the one that its
	// block stands for, none for the others.
	URLs []*url.URL
	// HTTPClient is that of the settings; its users may write into it.
	HTTPClient commoncfg.HTTPClientConfig
	// ExpectedWorkers is how many workers there should be, 0 where not given.
	ExpectedWorkers int
	// AivenToken reads the API token of provider aiven, anew where it is in a file,
	// so that it can be changed while the exporter runs.
	AivenToken func() (string, error)
	// Authorities verify the cluster beside the system's (PEM); "" for none.
	Authorities string
	// Idle says that there is nothing to ask, as its resource means it.
	Idle bool
	// Origin is where the cluster was configured: "clusters.yml:12",
	// "CONNECT_REST_URL" or "--connect.url".
	Origin string

	files    []string
	contents []string
}

// Same says whether everything that matters to watching a cluster is the same of
// both: their settings (where they were configured aside) and the contents of
// the files that these name.
func (c Cluster) Same(other Cluster) bool {
	return reflect.DeepEqual(c.Settings, other.Settings) && slices.Equal(c.contents, other.contents)
}

// SendCredentials says whether a worker at host, "host" or "host:port", may be
// sent the cluster's credentials. A snapshot names workers as they name
// themselves: without this list a worker could ask for credentials to go
// anywhere.
func (w WorkerProbe) SendCredentials(host string) bool {
	host = strings.ToLower(host)
	name := (&url.URL{Host: host}).Hostname()
	return slices.ContainsFunc(w.CredentialsHosts, func(allowed string) bool {
		if domain, wildcard := strings.CutPrefix(allowed, "*"); wildcard {
			return strings.HasSuffix(name, domain)
		}
		return allowed == host || allowed == name
	})
}

// Keep says whether the connector is watched: it matches any include pattern,
// or there are none, and no exclude pattern.
func (f Filter) Keep(connector string) bool {
	matches := func(pattern Pattern) bool { return pattern.MatchString(connector) }
	return (len(f.Include) == 0 || slices.ContainsFunc(f.Include, matches)) && !slices.ContainsFunc(f.Exclude, matches)
}

// OTLP says where metrics are pushed by OTLP, and how.
type OTLP struct {
	OTLPSettings
	// Endpoint is the whole URL that metrics are sent to; for gRPC its scheme,
	// host and port matter. Scheme http means no TLS.
	Endpoint *url.URL
	// ResourceAttributes describe the exporter in what it sends; service.name is
	// among them.
	ResourceAttributes map[string]string
}

// OTLPCredentials go with each export, and decide which receiver is trusted.
// They are secret.
type OTLPCredentials struct {
	Headers map[string]string
	// TLS verifies the receiver and presents a client certificate.
	TLS *tls.Config
	// Version is equal for two exactly when their TLS is.
	Version string
}

// Same says whether both settings are the same. What the files hold that they
// name is not part of it: see Credentials.
func (o *OTLP) Same(other *OTLP) bool { return reflect.DeepEqual(o.OTLPSettings, other.OTLPSettings) }

// errNothing shows the three ways when none was taken.
var errNothing = errors.New("no Connect cluster is configured: use --config.file=clusters.yml, set CONNECT_REST_URL (several clusters: CONNECT_RESOURCE_IDS), or give --connect.url=http://localhost:8083")

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
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	commoncfg "github.com/prometheus/common/config"
)

// The providers, as the provider field spells them.
const (
	ProviderConnect        = "connect"
	ProviderConfluentCloud = "confluent-cloud"
	ProviderMSK            = "msk"
	ProviderAiven          = "aiven"
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
}

// Config is a valid configuration. It does not change; the zero value has no
// use.
type Config struct {
	effective document
	clusters  []Cluster
	otlp      *OTLP
	files     []string
	warnings  []string
}

// Clusters returns the clusters: those of the file in its order, then those of
// the environment, then that of the flag. Names are unique.
func (c *Config) Clusters() []Cluster { return slices.Clone(c.clusters) }

// SnapshotMaxAge is up to which age a snapshot is used for a further request;
// 0 asks each time.
func (c *Config) SnapshotMaxAge() time.Duration { return time.Duration(c.effective.SnapshotMaxAge) }

// StateSeriesAll says whether every state of a provider is a series (0 or 1),
// not only the one that holds.
func (c *Config) StateSeriesAll() bool { return c.effective.StateSeries == stateSeriesAll }

// OTLP returns where to push by OTLP, nil when push is off.
func (c *Config) OTLP() *OTLP { return c.otlp }

// Warnings are lines about what is accepted but hardly meant, in the order in
// which they were found.
func (c *Config) Warnings() []string { return slices.Clone(c.warnings) }

// Files lists every file that the configuration was read from, the configuration
// file first, then secrets, certificates and key stores: whoever watches them
// knows when to load again.
func (c *Config) Files() []string { return slices.Clone(c.files) }

// A Cluster is one Connect cluster to watch. Its fields are shared: do not
// change what they point to.
type Cluster struct {
	// Name is the connect_cluster label.
	Name string
	// Provider is one of the Provider constants.
	Provider string
	// URLs of workers, without userinfo, query and trailing slash; any of them
	// answers for the cluster. For [ProviderConnect] at least one unless it is observed by its brokers, for
	// [ProviderConfluentCloud] exactly the one that its block stands for, none
	// for the others.
	URLs []*url.URL
	// ObservationVersion is "auto", "1" or "2", or "brokers" for a cluster whose
	// REST API is not asked: it has no URLs, and Kafka is set.
	ObservationVersion string
	// Parallelism is how many calls for single connectors are in flight, 1 to 256.
	Parallelism int
	// RequestTimeout bounds each HTTP request.
	RequestTimeout time.Duration
	// InfoMaxAge is for how long a connector's class and tasks.max are kept; 0
	// asks each time.
	InfoMaxAge time.Duration
	// StartupValidation wants the cluster to answer before the exporter starts.
	StartupValidation bool
	// Filter says which connectors are watched.
	Filter Filter
	// HTTPClient is how requests are authenticated and encrypted. Userinfo of
	// URLs and key stores have become basic_auth and tls_config here.
	HTTPClient commoncfg.HTTPClientConfig
	// ConfluentCloud, MSK and Aiven are set for their provider alone.
	ConfluentCloud *ConfluentCloud
	MSK            *MSK
	Aiven          *Aiven
	// OffsetStorageTopic and GroupID of the workers, "" where not given.
	OffsetStorageTopic, GroupID string
	// Kafka says how to read the brokers behind the cluster, nil where they are not.
	Kafka *Kafka
	// WorkerProbe says whether each worker is asked whether it lives.
	WorkerProbe WorkerProbe
	// Origin is where the cluster was configured: "clusters.yml:12",
	// "CONNECT_REST_URL" or "--connect.url".
	Origin string

	files       []string
	fingerprint string
}

// Fingerprint is equal for two clusters exactly when everything that matters to
// watching them is: their settings (where they were configured aside) and the
// contents of the files that these name. It reveals nothing of them.
func (c Cluster) Fingerprint() string { return c.fingerprint }

// Files lists the files that the cluster's settings name.
func (c Cluster) Files() []string { return slices.Clone(c.files) }

// ConfluentCloud says which managed Connect cluster to watch.
type ConfluentCloud struct {
	// Environment (env-…) and Cluster (lkc-…) that the connectors belong to.
	Environment, Cluster string
	// APIURL is the base of the API, without trailing slash.
	APIURL *url.URL
}

// MSK says which MSK Connect connectors to watch: those of one account and
// region.
type MSK struct {
	Region string
	// NamePrefix keeps only connectors whose name begins with it; "" keeps all.
	NamePrefix string
	// RoleARN is a role to assume, "" for none.
	RoleARN string
	// Endpoint stands in for that of the region; nil for none.
	Endpoint *url.URL
	// Describe asks for details of each connector, CloudWatch for task counts.
	Describe, CloudWatch bool
}

// Aiven says which Aiven service to watch.
type Aiven struct {
	Project, Service string
	// Token is the API token, and TokenFile holds it: exactly one is set.
	Token     commoncfg.Secret
	TokenFile string
	// APIURL is the base of the API, without trailing slash.
	APIURL *url.URL
	// Route is "public", "private", "privatelink" or "dynamic".
	Route string
}

// ReadToken returns the API token, read anew where it is in a file, so that it
// can be changed while the exporter runs.
func (a *Aiven) ReadToken() (string, error) {
	if a.TokenFile == "" {
		return string(a.Token), nil
	}
	content, err := readFile(a.TokenFile)
	if err != nil {
		return "", fmt.Errorf("read the Aiven token: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

// WorkerProbe says whether each worker that a snapshot names is asked whether
// it lives (GET /).
type WorkerProbe struct {
	Enabled bool
	// CredentialsHosts are the hosts that may be sent the cluster's credentials:
	// "host", "host:port" or "*.domain", lower case.
	CredentialsHosts []string
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

// A Filter says which connectors are watched. The zero Filter keeps all.
type Filter struct {
	include, exclude []*regexp.Regexp
}

// Keep says whether the connector is watched: it matches any include pattern,
// or there are none, and no exclude pattern.
func (f Filter) Keep(connector string) bool {
	matches := func(pattern *regexp.Regexp) bool { return pattern.MatchString(connector) }
	return (len(f.include) == 0 || slices.ContainsFunc(f.include, matches)) &&
		!slices.ContainsFunc(f.exclude, matches)
}

// KeepsAll says whether there is no pattern at all.
func (f Filter) KeepsAll() bool { return len(f.include) == 0 && len(f.exclude) == 0 }

// OTLP says where metrics are pushed by OTLP, and how.
type OTLP struct {
	// Endpoint is the whole URL that metrics are sent to; for gRPC its scheme,
	// host and port matter. Scheme http means no TLS.
	Endpoint *url.URL
	// Protocol is "http/protobuf" or "grpc".
	Protocol string
	// Interval between exports, and Timeout of each request, retries included.
	Interval, Timeout time.Duration
	// Compression is "gzip" or "none".
	Compression string
	// ResourceAttributes describe the exporter in what it sends; service.name is
	// among them.
	ResourceAttributes map[string]string

	settings    *otlpSettings
	fingerprint string
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

// Fingerprint is equal for two settings exactly when they are. What the files
// hold that they name is not part of it: see Credentials.
func (o *OTLP) Fingerprint() string { return o.fingerprint }

// errNothing shows the three ways when none was taken.
var errNothing = errors.New("no Connect cluster is configured: use --config.file=clusters.yml, set CONNECT_REST_URL (several clusters: CONNECT_RESOURCE_IDS), or give --connect.url=http://localhost:8083")

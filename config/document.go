package config

import (
	commoncfg "github.com/prometheus/common/config"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config/internal/client"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/config/internal/strict"
)

const (
	stateSeriesCurrent = "current"
	stateSeriesAll     = "all"

	schemeAuto  = "auto"
	versionAuto = "auto"

	maxParallelism = 256
	// maxMaxConnectors is what may be asked for at the cost of one's own memory.
	maxMaxConnectors = 1_000_000
)

// A document is the file as it is written. The other doors fill the same types,
// so that one validation holds for all and the effective configuration can be
// printed as a file. The doc tags are the reference in docs/configuration.md.
type document struct {
	Clusters       []Settings         `yaml:"clusters,omitempty" doc:"The Connect clusters to watch."`
	Discovery      *discoverySettings `yaml:"discovery,omitempty" doc:"Find clusters by the resources of their operators."`
	SnapshotMaxAge Duration           `yaml:"snapshot_max_age" default:"2s" doc:"Up to which age one snapshot serves several requests; 0s looks anew for each."`
	StateSeries    string             `yaml:"state_series" default:"current" doc:"current: only the state that holds is a series, value 1. all: every state of the provider is one, 0 or 1; six times as many."`
	OTLP           *OTLPSettings      `yaml:"otlp,omitempty" doc:"Push by OTLP. Absent: off, unless the environment names an endpoint."`
}

// Settings of a cluster, as a file writes them.
type Settings struct {
	Name               string                     `yaml:"name" doc:"The connect_cluster label. Required, unique over file, environment and flag."`
	Provider           string                     `yaml:"provider" default:"connect" doc:"connect (a REST API of your own), confluent-cloud, msk or aiven."`
	URLs               []string                   `yaml:"urls,omitempty" doc:"REST URLs of workers, http or https; any of them answers for the cluster, they are tried in turn. Required for, and only for, provider connect, unless its brokers tell all. A user and password in a URL become basic_auth."`
	ObservationVersion string                     `yaml:"observation_version" default:"auto" doc:"2: one expanded call (Kafka 2.3 and later). 1: a list and calls per connector. auto: 2 where the worker can. brokers: no REST API is asked, kafka tells all; so it is without urls. Not for msk."`
	Parallelism        int                        `yaml:"parallelism" default:"8" doc:"Calls for single connectors in flight, 1 to 256."`
	RequestTimeout     Duration                   `yaml:"request_timeout" default:"5s" doc:"Limit of each HTTP request; more than 0s. A scrape has its own limit besides."`
	InfoMaxAge         Duration                   `yaml:"info_max_age" default:"5m" doc:"How long class and tasks.max of a connector are kept before they are asked for again; 0s asks each time. States are never kept."`
	MaxConnectors      int                        `yaml:"max_connectors" default:"50000" doc:"A cluster with more connectors than this is not shown, and says too_large; those that connectors leaves out do not count. It may have ten times as many tasks."`
	StartupValidation  bool                       `yaml:"startup_validation" doc:"The exporter starts only if the cluster answers."`
	Filter             Filter                     `yaml:"connectors,omitempty" doc:"Which connectors are watched."`
	HTTPClient         commoncfg.HTTPClientConfig `yaml:"http_client" default:"{}" doc:"Credentials, TLS and proxy. Not sent to MSK Connect, which has AWS credentials."`
	Labels             map[string]string          `yaml:"labels,omitempty" doc:"Labels of all series of the cluster, such as {team: orders}. No name of a label that the exporter or Prometheus sets."`
	ConnectorLabels    []string                   `yaml:"connector_labels,omitempty" doc:"Keys of connectors' configurations whose values become labels of kafka_connect_connector_labels, such as owner.team. None that may hold a secret: neither by its name, nor by what the connector's plugin says of it (Kafka 3.2 and later), nor by its value. Not for msk."`
	ExpectedWorkers    *int                       `yaml:"expected_workers,omitempty" doc:"How many workers the cluster should have, for alerts. Not for confluent-cloud and msk."`
	Services           `yaml:",inline"`
	Kafka              *Kafka      `yaml:"kafka,omitempty" doc:"Read the brokers behind the cluster: every transition, the workers' group, lag and progress."`
	WorkerProbe        WorkerProbe `yaml:"worker_probe,omitempty" default:"false" short:"enabled" doc:"Ask each worker that the snapshot names whether it lives (GET /) and works (GET /health, Kafka 3.9 and later). May be written as worker_probe: true."`
}

// A Filter says which connectors are watched. The zero Filter keeps all.
type Filter struct {
	Include []Pattern `yaml:"include,omitempty" doc:"Regular expressions (RE2) that match anywhere in a name; ^ and $ tie them to its ends. A connector must match one. None: all connectors."`
	Exclude []Pattern `yaml:"exclude,omitempty" doc:"Likewise; a connector that matches one is left out, also if it is included."`
}

// WorkerProbe says whether each worker that a snapshot names is asked whether it
// lives. CredentialsHosts are lower case.
type WorkerProbe struct {
	Enabled          bool     `yaml:"enabled" default:"true" doc:"Probe the workers; true where the block is written without it."`
	Scheme           string   `yaml:"scheme,omitempty" default:"auto" doc:"How the workers' own addresses are spoken to: http, https, or auto: as urls are, or else the other where workers answer by that only."`
	CredentialsHosts []string `yaml:"credentials_hosts,omitempty" doc:"Workers that are sent the cluster's credentials with the probe: host, host:port or *.domain. Others are asked without."`
}

// OTLPSettings are those of the push, as a file writes them.
type OTLPSettings struct {
	Endpoint           string                      `yaml:"endpoint" doc:"Where to. http/protobuf: the whole URL, or a base that ends with / or has no path: /v1/metrics is added to it. grpc: host:port, or a URL whose scheme says whether TLS is used."`
	Protocol           string                      `yaml:"protocol" default:"http/protobuf" doc:"http/protobuf or grpc."`
	Headers            map[string]commoncfg.Secret `yaml:"headers,omitempty" doc:"Sent with each export; treated as secrets."`
	HeadersFiles       map[string]string           `yaml:"headers_files,omitempty" doc:"Likewise, from header name to the file that holds the value; read anew for each export."`
	Interval           Duration                    `yaml:"interval" default:"1m" doc:"Time between exports."`
	Timeout            Duration                    `yaml:"timeout" default:"10s" doc:"Limit of each request of an export, retries included."`
	Compression        string                      `yaml:"compression" default:"gzip" doc:"gzip or none."`
	Insecure           bool                        `yaml:"insecure,omitempty" doc:"An endpoint without scheme is spoken to without TLS."`
	TLSConfig          commoncfg.TLSConfig         `yaml:"tls_config,omitempty" doc:"How the receiver is verified, and a client certificate; files are read anew for each export."`
	ResourceAttributes map[string]string           `yaml:"resource_attributes,omitempty" doc:"Resource attributes beside service.name, which is kafka-connect-exporter unless set here."`
}

func defaultCluster() Settings { return strict.Default[Settings]() }

// IsZero leaves the block out of what is shown where it says nothing.
func (p WorkerProbe) IsZero() bool {
	return !p.Enabled && p.Scheme == schemeAuto && len(p.CredentialsHosts) == 0
}

type (
	// A Duration is written as Go and Prometheus write it.
	Duration = strict.Duration
	// A Pattern is a regular expression that matches anywhere in a name.
	Pattern = strict.Pattern
	// A URL is the base of a service, without userinfo, query and trailing slash.
	URL = client.URL
)

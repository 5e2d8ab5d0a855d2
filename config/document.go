package config

import (
	"errors"
	"reflect"
	"time"

	commoncfg "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

const (
	stateSeriesCurrent = "current"
	stateSeriesAll     = "all"

	schemeAuto  = "auto"
	versionAuto = "auto"

	maxParallelism = 256
	// maxMaxConnectors is what may be asked for at the cost of one's own memory.
	maxMaxConnectors = 1_000_000
	maxPatterns      = 200
)

// A document is the file as it is written. The other doors fill the same types,
// so that one validation holds for all and the effective configuration can be
// printed as a file. The doc tags are the reference in docs/configuration.md.
type document struct {
	Clusters       []clusterSettings  `yaml:"clusters,omitempty" doc:"The Connect clusters to watch."`
	Discovery      *discoverySettings `yaml:"discovery,omitempty" doc:"Find clusters by the resources of their operators."`
	SnapshotMaxAge duration           `yaml:"snapshot_max_age" doc:"Up to which age one snapshot serves several requests; 0s looks anew for each."`
	StateSeries    string             `yaml:"state_series" doc:"current: only the state that holds is a series, value 1. all: every state of the provider is one, 0 or 1; six times as many."`
	OTLP           *otlpSettings      `yaml:"otlp,omitempty" doc:"Push by OTLP. Absent: off, unless the environment names an endpoint."`
}

type clusterSettings struct {
	Name               string                     `yaml:"name" doc:"The connect_cluster label. Required, unique over file, environment and flag."`
	Provider           string                     `yaml:"provider" doc:"connect (a REST API of your own), confluent-cloud, msk or aiven."`
	URLs               []string                   `yaml:"urls,omitempty" doc:"REST URLs of workers, http or https; any of them answers for the cluster, they are tried in turn. Required for, and only for, provider connect, unless its brokers tell all. A user and password in a URL become basic_auth."`
	ObservationVersion string                     `yaml:"observation_version" doc:"2: one expanded call (Kafka 2.3 and later). 1: a list and calls per connector. auto: 2 where the worker can. brokers: no REST API is asked, kafka tells all; so it is without urls. Not for msk."`
	Parallelism        int                        `yaml:"parallelism" doc:"Calls for single connectors in flight, 1 to 256."`
	RequestTimeout     duration                   `yaml:"request_timeout" doc:"Limit of each HTTP request; more than 0s. A scrape has its own limit besides."`
	InfoMaxAge         duration                   `yaml:"info_max_age" doc:"How long class and tasks.max of a connector are kept before they are asked for again; 0s asks each time. States are never kept."`
	MaxConnectors      int                        `yaml:"max_connectors" doc:"A cluster with more connectors than this is not shown, and says too_large; those that connectors leaves out do not count. It may have ten times as many tasks."`
	StartupValidation  bool                       `yaml:"startup_validation" doc:"The exporter starts only if the cluster answers."`
	Connectors         filterSettings             `yaml:"connectors,omitempty" doc:"Which connectors are watched."`
	HTTPClient         commoncfg.HTTPClientConfig `yaml:"http_client" doc:"Credentials, TLS and proxy. Not sent to MSK Connect, which has AWS credentials."`
	Labels             map[string]string          `yaml:"labels,omitempty" doc:"Labels of all series of the cluster, such as {team: orders}. No name of a label that the exporter or Prometheus sets."`
	ConnectorLabels    []string                   `yaml:"connector_labels,omitempty" doc:"Keys of connectors' configurations whose values become labels of kafka_connect_connector_labels, such as owner.team. None that may hold a secret: neither by its name, nor by what the connector's plugin says of it (Kafka 3.2 and later), nor by its value. Not for msk."`
	ExpectedWorkers    *int                       `yaml:"expected_workers,omitempty" doc:"How many workers the cluster should have, for alerts. Not for confluent-cloud and msk."`
	providerSettings   `yaml:",inline"`
	Kafka              *kafkaSettings `yaml:"kafka,omitempty" doc:"Read the brokers behind the cluster: every transition, the workers' group, lag and progress."`
	WorkerProbe        probeSettings  `yaml:"worker_probe,omitempty" doc:"Ask each worker that the snapshot names whether it lives (GET /) and works (GET /health, Kafka 3.9 and later). May be written as worker_probe: true."`

	// files were read to fill these settings: key stores.
	files []string
}

type filterSettings struct {
	Include []string `yaml:"include,omitempty" doc:"Regular expressions (RE2) that match anywhere in a name; ^ and $ tie them to its ends. A connector must match one. None: all connectors."`
	Exclude []string `yaml:"exclude,omitempty" doc:"Likewise; a connector that matches one is left out, also if it is included."`
}

type probeSettings struct {
	Enabled          bool     `yaml:"enabled" doc:"Probe the workers; true where the block is written without it."`
	Scheme           string   `yaml:"scheme,omitempty" doc:"How the workers' own addresses are spoken to: http, https, or auto: as urls are, or else the other where workers answer by that only."`
	CredentialsHosts []string `yaml:"credentials_hosts,omitempty" doc:"Workers that are sent the cluster's credentials with the probe: host, host:port or *.domain. Others are asked without."`
}

type otlpSettings struct {
	Endpoint           string                      `yaml:"endpoint" doc:"Where to. http/protobuf: the whole URL, or a base that ends with / or has no path: /v1/metrics is added to it. grpc: host:port, or a URL whose scheme says whether TLS is used."`
	Protocol           string                      `yaml:"protocol" doc:"http/protobuf or grpc."`
	Headers            map[string]commoncfg.Secret `yaml:"headers,omitempty" doc:"Sent with each export; treated as secrets."`
	HeadersFiles       map[string]string           `yaml:"headers_files,omitempty" doc:"Likewise, from header name to the file that holds the value; read anew for each export."`
	Interval           duration                    `yaml:"interval" doc:"Time between exports."`
	Timeout            duration                    `yaml:"timeout" doc:"Limit of each request of an export, retries included."`
	Compression        string                      `yaml:"compression" doc:"gzip or none."`
	Insecure           bool                        `yaml:"insecure,omitempty" doc:"An endpoint without scheme is spoken to without TLS."`
	TLSConfig          commoncfg.TLSConfig         `yaml:"tls_config,omitempty" doc:"How the receiver is verified, and a client certificate; files are read anew for each export."`
	ResourceAttributes map[string]string           `yaml:"resource_attributes,omitempty" doc:"Resource attributes beside service.name, which is kafka-connect-exporter unless set here."`
}

func defaultDocument() document {
	return document{SnapshotMaxAge: duration(2 * time.Second), StateSeries: stateSeriesCurrent}
}

func defaultCluster() clusterSettings {
	return clusterSettings{
		Provider:           ProviderConnect,
		ObservationVersion: versionAuto,
		Parallelism:        8,
		RequestTimeout:     duration(5 * time.Second),
		InfoMaxAge:         duration(5 * time.Minute),
		MaxConnectors:      50_000,
		HTTPClient:         commoncfg.DefaultHTTPClientConfig,
		WorkerProbe:        defaultProbe(),
	}
}

func defaultProbe() probeSettings { return probeSettings{Scheme: schemeAuto} }

func defaultOTLP() otlpSettings {
	return otlpSettings{
		Protocol:    protocolHTTP,
		Interval:    duration(time.Minute),
		Timeout:     duration(10 * time.Second),
		Compression: "gzip",
	}
}

func (c *clusterSettings) UnmarshalYAML(node *yaml.Node) error {
	type plain clusterSettings
	*c = defaultCluster()
	return node.Decode((*plain)(c))
}

// IsZero leaves the block out of what is shown where it says nothing.
func (p probeSettings) IsZero() bool { return reflect.DeepEqual(p, defaultProbe()) }

// UnmarshalYAML also takes a boolean for the whole block.
func (p *probeSettings) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		return node.Decode(&p.Enabled)
	}
	type plain probeSettings
	p.Enabled = true
	return node.Decode((*plain)(p))
}

// duration is a time.Duration that is written as Go and Prometheus write it.
type duration time.Duration

func (d *duration) UnmarshalYAML(node *yaml.Node) (err error) {
	*d, err = parseDuration(node.Value)
	return err
}

func (d duration) MarshalYAML() (any, error) { return d.String(), nil }

func (d duration) String() string {
	if time.Duration(d)%time.Millisecond != 0 {
		return time.Duration(d).String()
	}
	return model.Duration(d).String()
}

var errDuration = errors.New("must be a duration with its unit, such as 500ms, 5s or 1m30s")

// parseDuration reads Go's notation, and Prometheus's for its days and weeks.
func parseDuration(text string) (duration, error) {
	parsed, err := time.ParseDuration(text)
	if err != nil {
		days, err := model.ParseDuration(text)
		if err != nil {
			return 0, errDuration
		}
		parsed = time.Duration(days)
	}
	if parsed < 0 {
		return 0, errors.New("must not be negative")
	}
	return duration(parsed), nil
}

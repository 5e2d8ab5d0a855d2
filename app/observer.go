package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"sync/atomic"
	"time"

	commoncfg "github.com/prometheus/common/config"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/fleet"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/aiven"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/confluent"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/msk"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/rest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/workerprobe"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/discovery"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/kafka"
)

// Found are the clusters of a configuration at one moment.
type Found struct {
	// Clusters in the order of the configuration, then those that were found.
	// Whoever gets them closes the observers.
	Clusters []fleet.Cluster
	// Complete says that everything that discovery should have seen was seen.
	Complete bool
	// Refused are resources that are no cluster.
	Refused []discovery.Refusal
	// Resources are all that describe a cluster, refused ones too, in the order of
	// their kinds and names.
	Resources []connect.OperatorResource
}

// Clusters makes an observer of each configured cluster, and of those that
// discovery finds within some seconds, or until ctx ends.
func Clusters(ctx context.Context, cfg *config.Config, logger *slog.Logger) (Found, error) {
	finder, err := newDiscoverer(cfg.Discovery, "", 0, nil, logger)
	if err != nil {
		return Found{}, err
	}
	defer finder.stop()
	result := Found{Complete: true}
	if finder != nil {
		patience, cancel := context.WithTimeout(ctx, discoveryPatience)
		defer cancel()
		finder.listed(patience)
		finder.readSecrets(patience, false)
	}
	wishes := finder.wishes(cfg)
	if finder != nil {
		result.Complete, result.Refused = finder.state().Up, finder.refusals
		for _, o := range finder.registry.Objects() {
			if o.Cluster != nil {
				result.Resources = append(result.Resources, o.Cluster.Resource)
			}
		}
	}
	made, err := clusters(nil).reconcile(wishes, logger)
	result.Clusters = made.list(wishes)
	return result, err
}

// Validate checks what is not settings alone: that observers can be made of the
// configured clusters, and what discovery is to look for. It asks nobody.
func Validate(cfg *config.Config, logger *slog.Logger) error {
	made, err := clusters(nil).reconcile(configured(cfg), logger)
	if err != nil {
		return err
	}
	made.closeBut(nil)
	if d := cfg.Discovery; d != nil {
		_, _, err = parsedSelectors(d)
	}
	return err
}

// clusters are the observed clusters by name.
type clusters map[string]observed

// observed is a cluster and the settings that it was made of.
type observed struct {
	fleet.Cluster
	settings config.Cluster
	// resource is nil if the cluster is configured.
	resource *resourceCell
}

// A resourceCell holds what the resource of a cluster says now.
type resourceCell = atomic.Pointer[connect.OperatorResource]

// reconcile returns the clusters that are wished for: those that are there with the same
// settings, and new observers for the others. It closes none that is there; on
// an error it closes those that it made.
func (c clusters) reconcile(wishes []wish, logger *slog.Logger) (clusters, error) {
	next := clusters{}
	for _, w := range wishes {
		settings := w.Cluster
		before, there := c[settings.Name]
		if there && (before.resource != nil) == (w.resource != nil) && before.settings.Same(settings) {
			if w.resource != nil {
				before.resource.Store(w.resource)
			}
			next[settings.Name] = before
			continue
		}
		var cell *resourceCell
		if w.resource != nil {
			cell = &resourceCell{}
			cell.Store(w.resource)
		}
		renew := func() (connect.Observer, error) {
			observer, err := observer(settings, logger)
			if err != nil || cell == nil {
				return observer, err
			}
			return operated{observer, cell}, nil
		}
		observer, err := renew()
		if err != nil && w.resource != nil { // One bad resource costs its own cluster.
			logger.Warn("cluster that was found cannot be watched", "cluster", settings.Name, "err", err)
			continue
		}
		if err != nil {
			next.closeBut(c)
			return nil, fmt.Errorf("%s: cluster %s: %w", settings.Origin, settings.Name, err)
		}
		cluster := fleet.Cluster{
			Name: settings.Name, Provider: connect.Provider(settings.Provider),
			Labels: settings.Labels, ExpectedWorkers: settings.ExpectedWorkers, Observer: observer, Renew: renew,
		}
		next[settings.Name] = observed{cluster, settings, cell}
	}
	return next, nil
}

// brokered tells whether the brokers behind any of them are read.
func (c clusters) brokered() bool {
	for _, cluster := range c {
		if cluster.settings.Kafka != nil {
			return true
		}
	}
	return false
}

// closeBut closes the observers that others do not have.
func (c clusters) closeBut(others clusters) {
	for name, cluster := range c {
		if others[name].Observer != cluster.Observer {
			cluster.Observer.Close()
		}
	}
}

// list returns the clusters in the order of the wishes.
func (c clusters) list(wishes []wish) []fleet.Cluster {
	var list []fleet.Cluster
	for _, w := range wishes {
		if cluster, found := c[w.Name]; found {
			list = append(list, cluster.Cluster)
		}
	}
	return list
}

// A constructor makes the observer of a cluster. The options are those that all
// clusters have.
type constructor func(c config.Cluster, options rest.Options) (connect.Observer, error)

// constructors is the one place where a provider's name becomes code.
func constructors() map[string]constructor {
	return map[string]constructor{
		config.ProviderConnect:        selfManaged,
		config.ProviderConfluentCloud: confluentCloud,
		config.ProviderMSK:            mskConnect,
		config.ProviderAiven:          aivenService,
	}
}

// observer makes the observer of a cluster: its REST API or its provider's, what
// the brokers behind it know, or both.
func observer(c config.Cluster, logger *slog.Logger) (connect.Observer, error) {
	if c.Idle {
		return idle{connect.Provider(c.Provider), connect.NewRevision()}, nil
	}
	if c.Kafka == nil {
		return provided(c, logger)
	}
	if c.ObservationVersion == kafka.Version {
		return brokered(c, nil, logger)
	}
	inner, err := provided(c, logger)
	if err != nil {
		return nil, err
	}
	return brokered(c, inner, logger)
}

func provided(c config.Cluster, logger *slog.Logger) (connect.Observer, error) {
	construct, known := constructors()[c.Provider]
	if !known {
		return nil, fmt.Errorf("provider %s is not known", c.Provider)
	}
	return construct(c, rest.Options{
		Name: c.Name, URLs: c.URLs, Provider: connect.SelfManaged,
		ObservationVersion: c.ObservationVersion, Parallelism: c.Parallelism,
		RequestTimeout: time.Duration(c.RequestTimeout), InfoMaxAge: time.Duration(c.InfoMaxAge), MaxConnectors: c.MaxConnectors,
		Labels: c.ConnectorLabels, Keep: c.Filter.Keep, Logger: logger,
	})
}

func selfManaged(c config.Cluster, options rest.Options) (connect.Observer, error) {
	client, err := rest.NewTrustingClient(c.HTTPClient, c.Name, c.Authorities)
	if err != nil {
		return nil, err
	}
	options.Client = client
	if c.WorkerProbe.Enabled {
		return probed(c, rest.New(options), client, options.Logger)
	}
	return rest.New(options), nil
}

func confluentCloud(c config.Cluster, options rest.Options) (connect.Observer, error) {
	client, err := rest.NewClient(c.HTTPClient, c.Name)
	if err != nil {
		return nil, err
	}
	options.Client = client
	return confluent.New(options), nil
}

func aivenService(c config.Cluster, options rest.Options) (connect.Observer, error) {
	return wrap(aiven.New(aiven.Options{
		Project: c.Aiven.Project, Service: c.Aiven.Service, APIURL: c.Aiven.APIURL.URL, Route: c.Aiven.Route,
		Token: c.AivenToken, HTTPClient: c.HTTPClient, Rest: options,
	}))
}

func mskConnect(c config.Cluster, options rest.Options) (connect.Observer, error) {
	transport, err := mskTransport(c)
	if err != nil {
		return nil, err
	}
	// Only files and the environment are read, so that there is nothing to
	// cancel.
	return wrap(msk.New(context.Background(), msk.Options{
		Name: c.Name, Region: c.MSK.Region, NamePrefix: c.MSK.NamePrefix, RoleARN: c.MSK.RoleARN, Endpoint: c.MSK.Endpoint.URL,
		Describe: c.MSK.Describe, CloudWatch: c.MSK.CloudWatch,
		MaxConnectors: options.MaxConnectors, Parallelism: options.Parallelism, RequestTimeout: options.RequestTimeout,
		Keep: options.Keep, Transport: transport, Logger: options.Logger,
	}))
}

// probed adds probes of the workers. The client is that of the cluster, with its
// credentials; workers that may not have these are asked by another without, and
// without the client certificate.
func probed(c config.Cluster, observer connect.Observer, client *http.Client, logger *slog.Logger) (connect.Observer, error) {
	bare := commoncfg.DefaultHTTPClientConfig
	bare.TLSConfig, bare.ProxyConfig, bare.EnableHTTP2 = c.HTTPClient.TLSConfig, c.HTTPClient.ProxyConfig, c.HTTPClient.EnableHTTP2
	bare.TLSConfig.Cert, bare.TLSConfig.CertFile, bare.TLSConfig.CertRef = "", "", ""
	bare.TLSConfig.Key, bare.TLSConfig.KeyFile, bare.TLSConfig.KeyRef = "", "", ""
	anonymous, err := rest.NewTrustingClient(bare, c.Name, c.Authorities)
	if err != nil {
		return nil, err
	}
	scheme, guessed := c.WorkerProbe.Scheme, c.WorkerProbe.Scheme == "auto"
	if guessed {
		scheme = c.URLs[0].Scheme
	}
	return workerprobe.New(workerprobe.Options{
		Name: c.Name, Observer: observer, Scheme: scheme, Guessed: guessed, Logger: logger, Anonymous: anonymous, Authenticated: client,
		SendCredentials: c.WorkerProbe.SendCredentials,
	}), nil
}

// wrap keeps a nil pointer from becoming an Observer that is not nil.
func wrap[O connect.Observer](observer O, err error) (connect.Observer, error) {
	if err != nil {
		return nil, err
	}
	return observer, nil
}

// mskTransport is nil, which means the AWS SDK's own, unless TLS or a proxy are
// configured.
func mskTransport(c config.Cluster) (http.RoundTripper, error) {
	if reflect.DeepEqual(c.HTTPClient, commoncfg.DefaultHTTPClientConfig) {
		return nil, nil
	}
	client, err := rest.NewClient(c.HTTPClient, c.Name)
	if err != nil {
		return nil, err
	}
	return client.Transport, nil
}

package config

import (
	"net/url"
	"slices"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config/internal/client"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/config/internal/strict"
)

// ProviderConnect is Kafka Connect itself: workers with their REST API, or
// without one, known by their brokers.
const ProviderConnect = "connect"

// versionBrokers is the observation version of a cluster without REST.
const versionBrokers = "brokers"

func connectProvider() provider {
	return provider{name: ProviderConnect, validate: validateConnect}
}

func validateConnect(_ *loader, settings *Settings, cluster *Cluster, at origin) (err error) {
	cluster.URLs, err = connectURLs(settings, at)
	return err
}

// brokersAlone is a cluster of which only its brokers are asked.
func brokersAlone() provider {
	const why = "does nothing with observation_version: brokers, where no REST API is asked: remove it"
	return provider{
		name: ProviderConnect,
		cannot: map[string]string{
			"urls": why, "parallelism": why, "info_max_age": why, "max_connectors": why, "worker_probe": why, "http_client": why, clientCredentials: why,
			"connector_labels": "needs the connectors' configurations, which only the REST API tells; the brokers' are never read: remove it",
		},
		validate: func(_ *loader, settings *Settings, _ *Cluster, at origin) error {
			if settings.Kafka == nil {
				return at.Wrong("observation_version", "brokers needs a block kafka, which says where they are")
			}
			switch group, statuses, _ := settings.Kafka.Workers(); "" {
			case group:
				return at.Wrong("kafka", "group_id is missing: without REST, it tells the workers")
			case statuses:
				return at.Wrong("kafka", "status_storage_topic is missing: without REST, it tells the connectors")
			}
			return nil
		},
	}
}

// connectURLs parses the URLs of workers, and moves their userinfo to basic_auth.
func connectURLs(settings *Settings, at origin) (parsed []*url.URL, err error) {
	if len(settings.URLs) == 0 {
		return nil, at.Wrong("urls", `is required for provider: connect, such as urls: ["http://connect-1:8083"]`)
	}
	var user *url.Userinfo
	for i, text := range settings.URLs {
		place := strict.Item("urls", i)
		worker, workerUser, err := client.ParseURL(text)
		if err != nil {
			return nil, at.Wrong(place, "%s", err)
		}
		if confluentPath(worker) != nil {
			return nil, at.Wrong(place, "is Confluent Cloud's API: write provider: confluent-cloud and confluent_cloud: {environment, cluster} in place of urls")
		}
		if i > 0 && (user == nil) != (workerUser == nil) || user != nil && *user != *workerUser {
			return nil, at.Wrong(place, "its user and password are not those of urls[0]: all workers of a cluster share them; use http_client.basic_auth")
		}
		user, settings.URLs[i] = workerUser, worker.String()
		if first := slices.Index(settings.URLs[:i], settings.URLs[i]); first >= 0 {
			return nil, at.Wrong(place, "repeats urls[%d]: remove it", first)
		}
		parsed = append(parsed, worker)
	}
	return parsed, client.Authenticate(&settings.HTTPClient, user, "urls[0]", at.Place)
}

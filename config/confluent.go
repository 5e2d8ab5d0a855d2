package config

import (
	"cmp"
	"net/url"
	"regexp"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config/internal/client"
)

// ProviderConfluentCloud is what Confluent Cloud runs for one Kafka cluster.
const ProviderConfluentCloud = "confluent-cloud"

// ConfluentCloud says which managed Connect cluster to watch.
type ConfluentCloud struct {
	Environment string `yaml:"environment" doc:"Environment id, env-…. Required."`
	Cluster     string `yaml:"cluster" doc:"Kafka cluster id, lkc-…. Required."`
	APIURL      URL    `yaml:"api_url" default:"https://api.confluent.cloud" doc:"Base of the API."`
}

func confluentProvider() provider {
	return provider{
		name: ProviderConfluentCloud, block: "confluent_cloud",
		present: func(s *Settings) bool { return s.ConfluentCloud != nil },
		cannot: map[string]string{
			"urls":             "belongs to provider: connect; for confluent-cloud the block confluent_cloud says where to go",
			"worker_probe":     "provider confluent-cloud shows no workers that could be asked: remove it",
			"expected_workers": "provider confluent-cloud shows no workers that could be counted: remove it",
			"kafka":            "Confluent Cloud keeps the topics of its connectors to itself: remove it",
		},
		validate: validateConfluent,
	}
}

func validateConfluent(_ *loader, settings *Settings, cluster *Cluster, at origin) error {
	block := settings.ConfluentCloud
	const environment, id, form = "env-abc123", "lkc-abc123", "must be an id, such as %s"
	if err := cmp.Or(
		at.When(block.Environment == "", "confluent_cloud.environment", "is required, such as %s", environment),
		at.When(block.Environment != url.PathEscape(block.Environment), "confluent_cloud.environment", form, environment),
		at.When(block.Cluster == "", "confluent_cloud.cluster", "is required, such as %s", id),
		at.When(block.Cluster != url.PathEscape(block.Cluster), "confluent_cloud.cluster", form, id),
		at.When(!client.Authenticates(&settings.HTTPClient), "http_client", "provider confluent-cloud needs a Cloud API key: basic_auth with the key as username and the secret as password or password_file"),
	); err != nil {
		return err
	}
	cluster.URLs = []*url.URL{block.APIURL.JoinPath("connect/v1/environments", block.Environment, "clusters", block.Cluster)}
	return nil
}

var confluentPathForm = regexp.MustCompile(`^(.*)/connect/v1/environments/([^/]+)/clusters/([^/]+)(/connectors)?$`)

// confluentPath recognises the address of a Connect cluster in Confluent
// Cloud's API: https://api.confluent.cloud/connect/v1/environments/E/clusters/C.
func confluentPath(address *url.URL) *ConfluentCloud {
	match := confluentPathForm.FindStringSubmatch(address.Path)
	if match == nil {
		return nil
	}
	base := *address
	base.Path, base.RawPath = match[1], ""
	return &ConfluentCloud{Environment: match[2], Cluster: match[3], APIURL: URL{URL: &base}}
}

// selectProvider makes a cluster that was given by a URL alone one of Confluent
// Cloud if the URL says so.
func selectProvider(settings *Settings, at origin) error {
	address, user, err := client.ParseURL(settings.URLs[0])
	if err != nil {
		return at.Wrong("urls[0]", "%s", err)
	}
	block := confluentPath(address)
	if block == nil {
		return nil
	}
	settings.Provider, settings.ConfluentCloud, settings.URLs = ProviderConfluentCloud, block, nil
	return client.Authenticate(&settings.HTTPClient, user, "urls[0]", at.Place)
}

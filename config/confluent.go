package config

import (
	"net/url"
	"regexp"

	"go.yaml.in/yaml/v3"
)

// ProviderConfluentCloud is what Confluent Cloud runs for one Kafka cluster.
const ProviderConfluentCloud = "confluent-cloud"

const defaultConfluentURL = "https://api.confluent.cloud"

// ConfluentCloud says which managed Connect cluster to watch.
type ConfluentCloud struct {
	// Environment (env-…) and Cluster (lkc-…) that the connectors belong to.
	Environment, Cluster string
	// APIURL is the base of the API, without trailing slash.
	APIURL *url.URL
}

type confluentSettings struct {
	Environment string `yaml:"environment" doc:"Environment id, env-…. Required."`
	Cluster     string `yaml:"cluster" doc:"Kafka cluster id, lkc-…. Required."`
	APIURL      string `yaml:"api_url" doc:"Base of the API."`
}

func defaultConfluent() confluentSettings { return confluentSettings{APIURL: defaultConfluentURL} }

func (c *confluentSettings) UnmarshalYAML(node *yaml.Node) error {
	type plain confluentSettings
	*c = defaultConfluent()
	return node.Decode((*plain)(c))
}

func confluentProvider() provider {
	return provider{
		name: ProviderConfluentCloud, block: "confluent_cloud",
		present: func(s *clusterSettings) bool { return s.ConfluentCloud != nil },
		cannot: map[string]string{
			"urls":             "belongs to provider: connect; for confluent-cloud the block confluent_cloud says where to go",
			"worker_probe":     "provider confluent-cloud shows no workers that could be asked: remove it",
			"expected_workers": "provider confluent-cloud shows no workers that could be counted: remove it",
			"kafka":            "Confluent Cloud keeps the topics of its connectors to itself: remove it",
		},
		validate: validateConfluent,
	}
}

func validateConfluent(_ *loader, settings *clusterSettings, cluster *Cluster, at origin) error {
	block := settings.ConfluentCloud
	for _, id := range []struct{ field, value, example string }{{"environment", block.Environment, "env-abc123"}, {"cluster", block.Cluster, "lkc-abc123"}} {
		if id.value == "" {
			return at.wrong("confluent_cloud."+id.field, "is required, such as %s", id.example)
		}
		if id.value != url.PathEscape(id.value) {
			return at.wrong("confluent_cloud."+id.field, "must be an id, such as %s", id.example)
		}
	}
	if !authenticates(&settings.HTTPClient) {
		return at.wrong("http_client", "provider confluent-cloud needs a Cloud API key: basic_auth with the key as username and the secret as password or password_file")
	}
	base, err := serviceURL(&block.APIURL, defaultConfluentURL, "confluent_cloud.api_url", at)
	if err != nil {
		return err
	}
	cluster.ConfluentCloud = &ConfluentCloud{Environment: block.Environment, Cluster: block.Cluster, APIURL: base}
	cluster.URLs = []*url.URL{base.JoinPath("connect/v1/environments", block.Environment, "clusters", block.Cluster)}
	return nil
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
		return at.wrong("urls[0]", "%s", err)
	}
	block, cloud := confluentPath(address)
	if !cloud {
		return nil
	}
	settings.Provider, settings.ConfluentCloud, settings.URLs = ProviderConfluentCloud, &block, nil
	return authenticateAs(&settings.HTTPClient, user, at.field("urls[0]"))
}

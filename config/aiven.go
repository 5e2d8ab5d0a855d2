package config

import (
	"cmp"
	"net/url"

	commoncfg "github.com/prometheus/common/config"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config/internal/client"
)

// ProviderAiven is Kafka Connect run by Aiven.
const ProviderAiven = "aiven"

// Aiven says which Aiven service to watch. One of Token and TokenFile is set,
// unless a resource names the Secret that holds the token.
type Aiven struct {
	Project   string           `yaml:"project" doc:"Aiven project. Required."`
	Service   string           `yaml:"service" doc:"Name of the Kafka Connect service, or of the Kafka service with Connect enabled. Required."`
	Token     commoncfg.Secret `yaml:"token,omitempty" doc:"API token. One of token, token_file and the variable AIVEN_TOKEN is required."`
	TokenFile string           `yaml:"token_file,omitempty" doc:"File with the API token."`
	APIURL    URL              `yaml:"api_url" default:"https://api.aiven.io" doc:"Base of the API."`
	Route     string           `yaml:"route" default:"public" doc:"Network route to the service: public, private, privatelink or dynamic."`
}

func aivenProvider() provider {
	return provider{
		name: ProviderAiven, block: "aiven",
		present: func(s *Settings) bool { return s.Aiven != nil },
		cannot: map[string]string{
			"urls":            "belongs to provider: connect; for aiven the block aiven says where to go",
			"worker_probe":    "the workers of an Aiven service cannot be asked one by one: remove it",
			clientCredentials: "the credentials of an Aiven service come from its API: remove basic_auth, authorization and oauth2",
		},
		validate: validateAiven,
	}
}

func validateAiven(l *loader, settings *Settings, cluster *Cluster, at origin) error {
	block := settings.Aiven
	const wanted, form = "is required: its name at Aiven", "must be a name, without / or spaces"
	if err := cmp.Or(
		at.When(block.Project == "", "aiven.project", wanted),
		at.When(block.Project != url.PathEscape(block.Project), "aiven.project", form),
		at.When(block.Service == "", "aiven.service", wanted),
		at.When(block.Service != url.PathEscape(block.Service), "aiven.service", form),
		at.Choice("aiven.route", block.Route, "public", "private", "privatelink", "dynamic"),
		at.When(block.Token != "" && block.TokenFile != "", "aiven.token", "token and token_file are both set: keep one"),
	); err != nil {
		return err
	}
	if block.Token == "" && block.TokenFile == "" {
		token, _ := l.environment.lookup("AIVEN_TOKEN")
		if block.Token = commoncfg.Secret(token); token == "" {
			return at.Wrong("aiven", "needs an API token: token_file, token, or the variable AIVEN_TOKEN")
		}
	}
	cluster.AivenToken = func() (string, error) { return readSecret(block.Token, block.TokenFile, "read the Aiven token:") }
	return client.CheckHeader(string(block.Token), "aiven.token", at.Place)
}

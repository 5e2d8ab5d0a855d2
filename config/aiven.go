package config

import (
	"fmt"
	"net/url"
	"slices"

	commoncfg "github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/safefile"
)

// ProviderAiven is Kafka Connect run by Aiven.
const ProviderAiven = "aiven"

const defaultAivenURL = "https://api.aiven.io"

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
	// Source gives the token in place of Token and TokenFile, where a resource
	// names a Secret; nil otherwise.
	Source func() (string, error)
}

// ReadToken returns the API token, read anew where it is in a file, so that it
// can be changed while the exporter runs.
func (a *Aiven) ReadToken() (string, error) {
	if a.Source != nil {
		return a.Source()
	}
	if a.TokenFile == "" {
		return string(a.Token), nil
	}
	token, err := safefile.ReadSecret(a.TokenFile)
	if err != nil {
		return "", fmt.Errorf("read the Aiven token: %w", err)
	}
	return token, nil
}

type aivenSettings struct {
	Project   string           `yaml:"project" doc:"Aiven project. Required."`
	Service   string           `yaml:"service" doc:"Name of the Kafka Connect service, or of the Kafka service with Connect enabled. Required."`
	Token     commoncfg.Secret `yaml:"token,omitempty" doc:"API token. One of token, token_file and the variable AIVEN_TOKEN is required."`
	TokenFile string           `yaml:"token_file,omitempty" doc:"File with the API token."`
	APIURL    string           `yaml:"api_url" doc:"Base of the API."`
	Route     string           `yaml:"route" doc:"Network route to the service: public, private, privatelink or dynamic."`
}

func defaultAiven() aivenSettings { return aivenSettings{APIURL: defaultAivenURL, Route: "public"} }

func (a *aivenSettings) UnmarshalYAML(node *yaml.Node) error {
	type plain aivenSettings
	*a = defaultAiven()
	return node.Decode((*plain)(a))
}

func aivenProvider() provider {
	return provider{
		name: ProviderAiven, block: "aiven",
		present: func(s *clusterSettings) bool { return s.Aiven != nil },
		cannot: map[string]string{
			"urls":            "belongs to provider: connect; for aiven the block aiven says where to go",
			"worker_probe":    "the workers of an Aiven service cannot be asked one by one: remove it",
			clientCredentials: "the credentials of an Aiven service come from its API: remove basic_auth, authorization and oauth2",
		},
		validate: validateAiven,
	}
}

func validateAiven(l *loader, settings *clusterSettings, cluster *Cluster, at origin) error {
	block := settings.Aiven
	for _, name := range []struct{ field, value string }{{"project", block.Project}, {"service", block.Service}} {
		if name.value == "" {
			return at.wrong("aiven."+name.field, "is required: its name at Aiven")
		}
		if name.value != url.PathEscape(name.value) {
			return at.wrong("aiven."+name.field, "must be a name, without / or spaces")
		}
	}
	if !slices.Contains([]string{"public", "private", "privatelink", "dynamic"}, block.Route) {
		return at.wrong("aiven.route", "must be public, private, privatelink or dynamic")
	}
	if block.Token != "" && block.TokenFile != "" {
		return at.wrong("aiven.token", "token and token_file are both set: keep one")
	}
	if block.Token == "" && block.TokenFile == "" {
		token, _ := l.environment.lookup("AIVEN_TOKEN")
		if block.Token = commoncfg.Secret(token); token == "" {
			return at.wrong("aiven", "needs an API token: token_file, token, or the variable AIVEN_TOKEN")
		}
	}
	if !headerValue(string(block.Token)) {
		return at.wrong("aiven.token", wrongHeaderValue)
	}
	base, err := serviceURL(&block.APIURL, defaultAivenURL, "aiven.api_url", at)
	if err != nil {
		return err
	}
	cluster.Aiven = &Aiven{Project: block.Project, Service: block.Service, Token: block.Token, TokenFile: block.TokenFile, APIURL: base, Route: block.Route}
	return nil
}

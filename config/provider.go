package config

import (
	"reflect"
	"slices"
	"strings"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config/internal/client"
)

// What follows has a row or a field for each provider. The rest of it is in a
// file of its own: its settings, their defaults and rules, and what it can do.

// Services say what the providers of services need to know. One is set, for its
// provider alone.
type Services struct {
	ConfluentCloud *ConfluentCloud `yaml:"confluent_cloud,omitempty" doc:"For, and required by, provider confluent-cloud."`
	MSK            *MSK            `yaml:"msk,omitempty" doc:"For, and required by, provider msk."`
	Aiven          *Aiven          `yaml:"aiven,omitempty" doc:"For, and required by, provider aiven."`
}

func providers() []provider {
	return []provider{connectProvider(), confluentProvider(), mskProvider(), aivenProvider()}
}

// A provider is a kind of service that runs connectors.
type provider struct {
	// name is how the field provider spells it, and block the field with its
	// settings, "" for none.
	name, block string
	// present says whether the block is written.
	present func(*Settings) bool
	// cannot has the settings that do nothing here, and why; their names are those
	// of choices.
	cannot map[string]string
	// validate checks the block and puts it into the cluster.
	validate func(l *loader, settings *Settings, cluster *Cluster, at origin) error
}

// Providers lists the providers, as the field provider spells them.
func Providers() (names []string) {
	for _, p := range providers() {
		names = append(names, p.name)
	}
	return names
}

// A choice is a setting that not every provider has a use for.
type choice struct {
	field string
	// made says whether it is set to something else than it is by itself.
	made func(settings, standard *Settings) bool
}

func choices() []choice {
	return []choice{
		{"urls", func(s, _ *Settings) bool { return len(s.URLs) > 0 }},
		{"observation_version", func(s, d *Settings) bool { return s.ObservationVersion != d.ObservationVersion }},
		{"parallelism", func(s, d *Settings) bool { return s.Parallelism != d.Parallelism }},
		{"info_max_age", func(s, d *Settings) bool { return s.InfoMaxAge != d.InfoMaxAge }},
		{"max_connectors", func(s, d *Settings) bool { return s.MaxConnectors != d.MaxConnectors }},
		{"worker_probe", func(s, _ *Settings) bool { return s.WorkerProbe.Enabled }},
		{"expected_workers", func(s, _ *Settings) bool { return s.ExpectedWorkers != nil }},
		{"connector_labels", func(s, _ *Settings) bool { return len(s.ConnectorLabels) > 0 }},
		{"kafka", func(s, _ *Settings) bool { return s.Kafka != nil }},
		{clientCredentials, func(s, _ *Settings) bool { return client.Authenticates(&s.HTTPClient) }},
		{"http_client", func(s, d *Settings) bool { return !reflect.DeepEqual(s.HTTPClient, d.HTTPClient) }},
	}
}

// clientCredentials is the choice of credentials in http_client.
const clientCredentials = "http_client (credentials)"

// provider validates what depends on the provider.
func (l *loader) provider(settings *Settings, cluster *Cluster, at origin) error {
	all := providers()
	i := slices.IndexFunc(all, func(p provider) bool { return p.name == settings.Provider })
	if i < 0 {
		return at.Choice("provider", settings.Provider, Providers()...)
	}
	for _, other := range all {
		if other.block != "" && other.present(settings) && other.name != settings.Provider {
			return at.Wrong(other.block, "belongs to provider: %s, but the provider here is %s: change one of them", other.name, settings.Provider)
		}
	}
	chosen := all[i]
	if chosen.block != "" && !chosen.present(settings) {
		return at.Wrong("provider", "%s needs a block %s beside it", chosen.name, chosen.block)
	}
	if settings.ObservationVersion == versionBrokers && chosen.name == ProviderConnect {
		chosen = brokersAlone()
	}
	if err := l.refuse(chosen, settings, at); err != nil {
		return err
	}
	if settings.ObservationVersion == versionBrokers && chosen.name != ProviderConnect {
		return at.Wrong("observation_version", "brokers is for provider: connect, which the provider here is not")
	}
	return chosen.validate(l, settings, cluster, at)
}

// refuse refuses a setting that does nothing here.
func (l *loader) refuse(p provider, settings *Settings, at origin) error {
	for _, choice := range choices() {
		if why, refused := p.cannot[choice.field]; refused && choice.made(settings, &l.standard) {
			field, _, _ := strings.Cut(choice.field, " ")
			return at.Wrong(field, "%s", why)
		}
	}
	return nil
}

package app

import (
	"log/slog"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/kafka"
)

// brokered adds what the brokers know to what an observer sees; nil: they are all
// that there is to ask. An observer that cannot be had closes the other.
func brokered(c config.Cluster, observer connect.Observer, logger *slog.Logger) (connect.Observer, error) {
	k := c.Kafka
	group, statuses, offsets := k.Workers()
	options := kafka.Options{
		Name: c.Name, Observer: observer,
		BootstrapServers: k.BootstrapServers, TLS: k.TLSConfig,
		Group: group, StatusTopic: statuses, OffsetsTopic: offsets,
		MirrorMaker2: k.MirrorMaker2 != nil,
		Keep:         c.Filter.Keep, KeepLag: k.SinkLag.Keep, MaxLagPartitions: k.SinkLag.MaxSeries,
		ConnectorTopics: k.ConnectorTopics, SourceTopics: k.SourceTopics,
		Logger: logger,
	}
	if s := k.SASL; s != nil {
		options.SASL = &kafka.SASL{
			Mechanism: s.Mechanism, Username: s.Username, Password: s.ReadPassword,
			Region: s.Region, RoleARN: s.RoleARN,
		}
		if s.OAuth2 != nil { // prometheus/common writes into it, and settings are compared.
			oauth := *s.OAuth2
			options.SASL.OAuth2 = &oauth
		}
	}
	made, err := wrap(kafka.New(options))
	if err != nil && observer != nil {
		observer.Close()
	}
	return made, err
}

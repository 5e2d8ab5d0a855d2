package app

import (
	"maps"
	"slices"
	"testing"

	metrics "github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/rest"
)

// Every provider that can be configured can be observed.
func TestConstructors(t *testing.T) {
	want := slices.Sorted(slices.Values(config.Providers()))
	if got := slices.Sorted(maps.Keys(constructors())); !slices.Equal(got, want) {
		t.Errorf("constructors for %q, providers %q", got, want)
	}
}

// A cluster can have no label that its series have by themselves.
func TestOwnLabels(t *testing.T) {
	own := config.OwnLabels()
	for _, metric := range metrics.Descriptors() {
		for _, label := range metric.Labels {
			if !slices.Contains(own, label) {
				t.Errorf("label %s of %s is missing in config.OwnLabels", label, metric.Name)
			}
		}
	}
}

// What an observer would not show may not be wished for.
func TestSecretKeysAreRefused(t *testing.T) {
	for _, key := range []string{
		"database.password", "connection.password", "aws.secret.access.key", "aws_access_key_id", "api.key", "apiKey", "sasl.jaas.config", "ssl.key", "ssl.keystore.location",
		"ssl.truststore.certificates", "basic.auth.user.info", "basic.auth.credentials.source", "oauth.token", "confluent.license.token", "private.key", "keyfile", "gcp.keyfile",
		"db.pwd", "user.pass", "passphrase", "encryption.mode", "azure.sas", "connection.string", "http.headers", "session.cookie", "tls.pem", "client.cert", "authorization.type", "auth", "shared.key",
		"jms.credential", "signature.version", "keys", "sentry.dsn",
	} {
		if !rest.SecretKey(key) {
			t.Errorf("%s is shown", key)
		}
		if _, err := config.Load(config.Sources{File: file(t, "clusters: [{name: a, urls: ['http://a:1'], connector_labels: [%s]}]\n", key)}); err == nil {
			t.Errorf("%s is accepted", key)
		}
	}
	for _, key := range []string{"owner.team", "team", "owner", "author", "domain", "tier", "environment", "passenger.class", "topics"} {
		if _, err := config.Load(config.Sources{File: file(t, "clusters: [{name: a, urls: ['http://a:1'], connector_labels: [%s]}]\n", key)}); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}

package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

const connectEnv = "CONNECT_REST_URL=http://connect:8083"

func TestBrokersOfTheEnvironment(t *testing.T) {
	kafka := fromEnvironment(t, connectEnv, "CONNECT_GROUP_ID=connect", "CONNECT_STATUS_STORAGE_TOPIC=statuses", "CONNECT_OFFSET_STORAGE_TOPIC=offsets",
		"BOOTSTRAP=kafka-1:9093, kafka-2:9093", "SECURITY_PROTOCOL=SASL_SSL", "SASL_MECHANISM=SCRAM-SHA-512",
		`SASL_JAAS_CONFIG=org.apache.kafka.common.security.scram.ScramLoginModule required username="exporter" password="hunt\"er;2";`,
		"SSL_TRUSTSTORE_LOCATION=testdata/stores/trust.p12", "SSL_TRUSTSTORE_PASSWORD=changeit\n", "SSL_ENDPOINT_IDENTIFICATION_ALGORITHM=HTTPS").Clusters[0].Kafka
	if !slices.Equal(kafka.BootstrapServers, []string{"kafka-1:9093", "kafka-2:9093"}) || kafka.GroupID != "connect" || kafka.StatusStorageTopic != "statuses" || kafka.OffsetStorageTopic != "offsets" || kafka.SinkLag.MaxSeries != 5000 {
		t.Errorf("%+v", kafka)
	}
	if kafka.TLSConfig == nil || !strings.Contains(kafka.TLSConfig.CA, "BEGIN CERTIFICATE") {
		t.Errorf("TLS %+v", kafka.TLSConfig)
	}
	password, err := kafka.SASL.ReadPassword()
	if kafka.SASL.Mechanism != "SCRAM-SHA-512" || kafka.SASL.Username != "exporter" || password != `hunt"er;2` || err != nil {
		t.Errorf("SASL %+v with %q, %v", kafka.SASL, password, err)
	}
	// Kpow's own variables for Kafka turn nothing on.
	config := fromEnvironment(t, connectEnv, "BOOTSTRAP=kafka:9092", "SECURITY_PROTOCOL=SASL_SSL", "SASL_MECHANISM=GSSAPI", "SASL_JAAS_CONFIG=x")
	if config.Clusters[0].Kafka != nil || len(config.Warnings) > 0 {
		t.Errorf("%+v, warnings %q", config.Clusters[0].Kafka, config.Warnings)
	}
}

func TestBrokersOfSeveralClusters(t *testing.T) {
	clusters := fromEnvironment(t, "CONNECT_RESOURCE_IDS=DEV1,QA2,MM2", "BOOTSTRAP=shared:9092",
		"DEV1_CONNECT_REST_URL=http://dev:8083", "DEV1_CONNECT_GROUP_ID=dev",
		"QA2_CONNECT_REST_URL=http://qa:8083", "QA2_CONNECT_GROUP_ID=qa", "QA2_BOOTSTRAP=own:9092", "QA2_SECURITY_PROTOCOL=SSL",
		"MM2_CONNECT_OBSERVATION_VERSION=brokers", "MM2_CONNECT_GROUP_ID=a-mm2", "MM2_CONNECT_STATUS_STORAGE_TOPIC=mm2-status.a.internal").Clusters
	for i, want := range []struct {
		server string
		tls    bool
	}{{"shared:9092", false}, {"own:9092", true}, {"shared:9092", false}} {
		if kafka := clusters[i].Kafka; kafka.BootstrapServers[0] != want.server || (kafka.TLSConfig != nil) != want.tls {
			t.Errorf("%s: %+v", clusters[i].Name, kafka)
		}
	}
	if mm2 := clusters[2]; mm2.ObservationVersion != "brokers" || len(mm2.URLs) > 0 || mm2.Origin != "MM2_CONNECT_OBSERVATION_VERSION" {
		t.Errorf("%+v", mm2)
	}
}

func TestMechanismsOfTheEnvironment(t *testing.T) {
	base := []string{connectEnv, "CONNECT_GROUP_ID=connect", "BOOTSTRAP=kafka:9092", "SECURITY_PROTOCOL=sasl_ssl"}
	sasl := func(environ ...string) *SASL {
		return fromEnvironment(t, append(slices.Clone(base), environ...)...).Clusters[0].Kafka.SASL
	}
	if plain := sasl("SASL_MECHANISM=PLAIN", "SASL_JAAS_CONFIG=org.apache.kafka.common.security.plain.PlainLoginModule REQUIRED\n  username='key' password=secret;\n"); plain.Username != "key" || plain.Password != "secret" {
		t.Errorf("%+v", plain)
	}
	oauth := sasl("SASL_MECHANISM=OAUTHBEARER", "SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL=https://login/token",
		`SASL_JAAS_CONFIG=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required clientId="a" clientSecret="b" scope="c d";`).OAuth2
	if oauth.ClientID != "a" || oauth.ClientSecret != "b" || oauth.TokenURL != "https://login/token" || !reflect.DeepEqual(oauth.Scopes, []string{"c", "d"}) {
		t.Errorf("%+v", oauth)
	}
	if iam := sasl("SASL_MECHANISM=AWS_MSK_IAM", `SASL_JAAS_CONFIG=software.amazon.msk.auth.iam.IAMLoginModule required awsRoleArn="arn:aws:iam::1:role/r";`); iam.RoleARN != "arn:aws:iam::1:role/r" {
		t.Errorf("%+v", iam)
	}
	if iam := sasl("SASL_MECHANISM=AWS_MSK_IAM"); iam.Mechanism != "AWS_MSK_IAM" {
		t.Errorf("%+v", iam)
	}
}

func TestMalformedBrokerVariables(t *testing.T) {
	group, brokers, sasl := "CONNECT_GROUP_ID=connect", "BOOTSTRAP=kafka:9092", "SECURITY_PROTOCOL=SASL_SSL"
	plain := "SASL_MECHANISM=PLAIN"
	const jaas = `SASL_JAAS_CONFIG: must be as Kafka's clients take it for PLAIN: …PlainLoginModule required name="value" …;`
	for _, test := range []struct {
		environ []string
		want    string
	}{
		{[]string{connectEnv, group}, "CONNECT_GROUP_ID: only the brokers tell what this names, and BOOTSTRAP is not set: set it to their addresses (host:port), or remove this"},
		{[]string{connectEnv, "CONNECT_OFFSET_STORAGE_TOPIC=offsets"}, "CONNECT_OFFSET_STORAGE_TOPIC: only the brokers tell what this names, and BOOTSTRAP is not set: set it to their addresses (host:port), or remove this"},
		{[]string{"CONNECT_RESOURCE_IDS=A", "A_CONNECT_REST_URL=http://a:1", "A_CONNECT_STATUS_STORAGE_TOPIC=statuses"}, "A_CONNECT_STATUS_STORAGE_TOPIC: only the brokers tell what this names, and BOOTSTRAP is not set: set it to their addresses (host:port), or remove this"},
		{[]string{connectEnv, group, "BOOTSTRAP=kafka"}, "BOOTSTRAP: must be host:port, such as kafka-1:9092"},
		{[]string{connectEnv, group, brokers, "CONNECT_STATUS_STORAGE_TOPIC=a b"}, "CONNECT_STATUS_STORAGE_TOPIC: is no name of a topic: letters, digits, dots, _ and -, at most 249"},
		{[]string{connectEnv, group, brokers, "SECURITY_PROTOCOL=TLS"}, "SECURITY_PROTOCOL: must be PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"},
		{[]string{connectEnv, group, brokers, sasl}, "SASL_MECHANISM: is not set, but SECURITY_PROTOCOL is SASL_SSL"},
		{[]string{connectEnv, group, brokers, sasl, "SASL_MECHANISM=GSSAPI"}, "SASL_MECHANISM: must be PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or AWS_MSK_IAM"},
		{[]string{connectEnv, group, brokers, sasl, plain}, "SASL_JAAS_CONFIG: is not set, but SASL_MECHANISM is PLAIN"},
		{[]string{connectEnv, group, brokers, sasl, plain, "SASL_JAAS_CONFIG=hunter2"}, jaas},
		{[]string{connectEnv, group, brokers, sasl, plain, `SASL_JAAS_CONFIG=a.PlainLoginModule required username="a" password="hunter2"`}, jaas},
		{[]string{connectEnv, group, brokers, sasl, plain, `SASL_JAAS_CONFIG=a.PlainLoginModule required username="a" password="hunter2;`}, jaas},
		{[]string{connectEnv, group, brokers, sasl, plain, `SASL_JAAS_CONFIG=a.ScramLoginModule required username="a" password="hunter2";`}, jaas},
		{[]string{connectEnv, group, brokers, sasl, plain, `SASL_JAAS_CONFIG=a.PlainLoginModule required username="a";`}, "SASL_JAAS_CONFIG: lacks username and password"},
		{[]string{connectEnv, group, brokers, "SECURITY_PROTOCOL=SASL_PLAINTEXT", "SASL_MECHANISM=AWS_MSK_IAM"}, "SASL_MECHANISM: AWS_MSK_IAM needs TLS: tls_config: {}, or SECURITY_PROTOCOL=SASL_SSL"},
		{[]string{connectEnv, group, brokers, "SSL_ENDPOINT_IDENTIFICATION_ALGORITHM=none"}, "SSL_ENDPOINT_IDENTIFICATION_ALGORITHM: must be https, or not be set: names are always verified"},
		{[]string{connectEnv, group, brokers, "SSL_KEYSTORE_TYPE=hunter2"}, "SSL_KEYSTORE_TYPE: must be PKCS12, JKS or PEM"},
		{[]string{connectEnv, group, brokers, "SECURITY_PROTOCOL=SSL", "SSL_TRUSTSTORE_LOCATION=testdata/stores/trust.p12", "SSL_TRUSTSTORE_PASSWORD=hunter2"}, "SSL_TRUSTSTORE_PASSWORD: does not open testdata/stores/trust.p12"},
		{[]string{"CONNECT_OBSERVATION_VERSION=brokers"}, "CONNECT_OBSERVATION_VERSION: brokers needs CONNECT_GROUP_ID, CONNECT_STATUS_STORAGE_TOPIC and BOOTSTRAP"},
		{[]string{"CONNECT_OBSERVATION_VERSION=brokers", group, brokers}, "CONNECT_GROUP_ID: status_storage_topic is missing: without REST, it tells the connectors"},
		{[]string{"CONNECT_AWS_REGION=eu-west-1", group, brokers}, "CONNECT_GROUP_ID: each connector of MSK Connect is a Connect cluster with topics of its own: remove it"},
	} {
		if _, err := Load(Sources{Environ: test.environ}); err == nil || err.Error() != test.want {
			t.Errorf("%q\ngot  %v\nwant %s", test.environ, err, test.want)
		}
	}
	for _, environ := range [][]string{{"SASL_MECHANISM=PLAIN"}, {"SASL_JAAS_CONFIG=x"}} {
		want := "SASL_MECHANISM and SASL_JAAS_CONFIG are ignored: SECURITY_PROTOCOL is neither SASL_SSL nor SASL_PLAINTEXT"
		if got := fromEnvironment(t, append(environ, connectEnv, group, brokers)...).Warnings; !slices.Equal(got, []string{want}) {
			t.Errorf("%q: %q", environ, got)
		}
	}
}

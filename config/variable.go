package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A variable of a cluster, or of its brokers, as it is called without a resource
// id before it.
type variable struct {
	name string
	// standard is the default as the documentation writes it.
	standard string
	meaning  string
	// field is the setting that it gives, as errors of validation name it.
	field string
	// set takes a value over where that is all there is to do, or says what is wrong
	// with it.
	set func(to *Settings) func(value string) error
}

// variables lists every variable of one cluster.
func variables() []variable {
	return append([]variable{
		{"CONNECT_NAME", "the resource id, else default", "Name of the cluster: its connect_cluster label.", "name", func(s *Settings) func(string) error { return text(&s.Name) }},
		{"CONNECT_REST_URL", "", "REST URL of the cluster. A URL of Confluent Cloud's API (https://api.confluent.cloud/connect/v1/environments/ENV/clusters/CLUSTER) selects provider confluent-cloud.", "urls", nil},
		{"CONNECT_AUTH", "", "BASIC: send CONNECT_BASIC_AUTH_USER and CONNECT_BASIC_AUTH_PASS.", "http_client", either("BASIC")},
		{"CONNECT_BASIC_AUTH_USER", "", "User name, with CONNECT_AUTH=BASIC.", "", nil},
		{"CONNECT_BASIC_AUTH_PASS", "", "Password, with CONNECT_AUTH=BASIC.", "", nil},
		{"CONNECT_STARTUP_VALIDATION", "true", "The exporter starts only if the cluster answers.", "startup_validation", func(s *Settings) func(string) error { return boolean(&s.StartupValidation) }},
		{"CONNECT_GROUP_ID", "", "The workers' group.id, read from the brokers.", "kafka.group_id", nil},
		{"CONNECT_STATUS_STORAGE_TOPIC", "", "The workers' status.storage.topic, read from the brokers (not known to Kpow).", "kafka.status_storage_topic", nil},
		{"CONNECT_OFFSET_STORAGE_TOPIC", "", "The workers' offset.storage.topic, read from the brokers.", "kafka.offset_storage_topic", nil},
		{"CONNECT_PERMISSIVE_SSL", "false", "true: the server's certificate is not verified.", "http_client.tls_config", func(s *Settings) func(string) error { return boolean(&s.HTTPClient.TLSConfig.InsecureSkipVerify) }},
		{"CONNECT_TIMEOUT_MS", "5000", "Limit of each HTTP request in milliseconds.", "request_timeout", func(s *Settings) func(string) error { return milliseconds(&s.RequestTimeout) }},
		{"CONNECT_OBSERVATION_VERSION", "1; auto for Confluent Cloud", "1: a list and calls per connector. 2: one expanded call. auto: 2 where the worker can; brokers: no REST API is asked (both not known to Kpow).", "observation_version", func(s *Settings) func(string) error {
			return text(&s.ObservationVersion, "1", "2", versionAuto, versionBrokers)
		}},
		{"CONNECT_AWS_REGION", "", "Watch the MSK Connect connectors of this region instead of a REST URL.", "msk.region", nil},
	}, storeVariables("CONNECT_SSL", "server", "http_client.tls_config")...)
}

// brokerVariables lists the variables that say where the brokers are.
func brokerVariables() []variable {
	all := []variable{
		{"BOOTSTRAP", "", "Brokers, host:port, with commas between them.", "kafka.bootstrap_servers", nil},
		{"SECURITY_PROTOCOL", "", "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.", "kafka.tls_config", either("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")},
		{"SASL_MECHANISM", "", "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or AWS_MSK_IAM.", "kafka.sasl.mechanism", nil},
		{"SASL_JAAS_CONFIG", "", "Credentials, as Kafka's clients take them: PlainLoginModule, ScramLoginModule, OAuthBearerLoginModule (clientId, clientSecret, scope) or IAMLoginModule (awsRoleArn).", "kafka.sasl", nil},
		{"SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL", "", "Where OAUTHBEARER gets tokens.", "kafka.sasl.oauth2.token_url", nil},
	}
	return append(append(all, storeVariables("SSL", "brokers", "")...), variable{
		"SSL_ENDPOINT_IDENTIFICATION_ALGORITHM", "", "https: a broker's certificate must carry its name, which it must in any case.", "", func(*Settings) func(string) error {
			return func(value string) error {
				if !strings.EqualFold(value, "https") {
					return errors.New("must be https, or not be set: names are always verified")
				}
				return nil
			}
		},
	})
}

// storeVariables are those of the Java stores whose other side is called peer.
func storeVariables(prefix, peer, field string) []variable {
	const kinds = "PKCS12, JKS or PEM."
	types := either("PKCS12", "JKS", "PEM")
	return []variable{
		{prefix + "_KEYSTORE_LOCATION", "", "Key store with the client's key and certificate: " + kinds, "", nil},
		{prefix + "_KEYSTORE_TYPE", "what the file is", kinds, "", types},
		{prefix + "_KEYSTORE_PASSWORD", "", "Password of the key store and of the key in it.", "", nil},
		{prefix + "_TRUSTSTORE_LOCATION", "", "Trust store with the authorities that vouch for the " + peer + ": " + kinds, field, nil},
		{prefix + "_TRUSTSTORE_TYPE", "what the file is", kinds, "", types},
		{prefix + "_TRUSTSTORE_PASSWORD", "", "Password of the trust store.", "", nil},
	}
}

// either checks that a value is one of some words, in whichever case.
func either(words ...string) func(*Settings) func(string) error {
	return func(*Settings) func(string) error {
		return func(value string) error { return text(new(string), words...)(strings.ToUpper(value)) }
	}
}

// text, keyValues, milliseconds and boolean put the value of a variable into a
// setting, or say what is wrong with it. A text with words must be one of them.
func text(target *string, words ...string) func(string) error {
	return func(value string) error {
		*target = value
		switch last := len(words) - 1; {
		case last < 0 || slices.Contains(words, value):
			return nil
		case last == 0:
			return fmt.Errorf("must be %s, or not be set", words[0])
		default:
			return fmt.Errorf("must be %s or %s", strings.Join(words[:last], ", "), words[last])
		}
	}
}

// keyValues reads "key=value,key=value" with percent-encoded values.
func keyValues[V ~string](target *map[string]V) func(string) error {
	return func(text string) error {
		*target = map[string]V{}
		for pair := range strings.SplitSeq(text, ",") {
			if strings.TrimSpace(pair) == "" {
				continue
			}
			key, value, found := strings.Cut(pair, "=")
			key = strings.TrimSpace(key)
			value, err := url.PathUnescape(strings.TrimSpace(value))
			if !found || key == "" || err != nil {
				return errors.New("must be key=value pairs with commas between them, special characters percent-encoded")
			}
			(*target)[key] = V(value)
		}
		return nil
	}
}

func milliseconds(target *Duration) func(string) error {
	return func(value string) error {
		number, err := strconv.ParseInt(value, 10, 32)
		if err != nil || number < 1 {
			return errors.New("must be a whole number of milliseconds, at least 1")
		}
		*target = Duration(time.Duration(number) * time.Millisecond)
		return nil
	}
}

func boolean(target *bool) func(string) error {
	return func(value string) error {
		value = strings.ToLower(value)
		*target = value == "true"
		return text(new(string), "true", "false")(value)
	}
}

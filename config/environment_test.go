package config

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	commoncfg "github.com/prometheus/common/config"
)

func fromEnvironment(t *testing.T, environ ...string) *Config {
	t.Helper()
	config, err := Load(Sources{Environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func TestKpowDefaults(t *testing.T) {
	config := fromEnvironment(t, "CONNECT_REST_URL=http://connect:8083", "CONNECT_AUTH=", "CONNECT_NAME= ")
	cluster := config.Clusters[0]
	if cluster.Name != "default" || cluster.Provider != ProviderConnect || cluster.ObservationVersion != "1" || !cluster.StartupValidation ||
		cluster.RequestTimeout != Duration(5*time.Second) || cluster.HTTPClient.BasicAuth != nil || cluster.HTTPClient.TLSConfig.InsecureSkipVerify {
		t.Errorf("%+v", cluster)
	}
	if !cluster.HTTPClient.FollowRedirects || !cluster.HTTPClient.EnableHTTP2 {
		t.Error("the defaults of the HTTP client are not there")
	}
	if len(config.Warnings) > 0 {
		t.Errorf("warnings: %q", config.Warnings)
	}
}

func TestEveryVariable(t *testing.T) {
	config := fromEnvironment(t,
		"CONNECT_NAME=orders", "CONNECT_REST_URL= https://connect:8083/base/ ", "CONNECT_AUTH=basic", "CONNECT_BASIC_AUTH_USER=exporter", "CONNECT_BASIC_AUTH_PASS= hunter2 ",
		"CONNECT_STARTUP_VALIDATION=False", "CONNECT_OFFSET_STORAGE_TOPIC=offsets", "CONNECT_GROUP_ID=group", "BOOTSTRAP=kafka:9092", "CONNECT_PERMISSIVE_SSL=True", "CONNECT_TIMEOUT_MS=1500", "CONNECT_OBSERVATION_VERSION=2")
	cluster := config.Clusters[0]
	if cluster.Name != "orders" || cluster.URLs[0].String() != "https://connect:8083/base" || cluster.StartupValidation || cluster.Kafka.OffsetStorageTopic != "offsets" ||
		cluster.Kafka.GroupID != "group" || cluster.RequestTimeout != Duration(1500*time.Millisecond) || cluster.ObservationVersion != "2" || cluster.Origin != "CONNECT_REST_URL" {
		t.Errorf("%+v", cluster)
	}
	if want := (&commoncfg.BasicAuth{Username: "exporter", Password: " hunter2 "}); !reflect.DeepEqual(cluster.HTTPClient.BasicAuth, want) {
		t.Errorf("basic_auth %+v", cluster.HTTPClient.BasicAuth)
	}
	if !cluster.HTTPClient.TLSConfig.InsecureSkipVerify {
		t.Error("CONNECT_PERMISSIVE_SSL has no effect")
	}
}

func TestSeveralClusters(t *testing.T) {
	config := fromEnvironment(t, "CONNECT_RESOURCE_IDS=QA2, DEV1,", "DEV1_CONNECT_REST_URL=http://dev:8083", "DEV1_CONNECT_NAME=development", "DEV1_CONNECT_OBSERVATION_VERSION=auto",
		"QA2_CONNECT_REST_URL=http://qa:8083", "CONNECT_TIMEOUT_MS=1", "OLD_CONNECT_REST_URL=http://old:8083")
	clusters := config.Clusters
	if len(clusters) != 2 || clusters[0].Name != "QA2" || clusters[1].Name != "development" || clusters[1].ObservationVersion != "auto" || clusters[1].Origin != "DEV1_CONNECT_REST_URL" {
		t.Errorf("%+v", clusters)
	}
	if clusters[0].RequestTimeout != Duration(5*time.Second) {
		t.Error("a variable without id is a default of those with one")
	}
	want := []string{
		"CONNECT_TIMEOUT_MS is ignored, because CONNECT_RESOURCE_IDS is set: variables without a resource id are no defaults; set QA2_CONNECT_TIMEOUT_MS",
		"OLD_CONNECT_REST_URL is ignored, because CONNECT_RESOURCE_IDS does not list OLD",
	}
	if !slices.Equal(config.Warnings, want) {
		t.Errorf("warnings %q", config.Warnings)
	}
}

func TestEnvironmentProviders(t *testing.T) {
	cloud := fromEnvironment(t, "CONNECT_REST_URL=https://api.confluent.cloud/connect/v1/environments/env-abc/clusters/lkc-123/", "CONNECT_AUTH=BASIC", "CONNECT_BASIC_AUTH_USER=KEY", "CONNECT_BASIC_AUTH_PASS=hunter2").Clusters[0]
	if cloud.Provider != ProviderConfluentCloud || cloud.ConfluentCloud.Environment != "env-abc" || cloud.ConfluentCloud.Cluster != "lkc-123" ||
		cloud.ConfluentCloud.APIURL.String() != "https://api.confluent.cloud" || cloud.ObservationVersion != "auto" || cloud.HTTPClient.BasicAuth.Username != "KEY" {
		t.Errorf("%+v", cloud)
	}
	config := fromEnvironment(t, "CONNECT_AWS_REGION=eu-west-1", "CONNECT_NAME=aws", "CONNECT_OBSERVATION_VERSION=2", "CONNECT_TIMEOUT_MS=2000")
	msk := config.Clusters[0]
	if msk.Provider != ProviderMSK || msk.MSK.Region != "eu-west-1" || msk.Name != "aws" || len(msk.URLs) > 0 || msk.RequestTimeout != Duration(2*time.Second) || msk.Origin != "CONNECT_AWS_REGION" {
		t.Errorf("%+v", msk)
	}
	aiven := mustLoad(t, "clusters:\n  - name: aiven\n    provider: aiven\n    aiven: {project: acme, service: orders}\n", "AIVEN_TOKEN=hunter2").Clusters[0]
	if token, err := aiven.AivenToken(); token != "hunter2" || err != nil {
		t.Errorf("token %q, %v", token, err)
	}
}

func TestMalformedVariables(t *testing.T) {
	const url = "CONNECT_REST_URL=http://connect:8083"
	for _, test := range []struct {
		environ []string
		want    string
	}{
		{[]string{"CONNECT_REST_URL=exporter:hunter2@connect:8083"}, "CONNECT_REST_URL: must be a URL that begins with http:// or https://, such as http://connect-1:8083"},
		{[]string{"CONNECT_REST_URL=http://exporter:hunter2%@connect:8083"}, "CONNECT_REST_URL: is no valid URL; special characters of a user or password must be percent-encoded"},
		{[]string{url, "CONNECT_AUTH=hunter2"}, "CONNECT_AUTH: must be BASIC, or not be set"},
		{[]string{url, "CONNECT_AUTH=BASIC"}, "CONNECT_BASIC_AUTH_USER: is not set, but CONNECT_AUTH is BASIC"},
		{[]string{url, "CONNECT_AUTH=BASIC", "CONNECT_BASIC_AUTH_USER=a"}, "CONNECT_BASIC_AUTH_PASS: is not set, but CONNECT_AUTH is BASIC"},
		{[]string{"CONNECT_REST_URL=http://a:hunter2@connect:8083", "CONNECT_AUTH=BASIC", "CONNECT_BASIC_AUTH_USER=a", "CONNECT_BASIC_AUTH_PASS=hunter2"}, "CONNECT_REST_URL: carries a user and password, and credentials are configured besides: remove those of the URL"},
		{[]string{url, "CONNECT_STARTUP_VALIDATION=yes"}, "CONNECT_STARTUP_VALIDATION: must be true or false"},
		{[]string{url, "CONNECT_PERMISSIVE_SSL=1"}, "CONNECT_PERMISSIVE_SSL: must be true or false"},
		{[]string{url, "CONNECT_TIMEOUT_MS=5s"}, "CONNECT_TIMEOUT_MS: must be a whole number of milliseconds, at least 1"},
		{[]string{url, "CONNECT_TIMEOUT_MS=0"}, "CONNECT_TIMEOUT_MS: must be a whole number of milliseconds, at least 1"},
		{[]string{url, "CONNECT_OBSERVATION_VERSION=3"}, "CONNECT_OBSERVATION_VERSION: must be 1, 2, auto or brokers"},
		{[]string{url, "CONNECT_NAME=or\x00ders"}, "CONNECT_NAME: must be printable UTF-8"},
		{[]string{url, "CONNECT_SSL_KEYSTORE_TYPE=BKS"}, "CONNECT_SSL_KEYSTORE_TYPE: must be PKCS12, JKS or PEM"},
		{[]string{url, "CONNECT_SSL_TRUSTSTORE_TYPE=BKS"}, "CONNECT_SSL_TRUSTSTORE_TYPE: must be PKCS12, JKS or PEM"},
		{[]string{url, "CONNECT_REST_URL_2=http://b:1"}, "CONNECT_REST_URL_2: numbered variables are not read: list an id for each cluster in CONNECT_RESOURCE_IDS=DEV1,QA2 and set DEV1_CONNECT_REST_URL, QA2_CONNECT_REST_URL"},
		{[]string{"CONNECT_RESOURCE_IDS=US1", "US1_CONNECT_REST_URL=http://a:1", "US1_CONNECT_REST_URL_2=http://b:1"}, "US1_CONNECT_REST_URL_2: numbered variables are not read: list an id for each cluster in CONNECT_RESOURCE_IDS=DEV1,QA2 and set DEV1_CONNECT_REST_URL, QA2_CONNECT_REST_URL"},
		{[]string{url, "CONNECT_AWS_REGION=eu-west-1"}, "CONNECT_AWS_REGION: stands for MSK Connect and CONNECT_REST_URL for another cluster: remove one, or name both in CONNECT_RESOURCE_IDS"},
		{[]string{"CONNECT_AWS_REGION=Ireland"}, "CONNECT_AWS_REGION: must be the name of an AWS region, such as eu-west-1"},
		{[]string{"CONNECT_REST_URL=https://api.confluent.cloud/connect/v1/environments/e/clusters/c"}, "CONNECT_REST_URL: provider confluent-cloud needs a Cloud API key: set CONNECT_AUTH=BASIC, CONNECT_BASIC_AUTH_USER and CONNECT_BASIC_AUTH_PASS"},
		{[]string{"CONNECT_RESOURCE_IDS=dev1"}, "CONNECT_RESOURCE_IDS: dev1 must be upper case: DEV1, with variables such as DEV1_CONNECT_REST_URL"},
		{[]string{"CONNECT_RESOURCE_IDS=DEV-1"}, "CONNECT_RESOURCE_IDS: an id consists of upper-case letters, digits and _, with commas between ids: DEV1,QA2"},
		{[]string{"CONNECT_RESOURCE_IDS=,"}, "CONNECT_RESOURCE_IDS: lists no id: give some, such as DEV1,QA2, or remove it"},
		{[]string{"CONNECT_RESOURCE_IDS=A,A"}, "CONNECT_RESOURCE_IDS: A is listed twice: remove one"},
		{[]string{"CONNECT_RESOURCE_IDS=A,B", "A_CONNECT_REST_URL=http://a:1"}, "B_CONNECT_REST_URL: is not set, but CONNECT_RESOURCE_IDS lists B (for MSK Connect set B_CONNECT_AWS_REGION)"},
		{[]string{"CONNECT_RESOURCE_IDS=A,B", "A_CONNECT_REST_URL=http://a:1", "B_CONNECT_REST_URL=http://b:1", "B_CONNECT_NAME=A"}, `B_CONNECT_NAME: "A" is already the name of the cluster at A_CONNECT_REST_URL; names are unique over file, environment and flag`},
		{[]string{"CONNECT_RESOURCE_IDS=A", "A_CONNECT_REST_URL=http://a:1", "A_CONNECT_TIMEOUT_MS=-1"}, "A_CONNECT_TIMEOUT_MS: must be a whole number of milliseconds, at least 1"},
	} {
		t.Run(strings.Join(test.environ, " "), func(t *testing.T) {
			if _, err := Load(Sources{Environ: test.environ}); err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestVariablesThatWarn(t *testing.T) {
	const url = "CONNECT_REST_URL=http://connect:8083"
	for _, test := range []struct {
		environ []string
		want    []string
	}{
		{[]string{url, "CONNECT_BASIC_AUTH_USERNAME=a"}, []string{"CONNECT_BASIC_AUTH_USERNAME is not known: did you mean CONNECT_BASIC_AUTH_USER?"}},
		{[]string{url, "CONNECT_REST_URLS=a"}, []string{"CONNECT_REST_URLS is not known: did you mean CONNECT_REST_URL?"}},
		{[]string{url, "CONNECT_PERMISIVE_SSL=true"}, []string{"CONNECT_PERMISIVE_SSL is not known: did you mean CONNECT_PERMISSIVE_SSL?"}},
		{[]string{url, "CONNECT_BASIC_AUTH_USER=a"}, []string{"CONNECT_BASIC_AUTH_USER and CONNECT_BASIC_AUTH_PASS are ignored, no credentials are sent: set CONNECT_AUTH=BASIC to send them"}},
		{[]string{url, "CONNECT_SSL_KEYSTORE_PASSWORD=a"}, []string{"CONNECT_SSL_KEYSTORE_PASSWORD is ignored: CONNECT_SSL_KEYSTORE_LOCATION is not set"}},
		{[]string{"CONNECT_AWS_REGION=eu-west-1", "CONNECT_AUTH=BASIC"}, []string{"CONNECT_AUTH is ignored: MSK Connect takes AWS credentials"}},
		{[]string{"CONNECT_RESOURCE_IDS=US1", "US1_CONNECT_REST_URL=http://a:1", "US1_CONNECT_TIMEOUT=3"}, []string{"US1_CONNECT_TIMEOUT is not known: did you mean US1_CONNECT_TIMEOUT_MS?"}},
		// What Kubernetes sets for services, and images of Kafka Connect take.
		{[]string{
			url, "CONNECT_PORT=tcp://10.0.0.1:8083", "CONNECT_PORT_8083_TCP=tcp://10.0.0.1:8083", "CONNECT_PORT_8083_TCP_ADDR=10.0.0.1", "CONNECT_SERVICE_HOST=10.0.0.1", "CONNECT_SERVICE_PORT=8083", "KAFKA_CONNECT_SERVICE_HOST=10.0.0.1",
			"CONNECT_BOOTSTRAP_SERVERS=kafka:9092", "CONNECT_REST_PORT=8083", "CONNECT_REST_ADVERTISED_HOST_NAME=connect", "CONNECT_KEY_CONVERTER=x", "CONNECT_SSL_KEY_PASSWORD=x", "CONFLUENT_CONNECT_X=1", "DISCONNECT_NAME=x",
		}, nil},
	} {
		if got := fromEnvironment(t, test.environ...).Warnings; !slices.Equal(got, test.want) {
			t.Errorf("%q\ngot  %q\nwant %q", test.environ, got, test.want)
		}
	}
	if got := mustLoad(t, minimal, "CONNECT_NAME=x").Warnings; !slices.Equal(got, []string{"CONNECT_NAME is ignored: neither CONNECT_REST_URL nor CONNECT_RESOURCE_IDS is set"}) {
		t.Errorf("%q", got)
	}
}

// TestStores speaks TLS with what the stores hold: a server with the key, that
// asks the client for the same.
func TestStores(t *testing.T) {
	for _, form := range []string{"p12", "jks"} {
		t.Run(form, func(t *testing.T) {
			variables := func(url string) []string {
				return []string{
					"CONNECT_REST_URL=" + url,
					"CONNECT_SSL_KEYSTORE_LOCATION=testdata/stores/key." + form, "CONNECT_SSL_KEYSTORE_PASSWORD=changeit", "CONNECT_SSL_KEYSTORE_TYPE=PKCS12",
					"CONNECT_SSL_TRUSTSTORE_LOCATION=testdata/stores/trust." + form, "CONNECT_SSL_TRUSTSTORE_PASSWORD=changeit", "CONNECT_SSL_TRUSTSTORE_TYPE=jks",
				}
			}
			held := fromEnvironment(t, variables("https://localhost")...).Clusters[0].HTTPClient.TLSConfig
			pair, err := tls.X509KeyPair([]byte(held.Cert), []byte(held.Key))
			if err != nil {
				t.Fatal(err)
			}
			clients := x509.NewCertPool()
			// Each form holds a key of its own, and trust.* vouches for that of key.p12.
			clients.AppendCertsFromPEM([]byte(held.Cert))
			serverPair := pair
			if form == "jks" {
				other := fromEnvironment(t, "CONNECT_REST_URL=https://a", "CONNECT_SSL_KEYSTORE_LOCATION=testdata/stores/key.p12", "CONNECT_SSL_KEYSTORE_PASSWORD=changeit").Clusters[0].HTTPClient.TLSConfig
				if serverPair, err = tls.X509KeyPair([]byte(other.Cert), []byte(other.Key)); err != nil {
					t.Fatal(err)
				}
			}
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
			server.TLS = &tls.Config{Certificates: []tls.Certificate{serverPair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
			server.StartTLS()
			defer server.Close()
			config := fromEnvironment(t, variables(server.URL)...)
			cluster := config.Clusters[0]
			client, err := commoncfg.NewClientFromConfig(cluster.HTTPClient, "test")
			if err != nil {
				t.Fatal(err)
			}
			defer client.CloseIdleConnections()
			response, err := client.Get(cluster.URLs[0].String())
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if want := []string{"testdata/stores/trust." + form, "testdata/stores/key." + form}; !slices.Equal(config.Files, want) {
				t.Errorf("files %q", config.Files)
			}
			if strings.Contains(string(config.Masked()), "PRIVATE KEY") {
				t.Error("the private key is shown")
			}
		})
	}
}

// A key store can stand as trust store: Java trusts the certificate of its key.
func TestKeyStoreAsTrustStore(t *testing.T) {
	for _, form := range []string{"p12", "jks"} {
		tls := fromEnvironment(t, "CONNECT_REST_URL=https://a", "CONNECT_SSL_TRUSTSTORE_LOCATION=testdata/stores/key."+form, "CONNECT_SSL_TRUSTSTORE_PASSWORD=changeit").Clusters[0].HTTPClient.TLSConfig
		if !strings.Contains(tls.CA, "BEGIN CERTIFICATE") || tls.Key != "" {
			t.Errorf("%s: %+v", form, tls)
		}
	}
}

func TestStoresThatCannotBeUsed(t *testing.T) {
	const key, trust = "CONNECT_SSL_KEYSTORE", "CONNECT_SSL_TRUSTSTORE"
	for _, test := range []struct{ variable, file, password, want string }{
		{key, "key.p12", "hunter2", "_PASSWORD: does not open FILE"},
		{key, "key.jks", "hunter2", "_PASSWORD: does not open FILE"},
		{trust, "trust.p12", "hunter2", "_PASSWORD: does not open FILE"},
		{trust, "trust.p12", "", "_PASSWORD: does not open FILE"},
		{trust, "trust.jks", "", "_PASSWORD: does not open FILE"},
		{key, "missing", "hunter2", "_LOCATION: FILE cannot be read: no such file or directory"},
		{key, "certificate.pem", "changeit", "_LOCATION: FILE holds no private key"},
		{key, "../invalid-tag.yml", "changeit", "_LOCATION: FILE is neither a PKCS12 nor a JKS store nor PEM: convert it with keytool -importkeystore -deststoretype PKCS12"},
		{key, "trust.p12", "changeit", "_LOCATION: FILE holds no private key"},
		{key, "trust.jks", "changeit", "_LOCATION: FILE holds no private key"},
		{key, "two.jks", "changeit", "_LOCATION: FILE holds more than one private key: keep the one to use"},
		{key, "otherkey.jks", "changeit", "_LOCATION: FILE holds a private key under another password than the store's: give both the same with keytool -keypasswd"},
	} {
		file := "testdata/stores/" + test.file
		_, err := Load(Sources{Environ: []string{"CONNECT_REST_URL=https://a", test.variable + "_LOCATION=" + file, test.variable + "_PASSWORD=" + test.password}})
		if want := test.variable + strings.ReplaceAll(test.want, "FILE", file); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

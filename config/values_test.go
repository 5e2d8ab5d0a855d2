package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

func TestVariablesInValues(t *testing.T) {
	config := mustLoad(t, `
clusters:
  - name: orders-${ENV}
    urls: ["http://${HOST}:${PORT}"]
    parallelism: ${PARALLELISM}
    startup_validation: ${FLAG}
    request_timeout: ${TIMEOUT}
    labels: {env: "${ENV}", lone: "a$b $ $", escaped: "$${ENV}", pair: "a$$b"}
    connectors: {include: ["^foo$", "a$|b$", "^${ENV}$"]}
    http_client:
      basic_auth: {username: "${ENV}", password: "${PASSWORD}"}
`, "ENV=prod", "HOST=connect-1", "PORT=8083", "PARALLELISM=3", "FLAG=true", "TIMEOUT=7s", "PASSWORD=p: [x] # ${ENV} $$ &a *b 'c\"\n")
	cluster := config.Clusters[0]
	if cluster.Name != "orders-prod" || cluster.URLs[0].String() != "http://connect-1:8083" || cluster.Parallelism != 3 || !cluster.StartupValidation || cluster.RequestTimeout != Duration(7*time.Second) {
		t.Errorf("%+v", cluster)
	}
	for name, want := range map[string]string{"env": "prod", "lone": "a$b $ $", "escaped": "${ENV}", "pair": "a$b"} {
		if got := cluster.Labels[name]; got != want {
			t.Errorf("label %s: %q, want %q", name, got, want)
		}
	}
	for name, keep := range map[string]bool{"foo": true, "foo$": false, "xa": true, "prod": true, "prods": false} {
		if cluster.Filter.Keep(name) != keep {
			t.Errorf("Keep(%q) is not %v", name, keep)
		}
	}
	// What a variable holds is a value, whatever it looks like, and is not
	// expanded again.
	if got := string(cluster.HTTPClient.BasicAuth.Password); got != "p: [x] # ${ENV} $$ &a *b 'c\"" {
		t.Errorf("password %q", got)
	}
	if again := mustLoad(t, string(config.Masked())).Clusters[0]; again.Labels["escaped"] != "${ENV}" || again.Labels["lone"] != "a$b $ $" || !again.Filter.Keep("foo") {
		t.Errorf("what is shown is another configuration: %+v", again.Labels)
	}
	// Texts that look like something else stay texts.
	for _, value := range []string{"null", "~", "true", "0777", "1e3", "2026-01-01", "- a", "{a: b}", "<<", "!!int 3"} {
		password := mustLoad(t, minimal+"    http_client:\n      basic_auth:\n        username: a\n        password: ${P}\n", "P="+value).Clusters[0].HTTPClient.BasicAuth.Password
		if string(password) != value {
			t.Errorf("password %q, want %q", password, value)
		}
	}
}

func TestVariablesAreNoNames(t *testing.T) {
	_, err := load(t, minimal+"    ${FIELD}: 3\n", "FIELD=parallelism")
	if err == nil || !strings.Contains(err.Error(), "a field is written name: value") {
		t.Errorf("a variable in a name: %v", err)
	}
	// Where any name can stand, it stands as it is.
	otlp := mustLoad(t, minimal+"otlp: {endpoint: \"http://c\", resource_attributes: {\"${A}\": b}}\n", "A=x").OTLP
	if otlp.ResourceAttributes["${A}"] != "b" {
		t.Errorf("%q", otlp.ResourceAttributes)
	}
}

// A line break at the end of a credential is no part of it, through whichever
// door it comes.
func TestLineBreaksBehindCredentials(t *testing.T) {
	for place, got := range map[string]func(t *testing.T) string{
		"password": func(t *testing.T) string {
			return string(mustLoad(t, minimal+"    http_client:\n      basic_auth:\n        username: a\n        password: |\n          secret\n").Clusters[0].HTTPClient.BasicAuth.Password)
		},
		"username": func(t *testing.T) string {
			return mustLoad(t, minimal+"    http_client: {basic_auth: {username: \"secret\\r\\n\", password: a}}\n").Clusters[0].HTTPClient.BasicAuth.Username
		},
		"bearer": func(t *testing.T) string {
			return string(mustLoad(t, minimal+"    http_client: {bearer_token: \"secret\\n\"}\n").Clusters[0].HTTPClient.Authorization.Credentials)
		},
		"client secret": func(t *testing.T) string {
			return string(mustLoad(t, minimal+"    http_client: {oauth2: {client_id: a, client_secret: \"secret\\n\", token_url: \"http://b\"}}\n").Clusters[0].HTTPClient.OAuth2.ClientSecret)
		},
		"header": func(t *testing.T) string {
			return string(mustLoad(t, minimal+"    http_client: {http_headers: {X-A: {secrets: [\"secret\\n\"]}}}\n").Clusters[0].HTTPClient.HTTPHeaders.Headers["X-A"].Secrets[0])
		},
		"Aiven's token": func(t *testing.T) string {
			return string(mustLoad(t, "clusters:\n  - {name: a, provider: aiven, aiven: {project: a, service: b, token: \"secret\\n\"}}\n").Clusters[0].Aiven.Token)
		},
		"AIVEN_TOKEN": func(t *testing.T) string {
			return string(mustLoad(t, "clusters:\n  - {name: a, provider: aiven, aiven: {project: a, service: b}}\n", "AIVEN_TOKEN=secret\n").Clusters[0].Aiven.Token)
		},
		"SASL": func(t *testing.T) string {
			password, _ := mustLoad(t, minimal+"    kafka: {bootstrap_servers: [\"a:1\"], sasl: {mechanism: PLAIN, username: a, password: \"secret\\n\"}}\n").Clusters[0].Kafka.SASL.ReadPassword()
			return password
		},
		"OTLP": func(t *testing.T) string {
			return credentials(t, mustLoad(t, minimal+"otlp: {endpoint: \"http://c\", headers: {a: \"secret\\n\"}}\n").OTLP).Headers["a"]
		},
		"OTLP's variable": func(t *testing.T) string {
			return credentials(t, mustLoad(t, minimal, "OTEL_EXPORTER_OTLP_ENDPOINT=http://c", "OTEL_EXPORTER_OTLP_HEADERS=a=secret\n").OTLP).Headers["a"]
		},
		"URL": func(t *testing.T) string {
			return string(mustLoad(t, "clusters:\n  - {name: a, urls: [\"http://a:secret%0A@b:1\"]}\n").Clusters[0].HTTPClient.BasicAuth.Password)
		},
		"variable in the file": func(t *testing.T) string {
			return string(mustLoad(t, minimal+"    http_client: {basic_auth: {username: a, password: \"${P}\"}}\n", "P=secret\n").Clusters[0].HTTPClient.BasicAuth.Password)
		},
		"CONNECT_BASIC_AUTH_PASS": func(t *testing.T) string {
			return string(fromEnvironment(t, connectEnv, "CONNECT_AUTH=BASIC\n", "CONNECT_BASIC_AUTH_USER=a", "CONNECT_BASIC_AUTH_PASS=secret\r\n").Clusters[0].HTTPClient.BasicAuth.Password)
		},
		"CONNECT_BASIC_AUTH_USER": func(t *testing.T) string {
			return fromEnvironment(t, connectEnv, "CONNECT_AUTH=BASIC", "CONNECT_BASIC_AUTH_USER=secret\n", "CONNECT_BASIC_AUTH_PASS=a").Clusters[0].HTTPClient.BasicAuth.Username
		},
	} {
		if got := got(t); got != "secret" {
			t.Errorf("%s: %q", place, got)
		}
	}
	if got := fromEnvironment(t, "CONNECT_REST_URL=https://a", "CONNECT_SSL_KEYSTORE_LOCATION=testdata/stores/key.p12", "CONNECT_SSL_KEYSTORE_PASSWORD=changeit\n").Clusters[0].HTTPClient.TLSConfig.Key; got == "" {
		t.Error("the key store's password has a line break")
	}
}

func TestProxyOfTheEnvironment(t *testing.T) {
	proxy := []string{"HTTPS_PROXY=http://user:hunter2@proxy:3128", "HTTP_PROXY=http://other:3128", "NO_PROXY=.internal,10.0.0.0/8"}
	cloud := []string{"CONNECT_REST_URL=https://api.confluent.cloud/connect/v1/environments/a/clusters/b", "CONNECT_AUTH=BASIC", "CONNECT_BASIC_AUTH_USER=a", "CONNECT_BASIC_AUTH_PASS=b"}
	for _, test := range []struct {
		sources Sources
		want    string
	}{
		{Sources{Environ: append([]string{"CONNECT_REST_URL=https://connect:8083"}, proxy...)}, "proxy:3128"},
		{Sources{Environ: append(cloud, proxy...)}, "proxy:3128"},
		{Sources{Environ: proxy, ConnectURL: "https://connect:8083"}, "proxy:3128"},
		{Sources{Environ: []string{"CONNECT_REST_URL=https://connect:8083", "https_proxy=proxy:3128"}}, "proxy:3128"},
		{Sources{Environ: append([]string{"CONNECT_REST_URL=https://connect.internal"}, proxy...)}, ""},
		{Sources{Environ: append([]string{"CONNECT_REST_URL=https://10.1.2.3:8083"}, proxy...)}, ""},
		{Sources{Environ: append([]string{"CONNECT_REST_URL=https://localhost:8083"}, proxy...)}, ""},
		{Sources{Environ: append([]string{"CONNECT_REST_URL=http://connect:8083"}, proxy...)}, ""},
		{Sources{Environ: []string{"CONNECT_REST_URL=https://connect:8083", "HTTPS_PROXY="}}, ""},
	} {
		config, err := Load(test.sources)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if address := config.Clusters[0].HTTPClient.ProxyURL.URL; address != nil {
			got = address.Host
		}
		if got != test.want {
			t.Errorf("%+v: proxy %q, want %q", test.sources, got, test.want)
		}
		if strings.Contains(string(config.Masked()), "hunter2") {
			t.Error("the proxy's password is shown")
		}
	}
	// A file says for itself.
	if address := mustLoad(t, "clusters:\n  - {name: a, urls: [\"https://a\"]}\n", proxy...).Clusters[0].HTTPClient.ProxyURL.URL; address != nil {
		t.Errorf("a cluster of the file has the proxy %s", address.Redacted())
	}
	for _, wrong := range []string{"HTTPS_PROXY=http://user:hunter2%zz@proxy", "HTTPS_PROXY=http://"} {
		if _, err := Load(Sources{Environ: []string{"CONNECT_REST_URL=https://a", wrong}}); err == nil || err.Error() != "HTTPS_PROXY: must be a URL such as http://proxy:3128" {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

func TestAddressesThatAreSeveral(t *testing.T) {
	const several = "CONNECT_REST_URL: names more than one address, and takes one; urls of a file lists several workers of a cluster"
	const brackets = "CONNECT_REST_URL: has an IPv6 address without brackets: write it as in http://[2001:db8::1]:8083"
	for address, want := range map[string]string{
		"http://a:8083,http://b:8083":        several,
		"http://a:8083, http://b:8083":       several,
		"http://a:8083,b:8083":               several,
		"http://a:8083/,https://b:8083/":     several,
		"http://a;http://b":                  several,
		"http://u:hunter2@a,http://b":        several,
		"http://::1:8083":                    brackets,
		"http://fd00::1:8083/base":           brackets,
		"http://2001:db8:0:0:0:0:0:1:8083":   brackets,
		"http://u:hunter2@fe80::1":           brackets,
		"http://[::1]:8083":                  "",
		"http://u:a,b@host:8083":             "",
		"http://host:8083/a,b":               "",
		"http://u:a%2Cb@[2001:db8::1]:8083/": "",
	} {
		_, err := Load(Sources{Environ: []string{"CONNECT_REST_URL=" + address}})
		if got := ""; err != nil {
			got = err.Error()
			if got != want {
				t.Errorf("%s: got %s, want %s", address, got, want)
			}
		} else if want != "" {
			t.Errorf("%s is accepted", address)
		}
	}
}

// A store of type PEM holds a key with its certificates, or certificates alone.
func TestPEMStores(t *testing.T) {
	certificate, key := pairPEM(t)
	_, otherKey := pairPEM(t)
	directory := t.TempDir()
	store := func(environ ...string) (*Config, error) {
		return Load(Sources{Environ: append(environ, "CONNECT_REST_URL=https://a")})
	}
	both := write(t, directory, "both.pem", "a comment\n"+key+certificate+certificate)
	config, err := store("CONNECT_SSL_KEYSTORE_TYPE=PEM", "CONNECT_SSL_KEYSTORE_LOCATION="+both, "CONNECT_SSL_TRUSTSTORE_TYPE=pem", "CONNECT_SSL_TRUSTSTORE_LOCATION="+write(t, directory, "trust.pem", certificate+certificate))
	if err != nil {
		t.Fatal(err)
	}
	tls := config.Clusters[0].HTTPClient.TLSConfig
	if strings.Count(tls.Cert, "BEGIN CERTIFICATE") != 2 || !strings.Contains(string(tls.Key), "BEGIN PRIVATE KEY") || strings.Count(tls.CA, "BEGIN CERTIFICATE") != 2 {
		t.Errorf("%+v", tls)
	}
	for name, test := range map[string]struct{ content, want string }{
		"no key":     {certificate, "holds no private key"},
		"two keys":   {key + key + certificate, "holds more than one private key: keep the one to use"},
		"other key":  {otherKey + certificate, "its certificate and key cannot be read, or do not belong together"},
		"encrypted":  {strings.ReplaceAll(key, "PRIVATE KEY", "ENCRYPTED PRIVATE KEY") + certificate, "holds an encrypted private key: decrypt it, with openssl pkey -in KEY"},
		"a damaged":  {key + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "holds a certificate that cannot be read"},
		"no content": {"-----BEGIN CERTIFICATE-----\n", "holds no private key"},
	} {
		file := write(t, directory, "wrong.pem", test.content)
		if _, err := store("CONNECT_SSL_KEYSTORE_TYPE=PEM", "CONNECT_SSL_KEYSTORE_LOCATION="+file); err == nil || err.Error() != "CONNECT_SSL_KEYSTORE_LOCATION: "+file+" "+test.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// pairPEM makes a certificate and its key.
func pairPEM(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

// What MirrorMaker 2 in dedicated mode has follows from one name.
func TestMirrorMaker2(t *testing.T) {
	text := "clusters:\n  - name: mm2\n    kafka: {bootstrap_servers: [\"b:1\"], mirrormaker2: {source: a}}\n"
	config := mustLoad(t, text)
	cluster := config.Clusters[0]
	if group, statuses, offsets := cluster.Kafka.Workers(); cluster.ObservationVersion != "brokers" || group != "a-mm2" || statuses != "mm2-status.a.internal" || offsets != "mm2-offsets.a.internal" {
		t.Errorf("%s %s %s %s", cluster.ObservationVersion, group, statuses, offsets)
	}
	if again := mustLoad(t, string(config.Masked())).Clusters[0]; again.Kafka.MirrorMaker2.Source != "a" || again.ObservationVersion != "brokers" {
		t.Errorf("what is shown is another cluster: %+v", again)
	}
}

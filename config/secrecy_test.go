package config

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// secretFile puts a secret everywhere where one can stand in a file.
const secretFile = `clusters:
  - name: basic
    urls: ["http://exporter:SECRET@connect-1:8083"]
    http_client:
      proxy_url: "http://user:SECRET@proxy:3128"
      proxy_connect_header: {X-Key: [SECRET]}
      http_headers: {X-One: {values: [SECRET], secrets: [SECRET]}}
  - name: bearer
    urls: ["http://connect-2:8083"]
    http_client: {bearer_token: SECRET}
  - name: authorization
    urls: ["http://connect-3:8083"]
    http_client:
      authorization:
        type: Custom
        credentials: SECRET
  - name: oauth
    urls: ["http://connect-4:8083"]
    http_client:
      oauth2:
        client_id: exporter
        client_secret: SECRET
        token_url: "https://login/token?key=SECRET"
        endpoint_params: {password: SECRET}
        tls_config: {min_version: TLS12}
  - name: assertion
    urls: ["https://connect-6:8083"]
    http_client:
      oauth2:
        client_id: exporter
        client_certificate_key: SECRET
        token_url: "https://login/token"
        grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer"
        claims: {nested: {key: [SECRET]}}
  - name: cloud
    provider: confluent-cloud
    confluent_cloud: {environment: env-1, cluster: lkc-1}
    http_client: {basic_auth: {username: KEY, password: SECRET}}
  - name: aiven
    provider: aiven
    aiven: {project: acme, service: orders, token: SECRET}
  - name: plain
    urls: ["http://connect-5:8083"]
    kafka: {bootstrap_servers: ["a:1"], group_id: a, sasl: {mechanism: PLAIN, username: a, password: SECRET}}
  - name: bearing
    kafka:
      bootstrap_servers: ["a:1"]
      mirrormaker2: {source: a}
      sasl:
        mechanism: OAUTHBEARER
        oauth2: {client_id: a, client_secret: SECRET, token_url: "http://login/token?key=SECRET", endpoint_params: {a: SECRET}}
otlp:
  endpoint: http://collector:4318
  headers: {api-key: SECRET}
`

// TestSecretsStaySecret damages a file full of secrets in every way that a slip
// of the hand would, and looks for the secret in all that is said of it.
func TestSecretsStaySecret(t *testing.T) {
	const secret = "zq7hunter2zq"
	directory := t.TempDir()
	file := filepath.Join(directory, "clusters.yml")
	outcomes := map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		// What a generated password begins with decides how YAML reads it.
		shape := rapid.SampledFrom([]string{"%s", "*%s", "&%s", "!%s", "%%%s", "@%s", "'%s", "\"%s", "%s: x", "%s #x", "[%s", "{%s", "- %s", "1%s", "%s,%s", "%s\n  %s"}).Draw(t, "shape")
		password := strings.ReplaceAll(shape, "%s", secret)
		text := secretFile
		if shape != "%s" {
			// One of them only, so that the others are reached as well.
			places := strings.Count(text, "SECRET")
			at := rapid.IntRange(0, places-1).Draw(t, "place")
			parts := strings.SplitN(text, "SECRET", at+2)
			text = strings.Join(parts[:at+1], secret) + password + parts[at+1]
		}
		text = strings.ReplaceAll(text, "SECRET", secret)
		lines := strings.Split(text, "\n")
		at := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
		switch rapid.IntRange(0, 5).Draw(t, "damage") {
		case 0:
			lines = append(lines[:at], lines[at+1:]...)
		case 1:
			lines[at] = " " + lines[at]
		case 2:
			lines[at] = "\t" + lines[at]
		case 3:
			lines = append(lines[:at+1], lines[at:]...)
		case 4:
			lines[at] = strings.Replace(lines[at], rapid.SampledFrom([]string{": ", "}", "{", "]", "[", "\"", "//", "@"}).Draw(t, "piece"), rapid.SampledFrom([]string{"", ":", " ", "[", "{"}).Draw(t, "instead"), 1)
		}
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		config, err := Load(Sources{File: file})
		outcomes[err == nil]++
		if err != nil {
			if strings.Contains(err.Error(), secret) || strings.ContainsAny(err.Error(), "\r\n") {
				t.Fatalf("the error carries the secret or a line break: %v\n%s", err, lines[at])
			}
			return
		}
		if masked := string(config.Masked()); strings.Contains(masked, secret) {
			t.Fatalf("the secret is shown:\n%s", masked)
		}
		for _, warning := range config.Warnings {
			if strings.Contains(warning, secret) {
				t.Fatalf("a warning carries the secret: %s", warning)
			}
		}
	})
	if outcomes[true] == 0 || outcomes[false] == 0 {
		t.Errorf("accepted and refused: %v", outcomes)
	}
}

// secretPlaces are all places of a file where a secret can stand, and those where
// one is put by mistake; names and paths aside, which are shown by intent.
func secretPlaces() []string {
	client := func(field string) string { return minimal + "    http_client:\n      " + field + "\n" }
	kafka := func(field string) string {
		return minimal + "    kafka:\n      bootstrap_servers: [\"a:1\"]\n      " + field + "\n"
	}
	oauth := "oauth2: {client_id: a, client_secret: b, token_url: \"http://login\", "
	return []string{
		client("basic_auth: {username: a, password: VALUE}"),
		client("basic_auth: {username: VALUE, password: b}"),
		client("basic_auth: VALUE"),
		client("authorization: {credentials: VALUE}"),
		client("authorization: {type: VALUE, credentials: a}"),
		client("bearer_token: VALUE"),
		client("oauth2: {client_id: a, client_secret: VALUE, token_url: \"http://login\"}"),
		client("oauth2: {client_id: a, client_certificate_key: VALUE, token_url: \"http://login\", grant_type: \"urn:ietf:params:oauth:grant-type:jwt-bearer\"}"),
		client("oauth2: {client_id: a, client_secret: b, token_url: VALUE}"),
		client(oauth + "endpoint_params: {a: VALUE}}"),
		client(oauth + "endpoint_params: VALUE}"),
		client(oauth + "claims: {a: {b: [VALUE]}}}"),
		client(oauth + "claims: VALUE}"),
		client(oauth + "scopes: VALUE}"),
		client(oauth + "grant_type: VALUE}"),
		client(oauth + "signature_algorithm: VALUE, grant_type: \"urn:ietf:params:oauth:grant-type:jwt-bearer\"}"),
		client(oauth + "proxy_url: VALUE}"),
		client(oauth + "tls_config: {key: VALUE, cert: VALUE}}"),
		client("proxy_url: VALUE"),
		client("{proxy_url: \"http://p:1\", proxy_connect_header: {X-A: [VALUE]}}"),
		client("{proxy_url: \"http://p:1\", proxy_connect_header: VALUE}"),
		client("{proxy_url: \"http://p:1\", no_proxy: VALUE}"),
		client("http_headers: {X-A: {values: [VALUE]}}"),
		client("http_headers: {X-A: {secrets: [VALUE]}}"),
		client("http_headers: {X-A: VALUE}"),
		client("tls_config: {ca: VALUE}"),
		client("tls_config: {cert: VALUE, key: VALUE}"),
		client("tls_config: {key: VALUE}"),
		client("tls_config: {min_version: VALUE}"),
		client("tls_config: {insecure_skip_verify: VALUE}"),
		client("tls_config: VALUE"),
		client("follow_redirects: VALUE"),
		client("VALUE"),
		kafka("sasl: {mechanism: PLAIN, username: a, password: VALUE}"),
		kafka("sasl: {mechanism: VALUE, username: a, password: b}"),
		kafka("sasl: {mechanism: OAUTHBEARER, oauth2: {client_id: a, client_secret: VALUE, token_url: \"http://a\"}}"),
		kafka("sasl: {mechanism: OAUTHBEARER, oauth2: {client_id: a, client_secret: b, token_url: VALUE}}"),
		kafka("sasl: VALUE"),
		kafka("tls_config: {ca: VALUE}"),
		kafka("tls_config: {key: VALUE, cert: VALUE}"),
		kafka("bootstrap_servers: VALUE"),
		kafka("status_storage_topic: VALUE"),
		kafka("mirrormaker2: {source: VALUE}"),
		kafka("sink_lag: {max_series: VALUE}"),
		kafka("sink_lag: {exclude: [VALUE]}"),
		"clusters:\n  - name: a\n    urls: [VALUE]\n",
		"clusters:\n  - name: a\n    urls: VALUE\n",
		"clusters:\n  - VALUE\n",
		"clusters: VALUE\n",
		"VALUE\n",
		minimal + "    parallelism: VALUE\n",
		minimal + "    expected_workers: VALUE\n",
		minimal + "    request_timeout: VALUE\n",
		minimal + "    observation_version: VALUE\n",
		minimal + "    provider: VALUE\n",
		minimal + "    startup_validation: VALUE\n",
		minimal + "    connectors: {include: [VALUE]}\n",
		minimal + "    connectors: {exclude: VALUE}\n",
		minimal + "    worker_probe: VALUE\n",
		minimal + "    worker_probe: {scheme: VALUE}\n",
		minimal + "    worker_probe: {credentials_hosts: [VALUE]}\n",
		minimal + "    labels: VALUE\n",
		minimal + "    connector_labels: VALUE\n",
		"clusters:\n  - {name: a, provider: aiven, aiven: {project: a, service: b, token: VALUE}}\n",
		"clusters:\n  - {name: a, provider: aiven, aiven: {project: a, service: b, token: c, route: VALUE}}\n",
		"clusters:\n  - {name: a, provider: aiven, aiven: {project: a, service: b, token: c, api_url: VALUE}}\n",
		"clusters:\n  - {name: a, provider: aiven, aiven: VALUE}\n",
		"clusters:\n  - {name: a, provider: msk, msk: {region: VALUE}}\n",
		"clusters:\n  - {name: a, provider: msk, msk: {region: eu-west-1, role_arn: VALUE}}\n",
		"clusters:\n  - {name: a, provider: msk, msk: {region: eu-west-1, endpoint: VALUE}}\n",
		"clusters:\n  - {name: a, provider: msk, msk: {region: eu-west-1, describe: VALUE}}\n",
		minimal + "otlp: {endpoint: \"http://a\", headers: {a: VALUE}}\n",
		minimal + "otlp: {endpoint: \"http://a\", headers: VALUE}\n",
		minimal + "otlp: {endpoint: VALUE}\n",
		minimal + "otlp: {endpoint: \"http://a\", protocol: VALUE}\n",
		minimal + "otlp: {endpoint: \"http://a\", interval: VALUE}\n",
		minimal + "otlp: {endpoint: \"http://a\", tls_config: {key: VALUE, cert: VALUE}}\n",
		minimal + "otlp: VALUE\n",
		minimal + "snapshot_max_age: VALUE\n",
		minimal + "state_series: VALUE\n",
	}
}

// malformed are the ways in which a value can be another than the one that is
// wanted; %s is the secret.
func malformed() []string {
	return []string{
		"%s", "'%s'", "\"%s\"", "!!int %s", "!!float %s", "!!bool %s", "!!null %s", "!!timestamp %s", "!!binary %s", "!!map %s", "!!seq %s", "!!set {%s}", "!%s x", "!<%s> x", "*%s", "&%s", "&%s x", "&a *%s",
		"[%s]", "[[%s]]", "{%s: x}", "{x: %s}", "{%s}", "{<<: %s}", "{<<: [%s]}", "{? [%s] : x}", "{%s: {x: %s}}", "[{%s: x}]", "%s: x", "- %s", "? %s", "%s #x",
		"'%s", "\"%s", "\"%s\\q\"", "\"%s\\u12\"", "[%s", "{%s", "@%s", "`%s", "%%%s", "%%TAG ! %s", "|%s", ">%s", "|\n        %s\n        x", ">-\n        %s", "%s\n  %s: x", "\t%s",
		"'%s\u0007'", "\"%s\\x07\"", "\"%s\\n%s\"", "\"%s\\0\"", "\"%s\\xff\"", "%s\x00", "%s\xff", "\"\\ud800%s\"",
		"'${%s'", "'${%s-x}'", "'${ %s}'", "'$%s'", "'$${%s}'",
		"'http://%s'", "'http://u:%s@h'", "'http://u:%s@h:x'", "'http://u:%s%%zz@h'", "'http://h?%s'", "'http://h#%s'", "'http://[%s]'", "'http://h:%s'", "'http://%s h'", "'http://h,http://u:%s@i'", "'ftp://u:%s@h'", "'http://u:%s@fd00::1:1'", "'//%s'", "'%s://h'", "'http://h/%%%s'", "'http://u:%s@'",
		"'(%s'", "'[%s'", "'*%s'", "'%s\\'", "'(?P<%s'", "'(?%s)'", "'%s{2,1}'", "'\\p{%s}'", "'[z-a%s]'", "'%s**'",
		"5%s", "'5 %s'", "1e%s", "0x%s", "-%s", "'2026-01-01 %s'", "'%s=a,b'", "'%s: b'",
		"'-----BEGIN %s-----'", "\"-----BEGIN CERTIFICATE-----\\n%s\\n-----END CERTIFICATE-----\"", "\"-----BEGIN %s-----\\nAAAA\\n-----END %s-----\"", "\"-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\\n%s\"", "\"-----BEGIN PRIVATE KEY-----\\nAAAA%s\\n-----END PRIVATE KEY-----\"",
	}
}

// No message about a value carries it, in whichever place and shape it stands:
// neither ours nor one of YAML's, of URLs, of regular expressions, of durations
// or of TLS.
func TestMalformedSecretsStaySecret(t *testing.T) {
	const secret = "zq7hunter2zq"
	if _, err := os.Stat("/dev/shm"); err == nil {
		t.Setenv("TMPDIR", "/dev/shm") // Ten thousand files would wait for a disk.
	}
	file := filepath.Join(t.TempDir(), "clusters.yml")
	refused := 0
	for _, place := range secretPlaces() {
		for _, shape := range malformed() {
			text := strings.ReplaceAll(place, "VALUE", strings.ReplaceAll(strings.ReplaceAll(shape, "%s", secret), "%%", "%"))
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			config, err := Load(Sources{File: file})
			if err != nil {
				refused++
				// What stands as the name of a field is shown as one.
				said := regexp.MustCompile(`([.:] ?)`+secret+`(: (?:unknown field|must be)|[.\[])`).ReplaceAllString(err.Error(), "$1$2")
				if strings.Contains(said, secret) || strings.ContainsAny(said, "\r\n") || !strings.HasPrefix(said, file) {
					t.Errorf("%q\nin %q", said, text)
				}
				continue
			}
			// What is no secret where it stands is shown, but nowhere else.
			if shown := strings.Join(config.Warnings, "\n"); strings.Contains(shown, secret) {
				t.Errorf("%q\nin %q", shown, text)
			}
		}
	}
	if refused < 5000 {
		t.Errorf("only %d of them are malformed", refused)
	}
}

func TestSecretsOfTheEnvironmentStaySecret(t *testing.T) {
	const secret = "zq7hunter2zq"
	base := []string{"CONNECT_REST_URL=http://connect:8083", "CONNECT_AUTH=BASIC", "CONNECT_BASIC_AUTH_USER=a", "CONNECT_BASIC_AUTH_PASS=" + secret}
	say := func(environ []string) {
		t.Helper()
		config, err := Load(Sources{Environ: environ})
		said := fmt.Sprint(err)
		if err == nil {
			said = string(config.Masked()) + strings.Join(config.Warnings, "\n")
		}
		if strings.Contains(said, secret) {
			t.Errorf("%q: %s", environ, said)
		}
	}
	say(base)
	for _, variable := range variables() {
		// A password that was put into the wrong variable. Names and places are
		// shown by intent.
		switch variable.name {
		case "CONNECT_NAME", "CONNECT_GROUP_ID", "CONNECT_OFFSET_STORAGE_TOPIC", "CONNECT_BASIC_AUTH_USER", "CONNECT_SSL_KEYSTORE_LOCATION", "CONNECT_SSL_TRUSTSTORE_LOCATION":
			continue
		}
		say(append([]string{variable.name + "=" + secret}, base...))
		say(append([]string{variable.name + "=http://a:" + secret + "%@b"}, base...))
	}
	for _, variable := range brokerVariables() {
		if variable.name == "SSL_KEYSTORE_LOCATION" || variable.name == "SSL_TRUSTSTORE_LOCATION" {
			continue
		}
		for _, value := range []string{secret, "a " + secret, `a.PlainLoginModule required password="` + secret, `a.PlainLoginModule required username="a" password="` + secret + `";`} {
			say(append([]string{"CONNECT_GROUP_ID=a", "BOOTSTRAP=a:1", "SECURITY_PROTOCOL=SASL_SSL", "SASL_MECHANISM=PLAIN", variable.name + "=" + value}, base...))
			say(append([]string{variable.name + "=" + value, "CONNECT_GROUP_ID=a", "BOOTSTRAP=a:1", "SECURITY_PROTOCOL=SASL_SSL", "SASL_MECHANISM=PLAIN"}, base...))
		}
	}
	for _, variable := range []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_SDK_DISABLED"} {
		say(append([]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://c:1", variable + "=" + secret}, base...))
		say(append([]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://c:1", variable + "=k=" + secret}, base...))
		say(append([]string{variable + "=http://a:" + secret + "@c:1"}, base...))
	}
	for _, address := range []string{"http://a:" + secret + "@", secret + "@b:1", "http://a:" + secret + "%@b:1", "http://b:1?" + secret, "ftp://a:" + secret + "@b", "http://a:" + secret + "@b:1"} {
		config, err := Load(Sources{ConnectURL: address})
		if err == nil && strings.Contains(string(config.Masked()), secret) || strings.Contains(fmt.Sprint(err), secret) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

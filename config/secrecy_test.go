package config

import (
	"fmt"
	"os"
	"path/filepath"
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
        claims: {nested: {key: [SECRET]}}
        tls_config: {min_version: TLS12}
  - name: cloud
    provider: confluent-cloud
    confluent_cloud: {environment: env-1, cluster: lkc-1}
    http_client: {basic_auth: {username: KEY, password: SECRET}}
  - name: aiven
    provider: aiven
    aiven: {project: acme, service: orders, token: SECRET}
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
		for _, warning := range config.Warnings() {
			if strings.Contains(warning, secret) {
				t.Fatalf("a warning carries the secret: %s", warning)
			}
		}
	})
	if outcomes[true] == 0 || outcomes[false] == 0 {
		t.Errorf("accepted and refused: %v", outcomes)
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
			said = string(config.Masked()) + strings.Join(config.Warnings(), "\n")
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

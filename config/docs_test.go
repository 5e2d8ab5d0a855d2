package config

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	commoncfg "github.com/prometheus/common/config"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config/internal/strict"
)

//go:generate go test -run ^TestReference$ . -update

var update = flag.Bool("update", false, "write the generated parts of docs/configuration.md")

const reference = "../docs/configuration.md"

// TestReference holds the tables of the reference to the types: every key, its
// default and its meaning, and every variable.
func TestReference(t *testing.T) {
	content, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	want := string(content)
	for section, table := range map[string]string{"file": fileTable(t), "http_client": clientTable(t), "environment": variableTable(), "brokers": brokerTable(), "providers": providerTable()} {
		begin, end := "<!-- generated: "+section+" -->\n", "<!-- end -->"
		before, rest, found := strings.Cut(want, begin)
		_, after, closed := strings.Cut(rest, end)
		if !found || !closed {
			t.Fatalf("%s has no section %s", reference, section)
		}
		want = before + begin + table + end + after
	}
	if want == string(content) {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the types say: run go generate ./config", reference)
	}
	if err := os.WriteFile(reference, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestExamples loads every example of a whole file in the documentation.
func TestExamples(t *testing.T) {
	content, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```yaml\n(clusters:.*?)```").FindAllStringSubmatch(string(content), -1)
	if len(examples) < 2 {
		t.Fatalf("%d examples", len(examples))
	}
	directory := t.TempDir()
	secrets := regexp.MustCompile(`/run/secrets/([a-z]+)`)
	for _, example := range examples {
		for _, name := range secrets.FindAllStringSubmatch(example[1], -1) {
			write(t, directory, name[1], "secret")
		}
		text := secrets.ReplaceAllString(example[1], filepath.Join(directory, "$1"))
		config, err := load(t, text, "TEAM=orders", "ORDERS_PASSWORD=secret")
		if err != nil {
			t.Errorf("%v\n%s", err, text)
		} else if len(config.Warnings) > 0 {
			t.Errorf("%q\n%s", config.Warnings, text)
		}
	}
}

func fileTable(t *testing.T) string {
	var out strings.Builder
	out.WriteString("| key | default | meaning |\n|---|---|---|\n")
	var rows func(path string, block reflect.Value)
	rows = func(path string, block reflect.Value) {
		for field := range block.Type().Fields() {
			name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
			if field.Anonymous {
				rows(path, block.FieldByName(field.Name))
			}
			if field.Anonymous || !field.IsExported() {
				continue
			}
			if options == "inline" { // Another block's fields, which are documented there.
				fmt.Fprintf(&out, "| `%s.…` | | whatever a cluster has, but for `urls` and `provider`; `name` is a template of {namespace}, {name}, {kind}, {group}, by default `%s` |\n", path, defaultFoundName)
				continue
			}
			meaning := field.Tag.Get("doc")
			if meaning == "" {
				t.Errorf("%s.%s has no doc tag", block.Type(), field.Name)
			}
			value := block.FieldByName(field.Name)
			inner := innerBlock(field.Type)
			standard := ""
			if !inner.IsValid() && field.Type != reflect.TypeFor[commoncfg.HTTPClientConfig]() && field.Type != reflect.TypeFor[commoncfg.TLSConfig]() {
				standard = showDefault(value)
			}
			key := strict.Join(path, name)
			if field.Type.Kind() == reflect.Slice {
				key += "[]"
			}
			fmt.Fprintf(&out, "| `%s` | %s | %s |\n", key, standard, cell(meaning))
			if inner.IsValid() {
				rows(key, inner)
			}
		}
	}
	rows("", reflect.ValueOf(strict.Default[document]()))
	return out.String()
}

// innerBlock returns the defaults of a block of the file's own types.
func innerBlock(as reflect.Type) reflect.Value {
	for as.Kind() == reflect.Pointer || as.Kind() == reflect.Slice {
		as = as.Elem()
	}
	probe := defaultCluster().WorkerProbe
	for _, block := range []any{
		defaultCluster(),
		Filter{},
		probe, strict.Default[ConfluentCloud](),
		MSK{},
		strict.Default[Aiven](), strict.Default[OTLPSettings](), strict.Default[Kafka](),
		MirrorMaker2{},
		SASL{},
		strict.Default[SinkLag](),
		discoverySettings{},
		selectorSettings{},
	} {
		if reflect.TypeOf(block) == as {
			return reflect.ValueOf(block)
		}
	}
	return reflect.Value{}
}

func showDefault(value reflect.Value) string {
	switch value.Kind() {
	case reflect.Slice, reflect.Map, reflect.Pointer:
		return ""
	}
	if value.IsZero() && (value.Kind() == reflect.String || value.Kind() == reflect.Struct) {
		return ""
	}
	if d, ok := reflect.TypeAssert[Duration](value); ok {
		return "`" + d.String() + "`"
	}
	return fmt.Sprintf("`%v`", value)
}

func cell(text string) string { return strings.ReplaceAll(text, "|", "\\|") }

// clientMeanings are the fields of prometheus/common's HTTP client.
var clientMeanings = [][2]string{
	{"basic_auth.username", "User name."},
	{"basic_auth.username_file", "File that holds it."},
	{"basic_auth.password", "Password."},
	{"basic_auth.password_file", "File that holds it; read anew for each request."},
	{"authorization.type", "Scheme of the Authorization header; `Bearer` unless set."},
	{"authorization.credentials", "What follows the scheme."},
	{"authorization.credentials_file", "File that holds it; read anew for each request."},
	{"oauth2.client_id", "Client id. Required in this block."},
	{"oauth2.client_secret", "Client secret."},
	{"oauth2.client_secret_file", "File that holds it."},
	{"oauth2.client_certificate_key_id", "Id of the key that signs the assertion (RFC 7523)."},
	{"oauth2.client_certificate_key", "That key, PEM."},
	{"oauth2.client_certificate_key_file", "File that holds it."},
	{"oauth2.grant_type", "`client_credentials`, or `urn:ietf:params:oauth:grant-type:jwt-bearer`."},
	{"oauth2.signature_algorithm", "`RS256`, `RS384` or `RS512`, for the assertion."},
	{"oauth2.iss", "Issuer in the assertion; the client id unless set."},
	{"oauth2.audience", "Audience in the assertion; the token URL unless set."},
	{"oauth2.claims", "Further claims of the assertion. Treated as secret."},
	{"oauth2.scopes", "Scopes to ask for."},
	{"oauth2.token_url", "Where tokens come from. Required in this block."},
	{"oauth2.endpoint_params", "Further parameters of the token request. Treated as secret."},
	{"oauth2.tls_config", "As `tls_config` below, for the token URL."},
	{"oauth2.proxy_url", "As `proxy_url` below, for the token URL; likewise the other proxy fields."},
	{"bearer_token", "Older form of `authorization.credentials`."},
	{"bearer_token_file", "Older form of `authorization.credentials_file`."},
	{"tls_config.ca", "Authorities that vouch for the server, PEM; those of the system unless set."},
	{"tls_config.ca_file", "File that holds them."},
	{"tls_config.cert", "Client certificate, PEM."},
	{"tls_config.cert_file", "File that holds it."},
	{"tls_config.key", "Its private key, PEM."},
	{"tls_config.key_file", "File that holds it."},
	{"tls_config.server_name", "Name that the server's certificate must carry, if not the URL's host."},
	{"tls_config.insecure_skip_verify", "Do not verify the server's certificate."},
	{"tls_config.min_version", "`TLS10` to `TLS13`."},
	{"tls_config.max_version", "Likewise."},
	{"follow_redirects", "Follow redirects; `true` unless set. Credentials never go to another host."},
	{"enable_http2", "Speak HTTP/2 where the server does; `true` unless set."},
	{"proxy_url", "Proxy: http, https or socks5."},
	{"no_proxy", "Hosts, domains and networks that are reached without it."},
	{"proxy_from_environment", "Take the proxy from HTTP_PROXY, HTTPS_PROXY and NO_PROXY."},
	{"proxy_connect_header", "Headers for the proxy, a list of values for each. Treated as secret."},
	{"http_headers", "Headers of each request: `{NAME: {values: [], secrets: [], files: []}}`. Treated as secret."},
}

// clientTable writes them, and fails where they are not what the library has.
func clientTable(t *testing.T) string {
	var have []string
	var walk func(path string, as reflect.Type)
	walk = func(path string, as reflect.Type) {
		fields, _ := strict.Fields(as)
		for _, field := range fields {
			name, inner := field.Key, field.Type
			for inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			key := strict.Join(path, name)
			switch {
			case strings.HasSuffix(name, "_ref"):
				// Only with a secret manager, and refused.
			case strings.HasPrefix(key, "oauth2.") && strings.Contains(name, "proxy") && name != "proxy_url":
				// Said once, at oauth2.proxy_url.
			case inner == reflect.TypeFor[commoncfg.TLSConfig]() && path == "", inner == reflect.TypeFor[commoncfg.BasicAuth](),
				inner == reflect.TypeFor[commoncfg.Authorization](), inner == reflect.TypeFor[commoncfg.OAuth2]():
				walk(key, inner)
			default:
				have = append(have, key)
			}
		}
	}
	walk("", reflect.TypeFor[commoncfg.HTTPClientConfig]())
	var out strings.Builder
	out.WriteString("| key | meaning |\n|---|---|\n")
	var documented []string
	for _, row := range clientMeanings {
		documented = append(documented, row[0])
		fmt.Fprintf(&out, "| `%s` | %s |\n", row[0], cell(row[1]))
	}
	slices.Sort(have)
	slices.Sort(documented)
	if !slices.Equal(have, documented) {
		t.Errorf("the HTTP client's fields and their documentation differ:\n%v\n%v", have, documented)
	}
	return out.String()
}

func variableTable() string {
	var out strings.Builder
	out.WriteString("| variable | default | meaning |\n|---|---|---|\n")
	for _, variable := range variables() {
		fmt.Fprintf(&out, "| `%s` | %s | %s |\n", variable.name, variable.standard, cell(variable.meaning))
	}
	return out.String()
}

func brokerTable() string {
	var out strings.Builder
	out.WriteString("| variable | meaning |\n|---|---|\n")
	for _, variable := range brokerVariables() {
		fmt.Fprintf(&out, "| `%s` | %s |\n", variable.name, cell(variable.meaning))
	}
	return out.String()
}

// providerTable shows what each provider has a use for.
func providerTable() string {
	columns := append(providers(), brokersAlone())
	var out strings.Builder
	out.WriteString("| setting |")
	for i, p := range columns {
		name := p.name
		if i == len(columns)-1 {
			name += ", by its brokers"
		}
		out.WriteString(" " + name + " |")
	}
	out.WriteString("\n|---|" + strings.Repeat("---|", len(columns)) + "\n")
	for _, choice := range choices() {
		out.WriteString("| `" + choice.field + "` |")
		for _, p := range columns {
			use := "yes"
			if _, refused := p.cannot[choice.field]; refused {
				use = "–"
			}
			out.WriteString(" " + use + " |")
		}
		out.WriteString("\n")
	}
	return out.String()
}

// TestDocumentedDefaults holds the defaults that the table of variables writes
// to what happens without them.
func TestDocumentedDefaults(t *testing.T) {
	without := fromEnvironment(t, "CONNECT_REST_URL=http://a:1").Clusters[0]
	for _, variable := range variables() {
		standard := regexp.MustCompile(`^[a-z0-9]+$`).FindString(strings.SplitN(variable.standard, ";", 2)[0])
		if standard == "" {
			continue
		}
		if with := fromEnvironment(t, "CONNECT_REST_URL=http://a:1", variable.name+"="+standard).Clusters[0]; !with.Same(without) {
			t.Errorf("%s=%s is not the default", variable.name, standard)
		}
	}
}

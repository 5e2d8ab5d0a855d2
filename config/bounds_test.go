//go:build unix

package config

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hostile are files of a few bytes that stand for very much, or of many that
// stand for nothing.
func hostile() map[string]string {
	doubling := func(line func(name, previous string) string) string {
		var text strings.Builder
		previous := "a0"
		for i := range 60 {
			name := fmt.Sprintf("a%d", i+1)
			text.WriteString(line(name, previous))
			previous = name
		}
		return text.String()
	}
	oauth := minimal + "    http_client:\n      oauth2:\n        client_id: a\n        client_secret: b\n        token_url: http://login\n        claims:\n          a0: &a0 {x: y}\n"
	return map[string]string{
		"lists of lists": oauth + doubling(func(name, previous string) string {
			return fmt.Sprintf("          %s: &%s [*%s, *%s, *%s]\n", name, name, previous, previous, previous)
		}),
		"merged maps": oauth + doubling(func(name, previous string) string {
			return fmt.Sprintf("          %s: &%s {<<: [*%s, *%s], k%s: *%s}\n", name, name, previous, previous, name, previous)
		}),
		"merged lists of merged lists": oauth + doubling(func(name, previous string) string {
			return fmt.Sprintf("          %s: &%s {<<: [{<<: *%s}, {<<: *%s}, {<<: *%s}]}\n", name, name, previous, previous, previous)
		}),
		"merged clusters": "clusters:\n  - &a0 {name: a, urls: [\"http://a:1\"]}\n" + doubling(func(name, previous string) string {
			return fmt.Sprintf("  - &%s {<<: [*%s, *%s, *%s], name: %s}\n", name, previous, previous, previous, name)
		}),
		"one large list, often": "clusters:\n  - name: a\n    urls: &a [" + strings.Repeat("\"http://a:1\", ", 1000) + "]\n" + strings.Repeat("  - {name: a, urls: *a}\n", 5000),
		"many keys merged often": func() string {
			var text strings.Builder
			text.WriteString(oauth + "          a: &m {")
			for i := range 20_000 {
				fmt.Fprintf(&text, "k%d: x, ", i)
			}
			text.WriteString("}\n          b: {<<: [" + strings.Repeat("*m, ", 50_000) + "]}\n")
			return text.String()
		}(),
		"a cycle":                "clusters: &a\n  - *a\n",
		"a merged cycle":         "clusters:\n  - &a {name: a, <<: *a}\n",
		"deep lists":             "clusters: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "\n",
		"deep blocks":            "clusters:\n" + strings.Repeat("- ", 5000) + "a\n",
		"many values":            "clusters: [" + strings.Repeat("a,", 1_500_000) + "]\n",
		"many lines":             strings.Repeat("#\n", 1_500_000) + minimal,
		"many keys":              "clusters: {" + strings.Repeat("? a,", 700_000) + "}\n",
		"a text of half a gross": minimal + "    labels: {a: " + strings.Repeat("x", 3<<20) + "}\n",
		"a name many times":      "clusters:\n  - name: &n " + strings.Repeat("n", 100_000) + "\n    urls: [" + strings.Repeat("*n, ", 50_000) + "]\n",
		"a variable many times":  minimal + "    labels: {a: &a \"" + strings.Repeat("${LONG}", 1000) + "\", b: *a}\n",
		"many variables":         minimal + "    labels: {a: \"" + strings.Repeat("${SHORT}", 500_000) + "\"}\n",
		"an anchor of variables": "clusters:\n  - name: &n \"${LONG}" + strings.Repeat("x", 100_000) + "\"\n    urls: [" + strings.Repeat("*n, ", 50_000) + "]\n",
		"many patterns":          minimal + "    connectors: {include: [" + strings.Repeat("'x{1000}', ", 50_000) + "]}\n",
		"too large":              strings.Repeat("#", 5<<20),
		"null bytes":             minimal + "\x00",
		"a binary":               string([]byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0xff, 0xfe}) + minimal,
		"UTF-16":                 "\xff\xfec\x00l\x00",
	}
}

// What a configuration stands for is bounded before it is made: in time, and in
// memory.
func TestHostileFiles(t *testing.T) {
	for name, text := range hostile() {
		t.Run(name, func(t *testing.T) {
			file := write(t, t.TempDir(), "clusters.yml", text)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			_, err := Load(Sources{File: file, Environ: []string{"SHORT=s", "LONG=" + strings.Repeat("v", 100_000)}})
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			if err == nil || !strings.HasPrefix(err.Error(), file) || len(err.Error()) > 300+len(file) || strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("the error is %.400q", fmt.Sprint(err))
			}
			// Everything that was allocated, freed or not.
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 200<<20 || took > time.Minute {
				t.Errorf("took %v and %d MB", took, allocated>>20)
			}
		})
	}
}

// Thousands of clusters with all that they can have are well within the bounds.
func TestLargeFile(t *testing.T) {
	var text strings.Builder
	text.WriteString("clusters:\n")
	for i := range 2000 {
		fmt.Fprintf(&text, `  - name: orders-%d
    urls: ["http://connect-1:8083", "http://connect-2:8083", "http://connect-3:8083"]
    labels: {team: orders, env: prod}
    connectors: {include: ["^orders-"], exclude: ["-test$"]}
    kafka: {bootstrap_servers: ["a:1", "b:1"], group_id: a, status_storage_topic: b, offset_storage_topic: c, sasl: {mechanism: PLAIN, username: a, password: b}}
    worker_probe: {credentials_hosts: ["*.internal"]}
    http_client:
      basic_auth: {username: exporter, password: hunter2}
      tls_config: {server_name: connect}
`, i)
	}
	if got := len(mustLoad(t, text.String()).Clusters); got != 2000 {
		t.Errorf("%d clusters", got)
	}
}

// Every door that names a file takes a regular one, and waits for nothing else.
func TestPipesInEveryPlace(t *testing.T) {
	directory := t.TempDir()
	pipe := filepath.Join(directory, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(directory, "link")
	if err := os.Symlink(pipe, link); err != nil {
		t.Fatal(err)
	}
	const rest = "CONNECT_REST_URL=https://connect"
	files := map[string]string{
		"username_file":    "    http_client: {basic_auth: {username_file: PATH, password: x}}\n",
		"password_file":    "    http_client: {basic_auth: {username: x, password_file: PATH}}\n",
		"credentials_file": "    http_client: {authorization: {credentials_file: PATH}}\n",
		"bearer_token":     "    http_client: {bearer_token_file: PATH}\n",
		"client_secret":    "    http_client: {oauth2: {client_id: x, token_url: \"http://x\", client_secret_file: PATH}}\n",
		"assertion key":    "    http_client: {oauth2: {client_id: x, token_url: \"http://x\", client_certificate_key_file: PATH}}\n",
		"token CA":         "    http_client: {oauth2: {client_id: x, client_secret: x, token_url: \"http://x\", tls_config: {ca_file: PATH}}}\n",
		"CA":               "    http_client: {tls_config: {ca_file: PATH}}\n",
		"certificate":      "    http_client: {tls_config: {cert_file: PATH, key_file: PATH}}\n",
		"header":           "    http_client: {http_headers: {X-A: {files: [PATH]}}}\n",
		"broker CA":        "    kafka: {bootstrap_servers: [\"a:1\"], tls_config: {ca_file: PATH}}\n",
		"broker key":       "    kafka: {bootstrap_servers: [\"a:1\"], tls_config: {cert_file: PATH, key_file: PATH}}\n",
		"broker password":  "    kafka: {bootstrap_servers: [\"a:1\"], sasl: {mechanism: PLAIN, username: a, password_file: PATH}}\n",
		"broker secret":    "    kafka: {bootstrap_servers: [\"a:1\"], sasl: {mechanism: OAUTHBEARER, oauth2: {client_id: a, token_url: \"http://x\", client_secret_file: PATH}}}\n",
		"Aiven token":      "  - {name: b, provider: aiven, aiven: {project: a, service: b, token_file: PATH}}\n",
		"OTLP header":      "otlp: {endpoint: \"http://c\", headers_files: {a: PATH}}\n",
		"OTLP CA":          "otlp: {endpoint: \"https://c\", tls_config: {ca_file: PATH}}\n",
	}
	variables := map[string][]string{
		"key store":          {rest, "CONNECT_SSL_KEYSTORE_LOCATION=PATH", "CONNECT_SSL_KEYSTORE_PASSWORD=x"},
		"trust store":        {rest, "CONNECT_SSL_TRUSTSTORE_LOCATION=PATH"},
		"broker trust store": {rest, "CONNECT_GROUP_ID=a", "BOOTSTRAP=a:1", "SECURITY_PROTOCOL=SSL", "SSL_TRUSTSTORE_LOCATION=PATH"},
		"OTLP certificate":   {rest, "OTEL_EXPORTER_OTLP_ENDPOINT=https://c", "OTEL_EXPORTER_OTLP_CERTIFICATE=PATH"},
	}
	for kind, path := range map[string]string{"pipe": pipe, "link to a pipe": link, "device": "/dev/zero", "directory": directory} {
		sources := map[string]Sources{"configuration": {File: path}}
		for name, text := range files {
			sources[name] = Sources{File: write(t, directory, url.PathEscape(kind+name), minimal+strings.ReplaceAll(text, "PATH", path))}
		}
		for name, environ := range variables {
			replaced := []string{}
			for _, variable := range environ {
				replaced = append(replaced, strings.ReplaceAll(variable, "PATH", path))
			}
			sources[name] = Sources{Environ: replaced}
		}
		for name, source := range sources {
			_, err := Load(source)
			if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "cannot be read: is a ") {
				t.Errorf("%s in the place of the %s: %v", kind, name, err)
			}
		}
	}
}

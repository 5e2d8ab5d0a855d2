package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzFile: whatever a file holds, it is a configuration that can be printed, or
// an error of one line; what stands where secrets do is in neither.
func FuzzFile(f *testing.F) {
	files, _ := filepath.Glob("testdata/invalid-*.yml")
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Add([]byte(secretFile))
	f.Fuzz(func(t *testing.T, content []byte) {
		const secret = "zq7-secret-7qz"
		file := filepath.Join(t.TempDir(), "clusters.yml")
		marked := append([]byte("clusters: [{name: marked, urls: ['http://connect:8083'], http_client: {basic_auth: {username: u, password: "+secret+"}}}]\n"), content...)
		if err := os.WriteFile(file, marked, 0o600); err != nil {
			t.Fatal(err)
		}
		with, err := Load(Sources{File: file})
		said := fmt.Sprint(err)
		if err == nil {
			said = string(with.Masked())
		}
		if strings.Contains(said, secret) {
			t.Errorf("of %s is said %q", marked, said)
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		config, err := Load(Sources{File: file})
		if err != nil {
			if text := err.Error(); !strings.HasPrefix(text, file) || strings.Contains(text, "\n") {
				t.Errorf("%q", text)
			}
			return
		}
		if len(config.Clusters) == 0 || len(config.Masked()) == 0 {
			t.Error("a configuration without clusters")
		}
	})
}

// FuzzEnvironment: whatever the environment holds, it is a configuration that can
// be printed or an error of one line, and neither they nor warnings show what the
// variables for secrets hold.
func FuzzEnvironment(f *testing.F) {
	for _, seed := range []string{
		"CONNECT_REST_URL=http://connect:8083\nCONNECT_AUTH=BASIC\nCONNECT_BASIC_AUTH_USER=exporter\nCONNECT_BASIC_AUTH_PASS=%",
		"CONNECT_REST_URL=http://exporter:%@connect:8083\nCONNECT_BASIC_AUTH_PASS=%",
		"CONNECT_REST_URL=http://exporter:%@connect:80 83",
		"CONNECT_RESOURCE_IDS=DEV1,QA2\nDEV1_CONNECT_REST_URL=http://dev:8083\nQA2_CONNECT_AWS_REGION=eu-west-1\nQA2_CONNECT_BASIC_AUTH_PASS=%",
		"CONNECT_REST_URL=https://api.confluent.cloud/connect/v1/environments/env-a/clusters/lkc-b\nCONNECT_AUTH=BASIC\nCONNECT_BASIC_AUTH_USER=KEY\nCONNECT_BASIC_AUTH_PASS=%",
		"CONNECT_REST_URL=http://connect:8083\nCONNECT_GROUP_ID=g\nBOOTSTRAP=kafka:9092\nSECURITY_PROTOCOL=SASL_SSL\nSASL_MECHANISM=PLAIN\nSASL_JAAS_CONFIG=org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" password=\"%\";",
		"CONNECT_REST_URL=https://connect:8083\nCONNECT_SSL_KEYSTORE_LOCATION=testdata/stores/key.p12\nCONNECT_SSL_KEYSTORE_PASSWORD=%\nCONNECT_TIMEOUT_MS=%",
		"CONNECT_REST_URL=http://connect:8083\nOTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318\nOTEL_EXPORTER_OTLP_HEADERS=api-key=%",
		"CONNECT_REST_URL=http://connect:8083\nSASL_JAAS_CONFIG=\"%\nSASL_MECHANISM=SCRAM-SHA-512",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		const secret = "zq7-secret-7qz"
		var environ []string
		for line := range strings.SplitSeq(text, "\n") {
			name, value, _ := strings.Cut(line, "=")
			if strings.HasSuffix(name, "_LOCATION") && !strings.HasPrefix(value, "testdata/stores/") {
				continue
			}
			// A secret in a place for names is shown by intent.
			for _, place := range []string{"_PASS", "_PASSWORD", "JAAS_CONFIG", "OTLP_HEADERS", "_MS"} {
				if strings.HasSuffix(name, place) {
					value = strings.ReplaceAll(value, "%", secret)
				}
			}
			value = strings.ReplaceAll(value, ":%@", ":"+secret+"@")
			environ = append(environ, name+"="+value)
		}
		config, err := Load(Sources{Environ: environ})
		said := []string{fmt.Sprint(err)}
		if err == nil {
			said = append(config.Warnings, string(config.Masked()))
		} else if strings.ContainsAny(said[0], "\r\n") {
			t.Errorf("%q", said[0])
		}
		for _, said := range said {
			if strings.Contains(said, secret) {
				t.Errorf("of %q is said %q", environ, said)
			}
		}
	})
}

// FuzzSecretsInFiles: a secret stays one, whatever characters it is made of.
func FuzzSecretsInFiles(f *testing.F) {
	for _, seed := range [][2]string{{"", ""}, {"${", "}"}, {"$$", ""}, {"*", ""}, {"a: ", ""}, {"\"", "'"}, {" ", "\n"}, {"é\x00", "\u2028"}, {"http://u:", "@h"}, {"1e", ""}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		const secret = "zq7-secret-7qz"
		quoted, err := json.Marshal(before + secret + after)
		if err != nil {
			t.Skip()
		}
		file := filepath.Join(t.TempDir(), "clusters.yml")
		if err := os.WriteFile(file, []byte(strings.NewReplacer(`"http://exporter:SECRET@connect-1:8083"`, `"http://connect-1:8083"`, `"http://user:SECRET@proxy:3128"`, `"http://proxy:3128"`,
			"?key=SECRET", "", "SECRET", string(quoted)).Replace(secretFile)), 0o600); err != nil {
			t.Fatal(err)
		}
		config, err := Load(Sources{File: file})
		said := []string{fmt.Sprint(err)}
		if err == nil {
			said = append(config.Warnings, string(config.Masked()))
		}
		for _, said := range said {
			if strings.Contains(said, secret) {
				t.Errorf("of %s is said %q", quoted, said)
			}
		}
	})
}

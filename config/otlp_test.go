package config

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestOTLPFromFile(t *testing.T) {
	directory := t.TempDir()
	write(t, directory, "token", "Bearer hunter2\n")
	file := write(t, directory, "clusters.yml", minimal+`
otlp:
  endpoint: collector:4317
  protocol: grpc
  insecure: true
  headers: {api-key: hunter2}
  headers_files: {authorization: token}
  interval: 15s
  timeout: 3s
  compression: none
  resource_attributes: {deployment.environment.name: prod}
`)
	// What the file says stands, whatever the environment says.
	config, err := Load(Sources{File: file, Environ: []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://other:1", "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_EXPORTER_OTLP_HEADERS=a=b",
		"OTEL_METRIC_EXPORT_INTERVAL=1000", "OTEL_EXPORTER_OTLP_TIMEOUT=1000", "OTEL_EXPORTER_OTLP_COMPRESSION=gzip", "OTEL_SERVICE_NAME=watcher", "OTEL_RESOURCE_ATTRIBUTES=team=a%20b,deployment.environment.name=test",
	}})
	if err != nil {
		t.Fatal(err)
	}
	otlp := config.OTLP
	if otlp.Endpoint.String() != "http://collector:4317" || otlp.Protocol != "grpc" || otlp.Interval != Duration(15*time.Second) || otlp.Timeout != Duration(3*time.Second) || otlp.Compression != "none" {
		t.Errorf("%+v", otlp)
	}
	if got, want := credentials(t, otlp).Headers, map[string]string{"api-key": "hunter2", "authorization": "Bearer hunter2"}; !reflect.DeepEqual(got, want) {
		t.Errorf("headers %q", got)
	}
	if want := map[string]string{"service.name": "watcher", "team": "a b", "deployment.environment.name": "prod"}; !reflect.DeepEqual(otlp.ResourceAttributes, want) {
		t.Errorf("attributes %q", otlp.ResourceAttributes)
	}
	if !slices.Contains(config.Files, directory+"/token") {
		t.Errorf("files %q", config.Files)
	}
	if strings.Contains(string(config.Masked()), "hunter2") {
		t.Error("a header is shown")
	}
}

func credentials(t *testing.T, otlp *OTLP) OTLPCredentials {
	t.Helper()
	credentials, err := otlp.Credentials()
	if err != nil {
		t.Fatal(err)
	}
	return credentials
}

// TestOTLPCredentialsAreReadAnew: files are rotated, and nobody reloads for it.
func TestOTLPCredentialsAreReadAnew(t *testing.T) {
	directory := t.TempDir()
	token := write(t, directory, "token", "Bearer first\n")
	write(t, directory, "ca.pem", authorityPEM(t))
	file := write(t, directory, "clusters.yml", minimal+`
otlp: {endpoint: "https://collector:4318", headers_files: {authorization: token}, tls_config: {ca_file: ca.pem}}
`)
	config, err := Load(Sources{File: file})
	if err != nil {
		t.Fatal(err)
	}
	otlp := config.OTLP
	first := credentials(t, otlp)
	if again := credentials(t, otlp); again.Version != first.Version {
		t.Error("the same files are another version")
	}
	write(t, directory, "token", "Bearer second\n")
	second := credentials(t, otlp)
	if second.Headers["authorization"] != "Bearer second" || second.Version != first.Version {
		t.Errorf("another token: %q, and TLS is another: %v", second.Headers, second.Version != first.Version)
	}
	write(t, directory, "ca.pem", authorityPEM(t))
	if third := credentials(t, otlp); third.Version == first.Version || third.TLS.RootCAs.Equal(first.TLS.RootCAs) {
		t.Error("another authority is not told")
	}
	if again, err := Load(Sources{File: file}); err != nil || !again.OTLP.Same(otlp) {
		t.Errorf("what the files hold changes the settings (%v)", err)
	}
	for name, test := range map[string]struct {
		spoil func()
		want  string
	}{
		"no file":        {func() { _ = os.Remove(token) }, "otlp.headers_files.authorization: " + token + " cannot be read: no such file or directory"},
		"no header":      {func() { write(t, directory, "token", "a\nb") }, `otlp.headers: "authorization" is no valid HTTP header: a name of letters, digits and -, a value without line breaks`},
		"no certificate": {func() { write(t, directory, "token", "x"); write(t, directory, "ca.pem", "half") }, "otlp.tls_config.ca_file: holds no certificate in PEM form (BEGIN CERTIFICATE)"},
	} {
		test.spoil()
		if _, err := otlp.Credentials(); err == nil || err.Error() != test.want {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
		write(t, directory, "token", "Bearer second\n")
		write(t, directory, "ca.pem", authorityPEM(t))
	}
}

func TestOTLPFromEnvironment(t *testing.T) {
	for _, test := range []struct {
		environ  []string
		endpoint string
	}{
		{nil, ""},
		{[]string{"OTEL_SERVICE_NAME=x", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, ""},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318"}, "http://c:4318/v1/metrics"},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://prometheus:9090/api/v1/otlp/"}, "http://prometheus:9090/api/v1/otlp/v1/metrics"},
		{[]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://c:4318/own"}, "http://c:4318/own"},
		{[]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://c:4318"}, "http://c:4318/"},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://general:1", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://c:4318/own"}, "http://c:4318/own"},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, "https://c:4317"},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=c:4317", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_INSECURE=true"}, "http://c:4317"},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=https://c:4318", "OTEL_EXPORTER_OTLP_INSECURE=true"}, "https://c:4318/v1/metrics"},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", "OTEL_METRICS_EXPORTER=none"}, ""},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", "OTEL_SDK_DISABLED=True"}, ""},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", "OTEL_METRICS_EXPORTER=prometheus"}, ""},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", "OTEL_METRICS_EXPORTER=console"}, ""},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", "OTEL_METRICS_EXPORTER=prometheus, otlp"}, "http://c:4318/v1/metrics"},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318/", "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=CUMULATIVE"}, "http://c:4318/v1/metrics"},
		{[]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://c:4318/own/"}, "http://c:4318/own/"},
		{[]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://c:4318", "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT=never"}, ""},
	} {
		config := mustLoad(t, minimal, test.environ...)
		otlp := config.OTLP
		got := ""
		if otlp != nil {
			// What is printed, used in turn.
			if again := mustLoad(t, string(config.Masked())).OTLP; again.Endpoint.String() != test.endpoint {
				t.Errorf("%q: printed and read again: %q, want %q", test.environ, again.Endpoint, test.endpoint)
			}
		}
		if otlp != nil {
			got = otlp.Endpoint.String()
		}
		if got != test.endpoint {
			t.Errorf("%q: got %q, want %q", test.environ, got, test.endpoint)
		}
	}
	otlp := mustLoad(t, minimal, "OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", "OTEL_EXPORTER_OTLP_HEADERS= api-key = a%2Cb ,x=", "OTEL_METRIC_EXPORT_INTERVAL=1500",
		"OTEL_EXPORTER_OTLP_METRICS_TIMEOUT=2000", "OTEL_EXPORTER_OTLP_TIMEOUT=1", "OTEL_EXPORTER_OTLP_COMPRESSION=none").OTLP
	if want := map[string]string{"api-key": "a,b", "x": ""}; !reflect.DeepEqual(credentials(t, otlp).Headers, want) || otlp.Interval != Duration(1500*time.Millisecond) || otlp.Timeout != Duration(2*time.Second) || otlp.Compression != "none" || otlp.Protocol != "http/protobuf" {
		t.Errorf("%+v", otlp)
	}
	if want := map[string]string{"service.name": "kafka-connect-exporter"}; !reflect.DeepEqual(otlp.ResourceAttributes, want) {
		t.Errorf("attributes %q", otlp.ResourceAttributes)
	}
	// An endpoint in the environment completes a block in the file.
	if otlp := mustLoad(t, minimal+"otlp: {interval: 7s}\n", "OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318").OTLP; otlp.Interval != Duration(7*time.Second) || otlp.Endpoint.Host != "c:4318" {
		t.Errorf("%+v", otlp)
	}
	if got := mustLoad(t, minimal+"otlp: {endpoint: \"http://c:4318\"}\n", "OTEL_SDK_DISABLED=true"); got.OTLP != nil || len(got.Warnings) != 1 {
		t.Errorf("disabled, but %+v with %q", got.OTLP, got.Warnings)
	}
}

func TestMalformedOTLPVariables(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318"
	for _, test := range []struct {
		environ []string
		want    string
	}{
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=c:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT: must be a URL that begins with http:// or https://, such as http://collector:4318"},
		{[]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://a:hunter2@c:4318"}, "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: must not carry a user and password: use headers"},
		{[]string{endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL=http/json"}, "OTEL_EXPORTER_OTLP_PROTOCOL: must be http/protobuf or grpc"},
		{[]string{endpoint, "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION=zstd"}, "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION: must be gzip or none"},
		{[]string{endpoint, "OTEL_EXPORTER_OTLP_TIMEOUT=10s"}, "OTEL_EXPORTER_OTLP_TIMEOUT: must be a whole number of milliseconds, at least 1"},
		{[]string{endpoint, "OTEL_METRIC_EXPORT_INTERVAL=0"}, "OTEL_METRIC_EXPORT_INTERVAL: must be a whole number of milliseconds, at least 1"},
		{[]string{endpoint, "OTEL_EXPORTER_OTLP_HEADERS=hunter2"}, "OTEL_EXPORTER_OTLP_HEADERS: must be key=value pairs with commas between them, special characters percent-encoded"},
		{[]string{endpoint, "OTEL_EXPORTER_OTLP_HEADERS=key=hunter2%zz"}, "OTEL_EXPORTER_OTLP_HEADERS: must be key=value pairs with commas between them, special characters percent-encoded"},
		{[]string{endpoint, "OTEL_RESOURCE_ATTRIBUTES=prod"}, "OTEL_RESOURCE_ATTRIBUTES: must be key=value pairs with commas between them, special characters percent-encoded"},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_INSECURE=1"}, "OTEL_EXPORTER_OTLP_INSECURE: must be true or false"},
		{[]string{endpoint, "OTEL_EXPORTER_OTLP_CERTIFICATE=missing.pem"}, "OTEL_EXPORTER_OTLP_CERTIFICATE: missing.pem cannot be read: no such file or directory"},
		{[]string{endpoint, "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=delta"}, "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: must be cumulative, or not be set: other sums (delta, lowmemory) are not sent; an OpenTelemetry Collector can convert them (cumulativetodelta)"},
		{[]string{endpoint, "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=hunter2"}, "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: must be cumulative, or not be set: other sums (delta, lowmemory) are not sent; an OpenTelemetry Collector can convert them (cumulativetodelta)"},
	} {
		if _, err := load(t, minimal, test.environ...); err == nil || err.Error() != test.want {
			t.Errorf("%q\ngot  %v\nwant %s", test.environ, err, test.want)
		}
	}
}

// authorityPEM makes a certificate that nobody else has.
func authorityPEM(t *testing.T) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}
	certificate, err := x509.CreateCertificate(nil, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))
}

// A platform sets variables for all that runs on it. Where nothing is pushed they
// stop nothing, however they are written.
func TestOTLPVariablesOfThePlatform(t *testing.T) {
	malformed := []string{
		"OTEL_EXPORTER_OTLP_TIMEOUT=10s", "OTEL_EXPORTER_OTLP_METRICS_HEADERS=x", "OTEL_EXPORTER_OTLP_PROTOCOL=http/json", "OTEL_EXPORTER_OTLP_COMPRESSION=zstd",
		"OTEL_EXPORTER_OTLP_CERTIFICATE=missing.pem", "OTEL_EXPORTER_OTLP_INSECURE=1", "OTEL_METRIC_EXPORT_INTERVAL=1m", "OTEL_RESOURCE_ATTRIBUTES=x", "OTEL_SDK_DISABLED=1",
		"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=delta", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=x", "OTEL_TRACES_EXPORTER=jaeger", "OTEL_LOGS_EXPORTER=console",
	}
	for _, off := range [][]string{nil, {"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", "OTEL_METRICS_EXPORTER=none"}, {"OTEL_EXPORTER_OTLP_ENDPOINT=:", "OTEL_METRICS_EXPORTER=prometheus"}} {
		config := mustLoad(t, minimal, append(malformed, off...)...)
		if config.OTLP != nil || len(config.Warnings) > 0 {
			t.Errorf("%q: %+v, warnings %q", off, config.OTLP, config.Warnings)
		}
	}
	for exporter, want := range map[string]string{
		"console": "OTEL_METRICS_EXPORTER is console, which this exporter does not have: nothing is pushed",
		"hunter2": "OTEL_METRICS_EXPORTER names an exporter that is not known: nothing is pushed",
		"otlp":    "OTEL_METRICS_EXPORTER is otlp, but no endpoint is set: nothing is pushed",
	} {
		if got := mustLoad(t, minimal, "OTEL_METRICS_EXPORTER="+exporter).Warnings; !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q", exporter, got)
		}
	}
	if otlp := mustLoad(t, minimal+"otlp: {interval: 7s}\n", "OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", "OTEL_METRICS_EXPORTER=none").OTLP; otlp != nil {
		t.Errorf("the environment's endpoint is used although it says none: %+v", otlp)
	}
	// What the file says is not asked of the environment.
	config := mustLoad(t, minimal+"otlp: {endpoint: \"http://c:4318\", timeout: 3s, interval: 7s, headers: {a: b}, protocol: grpc, compression: none}\n",
		"OTEL_EXPORTER_OTLP_TIMEOUT=10s", "OTEL_EXPORTER_OTLP_HEADERS=x", "OTEL_METRIC_EXPORT_INTERVAL=1m", "OTEL_EXPORTER_OTLP_INSECURE=1", "OTEL_EXPORTER_OTLP_PROTOCOL=x", "OTEL_EXPORTER_OTLP_COMPRESSION=x", "OTEL_METRICS_EXPORTER=none")
	if config.OTLP == nil || config.OTLP.Timeout != Duration(3*time.Second) {
		t.Errorf("%+v", config.OTLP)
	}
}

func TestOTLPEndpointOfTheFile(t *testing.T) {
	for written, want := range map[string]string{
		"http://c:4318":            "http://c:4318/v1/metrics",
		"http://c:4318/":           "http://c:4318/v1/metrics",
		"http://c:4318/otlp/":      "http://c:4318/otlp/v1/metrics",
		"http://c:4318/v1/metrics": "http://c:4318/v1/metrics",
		"http://c:4318/own":        "http://c:4318/own",
	} {
		if got := mustLoad(t, minimal+"otlp: {endpoint: \""+written+"\"}\n").OTLP.Endpoint.String(); got != want {
			t.Errorf("%s: %s, want %s", written, got, want)
		}
	}
}

func TestServiceInstanceID(t *testing.T) {
	file := write(t, t.TempDir(), "clusters.yml", minimal)
	for _, test := range []struct {
		environ []string
		want    string
	}{
		{nil, "one"},
		{[]string{"OTEL_RESOURCE_ATTRIBUTES=service.instance.id=two"}, "two"},
	} {
		config, err := Load(Sources{File: file, Environ: append(test.environ, "OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318"), InstanceID: "one"})
		if err != nil {
			t.Fatal(err)
		}
		if got := config.OTLP.ResourceAttributes["service.instance.id"]; got != test.want {
			t.Errorf("%q: %q", test.environ, got)
		}
	}
}

// TestHeadersOverGRPC: what gRPC would leave out, or fail on with each request, is
// refused now.
func TestHeadersOverGRPC(t *testing.T) {
	for header, fits := range map[string]bool{
		"api-key: x": true, "Authorization: Bearer x": true, "a_b.c: x": true, "trace-bin: \"\\u00fc\"": true,
		"api!key: x": false, "grpc-timeout: 1S": false, "Content-Type: x": false, "user-agent: x": false, "te: trailers": false,
		"api-key: \"k\\u00fcy\"": false,
	} {
		for protocol, want := range map[string]bool{"grpc": fits, "http/protobuf": true} {
			_, err := load(t, minimal+"otlp: {endpoint: \"http://c:4317\", protocol: "+protocol+", headers: {"+header+"}}\n")
			if (err == nil) != want || err != nil && (!strings.Contains(err.Error(), "cannot be sent over gRPC") || strings.Contains(err.Error(), "k\u00fcy")) {
				t.Errorf("%s by %s: %v", header, protocol, err)
			}
		}
	}
}

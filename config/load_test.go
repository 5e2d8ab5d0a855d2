package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// load loads a file of the given content, with the environment beside it.
func load(t *testing.T, content string, environ ...string) (*Config, error) {
	t.Helper()
	return Load(Sources{File: write(t, t.TempDir(), "clusters.yml", content), Environ: environ})
}

func write(t *testing.T, directory, name, content string) string {
	t.Helper()
	path := filepath.Join(directory, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustLoad(t *testing.T, content string, environ ...string) *Config {
	t.Helper()
	config, err := load(t, content, environ...)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

const minimal = "clusters:\n  - name: orders\n    urls: [\"http://connect-1:8083\"]\n"

func TestDefaults(t *testing.T) {
	config := mustLoad(t, minimal)
	if config.SnapshotMaxAge != 2*time.Second || config.StateSeriesAll || config.OTLP != nil || len(config.Warnings) > 0 {
		t.Errorf("snapshot_max_age %v, all states %v, OTLP %v, warnings %q", config.SnapshotMaxAge, config.StateSeriesAll, config.OTLP, config.Warnings)
	}
	cluster := config.Clusters[0]
	if cluster.Name != "orders" || cluster.Provider != ProviderConnect || cluster.ObservationVersion != "auto" || cluster.Parallelism != 8 ||
		cluster.RequestTimeout != Duration(5*time.Second) || cluster.InfoMaxAge != Duration(5*time.Minute) || cluster.StartupValidation ||
		cluster.WorkerProbe.Enabled || !cluster.Filter.Keep("any") {
		t.Errorf("unexpected defaults: %+v", cluster)
	}
	if !strings.HasSuffix(cluster.Origin, "clusters.yml:2") {
		t.Errorf("origin %q", cluster.Origin)
	}
}

func TestEverySetting(t *testing.T) {
	directory := t.TempDir()
	password := write(t, directory, "password", "hunter2\n")
	file := write(t, directory, "clusters.yml", `
clusters:
  - name: orders
    urls: ["HTTP://connect-1:8083/", "https://connect-2/base//"]
    observation_version: 2
    parallelism: 256
    request_timeout: 1m30s
    info_max_age: 1d
    startup_validation: true
    connectors: {include: ["^orders-.*", "^bills$"], exclude: [".*-test"]}
    kafka: {bootstrap_servers: ["kafka-1:9092"], group_id: connect-orders, offset_storage_topic: offsets}
    worker_probe: {credentials_hosts: [Connect-1, "*.internal", "10.0.0.1:8083"]}
    http_client:
      basic_auth: {username: exporter, password_file: password}
      follow_redirects: false
  - name: cloud
    provider: confluent-cloud
    confluent_cloud: {environment: env-abc, cluster: lkc-123}
    http_client: {authorization: {credentials: token}}
  - name: aws
    provider: msk
    msk: {region: us-gov-west-1, name_prefix: orders-, role_arn: "arn:aws:iam::1:role/r", endpoint: "http://proxy:8080/", describe: true, cloudwatch: true}
  - name: aiven
    provider: aiven
    aiven: {project: acme, service: orders, token_file: password, api_url: "http://proxy:8080/", route: privatelink}
snapshot_max_age: 0s
state_series: all
`)
	config, err := Load(Sources{File: file})
	if err != nil {
		t.Fatal(err)
	}
	if config.SnapshotMaxAge != 0 || !config.StateSeriesAll {
		t.Errorf("snapshot_max_age %v, all states %v", config.SnapshotMaxAge, config.StateSeriesAll)
	}
	clusters := config.Clusters
	orders := clusters[0]
	if urls := []string{orders.URLs[0].String(), orders.URLs[1].String()}; !slices.Equal(urls, []string{"http://connect-1:8083", "https://connect-2/base"}) {
		t.Errorf("urls %q", urls)
	}
	if orders.ObservationVersion != "2" || orders.Parallelism != 256 || orders.RequestTimeout != Duration(90*time.Second) || orders.InfoMaxAge != Duration(24*time.Hour) ||
		!orders.StartupValidation || orders.Kafka.GroupID != "connect-orders" || orders.Kafka.OffsetStorageTopic != "offsets" || orders.HTTPClient.FollowRedirects {
		t.Errorf("orders: %+v", orders)
	}
	if got := orders.HTTPClient.BasicAuth.PasswordFile; got != password {
		t.Errorf("password_file is not relative to the file: %s", got)
	}
	for connector, keep := range map[string]bool{"orders-1": true, "bills": true, "bills-2": false, "my-orders-1": false, "orders-test": false} {
		if orders.Filter.Keep(connector) != keep {
			t.Errorf("Keep(%q) is not %v", connector, keep)
		}
	}
	for host, send := range map[string]bool{
		"connect-1:8083": true, "CONNECT-1": true, "connect-2:8083": false, "a.internal:1": true, "internal:1": false, "a.internal.evil:1": false,
		"10.0.0.1:8083": true, "10.0.0.1:8084": false, "": false,
	} {
		if !orders.WorkerProbe.Enabled || orders.WorkerProbe.SendCredentials(host) != send {
			t.Errorf("SendCredentials(%q) is not %v", host, send)
		}
	}
	if cloud := clusters[1]; cloud.ConfluentCloud.APIURL.String() != "https://api.confluent.cloud" ||
		cloud.URLs[0].String() != "https://api.confluent.cloud/connect/v1/environments/env-abc/clusters/lkc-123" {
		t.Errorf("cloud: %+v at %v", cloud.ConfluentCloud, cloud.URLs)
	}
	if msk := clusters[2].MSK; msk.Region != "us-gov-west-1" || msk.NamePrefix != "orders-" || msk.RoleARN != "arn:aws:iam::1:role/r" || msk.Endpoint.String() != "http://proxy:8080" || !msk.Describe || !msk.CloudWatch {
		t.Errorf("msk: %+v", msk)
	}
	aiven := clusters[3].Aiven
	if aiven.Project != "acme" || aiven.Service != "orders" || aiven.Route != "privatelink" || aiven.APIURL.String() != "http://proxy:8080" {
		t.Errorf("aiven: %+v", aiven)
	}
	if token, err := clusters[3].AivenToken(); token != "hunter2" || err != nil {
		t.Errorf("token %q, %v", token, err)
	}
	if got := config.Files; !slices.Equal(got, []string{file, password}) {
		t.Errorf("files %q", got)
	}
}

func TestUserinfoBecomesBasicAuth(t *testing.T) {
	config := mustLoad(t, "clusters:\n  - name: orders\n    urls: [\"http://exporter:p%40ss@a:1\", \"http://exporter:p%40ss@b:1\"]\n")
	cluster := config.Clusters[0]
	if basic := cluster.HTTPClient.BasicAuth; basic == nil || basic.Username != "exporter" || basic.Password != "p@ss" {
		t.Errorf("basic_auth %+v", basic)
	}
	for _, address := range cluster.URLs {
		if address.User != nil {
			t.Errorf("userinfo stays in %s", address.Redacted())
		}
	}
	if strings.Contains(string(config.Masked()), "p@ss") || strings.Contains(string(config.Masked()), "p%40ss") {
		t.Error("the password is shown")
	}
}

func TestMergeKeysAndAnchors(t *testing.T) {
	config := mustLoad(t, `
clusters:
  - &first
    name: orders
    urls: [http://a:1]
    parallelism: 3
  - <<: *first
    name: bills
`)
	if second := config.Clusters[1]; second.Name != "bills" || second.Parallelism != 3 {
		t.Errorf("%+v", second)
	}
}

func TestAllDoors(t *testing.T) {
	file := write(t, t.TempDir(), "clusters.yml", minimal)
	config, err := Load(Sources{File: file, Environ: []string{"CONNECT_REST_URL=http://b:1", "CONNECT_NAME=bills"}, ConnectURL: "http://exporter:hunter2@c:1/"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, cluster := range config.Clusters {
		got = append(got, cluster.Name+" "+strings.TrimPrefix(cluster.Origin, file))
	}
	if want := []string{"orders :2", "bills CONNECT_REST_URL", "default --connect.url"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	flag := config.Clusters[2]
	if flag.ObservationVersion != "auto" || flag.StartupValidation || flag.HTTPClient.BasicAuth.Password != "hunter2" {
		t.Errorf("the flag's cluster: %+v", flag)
	}
}

func TestNoDoor(t *testing.T) {
	for _, test := range []struct {
		sources Sources
		want    string
	}{
		{Sources{}, errNothing.Error()},
		{Sources{Environ: []string{"CONNECT_GROUP_ID=connect", "CONNECT_PORT=tcp://10.0.0.1:8083"}}, errNothing.Error()},
		{Sources{Environ: []string{"CONNECT_AUTH=BASIC"}}, errNothing.Error() + " (CONNECT_AUTH is ignored: neither CONNECT_REST_URL nor CONNECT_RESOURCE_IDS is set)"},
		{Sources{Environ: []string{"CONNECT_URL=http://a:1"}}, errNothing.Error() + " (CONNECT_URL is not known: did you mean CONNECT_REST_URL?)"},
		{Sources{Environ: []string{"DEV1_CONNECT_REST_URL=http://a:1"}}, errNothing.Error() + " (DEV1_CONNECT_REST_URL is ignored, because CONNECT_RESOURCE_IDS does not list DEV1)"},
		{Sources{ConnectURL: "connect:8083"}, "--connect.url: must be a URL that begins with http:// or https://, such as http://connect-1:8083"},
		{Sources{ConnectURL: "http://a:hunter2@/"}, "--connect.url: has no host, such as http://connect-1:8083"},
		{Sources{Environ: []string{"CONNECT_REST_URL=http://a:1"}, ConnectURL: "http://b:1"}, `--connect.url: "default" is already the name of the cluster at CONNECT_REST_URL; names are unique over file, environment and flag`},
	} {
		if _, err := Load(test.sources); err == nil || err.Error() != test.want {
			t.Errorf("%+v\ngot  %v\nwant %s", test.sources, err, test.want)
		}
	}
}

// Patterns match anywhere in a name unless they say otherwise.
func TestFilter(t *testing.T) {
	filter := mustLoad(t, minimal+"    connectors: {include: [\"orders\", \"^bills$\"], exclude: [\"^test-\"]}\n").Clusters[0].Filter
	for name, want := range map[string]bool{"orders": true, "my-orders-sink": true, "bills": true, "bills-2": false, "test-orders": false, "latest-orders": true, "": false} {
		if got := filter.Keep(name); got != want {
			t.Errorf("Keep(%q) is %v", name, got)
		}
	}
}

func TestSame(t *testing.T) {
	directory := t.TempDir()
	secret := write(t, directory, "password", "one")
	content := minimal + "    http_client: {basic_auth: {username: a, password_file: password}}\n"
	file := write(t, directory, "clusters.yml", content)
	now := func() Cluster {
		t.Helper()
		config, err := Load(Sources{File: file})
		if err != nil {
			t.Fatal(err)
		}
		return config.Clusters[0]
	}
	first := now()
	if !first.Same(now()) {
		t.Fatal("a cluster is not the same as itself")
	}
	write(t, directory, "clusters.yml", "# moved down a line, which changes nothing\n"+content)
	if !first.Same(now()) {
		t.Error("a comment makes a cluster another one")
	}
	seen := map[string]Cluster{"as it was": first}
	differs := func(what string) {
		t.Helper()
		cluster := now()
		for as, other := range seen {
			if cluster.Same(other) || other.Same(cluster) {
				t.Errorf("%s: the same as %s", what, as)
			}
		}
		seen[what] = cluster
	}
	write(t, directory, "password", "two")
	differs("another password in the file")
	if err := os.Remove(secret); err != nil {
		t.Fatal(err)
	}
	for _, settings := range []string{
		"parallelism: 3", "max_connectors: 3", "request_timeout: 3s", "connectors: {include: [a]}", "connectors: {exclude: [a]}", "connectors: {include: [a, b]}", "connectors: {include: [ab]}",
		"http_client: {basic_auth: {username: a, password: b}}", "http_client: {basic_auth: {username: a, password: c}}", "worker_probe: true",
		"http_client: {proxy_url: \"http://proxy:1\"}", "http_client: {proxy_url: \"http://proxy:2\"}", "http_client: {http_headers: {X-A: {secrets: [a]}}}", "http_client: {http_headers: {X-A: {secrets: [b]}}}",
		"labels: {team: a}", "labels: {team: b}", "expected_workers: 2", "expected_workers: 3", "connector_labels: [owner.team]",
		"kafka: {bootstrap_servers: [\"a:1\"], group_id: a}", "kafka: {bootstrap_servers: [\"a:1\"], group_id: b}", "worker_probe: {scheme: https}",
		"kafka: {bootstrap_servers: [\"a:1\"], sasl: {mechanism: PLAIN, username: a, password: a}}", "kafka: {bootstrap_servers: [\"a:1\"], sasl: {mechanism: PLAIN, username: a, password: b}}",
	} {
		write(t, directory, "clusters.yml", minimal+"    "+settings+"\n")
		differs(settings)
	}
}

// TLS that is never spoken is hardly meant.
func TestTLSWithoutHTTPS(t *testing.T) {
	for text, want := range map[string]int{
		"    http_client: {tls_config: {insecure_skip_verify: true}}\n":                                    1,
		"    http_client: {tls_config: {insecure_skip_verify: true}}\n    worker_probe: {scheme: https}\n": 0,
		"": 0,
	} {
		if got := mustLoad(t, minimal+text).Warnings; len(got) != want {
			t.Errorf("%q: %q", text, got)
		}
	}
	if got := mustLoad(t, strings.ReplaceAll(minimal, "http://", "https://")+"    http_client: {tls_config: {insecure_skip_verify: true}}\n").Warnings; len(got) > 0 {
		t.Errorf("%q", got)
	}
}

// What is done with a configuration does not make it another one.
func TestSameAfterUse(t *testing.T) {
	const oauth = "oauth2: {client_id: a, client_secret: b, token_url: \"http://c\"}"
	text := minimal + "    http_client: {" + oauth + "}\n    kafka: {bootstrap_servers: [\"a:1\"], tls_config: {}, sasl: {mechanism: OAUTHBEARER, " + oauth + "}}\n"
	used := mustLoad(t, text).Clusters[0]
	used.HTTPClient.Proxy()
	used.HTTPClient.OAuth2.Proxy()
	used.Kafka.SASL.OAuth2.Proxy()
	if !used.Same(mustLoad(t, text).Clusters[0]) {
		t.Error("a cluster that is used is another one")
	}
}

func TestMaskedLoadsAgain(t *testing.T) {
	config := mustLoad(t, minimal+`    connectors: {include: ["a.*"]}
    worker_probe: yes
    http_client:
      basic_auth: {username: a, password: hunter2}
      proxy_url: http://proxy:3128
      tls_config: {server_name: connect}
  - name: cloud
    provider: confluent-cloud
    confluent_cloud: {environment: env-abc, cluster: lkc-123}
    http_client: {basic_auth: {username: a, password: hunter2}}
  - name: aws
    provider: msk
    msk: {region: eu-west-1}
  - name: aiven
    provider: aiven
    aiven: {project: acme, service: orders, token: hunter2}
snapshot_max_age: 1500ms
otlp: {endpoint: "http://collector:4318/", headers: {api-key: hunter2}}
`, "US1_CONNECT_REST_URL=http://us:1", "CONNECT_RESOURCE_IDS=US1", "OTEL_RESOURCE_ATTRIBUTES=env=prod")
	masked := string(config.Masked())
	again := mustLoad(t, masked)
	if second := string(again.Masked()); strip(second) != strip(masked) {
		t.Errorf("the masked configuration is another one when it is loaded:\n%s\n%s", masked, second)
	}
	if first, second := config.OTLP.Endpoint.String(), again.OTLP.Endpoint.String(); first != second {
		t.Errorf("OTLP endpoint %s becomes %s", first, second)
	}
	for i, cluster := range config.Clusters {
		other := again.Clusters[i]
		cluster.Origin, other.Origin = "", ""
		cluster.files, other.files = nil, nil
		cluster.HTTPClient, cluster.Settings.HTTPClient = other.HTTPClient, other.Settings.HTTPClient
		cluster.AivenToken, other.AivenToken = nil, nil
		if cluster.Aiven != nil {
			other.Aiven.Token = cluster.Aiven.Token
		}
		if !reflect.DeepEqual(cluster, other) {
			t.Errorf("%+v\nbecomes\n%+v", cluster, other)
		}
	}
}

// strip takes the comments off, which name the origin.
func strip(text string) string {
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return strings.Contains(line, "# From ") })
	return strings.Join(lines, "\n")
}

package config

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// invalid holds the whole error that each testdata/invalid-*.yml gives; FILE
// stands for the file's path. The word hunter2 is the secret in all of them.
func invalid() map[string]string {
	return map[string]string{
		"discovery-empty":               "FILE:1: discovery: has neither kubernetes nor files: say where to find clusters",
		"discovery-kinds":               "FILE:3: discovery.kubernetes[0].kinds: is required, such as kinds: [strimzi]",
		"discovery-all-and-one":         "FILE:4: discovery.kubernetes[0].namespaces: \"*\" stands for all: remove the others",
		"discovery-paths":               "FILE:3: discovery.files[0].paths: is required, such as paths: [\"resources/*.yaml\"]",
		"discovery-pattern":             "FILE:2: discovery.files[0].paths[0]: is no pattern of file names: [ needs its ]",
		"discovery-urls":                "FILE:4: discovery.kubernetes[0].urls: are what the resource says: remove them",
		"discovery-startup":             "FILE:4: discovery.kubernetes[0].startup_validation: waits for clusters that are named; those that are found come and go: remove it",
		"discovery-project":             "FILE:4: discovery.kubernetes[0].aiven: project and service are what the resource says: remove them",
		"discovery-label":               "FILE:4: discovery.kubernetes[0].copy_labels[0]: is a label that Prometheus or Kubernetes puts on the exporter itself: choose another name",
		"discovery-namespaces-of-files": "FILE:4: discovery.files[0].namespaces: belongs to discovery.kubernetes",
		"aiven-credentials":             "FILE:5: clusters[0].http_client: the credentials of an Aiven service come from its API: remove basic_auth, authorization and oauth2",
		"aiven-project":                 "FILE:4: clusters[0].aiven.project: is required: its name at Aiven",
		"aiven-route":                   "FILE:4: clusters[0].aiven.route: must be public, private, privatelink or dynamic",
		"aiven-service":                 "FILE:4: clusters[0].aiven.service: must be a name, without / or spaces",
		"aiven-token-file":              "FILE:4: clusters[0].aiven.token_file: testdata/missing cannot be read: no such file or directory",
		"aiven-token":                   "FILE:4: clusters[0].aiven: needs an API token: token_file, token, or the variable AIVEN_TOKEN",
		"aiven-two-tokens":              "FILE:4: clusters[0].aiven.token: token and token_file are both set: keep one",
		"comma-in-value":                "FILE:5: clusters[0].http_client.basic_auth: a field is written name: value, with a space after the colon; a value with , : { } or # must stand in quotes",
		"confluent-cluster":             "FILE:4: clusters[0].confluent_cloud.cluster: must be an id, such as lkc-abc123",
		"confluent-environment":         "FILE:4: clusters[0].confluent_cloud.environment: is required, such as env-abc123",
		"confluent-key":                 "FILE:2: clusters[0].http_client: provider confluent-cloud needs a Cloud API key: basic_auth with the key as username and the secret as password or password_file",
		"confluent-url":                 "FILE:4: clusters[0].confluent_cloud.api_url: must not carry a user and password",
		"duplicate-key":                 "FILE:5: clusters[0].parallelism: is given twice, first on line 4: keep one",
		"duration-negative":             "FILE:4: clusters[0].info_max_age: must not be negative",
		"duration-without-unit":         "FILE:4: clusters[0].request_timeout: must be a duration with its unit, such as 500ms, 5s or 1m30s",
		"duration-zero":                 "FILE:4: clusters[0].request_timeout: must be more than 0s",
		"empty-list-item":               "FILE:5: clusters[0].urls[1]: is empty: remove it or fill it in",
		"empty":                         "FILE: the file is empty: it needs at least clusters: with a name and urls",
		"filter-pattern":                "FILE:4: clusters[0].connectors.include[0]: is no regular expression (RE2): ( and ) must come in pairs; write \\( for the character",
		"http-header":                   "FILE:5: clusters[0].http_client: setting header \"Host\" is not allowed",
		"http-no-username":              "FILE:5: clusters[0].http_client.basic_auth: needs username or username_file",
		"http-oauth2-url":               "FILE:5: clusters[0].http_client.oauth2.token_url: must not carry a user and password: use client_id and client_secret",
		"http-oauth2":                   "FILE:5: clusters[0].http_client: oauth2 token_url must be configured",
		"http-proxy-scheme":             "FILE:5: clusters[0].http_client.proxy_url: must be a URL such as http://proxy:3128",
		"http-proxy":                    "FILE:5: clusters[0].http_client.proxy_url: is no URL; special characters of a user or password must be percent-encoded",
		"http-secret-file":              "FILE:5: clusters[0].http_client.basic_auth.password_file: testdata/missing/secret cannot be read: no such file or directory",
		"http-secret-manager":           "FILE:5: clusters[0].http_client.basic_auth.password_ref: needs a secret manager, which this exporter has none of: use the field or its _file form",
		"http-two-credentials":          "FILE:5: clusters[0].http_client: at most one of basic_auth, oauth2 & authorization must be configured",
		"list-at-top":                   "FILE:1: is no configuration: it must be a YAML mapping that begins with \"clusters:\" as its first field",
		"missing-space":                 "FILE:5: clusters[0].http_client.basic_auth.username: a field is written name: value, with a space after the colon; a value with , : { } or # must stand in quotes",
		"msk-credentials":               "FILE:5: clusters[0].http_client: MSK Connect takes AWS credentials, from the environment, a profile or a role: remove basic_auth, authorization and oauth2",
		"msk-endpoint":                  "FILE:4: clusters[0].msk.endpoint: must be a URL that begins with http:// or https://, such as http://connect-1:8083",
		"msk-observation-version":       "FILE:5: clusters[0].observation_version: MSK Connect has but one way to be asked: remove it",
		"msk-region-form":               "FILE:4: clusters[0].msk.region: must be the name of an AWS region, such as eu-west-1",
		"msk-region":                    "FILE:4: clusters[0].msk.region: is required, such as eu-west-1",
		"msk-role":                      "FILE:4: clusters[0].msk.role_arn: must be an ARN, such as arn:aws:iam::123456789012:role/reader",
		"name-missing":                  "FILE:2: clusters[0].name: is required: it becomes the connect_cluster label",
		"name-spaces":                   "FILE:2: clusters[0].name: must not begin or end with a space",
		"name-twice":                    "FILE:4: clusters[1].name: \"orders\" is already the name of the cluster at FILE:2; names are unique over file, environment and flag",
		"name-unprintable":              "FILE:2: clusters[0].name: must be printable UTF-8",
		"no-clusters":                   "FILE: lists no clusters, and neither CONNECT_REST_URL nor --connect.url names one",
		"not-yaml":                      "FILE:1: is not valid YAML: did not find expected node content",
		"observation-version":           "FILE:4: clusters[0].observation_version: must be auto, 1, 2 or brokers",
		"only-comments":                 "FILE: the file is empty: it needs at least clusters: with a name and urls",
		"otlp-compression":              "FILE:4: otlp.compression: must be gzip or none",
		"otlp-endpoint-missing":         "FILE:4: otlp.endpoint: is required, such as http://collector:4318",
		"otlp-endpoint-user":            "FILE:4: otlp.endpoint: must not carry a user and password: use headers",
		"otlp-endpoint":                 "FILE:4: otlp.endpoint: must be a URL that begins with http:// or https://, such as http://collector:4318",
		"otlp-header-comma":             "FILE:6: otlp.headers: a name here has no value; a value with , or # must stand in quotes",
		"otlp-header-file":              "FILE:6: otlp.headers_files.api-key: testdata/missing cannot be read: no such file or directory",
		"otlp-header-twice":             "FILE:7: otlp.headers_files.api-key: the header is in headers too: keep one",
		"otlp-header":                   "FILE:6: otlp.headers: \"api\" is no valid HTTP header: a name of letters, digits and -, a value without line breaks",
		"otlp-insecure":                 "FILE:4: otlp.insecure: contradicts the https:// of the endpoint: change one of them",
		"otlp-interval":                 "FILE:4: otlp.interval: must be more than 0s",
		"otlp-protocol":                 "FILE:4: otlp.protocol: must be http/protobuf or grpc",
		"otlp-timeout":                  "FILE:4: otlp.timeout: must be more than 0s",
		"otlp-tls":                      "FILE:6: otlp.tls_config: exactly one of cert or cert_file must be configured when a client key is configured",
		"max-connectors-range":          "FILE:4: clusters[0].max_connectors: 0 is not between 1 and 1000000",
		"parallelism-range":             "FILE:4: clusters[0].parallelism: 257 is not between 1 and 256",
		"probe-host":                    "FILE:4: clusters[0].worker_probe.credentials_hosts[0]: must be host, host:port or *.domain",
		"probe-provider":                "FILE:5: clusters[0].worker_probe: provider msk shows no workers that could be asked: remove it",
		"provider-block-missing":        "FILE:3: clusters[0].provider: confluent-cloud needs a block confluent_cloud beside it",
		"provider-block-of-another":     "FILE:4: clusters[0].msk: belongs to provider: msk, but the provider here is connect: change one of them",
		"provider-urls":                 "FILE:5: clusters[0].urls: belongs to provider: connect; for msk the block msk says where to go",
		"provider":                      "FILE:4: clusters[0].provider: must be connect, confluent-cloud, msk or aiven",
		"state-series":                  "FILE:4: state_series: must be current or all",
		"tab":                           "FILE:2: is not valid YAML: found character that cannot start any token; indent with spaces, not tabs, and quote a value that begins with % @ or `",
		"tag":                           "FILE:4: clusters[0].request_timeout: a YAML tag has no meaning here; a value that begins with ! must stand in quotes",
		"tls-ca-file":                   "FILE:5: clusters[0].http_client.tls_config.ca_file: testdata/missing-ca.pem cannot be read: no such file or directory",
		"tls-ca":                        "FILE:5: clusters[0].http_client.tls_config.ca: holds no certificate in PEM form (BEGIN CERTIFICATE)",
		"tls-key-without-cert":          "FILE:5: clusters[0].http_client.tls_config: exactly one of cert or cert_file must be configured when a client key is configured",
		"tls-pair":                      "FILE:5: clusters[0].http_client.tls_config.cert: holds no certificate in PEM form (BEGIN CERTIFICATE)",
		"tls-version":                   "FILE:5: clusters[0].http_client.tls_config.min_version: must be TLS10, TLS11, TLS12 or TLS13",
		"two-documents":                 "FILE:4: a second YAML document begins here: put everything into one",
		"unknown-anchor":                "FILE:5: is not valid YAML: unknown anchor referenced; a value that begins with * or & must stand in quotes",
		"unknown-field-elsewhere":       "FILE:4: clusters[0].basic_auth: unknown field; it belongs into clusters[].http_client",
		"unknown-field-nested":          "FILE:6: clusters[0].http_client.tls_config.insecure_skip_verfy: unknown field; did you mean insecure_skip_verify?",
		"unknown-field-no-hint":         "FILE:4: clusters[0].colour: unknown field; the fields here are aiven, confluent_cloud, connector_labels, connectors, expected_workers, http_client, info_max_age, kafka, labels, max_connectors, msk, name, observation_version, parallelism, provider, request_timeout, startup_validation, urls, worker_probe",
		"unknown-field":                 "FILE:4: clusters[0].paralelism: unknown field; did you mean parallelism?",
		"url-confluent":                 "FILE:3: clusters[0].urls[0]: is Confluent Cloud's API: write provider: confluent-cloud and confluent_cloud: {environment, cluster} in place of urls",
		"url-fragment":                  "FILE:3: clusters[0].urls[0]: must not have a query (?) or fragment (#): give the address alone",
		"url-host":                      "FILE:3: clusters[0].urls[0]: has no host, such as http://connect-1:8083",
		"url-malformed":                 "FILE:3: clusters[0].urls[0]: is no valid URL; special characters of a user or password must be percent-encoded",
		"url-port":                      "FILE:3: clusters[0].urls[0]: has a port that is not between 1 and 65535",
		"url-query":                     "FILE:3: clusters[0].urls[0]: must not have a query (?) or fragment (#): give the address alone",
		"url-scheme":                    "FILE:3: clusters[0].urls[0]: must be a URL that begins with http:// or https://, such as http://connect-1:8083",
		"url-twice":                     "FILE:3: clusters[0].urls[1]: repeats urls[0]: remove it",
		"url-user-and-basic-auth":       "FILE:3: clusters[0].urls[0]: carries a user and password, and credentials are configured besides: remove those of the URL",
		"url-users-differ":              "FILE:3: clusters[0].urls[1]: its user and password are not those of urls[0]: all workers of a cluster share them; use http_client.basic_auth",
		"urls-missing":                  "FILE:2: clusters[0].urls: is required for provider: connect, such as urls: [\"http://connect-1:8083\"]",
		"label-own":                     "FILE:4: clusters[0].labels: worker is a label of the exporter's own series: choose another name",
		"label-target":                  "FILE:4: clusters[0].labels: cluster is a label that Prometheus or Kubernetes puts on the exporter itself: choose another name",
		"label-reserved":                "FILE:4: clusters[0].labels: begins with __, which Prometheus keeps for itself",
		"label-name":                    "FILE:4: clusters[0].labels: team-name is no name of a label: letters, digits and _, and no digit first",
		"label-empty":                   "FILE:4: clusters[0].labels.team: is empty, which Prometheus takes for no label: remove it or fill it in",
		"label-value":                   "FILE:4: clusters[0].labels.team: must be printable UTF-8 of at most 200 bytes",
		"connector-label-secret":        "FILE:4: clusters[0].connector_labels[1]: looks like a setting that holds a secret or an address with one: such values are never shown",
		"connector-label-twice":         "FILE:4: clusters[0].connector_labels[1]: becomes the same label as connector_labels[0]: remove one",
		"connector-label-key":           "FILE:4: clusters[0].connector_labels[0]: must be a key of a connector's configuration, such as owner.team",
		"expected-workers":              "FILE:4: clusters[0].expected_workers: 0 is not between 1 and 10000",
		"number-with-fraction":          "FILE:4: clusters[0].parallelism: must be a whole number",
		"probe-scheme":                  "FILE:4: clusters[0].worker_probe.scheme: must be auto, http or https",
		"probe-switch":                  "FILE:4: clusters[0].worker_probe: must be true or false",
		"provider-aiven-probe":          "FILE:5: clusters[0].worker_probe: the workers of an Aiven service cannot be asked one by one: remove it",
		"provider-msk-labels":           "FILE:5: clusters[0].connector_labels: MSK Connect's list of connectors has no configurations: remove it",
		"provider-msk-info":             "FILE:5: clusters[0].info_max_age: MSK Connect says itself which connector has changed: remove it",
		"provider-msk-workers":          "FILE:5: clusters[0].expected_workers: provider msk shows no workers that could be counted: remove it",
		"provider-msk-kafka":            "FILE:5: clusters[0].kafka: each connector of MSK Connect is a Connect cluster with topics of its own: remove it",
		"provider-msk-parallelism":      "FILE:5: clusters[0].parallelism: MSK Connect is called for single connectors only with msk.describe: true: add that or remove this",
		"provider-cloud-workers":        "FILE:6: clusters[0].expected_workers: provider confluent-cloud shows no workers that could be counted: remove it",
		"provider-cloud-kafka":          "FILE:6: clusters[0].kafka: Confluent Cloud keeps the topics of its connectors to itself: remove it",
		"provider-brokers":              "FILE:5: clusters[0].observation_version: MSK Connect has but one way to be asked: remove it",
		"provider-aiven-brokers":        "FILE:5: clusters[0].observation_version: brokers is for provider: connect, which the provider here is not",
		"kafka-bootstrap":               "FILE:4: clusters[0].kafka.bootstrap_servers: is required, such as [\"kafka-1:9092\"]",
		"kafka-address":                 "FILE:4: clusters[0].kafka.bootstrap_servers[0]: must be host:port, such as kafka-1:9092",
		"kafka-topic":                   "FILE:4: clusters[0].kafka.status_storage_topic: is no name of a topic: letters, digits, dots, _ and -, at most 249",
		"kafka-mirrormaker2":            "FILE:4: clusters[0].kafka.mirrormaker2: stands for group_id, status_storage_topic and offset_storage_topic: remove these",
		"kafka-mirrormaker2-source":     "FILE:4: clusters[0].kafka.mirrormaker2.source: must be the alias of the source cluster, such as a",
		"kafka-tls":                     "FILE:4: clusters[0].kafka.tls_config.ca: holds no certificate in PEM form (BEGIN CERTIFICATE)",
		"kafka-tls-file":                "FILE:4: clusters[0].kafka.tls_config.ca_file: testdata/missing.pem cannot be read: no such file or directory",
		"kafka-sasl-mechanism":          "FILE:4: clusters[0].kafka.sasl.mechanism: must be PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or AWS_MSK_IAM",
		"kafka-sasl-username":           "FILE:4: clusters[0].kafka.sasl.username: is required for mechanism: PLAIN",
		"kafka-sasl-password":           "FILE:4: clusters[0].kafka.sasl.password: is required for mechanism: SCRAM-SHA-256, or password_file",
		"kafka-sasl-passwords":          "FILE:4: clusters[0].kafka.sasl.password: password and password_file are both set: keep one",
		"kafka-sasl-password-file":      "FILE:4: clusters[0].kafka.sasl.password_file: testdata/missing cannot be read: no such file or directory",
		"kafka-sasl-other":              "FILE:4: clusters[0].kafka.sasl.region: does nothing with mechanism: PLAIN: remove it",
		"kafka-sasl-oauth2":             "FILE:4: clusters[0].kafka.sasl: OAUTHBEARER needs a block oauth2 with client_id, client_secret and token_url",
		"kafka-sasl-oauth2-secret":      "FILE:4: clusters[0].kafka.sasl.oauth2: needs client_secret or client_secret_file, and not both",
		"kafka-sasl-iam":                "FILE:4: clusters[0].kafka.sasl: AWS_MSK_IAM needs TLS: tls_config: {}, or SECURITY_PROTOCOL=SASL_SSL",
		"kafka-lag":                     "FILE:4: clusters[0].kafka.sink_lag.max_series: -1 is not between 0 and 1000000",
		"kafka-lag-exclude":             "FILE:4: clusters[0].kafka.sink_lag.exclude[0]: is no regular expression (RE2): a class of characters in [ ] is malformed; write \\[ for the character",
		"kafka-topics":                  "FILE:4: clusters[0].kafka.source_topics: needs status_storage_topic, which names the topics: add that or remove this",
		"group-without-kafka":           "FILE:4: clusters[0].group_id: unknown field; it belongs into clusters[].kafka",
		"brokers-without-kafka":         "FILE:3: clusters[0].observation_version: brokers needs a block kafka, which says where they are",
		"brokers-without-group":         "FILE:4: clusters[0].kafka: group_id is missing: without REST, it tells the workers",
		"brokers-without-topic":         "FILE:4: clusters[0].kafka: status_storage_topic is missing: without REST, it tells the connectors",
		"brokers-urls":                  "FILE:3: clusters[0].urls: does nothing with observation_version: brokers, where no REST API is asked: remove it",
		"brokers-probe":                 "FILE:5: clusters[0].worker_probe: does nothing with observation_version: brokers, where no REST API is asked: remove it",
		"brokers-client":                "FILE:5: clusters[0].http_client: does nothing with observation_version: brokers, where no REST API is asked: remove it",
		"brokers-credentials":           "FILE:5: clusters[0].http_client: does nothing with observation_version: brokers, where no REST API is asked: remove it",
		"brokers-connector-labels":      "FILE:5: clusters[0].connector_labels: needs the connectors' configurations, which only the REST API tells; the brokers' are never read: remove it",
		"variable-unset":                "FILE:5: clusters[0].http_client.basic_auth.password: the variable NOT_SET_ANYWHERE is not set, or empty; $${ stands for ${ itself",
		"variable-malformed":            "FILE:5: clusters[0].http_client.basic_auth.password: ${ must be followed by the name of a variable and }, such as ${PASSWORD}; $${ stands for ${ itself",
		"url-list":                      "FILE:3: clusters[0].urls[0]: names more than one address, and takes one; urls of a file lists several workers of a cluster",
		"url-ipv6":                      "FILE:3: clusters[0].urls[0]: has an IPv6 address without brackets: write it as in http://[2001:db8::1]:8083",
		"tag-int":                       "FILE:5: clusters[0].http_client.proxy_url: a YAML tag has no meaning here; a value that begins with ! must stand in quotes",
		"tag-claim":                     "FILE:5: clusters[0].http_client.oauth2.claims.a: a YAML tag has no meaning here; a value that begins with ! must stand in quotes",
		"credentials-control":           "FILE:4: clusters[0].http_client.authorization.credentials: must be one line without control characters",
		"header-control":                "FILE:4: clusters[0].http_client.http_headers.X-A.secrets[0]: must be one line without control characters",
		"anchor-of-itself":              "FILE:2: clusters[0].urls[0]: must be a single value, not a list or a mapping",
		"merge-of-a-text":               "FILE:2: clusters[0]: must be a mapping of fields, such as {field: value} with a space after the colon",
		"oauth2-grant":                  "FILE:5: clusters[0].http_client.oauth2.grant_type: must be client_credentials or urn:ietf:params:oauth:grant-type:jwt-bearer",
		"oauth2-idle":                   "FILE:5: clusters[0].http_client.oauth2.audience: belongs to grant_type: urn:ietf:params:oauth:grant-type:jwt-bearer: add that or remove this",
		"oauth2-assertion":              "FILE:5: clusters[0].http_client.oauth2: needs client_certificate_key or client_certificate_key_file, which signs the assertion",
		"authorization-empty":           "FILE:4: clusters[0].http_client.authorization: needs credentials or credentials_file",
		"wrong-type-bool":               "FILE:4: clusters[0].startup_validation: must be true or false",
		"wrong-type-list":               "FILE:3: clusters[0].urls: must be a list, such as [a, b]",
		"wrong-type-mapping":            "FILE:4: clusters[0].http_client: must be a mapping of fields, such as {field: value} with a space after the colon",
		"wrong-type-number":             "FILE:4: clusters[0].parallelism: must be a whole number",
		"wrong-type-text":               "FILE:2: clusters[0].name: must be a single value, not a list or a mapping",
	}
}

func TestInvalidFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/invalid-*.yml")
	if err != nil {
		t.Fatal(err)
	}
	var rules []string
	for _, file := range files {
		rules = append(rules, strings.TrimSuffix(strings.TrimPrefix(file, "testdata/invalid-"), ".yml"))
	}
	want := invalid()
	if expected := slices.Sorted(maps.Keys(want)); !slices.Equal(slices.Sorted(slices.Values(rules)), expected) {
		t.Fatalf("the files and the table differ:\n%v\n%v", rules, expected)
	}
	for i, rule := range rules {
		t.Run(rule, func(t *testing.T) {
			config, err := Load(Sources{File: files[i]})
			if err == nil {
				t.Fatal("no error")
			}
			if config != nil {
				t.Error("a configuration beside the error")
			}
			if got := strings.ReplaceAll(err.Error(), files[i], "FILE"); got != want[rule] {
				t.Errorf("got  %s\nwant %s", got, want[rule])
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error carries the secret: %v", err)
			}
		})
	}
}

func TestInvalidPlaces(t *testing.T) {
	directory := t.TempDir()
	for _, test := range []struct{ name, file, want string }{
		{"missing", directory + "/clusters.yml", directory + "/clusters.yml: cannot be read: no such file or directory: check --config.file"},
		{"a directory", directory, directory + ": cannot be read: is a directory: check --config.file"},
		{"without end", "/dev/zero", "/dev/zero: cannot be read: is a device, not a regular file: check --config.file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := Load(Sources{File: test.file}); err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

// A file of a few lines can stand for millions of nodes; it must be refused, or
// read, without visiting them all.
func TestAnchorsThatMultiply(t *testing.T) {
	var text strings.Builder
	text.WriteString("clusters:\n  - name: orders\n    urls: [http://connect-1:8083]\n    http_client:\n      oauth2:\n        client_id: a\n        token_url: http://login\n        claims:\n")
	text.WriteString("          a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range 12 {
		previous := "*a" + string(rune('a'+i-1))
		if i == 0 {
			previous = "*a0"
		}
		name := "a" + string(rune('a'+i))
		text.WriteString("          " + name + ": &" + name + " [" + strings.Repeat(previous+", ", 9) + previous + "]\n")
	}
	_, err := load(t, text.String())
	if err == nil {
		t.Fatal("accepted")
	}
	if !strings.Contains(err.Error(), "anchors") && !strings.Contains(err.Error(), "aliasing") {
		t.Errorf("the error does not say why: %v", err)
	}
}

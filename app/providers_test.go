package app

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/aiven/aiventest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/confluent/confluenttest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/msk/msktest"
)

// Credentials of the simulated services; none may be logged or shown.
const (
	cloudSecret   = "cloud-secret-value"
	awsSecret     = "aws-secret-value"
	aivenToken    = "aiven-token-value"
	aivenPassword = "AVNS_password-value"
)

// providers are one simulation of each service.
type providers struct {
	confluent                  *confluenttest.Service
	msk                        *msktest.Service
	aiven                      *aiventest.Service
	cloudURL, awsURL, aivenURL string // of the APIs
	connectURL                 string // of the cluster at Aiven, behind its password
	ownURL                     string // of a cluster like that, without one
}

func simulate(t *testing.T) *providers {
	t.Helper()
	serve := func(server *httptest.Server) string { t.Cleanup(server.Close); return server.URL }
	p := &providers{
		confluent: confluenttest.New("env-abc12", "lkc-xyz98", "CLOUDKEY", cloudSecret),
		msk:       msktest.New(msktest.Options{Region: "eu-west-1", AccessKeyID: "AKIATEST", SecretAccessKey: awsSecret}),
		aiven:     aiventest.New("acme", "orders-connect", aiventest.State{Type: "kafka_connect", State: "RUNNING", User: "avnadmin", Password: aivenPassword}),
	}
	p.confluent.Put(confluenttest.Connector{
		Name: "lake", ID: "lcc-1", State: "DEGRADED", Type: "sink", Config: map[string]string{"connector.class": "S3_SINK", "tasks.max": "2"},
		Tasks: []confluenttest.Task{{State: "RUNNING"}, {State: "USER_ACTIONABLE_ERROR", Message: "access key " + cloudSecret}},
	})
	p.confluent.Put(confluenttest.Connector{Name: "down", ID: "lcc-2", State: "FAILED", Type: "sink"})
	p.msk.Put(msktest.Connector{Name: "orders", State: "RUNNING", Units: 1, Workers: 2, Config: map[string]string{"connector.class": "org.example.Sink", "tasks.max": "4"}, Metrics: map[string]float64{"RunningTaskCount": 4, "ErroredTaskCount": 0, "WorkerCount": 2}},
		msktest.Connector{Name: "broken", State: "FAILED", Units: 1, Workers: 1, StateCode: "UnknownError.Unknown", StateMessage: awsSecret})
	p.aiven.Grant(aivenToken, aiventest.ReadServices, aiventest.ReadSecrets)
	behind := cluster("3.9.1")
	behind.Create(connecttest.Connector{Name: "down", Tasks: 1})
	behind.FailConnector("down", "org.example.Down: down")
	p.connectURL = serve(httptest.NewServer(p.aiven.Connect(behind.Handler(behind.Workers()[0]))))
	p.ownURL = serve(httptest.NewServer(behind.Handler(behind.Workers()[0])))
	p.aiven.Change(func(s *aiventest.State) { s.URL = p.connectURL })
	p.cloudURL = serve(httptest.NewServer(p.confluent))
	p.awsURL = serve(httptest.NewServer(p.msk))
	p.aivenURL = serve(httptest.NewServer(p.aiven))
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": awsSecret, "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": t.TempDir() + "/none", "AWS_SHARED_CREDENTIALS_FILE": t.TempDir() + "/none", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_ENDPOINT_URL_KAFKACONNECT": p.awsURL, "AWS_ENDPOINT_URL_CLOUDWATCH": p.awsURL,
	} {
		t.Setenv(name, value)
	}
	return p
}

// hidden fails the test if a secret is in a text.
func hidden(t *testing.T, where, text string) {
	t.Helper()
	for _, secret := range []string{cloudSecret, awsSecret, aivenToken, aivenPassword} {
		if strings.Contains(text, secret) {
			t.Errorf("%s shows %s", where, secret)
		}
	}
}

// noSeries fails the test if a family has series of a cluster.
func (s series) noSeries(t *testing.T, cluster string, families ...string) {
	t.Helper()
	for key := range s.of(cluster) {
		for _, family := range families {
			if strings.HasPrefix(key, family+"{") {
				t.Errorf("%s, of which nothing is known", key)
			}
		}
	}
}

var taskFamilies = []string{"kafka_connect_tasks", "kafka_connect_task_state", "kafka_connect_task_info", "kafka_connect_connector_tasks", "kafka_connect_worker_tasks", "kafka_connect_task_state_changes_total"}

// TestProvidersByFile watches one cluster of each provider beside one that
// refuses its credentials.
func TestProvidersByFile(t *testing.T) {
	p := simulate(t)
	program := start(t, Options{Sources: config.Sources{File: file(t, `
clusters:
- name: cloud
  provider: confluent-cloud
  confluent_cloud: {environment: env-abc12, cluster: lkc-xyz98, api_url: %q}
  http_client: {basic_auth: {username: CLOUDKEY, password: %s}}
- name: cloud-refused
  provider: confluent-cloud
  confluent_cloud: {environment: env-abc12, cluster: lkc-xyz98, api_url: %q}
  http_client: {basic_auth: {username: CLOUDKEY, password: wrong}}
- name: aws
  provider: msk
  msk: {region: eu-west-1, endpoint: %q, describe: true, cloudwatch: true}
- name: aws-elsewhere
  provider: msk
  msk: {region: us-east-1, endpoint: %q}
- name: aiven
  provider: aiven
  aiven: {project: acme, service: orders-connect, token: %s, api_url: %q}
- name: own
  urls: [%q]
snapshot_max_age: 0s
`, p.cloudURL, cloudSecret, p.cloudURL, p.awsURL, p.awsURL, aivenToken, p.aivenURL, p.ownURL)}})
	got := program.scrape("/metrics")
	got.want(t, series{
		`kafka_connect_up{connect_cluster="cloud"}`:                                                                                                                                  1,
		`kafka_connect_connector_state{connect_cluster="cloud",connector="lake",state="degraded"}`:                                                                                   1,
		`kafka_connect_task_state{connect_cluster="cloud",connector="lake",state="failed",task="1"}`:                                                                                 1,
		`kafka_connect_task_failure_info{connect_cluster="cloud",connector="lake",exception="USER_ACTIONABLE_ERROR",root_cause="USER_ACTIONABLE_ERROR",task="1"}`:                    1,
		`kafka_connect_connector_info{connect_cluster="cloud",connector="lake",connector_class="S3_SINK",connector_id="lcc-1",connector_type="sink",connector_version="",worker=""}`: 1,
		`kafka_connect_request_duration_seconds{call="expand",code="200",connect_cluster="cloud"}`:                                                                                   1,

		`kafka_connect_up{connect_cluster="cloud-refused"}`:                                          0,
		`kafka_connect_snapshot_errors_total{connect_cluster="cloud-refused",reason="unauthorized"}`: 1,
		`kafka_connect_up{connect_cluster="aws-elsewhere"}`:                                          0,
		`kafka_connect_snapshot_errors_total{connect_cluster="aws-elsewhere",reason="unauthorized"}`: 1,

		`kafka_connect_up{connect_cluster="aws"}`:                                                                                                           1,
		`kafka_connect_connectors{connect_cluster="aws",state="running"}`:                                                                                   1,
		`kafka_connect_connector_state{connect_cluster="aws",connector="broken",state="failed"}`:                                                            1,
		`kafka_connect_connector_reported_tasks{connect_cluster="aws",connector="orders",state="running"}`:                                                  4,
		`kafka_connect_connector_reported_workers{connect_cluster="aws",connector="orders"}`:                                                                2,
		`kafka_connect_connector_runtime_workers_max{connect_cluster="aws",connector="orders"}`:                                                             2,
		`kafka_connect_connector_failure_info{connect_cluster="aws",connector="broken",exception="UnknownError.Unknown",root_cause="UnknownError.Unknown"}`: 1,
		`kafka_connect_request_duration_seconds{call="metric_data",code="200",connect_cluster="aws"}`:                                                       1,

		`kafka_connect_up{connect_cluster="aiven"}`:                                                 1,
		`kafka_connect_resource_state{connect_cluster="aiven",state="running"}`:                     1,
		`kafka_connect_tasks{connect_cluster="aiven",state="failed"}`:                               1,
		`kafka_connect_workers{connect_cluster="aiven"}`:                                            1,
		`kafka_connect_request_duration_seconds{call="service",code="200",connect_cluster="aiven"}`: 1,
	})
	got.noSeries(t, "aws", append(taskFamilies, "kafka_connect_workers")...)
	got.noSeries(t, "cloud", "kafka_connect_workers", "kafka_connect_worker_tasks")

	tableHolds(t, got)

	p.aiven.Change(func(s *aiventest.State) { s.State = "POWEROFF" })
	program.scrape("/metrics").want(t, series{
		`kafka_connect_up{connect_cluster="aiven"}`:                              1,
		`kafka_connect_resource_state{connect_cluster="aiven",state="poweroff"}`: 1,
		`kafka_connect_resource_state{connect_cluster="aiven",state="running"}`:  0,
		`kafka_connect_connectors{connect_cluster="aiven",state="running"}`:      0,
	})
	for _, path := range []string{"/metrics", "/", "/config"} {
		hidden(t, path, program.get(path).body)
	}
	hidden(t, "the log", program.logs.String())
}

// tableHolds compares the table in docs/providers.md with what was scraped of
// clusters that have one of everything.
func tableHolds(t *testing.T, got series) {
	t.Helper()
	text, err := os.ReadFile("../docs/providers.md")
	if err != nil {
		t.Fatal(err)
	}
	columns := []string{"own", "cloud", "aws", "aiven"}
	rows := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		family := strings.Trim(cells[0], " `")
		if len(cells) != len(columns)+1 || !strings.HasPrefix(family, "kafka_connect_") {
			continue
		}
		rows[family] = true
		if family == "kafka_connect_worker_healthy" {
			continue // It is asked beside snapshots, and may come with a later scrape.
		}
		for i, cluster := range columns {
			has := false
			for key := range got.of(cluster) {
				has = has || strings.HasPrefix(key, family+"{")
			}
			if says := strings.TrimSpace(cells[i+1]); has != (says != "no") {
				t.Errorf("docs/providers.md: %s of %s: the table says %q, scraped: %v", family, cluster, says, has)
			}
		}
	}
	for _, cluster := range columns {
		for key := range got.of(cluster) {
			if family, _, _ := strings.Cut(key, "{"); !rows[family] {
				t.Errorf("docs/providers.md: the table has no row for %s, which %s gives", family, cluster)
			}
		}
	}
}

// TestEnvironmentsOfKpowUsers starts the exporter by the variables that Kpow
// documents for each service, unchanged but for the address.
func TestEnvironmentsOfKpowUsers(t *testing.T) {
	p := simulate(t)
	for _, test := range []struct {
		name    string
		environ []string
		want    series
	}{
		{"Confluent Cloud", []string{
			"CONNECT_NAME=mine", "CONNECT_AUTH=BASIC", "CONNECT_BASIC_AUTH_USER=CLOUDKEY", "CONNECT_BASIC_AUTH_PASS=" + cloudSecret,
			"CONNECT_REST_URL=" + p.cloudURL + "/connect/v1/environments/env-abc12/clusters/lkc-xyz98",
		}, series{`kafka_connect_tasks{connect_cluster="mine",state="failed"}`: 1, `kafka_connect_cluster_info{commit="",connect_cluster="mine",kafka_cluster_id="",provider="confluent-cloud",version=""}`: 1}},
		{"Confluent Cloud, observation version 1", []string{
			"CONNECT_NAME=mine", "CONNECT_AUTH=BASIC", "CONNECT_BASIC_AUTH_USER=CLOUDKEY", "CONNECT_BASIC_AUTH_PASS=" + cloudSecret, "CONNECT_OBSERVATION_VERSION=1",
			"CONNECT_REST_URL=" + p.cloudURL + "/connect/v1/environments/env-abc12/clusters/lkc-xyz98/",
		}, series{`kafka_connect_tasks{connect_cluster="mine",state="failed"}`: 1}},
		{
			"MSK Connect",
			[]string{"CONNECT_NAME=mine", "CONNECT_AWS_REGION=eu-west-1"},
			series{`kafka_connect_connectors{connect_cluster="mine",state="running"}`: 1, `kafka_connect_cluster_info{commit="",connect_cluster="mine",kafka_cluster_id="",provider="msk",version=""}`: 1},
		},
		{"Aiven, which is plain REST to Kpow", []string{
			"CONNECT_NAME=mine", "CONNECT_AUTH=BASIC", "CONNECT_BASIC_AUTH_USER=avnadmin", "CONNECT_BASIC_AUTH_PASS=" + aivenPassword, "CONNECT_REST_URL=" + p.connectURL,
		}, series{`kafka_connect_tasks{connect_cluster="mine",state="failed"}`: 1}},
		{"all at once", []string{
			"CONNECT_RESOURCE_IDS=CLOUD,AWS,AIVEN", "CLOUD_CONNECT_AUTH=BASIC", "CLOUD_CONNECT_BASIC_AUTH_USER=CLOUDKEY", "CLOUD_CONNECT_BASIC_AUTH_PASS=" + cloudSecret,
			"CLOUD_CONNECT_REST_URL=" + p.cloudURL + "/connect/v1/environments/env-abc12/clusters/lkc-xyz98", "AWS_CONNECT_AWS_REGION=eu-west-1",
			"AIVEN_CONNECT_AUTH=BASIC", "AIVEN_CONNECT_BASIC_AUTH_USER=avnadmin", "AIVEN_CONNECT_BASIC_AUTH_PASS=" + aivenPassword, "AIVEN_CONNECT_REST_URL=" + p.connectURL,
		}, series{`kafka_connect_up{connect_cluster="CLOUD"}`: 1, `kafka_connect_up{connect_cluster="AWS"}`: 1, `kafka_connect_up{connect_cluster="AIVEN"}`: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			program := start(t, Options{Sources: config.Sources{Environ: test.environ}})
			got := program.scrape("/metrics")
			got.want(t, test.want)
			for key, value := range got {
				if strings.HasPrefix(key, "kafka_connect_up{") && value != 1 {
					t.Errorf("%s = %v\n%s", key, value, program.logs)
				}
			}
			hidden(t, "the log", program.logs.String())
		})
	}
}

// TestStartupValidationOfProviders stops the start with what is to be changed.
func TestStartupValidationOfProviders(t *testing.T) {
	p := simulate(t)
	p.confluent.Forbid(true)
	err := Run(t.Context(), Options{
		Sources: config.Sources{Environ: []string{
			"CONNECT_AUTH=BASIC", "CONNECT_BASIC_AUTH_USER=CLOUDKEY", "CONNECT_BASIC_AUTH_PASS=" + cloudSecret,
			"CONNECT_REST_URL=" + p.cloudURL + "/connect/v1/environments/env-abc12/clusters/lkc-xyz98",
		}},
		ListenAddresses: []string{"127.0.0.1:0"}, Logger: slog.New(slog.DiscardHandler),
	})
	if err == nil || !strings.Contains(err.Error(), "role that may view connectors") {
		t.Errorf("error %v", err)
	}
	hidden(t, "the error", fmt.Sprint(err))
}

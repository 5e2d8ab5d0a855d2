package main

import (
	"net/http"
	"net/http/httptest"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/aiven/aiventest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/confluent/confluenttest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/msk/msktest"
)

// startProviders sets what the scripts see of each managed service: one failed
// task at Confluent Cloud, a failed connector at MSK Connect, an Aiven service
// that is powered off.
func startProviders(ts *testscript.TestScript, _ bool, _ []string) {
	serve := func(name string, handler http.Handler) string {
		server := httptest.NewServer(handler)
		ts.Defer(server.Close)
		ts.Setenv(name, server.URL)
		return server.URL
	}
	cloud := confluenttest.New("env-abc12", "lkc-xyz98", "KEY", "s3cret")
	cloud.Put(confluenttest.Connector{
		Name: "lake", ID: "lcc-1", State: "DEGRADED", Type: "sink", Config: map[string]string{"connector.class": "S3_SINK", "tasks.max": "2"},
		Tasks: []confluenttest.Task{{State: "RUNNING"}, {State: "SYSTEM_ERROR", Message: "s3cret"}},
	})
	serve("CLOUD", cloud)

	aws := msktest.New(msktest.Options{Region: "eu-west-1", AccessKeyID: "AKIATEST", SecretAccessKey: "s3cret"})
	aws.Put(msktest.Connector{Name: "orders", State: "RUNNING", Workers: 2, Units: 1},
		msktest.Connector{Name: "broken", State: "FAILED", Workers: 1, Units: 1, StateCode: "UnknownError.Unknown", StateMessage: "s3cret"})
	serve("AWS", aws)

	off := aiventest.New("acme", "orders-connect", aiventest.State{Type: "kafka_connect", State: "POWEROFF", User: "avnadmin", Password: "s3cret"})
	off.Grant("s3cret", aiventest.ReadServices, aiventest.ReadSecrets)
	cluster := connecttest.NewCluster(connecttest.Options{})
	address := serve("AIVEN_CONNECT", off.Connect(cluster.Handler(cluster.Workers()[0])))
	off.Change(func(s *aiventest.State) { s.URL = address })
	serve("AIVEN", off)

	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "s3cret", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": ts.MkAbs("none"), "AWS_SHARED_CREDENTIALS_FILE": ts.MkAbs("none"),
	} {
		ts.Setenv(name, value)
	}
}

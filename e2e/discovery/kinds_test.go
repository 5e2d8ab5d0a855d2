package discovery

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/process"
)

// connectREST answers as a Connect cluster with one connector does, to whom has
// the password if there is one.
func connectREST(password string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, got, _ := r.BasicAuth(); got != password {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/":
			fmt.Fprint(w, `{"version": "4.3.1", "commit": "c", "kafka_cluster_id": "k"}`)
		case r.URL.Path == "/connectors" && r.URL.Query().Get("expand") == "status":
			fmt.Fprint(w, `{"sink": {"status": {"name": "sink", "type": "sink", "connector": {"state": "RUNNING", "worker_id": "w:8083"}, "tasks": []}}}`)
		case r.URL.Path == "/connectors":
			fmt.Fprint(w, `{"sink": {"info": {"name": "sink", "type": "sink", "config": {"connector.class": "X"}, "tasks": []},
				"status": {"name": "sink", "type": "sink", "connector": {"state": "RUNNING", "worker_id": "w:8083"}, "tasks": []}}}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
}

// until polls the series for longer than want does, for what is not held to two
// seconds.
func (s *site) until(what string, limit time.Duration, is func(map[string]string) bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, limit)
	defer cancel()
	start := time.Now()
	if err := process.Poll(ctx, 100*time.Millisecond, s.exporter, func(ctx context.Context) error {
		all, err := s.scrape(ctx)
		if err == nil && !is(all) {
			err = errors.New("not yet")
		}
		return err
	}); err != nil {
		s.t.Fatalf("%s: %v\n%s", what, err, s.exporter.Tail(3000))
	}
	s.t.Logf("%s: after %v", what, time.Since(start).Round(10*time.Millisecond))
}

// may asks the API server whether the exporter's service account may do this.
func (s *site) may(verb, group, resource, name string) bool {
	s.t.Helper()
	body := fmt.Sprintf(`{"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
		"user": "system:serviceaccount:data:connect-kafka-connect-exporter", "resourceAttributes": {"namespace": "data", "verb": %q, "group": %q, "resource": %q, "name": %q}}}`,
		verb, group, resource, name)
	var answer struct{ Status struct{ Allowed bool } }
	s.must(json.Unmarshal(s.do(http.MethodPost, "/apis/authorization.k8s.io/v1/subjectaccessreviews", body), &answer))
	return answer.Status.Allowed
}

// install gives what is here before the exporter is: definitions and rights.
// Those of aiven.io's kafkas, of Confluent and of IBM are ours, small, after what
// their documentation says: their operators' own are not at hand.
func (s *site) install() {
	s.t.Helper()
	own := definition("aiven.io", "v1alpha1", "kafkas", "Kafka") +
		definition("platform.confluent.io", "v1beta1", "connects", "Connect") + definition("platform.confluent.io", "v1beta1", "connectors", "Connector") +
		definition("eventstreams.ibm.com", "v1beta2", "kafkaconnects", "KafkaConnect") + definition("eventstreams.ibm.com", "v1beta2", "kafkaconnectors", "KafkaConnector")
	s.create(own)
	s.established(own)
	s.access("{enabled: true, kinds: [aiven, confluent, kafkaconnects.eventstreams.ibm.com, kafkaconnectors.eventstreams.ibm.com], secretNames: [log, aiven-token]}")
}

// TestKindsAndBadDays follows the kinds that TestClustersAreFollowed does not, and
// has the API server, and who writes its resources, do what nobody wishes.
func TestKindsAndBadDays(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	s := newSite(ctx, t, "kinds", process.NewPorts(26250, 26299))
	defer s.group.Close(10 * time.Second)
	s.install()

	// The chart grants what is needed of each kind, and no more.
	for group, resources := range map[string][]string{
		"aiven.io": {"kafkaconnects", "kafkas"}, "platform.confluent.io": {"connects", "connectors"}, "eventstreams.ibm.com": {"kafkaconnects", "kafkaconnectors"},
	} {
		for _, resource := range resources {
			for verb, want := range map[string]bool{"get": true, "list": true, "watch": true, "create": false, "update": false, "patch": false, "delete": false} {
				if got := s.may(verb, group, resource, ""); got != want {
					t.Errorf("may %s %s.%s: %v", verb, resource, group, got)
				}
			}
		}
	}
	for _, test := range []struct {
		verb, name string
		want       bool
	}{{"get", "log", true}, {"get", "other", false}, {"list", "", false}, {"watch", "log", false}, {"update", "log", false}} {
		if got := s.may(test.verb, "", "secrets", test.name); got != test.want {
			t.Errorf("may %s secret %q: %v", test.verb, test.name, got)
		}
	}

	plain := httptest.NewServer(connectREST(""))
	defer plain.Close()
	cloud := httptest.NewTLSServer(connectREST("s3cret-password"))
	defer cloud.Close()
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cloud.Certificate().Raw}))
	const selectors = `
discovery:
  kubeconfig: KUBECONFIG
  kubernetes:
    - kinds: [aiven, confluent, kafkaconnects.eventstreams.ibm.com, kafkaconnectors.eventstreams.ibm.com]
      copy_labels: [team]
`
	s.token = scoutToken
	s.start("kinds", selectors)
	s.want("nothing yet", map[string]string{"kafka_connect_discovery_up": "1"})
	status := func(path, body string) { s.do(http.MethodPatch, path+"/status", body) }
	const ready = `"conditions": [{"type": "Ready", "status": "True"}]`

	// Aiven's Kafka with Connect in it: all comes from its connection Secret, which
	// comes after it.
	s.create(`{apiVersion: aiven.io/v1alpha1, kind: Kafka, metadata: {name: log, namespace: data, labels: {team: payments}}, spec: {project: acme, plan: business-4, cloudName: aws-eu-west-1, userConfig: {kafka_connect: true}}}
---
{apiVersion: aiven.io/v1alpha1, kind: Kafka, metadata: {name: without-connect, namespace: data}, spec: {project: acme, plan: business-4}}`)
	s.want("a Kafka service without its Secret", map[string]string{`kafka_connect_discovery_resources_refused{reason="secret"}`: "1"})
	address, err := url.Parse(cloud.URL)
	s.must(err)
	host, port, err := net.SplitHostPort(address.Host)
	s.must(err)
	secret, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "log", "namespace": "data"}, "stringData": map[string]string{
		"KAFKA_CONNECT_HOST": host, "KAFKA_CONNECT_PORT": port, "KAFKA_USERNAME": "avnadmin", "KAFKA_PASSWORD": "s3cret-password", "KAFKA_CA_CERT": authority,
		"KAFKA_ACCESS_KEY": "s3cret-key", "KAFKA_HOST": "kafka", "KAFKA_PORT": "9092",
	}})
	s.must(err)
	s.do(http.MethodPost, "/api/v1/namespaces/data/secrets", string(secret))
	const log = `connect_cluster="data/log",`
	// A Secret that could not be read is tried every two seconds.
	s.until("a Kafka service", 10*time.Second, func(all map[string]string) bool {
		return all[`kafka_connect_up{`+log+`team="payments"}`] == "1" && all[`kafka_connect_connector_state{`+log+`connector="sink",state="running",team="payments"}`] == "1" &&
			all[`kafka_connect_discovery_resources{group="aiven.io",kind="Kafka"}`] == "1"
	})

	// Confluent's, and a connector of it.
	s.create(`{apiVersion: platform.confluent.io/v1beta1, kind: Connect, metadata: {name: cfk, namespace: data}, spec: {replicas: 1}, status: {phase: RUNNING, restConfig: {internalEndpoint: "http://127.0.0.1:1"}}}
---
{apiVersion: platform.confluent.io/v1beta1, kind: Connector, metadata: {name: sink, namespace: data}, spec: {class: X, taskMax: 1, connectClusterRef: {name: cfk}}}`)
	s.want("Confluent's without a status, which is no part of what is created", map[string]string{`kafka_connect_discovery_resources_refused{reason="no_url"}`: "1"})
	const connects = "/apis/platform.confluent.io/v1beta1/namespaces/data/connects/cfk"
	status(connects, fmt.Sprintf(`{"status": {"phase": "RUNNING", "restConfig": {"internalEndpoint": %q}}}`, plain.URL))
	status("/apis/platform.confluent.io/v1beta1/namespaces/data/connectors/sink", `{"status": {"connectorState": "RUNNING", "failedTasksCount": 1, "trace": "s3cret-trace"}}`)
	const cfk = `connect_cluster="data/cfk"`
	s.want("Confluent's", map[string]string{
		`kafka_connect_up{` + cfk + `}`:                                                               "1",
		`kafka_connect_resource_state{` + cfk + `,state="running"}`:                                   "1",
		`kafka_connect_resource_connector_wished_state{` + cfk + `,connector="sink",state="running"}`: "1",
		`kafka_connect_resource_connector_agrees{` + cfk + `,connector="sink"}`:                       "1",
		`kafka_connect_discovery_resources{group="platform.confluent.io",kind="Connector"}`:           "1",
		`kafka_connect_resource_connector_ready{` + cfk + `,connector="sink",status="False"}`:         "1",
	})

	// IBM's: Strimzi's shape, with labels of its own.
	s.create(`{apiVersion: eventstreams.ibm.com/v1beta2, kind: KafkaConnect, metadata: {name: ibm, namespace: data}, spec: {replicas: 1, bootstrapServers: "kafka:9092"}}
---
{apiVersion: eventstreams.ibm.com/v1beta2, kind: KafkaConnector, metadata: {name: sink, namespace: data, labels: {eventstreams.ibm.com/cluster: ibm}}, spec: {class: X, tasksMax: 1, state: paused}}`)
	const ibms = "/apis/eventstreams.ibm.com/v1beta2/namespaces/data/kafkaconnects/"
	status(ibms+"ibm", fmt.Sprintf(`{"status": {"url": %q, %s}}`, plain.URL, ready))
	const ibm = `connect_cluster="data/ibm"`
	s.want("IBM's", map[string]string{
		`kafka_connect_up{` + ibm + `}`:                                                       `1`,
		`kafka_connect_resource_state{` + ibm + `,state="running"}`:                           "1",
		`kafka_connect_resource_connector_agrees{` + ibm + `,connector="sink"}`:               "0",
		`kafka_connect_discovery_resources{group="eventstreams.ibm.com",kind="KafkaConnect"}`: "1",
	})

	// An address that comes and goes, many times: the last one counts.
	for range 20 {
		status(ibms+"ibm", `{"status": {"url": null}}`)
		status(ibms+"ibm", `{"status": {"url": "http://127.0.0.1:1"}}`)
	}
	status(ibms+"ibm", fmt.Sprintf(`{"status": {"url": %q}}`, plain.URL))
	s.want("an address that flaps", map[string]string{`kafka_connect_up{` + ibm + `}`: "1", `kafka_connect_discovery_resources_refused{reason="no_url"}`: "0"})

	// Two of one name: both stay out until one of them has gone.
	s.create(`{apiVersion: eventstreams.ibm.com/v1beta2, kind: KafkaConnect, metadata: {name: cfk, namespace: data}, spec: {replicas: 0}}`)
	s.want("two of one name", map[string]string{`kafka_connect_up{` + cfk + `}`: "", `kafka_connect_discovery_resources_refused{reason="name_conflict"}`: "2", `kafka_connect_up{` + ibm + `}`: "1"})
	s.do(http.MethodDelete, ibms+"cfk", "")
	s.want("one of one name", map[string]string{`kafka_connect_up{` + cfk + `}`: "1", `kafka_connect_discovery_resources_refused{reason="name_conflict"}`: "0"})

	// Addresses that are none, or of somebody else, cost their own cluster.
	for name, address := range map[string]string{
		"file": "file:///etc/passwd", "lines": "http://a\n.b", "user": "http://scout:s3cret-url@127.0.0.1:1", "metadata": "http://169.254.10.10:1/latest",
	} {
		s.create(fmt.Sprintf(`{apiVersion: eventstreams.ibm.com/v1beta2, kind: KafkaConnect, metadata: {name: %s, namespace: data, labels: {team: s}, annotations: {huge: %q}}, spec: {replicas: 1}}`, name, strings.Repeat("x", 200<<10)))
		body, err := json.Marshal(map[string]any{"status": map[string]any{"url": address, "conditions": []any{map[string]any{"type": "Re\nady\"", "status": "s3cret" + strings.Repeat("y", 300)}}}})
		s.must(err)
		status(ibms+name, string(body))
	}
	s.want("hostile addresses", map[string]string{
		`kafka_connect_discovery_resources_refused{reason="settings"}`: "3",
		`kafka_connect_up{connect_cluster="data/user",team="s"}`:       "0",
		`kafka_connect_up{` + ibm + `}`:                                "1",
	})

	// A resource that is being deleted is watched until it has gone.
	s.do(http.MethodPatch, ibms+"ibm", `{"metadata": {"finalizers": ["example.org/wait"]}}`)
	s.do(http.MethodDelete, ibms+"ibm", "")
	status(ibms+"ibm", `{"status": {"conditions": [{"type": "Ready", "status": "False"}]}}`)
	s.want("being deleted", map[string]string{`kafka_connect_up{` + ibm + `}`: "1", `kafka_connect_resource_state{` + ibm + `,state="not_ready"}`: "1"})
	s.do(http.MethodPatch, ibms+"ibm", `{"metadata": {"finalizers": null}}`)
	s.want("deleted", map[string]string{`kafka_connect_up{` + ibm + `}`: ""})

	// The API server is another one now: without the resources of before, and their
	// definitions, and rights. Clusters stay while it tells nothing, and are those
	// of the new one when it does.
	s.must(s.server.Replace(ctx))
	s.create("{apiVersion: v1, kind: Namespace, metadata: {name: data}}")
	s.until("an API server that grants nothing", 60*time.Second, func(all map[string]string) bool {
		return all["kafka_connect_discovery_up"] == "0" && all[`kafka_connect_up{`+cfk+`}`] == "1"
	})
	s.install()
	s.create(`{apiVersion: platform.confluent.io/v1beta1, kind: Connect, metadata: {name: new, namespace: data}, spec: {replicas: 1}}`)
	status("/apis/platform.confluent.io/v1beta1/namespaces/data/connects/new", fmt.Sprintf(`{"status": {"phase": "RUNNING", "restConfig": {"internalEndpoint": %q}}}`, plain.URL))
	s.until("another API server", 60*time.Second, func(all map[string]string) bool {
		return all["kafka_connect_discovery_up"] == "1" && all[`kafka_connect_up{connect_cluster="data/new"}`] == "1" && all[`kafka_connect_up{`+cfk+`}`] == ""
	})

	// Nothing secret came out.
	text, err := os.ReadFile(s.exporter.Log)
	s.must(err)
	all, err := s.scrape(ctx)
	s.must(err)
	for _, word := range []string{"s3cret", scoutToken, "PRIVATE", "BEGIN CERTIFICATE"} {
		if strings.Contains(string(text), word) || strings.Contains(fmt.Sprint(all), word) {
			t.Errorf("%q came out", word)
		}
	}
}

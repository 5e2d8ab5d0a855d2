// Package discovery follows clusters through a real Kubernetes API server, with
// the rights that the chart grants: a real Kafka Connect worker stands behind a
// Strimzi resource, a simulated Aiven API behind Aiven's.
package discovery

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kafka"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kubernetes"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/process"
)

const (
	namespace = "data"
	// scout is a user whom every API server knows by scoutToken, with the rights of
	// the service account once access has given these.
	scout, scoutToken = "scout", "t0ken-of-scout"
	// follows is how soon a change shows on /metrics; a machine that does much
	// else at once gets more.
	follows = 2 * time.Second
	slack   = 3 * time.Second
)

// TestMain runs from the suite's folder, as all of its packages do.
func TestMain(m *testing.M) {
	if err := os.Chdir(".."); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// site is everything that runs.
type site struct {
	t        *testing.T
	ctx      context.Context
	group    *process.Group
	ports    *process.Ports
	server   *kubernetes.Server
	token    string // of the exporter's service account
	exporter *process.Process
	binary   string // of the exporter
	address  string
	folder   string
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// do asks the API server as its administrator.
func (s *site) do(method, path, body string) []byte {
	s.t.Helper()
	text, err := s.server.Do(s.ctx, method, path, []byte(body))
	s.must(err)
	return text
}

func (s *site) create(manifest string) {
	s.t.Helper()
	for _, o := range objects(s.t, []byte(manifest)) {
		s.must(s.server.Create(s.ctx, o))
	}
}

func objects(t *testing.T, text []byte) (all []map[string]any) {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var o map[string]any
		if err := decoder.Decode(&o); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if len(o) > 0 {
			all = append(all, o)
		}
	}
}

// scrape returns the exporter's series, "name{labels}" → value as text.
func (s *site) scrape(ctx context.Context) (map[string]string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for line := range strings.SplitSeq(string(text), "\n") {
		if i := strings.LastIndexByte(line, ' '); i > 0 && !strings.HasPrefix(line, "#") {
			all[line[:i]] = line[i+1:]
		}
	}
	return all, nil
}

// want waits until series have values ("" is: there is none), and says how long
// it took.
func (s *site) want(what string, series map[string]string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, follows+slack)
	defer cancel()
	start := time.Now()
	if err := process.Poll(ctx, 50*time.Millisecond, s.exporter, func(ctx context.Context) error {
		all, err := s.scrape(ctx)
		if err != nil {
			return err
		}
		for name, value := range series {
			if all[name] != value {
				return fmt.Errorf("%s is %q, want %q", name, all[name], value)
			}
		}
		return nil
	}); err != nil {
		all, _ := s.scrape(s.ctx)
		for name, value := range all {
			if strings.Contains(name, "resource") || strings.Contains(name, "discovery") || strings.HasPrefix(name, "kafka_connect_up") {
				s.t.Log(name, value)
			}
		}
		s.t.Fatalf("%s: %v\n%s", what, err, s.exporter.Tail(3000))
	}
	s.t.Logf("%s %s: followed after %v", time.Now().Format("15:04:05"), what, time.Since(start).Round(10*time.Millisecond))
}

// definitions installs the operators' own where they lie beside the checkout,
// else small ones of the same names.
func (s *site) definitions(own string, shipped ...string) {
	s.t.Helper()
	for _, name := range shipped {
		content, err := os.ReadFile(filepath.Join("..", "..", "shared", "crds", name))
		if err != nil {
			s.t.Logf("%s does not lie beside the checkout: a small definition stands in", name)
			s.create(own)
			s.established(own)
			return
		}
		s.create(string(content))
	}
	s.established(own)
}

// established waits until the kinds of definitions are served.
func (s *site) established(definitions string) {
	s.t.Helper()
	for _, o := range objects(s.t, []byte(definitions)) {
		spec := o["spec"].(map[string]any)
		plural := spec["names"].(map[string]any)["plural"].(string)
		group := spec["group"].(string)
		version := spec["versions"].([]any)[0].(map[string]any)["name"].(string)
		s.must(process.Poll(s.ctx, 50*time.Millisecond, nil, func(ctx context.Context) error {
			text, err := s.server.Do(ctx, http.MethodGet, "/apis/"+group+"/"+version, nil)
			if err == nil && !bytes.Contains(text, []byte(`"`+plural+`"`)) {
				err = fmt.Errorf("%s is not served yet", plural)
			}
			return err
		}))
	}
}

// definition is a small one: anything goes in it.
func definition(group, version, plural, kind string) string {
	return fmt.Sprintf(`
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[3]s.%[1]s}
spec:
  group: %[1]s
  scope: Namespaced
  names: {kind: %[4]s, plural: %[3]s, singular: %[5]s}
  versions:
    - name: %[2]s
      served: true
      storage: true
      subresources: {status: {}}
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`, group, version, plural, kind, strings.ToLower(kind))
}

// access gives the exporter's service account what the chart grants with these
// values, and a token.
func (s *site) access(discovery string) {
	s.t.Helper()
	helm, err := e2e.Tool(s.ctx, "helm")
	s.must(err)
	values := filepath.Join(s.folder, "values.yaml")
	s.must(os.WriteFile(values, []byte("discovery: "+discovery), 0o600))
	rendered, err := exec.CommandContext(s.ctx, filepath.Join(helm, "helm"), "template", "connect",
		"../deploy/helm/kafka-connect-exporter", "--namespace", namespace, "--values", values).Output()
	s.must(err)
	account := ""
	for _, o := range objects(s.t, rendered) {
		switch o["kind"] {
		case "ServiceAccount":
			account = o["metadata"].(map[string]any)["name"].(string)
			s.must(s.server.Create(s.ctx, o))
		case "RoleBinding":
			o["subjects"] = append(o["subjects"].([]any), map[string]any{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": scout})
			s.must(s.server.Create(s.ctx, o))
		case "Role":
			s.must(s.server.Create(s.ctx, o))
		}
	}
	var answer struct{ Status struct{ Token string } }
	s.must(json.Unmarshal(s.do(http.MethodPost, "/api/v1/namespaces/"+namespace+"/serviceaccounts/"+account+"/token",
		`{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}`), &answer))
	s.token = answer.Status.Token
}

// start runs the exporter with a configuration in which KUBECONFIG stands for
// the file that leads to the API server.
func (s *site) start(name, configuration string) {
	s.t.Helper()
	s.must(os.WriteFile(filepath.Join(s.folder, "token"), []byte(s.token), 0o600))
	kubeconfig := filepath.Join(s.folder, "kubeconfig")
	s.must(os.WriteFile(kubeconfig, []byte(fmt.Sprintf(`
apiVersion: v1
kind: Config
clusters: [{name: x, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: x, user: {tokenFile: %q}}]
contexts: [{name: x, context: {cluster: x, user: x, namespace: %s}}]
current-context: x
`, s.server.URL, s.server.CAFile, filepath.Join(s.folder, "token"), namespace)), 0o600))
	file := filepath.Join(s.folder, name+".yml")
	s.must(os.WriteFile(file, []byte(strings.ReplaceAll(configuration, "KUBECONFIG", kubeconfig)), 0o600))
	port, err := s.ports.Next()
	s.must(err)
	s.address = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	s.exporter, err = s.group.Start("exporter-"+name, []string{s.binary, "--config.file=" + file, "--web.listen-address=" + s.address, "--log.level=debug"})
	s.must(err)
	s.must(process.Poll(s.ctx, 50*time.Millisecond, s.exporter, func(ctx context.Context) error {
		_, err := s.scrape(ctx)
		return err
	}))
}

// aivenAPI answers as Aiven's API does for one service, whose Connect is at an
// address; only to the token that is right now.
type aivenAPI struct {
	connect *url.URL

	mu     sync.Mutex
	token  string
	refuse int
}

func (a *aivenAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.Header.Get("Authorization") != "aivenv1 "+a.token {
		a.refuse++
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"message": "Invalid token"}`)
		return
	}
	if r.URL.Path != "/v1/project/my-aiven-project/service/my-kafka-connect" {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"message": "Service does not exist"}`)
		return
	}
	port, _ := strconv.Atoi(a.connect.Port())
	fmt.Fprintf(w, `{"service": {"service_name": "my-kafka-connect", "service_type": "kafka_connect", "state": "RUNNING",
		"service_uri": %q, "service_uri_params": {"host": %q, "port": %q, "user": "avnadmin", "password": "s3cret"},
		"users": [{"username": "avnadmin", "password": "s3cret", "type": "primary"}],
		"components": [{"component": "kafka_connect", "host": %q, "port": %d, "route": "public", "usage": "primary", "ssl": false}]}}`,
		"http://avnadmin:s3cret@"+a.connect.Host, a.connect.Hostname(), a.connect.Port(), a.connect.Hostname(), port)
}

// example is the KafkaConnect of the documentation of Aiven's operator.
const example = `
apiVersion: aiven.io/v1alpha1
kind: KafkaConnect
metadata:
  name: my-kafka-connect
  namespace: data
spec:
  authSecretRef:
    name: aiven-token
    key: token
  tags:
    env: test
    instance: foo
  project: my-aiven-project
  cloudName: google-europe-west1
  plan: business-4
  userConfig:
    kafka_connect:
      consumer_isolation_level: read_committed
    public_access:
      kafka_connect: true
    ip_filter:
      - network: 0.0.0.0/32
        description: bar
      - network: 10.20.0.0/16
`

// many creates resources without workers, in the shape of Strimzi, and waits for
// their clusters.
func (s *site) many(n int) {
	s.t.Helper()
	for i := range n {
		s.create(fmt.Sprintf(`{apiVersion: kafka.strimzi.io/v1, kind: KafkaConnect, metadata: {name: many-%d, namespace: data},
			spec: {replicas: 0, bootstrapServers: "kafka:9092", groupId: g, configStorageTopic: c, statusStorageTopic: s, offsetStorageTopic: o}}`, i))
	}
	start := time.Now()
	const counted = `kafka_connect_discovery_resources{group="kafka.strimzi.io",kind="KafkaConnect"}`
	s.must(process.Poll(s.ctx, 200*time.Millisecond, s.exporter, func(ctx context.Context) error {
		all, err := s.scrape(ctx)
		if err == nil && (all[counted] != strconv.Itoa(n) || all[fmt.Sprintf(`kafka_connect_up{connect_cluster="data/many-%d"}`, n-1)] != "1") {
			err = fmt.Errorf("%s resources are known of %d", all[counted], n)
		}
		return err
	}))
	all, err := s.scrape(s.ctx)
	s.must(err)
	s.t.Logf("%d resources: all watched %v after the last was created, %s bytes resident", n, time.Since(start).Round(10*time.Millisecond), all["process_resident_memory_bytes"])
}

// newSite starts the API server, with the namespace; logs are kept below name.
func newSite(ctx context.Context, t *testing.T, name string, ports *process.Ports) *site {
	t.Helper()
	group, err := process.NewGroup(filepath.Join("..", ".e2e", "logs", name))
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, ctx: ctx, group: group, ports: ports, folder: t.TempDir()}
	s.binary, err = e2e.BuildExporter(ctx, s.folder)
	s.must(err)
	var tools kubernetes.Tools
	tools.Kubernetes, err = e2e.Tool(ctx, "kubernetes")
	s.must(err)
	tools.Etcd, err = e2e.Tool(ctx, "etcd")
	s.must(err)
	s.server, err = kubernetes.Start(ctx, group, s.ports, tools, filepath.Join(s.folder, "kubernetes"), map[string]string{scoutToken: scout})
	s.must(err)
	s.create("{apiVersion: v1, kind: Namespace, metadata: {name: data}}")
	return s
}

func TestClustersAreFollowed(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	s := newSite(ctx, t, "discovery", process.NewPorts(26200, 26249))
	defer s.group.Close(10 * time.Second)
	group := s.group
	s.access("{enabled: true, kinds: [strimzi, aiven], secretNames: [aiven-token]}")

	// A real worker, with a connector that runs.
	broker, err := kafka.StartBroker(ctx, group, s.ports, filepath.Join(s.folder, "broker"), "4.3.1")
	s.must(err)
	port, err := s.ports.Next()
	s.must(err)
	worker := kafka.NewWorker(group, kafka.WorkerOptions{
		Version: "4.3.1", Port: port, Bootstrap: broker.Address, Group: "stream",
		Directory: filepath.Join(s.folder, "worker"),
	})
	s.must(kafka.StartReady(ctx, worker))
	s.must(worker.Create(ctx, kafka.Connector{Name: "orders-source", Config: map[string]any{
		"connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector", "tasks.max": "1", "topic": "orders", "file": "/etc/hostname",
	}}))

	// Of the definitions some are there when the exporter starts.
	s.definitions(definition("aiven.io", "v1alpha1", "kafkaconnects", "KafkaConnect"), "aiven.io_kafkaconnects.yaml")
	api := &aivenAPI{connect: worker.URL, token: "t0ken-of-monday"}
	cloud := httptest.NewServer(api)
	defer cloud.Close()
	secret := func(method, token string) {
		path := "/api/v1/namespaces/data/secrets"
		if method == http.MethodPut {
			path += "/aiven-token"
		}
		s.do(method, path, fmt.Sprintf(`{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "aiven-token", "namespace": "data"}, "stringData": {"token": %q}}`, token))
	}
	secret(http.MethodPost, "t0ken-of-monday")
	s.start("kubernetes", fmt.Sprintf(`
discovery:
  kubeconfig: KUBECONFIG
  kubernetes:
    - kinds: [strimzi, aiven]
      copy_labels: [env]
      aiven: {api_url: %q}
`, cloud.URL))
	s.want("nothing yet", map[string]string{"kafka_connect_discovery_up": "1"})

	// Aiven's, as its documentation has it.
	s.create(example)
	const mine = `connect_cluster="data/my-kafka-connect"`
	s.want("the example", map[string]string{
		`kafka_connect_up{` + mine + `,env="test"}`:                                                                            "1",
		`kafka_connect_connector_state{` + mine + `,connector="orders-source",env="test",state="running"}`:                     "1",
		`kafka_connect_discovery_resources{group="aiven.io",kind="KafkaConnect"}`:                                              "1",
		`kafka_connect_worker_setting_info{` + mine + `,env="test",setting="consumer_isolation_level",value="read_committed"}`: "1",
		`kafka_connect_worker_setting{` + mine + `,env="test",setting="session_timeout_seconds"}`:                              "10",
	})
	merge := func(path, body string) { s.do(http.MethodPatch, path, body) }
	const path = "/apis/aiven.io/v1alpha1/namespaces/data/kafkaconnects/my-kafka-connect"
	info := func(plan, powered string) string {
		return fmt.Sprintf(`kafka_connect_resource_info{cloud_name="google-europe-west1",%s,env="test",group="aiven.io",kind="KafkaConnect",maintenance_window="",plan=%q,powered=%q,project="my-aiven-project",resource_name="my-kafka-connect",resource_namespace="data",termination_protection="false"}`, mine, plan, powered)
	}
	merge(path, `{"spec": {"plan": "premium-6"}}`)
	s.want("another plan", map[string]string{info("premium-6", "true"): "1", info("business-4", "true"): ""})

	// The token rotates: the API refuses the old one from now on.
	secret(http.MethodPut, "t0ken-of-tuesday")
	api.mu.Lock()
	api.token = "t0ken-of-tuesday"
	api.mu.Unlock()

	// Strimzi's definitions come later.
	s.definitions(definition("kafka.strimzi.io", "v1", "kafkaconnects", "KafkaConnect")+
		definition("kafka.strimzi.io", "v1", "kafkaconnectors", "KafkaConnector")+
		definition("kafka.strimzi.io", "v1", "kafkamirrormaker2s", "KafkaMirrorMaker2"),
		"strimzi-041-Crd-kafkaconnect.yaml", "strimzi-047-Crd-kafkaconnector.yaml", "strimzi-048-Crd-kafkamirrormaker2.yaml")
	s.create(`
apiVersion: kafka.strimzi.io/v1
kind: KafkaConnect
metadata: {name: stream, namespace: data}
spec: {replicas: 1, bootstrapServers: "kafka:9092", groupId: stream, configStorageTopic: c, statusStorageTopic: s, offsetStorageTopic: o}
---
apiVersion: kafka.strimzi.io/v1
kind: KafkaConnector
metadata: {name: orders-source, namespace: data, labels: {strimzi.io/cluster: stream}}
spec: {class: org.apache.kafka.connect.file.FileStreamSourceConnector, tasksMax: 1, state: paused, autoRestart: {enabled: true, maxRestarts: 3}}
`)
	// A definition that comes later is looked for every five seconds.
	s.must(process.Poll(ctx, 200*time.Millisecond, s.exporter, func(ctx context.Context) error {
		all, err := s.scrape(ctx)
		if err == nil && all[`kafka_connect_discovery_resources_refused{reason="no_url"}`] != "1" {
			err = errors.New("the resource without an address is not told")
		}
		return err
	}))
	const stream = `connect_cluster="data/stream"`
	streams := "/apis/kafka.strimzi.io/v1/namespaces/data/kafkaconnects/stream"
	merge(streams+"/status", fmt.Sprintf(`{"status": {"url": %q, "replicas": 1, "conditions": [{"type": "Ready", "status": "True"}]}}`, worker.URL))
	s.want("Strimzi's", map[string]string{
		`kafka_connect_up{` + stream + `}`: "1",
		`kafka_connect_connector_state{` + stream + `,connector="orders-source",state="running"}`:                "1",
		`kafka_connect_resource_state{` + stream + `,state="running"}`:                                           "1",
		`kafka_connect_resource_condition{` + stream + `,status="True",type="Ready"}`:                            "1",
		`kafka_connect_resource_connector_wished_state{` + stream + `,connector="orders-source",state="paused"}`: "1",
		`kafka_connect_resource_connector_agrees{` + stream + `,connector="orders-source"}`:                      "0",
		`kafka_connect_resource_auto_restarts{` + stream + `,connector="orders-source"}`:                         "0",
		`kafka_connect_discovery_resources_refused{reason="no_url"}`:                                             "0",
	})
	merge("/apis/kafka.strimzi.io/v1/namespaces/data/kafkaconnectors/orders-source", `{"spec": {"state": "running"}}`)
	s.want("a wish that is fulfilled", map[string]string{`kafka_connect_resource_connector_agrees{` + stream + `,connector="orders-source"}`: "1"})

	// The API server is restarted: nothing is lost meanwhile, and what changed is
	// seen afterwards.
	s.server.Stop()
	s.want("without an API server", map[string]string{`kafka_connect_up{` + stream + `}`: "1", "kafka_connect_discovery_up": "0"})
	s.must(s.server.Restart(ctx))
	merge(streams, `{"spec": {"replicas": 0}}`)
	s.must(process.Poll(ctx, 200*time.Millisecond, s.exporter, func(ctx context.Context) error {
		all, err := s.scrape(ctx)
		if err == nil && (all["kafka_connect_discovery_up"] != "1" || all[`kafka_connect_resource_state{`+stream+`,state="stopped"}`] != "1") {
			err = errors.New("the API server is back, and the change not seen")
		}
		return err
	}))
	s.want("0 replicas", map[string]string{`kafka_connect_up{` + stream + `}`: "1", `kafka_connect_connectors{` + stream + `,state="running"}`: "0"})

	// By now the new token is in use.
	s.want("a rotated token", map[string]string{`kafka_connect_up{` + mine + `,env="test"}`: "1"})

	// Two resources that would get one name, in a configuration that asks for it,
	// are told of in the unit tests; here one is powered off and one deleted.
	merge(path, `{"spec": {"powered": false}}`)
	s.want("powered off", map[string]string{
		info("premium-6", "false"): "1", `kafka_connect_up{` + mine + `,env="test"}`: "1",
		`kafka_connect_resource_state{` + mine + `,env="test",state="poweroff"}`: "1",
	})
	s.do(http.MethodDelete, streams, "")
	s.want("deleted", map[string]string{`kafka_connect_up{` + stream + `}`: "", `kafka_connect_discovery_resources{group="kafka.strimzi.io",kind="KafkaConnect"}`: "0"})

	// Rights that are missing are named.
	text := s.do(http.MethodGet, "/apis/rbac.authorization.k8s.io/v1/namespaces/data/rolebindings", "")
	s.do(http.MethodDelete, "/apis/rbac.authorization.k8s.io/v1/namespaces/data/rolebindings", "")
	s.server.Stop() // Watches outlive a right; a server that is restarted asks anew.
	s.must(s.server.Restart(ctx))
	s.must(process.Poll(ctx, 200*time.Millisecond, s.exporter, func(context.Context) error {
		log, err := os.ReadFile(s.exporter.Log)
		if err == nil && !bytes.Contains(log, []byte("may not list kafkaconnects.kafka.strimzi.io in namespace data")) {
			err = errors.New("the missing right is not named in the log")
		}
		return err
	}))
	s.want("without rights", map[string]string{"kafka_connect_discovery_up": "0", `kafka_connect_resource_state{` + mine + `,env="test",state="poweroff"}`: "1"})
	var list struct{ Items []map[string]any }
	s.must(json.Unmarshal(text, &list))
	for _, binding := range list.Items {
		binding["apiVersion"], binding["kind"] = "rbac.authorization.k8s.io/v1", "RoleBinding"
		delete(binding["metadata"].(map[string]any), "resourceVersion")
		delete(binding["metadata"].(map[string]any), "uid")
		s.must(s.server.Create(ctx, binding))
	}

	// Two thousand resources: all are seen, and the exporter stays small. Half of
	// them want no workers, so that nothing is asked of them.
	s.many(2000)

	// Nothing secret came out, and nothing but get, list and watch was sent.
	log, err := os.ReadFile(s.exporter.Log)
	s.must(err)
	all, err := s.scrape(ctx)
	s.must(err)
	for _, word := range []string{"s3cret", "t0ken", s.token} {
		if bytes.Contains(log, []byte(word)) || strings.Contains(fmt.Sprint(all), word) {
			t.Errorf("%q came out", word)
		}
	}
}

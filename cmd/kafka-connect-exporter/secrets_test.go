//go:build unix

package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sync/errgroup"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/aiven/aiventest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/confluent/confluenttest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/msk/msktest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/internal/testlog"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/kafka/kafkatest"
)

// A vault makes secrets, each marked with the place where it stands, notes which
// of them were sent where they belong, and looks for all of them elsewhere.
type vault struct {
	t     *testing.T
	mu    sync.RWMutex
	forms map[string]string // what would give a secret away, with its place
	seen  sync.Map          // places whose secret arrived at a server
}

func newVault(t *testing.T) *vault {
	return &vault{t: t, forms: map[string]string{}}
}

// secret is the secret of a place.
func (v *vault) secret(place string) string {
	secret := "zq7" + strings.ReplaceAll(place, " ", "-") + "7qz"
	v.keep(place, secret)
	return secret
}

// keep looks for a secret that was made elsewhere, and for what is left of it in
// base64, wherever in a longer text it stands.
func (v *vault) keep(place, secret string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.forms[strings.ToLower(secret)] = place
	for offset := range 3 {
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", offset) + secret))
		v.forms[strings.ToLower(encoded[4:len(encoded)-4])] = place + ", in base64"
	}
}

// file writes the secret of a place to a file, with the line break that editors
// leave.
func (v *vault) file(place string) string {
	name := filepath.Join(v.t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(v.secret(place)+"\n"), 0o600); err != nil {
		v.t.Fatal(err)
	}
	return name
}

// shown calls found for each place whose secret a text gives away.
func (v *vault) shown(text string, found func(place string, at, length int)) {
	text = strings.ToLower(text)
	v.mu.RLock()
	defer v.mu.RUnlock()
	for form, place := range v.forms {
		if at := strings.Index(text, form); at >= 0 {
			found(place, at, len(form))
		}
	}
}

// search fails the test where a text gives a secret away.
func (v *vault) search(output, text string) {
	v.t.Helper()
	v.shown(text, func(place string, at, length int) {
		v.t.Errorf("%s shows the secret of: %s\n%q", output, place, text[max(0, at-200):min(len(text), at+length+50)])
	})
}

// serve starts a server that notes the secrets it is sent.
func (v *vault) serve(handler http.Handler) string {
	server := httptest.NewServer(v.noting(handler))
	v.t.Cleanup(server.Close)
	return server.URL
}

func (v *vault) noting(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		var text strings.Builder
		_ = r.Header.Write(&text)
		user, password, _ := r.BasicAuth()
		_, _ = fmt.Fprint(&text, r.URL, user, password, string(body))
		if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
			text.WriteString(r.TLS.PeerCertificates[0].Subject.CommonName)
		}
		v.shown(text.String(), func(place string, _, _ int) { v.seen.Store(strings.TrimSuffix(place, ", in base64"), true) })
		handler.ServeHTTP(w, r)
	})
}

// worker is one of a cluster that has secrets in its connectors' configurations
// and in what they failed with.
func (v *vault) worker(faults ...connecttest.Fault) string {
	c := connecttest.NewCluster(connecttest.Options{})
	c.Create(connecttest.Connector{Name: "source", Class: "org.example.Source", Type: "source", Tasks: 2, Config: map[string]string{
		"owner.team": "payments", "database.password": v.secret("configuration of a connector"),
		"connection.url": "jdbc:x://u:" + v.secret("address in a connector's configuration") + "@db",
	}})
	trace := func(place string) string {
		return connecttest.Trace(
			connecttest.Cause{Class: "org.example.Failed", Message: "refused: " + v.secret("message of a "+place)},
			connecttest.Cause{Class: "java.sql.SQLException", Message: "line one\nCaused by: " + v.secret("second line of the message of a "+place) + ": x"})
	}
	c.FailTask("source", 1, trace("task"))
	c.Create(connecttest.Connector{Name: "sink", Class: "org.example.Sink", Type: "sink", Tasks: 1})
	c.FailConnector("sink", trace("connector"))
	for _, fault := range faults {
		c.SetFault(connecttest.Match{}, fault)
	}
	return v.serve(c.Handler(c.Workers()[0]))
}

// tokens is a token endpoint.
func (v *vault) tokens() string {
	return v.serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, v.secret("access token"))
	}))
}

// pair writes a certificate of 127.0.0.1 and its key, and keeps the key.
func (v *vault) pair(directory string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		v.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		v.t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		v.t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: certificate}, "key.pem": {Type: "EC PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(directory, name), pem.EncodeToMemory(block), 0o600); err != nil {
			v.t.Fatal(err)
		}
	}
	v.forms[strings.ToLower(base64.StdEncoding.EncodeToString(private)[8:48])] = "key of a certificate"
}

// kubernetes is an API server with secrets in resources and in Secrets.
func (v *vault) kubernetes(worker string) string {
	// What somebody put where only names belong, and what operators copy.
	object := func(api, kind, name, rest string) string {
		return fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":%q,"namespace":"data","resourceVersion":"1","labels":{"team":"payments"},"annotations":{"kubectl.kubernetes.io/last-applied-configuration":%q}},%s}`,
			api, kind, name, v.secret("annotation of a resource"), rest)
	}
	lists := map[string]string{
		"kafka.strimzi.io/kafkaconnects": object("kafka.strimzi.io/v1", "KafkaConnect", "stream", fmt.Sprintf(`"spec":{"replicas":1,"bootstrapServers":"127.0.0.1:1","config":{"x.password":%q}},"status":{"url":%q,"conditions":[{"type":"Ready","status":"False","reason":"x","message":%q}]}`,
			v.secret("spec of a resource"), worker, v.secret("condition of a resource"))) + "," +
			object("kafka.strimzi.io/v1", "KafkaConnect", "userinfo", fmt.Sprintf(`"spec":{"replicas":1},"status":{"url":"http://u:%s@127.0.0.1:1"}`, v.secret("URL of a resource"))),
		"kafka.strimzi.io/kafkaconnectors": object("kafka.strimzi.io/v1", "KafkaConnector", "one", fmt.Sprintf(`"spec":{"class":"org.example.Source","config":{"password":%q}},"status":{"connectorStatus":{"name":"one","connector":{"state":"FAILED","trace":%q}}}`,
			v.secret("spec of a connector's resource"), v.secret("trace in a resource"))),
		"aiven.io/kafkaconnects": object("aiven.io/v1alpha1", "KafkaConnect", "managed", `"spec":{"project":"acme","plan":"p","authSecretRef":{"name":"aiven","key":"token"}}`),
		"aiven.io/kafkas":        object("aiven.io/v1alpha1", "Kafka", "log", `"spec":{"project":"acme","plan":"p","userConfig":{"kafka_connect":true},"connInfoSecretTarget":{"name":"log"}}`),
	}
	encoded := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	secrets := map[string]string{
		"aiven": fmt.Sprintf(`"token":%q`, encoded(v.secret("token in a Secret"))),
		"log": fmt.Sprintf(`"KAFKA_CONNECT_HOST":%q,"KAFKA_CONNECT_PORT":%q,"KAFKA_USERNAME":%q,"KAFKA_PASSWORD":%q`,
			encoded("127.0.0.1"), encoded("1"), encoded("avnadmin"), encoded(v.secret("password in a Secret"))),
	}
	// Tokens are sent by TLS alone.
	server := httptest.NewTLSServer(v.noting(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Warning", `299 - "`+v.secret("warning of the API server")+`"`)
		parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
		status := func(code int, reason string) {
			w.WriteHeader(code)
			_, _ = fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","code":%d,"reason":%q,"message":%q}`, code, reason, v.secret("error of the API server"))
		}
		switch {
		case len(parts) == 6 && parts[4] == "secrets" && secrets[parts[5]] != "":
			_, _ = fmt.Fprintf(w, `{"kind":"Secret","apiVersion":"v1","metadata":{"name":%q},"data":{%s}}`, parts[5], secrets[parts[5]])
		case len(parts) == 3 && strings.Contains(parts[1], "confluent"):
			status(http.StatusForbidden, "Forbidden")
		case len(parts) == 3:
			_, _ = fmt.Fprintf(w, `{"kind":"APIResourceList","resources":[{"name":"kafkaconnects"},{"name":"kafkaconnectors"},{"name":"kafkas"}]}`)
		case r.URL.Query().Has("sendInitialEvents"):
			status(http.StatusBadRequest, "Invalid")
		case r.URL.Query().Get("watch") != "":
			status(http.StatusInternalServerError, "InternalError")
		case len(parts) == 6:
			_, _ = fmt.Fprintf(w, `{"kind":"List","apiVersion":"%s/%s","metadata":{"resourceVersion":"1"},"items":[%s]}`, parts[1], parts[2], lists[parts[1]+"/"+parts[5]])
		default:
			status(http.StatusNotFound, "NotFound")
		}
	})))
	v.t.Cleanup(server.Close)
	return server.URL
}

// house is a program's surroundings with a secret in every place, and its
// configuration.
func (v *vault) house() (file string, environ []string, arguments []string, sent *sync.Map) {
	t := v.t
	directory := t.TempDir()
	v.pair(directory)

	secure := httptest.NewUnstartedServer(v.noting(connecttest.NewCluster(connecttest.Options{}).Handler("10.0.0.1:8083")))
	own, err := tls.LoadX509KeyPair(filepath.Join(directory, "cert.pem"), filepath.Join(directory, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	key, err := os.ReadFile(filepath.Join(directory, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}

	header := func(name, place string) connecttest.Fault {
		return func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set(name, "Basic realm="+v.secret(place))
				w.WriteHeader(http.StatusUnauthorized)
			})
		}
	}
	raw := func(text string) connecttest.Fault {
		return func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				connection, _, err := http.NewResponseController(w).Hijack()
				if err == nil {
					_, _ = io.WriteString(connection, text)
					_ = connection.Close()
				}
			})
		}
	}
	expanded := func(state string) string {
		return fmt.Sprintf(`{"x":{"status":{"name":"x","connector":{"state":%q,"worker_id":"w"},"tasks":[],"type":"sink"}}}`, state)
	}

	// The brokers, and what workers write there.
	password := v.secret("password of SCRAM")
	brokers := kafkatest.New(t, nil)
	brokers.Write(kafkatest.Status{Connector: "sink", Task: 0, State: "FAILED", Worker: "10.0.0.1:8083", Generation: 1, Trace: "org.example.SinkException: " + v.secret("trace in the status topic")})
	brokers.Write(kafkatest.Status{Connector: "sink", Task: -1, State: "RUNNING", Worker: "10.0.0.1:8083", Generation: 1})
	brokers.Commit("source", v.secret("partition in the offsets topic"), []byte(`{"x":"`+v.secret("value in the offsets topic")+`"}`), time.Now())
	guarded, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, kafkatest.StatusTopic), kfake.EnableSASL(), kfake.User("SCRAM-SHA-512", "scout", password))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(guarded.Close)
	block := "group_id: " + kafkatest.Group + ", status_storage_topic: " + kafkatest.StatusTopic

	// The providers.
	cloudSecret, awsSecret, aivenPassword := v.secret("secret of Confluent Cloud"), v.secret("secret of AWS"), v.secret("password of Aiven")
	cloud := confluenttest.New("env-abc12", "lkc-xyz98", "KEY", cloudSecret)
	cloud.Put(confluenttest.Connector{
		Name: "lake", ID: "lcc-1", State: "FAILED", Type: "sink", Trace: v.secret("trace of Confluent Cloud"), Config: map[string]string{"connector.class": "S3_SINK", "aws.secret.access.key": v.secret("configuration at Confluent Cloud")},
		Tasks: []confluenttest.Task{{State: "USER_ACTIONABLE_ERROR", Message: "x " + v.secret("message of Confluent Cloud")}},
	})
	aws := msktest.New(msktest.Options{Region: "eu-west-1", AccessKeyID: "AKIATEST", SecretAccessKey: awsSecret})
	aws.Put(msktest.Connector{Name: "broken", State: "FAILED", Workers: 1, Units: 1, StateCode: "UnknownError.Unknown", StateMessage: v.secret("message of MSK Connect"), Config: map[string]string{"connector.class": "a.B", "password": v.secret("configuration at MSK Connect")}})
	aiven := aiventest.New("acme", "orders", aiventest.State{Type: "kafka_connect", State: "RUNNING", User: "avnadmin", Password: aivenPassword})
	aivenFile := v.file("token of Aiven")
	aiven.Grant(v.secret("token of Aiven"), aiventest.ReadServices, aiventest.ReadSecrets)
	behind := connecttest.NewCluster(connecttest.Options{})
	aivenAPI, aivenConnect := v.serve(aiven), v.serve(aiven.Connect(behind.Handler("10.0.0.1:8083")))
	aiven.Change(func(s *aiventest.State) { s.URL = aivenConnect })

	// A receiver that repeats what it is sent.
	sent = &sync.Map{}
	receiver := v.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent.Store(time.Now().UnixNano(), string(body))
		w.WriteHeader(http.StatusBadRequest)
		_ = r.Header.Write(w)
	}))

	kubeconfig := filepath.Join(directory, "kubeconfig")
	userinfo := func(address, place string) string {
		return strings.Replace(address, "http://", "http://user:"+v.secret(place)+"@", 1)
	}
	tokens, plain := v.tokens(), v.worker()
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u, namespace: data}}]
clusters: [{name: c, cluster: {server: %q, insecure-skip-tls-verify: true}}]
users: [{name: u, user: {token: %q}}]
`, v.kubernetes(plain), v.secret("token of the kubeconfig"))
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	manifest := filepath.Join(directory, "manifest.yaml")
	text = fmt.Sprintf("apiVersion: kafka.strimzi.io/v1\nkind: KafkaConnect\nmetadata: {name: filed, namespace: data}\nspec: {replicas: 1, config: {password: %q}}\nstatus: {url: %q}\n---\napiVersion: aiven.io/v1alpha1\nkind: KafkaConnect\nmetadata: {name: pasted, namespace: data}\nspec: {project: acme, plan: p, userConfig: {secret_providers: [{name: v, vault: {address: a, auth_method: token, token: %[1]q}}]}, powered: %[1]q}\n",
		v.secret("manifest"), userinfo(plain, "URL of a manifest"))
	if err := os.WriteFile(manifest, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}

	var b strings.Builder
	add := func(format string, arguments ...any) { _, _ = fmt.Fprintf(&b, format+"\n", arguments...) }
	add("snapshot_max_age: 1m\nclusters:")
	add("- {name: basic, urls: [%q], connector_labels: [owner.team], worker_probe: true, http_client: {basic_auth: {username: user, password: %q}}}", v.worker(), v.secret("password"))
	add("- {name: basic-file, urls: [%q], observation_version: 1, http_client: {basic_auth: {username: user, password_file: %q}}}", v.worker(), v.file("file of a password"))
	add("- {name: userinfo, urls: [%q]}", userinfo(v.worker(), "userinfo"))
	add("- {name: bearer, urls: [%q], http_client: {authorization: {credentials: '${BEARER}'}}}", v.worker())
	add("- {name: token, urls: [%q], http_client: {bearer_token_file: %q}}", v.worker(), v.file("file of a token"))
	add("- {name: headers, urls: [%q], http_client: {http_headers: {X-One: {values: [%q]}, X-Two: {secrets: [%q]}, X-Three: {files: [%q]}}}}",
		v.worker(), v.secret("value of a header"), v.secret("secret of a header"), v.file("file of a header"))
	add("- {name: oauth, urls: [%q], http_client: {oauth2: {client_id: a, client_secret: %q, token_url: %q, endpoint_params: {password: %q}}}}",
		v.worker(), v.secret("client secret"), tokens+"/token?key="+v.secret("query of the token URL"), v.secret("parameter of the token request"))
	refusing := v.serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprintf(w, `{"error":"invalid_client","error_description":%q}`, v.secret("refusal of a token"))
	}))
	add("- {name: oauth-refused, urls: [%q], http_client: {oauth2: {client_id: a, client_secret_file: %q, token_url: %q}}}",
		plain, v.file("file of the client secret"), refusing)
	add("- {name: oauth-unreachable, urls: [%q], http_client: {oauth2: {client_id: a, client_secret: b, token_url: %q}}}", plain, "http://127.0.0.1:1/?key="+v.secret("query of a token URL that is gone"))
	proxy := v.serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusProxyAuthRequired)
		_, _ = io.WriteString(w, v.secret("error of a proxy"))
	}))
	add("- {name: proxy, urls: ['http://connect.invalid'], http_client: {proxy_url: %q}}", userinfo(proxy, "userinfo of a proxy"))
	add("- {name: proxy-gone, urls: ['https://connect.invalid'], http_client: {proxy_url: %q, proxy_connect_header: {X-Key: [%q]}}}",
		userinfo("http://127.0.0.1:1", "userinfo of a proxy that is gone"), v.secret("header for a proxy"))
	add("- {name: tls, urls: [%q], http_client: {tls_config: {ca_file: %q, cert_file: %[2]q, key_file: %q}}}", secure.URL, filepath.Join(directory, "cert.pem"), filepath.Join(directory, "key.pem"))
	add("- {name: tls-inline, urls: [%q], http_client: {tls_config: {ca_file: %q, cert_file: %[2]q, key: %q}}}", secure.URL, filepath.Join(directory, "cert.pem"), key)
	// What a worker says of its trouble is shown, but not where it repeats what it
	// was sent.
	repeated := v.secret("password that a worker repeats")
	add("- {name: repeats, urls: [%q], http_client: {basic_auth: {username: user, password: %q}}}",
		v.worker(connecttest.ErrorReply(http.StatusInternalServerError, "no user "+repeated+" is known")), repeated)
	for name, fault := range map[string]connecttest.Fault{
		"page":       connecttest.Reply(http.StatusBadGateway, "text/html", "<html><title>"+v.secret("title of a page")+"</title><body>"+v.secret("page")),
		"well-page":  connecttest.Reply(http.StatusOK, "text/html", "<html>"+v.secret("page that is no error")),
		"text":       connecttest.Reply(http.StatusBadRequest, "text/plain", v.secret("text of a worker's error")),
		"broken":     connecttest.Reply(http.StatusOK, "application/json", `{"a":{"status":`+v.secret("broken JSON")),
		"wrong":      connecttest.Reply(http.StatusOK, "application/json", `{"a":{"status":"`+v.secret("JSON of the wrong kind")+`","`+v.secret("unknown key")+`":1}}`),
		"twice":      connecttest.Reply(http.StatusOK, "application/json", `{"a":{"info":{"config":{"`+v.secret("key that comes twice")+`":"x","`+v.secret("key that comes twice")+`":"y"}}}}`),
		"state":      connecttest.Reply(http.StatusOK, "application/json", expanded("x "+v.secret("state"))),
		"challenge":  header("WWW-Authenticate", "challenge"),
		"elsewhere":  connecttest.Redirect("http://user:" + v.secret("userinfo of a redirect") + "@127.0.0.1:1/x?token=" + v.secret("query of a redirect")),
		"malformed":  connecttest.Redirect("http://user:" + v.secret("malformed redirect") + "@[::1/%zz"),
		"reason":     raw("HTTP/1.1 500 " + v.secret("reason of a status") + "\r\nContent-Length: 0\r\n\r\n"),
		"not-http":   raw(v.secret("what is no HTTP") + "\r\n\r\n"),
		"odd-header": raw("HTTP/1.1 200 OK\r\n" + v.secret("malformed header") + "\r\n\r\n"),
		"odd-length": raw("HTTP/1.1 200 OK\r\nContent-Length: " + v.secret("malformed length") + "\r\n\r\n"),
		"odd-coding": raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: " + v.secret("malformed encoding") + "\r\n\r\n"),
	} {
		add("- {name: %s, urls: [%q]}", name, v.worker(fault))
	}
	add("- {name: cloud, provider: confluent-cloud, confluent_cloud: {environment: env-abc12, cluster: lkc-xyz98, api_url: %q}, http_client: {basic_auth: {username: KEY, password: %q}}}", v.serve(cloud), cloudSecret)
	add("- {name: aws, provider: msk, msk: {region: eu-west-1, endpoint: %q, describe: true}}", v.serve(aws))
	add("- {name: aiven, provider: aiven, aiven: {project: acme, service: orders, token_file: %q, api_url: %q}}", aivenFile, aivenAPI)
	add("- {name: brokers, kafka: {bootstrap_servers: ['%s'], %s, offset_storage_topic: %s}}", strings.Join(brokers.ListenAddrs(), "','"), block, kafkatest.OffsetsTopic)
	sasl := func(name, mechanism string) {
		add("- {name: %s, kafka: {bootstrap_servers: ['%s'], %s, sasl: {mechanism: %s}}}", name, guarded.ListenAddrs()[0], block, mechanism)
	}
	sasl("scram", fmt.Sprintf("SCRAM-SHA-512, username: scout, password: %q", password))
	sasl("scram-refused", fmt.Sprintf("SCRAM-SHA-512, username: scout, password_file: %q", v.file("wrong password of SCRAM")))
	sasl("plain", fmt.Sprintf("PLAIN, username: scout, password: %q", v.secret("password of PLAIN")))
	sasl("oauthbearer", fmt.Sprintf("OAUTHBEARER, oauth2: {client_id: a, client_secret: %q, token_url: %q}", v.secret("client secret of SASL"), tokens+"/?key="+v.secret("query of the token URL of SASL")))
	add("discovery: {kubeconfig: %q, kubernetes: [{kinds: [strimzi, aiven, confluent], aiven: {api_url: %q}}], files: [{paths: [%q], aiven: {api_url: %[2]q, token_file: %q}}]}",
		kubeconfig, aivenAPI, manifest, v.file("token of a selector"))
	add("otlp: {endpoint: %q, interval: 1s, compression: none, headers: {X-Key: %q}, headers_files: {X-File: %q}}", receiver, v.secret("header of OTLP"), v.file("file of a header of OTLP"))
	file = filepath.Join(directory, "clusters.yml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}

	environ = append(os.Environ(), "BEARER="+v.secret("variable of a token"),
		"AWS_ACCESS_KEY_ID=AKIATEST", "AWS_SECRET_ACCESS_KEY="+awsSecret, "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE="+directory+"/none", "AWS_SHARED_CREDENTIALS_FILE="+directory+"/none",
		"CONNECT_RESOURCE_IDS=ENVA,ENVB", "ENVA_CONNECT_REST_URL="+v.worker(), "ENVA_CONNECT_AUTH=BASIC", "ENVA_CONNECT_BASIC_AUTH_USER=user", "ENVA_CONNECT_BASIC_AUTH_PASS="+v.secret("variable of a password"),
		"ENVA_CONNECT_STARTUP_VALIDATION=false", "ENVB_CONNECT_REST_URL="+userinfo(v.worker(), "userinfo in a variable"), "ENVB_CONNECT_STARTUP_VALIDATION=false",
		"ENVB_CONNECT_GROUP_ID=g", "ENVB_BOOTSTRAP="+guarded.ListenAddrs()[0], "ENVB_SECURITY_PROTOCOL=SASL_PLAINTEXT", "ENVB_SASL_MECHANISM=PLAIN",
		`ENVB_SASL_JAAS_CONFIG=org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="`+v.secret("variable with JAAS")+`";`,
	)
	return file, environ, []string{"--config.file=" + file, "--connect.url=" + userinfo(v.worker(), "userinfo in a flag")}, sent
}

// A secret that stands anywhere where one can stand comes out nowhere: not in what
// a command prints, not on a page or in a format of the metrics, not by OTLP, not
// in the log at its most talkative, not in what is printed of the goroutines.
func TestSecretsComeOutNowhere(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	file, environ, arguments, sent := v.house()
	command := func(arguments ...string) *exec.Cmd {
		c := exec.CommandContext(t.Context(), "kafka-connect-exporter", arguments...)
		c.Env = environ
		return c
	}
	// What is printed shows that it was reached, so that nothing is not taken for
	// silence.
	for want, line := range map[string][]string{
		"name: oauth":           {"check"},
		"basic":                 {"check", "--connect", "--timeout=1m"},
		"source":                {"snapshot", "--timeout=1m"},
		`"connector": "source"`: {"snapshot", "-o", "json", "--timeout=1m"},
		"managed":               {"snapshot", "--resources"},
		"name: bearer":          {"--config.check"},
	} {
		t.Run(strings.Join(line, " "), func(t *testing.T) {
			t.Parallel()
			output, err := command(append(line, arguments...)...).CombinedOutput()
			if !strings.Contains(string(output), want) {
				t.Errorf("%q is not printed: %v\n%s", want, err, output)
			}
			v.search(strings.Join(line, " "), string(output))
		})
	}
	t.Run("serve", func(t *testing.T) {
		t.Parallel()
		own := filepath.Join(t.TempDir(), "clusters.yml") // It is broken and reloaded, while the others read theirs.
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(own, content, 0o600); err != nil {
			t.Fatal(err)
		}
		v.serveAndSearch(t, command, append([]string{"--config.file=" + own}, arguments[1:]...), own)
		exported := false
		sent.Range(func(_, body any) bool {
			exported = exported || strings.Contains(body.(string), "kafka.connect.task.state")
			v.search("OTLP", body.(string))
			return true
		})
		if !exported {
			t.Error("nothing was sent by OTLP")
		}
	})
	t.Cleanup(func() {
		for _, place := range []string{
			"password", "file of a password", "userinfo", "variable of a token", "file of a token", "value of a header", "secret of a header", "file of a header",
			"client secret", "query of the token URL", "parameter of the token request", "access token", "file of the client secret",
			"userinfo of a proxy", "secret of Confluent Cloud", "token of Aiven", "password of Aiven", "token of the kubeconfig", "token in a Secret", "header of OTLP",
			"file of a header of OTLP", "variable of a password", "userinfo in a variable", "userinfo in a flag",
		} {
			if _, seen := v.seen.Load(place); !seen {
				t.Errorf("the secret of %s was never sent: this test does not try it", place)
			}
		}
	})
}

// serveAndSearch runs the exporter and searches all that it answers and prints.
func (v *vault) serveAndSearch(t *testing.T, command func(...string) *exec.Cmd, arguments []string, file string) {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("open"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	v.mu.Lock()
	v.forms[strings.ToLower(string(hash))] = "hash of a user's password"
	v.mu.Unlock()
	webConfig := filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(webConfig, fmt.Appendf(nil, "basic_auth_users: {user: %q}\n", hash), 0o600); err != nil {
		t.Fatal(err)
	}
	exporter := command(append(arguments, "--web.config.file="+webConfig, "--web.listen-address=127.0.0.1:0", "--log.level=debug", "--web.enable-lifecycle", "--web.enable-pprof")...)
	exporter.Env = append(exporter.Env, "GOTRACEBACK=all")
	log := &testlog.Log{}
	exporter.Stdout, exporter.Stderr = log, log
	if err := exporter.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = exporter.Wait()
		_, _ = io.WriteString(log, "\nthe exporter has ended")
		close(ended)
	}()
	address := log.Await(t, `msg="Listening on" address=(\S+)|the exporter has ended`)
	if address == "" {
		t.Fatal(log.String())
	}
	base := "http://user:open@" + address

	ask := func(method, path, accept string) (int, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if accept != "" {
			request.Header.Set("Accept", accept)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Errorf("%s %s: %d, %v after %d bytes", method, path, response.StatusCode, err, len(body))
		}
		var header strings.Builder
		_ = response.Header.Write(&header)
		v.search(method+" "+path+" as "+accept, header.String()+string(body))
		return response.StatusCode, string(body)
	}
	_, metrics := ask("GET", "/metrics", "")
	for began := time.Now(); !strings.Contains(metrics, `connect_cluster="data/stream"`) && time.Since(began) < time.Minute; {
		_, metrics = ask("GET", "/metrics", "") // until it is discovered
	}
	for _, want := range []string{`connector="source",label_owner_team="payments"`, `kafka_connect_up{connect_cluster="scram"`, `connect_cluster="data/stream"`, `exception="org.example.Failed"`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("scraped is no %s", want)
		}
	}
	for _, accept := range []string{
		"application/openmetrics-text;version=1.0.0", "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8", "text/plain;version=1.0.0;escaping=allow-utf-8",
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=compact-text",
	} {
		ask("GET", "/metrics", accept)
	}
	names := map[string]bool{}
	for _, match := range regexp.MustCompile(`kafka_connect_up\{connect_cluster="([^"]+)"`).FindAllStringSubmatch(metrics, -1) {
		names[match[1]] = true
	}
	if len(names) < 35 {
		t.Errorf("%d clusters: %v", len(names), names)
	}
	// Few at a time: where many wait, a client that is slow loses its place.
	var asking errgroup.Group
	asking.SetLimit(4)
	for name := range names {
		asking.Go(func() error {
			cluster := "?cluster=" + url.QueryEscape(name)
			ask("GET", "/probe"+cluster, "")
			ask("GET", "/probe"+cluster+"&debug=true", "")
			ask("GET", "/"+cluster, "")
			return nil
		})
	}
	_ = asking.Wait()
	for path, want := range map[string]string{
		"/": "org.example.Failed", "/config": "name: oauth", "/sd": "/probe", "/-/ready": "", "/-/healthy": "", "/probe?cluster=none": "", "/metrics?clusters=none": "",
		"/debug/pprof/goroutine?debug=2": "goroutine", "/debug/pprof/goroutine?debug=1": "goroutine", "/debug/pprof/heap": "",
	} {
		if status, body := ask("GET", path, ""); !strings.Contains(body, want) {
			t.Errorf("GET %s has no %q: %d", path, want, status)
		}
	}
	log.Await(t, "export over OTLP fails")
	// A configuration that is wrong where its secrets are.
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{"password: [", "oauth2: {x: ", "credentials: &"} {
		text := regexp.MustCompile(`(password|oauth2|credentials): [^"]?`).ReplaceAllString(string(good), wrong)
		// In place of the file, which other commands read.
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
		if status, body := ask("POST", "/-/reload", ""); status != http.StatusInternalServerError {
			t.Errorf("a wrong configuration is reloaded: %d %s", status, body)
		}
	}
	if err := exporter.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	<-ended
	if printed := log.String(); !strings.Contains(printed, "goroutine 1 ") || !strings.Contains(printed, "level=DEBUG") {
		t.Error("the log is not at its most talkative")
	} else {
		v.search("the log", printed)
	}
}

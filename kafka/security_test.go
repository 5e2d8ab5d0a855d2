package kafka_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	commoncfg "github.com/prometheus/common/config"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/kafka"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/kafka/kafkatest"
)

var coordinatorGone = kerr.LeaderNotAvailable

// silent accepts connections and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			open = append(open, conn)
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
		for _, conn := range open {
			_ = conn.Close()
		}
	})
	return listener.Addr().String()
}

func allow(resource kmsg.ACLResourceType, name string, prefixed bool, operations ...kmsg.ACLOperation) (acls []kfake.ACL) {
	pattern := kmsg.ACLResourcePatternTypeLiteral
	if prefixed {
		pattern = kmsg.ACLResourcePatternTypePrefixed
	}
	for _, operation := range operations {
		acls = append(acls, kfake.ACL{Resource: resource, Name: name, Pattern: pattern, Operation: operation, Allow: true})
	}
	return acls
}

// least are the rights that docs/brokers.md lists.
func least() []kfake.ACL {
	var all []kfake.ACL
	for _, some := range [][]kfake.ACL{
		allow(kmsg.ACLResourceTypeGroup, kafkatest.Group, false, kmsg.ACLOperationDescribe),
		allow(kmsg.ACLResourceTypeTopic, kafkatest.StatusTopic, false, kmsg.ACLOperationRead, kmsg.ACLOperationDescribe),
		allow(kmsg.ACLResourceTypeTopic, kafkatest.OffsetsTopic, false, kmsg.ACLOperationRead, kmsg.ACLOperationDescribe),
		allow(kmsg.ACLResourceTypeGroup, "connect-", true, kmsg.ACLOperationDescribe),
		allow(kmsg.ACLResourceTypeTopic, "data-", true, kmsg.ACLOperationDescribe),
	} {
		all = append(all, some...)
	}
	return all
}

func secured(t *testing.T, acls []kfake.ACL, more ...kfake.Opt) *kafkatest.Cluster {
	return kafkatest.New(t, []kgo.Opt{kgo.SASL(plain.Auth{User: "root", Pass: "root"}.AsMechanism())}, append([]kfake.Opt{
		kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "root"), kfake.SeedTopics(1, "data-orders"),
		kfake.User("PLAIN", "scout", "secret", acls...), kfake.User("SCRAM-SHA-256", "scout256", "secret", acls...), kfake.User("SCRAM-SHA-512", "scout512", "secret", acls...),
	}, more...)...)
}

func as(mechanism, user string, password func() (string, error)) func(*kafka.Options) {
	return func(o *kafka.Options) {
		o.SASL = &kafka.SASL{Mechanism: mechanism, Username: user, Password: password}
	}
}

func fixed(text string) func() (string, error) { return func() (string, error) { return text, nil } }

// Each mechanism authenticates, and with the least rights everything is had.
func TestSASL(t *testing.T) {
	t.Parallel()
	c := secured(t, least())
	c.Write(running("sink", -1, worker1))
	c.CommitGroup("connect-sink", "data-orders", map[int32]int64{0: 0})
	c.SetGroup(kafkatest.State{State: "Stable", Members: []kafkatest.Member{member("a", worker1)}})
	for mechanism, user := range map[string]string{"PLAIN": "scout", "SCRAM-SHA-256": "scout256", "SCRAM-SHA-512": "scout512"} {
		t.Run(mechanism, func(t *testing.T) {
			b := observe(t, observer(t, c, as(mechanism, user, fixed("secret")))).Brokers
			if len(b.Sinks) != 1 || b.Of("sink") == nil || b.Group == nil {
				t.Errorf("%+v", b)
			}
			s, err := observer(t, c, as(mechanism, user, fixed("hunter2"))).Observe(t.Context(), nil)
			if !errors.Is(err, connect.Unauthorized) || strings.Contains(err.Error(), "hunter2") || !errors.Is(s.Brokers.Err, connect.Unauthorized) {
				t.Errorf("with a wrong password: %v", err)
			}
			_, err = observer(t, c, as(mechanism, user, func() (string, error) { return "", errors.New("no such file") })).Observe(t.Context(), nil)
			if !errors.Is(err, connect.Unauthorized) || !strings.Contains(err.Error(), "no such file") {
				t.Errorf("without a password: %v", err)
			}
		})
	}
}

// A password that was changed is taken up by the next connection.
func TestPasswordIsRotated(t *testing.T) {
	t.Parallel()
	c := secured(t, least())
	c.Write(running("x", -1, worker1))
	file := filepath.Join(t.TempDir(), "password")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("wrong")
	o := observer(t, c, without(true, true), as("PLAIN", "scout", func() (string, error) {
		content, err := os.ReadFile(file)
		return string(content), err
	}))
	if _, err := o.Observe(t.Context(), nil); !errors.Is(err, connect.Unauthorized) {
		t.Fatal(err)
	}
	write("secret")
	observe(t, o)
}

// Each right that is missing is named, and costs what it is for alone.
func TestMissingRights(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		missing string
		want    string
	}{
		"group":  {kafkatest.Group, "DESCRIBE on group " + kafkatest.Group},
		"status": {kafkatest.StatusTopic, "READ and DESCRIBE on topic " + kafkatest.StatusTopic},
		"offset": {kafkatest.OffsetsTopic, "READ and DESCRIBE on topic " + kafkatest.OffsetsTopic},
		"sinks":  {"connect-", "DESCRIBE on group"},
		"topics": {"data-", "list the ends of topics data-orders: forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			var acls []kfake.ACL
			for _, acl := range least() {
				if acl.Name != test.missing {
					acls = append(acls, acl)
				}
			}
			c := secured(t, acls)
			c.Write(running("sink", -1, worker1))
			c.FillPartition("data-orders", 0, 1)
			c.CommitGroup("connect-sink", "data-orders", map[int32]int64{0: 0})
			if name == "group" { // What is made up asks for no rights, nor does a group that is not there.
				c.Fault(kfake.Fault{Group: kafkatest.Group, Err: kerr.GroupAuthorizationFailed, Count: -1})
			} else {
				c.SetGroup(kafkatest.State{State: "Stable", Members: []kafkatest.Member{member("a", worker1)}})
			}
			s, err := observer(t, c, as("PLAIN", "scout", fixed("secret")), around(telling(connect.Connector{Name: "sink", Type: "sink"}))).Observe(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if !errors.Is(s.Brokers.Err, connect.Forbidden) || !strings.Contains(s.Brokers.Err.Error(), test.want) {
				t.Errorf("%v, want %s", s.Brokers.Err, test.want)
			}
			if (s.Brokers.Of("sink") == nil) != (name == "status") {
				t.Errorf("the status topic: %+v", s.Brokers.Events)
			}
		})
	}
}

// certificate makes a certificate for 127.0.0.1 that vouches for itself.
func certificate(t *testing.T, host string) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestTLS(t *testing.T) {
	own, authority := certificate(t, "127.0.0.1")
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(authority))
	config := &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}
	c := kafkatest.New(t, []kgo.Opt{kgo.DialTLSConfig(&tls.Config{RootCAs: pool})}, kfake.TLS(config))
	c.Write(running("x", -1, worker1))
	file := filepath.Join(t.TempDir(), "ca.pem")
	_, other := certificate(t, "127.0.0.1")
	if err := os.WriteFile(file, []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	with := func(config *commoncfg.TLSConfig) func(*kafka.Options) {
		return func(o *kafka.Options) { o.TLS, o.Timeout = config, 2*time.Second }
	}
	o := observer(t, c, without(true, true), with(&commoncfg.TLSConfig{CAFile: file}))
	if _, err := o.Observe(t.Context(), nil); !errors.Is(err, connect.Unreachable) || !strings.Contains(err.Error(), "authority that is not trusted") {
		t.Errorf("another authority: %v", err)
	}
	// The file is read anew for each connection.
	if err := os.WriteFile(file, []byte(authority), 0o600); err != nil {
		t.Fatal(err)
	}
	observe(t, o)
	observe(t, observer(t, c, without(true, true), with(&commoncfg.TLSConfig{InsecureSkipVerify: true})))
	if _, err := observer(t, c, without(true, true), with(&commoncfg.TLSConfig{CA: authority, ServerName: "kafka-1"})).Observe(t.Context(), nil); !errors.Is(err, connect.Unreachable) || !strings.Contains(err.Error(), "another host name") {
		t.Errorf("another name: %v", err)
	}
	if _, err := observer(t, c, without(true, true), func(o *kafka.Options) { o.Timeout = 2 * time.Second }).Observe(t.Context(), nil); !errors.Is(err, connect.Unreachable) || !strings.Contains(err.Error(), "tls_config") {
		t.Errorf("without TLS: %v", err)
	}
	if _, err := kafka.New(kafka.Options{BootstrapServers: []string{"x:1"}, StatusTopic: "s", TLS: &commoncfg.TLSConfig{CAFile: "/nonexistent"}}); err == nil {
		t.Error("a file that is not there is accepted")
	}
}

// A broker that asks for the client's certificate, and what it says to others.
func TestMutualTLS(t *testing.T) {
	t.Parallel()
	own, authority := certificate(t, "127.0.0.1")
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(authority))
	c := kafkatest.New(t, []kgo.Opt{kgo.DialTLSConfig(&tls.Config{RootCAs: pool, Certificates: []tls.Certificate{own}})},
		kfake.TLS(&tls.Config{Certificates: []tls.Certificate{own}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}))
	c.Write(running("x", -1, worker1))
	key := func(of tls.Certificate) commoncfg.Secret {
		der, err := x509.MarshalPKCS8PrivateKey(of.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		return commoncfg.Secret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	other, text := certificate(t, "127.0.0.1")
	for name, config := range map[string]*commoncfg.TLSConfig{
		"no certificate":           {CA: authority},
		"one of another authority": {CA: authority, Cert: text, Key: key(other)},
	} {
		_, err := observer(t, c, without(true, true), func(o *kafka.Options) { o.TLS, o.Timeout = config, 2*time.Second }).Observe(t.Context(), nil)
		if !errors.Is(err, connect.Unauthorized) || !strings.Contains(err.Error(), "refuses the TLS handshake") {
			t.Errorf("%s: %v", name, err)
		}
	}
	observe(t, observer(t, c, without(true, true), func(o *kafka.Options) {
		o.TLS = &commoncfg.TLSConfig{CA: authority, Cert: authority, Key: key(own)}
	}))
}

// OAUTHBEARER: a token is had by client credentials, and kept while it is valid.
// The simulated brokers do not speak it; what is sent to them is looked at.
func TestOAuthBearer(t *testing.T) {
	asked, status := 0, http.StatusOK
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, secret, header := r.BasicAuth()
		if !header { // The way that is tried second.
			user, secret = r.FormValue("client_id"), r.FormValue("client_secret")
		}
		if asked++; user != "scout" || secret != "s3cret" || r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "kafka" || r.FormValue("audience") != "brokers" {
			t.Errorf("asked by %q with %v", user, r.Form)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprint(w, `{"access_token":"t0ken","token_type":"bearer","expires_in":3600}`)
	}))
	defer endpoint.Close()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := authenticate(t, &kafka.SASL{Mechanism: "OAUTHBEARER", OAuth2: &commoncfg.OAuth2{
		ClientID: "scout", ClientSecretFile: file, TokenURL: endpoint.URL, Scopes: []string{"kafka"}, EndpointParams: map[string]string{"audience": "brokers"},
	}})
	if asked != 1 || !strings.Contains(got[0], "auth=Bearer t0ken") || len(got) < 2 {
		t.Errorf("asked %d times, sent %q", asked, got)
	}
	status = http.StatusForbidden
	_, err := observeWith(t, &kafka.SASL{Mechanism: "OAUTHBEARER", OAuth2: &commoncfg.OAuth2{
		ClientID: "scout", ClientSecret: "s3cret", TokenURL: endpoint.URL, Scopes: []string{"kafka"}, EndpointParams: map[string]string{"audience": "brokers"},
	}}, nil)
	if !errors.Is(err, connect.Unauthorized) || strings.Contains(err.Error(), "t0ken") || !strings.Contains(err.Error(), "HTTP 403") {
		t.Errorf("%v", err)
	}
}

// AWS_MSK_IAM: what is sent is a signed request, as franz-go makes it.
func TestIAM(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
	t.Setenv("AWS_SESSION_TOKEN", "session")
	t.Setenv("AWS_REGION", "eu-west-3")
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
	for region, want := range map[string]string{"": "eu-west-3", "us-east-2": "us-east-2"} {
		got := authenticate(t, &kafka.SASL{Mechanism: "AWS_MSK_IAM", Region: region})
		var message map[string]string
		if err := json.Unmarshal([]byte(got[0]), &message); err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		if message["version"] != "2020_10_22" || message["host"] != "127.0.0.1" || message["action"] != "kafka-cluster:Connect" || message["x-amz-security-token"] != "session" ||
			!strings.Contains(message["x-amz-credential"], "AKIDEXAMPLE/") || !strings.Contains(message["x-amz-credential"], "/"+want+"/kafka-cluster/aws4_request") || len(message["x-amz-signature"]) != 64 {
			t.Errorf("region %q: %v", region, message)
		}
		if strings.Contains(got[0], "hunter2") {
			t.Error("the secret key is sent")
		}
	}
}

// The token by which a task or pod gets credentials is for that endpoint alone.
func TestContainerTokenFollowsNoRedirect(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a redirect is followed: %v", r.Header)
	}))
	defer elsewhere.Close()
	var asked atomic.Int32
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1); r.Header.Get("Authorization") != "c0ntainer" {
			t.Errorf("asked with %v", r.Header)
		}
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	}))
	defer endpoint.Close()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": endpoint.URL, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "c0ntainer",
	} {
		t.Setenv(name, value)
	}
	if _, err := observeWith(t, &kafka.SASL{Mechanism: "AWS_MSK_IAM", Region: "eu-west-1"}, nil); !errors.Is(err, connect.Unauthorized) || asked.Load() == 0 {
		t.Errorf("asked %d times: %v", asked.Load(), err)
	}
}

// authenticate returns what was sent to brokers as authentication, connection by
// connection.
func authenticate(t *testing.T, sasl *kafka.SASL) []string {
	t.Helper()
	var sent []string
	_, _ = observeWith(t, sasl, func(bytes []byte) { sent = append(sent, string(bytes)) })
	if len(sent) == 0 {
		t.Fatal("nothing was sent")
	}
	return sent
}

func observeWith(t *testing.T, sasl *kafka.SASL, sent func([]byte)) (*connect.Snapshot, error) {
	t.Helper()
	c := kafkatest.New(t, nil)
	c.ControlKey(int16(kmsg.SASLHandshake), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		response := request.ResponseKind().(*kmsg.SASLHandshakeResponse)
		response.SupportedMechanisms = []string{request.(*kmsg.SASLHandshakeRequest).Mechanism}
		return response, nil, true
	})
	c.ControlKey(int16(kmsg.SASLAuthenticate), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if sent != nil {
			sent(request.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes)
		}
		response := request.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		response.SASLAuthBytes = []byte("{}")
		return response, nil, true
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // AWS is asked more than once.
	defer cancel()
	return observer(t, c, without(true, true), func(o *kafka.Options) { o.SASL, o.Timeout = sasl, time.Minute }).Observe(ctx, nil)
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]kafka.Options{
		"no brokers":               {StatusTopic: "s"},
		"alone, without statuses":  {BootstrapServers: []string{"x:1"}, Group: "g"},
		"a mechanism of elsewhere": {BootstrapServers: []string{"x:1"}, StatusTopic: "s", SASL: &kafka.SASL{Mechanism: "GSSAPI"}},
		"no password":              {BootstrapServers: []string{"x:1"}, StatusTopic: "s", SASL: &kafka.SASL{Mechanism: "PLAIN"}},
		"no token endpoint":        {BootstrapServers: []string{"x:1"}, StatusTopic: "s", SASL: &kafka.SASL{Mechanism: "OAUTHBEARER"}},
	} {
		if observer, err := kafka.New(o); err == nil {
			observer.Close()
			t.Errorf("%s: no error", name)
		}
	}
	r := telling()
	observer, err := kafka.New(kafka.Options{BootstrapServers: []string{"x:1"}, Group: "g", Observer: r})
	if err != nil {
		t.Fatal(err)
	}
	if observer.Close(); r.closed != 1 {
		t.Error("the other observer is not closed")
	}
}

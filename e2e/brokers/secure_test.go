package brokers

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kafka"
)

// TestSecureBroker reads brokers by TLS with a user who has the rights that
// docs/brokers.md lists, and says what is missing of one who has not.
func TestSecureBroker(t *testing.T) {
	secure := &kafka.Secure{Users: map[string]string{"scout": "scout-s3cret", "nobody": "nobody-s3cret"}}
	for _, user := range users() {
		secure.Users[user] = user + "-s3cret"
	}
	p := start(t, 24500, kafka.BrokerOptions{Secure: secure})
	w := p.workers("secure", 1, nil)[0]
	if err := p.admin.Produce(t.Context(), "orders", 10); err != nil {
		t.Fatal(err)
	}
	p.create(w, "sink", sinkClass, map[string]any{"topics": "orders", "tasks.max": "1", "file": filepath.Join(p.directory, "sink")})
	// Each of the rights, who has all others, and how the right is called that is missing.
	rights := []struct{ user, kind, name, operation, missing string }{
		{"no-group", "group", "secure", "describe", "DESCRIBE on group secure"},
		{"no-status", "topic", "secure-status", "read", "READ and DESCRIBE on topic secure-status"},
		{"no-offsets", "topic", "secure-offsets", "read", "READ and DESCRIBE on topic secure-offsets"},
		{"no-sinks", "group", "connect-*", "describe", "DESCRIBE on groups connect-*"},
		{"no-topics", "topic", "orders", "describe", "DESCRIBE on topics that sinks read"},
	}
	for _, right := range rights {
		for _, user := range append([]string{"scout"}, slices.DeleteFunc(users(), func(name string) bool { return name == right.user })...) {
			if err := p.admin.Allow(t.Context(), user, right.kind, right.name, right.operation); err != nil {
				t.Fatal(err)
			}
		}
	}
	password := filepath.Join(p.directory, "password")
	if err := os.WriteFile(password, []byte("scout-s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cluster := func(name, user, mechanism, password string) string {
		return fmt.Sprintf("- name: %s\n  urls: [%q]\n  kafka: {bootstrap_servers: [%q], group_id: secure, status_storage_topic: secure-status, offset_storage_topic: secure-offsets, tls_config: {ca_file: %q}, sasl: {mechanism: %s, username: %s, %s}}\n",
			name, w.URL.String(), secure.Address, secure.Certificate, mechanism, user, password)
	}
	// A token endpoint; its tokens are not signed.
	endpoint := httptest.NewServer(http.HandlerFunc(func(response http.ResponseWriter, _ *http.Request) {
		encoded := func(format string, values ...any) string {
			return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, format, values...))
		}
		response.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(response, `{"access_token":%q,"token_type":"bearer","expires_in":3600}`,
			encoded(`{"alg":"none"}`)+"."+encoded(`{"sub":"scout","iat":%d,"exp":%d}`, time.Now().Unix(), time.Now().Add(time.Hour).Unix())+".")
	}))
	defer endpoint.Close()
	oauth := fmt.Sprintf("- name: oauth\n  urls: [%q]\n  kafka: {bootstrap_servers: [%q], group_id: secure, status_storage_topic: secure-status, offset_storage_topic: secure-offsets, tls_config: {ca_file: %q}, sasl: {mechanism: OAUTHBEARER, oauth2: {client_id: scout, client_secret: scout-s3cret, token_url: %q}}}\n",
		w.URL.String(), secure.Address, secure.Certificate, endpoint.URL)
	mutual := func(name, certificate string) string {
		return fmt.Sprintf("- name: %s\n  urls: [%q]\n  kafka: {bootstrap_servers: [%q], group_id: secure, status_storage_topic: secure-status, offset_storage_topic: secure-offsets, tls_config: {ca_file: %q%s}}\n",
			name, w.URL.String(), secure.Mutual, secure.Certificate, certificate)
	}
	certificate := fmt.Sprintf(", cert_file: %q, key_file: %q", secure.ClientCertificate, secure.ClientKey)
	e := p.exporter("exporter", oauth+mutual("mutual", certificate)+cluster("scram", "scout", "SCRAM-SHA-512", "password_file: "+password)+cluster("plain", "scout", "PLAIN", "password: scout-s3cret"))
	for _, cluster := range []string{"scram", "plain", "oauth", "mutual"} {
		e.expect(1, "kafka_connect_brokers_up", cluster)
		e.expect(1, "kafka_connect_group_members", cluster)
		e.expect(0, "kafka_connect_sink_lag_sum", cluster, `connector="sink"`)
		e.expect(0, "kafka_connect_tasks_orphaned", cluster)
	}
	check := func(clusters string) (string, int) {
		t.Helper()
		file := filepath.Join(p.directory, "check.yml")
		if err := os.WriteFile(file, []byte("clusters:\n"+clusters), 0o600); err != nil {
			t.Fatal(err)
		}
		command := exec.CommandContext(t.Context(), p.binary, "check", "--connect", "--config.file="+file)
		output, _ := command.CombinedOutput()
		if strings.Contains(string(output), "s3cret") {
			t.Errorf("a password is shown: %s", output)
		}
		return string(output), command.ProcessState.ExitCode()
	}
	if output, status := check(cluster("scram", "scout", "SCRAM-SHA-512", "password: scout-s3cret")); status != 0 || !strings.Contains(output, "brokers ok, group stable with 1 workers") {
		t.Errorf("status %d: %s", status, output)
	}
	if output, status := check(cluster("wrong", "scout", "SCRAM-SHA-512", "password: wrong-s3cret")); status != 2 || !strings.Contains(output, "unauthorized") {
		t.Errorf("status %d: %s", status, output)
	}
	output, status := check(cluster("nobody", "nobody", "SCRAM-SHA-512", "password: nobody-s3cret"))
	for _, right := range []string{"DESCRIBE on group secure", "READ and DESCRIBE on topic secure-status", "READ and DESCRIBE on topic secure-offsets", "DESCRIBE on group"} {
		if status != 2 || !strings.Contains(output, "grant "+right) {
			t.Errorf("status %d, and nothing of %s: %s", status, right, output)
		}
	}
	for _, right := range rights {
		output, status := check(cluster(right.user, right.user, "PLAIN", "password: "+right.user+"-s3cret"))
		if status != 2 || !strings.Contains(output, "grant "+right.missing) {
			t.Errorf("status %d, and nothing of %s: %s", status, right.missing, output)
		}
		if n := strings.Count(output, "grant "); n != 1 {
			t.Errorf("%d rights are said to be missing: %s", n, output)
		}
	}
	if output, status := check(mutual("anonymous", "")); status != 2 || !strings.Contains(output, "certificate") {
		t.Errorf("without a certificate: status %d: %s", status, output)
	}
	// The broker that is spoken to without TLS says so.
	if output, status := check(fmt.Sprintf("- {name: x, urls: [%q], kafka: {bootstrap_servers: [%q], group_id: secure}}\n", w.URL.String(), secure.Address)); status != 2 || !strings.Contains(output, "set tls_config") {
		t.Errorf("status %d: %s", status, output)
	}
}

// users have all rights but one each.
func users() []string {
	return []string{"no-group", "no-status", "no-offsets", "no-sinks", "no-topics"}
}

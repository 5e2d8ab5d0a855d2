package brokers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kafka"
)

// TestSecureBroker reads brokers by TLS with a user who has the rights that
// docs/brokers.md lists, and says what is missing of one who has not.
func TestSecureBroker(t *testing.T) {
	secure := &kafka.Secure{Users: map[string]string{"scout": "scout-s3cret", "nobody": "nobody-s3cret"}}
	p := start(t, 24500, kafka.BrokerOptions{Secure: secure})
	w := p.workers("secure", 1, nil)[0]
	if err := p.admin.Produce(t.Context(), "orders", 10); err != nil {
		t.Fatal(err)
	}
	p.create(w, "sink", sinkClass, map[string]any{"topics": "orders", "tasks.max": "1", "file": filepath.Join(p.directory, "sink")})
	for _, grant := range [][3]string{
		{"group", "secure", "describe"}, {"topic", "secure-status", "read"}, {"topic", "secure-offsets", "read"},
		{"group", "connect-*", "describe"}, {"topic", "orders", "describe"},
	} {
		if err := p.admin.Allow(t.Context(), "scout", grant[0], grant[1], grant[2]); err != nil {
			t.Fatal(err)
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
	e := p.exporter("exporter", cluster("scram", "scout", "SCRAM-SHA-512", "password_file: "+password)+cluster("plain", "scout", "PLAIN", "password: scout-s3cret"))
	for _, cluster := range []string{"scram", "plain"} {
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
	// The broker that is spoken to without TLS says so.
	if output, status := check(fmt.Sprintf("- {name: x, urls: [%q], kafka: {bootstrap_servers: [%q], group_id: secure}}\n", w.URL.String(), secure.Address)); status != 2 || !strings.Contains(output, "brokers FAILED") {
		t.Errorf("status %d: %s", status, output)
	} else {
		t.Log(output)
	}
}

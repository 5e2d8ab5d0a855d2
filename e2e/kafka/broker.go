package kafka

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/process"
)

// A Broker is one KRaft broker and controller in one process, without any
// security but on the listener that [Secure] adds.
type Broker struct {
	*process.Process
	// Address is its bootstrap server, host:port.
	Address string

	group *process.Group
	argv  []string
}

// StartBroker starts a broker with its data below directory and returns when it
// accepts connections. Version is 4.0 or later.
func StartBroker(ctx context.Context, group *process.Group, ports *process.Ports, directory, version string) (*Broker, error) {
	return StartBrokerWith(ctx, group, ports, directory, version, BrokerOptions{})
}

// BrokerOptions are what a broker has beside the suite's own settings.
type BrokerOptions struct {
	// Secure adds a listener, nil none.
	Secure *Secure
	// Properties are added to the broker's, or replace them.
	Properties map[string]string
}

// StartBrokerWith starts a broker with more options.
func StartBrokerWith(ctx context.Context, group *process.Group, ports *process.Ports, directory, version string, o BrokerOptions) (*Broker, error) {
	fail := func(err error) (*Broker, error) { return nil, fmt.Errorf("start a broker %s: %w", version, err) }
	jars, err := Jars(ctx, version)
	if err != nil {
		return fail(err)
	}
	port, err := ports.Next()
	if err != nil {
		return fail(err)
	}
	controller, err := ports.Next()
	if err != nil {
		return fail(err)
	}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return fail(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	file := filepath.Join(directory, "broker.properties")
	properties := map[string]string{
		"process.roles":                  "broker,controller",
		"node.id":                        "1",
		"controller.quorum.voters":       fmt.Sprintf("1@127.0.0.1:%d", controller),
		"listeners":                      fmt.Sprintf("PLAINTEXT://%s,CONTROLLER://127.0.0.1:%d", address, controller),
		"advertised.listeners":           "PLAINTEXT://" + address,
		"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"controller.listener.names":      "CONTROLLER",
		"inter.broker.listener.name":     "PLAINTEXT",
		"log.dirs":                       filepath.Join(directory, "data"),
		// One broker cannot hold three replicas, and a rebalance need not wait for more members.
		"offsets.topic.num.partitions":             "1",
		"offsets.topic.replication.factor":         "1",
		"transaction.state.log.num.partitions":     "1",
		"transaction.state.log.replication.factor": "1",
		"transaction.state.log.min.isr":            "1",
		"group.initial.rebalance.delay.ms":         "0",
		"log.cleaner.dedupe.buffer.size":           "16777216",
	}
	var formatting []string
	if o.Secure != nil {
		if formatting, err = o.Secure.apply(ctx, ports, directory, properties); err != nil {
			return fail(err)
		}
	}
	maps.Copy(properties, o.Properties)
	if err := writeProperties(file, properties); err != nil {
		return fail(err)
	}
	classpath, err := classPath(jars, nil)
	if err != nil {
		return fail(err)
	}
	java, err := javaCommand(directory, version, "384m", classpath)
	if err != nil {
		return fail(err)
	}
	var id [16]byte
	_, _ = rand.Read(id[:])
	id[0] &= 0x7f // A leading dash would be taken for an option.
	format := exec.CommandContext(ctx, java[0], slices.Concat(java[1:], []string{
		"kafka.tools.StorageTool", "format",
		"-t", base64.RawURLEncoding.EncodeToString(id[:]), "-c", file,
	}, formatting)...)
	var output bytes.Buffer
	format.Stdout, format.Stderr = &output, &output
	if err := format.Run(); err != nil {
		return fail(fmt.Errorf("format its storage: %w\n%s", err, output.Bytes()))
	}
	b := &Broker{Address: address, group: group, argv: append(java, "kafka.Kafka", file)}
	if err := b.Start(ctx); err != nil {
		return fail(err)
	}
	return b, nil
}

// Start runs the broker's process, again after it has ended, and returns when it
// accepts connections.
func (b *Broker) Start(ctx context.Context) (err error) {
	if b.Process, err = b.group.Start("broker", b.argv); err != nil {
		return err
	}
	return process.Poll(ctx, 100*time.Millisecond, b.Process, func(ctx context.Context) error {
		connection, err := new(net.Dialer).DialContext(ctx, "tcp", b.Address)
		if err == nil {
			connection.Close()
		}
		return err
	})
}

// Secure are two listeners with TLS and ACLs, one with SASL and one that asks for
// certificates; that of the workers stays as it is, and may do everything.
type Secure struct {
	// Users and their passwords, for PLAIN and SCRAM-SHA-512. By OAUTHBEARER anybody is
	// who a token says that is not signed (what Kafka has for trying it out).
	Users map[string]string

	// Address of the listener with SASL, that of the one that asks for certificates, and
	// the certificate (PEM) that their clients have to trust; set by the start.
	Address, Mutual, Certificate string
	// ClientCertificate and ClientKey (PEM) of the user scout; set by the start.
	ClientCertificate, ClientKey string
}

// apply adds the listeners to a broker's properties and returns what its storage
// has to be formatted with.
func (s *Secure) apply(ctx context.Context, ports *process.Ports, directory string, properties map[string]string) (formatting []string, err error) {
	for _, address := range []*string{&s.Address, &s.Mutual} {
		port, err := ports.Next()
		if err != nil {
			return nil, err
		}
		*address = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	store, certificate, err := keyStore(ctx, directory)
	if err != nil {
		return nil, err
	}
	s.Certificate = certificate
	s.ClientCertificate, s.ClientKey = filepath.Join(directory, "client.pem"), filepath.Join(directory, "client.key")
	if output, err := exec.CommandContext(ctx, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
		"-subj", "/CN=scout", "-days", "2", "-out", s.ClientCertificate, "-keyout", s.ClientKey).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make a client's certificate: %w\n%s", err, output)
	}
	var plain strings.Builder
	plain.WriteString("org.apache.kafka.common.security.plain.PlainLoginModule required")
	for _, user := range slices.Sorted(maps.Keys(s.Users)) {
		fmt.Fprintf(&plain, " user_%s=%q", user, s.Users[user])
		formatting = append(formatting, "--add-scram", fmt.Sprintf("SCRAM-SHA-512=[name=%s,password=%s]", user, s.Users[user]))
	}
	for _, listener := range []string{"secure", "mutual"} {
		prefix := "listener.name." + listener + ".ssl.keystore."
		properties[prefix+"location"], properties[prefix+"password"], properties[prefix+"type"] = store, storePassword, "PKCS12"
	}
	added := ",SECURE://" + s.Address + ",MUTUAL://" + s.Mutual
	maps.Copy(properties, map[string]string{
		"listeners":                                           properties["listeners"] + added,
		"advertised.listeners":                                properties["advertised.listeners"] + added,
		"listener.security.protocol.map":                      properties["listener.security.protocol.map"] + ",SECURE:SASL_SSL,MUTUAL:SSL",
		"sasl.enabled.mechanisms":                             "SCRAM-SHA-512,PLAIN,OAUTHBEARER",
		"listener.name.secure.oauthbearer.sasl.jaas.config":   "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;",
		"listener.name.secure.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
		"listener.name.secure.plain.sasl.jaas.config":         plain.String() + ";",
		"listener.name.mutual.ssl.client.auth":                "required",
		"listener.name.mutual.ssl.truststore.location":        s.ClientCertificate,
		"listener.name.mutual.ssl.truststore.type":            "PEM",
		"listener.name.mutual.ssl.principal.mapping.rules":    "RULE:^CN=(.*)$/$1/",
		"authorizer.class.name":                               "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users":                                         "User:ANONYMOUS",
	})
	return formatting, nil
}

package kafka

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/process"
)

// A Broker is one KRaft broker and controller in one process, without any
// security.
type Broker struct {
	*process.Process
	// Address is its bootstrap server, host:port.
	Address string
}

// StartBroker starts a broker with its data below directory and returns when it
// accepts connections. Version is 4.0 or later.
func StartBroker(ctx context.Context, group *process.Group, ports *process.Ports, directory, version string) (*Broker, error) {
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
	if err := writeProperties(file, map[string]string{
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
	}); err != nil {
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
	format := exec.CommandContext(ctx, java[0], append(java[1:], "kafka.tools.StorageTool", "format",
		"-t", base64.RawURLEncoding.EncodeToString(id[:]), "-c", file)...)
	var output bytes.Buffer
	format.Stdout, format.Stderr = &output, &output
	if err := format.Run(); err != nil {
		return fail(fmt.Errorf("format its storage: %w\n%s", err, output.Bytes()))
	}
	p, err := group.Start("broker", append(java, "kafka.Kafka", file))
	if err != nil {
		return fail(err)
	}
	if err := process.Poll(ctx, 100*time.Millisecond, p, func(ctx context.Context) error {
		connection, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			connection.Close()
		}
		return err
	}); err != nil {
		return fail(err)
	}
	return &Broker{Process: p, Address: address}, nil
}

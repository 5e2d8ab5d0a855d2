package kafka

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/process"
)

// WorkerOptions say how a worker is run.
type WorkerOptions struct {
	// Version of Kafka Connect.
	Version string
	// Group is the group.id: workers of one group are one Connect cluster.
	Group string
	// Bootstrap is the broker's address.
	Bootstrap string
	// Port of the REST API on 127.0.0.1; the worker's id is 127.0.0.1:Port.
	Port int
	// Delay is scheduled.rebalance.max.delay.ms; 3 s where it is 0. A gap between
	// what REST says and what is true shows only with a longer one.
	Delay time.Duration
	// Without names jars (by the beginning of their file names) that the worker
	// does not get, to take a plugin away from it.
	Without []string
	// Properties are added to the worker's, or replace them.
	Properties map[string]string
	// Java are options of the virtual machine, which prevail over the suite's own.
	Java []string
	// Directory for its files.
	Directory string
	// Client for its REST API; one without credentials where it is nil.
	Client *Client
}

// A Worker is one distributed Connect worker: a process that can be ended and
// started again.
type Worker struct {
	*process.Process
	Options WorkerOptions
	*Client

	group *process.Group
}

// ID is how the worker names itself in statuses: host:port.
func (w *Worker) ID() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(w.Options.Port))
}

// NewWorker describes a worker; Start runs it.
func NewWorker(group *process.Group, options WorkerOptions) *Worker {
	w := &Worker{Options: options, Client: options.Client, group: group}
	if w.Client == nil {
		w.Client = NewClient(&url.URL{Scheme: "http", Host: w.ID()}, nil)
	}
	return w
}

// Start runs the worker's process; it is not ready yet when Start returns.
func (w *Worker) Start(ctx context.Context) error {
	o := w.Options
	fail := func(err error) error { return fmt.Errorf("start a worker %s of %s: %w", o.Version, o.Group, err) }
	jars, err := Jars(ctx, o.Version)
	if err != nil {
		return fail(err)
	}
	if err := os.MkdirAll(o.Directory, 0o755); err != nil {
		return fail(err)
	}
	delay := o.Delay
	if delay == 0 {
		delay = 3 * time.Second
	}
	port := strconv.Itoa(o.Port)
	properties := map[string]string{
		"bootstrap.servers":                 o.Bootstrap,
		"group.id":                          o.Group,
		"listeners":                         "http://127.0.0.1:" + port,
		"rest.advertised.host.name":         "127.0.0.1",
		"rest.advertised.port":              port,
		"rest.port":                         port,
		"key.converter":                     "org.apache.kafka.connect.json.JsonConverter",
		"value.converter":                   "org.apache.kafka.connect.json.JsonConverter",
		"key.converter.schemas.enable":      "false",
		"value.converter.schemas.enable":    "false",
		"config.storage.topic":              o.Group + "-configs",
		"config.storage.replication.factor": "1",
		"offset.storage.topic":              o.Group + "-offsets",
		"offset.storage.partitions":         "1",
		"offset.storage.replication.factor": "1",
		"status.storage.topic":              o.Group + "-status",
		"status.storage.partitions":         "1",
		"status.storage.replication.factor": "1",
		"offset.flush.interval.ms":          "1000",
		"scheduled.rebalance.max.delay.ms":  strconv.FormatInt(delay.Milliseconds(), 10),
	}
	maps.Copy(properties, o.Properties)
	name := fmt.Sprintf("worker-%s-%d", o.Group, o.Port)
	file := filepath.Join(o.Directory, name+".properties")
	if err := writeProperties(file, properties); err != nil {
		return fail(err)
	}
	classpath, err := classPath(jars, o.Without)
	if err != nil {
		return fail(err)
	}
	java, err := javaCommand(o.Directory, o.Version, "256m", classpath)
	if err != nil {
		return fail(err)
	}
	argv := slices.Concat(java, o.Java, []string{"org.apache.kafka.connect.cli.ConnectDistributed", file})
	if w.Process, err = w.group.Start(name, argv); err != nil {
		return fail(err)
	}
	return nil
}

// Ready waits until the worker answers what it is asked: GET /connectors and,
// from 3.9 on, /health (KIP-1017).
func (w *Worker) Ready(ctx context.Context) error {
	paths := []string{"/connectors", "/"}
	if AtLeast(w.Options.Version, "3.9") {
		paths = append(paths, "/health")
	}
	err := process.Poll(ctx, 100*time.Millisecond, w.Process, func(ctx context.Context) error {
		for _, path := range paths {
			if err := w.GetJSON(ctx, path, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("wait for worker %s (%s): %w", w.ID(), w.Options.Version, err)
	}
	return nil
}

// StartReady starts workers at once and waits for all of them.
func StartReady(ctx context.Context, workers ...*Worker) error {
	for _, w := range workers {
		if err := w.Start(ctx); err != nil {
			return err
		}
	}
	for _, w := range workers {
		if err := w.Ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

package kafka

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/process"
)

// StartMirrorMaker starts MirrorMaker 2 in dedicated mode, which mirrors topics
// from cluster a to cluster b, both at the same brokers. It has no REST API, and so
// nothing to wait for. more are properties beside the suite's own.
func StartMirrorMaker(ctx context.Context, group *process.Group, directory, version, bootstrap, topics string, more map[string]string) (*process.Process, error) {
	fail := func(err error) (*process.Process, error) {
		return nil, fmt.Errorf("start MirrorMaker 2 of %s: %w", version, err)
	}
	jars, err := Jars(ctx, version)
	if err != nil {
		return fail(err)
	}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return fail(err)
	}
	file := filepath.Join(directory, "mm2.properties")
	properties := map[string]string{
		"clusters": "a,b", "a.bootstrap.servers": bootstrap, "b.bootstrap.servers": bootstrap,
		"a->b.enabled": "true", "a->b.topics": topics, "b->a.enabled": "false",
		// With one broker for both it would mirror its own heartbeats for ever.
		"a->b.emit.heartbeats.enabled": "false", "b->a.emit.heartbeats.enabled": "false",
		"offset.flush.interval.ms": "1000", "refresh.topics.interval.seconds": "5", "tasks.max": "2",
	}
	for _, topic := range []string{"", "checkpoints.topic.", "heartbeats.topic.", "offset-syncs.topic.", "offset.storage.", "status.storage.", "config.storage."} {
		properties[topic+"replication.factor"] = "1"
	}
	maps.Copy(properties, more)
	if err := writeProperties(file, properties); err != nil {
		return fail(err)
	}
	classpath, err := classPath(jars, nil)
	if err != nil {
		return fail(err)
	}
	java, err := javaCommand(directory, version, "256m", classpath)
	if err != nil {
		return fail(err)
	}
	p, err := group.Start("mirrormaker", append(java, "org.apache.kafka.connect.mirror.MirrorMaker", file))
	if err != nil {
		return fail(err)
	}
	return p, nil
}

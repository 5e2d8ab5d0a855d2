package config

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config/internal/strict"
)

const (
	// maxLabelBytes bounds values that are configured to become labels.
	maxLabelBytes = 200
	// maxLabels bounds labels of a cluster, and those of its connectors.
	maxLabels = 20
	// maxWorkers is far above the size of any cluster.
	maxWorkers = 10_000
)

// OwnLabels lists the labels that the exporter's series have: no cluster can have
// them as labels of its own.
func OwnLabels() []string {
	return []string{
		"branch", "call", "capacity", "cloud_name", "code", "commit", "connect_cluster", "connect_version", "connector", "connector_class",
		"connector_id", "connector_type", "connector_version", "endpoint", "exception", "goarch", "goos", "goversion", "group", "host",
		"kafka_cluster_id", "kind", "le", "leader", "maintenance_window", "observation_version", "outcome", "partition", "phase", "plan",
		"plugin", "powered", "project", "provider", "quantile", "reason", "resource_name", "resource_namespace", "revision", "root_cause",
		"setting", "state", "status", "tags", "task", "task_version", "termination_protection", "topic", "type", "value",
		"version", "worker",
	}
}

// targetLabels are those that Prometheus, its operator and Kubernetes put on a
// target.
func targetLabels() []string {
	return []string{"job", "instance", "endpoint", "namespace", "pod", "service", "container", "node", "cluster"}
}

var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// labels validates what becomes a label.
func labels(settings *Settings, at origin) error {
	if len(settings.Labels) > maxLabels {
		return at.Wrong("labels", "are more than %d", maxLabels)
	}
	for _, name := range slices.Sorted(maps.Keys(settings.Labels)) {
		problem, value := labelProblem(name), settings.Labels[name]
		if err := cmp.Or(
			at.When(problem != "", "labels", "%s %s", strict.FieldName(name), problem),
			at.When(value == "", "labels."+name, "is empty, which Prometheus takes for no label: remove it or fill it in"),
			at.When(!printable(value) || len(value) > maxLabelBytes, "labels."+name, "must be printable UTF-8 of at most %d bytes", maxLabelBytes),
		); err != nil {
			return err
		}
	}
	return connectorLabels(settings.ConnectorLabels, at)
}

func labelProblem(name string) string {
	switch {
	case !labelName.MatchString(name) || len(name) > maxLabelBytes:
		return "is no name of a label: letters, digits and _, and no digit first"
	case strings.HasPrefix(name, "__"):
		return "begins with __, which Prometheus keeps for itself"
	case slices.Contains(targetLabels(), name):
		return "is a label that Prometheus or Kubernetes puts on the exporter itself: choose another name"
	case slices.Contains(OwnLabels(), name):
		return "is a label of the exporter's own series: choose another name"
	case strings.HasPrefix(name, "label_"):
		return "begins with label_, as those of connector_labels do: choose another name"
	}
	return ""
}

var (
	configKey = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]*$`)
	notLabel  = regexp.MustCompile(`[^a-zA-Z0-9_]`)
)

// labelFor is the name of the label that a key becomes.
func labelFor(key string) string { return notLabel.ReplaceAllString(key, "_") }

func connectorLabels(keys []string, at origin) error {
	if len(keys) > maxLabels {
		return at.Wrong("connector_labels", "are more than %d", maxLabels)
	}
	taken := map[string]int{}
	for i, key := range keys {
		place := strict.Item("connector_labels", i)
		label := labelFor(key)
		first, found := taken[label]
		if err := cmp.Or(
			at.When(!configKey.MatchString(key) || len(key) > maxLabelBytes, place, "must be a key of a connector's configuration, such as owner.team"),
			at.When(secretKey(key), place, "looks like a setting that holds a secret or an address with one: such values are never shown"),
			at.When(found, place, "becomes the same label as connector_labels[%d]: remove one", first),
		); err != nil {
			return err
		}
		taken[label] = i
	}
	return nil
}

// secretKey says whether the value of a configuration key may be secret, or
// carry a secret as the URL of a database does. It says so rather too often.
func secretKey(key string) bool {
	key = strings.ToLower(key)
	if slices.ContainsFunc([]string{
		"password", "passwd", "passphrase", "secret", "token", "credential", "jaas", "key", "private", "certificate",
		"oauth", "authori", "authentication", "signature", "encryption", "connection", "truststore", "header", "cookie",
	}, func(word string) bool { return strings.Contains(key, word) }) {
		return true
	}
	return slices.ContainsFunc(strings.FieldsFunc(key, func(r rune) bool { return r == '.' || r == '-' || r == '_' }), func(word string) bool {
		return slices.Contains([]string{"pass", "pwd", "pw", "auth", "url", "uri", "urls", "dsn", "pem", "pin", "sas", "cert", "login", "session"}, word)
	})
}

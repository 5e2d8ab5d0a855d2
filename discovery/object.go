package discovery

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// A Kind is a resource that the API serves: always named with its group, because
// Aiven's and Strimzi's have the same plural.
type Kind struct {
	// Resource is the plural, such as kafkaconnects.
	Resource, Group string
	// Shape is whose fields it has.
	Shape Shape
}

// String is kafkaconnects.kafka.strimzi.io.
func (k Kind) String() string { return k.Resource + "." + k.Group }

// A Shape says whose fields a resource has.
type Shape string

// The shapes.
const (
	StrimziConnect   Shape = "Strimzi KafkaConnect"
	StrimziMirror    Shape = "Strimzi KafkaMirrorMaker2"
	StrimziConnector Shape = "Strimzi KafkaConnector"
	AivenConnect     Shape = "Aiven KafkaConnect"
	AivenKafka       Shape = "Aiven Kafka"
	ConfluentConnect Shape = "Confluent Connect"
	ConfluentTask    Shape = "Confluent Connector"
)

// API groups of the operators.
const (
	strimziGroup   = "kafka.strimzi.io"
	aivenGroup     = "aiven.io"
	confluentGroup = "platform.confluent.io"
)

// kinds by the name that stands for them in a configuration.
var kinds = map[string][]Kind{
	"strimzi": {
		{"kafkaconnects", strimziGroup, StrimziConnect},
		{"kafkamirrormaker2s", strimziGroup, StrimziMirror},
		{"kafkaconnectors", strimziGroup, StrimziConnector},
	},
	"aiven": {
		{"kafkaconnects", aivenGroup, AivenConnect},
		{"kafkas", aivenGroup, AivenKafka},
	},
	"confluent": {
		{"connects", confluentGroup, ConfluentConnect},
		{"connectors", confluentGroup, ConfluentTask},
	},
}

// KindNames are the names that [ParseKinds] knows, sorted.
func KindNames() []string { return slices.Sorted(maps.Keys(kinds)) }

// ParseKinds returns what a name stands for: all resources of an operator, or
// one resource with its group. Those of a group that is not known are taken to
// have Strimzi's shape, as eventstreams.ibm.com has. The error says what would
// be right.
func ParseKinds(name string) ([]Kind, error) {
	if known := kinds[name]; known != nil {
		return known, nil
	}
	resource, group, found := strings.Cut(name, ".")
	for _, known := range kinds {
		for _, k := range known {
			if k.Resource == resource && k.Group == group {
				return []Kind{k}, nil
			}
		}
	}
	if found && strings.Contains(group, ".") && group != aivenGroup && group != confluentGroup {
		for _, k := range kinds["strimzi"] {
			if k.Resource == resource {
				return []Kind{{resource, group, k.Shape}}, nil
			}
		}
	}
	return nil, fmt.Errorf("%q is none of %s, and no resource with its group such as kafkaconnects.eventstreams.ibm.com", name, strings.Join(KindNames(), ", "))
}

// shapes are what is known of each: the versions that are understood, the preferred
// one first; the kind in a manifest; and what reduces a resource.
var shapes = map[Shape]struct {
	versions []string
	kind     string
	reduce   func(tree, *Object)
}{
	StrimziConnect:   {[]string{"v1", "v1beta2"}, "KafkaConnect", strimziConnect},
	StrimziMirror:    {[]string{"v1", "v1beta2"}, "KafkaMirrorMaker2", strimziMirror},
	StrimziConnector: {[]string{"v1", "v1beta2"}, "KafkaConnector", strimziConnector},
	AivenConnect:     {[]string{"v1alpha1"}, "KafkaConnect", aivenConnect},
	AivenKafka:       {[]string{"v1alpha1"}, "Kafka", aivenKafka},
	ConfluentConnect: {[]string{"v1beta1"}, "Connect", confluentConnect},
	ConfluentTask:    {[]string{"v1beta1"}, "Connector", confluentConnector},
}

// Versions that are understood, the preferred one first.
func (k Kind) Versions() []string { return shapes[k.Shape].versions }

// KindName is the kind in a manifest.
func (k Kind) KindName() string { return shapes[k.Shape].kind }

// IsCluster tells whether such a resource is a cluster; others are connectors.
func (k Kind) IsCluster() bool { return k.Shape != StrimziConnector && k.Shape != ConfluentTask }

// A Key names an object.
type Key struct {
	Kind            Kind
	Namespace, Name string
}

// String is "kafkaconnects.aiven.io data/orders".
func (k Key) String() string { return fmt.Sprintf("%s %s/%s", k.Kind, k.Namespace, k.Name) }

// A SecretKey is a key of a Secret.
type SecretKey struct{ Namespace, Name, Key string }

// An Object is what is kept of a resource. It does not change.
type Object struct {
	Key
	// Labels of the resource and, of Aiven's, its tags: what a selector may copy.
	Labels map[string]string
	// Problem is why nothing can be made of it, "" if something can. It says
	// nothing of the values that the resource holds.
	Problem string
	// Cluster is set for the kinds that are clusters.
	Cluster *ClusterSpec
	// Connector is set for the kinds that are connectors.
	Connector *ConnectorSpec
}

// A ClusterSpec is how a cluster is reached, and what is shown of it.
type ClusterSpec struct {
	Resource connect.OperatorResource
	// URL of the REST API, "" where there is none now (Idle says why) or where it
	// has to be asked for: from Aiven's API, or from ConnectionSecret.
	URL string
	// Idle is why there is nothing to ask, as its operator means it: no failure.
	Idle string
	// Aiven is set where Aiven's API says how it is reached.
	Aiven *AivenService
	// ConnectionSecret is the Secret with KAFKA_CONNECT_HOST and its like, "" if
	// none, and ConnectionPrefix what stands there in place of KAFKA_.
	ConnectionSecret, ConnectionPrefix string
	// Brokers is what is known of the Kafka cluster behind it; zero if nothing.
	Brokers Brokers
}

// AivenService names a service.
type AivenService struct {
	Project, Service string
	// Route that the resource opens: public, private, privatelink, dynamic.
	Route string
	// Token is where the API token is; zero for the exporter's own.
	Token SecretKey
}

// Brokers is what a Strimzi resource says of the workers' topics.
type Brokers struct {
	Bootstrap                         string
	GroupID, StatusTopic, OffsetTopic string
}

// A ConnectorSpec is a connector that is managed by a resource.
type ConnectorSpec struct {
	// Cluster is the name of its cluster's resource, and Namespace where that is.
	Cluster, Namespace string
	State              connect.OperatorConnector
}

// Reduce keeps of a resource, as the API or a manifest has it, what is used.
// Fields of the wrong type count as absent.
func Reduce(kind Kind, resource map[string]any) *Object {
	t := tree(resource)
	o := &Object{
		Key:    Key{Kind: kind, Namespace: t.text("metadata", "namespace"), Name: t.text("metadata", "name")},
		Labels: t.texts("metadata", "labels"),
	}
	if kind.IsCluster() {
		o.Cluster = &ClusterSpec{Resource: connect.OperatorResource{
			Group: kind.Group, Kind: kind.KindName(), Namespace: o.Namespace, Name: o.Name,
			Conditions: conditions(t.list("status", "conditions")),
		}}
	} else {
		o.Connector = &ConnectorSpec{State: connect.OperatorConnector{Name: o.Name}}
	}
	shapes[kind.Shape].reduce(t, o)
	return o
}

// maxConditions of one resource, each of which is a series: operators have a
// handful.
const maxConditions = 32

// conditions are the types and statuses of a resource's conditions.
func conditions(list []tree) (all []connect.Condition) {
	for _, c := range list {
		if name, status := c.text("type"), c.text("status"); name != "" && status != "" && len(name) <= maxText {
			all = append(all, connect.Condition{Type: name, Status: status})
		}
		if len(all) == maxConditions {
			break
		}
	}
	slices.SortFunc(all, func(a, b connect.Condition) int { return cmp.Compare(a.Type, b.Type) })
	return slices.CompactFunc(all, func(a, b connect.Condition) bool { return a.Type == b.Type })
}

// maxText bounds what becomes a label. Names of Kubernetes end at 253 bytes.
const maxText = 256

// maxAddress bounds an address or a list of them.
const maxAddress = 16 << 10

// A tree is a resource without a type.
type tree map[string]any

func (t tree) at(path ...string) any {
	var value any = map[string]any(t)
	for _, key := range path {
		inner, _ := value.(map[string]any)
		value = inner[key]
	}
	return value
}

// under is the mapping at a path, empty if there is none.
func (t tree) under(path ...string) tree {
	inner, _ := t.at(path...).(map[string]any)
	return inner
}

// text is the string at a path, "" if there is none or if it is too long to be
// shown.
func (t tree) text(path ...string) string {
	if text := t.address(path...); len(text) <= maxText {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	return ""
}

// address is the text at a path, which is asked and not shown: the list of a
// large cluster's brokers is longer than a label may be.
func (t tree) address(path ...string) string {
	text, _ := t.at(path...).(string)
	if len(text) > maxAddress {
		return ""
	}
	return text
}

// flag is "true" or "false", or preset if there is no boolean.
func (t tree) flag(preset string, path ...string) string {
	if value, ok := t.at(path...).(bool); ok {
		return fmt.Sprint(value)
	}
	return preset
}

func (t tree) is(path ...string) bool { return t.flag("", path...) == "true" }

// number is the number at a path.
func (t tree) number(path ...string) (value float64, ok bool) {
	switch n := t.at(path...).(type) {
	case int:
		return float64(n), true
	case int64:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

// list are the mappings of a list.
func (t tree) list(path ...string) (all []tree) {
	items, _ := t.at(path...).([]any)
	for _, item := range items {
		if mapping, ok := item.(map[string]any); ok {
			all = append(all, mapping)
		}
	}
	return all
}

// texts are the strings of a mapping, nil if there are none.
func (t tree) texts(path ...string) map[string]string {
	var all map[string]string
	for key := range t.under(path...) {
		if value := t.text(append(slices.Clone(path), key)...); value != "" {
			if all == nil {
				all = map[string]string{}
			}
			all[key] = value
		}
	}
	return all
}

package discovery

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// A Field of Aiven's KafkaConnect: its limits, and what becomes of it.
type Field struct {
	// Path from the root, [] for the items of a list.
	Path string
	// Type as a definition has it: string, integer, boolean, object, array.
	Type string
	// Required in its parent.
	Required bool
	// Immutable fields keep the value that they were created with.
	Immutable bool
	// Enum are the only values; Min and Max bound a number, Least and Most the
	// length of a text or the number of items; Most 0 is no limit.
	Enum        []string
	Min, Max    int
	Least, Most int
	Pattern     string
	// Shown is what becomes of it, for documentation: a metric, a use, or why it
	// is not shown.
	Shown string
}

const (
	shownSetting = "`kafka_connect_worker_setting`"
	shownChoice  = "`kafka_connect_worker_setting_info`"
	notShown     = "not shown: it says nothing of the cluster's health"
	secretField  = "never read: secret"
	private      = "never read: personal, or an address of somebody's network"
)

// AivenFields are the fields of KafkaConnect (aiven.io/v1alpha1), the definition
// of aiven-operator @f15ffef0 and the older one together: where they differ, the
// wider limit.
func AivenFields() []Field {
	text := func(path, shown string, most int) Field {
		return Field{Path: path, Type: "string", Most: most, Shown: shown}
	}
	flag := func(path, shown string) Field { return Field{Path: path, Type: "boolean", Shown: shown} }
	number := func(name string, least, most int) Field {
		return Field{Path: "spec.userConfig.kafka_connect." + name, Type: "integer", Min: least, Max: most, Shown: shownSetting}
	}
	choice := func(name string, words ...string) Field {
		return Field{Path: "spec.userConfig.kafka_connect." + name, Type: "string", Enum: words, Shown: shownChoice}
	}
	group := func(path string) Field { return Field{Path: path, Type: "object", Shown: "its fields, below"} }
	array := func(path, shown string, most int) Field {
		return Field{Path: path, Type: "array", Most: most, Shown: shown}
	}
	required := func(f Field) Field { f.Required = true; return f }
	immutable := func(f Field) Field { f.Immutable = true; return f }
	pattern := func(f Field, p string) Field { f.Pattern = p; return f }
	enum := func(f Field, words ...string) Field { f.Enum = words; return f }
	least := func(f Field) Field { f.Least = 1; return f }
	const maxInt32 = math.MaxInt32
	const oneLine = `^[^\r\n]*$`
	return []Field{
		group("spec"),
		required(immutable(pattern(text("spec.project", "`kafka_connect_resource_info`; where the API is asked", 63), `^[a-zA-Z0-9_-]+$`))),
		required(text("spec.plan", "`kafka_connect_resource_info`", 128)),
		text("spec.cloudName", "`kafka_connect_resource_info`", 256),
		{Path: "spec.authSecretRef", Type: "object", Shown: "names the Secret with the API token"},
		required(least(text("spec.authSecretRef.name", "the Secret that is read, by `get`", 0))),
		required(least(text("spec.authSecretRef.key", "its key", 0))),
		enum(text("spec.maintenanceWindowDow", "`kafka_connect_resource_info` (maintenance_window)", 0),
			"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
		text("spec.maintenanceWindowTime", "`kafka_connect_resource_info` (maintenance_window)", 8),
		flag("spec.powered", "`kafka_connect_resource_info`; false is `kafka_connect_resource_state` poweroff, and nothing is asked"),
		group("spec.projectVPCRef"),
		required(least(text("spec.projectVPCRef.name", notShown, 0))),
		least(text("spec.projectVPCRef.namespace", notShown, 0)),
		text("spec.projectVpcId", notShown, 36),
		immutable(array("spec.serviceIntegrations", notShown, 1)),
		required(enum(text("spec.serviceIntegrations[].integrationType", notShown, 0), "read_replica")),
		required(least(text("spec.serviceIntegrations[].sourceServiceName", notShown, 64))),
		{Path: "spec.tags", Type: "object", Shown: "labels of the cluster, those that `copy_labels` names"},
		array("spec.technicalEmails", private, 10),
		required(text("spec.technicalEmails[].email", private, 0)),
		flag("spec.terminationProtection", "`kafka_connect_resource_info`"),
		group("spec.userConfig"),
		array("spec.userConfig.additional_backup_regions", notShown, 1),
		array("spec.userConfig.gcp_auth_allowed_urls", private, 0),
		array("spec.userConfig.ip_filter", private, 8000),
		required(text("spec.userConfig.ip_filter[].network", private, 43)),
		text("spec.userConfig.ip_filter[].description", private, 1024),
		group("spec.userConfig.kafka_connect"),
		choice("connector_client_config_override_policy", "All", "None"),
		choice("consumer_auto_offset_reset", "earliest", "latest"),
		number("consumer_fetch_max_bytes", 1048576, 104857600),
		choice("consumer_isolation_level", "read_committed", "read_uncommitted"),
		number("consumer_max_partition_fetch_bytes", 1048576, 104857600),
		number("consumer_max_poll_interval_ms", 1, maxInt32),
		number("consumer_max_poll_records", 1, 10000),
		number("offset_flush_interval_ms", 1, 100000000),
		number("offset_flush_timeout_ms", 1, maxInt32),
		flag("spec.userConfig.kafka_connect.prefer_ipv6_address_enable", shownChoice),
		number("producer_batch_size", 0, 5242880),
		number("producer_buffer_memory", 5242880, 134217728),
		choice("producer_compression_type", "gzip", "lz4", "none", "snappy", "zstd"),
		number("producer_linger_ms", 0, 5000),
		number("producer_max_request_size", 131072, 67108864),
		number("scheduled_rebalance_max_delay_ms", 0, 600000),
		number("session_timeout_ms", 1, maxInt32),
		array("spec.userConfig.plugin_versions", "`kafka_connect_resource_plugin_info`", 0),
		required(pattern(text("spec.userConfig.plugin_versions[].plugin_name", "`kafka_connect_resource_plugin_info`", 128), oneLine)),
		required(pattern(text("spec.userConfig.plugin_versions[].version", "`kafka_connect_resource_plugin_info`", 128), oneLine)),
		array("spec.userConfig.preferred_zones", notShown, 10),
		group("spec.userConfig.private_access"),
		flag("spec.userConfig.private_access.kafka_connect", "the route: private"),
		flag("spec.userConfig.private_access.prometheus", notShown),
		group("spec.userConfig.privatelink_access"),
		flag("spec.userConfig.privatelink_access.jolokia", notShown),
		flag("spec.userConfig.privatelink_access.kafka_connect", "the route: privatelink"),
		flag("spec.userConfig.privatelink_access.prometheus", notShown),
		group("spec.userConfig.public_access"),
		flag("spec.userConfig.public_access.kafka_connect", "the route: public"),
		flag("spec.userConfig.public_access.prometheus", notShown),
		array("spec.userConfig.sasl_oauthbearer_allowed_urls", private, 0),
		array("spec.userConfig.secret_providers", secretField, 0),
		required(pattern(text("spec.userConfig.secret_providers[].name", secretField, 0), `^[A-Za-z0-9_-]+$`)),
		{Path: "spec.userConfig.secret_providers[].aws", Type: "object", Shown: secretField},
		required(enum(text("spec.userConfig.secret_providers[].aws.auth_method", secretField, 0), "credentials")),
		required(text("spec.userConfig.secret_providers[].aws.region", secretField, 64)),
		text("spec.userConfig.secret_providers[].aws.access_key", secretField, 128),
		text("spec.userConfig.secret_providers[].aws.secret_key", secretField, 128),
		{Path: "spec.userConfig.secret_providers[].azure", Type: "object", Shown: secretField},
		{Path: "spec.userConfig.secret_providers[].env", Type: "object", Shown: secretField},
		{Path: "spec.userConfig.secret_providers[].vault", Type: "object", Shown: secretField},
		required(least(text("spec.userConfig.secret_providers[].vault.address", secretField, 65536))),
		required(enum(text("spec.userConfig.secret_providers[].vault.auth_method", secretField, 0), "token")),
		{Path: "spec.userConfig.secret_providers[].vault.engine_version", Type: "integer", Enum: []string{"1", "2"}, Shown: secretField},
		{Path: "spec.userConfig.secret_providers[].vault.prefix_path_depth", Type: "integer", Shown: secretField},
		text("spec.userConfig.secret_providers[].vault.server_pem", secretField, 4096),
		text("spec.userConfig.secret_providers[].vault.token", secretField, 256),
		flag("spec.userConfig.service_log", notShown),
		flag("spec.userConfig.static_ips", notShown),
	}
}

// A Finding is something wrong, or hardly meant, in a manifest. Its text quotes
// no value but words of the definition.
type Finding struct {
	Document Document
	// Line and Field where it stands.
	Line  int
	Field string
	// Warning is accepted by the operator all the same.
	Warning bool
	Text    string
}

// String is resources.yaml:12 (document 2): spec.plan: is required.
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d (document %d): %s: %s", f.Document.File, f.Line, f.Document.Number, f.Field, f.Text)
}

// Check compares a manifest with Aiven's definition; manifests of other kinds
// have no findings.
func Check(d Document) []Finding {
	if d.Kind.Shape != AivenConnect {
		return nil
	}
	c := checker{document: d, fields: map[string]Field{}}
	for _, f := range AivenFields() {
		c.fields[f.Path] = f
	}
	spec := child(d.Node, "spec")
	if spec == nil {
		c.wrong(d.Node, "spec", "is required")
		return c.findings
	}
	c.check(spec, "spec", "spec")
	return c.findings
}

// Changed compares a manifest with the one before of the same resource.
func Changed(before, after Document) (findings []Finding) {
	if after.Kind.Shape != AivenConnect {
		return nil
	}
	for _, f := range AivenFields() {
		if !f.Immutable {
			continue
		}
		was, is := before.Node, after.Node
		for key := range strings.SplitSeq(f.Path, ".") {
			was, is = child(was, key), child(is, key)
		}
		if !same(was, is) {
			at := after.Node
			if is != nil {
				at = is
			}
			findings = append(findings, Finding{
				Document: after, Line: at.Line, Field: f.Path,
				Text: "cannot be changed after the resource was created: delete it and create it anew",
			})
		}
	}
	return findings
}

func same(a, b *yaml.Node) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Kind != b.Kind || a.Value != b.Value || len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !same(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}

type checker struct {
	document Document
	fields   map[string]Field
	findings []Finding
}

func (c *checker) wrong(node *yaml.Node, field, format string, args ...any) {
	c.findings = append(c.findings, Finding{Document: c.document, Line: node.Line, Field: field, Text: fmt.Sprintf(format, args...)})
}

// check looks at the value of the field path, which stands at place: the same
// with indexes.
func (c *checker) check(node *yaml.Node, path, place string) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	f := c.fields[path]
	switch f.Type {
	case "object":
		if node.Kind != yaml.MappingNode {
			c.wrong(node, place, "must be a mapping")
			return
		}
		if path != "spec.tags" && c.hasFields(path+".") {
			c.mapping(node, path, place)
		}
	case "array":
		if node.Kind != yaml.SequenceNode {
			c.wrong(node, place, "must be a list")
			return
		}
		if f.Most > 0 && len(node.Content) > f.Most {
			c.wrong(node, place, "has %d items, at most %d are allowed", len(node.Content), f.Most)
		}
		if c.hasFields(path + "[].") {
			for i, item := range node.Content {
				at := fmt.Sprintf("%s[%d]", place, i)
				if item.Kind != yaml.MappingNode {
					c.wrong(item, at, "must be a mapping")
					continue
				}
				c.mapping(item, path+"[]", at)
			}
		}
	default:
		c.value(node, f, place)
	}
}

func (c *checker) hasFields(prefix string) bool {
	for path := range c.fields {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

func (c *checker) mapping(node *yaml.Node, path, place string) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if _, known := c.fields[path+"."+key.Value]; !known {
			c.findings = append(c.findings, Finding{
				Document: c.document, Line: key.Line, Field: place, Warning: true,
				Text: fmt.Sprintf("has a key that the definition does not know (%s): is it misspelt?", fieldName.FindString(key.Value)),
			})
			continue
		}
		c.check(value, path+"."+key.Value, place+"."+key.Value)
	}
	for _, f := range AivenFields() {
		name, below := strings.CutPrefix(f.Path, path+".")
		if below && f.Required && !strings.ContainsAny(name, ".[") && child(node, name) == nil {
			c.wrong(node, place+"."+name, "is required")
		}
	}
}

// fieldName keeps what is hardly a name out of an error.
var fieldName = regexp.MustCompile(`^[A-Za-z0-9_.-]{0,64}`)

func (c *checker) value(node *yaml.Node, f Field, place string) {
	tag := map[string]string{"string": "!!str", "integer": "!!int", "boolean": "!!bool"}[f.Type]
	if node.Kind != yaml.ScalarNode || node.ShortTag() != tag {
		c.wrong(node, place, "must be %s", map[string]string{"string": "a text", "integer": "a whole number", "boolean": "true or false"}[f.Type])
		return
	}
	if f.Type == "integer" && f.Max > f.Min {
		if n, err := strconv.ParseInt(node.Value, 0, 64); err != nil || n < int64(f.Min) || n > int64(f.Max) {
			c.wrong(node, place, "must be from %d to %d", f.Min, f.Max)
		}
	}
	if len(f.Enum) > 0 && !slices.Contains(f.Enum, node.Value) {
		c.wrong(node, place, "must be one of %s", strings.Join(f.Enum, ", "))
		return
	}
	if f.Type != "string" {
		return
	}
	switch length := utf8.RuneCountInString(node.Value); {
	case length < f.Least:
		c.wrong(node, place, "must not be empty")
	case f.Most > 0 && length > f.Most:
		c.wrong(node, place, "has %d characters, at most %d are allowed", length, f.Most)
	case f.Pattern != "" && !regexp.MustCompile(f.Pattern).MatchString(node.Value):
		c.wrong(node, place, "must match %s", f.Pattern)
	}
}

package discovery

import (
	"cmp"
	"maps"
	"strings"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// Aiven's resources, aiven.io/v1alpha1 as of aiven-operator @f15ffef0. The name
// of the service is the name of the resource; neither address nor credentials
// stand in it.

func aivenConnect(t tree, o *Object) {
	aivenResource(t, o)
	o.Cluster.Resource.Settings, o.Cluster.Resource.Choices = workerSettings(t.under("spec", "userConfig", "kafka_connect"))
	for _, plugin := range t.list("spec", "userConfig", "plugin_versions") {
		if name := plugin.text("plugin_name"); name != "" {
			o.Cluster.Resource.Plugins = append(o.Cluster.Resource.Plugins, connect.Plugin{Name: name, Version: plugin.text("version")})
		}
	}
	o.Cluster.Resource.Plugins = sortPlugins(o.Cluster.Resource.Plugins)
	if o.Cluster.Idle == "" {
		o.Cluster.Aiven = aivenService(t, o)
	}
}

func aivenService(t tree, o *Object) *AivenService {
	return &AivenService{Project: t.text("spec", "project"), Service: o.Name, Route: openRoute(t.under("spec", "userConfig")), Token: aivenToken(t, o)}
}

// A Kafka service runs Connect too where it is asked to. Its connection Secret
// has the address; where none is wanted, Aiven's API tells it.
func aivenKafka(t tree, o *Object) {
	if !t.is("spec", "userConfig", "kafka_connect") {
		o.Cluster = nil
		return
	}
	aivenResource(t, o)
	switch {
	case o.Cluster.Idle != "":
	case t.is("spec", "connInfoSecretTargetDisabled"):
		o.Cluster.Aiven = aivenService(t, o)
	default:
		target := t.under("spec", "connInfoSecretTarget")
		o.Cluster.ConnectionSecret = cmp.Or(target.text("name"), o.Name)
		o.Cluster.ConnectionPrefix = cmp.Or(target.text("prefix"), "KAFKA_")
	}
}

// aivenResource is what both kinds have.
func aivenResource(t tree, o *Object) {
	if tags := t.texts("spec", "tags"); tags != nil {
		if o.Labels == nil {
			o.Labels = map[string]string{}
		}
		maps.Copy(o.Labels, tags)
	}
	spec, r := t.under("spec"), &o.Cluster.Resource
	r.Project, r.Plan, r.CloudName = spec.text("project"), spec.text("plan"), spec.text("cloudName")
	r.TerminationProtection, r.Powered = spec.flag("false", "terminationProtection"), spec.flag("true", "powered")
	r.MaintenanceWindow = strings.TrimSpace(spec.text("maintenanceWindowDow") + " " + spec.text("maintenanceWindowTime"))
	if r.Project == "" {
		o.Problem = "has no spec.project"
	}
	switch state := t.text("status", "state"); {
	case r.Powered == "false" || strings.EqualFold(state, string(connect.ResourcePowerOff)):
		// Either is somebody's intention.
		r.State, o.Cluster.Idle = connect.ResourcePowerOff, "it is powered off"
	case state == "":
		r.State = connect.ResourceUnknown
	default:
		r.State = connect.ParseResourceState(state)
	}
}

func aivenToken(t tree, o *Object) SecretKey {
	name, key := t.text("spec", "authSecretRef", "name"), t.text("spec", "authSecretRef", "key")
	if name == "" || key == "" {
		return SecretKey{}
	}
	return SecretKey{Namespace: o.Namespace, Name: name, Key: key}
}

// openRoute is the access that the resource opens to Kafka Connect. Where it
// opens none, the service is reached by its usual, dynamic address.
func openRoute(userConfig tree) string {
	for _, access := range []struct{ field, route string }{
		{"public_access", "public"}, {"privatelink_access", "privatelink"}, {"private_access", "private"},
	} {
		if userConfig.is(access.field, "kafka_connect") {
			return access.route
		}
	}
	return "dynamic"
}

// A workerSetting is a field of userConfig.kafka_connect that is shown.
type workerSetting struct {
	field string
	// name that it is shown by, in base units: milliseconds become seconds.
	name string
	// preset is the documented default, nil if none is documented: a number, or a
	// word.
	preset any
}

// workerSettingTable has those of Aiven's definition, by name; defaults as it documents
// them.
var workerSettingTable = []workerSetting{
	{"connector_client_config_override_policy", "connector_client_config_override_policy", "None"},
	{"consumer_auto_offset_reset", "consumer_auto_offset_reset", "earliest"},
	{"consumer_fetch_max_bytes", "consumer_fetch_max_bytes", nil},
	{"consumer_isolation_level", "consumer_isolation_level", "read_uncommitted"},
	{"consumer_max_partition_fetch_bytes", "consumer_max_partition_fetch_bytes", nil},
	{"consumer_max_poll_interval_ms", "consumer_max_poll_interval_seconds", 300000.0},
	{"consumer_max_poll_records", "consumer_max_poll_records", 500.0},
	{"offset_flush_interval_ms", "offset_flush_interval_seconds", 60000.0},
	{"offset_flush_timeout_ms", "offset_flush_timeout_seconds", 5000.0},
	{"prefer_ipv6_address_enable", "prefer_ipv6_address_enable", nil},
	{"producer_batch_size", "producer_batch_size_bytes", 16384.0},
	{"producer_buffer_memory", "producer_buffer_memory_bytes", 33554432.0},
	{"producer_compression_type", "producer_compression_type", "none"},
	{"producer_linger_ms", "producer_linger_seconds", 0.0},
	{"producer_max_request_size", "producer_max_request_size_bytes", nil},
	{"scheduled_rebalance_max_delay_ms", "scheduled_rebalance_max_delay_seconds", 300000.0},
	{"session_timeout_ms", "session_timeout_seconds", 10000.0},
}

func workerSettings(config tree) (numbers []connect.WorkerSetting, words []connect.WorkerChoice) {
	for _, setting := range workerSettingTable {
		value := setting.preset
		switch config.at(setting.field).(type) {
		case string:
			value = config.text(setting.field)
		case bool:
			value = config.flag("", setting.field)
		default:
			if number, ok := config.number(setting.field); ok {
				value = number
			}
		}
		switch value := value.(type) {
		case float64:
			if strings.HasSuffix(setting.field, "_ms") {
				value /= 1000
			}
			numbers = append(numbers, connect.WorkerSetting{Name: setting.name, Value: value})
		case string:
			words = append(words, connect.WorkerChoice{Name: setting.name, Value: value})
		}
	}
	return numbers, words
}

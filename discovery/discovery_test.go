package discovery

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// usualName is the name of a cluster that is found where none is configured.
const usualName = "{namespace}/{name}"

func objects(t *testing.T) map[string]*Object {
	t.Helper()
	documents, problems := Documents([]string{"testdata/resources.yaml"})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	all := map[string]*Object{}
	for _, d := range documents {
		o, err := d.Object()
		if err != nil {
			t.Fatal(err)
		}
		all[o.Name] = o
	}
	return all
}

func TestReduce(t *testing.T) {
	all := objects(t)
	if len(all) != 19 {
		t.Errorf("%d resources are read, 19 are known", len(all))
	}
	orders := all["orders"]
	if want := (connect.OperatorResource{
		Group: "aiven.io", Kind: "KafkaConnect", Namespace: "data", Name: "orders", State: connect.ResourceRunning,
		Project: "acme", Plan: "business-4", CloudName: "google-europe-west1", TerminationProtection: "true", Powered: "true",
		MaintenanceWindow: "tuesday 10:00:00",
		Conditions:        []connect.Condition{{Type: "Initialized", Status: "True"}, {Type: "Running", Status: "True"}},
		Settings: []connect.WorkerSetting{
			{Name: "consumer_max_poll_interval_seconds", Value: 300},
			{Name: "consumer_max_poll_records", Value: 500},
			{Name: "offset_flush_interval_seconds", Value: 60},
			{Name: "offset_flush_timeout_seconds", Value: 5},
			{Name: "producer_batch_size_bytes", Value: 16384},
			{Name: "producer_buffer_memory_bytes", Value: 33554432},
			{Name: "producer_linger_seconds", Value: 0.005},
			{Name: "scheduled_rebalance_max_delay_seconds", Value: 300},
			{Name: "session_timeout_seconds", Value: 20},
		},
		Choices: []connect.WorkerChoice{
			{Name: "connector_client_config_override_policy", Value: "None"},
			{Name: "consumer_auto_offset_reset", Value: "earliest"},
			{Name: "consumer_isolation_level", Value: "read_committed"},
			{Name: "producer_compression_type", Value: "none"},
		},
		Plugins: []connect.Plugin{{Name: "debezium", Version: "2.7"}},
	}); !reflect.DeepEqual(orders.Cluster.Resource, want) {
		t.Errorf("orders is\n%+v\nwant\n%+v", orders.Cluster.Resource, want)
	}
	if want := (&AivenService{Project: "acme", Service: "orders", Route: "public", Token: SecretKey{"data", "aiven-token", "token"}}); !reflect.DeepEqual(orders.Cluster.Aiven, want) {
		t.Errorf("orders is reached by %+v", orders.Cluster.Aiven)
	}
	if !maps.Equal(orders.Labels, map[string]string{"team": "payments", "env": "test"}) {
		t.Errorf("orders has labels %v", orders.Labels)
	}
	if dark := all["dark"].Cluster; dark.Resource.State != connect.ResourcePowerOff || dark.Idle == "" || dark.Aiven != nil {
		t.Errorf("a service that is powered off is asked: %+v", dark)
	}
	if log := all["log"].Cluster; log.ConnectionSecret != "log-secret" || log.ConnectionPrefix != "KAFKA_" || log.Resource.Project != "acme" {
		t.Errorf("a Kafka service with Connect: %+v", log)
	}
	if own := all["prefixed"].Cluster; own.ConnectionSecret != "own" || own.ConnectionPrefix != "MY_" {
		t.Errorf("a Kafka service whose Secret has other keys: %+v", own)
	}
	if none := all["secretless"].Cluster; none.ConnectionSecret != "" || !reflect.DeepEqual(none.Aiven, &AivenService{Project: "acme", Service: "secretless", Route: "private", Token: SecretKey{"data", "aiven-token", "token"}}) {
		t.Errorf("a Kafka service without a Secret: %+v", none.Aiven)
	}
	if all["without-connect"].Cluster != nil {
		t.Error("a Kafka service without Connect is a cluster")
	}
	for name, want := range map[string]ClusterSpec{
		"stream": {URL: "http://stream-connect-api.data.svc:8083", Brokers: Brokers{"kafka:9092", "stream-group", "s", "o"}},
		"old":    {URL: "http://old-connect-api.data.svc:8083", Brokers: Brokers{"kafka:9092", "old-group", "old-status", "connect-cluster-offsets"}},
		"none":   {Idle: "it has 0 replicas", Brokers: Brokers{"kafka:9092", "connect-cluster", "connect-cluster-status", "connect-cluster-offsets"}},
		"mirror": {URL: "http://mirror-mirrormaker2-api.data.svc:8083", Brokers: Brokers{"us:9092", "mirror-group", "ms", "mo"}},
		"cfk":    {URL: "https://cfk.data.svc.cluster.local:8083", Brokers: Brokers{"kafka.data.svc:9071", "data.cfk", "data.cfk-status", "data.cfk-offsets"}},
	} {
		got := *all[name].Cluster
		if got.URL != want.URL || got.Idle != want.Idle || got.Brokers != want.Brokers {
			t.Errorf("%s is %+v, want %+v", name, got, want)
		}
	}
	for name, want := range map[string]connect.ResourceState{
		"stream": connect.ResourceRunning, "old": connect.ResourcePaused, "none": connect.ResourceStopped, "new": connect.ResourceUnknown, "cfk": connect.ResourceRunning,
		"ibm-paused": connect.ResourcePaused,
	} {
		if got := all[name].Cluster.Resource.State; got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if got := all["mirror"].Cluster.Resource.Connectors; !slices.Equal(got, []connect.OperatorConnector{
		{Name: "eu->us.MirrorCheckpointConnector", Wished: connect.StateStopped},
		{Name: "eu->us.MirrorSourceConnector", Wished: connect.StateRunning, HasAutoRestart: true, AutoRestarts: 2},
	}) {
		t.Errorf("the mirror's connectors are %+v", got)
	}
	if got := all["orders-sink"].Connector; *got != (ConnectorSpec{"stream", "data", connect.OperatorConnector{
		Name: "orders-sink", Wished: connect.StatePaused, Ready: "False", HasAutoRestart: true, AutoRestarts: 3, GaveUp: true,
	}}) {
		t.Errorf("the connector is %+v", got)
	}
	if got := all["cfk-sink"].Connector; got.Cluster != "cfk" || got.State.Ready != "False" {
		t.Errorf("Confluent's connector is %+v", got)
	}
	if text := fmt.Sprintf("%+v", all["orders"]) + fmt.Sprintf("%+v", all["orders"].Cluster) + fmt.Sprintf("%+v", all["orders-sink"].Connector); strings.Contains(text, "s3cret") {
		t.Error("a secret is kept")
	}
}

// A list of brokers may be longer than a label; conditions, each a series, are not
// without end.
func TestReduceBounds(t *testing.T) {
	many := make([]any, 10_000)
	for i := range many {
		many[i] = map[string]any{"type": fmt.Sprintf("T%d", i), "status": "True"}
	}
	brokers := strings.Repeat("b-1.orders.abcdef.c2.kafka.eu-west-1.amazonaws.com:9094,", 12)
	o := Reduce(kinds["strimzi"][0], map[string]any{
		"metadata": map[string]any{"name": "a", "namespace": "b"},
		"spec":     map[string]any{"bootstrapServers": brokers, "groupId": strings.Repeat("g", 1<<20)},
		"status":   map[string]any{"conditions": many, "url": strings.Repeat("u", 1<<20)},
	})
	if c := o.Cluster; c.Brokers.Bootstrap != brokers || len(c.Resource.Conditions) != maxConditions || c.URL != "" || len(c.Brokers.GroupID) > maxText {
		t.Errorf("%d conditions, %d bytes of brokers, %d of address", len(c.Resource.Conditions), len(c.Brokers.Bootstrap), len(c.URL))
	}
}

func placed(all map[string]*Object) (list []Placed) {
	registry := NewRegistry()
	for _, o := range all {
		registry.Set(Source{Kind: o.Kind}, o)
	}
	return registry.Objects()
}

func TestPlan(t *testing.T) {
	found, refused := Plan(placed(objects(t)), func(int) string { return usualName }, []string{"data/stream"})
	var names []string
	for _, f := range found {
		names = append(names, f.Name)
	}
	if want := []string{"data/dark", "data/orders", "default/ibm", "data/none", "data/old", "data/mirror", "data/log", "data/cfk", "default/ibm-paused", "data/prefixed", "data/secretless"}; !slices.Equal(sorted(names), sorted(want)) {
		t.Errorf("found %q, want %q", names, want)
	}
	reasons := map[string]string{}
	for _, r := range refused {
		reasons[r.Key.Name] = r.Reason
	}
	if want := map[string]string{"stream": RefusedName, "new": RefusedNoURL, "lost": RefusedInvalid}; !maps.Equal(reasons, want) {
		t.Errorf("refused %v, want %v", reasons, want)
	}

	// Without that name taken, the connector joins its cluster.
	found, _ = Plan(placed(objects(t)), func(int) string { return usualName }, nil)
	// So do those of groups with Strimzi's shape, and of other namespaces.
	connectors := map[string]string{"data/stream": "orders-sink", "default/ibm": "ibm-source", "data/cfk": "cfk-sink far-sink"}
	for _, f := range found {
		var names []string
		for _, c := range f.Resource.Connectors {
			names = append(names, c.Name)
		}
		if want, some := connectors[f.Name]; some && strings.Join(names, " ") != want {
			t.Errorf("the connectors of %s are %v, want %s", f.Name, names, want)
		}
	}

	// Two that would get one name both stay out.
	found, refused = Plan(placed(objects(t)), func(int) string { return "{name}" }, nil)
	if len(found) == 0 || slices.ContainsFunc(refused, func(r Refusal) bool { return r.Reason == RefusedName }) {
		t.Errorf("%v, %v", found, refused)
	}
	found, refused = Plan(placed(objects(t)), func(int) string { return "one" }, nil)
	if len(found) != 0 || len(refused) < 9 {
		t.Errorf("of clusters with one name %d are found and %d refused", len(found), len(refused))
	}
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

func TestRegistry(t *testing.T) {
	r := NewRegistry()
	told := func() bool {
		select {
		case <-r.Changed():
			return true
		default:
			return false
		}
	}
	source := Source{Kind: kinds["strimzi"][0]}
	o := &Object{Key: Key{source.Kind, "a", "b"}, Labels: map[string]string{"x": "1"}}
	same := &Object{Key: o.Key, Labels: map[string]string{"x": "1"}}
	r.Set(source, o)
	if !told() {
		t.Error("a new object is no change")
	}
	r.Set(source, same)
	r.Replace(source, []*Object{same})
	r.Delete(source, Key{source.Kind, "a", "c"})
	if told() {
		t.Error("what is as before is a change")
	}
	second := Source{Selector: 1, Kind: source.Kind}
	r.Set(second, same)
	if all := r.Objects(); len(all) != 1 || all[0].Selector != 0 {
		t.Errorf("an object of two selectors is %v", all)
	}
	r.Drop(source)
	if all := r.Objects(); !told() || len(all) != 1 || all[0].Selector != 1 {
		t.Errorf("after the first source has gone, there is %v", all)
	}
}

func TestParseKinds(t *testing.T) {
	for name, want := range map[string]int{"strimzi": 3, "aiven": 2, "confluent": 2, "kafkaconnects.kafka.strimzi.io": 1, "kafkaconnects.eventstreams.ibm.com": 1, "kafkaconnects.aiven.io": 1} {
		if got, err := ParseKinds(name); err != nil || len(got) != want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "Strimzi", "kafkaconnects", "pods.example.com", "kafkaconnectors.aiven.io", "kafkaconnects.x"} {
		if got, err := ParseKinds(name); err == nil {
			t.Errorf("%q is %v", name, got)
		}
	}
}

func TestAgrees(t *testing.T) {
	for _, test := range []struct {
		wished, observed connect.State
		agrees, known    bool
	}{
		{connect.StateRunning, connect.StateRunning, true, true},
		{connect.StateRunning, connect.StateFailed, true, true},
		{connect.StateRunning, connect.StatePaused, false, true},
		{connect.StatePaused, connect.StateRunning, false, true},
		{connect.StatePaused, connect.StatePaused, true, true},
		{connect.StateStopped, connect.StatePaused, false, true},
		{connect.StateStopped, connect.StateUnassigned, false, false},
		{connect.StateRunning, connect.StateRestarting, false, false},
		{connect.StateUnknown, connect.StateRunning, false, false},
	} {
		c := connect.OperatorConnector{Wished: test.wished}
		if agrees, known := c.Agrees(test.observed); agrees != test.agrees || known != test.known {
			t.Errorf("%s and %s: %v, %v", test.wished, test.observed, agrees, known)
		}
	}
}

// A schema of the definition, its prose left out.
type schema struct {
	Type, Pattern                  string
	Properties                     map[string]*schema
	Items                          *schema
	Required                       []string
	Enum                           []any
	Minimum, Maximum               int
	MinLength, MaxLength, MaxItems int
	Validations                    []any `json:"x-kubernetes-validations"`
	AdditionalProperties           any
}

// The table has every field of the definition, with its limits, and no other.
func TestAivenFieldsAreTheDefinition(t *testing.T) {
	content, err := os.ReadFile("testdata/aiven-kafkaconnect.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var root schema
	if err := json.Unmarshal(content, &root); err != nil {
		t.Fatal(err)
	}
	defined := map[string]Field{}
	var walk func(path string, s *schema, required bool)
	walk = func(path string, s *schema, required bool) {
		f := Field{
			Path: path, Type: s.Type, Required: required, Immutable: len(s.Validations) > 0, Pattern: s.Pattern,
			Min: s.Minimum, Max: s.Maximum, Least: s.MinLength, Most: max(s.MaxLength, s.MaxItems),
		}
		for _, word := range s.Enum {
			f.Enum = append(f.Enum, fmt.Sprint(word))
		}
		defined[path] = f
		under, prefix := s, path
		if s.Items != nil {
			under, prefix = s.Items, path+"[]"
		}
		for name, inner := range under.Properties {
			walk(prefix+"."+name, inner, slices.Contains(under.Required, name))
		}
	}
	walk("spec", &root, false)
	for _, f := range AivenFields() {
		want, there := defined[f.Path]
		delete(defined, f.Path)
		if f.Shown == "" {
			t.Errorf("%s: nothing is said of what becomes of it", f.Path)
		}
		f.Shown = ""
		if f.Path == "spec.technicalEmails[].email" {
			want.Pattern = "" // What an address is, is not ours to say.
		}
		if f.Path == "spec.userConfig.secret_providers[].vault.engine_version" {
			want.Enum = []string{"1", "2"} // As the older definition has it; Vault knows no other.
		}
		if there && !reflect.DeepEqual(f, want) {
			t.Errorf("%s is\n%+v\nin the table and\n%+v\nin the definition", f.Path, f, want)
		}
		if !there {
			t.Errorf("%s is in no definition", f.Path)
		}
	}
	for path := range defined {
		if !strings.Contains(path, ".azure.") && !strings.Contains(path, ".env.") {
			t.Errorf("%s is not in the table", path)
		}
	}
}

func TestCheck(t *testing.T) {
	const head = "apiVersion: aiven.io/v1alpha1\nkind: KafkaConnect\nmetadata: {name: x}\n"
	for body, want := range map[string]string{
		"spec: {project: p, plan: q}":     "",
		"{}":                              "spec: is required",
		"spec: {plan: q}":                 "spec.project: is required",
		"spec: {project: 'a b', plan: q}": "spec.project: must match",
		"spec: {project: p, plan: 4}":     "spec.plan: must be a text",
		"spec: {project: p, plan: q, maintenanceWindowDow: Tuesday}":                           "must be one of monday",
		"spec: {project: p, plan: q, maintenanceWindowTime: '10:00:000'}":                      "at most 8",
		"spec: {project: p, plan: q, powered: 'yes'}":                                          "true or false",
		"spec: {project: p, plan: q, authSecretRef: {name: x}}":                                "spec.authSecretRef.key: is required",
		"spec: {project: p, plan: q, authSecretRef: {name: x, key: ''}}":                       "must not be empty",
		"spec: {project: p, plan: q, tags: {any: thing}}":                                      "",
		"spec: {project: p, plan: q, tags: [a]}":                                               "spec.tags: must be a mapping",
		"spec: {project: p, plan: q, userConfig: {kafka_connect: {producer_linger_ms: 5001}}}": "must be from 0 to 5000",
		"spec: {project: p, plan: q, userConfig: {kafka_connect: {session_timeout_ms: 0}}}":    "must be from 1",
		"spec: {project: p, plan: q, userConfig: {plugin_versions: [{plugin_name: a}]}}":       "spec.userConfig.plugin_versions[0].version: is required",
		"spec: {project: p, plan: q, userConfig: {kafka_conect: {}}}":                          "kafka_conect): is it misspelt",
		"spec: {project: p, plan: q, serviceIntegrations: [{integrationType: read_replica, sourceServiceName: a}, {integrationType: read_replica, sourceServiceName: b}]}": "at most 1",
	} {
		file := filepath.Join(t.TempDir(), "x.yaml")
		text := head + body + "\n"
		if body == "{}" {
			text = head
		}
		if err := os.WriteFile(file, []byte("---\n# first\n---\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
		documents, problems := Documents([]string{file})
		if len(documents) != 1 || len(problems) > 0 {
			t.Fatalf("%s: %v, %v", body, documents, problems)
		}
		var found []string
		for _, f := range Check(documents[0]) {
			found = append(found, f.String())
		}
		if all := strings.Join(found, "\n"); (want == "") != (all == "") || !strings.Contains(all, want) {
			t.Errorf("%s: %q, want %q", body, all, want)
		}
		if want != "" && !strings.Contains(strings.Join(found, ""), "x.yaml:") {
			t.Errorf("%s: no file and line: %q", body, found)
		}
	}
}

func TestChanged(t *testing.T) {
	document := func(spec string) Document {
		file := filepath.Join(t.TempDir(), "x.yaml")
		if err := os.WriteFile(file, []byte("apiVersion: aiven.io/v1alpha1\nkind: KafkaConnect\nmetadata: {name: x}\nspec: "+spec), 0o600); err != nil {
			t.Fatal(err)
		}
		documents, _ := Documents([]string{file})
		return documents[0]
	}
	before := document("{project: p, plan: q}")
	if found := Changed(before, document("{project: p, plan: other}")); len(found) != 0 {
		t.Errorf("the plan may change: %v", found)
	}
	if found := Changed(before, document("{project: r, plan: q}")); len(found) != 1 || found[0].Field != "spec.project" {
		t.Errorf("the project may not change: %v", found)
	}
	if found := Changed(before, document("{project: p, plan: q, serviceIntegrations: []}")); len(found) != 1 {
		t.Errorf("the integrations may not change: %v", found)
	}
}

// A file that is no YAML costs itself alone, and is not quoted.
func TestDocuments(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("a: [s3cret\n---\nb: c"), 0o600); err != nil {
		t.Fatal(err)
	}
	documents, problems := Documents([]string{bad, "testdata/resources.yaml", "testdata/missing.yaml", os.DevNull})
	if len(documents) != 19 || len(problems) != 3 {
		t.Errorf("%d documents, problems %v", len(documents), problems)
	}
	for _, err := range problems {
		if strings.Contains(err.Error(), "s3cret") {
			t.Error(err)
		}
	}
}

// What kubectl get -o yaml prints is a list of resources.
func TestDocumentsOfLists(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(file, []byte(`apiVersion: v1
kind: List
items:
  - apiVersion: kafka.strimzi.io/v1
    kind: KafkaConnect
    metadata: {name: a}
  - apiVersion: aiven.io/v1alpha1
    kind: KafkaConnect
    metadata: {name: b}
    spec: {project: p}
  - s3cret
---
{apiVersion: v1, kind: List}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	documents, problems := Documents([]string{file})
	if len(documents) != 2 || len(problems) > 0 {
		t.Fatalf("%v, %v", documents, problems)
	}
	if found := Check(documents[1]); len(found) != 1 || !strings.Contains(found[0].String(), "x.yaml:10 (document 1): spec.plan: is required") {
		t.Errorf("%v", found)
	}
}

// A group that is said to have Strimzi's shape is read from files too.
func TestDocumentsOfOtherGroups(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(file, []byte("apiVersion: kafka.example.com/v1\nkind: KafkaConnect\nmetadata: {name: x}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wanted, err := ParseKinds("kafkaconnects.kafka.example.com")
	if err != nil {
		t.Fatal(err)
	}
	if documents, _ := Documents([]string{file}, wanted...); len(documents) != 1 || documents[0].Kind != wanted[0] {
		t.Errorf("%v", documents)
	}
	if documents, _ := Documents([]string{file}); len(documents) != 0 {
		t.Errorf("nobody asked for %v", documents)
	}
}

var update = flag.Bool("update", false, "write the generated part of docs/kubernetes.md")

// Every field of Aiven's resource stands in the docs, with what becomes of it.
func TestReference(t *testing.T) {
	var table strings.Builder
	table.WriteString("| field | what becomes of it |\n|---|---|\n")
	for _, f := range AivenFields() {
		fmt.Fprintf(&table, "| `%s` | %s |\n", f.Path, f.Shown)
	}
	const name, begin, end = "../docs/kubernetes.md", "<!-- fields -->\n", "<!-- end of fields -->\n"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !closed {
		t.Fatalf("%s has no place for the fields", name)
	}
	want := before + begin + table.String() + end + after
	if want == string(text) {
		return
	}
	if !*update {
		t.Fatalf("%s is out of date: make docs", name)
	}
	if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

package series

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/otlptranslator"
)

// TestLabelNames holds the labels to what a backend makes of them, so that both
// routes have one vocabulary. The names are made by what a backend uses.
func TestLabelNames(t *testing.T) {
	namer := otlptranslator.LabelNamer{}
	for _, d := range Descriptors() {
		for _, label := range d.Labels {
			if translated, err := namer.Build(label); err != nil || translated != label {
				t.Errorf("%s: label %q becomes %q (%v) over OTLP", d.Name, label, translated, err)
			}
		}
	}
}

func TestDescriptorsAreComplete(t *testing.T) {
	all := Descriptors()
	if len(all) != int(FamilyCount) {
		t.Fatalf("%d descriptors, the table has %d rows: one has no group that Groups lists", len(all), FamilyCount)
	}
	valid := regexp.MustCompile(`^kafka_connect_[a-z_]+$`)
	seen := make(map[string]bool)
	for _, d := range all {
		switch {
		case !valid.MatchString(d.Name), seen[d.Name]:
			t.Errorf("%q is no name, or there twice", d.Name)
		case d.Unit == "1":
			t.Errorf("%s: unit 1 makes a gauge a _ratio; leave it empty", d.Name)
		case d.Help == "", strings.HasSuffix(d.Help, "."), strings.Contains(d.Help, "\n"):
			t.Errorf("%s: help is missing or no single sentence without a full stop: %q", d.Name, d.Help)
		case d.Cardinality == "", d.Origin == "":
			t.Errorf("%s: cardinality or origin are missing", d.Name)
		case !slices.IsSorted(d.Labels), len(slices.Compact(slices.Clone(d.Labels))) != len(d.Labels):
			t.Errorf("%s: labels are not sorted or one is there twice: %q", d.Name, d.Labels)
		case slices.Contains(d.Labels, ClusterLabel) == (d.Group == GroupExporter):
			t.Errorf("%s: all but the exporter's own metrics carry %s", d.Name, ClusterLabel)
		case slices.ContainsFunc(d.Labels, func(l string) bool { return slices.Contains(targetLabels(), l) }):
			t.Errorf("%s: a label in %q is one that Prometheus, its operator or Kubernetes puts on targets", d.Name, d.Labels)
		case len(d.Labels) > MaxLabels+1 && d.Group != GroupExporter:
			t.Errorf("%s: more labels than a series holds", d.Name)
		case (d.Kind == Counter) != strings.HasSuffix(d.Name, "_total"):
			t.Errorf("%s: _total is for counters", d.Name)
		}
		seen[d.Name] = true
	}
}

// targetLabels are those that are put on targets, where they would replace or
// rename the metric's own.
func targetLabels() []string {
	return []string{"job", "instance", "endpoint", "namespace", "pod", "service", "container", "node", "cluster"}
}

var update = flag.Bool("update", false, "write docs/metrics.md anew instead of comparing it")

const reference = "../../docs/metrics.md"

// TestReference holds docs/metrics.md to the table. After a change of the
// table: go test ./collector/series -run TestReference -update.
func TestReference(t *testing.T) {
	want := writeReference()
	if *update {
		if err := os.WriteFile(reference, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Errorf("%s is not what the table says; run: go test ./collector/series -run TestReference -update", reference)
	}
}

// writeReference returns the page that documents the metrics.
func writeReference() string {
	var b strings.Builder
	b.WriteString(`<!-- Written by "go test ./collector/series -run TestReference -update" from collector/series/descriptor.go. Do not edit. -->
# Metrics

The same names and labels stand on ` + "`/metrics`" + `, on ` + "`/probe`" + ` and, after the translation that Prometheus
applies to OTLP, in a backend that the exporter pushes to.

* ` + "`connect_cluster`" + ` is the configured name of the cluster.
* A state metric shows the current state as 1 and no other. With ` + "`state_series: all`" + ` it shows every state that the
  provider knows as 0 or 1, at about six times the series. Alert with ` + "`== 1`" + `: that is right in both modes.
* States: ` + "`running` `paused` `stopped` `failed` `unassigned` `restarting` `degraded` `provisioning` `deleting` `unknown`" + `.
* Workers stand on ` + "`_info` and `kafka_connect_worker_*`" + ` series only, so that a rebalance ends no other series.
* While a cluster cannot be observed, only ` + "`kafka_connect_up`" + `, ` + "`kafka_connect_snapshot_timestamp_seconds`" + `, what is
  configured, when certificates expire, what the brokers tell and what the exporter measures itself are there: nothing
  old is shown as if it were new. Counters, and since when a state is so, go on where they were.
* The ` + "`labels`" + ` of a cluster in the configuration stand on all of its series.
* Clusters that tell nothing of tasks (MSK Connect) have no series of tasks.
* Over OTLP a series that ended is sent without a value and with the flag ` + "`NO_RECORDED_VALUE`" + `, when it ends and for
  ten minutes: Prometheus writes a stale marker for it, the Collector's Prometheus exporter drops the series.
`)
	titles := map[Group]string{
		GroupCluster: "Clusters", GroupConnector: "Connectors", GroupTask: "Tasks",
		GroupSnapshot: "Snapshots", GroupExporter: "The exporter itself",
	}
	for _, group := range Groups() {
		fmt.Fprintf(&b, "\n## %s\n\n", titles[group])
		if group == GroupExporter {
			b.WriteString("On `/metrics` only, beside `go_*`, `process_*` and `promhttp_*`.\n\n")
		}
		for _, d := range Descriptors() {
			if d.Group != group {
				continue
			}
			fmt.Fprintf(&b, "### `%s`\n\n%s.\n\n| | |\n|---|---|\n| type | %s |\n", d.Name, d.Help, d.Kind)
			if len(d.Labels) > 0 {
				fmt.Fprintf(&b, "| labels | `%s` |\n", strings.Join(d.Labels, "` `"))
			}
			fmt.Fprintf(&b, "| series | %s |\n| from | %s |\n", d.Cardinality, d.Origin)
			if d.OTelName != "" {
				fmt.Fprintf(&b, "| OTLP | `%s`", d.OTelName)
				if d.Unit != "" {
					fmt.Fprintf(&b, ", unit `%s`", d.Unit)
				}
				b.WriteString(" |\n")
			}
			if d.OptIn != "" {
				fmt.Fprintf(&b, "| only with | `%s` |\n", d.OptIn)
			}
			b.WriteString("\n")
		}
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

package series

import (
	"cmp"
	"slices"
	"strings"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// MaxLabels is the most labels that a series has beside the cluster's.
const MaxLabels = 10

// Labels are the values of a series, in the order of its family's labels and
// without those that identify the cluster.
type Labels [MaxLabels]string

// A Label with its value.
type Label struct{ Name, Value string }

// An Identity is what stands on all series of a cluster.
type Identity struct {
	// Cluster is the configured name, the value of [ClusterLabel].
	Cluster string
	// Labels that are configured, sorted by name. None has the name of a label in
	// the table.
	Labels []Label
}

// SortedLabels returns labels in the order that an Identity wants.
func SortedLabels(labels map[string]string) []Label {
	var sorted []Label
	for name, value := range labels {
		sorted = append(sorted, Label{name, value})
	}
	slices.SortFunc(sorted, func(a, b Label) int { return cmp.Compare(a.Name, b.Name) })
	return sorted
}

// Append appends all labels of a series to others, sorted by name.
func (f Family) Append(all []Label, id *Identity, l *Labels) []Label {
	i, static := 0, id.Labels
	if table[f].Group == GroupExporter {
		static = nil
	}
	for _, name := range table[f].Labels {
		for len(static) > 0 && static[0].Name < name {
			all, static = append(all, static[0]), static[1:]
		}
		if name == ClusterLabel {
			all = append(all, Label{name, id.Cluster})
			continue
		}
		all = append(all, Label{name, l[i]})
		i++
	}
	all = append(all, static...)
	if table[f].Dynamic {
		all = appendDynamic(all, l[i])
		slices.SortFunc(all, func(a, b Label) int { return cmp.Compare(a.Name, b.Name) })
	}
	return all
}

// dynamicPrefix of the names of labels that come from a configuration.
const dynamicPrefix = "label_"

// dynamicLabels puts labels into one value of [Labels]; separator is in no text.
func dynamicLabels(labels []connect.Label) string {
	var all strings.Builder
	for _, l := range labels {
		all.WriteString(dynamicPrefix + labelName(l.Key) + separator + l.Value + separator)
	}
	return all.String()
}

const separator = "\xff"

func appendDynamic(all []Label, packed string) []Label {
	for packed != "" {
		var name, value string
		name, packed, _ = strings.Cut(packed, separator)
		value, packed, _ = strings.Cut(packed, separator)
		all = append(all, Label{name, value})
	}
	return all
}

// labelName makes the name of a label of a key of a configuration.
func labelName(key string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, key)
}

package discovery

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// A Found is a cluster that a resource describes.
type Found struct {
	// Name of the cluster: the label connect_cluster.
	Name string
	// Object is its resource.
	Object *Object
	// Selector is the index of the settings that found it.
	Selector int
	// Resource is what may be shown, with its connectors' resources.
	Resource *connect.OperatorResource
}

// Why a resource is no cluster.
const (
	// RefusedInvalid: something that is required is missing.
	RefusedInvalid = "invalid"
	// RefusedNoURL: nothing says where the REST API is.
	RefusedNoURL = "no_url"
	// RefusedName: another cluster has the name that this one would get.
	RefusedName = "name_conflict"
	// RefusedSettings: the settings do not fit the resource.
	RefusedSettings = "settings"
	// RefusedSecret: the Secret that it names cannot be read.
	RefusedSecret = "secret"
)

// RefusedReasons lists them.
func RefusedReasons() []string {
	return []string{RefusedInvalid, RefusedNoURL, RefusedName, RefusedSettings, RefusedSecret}
}

// A Refusal says that a resource is no cluster, and why.
type Refusal struct {
	Key Key
	// Reason is one of [RefusedReasons].
	Reason string
	// Detail is for people, and names no value that may be secret.
	Detail string
}

// Plan makes clusters of objects. template gives the name template of a selector;
// taken are names that the configuration has given. Two resources that give one
// name both stay out: which of them was meant is anybody's guess.
func Plan(objects []Placed, template func(selector int) string, taken []string) (found []Found, refused []Refusal) {
	refuse := func(o Placed, reason, format string, args ...any) {
		refused = append(refused, Refusal{o.Key, reason, fmt.Sprintf(format, args...)})
	}
	type place struct{ group, namespace, name string }
	connectors := map[place][]connect.OperatorConnector{}
	for _, o := range objects {
		switch {
		case o.Connector == nil:
		case o.Problem != "":
			refuse(o, RefusedInvalid, "%s", o.Problem)
		default:
			at := place{o.Kind.Group, o.Connector.Namespace, o.Connector.Cluster}
			connectors[at] = append(connectors[at], o.Connector.State)
		}
	}
	byName := map[string][]Found{}
	placed := map[*Object]Placed{}
	var names []string
	for _, o := range objects {
		switch {
		case o.Cluster == nil:
			continue
		case o.Problem != "":
			refuse(o, RefusedInvalid, "%s", o.Problem)
			continue
		case o.Cluster.URL == "" && o.Cluster.Idle == "" && o.Cluster.Aiven == nil && o.Cluster.ConnectionSecret == "":
			refuse(o, RefusedNoURL, "its status has no address yet")
			continue
		}
		resource := o.Cluster.Resource // A copy: the object does not change.
		resource.Connectors = sortConnectors(slices.Concat(resource.Connectors, connectors[place{o.Kind.Group, o.Namespace, o.Name}]))
		name := Name(template(o.Selector), o.Object)
		placed[o.Object] = o
		if byName[name] == nil {
			names = append(names, name)
		}
		byName[name] = append(byName[name], Found{name, o.Object, o.Selector, &resource})
	}
	for _, name := range names {
		same := byName[name]
		switch {
		case slices.Contains(taken, name):
			for _, f := range same {
				refuse(placed[f.Object], RefusedName, "%q is the name of a cluster of the configuration: give the clusters that are found another one (name)", name)
			}
		case len(same) > 1:
			for _, f := range same {
				others := make([]string, 0, len(same))
				for _, other := range same {
					if other.Object != f.Object {
						others = append(others, other.Object.String())
					}
				}
				refuse(placed[f.Object], RefusedName, "%q would be the name of %s too: neither is watched; tell them apart by {kind}, {group} or {namespace} in name", name, strings.Join(others, ", "))
			}
		default:
			found = append(found, same[0])
		}
	}
	return found, refused
}

// Name fills in a template: {namespace}, {name}, {kind}, {group}.
func Name(template string, o *Object) string {
	return strings.NewReplacer("{namespace}", o.Namespace, "{name}", o.Name, "{kind}", o.Kind.KindName(), "{group}", o.Kind.Group).Replace(template)
}

// CheckName says what is wrong with a template, nil if nothing is.
func CheckName(template string) error {
	rest := strings.NewReplacer("{namespace}", "", "{name}", "", "{kind}", "", "{group}", "").Replace(template)
	switch {
	case !strings.Contains(template, "{name}"):
		return fmt.Errorf("must have {name}, or all clusters would have one name")
	case strings.ContainsAny(rest, "{}"):
		return fmt.Errorf("knows {namespace}, {name}, {kind} and {group}, and no other braces")
	}
	return nil
}

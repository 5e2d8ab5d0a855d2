package config

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	commoncfg "github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config/internal/strict"
)

// defaultFoundName is the name of a cluster that was found, as discovery
// documents it.
const defaultFoundName = "{namespace}/{name}"

// Discovery says where clusters are found at run time.
type Discovery struct {
	// Kubeconfig leads to the Kubernetes API, "" for the pod's service account.
	Kubeconfig string
	// Kubernetes are the selectors of resources of the Kubernetes API, Files those
	// of resources in files.
	Kubernetes, Files []Selector

	settings discoverySettings
	contents []string
}

// Same says whether both find the same with the same settings, in files of the
// same content.
func (d *Discovery) Same(other *Discovery) bool {
	if d == nil || other == nil {
		return d == other
	}
	return reflect.DeepEqual(d.settings, other.settings) && slices.Equal(d.contents, other.contents)
}

// A Selector says which resources are clusters, and how these are watched; its
// name is a template of theirs. Wrong is an error about one of its fields, with its
// place.
type Selector struct {
	selectorSettings
	loader *loader
	origin
}

// HasToken says whether the selector has an API token of Aiven of its own.
func (s *Selector) HasToken() bool {
	token, _ := s.loader.environment.lookup("AIVEN_TOKEN")
	aiven := s.Settings.Aiven
	return token != "" || aiven != nil && (aiven.Token != "" || aiven.TokenFile != "")
}

// A Found cluster is what a resource says of it.
type Found struct {
	// Settings as far as the resource gives them, which stand over the selector's:
	// name, provider, urls, basic_auth and aiven; labels, of which the selector copies
	// some; and kafka, which is used where the selector has that block.
	Settings
	// Origin is the resource, for people.
	Origin string
	// Idle says that there is nothing to ask. Then only name, provider and labels
	// are used.
	Idle bool
	// Authorities verify the REST API beside the system's (PEM), unless the selector
	// has a CA of its own; "" for none.
	Authorities string
}

// Cluster makes a cluster of what was found, by the selector's settings.
func (s *Selector) Cluster(found Found) (Cluster, error) {
	settings, at := s.Settings, origin{s.Place, found.Origin, s.files}
	settings.Name, settings.Provider, settings.URLs, settings.Labels = found.Name, found.Provider, found.URLs, s.labels(found.Labels)
	l := &loader{sources: s.loader.sources, environment: s.loader.environment, standard: s.loader.standard, names: map[string]string{}}
	if found.Idle {
		if err := cmp.Or(l.name(found.Name, at), labels(&settings, at)); err != nil {
			return Cluster{}, err
		}
		return Cluster{Settings: Settings{Name: found.Name, Provider: found.Provider, Labels: settings.Labels}, Origin: found.Origin, Idle: true}, nil
	}
	if settings.Aiven = nil; found.Aiven != nil {
		settings.Aiven = s.aiven(found.Aiven)
	}
	settings.HTTPClient.BasicAuth = cmp.Or(found.HTTPClient.BasicAuth, settings.HTTPClient.BasicAuth)
	if settings.Kafka != nil {
		if settings.Kafka = settings.Kafka.of(found.Kafka); len(settings.Kafka.BootstrapServers) == 0 {
			settings.Kafka = nil // The resource does not say where they are.
		}
	}
	at.files = slices.DeleteFunc(slices.Clone(at.files), func(file strict.File) bool { // of what is the resource's
		block, _, _ := strings.Cut(file.Field, ".")
		return block == "kafka" && settings.Kafka == nil || block == "aiven" && (settings.Aiven == nil || settings.Aiven.TokenFile == "") ||
			strings.HasPrefix(file.Field, "http_client.basic_auth.") && found.HTTPClient.BasicAuth != nil
	})
	cluster, err := l.cluster(&settings, at)
	if err != nil {
		return Cluster{}, err
	}
	for i, worker := range cluster.URLs {
		if address, err := netip.ParseAddr(worker.Hostname()); err == nil && address.Unmap().IsLinkLocalUnicast() {
			return Cluster{}, at.Wrong(strict.Item("urls", i), "is a link-local address, where no cluster is but what a cloud tells its machines: it is not asked")
		}
	}
	if tls := &cluster.HTTPClient.TLSConfig; found.Authorities != "" && tls.CA == "" && tls.CAFile == "" {
		cluster.Authorities = found.Authorities
		cluster.contents = append(slices.Clone(cluster.contents), found.Authorities)
	}
	return cluster, nil
}

// aiven fills in which service it is. A token of the resource's own stands over the
// selector's, and the selector's route over that which the resource opens.
func (s *Selector) aiven(found *Aiven) *Aiven {
	block := strict.Default[Aiven]()
	block.Route = ""
	if s.Settings.Aiven != nil {
		block = *s.Settings.Aiven
	}
	block.Project, block.Service, block.Route = found.Project, found.Service, cmp.Or(block.Route, found.Route)
	if found.Token != "" {
		block.Token, block.TokenFile = found.Token, ""
	}
	return &block
}

// of fills in what a resource says.
func (k *Kafka) of(found *Kafka) *Kafka {
	filled := *k
	if found == nil {
		return &filled
	}
	if len(filled.BootstrapServers) == 0 {
		filled.BootstrapServers = found.BootstrapServers
	}
	if filled.MirrorMaker2 == nil {
		filled.GroupID = cmp.Or(filled.GroupID, found.GroupID)
		filled.StatusStorageTopic = cmp.Or(filled.StatusStorageTopic, found.StatusStorageTopic)
		filled.OffsetStorageTopic = cmp.Or(filled.OffsetStorageTopic, found.OffsetStorageTopic)
	}
	return &filled
}

// labels are the selector's labels and those that it copies. What is not right in
// a label's value is left out: it is somebody else's.
func (s *Selector) labels(of map[string]string) map[string]string {
	all := maps.Clone(s.Settings.Labels)
	for _, key := range s.CopyLabels {
		if value := of[key]; value != "" && printable(value) && len(value) <= maxLabelBytes {
			if all == nil {
				all = map[string]string{}
			}
			all[labelFor(key)] = value
		}
	}
	return all
}

type discoverySettings struct {
	Kubeconfig string             `yaml:"kubeconfig,omitempty" path:"file" doc:"Kubeconfig file. Absent: the pod's service account; outside a pod what KUBECONFIG or ~/.kube/config say."`
	Kubernetes []selectorSettings `yaml:"kubernetes,omitempty" short:"kinds" doc:"Resources of the Kubernetes API. A name of kinds alone may stand for a block: kubernetes: [strimzi]."`
	Files      []selectorSettings `yaml:"files,omitempty" short:"paths" doc:"The same resources in YAML files. A pattern of file names alone may stand for a block: files: [\"resources/*.yaml\"]."`
}

type selectorSettings struct {
	Kinds         []string `yaml:"kinds,omitempty" doc:"Whose resources: strimzi, aiven, confluent, or a resource with its group such as kafkaconnects.eventstreams.ibm.com. Required for kubernetes; all for files unless set."`
	Namespaces    []string `yaml:"namespaces,omitempty" doc:"Namespaces, [\"*\"] for all. None: that of the pod, or of the kubeconfig. For kubernetes alone."`
	LabelSelector string   `yaml:"label_selector,omitempty" doc:"Only resources with these labels, such as team=orders,env!=test. For kubernetes alone."`
	Paths         []string `yaml:"paths,omitempty" doc:"Patterns of file names; a file may have many documents. Required for, and only for, files."`
	CopyLabels    []string `yaml:"copy_labels,omitempty" doc:"Labels of the resource, of Aiven's also tags, that all series of its cluster get."`
	Settings      Settings `yaml:",inline"`
}

// UnmarshalYAML leaves to the resources what is theirs where the block does not
// say it: names, and which access Aiven opens.
func (s *selectorSettings) UnmarshalYAML(node *yaml.Node) error {
	type plain selectorSettings
	s.Settings.Name = defaultFoundName
	if err := node.Decode((*plain)(s)); err != nil {
		return err
	}
	if s.Settings.Aiven != nil && strict.Child(strict.Child(node, "aiven"), "route").Line == 0 {
		s.Settings.Aiven.Route = ""
	}
	return nil
}

// loadDiscovery validates the block.
func (l *loader) loadDiscovery(document *strict.Document) error {
	settings := l.config.effective.Discovery
	if settings == nil {
		return nil
	}
	d := &Discovery{Kubeconfig: settings.Kubeconfig, settings: *settings}
	if len(settings.Kubernetes)+len(settings.Files) == 0 {
		return fmt.Errorf("%s: has neither kubernetes nor files: say where to find clusters", document.At("discovery"))
	}
	for _, list := range []struct {
		name      string
		settings  []selectorSettings
		selectors *[]Selector
		validate  func(*Selector) error
	}{
		{"discovery.kubernetes", settings.Kubernetes, &d.Kubernetes, kubernetesSelector},
		{"discovery.files", settings.Files, &d.Files, l.fileSelector},
	} {
		for i := range list.settings {
			s := Selector{list.settings[i], l, originOf(document, strict.Item(list.name, i))}
			if err := list.validate(&s); err != nil {
				return err
			}
			if err := l.selector(&s, d); err != nil {
				return err
			}
			*list.selectors = append(*list.selectors, s)
		}
	}
	l.config.Discovery = d
	return nil
}

func kubernetesSelector(s *Selector) error {
	return cmp.Or(
		s.When(len(s.Kinds) == 0, "kinds", "is required, such as kinds: [strimzi]"),
		s.When(len(s.Paths) > 0, "paths", "belongs to discovery.files"),
		s.When(slices.Contains(s.Namespaces, ""), "namespaces", `an empty name is no namespace; write "*" for all`),
		s.When(slices.Contains(s.Namespaces, "*") && len(s.Namespaces) > 1, "namespaces", `"*" stands for all: remove the others`),
	)
}

func (l *loader) fileSelector(s *Selector) error {
	if err := cmp.Or(
		s.When(len(s.Paths) == 0, "paths", `is required, such as paths: ["resources/*.yaml"]`),
		s.When(len(s.Namespaces) > 0, "namespaces", "belongs to discovery.kubernetes"),
		s.When(s.LabelSelector != "", "label_selector", "belongs to discovery.kubernetes"),
	); err != nil {
		return err
	}
	for i, path := range s.Paths {
		if _, err := filepath.Match(path, ""); err != nil || path == "" {
			return s.Wrong(strict.Item("paths", i), "is no pattern of file names: [ needs its ]")
		}
		s.Paths[i] = commoncfg.JoinDir(filepath.Dir(l.sources.File), path)
	}
	return nil
}

// selector validates what both lists have, by a cluster as it might be found.
func (l *loader) selector(s *Selector, d *Discovery) error {
	c := &s.Settings
	if err := cmp.Or(
		s.When(len(c.URLs) > 0, "urls", "are what the resource says: remove them"),
		s.When(c.Provider != ProviderConnect, "provider", "is what the resource says: remove it"),
		s.When(c.ConfluentCloud != nil, "confluent_cloud", "is no resource: put it under clusters"),
		s.When(c.MSK != nil, "msk", "is no resource: put it under clusters"),
		s.When(c.StartupValidation, "startup_validation", "waits for clusters that are named; those that are found come and go: remove it"),
		s.When(c.Aiven != nil && c.Aiven.Project+c.Aiven.Service != "", "aiven", "project and service are what the resource says: remove them"),
	); err != nil {
		return err
	}
	for i, key := range s.CopyLabels {
		if problem := labelProblem(labelFor(key)); problem != "" {
			return s.Wrong(strict.Item("copy_labels", i), "%s", problem)
		}
	}
	sample, err := s.Cluster(Found{Settings: Settings{
		Name: "found", Provider: ProviderConnect, URLs: []string{"http://found:8083"},
		Kafka: &Kafka{BootstrapServers: []string{"found:9092"}, GroupID: "found", StatusStorageTopic: "found", OffsetStorageTopic: "found"},
	}})
	if err != nil {
		return err
	}
	d.contents = append(d.contents, sample.contents...)
	l.dependOn(sample.files...)
	if c.Aiven != nil {
		l.dependOn(c.Aiven.TokenFile)
	}
	return nil
}

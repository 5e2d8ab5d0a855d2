package config

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"

	commoncfg "github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"
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

// A Selector says which resources are clusters, and how these are watched.
type Selector struct {
	selectorSettings
	// NameTemplate of the cluster: {namespace}, {name}, {kind}, {group}.
	NameTemplate string

	loader *loader
	at     origin
}

// Wrong is an error about one of the selector's fields, with its place.
func (s *Selector) Wrong(field, format string, args ...any) error {
	return s.at.wrong(field, format, args...)
}

// HasToken says whether the selector has an API token of Aiven of its own.
func (s *Selector) HasToken() bool {
	if token, _ := s.loader.environment.lookup("AIVEN_TOKEN"); token != "" {
		return true
	}
	aiven := s.Settings.Aiven
	return aiven != nil && (aiven.Token != "" || aiven.TokenFile != "")
}

// A Found cluster is what a resource says of how it is reached.
type Found struct {
	Name string
	// Origin is the resource, for people.
	Origin string
	// Labels of the resource, of which the selector copies some.
	Labels map[string]string
	// Idle says that there is nothing to ask. Then what follows is not used.
	Idle bool
	// URL of the REST API; "" for Aiven.
	URL string
	// Username and Password of the REST API, "" for those of the selector.
	Username, Password string
	// Authorities verify the REST API beside the system's (PEM), unless the selector
	// has a CA of its own; "" for none.
	Authorities string
	// Aiven is set where Aiven's API says how the cluster is reached. TokenElsewhere:
	// its token is not the selector's.
	Aiven          bool
	Project        string
	Service, Route string
	TokenElsewhere bool
	// Bootstrap servers of the brokers, group and topics of the workers; used where
	// the selector has a block kafka.
	Bootstrap                         []string
	GroupID, StatusTopic, OffsetTopic string
}

// Cluster makes a cluster of what was found, by the selector's settings.
func (s *Selector) Cluster(found Found) (Cluster, error) {
	settings := Settings(s.Settings)
	settings.Name, settings.URLs, settings.Provider = found.Name, nil, ProviderConnect
	settings.Labels = copiedLabels(s.selectorSettings, found.Labels)
	at := origin{name: found.Origin, field: s.at.field}
	l := &loader{sources: s.loader.sources, environment: s.loader.environment, names: map[string]string{}}
	if found.Idle {
		cluster := Cluster{Settings: Settings{Name: found.Name, Provider: ProviderConnect, Labels: settings.Labels}, Origin: found.Origin, Idle: true}
		if found.Aiven {
			cluster.Provider = ProviderAiven
		}
		for _, validate := range []func(*Settings, *Cluster, origin) error{l.name, labels} {
			if err := validate(&settings, &cluster, at); err != nil {
				return Cluster{}, err
			}
		}
		return cluster, nil
	}
	if found.Aiven {
		settings.Provider = ProviderAiven
		block := defaultAiven()
		if settings.Aiven != nil {
			block = *settings.Aiven
		}
		block.Project, block.Service = found.Project, found.Service
		if settings.Aiven == nil || block.Route == "" {
			block.Route = found.Route
		}
		if found.TokenElsewhere {
			block.Token, block.TokenFile = "elsewhere", ""
		}
		settings.Aiven = &block
	} else {
		settings.Aiven, settings.URLs = nil, []string{found.URL}
		if found.Username != "" {
			settings.HTTPClient.BasicAuth = &commoncfg.BasicAuth{Username: found.Username, Password: commoncfg.Secret(found.Password)}
		}
	}
	if settings.Kafka != nil {
		if settings.Kafka = settings.Kafka.of(found); len(settings.Kafka.BootstrapServers) == 0 {
			settings.Kafka = nil // The resource does not say where they are.
		}
	}
	cluster, err := l.cluster(&settings, at)
	if err != nil {
		return Cluster{}, err
	}
	for i, worker := range cluster.URLs {
		if address, err := netip.ParseAddr(worker.Hostname()); err == nil && address.Unmap().IsLinkLocalUnicast() {
			return Cluster{}, at.wrong(item("urls", i), "is a link-local address, where no cluster is but what a cloud tells its machines: it is not asked")
		}
	}
	if tls := &cluster.HTTPClient.TLSConfig; found.Authorities != "" && tls.CA == "" && tls.CAFile == "" {
		cluster.Authorities = found.Authorities
		cluster.contents = append(slices.Clone(cluster.contents), found.Authorities)
	}
	return cluster, nil
}

// of fills in what a resource says.
func (k *Kafka) of(found Found) *Kafka {
	filled := *k
	if len(filled.BootstrapServers) == 0 {
		filled.BootstrapServers = found.Bootstrap
	}
	if filled.MirrorMaker2 == nil {
		filled.GroupID = cmp.Or(filled.GroupID, found.GroupID)
		filled.StatusStorageTopic = cmp.Or(filled.StatusStorageTopic, found.StatusTopic)
		filled.OffsetStorageTopic = cmp.Or(filled.OffsetStorageTopic, found.OffsetTopic)
	}
	return &filled
}

// copiedLabels are the selector's labels and those that it copies. What is not
// right in a label's value is left out: it is somebody else's.
func copiedLabels(s selectorSettings, of map[string]string) map[string]string {
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
	Kubeconfig string             `yaml:"kubeconfig,omitempty" doc:"Kubeconfig file. Absent: the pod's service account; outside a pod what KUBECONFIG or ~/.kube/config say."`
	Kubernetes []selectorSettings `yaml:"kubernetes,omitempty" doc:"Resources of the Kubernetes API. A name of kinds alone may stand for a block: kubernetes: [strimzi]."`
	Files      []selectorSettings `yaml:"files,omitempty" doc:"The same resources in YAML files. A pattern of file names alone may stand for a block: files: [\"resources/*.yaml\"]."`
}

type selectorSettings struct {
	Kinds         []string     `yaml:"kinds,omitempty" doc:"Whose resources: strimzi, aiven, confluent, or a resource with its group such as kafkaconnects.eventstreams.ibm.com. Required for kubernetes; all for files unless set."`
	Namespaces    []string     `yaml:"namespaces,omitempty" doc:"Namespaces, [\"*\"] for all. None: that of the pod, or of the kubeconfig. For kubernetes alone."`
	LabelSelector string       `yaml:"label_selector,omitempty" doc:"Only resources with these labels, such as team=orders,env!=test. For kubernetes alone."`
	Paths         []string     `yaml:"paths,omitempty" doc:"Patterns of file names; a file may have many documents. Required for, and only for, files."`
	CopyLabels    []string     `yaml:"copy_labels,omitempty" doc:"Labels of the resource, of Aiven's also tags, that all series of its cluster get."`
	Settings      plainCluster `yaml:",inline"`

	// alone is what stands for the whole block, "" for nothing.
	alone string
}

// plainCluster is a cluster's settings without their own way to be decoded, which
// would keep them from being a part of another block.
type plainCluster Settings

// UnmarshalYAML also takes a name of kinds, or a pattern of file names, for the
// whole block.
func (s *selectorSettings) UnmarshalYAML(node *yaml.Node) error {
	s.Settings = plainCluster(defaultCluster())
	s.Settings.Name = defaultFoundName
	if node.Kind == yaml.ScalarNode {
		s.alone = node.Value
		return nil
	}
	type plain selectorSettings
	if err := node.Decode((*plain)(s)); err != nil {
		return err
	}
	if aiven := child(node, "aiven"); aiven != nil && child(aiven, "route") == nil {
		s.Settings.Aiven.Route = "" // The resource says which access it opens.
	}
	return nil
}

// loadDiscovery validates the block.
func (l *loader) loadDiscovery(source *source) error {
	settings := l.config.effective.Discovery
	if settings == nil {
		return nil
	}
	d := &Discovery{Kubeconfig: settings.Kubeconfig}
	if len(settings.Kubernetes)+len(settings.Files) == 0 {
		return fmt.Errorf("%s: has neither kubernetes nor files: say where to find clusters", source.at("discovery"))
	}
	for _, list := range []struct {
		name      string
		settings  []selectorSettings
		selectors *[]Selector
		alone     func(*selectorSettings, string)
		validate  func(*Selector) error
	}{
		{"discovery.kubernetes", settings.Kubernetes, &d.Kubernetes, func(s *selectorSettings, kinds string) { s.Kinds = []string{kinds} }, kubernetesSelector},
		{"discovery.files", settings.Files, &d.Files, func(s *selectorSettings, pattern string) { s.Paths = []string{pattern} }, l.fileSelector},
	} {
		for i := range list.settings {
			path := item(list.name, i)
			if alone := list.settings[i].alone; alone != "" {
				list.alone(&list.settings[i], alone)
				list.settings[i].alone = ""
			}
			s := Selector{
				selectorSettings: list.settings[i], NameTemplate: list.settings[i].Settings.Name, loader: l,
				at: source.origin(path),
			}
			if err := list.validate(&s); err != nil {
				return err
			}
			if err := l.selector(&s, d); err != nil {
				return err
			}
			*list.selectors = append(*list.selectors, s)
		}
	}
	d.settings = *settings
	l.config.discovery = d
	return nil
}

func kubernetesSelector(s *Selector) error {
	return cmp.Or(
		s.at.when(len(s.Kinds) == 0, "kinds", "is required, such as kinds: [strimzi]"),
		s.at.when(len(s.Paths) > 0, "paths", "belongs to discovery.files"),
		s.at.when(slices.Contains(s.Namespaces, ""), "namespaces", `an empty name is no namespace; write "*" for all`),
		s.at.when(slices.Contains(s.Namespaces, "*") && len(s.Namespaces) > 1, "namespaces", `"*" stands for all: remove the others`),
	)
}

func (l *loader) fileSelector(s *Selector) error {
	if err := cmp.Or(
		s.at.when(len(s.Paths) == 0, "paths", `is required, such as paths: ["resources/*.yaml"]`),
		s.at.when(len(s.Namespaces) > 0, "namespaces", "belongs to discovery.kubernetes"),
		s.at.when(s.LabelSelector != "", "label_selector", "belongs to discovery.kubernetes"),
	); err != nil {
		return err
	}
	for i, path := range s.Paths {
		if _, err := filepath.Match(path, ""); err != nil || path == "" {
			return s.Wrong(item("paths", i), "is no pattern of file names: [ needs its ]")
		}
		s.Paths[i] = commoncfg.JoinDir(l.directory(), path)
	}
	return nil
}

// selector validates what both lists have, by a cluster as it might be found.
func (l *loader) selector(s *Selector, d *Discovery) error {
	c := &s.Settings
	if err := cmp.Or(
		s.at.when(len(c.URLs) > 0, "urls", "are what the resource says: remove them"),
		s.at.when(c.Provider != ProviderConnect, "provider", "is what the resource says: remove it"),
		s.at.when(c.ConfluentCloud != nil, "confluent_cloud", "is no resource: put it under clusters"),
		s.at.when(c.MSK != nil, "msk", "is no resource: put it under clusters"),
		s.at.when(c.StartupValidation, "startup_validation", "waits for clusters that are named; those that are found come and go: remove it"),
		s.at.when(c.Aiven != nil && c.Aiven.Project+c.Aiven.Service != "", "aiven", "project and service are what the resource says: remove them"),
	); err != nil {
		return err
	}
	for i, key := range s.CopyLabels {
		if problem := labelProblem(labelFor(key)); problem != "" {
			return s.Wrong(item("copy_labels", i), "%s", problem)
		}
	}
	sample, err := s.Cluster(Found{
		Name: "found", URL: "http://found:8083", Bootstrap: []string{"found:9092"}, GroupID: "found", StatusTopic: "found", OffsetTopic: "found",
	})
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

package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	commoncfg "github.com/prometheus/common/config"
	"golang.org/x/sync/errgroup"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/self"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/discovery"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/discovery/kubernetes"
)

const (
	// settle is for how long changes that come together are waited for.
	settle = 200 * time.Millisecond
	// secretRetry is how often Secrets are read again that could not be read, and
	// secretRounds the number of such rounds after which all are: every 10 s.
	// filesInterval is how often files are checked.
	secretRetry, secretRounds, filesInterval = 2 * time.Second, 5, time.Second
	// secretPatience is how long Secrets that were not read before are waited for:
	// what was found besides does not wait longer. secretsAtOnce bounds the calls.
	secretPatience, secretsAtOnce = 2 * time.Second, 8
	// discoveryPatience is how long whoever needs all clusters at once waits for
	// them to be found.
	discoveryPatience = 10 * time.Second
)

// A wish is a cluster that is to be watched.
type wish struct {
	config.Cluster
	// resource is what it was found by; nil if it is configured.
	resource *connect.OperatorResource
}

// configured are the wishes of a configuration.
func configured(cfg *config.Config) (all []wish) {
	for _, c := range cfg.Clusters {
		all = append(all, wish{Cluster: c})
	}
	return all
}

// A discoverer finds clusters by resources, until it is stopped.
type discoverer struct {
	settings  *config.Discovery
	selectors []config.Selector
	kinds     []discovery.Kind // that the API is asked for
	registry  *discovery.Registry
	client    *kubernetes.Client // nil without kubernetes
	files     []fileSelector
	logger    *slog.Logger
	cancel    context.CancelFunc
	ctx       context.Context

	// mu guards what follows, and is never held while the API is asked: scrapes
	// read tokens and the state.
	mu      sync.Mutex
	secrets map[secretName]secret
	told    map[discovery.Key]string
	refused map[string]int
	// refusals are those of the last wishes.
	refusals []discovery.Refusal
	// before are the wishes that hold until everything was listed once: those of
	// the discoverer that this one replaces.
	before []wish
}

type secretName struct{ namespace, name string }

// A secret as it was read last: of its keys those that are used, and no other.
type secret struct {
	data map[string]string
	err  error
}

func (s secret) equal(other secret) bool {
	return maps.Equal(s.data, other.data) && fmt.Sprint(s.err) == fmt.Sprint(other.err)
}

// A fileSelector and the state of its files.
type fileSelector struct {
	source   discovery.Source
	patterns []string
	kinds    []discovery.Kind
	content  string
	// pending is what they held at the last check, if that is not content: they
	// may be half written.
	pending string
	// seen are the documents as they were last, to tell what may not change.
	seen map[discovery.Key]discovery.Document
}

// unmatched are the patterns that no file has, which may come.
func (s *fileSelector) unmatched() []string {
	return slices.DeleteFunc(slices.Clone(s.patterns), func(pattern string) bool {
		files, err := filepath.Glob(pattern)
		return err != nil || len(files) > 0
	})
}

// parsedSelectors checks what only the operators' side knows: kinds, names and
// label selectors.
func parsedSelectors(d *config.Discovery) (selectors []kubernetes.Selector, files []fileSelector, err error) {
	kindsOf := func(s *config.Selector) (kinds []discovery.Kind, err error) {
		if err := discovery.CheckName(s.Settings.Name); err != nil {
			return nil, s.Wrong("name", "%s", err)
		}
		for _, name := range s.Kinds {
			more, err := discovery.ParseKinds(name)
			if err != nil {
				return nil, s.Wrong("kinds", "%s", err)
			}
			for _, kind := range more {
				if !slices.Contains(kinds, kind) {
					kinds = append(kinds, kind)
				}
			}
		}
		return kinds, nil
	}
	for i := range d.Kubernetes {
		s := &d.Kubernetes[i]
		kinds, err := kindsOf(s)
		if err != nil {
			return nil, nil, err
		}
		if err := kubernetes.CheckLabels(s.LabelSelector); err != nil {
			return nil, nil, s.Wrong("label_selector", "%s", err)
		}
		selectors = append(selectors, kubernetes.Selector{Kinds: kinds, Namespaces: s.Namespaces, Labels: s.LabelSelector})
	}
	for i := range d.Files {
		s := &d.Files[i]
		kinds, err := kindsOf(s)
		if err != nil {
			return nil, nil, err
		}
		files = append(files, fileSelector{source: discovery.Source{Selector: len(d.Kubernetes) + i}, patterns: s.Paths, kinds: kinds})
	}
	return selectors, files, nil
}

// newDiscoverer begins to search; nil where nothing is to be found. Calls of the API
// server take timeout at most, unless that is zero.
func newDiscoverer(d *config.Discovery, version string, timeout time.Duration, instruments *self.Instruments, logger *slog.Logger) (*discoverer, error) {
	if d == nil {
		return nil, nil
	}
	selectors, files, err := parsedSelectors(d)
	if err != nil {
		return nil, err
	}
	f := &discoverer{
		settings: d, selectors: slices.Concat(d.Kubernetes, d.Files), registry: discovery.NewRegistry(), files: files, logger: logger,
		secrets: map[secretName]secret{}, told: map[discovery.Key]string{},
	}
	for i := range selectors {
		f.kinds = append(f.kinds, selectors[i].Kinds...)
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	if len(selectors) > 0 {
		if f.client, err = kubernetes.Start(kubernetes.Options{
			Kubeconfig: d.Kubeconfig, Selectors: selectors, Registry: f.registry, UserAgent: strings.TrimSuffix("kafka-connect-exporter/"+version, "/"),
			Timeout: timeout, Failed: instruments.DiscoveryFailed, Logger: logger,
		}); err != nil {
			f.cancel()
			return nil, err
		}
	}
	for i := range f.files {
		for _, pattern := range f.files[i].unmatched() {
			logger.Warn("no file has this name yet", "pattern", pattern)
		}
	}
	f.readFiles()
	return f, nil
}

// stop ends the watches; what was found is forgotten.
func (f *discoverer) stop() {
	if f == nil {
		return
	}
	f.cancel()
	if f.client != nil {
		f.client.Close()
	}
}

// listed waits until everything was listed once, until ctx ends.
func (f *discoverer) listed(ctx context.Context) {
	if f == nil || f.client == nil {
		return
	}
	select {
	case <-f.client.Listed():
	case <-ctx.Done():
	}
}

// run calls changed when something has changed, until the discoverer is stopped.
func (f *discoverer) run(changed func()) {
	files := time.NewTicker(filesInterval)
	defer files.Stop()
	reread := make(chan struct{})
	go f.rereadSecrets(reread)
	quiet := time.NewTimer(0)
	<-quiet.C
	for {
		select {
		case <-f.ctx.Done():
			return
		case <-f.registry.Changed():
			quiet.Reset(settle)
		case <-quiet.C:
			patience, cancel := context.WithTimeout(f.ctx, secretPatience)
			f.readSecrets(patience, false)
			cancel()
			changed()
		case <-reread:
			changed()
		case <-files.C:
			f.readFiles()
		}
	}
}

// rereadSecrets reads Secrets again and again, until the discoverer is stopped,
// and tells when one has changed. An API server that hangs delays nothing else.
func (f *discoverer) rereadSecrets(changed chan<- struct{}) {
	ticker := time.NewTicker(secretRetry)
	defer ticker.Stop()
	for round := 1; ; round++ {
		select {
		case <-ticker.C:
		case <-f.ctx.Done():
			return
		}
		if !f.readSecrets(f.ctx, round%secretRounds == 0) {
			continue
		}
		select {
		case changed <- struct{}{}:
		case <-f.ctx.Done():
			return
		}
	}
}

// wishes are the clusters of the configuration and those that are found now.
func (f *discoverer) wishes(cfg *config.Config) []wish {
	all := configured(cfg)
	if f == nil {
		return all
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.before != nil && f.client != nil {
		select {
		case <-f.client.Listed():
			f.before = nil
		default:
			return append(all, f.before...)
		}
	}
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Name
	}
	found, refused := discovery.Plan(f.registry.Objects(), func(selector int) string { return f.selectors[selector].Settings.Name }, names)
	for _, c := range found {
		settings, reason, err := f.cluster(&c)
		if err != nil {
			refused = append(refused, discovery.Refusal{Key: c.Object.Key, Reason: reason, Detail: err.Error()})
			continue
		}
		all = append(all, wish{settings, c.Resource})
	}
	f.tell(refused)
	return all
}

// found are the wishes without the configured ones.
func found(all []wish) (some []wish) {
	for _, w := range all {
		if w.resource != nil {
			some = append(some, w)
		}
	}
	return some
}

// cluster turns what was found into settings. The error, or the reason beside
// it, says why that cannot be.
func (f *discoverer) cluster(c *discovery.Found) (config.Cluster, string, error) {
	o, selector := c.Object, &f.selectors[c.Selector]
	spec := o.Cluster
	found := config.Found{Origin: o.String(), Idle: spec.Idle != "", Settings: config.Settings{
		Name: c.Name, Provider: config.ProviderConnect, Labels: o.Labels, URLs: []string{spec.URL},
		Kafka: &config.Kafka{
			BootstrapServers: brokers(spec.Brokers.Bootstrap),
			GroupID:          spec.Brokers.GroupID, StatusStorageTopic: spec.Brokers.StatusTopic, OffsetStorageTopic: spec.Brokers.OffsetTopic,
		},
	}}
	if spec.Aiven != nil || o.Kind.Shape == discovery.AivenConnect {
		found.Provider, found.URLs, found.Aiven = config.ProviderAiven, nil, &config.Aiven{}
	}
	var token func() (string, error)
	switch {
	case found.Idle:
	case spec.Aiven != nil:
		found.Aiven.Project, found.Aiven.Service, found.Aiven.Route = spec.Aiven.Project, spec.Aiven.Service, spec.Aiven.Route
		if ref := spec.Aiven.Token; ref != (discovery.SecretKey{}) {
			_, err := f.key(ref)
			switch {
			case err == nil:
				found.Aiven.Token = "elsewhere" // It is read for each request.
				token = func() (string, error) { f.mu.Lock(); defer f.mu.Unlock(); return f.key(ref) }
			case !selector.HasToken():
				return config.Cluster{}, discovery.RefusedSecret, err
			}
		}
	case spec.ConnectionSecret != "":
		if err := f.connection(secretName{o.Namespace, spec.ConnectionSecret}, spec.ConnectionPrefix, &found); err != nil {
			return config.Cluster{}, discovery.RefusedSecret, err
		}
	}
	settings, err := selector.Cluster(found)
	if err != nil {
		return config.Cluster{}, discovery.RefusedSettings, err
	}
	if token != nil {
		settings.AivenToken = token
	}
	return settings, "", nil
}

func brokers(list string) (all []string) {
	for server := range strings.SplitSeq(list, ",") {
		if server = strings.TrimSpace(server); server != "" {
			all = append(all, server)
		}
	}
	return all
}

// key is one key of a Secret; f.mu is held.
func (f *discoverer) key(ref discovery.SecretKey) (string, error) {
	s := f.secret(secretName{ref.Namespace, ref.Name})
	if s.err != nil {
		return "", s.err
	}
	value := s.data[ref.Key]
	if value == "" {
		return "", fmt.Errorf("secret %s/%s has no key %s", ref.Namespace, ref.Name, ref.Key)
	}
	return value, nil
}

// secret is a Secret as it was read last; f.mu is held.
func (f *discoverer) secret(name secretName) secret {
	s, read := f.secrets[name]
	switch {
	case f.client == nil:
		return secret{err: fmt.Errorf("secret %s/%s is not there without a Kubernetes API: give the selector a token of its own (aiven.token_file)", name.namespace, name.name)}
	case !read:
		return secret{err: fmt.Errorf("secret %s/%s is not read yet", name.namespace, name.name)}
	}
	return s
}

// connection is what a connection Secret says; f.mu is held.
func (f *discoverer) connection(name secretName, prefix string, found *config.Found) error {
	s := f.secret(name)
	if s.err != nil {
		return s.err
	}
	host, port := s.data[prefix+"CONNECT_HOST"], s.data[prefix+"CONNECT_PORT"]
	if host == "" || port == "" {
		return fmt.Errorf("secret %s/%s has no %sCONNECT_HOST and %[3]sCONNECT_PORT yet", name.namespace, name.name, prefix)
	}
	found.URLs = []string{"https://" + net.JoinHostPort(host, port)}
	if user := s.data[prefix+"USERNAME"]; user != "" {
		found.HTTPClient.BasicAuth = &commoncfg.BasicAuth{Username: user, Password: commoncfg.Secret(s.data[prefix+"PASSWORD"])}
	}
	// The project's own authority signs what the brokers show. A REST API shows
	// what the system knows, but for old services (docs of Aiven, TLS/SSL
	// certificates): both are right.
	found.Authorities = s.data[prefix+"CA_CERT"]
	return nil
}

// named are the Secrets that resources name, and the keys that are used of each.
func (f *discoverer) named() map[secretName][]string {
	all := map[secretName][]string{}
	for _, o := range f.registry.Objects() {
		switch c := o.Cluster; {
		case c == nil:
		case c.ConnectionSecret != "":
			name := secretName{o.Namespace, c.ConnectionSecret}
			// Those that are used (controllers/kafka_controller.go of aiven-operator).
			for _, key := range []string{"CONNECT_HOST", "CONNECT_PORT", "USERNAME", "PASSWORD", "CA_CERT"} {
				all[name] = append(all[name], c.ConnectionPrefix+key)
			}
		case c.Aiven != nil && c.Aiven.Token.Name != "":
			name := secretName{c.Aiven.Token.Namespace, c.Aiven.Token.Name}
			all[name] = append(all[name], c.Aiven.Token.Key)
		}
	}
	return all
}

// readSecrets reads the Secrets that resources name, by the end of ctx; those that
// could be read before only if again. It tells whether one has changed. One that
// cannot be read just now stays as it was.
func (f *discoverer) readSecrets(ctx context.Context, again bool) bool {
	if f.client == nil {
		return false
	}
	named := f.named()
	f.mu.Lock()
	maps.DeleteFunc(f.secrets, func(name secretName, _ secret) bool { return named[name] == nil })
	before := maps.Clone(f.secrets)
	f.mu.Unlock()
	var changed atomic.Bool
	var reading errgroup.Group
	reading.SetLimit(secretsAtOnce)
	for name, keys := range named {
		was, read := before[name]
		if read && !again && was.err == nil && !lacks(was, keys) {
			continue
		}
		if ctx.Err() != nil {
			break // The others come later.
		}
		reading.Go(func() error {
			data, err := f.client.Secret(ctx, name.namespace, name.name)
			if err != nil && read && was.err == nil {
				return nil
			}
			now := secret{data: map[string]string{}, err: err}
			for _, key := range keys {
				now.data[key] = strings.TrimSpace(string(data[key]))
			}
			if !read || !was.equal(now) {
				changed.Store(true)
			}
			f.mu.Lock()
			f.secrets[name] = now
			f.mu.Unlock()
			return nil
		})
	}
	_ = reading.Wait()
	return changed.Load()
}

// lacks tells whether a key is used that was not when the Secret was read.
func lacks(s secret, keys []string) bool {
	return slices.ContainsFunc(keys, func(key string) bool { _, there := s.data[key]; return !there })
}

// readFiles hands over what the files have now, if it has changed and stays so until
// the next check. Of a file that is not right, the resources that were seen in it
// before stay, unless it has others of their names.
func (f *discoverer) readFiles() {
	for i := range f.files {
		s := &f.files[i]
		names, err := discovery.Glob(s.patterns)
		if err != nil {
			continue // It was checked.
		}
		content := fmt.Sprint(contentsOf(names))
		if content == s.content {
			s.pending = ""
			continue
		}
		if s.content != "" && content != s.pending {
			s.pending = content
			continue
		}
		s.content, s.pending = content, ""
		documents, broken := discovery.Documents(names, s.kinds...)
		var problems []error
		wrong := map[string]bool{}
		for _, err := range broken {
			wrong[err.File] = true
			problems = append(problems, err)
		}
		seen := map[discovery.Key]discovery.Document{}
		var objects []*discovery.Object
		for _, d := range documents {
			o, err := d.Object()
			if err != nil {
				wrong[d.File] = true
				problems = append(problems, err)
				continue
			}
			if before, there := s.seen[o.Key]; there {
				for _, finding := range discovery.Changed(before, d) {
					problems = append(problems, errors.New(finding.String()))
				}
			}
			seen[o.Key] = d
			objects = append(objects, o)
		}
		for _, err := range problems {
			f.logger.Warn("resource file is not right", "err", err)
		}
		for key, d := range s.seen {
			if _, there := seen[key]; there || !wrong[d.File] {
				continue
			}
			if o, err := d.Object(); err == nil {
				seen[key] = d
				objects = append(objects, o)
			}
		}
		s.seen = seen
		f.registry.Replace(s.source, objects)
	}
}

// tell logs each refusal once; f.mu is held.
func (f *discoverer) tell(refused []discovery.Refusal) {
	now := map[discovery.Key]string{}
	f.refused, f.refusals = map[string]int{}, refused
	for _, r := range refused {
		f.refused[r.Reason]++
		now[r.Key] = r.Reason + r.Detail
		if f.told[r.Key] != now[r.Key] {
			f.logger.Warn("resource is not watched", "resource", r.Key.String(), "reason", r.Reason, "err", r.Detail)
		}
	}
	f.told = now
}

// state is what the exporter's metrics say of discovery.
func (f *discoverer) state() self.Discovery {
	s := self.Discovery{Up: f.client == nil || f.client.Up(), Resources: map[self.ResourceKind]int{}, Refused: map[string]int{}}
	for _, reason := range discovery.RefusedReasons() {
		s.Refused[reason] = 0
	}
	f.mu.Lock()
	maps.Copy(s.Refused, f.refused)
	f.mu.Unlock()
	for _, kind := range f.kinds {
		s.Resources[self.ResourceKind{Group: kind.Group, Kind: kind.KindName()}] = 0
	}
	for _, o := range f.registry.Objects() {
		if o.Cluster != nil || o.Connector != nil {
			s.Resources[self.ResourceKind{Group: o.Kind.Group, Kind: o.Kind.KindName()}]++
		}
	}
	return s
}

// operated is the observer of a cluster that was found: it knows the newest of
// its resource.
type operated struct {
	connect.Observer
	resource *resourceCell
}

// OperatorResource implements connect.OperatorObserver.
func (o operated) OperatorResource() *connect.OperatorResource { return o.resource.Load() }

// idle is the observer of a cluster that has nothing to ask, because its
// resource wants no workers.
type idle struct {
	provider connect.Provider
	revision connect.Revision
}

// Observe implements connect.Observer.
func (i idle) Observe(context.Context, func(connect.Request)) (*connect.Snapshot, error) {
	return &connect.Snapshot{Provider: i.provider, HasTasks: true, Revision: i.revision, Taken: time.Now()}, nil
}

// Close implements connect.Observer.
func (idle) Close() {}

// ResourceFindings are what is wrong, or hardly meant, in the manifests that a
// configuration names, in the order of the files; problems are files and
// documents that cannot be read at all, unmatched are patterns that name none.
func ResourceFindings(cfg *config.Config) (findings []discovery.Finding, problems []error, unmatched []string) {
	d := cfg.Discovery
	if d == nil {
		return nil, nil, nil
	}
	_, files, err := parsedSelectors(d)
	if err != nil {
		return nil, []error{err}, nil
	}
	for _, s := range files {
		unmatched = append(unmatched, s.unmatched()...)
		names, err := discovery.Glob(s.patterns)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		documents, more := discovery.Documents(names, s.kinds...)
		for _, err := range more {
			problems = append(problems, err)
		}
		for _, document := range documents {
			if _, err := document.Object(); err != nil {
				problems = append(problems, err)
				continue
			}
			findings = append(findings, discovery.Check(document)...)
		}
	}
	slices.SortStableFunc(findings, func(a, b discovery.Finding) int {
		return cmp.Or(cmp.Compare(a.Document.File, b.Document.File), cmp.Compare(a.Line, b.Line))
	})
	return findings, problems, unmatched
}

// Package kubernetes hands the resources of a Kubernetes API to a
// discovery.Registry: it lists and watches what the server serves, and only ever
// sends get, list and watch. It is the only package that imports client-go, of
// which it takes the parts that link no typed API.
package kubernetes

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/discovery"
)

const (
	// listTimeout bounds each call that is no watch, unless Options say otherwise.
	listTimeout = 30 * time.Second
	// watchTimeout bounds how long a watch may take to begin: some proxies hold it
	// back until the first event, and there is one each minute (a bookmark).
	watchTimeout = 90 * time.Second
	// longestWatch is for how long a watch goes on at most, and watchGrace how much
	// longer than the server was asked to let it.
	longestWatch, watchGrace = 10 * time.Minute, 30 * time.Second
	// secretTimeout bounds the reading of one Secret.
	secretTimeout = 5 * time.Second
	// namespaceFile has the namespace of the pod.
	namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
)

// A pace is how often what does not work is tried again.
type pace struct {
	// absent is how often a definition that is not installed is looked for.
	absent time.Duration
	// first and longest are the waits after a failure, doubled each time, with up to
	// a third more at random: many exporters must not come together. A watch that
	// ends sooner than first is a failure, too.
	first, longest time.Duration
	// initial is how long the resources that are there may take to come by a watch.
	initial time.Duration
}

func usualPace() pace {
	return pace{absent: 5 * time.Second, first: time.Second, longest: 10 * time.Second, initial: listTimeout}
}

// AllNamespaces in a Selector's Namespaces stands for all.
const AllNamespaces = "*"

// A Selector says which resources are wanted.
type Selector struct {
	Kinds []discovery.Kind
	// Namespaces, or [AllNamespaces]; none is that of the pod or of the
	// kubeconfig.
	Namespaces []string
	// Labels is a label selector, "" for all.
	Labels string
}

// Options of a Client. Registry and Logger are required.
type Options struct {
	// Kubeconfig is a file; "" is the pod's service account or, outside a pod,
	// what KUBECONFIG or ~/.kube/config say.
	Kubeconfig string
	// Selectors by their index.
	Selectors []Selector
	Registry  *discovery.Registry
	// UserAgent that the API server's audit log shows.
	UserAgent string
	// Timeout of each call that is no watch; 30 s if zero.
	Timeout time.Duration
	// Failed is told the reason of each failed call; may be nil.
	Failed func(reason string)
	Logger *slog.Logger
}

// Reasons of failed calls.
const (
	Timeout      = "timeout"
	Unreachable  = "unreachable"
	Unauthorized = "unauthorized"
	Forbidden    = "forbidden"
	Expired      = "expired"
	Other        = "other"
)

// Reasons lists them.
func Reasons() []string {
	return []string{Timeout, Unreachable, Unauthorized, Forbidden, Expired, Other}
}

// A Client watches until it is closed.
type Client struct {
	options   Options
	pace      pace
	dynamic   dynamic.Interface
	raw       rest.Interface
	namespace string
	cancel    context.CancelFunc
	wait      sync.WaitGroup

	// listed is closed when each source was listed, or could not be.
	listed chan struct{}

	mu sync.Mutex
	// sources that are watched, and whether each is up: its last call succeeded.
	sources map[discovery.Source]bool
	// unlisted are those of which nothing was heard yet.
	unlisted map[discovery.Source]bool
}

// Start begins to watch. A server that is not there is no error: it may come.
func Start(options Options) (*Client, error) { return start(options, usualPace()) }

func start(options Options, pace pace) (*Client, error) {
	options.Timeout = cmp.Or(options.Timeout, listTimeout)
	loading := clientcmd.NewDefaultClientConfigLoadingRules()
	loading.ExplicitPath = options.Kubeconfig
	kubeconfig := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(loading, &clientcmd.ConfigOverrides{})
	// It takes the pod's service account where no file says otherwise.
	if err := checkFiles(loading); err != nil {
		return nil, fmt.Errorf("discovery: find the Kubernetes API: %w", err)
	}
	config, err := kubeconfig.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("discovery: find the Kubernetes API: %w", brief(err))
	}
	namespace, _, err := kubeconfig.Namespace()
	if err != nil {
		return nil, fmt.Errorf("discovery: find the namespace: %w", brief(err))
	}
	if content, err := os.ReadFile(namespaceFile); err == nil && options.Kubeconfig == "" && os.Getenv("KUBECONFIG") == "" {
		namespace = strings.TrimSpace(string(content))
	}
	config = rest.CopyConfig(config)
	config.UserAgent = options.UserAgent
	config.QPS, config.Burst = 50, 100 // A list and a watch for each kind and namespace.
	config.WarningHandlerWithContext = rest.NoWarnings{}
	wrap(config)
	dynamicConfig := dynamic.ConfigFor(config)
	inner, err := rest.TransportFor(dynamicConfig)
	if err != nil {
		return nil, fmt.Errorf("discovery: make a client of the Kubernetes API: %w", brief(err))
	}
	// The token and the client's certificate are for that server alone; no API server
	// redirects.
	httpClient := &http.Client{Transport: bounded{inner}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	client, err := dynamic.NewForConfigAndClient(dynamicConfig, httpClient)
	if err != nil {
		return nil, fmt.Errorf("discovery: make a client of the Kubernetes API: %w", brief(err))
	}
	raw, err := rest.UnversionedRESTClientForConfigAndClient(dynamicConfig, httpClient)
	if err != nil {
		return nil, fmt.Errorf("discovery: make a client of the Kubernetes API: %w", brief(err))
	}
	ctx, cancel := context.WithCancel(klog.NewContext(context.Background(), logr.Discard())) // Failures are told by us, once.
	c := &Client{
		options: options, pace: pace, dynamic: client, raw: raw, namespace: namespace, cancel: cancel,
		listed: make(chan struct{}), sources: map[discovery.Source]bool{}, unlisted: map[discovery.Source]bool{},
	}
	var all []discovery.Source
	for i, selector := range options.Selectors {
		for _, source := range c.sourcesOf(i, selector) {
			if !c.unlisted[source] {
				all = append(all, source)
			}
			c.sources[source], c.unlisted[source] = false, true
		}
	}
	for _, source := range all {
		f := &follower{Client: c, source: source, log: options.Logger.With("resource", source.Kind.String(), "namespace", source.Namespace)}
		c.wait.Go(func() { f.follow(ctx) })
	}
	return c, nil
}

func (c *Client) sourcesOf(index int, s Selector) (all []discovery.Source) {
	namespaces := s.Namespaces
	switch {
	case slices.Contains(namespaces, AllNamespaces):
		namespaces = []string{metav1.NamespaceAll}
	case len(namespaces) == 0:
		namespaces = []string{c.namespace}
	}
	for _, kind := range s.Kinds {
		for _, namespace := range namespaces {
			all = append(all, discovery.Source{Selector: index, Kind: kind, Namespace: namespace})
		}
	}
	return all
}

// Close ends the watches and forgets what they found.
func (c *Client) Close() {
	c.cancel()
	c.wait.Wait()
	for source := range c.sources {
		c.options.Registry.Drop(source)
	}
}

// Up tells whether the last call for each kind and namespace succeeded. A kind
// that is not installed does not count.
func (c *Client) Up() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, up := range c.sources {
		if !up {
			return false
		}
	}
	return true
}

// Secret reads a Secret's keys by its name. The error carries nothing of it.
func (c *Client) Secret(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, secretTimeout)
	defer cancel()
	text, err := c.raw.Get().AbsPath("/api/v1/namespaces", namespace, "secrets", name).Do(ctx).Raw()
	if err != nil {
		c.failed(err)
		return nil, fmt.Errorf("get secret %s/%s: %s", namespace, name, explain(err, "get", "secrets", namespace))
	}
	var secret struct{ Data map[string][]byte }
	if json.Unmarshal(text, &secret) != nil {
		return nil, fmt.Errorf("get secret %s/%s: no Secret in the answer", namespace, name)
	}
	return secret.Data, nil
}

// A follower watches one source. Its fields belong to one goroutine.
type follower struct {
	*Client
	source discovery.Source
	log    *slog.Logger
	// told is what was last said to be wrong, "" for nothing.
	told string
	// began is when a watch last began.
	began time.Time
}

// follow watches a source until ctx ends.
func (f *follower) follow(ctx context.Context) {
	wait, absent, short := f.pace.first, false, 0
	for ctx.Err() == nil {
		verb := "get"
		version, err := f.served(ctx, f.source.Kind)
		if err == nil && version == "" {
			// Not installed, or not any more. A server that has just begun may say so of
			// what it has: then the clusters stay until it has said so again.
			if absent || !f.options.Registry.Has(f.source) {
				f.options.Registry.Replace(f.source, nil)
				f.well(ctx)
				f.heard(f.source)
			}
			if !absent {
				absent = true
				f.log.InfoContext(ctx, "resource is not installed, waiting for its definition")
			}
			pause(ctx, f.pace.absent)
			continue
		}
		if err == nil {
			if absent {
				f.log.InfoContext(ctx, "resource is installed", "version", version)
			}
			absent = false
			start := time.Now()
			verb, err = f.reflect(ctx, version)
			if time.Since(start) > f.pace.longest {
				wait = f.pace.first // It was well meanwhile.
			}
			if err == nil && f.began.After(start) && time.Since(f.began) < f.pace.first {
				short++
			} else {
				short = 0
			}
			if short > 1 {
				verb, err = "watch", errShort
			}
		}
		if ctx.Err() != nil {
			return
		}
		// Without an error the server ended the watch, as it does now and then. One
		// that does so again and again is not asked all the time.
		if err != nil {
			f.failed(err)
			f.mark(f.source, false)
			f.heard(f.source)
			if text := explain(err, verb, f.source.Kind.String(), f.source.Namespace); text != f.told {
				f.told = text
				f.log.WarnContext(ctx, "resources cannot be watched", "err", text)
			}
		}
		pause(ctx, wait+rand.N(wait/3)) //nolint:gosec // Not for secrets.
		wait = min(2*wait, f.pace.longest)
	}
}

// well says that the source is watched.
func (f *follower) well(ctx context.Context) {
	f.mark(f.source, true)
	if f.told != "" {
		f.told = ""
		f.log.InfoContext(ctx, "resources are watched again")
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// served returns the preferred version of a kind among those that the server
// has, "" if it has none.
func (c *Client) served(ctx context.Context, kind discovery.Kind) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	for _, version := range kind.Versions() {
		text, err := c.raw.Get().AbsPath("/apis", kind.Group, version).Do(ctx).Raw()
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return "", err
		}
		var list metav1.APIResourceList
		if err := json.Unmarshal(text, &list); err != nil || list.Kind != "APIResourceList" {
			return "", errNoAnswer
		}
		if slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == kind.Resource }) {
			return version, nil
		}
	}
	return "", nil
}

// maxAnswer bounds what is read of an answer, in bytes: some ten thousand resources
// of 10 KB. A watch goes on; of its events the library bounds each.
const maxAnswer = 128 << 20

// bounded reads no answer beyond maxAnswer.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(r)
	if err == nil && !r.URL.Query().Has("watch") {
		response.Body = &boundedBody{response.Body, maxAnswer}
	}
	return response, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

var (
	errTooLarge  = fmt.Errorf("the answer is larger than %d MB", maxAnswer>>20)
	errNoBegin   = fmt.Errorf("%w: the watch does not begin", context.DeadlineExceeded)
	errNoInitial = fmt.Errorf("%w: the watch does not tell what is there", context.DeadlineExceeded)
	errNoAnswer  = errors.New("the answer is not that of an API server")
	errShort     = errors.New("watches end as soon as they have begun")
	// errNotWatched is what the library is told of a watch that failed: it would
	// try some errors again by itself, and not hear that it is to end. What follows
	// a failure is another list: the server may not be the one that it was.
	errNotWatched = errors.New("the watch failed")
)

// reflect lists and watches until the watch cannot go on. verb is what failed.
func (f *follower) reflect(ctx context.Context, version string) (verb string, err error) {
	resource := f.dynamic.Resource(schema.GroupVersionResource{Group: f.source.Kind.Group, Version: version, Resource: f.source.Kind.Resource}).
		Namespace(f.source.Namespace)
	selector := f.options.Selectors[f.source.Selector].Labels
	var watching error // Why it could not be watched, the last time it was tried.
	// initial ends a watch that does not tell what is there, which silent remembers;
	// nil where a list does.
	var initial *time.Timer
	var silent atomic.Bool
	reflector := cache.NewReflectorWithOptions(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			ctx, cancel := context.WithTimeout(ctx, f.options.Timeout)
			defer cancel()
			options.LabelSelector = selector
			initial, watching = nil, nil // What was tried before was to have the list by a watch.
			list, err := resource.List(ctx, options)
			if err != nil {
				return nil, err // Told by who called reflect.
			}
			if !strings.HasSuffix(list.GetKind(), "List") {
				return nil, errNoAnswer // It would be taken for a list of nothing.
			}
			for i := range list.Items {
				prune(&list.Items[i])
			}
			return list, nil
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			if options.SendInitialEvents != nil && silent.Load() {
				f.failed(errNoInitial)
				return nil, errNotWatched // The library lists.
			}
			options.LabelSelector = selector
			pause(ctx, f.pace.first-time.Since(f.began))
			ctx, end := context.WithCancelCause(ctx)
			late := time.AfterFunc(watchTimeout, func() { end(errNoBegin) })
			watched, err := resource.Watch(ctx, options)
			if !late.Stop() && err == nil {
				watched.Stop()
				err = errNoBegin
			}
			if err != nil {
				if cause := context.Cause(ctx); cause != nil {
					err = cause
				}
				end(nil)
				f.mark(f.source, false)
				watching = err
				return nil, errNotWatched
			}
			f.began = time.Now()
			timers := []*time.Timer{time.AfterFunc(asked(options)+watchGrace, func() { end(nil) })}
			if options.SendInitialEvents != nil {
				initial = time.AfterFunc(f.pace.initial, func() { silent.Store(true); end(nil) })
				timers = append(timers, initial)
			} else {
				f.well(ctx)
			}
			return stopping{watched, func() {
				for _, timer := range timers {
					timer.Stop()
				}
				end(nil)
			}}, nil
		},
	}, nil, store{f.options.Registry, f.source, func() {
		if initial != nil && initial.Stop() {
			f.well(ctx)
		}
		f.heard(f.source)
	}}, cache.ReflectorOptions{Name: f.source.Kind.String()})
	err = reflector.ListAndWatchWithContext(ctx)
	if watching != nil {
		return "watch", watching
	}
	return "list", err
}

// asked is for how long a watch was asked to go on; the library always says so.
func asked(options metav1.ListOptions) time.Duration {
	if options.TimeoutSeconds == nil {
		return longestWatch
	}
	return time.Duration(*options.TimeoutSeconds) * time.Second
}

// stopping is a watch; stopped is called when it is stopped.
type stopping struct {
	watch.Interface
	stopped func()
}

// Stop implements watch.Interface.
func (s stopping) Stop() {
	s.Interface.Stop()
	s.stopped()
}

// prune drops what is large and what may be secret of a list as soon as it is
// decoded: a connector's configuration, the text of its trace, what was applied
// last.
func prune(object *unstructured.Unstructured) {
	for _, path := range [][]string{
		{"metadata", "managedFields"},
		{"metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"},
		{"spec", "template"},
		{"spec", "build"},
		{"spec", "logging"},
		{"spec", "configs"},
		{"status", "connectorStatus"},
		{"status", "trace"},
		{"status", "tasksStatus"},
		{"status", "pluginStatus"},
		{"spec", "userConfig", "secret_providers"},
		{"spec", "userConfig", "ip_filter"},
		{"spec", "technicalEmails"},
	} {
		unstructured.RemoveNestedField(object.Object, path...)
	}
	if kind := object.GetKind(); kind == "KafkaConnector" || kind == "Connector" {
		unstructured.RemoveNestedField(object.Object, "spec", "config")
	}
}

// Listed is closed when each kind and namespace was listed once, or could not be.
func (c *Client) Listed() <-chan struct{} { return c.listed }

func (c *Client) mark(source discovery.Source, up bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sources[source] = up
}

// heard says that a source was listed, or could not be.
func (c *Client) heard(source discovery.Source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unlisted[source] {
		delete(c.unlisted, source)
		if len(c.unlisted) == 0 {
			close(c.listed)
		}
	}
}

// CheckLabels says what is wrong with a label selector, nil if nothing is.
func CheckLabels(selector string) error {
	if _, err := labels.Parse(selector); err != nil {
		return errors.New("is no label selector, such as team=orders,env!=test")
	}
	return nil
}

func (c *Client) failed(err error) {
	if c.options.Failed != nil {
		c.options.Failed(reason(err))
	}
}

func reason(err error) string {
	switch {
	case apierrors.IsForbidden(err):
		return Forbidden
	case apierrors.IsUnauthorized(err):
		return Unauthorized
	case apierrors.IsResourceExpired(err), apierrors.IsGone(err):
		return Expired
	case errors.Is(err, context.DeadlineExceeded), apierrors.IsTimeout(err), apierrors.IsServerTimeout(err):
		return Timeout
	}
	var request *url.Error
	var network net.Error
	if errors.As(err, &request) || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) {
		return Unreachable
	}
	return Other
}

// explain says in a few words what failed and, where a right is missing, which.
func explain(err error, verb, resource, namespace string) string {
	switch reason(err) {
	case Forbidden:
		if namespace == metav1.NamespaceAll {
			return fmt.Sprintf("forbidden: the service account may not %s %s in all namespaces; grant get, list and watch by a ClusterRole, or name namespaces", verb, resource)
		}
		if resource == "secrets" {
			return fmt.Sprintf("forbidden: the service account may not get it; grant get on secrets with its resourceName in namespace %s", namespace)
		}
		return fmt.Sprintf("forbidden: the service account may not %s %s in namespace %s; grant get, list and watch by a Role there", verb, resource, namespace)
	case Unauthorized:
		return "unauthorized: the token of the service account, or of the kubeconfig, is not accepted"
	case Timeout:
		return "no answer in time"
	case Expired:
		return "what was watched has expired, it is listed anew"
	case Unreachable:
		return "the API server is not reached: " + unanswered(err)
	}
	var status apierrors.APIStatus
	switch {
	case apierrors.IsNotFound(err):
		return "not found"
	case errors.Is(err, errShort):
		return errShort.Error()
	case errors.Is(err, errTooLarge):
		return errTooLarge.Error()
	case !errors.As(err, &status):
		// What the library says quotes the answer.
		return errNoAnswer.Error()
	case status.Status().Reason == metav1.StatusReasonUnknown:
		return fmt.Sprintf("%s: HTTP %d", errNoAnswer, status.Status().Code)
	}
	return fmt.Sprintf("the API server answers HTTP %d", status.Status().Code)
}

// unanswered says in a few words why there is no answer.
func unanswered(err error) string {
	if at, ok := errors.AsType[*url.Error](err); ok {
		err = at.Err
	}
	return connect.Unquoted(err)
}

// brief is an error on one line and not long, without what a library quotes.
func brief(err error) error {
	text := strings.Join(strings.Fields(quoted.ReplaceAllLiteralString(err.Error(), "…")), " ")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return errors.New(text)
}

// store is where a reflector puts what it sees.
type store struct {
	registry *discovery.Registry
	source   discovery.Source
	listed   func()
}

func (s store) object(from any) (*discovery.Object, error) {
	switch from := from.(type) {
	case *discovery.Object:
		return from, nil
	case *unstructured.Unstructured:
		return discovery.Reduce(s.source.Kind, from.Object), nil
	}
	return nil, fmt.Errorf("a %T is no resource", from)
}

// Transformer implements cache.TransformingStore: what comes by a watch before all
// is there is not kept whole.
func (s store) Transformer() cache.TransformFunc {
	return func(from any) (any, error) { return s.object(from) }
}

// Add implements cache.ReflectorStore.
func (s store) Add(from any) error {
	o, err := s.object(from)
	if err == nil {
		s.registry.Set(s.source, o)
	}
	return err
}

// Update implements cache.ReflectorStore.
func (s store) Update(from any) error { return s.Add(from) }

// Delete implements cache.ReflectorStore.
func (s store) Delete(from any) error {
	o, err := s.object(from)
	if err == nil {
		s.registry.Delete(s.source, o.Key)
	}
	return err
}

// Replace implements cache.ReflectorStore.
func (s store) Replace(list []any, _ string) error {
	objects := make([]*discovery.Object, 0, len(list))
	for _, item := range list {
		o, err := s.object(item)
		if err != nil {
			return err
		}
		objects = append(objects, o)
	}
	s.registry.Replace(s.source, objects)
	s.listed()
	return nil
}

// Resync implements cache.ReflectorStore.
func (store) Resync() error { return nil }

package rest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// Observation versions.
const (
	// Version1 lists the connectors, then asks for each of them.
	Version1 = "1"
	// Version2 asks for all of them in one expanded call (Kafka 2.3 and later).
	Version2 = "2"
	// VersionAuto sends version 2's call and goes on by version 1 where the
	// worker cannot answer it.
	VersionAuto = "auto"
)

// Defaults of Options.
const (
	DefaultParallelism    = 8
	DefaultRequestTimeout = 5 * time.Second
	DefaultInfoMaxAge     = 5 * time.Minute
	// DefaultMaxBodyBytes has room for the configurations of 10,000 connectors
	// at 10 KB each.
	DefaultMaxBodyBytes = 128 << 20
	// DefaultMaxConnectors is five times what the largest known clusters have.
	DefaultMaxConnectors = 50_000
)

// tasksPerConnector bounds the tasks of a cluster, by its bound of connectors.
const tasksPerConnector = 10

// rootMaxAge is how old the worker's version may be.
const rootMaxAge = 5 * time.Minute

// Options of an Observer. Name, URLs and Client are required.
type Options struct {
	// Name of the cluster, for errors and logs.
	Name string
	// URLs of workers, without credentials; any of them answers for all.
	URLs []*url.URL
	// Client sends the requests, see NewClient.
	Client *http.Client
	// Provider that stands in the snapshot; connect.SelfManaged if empty.
	Provider connect.Provider
	// Dialect of the provider's API.
	Dialect Dialect
	// ObservationVersion is Version1, Version2 or VersionAuto (if empty).
	ObservationVersion string
	// Parallelism bounds the calls of version 1 in flight.
	Parallelism int
	// RequestTimeout of each call.
	RequestTimeout time.Duration
	// InfoMaxAge is how old class, tasks.max and configured tasks may be where
	// nothing tells that they changed. 0 asks for them in each snapshot.
	InfoMaxAge time.Duration
	// MaxBodyBytes bounds one answer.
	MaxBodyBytes int64
	// MaxConnectors that are kept, DefaultMaxConnectors if 0: a cluster with more
	// is not observed.
	MaxConnectors int
	// Labels are keys of connectors' configurations whose values are shown. Those
	// that look like secrets (see SecretKey) are not, though they stand here.
	Labels []string
	// Keep tells whether a connector is observed; nil keeps all.
	Keep func(connector string) bool
	// Logger is told when version 2 falls back to version 1; nil is silent.
	Logger *slog.Logger
}

// Observer observes one cluster by REST. It implements connect.Observer.
type Observer struct {
	options  Options
	client   *client
	decoding decoderOptions

	// What follows is only touched by Observe, which has one caller at a time.
	strings *interner
	infos   infos
	// statusless are the connectors that were listed without a status when the
	// list was last had.
	statusless map[string]struct{}
	root       root
	rootAsked  time.Time
	fellBack   bool
	same       same
	revisions  connect.Revisions
	buffer     []byte // of the answer that is looked at, wiped after it
}

// same is what the last expanded answer came to: the same answer comes to the
// same.
type same struct {
	known      bool
	hash       fingerprint
	connectors []connect.Connector
	unobserved []connect.Unobserved
}

// root is what GET / says.
type root struct{ version, commit, kafkaClusterID string }

var _ connect.Observer = (*Observer)(nil)

// New returns an Observer. It asks nothing yet.
func New(o Options) *Observer {
	if o.Provider == "" {
		o.Provider = connect.SelfManaged
	}
	if o.ObservationVersion == "" {
		o.ObservationVersion = VersionAuto
	}
	if o.Parallelism <= 0 {
		o.Parallelism = DefaultParallelism
	}
	if o.RequestTimeout <= 0 {
		o.RequestTimeout = DefaultRequestTimeout
	}
	if o.MaxBodyBytes <= 0 {
		o.MaxBodyBytes = DefaultMaxBodyBytes
	}
	if o.MaxConnectors <= 0 {
		o.MaxConnectors = DefaultMaxConnectors
	}
	if o.Keep == nil {
		o.Keep = func(string) bool { return true }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Observer{
		options: o,
		client:  &client{http: o.Client, urls: o.URLs, timeout: o.RequestTimeout, limit: o.MaxBodyBytes},
		strings: newInterner(),
		infos:   infos{byName: map[string]*known{}},
		decoding: decoderOptions{
			dialect: o.Dialect, seed: maphash.MakeSeed(), maxTasks: tasksPerConnector * o.MaxConnectors,
			labels: slices.DeleteFunc(slices.Clone(o.Labels), SecretKey),
		},
	}
}

// Close releases idle connections.
func (o *Observer) Close() { o.client.http.CloseIdleConnections() }

// look is one snapshot in the making.
type look struct {
	*Observer
	began      time.Time
	report     func(connect.Request)
	bytes      atomic.Int64
	snapshot   *connect.Snapshot
	unobserved map[string]connect.Reason
	// hash of the answer to the expanded call for statuses, if it was had whole;
	// reused tells that it is that of the snapshot before.
	hash          fingerprint
	whole, reused bool
	turned        bool
}

// Observe takes one snapshot, see connect.Observer.
func (o *Observer) Observe(ctx context.Context, report func(connect.Request)) (*connect.Snapshot, error) {
	l := &look{Observer: o, began: time.Now(), unobserved: map[string]connect.Reason{}}
	l.report = func(r connect.Request) {
		l.bytes.Add(r.Bytes)
		if report != nil {
			report(r)
		}
	}
	l.snapshot = &connect.Snapshot{Provider: o.options.Provider, HasTasks: true}

	if err := l.observe(ctx); err != nil {
		// The cluster may come back as another version of itself.
		o.rootAsked = time.Time{}
		return nil, err
	}
	l.askRoot(ctx)

	s := l.snapshot
	if l.reused {
		s.Connectors, s.Unobserved = o.same.connectors, o.same.unobserved
	} else {
		l.finish()
	}
	o.revisions.Next(s)
	if !l.reused {
		o.same = same{known: s.ObservationVersion == Version2 && l.whole, hash: l.hash, connectors: s.Connectors, unobserved: s.Unobserved}
	}
	s.Version, s.Commit, s.KafkaClusterID = o.root.version, o.root.commit, o.root.kafkaClusterID
	s.Bytes = l.bytes.Load()
	s.Taken = time.Now()
	return s, nil
}

// finish completes the connectors with their info and brings all into order.
func (l *look) finish() {
	s := l.snapshot
	l.infos.end(l.began)
	for i := range s.Connectors {
		if reason := l.infos.fill(&s.Connectors[i]); reason != "" {
			l.unobserved[s.Connectors[i].Name] = reason
		}
	}
	connect.SortConnectors(s.Connectors)
	for i := 1; i < len(s.Connectors); i++ {
		if name := s.Connectors[i].Name; name == s.Connectors[i-1].Name {
			l.unobserved[name] = connect.Decode // Which of the two it is is anybody's guess.
		}
	}
	if len(l.unobserved) > 0 {
		s.Connectors = slices.DeleteFunc(s.Connectors, func(c connect.Connector) bool { return l.unobserved[c.Name] != "" })
	}
	s.Connectors = slices.Clip(s.Connectors)
	carryVersions(l.same.connectors, s.Connectors)
	for name, reason := range l.unobserved {
		s.Unobserved = append(s.Unobserved, connect.Unobserved{Connector: name, Reason: reason})
	}
	connect.SortUnobserved(s.Unobserved)
}

// carryVersions gives connectors and tasks whose status names no version the one
// that is known of them, as long as they are where they were. A status that was
// written by another way than most has none (KIP-891); where none has one, the
// workers tell none any more.
func carryVersions(before, now []connect.Connector) {
	tell := slices.ContainsFunc(now, func(c connect.Connector) bool {
		return c.Version != "" || slices.ContainsFunc(c.Tasks, func(t connect.Task) bool { return t.Version != "" })
	})
	if !tell {
		return
	}
	for i := range now {
		c := &now[i]
		for len(before) > 0 && before[0].Name < c.Name {
			before = before[1:]
		}
		if len(before) == 0 || before[0].Name != c.Name {
			continue
		}
		known := &before[0]
		if c.Version == "" && c.Worker == known.Worker {
			c.Version = known.Version
		}
		tasks := known.Tasks
		for j := range c.Tasks {
			t := &c.Tasks[j]
			for len(tasks) > 0 && tasks[0].ID < t.ID {
				tasks = tasks[1:]
			}
			if len(tasks) > 0 && tasks[0].ID == t.ID && t.Version == "" && t.Worker == tasks[0].Worker {
				t.Version = tasks[0].Version
			}
		}
	}
}

func (l *look) observe(ctx context.Context) error {
	if l.options.ObservationVersion == Version1 {
		names, err := l.list(ctx)
		if err != nil {
			return err
		}
		return l.version1(ctx, names)
	}
	list, err := l.version2(ctx)
	if err == nil || l.options.ObservationVersion == Version2 || ctx.Err() != nil {
		if err == nil {
			l.sayFallback(false, nil)
		}
		return err
	}
	var status *statusError
	switch {
	case errors.Is(err, errList): // as expected of a Kafka before 2.3
	case errors.Is(err, errNoExpansion), errors.As(err, &status) && status.code == http.StatusInternalServerError:
		l.sayFallback(true, err)
		var listErr error
		if list, listErr = l.list(ctx); listErr != nil {
			return listErr
		}
	default:
		return err
	}
	l.reset()
	return l.version1(ctx, list)
}

// reset forgets what a failed try of version 2 left.
func (l *look) reset() {
	l.snapshot.Connectors = nil
	clear(l.unobserved)
}

// sayFallback logs when auto begins, or ceases, to go on by version 1.
func (l *look) sayFallback(fell bool, why error) {
	if fell == l.fellBack {
		return
	}
	l.fellBack = fell
	if fell {
		l.options.Logger.Warn("Observation version 2 is not answered, going on by version 1", "cluster", l.options.Name, "err", why)
	} else {
		l.options.Logger.Info("Observation version 2 is answered again", "cluster", l.options.Name)
	}
}

// maxListed is how many names a list may have: those that are not kept count, too.
const maxListed = 1_000_000

// list asks for the names of all connectors that are kept.
func (l *look) list(ctx context.Context) ([]listed, error) {
	var names []listed
	err := l.client.do(ctx, call{endpoint: "list", path: "/connectors", decode: func(r io.Reader) (err error) {
		names, err = l.decoder(r).decodeList(maxListed)
		return err
	}}, l.report)
	if err != nil {
		return nil, fmt.Errorf("list connectors of %s: %w", l.options.Name, err)
	}
	return names, nil
}

func (l *look) decoder(r io.Reader) *decoder {
	if !l.turned {
		l.strings.turn()
		l.turned = true
	}
	return newDecoder(r, l.strings, l.decoding)
}

// shareOf gives calls that a snapshot can do without half of the time that is
// left, and at most the time of one request.
func (l *look) shareOf(ctx context.Context) (context.Context, context.CancelFunc) {
	timeout := l.options.RequestTimeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(deadline)/2)
	}
	return context.WithTimeout(ctx, timeout)
}

// askRoot asks for the worker's version now and then. It waits for the herder
// of a worker that is starting, so it has little time, and it failing costs
// nothing but what is new.
func (l *look) askRoot(ctx context.Context) {
	if l.options.Dialect.NoRoot || l.began.Sub(l.rootAsked) < rootMaxAge {
		return
	}
	ctx, cancel := l.shareOf(ctx)
	defer cancel()
	var got root
	err := l.client.do(ctx, call{endpoint: "root", path: "/", decode: func(r io.Reader) error {
		d := newDecoder(r, newInterner(), l.decoding)
		var e entry
		return d.decodeOne(&e, func(e *entry) error {
			return d.object(&e.bad, rootMembers, func(member int, _ []byte) error {
				switch member {
				case 0:
					return d.textInto(&e.bad, &got.version)
				case 1:
					return d.textInto(&e.bad, &got.commit)
				case 2:
					return d.textInto(&e.bad, &got.kafkaClusterID)
				}
				return d.json.SkipValue()
			})
		})
	}}, l.report)
	if err == nil {
		// What it does not tell stays as it is known.
		l.root = root{cmp.Or(got.version, l.root.version), cmp.Or(got.commit, l.root.commit), cmp.Or(got.kafkaClusterID, l.root.kafkaClusterID)}
		l.rootAsked = l.began
	}
}

package rest

import (
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
)

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
	// Keep tells whether a connector is observed; nil keeps all.
	Keep func(connector string) bool
	// Logger is told when version 2 falls back to version 1; nil is silent.
	Logger *slog.Logger
}

// Observer observes one cluster by REST. It implements connect.Observer.
type Observer struct {
	options Options
	client  *client

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
	seed       maphash.Seed
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
		seed:    maphash.MakeSeed(),
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
		l.infos.fill(&s.Connectors[i])
	}
	connect.SortConnectors(s.Connectors)
	s.Connectors = slices.Clip(s.Connectors)
	for name, reason := range l.unobserved {
		s.Unobserved = append(s.Unobserved, connect.Unobserved{Connector: name, Reason: reason})
	}
	connect.SortUnobserved(s.Unobserved)
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

// list asks for the names of all connectors that are kept.
func (l *look) list(ctx context.Context) ([]string, error) {
	var names []string
	err := l.client.do(ctx, call{endpoint: "list", path: "/connectors", decode: func(r io.Reader) (err error) {
		names, err = l.decoder(r).decodeList()
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
	return newDecoder(r, l.strings, l.options.Dialect)
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
		d := newDecoder(r, newInterner(), l.options.Dialect)
		var e entry
		return d.decodeOne(&e, func(e *entry) error {
			return d.object(&e.bad, func(key []byte) error {
				switch string(key) {
				case `"version"`:
					return d.textInto(&e.bad, &got.version)
				case `"commit"`:
					return d.textInto(&e.bad, &got.commit)
				case `"kafka_cluster_id"`:
					return d.textInto(&e.bad, &got.kafkaClusterID)
				}
				return d.skip()
			})
		})
	}}, l.report)
	if err == nil {
		l.root, l.rootAsked = got, l.began
	}
}

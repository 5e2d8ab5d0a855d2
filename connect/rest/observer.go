package rest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
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
	l.same = same{known: s.ObservationVersion == Version2 && l.whole, hash: l.hash, connectors: s.Connectors, unobserved: s.Unobserved}
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
	case errors.Is(err, errList):
		l.sayFallback(true, err)
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

// version1 asks for the status of each connector, and then for the info of
// those whose info may have changed: status never waits, info waits for the
// worker's herder and must not cost a state.
func (l *look) version1(ctx context.Context, names []string) error {
	l.snapshot.ObservationVersion = Version1
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !l.options.Keep(name) })

	statuses := make([]entry, len(names))
	errs := make([]error, len(names))
	l.inFlight(len(names), func(i int, d *decoderPool) {
		statuses[i], errs[i] = l.one(ctx, "status", names[i], "/status", (*decoder).status, d)
	})

	l.snapshot.Connectors = make([]connect.Connector, 0, len(names))
	for i, err := range errs {
		if err == nil && hasDuplicateIDs(&statuses[i].status) {
			err = connect.Decode
		}
		if err == nil {
			l.snapshot.Connectors = append(l.snapshot.Connectors, statuses[i].status)
			continue
		}
		reason := connect.ReasonOf(err)
		var status *statusError
		if errors.As(err, &status) {
			switch {
			case status.code == http.StatusNotFound && status.json:
				reason = connect.NoStatus
			case status.code == http.StatusBadRequest:
				reason = connect.Unaddressable
			}
		}
		l.unobserved[names[i]] = reason
	}
	if err := nothingObserved(errs); err != nil {
		return fmt.Errorf("get status of %d connectors of %s: %w", len(names), l.options.Name, err)
	}
	l.version1Info(ctx)
	return nil
}

// nothingObserved returns the first error where each call failed for a reason
// that lies with the cluster, not with the connector: then the cluster was not
// observed.
func nothingObserved(errs []error) error {
	for _, err := range errs {
		switch connect.ReasonOf(err) {
		case connect.Timeout, connect.Unreachable, connect.Unauthorized, connect.Forbidden:
		default:
			return nil
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return errs[0]
}

// version1Info asks for the info of the connectors that want it, those first
// whose info is oldest, within half of the time that is left.
func (l *look) version1Info(ctx context.Context) {
	var wanted []string
	for i := range l.snapshot.Connectors {
		c := &l.snapshot.Connectors[i]
		if l.infos.want(c, l.began) || l.began.Sub(l.infos.byName[c.Name].had) >= l.options.InfoMaxAge {
			wanted = append(wanted, c.Name)
		}
	}
	if len(wanted) == 0 {
		return
	}
	slices.SortStableFunc(wanted, func(a, b string) int {
		return l.infos.byName[a].had.Compare(l.infos.byName[b].had)
	})
	ctx, cancel := l.shareOf(ctx)
	defer cancel()
	got := make([]entry, len(wanted))
	l.inFlight(len(wanted), func(i int, d *decoderPool) {
		if ctx.Err() == nil {
			got[i], _ = l.one(ctx, "info", wanted[i], "", (*decoder).info, d)
		}
	})
	for i := range got {
		if got[i].hasInfo && !got[i].badInfo {
			l.infos.put(wanted[i], got[i].info, l.began)
		}
	}
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

// decoderPool is what the calls of one goroutine share.
type decoderPool struct{ strings *interner }

// inFlight runs n calls, as many at a time as the parallelism allows.
func (l *look) inFlight(n int, run func(i int, d *decoderPool)) {
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(n, l.options.Parallelism) {
		wait.Go(func() {
			pool := &decoderPool{strings: newInterner()}
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				run(i, pool)
			}
		})
	}
	wait.Wait()
}

// one asks for the status or the info of one connector.
func (l *look) one(ctx context.Context, endpoint, name, suffix string, read func(*decoder, *entry) error, pool *decoderPool) (entry, error) {
	var e entry
	err := l.client.do(ctx, call{
		endpoint: endpoint, connector: name, path: "/connectors/" + escape(name) + suffix,
		decode: func(r io.Reader) error {
			e = entry{name: name}
			d := newDecoder(r, pool.strings, l.options.Dialect)
			return d.decodeOne(&e, func(e *entry) error { return read(d, e) })
		},
	}, l.report)
	return e, err
}

// escape makes a connector's name one segment of a path.
func escape(name string) string {
	switch name {
	case ".":
		return "%2E"
	case "..":
		return "%2E%2E"
	}
	return url.PathEscape(name)
}

func hasDuplicateIDs(c *connect.Connector) bool {
	connect.SortTasks(c.Tasks)
	for i := 1; i < len(c.Tasks); i++ {
		if c.Tasks[i].ID == c.Tasks[i-1].ID {
			return true
		}
	}
	return false
}

// Queries of the expanded call (KIP-465): a parameter for each expansion, the
// comma form means nothing to Kafka Connect. Status and info are asked for
// apart, so that an info answer too large or too slow costs no state.
const (
	expandStatus = "expand=status"
	expandInfo   = "expand=info"
)

// errNoExpansion is an object that names connectors and says nothing of them,
// as a proxy that rewrites the query can bring about.
var errNoExpansion = fmt.Errorf("%w: the answer names connectors without their status", connect.Decode)

// version2 asks for the statuses of all connectors in one call, and for their
// info in a second one only when it is due or the statuses show that something
// changed. It returns the names where the worker answered a plain list.
func (l *look) version2(ctx context.Context) (list []string, err error) {
	l.snapshot.ObservationVersion = Version2
	query := expandStatus
	if l.options.Dialect.ExpandQuery != "" {
		query = l.options.Dialect.ExpandQuery
	}
	infoDue := l.began.Sub(l.infos.all) >= l.options.InfoMaxAge
	reuse := l.same.known && !infoDue && !l.infos.wanting && len(l.statusless) == 0
	var got []named
	var statuses int
	list, l.reused, err = l.expandStatuses(ctx, query, reuse, func(e *entry) {
		if e.hasStatus {
			statuses++
		}
		if !l.options.Keep(e.name) {
			return
		}
		if e.hasInfo && !e.badInfo {
			got = append(got, named{e.name, e.info})
		}
		switch {
		case e.bad || hasDuplicateIDs(&e.status):
			l.unobserved[e.name] = connect.Decode
		case !e.hasStatus:
			l.unobserved[e.name] = connect.NoStatus
		default:
			l.snapshot.Connectors = append(l.snapshot.Connectors, e.status)
		}
	}, func() {
		got, statuses = nil, 0
		l.snapshot.Connectors = make([]connect.Connector, 0, len(l.infos.byName))
		clear(l.unobserved)
	})
	switch {
	case err != nil:
		return list, fmt.Errorf("observe connectors of %s: %w", l.options.Name, err)
	case l.reused:
		return nil, nil
	case statuses == 0 && len(l.unobserved) > 0:
		return nil, fmt.Errorf("observe connectors of %s: %w", l.options.Name, errNoExpansion)
	}

	changed := false
	for i := range l.snapshot.Connectors {
		if l.infos.want(&l.snapshot.Connectors[i], l.began) {
			changed = true
		}
	}
	switch {
	case len(got) > 0: // the answer had it all
		l.putInfos(got)
		changed = true
	case changed || infoDue:
		l.version2Info(ctx)
		changed = true
	}
	if (changed || len(l.statusless) > 0) && l.options.Dialect.ExpandQuery == "" {
		l.findStatusless(ctx)
	}
	return nil, nil
}

// named is the info of one connector.
type named struct {
	name string
	info info
}

func (l *look) putInfos(got []named) {
	for i := range got {
		l.infos.put(got[i].name, got[i].info, l.began)
	}
	l.infos.all = l.began
}

// version2Info asks for the info of all connectors. It failing costs what is
// new of it: the last known stays, and the next snapshot asks again.
func (l *look) version2Info(ctx context.Context) {
	ctx, cancel := l.shareOf(ctx)
	defer cancel()
	var got []named
	_, err := l.expanded(ctx, expandInfo, func(e *entry) {
		if e.hasInfo && !e.badInfo {
			got = append(got, named{e.name, e.info})
		}
	}, func() { got = nil })
	if err == nil {
		l.putInfos(got)
	}
}

// expanded sends an expanded call; again is called before a further try.
func (l *look) expanded(ctx context.Context, query string, keep func(*entry), again func()) (list []string, err error) {
	err = l.client.do(ctx, call{endpoint: "expand", path: "/connectors", query: query, decode: func(r io.Reader) (err error) {
		again()
		list, err = l.decoder(r).decodeExpanded(keep)
		return err
	}}, l.report)
	return list, err
}

// wholeLimit is up to which size an answer is held whole for as long as it is
// looked at, in order to know it again; beyond, it is only decoded.
const wholeLimit = 16 << 20

// expandStatuses sends the expanded call for statuses. Where reuse allows it, an
// answer that is the same as that of the snapshot before is not decoded again,
// which most are not: then same is true and keep is not called.
func (l *look) expandStatuses(ctx context.Context, query string, reuse bool, keep func(*entry), again func()) (list []string, same bool, err error) {
	err = l.client.do(ctx, call{endpoint: "expand", path: "/connectors", query: query, decode: func(r io.Reader) (err error) {
		again()
		text, rest, err := readWhole(r, l.buffer)
		if l.buffer = text[:0]; cap(text) > 4*len(text) {
			l.buffer = nil // An answer as large as that was is not usual.
		}
		defer clear(text) // Traces quote passwords: nothing of them stays.
		if err != nil {
			return err
		}
		if l.whole = rest == nil; l.whole {
			l.hash = l.fingerprint(text)
			if same = reuse && l.hash == l.same.hash; same {
				return nil
			}
			rest = strings.NewReader("")
		}
		list, err = l.decoder(io.MultiReader(bytes.NewReader(text), rest)).decodeExpanded(keep)
		return err
	}}, l.report)
	return list, same, err
}

// A fingerprint tells answers apart: the length, and a hash of 64 bits with a
// seed that nobody outside knows. That two answers that differ have the same
// one is less likely than that the memory they lie in fails.
type fingerprint struct {
	length int
	hash   uint64
}

func (o *Observer) fingerprint(text []byte) fingerprint {
	return fingerprint{len(text), maphash.Bytes(o.seed, text)}
}

// readWhole reads an answer into buffer, which may grow; beyond wholeLimit, rest
// is where it goes on.
func readWhole(r io.Reader, buffer []byte) (text []byte, rest io.Reader, err error) {
	text = buffer[:0]
	for len(text) < wholeLimit {
		if len(text) == cap(text) {
			text = slices.Grow(text, max(len(text), 64<<10))
		}
		n, err := r.Read(text[len(text):min(cap(text), len(text)+maxWindow)])
		text = text[:len(text)+n]
		switch {
		case err == io.EOF:
			return text, nil, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return text, nil, errCut
		case err != nil:
			return text, nil, err
		}
	}
	return text, r, nil
}

// findStatusless compares the plain list with what was expanded: a connector
// whose status record does not exist is missing from the latter without a word
// (all versions since 2.3).
func (l *look) findStatusless(ctx context.Context) {
	ctx, cancel := l.shareOf(ctx)
	defer cancel()
	names, err := l.list(ctx)
	if err != nil {
		return
	}
	l.statusless = nil
	have := make(map[string]struct{}, len(l.snapshot.Connectors))
	for i := range l.snapshot.Connectors {
		have[l.snapshot.Connectors[i].Name] = struct{}{}
	}
	for _, name := range names {
		if _, ok := have[name]; ok || !l.options.Keep(name) {
			continue
		}
		if _, ok := l.unobserved[name]; ok {
			continue
		}
		if l.statusless == nil {
			l.statusless = map[string]struct{}{}
		}
		l.statusless[name] = struct{}{}
		l.unobserved[name] = connect.NoStatus
	}
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

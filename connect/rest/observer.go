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
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/internal/beside"
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
	// DefaultMaxBodyBytes has room for the configurations of 10,000 connectors
	// at 10 KB each.
	DefaultMaxBodyBytes = 128 << 20
	// DefaultMaxConnectors is five times what the largest known clusters have.
	DefaultMaxConnectors = 50_000
)

// tasksPerConnector bounds the tasks of a cluster, by its bound of connectors.
const tasksPerConnector = 10

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
	// What is asked beside snapshots ends with background.
	background context.Context
	end        context.CancelFunc
	reports    beside.Reports
	arrived    arrived
	// A text was too long for the decoder, see shortener.
	longStatus, longInfo atomic.Bool

	// What follows is only touched by Observe, which has one caller at a time.
	now      func() time.Time
	patience time.Duration // with what is asked beside
	strings  *interner
	infos    infos
	infoAsk  beside.Ask
	plugins  plugins
	// statusless are the connectors that were listed without a status when the
	// list was last had.
	statusless map[string]connect.Reason
	listAsk    beside.Ask
	sites      []*site
	foreign    []string
	fewSince   time.Time // since when less than half of the connectors are listed
	failing    bool
	fellBack   bool
	same       same
	excerpts   *excerpts
	revisions  connect.Revisions
	buffer     []byte // of the answer that is looked at, wiped after it
	usual      int    // size of the buffer
}

// same is what the last expanded answer came to: the same answer comes to the
// same.
type same struct {
	known      bool
	hash       fingerprint
	connectors []connect.Connector
	unobserved map[string]connect.Reason // without those that have no status
	list       []connect.Unobserved      // of all of them
}

var _ connect.Observer = (*Observer)(nil)

// New returns an Observer. It asks nothing yet.
func New(o Options) *Observer {
	o.Provider = cmp.Or(o.Provider, connect.SelfManaged)
	o.ObservationVersion = cmp.Or(o.ObservationVersion, VersionAuto)
	o.Parallelism = cmp.Or(o.Parallelism, DefaultParallelism)
	o.RequestTimeout = cmp.Or(o.RequestTimeout, DefaultRequestTimeout)
	o.MaxBodyBytes = cmp.Or(o.MaxBodyBytes, DefaultMaxBodyBytes)
	o.MaxConnectors = cmp.Or(o.MaxConnectors, DefaultMaxConnectors)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Keep == nil {
		o.Keep = func(string) bool { return true }
	}
	observer := &Observer{
		options: o,
		client:  &client{http: o.Client, urls: o.URLs, timeout: o.RequestTimeout, limit: o.MaxBodyBytes},
		decoding: decoderOptions{
			dialect: o.Dialect, seed: maphash.MakeSeed(), maxTasks: tasksPerConnector * o.MaxConnectors, keep: o.Keep,
			labels: slices.DeleteFunc(slices.Clone(o.Labels), SecretKey),
		},
		now: time.Now, patience: beside.Stall,
		strings: newInterner(),
		infos:   infos{byName: map[string]*known{}},
	}
	observer.background, observer.end = context.WithCancel(context.Background())
	for _, at := range o.URLs {
		observer.sites = append(observer.sites, &site{url: at})
	}
	return observer
}

// Close ends what is asked beside snapshots and releases idle connections.
func (o *Observer) Close() {
	o.end()
	o.client.http.CloseIdleConnections()
}

// draft is a snapshot in the making.
type draft struct {
	*Observer
	began      time.Time
	snapshot   *connect.Snapshot
	unobserved map[string]connect.Reason
	// hash of the answer to the expanded call for statuses, if it was had whole;
	// reused tells that it is that of the snapshot before.
	hash          fingerprint
	whole, reused bool
	next          *excerpts
	turned        bool
	progress      chan struct{} // of the ask for infos
}

// Observe takes one snapshot, see connect.Observer.
func (o *Observer) Observe(ctx context.Context, report func(connect.Request)) (*connect.Snapshot, error) {
	o.reports.Open(report)
	defer o.reports.Close()
	d := &draft{Observer: o, began: o.now(), unobserved: map[string]connect.Reason{}, progress: make(chan struct{}, 1)}
	d.snapshot = &connect.Snapshot{Provider: o.options.Provider, HasTasks: true}
	d.collect()
	d.askSites()
	if err := d.observeStarted(ctx); err != nil {
		if !o.failing {
			o.resetSites() // It may come back as another version of itself.
		}
		o.failing = true
		return nil, d.explain(ctx, err)
	}
	if o.failing {
		o.failing = false
		o.resetSites()
		d.askSites()
	}
	d.complete(ctx)
	d.finish()

	s := d.snapshot
	d.describeSites()
	s.Bytes = o.reports.Bytes()
	s.Taken = time.Now()
	return s, nil
}

// explain adds to the error of an expanded call what the worker says of the plain
// list: its words about that cannot be about a connector.
func (d *draft) explain(ctx context.Context, err error) error {
	status, ok := errors.AsType[*statusError](err)
	if !ok || !status.json || status.words != "" || d.snapshot.ObservationVersion != Version2 ||
		status.code == http.StatusUnauthorized || status.code == http.StatusForbidden {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, beside.Stall)
	defer cancel()
	_, listErr := d.list(ctx)
	if of, ok := errors.AsType[*statusError](listErr); ok && of.words != "" {
		return fmt.Errorf("%w (of the plain list the worker says: %s)", err, of.words)
	}
	return err
}

// collect takes in what was asked beside the snapshots before and has ended.
func (o *Observer) collect() {
	now := o.now()
	for _, s := range o.sites {
		for _, ask := range []*beside.Ask{&s.rootAsk, &s.healthAsk, &s.listAsk} {
			ask.Collect(now)
		}
	}
	for _, ask := range []*beside.Ask{&o.infoAsk, &o.listAsk, &o.plugins.ask} {
		ask.Collect(now)
	}
	o.takeInfos(now)
}

// takeInfos takes in the infos that have arrived.
func (o *Observer) takeInfos(now time.Time) {
	for _, got := range o.arrived.take() {
		o.infos.put(got.name, got.info, got.bad, now)
	}
}

// complete waits a little for what was asked beside the statuses.
func (d *draft) complete(ctx context.Context) {
	left := d.options.RequestTimeout
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline) / 2
	}
	d.infoAsk.Wait(ctx, d.patience, left, d.progress)
	d.collect()
	if d.plugins.want(d.Observer) {
		d.plugins.ask.Wait(ctx, d.patience, left, nil)
	}
	d.listAsk.Wait(ctx, d.patience, left, nil)
	if s := d.site(); s.rootDue {
		s.rootAsk.Wait(ctx, d.patience/2, left, nil)
	}
	d.collect()
}

// finish completes the connectors with their info, brings all into order and gives
// the snapshot its revision.
func (d *draft) finish() {
	s, before := d.snapshot, d.same.list
	if d.reused {
		s.Connectors, d.unobserved = d.same.connectors, d.same.unobserved
	} else {
		d.finishConnectors()
		d.excerpts = nil
		if s.ObservationVersion == Version2 {
			d.excerpts = d.next
		}
		d.same = same{known: s.ObservationVersion == Version2 && d.whole, hash: d.hash, unobserved: d.unobserved}
	}
	for name, reason := range d.unobserved {
		s.Unobserved = append(s.Unobserved, connect.Unobserved{Connector: name, Reason: reason})
	}
	for name, reason := range d.statusless {
		_, known := slices.BinarySearchFunc(s.Connectors, name, func(c connect.Connector, name string) int { return cmp.Compare(c.Name, name) })
		if known || d.unobserved[name] != "" {
			delete(d.statusless, name)
			continue
		}
		s.Unobserved = append(s.Unobserved, connect.Unobserved{Connector: name, Reason: reason})
	}
	connect.SortUnobserved(s.Unobserved)
	d.revisions.Next(s)
	d.sayUnobserved(before, s.Unobserved)
	d.same.connectors, d.same.list = s.Connectors, s.Unobserved
}

func (d *draft) finishConnectors() {
	s := d.snapshot
	d.infos.end(d.began)
	for i := range s.Connectors {
		c := &s.Connectors[i]
		if reason := d.infos.fill(c); reason != "" {
			d.unobserved[c.Name] = reason
		}
		c.Labels = d.shownLabels(c)
	}
	connect.SortConnectors(s.Connectors)
	for i := 1; i < len(s.Connectors); i++ {
		if name := s.Connectors[i].Name; name == s.Connectors[i-1].Name {
			d.unobserved[name] = connect.Decode // Which of the two it is is anybody's guess.
		}
	}
	if len(d.unobserved) > 0 {
		s.Connectors = slices.DeleteFunc(s.Connectors, func(c connect.Connector) bool { return d.unobserved[c.Name] != "" })
	}
	s.Connectors = slices.Clip(s.Connectors)
	carryVersions(d.same.connectors, s.Connectors)
	d.infos.changed = false
}

// sayUnobserved logs connectors that cannot be observed, when they begin to be.
func (o *Observer) sayUnobserved(before, now []connect.Unobserved) {
	fresh := map[connect.Reason][]string{}
	for _, u := range now {
		for len(before) > 0 && before[0].Connector < u.Connector {
			before = before[1:]
		}
		if len(before) == 0 || before[0] != u {
			fresh[u.Reason] = append(fresh[u.Reason], u.Connector)
		}
	}
	for _, reason := range connect.UnobservedReasons() {
		names := fresh[reason]
		if len(names) == 0 {
			continue
		}
		level := slog.LevelWarn
		if reason == connect.NoStatus || reason == connect.Rebalancing || reason == connect.Timeout {
			level = slog.LevelDebug // as happens, and passes
		}
		shown := make([]string, 0, maxNamed)
		for _, name := range names[:min(len(names), maxNamed)] {
			shown = append(shown, strconv.QuoteToGraphic(name))
		}
		o.options.Logger.Log(o.background, level, "connectors cannot be observed",
			"cluster", o.options.Name, "reason", reason, "count", len(names), "connectors", strings.Join(shown, " "))
	}
}

// maxNamed is how many connectors one line of the log names.
const maxNamed = 5

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
		owned := false // Earlier snapshots may share the tasks.
		for j, t := range c.Tasks {
			for len(tasks) > 0 && tasks[0].ID < t.ID {
				tasks = tasks[1:]
			}
			if len(tasks) > 0 && tasks[0].ID == t.ID && t.Version == "" && tasks[0].Version != "" && t.Worker == tasks[0].Worker {
				if !owned {
					c.Tasks, owned = slices.Clone(c.Tasks), true
				}
				c.Tasks[j].Version = tasks[0].Version
			}
		}
	}
}

func (d *draft) observe(ctx context.Context) error {
	if d.options.ObservationVersion == Version1 {
		names, err := d.list(ctx)
		if err != nil {
			return err
		}
		return d.version1(ctx, names)
	}
	list, err := d.version2(ctx)
	if err == nil || d.options.ObservationVersion == Version2 || ctx.Err() != nil {
		if err == nil {
			d.sayFallback(false, nil)
		}
		if of, ok := errors.AsType[*statusError](err); ok && of.plugin && ctx.Err() == nil {
			err = fmt.Errorf("%w; observation version 1 or auto shows the others", err)
		}
		return err
	}
	var status *statusError
	switch {
	case errors.Is(err, errList): // as expected of a Kafka before 2.3
	case errors.Is(err, errNoExpansion), errors.As(err, &status) && status.code == http.StatusInternalServerError:
		d.sayFallback(true, err)
		var listErr error
		if list, listErr = d.list(ctx); listErr != nil {
			return listErr
		}
	default:
		return err
	}
	d.reset()
	return d.version1(ctx, list)
}

// reset forgets what a failed try of version 2 left.
func (d *draft) reset() {
	d.snapshot.Connectors = nil
	clear(d.unobserved)
}

// sayFallback logs when auto begins, or ceases, to go on by version 1.
func (d *draft) sayFallback(fell bool, why error) {
	if fell == d.fellBack {
		return
	}
	d.fellBack = fell
	if fell {
		d.options.Logger.Warn("observation version 2 is not answered, going on by version 1", "cluster", d.options.Name, "err", why)
	} else {
		d.options.Logger.Info("observation version 2 is answered again", "cluster", d.options.Name)
	}
}

// list asks for the names of all connectors that are kept.
func (o *Observer) list(ctx context.Context) ([]listed, error) {
	var names []listed
	err := o.client.do(ctx, o.listCall(&names), o.reports.Report)
	if err != nil {
		return nil, fmt.Errorf("list connectors of %s: %w", o.options.Name, err)
	}
	return names, nil
}

// listCall asks for the names of all connectors into names.
func (o *Observer) listCall(names *[]listed) call {
	return call{endpoint: "list", path: "/connectors", words: true, decode: func(r io.Reader) (err error) {
		*names, err = newDecoder(r, newInterner(), o.decoding).decodeList(o.options.MaxConnectors)
		return err
	}}
}

// decoder is that of the statuses.
func (d *draft) decoder(r io.Reader) *decoder {
	if !d.turned {
		d.strings.turn()
		d.turned = true
	}
	return newDecoder(r, d.strings, d.decoding)
}

// Package workerprobe asks the workers that a snapshot names whether they live.
//
// A worker that was killed is named by the others for minutes after its death
// (session.timeout.ms and scheduled.rebalance.max.delay.ms together); asking it
// tells at once. What it answers is its version, which tells an upgrade that was
// left half done.
package workerprobe

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/internal/beside"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/rest"
)

const (
	// patience is how long a snapshot waits for a worker: it answers GET / from
	// memory, and a machine that is gone takes all of the time that it is given,
	// which is limit.
	patience = time.Second
	limit    = patience + patience/4
	// maxWorkers are asked at most, all at the same time, so that one that hangs
	// takes no other's time; a cluster has some dozens.
	maxWorkers = 256
	// maxBody is what is read of an answer, to keep its connection; the part of it
	// that tells the version is far smaller.
	maxBody = 64 << 10
	// otherTried is how many workers are asked by the other scheme where none
	// answers.
	otherTried = 3
)

// Options of an Observer. Those without a word of their default are required.
type Options struct {
	// Name of the cluster, for logs.
	Name string
	// Observer takes the snapshots. It is closed with the Observer made of it.
	Observer connect.Observer
	// Scheme of the workers' own addresses, which name none: http or https.
	Scheme string
	// Guessed tells that Scheme is only the likelier one: where no worker answers
	// by it and one does by the other, that is taken.
	Guessed bool
	// Anonymous asks without credentials; Authenticated asks the hosts that
	// SendCredentials accepts. A snapshot names workers as they name themselves:
	// without that choice, one could have credentials sent anywhere.
	Anonymous, Authenticated *http.Client
	SendCredentials          func(host string) bool
	// Logger is told where the other scheme would answer; nil is silent.
	Logger *slog.Logger
}

// An Observer adds [connect.Snapshot.Probes] to the snapshots of another, and
// what workers say of their health and show as certificates.
type Observer struct {
	options Options
	// What is asked beside snapshots ends with background.
	background context.Context
	end        context.CancelFunc
	reports    beside.Reports

	// What follows is only touched by Observe, which has one caller at a time.
	now      func() time.Time
	scheme   string
	workers  map[string]*worker
	otherAsk beside.Ask
	hinted   bool
}

// worker is what is known of a worker that the last snapshot named.
type worker struct {
	ask      beside.Ask
	asked    time.Time // when the last time
	known    bool      // whether it lives
	probe    connect.Probe
	answered bool // by HTTP, whatever it said
	notAfter time.Time

	healthAsk beside.Ask
	health    beside.Health
	healthAt  time.Time
}

var _ connect.Observer = (*Observer)(nil)

// New returns an Observer. It asks nobody yet.
func New(o Options) *Observer {
	o.Anonymous, o.Authenticated = straight(o.Anonymous), straight(o.Authenticated)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	observer := &Observer{options: o, now: time.Now, scheme: o.Scheme, workers: map[string]*worker{}}
	observer.background, observer.end = context.WithCancel(context.Background())
	return observer
}

// straight returns a client that follows no redirect: a worker is asked what is
// meant to be asked, and nothing that it wants to be.
func straight(client *http.Client) *http.Client {
	copied := *client
	copied.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &copied
}

// Close ends what is asked beside snapshots and releases idle connections.
func (o *Observer) Close() {
	o.end()
	o.options.Observer.Close()
	o.options.Anonymous.CloseIdleConnections()
	o.options.Authenticated.CloseIdleConnections()
}

// Observe takes a snapshot while the workers that the one before named are asked,
// and then asks those that are new. It waits for them for a second at most, and
// not for one that it waited for in vain before. That some do not answer is no
// error.
func (o *Observer) Observe(ctx context.Context, report func(connect.Request)) (*connect.Snapshot, error) {
	o.reports.Open(report)
	defer o.reports.Close()
	o.collect()
	began := o.now()
	for name := range o.workers {
		o.ask(name, began)
	}
	snapshot, err := o.options.Observer.Observe(ctx, report)
	if err != nil {
		return nil, err
	}
	names := named(snapshot)
	o.keep(names)
	for _, name := range names {
		o.ask(name, began)
	}
	left := patience
	if deadline, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(deadline)/2)
	}
	waiting, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	for _, name := range names { // together, within one time
		o.workers[name].ask.Wait(waiting, patience, left, nil)
	}
	o.collect()
	o.tryOther(names, began)

	probed := *snapshot // A snapshot does not change once it is returned.
	o.describe(&probed, names)
	probed.Taken = time.Now()
	return &probed, nil
}

// keep forgets the workers that are named no more.
func (o *Observer) keep(names []string) {
	next := make(map[string]*worker, len(names))
	for _, name := range names {
		if next[name] = o.workers[name]; next[name] == nil {
			next[name] = &worker{}
		}
	}
	o.workers = next
}

// collect takes in what has ended.
func (o *Observer) collect() {
	now := o.now()
	for _, w := range o.workers {
		w.ask.Collect(now)
		w.healthAsk.Collect(now)
	}
	o.otherAsk.Collect(now)
}

// ask begins to ask a worker for what is due.
func (o *Observer) ask(name string, now time.Time) {
	w, scheme := o.workers[name], o.scheme
	client := o.options.Anonymous
	// Credentials go by no scheme that shows them where the cluster's own does not.
	if o.options.SendCredentials(name) && (scheme == "https" || scheme == o.options.Scheme) {
		client = o.options.Authenticated
	}
	if w.ask.Due(now) {
		w.asked = o.now()
		w.ask.Start(o.background, func(ctx context.Context) (func(), time.Duration, error) {
			probe, notAfter, answered := o.probe(ctx, client, scheme, name)
			return func() {
				if scheme != o.scheme {
					return
				}
				w.known, w.probe, w.answered = true, probe, answered
				if !notAfter.IsZero() {
					w.notAfter = notAfter
				}
			}, 0, nil
		})
	}
	if w.healthAsk.Due(now) {
		w.healthAsk.Start(o.background, func(ctx context.Context) (func(), time.Duration, error) {
			health := o.healthOf(ctx, client, scheme, name)
			return func() { w.health, w.healthAt = health, o.now() }, health.Again(), nil
		})
	}
}

// describe completes a snapshot by what is known of the workers that it names.
func (o *Observer) describe(snapshot *connect.Snapshot, names []string) {
	now := o.now()
	snapshot.Probes = make([]connect.Probe, 0, len(names))
	var health []connect.Health
	var certificates []connect.Certificate
	for _, name := range names {
		w := o.workers[name]
		switch {
		case !w.ask.Due(w.asked) && now.Sub(w.asked) >= patience*9/10: // It is waited for yet.
			snapshot.Probes = append(snapshot.Probes, connect.Probe{Worker: name})
		case w.known:
			snapshot.Probes = append(snapshot.Probes, w.probe)
		}
		if now.Sub(w.healthAt) <= beside.HealthAge && (w.health == beside.Healthy || w.health == beside.Unhealthy) {
			health = append(health, connect.Health{Worker: name, Healthy: w.health == beside.Healthy})
		}
		if !w.notAfter.IsZero() {
			certificates = append(certificates, connect.Certificate{Host: name, NotAfter: w.notAfter})
		}
	}
	snapshot.Health = merge(health, snapshot.Health, func(h connect.Health) string { return h.Worker })
	snapshot.Certificates = merge(certificates, snapshot.Certificates, func(c connect.Certificate) string { return c.Host })
}

// merge returns both, sorted by name; where a name is in both, that of first.
func merge[T any](first, second []T, name func(T) string) []T {
	both := slices.Concat(first, second)
	slices.SortStableFunc(both, func(a, b T) int { return cmp.Compare(name(a), name(b)) })
	return slices.CompactFunc(both, func(a, b T) bool { return name(a) == name(b) })
}

// tryOther asks some workers by the other scheme where none answers.
func (o *Observer) tryOther(names []string, now time.Time) {
	for _, name := range names {
		if w := o.workers[name]; w.answered {
			return
		}
	}
	if len(names) == 0 || !o.otherAsk.Due(now) {
		return
	}
	other := map[string]string{"http": "https", "https": "http"}[o.scheme]
	names = names[:min(len(names), otherTried)]
	o.otherAsk.Start(o.background, func(ctx context.Context) (func(), time.Duration, error) {
		for _, name := range names {
			if _, _, answered := o.probe(ctx, o.options.Anonymous, other, name); answered {
				return func() { o.found(other) }, 0, nil
			}
		}
		return nil, 0, connect.Unreachable
	})
}

// found takes the scheme by which a worker answers, or says that it does.
func (o *Observer) found(scheme string) {
	switch {
	case o.options.Guessed:
		o.options.Logger.Info("workers answer by another scheme than the urls have, which is taken for the probes",
			"cluster", o.options.Name, "scheme", scheme)
		o.scheme, o.workers = scheme, map[string]*worker{}
	case !o.hinted:
		o.hinted = true
		o.options.Logger.Warn("no worker answers the probes by the configured scheme, but one does by another: set worker_probe.scheme",
			"cluster", o.options.Name, "configured", o.scheme, "answers", scheme)
	}
}

// named returns the workers of a snapshot that can be asked, sorted.
func named(snapshot *connect.Snapshot) []string {
	var workers []string
	for i := range snapshot.Connectors {
		workers = append(workers, snapshot.Connectors[i].Worker)
		for j := range snapshot.Connectors[i].Tasks {
			workers = append(workers, snapshot.Connectors[i].Tasks[j].Worker)
		}
	}
	slices.Sort(workers)
	workers = slices.DeleteFunc(slices.Compact(workers), func(worker string) bool {
		target, err := url.Parse("http://" + worker)
		if err != nil || target.Host != worker {
			return true // It holds more than an address.
		}
		host, port, err := net.SplitHostPort(worker)
		return err != nil || host == "" || port == ""
	})
	return workers[:min(len(workers), maxWorkers)]
}

// probe asks a worker by GET /. One that refuses it for want of credentials
// lives; one that answers 404 is starting, and one that answers 500 and more, or
// something before it, cannot work.
func (o *Observer) probe(ctx context.Context, client *http.Client, scheme, name string) (probe connect.Probe, notAfter time.Time, answered bool) {
	probe.Worker = name
	code, body, notAfter, err := o.get(ctx, limit, client, "worker", scheme, name, "/")
	if err != nil {
		return probe, notAfter, false
	}
	if code == http.StatusBadRequest {
		// What expects TLS says so to plain HTTP; no worker does to this path.
		return probe, notAfter, false
	}
	probe.Up = code >= http.StatusOK && code < http.StatusInternalServerError && code != http.StatusNotFound
	if code == http.StatusOK {
		// Anything else that answers, lives; it only has no version.
		root, _ := beside.RootOf(body)
		probe.Version, probe.Commit = root.Version, root.Commit
	}
	return probe, notAfter, true
}

// healthOf asks a worker by GET /health. One that does not come to an answer
// within the time that it gives itself cannot work.
func (o *Observer) healthOf(ctx context.Context, client *http.Client, scheme, name string) beside.Health {
	code, body, _, err := o.get(ctx, beside.HealthTimeout, client, "health", scheme, name, "/health")
	switch {
	case err == nil:
		return beside.HealthOf(code, body)
	case connect.ReasonOf(err) == connect.Timeout && ctx.Err() == nil:
		return beside.Unhealthy
	}
	return beside.NoHealth
}

// get sends one request. Only these paths of host:port are ever asked for.
func (o *Observer) get(ctx context.Context, limit time.Duration, client *http.Client, endpoint, scheme, host, path string) (code int, body []byte, notAfter time.Time, err error) {
	record := connect.Request{Endpoint: endpoint, Host: host, Start: time.Now()}
	defer func() {
		record.Duration, record.Code, record.Bytes, record.Err = time.Since(record.Start), code, int64(len(body)), err
		o.reports.Report(record)
	}()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	target := url.URL{Scheme: scheme, Host: host, Path: path}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return 0, nil, notAfter, fmt.Errorf("%w: make request", connect.Unreachable)
	}
	request.Header.Set("Accept", "application/json")
	response, err := client.Do(request)
	notAfter = rest.NotAfter(response, err)
	if err != nil {
		if ctx.Err() != nil {
			return 0, nil, notAfter, fmt.Errorf("%w: no answer in time", connect.Timeout)
		}
		return 0, nil, notAfter, fmt.Errorf("%w: no answer", connect.Unreachable)
	}
	defer func() { _ = response.Body.Close() }()
	body, _ = io.ReadAll(io.LimitReader(response.Body, maxBody))
	return response.StatusCode, body, notAfter, nil
}

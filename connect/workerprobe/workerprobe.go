// Package workerprobe asks the workers that a snapshot names whether they live.
//
// A worker that was killed is named by the others for minutes after its death
// (session.timeout.ms and scheduled.rebalance.max.delay.ms together); asking it
// tells at once. What it answers is its version, which tells an upgrade that was
// left half done.
package workerprobe

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

const (
	// patience is how long a worker may take: it answers GET / from memory, and a
	// machine that is gone takes all of the time that it is given.
	patience = time.Second
	// maxWorkers are asked at most, all at the same time, so that one that hangs
	// takes no other's time; a cluster has some dozens.
	maxWorkers = 256
	// maxBody is what is read of an answer, to keep its connection; the part of it
	// that tells the version is far smaller.
	maxBody = 64 << 10
	// maxText is the longest version or commit that is believed: a commit has 40
	// bytes.
	maxText = 128
	// endpoint is the value of the label of these requests.
	endpoint = "worker"
)

// Options of an Observer. All fields are required.
type Options struct {
	// Observer takes the snapshots. It is closed with the Observer made of it.
	Observer connect.Observer
	// Scheme of the workers' own addresses, which name none: http or https.
	Scheme string
	// Anonymous asks without credentials; Authenticated asks the hosts that
	// SendCredentials accepts. A snapshot names workers as they name themselves:
	// without that choice, one could have credentials sent anywhere.
	Anonymous, Authenticated *http.Client
	SendCredentials          func(host string) bool
}

// An Observer adds [connect.Snapshot.Probes] to the snapshots of another.
type Observer struct{ options Options }

var _ connect.Observer = (*Observer)(nil)

// New returns an Observer. It asks nobody yet.
func New(o Options) *Observer {
	o.Anonymous, o.Authenticated = straight(o.Anonymous), straight(o.Authenticated)
	return &Observer{o}
}

// straight returns a client that follows no redirect: a worker is asked what is
// meant to be asked, and nothing that it wants to be.
func straight(client *http.Client) *http.Client {
	copied := *client
	copied.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &copied
}

// Close releases idle connections.
func (o *Observer) Close() {
	o.options.Observer.Close()
	o.options.Anonymous.CloseIdleConnections()
	o.options.Authenticated.CloseIdleConnections()
}

// Observe takes a snapshot, then asks each worker that it names, within a second
// and half of what is left until the deadline. That some do not answer is no
// error.
func (o *Observer) Observe(ctx context.Context, report func(connect.Request)) (*connect.Snapshot, error) {
	snapshot, err := o.options.Observer.Observe(ctx, report)
	if err != nil {
		return nil, err
	}
	limit := patience
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/2)
	}
	asking, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	workers := named(snapshot)
	probed := *snapshot // A snapshot does not change once it is returned.
	probed.Probes = make([]connect.Probe, len(workers))
	var group sync.WaitGroup
	for i, worker := range workers {
		group.Go(func() { probed.Probes[i] = o.probe(asking, worker, report) })
	}
	group.Wait()
	probed.Taken = time.Now()
	return &probed, nil
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
func (o *Observer) probe(ctx context.Context, worker string, report func(connect.Request)) connect.Probe {
	client := o.options.Anonymous
	if o.options.SendCredentials(worker) {
		client = o.options.Authenticated
	}
	request := connect.Request{Endpoint: endpoint, Host: worker, Start: time.Now()}
	probe := connect.Probe{Worker: worker}
	request.Code, request.Bytes, request.Err = ask(ctx, client, o.options.Scheme+"://"+worker+"/", &probe)
	request.Duration = time.Since(request.Start)
	if report != nil {
		report(request)
	}
	probe.Up = request.Code >= http.StatusOK && request.Code < http.StatusInternalServerError && request.Code != http.StatusNotFound
	return probe
}

// ask sets the version and commit of the probe if they are told.
func ask(ctx context.Context, client *http.Client, target string, probe *connect.Probe) (code int, size int64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return 0, 0, fmt.Errorf("%w: make request", connect.Unreachable)
	}
	response, err := client.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return 0, 0, fmt.Errorf("%w: no answer in time", connect.Timeout)
		}
		return 0, 0, fmt.Errorf("%w: no answer", connect.Unreachable)
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if response.StatusCode == http.StatusOK {
		// Anything else that answers, lives; it only has no version.
		var root struct {
			Version string `json:"version"`
			Commit  string `json:"commit"`
		}
		if json.Unmarshal(body, &root) == nil && len(root.Version) <= maxText && len(root.Commit) <= maxText {
			probe.Version, probe.Commit = root.Version, root.Commit
		}
	}
	return response.StatusCode, int64(len(body)), nil
}

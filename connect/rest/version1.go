package rest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// version1 asks for the status of each connector, and then for the info of
// those whose info may have changed: status never waits, info waits for the
// worker's herder and must not cost a state.
func (d *draft) version1(ctx context.Context, list []listed) error {
	d.snapshot.ObservationVersion, d.statusless = Version1, nil
	var names []string
	for _, it := range list {
		if it.bad != "" {
			d.unobserved[it.name] = it.bad
		} else {
			names = append(names, it.name)
		}
	}
	statuses := make([]entry, len(names))
	errs := make([]error, len(names))
	var tasks atomic.Int64
	d.inFlight(len(names), func(i int, strings *interner) {
		statuses[i], errs[i] = d.one(ctx, "status", names[i], "/status", (*decoder).status, strings)
		if int(tasks.Add(int64(len(statuses[i].status.Tasks)))) > d.decoding.maxTasks {
			statuses[i], errs[i] = entry{}, connect.TooLarge
		}
	})

	d.snapshot.Connectors = make([]connect.Connector, 0, len(names))
	for i, err := range errs {
		if err == nil && hasDuplicateIDs(&statuses[i].status) {
			err = connect.Decode
		}
		if err == nil {
			d.snapshot.Connectors = append(d.snapshot.Connectors, statuses[i].status)
			continue
		}
		reason := connect.ReasonOf(err)
		if status, ok := errors.AsType[*statusError](err); ok {
			switch {
			case status.code == http.StatusNotFound && status.json:
				reason = connect.NoStatus
			case status.code == http.StatusBadRequest:
				reason = connect.Unaddressable
			}
		}
		d.unobserved[names[i]] = reason
	}
	if err := nothingObserved(errs); err != nil {
		return fmt.Errorf("get status of %d connectors of %s: %w", len(names), d.options.Name, err)
	}
	d.version1Info()
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

// version1Info asks for the info of the connectors that want it, those first that
// were asked for longest ago, beside the snapshot. One call that hangs ends it: all
// would wait for the worker's herder.
func (d *draft) version1Info() {
	var wanted []string
	for i := range d.snapshot.Connectors {
		c := &d.snapshot.Connectors[i]
		wants, k := d.infos.want(c, d.began), d.infos.byName[c.Name]
		if wants || !k.stale && d.began.Sub(k.had) >= d.options.InfoMaxAge && !d.began.Before(k.retry) {
			wanted = append(wanted, c.Name)
		}
	}
	if len(wanted) == 0 || !d.infoAsk.Due(d.began) {
		return
	}
	slices.SortStableFunc(wanted, func(one, other string) int {
		return d.infos.byName[one].asked.Compare(d.infos.byName[other].asked)
	})
	for _, name := range wanted {
		d.infos.byName[name].asked = d.began
	}
	progress := d.progress
	d.infoAsk.Start(d.background, func(ctx context.Context) (func(), time.Duration, error) {
		var hung atomic.Bool
		d.inFlight(len(wanted), func(i int, strings *interner) {
			if ctx.Err() != nil || hung.Load() {
				return
			}
			e, err := d.one(ctx, "info", wanted[i], "", (*decoder).info, strings)
			if errors.Is(err, connect.Timeout) {
				hung.Store(true)
			}
			bad := e.badInfo
			if err != nil || !e.hasInfo {
				bad = cmp.Or(bad, connect.ReasonOf(err), connect.NoStatus)
			}
			d.arrived.add(named{wanted[i], e.info, bad})
			tick(progress)
		})
		if hung.Load() {
			return nil, 0, connect.Timeout
		}
		return nil, 0, nil
	})
}

// tick tells a snapshot that waits that there is progress.
func tick(progress chan<- struct{}) {
	select {
	case progress <- struct{}{}:
	default:
	}
}

// inFlight runs n calls, as many at a time as the parallelism allows.
func (o *Observer) inFlight(n int, run func(i int, strings *interner)) {
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(n, o.options.Parallelism) {
		wait.Go(func() {
			strings := newInterner() // Those of one goroutine share it.
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				run(i, strings)
			}
		})
	}
	wait.Wait()
}

// one asks for the status or the info of one connector.
func (o *Observer) one(ctx context.Context, endpoint, name, suffix string, read func(*decoder, *entry) error, strings *interner) (entry, error) {
	var e entry
	err := o.client.do(ctx, call{
		endpoint: endpoint, connector: name, path: "/connectors/" + escape(name) + suffix,
		decode: func(r io.Reader) error {
			e = entry{name: name}
			d := newDecoder(r, strings, o.decoding)
			return d.decodeOne(&e, func(e *entry) error { return read(d, e) })
		},
	}, o.reports.Report)
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

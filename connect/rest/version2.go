package rest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

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
func (d *draft) version2(ctx context.Context) (list []listed, err error) {
	d.snapshot.ObservationVersion = Version2
	query := expandStatus
	if d.options.Dialect.ExpandQuery != "" {
		query = d.options.Dialect.ExpandQuery
	}
	expandsBoth := d.options.Dialect.ExpandQuery != ""
	infoDue := d.began.Sub(d.infos.all) >= d.options.InfoMaxAge
	ask := !expandsBoth && d.infoAsk.Due(d.began)
	reuse := d.same.known && !d.infos.changed && (!ask || !infoDue && !d.infos.due(d.began))
	var got []named
	var statuses int
	list, d.reused, err = d.expandStatuses(ctx, query, reuse, func(e *entry) error {
		if e.hasStatus {
			statuses++
		}
		if !d.options.Keep(e.name) {
			return nil
		}
		if e.hasInfo {
			got = append(got, named{e.name, e.info, e.badInfo})
		}
		switch {
		case e.bad != "":
			d.unobserved[e.name] = e.bad
		case !e.known && hasDuplicateIDs(&e.status):
			d.unobserved[e.name] = connect.Decode
		case !e.hasStatus:
			d.unobserved[e.name] = connect.NoStatus
		default:
			if d.snapshot.Connectors == nil { // only now: the same answer needs none
				d.snapshot.Connectors = make([]connect.Connector, 0, len(d.same.connectors)+1)
			}
			d.snapshot.Connectors = append(d.snapshot.Connectors, e.status)
		}
		return d.enough()
	}, func() {
		got, statuses, d.snapshot.Connectors = nil, 0, nil
		clear(d.unobserved)
	})
	switch {
	case err != nil:
		return list, fmt.Errorf("observe connectors of %s: %w", d.options.Name, err)
	case d.reused:
	case statuses == 0 && len(d.unobserved) > 0:
		return nil, fmt.Errorf("observe connectors of %s: %w", d.options.Name, errNoExpansion)
	}

	changed := false
	for i := range d.snapshot.Connectors {
		if d.infos.want(&d.snapshot.Connectors[i], d.began) {
			changed = true
		}
	}
	if len(got) > 0 { // the answer had it all
		d.putInfos(got, d.began)
	}
	if expandsBoth {
		return nil, nil
	}
	if ask && (changed || infoDue) {
		d.version2Info()
	}
	if (changed || infoDue || len(d.statusless) > 0) && d.listAsk.Due(d.began) {
		d.findStatusless()
	}
	return nil, nil
}

// enough returns an error when there are more connectors than may be.
func (d *draft) enough() error {
	if len(d.snapshot.Connectors)+len(d.unobserved) > d.options.MaxConnectors {
		return errTooMany(d.options.MaxConnectors)
	}
	return nil
}

// named is the info of one connector, or why it cannot be used.
type named struct {
	name string
	info info
	bad  connect.Reason
}

func (o *Observer) putInfos(got []named, now time.Time) {
	for i := range got {
		o.infos.put(got[i].name, got[i].info, got[i].bad, now)
	}
	o.infos.missed(now)
	o.infos.all = now
}

// version2Info asks for the info of all connectors, beside the snapshot. It failing
// costs what is new of it: the last known stays, and it is asked for again.
func (d *draft) version2Info() {
	progress := d.progress
	d.infoAsk.Start(d.background, func(ctx context.Context) (func(), time.Duration, error) {
		var got []named
		err := d.client.do(ctx, call{endpoint: "expand", path: "/connectors", query: expandInfo, decode: func(r io.Reader) error {
			got = nil
			r, done := withoutLong(r, &d.longInfo)
			_, err := newDecoder(r, newInterner(), d.decoding).decodeExpanded(d.options.MaxConnectors, func(e *entry) error {
				tick(progress)
				if e.hasInfo && d.options.Keep(e.name) {
					got = append(got, named{e.name, e.info, e.badInfo})
				}
				if len(got) > d.options.MaxConnectors {
					return errTooMany(d.options.MaxConnectors)
				}
				return nil
			})
			done(err)
			return err
		}}, d.reports.Report)
		if err != nil {
			return nil, 0, err
		}
		return func() { d.putInfos(got, d.now()) }, 0, nil
	})
}

// wholeLimit is up to which size an answer is held whole for as long as it is
// looked at, in order to know it again; beyond, it is only decoded.
const wholeLimit = 16 << 20

// expandStatuses sends the expanded call for statuses. Most answers are the same
// as the one before: where reuse allows it, such an answer is not decoded again,
// same is true and keep is not called. Of others, what is not the same is decoded.
func (d *draft) expandStatuses(ctx context.Context, query string, reuse bool, keep func(*entry) error, again func()) (list []listed, same bool, err error) {
	err = d.client.do(ctx, call{endpoint: "expand", path: "/connectors", query: query, decode: func(r io.Reader) (err error) {
		again()
		d.next = nil
		if d.buffer == nil {
			d.buffer = make([]byte, 0, d.usual)
		}
		text, rest, err := readWhole(r, d.buffer)
		d.usual = len(text) + len(text)/16 + 1 // One byte more finds the end.
		if d.buffer = text[:0]; cap(text) > d.usual+d.usual/8 {
			d.buffer = nil
		}
		defer clear(text) // Traces quote passwords: nothing of them stays.
		if err != nil {
			return err
		}
		if d.whole = rest == nil; d.whole {
			d.hash = d.fingerprint(text)
			if same = reuse && d.hash == d.same.hash; same {
				return nil
			}
			rest = strings.NewReader("")
		}
		before := d.excerpts
		d.excerpts = nil // until the snapshot of this answer is there
		if d.whole && !d.longStatus.Load() {
			d.next, list, err = d.decodeText(text, before, keep, again)
			if !errors.Is(err, errWindow) {
				return err
			}
			d.longStatus.Store(true)
			again()
		}
		list, err = d.decodeStatuses(io.MultiReader(bytes.NewReader(text), rest), keep)
		return err
	}}, d.reports.Report)
	return list, same, err
}

// decodeStatuses decodes an answer, without what is too long of its texts once one
// was.
func (d *draft) decodeStatuses(r io.Reader, keep func(*entry) error) ([]listed, error) {
	r, done := withoutLong(r, &d.longStatus)
	list, err := d.decoder(r).decodeExpanded(d.options.MaxConnectors, keep)
	done(err)
	return list, err
}

// withoutLong puts a shortener in where a text was too long before, until none is.
func withoutLong(r io.Reader, long *atomic.Bool) (from io.Reader, done func(error)) {
	if !long.Load() {
		return r, func(err error) {
			if errors.Is(err, errWindow) {
				long.Store(true)
			}
		}
	}
	short := &shortener{from: r}
	return short, func(err error) {
		if err == nil && !short.cut {
			long.Store(false)
		}
	}
}

// readWhole reads an answer into buffer, which may grow; beyond wholeLimit, rest
// is where it goes on.
func readWhole(r io.Reader, buffer []byte) (text []byte, rest io.Reader, err error) {
	text = buffer[:0]
	for len(text) < wholeLimit {
		if len(text) == cap(text) {
			text = slices.Grow(text, max(len(text), 64<<10))
		}
		n, err := r.Read(text[len(text):cap(text)])
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
// (all versions since 2.3). While the list fails, those that are known stay.
func (d *draft) findStatusless() {
	connectors, odd := d.snapshot.Connectors, d.unobserved
	if d.reused {
		connectors, odd = d.same.connectors, d.same.unobserved
	}
	have := make(map[string]struct{}, len(connectors)+len(odd))
	for i := range connectors {
		have[connectors[i].Name] = struct{}{}
	}
	for name := range odd {
		have[name] = struct{}{}
	}
	d.listAsk.Start(d.background, func(ctx context.Context) (func(), time.Duration, error) {
		names, err := d.list(ctx)
		if err != nil {
			return nil, 0, err
		}
		missing := map[string]connect.Reason{}
		for _, it := range names {
			if _, ok := have[it.name]; !ok {
				missing[it.name] = cmp.Or(it.bad, connect.NoStatus)
			}
		}
		return func() { d.statusless = missing }, 0, nil
	})
}

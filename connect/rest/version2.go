package rest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strings"
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
func (l *look) version2(ctx context.Context) (list []listed, err error) {
	l.snapshot.ObservationVersion = Version2
	query := expandStatus
	if l.options.Dialect.ExpandQuery != "" {
		query = l.options.Dialect.ExpandQuery
	}
	expandsBoth := l.options.Dialect.ExpandQuery != ""
	infoDue := l.began.Sub(l.infos.all) >= l.options.InfoMaxAge
	ask := !expandsBoth && l.infoAsk.Due(l.began)
	reuse := l.same.known && !l.infos.changed && !(ask && (infoDue || l.infos.due(l.began)))
	var got []named
	var statuses int
	list, l.reused, err = l.expandStatuses(ctx, query, reuse, func(e *entry) error {
		if e.hasStatus {
			statuses++
		}
		if !l.options.Keep(e.name) {
			return nil
		}
		if e.hasInfo {
			got = append(got, named{e.name, e.info, e.badInfo})
		}
		switch {
		case e.bad != "":
			l.unobserved[e.name] = e.bad
		case hasDuplicateIDs(&e.status):
			l.unobserved[e.name] = connect.Decode
		case !e.hasStatus:
			l.unobserved[e.name] = connect.NoStatus
		default:
			if l.snapshot.Connectors == nil { // only now: the same answer needs none
				l.snapshot.Connectors = make([]connect.Connector, 0, len(l.infos.byName)+1)
			}
			l.snapshot.Connectors = append(l.snapshot.Connectors, e.status)
		}
		return l.enough()
	}, func() {
		got, statuses, l.snapshot.Connectors = nil, 0, nil
		clear(l.unobserved)
	})
	switch {
	case err != nil:
		return list, fmt.Errorf("observe connectors of %s: %w", l.options.Name, err)
	case l.reused:
	case statuses == 0 && len(l.unobserved) > 0:
		return nil, fmt.Errorf("observe connectors of %s: %w", l.options.Name, errNoExpansion)
	}

	changed := false
	for i := range l.snapshot.Connectors {
		if l.infos.want(&l.snapshot.Connectors[i], l.began) {
			changed = true
		}
	}
	if len(got) > 0 { // the answer had it all
		l.putInfos(got, l.began)
	}
	if expandsBoth {
		return nil, nil
	}
	if ask && (changed || infoDue) {
		l.version2Info()
	}
	if (changed || infoDue || len(l.statusless) > 0) && l.listAsk.Due(l.began) {
		l.findStatusless()
	}
	return nil, nil
}

// enough returns an error when there are more connectors than may be.
func (l *look) enough() error {
	if len(l.snapshot.Connectors)+len(l.unobserved) > l.options.MaxConnectors {
		return errTooMany(l.options.MaxConnectors)
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
func (l *look) version2Info() {
	progress := l.progress
	l.infoAsk.Start(l.background, func(ctx context.Context) (func(), time.Duration, error) {
		var got []named
		err := l.client.do(ctx, call{endpoint: "expand", path: "/connectors", query: expandInfo, decode: func(r io.Reader) error {
			got = nil
			_, err := newDecoder(r, newInterner(), l.decoding).decodeExpanded(maxListed, func(e *entry) error {
				tick(progress)
				if e.hasInfo && l.options.Keep(e.name) {
					got = append(got, named{e.name, e.info, e.badInfo})
				}
				if len(got) > l.options.MaxConnectors {
					return errTooMany(l.options.MaxConnectors)
				}
				return nil
			})
			return err
		}}, l.reports.Report)
		if err != nil {
			return nil, 0, err
		}
		return func() { l.putInfos(got, l.Observer.now()) }, 0, nil
	})
}

// wholeLimit is up to which size an answer is held whole for as long as it is
// looked at, in order to know it again; beyond, it is only decoded.
const wholeLimit = 16 << 20

// expandStatuses sends the expanded call for statuses. Most answers are the same
// as the one before: where reuse allows it, such an answer is not decoded again,
// same is true and keep is not called.
func (l *look) expandStatuses(ctx context.Context, query string, reuse bool, keep func(*entry) error, again func()) (list []listed, same bool, err error) {
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
		list, err = l.decoder(io.MultiReader(bytes.NewReader(text), rest)).decodeExpanded(maxListed, keep)
		return err
	}}, l.reports.Report)
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
	return fingerprint{len(text), maphash.Bytes(o.decoding.seed, text)}
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
func (l *look) findStatusless() {
	connectors, odd := l.snapshot.Connectors, l.unobserved
	if l.reused {
		connectors, odd = l.same.connectors, l.same.unobserved
	}
	have := make(map[string]struct{}, len(connectors)+len(odd))
	for i := range connectors {
		have[connectors[i].Name] = struct{}{}
	}
	for name := range odd {
		have[name] = struct{}{}
	}
	l.listAsk.Start(l.background, func(ctx context.Context) (func(), time.Duration, error) {
		names, err := l.list(ctx)
		if err != nil {
			return nil, 0, err
		}
		missing := map[string]connect.Reason{}
		for _, it := range names {
			if _, ok := have[it.name]; !ok && l.options.Keep(it.name) {
				missing[it.name] = cmp.Or(it.bad, connect.NoStatus)
			}
		}
		return func() { l.statusless = missing }, 0, nil
	})
}

package rest

import (
	"bytes"
	"cmp"
	"errors"
	"hash/maphash"
	"io"
	"slices"
	"strings"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// An excerpt is what stands of one connector in an answer of statuses: the same
// bytes come to the same again, which the last snapshot has. Of the bytes themselves
// only a hash is kept, because they quote traces.
type excerpt struct {
	fingerprint
	name string
	// kind is the type that the status tells; the snapshot may know better.
	kind      string
	bad       connect.Reason
	hasStatus bool
}

// excerpts are those of the answer that the last snapshot is of.
type excerpts struct {
	inOrder []excerpt
	// byName is the order of their names, which the worker's is not: made once.
	byName []int
}

func (d *draft) excerptOf(text []byte, e *entry) excerpt {
	return excerpt{d.fingerprint(text), e.name, e.status.Type, e.bad, e.hasStatus}
}

// decodeText decodes an answer of statuses that is all in text. Where before
// knows most of it, only the rest of it is decoded. It returns what is to be known
// of it the next time, nil if it tells more than statuses; again is called before
// keep is called from the beginning once more.
func (d *draft) decodeText(text []byte, before *excerpts, keep func(*entry) error, again func()) (after *excerpts, list []listed, err error) {
	if before != nil {
		switch known, err := d.decodeChanged(text, before, keep); {
		case err != nil:
			return nil, nil, err
		case known:
			return before, nil, nil
		}
		again()
	}
	after = &excerpts{inOrder: make([]excerpt, 0, len(d.infos.byName))}
	more := false
	decoder := d.decoder(bytes.NewReader(text))
	list, err = decoder.decodeExpanded(d.options.MaxConnectors, func(e *entry) error {
		if more = more || e.hasInfo; !more {
			after.inOrder = append(after.inOrder, d.excerptOf(text[e.from:decoder.json.InputOffset()], e))
		}
		return keep(e)
	})
	if err != nil || more {
		after = nil
	}
	return after, list, err
}

// decodeChanged decodes an answer that has the connectors of the one before, in
// its order, and updates what is known of them; they are handed on in the order of
// their names. It returns false if the answer is
// not like that, or if so much has changed that decoding all of it costs less.
func (d *draft) decodeChanged(text []byte, before *excerpts, keep func(*entry) error) (bool, error) {
	rest, opens := bytes.CutPrefix(text, []byte("{"))
	if !opens {
		return false, nil
	}
	patience, fresh := 16+len(before.inOrder)/8, map[int]connect.Connector{}
	for i := range before.inOrder {
		known := &before.inOrder[i]
		if i > 0 {
			if len(rest) == 0 || rest[0] != ',' {
				return false, nil
			}
			rest = rest[1:]
		}
		length := known.length
		if len(rest) < length || d.fingerprint(rest[:length]) != known.fingerprint {
			e, n, ok := d.decodeMember(rest)
			if !ok || e.name != known.name || patience == 0 {
				return false, nil
			}
			patience--
			length = n
			*known = d.excerptOf(rest[:length], &e)
			fresh[i] = e.status
		}
		rest = rest[length:]
	}
	if string(bytes.TrimSpace(rest)) != "}" {
		return false, nil
	}
	tasks, snapshot := 0, d.same.connectors
	var e entry
	for _, i := range before.order() {
		known := &before.inOrder[i]
		e = entry{name: known.name, bad: known.bad, hasStatus: known.hasStatus}
		if status, ok := fresh[i]; ok {
			e.status = status
		} else if known.hasStatus && known.bad == "" {
			for len(snapshot) > 0 && snapshot[0].Name < known.name {
				snapshot = snapshot[1:]
			}
			switch {
			case len(snapshot) > 0 && snapshot[0].Name == known.name:
				e.known, e.status = true, snapshot[0]
				e.status.Type = known.kind
			case d.options.Keep(known.name):
				return false, nil // Not shown for another reason than what stands here.
			}
		}
		if tasks += len(e.status.Tasks); d.decoding.maxTasks > 0 && tasks > d.decoding.maxTasks {
			return false, nil
		}
		if err := keep(&e); err != nil {
			return false, err
		}
	}
	return true, nil
}

// order returns byName.
func (x *excerpts) order() []int {
	if x.byName == nil {
		x.byName = make([]int, len(x.inOrder))
		for i := range x.byName {
			x.byName[i] = i
		}
		slices.SortStableFunc(x.byName, func(a, b int) int { return cmp.Compare(x.inOrder[a].name, x.inOrder[b].name) })
	}
	return x.byName
}

var errEnough = errors.New("one member is enough")

// decodeMember decodes the first member of what follows the brace of an object,
// and returns how long it is; false if it cannot be decoded, or tells more than a
// status.
func (d *draft) decodeMember(text []byte) (e entry, length int, ok bool) {
	decoder := d.decoder(io.MultiReader(strings.NewReader("{"), bytes.NewReader(text)))
	if _, err := decoder.json.ReadToken(); err != nil {
		return e, 0, false
	}
	err := decoder.members(func(quoted []byte) error {
		e.name, e.bad = decoder.name(quoted)
		if err := decoder.entry(&e); err != nil {
			return err
		}
		return errEnough
	})
	return e, int(decoder.json.InputOffset()) - len("{"), errors.Is(err, errEnough) && !e.hasInfo
}

// A fingerprint tells texts apart: the length, and a hash of 64 bits with a seed
// that nobody outside knows. That two texts that differ have the same one is less
// likely than that the memory they lie in fails.
type fingerprint struct {
	length int
	hash   uint64
}

func (o *Observer) fingerprint(text []byte) fingerprint {
	return fingerprint{len(text), maphash.Bytes(o.decoding.seed, text)}
}

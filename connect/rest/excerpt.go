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

// An excerpt is what stands of one connector in an answer of statuses, and what
// that came to: the same bytes come to the same again. Of the bytes themselves
// only a hash is kept, because they quote traces.
type excerpt struct {
	fingerprint
	name      string
	bad       connect.Reason
	hasStatus bool
	status    connect.Connector
}

// excerpts are those of the last answer; nil if it told more than statuses.
type excerpts struct {
	inOrder []excerpt
	// byName is the order of their names, which the worker's is not: made once.
	byName []int
}

func (d *draft) excerptOf(text []byte, e *entry) excerpt {
	return excerpt{d.fingerprint(text), e.name, e.bad, e.hasStatus, e.status}
}

// decodeText decodes an answer of statuses that is all in text. Where before
// knows most of it, only the rest of it is decoded. It returns what is to be known
// of it the next time; again is called before keep is called from the beginning
// once more.
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
	after = &excerpts{}
	more := false
	decoder := d.decoder(bytes.NewReader(text))
	list, err = decoder.decodeExpanded(maxListed, func(e *entry) error {
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
	patience, tasks := 16+len(before.inOrder)/8, 0
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
		}
		rest = rest[length:]
		if tasks += len(known.status.Tasks); d.decoding.maxTasks > 0 && tasks > d.decoding.maxTasks {
			return false, nil
		}
	}
	if string(bytes.TrimSpace(rest)) != "}" {
		return false, nil
	}
	var e entry
	for _, i := range before.order() {
		known := &before.inOrder[i]
		e = entry{name: known.name, bad: known.bad, hasStatus: known.hasStatus, status: known.status}
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

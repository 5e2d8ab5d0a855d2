package rest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/trace"
)

// errList is what an expanded call gives on workers before Kafka 2.3, which
// ignore expand and answer the plain list.
var errList = fmt.Errorf("%w: the worker answers a plain list: it is older than Kafka 2.3; use observation version 1 or auto", connect.Decode)

// errCut is an answer that ends too early.
var errCut = fmt.Errorf("%w: cut short", connect.Decode)

// decoder walks one answer as a stream. It holds no more of it than one name or
// value, and keeps what a snapshot needs: configuration values are hashed or
// skipped, traces are reduced to class names. What is odd inside of one connector
// (a text that is no UTF-8 or far too long, a field twice, another type of value)
// costs that connector; what is no JSON costs the answer.
type decoder struct {
	json    *jsontext.Decoder
	strings *interner
	options decoderOptions
	scratch []byte
	// slab is where the next tasks go: one allocation for those of many
	// connectors. The next slab is twice as large, up to largest: the snapshots of
	// many small clusters live side by side.
	slab              []connect.Task
	slabSize, largest int
	tasks             int // of all connectors so far
}

// decoderOptions are what is the same for all answers of a cluster.
type decoderOptions struct {
	dialect Dialect
	// labels are the keys of configurations whose values are kept.
	labels []string
	// seed of the hashes of configurations.
	seed maphash.Seed
	// maxTasks of one answer.
	maxTasks int
	// keep tells which names of a list matter; nil: all.
	keep func(string) bool
}

// maxWindow bounds what the tokenizer may ask for at once, and so the memory that
// one endless value can cost: it doubles what it holds as long as a value goes on.
const maxWindow = 8 << 20

// window refuses to read more than maxWindow at once. It stands between the
// tokenizer and whatever it reads from: the network, or an answer that is in
// memory, so that the same value always fits or never.
type window struct{ io.Reader }

func (w window) Read(p []byte) (int, error) {
	if len(p) > maxWindow {
		return 0, errWindow
	}
	return w.Reader.Read(p)
}

var errWindow = fmt.Errorf("%w: a value beyond the limit", connect.TooLarge)

func newDecoder(r io.Reader, strings *interner, options decoderOptions) *decoder {
	if (options.seed == maphash.Seed{}) {
		options.seed = maphash.MakeSeed()
	}
	if options.maxTasks == 0 {
		options.maxTasks = math.MaxInt
	}
	return &decoder{
		json:    jsontext.NewDecoder(window{r}, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)),
		strings: strings, options: options, slabSize: slabRoom, largest: slabRoom,
	}
}

// entry is what one answer says of one connector.
type entry struct {
	name      string
	from      int64 // where in the answer it begins
	known     bool  // its status is that of the last snapshot
	hasStatus bool
	status    connect.Connector // Name, State, Worker, Failure, Type, Version, ID, Tasks
	hasInfo   bool
	info      info
	// bad and badInfo are why the status, or the info, cannot be used; "" if they
	// can. A bad name makes the status bad.
	bad, badInfo connect.Reason
}

// spoil notes why something cannot be used; the first reason counts.
func spoil(bad *connect.Reason, reason connect.Reason) {
	if *bad == "" {
		*bad = reason
	}
}

// listed is a name in a list. One that is bad is not a connector's name but what
// is shown of it.
type listed struct {
	name string
	bad  connect.Reason
}

// decodeList reads those of an array of names that matter, each once.
func (d *decoder) decodeList(limit int) ([]listed, error) {
	var names []listed
	err := d.whole(func() error { return d.list(&names, limit) })
	return names, err
}

func (d *decoder) list(names *[]listed, limit int) error {
	if kind := d.json.PeekKind(); kind != '[' {
		return d.mismatch("an array of names", kind)
	}
	seen := map[string]struct{}{}
	index, texts := -1, 0
	err := d.array(func() error {
		index++
		var name listed
		if d.json.PeekKind() == '"' {
			texts++
			quoted, err := d.json.ReadValue()
			if err != nil {
				return err
			}
			name.name, name.bad = d.name(quoted)
		} else {
			name = listed{"(item " + strconv.Itoa(index) + " of the list)", connect.Decode}
			if err := d.json.SkipValue(); err != nil {
				return err
			}
		}
		if keep := d.options.keep; keep != nil && !keep(name.name) {
			return nil
		}
		if _, twice := seen[name.name]; !twice {
			seen[name.name] = struct{}{}
			*names = append(*names, name)
		}
		if len(*names) > limit {
			return errTooMany(limit)
		}
		return nil
	})
	if err == nil && index >= 0 && texts == 0 {
		return fmt.Errorf("%w: not an array of names", connect.Decode)
	}
	return err
}

func errTooMany(limit int) error {
	return fmt.Errorf("%w: more than %d connectors; raise max_connectors, or observe a part of them by connectors", connect.TooLarge, limit)
}

// decodeExpanded reads an object of connectors and hands each to keep, whose error
// ends the reading. A name that stands there twice is handed on twice. Where the
// worker answers a plain list instead, it returns that with errList.
func (d *decoder) decodeExpanded(limit int, keep func(*entry) error) (list []listed, err error) {
	d.slabSize, d.largest = 2*slabRoom, slabSize
	err = d.whole(func() error {
		switch kind := d.json.PeekKind(); kind {
		case '[':
			list = []listed{}
			return d.list(&list, limit)
		case '{':
		default:
			return d.mismatch("an object of connectors", kind)
		}
		if _, err := d.json.ReadToken(); err != nil {
			return err
		}
		var e entry
		return d.members(func(quoted []byte) error {
			e = entry{from: d.json.InputOffset() - int64(len(quoted))}
			e.name, e.bad = d.name(quoted)
			if err := d.entry(&e); err != nil {
				return err
			}
			return keep(&e)
		})
	})
	if err == nil && list != nil {
		return list, errList
	}
	return nil, err
}

// decodeOne reads one connector's status or info by read.
func (d *decoder) decodeOne(e *entry, read func(*entry) error) error {
	err := d.whole(func() error {
		if kind := d.json.PeekKind(); kind != '{' {
			return d.mismatch("an object", kind)
		}
		return read(e)
	})
	if bad := cmp.Or(e.bad, e.badInfo); err == nil && bad != "" {
		err = fmt.Errorf("%w: not what the API promises of a connector", bad)
	}
	return err
}

// whole reads one value by read and then the end of the answer, and gives what
// goes wrong its reason.
func (d *decoder) whole(read func() error) error {
	err := read()
	if err == nil {
		switch _, err = d.json.ReadToken(); {
		case errors.Is(err, io.EOF):
			return nil
		case err == nil:
			err = errors.New("more after the end of the value")
		}
	}
	if _, ok := errors.AsType[connect.Reason](err); ok {
		return err
	}
	// The tokenizer's own text may quote the input: what stands in it is not
	// ours to show.
	what := "not valid JSON"
	var syntax *jsontext.SyntacticError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errCut
	case errors.As(err, &syntax):
		what = "not valid JSON at byte " + strconv.FormatInt(syntax.ByteOffset, 10)
	}
	return fmt.Errorf("%w: %s", connect.Decode, what)
}

func (d *decoder) mismatch(want string, got jsontext.Kind) error {
	if got == 0 { // no valid token: let the tokenizer say why
		if _, err := d.json.ReadToken(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: not %s", connect.Decode, want)
}

// Members of objects that are read, in the order of the cases that read them.
var (
	entryMembers  = []string{"status", "info", "id"}
	idMembers     = []string{"id"}
	statusMembers = []string{"connector", "tasks", "type"}
	lineMembers   = []string{"id", "state", "worker_id", "version", "trace"}
	infoMembers   = []string{"config", "tasks", "type"}
	configMembers = []string{"connector.class", "tasks.max", "type", "consumer.override.group.id", "offsets.storage.topic"}
	keyMembers    = []string{"name", "type"}
)

// entry reads what an expanded answer says of one connector.
func (d *decoder) entry(e *entry) error {
	return d.object(&e.bad, entryMembers, func(member int, _ []byte) error {
		switch member {
		case 0:
			return d.status(e)
		case 1:
			return d.info(e)
		case 2:
			return d.object(&e.bad, idMembers, func(member int, _ []byte) error {
				if member == 0 {
					return d.textInto(&e.bad, &e.status.ID)
				}
				return d.json.SkipValue()
			})
		}
		return d.json.SkipValue()
	})
}

// maxTasksOfOne is how many tasks one connector may have: far more than any does.
const maxTasksOfOne = 10_000

// status reads a ConnectorStateInfo.
func (d *decoder) status(e *entry) error {
	if d.json.PeekKind() == 'n' {
		return d.json.SkipValue()
	}
	id := e.status.ID
	e.hasStatus = true
	e.status = connect.Connector{Name: e.name, ID: id}
	hasState := false
	err := d.object(&e.bad, statusMembers, func(member int, _ []byte) error {
		switch member {
		case 0:
			hasState = true
			var line statusLine
			if err := d.statusLine(&e.bad, &line); err != nil {
				return err
			}
			e.status.State, e.status.Worker, e.status.Version, e.status.Failure =
				stateOf(d.options.dialect.ConnectorState, line.state), line.worker, line.version, line.failure
			return nil
		case 1:
			return d.statusTasks(e)
		case 2:
			return d.kindInto(&e.bad, &e.status.Type)
		}
		return d.json.SkipValue()
	})
	if !hasState {
		spoil(&e.bad, connect.Decode)
	}
	e.status.Failure = trace.Settle(e.status.State, e.status.Failure)
	for i := range e.status.Tasks {
		task := &e.status.Tasks[i]
		task.Failure = trace.Settle(task.State, task.Failure)
	}
	return err
}

// statusTasks reads the tasks of a status into the slab.
func (d *decoder) statusTasks(e *entry) error {
	d.reserve()
	err := d.elements(&e.bad, func() error {
		var line statusLine
		if err := d.statusLine(&e.bad, &line); err != nil {
			return err
		}
		if !line.hasID {
			spoil(&e.bad, connect.Decode)
		}
		if d.tasks++; d.tasks > d.options.maxTasks {
			return fmt.Errorf("%w: more than %d tasks", connect.TooLarge, d.options.maxTasks)
		}
		if len(d.slab) >= maxTasksOfOne {
			spoil(&e.bad, connect.TooLarge)
			return nil
		}
		state, failure := stateOf(d.options.dialect.TaskState, line.state), line.failure
		if d.options.dialect.TaskFailure != nil {
			failure = d.options.dialect.TaskFailure(line.state)
		}
		d.slab = append(d.slab, connect.Task{
			ID: line.id, State: state, Worker: line.worker, Version: line.version, Failure: failure,
		})
		return nil
	})
	switch {
	case e.bad != "": // what was read of it is not kept
		d.tasks -= len(d.slab)
		d.slab = d.slab[:0]
	case len(d.slab) > 0:
		e.status.Tasks = slices.Clip(d.slab)
		d.slab = d.slab[len(d.slab):]
	}
	return err
}

// slabSize is how many tasks a slab for many connectors holds at most, slabRoom how
// many must fit into what is left of it for another connector to begin there.
const (
	slabSize = 1024
	slabRoom = 8
)

// reserve makes room for the tasks of one connector; append grows it for those
// with more.
func (d *decoder) reserve() {
	if cap(d.slab) < slabRoom {
		d.slab = make([]connect.Task, 0, d.slabSize)
		d.slabSize = min(2*d.slabSize, d.largest)
	}
}

// statusLine is what a status says of the connector or of one task.
type statusLine struct {
	id              int
	hasID           bool
	state           string
	worker, version string
	failure         connect.Failure
}

func (d *decoder) statusLine(bad *connect.Reason, line *statusLine) error {
	return d.object(bad, lineMembers, func(member int, _ []byte) error {
		switch member {
		case 0:
			line.hasID = true
			return d.number(bad, &line.id)
		case 1:
			return d.textInto(bad, &line.state)
		case 2:
			if d.options.dialect.NoWorkers {
				return d.json.SkipValue()
			}
			return d.textInto(bad, &line.worker)
		case 3:
			return d.textInto(bad, &line.version)
		case 4:
			if d.json.PeekKind() != '"' {
				return d.json.SkipValue()
			}
			quoted, err := d.json.ReadValue()
			if err == nil {
				line.failure = trace.Failure(quoted, d.strings.of)
			}
			return err
		}
		return d.json.SkipValue()
	})
}

// info reads a ConnectorInfo.
func (d *decoder) info(e *entry) error {
	if d.json.PeekKind() == 'n' {
		return d.json.SkipValue()
	}
	e.hasInfo = true
	return d.object(&e.badInfo, infoMembers, func(member int, _ []byte) error {
		switch member {
		case 0:
			if d.json.PeekKind() == 'n' {
				return d.json.SkipValue()
			}
			return d.config(e)
		case 1:
			e.info.hasTasks = d.json.PeekKind() == '['
			return d.elements(&e.badInfo, func() error {
				e.info.tasks++
				return d.json.SkipValue()
			})
		case 2:
			return d.kindInto(&e.badInfo, &e.info.kind)
		}
		return d.json.SkipValue()
	})
}

// config reads a configuration, of which the hash tells whether it is another
// than before.
func (d *decoder) config(e *entry) error {
	i := &e.info
	i.hasConfig, i.tasksMax = true, connect.DefaultTasksMax
	return d.object(&e.badInfo, configMembers, func(member int, key []byte) error {
		name := maphash.Bytes(d.options.seed, key)
		label := d.label(key)
		value, err := d.scalar()
		if err != nil {
			return err
		}
		// A sum, because the order says nothing.
		i.hash += maphash.Comparable(d.options.seed, [2]uint64{name, maphash.Bytes(d.options.seed, value)})
		switch member {
		case 0:
			d.valueInto(&e.badInfo, value, &i.class)
		case 1:
			i.tasksMax = d.tasksMax(value)
		case 2:
			if kind := kindOf(value); d.options.dialect.TypeInConfig && !tells(i.kind) && tells(kind) {
				i.kind = kind
			}
		case 3:
			i.consumerGroup = d.plainValue(value)
		case 4:
			i.offsetsTopic = d.plainValue(value)
		}
		if label != "" {
			i.labels = appendLabel(i.labels, label, d.labelValue(value), d.options.labels)
		}
		return nil
	})
}

// object reads an object, each value by read, which is given the index of its
// name among the members, -1 if it is none of them, and its name as it is quoted.
// Another type of value is skipped and spoils what it is part of, as does a member
// that is there twice: which of the two counts is anybody's guess.
func (d *decoder) object(bad *connect.Reason, members []string, read func(member int, name []byte) error) error {
	if d.json.PeekKind() != '{' {
		return d.skipBad(bad)
	}
	if _, err := d.json.ReadToken(); err != nil {
		return err
	}
	var seen uint64
	return d.members(func(name []byte) error {
		member := d.memberOf(members, name)
		if member < 0 {
			return read(member, name)
		}
		if seen&(1<<member) != 0 {
			return d.skipBad(bad)
		}
		seen |= 1 << member
		return read(member, name)
	})
}

// memberOf returns the index of a quoted name among the members, -1 if it is none.
func (d *decoder) memberOf(members []string, quoted []byte) int {
	name := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(name, '\\') >= 0 { // one name can be written in many ways
		var err error
		if d.scratch, err = jsontext.AppendUnquote(d.scratch[:0], quoted); err != nil {
			return -1
		}
		name = d.scratch
	}
	for i, member := range members {
		if string(name) == member {
			return i
		}
	}
	return -1
}

// members reads what follows the beginning of an object, up to its end.
func (d *decoder) members(read func(quoted []byte) error) error {
	for {
		switch d.json.PeekKind() {
		case '}':
			_, err := d.json.ReadToken()
			return err
		case '"':
			name, err := d.json.ReadValue()
			if err != nil {
				return err
			}
			if err := read(name); err != nil {
				return err
			}
		default: // invalid: the tokenizer says why
			if _, err := d.json.ReadToken(); err != nil {
				return err
			}
		}
	}
}

// elements reads an array, or null as an empty one.
func (d *decoder) elements(bad *connect.Reason, element func() error) error {
	switch d.json.PeekKind() {
	case '[':
		return d.array(element)
	case 'n':
		return d.json.SkipValue()
	}
	return d.skipBad(bad)
}

func (d *decoder) array(element func() error) error {
	if _, err := d.json.ReadToken(); err != nil {
		return err
	}
	for d.json.PeekKind() != ']' {
		if err := element(); err != nil {
			return err
		}
	}
	_, err := d.json.ReadToken()
	return err
}

func (d *decoder) skipBad(bad *connect.Reason) error {
	spoil(bad, connect.Decode)
	return d.json.SkipValue()
}

// textInto reads a string, or null as none.
func (d *decoder) textInto(bad *connect.Reason, into *string) error {
	value, err := d.scalar()
	if err == nil {
		d.valueInto(bad, value, into)
	}
	return err
}

// scalar reads a value. Of an object or an array, which is skipped, it returns
// nothing.
func (d *decoder) scalar() ([]byte, error) {
	switch d.json.PeekKind() {
	case '{', '[':
		return nil, d.json.SkipValue()
	}
	return d.json.ReadValue()
}

// kind is the first byte of a value, 0 of none.
func kind(value []byte) byte {
	if len(value) == 0 {
		return 0
	}
	return value[0]
}

// valueInto takes a value that is a string, or null as none.
func (d *decoder) valueInto(bad *connect.Reason, value []byte, into *string) {
	switch kind(value) {
	case 'n':
	case '"':
		text, reason := d.text(value)
		if reason != "" {
			spoil(bad, reason)
			return
		}
		*into = text
	default:
		spoil(bad, connect.Decode)
	}
}

// text unquotes what is to be shown; a text that cannot be has a reason.
func (d *decoder) text(quoted []byte) (text string, bad connect.Reason) {
	plain := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(plain, '\\') >= 0 {
		var err error
		if d.scratch, err = jsontext.AppendUnquote(d.scratch[:0], quoted); err != nil {
			return "", connect.Decode
		}
		plain = d.scratch
	}
	if len(plain) > connect.MaxText {
		return "", connect.TooLarge
	}
	if text, ok := d.strings.known(plain); ok {
		return text, ""
	}
	if !utf8.Valid(plain) {
		return "", connect.Decode
	}
	return d.strings.of(plain), ""
}

// name unquotes a connector's name. Of one that cannot be shown, it returns what
// stands for it: the name as it was sent, no text that UTF-8 has not and no more
// than fits a line, so that it is not taken for another.
func (d *decoder) name(quoted []byte) (name string, bad connect.Reason) {
	if name, bad = d.text(quoted); bad == "" {
		return name, ""
	}
	var shown strings.Builder
	for rest := quoted[1 : len(quoted)-1]; len(rest) > 0 && shown.Len() < maxShown; {
		r, size := utf8.DecodeRune(rest)
		if r == utf8.RuneError && size == 1 {
			fmt.Fprintf(&shown, `\x%02x`, rest[0])
		} else {
			shown.WriteRune(r)
		}
		rest = rest[size:]
	}
	if len(quoted) > maxShown {
		fmt.Fprintf(&shown, "… (%d bytes, %016x)", len(quoted)-2, maphash.Bytes(d.options.seed, quoted))
	}
	return shown.String(), bad
}

// maxShown is how much is shown of a name that cannot be.
const maxShown = 64

// Types of connectors. What is none of them tells nothing, as the type unknown
// does, which Kafka Connect gives a connector whose configuration it has not read
// yet or whose plugin is missing.
const (
	kindSource  = "source"
	kindSink    = "sink"
	kindUnknown = "unknown"
)

func tells(kind string) bool { return kind == kindSource || kind == kindSink }

// kindInto reads the type of a connector, or null as none.
func (d *decoder) kindInto(bad *connect.Reason, into *string) error {
	value, err := d.scalar()
	if err != nil {
		return err
	}
	switch kind(value) {
	case 'n':
	case '"':
		*into = kindOf(value)
	default:
		spoil(bad, connect.Decode)
	}
	return nil
}

func kindOf(value []byte) string {
	for _, kind := range []string{kindSource, kindSink} {
		if string(value) == strconv.Quote(kind) {
			return kind
		}
	}
	return kindUnknown
}

// number reads a whole number that is not negative.
func (d *decoder) number(bad *connect.Reason, into *int) error {
	if d.json.PeekKind() != '0' {
		return d.skipBad(bad)
	}
	digits, err := d.json.ReadValue()
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(string(digits), 10, 31)
	if err != nil {
		spoil(bad, connect.Decode)
		return nil
	}
	*into = int(n)
	return nil
}

// tasksMax reads a number as a configuration holds it: as text.
func (d *decoder) tasksMax(value []byte) int {
	if kind(value) != '"' {
		return connect.ParseTasksMax(string(value))
	}
	text, bad := d.text(value)
	if bad != "" {
		return 0
	}
	return connect.ParseTasksMax(text)
}

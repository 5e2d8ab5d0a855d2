package rest

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/trace"
)

// errList is what an expanded call gives on workers before Kafka 2.3, which
// ignore expand and answer the plain list.
var errList = fmt.Errorf("%w: the worker answers a plain list: it is older than Kafka 2.3; use observation version 1 or auto", connect.Decode)

// errCut is an answer that ends too early.
var errCut = fmt.Errorf("%w: cut short", connect.Decode)

// errShape is a value of another type than the API promises. It costs the
// connector it stands in, not the snapshot.
var errShape = errors.New("unexpected type of value")

// decoder walks one answer as a stream. It holds no more of it than one name or
// value, and keeps what a snapshot needs: configuration values are skipped,
// traces are reduced to class names. Invalid UTF-8 is refused by the tokenizer,
// duplicate names by nameSets.
type decoder struct {
	json    *jsontext.Decoder
	names   nameSets
	strings *interner
	dialect Dialect
	scratch []byte
	// slab is where the next tasks go: one allocation for those of many
	// connectors.
	slab     []connect.Task
	slabSize int
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

func newDecoder(r io.Reader, strings *interner, dialect Dialect) *decoder {
	return &decoder{
		json: jsontext.NewDecoder(window{r}, jsontext.AllowDuplicateNames(true)), names: nameSets{seed: maphash.MakeSeed()},
		strings: strings, dialect: dialect, slabSize: slabRoom,
	}
}

// entry is what one answer says of one connector.
type entry struct {
	name      string
	hasStatus bool
	status    connect.Connector // Name, State, Worker, Failure, Type, Version, ID, Tasks
	hasInfo   bool
	info      info
	// bad and badInfo tell that the status, or the info, had not the shape that
	// the API promises.
	bad, badInfo bool
}

// decodeList reads an array of names, each once.
func (d *decoder) decodeList() ([]string, error) {
	var names []string
	err := d.whole(func() error { return d.list(&names) })
	return names, err
}

func (d *decoder) list(names *[]string) error {
	if kind := d.json.PeekKind(); kind != '[' {
		return d.mismatch("an array of names", kind)
	}
	seen := map[string]struct{}{}
	return d.array(func() error {
		name, err := d.text()
		if errors.Is(err, errShape) {
			return fmt.Errorf("%w: a name that is no text", connect.Decode)
		}
		if err != nil {
			return err
		}
		if _, twice := seen[name]; !twice {
			seen[name] = struct{}{}
			*names = append(*names, name)
		}
		return nil
	})
}

// decodeExpanded reads an object of connectors and hands each to keep. Where
// the worker answers a plain list instead, it returns that with errList.
func (d *decoder) decodeExpanded(keep func(*entry)) (list []string, err error) {
	d.slabSize = slabSize
	err = d.whole(func() error {
		switch kind := d.json.PeekKind(); kind {
		case '[':
			list = []string{}
			return d.list(&list)
		case '{':
		default:
			return d.mismatch("an object of connectors", kind)
		}
		var e entry
		return d.object(&e.bad, func(key []byte) error {
			name, err := d.unquote(key)
			if err != nil {
				return err
			}
			e = entry{name: name}
			if err := d.entry(&e); err != nil {
				return err
			}
			keep(&e)
			return nil
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
	if err == nil && (e.bad || e.badInfo) {
		err = fmt.Errorf("%w: %w", connect.Decode, errShape)
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

// entry reads what an expanded answer says of one connector.
func (d *decoder) entry(e *entry) error {
	return d.object(&e.bad, func(key []byte) error {
		switch string(key) {
		case `"status"`:
			return d.status(e)
		case `"info"`:
			return d.info(e)
		case `"id"`:
			return d.object(&e.bad, func(key []byte) error {
				if string(key) == `"id"` {
					return d.textInto(&e.bad, &e.status.ID)
				}
				return d.skip()
			})
		}
		return d.skip()
	})
}

// status reads a ConnectorStateInfo.
func (d *decoder) status(e *entry) error {
	if d.json.PeekKind() == 'n' {
		return d.skip()
	}
	id := e.status.ID
	e.hasStatus = true
	e.status = connect.Connector{Name: e.name, ID: id}
	hasState := false
	err := d.object(&e.bad, func(key []byte) error {
		switch string(key) {
		case `"connector"`:
			hasState = true
			var line statusLine
			if err := d.statusLine(&e.bad, &line); err != nil {
				return err
			}
			e.status.State, e.status.Worker, e.status.Version, e.status.Failure =
				d.dialect.connectorState(line.state), line.worker, line.version, line.failure
		case `"tasks"`:
			d.reserve()
			err := d.elements(&e.bad, func() error {
				var line statusLine
				if err := d.statusLine(&e.bad, &line); err != nil {
					return err
				}
				if !line.hasID {
					e.bad = true
				}
				state, failure := d.dialect.taskState(line.state), line.failure
				if d.dialect.TaskFailure != nil {
					failure = d.dialect.TaskFailure(line.state)
				}
				d.slab = append(d.slab, connect.Task{
					ID: line.id, State: state, Worker: line.worker, Version: line.version, Failure: failure,
				})
				return nil
			})
			if len(d.slab) > 0 {
				e.status.Tasks = slices.Clip(d.slab)
				d.slab = d.slab[len(d.slab):]
			}
			return err
		case `"type"`:
			return d.textInto(&e.bad, &e.status.Type)
		default:
			return d.skip()
		}
		return nil
	})
	if !hasState {
		e.bad = true
	}
	e.status.Failure = trace.Settle(e.status.State, e.status.Failure)
	for i := range e.status.Tasks {
		task := &e.status.Tasks[i]
		task.Failure = trace.Settle(task.State, task.Failure)
	}
	return err
}

// slabSize is how many tasks a slab for many connectors holds, slabRoom how
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

func (d *decoder) statusLine(bad *bool, line *statusLine) error {
	return d.object(bad, func(key []byte) error {
		switch string(key) {
		case `"id"`:
			line.hasID = true
			return d.number(bad, &line.id)
		case `"state"`:
			return d.textInto(bad, &line.state)
		case `"worker_id"`:
			if d.dialect.NoWorkers {
				return d.skip()
			}
			return d.textInto(bad, &line.worker)
		case `"version"`:
			return d.textInto(bad, &line.version)
		case `"trace"`:
			if d.json.PeekKind() != '"' {
				return d.skip()
			}
			quoted, err := d.json.ReadValue()
			if err == nil {
				line.failure = trace.Failure(quoted, d.strings.of)
			}
			return err
		}
		return d.skip()
	})
}

// defaultTasksMax is what Kafka Connect takes where tasks.max is not set
// (ConnectorConfig.TASKS_MAX_DEFAULT).
const defaultTasksMax = 1

// info reads a ConnectorInfo.
func (d *decoder) info(e *entry) error {
	if d.json.PeekKind() == 'n' {
		return d.skip()
	}
	e.hasInfo = true
	e.info.tasksMax = defaultTasksMax
	return d.object(&e.badInfo, func(key []byte) error {
		switch string(key) {
		case `"config"`:
			if d.json.PeekKind() == 'n' {
				return d.skip()
			}
			return d.object(&e.badInfo, func(key []byte) error {
				switch string(key) {
				case `"connector.class"`:
					return d.textInto(&e.badInfo, &e.info.class)
				case `"tasks.max"`:
					return d.numberInText(&e.info.tasksMax)
				case `"type"`:
					if d.dialect.TypeInConfig && e.info.kind == "" {
						return d.typeInto(&e.info.kind)
					}
				}
				return d.skip()
			})
		case `"tasks"`:
			e.info.hasTasks = true
			return d.elements(&e.badInfo, func() error {
				e.info.tasks++
				return d.skip()
			})
		case `"type"`:
			return d.textInto(&e.badInfo, &e.info.kind)
		}
		return d.skip()
	})
}

// object reads an object, each value by field, which is given the name in its
// quoted form. Another type of value is skipped and marks the entry as bad.
func (d *decoder) object(bad *bool, field func(key []byte) error) error {
	if kind := d.json.PeekKind(); kind != '{' {
		return d.skipBad(bad)
	}
	if _, err := d.json.ReadToken(); err != nil {
		return err
	}
	d.names.enter()
	defer d.names.leave()
	for {
		switch d.json.PeekKind() {
		case '}':
			_, err := d.json.ReadToken()
			return err
		case '"':
			key, err := d.json.ReadValue()
			if err != nil {
				return err
			}
			if !d.names.add(key) {
				return errDuplicate
			}
			if err := field(key); err != nil {
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
func (d *decoder) elements(bad *bool, element func() error) error {
	switch d.json.PeekKind() {
	case '[':
		return d.array(element)
	case 'n':
		return d.skip()
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

func (d *decoder) skipBad(bad *bool) error {
	*bad = true
	return d.skip()
}

// text reads a string; errShape where there is another value, which is skipped.
func (d *decoder) text() (string, error) {
	if d.json.PeekKind() != '"' {
		if err := d.skip(); err != nil {
			return "", err
		}
		return "", errShape
	}
	quoted, err := d.json.ReadValue()
	if err != nil {
		return "", err
	}
	return d.unquote(quoted)
}

func (d *decoder) unquote(quoted []byte) (text string, err error) {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return d.strings.of(quoted[1 : len(quoted)-1]), nil
	}
	d.scratch, err = jsontext.AppendUnquote(d.scratch[:0], quoted)
	return d.strings.of(d.scratch), err
}

// skip reads a value and keeps nothing of it.
func (d *decoder) skip() error {
	switch d.json.PeekKind() {
	case '{':
		return d.object(new(bool), func([]byte) error { return d.skip() })
	case '[':
		return d.array(d.skip)
	}
	return d.json.SkipValue()
}

// textInto reads a string, or null as none.
func (d *decoder) textInto(bad *bool, into *string) error {
	if d.json.PeekKind() == 'n' {
		return d.skip()
	}
	text, err := d.text()
	if errors.Is(err, errShape) {
		*bad = true
		return nil
	}
	if err == nil {
		*into = text
	}
	return err
}

// typeInto reads the type of a connector out of its configuration, where any
// other value is somebody's setting and not kept.
func (d *decoder) typeInto(into *string) error {
	if d.json.PeekKind() != '"' {
		return d.skip()
	}
	value, err := d.json.ReadValue()
	switch string(value) {
	case `"source"`, `"sink"`:
		*into = string(value[1 : len(value)-1])
	}
	return err
}

// number reads a whole number that is not negative.
func (d *decoder) number(bad *bool, into *int) error {
	if d.json.PeekKind() != '0' {
		return d.skipBad(bad)
	}
	digits, err := d.json.ReadValue()
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(string(digits), 10, 31)
	if err != nil {
		*bad = true
		return nil
	}
	*into = int(n)
	return nil
}

// numberInText reads a number as a configuration holds it: as text. What is no
// number (a placeholder of a secret provider, say) leaves it unknown.
func (d *decoder) numberInText(into *int) error {
	if kind := d.json.PeekKind(); kind != '"' && kind != '0' {
		return d.skip()
	}
	value, err := d.json.ReadValue()
	if err != nil {
		return err
	}
	*into = 0
	if value[0] == '"' {
		value = value[1 : len(value)-1]
	}
	if n, err := strconv.ParseUint(string(value), 10, 31); err == nil {
		*into = int(n)
	}
	return nil
}

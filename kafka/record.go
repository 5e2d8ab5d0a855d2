package kafka

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/trace"
)

// kind is what a record of the status topic is about.
type kind uint8

const (
	ofNothing kind = iota // that this exporter knows
	ofConnector
	ofTask
	ofTopic
)

// The keys of the status topic (KafkaStatusBackingStore).
const (
	connectorPrefix = "status-connector-"
	taskPrefix      = "status-task-"
	topicPrefix     = "status-topic-"
	topicSeparator  = ":connector-"
)

// A key of the status topic, in parts that share the record's memory.
type key struct {
	kind      kind
	connector []byte
	task      int
	topic     []byte
}

// parseKey takes a key apart. Names stand in it unescaped: a task's id is what
// follows the last "-", and since a topic's name holds no ":", it ends at the
// first separator. ok is false for a key that should be one of ours and is none.
func parseKey(text []byte) (k key, ok bool) {
	if rest, found := bytes.CutPrefix(text, []byte(connectorPrefix)); found {
		return key{kind: ofConnector, connector: rest}, validName(rest)
	}
	if rest, found := bytes.CutPrefix(text, []byte(taskPrefix)); found {
		dash := bytes.LastIndexByte(rest, '-')
		if dash < 0 {
			return key{}, false
		}
		id, err := strconv.ParseUint(string(rest[dash+1:]), 10, 31)
		return key{kind: ofTask, connector: rest[:dash], task: int(id)}, err == nil && validName(rest[:dash])
	}
	if rest, found := bytes.CutPrefix(text, []byte(topicPrefix)); found {
		topic, connector, found := bytes.Cut(rest, []byte(topicSeparator))
		return key{kind: ofTopic, connector: connector, topic: topic}, found && validName(connector) && validName(topic)
	}
	return key{}, true
}

func validName(name []byte) bool { return utf8.Valid(name) }

// A status is the value of a record of a connector or a task.
type status struct {
	state           connect.State
	worker, version string
	failure         connect.Failure
	generation      int64
}

// statusDecoder reads values one after the other. It holds nothing of a trace
// but class names.
type statusDecoder struct {
	json    *jsontext.Decoder
	buffer  *bytes.Buffer
	strings interner
	scratch []byte
}

func newStatusDecoder() *statusDecoder {
	// Out of a bytes.Buffer, and of nothing else, the tokenizer reads in place:
	// who wipes the value has wiped all of it.
	d := &statusDecoder{buffer: new(bytes.Buffer)}
	d.json = jsontext.NewDecoder(d.buffer)
	return d
}

// errValue is a value that is not what a worker writes; what stands in it is not
// ours to show.
var errValue = fmt.Errorf("%w: a record of the status topic is not what workers write", connect.Decode)

// errText is a text that is longer than one that is shown.
var errText = fmt.Errorf("%w: a text of a record of the status topic is longer than %d bytes", connect.TooLarge, connect.MaxText)

// decode reads a value.
func (d *statusDecoder) decode(value []byte) (status, error) {
	d.begin(value)
	s, err := d.object()
	switch {
	case errors.Is(err, errText):
		return status{}, errText
	case err != nil:
		return status{}, errValue
	}
	s.failure = trace.Settle(s.state, s.failure)
	return s, nil
}

func (d *statusDecoder) begin(text []byte) {
	*d.buffer = *bytes.NewBuffer(text)
	d.json.Reset(d.buffer)
}

func (d *statusDecoder) object() (s status, err error) {
	if token, err := d.json.ReadToken(); err != nil || token.Kind() != '{' {
		return s, errValue
	}
	hasState := false
	for d.json.PeekKind() == '"' {
		name, err := d.json.ReadValue()
		if err != nil {
			return s, err
		}
		switch string(name) {
		case `"state"`:
			if d.json.PeekKind() != '"' {
				return s, errValue
			}
			var word string
			word, err = d.text()
			s.state, hasState = connect.ParseState(word), true
		case `"worker_id"`:
			s.worker, err = d.text()
		case `"version"`:
			s.version, err = d.text()
		case `"generation"`:
			s.generation, err = d.number()
		case `"trace"`:
			if d.json.PeekKind() != '"' {
				err = d.json.SkipValue()
				break
			}
			var quoted jsontext.Value
			if quoted, err = d.json.ReadValue(); err == nil {
				s.failure = trace.Failure(quoted, d.strings.of)
			}
		default:
			err = d.json.SkipValue()
		}
		if err != nil {
			return s, err
		}
	}
	if token, err := d.json.ReadToken(); err != nil || token.Kind() != '}' || !hasState {
		return s, errValue
	}
	return s, nil
}

// text reads a string, or null as an empty one.
func (d *statusDecoder) text() (string, error) {
	switch d.json.PeekKind() {
	case 'n':
		return "", d.json.SkipValue()
	case '"':
	default:
		return "", errValue
	}
	quoted, err := d.json.ReadValue()
	if err != nil {
		return "", err
	}
	plain := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(plain, '\\') >= 0 {
		if d.scratch, err = jsontext.AppendUnquote(d.scratch[:0], quoted); err != nil {
			return "", err
		}
		plain = d.scratch
	}
	if len(plain) > connect.MaxText {
		return "", errText
	}
	return d.strings.of(plain), nil
}

func (d *statusDecoder) number() (int64, error) {
	if d.json.PeekKind() != '0' {
		return 0, d.json.SkipValue()
	}
	digits, err := d.json.ReadValue()
	if err != nil {
		return 0, err
	}
	number, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil {
		return 0, nil // No whole number: nothing that is told hangs on it.
	}
	return number, nil
}

// interner makes equal strings one: workers, versions and classes are few and
// come again with every record.
type interner struct{ known map[string]string }

// maxInterned bounds it: beyond, it begins anew.
const maxInterned = 1 << 14

func (i *interner) of(text []byte) string {
	if s, ok := i.known[string(text)]; ok {
		return s
	}
	if len(i.known) >= maxInterned || i.known == nil {
		i.known = map[string]string{}
	}
	s := string(text)
	i.known[s] = s
	return s
}

// offsetKey returns the connector of a key of an offset topic: the first element
// of a JSON array , ["name",{partition}] (OffsetStorageWriter).
func (d *statusDecoder) offsetKey(text []byte) (connector string, ok bool) {
	d.begin(text)
	if token, err := d.json.ReadToken(); err != nil || token.Kind() != '[' || d.json.PeekKind() != '"' {
		return "", false
	}
	name, err := d.text()
	return name, err == nil
}

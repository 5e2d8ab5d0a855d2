// Package strict decodes YAML into Go types and lets nothing pass that is not
// meant: an unknown field, one that is given twice, a value of the wrong kind. An
// error is one line with file, line and field, and quotes no value: any may be a
// password. What a file stands for is bounded before it is made.
//
// A field of a struct may say more than its name in YAML. default: what stands
// there if the file has nothing. short: the field that a single value in place of
// the block is of. What is called …_file, …_files, or has a tag path, names files.
package strict

import (
	"bytes"
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	commoncfg "github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/safefile"
)

const (
	// maxValues bounds what the file stands for, aliases followed: some thousand
	// clusters with everything that they can have.
	maxValues = 200_000
	// maxBytes bounds all of these together, variables put in.
	maxBytes = 16 << 20
	// maxDepth is more than twice what the deepest field needs.
	maxDepth = 32
	// maxPatterns bounds what it costs to compile a list of them.
	maxPatterns = 200
)

// A Document is a file that was decoded. It knows on which line each of its fields
// stands.
type Document struct {
	// Body is the file's tree with anchors and variables resolved and defaults
	// filled in, which have no line.
	Body *yaml.Node

	file     string
	variable func(name string) (string, bool)
	root     reflect.Type
	lines    map[string]int
	files    []File // sorted
	// values and bytes count what the file stands for.
	values, bytes int
}

// Decode decodes a file into out, a pointer to a struct. needs is what a file has
// at least. variable tells what ${NAME} stands for. What the decoder gets is a copy
// of the file's tree whose shape is checked: its own errors have no place, and
// quote.
func Decode(file string, content []byte, needs string, variable func(name string) (string, bool), out any) (*Document, error) {
	d := &Document{file: file, variable: variable, root: reflect.TypeOf(out).Elem(), lines: map[string]int{}}
	if bytes.ContainsRune(content, 0) {
		return nil, fmt.Errorf("%s: is not valid YAML: it is no text", file)
	}
	if err := safefile.CheckYAML(content); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var root, second yaml.Node
	err := decoder.Decode(&root)
	if errors.Is(err, io.EOF) || err == nil && isNull(root.Content[0]) {
		return nil, fmt.Errorf("%s: the file is empty: it needs at least %s", file, needs)
	} else if err != nil {
		return nil, d.syntaxError(content, err)
	}
	body := root.Content[0]
	first, _ := Fields(d.root)
	if body.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: is no configuration: it must be a YAML mapping that begins with %q as its first field", file, body.Line, first[0].Key+":")
	}
	if d.Body, err = d.resolve(body, Field{Type: d.root}, "", 0); err != nil {
		return nil, err
	}
	if err := decoder.Decode(&second); err == nil {
		return nil, fmt.Errorf("%s:%d: a second YAML document begins here: put everything into one", file, second.Line)
	} else if !errors.Is(err, io.EOF) {
		return nil, d.syntaxError(content, err)
	}
	slices.SortFunc(d.files, func(a, b File) int { return strings.Compare(a.Field, b.Field) })
	if err := d.Body.Decode(out); err != nil {
		return nil, fmt.Errorf("%s:%d: cannot be decoded: look for values of the wrong kind", file, body.Line)
	}
	return d, nil
}

// Default is what an empty block of a type says.
func Default[T any]() (block T) {
	body, err := (&Document{lines: map[string]int{}}).resolve(&yaml.Node{Kind: yaml.MappingNode}, Field{Type: reflect.TypeFor[T]()}, "", 0)
	if err == nil {
		err = body.Decode(&block)
	}
	if err != nil {
		panic(fmt.Sprintf("fill in the defaults: %v", err)) // They are constants.
	}
	return block
}

var (
	yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
	quoted   = regexp.MustCompile(`'[^']*' ?`)
)

// syntaxError words an error of the YAML parser without what it quotes: an
// unquoted password that begins with * is an unknown anchor to it.
func (d *Document) syntaxError(content []byte, err error) error {
	text := err.Error()
	place, prefix := d.file, yamlLine.FindStringSubmatch(text)
	if prefix != nil {
		text = text[len(prefix[0]):]
		if prefix[1] != "" {
			place += ":" + prefix[1]
		}
	}
	text, _, _ = strings.Cut(text, "\n")
	hint := ""
	switch {
	case strings.Contains(text, "anchor"):
		// The name is all that the parser ever quotes. It does not say where it is.
		hint = "; a value that begins with * or & must stand in quotes"
		if before, _, found := bytes.Cut(content, []byte("*"+strings.Trim(quoted.FindString(text), "' "))); found && place == d.file {
			place += fmt.Sprintf(":%d", 1+bytes.Count(before, []byte("\n")))
		}
		text = quoted.ReplaceAllString(text, "")
	case strings.Contains(text, "',' or"):
		hint = "; in brackets a value with , ] } or ${NAME} must stand in quotes"
	case strings.Contains(text, "cannot start any token"):
		hint = "; indent with spaces, not tabs, and quote a value that begins with % @ or `"
	}
	return fmt.Errorf("%s: is not valid YAML: %s%s", place, text, hint)
}

// Has tells whether a field is written, be it empty.
func (d *Document) Has(path string) bool { return d.lines[path] > 0 }

// At names the place of a field: of itself if it is written, else of the nearest
// block around it.
func (d *Document) At(path string) string { return d.Origin(path) + ": " + path }

// Origin names the place of a block, as At does.
func (d *Document) Origin(path string) string {
	if line, found := Around(d.lines, path); found {
		return fmt.Sprintf("%s:%d", d.file, line)
	}
	return d.file
}

// Around returns what a map has of a field, or of the nearest block around it.
func Around[V any](of map[string]V, path string) (value V, found bool) {
	for around := path; around != "" && !found; around = around[:max(0, strings.LastIndexAny(around, ".["))] {
		value, found = of[around]
	}
	return value, found
}

// A File is one that a field names.
type File struct{ Field, Path string }

// Files are those that a block names, in the order of its fields' names.
func (d *Document) Files(block string) (all []File) {
	first, _ := slices.BinarySearchFunc(d.files, block+".", func(file File, block string) int { return strings.Compare(file.Field, block) })
	for _, file := range d.files[first:] {
		field, inside := strings.CutPrefix(file.Field, block+".")
		if !inside {
			break
		}
		all = append(all, File{field, file.Path})
	}
	return all
}

func (d *Document) errorAt(node *yaml.Node, path, format string, args ...any) error {
	place := fmt.Sprintf("%s:%d: ", d.file, node.Line)
	if path != "" {
		place += path + ": "
	}
	return errors.New(place + fmt.Sprintf(format, args...))
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" }

// enter counts a value that is looked at, however often the file has it.
func (d *Document) enter(node *yaml.Node, path string, depth int) error {
	if d.values++; d.values > maxValues {
		return d.errorAt(node, path, "with its anchors the file stands for more than %d values", maxValues)
	}
	if depth > maxDepth {
		return d.errorAt(node, path, "is nested more than %d deep, or an anchor refers to itself", maxDepth)
	}
	return nil
}

// resolve returns a copy of a node that is to become a value of a type: checked
// against it, with anchors followed and variables put in.
func (d *Document) resolve(node *yaml.Node, as Field, path string, depth int) (*yaml.Node, error) {
	for as.Type.Kind() == reflect.Pointer {
		as.Type = as.Type.Elem()
	}
	if err := d.enter(node, path, depth); err != nil {
		return nil, err
	}
	if node.Kind == yaml.AliasNode {
		return d.resolve(node.Alias, as, path, depth+1)
	}
	// The tag that YAML gives by itself says no more than the kind.
	if node.Style&yaml.TaggedStyle != 0 && node.ShortTag() != "!!str" {
		return nil, d.errorAt(node, path, "a YAML tag has no meaning here; a value that begins with ! must stand in quotes")
	}
	switch kind := as.Type.Kind(); {
	case isNull(node):
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: node.Line}, nil
	case isText(as.Type):
	case kind == reflect.Struct, kind == reflect.Map, kind == reflect.Interface && node.Kind == yaml.MappingNode:
		return d.mapping(node, as, path, depth)
	case kind == reflect.Slice, kind == reflect.Interface && node.Kind == yaml.SequenceNode:
		return d.list(node, as, path, depth)
	}
	return d.scalar(node, as, path)
}

func (d *Document) list(node *yaml.Node, as Field, path string, depth int) (*yaml.Node, error) {
	if node.Kind != yaml.SequenceNode {
		return nil, d.errorAt(node, path, "must be a list, such as [a, b]")
	}
	if as.Type.Kind() == reflect.Slice { // else anything, of any list
		as.Type = as.Type.Elem()
	}
	if as.Type == reflect.TypeFor[Pattern]() && len(node.Content) > maxPatterns {
		return nil, d.errorAt(node, path, "has more than %d patterns: join some with |", maxPatterns)
	}
	list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: node.Line}
	for i, item := range node.Content {
		place := Item(path, i)
		d.lines[place] = item.Line
		if isNull(item) {
			return nil, d.errorAt(item, place, "is empty: remove it or fill it in")
		}
		resolved, err := d.resolve(item, as, place, depth+1)
		if err != nil {
			return nil, err
		}
		list.Content = append(list.Content, resolved)
	}
	return list, nil
}

// scalar resolves a single value. Of a text the line breaks at its end are cut
// off, as they are of a text that comes from a file of its own.
func (d *Document) scalar(node *yaml.Node, as Field, path string) (*yaml.Node, error) {
	if node.Kind != yaml.ScalarNode {
		return nil, d.errorAt(node, path, "must be a single value, not a list or a mapping")
	}
	value := &yaml.Node{Kind: yaml.ScalarNode, Tag: node.ShortTag(), Value: node.Value, Line: node.Line}
	if value.Tag == "!!str" {
		expanded, err := d.expand(node.Value, maxBytes-d.bytes)
		if err != nil {
			return nil, d.errorAt(node, path, "%s", err)
		}
		d.bytes += len(expanded)
		value.Value = strings.TrimRight(expanded, "\r\n")
		if expanded != node.Value && node.Style == 0 && as.Type.Kind() != reflect.String {
			// What stands without quotes is of the kind that it expands to.
			if tag := (&yaml.Node{Kind: yaml.ScalarNode, Value: value.Value}).ShortTag(); tag == "!!int" || tag == "!!bool" || tag == "!!float" {
				value.Tag = tag
			}
		}
	}
	if wrong := wrongScalar(value, as.Type); wrong != "" {
		return nil, d.errorAt(node, path, "%s", wrong)
	}
	if as.file && value.Value != "" {
		value.Value = commoncfg.JoinDir(filepath.Dir(d.file), value.Value)
		d.files = append(d.files, File{path, value.Value})
	}
	return value, nil
}

// isText tells that a struct is written as a single value.
func isText(as reflect.Type) bool {
	return as == reflect.TypeFor[commoncfg.URL]() || reflect.PointerTo(as).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// wrongScalar says why a value cannot become what it is to be.
func wrongScalar(value *yaml.Node, as reflect.Type) string {
	if text, ok := reflect.TypeAssert[encoding.TextUnmarshaler](reflect.New(as)); ok {
		if err := text.UnmarshalText([]byte(value.Value)); err != nil {
			return err.Error()
		}
		return ""
	}
	_, version := commoncfg.TLSVersions[value.Value]
	_, err := url.Parse(value.Value)
	switch kind := as.Kind(); {
	case as == reflect.TypeFor[commoncfg.TLSVersion]() && !version:
		return "must be TLS10, TLS11, TLS12 or TLS13"
	case as == reflect.TypeFor[commoncfg.URL]() && err != nil:
		return "is no URL; special characters of a user or password must be percent-encoded"
	case kind == reflect.Bool && value.Decode(new(bool)) != nil:
		return "must be true or false"
	case kind == reflect.Int && (value.Tag != "!!int" || value.Decode(new(int)) != nil):
		return "must be a whole number"
	}
	return ""
}

// mapping resolves the fields of a mapping, those that "<<" brings in after its
// own, and then the defaults of a struct.
func (d *Document) mapping(node *yaml.Node, as Field, path string, depth int) (*yaml.Node, error) {
	out := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: node.Line}
	if as.Type.Kind() != reflect.Struct {
		return out, d.fill(out, map[string]int{}, node, as, path, depth)
	}
	as.fields, as.rest = Fields(as.Type)
	if err := d.short(out, node, as, path); err != nil {
		return nil, err
	}
	if len(out.Content) == 0 {
		if err := d.fill(out, map[string]int{}, node, as, path, depth); err != nil {
			return nil, err
		}
	}
	for _, field := range as.fields {
		value := field.Tag.Get("default")
		if value == "" || Child(out, field.Key) != nil {
			continue
		}
		standard := &yaml.Node{Kind: yaml.ScalarNode, Value: value}
		if value == "{}" {
			standard.Kind = yaml.MappingNode
		}
		if err := d.add(out, &yaml.Node{Value: field.Key}, standard, field, Join(path, field.Key), depth); err != nil {
			return nil, err
		}
	}
	switch as.Type {
	case reflect.TypeFor[commoncfg.HTTPClientConfig](), reflect.TypeFor[commoncfg.TLSConfig](), reflect.TypeFor[commoncfg.OAuth2]():
		if err := out.Decode(reflect.New(as.Type).Interface()); err != nil {
			return nil, d.errorAt(out, path, "%s", ClientProblem(err))
		}
	}
	return out, nil
}

// short takes a single value for the field of a block that it may stand for.
func (d *Document) short(out, node *yaml.Node, as Field, path string) error {
	i := slices.IndexFunc(as.fields, func(f Field) bool { return f.Key == as.Tag.Get("short") })
	if node.Kind != yaml.ScalarNode || i < 0 || as.fields[i].Type.Kind() == reflect.Bool && isNull(node) {
		return nil
	}
	one := as.fields[i]
	list := one.Type.Kind() == reflect.Slice
	if list {
		one.Type = one.Type.Elem()
	}
	value, err := d.scalar(node, one, path)
	if list {
		value = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: node.Line, Content: []*yaml.Node{value}}
	}
	out.Content = []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: one.Key, Line: node.Line}, value}
	return err
}

// structural are prometheus/common's own words about fields that exclude or need
// each other; they hold no values.
var structural = regexp.MustCompile(`^(at most one of|exactly one of|authorization|oauth2 (client_id|token_url) must|valid signature algorithms|if (proxy_|no_proxy)|setting header "[A-Z][A-Za-z-]*" is not allowed$)`)

// ClientProblem words why prometheus/common refuses a block, which it tells as it
// decodes, and without a line.
func ClientProblem(err error) string {
	if _, kind := errors.AsType[*yaml.TypeError](err); !kind && structural.MatchString(err.Error()) {
		return OneLine(err)
	}
	return "holds a value of the wrong kind"
}

// fill adds the fields of a mapping to out, but those that it has: known holds
// the line of each.
func (d *Document) fill(out *yaml.Node, known map[string]int, node *yaml.Node, as Field, path string, depth int) error {
	if node.Kind != yaml.MappingNode {
		return d.errorAt(node, path, "must be a mapping of fields, such as {field: value} with a space after the colon")
	}
	var merged []*yaml.Node
	own := map[string]bool{}
	for pair := range slices.Chunk(node.Content, 2) {
		key, value := pair[0], pair[1]
		if key.Kind != yaml.ScalarNode {
			return d.errorAt(key, path, "a field's name must be a text")
		}
		if key.ShortTag() == "!!merge" {
			merged = append(merged, value)
			continue
		}
		if line, found := known[key.Value]; found {
			if own[key.Value] {
				return d.errorAt(key, Join(path, FieldName(key.Value)), "is given twice, first on line %d: keep one", line)
			}
			// It stands over what is merged.
			if err := d.enter(key, path, 0); err != nil {
				return err
			}
			continue
		}
		field, err := d.field(key, value, as, path)
		if err != nil {
			return err
		}
		known[key.Value], own[key.Value] = key.Line, true
		place := Join(path, key.Value)
		d.lines[place] = key.Line
		if as.Type.Kind() == reflect.Struct && strings.HasSuffix(key.Value, "_ref") {
			return d.errorAt(key, place, "needs a secret manager, which this exporter has none of: use the field or its _file form")
		}
		if err := d.add(out, key, value, field, place, depth); err != nil {
			return err
		}
	}
	for _, value := range merged {
		if err := d.merge(out, known, value, as, path, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// add resolves the value of a field and adds both to out. What a struct has empty
// it does not have.
func (d *Document) add(out, key, value *yaml.Node, field Field, place string, depth int) error {
	resolved, err := d.resolve(value, field, place, depth+1)
	if err == nil && (field.Key == "" || !isNull(resolved)) {
		out.Content = append(out.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key.Value, Line: key.Line}, resolved)
	}
	return err
}

// merge adds what "<<" brings in: a mapping, or a list of them.
func (d *Document) merge(out *yaml.Node, known map[string]int, node *yaml.Node, as Field, path string, depth int) error {
	if err := d.enter(node, path, depth); err != nil {
		return err
	}
	switch node.Kind {
	case yaml.AliasNode:
		return d.merge(out, known, node.Alias, as, path, depth+1)
	case yaml.SequenceNode:
		for _, item := range node.Content {
			if err := d.merge(out, known, item, as, path, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return d.fill(out, known, node, as, path, depth)
}

// field returns what the value of a field is to become.
func (d *Document) field(key, value *yaml.Node, as Field, path string) (Field, error) {
	switch as.Type.Kind() {
	case reflect.Struct:
		if i := slices.IndexFunc(as.fields, func(f Field) bool { return f.Key == key.Value }); i >= 0 {
			return as.fields[i], nil
		}
		if as.rest == nil {
			return Field{}, d.unknownField(key, value, as.fields, path)
		}
		return Field{Type: as.rest}, nil
	case reflect.Map:
		if isNull(value) {
			return Field{}, d.errorAt(key, path, "a name here has no value; a value with , or # must stand in quotes")
		}
		return Field{Type: as.Type.Elem(), file: as.file}, nil
	}
	return Field{Type: as.Type}, nil // anything
}

func (d *Document) unknownField(key, value *yaml.Node, fields []Field, path string) error {
	var known []string
	for _, field := range fields {
		known = append(known, field.Key)
	}
	slices.Sort(known)
	name, hint := FieldName(key.Value), ""
	if near := Nearest(name, known); near != "" {
		hint = "did you mean " + near + "?"
	} else if homes := homesOf(name, d.root, ""); len(homes) > 0 {
		// Blocks that stand in several places belong to the nearest.
		root, _, _ := strings.Cut(path, "[")
		if near := slices.DeleteFunc(slices.Clone(homes), func(home string) bool { return !strings.HasPrefix(home, root) }); len(near) > 0 {
			homes = near
		}
		hint = "it belongs into " + strings.Join(homes, " or ")
	}
	// What has neither a value nor a likeness to a field may be a piece of one.
	if name != key.Value || hint == "" && isNull(value) && value.Value == "" {
		if hint == "" {
			name = ""
		}
		return d.errorAt(key, strings.TrimSuffix(Join(path, name), "."), "a field is written name: value, with a space after the colon; a value with , : { } or # must stand in quotes")
	}
	if hint == "" {
		hint = "the fields here are " + strings.Join(known, ", ")
	}
	return d.errorAt(key, Join(path, name), "unknown field; %s", hint)
}

// homesOf lists the blocks that have a field of the name.
func homesOf(name string, as reflect.Type, path string) (homes []string) {
	for ; as.Kind() == reflect.Pointer || as.Kind() == reflect.Slice; as = as.Elem() {
		if as.Kind() == reflect.Slice {
			path += "[]"
		}
	}
	if as.Kind() != reflect.Struct || isText(as) {
		return nil
	}
	fields, _ := Fields(as)
	slices.SortFunc(fields, func(a, b Field) int { return strings.Compare(a.Key, b.Key) })
	for _, field := range fields {
		if field.Key == name {
			homes = slices.Insert(homes, 0, cmp.Or(path, "the top level"))
		}
		if field.Key != "oauth2" {
			homes = append(homes, homesOf(name, field.Type, Join(path, field.Key))...)
		}
	}
	return homes
}

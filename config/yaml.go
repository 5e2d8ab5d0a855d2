package config

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
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
)

// A source is a parsed file that knows on which line each of its fields stands.
type source struct {
	file        string
	environment *environment
	lines       map[string]int
	// body is the file's tree with anchors and variables resolved.
	body *yaml.Node
	// values and bytes count what the file stands for.
	values, bytes int
}

// parseFile reads the YAML into out, which holds the defaults. What the decoder
// gets is a copy of the file's tree in which anchors and variables are resolved
// and whose shape is checked: its own errors have no place and quote values, and
// a value may be a password.
func parseFile(file string, content []byte, environment *environment, out *document) (*source, error) {
	s := &source{file: file, environment: environment, lines: map[string]int{}}
	if bytes.ContainsRune(content, 0) {
		return nil, fmt.Errorf("%s: is not valid YAML: it is no text", file)
	}
	if err := safefile.CheckYAML(content); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var root, second yaml.Node
	if err := decoder.Decode(&root); errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: the file is empty: it needs at least clusters: with a name and urls", file)
	} else if err != nil {
		return nil, s.syntaxError(content, err)
	}
	body := root.Content[0]
	if body.Kind != yaml.MappingNode {
		if isNull(body) {
			return nil, fmt.Errorf("%s: the file is empty: it needs at least clusters: with a name and urls", file)
		}
		return nil, fmt.Errorf("%s:%d: is no configuration: it must be a YAML mapping that begins with \"clusters:\" as its first field", file, body.Line)
	}
	var err error
	if s.body, err = s.resolve(body, reflect.TypeFor[document](), "", 0); err != nil {
		return nil, err
	}
	if err := decoder.Decode(&second); err == nil {
		return nil, fmt.Errorf("%s:%d: a second YAML document begins here: put everything into one", file, second.Line)
	} else if !errors.Is(err, io.EOF) {
		return nil, s.syntaxError(content, err)
	}
	if err := s.body.Decode(out); err != nil {
		return nil, fmt.Errorf("%s:%d: cannot be decoded: look for values of the wrong kind", file, body.Line)
	}
	return s, nil
}

var (
	yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
	quoted   = regexp.MustCompile(`'[^']*' ?`)
)

// syntaxError words an error of the YAML parser without what it quotes: an
// unquoted password that begins with * is an unknown anchor to it.
func (s *source) syntaxError(content []byte, err error) error {
	text := err.Error()
	place, prefix := s.file, yamlLine.FindStringSubmatch(text)
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
		if before, _, found := bytes.Cut(content, []byte("*"+strings.Trim(quoted.FindString(text), "' "))); found && place == s.file {
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

// at names the place of a field: of itself if it is written, else of the
// nearest block around it.
func (s *source) at(path string) string {
	for around := path; around != ""; around = around[:max(0, strings.LastIndexAny(around, ".["))] {
		if line, found := s.lines[around]; found {
			return fmt.Sprintf("%s:%d: %s", s.file, line, path)
		}
	}
	return fmt.Sprintf("%s: %s", s.file, path)
}

// origin is that of the block at a path.
func (s *source) origin(path string) origin {
	return origin{strings.TrimSuffix(s.at(path), ": "+path), func(field string) string { return s.at(join(path, field)) }}
}

func (s *source) errorAt(node *yaml.Node, path, format string, args ...any) error {
	place := fmt.Sprintf("%s:%d: ", s.file, node.Line)
	if path != "" {
		place += path + ": "
	}
	return errors.New(place + fmt.Sprintf(format, args...))
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" }

// count counts a value that is looked at, however often the file has it.
func (s *source) count(node *yaml.Node, path string) error {
	if s.values++; s.values > maxValues {
		return s.errorAt(node, path, "with its anchors the file stands for more than %d values", maxValues)
	}
	return nil
}

// resolve returns a copy of a node that is to become a value of a type: checked
// against it, with anchors followed and variables put in.
func (s *source) resolve(node *yaml.Node, as reflect.Type, path string, depth int) (*yaml.Node, error) {
	for as.Kind() == reflect.Pointer {
		as = as.Elem()
	}
	if _, known := s.lines[path]; !known && path != "" {
		s.lines[path] = node.Line
	}
	if err := s.count(node, path); err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, s.errorAt(node, path, "is nested more than %d deep, or an anchor refers to itself", maxDepth)
	}
	if node.Kind == yaml.AliasNode {
		return s.resolve(node.Alias, as, path, depth+1)
	}
	// The tag that YAML gives by itself says no more than the kind.
	if node.Style&yaml.TaggedStyle != 0 && node.ShortTag() != "!!str" {
		return nil, s.errorAt(node, path, "a YAML tag has no meaning here; a value that begins with ! must stand in quotes")
	}
	if isNull(node) {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: node.Line}, nil
	}
	switch {
	case as == reflect.TypeFor[WorkerProbe]() && node.ShortTag() == "!!bool":
		return s.scalar(node, reflect.TypeFor[bool](), path)
	case isText(as):
		return s.scalar(node, as, path)
	case as == reflect.TypeFor[selectorSettings]() && node.Kind == yaml.ScalarNode:
		return s.scalar(node, reflect.TypeFor[string](), path)
	case as.Kind() == reflect.Struct, as.Kind() == reflect.Map, as.Kind() == reflect.Interface && node.Kind == yaml.MappingNode:
		return s.mapping(node, as, path, depth)
	case as.Kind() == reflect.Slice, as.Kind() == reflect.Interface && node.Kind == yaml.SequenceNode:
		return s.list(node, as, path, depth)
	}
	return s.scalar(node, as, path)
}

func (s *source) list(node *yaml.Node, as reflect.Type, path string, depth int) (*yaml.Node, error) {
	if node.Kind != yaml.SequenceNode {
		return nil, s.errorAt(node, path, "must be a list, such as [a, b]")
	}
	items := as // of any list, anything
	if as.Kind() == reflect.Slice {
		items = as.Elem()
	}
	if items == reflect.TypeFor[Pattern]() && len(node.Content) > maxPatterns {
		return nil, s.errorAt(node, path, "has more than %d patterns: join some with |", maxPatterns)
	}
	list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: node.Line}
	for i, item := range node.Content {
		place := fmt.Sprintf("%s[%d]", path, i)
		if isNull(item) {
			return nil, s.errorAt(item, place, "is empty: remove it or fill it in")
		}
		resolved, err := s.resolve(item, items, place, depth+1)
		if err != nil {
			return nil, err
		}
		list.Content = append(list.Content, resolved)
	}
	return list, nil
}

// scalar resolves a single value. Of a text the line breaks at its end are cut
// off, as they are of a text that comes from a file of its own.
func (s *source) scalar(node *yaml.Node, as reflect.Type, path string) (*yaml.Node, error) {
	if node.Kind != yaml.ScalarNode {
		return nil, s.errorAt(node, path, "must be a single value, not a list or a mapping")
	}
	value := &yaml.Node{Kind: yaml.ScalarNode, Tag: node.ShortTag(), Value: node.Value, Line: node.Line}
	if value.Tag == "!!str" {
		expanded, err := s.environment.expand(node.Value, maxBytes-s.bytes)
		if err != nil {
			return nil, s.errorAt(node, path, "%s", err)
		}
		s.bytes += len(expanded)
		value.Value = strings.TrimRight(expanded, "\r\n")
		if expanded != node.Value && node.Style == 0 && as.Kind() != reflect.String {
			// What stands without quotes is of the kind that it expands to.
			if tag := (&yaml.Node{Kind: yaml.ScalarNode, Value: value.Value}).ShortTag(); tag == "!!int" || tag == "!!bool" || tag == "!!float" {
				value.Tag = tag
			}
		}
	}
	if wrong := wrongScalar(value, as); wrong != "" {
		return nil, s.errorAt(node, path, "%s", wrong)
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
	switch as {
	case reflect.TypeFor[commoncfg.TLSVersion]():
		if _, known := commoncfg.TLSVersions[value.Value]; !known {
			return "must be TLS10, TLS11, TLS12 or TLS13"
		}
		return ""
	case reflect.TypeFor[commoncfg.URL]():
		if _, err := url.Parse(value.Value); err != nil {
			return "is no URL; special characters of a user or password must be percent-encoded"
		}
		return ""
	}
	switch as.Kind() {
	case reflect.Bool:
		if value.Decode(new(bool)) != nil {
			return "must be true or false"
		}
	case reflect.Int:
		if value.Tag != "!!int" || value.Decode(new(int)) != nil {
			return "must be a whole number"
		}
	}
	return ""
}

// mapping resolves the fields of a mapping, those that "<<" brings in last.
func (s *source) mapping(node *yaml.Node, as reflect.Type, path string, depth int) (*yaml.Node, error) {
	out := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: node.Line}
	if err := s.fill(out, map[string]int{}, node, as, path, depth); err != nil {
		return nil, err
	}
	if as.Kind() == reflect.Struct {
		return out, s.accepted(out, as, path)
	}
	return out, nil
}

// fill adds the fields of a mapping to out, but those that it has: known holds
// the line of each.
func (s *source) fill(out *yaml.Node, known map[string]int, node *yaml.Node, as reflect.Type, path string, depth int) error {
	if node.Kind != yaml.MappingNode {
		return s.errorAt(node, path, "must be a mapping of fields, such as {field: value} with a space after the colon")
	}
	var merged []*yaml.Node
	own := map[string]bool{}
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			return s.errorAt(key, path, "a field's name must be a text")
		}
		if key.ShortTag() == "!!merge" {
			merged = append(merged, value)
			continue
		}
		if line, found := known[key.Value]; found {
			if own[key.Value] {
				return s.errorAt(key, join(path, fieldName.FindString(key.Value)), "is given twice, first on line %d: keep one", line)
			}
			// It stands over what is merged.
			if err := s.count(key, path); err != nil {
				return err
			}
			continue
		}
		valueType, err := s.fieldType(key, value, as, path)
		if err != nil {
			return err
		}
		known[key.Value], own[key.Value] = key.Line, true
		place := join(path, key.Value)
		s.lines[place] = key.Line
		if as.Kind() == reflect.Struct && strings.HasSuffix(key.Value, "_ref") {
			return s.errorAt(key, place, "needs a secret manager, which this exporter has none of: use the field or its _file form")
		}
		resolved, err := s.resolve(value, valueType, place, depth+1)
		if err != nil {
			return err
		}
		out.Content = append(out.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key.Value, Line: key.Line}, resolved)
	}
	for _, value := range merged {
		if err := s.merge(out, known, value, as, path, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// merge adds what "<<" brings in: a mapping, or a list of them.
func (s *source) merge(out *yaml.Node, known map[string]int, node *yaml.Node, as reflect.Type, path string, depth int) error {
	if err := s.count(node, path); err != nil {
		return err
	}
	if depth > maxDepth {
		return s.errorAt(node, path, "is nested more than %d deep, or an anchor refers to itself", maxDepth)
	}
	switch node.Kind {
	case yaml.AliasNode:
		return s.merge(out, known, node.Alias, as, path, depth+1)
	case yaml.SequenceNode:
		for _, item := range node.Content {
			if err := s.merge(out, known, item, as, path, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return s.fill(out, known, node, as, path, depth)
}

// fieldType returns what the value of a field is to become.
func (s *source) fieldType(key, value *yaml.Node, as reflect.Type, path string) (reflect.Type, error) {
	switch as.Kind() {
	case reflect.Struct:
		fields, rest := yamlFields(as)
		if field, known := fields[key.Value]; known {
			return field, nil
		}
		if rest == nil {
			return nil, s.unknownField(key, value, fields, path)
		}
		return rest, nil
	case reflect.Map:
		if isNull(value) {
			return nil, s.errorAt(key, path, "a name here has no value; a value with , or # must stand in quotes")
		}
		return as.Elem(), nil
	}
	return as, nil // anything
}

// accepted holds a block of prometheus/common against its own rules, which the
// library tells as it decodes, and without a line.
func (s *source) accepted(node *yaml.Node, as reflect.Type, path string) error {
	switch as {
	case reflect.TypeFor[commoncfg.HTTPClientConfig](), reflect.TypeFor[commoncfg.TLSConfig](), reflect.TypeFor[commoncfg.OAuth2]():
		if err := node.Decode(reflect.New(as).Interface()); err != nil {
			return s.errorAt(node, path, "%s", clientProblem(err))
		}
	}
	return nil
}

// fieldName is what a name of a field looks like; anything else may be a piece
// of a value and is not repeated.
var fieldName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,40}`)

func (s *source) unknownField(key, value *yaml.Node, fields map[string]reflect.Type, path string) error {
	name := fieldName.FindString(key.Value)
	known := slices.Sorted(maps.Keys(fields))
	hint := ""
	if near := nearest(name, known); near != "" {
		hint = "did you mean " + near + "?"
	} else if homes := homesOf(name, reflect.TypeFor[document](), ""); len(homes) > 0 {
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
		return s.errorAt(key, strings.TrimSuffix(join(path, name), "."), "a field is written name: value, with a space after the colon; a value with , : { } or # must stand in quotes")
	}
	if hint == "" {
		hint = "the fields here are " + strings.Join(known, ", ")
	}
	return s.errorAt(key, join(path, name), "unknown field; %s", hint)
}

// homesOf lists the blocks that have a field of the name.
func homesOf(name string, as reflect.Type, path string) (homes []string) {
	for as.Kind() == reflect.Pointer || as.Kind() == reflect.Slice {
		if as.Kind() == reflect.Slice {
			path += "[]"
		}
		as = as.Elem()
	}
	if as.Kind() != reflect.Struct {
		return nil
	}
	fields, _ := yamlFields(as)
	if _, found := fields[name]; found {
		home := path
		if home == "" {
			home = "the top level"
		}
		homes = append(homes, home)
	}
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		if field != "oauth2" && !isText(as) {
			homes = append(homes, homesOf(name, fields[field], join(path, field))...)
		}
	}
	return homes
}

// yamlFields returns the fields of a struct by their names in YAML, and the type
// of further ones if it takes any.
func yamlFields(as reflect.Type) (fields map[string]reflect.Type, rest reflect.Type) {
	fields = map[string]reflect.Type{}
	for field := range as.Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		switch {
		case !field.IsExported() && !field.Anonymous:
		case !strings.Contains(options, "inline"):
			fields[name] = field.Type
		case field.Type.Kind() == reflect.Map:
			rest = field.Type.Elem()
		default:
			inlined, _ := yamlFields(field.Type)
			maps.Copy(fields, inlined)
		}
	}
	return fields, rest
}

func join(path, field string) string {
	if path == "" {
		return field
	}
	return path + "." + field
}

// nearest returns the candidate that name is most likely a slip of, or "".
func nearest(name string, candidates []string) string {
	best, bestDistance := "", min(2, len(name)/3)+1
	for _, candidate := range candidates {
		if distance := editDistance(name, candidate); distance < bestDistance {
			best, bestDistance = candidate, distance
		}
	}
	return best
}

// editDistance is the number of letters to insert, delete or replace.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// oneLine makes an error of a library fit for a single line.
func oneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}

package config

import (
	"bytes"
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
)

// A source is a parsed file that knows on which line each of its fields stands.
type source struct {
	file  string
	lines map[string]int
	// followed are anchors whose content was checked already: a few lines of
	// YAML can refer to one another millions of times.
	followed map[followed]bool
}

type followed struct {
	node *yaml.Node
	as   reflect.Type
}

// parseFile reads the YAML into out, which holds the defaults. It checks the
// whole shape before it decodes, because the decoder's own errors quote values,
// and a value may be a password.
func parseFile(file string, content []byte, out *document) (*source, error) {
	s := &source{file: file, lines: map[string]int{}, followed: map[followed]bool{}}
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
	if err := s.check(body, reflect.TypeFor[document](), ""); err != nil {
		return nil, err
	}
	if err := decoder.Decode(&second); err == nil {
		return nil, fmt.Errorf("%s:%d: a second YAML document begins here: put everything into one", file, second.Line)
	} else if !errors.Is(err, io.EOF) {
		return nil, s.syntaxError(content, err)
	}
	if err := body.Decode(out); err != nil {
		return nil, fmt.Errorf("%s:%d: cannot be decoded: look for values of the wrong kind and for anchors that refer to one another", file, body.Line)
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
		hint = "; a value that begins with * or & must stand in quotes"
		// The parser does not say where, so look for it.
		if before, _, found := bytes.Cut(content, []byte("*"+strings.Trim(quoted.FindString(text), "' "))); found && place == s.file {
			place += fmt.Sprintf(":%d", 1+bytes.Count(before, []byte("\n")))
		}
	case strings.Contains(text, "cannot start any token"):
		hint = "; indent with spaces, not tabs, and quote a value that begins with % @ or `"
	}
	return fmt.Errorf("%s: is not valid YAML: %s%s", place, quoted.ReplaceAllString(text, ""), hint)
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

func (s *source) errorAt(node *yaml.Node, path, format string, args ...any) error {
	place := fmt.Sprintf("%s:%d: ", s.file, node.Line)
	if path != "" {
		place += path + ": "
	}
	return errors.New(place + fmt.Sprintf(format, args...))
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" }

// check holds a node against the type that it is to become.
func (s *source) check(node *yaml.Node, as reflect.Type, path string) error {
	if _, known := s.lines[path]; !known && path != "" {
		s.lines[path] = node.Line
	}
	for as.Kind() == reflect.Pointer {
		as = as.Elem()
	}
	if node.Kind == yaml.AliasNode {
		visit := followed{node.Alias, as}
		if s.followed[visit] {
			return nil
		}
		s.followed[visit] = true
		return s.check(node.Alias, as, path)
	}
	if as.Kind() == reflect.Interface || isNull(node) {
		return nil
	}
	if tag := node.ShortTag(); !strings.HasPrefix(tag, "!!") || tag == "!!binary" {
		return s.errorAt(node, path, "a YAML tag has no meaning here; a value that begins with ! must stand in quotes")
	}
	switch as.Kind() {
	case reflect.Struct:
		return s.checkStruct(node, as, path)
	case reflect.Map:
		return s.checkMapping(node, as, path, func(_, _ *yaml.Node) (reflect.Type, error) { return as.Elem(), nil })
	case reflect.Slice:
		if node.Kind != yaml.SequenceNode {
			return s.errorAt(node, path, "must be a list, such as [a, b]")
		}
		for i, item := range node.Content {
			place := fmt.Sprintf("%s[%d]", path, i)
			if isNull(item) {
				return s.errorAt(item, place, "is empty: remove it or fill it in")
			}
			if err := s.check(item, as.Elem(), place); err != nil {
				return err
			}
		}
		return nil
	}
	return s.checkScalar(node, as, path)
}

func (s *source) checkScalar(node *yaml.Node, as reflect.Type, path string) error {
	if node.Kind != yaml.ScalarNode {
		return s.errorAt(node, path, "must be a single value, not a list or a mapping")
	}
	switch as {
	case reflect.TypeFor[duration]():
		if _, err := parseDuration(node.Value); err != nil {
			return s.errorAt(node, path, "%s", err)
		}
		return nil
	case reflect.TypeFor[commoncfg.TLSVersion]():
		if _, known := commoncfg.TLSVersions[node.Value]; !known {
			return s.errorAt(node, path, "must be TLS10, TLS11, TLS12 or TLS13")
		}
		return nil
	}
	var probe any
	var wanted string
	switch as.Kind() {
	case reflect.Bool:
		probe, wanted = new(bool), "must be true or false"
	case reflect.Int:
		probe, wanted = new(int), "must be a whole number"
	default:
		probe, wanted = new(string), "must be a text"
	}
	if node.Decode(probe) != nil {
		return s.errorAt(node, path, "%s", wanted)
	}
	return nil
}

func (s *source) checkStruct(node *yaml.Node, as reflect.Type, path string) error {
	if as == reflect.TypeFor[commoncfg.URL]() {
		if node.Kind != yaml.ScalarNode {
			return s.errorAt(node, path, "must be a URL")
		}
		if _, err := url.Parse(node.Value); err != nil {
			return s.errorAt(node, path, "is no URL; special characters of a user or password must be percent-encoded")
		}
		return nil
	}
	if as == reflect.TypeFor[probeSettings]() && node.ShortTag() == "!!bool" {
		return nil
	}
	fields, rest := yamlFields(as)
	err := s.checkMapping(node, as, path, func(key, value *yaml.Node) (reflect.Type, error) {
		if field, known := fields[key.Value]; known {
			return field, nil
		}
		if rest != nil {
			return rest, nil
		}
		return nil, s.unknownField(key, value, fields, path)
	})
	if err != nil {
		return err
	}
	// These validate as they decode, and say so without a line.
	switch as {
	case reflect.TypeFor[commoncfg.HTTPClientConfig](), reflect.TypeFor[commoncfg.TLSConfig](), reflect.TypeFor[commoncfg.OAuth2]():
		if err := node.Decode(reflect.New(as).Interface()); err != nil {
			if _, ok := errors.AsType[*yaml.TypeError](err); ok {
				return s.errorAt(node, path, "holds a value of the wrong kind")
			}
			return s.errorAt(node, path, "%s", oneLine(err))
		}
	}
	return nil
}

// checkMapping checks each value of a mapping as the type that typeOf returns
// for its key.
func (s *source) checkMapping(node *yaml.Node, as reflect.Type, path string, typeOf func(key, value *yaml.Node) (reflect.Type, error)) error {
	if node.Kind != yaml.MappingNode {
		return s.errorAt(node, path, "must be a mapping of fields, such as {field: value} with a space after the colon")
	}
	first := map[string]int{}
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			return s.errorAt(key, path, "a field's name must be a text")
		}
		if key.ShortTag() == "!!merge" {
			if err := s.checkMerge(value, as, path, typeOf); err != nil {
				return err
			}
			continue
		}
		valueType, err := typeOf(key, value)
		if err != nil {
			return err
		}
		if as.Kind() == reflect.Map && isNull(value) {
			return s.errorAt(key, path, "a name here has no value; a value with , or # must stand in quotes")
		}
		if line, twice := first[key.Value]; twice {
			return s.errorAt(key, join(path, fieldName.FindString(key.Value)), "is given twice, first on line %d: keep one", line)
		}
		first[key.Value] = key.Line
		s.lines[join(path, key.Value)] = key.Line
		if err := s.check(value, valueType, join(path, key.Value)); err != nil {
			return err
		}
	}
	return nil
}

// checkMerge checks what "<<" brings in: a mapping, or a list of them.
func (s *source) checkMerge(node *yaml.Node, as reflect.Type, path string, typeOf func(key, value *yaml.Node) (reflect.Type, error)) error {
	if node.Kind == yaml.SequenceNode {
		for _, item := range node.Content {
			if err := s.checkMerge(item, as, path, typeOf); err != nil {
				return err
			}
		}
		return nil
	}
	if node.Kind == yaml.AliasNode {
		visit := followed{node.Alias, as}
		if s.followed[visit] {
			return nil
		}
		s.followed[visit] = true
		node = node.Alias
	}
	return s.checkMapping(node, as, path, typeOf)
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
		if field != "oauth2" && as != reflect.TypeFor[commoncfg.URL]() {
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
		case !field.IsExported():
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

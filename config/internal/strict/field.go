package strict

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	commoncfg "github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"
)

// A Field of a struct, or what a list or a mapping is of: then it has no Key.
type Field struct {
	// Key is its name in YAML.
	Key  string
	Type reflect.Type
	Tag  reflect.StructTag
	// file says that texts here are paths of files.
	file bool
	// fields of a struct that is walked, and the type of further ones.
	fields []Field
	rest   reflect.Type
}

// Fields returns the fields of a struct as YAML has them, and the type of further
// ones if it takes any.
func Fields(as reflect.Type) (all []Field, rest reflect.Type) {
	for field := range as.Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		switch {
		case !field.IsExported() && !field.Anonymous:
		case !strings.Contains(options, "inline"):
			file := strings.HasSuffix(name, "_file") || strings.HasSuffix(name, "_files") || field.Tag.Get("path") != "" || name == "files" && as == reflect.TypeFor[commoncfg.Header]()
			all = append(all, Field{Key: name, Type: field.Type, Tag: field.Tag, file: file})
		case field.Type.Kind() == reflect.Map:
			rest = field.Type.Elem()
		default:
			inlined, _ := Fields(field.Type)
			all = append(all, inlined...)
		}
	}
	return all, rest
}

// Join names a field of a block, and Item an item of a list.
func Join(path, field string) string {
	if path == "" {
		return field
	}
	return path + "." + field
}

// Item names an item of a list.
func Item(field string, index int) string { return fmt.Sprintf("%s[%d]", field, index) }

var fieldName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,40}`)

// FieldName is what of a text looks like the name of a field; anything else may be
// a piece of a value and is not repeated.
func FieldName(text string) string { return fieldName.FindString(text) }

// Child is the value of a field, nil where it or the mapping is not there.
func Child(node *yaml.Node, key string) *yaml.Node {
	if node == nil {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

// Nearest returns the candidate that name is most likely a slip of, or "".
func Nearest(name string, candidates []string) string {
	for letters := range min(2, len(name)/3) + 1 {
		if i := slices.IndexFunc(candidates, func(candidate string) bool { return near(name, candidate, letters) }); i >= 0 {
			return candidates[i]
		}
	}
	return ""
}

// near tells whether a becomes b by so many letters that are inserted, deleted or
// replaced.
func near(a, b string, letters int) bool {
	for a != "" && b != "" && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	if a == "" || b == "" {
		return len(a)+len(b) <= letters
	}
	return letters > 0 && (near(a[1:], b, letters-1) || near(a, b[1:], letters-1) || near(a[1:], b[1:], letters-1))
}

// OneLine makes an error of a library fit for a single line.
func OneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

package strict

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var (
	references = regexp.MustCompile(`\$\$|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)\})?`)
	// dollars are those that expand would not leave as they are.
	dollars = regexp.MustCompile(`\$+\{|\$\$+`)
)

// expand puts variables of the environment in the place of ${NAME}. "$$" stands
// for "$", and a "$" before anything else for itself: "^orders$" is as it is. What
// comes out has at most limit bytes.
func (d *Document) expand(text string, limit int) (out string, err error) {
	size := len(text)
	if size <= limit && !strings.Contains(text, "$") {
		return text, nil
	}
	out = references.ReplaceAllStringFunc(text, func(reference string) string {
		value, name := "$", strings.Trim(reference, "${}")
		switch {
		case err != nil || size > limit:
			return ""
		case name != "":
			found, set := d.variable(name)
			if value = found; !set {
				err = fmt.Errorf("the variable %s is not set, or empty; $${ stands for ${ itself", name)
			}
		case reference != "$$":
			err = errors.New("${ must be followed by the name of a variable and }, such as ${PASSWORD}; $${ stands for ${ itself")
		}
		size += len(value) - len(reference)
		return value
	})
	if err == nil && size > limit {
		err = fmt.Errorf("with its anchors and variables the file has more than %d MB", maxBytes>>20)
	}
	return out, err
}

// Unexpanded writes a text so that it is read as it is.
func Unexpanded(text string) string {
	return dollars.ReplaceAllStringFunc(text, func(run string) string { return strings.ReplaceAll(run, "$", "$$") })
}

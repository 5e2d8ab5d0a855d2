package strict

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var variableReference = regexp.MustCompile(`^\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// expand puts variables of the environment in the place of ${NAME}. "$$" stands
// for "$", and a "$" before anything else for itself: "^orders$" is as it is. What
// comes out has at most limit bytes.
func (d *Document) expand(text string, limit int) (string, error) {
	before, rest, found := strings.Cut(text, "$")
	if !found && len(text) <= limit {
		return text, nil
	}
	var out strings.Builder
	for ; found; before, rest, found = strings.Cut(rest, "$") {
		if out.WriteString(before); out.Len() > limit {
			break
		}
		switch {
		case strings.HasPrefix(rest, "$"):
			out.WriteByte('$')
			rest = rest[1:]
		case strings.HasPrefix(rest, "{"):
			match := variableReference.FindStringSubmatch(rest)
			if match == nil {
				return "", errors.New("${ must be followed by the name of a variable and }, such as ${PASSWORD}; $${ stands for ${ itself")
			}
			value, set := d.variable(match[1])
			if !set {
				return "", fmt.Errorf("the variable %s is not set, or empty; $${ stands for ${ itself", match[1])
			}
			out.WriteString(value)
			rest = rest[len(match[0]):]
		default:
			out.WriteByte('$')
		}
	}
	if out.WriteString(before); out.Len() > limit {
		return "", fmt.Errorf("with its anchors and variables the file has more than %d MB", maxBytes>>20)
	}
	return out.String(), nil
}

// Unexpanded writes a text so that it is read as it is.
func Unexpanded(text string) string {
	return dollars.ReplaceAllStringFunc(text, func(run string) string { return strings.ReplaceAll(run, "$", "$$") })
}

// dollars are those that expand would not leave as they are.
var dollars = regexp.MustCompile(`\$+\{|\$\$+`)

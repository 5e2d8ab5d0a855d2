package strict

import (
	"fmt"
	"slices"
	"strings"
)

// A Place names the place of a field, to tell what is wrong there.
type Place func(field string) string

// Wrong is an error about a field.
func (p Place) Wrong(field, format string, args ...any) error {
	return fmt.Errorf("%s: %s", p(field), fmt.Sprintf(format, args...))
}

// When is an error about a field if it is wrong.
func (p Place) When(wrong bool, field, format string, args ...any) error {
	if !wrong {
		return nil
	}
	return p.Wrong(field, format, args...)
}

// Choice is an error about a field that is none of some words.
func (p Place) Choice(field, value string, words ...string) error {
	last := len(words) - 1
	return p.When(!slices.Contains(words, value), field, "must be %s or %s", strings.Join(words[:last], ", "), words[last])
}

// Between is one about a number that is not from min to max.
func (p Place) Between(field string, value, min, max int) error {
	return p.When(value < min || value > max, field, "%d is not between %d and %d", value, min, max)
}

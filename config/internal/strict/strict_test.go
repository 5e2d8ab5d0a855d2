package strict

import (
	"testing"

	"pgregory.net/rapid"
)

// What is written so that it is not expanded, is not.
func TestUnexpanded(t *testing.T) {
	d := &Document{variable: func(string) (string, bool) { return "x", true }}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[$\{\}A b]{0,12}`).Draw(t, "text")
		if got, err := d.expand(Unexpanded(text), 100); err != nil || got != text {
			t.Fatalf("%q becomes %q, then %q, %v", text, Unexpanded(text), got, err)
		}
	})
}

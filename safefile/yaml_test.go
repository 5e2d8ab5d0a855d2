package safefile

import (
	"errors"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestCheckNode(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		well bool
	}{
		"a file":             {"a: [b, c]\nd: {e: f}\n", true},
		"an anchor":          {"a: &a {b: c}\nd: *a\ne: {<<: *a}\n", true},
		"a bomb of lists":    {"a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\nd: [*c, *c, *c, *c]\n", false},
		"a bomb of merges":   {"a: &a {x: y}\nb: &b {<<: [*a, *a, *a, *a]}\nc: &c {<<: [*b, *b, *b, *b]}\nd: &d {<<: [*c, *c, *c, *c]}\ne: {<<: [*d, *d, *d, *d]}\n", false},
		"one of itself":      {"a: &a [*a]\n", false},
		"very deep":          {"a: " + strings.Repeat("[", 200) + strings.Repeat("]", 200), false},
		"more than the most": {strings.Repeat("- a\n", 200), false},
	} {
		var node yaml.Node
		if err := yaml.Unmarshal([]byte(test.text), &node); err != nil {
			t.Fatal(err)
		}
		if _, err := CheckNode(&node, 150); (err == nil) != test.well || err != nil && !errors.Is(err, ErrYAML) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckYAML(t *testing.T) {
	for text, well := range map[string]bool{
		"a: b\n":                                true,
		strings.Repeat("x", 1<<20):              true,
		strings.Repeat("http://a:b@c-d:1", 1e5): true,
		strings.Repeat("a,", 1<<20):             false,
		strings.Repeat("- ", 1<<20):             false,
		strings.Repeat("#\n", 1<<20):            false,
	} {
		if err := CheckYAML([]byte(text)); (err == nil) != well {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

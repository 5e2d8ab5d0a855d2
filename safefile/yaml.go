package safefile

import (
	"errors"

	"go.yaml.in/yaml/v3"
)

// ErrYAML tells of a YAML file that stands for more than is made of it.
var ErrYAML = errors.New("has too many values, or anchors that stand for too many")

const (
	// maxMarks bounds a file before it is parsed: each value needs a mark of its
	// own, and the parser makes some 200 bytes of each.
	maxMarks = 400_000
	// maxYAMLDepth is deeper than any file that people write.
	maxYAMLDepth = 100
)

// CheckYAML bounds the text of a YAML file before it is parsed.
func CheckYAML(content []byte) error {
	marks := 0
	for i, c := range content {
		switch c {
		case ',', '[', '{', '\n', '?':
			marks++
		case ':', '-':
			// In a text they stand between letters.
			if i+1 == len(content) || content[i+1] <= ' ' {
				marks++
			}
		}
	}
	if marks > maxMarks {
		return ErrYAML
	}
	return nil
}

// CheckNode bounds what a YAML node stands for, aliases and merge keys followed,
// before it is decoded: to values in all. It returns how many are left.
func CheckNode(node *yaml.Node, values int) (left int, err error) {
	if !within(node, &values, 0) {
		return 0, ErrYAML
	}
	return values, nil
}

func within(node *yaml.Node, left *int, depth int) bool {
	if *left--; *left < 0 || depth > maxYAMLDepth {
		return false
	}
	if node.Kind == yaml.AliasNode {
		return within(node.Alias, left, depth+1)
	}
	for _, inner := range node.Content {
		if !within(inner, left, depth+1) {
			return false
		}
	}
	return true
}

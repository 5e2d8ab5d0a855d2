package discovery

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/safefile"
)

// A Document is one resource of a file.
type Document struct {
	File string
	// Line at which it begins, and Number of the document in its file, from 1.
	Line, Number int
	Node         *yaml.Node
	Kind         Kind
}

// String is resources.yaml:12 (document 2).
func (d Document) String() string {
	return fmt.Sprintf("%s:%d (document %d)", d.File, d.Line, d.Number)
}

// A FileError is what is wrong with a file as a whole: of its resources, more may
// exist than could be read.
type FileError struct {
	File string
	Err  error
}

// Error implements error.
func (e FileError) Error() string { return e.File + ": " + e.Err.Error() }

// Unwrap is for [errors.Is].
func (e FileError) Unwrap() error { return e.Err }

// maxValues is how many a file may stand for, aliases followed: as many as one without
// anchors can have.
const maxValues = 400_000

// Documents reads the resources of files: those of the kinds that are wanted, or
// of all that are known if none are named. Documents of other kinds are passed
// over, as a repository of manifests has many. A file that cannot be read or is no
// YAML is one problem, and costs no other file.
func Documents(files []string, wanted ...Kind) (all []Document, problems []FileError) {
	if len(wanted) == 0 {
		wanted = known()
	}
	for _, file := range files {
		content, err := safefile.Read(file, safefile.MaxConfig)
		if err != nil {
			problems = append(problems, FileError{file, err})
			continue
		}
		if err := safefile.CheckYAML(content); err != nil {
			problems = append(problems, FileError{file, err})
			continue
		}
		decoder, left := yaml.NewDecoder(bytes.NewReader(content)), maxValues
		for number := 1; ; number++ {
			var node yaml.Node
			err := decoder.Decode(&node)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				// The library's own words may quote a value.
				problems = append(problems, FileError{file, fmt.Errorf("document %d is no YAML", number)})
				break
			}
			if node.Kind != yaml.DocumentNode || len(node.Content) != 1 || node.Content[0].Kind != yaml.MappingNode {
				continue
			}
			root := node.Content[0]
			if left, err = safefile.CheckNode(root, left); err != nil {
				problems = append(problems, FileError{file, fmt.Errorf("document %d %w", number, err)})
				break
			}
			for _, resource := range resources(root) {
				if kind, is := kindOf(resource, wanted); is {
					all = append(all, Document{File: file, Line: resource.Line, Number: number, Node: resource, Kind: kind})
				}
			}
		}
	}
	return all, problems
}

// resources are those of a document: itself, or what it lists, as kubectl get -o
// yaml does.
func resources(root *yaml.Node) []*yaml.Node {
	if scalar(child(root, "apiVersion")) != "v1" || scalar(child(root, "kind")) != "List" {
		return []*yaml.Node{root}
	}
	items := child(root, "items")
	if items == nil || items.Kind != yaml.SequenceNode {
		return nil
	}
	return items.Content
}

// kindOf finds the kind of a manifest by its apiVersion and kind.
func kindOf(root *yaml.Node, wanted []Kind) (Kind, bool) {
	version, name := scalar(child(root, "apiVersion")), scalar(child(root, "kind"))
	group, version, found := strings.Cut(version, "/")
	if !found {
		return Kind{}, false
	}
	for _, k := range wanted {
		if k.KindName() == name && k.Group == group && slices.Contains(k.Versions(), version) {
			return k, true
		}
	}
	return Kind{}, false
}

// known are all kinds that have a name, and those of IBM Event Streams.
func known() (all []Kind) {
	for _, some := range kinds {
		all = append(all, some...)
	}
	for _, k := range kinds["strimzi"] {
		k.Group = "eventstreams.ibm.com"
		all = append(all, k)
	}
	return all
}

// Object reduces a document. A namespace that it does not name is "default".
func (d Document) Object() (*Object, error) {
	var resource map[string]any
	if err := d.Node.Decode(&resource); err != nil {
		return nil, fmt.Errorf("%s: is no resource: a mapping has a key twice, or one that is no text", d)
	}
	if metadata, is := resource["metadata"].(map[string]any); is && tree(metadata).text("namespace") == "" {
		metadata["namespace"] = "default"
	}
	o := Reduce(d.Kind, resource)
	if o.Name == "" {
		return nil, fmt.Errorf("%s: has no metadata.name", d)
	}
	return o, nil
}

// Glob returns the files that patterns name, sorted, each once. A pattern
// without files is no error: they may come.
func Glob(patterns []string) ([]string, error) {
	var all []string
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("%s is no pattern of file names", pattern)
		}
		all = append(all, files...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

func child(mapping *yaml.Node, key string) *yaml.Node {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

func scalar(node *yaml.Node) string {
	if node == nil || node.Kind != yaml.ScalarNode {
		return ""
	}
	return node.Value
}

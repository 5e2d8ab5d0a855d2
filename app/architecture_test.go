package app

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// module begins the paths of this module's packages.
const module = "github.com/kafka-connect-exporter/kafka-connect-exporter/"

// imports are the packages of this module, each with what its code outside of
// tests imports on any platform; those of this module without its name.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	packages := map[string][]string{}
	err := filepath.WalkDir("..", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			_, err := os.Stat(filepath.Join(name, "go.mod"))
			if name != ".." && (err == nil || strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		relative, err := filepath.Rel("..", filepath.Dir(name))
		if err != nil {
			return err
		}
		of := filepath.ToSlash(relative)
		packages[of] = append(packages[of], nil...) // One of tests alone is a package, too.
		if strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range file.Imports {
			imported, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			packages[of] = append(packages[of], strings.TrimPrefix(imported, module))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

// room is what docs/architecture.md says of a package.
type room struct {
	floor  int
	unseen []string // packages, with all below them, that it must not know
}

// The table of docs/architecture.md names exactly the packages that there are,
// each imports only from floors below its own, and none knows, by whatever way,
// what it must not know.
func TestArrowsPointDown(t *testing.T) {
	text, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile("`([^`]+)`")
	rooms := map[string]room{}
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \| (.*?) \|.*\| (.*?) ?\|$`).FindAllStringSubmatch(string(text), -1) {
		floor, err := strconv.Atoi(row[1])
		if err != nil {
			t.Fatal(err)
		}
		var unseen []string
		for _, name := range code.FindAllStringSubmatch(row[3], -1) {
			unseen = append(unseen, name[1])
		}
		for _, name := range code.FindAllStringSubmatch(row[2], -1) {
			if _, twice := rooms[name[1]]; twice {
				t.Errorf("docs/architecture.md names %s twice", name[1])
			}
			rooms[name[1]] = room{floor: floor, unseen: unseen}
		}
	}
	packages := imports(t)
	if len(packages) < 20 {
		t.Fatalf("%d packages found: this test looks in the wrong place", len(packages))
	}
	for name := range rooms {
		if _, there := packages[name]; !there {
			t.Errorf("docs/architecture.md names %s, and there is no such package", name)
		}
	}
	// known is all that a package imports, and what that imports.
	var known func(name string, into map[string]string, by string)
	known = func(name string, into map[string]string, by string) {
		for _, imported := range packages[name] {
			if _, seen := into[imported]; !seen {
				into[imported] = by + " > " + imported
				known(imported, into, into[imported])
			}
		}
	}
	for name := range packages {
		own, named := rooms[name]
		if !named {
			t.Errorf("docs/architecture.md does not name %s", name)
			continue
		}
		for _, imported := range packages[name] {
			if imported == name { // by a generator that stands beside it
				continue
			}
			if _, ours := packages[imported]; ours && rooms[imported].floor >= own.floor {
				t.Errorf("%s (floor %d) imports %s (floor %d)", name, own.floor, imported, rooms[imported].floor)
			}
		}
		into := map[string]string{}
		known(name, into, name)
		for imported, by := range into {
			for _, unseen := range own.unseen {
				if imported == unseen || strings.HasPrefix(imported, unseen+"/") {
					t.Errorf("%s must not know %s: %s", name, unseen, by)
				}
			}
		}
	}
}

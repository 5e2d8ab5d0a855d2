package web

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each fault that docs/faults.md says is tried by a test is tried by one.
func TestFaultsAreTried(t *testing.T) {
	page, err := os.ReadFile("../docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)`([a-z/-]+)` (Test\\w+) \\|$").FindAllStringSubmatch(string(page), -1)
	if len(rows) < 20 {
		t.Errorf("%d rows: this test does not read the page", len(rows))
	}
	for _, row := range rows {
		found := false
		files, err := filepath.Glob("../" + row[1] + "/*_test.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.Contains(string(text), "func "+row[2]+"(")
		}
		if !found {
			t.Errorf("%s has no %s", row[1], row[2])
		}
	}
}

package app

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// testsOf are the names of the tests in the folder of a package, from the root.
func testsOf(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w*)\(`).FindAllStringSubmatch(string(text), -1) {
			names[match[1]] = true
		}
	}
	return names
}

// Each claim of SECURITY.md, and each fault that docs/faults.md says was tried,
// names tests, and these are there.
func TestClaimsNameTheirTests(t *testing.T) {
	name := regexp.MustCompile("`([a-z0-9/-]+)`?[. ]((?:Test|Fuzz)\\w+)`?")
	check := func(where, text string) (found int) {
		for _, match := range name.FindAllStringSubmatch(text, -1) {
			found++
			if !testsOf(t, match[1])[match[2]] {
				t.Errorf("%s: there is no test %s in %s", where, match[2], match[1])
			}
		}
		return found
	}
	texts := documents(t)
	claims := 0
	_, security, _ := strings.Cut(texts["../SECURITY.md"], "## Who may reach what")
	for line := range strings.Lines(security) {
		if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| what ") {
			claims++
			if check("SECURITY.md", line) == 0 {
				t.Errorf("SECURITY.md: no test is named by %s", line)
			}
		}
	}
	if claims < 20 {
		t.Errorf("%d claims in SECURITY.md: this test looks in the wrong place", claims)
	}
	rows := 0
	tried := false
	for line := range strings.Lines(texts["../docs/faults.md"]) {
		switch {
		case strings.HasPrefix(line, "#"):
			tried = false
		case strings.Contains(line, "| tried by |"):
			tried = true
		case tried && strings.HasPrefix(line, "| "):
			rows++
			if check("docs/faults.md", line) == 0 {
				t.Errorf("docs/faults.md: no test is named by %s", line)
			}
		}
	}
	if rows < 20 {
		t.Errorf("%d faults in docs/faults.md: this test looks in the wrong place", rows)
	}
}

// No fault is left that does what it should not: a row says what becomes of it, and
// none that it is to be mended.
func TestFaultsAreMended(t *testing.T) {
	otherwise := regexp.MustCompile(`(?i)\b(todo|fixme|unknown yet|not yet handled|not handled|fails to|crash(es)?|panics?|hangs for ever|out of memory|leaks?|to be mended|known bug)\b|❌|✗`)
	for line := range strings.Lines(documents(t)["../docs/faults.md"]) {
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if len(cells) < 2 {
			t.Errorf("what becomes of it is not said: %s", line)
			continue
		}
		// What is done may be anything; what becomes of it may not.
		if said := strings.Join(cells[1:], " "); strings.TrimSpace(strings.Trim(said, "| ")) == "" || otherwise.MatchString(said) {
			t.Errorf("docs/faults.md says otherwise: %s", line)
		}
	}
}

package app

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
)

// documents are the README and everything in docs, by path from here.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"../*.md", "../docs/*.md", "../docs/*/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			texts[name] = string(text)
		}
	}
	return texts
}

func TestLinksInDocumentsLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)
	for name, text := range documents(t) {
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			if target := match[1]; !strings.Contains(target, ":") {
				if _, err := os.Stat(filepath.Join(filepath.Dir(name), target)); err != nil {
					t.Errorf("%s: %s", strings.TrimPrefix(name, "../"), err)
				}
			}
		}
	}
}

// docs/index.md is the one map: from it every page can be reached.
func TestEveryPageIsOnTheMap(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]+\.md)[^)]*\)`)
	texts := documents(t)
	const index = "../docs/index.md"
	reached := map[string]bool{index: true}
	for _, match := range link.FindAllStringSubmatch(texts[index], -1) {
		reached[filepath.Join(filepath.Dir(index), match[1])] = true
	}
	for name := range texts {
		if !reached[name] {
			t.Errorf("%s: docs/index.md does not link it", strings.TrimPrefix(name, "../"))
		}
	}
	if readme := texts["../README.md"]; !strings.Contains(readme, "(docs/index.md)") {
		t.Error("README.md does not link docs/index.md")
	}
}

// What a reader may copy into a configuration file is accepted.
func TestConfigurationsInDocumentsAreRight(t *testing.T) {
	block := regexp.MustCompile("(?s)```ya?ml\n(.*?)```")
	found := 0
	for name, text := range documents(t) {
		for _, match := range block.FindAllStringSubmatch(text, -1) {
			if !regexp.MustCompile(`(?m)^clusters:`).MatchString(match[1]) {
				continue
			}
			found++
			// Secrets are where the document says only on the reader's machine.
			directory := t.TempDir()
			local := regexp.MustCompile(`(?m)([a-z_]*file: ?)"?(/[^\s"},]+)"?`).ReplaceAllStringFunc(match[1], func(setting string) string {
				key, path, _ := strings.Cut(setting, ":")
				secret := filepath.Join(directory, filepath.Base(strings.Trim(path, ` "`)))
				write(t, secret, "secret")
				return key + ": " + secret
			})
			if _, err := config.Load(config.Sources{File: file(t, "%s", local), Environ: []string{"TEAM=orders", "ORDERS_PASSWORD=secret"}}); err != nil {
				t.Errorf("%s: %v\n%s", strings.TrimPrefix(name, "../"), err, match[1])
			}
		}
	}
	if found < 2 {
		t.Errorf("%d configurations found in the documents: this test looks in the wrong place", found)
	}
}

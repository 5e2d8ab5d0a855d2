package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzFile: whatever a file holds, it is a configuration that can be printed, or
// an error of one line.
func FuzzFile(f *testing.F) {
	files, _ := filepath.Glob("testdata/invalid-*.yml")
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Add([]byte(secretFile))
	f.Fuzz(func(t *testing.T, content []byte) {
		file := filepath.Join(t.TempDir(), "clusters.yml")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		config, err := Load(Sources{File: file})
		if err != nil {
			if text := err.Error(); !strings.HasPrefix(text, file) || strings.Contains(text, "\n") {
				t.Errorf("%q", text)
			}
			return
		}
		if len(config.Clusters()) == 0 || len(config.Masked()) == 0 {
			t.Error("a configuration without clusters")
		}
	})
}

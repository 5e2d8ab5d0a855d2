package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What is linked may be handed on with the exporter: permissive licences alone.
func TestLicences(t *testing.T) {
	t.Parallel()
	output, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}\t{{.Dir}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := map[string]string{}
	for line := range strings.Lines(string(output)) {
		if path, folder, found := strings.Cut(strings.TrimSpace(line), "\t"); found {
			modules[path] = folder
		}
	}
	if len(modules) < 50 {
		t.Errorf("%d modules: this test does not see what is linked", len(modules))
	}
	// The words by which a licence is told from others: Apache, MIT, BSD, ISC.
	permissive := regexp.MustCompile(`Apache License|Permission is hereby granted, free of charge|Redistribution and use in source and binary forms|Permission to use, copy, modify, and(/or)? distribute`)
	restricted := regexp.MustCompile(`GENERAL PUBLIC LICENSE|Mozilla Public License|Business Source License|Server Side Public License|Elastic License`)
	for path, folder := range modules {
		files, err := filepath.Glob(filepath.Join(folder, "[LC][IO][CP][EY]*"))
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text += string(content)
		}
		if !permissive.MatchString(text) || restricted.MatchString(text) {
			t.Errorf("%s has no permissive licence among %v", path, files)
		}
	}
}

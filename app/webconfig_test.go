//go:build unix

package app

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestCheckWebConfig(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ path, want string }{
		"none":               {"", ""},
		"a pipe":             {pipe, "cannot be read: is a pipe, not a regular file"},
		"a device":           {"/dev/zero", "cannot be read: is a device, not a regular file"},
		"a key that is one":  {file(t, "tls_server_config: {cert_file: %s, key_file: %s}\n", pipe, pipe), pipe + " cannot be read: is a pipe, not a regular file"},
		"authorities":        {file(t, "tls_server_config: {client_ca_file: %s}\n", pipe), pipe + " cannot be read: is a pipe, not a regular file"},
		"a bomb":             {file(t, "%s", "http_server_config: &a {a: b}\n"+bomb(30)), "has too many values"},
		"a value":            {file(t, "basic_auth_users: hunter2\n"), "cannot unmarshal"},
		"an anchor":          {file(t, "basic_auth_users: {a: *hunter2}\n"), "unknown anchor"},
		"users, as they are": {file(t, "basic_auth_users: {}\n"), ""},
	} {
		err := checkWebConfig("--web.config.file", test.path)
		switch {
		case test.want == "" && err != nil, test.want != "" && err == nil:
			t.Errorf("%s: %v", name, err)
		case err != nil && (!strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n")):
			t.Errorf("%s: %v", name, err)
		}
	}
}

// bomb is YAML of which each line stands for four times the one before.
func bomb(lines int) string {
	text, before := "a0: &a0 {a: b}\n", "a0"
	for i := range lines {
		name := fmt.Sprintf("b%d", i)
		text += fmt.Sprintf("%s: &%s {<<: [*%s, *%s, *%s, *%s]}\n", name, name, before, before, before, before)
		before = name
	}
	return text
}

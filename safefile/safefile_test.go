//go:build unix

package safefile

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	commoncfg "github.com/prometheus/common/config"
)

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func pipe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRead(t *testing.T) {
	file := write(t, "file", "secret\n")
	link := filepath.Join(t.TempDir(), "link")
	linkToPipe := filepath.Join(t.TempDir(), "link")
	for at, to := range map[string]string{link: file, linkToPipe: pipe(t)} {
		if err := os.Symlink(to, at); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ name, path, wrong string }{
		{"a file", file, ""},
		{"a link to one", link, ""},
		{"missing", filepath.Join(t.TempDir(), "missing"), "cannot be read: no such file or directory"},
		{"a directory", t.TempDir(), "cannot be read: is a directory"},
		{"a pipe", pipe(t), "cannot be read: is a pipe, not a regular file"},
		{"a link to a pipe", linkToPipe, "cannot be read: is a pipe, not a regular file"},
		{"a device", "/dev/zero", "cannot be read: is a device, not a regular file"},
		{"too large", write(t, "large", strings.Repeat("x", 1025)), "cannot be read: it is larger than 1 KB"},
	} {
		content, err := Read(test.path, 1<<10)
		switch {
		case test.wrong == "" && (err != nil || string(content) != "secret\n"):
			t.Errorf("%s: %q, %v", test.name, content, err)
		case test.wrong != "" && (err == nil || err.Error() != test.wrong):
			t.Errorf("%s: got %v, want %s", test.name, err, test.wrong)
		}
	}
}

// Each file of a client's settings is read again with each request, and one that
// became a pipe meanwhile fails the request and holds up nothing.
func TestTransportFollowsFiles(t *testing.T) {
	var got http.Header
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			if user, secret, _ := r.BasicAuth(); user != "exporter" || secret != "one" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"access_token":"token","token_type":"Bearer"}`))
			return
		}
		got = r.Header
	}))
	defer server.Close()
	trust := commoncfg.TLSConfig{InsecureSkipVerify: true}
	for name, settings := range map[string]func(file string) commoncfg.HTTPClientConfig{
		"username": func(file string) commoncfg.HTTPClientConfig {
			return commoncfg.HTTPClientConfig{BasicAuth: &commoncfg.BasicAuth{UsernameFile: file, Password: "x"}}
		},
		"password": func(file string) commoncfg.HTTPClientConfig {
			return commoncfg.HTTPClientConfig{BasicAuth: &commoncfg.BasicAuth{Username: "x", PasswordFile: file}}
		},
		"authorization": func(file string) commoncfg.HTTPClientConfig {
			return commoncfg.HTTPClientConfig{Authorization: &commoncfg.Authorization{Type: "Bearer", CredentialsFile: file}}
		},
		"bearer_token": func(file string) commoncfg.HTTPClientConfig {
			return commoncfg.HTTPClientConfig{BearerTokenFile: file}
		},
		"oauth2": func(file string) commoncfg.HTTPClientConfig {
			return commoncfg.HTTPClientConfig{OAuth2: &commoncfg.OAuth2{ClientID: "exporter", ClientSecretFile: file, TokenURL: server.URL + "/token", TLSConfig: trust}}
		},
		"header": func(file string) commoncfg.HTTPClientConfig {
			return commoncfg.HTTPClientConfig{HTTPHeaders: &commoncfg.Headers{Headers: map[string]commoncfg.Header{"X-Key": {Files: []string{file}, Values: []string{"zero"}}}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := write(t, "secret", "one\n")
			c := settings(file)
			c.TLSConfig, c.FollowRedirects = trust, true
			transport, err := Transport(c, "test")
			if err != nil {
				t.Fatal(err)
			}
			client := &http.Client{Transport: transport}
			defer client.CloseIdleConnections()
			ask := func() (http.Header, error) {
				response, err := client.Get(server.URL)
				if err != nil {
					return nil, err
				}
				_ = response.Body.Close()
				return got, nil
			}
			first, err := ask()
			if err != nil {
				t.Fatal(err)
			}
			if name != "oauth2" { // Its token holds as long as its secret.
				if err := os.WriteFile(file, []byte("two\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				second, err := ask()
				if err != nil {
					t.Fatal(err)
				}
				if first.Get("Authorization") == second.Get("Authorization") && strings.Join(first["X-Key"], " ") == strings.Join(second["X-Key"], " ") {
					t.Errorf("the new content is not sent: %v", second)
				}
			}
			if name == "header" && strings.Join(first["X-Key"], " ") != "one zero" {
				t.Errorf("headers %v", first)
			}
			if err := os.Rename(pipe(t), file); err != nil {
				t.Fatal(err)
			}
			if _, err := ask(); err == nil || !strings.Contains(err.Error(), file+" cannot be read: is a pipe, not a regular file") {
				t.Errorf("of a pipe: %v", err)
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte("one"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := ask(); err != nil {
				t.Errorf("of a file that is whole again: %v", err)
			}
		})
	}
}

// The authorities likewise, as certificates are.
func TestTransportFollowsCertificates(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	file := write(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	transport, err := Transport(commoncfg.HTTPClientConfig{TLSConfig: commoncfg.TLSConfig{CAFile: file}}, "test")
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: transport}
	defer client.CloseIdleConnections()
	response, err := client.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if err := os.Rename(pipe(t), file); err != nil {
		t.Fatal(err)
	}
	if response, err = client.Get(server.URL); err == nil || !strings.Contains(err.Error(), "is a pipe") {
		t.Errorf("of a pipe: %v", err)
	}
	if err == nil {
		_ = response.Body.Close()
	}
}

func TestCheckAWS(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	for _, name := range []string{"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_CA_BUNDLE"} {
		t.Setenv(name, filepath.Join(home, "missing"))
		if err := CheckAWS(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		path := pipe(t)
		t.Setenv(name, path)
		if err := CheckAWS(); err == nil || err.Error() != path+" cannot be read: is a pipe, not a regular file" {
			t.Errorf("%s: %v", name, err)
		}
		t.Setenv(name, "")
	}
	if err := os.MkdirAll(filepath.Join(home, ".aws", "config"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := CheckAWS(); err == nil || !strings.HasSuffix(err.Error(), "/.aws/config cannot be read: is a directory") {
		t.Error(err)
	}
}

// Files of the kernel pass for regular ones. Some wait for something to be said.
func TestFilesOfTheKernelDoNotHang(t *testing.T) {
	done := make(chan error, 1)
	go func() {
		_, err := Read("/proc/kmsg", MaxSecret)
		done <- err
	}()
	select {
	case err := <-done: // Likewise where it may not be read, or is not there.
		if err == nil {
			t.Error("it was read to its end, which it has not")
		}
	case <-time.After(30 * patience):
		t.Error("it hangs")
	}
}

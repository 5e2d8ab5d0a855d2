// Package safefile reads the files that a configuration names: regular ones
// only, and only so much of them. A path can lead to a pipe, a device or a
// directory, at once or after a file was exchanged while the program runs; what
// reads it must fail then, and never wait.
package safefile

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	commoncfg "github.com/prometheus/common/config"
)

// How many bytes a file may have: far more than any needs. Thousands of clusters
// fit a configuration of MaxConfig.
const (
	MaxConfig = 4 << 20
	MaxSecret = 1 << 20
)

// patience is how long a file may take that is none of a disk.
const patience = time.Second

// Read reads a regular file of at most limit bytes; symbolic links are followed.
// Its error says what is wrong, not with which file.
func Read(path string, limit int64) ([]byte, error) {
	// Before it is opened: to open a device can have an effect.
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", cause(err))
	}
	if err := regular(info); err != nil {
		return nil, err
	}
	// It may have become a pipe since; this does not wait for its other end.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", cause(err))
	}
	defer func() { _ = file.Close() }()
	if info, err = file.Stat(); err != nil {
		return nil, fmt.Errorf("cannot be read: %w", cause(err))
	}
	if err := regular(info); err != nil {
		return nil, err
	}
	// Files of the kernel's own, such as /proc/kmsg, pass for regular ones, and wait
	// for something to be said. Others know no deadline, and need none.
	_ = file.SetReadDeadline(time.Now().Add(patience))
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", cause(err))
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("cannot be read: it is larger than %d KB", limit>>10)
	}
	return content, nil
}

// ReadSecret reads a secret, without the space around it.
func ReadSecret(path string) (string, error) {
	content, err := Read(path, MaxSecret)
	return strings.TrimSpace(string(content)), err
}

func regular(info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		return errors.New("cannot be read: is a directory")
	case mode&fs.ModeNamedPipe != 0:
		return errors.New("cannot be read: is a pipe, not a regular file")
	case mode&fs.ModeSocket != 0:
		return errors.New("cannot be read: is a socket, not a regular file")
	case mode&fs.ModeDevice != 0:
		return errors.New("cannot be read: is a device, not a regular file")
	}
	return errors.New("cannot be read: is not a regular file")
}

// cause takes the operation and path off an error of the file system.
func cause(err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return at.Err
	}
	return err
}

// Secrets makes prometheus/common read files through this package: the _ref
// fields of its settings, which it asks a secret manager for, are paths.
type Secrets struct{}

var _ commoncfg.SecretManager = Secrets{}

// Fetch reads the file that path names.
func (Secrets) Fetch(_ context.Context, path string) (string, error) {
	secret, err := ReadSecret(path)
	if err != nil {
		return "", fmt.Errorf("%s %w", path, err)
	}
	return secret, nil
}

// TLS returns the settings with paths as references, for use with
// commoncfg.WithSecretManager(Secrets{}).
func TLS(c commoncfg.TLSConfig) commoncfg.TLSConfig {
	move(&c.CAFile, &c.CARef)
	move(&c.CertFile, &c.CertRef)
	move(&c.KeyFile, &c.KeyRef)
	return c
}

// TLSConfig is commoncfg.NewTLSConfig, whose files are read through this package:
// now, and a client's certificate again with each connection.
func TLSConfig(c commoncfg.TLSConfig) (*tls.Config, error) {
	settings := TLS(c)
	return commoncfg.NewTLSConfig(&settings, commoncfg.WithSecretManager(Secrets{}))
}

// OAuth2 does for a token endpoint what [TLS] does. c is not changed.
func OAuth2(c *commoncfg.OAuth2) *commoncfg.OAuth2 {
	if c == nil {
		return nil
	}
	oauth := *c
	move(&oauth.ClientSecretFile, &oauth.ClientSecretRef)
	move(&oauth.ClientCertificateKeyFile, &oauth.ClientCertificateKeyRef)
	oauth.TLSConfig = TLS(oauth.TLSConfig)
	return &oauth
}

// Transport is commoncfg.NewRoundTripperFromConfig, whose files are read through
// this package with each request.
func Transport(c commoncfg.HTTPClientConfig, name string, options ...commoncfg.HTTPClientOption) (http.RoundTripper, error) {
	if basic := c.BasicAuth; basic != nil {
		moved := *basic
		move(&moved.UsernameFile, &moved.UsernameRef)
		move(&moved.PasswordFile, &moved.PasswordRef)
		c.BasicAuth = &moved
	}
	if c.BearerTokenFile != "" && c.Authorization == nil {
		c.Authorization = &commoncfg.Authorization{Type: "Bearer", CredentialsFile: c.BearerTokenFile}
	}
	c.BearerTokenFile = ""
	if authorization := c.Authorization; authorization != nil {
		moved := *authorization
		move(&moved.CredentialsFile, &moved.CredentialsRef)
		c.Authorization = &moved
	}
	c.OAuth2, c.TLSConfig = OAuth2(c.OAuth2), TLS(c.TLSConfig)
	var files map[string][]string
	c.HTTPHeaders, files = headers(c.HTTPHeaders)
	transport, err := commoncfg.NewRoundTripperFromConfig(c, name, append(slices.Clone(options), commoncfg.WithSecretManager(Secrets{}))...)
	if err != nil || len(files) == 0 {
		return transport, err
	}
	return &headerFiles{transport, files}, nil
}

func move(file, reference *string) {
	if *file != "" {
		*reference, *file = *file, ""
	}
}

// headers takes the files off, which are no secrets to prometheus/common.
func headers(h *commoncfg.Headers) (without *commoncfg.Headers, files map[string][]string) {
	if h == nil {
		return nil, nil
	}
	without, files = &commoncfg.Headers{Headers: maps.Clone(h.Headers)}, map[string][]string{}
	for name, header := range h.Headers {
		if len(header.Files) > 0 {
			files[name] = header.Files
			header.Files = nil
			without.Headers[name] = header
		}
	}
	return without, files
}

// headerFiles adds headers whose values are in files.
type headerFiles struct {
	http.RoundTripper
	files map[string][]string
}

func (h *headerFiles) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	for name, paths := range h.files {
		for _, path := range paths {
			value, err := ReadSecret(path)
			if err != nil {
				return nil, fmt.Errorf("read a header: %s %w", path, err)
			}
			request.Header.Add(name, value)
		}
	}
	return h.RoundTripper.RoundTrip(request)
}

func (h *headerFiles) CloseIdleConnections() {
	if inner, ok := h.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		inner.CloseIdleConnections()
	}
}

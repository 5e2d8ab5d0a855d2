package app

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"

	commoncfg "github.com/prometheus/common/config"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v3"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/safefile"
)

// quotedValue is how a library quotes a value that it refuses: the hash of a
// password, for one.
var quotedValue = regexp.MustCompile("`[^`]*`|'[^']*'")

// maxWebConfig is how many values the file may stand for.
const maxWebConfig = 10_000

// checkWebConfig validates the file of exporter-toolkit that a flag names.
func checkWebConfig(flag, path string) error {
	if path == "" {
		return nil
	}
	if err := checkWebFiles(flag, path); err != nil {
		return err
	}
	if err := toolkit.Validate(path); err != nil {
		return fmt.Errorf("%s %s: %s", flag, path, quotedValue.ReplaceAllString(strings.Join(strings.Fields(err.Error()), " "), "…"))
	}
	return nil
}

// checkWebFiles says whether the file, and those that it names, can be read:
// exporter-toolkit waits for what a pipe in the place of one has to say.
func checkWebFiles(flag, path string) error {
	content, err := safefile.Read(path, safefile.MaxSecret)
	if err != nil {
		return fmt.Errorf("%s %s: %w", flag, path, err)
	}
	var named struct {
		TLS struct {
			Cert     string `yaml:"cert_file"`
			Key      string `yaml:"key_file"`
			ClientCA string `yaml:"client_ca_file"`
		} `yaml:"tls_server_config"`
	}
	if err := safefile.CheckYAML(content); err != nil {
		return fmt.Errorf("%s %s: %w", flag, path, err)
	}
	// What is no YAML names no files; exporter-toolkit says what is wrong with it.
	var root yaml.Node
	if yaml.Unmarshal(content, &root) == nil {
		if _, err := safefile.CheckNode(&root, maxWebConfig); err != nil {
			return fmt.Errorf("%s %s: %w", flag, path, err)
		}
		_ = root.Decode(&named)
	}
	for _, file := range []string{named.TLS.Cert, named.TLS.Key, named.TLS.ClientCA} {
		if file == "" {
			continue
		}
		file = commoncfg.JoinDir(filepath.Dir(path), file)
		if _, err := safefile.Read(file, safefile.MaxSecret); err != nil {
			return fmt.Errorf("%s %s: %s %w", flag, path, file, err)
		}
	}
	return nil
}

// webFiles keeps exporter-toolkit, which reads its files again for each connection
// and each request, from those that it would wait for.
type webFiles struct {
	path   string
	logger *slog.Logger
	// failing says whether that was logged.
	failing atomic.Bool
}

func (f *webFiles) ok() bool {
	err := checkWebFiles("--web.config.file", f.path)
	switch was := f.failing.Swap(err != nil); {
	case err != nil && !was:
		f.logger.Error("nothing is served: the web configuration cannot be read", "err", err)
	case err == nil && was:
		f.logger.Info("the web configuration can be read again")
	}
	return err == nil
}

// guard is for the requests of connections that are open already.
func (f *webFiles) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !f.ok() {
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// guardedListener closes connections whose handshake would wait.
type guardedListener struct {
	net.Listener
	files *webFiles
}

func (l guardedListener) Accept() (net.Conn, error) {
	for {
		connection, err := l.Listener.Accept()
		if err != nil || l.files.ok() {
			return connection, err
		}
		_ = connection.Close()
	}
}

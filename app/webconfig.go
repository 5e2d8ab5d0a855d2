package app

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
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
	if _, err := checkWebFiles(flag, path); err != nil {
		return err
	}
	if err := toolkit.Validate(path); err != nil {
		return fmt.Errorf("%s %s: %s", flag, path, quotedValue.ReplaceAllString(strings.Join(strings.Fields(err.Error()), " "), "…"))
	}
	return nil
}

// checkWebFiles says whether the file, and those that it names, can be read:
// exporter-toolkit waits for what a pipe in the place of one has to say. It returns
// a checksum of what they hold.
func checkWebFiles(flag, path string) (sum [sha256.Size]byte, err error) {
	content, err := safefile.Read(path, safefile.MaxSecret)
	if err != nil {
		return sum, fmt.Errorf("%s %s: %w", flag, path, err)
	}
	hash := sha256.New()
	hash.Write(content)
	var named struct {
		TLS struct {
			Cert     string `yaml:"cert_file"`
			Key      string `yaml:"key_file"`
			ClientCA string `yaml:"client_ca_file"`
		} `yaml:"tls_server_config"`
	}
	if err := safefile.CheckYAML(content); err != nil {
		return sum, fmt.Errorf("%s %s: %w", flag, path, err)
	}
	// What is no YAML names no files; exporter-toolkit says what is wrong with it.
	var root yaml.Node
	if yaml.Unmarshal(content, &root) == nil {
		if _, err := safefile.CheckNode(&root, maxWebConfig); err != nil {
			return sum, fmt.Errorf("%s %s: %w", flag, path, err)
		}
		_ = root.Decode(&named)
	}
	for _, file := range []string{named.TLS.Cert, named.TLS.Key, named.TLS.ClientCA} {
		if file == "" {
			continue
		}
		file = commoncfg.JoinDir(filepath.Dir(path), file)
		content, err := safefile.Read(file, safefile.MaxSecret)
		if err != nil {
			return sum, fmt.Errorf("%s %s: %s %w", flag, path, file, err)
		}
		hash.Write(content)
	}
	return [sha256.Size]byte(hash.Sum(nil)), nil
}

// webFiles keeps exporter-toolkit, which reads its files again for each connection
// and each request, from those that it would wait for.
type webFiles struct {
	path   string
	logger *slog.Logger
	// failing says whether that was logged.
	failing atomic.Bool

	mu sync.Mutex
	// seen is what the files held when they were last validated, and wrong says
	// whether they were not valid.
	seen  [sha256.Size]byte
	wrong bool
}

func (f *webFiles) ok() bool {
	sum, err := checkWebFiles("--web.config.file", f.path)
	switch was := f.failing.Swap(err != nil); {
	case err != nil && !was:
		f.logger.Error("nothing is served: the web configuration cannot be read", "err", err)
	case err == nil && was:
		f.logger.Info("the web configuration can be read again")
	}
	if err == nil {
		f.validate(sum)
	}
	return err == nil
}

// validate says what is wrong with files that have changed: exporter-toolkit refuses
// each connection then, and tells its client alone.
func (f *webFiles) validate(sum [sha256.Size]byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen == sum {
		return
	}
	f.seen = sum
	err := checkWebConfig("--web.config.file", f.path)
	switch was := f.wrong; {
	case err != nil:
		f.logger.Error("nothing is served: the web configuration is wrong", "err", err)
	case was:
		f.logger.Info("the web configuration is right again")
	}
	f.wrong = err != nil
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

package app

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

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

// checkWebConfig validates the file of exporter-toolkit that a flag names, which waits for what a
// pipe in the place of one of its files has to say.
func checkWebConfig(flag, path string) error {
	if path == "" {
		return nil
	}
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
		return fmt.Errorf("--web.config.file %s: %w", path, err)
	}
	// What is no YAML names no files; exporter-toolkit says what is wrong with it.
	var root yaml.Node
	if yaml.Unmarshal(content, &root) == nil {
		if err := safefile.CheckNode(&root, maxWebConfig); err != nil {
			return fmt.Errorf("--web.config.file %s: %w", path, err)
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
	if err := toolkit.Validate(path); err != nil {
		return fmt.Errorf("%s %s: %s", flag, path, quotedValue.ReplaceAllString(strings.Join(strings.Fields(err.Error()), " "), "…"))
	}
	return nil
}

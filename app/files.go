package app

import (
	"crypto/sha256"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/safefile"
)

// contents are checksums of files by name: of what their names lead to, because
// Kubernetes swaps a ConfigMap by a symbolic link. A file that cannot be read
// counts as one without content.
type contents map[string][sha256.Size]byte

func contentsOf(files []string) contents { return contents{}.with(files) }

// with adds the files that are not there yet.
func (c contents) with(files []string) contents {
	for _, name := range files {
		if _, found := c[name]; !found {
			content, _ := safefile.Read(name, safefile.MaxConfig)
			c[name] = sha256.Sum256(content)
		}
	}
	return c
}

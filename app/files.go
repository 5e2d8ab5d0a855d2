package app

import (
	"crypto/sha256"
	"maps"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/safefile"
)

// contents are checksums of files by name: of what their names lead to, because
// Kubernetes swaps a ConfigMap by a symbolic link. A file that cannot be read
// counts as one without content.
type contents map[string][sha256.Size]byte

func contentsOf(files []string) contents {
	c := contents{}
	for _, name := range files {
		c[name] = checksum(name)
	}
	return c
}

func checksum(name string) [sha256.Size]byte {
	content, _ := safefile.Read(name, safefile.MaxConfig)
	return sha256.Sum256(content)
}

// with adds the files that are not there yet.
func (c contents) with(files []string) contents {
	for _, name := range files {
		if _, found := c[name]; !found {
			c[name] = checksum(name)
		}
	}
	return c
}

// names of the files.
func (c contents) names() []string {
	var names []string
	for name := range c {
		names = append(names, name)
	}
	return names
}

func (c contents) equal(other contents) bool { return maps.Equal(c, other) }

package rest

import (
	"regexp"
	"slices"
	"strings"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// SecretKey tells whether a configuration's key looks like one of a secret, going
// by its words. What is called like this is never shown, whoever wishes it to be.
func SecretKey(key string) bool { return secretKey.MatchString(key) }

// secretKey errs on the side of silence. It knows the keys of type password of
// Kafka's clients and of the usual connectors, and what else they put credentials
// into.
var secretKey = regexp.MustCompile(`(?i)passw|passphrase|key.?file|\bpass\b|pwd|secret|token|credential|jaas|auth($|[^o])|authori[sz]|private|\bcert|keystore|truststore|access.?key|api.?key|account.?key|shared.?key|encryption|signature|sas\b|(^|[._-])keys?([._-]|$)|connection.?string|dsn\b|headers?\b|cookie|\bpem\b`)

// secretValue is a value that carries a secret whatever its key is called: user
// information in a URL, a password among settings, a private key, a placeholder
// that stands for what a provider of secrets would tell, and what was masked.
var secretValue = regexp.MustCompile(`(?i)://[^/\s]*@|^jdbc:|passw|pwd=|secret|token\s*[=:]|key\s*=|-----BEGIN|\$\{|^[*•]+$|\[hidden\]`)

// label returns the key that a quoted name is, if its value is to be kept.
func (d *decoder) label(quoted []byte) string {
	if i := d.memberOf(d.options.labels, quoted); i >= 0 {
		return d.options.labels[i]
	}
	return ""
}

// labelValue returns what may be shown of a value, "" if nothing may.
func (d *decoder) labelValue(value []byte) string {
	if kind(value) != '"' {
		return ""
	}
	text, bad := d.text(value)
	if bad != "" || secretValue.MatchString(text) {
		return ""
	}
	return text
}

// plainValue returns a value that says what it is, "" of one that is a placeholder
// or cannot be shown.
func (d *decoder) plainValue(value []byte) string {
	if kind(value) != '"' {
		return ""
	}
	text, bad := d.text(value)
	if bad != "" || strings.Contains(text, "${") {
		return ""
	}
	return text
}

// appendLabel adds a label in the order of keys.
func appendLabel(labels []connect.Label, key, value string, keys []string) []connect.Label {
	if value == "" {
		return labels
	}
	at, twice := slices.BinarySearchFunc(labels, slices.Index(keys, key), func(l connect.Label, want int) int {
		return slices.Index(keys, l.Key) - want
	})
	if twice {
		return labels
	}
	return slices.Insert(labels, at, connect.Label{Key: key, Value: strings.Clone(value)})
}

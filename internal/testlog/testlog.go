// Package testlog keeps what a program prints while a test watches it.
package testlog

import (
	"bytes"
	"regexp"
	"sync"
	"testing"
)

// A Log may be written, read and waited for at once. The zero value is empty.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
	// wrote is closed by the next Write; nil while nobody waits.
	wrote chan struct{}
}

// Write implements io.Writer; it does not fail.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wrote != nil {
		close(l.wrote)
		l.wrote = nil
	}
	return l.text.Write(p)
}

// String is all that was written.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Await returns what the last group of a pattern matches first, or the whole
// match, once it was written.
func (l *Log) Await(t *testing.T, pattern string) string {
	t.Helper()
	expression := regexp.MustCompile(pattern)
	for {
		l.mu.Lock()
		match := expression.FindStringSubmatch(l.text.String())
		if l.wrote == nil {
			l.wrote = make(chan struct{})
		}
		wrote := l.wrote
		l.mu.Unlock()
		if match != nil {
			return match[len(match)-1]
		}
		select {
		case <-wrote:
		case <-t.Context().Done():
			t.Fatalf("never written: %s", pattern)
		}
	}
}

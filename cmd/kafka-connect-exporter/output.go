package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// drivesTerminal tells whether a terminal might act on a character instead of
// showing it: controls of both sets (C0, C1), what turns the direction of
// writing, what is invisible. Names and messages come from the clusters.
func drivesTerminal(r rune) bool {
	return !unicode.IsGraphic(r) && r != '\n' && r != '\t'
}

// printable replaces what drives a terminal, line ends and tabs included: for a
// cell of a table.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// escaped writes what drives a terminal as \uXXXX. In JSON, where such
// characters stand in strings only, it changes nothing of the meaning.
func escaped(text string) string {
	if !strings.ContainsFunc(text, drivesTerminal) && utf8.ValidString(text) {
		return text
	}
	var out strings.Builder
	for _, r := range text { // Bytes that are no UTF-8 come as U+FFFD.
		switch {
		case !drivesTerminal(r):
			out.WriteRune(r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.String()
}

// escapeWriter escapes what is written through it. Each Write is whole
// characters.
type escapeWriter struct{ io.Writer }

func (w escapeWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.Writer, escaped(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// maxQueued is how many bytes a relay keeps for a reader that is slow.
const maxQueued = 1 << 20

// A relay hands lines on to a writer from a goroutine of its own, so that nobody
// who logs ever waits for who reads the log: a pipe that nobody empties, a disk
// that is full. What does not fit is dropped and counted. It never fails.
type relay struct {
	to      io.Writer
	dropped atomic.Uint64
	// recovered is told how many lines were dropped, once lines are taken again.
	recovered atomic.Pointer[func(dropped uint64)]

	mu     sync.Mutex
	queue  bytes.Buffer
	closed bool
	wake   chan struct{} // room for one
	ended  chan struct{}
}

func newRelay(to io.Writer) *relay {
	r := &relay{to: to, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go r.run()
	return r
}

// Write takes whole lines.
func (r *relay) Write(p []byte) (int, error) {
	r.mu.Lock()
	if r.closed || r.queue.Len()+len(p) > maxQueued {
		r.dropped.Add(1)
	} else {
		r.queue.Write(p)
	}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (r *relay) run() {
	defer close(r.ended)
	var told uint64
	for range r.wake {
		r.mu.Lock()
		lines, closed := bytes.Clone(r.queue.Bytes()), r.closed
		if r.queue.Reset(); r.queue.Cap() > maxQueued/8 {
			r.queue = bytes.Buffer{} // A burst is over.
		}
		r.mu.Unlock()
		if _, err := r.to.Write(lines); err != nil {
			r.dropped.Add(uint64(bytes.Count(lines, []byte("\n"))))
		} else if dropped, tell := r.dropped.Load(), r.recovered.Load(); dropped > told && tell != nil && !closed {
			(*tell)(dropped - told)
			told = dropped
		}
		if closed {
			return
		}
	}
}

// close waits until what was written is handed on, or until the time is over.
func (r *relay) close(patience time.Duration) {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
	select {
	case <-r.ended:
	case <-time.After(patience):
	}
}

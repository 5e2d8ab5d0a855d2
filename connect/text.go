package connect

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
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

// Printable replaces what drives a terminal, line ends and tabs included: for a
// cell of a table.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// Escaped writes what drives a terminal as \uXXXX. In JSON, where such
// characters stand in strings only, it changes nothing of the meaning.
func Escaped(text string) string {
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

// unusual tells what most texts do not have.
func unusual(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r > '~' }

// EscapeWriter writes by [Escaped] what is written through it. Each Write is whole
// characters.
type EscapeWriter struct{ io.Writer }

func (w EscapeWriter) Write(p []byte) (int, error) {
	if !bytes.ContainsFunc(p, unusual) {
		return w.Writer.Write(p)
	}
	if _, err := io.WriteString(w.Writer, Escaped(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// quoted is a text as %q writes it, or as YAML libraries do.
var quoted = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"|`[^`]*`")

// Unquoted returns the first line of an error of a network client, without what it
// quotes: that is what the other side has sent, and may be a secret that was sent
// to it.
func Unquoted(err error) string {
	text, _, _ := strings.Cut(quoted.ReplaceAllLiteralString(err.Error(), `"…"`), "\n")
	return text
}

var (
	// ownWords is what net/http and crypto/tls say themselves, as far as it helps, and
	// ownPrefix how they begin all of it; but so may a proxy.
	ownWords = regexp.MustCompile(`^((unexpected )?EOF|http: server (gave HTTP response to HTTPS client|closed idle connection)|` +
		`tls: (server selected unsupported protocol version [0-9a-f]{1,4}|no supported versions satisfy MinVersion and MaxVersion))$`)
	ownPrefix = regexp.MustCompile(`^(net/)?http2?: |^tls: `)
	// usualWords are what proxies say beside a status (RFC 9110).
	usualWords = regexp.MustCompile(`^(Bad Request|Forbidden|Not Found|Method Not Allowed|Proxy Authentication Required|Internal Server Error|Bad Gateway|Service Unavailable|Gateway Timeout)$`)
	// bare is the type of an error that is nothing but a text.
	bare = reflect.TypeOf(errors.New(""))
)

// OfProxy returns an error of net/http's transport without the words of a proxy that
// refuses a connection: they become an error as they are, and may repeat the
// password that it was sent.
func OfProxy(err error) error {
	switch {
	case err == nil || reflect.TypeOf(err) != bare || ownWords.MatchString(err.Error()):
		return err
	case usualWords.MatchString(err.Error()):
		return fmt.Errorf("%w: the proxy refuses the connection: %w", Unreachable, err)
	case ownPrefix.MatchString(err.Error()):
		return fmt.Errorf("%w: it does not speak TLS or HTTP as it should, or the proxy refuses the connection", Unreachable)
	}
	return fmt.Errorf("%w: the proxy refuses the connection", Unreachable)
}

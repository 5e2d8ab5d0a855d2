// Package trace reduces the stack trace of a failure to class names, the only
// part of it that may be kept: messages quote data and passwords. Whoever reads
// traces, from a worker's REST API or from its status topic, reads them here.
package trace

import (
	"bytes"
	"cmp"
	"unicode"
	"unicode/utf8"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// unknownClass stands for an exception that the trace does not name.
const unknownClass = "unknown"

// maxClassLength bounds a label value that comes from a trace.
const maxClassLength = 200

// causedBy begins the line of a cause in a Java stack trace
// (Throwable.printStackTrace).
const causedBy = "Caused by: "

// Failure takes the class of the exception and of its innermost cause out of a
// trace that is still JSON-quoted, without holding anything else of it. The names
// are made strings by text. The failure of an empty trace is zero.
func Failure(quoted []byte, text func([]byte) string) connect.Failure {
	trace := bytes.Trim(quoted, `"`)
	if len(trace) == 0 {
		return connect.Failure{}
	}
	failure := connect.Failure{Exception: class(trace, text)}
	// In the quoted form a line ends with the two characters \n (or \r\n); a
	// cause stands at the beginning of its line, while suppressed exceptions are
	// indented. Messages can contain anything, so only what has the shape of a
	// class name is taken.
	rest := trace
	for {
		before, after, found := bytes.Cut(rest, []byte(`\n`+causedBy))
		if !found {
			break
		}
		rest = after
		// An odd number of backslashes before it makes it no line end but the
		// text of a message.
		if (len(before)-len(bytes.TrimRight(before, `\`)))%2 != 0 {
			continue
		}
		if class := class(after, text); class != unknownClass {
			failure.RootCause = class
		}
	}
	failure.RootCause = cmp.Or(failure.RootCause, failure.Exception)
	return failure
}

// Settle leaves a failure only where something failed, and there always one.
func Settle(state connect.State, failure connect.Failure) connect.Failure {
	switch {
	case state != connect.StateFailed:
		return connect.Failure{}
	case failure.Exception == "":
		return connect.Failure{Exception: unknownClass, RootCause: unknownClass}
	}
	return failure
}

// class returns the class name at the beginning of a line of a quoted trace.
func class(line []byte, text func([]byte) string) string {
	end := bytes.IndexAny(line, ":\\ \t")
	if end < 0 {
		end = len(line)
	}
	if name := line[:end]; isClassName(name) {
		return text(name)
	}
	return unknownClass
}

// isClassName tells whether name looks like a qualified Java class name:
// identifiers joined by dots, at least one dot, the last one beginning with an
// upper-case letter. It is narrow on purpose: a word of a message must not pass.
func isClassName(name []byte) bool {
	if len(name) == 0 || len(name) > maxClassLength {
		return false
	}
	dots, first := 0, true
	var initial rune
	for len(name) > 0 {
		r, size := utf8.DecodeRune(name)
		name = name[size:]
		switch {
		case r == '.':
			if first {
				return false
			}
			dots++
			first = true
			continue
		case unicode.IsLetter(r) || r == '_' || r == '$':
		case unicode.IsDigit(r) && !first:
		default:
			return false
		}
		if first {
			initial, first = r, false
		}
	}
	return dots > 0 && !first && unicode.IsUpper(initial)
}

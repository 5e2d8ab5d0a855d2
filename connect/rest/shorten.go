package rest

import "io"

// keptOfText is how much of one text is kept by a shortener: more than any that
// is shown, and enough of a trace to hold the classes of its causes.
const keptOfText = 1 << 20

// shortener cuts the long texts of a JSON document to keptOfText, so that one
// trace that quotes a record of many megabytes does not keep the decoder from the
// rest. It costs as much as decoding, and is put in only where a text was too
// large before.
type shortener struct {
	from io.Reader
	// Within a text: its length so far, and how many bytes an escape still has.
	inText   bool
	dropping bool
	length   int
	escape   int
	// cut tells that there was something to cut.
	cut bool
}

func (s *shortener) Read(p []byte) (int, error) {
	for {
		n, err := s.from.Read(p)
		kept := s.shorten(p[:n])
		if kept > 0 || err != nil || n == 0 {
			return kept, err
		}
	}
}

// shorten moves what is kept to the front, and returns how much that is.
func (s *shortener) shorten(p []byte) (kept int) {
	for _, b := range p {
		if !s.inText {
			s.inText, s.length, s.dropping = b == '"', 0, false
			p[kept] = b
			kept++
			continue
		}
		// What is cut begins with a whole character, and not within an escape.
		if s.escape == 0 && s.length >= keptOfText && b != '"' {
			s.dropping, s.cut = true, true
		}
		switch {
		case s.escape == 1 && b == 'u':
			s.escape = 4 // the digits that follow
		case s.escape > 0:
			s.escape--
		case b == '\\':
			s.escape = 1
		case b == '"':
			s.inText, s.dropping = false, false
		}
		s.length++
		if !s.dropping {
			p[kept] = b
			kept++
		}
	}
	return kept
}

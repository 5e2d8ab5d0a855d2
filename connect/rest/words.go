package rest

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/go-json-experiment/json"
)

// maxWords is how many characters are shown of what a worker says.
const maxWords = 200

// words returns the message of Kafka Connect's error object, as far as it may be
// shown: its beginning, in one line, without what drives a terminal. One that
// repeats credentials may not.
func words(body []byte, sent *sentSecrets) string {
	var answer struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &answer) != nil || sent.in(body) || sent.in([]byte(answer.Message)) {
		return ""
	}
	plain := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r): // controls, marks of direction, and what has no glyph
			return -1
		}
		return r
	}, answer.Message)
	plain = strings.Join(strings.Fields(plain), " ")
	if runes := []rune(plain); len(runes) > maxWords {
		plain = string(runes[:maxWords]) + "…"
	}
	return plain
}

// sentSecrets are the credentials of a request as it was sent. Something before
// the worker may repeat them in its answer.
type sentSecrets struct {
	mu     sync.Mutex
	values []string
}

// ordinaryHeaders carry no secret.
var ordinaryHeaders = []string{"host", "user-agent", "accept", "accept-encoding", "connection", ":authority", ":method", ":path", ":scheme", "content-length"}

// add is told of each header as it is written.
func (s *sentSecrets) add(name string, values []string) {
	if slices.Contains(ordinaryHeaders, strings.ToLower(name)) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, value := range values {
		_, token, _ := strings.Cut(value, " ")
		s.values = append(s.values, value, token)
		if plain, err := base64.StdEncoding.DecodeString(token); err == nil {
			_, password, _ := strings.Cut(string(plain), ":")
			s.values = append(s.values, string(plain), password)
		}
	}
}

// in tells whether any of them stands in a body, plain or in JSON's quoted form.
func (s *sentSecrets) in(body []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	body = bytes.ToLower(body)
	return slices.ContainsFunc(s.values, func(secret string) bool {
		if secret == "" {
			return false
		}
		quoted, _ := json.Marshal(secret)
		return bytes.Contains(body, bytes.ToLower([]byte(secret))) || bytes.Contains(body, bytes.ToLower(bytes.Trim(quoted, `"`)))
	})
}

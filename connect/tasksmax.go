package connect

import (
	"strings"
	"unicode"
)

// DefaultTasksMax is what Kafka Connect takes where tasks.max is not set
// (ConnectorConfig.TASKS_MAX_DEFAULT).
const DefaultTasksMax = 1

// ParseTasksMax reads a configuration's tasks.max as Kafka Connect does
// (ConfigDef.parseType): by Java's Integer.parseInt, after String.trim. What
// Connect refuses, and what is known only to it (a placeholder of a secret
// provider), is 0.
func ParseTasksMax(text string) int {
	// String.trim takes everything up to the space for white space, and no more.
	digits := strings.TrimFunc(text, func(r rune) bool { return r <= ' ' })
	digits = strings.TrimPrefix(digits, "+")
	n := 0
	for _, r := range digits {
		digit, ok := decimal(r)
		if n = n*10 + digit; !ok || n > 1<<31-1 {
			return 0
		}
	}
	return n // tasks.max is 1 at least: 0 is refused, too.
}

// decimal is the value of a digit in any script, as Character.digit has it for
// the characters of UTF-16 that stand alone.
func decimal(r rune) (value int, ok bool) {
	if '0' <= r && r <= '9' {
		return int(r - '0'), true
	}
	for _, block := range unicode.Nd.R16 {
		// Digits stand ten by ten, from zero to nine.
		if rune(block.Lo) <= r && r <= rune(block.Hi) {
			return int(r-rune(block.Lo)) % 10, true
		}
	}
	return 0, false
}

package connect

import (
	"strconv"
	"strings"
)

// DefaultTasksMax is what Kafka Connect takes where tasks.max is not set
// (ConnectorConfig.TASKS_MAX_DEFAULT).
const DefaultTasksMax = 1

// ParseTasksMax reads a configuration's tasks.max as Kafka Connect does
// (ConfigDef.parseType): by Java's Integer.parseInt, after String.trim. What
// Connect refuses, and what is known only to it (a placeholder of a secret
// provider, digits of another script), is 0.
func ParseTasksMax(text string) int {
	// String.trim takes everything up to the space for white space, and no more.
	digits := strings.TrimFunc(text, func(r rune) bool { return r <= ' ' })
	n, err := strconv.ParseUint(strings.TrimPrefix(digits, "+"), 10, 31)
	if err != nil {
		return 0
	}
	return int(n)
}

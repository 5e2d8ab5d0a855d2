package promql

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// oneMatcher is a label matcher with a double-quoted value.
var oneMatcher = regexp.MustCompile(`^\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:\\.|[^"\\])*")\s*(,|$)`)

// CheckMatchers says what is wrong with label matchers that are to stand between
// the braces of every series, as in job="kafka-connect",env=~"prod-.+"; nothing
// is none. Labels that tell the replicas of an exporter apart, which alerts and
// dashboards fold into one, cannot be matched.
func CheckMatchers(text string, folded ...string) error {
	for rest := strings.TrimSpace(text); rest != ""; {
		found := oneMatcher.FindStringSubmatch(rest)
		if found == nil {
			return errors.New(`want label matchers such as job="kafka-connect"`)
		}
		label, operator := found[1], found[2]
		value, err := strconv.Unquote(found[3])
		switch {
		case err != nil:
			return fmt.Errorf(`the value of %s has an escape that PromQL does not know`, label)
		case slices.Contains(folded, label):
			return fmt.Errorf("label %s cannot be used, the replicas of an exporter are folded into one", label)
		}
		if strings.HasSuffix(operator, "~") {
			if _, err := regexp.Compile(value); err != nil {
				return fmt.Errorf("the value of %s is no regular expression (RE2)", label)
			}
		}
		rest = rest[len(found[0]):]
		if found[4] == "," && strings.TrimSpace(rest) == "" {
			return errors.New("nothing follows the last comma")
		}
	}
	return nil
}

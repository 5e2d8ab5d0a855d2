package java

import (
	"regexp"
	"strings"
)

var (
	jaasModule = regexp.MustCompile(`^\s*([\w.$]+)\s+(?i:required|requisite|sufficient|optional)\b`)
	jaasOption = regexp.MustCompile(`^\s+([\w.-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^\s"';]+))`)
	jaasEscape = regexp.MustCompile(`\\(.)`)
)

// JAAS reads the configuration of one login module, sasl.jaas.config: the name of
// its class without the package, and its options.
func JAAS(text string) (module string, options map[string]string, ok bool) {
	begin := jaasModule.FindStringSubmatch(text)
	if begin == nil {
		return "", nil, false
	}
	text, options = text[len(begin[0]):], map[string]string{}
	for option := jaasOption.FindStringSubmatch(text); option != nil; option = jaasOption.FindStringSubmatch(text) {
		options[option[1]] = jaasEscape.ReplaceAllString(option[2]+option[3], "$1") + option[4]
		text = text[len(option[0]):]
	}
	return begin[1][strings.LastIndex(begin[1], ".")+1:], options, strings.TrimSpace(text) == ";"
}

// Package promql finds in a PromQL expression what the shipped rules and
// dashboards promise about the metrics: the series an expression selects, the
// labels it names and the durations it carries.
//
// It is a lexer, not a parser: whether an expression is valid at all is
// promtool's to say, and Prometheus's own parser would bring most of Prometheus
// into this module. It relies on the expression being valid.
package promql

import (
	"regexp"
	"slices"
	"strings"
)

// A Selector is one use of a series in an expression.
type Selector struct {
	// Metric is the name of the series.
	Metric string
	// Matchers are the label matchers inside the braces, in order.
	Matchers []Matcher
	// End is the byte offset behind the metric's name, where its braces stand
	// or could be put.
	End int
	// Close is the byte offset behind the closing brace; End without braces.
	Close int
}

// A Matcher is one label matcher of a selector.
type Matcher struct {
	// Label and Operator are as written, Value is without its quotes but with
	// the escapes that it was written with.
	Label, Operator, Value string
}

// Expression is what [Parse] found.
type Expression struct {
	Selectors []Selector
	// Labels are the names inside by, without, on, ignoring, group_left and
	// group_right, each once, sorted.
	Labels []string
	// Durations are the byte ranges of the range, subquery and offset
	// durations, in order.
	Durations []Span
}

// A Span is a half-open range of bytes.
type Span struct{ Start, End int }

// The tokens that tell selectors, labels and durations apart. A duration comes
// before a number, and a name may carry the colons of a recording rule.
var token = regexp.MustCompile("" +
	`(?P<space>\s+|#[^\n]*)` +
	"|(?P<text>\"(?:\\\\.|[^\"\\\\])*\"|'(?:\\\\.|[^'\\\\])*'|`[^`]*`)" +
	`|(?P<duration>(?:[0-9]+(?:ms|[smhdwy]))+)` +
	`|(?P<number>[0-9][0-9a-fA-FxX._]*(?:[eE][+-]?[0-9]+)?)` +
	`|(?P<variable>\$[a-zA-Z_]\w*|\$\{[^}]*\})` +
	`|(?P<name>[a-zA-Z_][a-zA-Z0-9_:]*)` +
	`|(?P<operator>=~|!~|!=|==|>=|<=|.)`)

const (
	space = 1 + iota
	text
	duration
	number
	variable
	name
	operator
)

type lexeme struct {
	kind       int
	value      string
	start, end int
}

// grouping are the words that a list of labels may follow.
var grouping = []string{"by", "without", "on", "ignoring", "group_left", "group_right"}

// keywords are names that are neither series nor labels.
var keywords = append([]string{"and", "or", "unless", "atan2", "offset", "bool", "inf", "nan", "start", "end"}, grouping...)

// Parse looks through a valid expression. Grafana's $variables are passed over.
func Parse(expression string) Expression {
	var found Expression
	lexemes := lex(expression)
	at := func(i int) lexeme {
		if i < len(lexemes) {
			return lexemes[i]
		}
		return lexeme{}
	}
	for i := 0; i < len(lexemes); i++ {
		switch l := lexemes[i]; {
		case l.kind == duration:
			found.Durations = append(found.Durations, Span{l.start, l.end})
		case l.kind != name:
		case slices.Contains(grouping, strings.ToLower(l.value)) && at(i+1).value == "(":
			for i += 2; i < len(lexemes) && lexemes[i].value != ")"; i++ {
				if lexemes[i].kind == name && !slices.Contains(found.Labels, lexemes[i].value) {
					found.Labels = append(found.Labels, lexemes[i].value)
				}
			}
		case slices.Contains(keywords, strings.ToLower(l.value)):
		case at(i+1).value == "(" || aggregates(lexemes[i+1:]):
		default:
			selector := Selector{Metric: l.value, End: l.end, Close: l.end}
			if at(i+1).value == "{" {
				i++
				for i++; i < len(lexemes) && lexemes[i].value != "}"; i++ {
					if lexemes[i].kind != name {
						continue
					}
					matcher := Matcher{Label: lexemes[i].value, Operator: at(i + 1).value}
					if value := at(i + 2); value.kind == text {
						matcher.Value = value.value[1 : len(value.value)-1]
					}
					selector.Matchers = append(selector.Matchers, matcher)
					i += 2
				}
				selector.Close = at(i).end
			}
			found.Selectors = append(found.Selectors, selector)
		}
	}
	slices.Sort(found.Labels)
	return found
}

// aggregates tells whether a name that these lexemes follow is an aggregation
// with its labels in front, as in "sum by (a) (x)".
func aggregates(following []lexeme) bool {
	return len(following) > 1 && following[1].value == "(" &&
		(strings.EqualFold(following[0].value, "by") || strings.EqualFold(following[0].value, "without"))
}

func lex(expression string) []lexeme {
	var lexemes []lexeme
	for _, match := range token.FindAllStringSubmatchIndex(expression, -1) {
		for kind := space; kind <= operator; kind++ {
			if match[2*kind] < 0 {
				continue
			}
			if kind != space {
				lexemes = append(lexemes, lexeme{kind, expression[match[0]:match[1]], match[0], match[1]})
			}
			break
		}
	}
	return lexemes
}

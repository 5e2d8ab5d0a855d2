package promql

import (
	"reflect"
	"testing"
)

func TestParse(t *testing.T) {
	type matcher = Matcher
	for name, c := range map[string]struct {
		expression string
		metrics    []string
		matchers   []matcher
		labels     []string
		durations  []string
	}{
		"bare": {expression: `up`, metrics: []string{"up"}},
		"matchers": {
			expression: `rate(a_total{reason!~"x|y", job="q}{"}[5m]) > 0.1`,
			metrics:    []string{"a_total"},
			matchers:   []matcher{{"reason", "!~", "x|y"}, {"job", "=", "q}{"}},
			durations:  []string{"5m"},
		},
		"grouping in front and behind": {
			expression: `sum by (le, a) (x) / on (b) group_left (c) sum(y) without (d)`,
			metrics:    []string{"x", "y"},
			labels:     []string{"a", "b", "c", "d", "le"},
		},
		"set operators and keywords": {
			expression: "(a == 1) and ignoring (state) b unless c # d\nor e offset 1h",
			metrics:    []string{"a", "b", "c", "e"},
			labels:     []string{"state"},
			durations:  []string{"1h"},
		},
		"recorded name, subquery, compound duration": {
			expression: `max_over_time(a:b:ratio5m[1h30m:1m])`,
			metrics:    []string{"a:b:ratio5m"},
			durations:  []string{"1h30m", "1m"},
		},
		"numbers are no series": {expression: `1e3 * x > 0x1f + Inf`, metrics: []string{"x"}},
		"a series named like a function": {
			expression: `count(rate) by (a)`, metrics: []string{"rate"}, labels: []string{"a"},
		},
		"Grafana's variables": {
			expression: `rate(a{job=~"$job"}[$__rate_interval]) + ${factor} * b`,
			metrics:    []string{"a", "b"}, matchers: []matcher{{"job", "=~", "$job"}},
		},
		"text holds nothing": {
			expression: `label_replace(a, "x", "b{}[5m]", 'y', "\"(.*)")`, metrics: []string{"a"},
		},
		"an unclosed brace ends": {expression: `a{b="c"`, metrics: []string{"a"}, matchers: []matcher{{"b", "=", "c"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Parse(c.expression)
			var metrics, durations []string
			var matchers []matcher
			for _, s := range got.Selectors {
				metrics, matchers = append(metrics, s.Metric), append(matchers, s.Matchers...)
				if c.expression[s.End-len(s.Metric):s.End] != s.Metric {
					t.Errorf("End of %s is %d", s.Metric, s.End)
				}
			}
			for _, d := range got.Durations {
				durations = append(durations, c.expression[d.Start:d.End])
			}
			for what, pair := range map[string][2]any{
				"metrics": {metrics, c.metrics}, "matchers": {matchers, c.matchers},
				"labels": {got.Labels, c.labels}, "durations": {durations, c.durations},
			} {
				if !reflect.DeepEqual(pair[0], pair[1]) {
					t.Errorf("%s: got %v, want %v", what, pair[0], pair[1])
				}
			}
		})
	}
}

package build

import (
	"fmt"
	"strings"
)

// shade is how a state looks. A state's place in the list is its code, the
// number that timelines draw: the worse the higher, so that of two answers for
// one object (two replicas of the exporter, a moment apart) the worse shows.
type shade struct{ name, color string }

// shades lists the states. Green runs; blue and purple are somebody's
// intention; yellow and orange pass by themselves, or should; red does not.
func shades() []shade {
	return []shade{
		{"running", "green"},
		{"stopped", "dark-blue"},
		{"paused", "blue"},
		{"provisioning", "light-purple"},
		{"deleting", "purple"},
		{"restarting", "yellow"},
		{"unknown", "#8e8e8e"},
		{"unassigned", "orange"},
		{"degraded", "dark-orange"},
		{"failed", "red"},
	}
}

// stateCode is an expression for the code of each object's state. State series
// exist for the current state only, or with "state_series: all" for every state
// as 0 or 1, hence "== 1".
func stateCode(metric, by, and string) string {
	var terms []string
	for i, s := range shades() {
		terms = append(terms, fmt.Sprintf(`%d * (%s{<connector>, state="%s"} == 1)`, i+1, metric, s.name))
	}
	expr := "max by (" + by + ") (" + strings.Join(terms, " or ") + ")"
	if and != "" {
		expr += " and on (" + by + ") " + and
	}
	return expr
}

// notAlwaysRunning picks the forty objects that spent most of the time range in
// another state than running. It looks at the range's end from every step, so
// that it picks the same ones all along.
func notAlwaysRunning(metric, by string) string {
	return fmt.Sprintf(`topk(40, sum by (%s) (sum_over_time(%s{<connector>, state!="running"}[$__range] @ end())) > 0)`, by, metric)
}

// stateMappings turn codes into words and colours.
func stateMappings() []mapping {
	options := object{}
	for i, s := range shades() {
		options[fmt.Sprint(i+1)] = object{"text": s.name, "color": s.color, "index": i}
	}
	return []mapping{{Type: "value", Options: options}}
}

// stateWords colour the value of a state label where it stands in a table.
func stateWords() []mapping {
	options := object{}
	for i, s := range shades() {
		options[s.name] = object{"text": s.name, "color": s.color, "index": i}
	}
	return []mapping{{Type: "value", Options: options}}
}

// stateColors give series that are named after states their colours.
func stateColors() []override {
	var overrides []override
	for _, s := range shades() {
		overrides = append(overrides, fixed(s.name, s.color))
	}
	return overrides
}

// timeline draws a row an object, coloured by the codes' mappings.
func timeline(width int, title, missing, description string, mappings []mapping, t Target) Panel {
	p := newPanel("state-timeline", width, title, description, []Target{t})
	p.FieldConfig.Defaults = field{
		Unit: "none", NoValue: missing, Mappings: mappings,
		Color: &color{Mode: "thresholds"}, Thresholds: steps("#8e8e8e"),
		Custom: object{"fillOpacity": 80, "lineWidth": 0},
	}
	p.Options = object{
		"mergeValues": true, "showValue": "auto", "alignValue": "left", "rowHeight": 0.85,
		"legend":  object{"displayMode": "list", "placement": "bottom", "showLegend": true},
		"tooltip": object{"mode": "single", "sort": "none"},
	}
	return p
}

// States lists the states that timelines know.
func States() []string {
	var names []string
	for _, s := range shades() {
		names = append(names, s.name)
	}
	return names
}

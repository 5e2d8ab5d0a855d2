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
		// Plain red is as green for one in twelve men; dark red is darker, too.
		{"failed", failedColor},
	}
}

// failedColor is that of what has failed, wherever it stands beside green.
const failedColor = "dark-red"

// stateCode is an expression for the code of each object's state. State series
// exist for the current state only, or with "state_series: all" for every state
// as 0 or 1, hence "== 1".
func stateCode(metric, by string) string {
	return "max by (" + by + ") (" + strings.Join(stateTerms(metric, "<connector>"), " or ") + ")"
}

// stateTerms are the codes of the states of what a selector picks.
func stateTerms(metric, selector string) (terms []string) {
	for i, s := range shades() {
		terms = append(terms, fmt.Sprintf(`%d * (%s{%s, state="%s"} == 1)`, i+1, metric, selector, s.name))
	}
	return terms
}

// What states weigh when the worst objects are picked: a minute of failing is
// worth more than all time that something was paused.
const (
	waiting   = "unassigned|restarting|degraded|unknown"
	intention = "paused|stopped|provisioning|deleting"
)

// troubled are timelines of the objects that were in another state than running,
// in two queries, so that those that failed stand above the others: at most
// twenty of each, those that were so longest. Which ones these are is found once
// (pick), by reading what does not run, which is little: drawing them all to choose
// among them would read the whole cluster at every step.
func (d *draft) troubled(kind, legend, metric, by string) []Target {
	time := func(selector, states string) string {
		return fmt.Sprintf(`sum by (%s) (sum_over_time(%s{%s, state=~"%s"}[$__range] @ end()))`, by, metric, selector, states)
	}
	failed := func(selector string) string { return "topk(20, " + time(selector, "failed") + " > 0)" }
	others := func(selector string) string {
		return fmt.Sprintf(`topk(20, (1000 * %s or %s) unless on (%s) %s)`,
			time(selector, waiting), time(selector, intention), by, time(selector, "failed"))
	}
	timelineOf := func(name, label string, worst func(selector string) string) Target {
		picked := d.pick(name, label, worst("<connector>"))
		return over(legend, fmt.Sprintf(`max by (%[1]s) (%[2]s) and on (%[1]s) %[3]s`,
			by, strings.Join(stateTerms(metric, picked), " or "), worst(picked)))
	}
	return []Target{
		timelineOf("failing_"+kind, "Connectors whose "+kind+" failed longest", failed),
		timelineOf("waiting_"+kind, "Connectors whose "+kind+" did not run longest", others),
	}
}

// coded turn codes, which count from first, into words and colours.
func coded(first int, shades ...shade) []mapping {
	options := object{}
	for i, s := range shades {
		options[fmt.Sprint(first+i)] = object{"text": s.name, "color": s.color, "index": i}
	}
	return []mapping{{Type: "value", Options: options}}
}

func stateMappings() []mapping { return coded(1, shades()...) }

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
func timeline(width int, title, missing, description string, mappings []mapping, targets ...Target) Panel {
	p := newPanel("state-timeline", width, title, description, targets)
	p.FieldConfig.Defaults = field{
		Unit: "none", NoValue: missing, Mappings: mappings,
		Color: &color{Mode: "thresholds"}, Thresholds: steps("#8e8e8e"),
		Custom: object{"fillOpacity": 80, "lineWidth": 0},
	}
	p.Options = object{
		"mergeValues": true, "showValue": "auto", "alignValue": "left", "rowHeight": 0.85, "perPage": 20,
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

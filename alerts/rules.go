package alerts

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/prometheus/common/model"
)

// template returns the rules for a site as YAML, before the selector is put into
// their expressions and the times are scaled. It is a template between [[ and ]],
// because {{ }} is Prometheus's own; its functions write what many rules say in
// the same way.
func (o Options) template() ([]byte, error) {
	source, err := files.ReadFile(rulesTemplate)
	if err != nil {
		return nil, err
	}
	parsed, err := template.New(rulesTemplate).Delims("[[", "]]").Option("missingkey=error").Funcs(template.FuncMap{
		"fold":              o.fold,
		"s":                 o.seconds,
		"delay":             o.delay,
		"delayed":           o.delayed,
		"objective":         func() string { return strconv.FormatFloat(o.Objective, 'f', -1, 64) },
		"owner":             o.owner,
		"ruleLabels":        o.ruleLabels,
		"told":              o.told,
		"held":              o.held,
		"kept":              o.kept,
		"lost":              o.lost,
		"explained":         o.explained,
		"burnt":             o.burnt,
		"share":             o.share,
		"evaluationsLabels": o.evaluationsLabels,
		"matchers":          o.matchers,
		"reason":            reason,
		"cause":             cause,
		"causes":            causes,
		"worker":            worker,
		"workers":           workers,
		"since":             since,
		"more":              o.more,
	}).Parse(string(source))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = parsed.Execute(&out, nil)
	return out.Bytes(), err
}

// fold lists the labels that tell the replicas of an exporter apart.
func (o Options) fold() string {
	return strings.Join(append([]string{"instance", "pod"}, o.Fold...), ", ")
}

// seconds is a duration as a number to compare with, scaled.
func (o Options) seconds(duration string) (string, error) {
	d, err := model.ParseDuration(duration)
	if err != nil {
		return "", err
	}
	return strconv.FormatFloat(time.Duration(float64(d)*o.TimeScale).Seconds(), 'f', -1, 64), nil
}

// delay is the time that tasks stay unassigned in good order, and some more.
func (o Options) delay(more string) (string, error) {
	d, err := model.ParseDuration(more)
	return (model.Duration(o.RebalanceDelay) + d).String(), err
}

// delayed are the things that are so for longer than tasks stay unassigned in good
// order, and some more: by the workers' own setting where it is known. since is the
// record with the time, own the labels that it has beside those of its cluster.
func (o Options) delayed(since, more, own string) (string, error) {
	setting := fmt.Sprintf(`max without (%s, setting) (kafka_connect_worker_setting{setting="scheduled_rebalance_max_delay_seconds"})`, o.fold())
	seconds, err := o.seconds(more)
	if err != nil {
		return "", err
	}
	usual, err := o.delay(more)
	if err != nil {
		return "", err
	}
	if usual, err = o.seconds(usual); err != nil {
		return "", err
	}
	scale := ""
	if o.TimeScale != 1 {
		scale = fmt.Sprintf("%v * ", o.TimeScale)
	}
	return fmt.Sprintf("%[1]s <= time() - %[2]s unless ignoring (%[3]s) %[4]s"+indent+"or"+indent+"%[1]s <= ignoring (%[3]s) group_left () (time() - %[5]s - %[6]s%[4]s)",
		since, usual, own, setting, seconds, scale), nil
}

// owner adds the label that says whose connector it is.
func (o Options) owner() string {
	if o.Owner == "" {
		return ""
	}
	series := "kafka_connect_connector_labels{" + o.inTemplate() + "%s}"
	return "\n          team: >-\n            " +
		`{{ $m := "" }}{{ range $name, $value := $labels }}{{ if not (match "^(__name__|state|task|reason|team)$" $name) }}{{ $m = printf "%s%s=%q," $m $name $value }}{{ end }}{{ end }}` +
		fmt.Sprintf(`{{ with query (printf "%s" $m) }}{{ . | first | label %q }}`, series, o.Owner) +
		fmt.Sprintf(`{{ else }}{{ with query (printf "last_over_time(%s[1d])" $m) }}{{ . | first | label %q }}{{ else }}{{ $labels.team }}{{ end }}{{ end }}`, series, o.Owner)
}

// ruleLabels are the labels that stand on ALERTS and not in the expression.
func (o Options) ruleLabels() string {
	labels := "alertname, alertstate, severity, long, short"
	if o.Owner != "" {
		labels += ", team"
	}
	return labels
}

// told is an alert as it was at the last evaluation, pending or firing, with the
// labels of its expression. The alert is NAME, NAME/SEVERITY or
// NAME/SEVERITY/LONG, as far as it takes to tell it from its namesakes.
func (o Options) told(alert string) string { return o.alerts(alert, "") }

func (o Options) alerts(alert, state string) string {
	var matchers strings.Builder
	for i, part := range strings.Split(alert, "/") {
		fmt.Fprintf(&matchers, "%s=%q, ", []string{"alertname", "severity", "long"}[i], part)
	}
	if state != "" {
		fmt.Fprintf(&matchers, "alertstate=%q", state)
	}
	return fmt.Sprintf("max without (%s) (ALERTS{%s})", o.ruleLabels(), strings.TrimSuffix(matchers.String(), ", "))
}

// indent is that of what stands inside an expression's parentheses.
const indent = "\n            "

// held keeps an alert as it is while there is no snapshot. own are the labels that
// it has beside those of its cluster; known is the metric whose presence ends it,
// without the labels more.
func (o Options) held(alert, severity, own, known string, more ...string) string {
	return o.hold(alert+"/"+severity, "", own, known, more)
}

// hold is held of an alert in a state, in any if it is "".
func (o Options) hold(alert, state, own, known string, more []string) string {
	return o.alerts(alert, state) +
		indent + "  and " + ignoring(own) + "cluster:kafka_connect_state:held" +
		indent + "  unless " + ignoring(without(own, "connector", "task", "worker")) +
		fmt.Sprintf("max without (%s) (%s)", strings.Join(append([]string{o.fold()}, more...), ", "), known)
}

// kept is held for an alert that has keep_firing_for. It goes on firing for minutes
// after it is over: a snapshot that is missing then must not hold it anew, or it
// would never end where every third one is.
func (o Options) kept(alert, severity, own, known string, more ...string) string {
	alert += "/" + severity
	return o.hold(alert, "pending", own, known, more) + indent + "or" + indent + o.hold(alert, "firing", own, "last_over_time("+known+"[3m])", more)
}

// lost are the exporters of whose job there is no target, because it is pushed, or
// because none could be started, and which show nothing any more of what nobody else
// shows.
func (o Options) lost() string {
	return "target:kafka_connect_up:timestamp" + indent +
		"  unless on (job) up" + indent +
		"  unless on (job, instance) (target:kafka_connect_up:timestamp and " + ignoring(o.fold()) + "kafka_connect_up)"
}

// explained lets an alert neither begin nor end while one fires that explains it.
// own are the labels that it has beside those of its cluster. A source is "unseen"
// (an alert says that the cluster cannot be seen), "missing" (there is no snapshot
// just now), "gone" (the same for an alert that has keep_firing_for, see kept), "many" (the headline), or matchers of alerts with the same connector.
func (o Options) explained(alert, own string, sources ...string) (string, error) {
	if len(sources) == 0 {
		return "", fmt.Errorf("%s: explained by nothing", alert)
	}
	var begin, end string
	for i, source := range sources {
		beside, until := own, ""
		switch source {
		case "unseen":
			source = "cluster:kafka_connect_unseen:firing"
		case "missing":
			source = "cluster:kafka_connect_snapshot:missing"
		case "gone":
			source = "cluster:kafka_connect_snapshot:missing"
			until = "cluster:kafka_connect_snapshot:gone"
		case "many":
			source = o.alerts("KafkaConnectManyConnectorsFailed", "firing")
		default:
			beside = without(own, "connector")
			source = fmt.Sprintf("max without (%s, state, task) (ALERTS{%s, alertstate=\"firing\"})", o.ruleLabels(), source)
		}
		if until == "" {
			until = source
		}
		begin += "unless " + ignoring(beside) + source + indent[:len(indent)-2]
		end += "or" + indent + o.alerts(alert, "firing") + indent + "  and " + ignoring(beside) + until
		if i < len(sources)-1 {
			end += indent[:len(indent)-2]
		}
	}
	return begin + end, nil
}

// burnt are the connectors of which other alerts told within a window, or the
// headline of many.
func (o Options) burnt(window string, more ...string) string {
	names := append([]string{"ConnectorFailed", "AllTasksFailed", "TasksNotRunning", "RunningWithoutTasks", "Unassigned", "Restarting"}, more...)
	told := func(matcher string) string {
		return fmt.Sprintf("max without (%s, state, task) (%smax_over_time(ALERTS{alertname%s, alertstate=\"firing\"}[%s])%s)",
			o.ruleLabels(), indent+"  ", matcher, window, indent)
	}
	return told(`=~"KafkaConnect(`+strings.Join(names, "|")+`)"`) + indent + "unless ignoring (connector)" + indent + told(`="KafkaConnectManyConnectorsFailed"`)
}

// share is the sum of a record over a window, divided by the evaluations in it, of
// which there are to be as many as it has minutes.
func (o Options) share(record, window string, minutes int) string {
	evaluations := "rules:kafka_connect_evaluations:one"
	if site := o.site(); site != "" {
		evaluations += fmt.Sprintf("{site=%q}", site)
	}
	return fmt.Sprintf("sum_over_time(%[1]s[%[2]s]) / scalar(clamp_min(count_over_time(%[4]s[%[2]s]), %[3]d))", record, window, minutes, evaluations)
}

// evaluationsLabels tell the evaluations of rules with a selector from those of
// others in the same Prometheus. The record is of no target: it has none of the
// selector's labels.
func (o Options) evaluationsLabels() string {
	site := o.site()
	if site == "" {
		return ""
	}
	return fmt.Sprintf("\n        labels:\n          site: %q", site)
}

// site is a short name of the selector, "" without one.
func (o Options) site() string {
	if o.Selector == "" {
		return ""
	}
	hash := fnv.New32a()
	hash.Write([]byte(o.Selector)) // Never fails.
	return fmt.Sprintf("%08x", hash.Sum32())
}

// ignoring is the modifier that leaves labels out of a match.
func ignoring(labels string) string {
	if labels == "" {
		return ""
	}
	return "ignoring (" + labels + ") "
}

// without takes labels out of a list.
func without(list string, labels ...string) string {
	if list == "" {
		return ""
	}
	return strings.Join(slices.DeleteFunc(strings.Split(list, ", "), func(label string) bool { return slices.Contains(labels, label) }), ", ")
}

// What follows is for annotations, which Prometheus expands with {{ }}.

// inTemplate is the selector as it stands in a quoted string of a template that is
// a format of printf too.
func (o Options) inTemplate() string {
	if o.Selector == "" {
		return ""
	}
	quoted := strconv.Quote(o.Selector + ",")
	return strings.ReplaceAll(quoted[1:len(quoted)-1], "%", "%%")
}

// matchers sets $m to matchers of the series that an alert is about: all of its
// labels but those that are named, so that two environments with a cluster of one
// name are not mixed up.
func (o Options) matchers(but ...string) string {
	selector := `""`
	if o.Selector != "" {
		selector = strconv.Quote(o.Selector + ",")
	}
	pattern := strings.Join(append([]string{"__name__"}, but...), "|")
	return fmt.Sprintf(`{{ $m := %s }}{{ range $name, $value := $labels }}{{ if not (match "^(%s)$" $name) }}{{ $m = printf "%%s%%s=%%q," $m $name $value }}{{ end }}{{ end }}`, selector, pattern)
}

// reason says why the last snapshots failed.
func reason() string {
	return `{{- with query (printf "topk(1, sum by (reason) (increase(kafka_connect_snapshot_errors_total{%s}[10m])) > 0)" $m) }} (reason: {{ . | first | label "reason" }}){{ end }}`
}

// cause names the root cause of one connector's or task's failure.
func cause(of string) string {
	return first(`(root cause: {{ . | first | label "root_cause" }})`,
		"kafka_connect_"+of+"_failure_info{%s} == 1", "last_over_time(kafka_connect_"+of+"_failure_info{%s}[6h])")
}

// causes names the most common root cause of many failures.
func causes() string {
	return first(`(root cause of {{ . | first | value }}: {{ . | first | label "root_cause" }})`,
		"topk(1, count by (root_cause) (kafka_connect_task_failure_info{%[1]s} == 1 or kafka_connect_connector_failure_info{%[1]s} == 1))",
		"topk(1, count by (root_cause) (last_over_time(kafka_connect_task_failure_info{%[1]s}[6h]) or last_over_time(kafka_connect_connector_failure_info{%[1]s}[6h])))")
}

// worker names the worker of one connector or task.
func worker(of string) string {
	return first(`on worker {{ . | first | label "worker" }}`,
		"kafka_connect_"+of+"_info{%s} == 1", "last_over_time(kafka_connect_"+of+"_info{%s}[6h])")
}

// workers names the workers of a connector's tasks, if there are not too many.
func workers() string {
	return `{{- with query (printf "count by (worker) (kafka_connect_task_info{%s} == 1)" $m) }}{{ if le (len .) 3 }}, on {{ range $i, $s := . | sortByLabel "worker" }}{{ if $i }}, {{ end }}{{ $s | label "worker" }}{{ end }}{{ end }}{{ end }}`
}

// since says since when the oldest of a connector's, or its tasks', states lasts.
func since(of, state string) string {
	return fmt.Sprintf(`{{- with query (printf "min(%s:kafka_connect_state:since{%%sstate=%s})" $m) }} since {{ . | first | value | humanizeTimestamp }}{{ end }}`, of, `\"`+state+`\"`)
}

// first says something with the answer to the first of two queries that has one.
func first(text, query, otherwise string) string {
	return fmt.Sprintf(`{{- with query (printf "%s" $m) }} %[2]s{{ else }}{{ with query (printf "%[3]s" $m) }} %[2]s{{ end }}{{ end }}`, query, text, otherwise)
}

// The variables of the dashboards that an alert's link sets.
var dashboards = map[string][]string{
	"fleet": {"job"}, "exporter": {"job"}, "cluster": {"job", "connect_cluster"}, "connector": {"job", "connect_cluster", "connector"},
}

// more ends an alert's annotations: where to look, how to silence just this, and
// what to do.
func (o Options) more(alert, dashboard string) (string, error) {
	variables, ok := dashboards[dashboard]
	if !ok {
		return "", fmt.Errorf("%s: no dashboard %q", alert, dashboard)
	}
	var link strings.Builder
	link.WriteString(strings.TrimRight(o.Grafana, "/") + "/d/kafka-connect-" + dashboard + "?from=now-6h&to=now")
	for _, name := range variables {
		fmt.Fprintf(&link, `{{ with $labels.%[1]s }}&var-%[1]s={{ reReplaceAll "[+]" "%%20" (urlquery .) }}{{ end }}`, name)
	}
	// Quoted for a shell around matchers that are quoted for amtool.
	silence := "amtool silence add --duration=2h --comment=" + alert + ` 'alertname="` + alert + `"'` +
		`{{ range $name, $value := $labels }}{{ if ne $name "__name__" }} '{{ $name }}="{{ reReplaceAll "'" "'\\''" (reReplaceAll "([\"\\\\])" "\\$1" $value) }}"'{{ end }}{{ end }}`
	return "dashboard_url: >-\n            " + link.String() +
		"\n          silence: >-\n            " + silence +
		"\n          runbook_url: " + strings.ReplaceAll(o.Runbooks, "{alert}", alert), nil
}

package build

import (
	"fmt"
	"strings"
)

const dataFlowUID = "kafka-connect-dataflow"

// dataFlow is what moves, as far as anybody measures it: the brokers where they
// are read, an agent in the workers where one runs. A row whose series are not
// there says so in a word.
func dataFlow() Dashboard {
	d := newClusterDraft(Dashboard{
		UID: dataFlowUID, Title: "Kafka Connect / Data flow",
		Description: "Whether data move: lag of sinks, progress of sources, the workers' group, and throughput where an agent measures it.",
	}, variable.all)
	firing(d, `connect_cluster="$connect_cluster"`)
	bad := steps("green", from(1, failedColor))
	const off = "brokers are not read"
	link := toConnector(sameCluster, "__field.labels.connector")
	brokers := stat(4, "Brokers", "none", off, steps(failedColor, from(1, "green")),
		`Whether everything that is asked of the brokers was had. Normal: UP. DOWN: the figures below stand still or are missing; the log of the exporter and kafka_connect_brokers_errors_total say why. "Brokers are not read": the cluster has no kafka block, or this is no self-managed cluster.`,
		now("", `max(kafka_connect_brokers_up{<cluster>})`))
	brokers.FieldConfig.Defaults.Mappings = upMappings()
	d.line(4,
		brokers,
		stat(4, "Workers in the group", "none", off, steps("text"),
			`Workers that are members of the group now, by the brokers. This is the truth within the session timeout (10 s), while REST goes on naming a worker that was killed for minutes.`,
			now("", `max(kafka_connect_group_members{<cluster>})`)),
		stat(4, "Orphaned tasks", "none", off, bad,
			`Tasks that are said to run on a worker that is no member of the group: they move nothing. Normal: 0. They start elsewhere once scheduled.rebalance.max.delay.ms is over.`,
			now("", `max(kafka_connect_tasks_orphaned{<cluster>})`)),
		stat(4, "Duplicated tasks", "none", off, bad,
			`Tasks that two members have at once: records are written twice. Normal: 0.`,
			now("", `max(kafka_connect_tasks_duplicated{<cluster>})`)),
		stat(4, "Records behind, all sinks", "short", off, steps("text"),
			`Records that the sinks have not committed yet. What is normal is a matter of your data; a number that only grows is not.`,
			now("", `sum(max by (connector) (kafka_connect_sink_lag_sum{<connector>}))`)),
		stat(4, "Longest delay of a sink", "s", off, steps("text", from(300, "orange"), from(3600, failedColor)),
			`How old the oldest record is that the slowest sink has not committed, by the pace at which its topics were written.`,
			now("", `max(kafka_connect_sink_lag_seconds{<connector>})`)),
	)
	d.row("Sinks", false)
	d.line(8,
		graph(12, "Lag of sinks", "short",
			`Records behind, the ten sinks that are most. A saw-tooth is a batch job; a straight rise is a sink that stands still or is too slow: compare with its commits.`,
			over("{{connector}}", `max by (connector) (kafka_connect_sink_lag_sum{`+d.pick("lagging", "Sinks that are most records behind", `topk(10, max by (connector) (kafka_connect_sink_lag_sum{<connector>}))`)+`})`)).saying(off).linked(link),
		graph(12, "Delay of sinks", "s",
			`The same in time. Flat and low is healthy, whatever the number of records; a slope of one second a second is a sink that commits nothing.`,
			over("{{connector}}", `max by (connector) (kafka_connect_sink_lag_seconds{`+d.pick("delayed", "Sinks that are longest behind", `topk(10, max by (connector) (kafka_connect_sink_lag_seconds{<connector>}))`)+`})`)).saying(off).linked(link),
	)
	d.row("Sources", false)
	d.line(8,
		graph(12, "Since the last offset of each source", "s",
			`Time since a source committed an offset, the ten that are silent longest. A source without new data commits nothing: compare with its own past before you worry.`,
			over("{{connector}}", `time() - max by (connector) (kafka_connect_source_offset_commit_timestamp_seconds{`+d.pick("silent", "Sources that are silent longest", `bottomk(10, max by (connector) (kafka_connect_source_offset_commit_timestamp_seconds{<connector>}))`)+`})`)).saying(off).linked(link),
		graph(12, "Since the newest record of each source's topics", "s",
			`Time since a record was written to a topic of a source (source_topics). It tells a source that commits but writes nothing.`,
			over("{{connector}} {{topic}}", `time() - max by (connector, topic) (kafka_connect_source_topic_newest_record_timestamp_seconds{`+d.pick("dry", "Sources whose topics are without records longest", `bottomk(10, max by (connector, topic) (kafka_connect_source_topic_newest_record_timestamp_seconds{<connector>}))`)+`})`)).saying("source_topics is off").linked(link),
	)
	const noAgent = "no agent in the workers measures it"
	written := agents{"kafka_connect_source_task_source_record_write_total", "kafka_connect_source_task_metrics_source_record_write", "kafka_connect_source_record_write_count_total"}
	sent := agents{"kafka_connect_sink_task_sink_record_send_total", "kafka_connect_sink_task_metrics_sink_record_send", "kafka_connect_sink_record_send_count_total"}
	errors := agents{"kafka_connect_task_error_total_record_errors", "kafka_connect_task_error_metrics_total_record_errors", "kafka_connect_task_error_record_error_count_total"}
	put := agents{"kafka_connect_sink_task_put_batch_avg_time_ms", "kafka_connect_sink_task_metrics_put_batch_avg_time_ms", "kafka_connect_sink_put_batch_time_average_seconds"}
	d.row("What an agent in the workers measures: JMX exporter or OpenTelemetry's Java agent", false)
	d.line(8,
		graph(12, "Records that sources write", "suffix: records/s",
			`Records a second that sources write to Kafka, after their transformations, the ten that write most now. Nothing of a source that runs: it has no data, or hangs in its source system.`,
			over("{{connector}}", d.throughput("writing", "Sources that write most", written))).stacked().saying(noAgent).linked(link),
		graph(12, "Records that sinks take", "suffix: records/s",
			`Records a second that are handed to sinks, after their transformations, the ten that take most now. Nothing while the lag above grows: the sink hangs in its target system.`,
			over("{{connector}}", d.throughput("taking", "Sinks that take most", sent))).stacked().saying(noAgent).linked(link),
	)
	d.pick("slow", "Sinks that are slowest", `topk(10, max by (connector) (`+put.seconds(matching("connector"))+`) and on (connector) kafka_connect_connector_state{<connector>})`)
	d.line(8,
		graph(12, "Records in error", "suffix: records/s",
			`Records a second that could not be converted, transformed or delivered, whatever became of them: with errors.tolerance=all the task goes on saying RUNNING while they are skipped or put into the dead letter queue. Normal: none.`,
			over("{{connector}}", d.throughput("erring", "Connectors with most records in error", errors))).saying(noAgent).linked(link),
		graph(12, "Time that sinks need for a batch", "s",
			`Average time of put(), the ten slowest now. It is the target system's answer; compare it with max.poll.interval.ms (five minutes unless set), beyond which the group throws the task out.`,
			over("{{connector}}", `max by (connector) (`+put.seconds(matching("slow"))+`)`)).saying(noAgent).linked(link),
	)
	d.row("Group of the workers", true)
	d.line(6,
		timeline(12, "State of the group", off,
			`State of the workers' group: stable, or rebalancing for some seconds after a worker came or went. Empty: no worker lives.`,
			coded(1, shade{"stable", "green"}, shade{"rebalancing", "yellow"}, shade{"unknown", "#8e8e8e"}, shade{"nobody", failedColor}), over("group", `
				max(1 * (kafka_connect_group_state{<cluster>, state="stable"} == 1)
				or 2 * (kafka_connect_group_state{<cluster>, state=~".+_rebalance"} == 1)
				or 3 * (kafka_connect_group_state{<cluster>, state="unknown"} == 1)
				or 4 * (kafka_connect_group_state{<cluster>, state=~"empty|dead"} == 1))`)),
		graph(12, "Tasks that the group has assigned", "none",
			`Tasks of each member, by its own word in the group. A member without any has just come, or is fenced off.`,
			over("{{worker}}", `max by (worker) (kafka_connect_group_assigned_tasks{<cluster>})`)).counts().stacked().saying(off),
	)
	d.line(6,
		graph(12, "Delay until lost tasks are handed out", "s",
			`What is left of scheduled.rebalance.max.delay.ms. Normal: 0. A slope down is a worker that is waited for.`,
			over("left", `max(kafka_connect_group_scheduled_rebalance_delay_seconds{<cluster>})`)).saying(off),
		graph(12, "Configuration behind the leader's", "short",
			`Records of the configuration topic that a worker has not read yet. Normal: 0. One that stays behind runs old configurations.`,
			over("{{worker}}", `max by (worker) (kafka_connect_group_config_offset_lag{<cluster>})`)).counts().saying(off),
	)
	return d.dashboard
}

// agents are the names of one figure of the workers' JMX: by the JMX exporter with
// the rules of Strimzi's example and without any rules, and by OpenTelemetry's Java
// agent (its target kafka-connect), which has its own names for labels, too. They are
// another job's series, and know connectors by their name alone.
type agents struct{ rules, plain, otel string }

// labels gives the Java agent's series the label connector.
func (a agents) labels(expr string) string {
	return `label_replace(` + expr + `, "connector", "$1", "kafka_connect_connector", "(.+)")`
}

// others are the matchers of the Java agent in place of those of connectors.
func (a agents) others(matchers string) string {
	_, values, _ := strings.Cut(matchers, `connector=~`)
	return `kafka_connect_connector=~` + values
}

// rate is that of a counter.
func (a agents) rate(matchers, window string) string {
	return fmt.Sprintf(`rate(%s{%s}[%s]) or rate(%s{%s}[%s]) or %s`, a.rules, matchers, window, a.plain, matchers, window,
		a.labels(fmt.Sprintf(`rate(%s{%s}[%s])`, a.otel, a.others(matchers), window)))
}

// seconds is a time, which JMX has in milliseconds.
func (a agents) seconds(matchers string) string {
	return fmt.Sprintf(`%s{%s} / 1000 or %s{%s} / 1000 or %s`, a.rules, matchers, a.plain, matchers, a.labels(a.otel+`{`+a.others(matchers)+`}`))
}

// throughput is the rate of the ten connectors of the cluster that have most of it.
func (d *draft) throughput(name, label string, a agents) string {
	d.pick(name, label, `topk(10, sum by (connector) (`+a.rate(matching("connector"), "5m")+`) and on (connector) kafka_connect_connector_state{<connector>})`)
	return `sum by (connector) (` + a.rate(matching(name), "$__rate_interval") + `)`
}

package build

// clusterHealth turns a cluster into one word. Each term is a code, and the
// highest code of a cluster counts. Where two terms have the same labels only
// the first of them is left, so such terms have the same code. Of two replicas
// one that sees nothing, or not all, says nothing of the cluster.
const clusterHealth = `
	max by (connect_cluster) (
	  6 - 5 * max by (connect_cluster) (kafka_connect_up{<cluster>})
	  or 2 + 0 * (kafka_connect_resource_state{<cluster>, state="poweroff"} == 1)
	  or 3 + 0 * (kafka_connect_tasks{<cluster>, state=~"unassigned|restarting"} > 0)
	  or 3 + 0 * (kafka_connect_connectors{<cluster>, state=~"unassigned|restarting"} > 0)
	  or 4 + 0 * (min by (connect_cluster, reason) (kafka_connect_connectors_unobserved{<cluster>}) > 0)
	  or 5 + 0 * (kafka_connect_tasks{<cluster>, state=~"failed|degraded"} > 0)
	  or 5 + 0 * (kafka_connect_connectors{<cluster>, state=~"failed|degraded"} > 0)
	)`

// onceUnwell are the clusters that were not well at some moment of the time range,
// of those moments that are drawn.
const onceUnwell = `(max_over_time((` + clusterHealth + `)[$__range:$__interval] @ end()) > 1)`

func healthMappings() []mapping {
	return coded(1, shade{"well", "green"}, shade{"powered off", "blue"}, shade{"unassigned or restarting", "yellow"},
		shade{"partly observed", "purple"}, shade{"failures", "dark-orange"}, shade{"down", failedColor})
}

func upMappings() []mapping { return coded(0, shade{"DOWN", failedColor}, shade{"UP", "green"}) }

// Links that several panels share. A cluster or a connector is named by a label
// of the series, or by a column of the same row.
func toCluster(value string) dataLink {
	return to("Cluster ${"+value+"}", clusterUID, "var-connect_cluster=${"+value+":percentencode}")
}

func toConnector(cluster, connector string) dataLink {
	return to("Connector ${"+connector+"}", connectorUID, cluster, "var-connector=${"+connector+":percentencode}")
}

// Links of a failing connector, by the columns of its row; the addresses are
// variables of the dashboard.
var (
	silence = dataLink{
		Title: "Silence it in Alertmanager", TargetBlank: true,
		URL: `${alertmanager}/#/silences/new?filter=%7Bconnect_cluster%3D%22${__data.fields["Cluster"]:percentencode}%22%2Cconnector%3D%22${__data.fields["Connector"]:percentencode}%22%7D`,
	}
	logs = dataLink{
		Title: "Logs", TargetBlank: true,
		URL: `${logs}&connect_cluster=${__data.fields["Cluster"]:percentencode}&connector=${__data.fields["Connector"]:percentencode}`,
	}
)

func runbook(alert string) dataLink {
	return dataLink{
		Title: "What to do", TargetBlank: true,
		URL: "https://github.com/kafka-connect-exporter/kafka-connect-exporter/blob/main/docs/runbooks/" + alert + ".md",
	}
}

const (
	sameCluster    = "${connect_cluster:queryparam}"
	clusterOfRow   = `var-connect_cluster=${__data.fields["Cluster"]:percentencode}`
	clusterOfLabel = "__field.labels.connect_cluster"
	thisCell       = "__value.raw"
)

func fleet() Dashboard {
	d := newDraft(Dashboard{
		UID: fleetUID, Title: "Kafka Connect / Fleet",
		Description: "All Kafka Connect clusters at a glance: which are down, what has failed, and where to look next.",
	}, map[string]string{"cluster": `job=~"$job", connect_cluster=~"$connect_cluster"`})
	d.dashboard.Templating.List = []variable{
		datasourceVariable(), jobVariable("kafka_connect_up"), filterVariable(),
		queryVariable("connect_cluster", "Cluster", `label_values(kafka_connect_up{job=~"$job"}, connect_cluster)`).all(),
		textVariable("owner", "Owner's label", "label_team").about("Label of kafka_connect_connector_labels that says whose a connector is (the setting connector_labels)."),
		textVariable("alertmanager", "Alertmanager", "http://localhost:9093").about("Address of Alertmanager, for links that silence."),
		textVariable("logs", "Logs", "/explore?").about("Address that links to logs begin with; the connector's name follows as &connector=."),
	}
	workersChanged(d)
	firing(d, `connect_cluster=~"$connect_cluster"`)

	bad := steps("green", from(1, failedColor))
	settling := steps("green", from(1, "orange"))
	d.line(4,
		stat(3, "Clusters down", "none", "no exporter", bad,
			`Clusters whose last snapshot failed. Normal: 0. Otherwise the timeline below names them; open the cluster and look at the errors by reason. "No exporter": Prometheus has no kafka_connect_up at all, so nothing on this page can be trusted.`,
			now("", `sum(max by (connect_cluster) (kafka_connect_up{<cluster>}) == bool 0)`)),
		stat(3, "Failed connectors", "none", "no snapshot", bad,
			`Connectors that are FAILED themselves: they hand out no new task configurations. Normal: 0. Clusters that are down are not counted.`,
			now("", `sum(max by (connect_cluster) (kafka_connect_connectors{<cluster>, state="failed"}))`)),
		stat(3, "Failed tasks", "none", "no tasks seen", bad,
			`Tasks that are FAILED: their share of the data stands still until somebody restarts them. Normal: 0. The table "Failing now" says which and why.`,
			now("", `sum(max by (connect_cluster) (kafka_connect_tasks{<cluster>, state="failed"}))`)),
		stat(3, "Unassigned tasks", "none", "no tasks seen", settling,
			`Tasks without a worker, or being restarted. More than 0 is normal for up to five minutes after a worker leaves (scheduled.rebalance.max.delay.ms), longer is not.`,
			now("", `sum(max by (connect_cluster, state) (kafka_connect_tasks{<cluster>, state=~"unassigned|restarting"}))`)),
		stat(3, "Not observed", "none", "no snapshot", steps("green", from(1, "purple")),
			`Connectors that a cluster lists but whose status could not be had: of these this page knows nothing. Normal: 0, or a moment's 1 while a connector is created.`,
			now("", `sum(min by (connect_cluster, reason) (kafka_connect_connectors_unobserved{<cluster>}))`)),
		stat(3, "Running connectors", "none", "no snapshot", steps("text"),
			`Connectors that say RUNNING, over all clusters that are up.`,
			now("", `sum(max by (connect_cluster) (kafka_connect_connectors{<cluster>, state="running"}))`)),
		stat(3, "Running tasks", "none", "no tasks seen", steps("text"),
			`Tasks that say RUNNING, over all clusters that are up. A task of a worker that was killed goes on saying so for more than five minutes.`,
			now("", `sum(max by (connect_cluster) (kafka_connect_tasks{<cluster>, state="running"}))`)),
		stat(3, "Workers", "none", "no snapshot", steps("text"),
			`Distinct workers that the snapshots name. A worker without work is not named; one that was killed is named until its work was handed over.`,
			now("", `sum(max by (connect_cluster) (kafka_connect_workers{<cluster>}))`)),
	)
	d.line(7, timeline(24, "Health of each cluster", "No exporter has reported a cluster in this range",
		`The worst that was true of a cluster at each moment: down (no snapshot), failures (a connector or task failed or degraded), partly observed, unassigned or restarting, powered off (a managed service), well. A gap: the exporter itself was not scraped. Clusters that were not well at some moment stand above the others. Click a row to open the cluster.`,
		healthMappings(),
		over("{{connect_cluster}}", clusterHealth+` and on (connect_cluster) `+onceUnwell),
		over("{{connect_cluster}}", clusterHealth+` unless on (connect_cluster) `+onceUnwell)).
		linked(toCluster(clusterOfLabel)))
	d.line(9, table(24, "Failing now", "Nothing has failed",
		`Every connector and task that is FAILED at the end of the time range, the worst first: connectors that failed themselves, then by the share of the connector's tasks that failed. Since when (exactly where the brokers are read, else since the exporter first saw it), the class of the innermost cause and of the exception, the worker, and whose it is: the label of kafka_connect_connector_labels that "Owner's label" names. The worker's log holds the message. Click the connector to see it alone, to silence it or for its logs; the cause for what to do.`,
		[]column{
			col("connect_cluster", "Cluster", colLinks(toCluster(thisCell)), colWidth(140)),
			col("connector", "Connector", colLinks(toConnector(clusterOfRow, thisCell), silence, logs), colWidth(250)),
			col("task", "Task", colWidth(60)),
			col("Value #D", "Failed", colUnit("percentunit"), colDecimals(0), colMappings(mapping{Type: "value", Options: object{"2": object{"text": "the connector", "index": 0}}}), colWidth(125)),
			col("Value #C", "Since", colUnit("dateTimeFromNow"), colWidth(130)),
			col("root_cause", "Root cause", colLinks(runbook("KafkaConnectTaskFailed"))),
			col("exception", "Exception"),
			col("worker", "Worker", colWidth(280)),
			col("owner", "Owner", colWidth(90)),
		},
		rows(`max by (connect_cluster, connector, task, exception, root_cause) (kafka_connect_task_failure_info{<cluster>} == 1)
			or max by (connect_cluster, connector, exception, root_cause) (kafka_connect_connector_failure_info{<cluster>} == 1)`),
		rows(`max by (connect_cluster, connector, task, worker) (kafka_connect_task_info{<cluster>}
			and on (connect_cluster, connector, task) (kafka_connect_task_failure_info{<cluster>} == 1))
			or max by (connect_cluster, connector, worker) (kafka_connect_connector_info{<cluster>}
			and on (connect_cluster, connector) (kafka_connect_connector_failure_info{<cluster>} == 1))`),
		rows(`1000 * (min by (connect_cluster, connector, task) (kafka_connect_task_state_since_timestamp_seconds{<cluster>})
			and on (connect_cluster, connector, task) (kafka_connect_task_failure_info{<cluster>} == 1)
			or min by (connect_cluster, connector) (kafka_connect_connector_state_since_timestamp_seconds{<cluster>})
			and on (connect_cluster, connector) (kafka_connect_connector_failure_info{<cluster>} == 1))`),
		rows(`max by (connect_cluster, connector, task) (kafka_connect_task_failure_info{<cluster>} == 1) * on (connect_cluster, connector) group_left ()
			(count by (connect_cluster, connector) (max by (connect_cluster, connector, task) (kafka_connect_task_failure_info{<cluster>} == 1))
			/ max by (connect_cluster, connector) (kafka_connect_connector_tasks{<cluster>}))
			or 2 * max by (connect_cluster, connector) (kafka_connect_connector_failure_info{<cluster>} == 1)`),
		rows(`(max by (connect_cluster, connector, task) (kafka_connect_task_failure_info{<cluster>} == 1)
			or max by (connect_cluster, connector) (kafka_connect_connector_failure_info{<cluster>} == 1)) * on (connect_cluster, connector) group_left (owner)
			group by (connect_cluster, connector, owner) (label_replace(kafka_connect_connector_labels{<cluster>}, "owner", "$1", "$owner", "(.+)"))`),
	).sorted("Failed", true))
	d.line(8, table(24, "Clusters", "No exporter reports a cluster",
		`A row a cluster, the worst first. A cluster that is down has no counts, only a dash, and the age of its last successful snapshot. Snapshot time is the 95th percentile; it belongs well below the scrape timeout. Changes are changes of state in the last hour: many without anybody at work means flapping.`,
		[]column{
			col("connect_cluster", "Cluster", colLinks(toCluster(thisCell)), colWidth(160)),
			col("Value #A", "State", colMappings(healthMappings()...), coloured("color-background"), colWidth(190)),
			col("provider", "Provider", colWidth(120)),
			col("version", "Version", colWidth(80)),
			col("Value #C", "Workers", colWidth(80)),
			col("Value #D", "Running connectors", colWidth(165)),
			col("Value #E", "Failed connectors", colThresholds(bad), coloured("color-background"), colWidth(155)),
			col("Value #F", "Paused or stopped", colWidth(160)),
			col("Value #G", "Running tasks", colWidth(125)),
			col("Value #H", "Failed tasks", colThresholds(bad), coloured("color-background"), colWidth(115)),
			col("Value #I", "Unassigned tasks", colThresholds(settling), coloured("color-background"), colWidth(150)),
			col("Value #J", "Snapshot time", colUnit("s"), colDecimals(1), colWidth(130)),
			col("Value #K", "Snapshot age", colUnit("s"), colDecimals(0), colThresholds(steps("text", from(120, failedColor))), coloured("color-text"), colWidth(125)),
			col("Value #L", "Changes, 1h", colDecimals(0)),
		},
		rows(clusterHealth),
		rows(`max by (connect_cluster, provider, version) (kafka_connect_cluster_info{<cluster>})`),
		rows(`max by (connect_cluster) (kafka_connect_workers{<cluster>})`),
		rows(`max by (connect_cluster) (kafka_connect_connectors{<cluster>, state="running"})`),
		rows(`max by (connect_cluster) (kafka_connect_connectors{<cluster>, state="failed"})`),
		rows(`sum by (connect_cluster) (max by (connect_cluster, state) (kafka_connect_connectors{<cluster>, state=~"paused|stopped"}))`),
		rows(`max by (connect_cluster) (kafka_connect_tasks{<cluster>, state="running"})`),
		rows(`max by (connect_cluster) (kafka_connect_tasks{<cluster>, state="failed"})`),
		rows(`max by (connect_cluster) (kafka_connect_tasks{<cluster>, state="unassigned"})`),
		rows(`histogram_quantile(0.95, sum by (le, connect_cluster) (rate(kafka_connect_snapshot_duration_seconds_bucket{<cluster>}[$__rate_interval]))) >= 0`),
		rows(`clamp_min(time() - max by (connect_cluster) (kafka_connect_snapshot_timestamp_seconds{<cluster>}), 0)`),
		rows(`sum by (connect_cluster) (max by (connect_cluster, connector) (increase(kafka_connect_connector_state_changes_total{<cluster>}[1h:1m]) + increase(kafka_connect_task_state_changes_total{<cluster>}[1h:1m])))`),
	).sorted("State", true))
	d.row("Trends", true)
	d.line(8,
		graph(8, "Failed tasks of each cluster", "none",
			`Normal: 0. A step in one cluster is one connector's trouble; steps in all at once are something that they share: brokers, network, a target system.`,
			over("{{connect_cluster}}", `max by (connect_cluster) (kafka_connect_tasks{<cluster>, state="failed"})`)).counts().
			linked(toCluster(clusterOfLabel)),
		graph(8, "Connectors of the fleet by state", "none",
			`All connectors, stacked by state. The height is the fleet's size as far as it is up; a dip is a cluster that is down.`,
			over("{{state}}", `sum by (state) (max by (connect_cluster, state) (kafka_connect_connectors{<cluster>})) > 0`)).counts().stacked().
			with(stateColors()...),
		graph(8, "Workers of each cluster", "none",
			`Workers that the snapshot names. A step down that does not come back within some minutes is a lost worker: the others carry its tasks.`,
			over("{{connect_cluster}}", `max by (connect_cluster) (kafka_connect_workers{<cluster>})`)).counts().
			linked(toCluster(clusterOfLabel)),
	)
	d.line(8,
		graph(8, "State changes of each cluster", "none",
			`Changes of connectors' and tasks' states within half an hour. Bursts at deployments and rebalances are normal; a steady band is flapping, and the Cluster dashboard names who flaps.`,
			over("{{connect_cluster}}", `sum by (connect_cluster) (max by (connect_cluster, connector) (increase(kafka_connect_connector_state_changes_total{<cluster>}[30m:15m]) + increase(kafka_connect_task_state_changes_total{<cluster>}[30m:15m])))`)).bars().every("30m"),
		graph(8, "Snapshot time of each cluster", "s",
			`95th percentile of the time that a snapshot takes. It belongs well below the scrape timeout; a rise without more connectors is a slow worker or network.`,
			over("{{connect_cluster}}", `histogram_quantile(0.95, sum by (le, connect_cluster) (rate(kafka_connect_snapshot_duration_seconds_bucket{<cluster>}[$__rate_interval])))`)).
			linked(toCluster(clusterOfLabel)),
		graph(8, "Failed snapshots", "none",
			`Snapshots that failed as a whole, by cluster and reason, of the exporter that fares best. Normal: none. unauthorized and forbidden: credentials; unreachable: network or all workers gone; timeout: a worker that hangs.`,
			over("{{connect_cluster}}: {{reason}}", `min by (connect_cluster, reason) (sum by (connect_cluster, reason, instance) (increase(kafka_connect_snapshot_errors_total{<cluster>}[$__rate_interval]))) > 0`)).bars().
			saying("No snapshot failed"),
	)
	return d.dashboard
}

// workersChanged marks when workers came or went.
func workersChanged(d *draft) {
	d.annotate("Workers joined or left", "blue",
		`max by (connect_cluster) (kafka_connect_workers{<cluster>}) != max by (connect_cluster) (kafka_connect_workers{<cluster>} offset 1m)`,
		"Workers of {{connect_cluster}} changed", "The snapshot names more or fewer workers than a minute before.", true)
}

// firing marks, off at first, when alerts of this product fired.
func firing(d *draft, matchers string) {
	d.annotate("Alerts firing", failedColor,
		`ALERTS{alertname=~"KafkaConnect.+", alertstate="firing", `+matchers+`}`,
		"{{alertname}}", "{{connect_cluster}} {{connector}} {{task}}", false)
}

package build

func cluster() Dashboard {
	d := newClusterDraft(Dashboard{
		UID: clusterUID, Title: "Kafka Connect / Cluster",
		Description: "One Kafka Connect cluster: which connectors and tasks are in trouble since when, where they are placed, and how well the cluster can be observed.",
	}, variable.all)
	d.annotate("Cluster down", "dark-red",
		`max by (connect_cluster) (kafka_connect_up{<cluster>}) == bool 0`,
		"{{connect_cluster}} is down", "Snapshots fail.", true)
	workersChanged(d)
	d.deployed("15m", "connector_class")
	firing(d, `connect_cluster="$connect_cluster"`)

	bad := steps("green", from(1, failedColor))
	settling := steps("green", from(1, "orange"))
	state := stat(3, "State", "none", "unknown cluster", steps("text"),
		`UP: the last snapshot succeeded. DOWN: look at "Failed snapshots by reason" below, then at the workers.`,
		now("", `max(kafka_connect_up{<cluster>})`))
	state.FieldConfig.Defaults.Mappings = upMappings()
	state.Options["colorMode"] = "background"
	d.line(4,
		state,
		words(3, "Version", "no snapshot",
			`Kafka version of the worker that answered, and who runs the cluster.`,
			now("{{provider}} {{version}}", `max by (version, provider) (kafka_connect_cluster_info{<cluster>})`)),
		stat(3, "Workers", "none", "no snapshot", steps("text"),
			`Distinct workers that the snapshot names. One without work is not named; one that was killed is named until its work was handed over.`,
			now("", `max(kafka_connect_workers{<cluster>})`)),
		stat(3, "Running connectors", "none", "no snapshot", steps("text"),
			`Connectors that say RUNNING. Their tasks can be failed all the same: see the next numbers.`,
			now("", `max(kafka_connect_connectors{<cluster>, state="running"})`)),
		stat(3, "Failed connectors", "none", "no snapshot", bad,
			`Connectors that are FAILED themselves. Normal: 0.`,
			now("", `max(kafka_connect_connectors{<cluster>, state="failed"})`)),
		stat(3, "Failed tasks", "none", "no tasks seen", bad,
			`Tasks that are FAILED; they stay so until restarted. Normal: 0.`,
			now("", `max(kafka_connect_tasks{<cluster>, state="failed"})`)),
		stat(3, "Unassigned tasks", "none", "no tasks seen", settling,
			`Tasks without a worker, or being restarted. Normal: 0, or more for up to five minutes after a worker left.`,
			now("", `sum(max by (state) (kafka_connect_tasks{<cluster>, state=~"unassigned|restarting"}))`)),
		stat(3, "Not observed", "none", "no snapshot", steps("green", from(1, "purple")),
			`Connectors that the cluster lists but whose status could not be had. Normal: 0.`,
			now("", `sum(min by (reason) (kafka_connect_connectors_unobserved{<cluster>}))`)),
	)
	link := toConnector(sameCluster, "__field.labels.connector")
	d.line(8, timeline(24, "Connectors that did not run all the time", "Every connector that was seen ran all the time",
		`States of the connectors that were in another state than running at some time in the range, the twenty that failed longest first, then twenty others. Dark red is failed, orange unassigned, blue somebody's intention. A gap: no snapshot. Click a row to open the connector.`,
		stateMappings(), d.troubled("connectors", "{{connector}}", "kafka_connect_connector_state", "connector")...).
		linked(link))
	d.line(9, timeline(24, "Tasks that did not run all the time", "Every task that was seen ran all the time",
		`The same for tasks. Many rows that turn orange together are a worker that left; a red row that stays red waits for somebody to restart the task. Managed services without task states (MSK Connect) have no rows.`,
		stateMappings(), d.troubled("tasks", "{{connector}} / {{task}}", "kafka_connect_task_state", "connector, task")...).
		linked(link))
	connectorLink := colLinks(toConnector(sameCluster, thisCell))
	stateColumn := col("state", "State", colMappings(stateWords()...), coloured("color-background"), colWidth(110))
	sinceColumn := col("Value #C", "Since", colUnit("dateTimeFromNow"), colWidth(130))
	d.line(8, table(24, "Tasks with issues", "No task has an issue",
		`Tasks that are neither running nor paused at the end of the time range, the longest first: since when, the class of the innermost cause and of the exception if failed, and the worker. Several tasks with one root cause share a target system; several on one worker share that worker.`,
		[]column{
			col("connector", "Connector", connectorLink, colWidth(280)), col("task", "Task", colWidth(60)), stateColumn, sinceColumn,
			col("root_cause", "Root cause"), col("exception", "Exception"), col("worker", "Worker", colWidth(250)),
		},
		rows(`max by (connector, task, state) (kafka_connect_task_state{<connector>, state=~"`+trouble+`"} == 1)`),
		rows(`max by (connector, task, exception, root_cause) (kafka_connect_task_failure_info{<connector>} == 1)`),
		rows(`1000 * min by (connector, task) (kafka_connect_task_state_since_timestamp_seconds{<connector>}) and on (connector, task) (kafka_connect_task_state{<connector>, state=~"`+trouble+`"} == 1)`),
		rows(`max by (connector, task, worker) (kafka_connect_task_info{<connector>} and on (connector, task) (kafka_connect_task_state{<connector>, state=~"`+trouble+`"} == 1))`),
	).sorted("Since", false))
	d.line(7, table(24, "Connectors with issues", "No connector has an issue",
		`Connectors that are neither running, paused nor stopped, and those that are running without any task: these move no data and say nothing of it (a "/" in the name of a connector does it on two workers).`,
		[]column{
			col("connector", "Connector", connectorLink, colWidth(280)),
			col("Value #B", "Tasks", colThresholds(steps(failedColor, from(1, "text"))), coloured("color-text"), colWidth(60)), stateColumn, sinceColumn,
			col("root_cause", "Root cause"), col("exception", "Exception"), col("worker", "Worker", colWidth(250)),
		},
		rows(connectorsWithIssues),
		rows(withoutTasks),
		rows(`1000 * min by (connector) (kafka_connect_connector_state_since_timestamp_seconds{<connector>}) and on (connector) (kafka_connect_connector_state{<connector>, state=~"`+trouble+`"} == 1)`),
		rows(`max by (connector, exception, root_cause) (kafka_connect_connector_failure_info{<connector>} == 1)`),
		rows(`max by (connector, worker) (kafka_connect_connector_info{<connector>} and on (connector) (kafka_connect_connector_state{<connector>, state=~"`+trouble+`"} == 1))`),
	).sorted("Since", false))

	d.line(7, graph(24, "Tasks by state", "none",
		`All tasks, stacked by state. Normal: one green band. A dark red or orange band that stays is work that nobody does; a dip of the whole is a cluster that was not observed.`,
		over("{{state}}", `max by (state) (kafka_connect_tasks{<cluster>}) > 0`)).counts().stacked().saying("no tasks seen").with(stateColors()...))

	d.row("All connectors", true)
	d.line(12, table(24, "Inventory", "No connector is observed",
		`Every connector at the end of the time range: filter by any column. Fewer tasks running than existing is worth a look; fewer existing than tasks.max can be right.`,
		[]column{
			col("connector", "Connector", connectorLink), col("state", "State", colMappings(stateWords()...), coloured("color-text"), colWidth(110)),
			col("Value #B", "Running", colWidth(90)), col("Value #C", "Tasks", colWidth(80)), col("Value #D", "tasks.max", colWidth(90)),
			col("connector_type", "Type", colWidth(80)), col("connector_class", "Class"), col("connector_version", "Version", colWidth(120)), col("worker", "Worker", colWidth(250)),
		},
		rows(`max by (connector, state) (kafka_connect_connector_state{<connector>} == 1)`),
		rows(`sum by (connector) (max by (connector, task) (kafka_connect_task_state{<connector>, state="running"} == 1)) or 0 * max by (connector) (kafka_connect_connector_tasks{<connector>})`),
		rows(`max by (connector) (kafka_connect_connector_tasks{<connector>})`),
		rows(`max by (connector) (kafka_connect_connector_tasks_max{<connector>})`),
		rows(`max by (connector, connector_type, connector_class, connector_version, worker) (kafka_connect_connector_info{<connector>} == 1)`),
	).sorted("Connector", false))

	d.row("Placement on workers", false)
	d.line(8,
		graph(9, "Tasks on each worker", "none",
			`Where tasks are placed, whatever their state. After a worker is killed its share stays, for more than five minutes, until Connect hands it to the others: the band then ends and theirs widen.`,
			over("{{worker}}", `max by (worker) (kafka_connect_worker_tasks{<cluster>})`)).counts().stacked().saying("No worker is named"),
		graph(9, "Connectors on each worker", "none",
			`Where connectors themselves are placed, whatever their state.`,
			over("{{worker}}", `max by (worker) (kafka_connect_worker_connectors{<cluster>})`)).counts().stacked().saying("No worker is named"),
		barGauge(6, "Balance of tasks now", "none",
			`Tasks on each worker at the end of the time range. Connect spreads them evenly, give or take one; a long uneven spread means that a rebalance is due or that a worker came back.`,
			now("{{worker}}", `max by (worker) (kafka_connect_worker_tasks{<cluster>})`)).saying("No worker is named"),
	)

	d.line(7, timeline(24, "Workers that answer by themselves", "Workers are not probed: worker_probe is off",
		`Whether each worker that the snapshot names answers itself (worker_probe). Red while its tasks above say running: it is gone, and Connect has not handed out its tasks yet. A row pauses while the worker has no work and is not named.`,
		coded(0, shade{"silent", failedColor}, shade{"answers", "green"}), over("{{worker}}", `max by (worker) (kafka_connect_worker_up{<cluster>})`)))

	d.row("Snapshots", true)
	d.line(8,
		heatmap(12, "Time that snapshots took", "s",
			`How long snapshots took, dark is many. Normal: one band, low. A second band above it is a worker that is slow or gone and tried first.`,
			over("", `sum by (le) (increase(kafka_connect_snapshot_duration_seconds_bucket{<cluster>}[$__rate_interval]))`)),
		graph(12, "Snapshot time against the deadline", "s",
			`Median and 95th percentile, and the deadline, on a logarithmic scale: the scrape timeout less what the exporter keeps for its answer. A snapshot that reaches it fails with the reason timeout, and the cluster counts as down.`,
			over("deadline", `min(kafka_connect_snapshot_deadline_seconds{<cluster>})`),
			over("median", `histogram_quantile(0.5, sum by (le) (rate(kafka_connect_snapshot_duration_seconds_bucket{<cluster>}[$__rate_interval])))`),
			over("95th percentile", `histogram_quantile(0.95, sum by (le) (rate(kafka_connect_snapshot_duration_seconds_bucket{<cluster>}[$__rate_interval])))`)).logarithmic().
			with(
				fixed("deadline", failedColor, property{ID: "custom.lineStyle", Value: object{"fill": "dash", "dash": []int{10, 10}}}, property{ID: "custom.fillOpacity", Value: 0}),
				fixed("median", "green"), fixed("95th percentile", "orange")),
	)
	d.line(8,
		graph(8, "Failed snapshots by reason", "none",
			`Snapshots that failed as a whole, of the exporter that fares best. Normal: none. unauthorized or forbidden: credentials. unreachable: network, or every worker gone. timeout: a worker hangs. not_found or decode: the URL is not that of a Connect worker, or one is just starting. rebalancing: passes by itself.`,
			over("{{reason}}", `min by (reason) (sum by (reason, instance) (increase(kafka_connect_snapshot_errors_total{<cluster>}[$__rate_interval]))) > 0`)).bars().saying("No snapshot failed"),
		graph(8, "Connectors not observed, by reason", "none",
			`Connectors that the cluster lists but whose status could not be had. no_status: just created, or its status is lost. unaddressable: a "/" or "%" in the name on Kafka 4; observation version 2 sees it.`,
			over("{{reason}}", `min by (reason) (kafka_connect_connectors_unobserved{<cluster>}) > 0`)).counts().stacked().saying("Every listed connector was observed"),
		graph(8, "API calls by endpoint and code", "reqps",
			`Calls that the exporter makes to this cluster. Normal: 200 only. Observation version 1 makes one or two a connector and snapshot, version 2 one a snapshot. "none": there was no answer.`,
			over("{{call}} {{code}}", `sum by (call, code) (rate(kafka_connect_request_duration_seconds_count{<cluster>}[$__rate_interval]))`)).stacked(),
	)

	d.row("Changes, plugins and versions", true)
	d.line(8,
		barGauge(8, "Connectors that change state most, 1h", "none",
			`The ten connectors with most changes of their own and their tasks' states in the last hour. A few at a deployment or rebalance are normal; a connector that stays here flaps.`,
			now("{{connector}}", `topk(10, max by (connector) (increase(kafka_connect_connector_state_changes_total{<connector>}[1h:1m]) + increase(kafka_connect_task_state_changes_total{<connector>}[1h:1m])) >= 1)`)).saying("No state changed").
			linked(link),
		graph(8, "Slowest API calls", "s",
			`95th percentile of the time of each kind of call. On a worker that rebalances, info waits for seconds while status does not.`,
			over("{{call}}", `histogram_quantile(0.95, sum by (le, call) (rate(kafka_connect_request_duration_seconds_bucket{<cluster>}[$__rate_interval])))`)),
		graph(8, "Size of a snapshot", "bytes",
			`Bytes of the replies that made the last snapshot. It grows with connectors, their configurations and, by some KB each, with failed tasks.`,
			over("bytes", `max(kafka_connect_response_bytes{<cluster>})`)),
	)
	d.line(8,
		table(12, "Plugins", "No connector is observed",
			`Connector classes and versions in use, and by how many connectors. One class in two versions is an upgrade under way, or one that stopped half way. Versions are told by workers since Kafka 4.1.`,
			[]column{
				col("connector_class", "Class"), col("connector_type", "Type", colWidth(90)), col("connector_version", "Version", colWidth(120)), col("Value", "Connectors", colWidth(110)),
			},
			rows(`count by (connector_class, connector_type, connector_version) (max by (connector, connector_class, connector_type, connector_version) (kafka_connect_connector_info{<connector>} == 1))`),
		).sorted("Connectors", true),
		timeline(12, "Versions of workers that answered", "No version is known",
			`Kafka version and commit of the worker that answered each snapshot. Two rows side by side: workers of different versions, normal only during an upgrade.`,
			coded(1, shade{"answered", "blue"}),
			over("{{version}} {{commit}}", `max by (version, commit) (kafka_connect_cluster_info{<cluster>})`)),
	)
	d.line(4, timeline(24, "State of the managed service", "Only Aiven tells a state of the service",
		`What the provider says of the service that runs the cluster. While it is rebuilding or rebalancing, unassigned tasks are to be expected; one that is powered off is up and has no connectors.`,
		coded(1, shade{"running", "green"}, shade{"poweroff", "blue"}, shade{"rebalancing", "yellow"}, shade{"rebuilding", "orange"}, shade{"unknown", "#8e8e8e"}), over("service", `
			max(1 * (kafka_connect_resource_state{<cluster>, state="running"} == 1)
			or 2 * (kafka_connect_resource_state{<cluster>, state="poweroff"} == 1)
			or 3 * (kafka_connect_resource_state{<cluster>, state="rebalancing"} == 1)
			or 4 * (kafka_connect_resource_state{<cluster>, state="rebuilding"} == 1)
			or 5 * (kafka_connect_resource_state{<cluster>, state="unknown"} == 1))`)))
	return d.dashboard
}

// trouble are the states that need somebody, or should pass.
const trouble = "failed|" + waiting + "|provisioning|deleting"

// withoutTasks are connectors that run and have no task.
const withoutTasks = `(max by (connector) (kafka_connect_connector_tasks{<connector>}) == 0)
	unless on (connector) (kafka_connect_connector_state{<connector>, state!="running"} == 1)`

// connectorsWithIssues holds the connectors in a state that needs somebody, and
// those that run without tasks.
const connectorsWithIssues = `
	max by (connector, state) (kafka_connect_connector_state{<connector>, state=~"` + trouble + `"} == 1)
	or label_replace(` + withoutTasks + `, "state", "running", "", "")`

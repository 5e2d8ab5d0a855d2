package build

func connector() Dashboard {
	d := newClusterDraft(Dashboard{
		UID: connectorUID, Title: "Kafka Connect / Connector",
		Description: "One connector (or a few) and its tasks: since when it fails and why, where it runs, and whether it has the tasks that it should.",
	}, variable.many)
	d.annotate("Cluster down", "dark-red",
		`max by (connect_cluster) (kafka_connect_up{<cluster>}) == bool 0`,
		"{{connect_cluster}} is down", "Snapshots fail: what this page shows of that time is unknown.", true)
	workersChanged(d)
	d.deployed("1m", "connector")
	firing(d, `connect_cluster="$connect_cluster", connector=~"$connector"`)

	state := stat(3, "State", "none", "not seen now", steps("text"),
		`State of the connector itself at the end of the time range, not of its tasks. "Not seen now": it was deleted, or its cluster is down.`,
		now("{{connector}}", stateCode("kafka_connect_connector_state", "connector")))
	state.FieldConfig.Defaults.Mappings = stateMappings()
	state.Options["colorMode"] = "background"
	bad := steps("green", from(1, failedColor))
	d.line(4,
		state,
		stat(3, "Failed tasks", "none", "no tasks seen", bad,
			`Tasks that are FAILED now. Normal: 0. Restart them once the cause is mended: nobody else does.`,
			now("", `sum(max by (connector, task) (kafka_connect_task_state{<connector>, state="failed"} == 1)) or 0 * count(kafka_connect_task_state{<connector>})`)),
		stat(3, "Running tasks", "none", "no tasks seen", steps("text"),
			`Tasks that say RUNNING now. Normal: as many as exist.`,
			now("", `sum(max by (connector, task) (kafka_connect_task_state{<connector>, state="running"} == 1)) or 0 * count(kafka_connect_task_state{<connector>})`)),
		stat(3, "tasks.max", "none", "not known", steps("text"),
			`The most tasks that the connector may have. Having fewer can be right: a source makes no more than it has tables or partitions to read.`,
			now("", `sum(max by (connector) (kafka_connect_connector_tasks_max{<connector>}))`)),
		stat(3, "State changes, 1h", "none", "not seen", steps("text", from(10, "orange")),
			`Changes of its own and its tasks' states in the last hour. More than a handful without anybody at work is flapping.`,
			now("", `sum(max by (connector) (increase(kafka_connect_connector_state_changes_total{<connector>}[1h]) + increase(kafka_connect_task_state_changes_total{<connector>}[1h])))`)),
		stat(3, "Time running", "percentunit", "not seen", steps(failedColor, from(0.95, "orange"), from(0.999, "green")),
			`Share of the time range that the connector itself was RUNNING, of the time that its cluster was observed. Pauses count as not running.`,
			now("{{connector}}", `
				(sum_over_time((max by (connector) (kafka_connect_connector_state{<connector>, state="running"} == 1))[$__range:1m])
				or 0 * max by (connector) (last_over_time(kafka_connect_connector_state{<connector>}[$__range])))
				/ on () group_left () sum_over_time((max(kafka_connect_up{<cluster>}) > 0)[$__range:1m])`)),
		words(6, "Class", "not seen now",
			`Type and class of the connector, and the version of its plugin where the worker tells it (Kafka 4.1 and later).`,
			now("{{connector_type}}: {{connector_class}} {{connector_version}}", `max by (connector_type, connector_class, connector_version) (kafka_connect_connector_info{<connector>} == 1)`)),
	)
	d.line(5, timeline(24, "State of the connector", "Not seen in this range",
		`The connector itself. Red is failed: it makes no new task configurations, while its tasks may go on. A gap: its cluster could not be observed.`,
		stateMappings(), over("{{connector}}", stateCode("kafka_connect_connector_state", "connector"))))
	d.line(8, timeline(24, "States of its tasks", "No task of it was seen in this range",
		`A row a task. Red rows wait for a restart. Rows that turn orange together lost their worker, and are handed out again after scheduled.rebalance.max.delay.ms, five minutes unless set otherwise. Managed services without task states (MSK Connect) have no rows.`,
		stateMappings(), over("{{connector}} / {{task}}", stateCode("kafka_connect_task_state", "connector, task"))))
	d.line(8, table(24, "Tasks", "No task is seen now",
		`All tasks at the end of the time range: state, since when if it is not running, worker, and why they failed. The message of the exception is in the log of that worker, and in the reply of GET /connectors/NAME/status.`,
		[]column{
			col("connector", "Connector", colWidth(260)), col("task", "Task", colWidth(70)),
			col("state", "State", colMappings(stateWords()...), coloured("color-background"), colWidth(110)),
			col("Value #D", "Since", colUnit("dateTimeFromNow"), colWidth(130)),
			col("worker", "Worker", colWidth(250)), col("root_cause", "Root cause"), col("exception", "Exception"),
			col("task_version", "Version", colWidth(110)),
		},
		rows(`max by (connector, task, state) (kafka_connect_task_state{<connector>} == 1)`),
		rows(`max by (connector, task, worker, task_version) (kafka_connect_task_info{<connector>} == 1)`),
		rows(`max by (connector, task, exception, root_cause) (kafka_connect_task_failure_info{<connector>} == 1)`),
		rows(`1000 * min by (connector, task) (kafka_connect_task_state_since_timestamp_seconds{<connector>})`),
	).sorted("State", false))
	d.line(8,
		graph(8, "Tasks against tasks.max", "none",
			`Tasks that exist, that run, and tasks.max. Fewer running than existing: failed, paused or unassigned. None existing while the connector runs: it moves no data.`,
			over("{{connector}} tasks.max", `max by (connector) (kafka_connect_connector_tasks_max{<connector>})`),
			over("{{connector}} existing", `max by (connector) (kafka_connect_connector_tasks{<connector>})`),
			over("{{connector}} running", `sum by (connector) (max by (connector, task) (kafka_connect_task_state{<connector>, state="running"} == 1)) or 0 * max by (connector) (kafka_connect_connector_tasks{<connector>})`)).counts().
			with(override{
				Matcher: object{"id": "byFrameRefID", "options": "A"},
				Properties: []property{
					{ID: "color", Value: color{Mode: "fixed", FixedColor: "#8e8e8e"}},
					{ID: "custom.lineStyle", Value: object{"fill": "dash", "dash": []int{10, 10}}},
					{ID: "custom.fillOpacity", Value: 0},
				},
			}),
		graph(8, "Tasks on each worker", "none",
			`Where its tasks are placed. Connect spreads the tasks of all connectors evenly, not those of one.`,
			over("{{worker}}", `count by (worker) (max by (connector, task, worker) (kafka_connect_task_info{<connector>} == 1))`)).counts().stacked().saying("No task is placed"),
		graph(8, "Failed tasks by root cause", "none",
			`Innermost cause of each failed task, class names only. One class over all tasks points at the target system or the data; different ones at the worker.`,
			over("{{root_cause}}", `count by (root_cause) (max by (connector, task, root_cause) (kafka_connect_task_failure_info{<connector>} == 1))`)).counts().stacked().saying("No task failed"),
	)
	d.line(7,
		graph(12, "State changes", "none",
			`Changes seen between snapshots, of the connector itself and of its tasks. What changes twice between two snapshots is not seen.`,
			over("{{connector}}: connector", `max by (connector) (increase(kafka_connect_connector_state_changes_total{<connector>}[$__rate_interval]))`),
			over("{{connector}}: tasks", `max by (connector) (increase(kafka_connect_task_state_changes_total{<connector>}[$__rate_interval]))`)).bars().every("1m"),
		timeline(12, "Placement of the connector", "Not seen in this range",
			`The worker that runs the connector itself, which makes its task configurations. A change of rows is a rebalance.`,
			coded(1, shade{"here", "blue"}),
			over("{{worker}}", `max by (worker) (kafka_connect_connector_info{<connector>} == 1)`)),
	)
	d.row("What a managed service tells beside", true)
	d.line(7,
		graph(8, "Tasks that the provider counts", "none",
			`Running and failed tasks by the provider's own metrics (CloudWatch for MSK Connect, off unless configured), some minutes old: all that there is of tasks where the API has no task states.`,
			over("{{connector}} {{state}}", `max by (connector, state) (kafka_connect_connector_reported_tasks{<connector>})`)).counts().saying("No provider counts its tasks"),
		graph(8, "Workers of its own", "none",
			`On MSK Connect each connector has workers of its own: how many the provider counts, and between which bounds it scales them. Workers at the upper bound for long: capacity is short.`,
			over("{{connector}} counted", `max by (connector) (kafka_connect_connector_reported_workers{<connector>})`),
			over("{{connector}} least", `max by (connector) (kafka_connect_connector_runtime_workers_min{<connector>})`),
			over("{{connector}} most", `max by (connector) (kafka_connect_connector_runtime_workers_max{<connector>})`)).counts().saying("It has no workers of its own"),
		table(8, "Runtime", "No managed service tells of it",
			`How a managed service runs the connector: version of Kafka Connect, capacity, size of each worker (MSK Connect units), and its id there, by which support and consoles know it.`,
			[]column{
				col("connector", "Connector"), col("connect_version", "Connect", colWidth(80)), col("capacity", "Capacity", colWidth(110)),
				col("Value #B", "Units", colWidth(60)), col("connector_id", "Id"),
			},
			rows(`max by (connector, connect_version, capacity) (kafka_connect_connector_runtime_info{<connector>} == 1)`),
			rows(`max by (connector) (kafka_connect_connector_runtime_worker_units{<connector>})`),
			rows(`max by (connector, connector_id) (kafka_connect_connector_info{<connector>, connector_id!=""} == 1)`)),
	)
	return d.dashboard
}

package build

func exporter() Dashboard {
	d := newDraft(Dashboard{
		UID: exporterUID, Title: "Kafka Connect / Exporter",
		Description: "The exporter itself: what it costs, what it asks of the clusters, and whether its answers can be trusted.",
	}, map[string]string{"exporter": `job=~"$job", instance=~"$instance"`})
	d.dashboard.Templating.List = []variable{
		datasourceVariable(), jobVariable("kafka_connect_exporter_build_info"), filterVariable(),
		queryVariable("instance", "Instance", `label_values(kafka_connect_exporter_build_info{job=~"$job"}, instance)`).all(),
	}
	d.annotate("Exporter restarted", "purple",
		`process_start_time_seconds{<exporter>} != process_start_time_seconds{<exporter>} offset 1m`,
		"{{instance}} restarted", "The process began anew.", true)

	reload := stat(4, "Configuration", "none", "not reported", steps(failedColor, from(1, "green")),
		`Whether the last reload was taken. "refused": the running configuration is the one from before; the log names file, line and field.`,
		now("", `min(kafka_connect_exporter_config_last_reload_successful{<exporter>})`))
	reload.FieldConfig.Defaults.Mappings = coded(0, shade{"refused", failedColor}, shade{"in use", "green"})
	d.line(4,
		stat(3, "Exporters", "none", "none", steps("text"),
			`Processes that were scraped. More than one for the same clusters is an HA pair; the other dashboards count each cluster once.`,
			now("", `count(kafka_connect_exporter_build_info{<exporter>})`)),
		words(3, "Version", "none",
			`Version of each exporter. Two versions: a rollout under way.`,
			now("{{version}}", `count by (version) (kafka_connect_exporter_build_info{<exporter>})`)),
		reload,
		stat(4, "Configuration age", "s", "not reported", steps("text"),
			`Time since a configuration was last loaded with success.`,
			now("", `time() - max(kafka_connect_exporter_config_last_reload_success_timestamp_seconds{<exporter>})`)),
		stat(3, "Series", "short", "not scraped", steps("text"),
			`Samples in the last scrape, over all exporters: what this product costs Prometheus.`,
			now("", `sum(scrape_samples_scraped{<exporter>})`)),
		stat(3, "Clusters", "none", "none", steps("text"),
			`Clusters that the exporters report, each once.`,
			now("", `count(max by (connect_cluster) (kafka_connect_up{<exporter>}))`)),
		stat(4, "Failed OTLP exports, 1h", "none", "push is off", steps("green", from(1, failedColor)),
			`OTLP exports that failed in the last hour. The log says why, once. Scrapes do not suffer from it.`,
			now("", `sum(increase(kafka_connect_exporter_otlp_exports_total{<exporter>, outcome="failure"}[1h]))`)),
	)
	d.row("Scrapes", false)
	d.line(8,
		graph(6, "Duration of a scrape", "s",
			`What Prometheus waits for /metrics: the slowest cluster's snapshot and the rendering. It belongs well below the scrape timeout (10 s unless set).`,
			over("{{instance}}", `max by (instance) (scrape_duration_seconds{<exporter>})`)),
		graph(6, "Samples of a scrape", "short",
			`Series that the exporter exposes. It grows with connectors and tasks; state_series: all multiplies it by about six.`,
			over("{{instance}}", `max by (instance) (scrape_samples_scraped{<exporter>})`)),
		graph(6, "Scrapes answered, by status", "reqps",
			`Answers of /metrics. Normal: 200 only. 503: more scrapes at once than --web.max-requests.`,
			over("{{code}}", `sum by (code) (rate(promhttp_metric_handler_requests_total{<exporter>}[$__rate_interval]))`)).stacked(),
		graph(6, "Work of a scrape by phase", "s",
			`Time that one scrape takes in each phase. wait and decode are summed over calls that run side by side, so they can exceed the scrape itself; wait belongs to the workers, the rest is this exporter's own.`,
			over("{{phase}}", `sum by (phase) (rate(kafka_connect_exporter_scrape_phase_seconds_total{<exporter>}[$__rate_interval]))
				/ on () group_left () sum(rate(promhttp_metric_handler_requests_total{<exporter>}[$__rate_interval]))`)).stacked(),
	)
	d.row("Work for the clusters", false)
	d.line(8,
		graph(8, "Snapshot time of each cluster", "s",
			`95th percentile. The slowest cluster sets the time of the scrape.`,
			over("{{connect_cluster}}", `histogram_quantile(0.95, sum by (le, connect_cluster) (rate(kafka_connect_snapshot_duration_seconds_bucket{<exporter>}[$__rate_interval])))`)),
		graph(8, "Snapshots by outcome", "ops",
			`Snapshots taken. Callers that come within snapshot_max_age share one, so two Prometheus servers cost no more than one.`,
			over("{{outcome}}", `sum by (outcome) (rate(kafka_connect_snapshot_duration_seconds_count{<exporter>}[$__rate_interval]))`)).stacked().
			with(fixed("success", "green"), fixed("partial", "purple"), fixed("failure", failedColor)),
		graph(8, "Failed snapshots by cluster and reason", "none",
			`Normal: none. unauthorized and forbidden: credentials; unreachable: network or workers; timeout: a worker that hangs. One instance alone that fails is blind, and the cluster well: the other dashboards do not show it.`,
			over("{{connect_cluster}}: {{reason}} ({{instance}})", `sum by (connect_cluster, reason, instance) (increase(kafka_connect_snapshot_errors_total{<exporter>}[$__rate_interval])) > 0`)).bars().saying("No snapshot failed"),
	)
	d.line(8,
		graph(8, "API calls to each cluster", "reqps",
			`Calls to Connect's REST API. Observation version 2 makes one a snapshot, version 1 one or two a connector: a cluster that stands out here should be observed by version 2.`,
			over("{{connect_cluster}}", `sum by (connect_cluster) (rate(kafka_connect_request_duration_seconds_count{<exporter>}[$__rate_interval]))`)),
		graph(8, "Size of a snapshot", "bytes",
			`Bytes of the replies that made the last snapshot of each cluster.`,
			over("{{connect_cluster}}", `max by (connect_cluster) (kafka_connect_response_bytes{<exporter>})`)),
		graph(8, "OTLP exports by outcome", "ops",
			`Exports pushed over OTLP. Failures: the receiver is gone, slow, or refuses; the log says why, once.`,
			over("{{outcome}}", `sum by (outcome) (rate(kafka_connect_exporter_otlp_exports_total{<exporter>}[$__rate_interval]))`)).stacked().saying("OTLP push is off").
			with(fixed("success", "green"), fixed("failure", failedColor)),
	)
	d.row("Process", true)
	d.line(8,
		graph(6, "CPU", "none",
			`Cores in use. Decoding and rendering cost some milliseconds for each thousand connectors and scrape.`,
			over("{{instance}}", `sum by (instance) (rate(process_cpu_seconds_total{<exporter>}[$__rate_interval]))`)),
		graph(6, "Memory", "bytes",
			`Resident memory and the live heap within it. Both level off; a steady rise is a leak worth reporting.`,
			over("{{instance}} resident", `max by (instance) (process_resident_memory_bytes{<exporter>})`),
			over("{{instance}} heap", `max by (instance) (go_memstats_heap_alloc_bytes{<exporter>})`)),
		graph(6, "Goroutines", "none",
			`Follows the calls in flight. A steady rise is a leak worth reporting.`,
			over("{{instance}}", `max by (instance) (go_goroutines{<exporter>})`)).counts(),
		graph(6, "Open files", "none",
			`Open file descriptors: connections to workers and scrapers, mostly.`,
			over("{{instance}}", `max by (instance) (process_open_fds{<exporter>})`)).counts(),
	)
	return d.dashboard
}

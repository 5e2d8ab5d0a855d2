package large

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	product "github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
)

// fleet is one cluster of many connectors, and others beside it of which only the
// figures of whole clusters are drawn.
type fleet struct {
	clock
	connectors, tasks, workers, others int
	drawn                              map[string]line
}

const (
	busy    = "orders"    // The cluster that has the connectors.
	blind   = "cluster-1" // One that another exporter does not see.
	minutes = 4           // Scrapes in one.
)

// newFleet is 10,000 connectors with four tasks each on 20 workers, and 30 clusters
// beside; six hours, scraped every 15 seconds as Prometheus is mostly told to.
func newFleet() fleet {
	start := time.Date(2026, 1, 5, 6, 0, 0, 0, time.UTC)
	return fleet{clock{start.UnixMilli(), 15_000, 6 * 60 * minutes}, 10_000, 4, 20, 30, map[string]line{}}
}

// fate is what becomes of an object: its state at each scrape, none where it is
// not there.
type fate func(i int) string

// of is the fate of a connector (task -1) or of one of its tasks, and a name for
// it: objects of one name share their samples. Of 200 connectors 187 run all the
// time, but for the rolling restart that everyone lives through.
func (f fleet) of(connector, task int) (string, fate) {
	worker := f.workerOf(connector)
	restart := f.scrapes/3 + 2*minutes*worker // One after another, two minutes each.
	restarting := func(i int) bool { return i >= restart && i < restart+2*minutes }
	name, rest := "runs", fate(func(int) string { return "running" })
	switch itself := task < 0; connector % 200 {
	case 1, 2: // A task, or all of them, failed some time ago.
		if itself || connector%200 == 2 && task > 0 {
			break
		}
		since := f.scrapes / 8 * (1 + connector/200%7)
		name, rest = fmt.Sprint("failed since ", since), func(i int) string {
			if i < since {
				return "running"
			}
			return "failed"
		}
	case 3: // It fails every half hour, and somebody restarts it.
		if itself {
			break
		}
		name, rest = "flaps", func(i int) string {
			if i%(30*minutes) < 5*minutes {
				return "failed"
			}
			return "running"
		}
	case 4, 5, 6, 7:
		return fmt.Sprint("paused on ", worker), func(i int) string {
			if restarting(i) {
				return "unassigned"
			}
			return "paused"
		}
	case 8, 9:
		if task >= 0 {
			return "", nil
		}
		name, rest = "stopped", func(int) string { return "stopped" }
	case 10:
		if !itself {
			break
		}
		name, rest = "failed itself", func(i int) string {
			if i < f.scrapes/2 {
				return "running"
			}
			return "failed"
		}
	case 11, 12, 13: // Its worker was lost.
		name, rest = "unassigned", func(i int) string {
			if i < f.scrapes-20*minutes {
				return "running"
			}
			return "unassigned"
		}
	}
	return fmt.Sprint(name, " on ", worker), func(i int) string {
		if restarting(i) {
			return "unassigned"
		}
		return rest(i)
	}
}

func (f fleet) workerOf(connector int) int { return connector / 200 % f.workers }

func (f fleet) worker(n int) string { return fmt.Sprintf("connect-%d.connect.data.svc:8083", n) }

// once draws what is called so, the first time.
func (f fleet) once(name string, at func(i int) float64) (line, error) {
	if l, ok := f.drawn[name]; ok {
		return l, nil
	}
	l, err := f.draw(at)
	f.drawn[name] = l
	return l, err
}

// seconds since the epoch at a scrape.
func (f fleet) seconds(i int) float64 { return float64(f.at(i)) / 1000 }

// since is the scrape at which the state at scrape i began.
func since(path fate, i int) int {
	state := path(i)
	for i > 0 && path(i-1) == state {
		i--
	}
	return i
}

// object draws a series of a connector or a task by the metric's name; an empty
// line is a series that is not there.
func (f fleet) object(metric string, connector, task int, state string) (line, error) {
	name, path := f.of(connector, task)
	if path == nil {
		return nil, nil
	}
	absent := math.NaN()
	named := func(i int, wanted string) float64 {
		if path(i) == wanted {
			return 1
		}
		return absent
	}
	switch {
	case strings.HasSuffix(metric, "_failure_info"):
		return f.once(metric+name, func(i int) float64 { return named(i, "failed") })
	case strings.HasSuffix(metric, "_state_since_timestamp_seconds"):
		return f.once(metric+name, func(i int) float64 {
			if path(i) == "running" {
				return absent
			}
			return f.seconds(since(path, i))
		})
	case metric == "kafka_connect_connector_state" || metric == "kafka_connect_task_state":
		return f.once("state "+state+name, func(i int) float64 { return named(i, state) })
	case strings.HasSuffix(metric, "_tasks") || strings.HasSuffix(metric, "_tasks_max"):
		return f.once("tasks", func(int) float64 { return float64(f.tasks) })
	case strings.HasSuffix(metric, "_total"):
		changes := 0.0
		return f.once("changes"+name, func(i int) float64 {
			if i > 0 && path(i) != path(i-1) {
				changes++
			}
			return changes
		})
	case strings.HasSuffix(metric, "config_changed_timestamp_seconds") && connector%20 != 0:
		return nil, nil // Most were changed before the exporter started.
	case strings.HasSuffix(metric, "timestamp_seconds"):
		variant := connector % 16
		return f.once(fmt.Sprint("moment", variant), func(i int) float64 { return f.seconds(i - i%(1+10*variant)) })
	case strings.HasSuffix(metric, "_info") || strings.HasSuffix(metric, "_labels"):
		return f.once("one", func(int) float64 { return 1 })
	case strings.HasSuffix(metric, "_seconds"):
		return f.wave(10, connector)
	default:
		return f.wave(1000, connector)
	}
}

// wave goes up and down, in one of 16 ways.
func (f fleet) wave(height float64, connector int) (line, error) {
	variant := float64(1 + connector%16)
	return f.once(fmt.Sprint("wave", height, variant), func(i int) float64 {
		return math.Round(height * variant * (1.2 + math.Sin(float64(i)/30/variant)))
	})
}

// whole draws a series of a whole cluster, or of the exporter.
func (f fleet) whole(d product.Descriptor, l map[string]string, counts map[string][]float64) (line, error) {
	if of := strings.TrimPrefix(d.Name, "kafka_connect_"); (of == "connectors" || of == "tasks") && l["connect_cluster"] == busy {
		return f.once(d.Name+l["state"], func(i int) float64 { return counts[of+l["state"]][i] })
	}
	switch {
	case strings.HasSuffix(d.Name, "_total") || d.Kind == product.Histogram:
		return f.once("rises", func(i int) float64 { return float64(i) })
	case strings.HasSuffix(d.Name, "timestamp_seconds"):
		return f.once("now", f.seconds)
	case strings.HasPrefix(d.Name, "kafka_connect_tasks_") || strings.HasSuffix(d.Name, "_lag") || strings.HasSuffix(d.Name, "_delay_seconds") ||
		d.Name == "kafka_connect_connectors_unobserved" || d.Name == "kafka_connect_tasks" || d.Name == "kafka_connect_connectors":
		return f.once("zero", func(int) float64 { return 0 })
	case strings.HasSuffix(d.Name, "_tasks") || strings.HasSuffix(d.Name, "_connectors") || d.Name == "kafka_connect_workers" || d.Name == "kafka_connect_group_members":
		return f.once("workers", func(int) float64 { return float64(f.workers) })
	default:
		return f.once("one", func(int) float64 { return 1 })
	}
}

// values are those that a label of a whole cluster takes.
func (f fleet) values(metric, label string) []string {
	switch {
	case metric == "kafka_connect_group_state" && label == "state":
		return []string{"stable"}
	case metric == "kafka_connect_resource_state" && label == "state":
		return []string{"running"}
	case label == "state":
		return states
	case label == "worker":
		var all []string
		for n := range f.workers {
			all = append(all, f.worker(n))
		}
		return all
	case label == "reason":
		return strings.Fields("timeout unreachable unauthorized forbidden not_found rebalancing http_status decode too_large")
	case label == "outcome":
		return []string{"success", "partial", "failure"}
	case label == "call":
		return []string{"list", "status", "info", "root"}
	case label == "code":
		return []string{"200", "404", "500", "none"}
	case label == "phase":
		return []string{"wait", "decode", "render", "compress"}
	case label == "le":
		return strings.Fields("0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 30 +Inf")
	default:
		return []string{label}
	}
}

var states = strings.Fields("running paused stopped failed unassigned restarting degraded provisioning deleting unknown")

// build draws the series of every metric that is asked for.
func (f fleet) build(asked map[string]bool) ([]series, error) {
	var all []series
	builder := labels.NewScratchBuilder(12)
	add := func(metric string, l line, pairs map[string]string) {
		if len(l) == 0 {
			return
		}
		builder.Reset()
		builder.Add(model.MetricNameLabel, metric)
		builder.Add("job", "kafka-connect-exporter")
		if pairs["instance"] == "" {
			builder.Add("instance", "exporter-0:10083")
		}
		for name, v := range pairs {
			builder.Add(name, v)
		}
		builder.Sort()
		all = append(all, series{builder.Labels(), l})
	}

	counts := f.counts()
	for _, d := range product.Descriptors() {
		names := []string{d.Name}
		if d.Kind == product.Histogram {
			names = []string{d.Name + "_bucket", d.Name + "_sum", d.Name + "_count"}
		}
		for _, name := range names {
			if !asked[name] {
				continue
			}
			own := slices.Clone(d.Labels)
			if strings.HasSuffix(name, "_bucket") {
				own = append(own, "le")
			}
			var err error
			if slices.Contains(own, "connector") {
				err = f.objects(d, add)
			} else {
				err = f.wholes(name, d, own, counts, add)
			}
			if err != nil {
				return nil, fmt.Errorf("draw %s: %w", name, err)
			}
		}
	}
	one, err := f.once("one", func(int) float64 { return 1 })
	if err != nil {
		return nil, err
	}
	for _, metric := range []string{
		"scrape_duration_seconds", "scrape_samples_scraped", "process_cpu_seconds_total", "process_resident_memory_bytes",
		"process_open_fds", "process_start_time_seconds", "go_goroutines", "go_memstats_heap_alloc_bytes",
	} {
		add(metric, one, nil)
	}
	zero, err := f.once("zero", func(int) float64 { return 0 })
	if err != nil {
		return nil, err
	}
	add("kafka_connect_up", zero, map[string]string{"connect_cluster": blind, "instance": "exporter-1:10083"})
	add("promhttp_metric_handler_requests_total", one, map[string]string{"code": "200"})
	return all, f.agents(add)
}

// agents are series of an agent in the workers, a series a task: those of the JMX
// exporter with rules. The other agents' would be as many in their place.
func (f fleet) agents(add func(string, line, map[string]string)) error {
	for connector := range f.connectors {
		moved, kind := "kafka_connect_source_task_source_record_write_total", "source"
		if connector%2 == 1 {
			moved, kind = "kafka_connect_sink_task_sink_record_send_total", "sink"
		}
		total, err := f.total(fmt.Sprint("moved", connector%16), func(i int) float64 {
			return float64(100*(1+connector%16)) * (1.2 + math.Sin(float64(i)/100/float64(1+connector%5)))
		})
		if err != nil {
			return err
		}
		wrong, err := f.total(fmt.Sprint("wrong", connector%16 == 5), func(i int) float64 {
			if connector%16 == 5 && i%400 < 30 {
				return 4
			}
			return 0
		})
		if err != nil {
			return err
		}
		put, err := f.wave(10, connector)
		if err != nil {
			return err
		}
		for task := range f.tasks {
			pairs := map[string]string{"connector": fmt.Sprintf("orders-%s-%d", kind, connector), "task": strconv.Itoa(task)}
			add(moved, total, pairs)
			add("kafka_connect_task_error_total_record_errors", wrong, pairs)
			if kind == "sink" {
				add("kafka_connect_sink_task_put_batch_avg_time_ms", put, pairs)
			}
		}
	}
	return nil
}

// total draws a counter that grows by so much from one scrape to the next.
func (f fleet) total(name string, by func(i int) float64) (line, error) {
	sum := 0.0
	return f.once(name, func(i int) float64 {
		sum += by(i)
		return sum
	})
}

// counts are the objects in each state at each scrape, by kind and state.
func (f fleet) counts() map[string][]float64 {
	counts := map[string][]float64{}
	alike := map[string]int{}
	paths := map[string]fate{}
	for connector := range f.connectors {
		for task := -1; task < f.tasks; task++ {
			name, path := f.of(connector, task)
			if path == nil {
				continue
			}
			kind := "tasks"
			if task < 0 {
				kind = "connectors"
			}
			alike[kind+"\x00"+name]++
			paths[kind+"\x00"+name] = path
		}
	}
	for _, state := range states {
		counts["tasks"+state], counts["connectors"+state] = make([]float64, f.scrapes), make([]float64, f.scrapes)
	}
	for name, path := range paths {
		kind, _, _ := strings.Cut(name, "\x00")
		for i := range f.scrapes {
			counts[kind+path(i)][i] += float64(alike[name])
		}
	}
	return counts
}

// objects draws a metric of connectors or tasks.
func (f fleet) objects(d product.Descriptor, add func(string, line, map[string]string)) error {
	for connector := range f.connectors {
		first, last := -1, -1
		if slices.Contains(d.Labels, "task") {
			first, last = 0, f.tasks-1
		}
		kind := "sink"
		if connector%2 == 0 {
			kind = "source"
		}
		if other := map[string]string{"sink": "kafka_connect_source_", "source": "kafka_connect_sink_"}[kind]; strings.HasPrefix(d.Name, other) {
			continue
		}
		for task := first; task <= last; task++ {
			pairs := map[string]string{}
			if d.Dynamic {
				pairs["label_team"] = fmt.Sprint("team-", connector%12)
			}
			many := []string{""}
			for _, label := range d.Labels {
				switch label {
				case "connect_cluster":
					pairs[label] = busy
				case "connector":
					pairs[label] = fmt.Sprintf("orders-%s-%d", kind, connector)
				case "task":
					pairs[label] = strconv.Itoa(task)
				case "worker":
					pairs[label] = f.worker(f.workerOf(connector))
				case "connector_type":
					pairs[label] = kind
				case "connector_class":
					pairs[label] = fmt.Sprintf("org.example.connect.%s.Connector%d", kind, connector%40)
				case "exception":
					pairs[label] = "org.apache.kafka.connect.errors.ConnectException"
				case "root_cause":
					pairs[label] = []string{"java.net.ConnectException", "java.sql.SQLTransientConnectionException"}[connector/200%2]
				case "state":
					many = states
				default:
					pairs[label] = label
				}
			}
			for _, state := range many {
				l, err := f.object(d.Name, connector, task, state)
				if err != nil {
					return err
				}
				if state != "" {
					pairs["state"] = state
				}
				add(d.Name, l, pairs)
			}
		}
	}
	return nil
}

// wholes draws a metric of whole clusters, or of the exporter.
func (f fleet) wholes(name string, d product.Descriptor, own []string, counts map[string][]float64, add func(string, line, map[string]string)) error {
	for n := 0; n <= f.others; n++ {
		rows := []map[string]string{{}}
		for _, label := range own {
			values := f.values(d.Name, label)
			if label == "connect_cluster" {
				values = []string{busy}
				if n > 0 {
					values = []string{fmt.Sprint("cluster-", n)}
				}
			}
			var more []map[string]string
			for _, row := range rows {
				for _, v := range values {
					next := map[string]string{label: v}
					maps.Copy(next, row)
					more = append(more, next)
				}
			}
			rows = more
		}
		for _, row := range rows {
			l, err := f.whole(d, row, counts)
			if err != nil {
				return err
			}
			add(name, l, row)
		}
		if !slices.Contains(own, "connect_cluster") {
			return nil
		}
	}
	return nil
}

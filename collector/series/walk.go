package series

import (
	"slices"
	"strconv"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// A Walk turns results into series. It is the only place that knows which series
// a snapshot has: exposition, OTLP and the comparison of two snapshots are told
// of them through Emit.
type Walk struct {
	// AllStates emits every state that an object can be in as 0 or 1, instead of
	// the current one as 1.
	AllStates bool
	// Emit is told of each series.
	Emit func(f Family, value float64, l Labels)

	// decimals are the names of task ids, see taskID.
	decimals []string
}

// Result emits all series of a result.
func (w *Walk) Result(r *Result, summary *Summary) {
	w.Cluster(r, summary)
	if r.Snapshot == nil {
		return
	}
	pasts := r.Pasts()
	for i := range r.Snapshot.Connectors {
		w.Connector(r.Snapshot, &r.Snapshot.Connectors[i], pasts[i])
	}
}

// Cluster emits the series of a result that are of the cluster as a whole.
func (w *Walk) Cluster(r *Result, summary *Summary) {
	w.Emit(Up, boolValue(r.Snapshot != nil), Labels{})
	if r.ExpectedWorkers > 0 {
		w.Emit(ExpectedWorkers, float64(r.ExpectedWorkers), Labels{})
	}
	if known := r.Known(); known != nil {
		w.Emit(SnapshotTimestamp, Seconds(known.Taken), Labels{})
		// They matter most when nothing can be had because one has expired.
		for _, c := range known.Certificates {
			w.Emit(CertificateNotAfter, Seconds(c.NotAfter), Labels{c.Host})
		}
	}
	if r.Deadline > 0 {
		w.Emit(SnapshotDeadline, r.Deadline.Seconds(), Labels{})
	}
	if r.Resource != nil {
		w.operator(r)
	}
	if r.Snapshot != nil {
		w.cluster(r.Snapshot, summary)
	} else if r.Brokers != nil {
		w.brokers(r.Brokers)
	}
}

// Connector emits the series of one connector and its tasks.
func (w *Walk) Connector(snapshot *connect.Snapshot, c *connect.Connector, p *Past) {
	w.connector(snapshot, c)
	w.Emit(ConnectorStateChanges, float64(p.StateChanges), Labels{c.Name})
	w.Emit(ConnectorFailures, float64(p.Failures), Labels{c.Name})
	if !p.Since.IsZero() {
		w.Emit(ConnectorStateSince, Seconds(p.Since), Labels{c.Name})
	}
	if !snapshot.HasTasks {
		return
	}
	w.Emit(TaskStateChanges, float64(p.TaskStateChanges), Labels{c.Name})
	w.Emit(TaskFailures, float64(p.TaskFailures), Labels{c.Name})
	w.Emit(TaskRestarts, float64(p.TaskRestarts), Labels{c.Name})
	for i := range p.Tasks {
		if t := &p.Tasks[i]; !t.Since.IsZero() {
			w.Emit(TaskStateSince, Seconds(t.Since), Labels{c.Name, w.taskID(t.ID)})
		}
	}
}

// cluster emits what a snapshot says of the cluster as a whole.
func (w *Walk) cluster(snapshot *connect.Snapshot, summary *Summary) {
	w.Emit(ClusterInfo, 1, Labels{snapshot.Commit, snapshot.KafkaClusterID, string(snapshot.Provider), snapshot.Version})
	w.Emit(ResponseBytes, float64(snapshot.Bytes), Labels{})
	for _, s := range allStates {
		w.Emit(Connectors, float64(summary.Connectors[s]), Labels{s.String()})
		if snapshot.HasTasks {
			w.Emit(Tasks, float64(summary.Tasks[s]), Labels{s.String()})
		}
	}
	if snapshot.Provider.NamesWorkers() {
		w.Emit(Workers, float64(len(summary.Workers)), Labels{})
	}
	for i := range summary.Workers {
		worker := &summary.Workers[i]
		w.Emit(WorkerConnectors, float64(worker.Connectors), Labels{worker.Name})
		if snapshot.HasTasks {
			w.Emit(WorkerTasks, float64(worker.Tasks), Labels{worker.Name})
		}
	}
	for _, probe := range snapshot.Probes {
		w.Emit(WorkerUp, boolValue(probe.Up), Labels{probe.Worker})
		if probe.Version != "" {
			w.Emit(WorkerInfo, 1, Labels{probe.Commit, probe.Version, probe.Worker})
		}
	}
	for _, host := range snapshot.ForeignHosts {
		w.Emit(ForeignURL, 1, Labels{host})
	}
	for _, health := range snapshot.Health {
		w.Emit(WorkerHealthy, boolValue(health.Healthy), Labels{health.Worker})
	}
	w.Emit(TransitionsComplete, boolValue(snapshot.Brokers != nil && snapshot.Brokers.Events != nil), Labels{})
	for _, reason := range unobservedReasons {
		w.Emit(ConnectorsUnobserved, float64(summary.Unobserved[reason]), Labels{string(reason)})
	}
	if snapshot.ResourceState != "" {
		for _, s := range resourceStates {
			w.Emit(ResourceState, boolValue(s == snapshot.ResourceState), Labels{string(s)})
		}
	}
	if snapshot.Brokers != nil {
		w.brokers(snapshot.Brokers)
	}
}

// connector emits what a snapshot says of one connector and its tasks; not
// what was counted over many snapshots.
func (w *Walk) connector(snapshot *connect.Snapshot, c *connect.Connector) {
	w.state(ConnectorState, snapshot.Provider, c.State, Labels{c.Name}, 1)
	w.Emit(ConnectorInfo, 1, Labels{c.Name, c.Class, c.ID, c.Type, c.Version, c.Worker})
	if c.TasksMax > 0 {
		w.Emit(ConnectorTasksMax, float64(c.TasksMax), Labels{c.Name})
	}
	if c.Failure.Exception != "" {
		w.Emit(ConnectorFailureInfo, 1, Labels{c.Name, c.Failure.Exception, c.Failure.RootCause})
	}
	if len(c.Labels) > 0 {
		w.Emit(ConnectorLabels, 1, Labels{c.Name, dynamicLabels(c.Labels)})
	}
	if !c.ConfigChanged.IsZero() {
		w.Emit(ConfigChanged, Seconds(c.ConfigChanged), Labels{c.Name})
	}
	if c.Runtime != nil || c.Reported != nil {
		w.managed(c)
	}
	if !snapshot.HasTasks {
		return
	}
	w.Emit(ConnectorTasks, float64(c.TaskCount), Labels{c.Name})
	for i := range c.Tasks {
		t := &c.Tasks[i]
		id := w.taskID(t.ID)
		w.state(TaskState, snapshot.Provider, t.State, Labels{c.Name, "", id}, 1)
		w.Emit(TaskInfo, 1, Labels{c.Name, id, t.Version, t.Worker})
		if t.Failure.Exception != "" {
			w.Emit(TaskFailureInfo, 1, Labels{c.Name, t.Failure.Exception, t.Failure.RootCause, id})
		}
	}
}

// managed emits what only providers tell of a connector.
func (w *Walk) managed(c *connect.Connector) {
	if r := c.Runtime; r != nil {
		capacity := "" // not told
		switch {
		case r.Autoscaled:
			capacity = "autoscaled"
		case r.MaxWorkers > 0:
			capacity = "provisioned"
		}
		w.Emit(RuntimeInfo, 1, Labels{capacity, r.Version, c.Name})
		if r.MaxWorkers > 0 {
			w.Emit(RuntimeWorkersMin, float64(r.MinWorkers), Labels{c.Name})
			w.Emit(RuntimeWorkersMax, float64(r.MaxWorkers), Labels{c.Name})
		}
		if r.UnitsPerWorker > 0 {
			w.Emit(RuntimeWorkerUnits, float64(r.UnitsPerWorker), Labels{c.Name})
		}
	}
	if r := c.Reported; r != nil {
		count := func(f Family, n connect.Count, l Labels) {
			if n.Known {
				w.Emit(f, float64(n.Value), l)
			}
		}
		count(ReportedTasks, r.RunningTasks, Labels{c.Name, connect.StateRunning.String()})
		count(ReportedTasks, r.FailedTasks, Labels{c.Name, connect.StateFailed.String()})
		count(ReportedWorkers, r.Workers, Labels{c.Name})
	}
}

// state emits the current state of an object, or all that the provider has;
// at is where the state stands among the labels.
func (w *Walk) state(f Family, provider connect.Provider, current connect.State, l Labels, at int) {
	if !w.AllStates {
		l[at] = current.String()
		w.Emit(f, 1, l)
		return
	}
	known := false
	for _, s := range provider.States() {
		known = known || s == current
		l[at] = s.String()
		w.Emit(f, boolValue(s == current), l)
	}
	if !known {
		l[at] = current.String()
		w.Emit(f, 1, l)
	}
}

// These are asked for in every walk.
var (
	allStates         = connect.States()
	unobservedReasons = connect.UnobservedReasons()
	resourceStates    = connect.ResourceStates()
	operatorStates    = connect.OperatorStates()
)

// maxDecimals bounds the task ids whose names are kept: one that claims to be
// task 2,000,000,000 shall not cost memory.
const maxDecimals = 1 << 14

// taskID returns the decimal of a task id. Those that repeat over connectors
// are made once in a walk, in slabs that double.
func (w *Walk) taskID(id int) string {
	if id < 100 || id >= maxDecimals {
		return strconv.Itoa(id) // No allocation below 100.
	}
	if n := len(w.decimals); id >= n {
		size := min(max(2*n, id+1, 1024), maxDecimals)
		var (
			digits []byte
			ends   = make([]int, 0, size-n)
		)
		for i := n; i < size; i++ {
			digits = strconv.AppendInt(digits, int64(i), 10)
			ends = append(ends, len(digits))
		}
		all, start := string(digits), 0
		w.decimals = slices.Grow(w.decimals, size-n)
		for _, end := range ends {
			w.decimals = append(w.decimals, all[start:end])
			start = end
		}
	}
	return w.decimals[id]
}

func boolValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Seconds since the epoch, as Prometheus counts time.
func Seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

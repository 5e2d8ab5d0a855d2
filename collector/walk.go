package collector

import (
	"slices"
	"strconv"
	"strings"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// maxLabels is the most labels that a series has beside the cluster's.
const maxLabels = 6

// labels are the values of a series, in the order of its family's labels and
// without the cluster's.
type labels [maxLabels]string

// A walk turns views into series. It is the only place that knows which series
// a snapshot has: the renderer, the producer and the diff of two snapshots are
// told of them through emit.
type walk struct {
	allStates bool
	emit      func(f family, value float64, l labels)

	// decimals are the names of task ids, see taskID.
	decimals []string
}

// view emits all series of a view.
func (w *walk) view(v *View, summary *Summary) {
	w.clusterOf(v, summary)
	if v.Snapshot == nil {
		return
	}
	counts := countedOf(v)
	for i := range v.Snapshot.Connectors {
		w.connectorOf(v.Snapshot, &v.Snapshot.Connectors[i], counts[i])
	}
}

// clusterOf emits the series of a view that are of the cluster as a whole.
func (w *walk) clusterOf(v *View, summary *Summary) {
	w.emit(up, boolValue(v.Snapshot != nil), labels{})
	if known := v.Known(); known != nil {
		w.emit(snapshotTimestamp, seconds(known.Taken), labels{})
	}
	if v.Deadline > 0 {
		w.emit(snapshotDeadline, v.Deadline.Seconds(), labels{})
	}
	if v.Snapshot != nil {
		w.cluster(v.Snapshot, summary)
	}
}

// connectorOf emits the series of one connector and its tasks.
func (w *walk) connectorOf(snapshot *connect.Snapshot, c *connect.Connector, n counted) {
	w.connector(snapshot, c)
	w.emit(connectorStateChanges, float64(n.ofConnector), labels{c.Name})
	if snapshot.HasTasks {
		w.emit(taskStateChanges, float64(n.ofTasks), labels{c.Name})
	}
}

// cluster emits what a snapshot says of the cluster as a whole.
func (w *walk) cluster(snapshot *connect.Snapshot, summary *Summary) {
	w.emit(clusterInfo, 1, labels{snapshot.Commit, snapshot.KafkaClusterID, string(snapshot.Provider), snapshot.Version})
	w.emit(responseBytes, float64(snapshot.Bytes), labels{})
	for _, s := range allStates {
		w.emit(connectors, float64(summary.Connectors[s]), labels{s.String()})
		if snapshot.HasTasks {
			w.emit(tasks, float64(summary.Tasks[s]), labels{s.String()})
		}
	}
	if snapshot.Provider.NamesWorkers() {
		w.emit(workers, float64(len(summary.Workers)), labels{})
	}
	for i := range summary.Workers {
		worker := &summary.Workers[i]
		w.emit(workerConnectors, float64(worker.Connectors), labels{worker.Name})
		if snapshot.HasTasks {
			w.emit(workerTasks, float64(worker.Tasks), labels{worker.Name})
		}
	}
	for _, probe := range snapshot.Probes {
		w.emit(workerUp, boolValue(probe.Up), labels{probe.Worker})
		if probe.Version != "" {
			w.emit(workerInfo, 1, labels{probe.Commit, probe.Version, probe.Worker})
		}
	}
	for _, reason := range unobservedReasons {
		w.emit(connectorsUnobserved, float64(summary.Unobserved[reason]), labels{string(reason)})
	}
	if snapshot.ResourceState != "" {
		for _, s := range resourceStates {
			w.emit(resourceState, boolValue(s == snapshot.ResourceState), labels{string(s)})
		}
	}
}

// connector emits what a snapshot says of one connector and its tasks; not
// what was counted over many snapshots.
func (w *walk) connector(snapshot *connect.Snapshot, c *connect.Connector) {
	w.state(connectorState, snapshot.Provider, c.State, labels{c.Name}, 1)
	w.emit(connectorInfo, 1, labels{c.Name, c.Class, c.ID, c.Type, c.Version, c.Worker})
	if c.TasksMax > 0 {
		w.emit(connectorTasksMax, float64(c.TasksMax), labels{c.Name})
	}
	if c.Failure.Exception != "" {
		w.emit(connectorFailureInfo, 1, labels{c.Name, c.Failure.Exception, c.Failure.RootCause})
	}
	if c.Runtime != nil || c.Reported != nil {
		w.managed(c)
	}
	if !snapshot.HasTasks {
		return
	}
	w.emit(connectorTasks, float64(c.TaskCount), labels{c.Name})
	for i := range c.Tasks {
		t := &c.Tasks[i]
		id := w.taskID(t.ID)
		w.state(taskState, snapshot.Provider, t.State, labels{c.Name, "", id}, 1)
		w.emit(taskInfo, 1, labels{c.Name, id, t.Version, t.Worker})
		if t.Failure.Exception != "" {
			w.emit(taskFailureInfo, 1, labels{c.Name, t.Failure.Exception, t.Failure.RootCause, id})
		}
	}
}

// managed emits what only providers tell of a connector.
func (w *walk) managed(c *connect.Connector) {
	if r := c.Runtime; r != nil {
		capacity := "" // not told
		switch {
		case r.Autoscaled:
			capacity = "autoscaled"
		case r.MaxWorkers > 0:
			capacity = "provisioned"
		}
		w.emit(runtimeInfo, 1, labels{capacity, r.Version, c.Name})
		if r.MaxWorkers > 0 {
			w.emit(runtimeWorkersMin, float64(r.MinWorkers), labels{c.Name})
			w.emit(runtimeWorkersMax, float64(r.MaxWorkers), labels{c.Name})
		}
		if r.UnitsPerWorker > 0 {
			w.emit(runtimeWorkerUnits, float64(r.UnitsPerWorker), labels{c.Name})
		}
	}
	if r := c.Reported; r != nil {
		count := func(f family, n connect.Count, l labels) {
			if n.Known {
				w.emit(f, float64(n.Value), l)
			}
		}
		count(reportedTasks, r.RunningTasks, labels{c.Name, connect.StateRunning.String()})
		count(reportedTasks, r.FailedTasks, labels{c.Name, connect.StateFailed.String()})
		count(reportedWorkers, r.Workers, labels{c.Name})
	}
}

// state emits the current state of an object, or all that the provider has;
// at is where the state stands among the labels.
func (w *walk) state(f family, provider connect.Provider, current connect.State, l labels, at int) {
	if !w.allStates {
		l[at] = current.String()
		w.emit(f, 1, l)
		return
	}
	known := false
	for _, s := range statesOf(provider) {
		known = known || s == current
		l[at] = s.String()
		w.emit(f, boolValue(s == current), l)
	}
	if !known {
		l[at] = current.String()
		w.emit(f, 1, l)
	}
}

// These are asked for in every walk.
var (
	allStates         = connect.States()
	unobservedReasons = connect.UnobservedReasons()
	resourceStates    = connect.ResourceStates()
)

// States that each provider can report, beside those that its observer maps to
// others; StateUnknown is always possible.
var (
	workerStates = []connect.State{
		connect.StateRunning, connect.StatePaused, connect.StateStopped, connect.StateFailed,
		connect.StateUnassigned, connect.StateRestarting, connect.StateUnknown,
	}
	confluentStates = []connect.State{
		connect.StateRunning, connect.StatePaused, connect.StateFailed, connect.StateUnassigned, connect.StateRestarting,
		connect.StateDegraded, connect.StateProvisioning, connect.StateDeleting, connect.StateUnknown,
	}
	mskStates = []connect.State{
		connect.StateRunning, connect.StateFailed, connect.StateProvisioning, connect.StateDeleting, connect.StateUnknown,
	}
)

// statesOf returns the states that a provider can report. Aiven runs Kafka
// Connect itself.
func statesOf(provider connect.Provider) []connect.State {
	switch provider {
	case connect.ConfluentCloud:
		return confluentStates
	case connect.MSK:
		return mskStates
	default:
		return workerStates
	}
}

// maxDecimals bounds the task ids whose names are kept: one that claims to be
// task 2,000,000,000 shall not cost memory.
const maxDecimals = 1 << 14

// taskID returns the decimal of a task id. Those that repeat over connectors
// are made once in a walk, in slabs that double.
func (w *walk) taskID(id int) string {
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

// sortedViews returns the views in the order in which their series are shown,
// each cluster once.
func sortedViews(views []View) []*View {
	sorted := make([]*View, len(views))
	for i := range views {
		sorted[i] = &views[i]
	}
	byName := func(a, b *View) int { return strings.Compare(a.Cluster, b.Cluster) }
	slices.SortStableFunc(sorted, byName)
	return slices.CompactFunc(sorted, func(a, b *View) bool { return a.Cluster == b.Cluster })
}

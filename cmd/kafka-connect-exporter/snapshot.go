package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/promslog"
	"golang.org/x/term"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/app"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/fleet"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

type snapshotCommand struct {
	sourceFlags
	Output  string        `name:"output" short:"o" default:"table" enum:"table,json" help:"How to print it: ${enum}."`
	Color   string        `name:"color" default:"auto" enum:"auto,always,never" help:"When to colour: ${enum}; auto is on a terminal, unless NO_COLOR is set."`
	Timeout time.Duration `name:"timeout" default:"10s" help:"How long to wait for the clusters."`

	Resources bool `name:"resources" help:"Print the resources that discovery finds, as kubectl get does, and ask no cluster."`
}

// Help is shown by snapshot --help.
func (snapshotCommand) Help() string {
	return `Takes one snapshot of every configured cluster and prints it, what has failed first.

  kafka-connect-exporter snapshot --connect.url=http://connect:8083
  kafka-connect-exporter snapshot --config.file=clusters.yml -o json
  CONNECT_REST_URL=http://connect:8083 kafka-connect-exporter snapshot && echo all is well
  kafka-connect-exporter snapshot --config.file=clusters.yml --resources

Exit status: 0 all is well, 1 a connector or a task has failed, is degraded or could not be observed, 2 of a cluster there is no snapshot.`
}

// Run prints one snapshot of each cluster.
func (c snapshotCommand) Run(ctx context.Context, sys system) error {
	cfg, err := config.Load(c.sources(sys))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	found, err := app.Clusters(ctx, cfg, promslog.NewNopLogger())
	if err != nil {
		return err
	}
	watched := fleet.New(found.Clusters, fleet.Options{})
	defer watched.Close()
	if c.Resources {
		if err := writeResources(sys.Stdout, found.Resources); err != nil {
			return fmt.Errorf("print the resources: %w", err)
		}
		for _, refused := range found.Refused {
			fmt.Fprintln(sys.Stderr, "kafka-connect-exporter: "+notWatched(refused))
		}
		if !found.Complete {
			return errTrouble
		}
		return nil
	}
	results := watched.Observe(ctx)
	if c.Output == "json" {
		err = writeJSON(sys.Stdout, results)
	} else {
		err = writeTable(sys.Stdout, results, c.coloured(sys))
	}
	if err != nil {
		return fmt.Errorf("print the snapshot: %w", err)
	}
	return verdict(results)
}

// writeResources prints resources with the columns that kubectl has for Aiven's.
func writeResources(w io.Writer, resources []connect.OperatorResource) error {
	out := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(out, "NAMESPACE\tNAME\tPROJECT\tREGION\tPLAN\tSTATE")
	for _, r := range resources {
		state := strings.ToUpper(string(r.State))
		if r.State == connect.ResourceUnknown {
			state = ""
		}
		fmt.Fprintln(out, strings.Join([]string{connect.Printable(r.Namespace), connect.Printable(r.Name), connect.Printable(r.Project), connect.Printable(r.CloudName), connect.Printable(r.Plan), state}, "\t"))
	}
	return out.Flush()
}

// coloured follows --color, and without it https://no-color.org.
func (c snapshotCommand) coloured(sys system) bool {
	if c.Color != "auto" {
		return c.Color == "always"
	}
	file, isFile := sys.Stdout.(*os.File)
	return isFile && term.IsTerminal(int(file.Fd())) && sys.getenv("NO_COLOR") == "" && sys.getenv("TERM") != "dumb"
}

// verdict is the exit status of the results, as an error.
func verdict(results []series.Result) (worst error) {
	for _, r := range results {
		if r.Err != nil {
			return errTrouble
		}
		if len(r.Snapshot.Unobserved) > 0 || slices.ContainsFunc(r.Snapshot.Connectors, func(c connect.Connector) bool { return severity(c) < well }) {
			worst = errFailed
		}
	}
	return worst
}

// Severities of a connector, worst first: the order of the table.
const (
	failed = iota
	taskFailed
	degraded
	well
)

// severity ranks a connector by what is worst about it or its tasks. Paused and
// stopped are somebody's intention, and well.
func severity(c connect.Connector) int {
	rank := severityOf(c.State)
	for _, task := range c.Tasks {
		if worst := severityOf(task.State); worst == failed {
			rank = min(rank, taskFailed)
		} else {
			rank = min(rank, worst)
		}
	}
	return rank
}

func severityOf(s connect.State) int {
	switch s {
	case connect.StateFailed:
		return failed
	case connect.StateDegraded:
		return degraded
	default:
		return well
	}
}

// row is one line of the table, and cells its columns.
type row struct {
	cells []string
	state connect.State
}

// stateColumn is the column that is coloured.
const stateColumn = 2

// writeTable prints a table a cluster, failed connectors first, the tasks of a
// connector under it.
func writeTable(w io.Writer, results []series.Result, coloured bool) error {
	var out strings.Builder
	for i := range results {
		r := &results[i]
		if i > 0 {
			out.WriteByte('\n')
		}
		writeFound(&out, r)
		if r.Err != nil || len(r.Snapshot.Connectors) == 0 {
			continue
		}
		rows := []row{{cells: []string{"CONNECTOR", "TASK", "STATE", "TYPE", "WORKER", "EXCEPTION"}}}
		for _, c := range bySeverity(r.Snapshot.Connectors) {
			rows = append(rows, row{[]string{c.Name, "", c.State.String(), c.Type, c.Worker, cause(c.Failure)}, c.State})
			for _, t := range c.Tasks {
				rows = append(rows, row{[]string{"", strconv.Itoa(t.ID), t.State.String(), "", t.Worker, cause(t.Failure)}, t.State})
			}
		}
		writeRows(&out, rows, coloured)
		for _, u := range r.Snapshot.Unobserved {
			fmt.Fprintf(&out, "  not observed: %s (%s)\n", connect.Printable(u.Connector), u.Reason)
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// bySeverity sorts a copy: a snapshot does not change.
func bySeverity(connectors []connect.Connector) []connect.Connector {
	sorted := slices.Clone(connectors)
	slices.SortStableFunc(sorted, func(a, b connect.Connector) int { return cmp.Compare(severity(a), severity(b)) })
	return sorted
}

// cause names the exception and what it came from.
func cause(f connect.Failure) string {
	if f.RootCause == "" || f.RootCause == f.Exception {
		return f.Exception
	}
	return f.Exception + " <- " + f.RootCause
}

// writeRows aligns the columns by the number of characters.
func writeRows(out *strings.Builder, rows []row, coloured bool) {
	widths := make([]int, len(rows[0].cells))
	for _, r := range rows {
		for i, cell := range r.cells {
			r.cells[i] = connect.Printable(cell)
			widths[i] = max(widths[i], utf8.RuneCountInString(r.cells[i]))
		}
	}
	for n, r := range rows {
		var line strings.Builder
		for i, cell := range r.cells {
			padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if coloured && n > 0 && i == stateColumn {
				cell = colour(r.state) + cell + "\x1b[0m"
			}
			line.WriteString(" " + cell + padding)
		}
		out.WriteString(" " + strings.TrimRight(line.String(), " ") + "\n")
	}
}

// colour is the ANSI sequence of a state: green runs, red has failed, yellow is
// on its way or unclear, blue is intended to be still.
func colour(s connect.State) string {
	switch s {
	case connect.StateRunning:
		return "\x1b[32m"
	case connect.StateFailed, connect.StateDegraded:
		return "\x1b[31m"
	case connect.StatePaused, connect.StateStopped:
		return "\x1b[34m"
	default:
		return "\x1b[33m"
	}
}

// The JSON form. Its names are those of the metrics' labels, so that both read
// alike; absent is what is not known.
type (
	jsonCluster struct {
		Cluster            string           `json:"connect_cluster"`
		Provider           string           `json:"provider"`
		Up                 bool             `json:"up"`
		Reason             string           `json:"reason,omitempty"`
		Error              string           `json:"error,omitempty"`
		ObservationVersion string           `json:"observation_version,omitempty"`
		Version            string           `json:"version,omitempty"`
		Commit             string           `json:"commit,omitempty"`
		KafkaClusterID     string           `json:"kafka_cluster_id,omitempty"`
		ResourceState      string           `json:"resource_state,omitempty"`
		Seconds            float64          `json:"duration_seconds"`
		Brokers            *jsonBrokers     `json:"brokers,omitempty"`
		Connectors         []jsonConnector  `json:"connectors"`
		Unobserved         []jsonUnobserved `json:"unobserved,omitempty"`
	}
	// jsonBrokers is what only these know; null where it is not known.
	jsonBrokers struct {
		Up              bool     `json:"up"`
		Errors          []string `json:"errors,omitempty"`
		GroupState      string   `json:"group_state,omitempty"`
		Workers         []string `json:"workers,omitempty"`
		TasksOrphaned   *int     `json:"tasks_orphaned"`
		TasksDuplicated *int     `json:"tasks_duplicated"`
	}
	jsonConnector struct {
		Connector string `json:"connector"`
		State     string `json:"state"`
		Type      string `json:"connector_type,omitempty"`
		Class     string `json:"connector_class,omitempty"`
		ID        string `json:"connector_id,omitempty"`
		Version   string `json:"connector_version,omitempty"`
		Worker    string `json:"worker,omitempty"`
		TasksMax  int    `json:"tasks_max,omitempty"`
		Exception string `json:"exception,omitempty"`
		RootCause string `json:"root_cause,omitempty"`
		// Tasks are absent where the provider tells of none.
		Tasks []jsonTask `json:"tasks,omitzero"`
	}
	jsonTask struct {
		Task      int    `json:"task"`
		State     string `json:"state"`
		Version   string `json:"task_version,omitempty"`
		Worker    string `json:"worker,omitempty"`
		Exception string `json:"exception,omitempty"`
		RootCause string `json:"root_cause,omitempty"`
	}
	jsonUnobserved struct {
		Connector string `json:"connector"`
		Reason    string `json:"reason"`
	}
)

// writeJSON prints the results as one JSON array of clusters.
func writeJSON(w io.Writer, results []series.Result) error {
	clusters := make([]jsonCluster, len(results))
	for i := range results {
		clusters[i] = toJSON(&results[i])
	}
	encoder := json.NewEncoder(connect.EscapeWriter{Writer: w})
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(clusters)
}

// known is nil for a count that is not.
func known(n connect.Count) *int {
	if !n.Known {
		return nil
	}
	return &n.Value
}

func toJSON(r *series.Result) jsonCluster {
	out := jsonCluster{
		Cluster: r.Cluster, Provider: string(r.Provider), Up: r.Err == nil,
		Seconds: r.Duration.Seconds(), Connectors: []jsonConnector{},
	}
	if b := r.Brokers; b != nil {
		out.Brokers = &jsonBrokers{Up: b.Err == nil, TasksOrphaned: known(b.OrphanedTasks), TasksDuplicated: known(b.DuplicatedTasks)}
		if b.Err != nil {
			out.Brokers.Errors = strings.Split(b.Err.Error(), "\n")
		}
		if b.Group != nil {
			out.Brokers.GroupState = string(b.Group.State)
			for i := range b.Group.Members {
				out.Brokers.Workers = append(out.Brokers.Workers, b.Group.Members[i].Worker)
			}
		}
	}
	if r.Err != nil {
		out.Reason, out.Error = string(connect.ReasonOf(r.Err)), why(r)
		return out
	}
	s := r.Snapshot
	out.ObservationVersion, out.Version, out.Commit, out.KafkaClusterID = s.ObservationVersion, s.Version, s.Commit, s.KafkaClusterID
	out.ResourceState = string(s.ResourceState)
	for _, c := range bySeverity(s.Connectors) {
		connector := jsonConnector{
			c.Name, c.State.String(), c.Type, c.Class, c.ID, c.Version, c.Worker, c.TasksMax,
			c.Failure.Exception, c.Failure.RootCause, nil,
		}
		if s.HasTasks {
			connector.Tasks = []jsonTask{}
		}
		for _, t := range c.Tasks {
			connector.Tasks = append(connector.Tasks, jsonTask{t.ID, t.State.String(), t.Version, t.Worker, t.Failure.Exception, t.Failure.RootCause})
		}
		out.Connectors = append(out.Connectors, connector)
	}
	for _, u := range s.Unobserved {
		out.Unobserved = append(out.Unobserved, jsonUnobserved{u.Connector, string(u.Reason)})
	}
	return out
}

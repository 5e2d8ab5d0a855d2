package web

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

const (
	// refreshInterval is how often an open status page is fetched again. A look
	// that is older is repeated for the page, so that it tells something where
	// nobody scrapes.
	refreshInterval = 15 * time.Second
	// statusPatience is how long the page waits for such a look.
	statusPatience = 10 * time.Second
	// maxFilter bounds the filter, in bytes.
	maxFilter = 200
	// maxConnectors of a cluster and maxTasks of a connector are shown; a page
	// with more would be of no use. The filter finds the others.
	maxConnectors = 200
	maxTasks      = 100
)

// What the status page shows.
type (
	statusPage struct {
		frame
		Filter    string
		MaxFilter int
		Now       time.Time
		Clusters  []statusCluster
	}
	statusCluster struct {
		Name, Provider, Version, ObservationVersion string
		// Health is up, down, or pending before the first look.
		Health string
		// Age and Duration of the last look, "" before the first.
		Age, Duration string
		Error         string
		// Stale is the age of what is shown if the last look failed, else "".
		Stale                     string
		Probe                     string
		Known, HasTasks           bool
		ConnectorCount, TaskCount int
		ConnectorStates           []stateCount
		TaskStates                []stateCount
		Unobserved                []unobservedCount
		Workers                   []series.Worker
		Connectors                []statusConnector
		// More connectors match than are shown.
		More int
	}
	statusConnector struct {
		connect.Connector
		// Key names the connector on the page.
		Key        string
		Open       bool
		Cause      string
		TaskStates []stateCount
		Tasks      []statusTask
		MoreTasks  int
	}
	statusTask struct {
		connect.Task
		Cause string
	}
	stateCount struct {
		State connect.State
		Count int
	}
	unobservedCount struct {
		Reason connect.Reason
		Count  int
	}
)

// status shows what the last look at each cluster brought.
func (s *server) status(w http.ResponseWriter, r *http.Request) {
	filter := r.FormValue("filter")
	if len(filter) > maxFilter {
		http.Error(w, fmt.Sprintf("The filter is longer than %d bytes.", maxFilter), http.StatusBadRequest)
		return
	}
	views := s.recent(r.Context())
	now := time.Now()
	page := statusPage{frame: s.frame("Kafka Connect status"), Filter: filter, MaxFilter: maxFilter, Now: now}
	page.Refresh = int(refreshInterval.Seconds())
	words := strings.Fields(strings.ToLower(filter))
	for i := range views {
		page.Clusters = append(page.Clusters, describe(&views[i], words, now))
	}
	s.page(w, "status", page.frame, page)
}

// recent returns the last view of each cluster. Clusters that nobody looked at
// for a while are looked at first.
func (s *server) recent(ctx context.Context) []series.Result {
	views := s.Fleet.Last()
	var old []string
	for i := range views {
		if time.Since(views[i].At) > refreshInterval {
			old = append(old, views[i].Cluster)
		}
	}
	if len(old) == 0 {
		return views
	}
	ctx, cancel := context.WithTimeout(ctx, min(statusPatience, s.Limit))
	defer cancel()
	s.Fleet.Refresh(ctx, old...)
	return s.Fleet.Last()
}

func describe(view *series.Result, words []string, now time.Time) statusCluster {
	c := statusCluster{
		Name: view.Cluster, Provider: string(view.Provider), Health: "pending",
		Probe: "./probe?debug=true&cluster=" + url.QueryEscape(view.Cluster),
	}
	if !view.At.IsZero() {
		c.Health, c.Age, c.Duration = "up", span(now.Sub(view.At)), span(view.Duration)
	}
	if view.Err != nil {
		c.Health, c.Error = "down", view.Err.Error()
	}
	known := view.Known()
	if known == nil {
		return c
	}
	if view.Err != nil {
		c.Stale = span(now.Sub(known.Taken))
	}
	summary := series.Summarize(known)
	c.Known, c.HasTasks, c.Version, c.ObservationVersion = true, known.HasTasks, known.Version, known.ObservationVersion
	c.ConnectorStates, c.ConnectorCount = byState(summary.Connectors)
	c.TaskStates, c.TaskCount = byState(summary.Tasks)
	c.Workers = summary.Workers
	for _, reason := range connect.UnobservedReasons() {
		if n := summary.Unobserved[reason]; n > 0 {
			c.Unobserved = append(c.Unobserved, unobservedCount{reason, n})
		}
	}

	shown := make([]*connect.Connector, 0, len(known.Connectors))
	for i := range known.Connectors {
		if connector := &known.Connectors[i]; matches(view.Cluster, connector, words) {
			shown = append(shown, connector)
		}
	}
	slices.SortStableFunc(shown, func(a, b *connect.Connector) int { return cmp.Compare(urgency(a), urgency(b)) })
	if len(shown) > maxConnectors {
		c.More = len(shown) - maxConnectors
		shown = shown[:maxConnectors]
	}
	for _, connector := range shown {
		c.Connectors = append(c.Connectors, describeConnector(view.Cluster, connector))
	}
	return c
}

func describeConnector(cluster string, connector *connect.Connector) statusConnector {
	c := statusConnector{
		Connector: *connector, Key: cluster + "\n" + connector.Name,
		Open: urgency(connector) <= urgencyOf(connect.StateFailed), Cause: cause(connector.Failure),
	}
	var states [connect.StateCount]int
	tasks := slices.Clone(connector.Tasks)
	slices.SortStableFunc(tasks, func(a, b connect.Task) int { return cmp.Compare(urgencyOf(a.State), urgencyOf(b.State)) })
	for i, task := range tasks {
		states[task.State]++
		if i < maxTasks {
			c.Tasks = append(c.Tasks, statusTask{task, cause(task.Failure)})
		}
	}
	c.MoreTasks = len(tasks) - len(c.Tasks)
	c.TaskStates, _ = byState(states)
	return c
}

// byState lists the states that occur, and how often all do together.
func byState(counts [connect.StateCount]int) (list []stateCount, sum int) {
	for _, state := range connect.States() {
		if n := counts[state]; n > 0 {
			list = append(list, stateCount{state, n})
			sum += n
		}
	}
	return list, sum
}

// urgency orders connectors by what is worst about them and their tasks.
func urgency(c *connect.Connector) int {
	worst := urgencyOf(c.State)
	for i := range c.Tasks {
		worst = min(worst, urgencyOf(c.Tasks[i].State))
	}
	return worst
}

// urgencyOf ranks a state: what has failed comes first, then what is on its way
// or unclear, then what is as somebody wants it.
func urgencyOf(s connect.State) int {
	switch s {
	case connect.StateFailed:
		return 0
	case connect.StateDegraded:
		return 1
	case connect.StateRunning, connect.StatePaused, connect.StateStopped:
		return 3
	default:
		return 2
	}
}

// matches tells whether every word occurs somewhere in what is shown of the
// connector.
func matches(cluster string, c *connect.Connector, words []string) bool {
	if len(words) == 0 {
		return true
	}
	texts := []string{cluster, c.Name, c.State.String(), c.Type, c.Class, c.Worker, c.Failure.Exception, c.Failure.RootCause}
	for i := range c.Tasks {
		t := &c.Tasks[i]
		texts = append(texts, t.State.String(), t.Worker, t.Failure.Exception, t.Failure.RootCause)
	}
	for i := range texts {
		texts[i] = strings.ToLower(texts[i])
	}
	for _, word := range words {
		if !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, word) }) {
			return false
		}
	}
	return true
}

// cause names the exception and what it came from.
func cause(f connect.Failure) string {
	if f.RootCause == "" || f.RootCause == f.Exception {
		return f.Exception
	}
	return f.Exception + ", caused by " + f.RootCause
}

// span shortens a time span to what a reader wants to know.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}

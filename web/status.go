package web

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

const (
	// refreshInterval is how often an open status page is fetched again. A
	// snapshot that is older is taken anew for the page, so that it tells
	// something where nobody scrapes.
	refreshInterval = 15 * time.Second
	// statusPatience is how long the page waits for such a snapshot.
	statusPatience = 10 * time.Second
	// maxFilter bounds the filter, in bytes.
	maxFilter = 200

	// How much stands on one page; the rest is a link away. A page is a few
	// hundred kilobytes at most.
	clustersShown   = 50
	connectorsShown = 100
	tasksShown      = 20
	fewTasks        = 5   // if none of them needs attention
	ownTasksShown   = 200 // on the page of a single connector
	namesShown      = 10  // of workers and of unobserved connectors, each
	ownNamesShown   = 200 // on the page of a single cluster
	// fairShare of the connectors shown goes to each cluster first.
	fairShare = 10
	// maxShown is how many characters of a name are shown, maxFailure of an error.
	maxShown, maxFailure = 200, 1000
)

// What the status page shows.
type (
	statusPage struct {
		frame
		Filter    string
		MaxFilter int
		Now       time.Time
		// Cluster and Connector are what the page is of, "" if of all.
		Cluster, Connector string
		ClusterCount       int
		// Unmatched clusters have nothing that the filter finds.
		Unmatched int
		Clusters  []statusCluster
		Pager     pager
	}
	// pager leads to the pages before and after, "" where there is none.
	pager struct {
		Page, Pages  int
		Before, Next string
	}
	statusCluster struct {
		Name, Link, Provider, Version, ObservationVersion string
		// Health is up, down, or pending before the first snapshot.
		Health string
		// Age and Duration of the last snapshot, "" before the first.
		Age, Duration string
		Error         string
		// Stale is the age of what is shown if the last snapshot failed, else "".
		Stale                     string
		Probe                     string
		Known, HasTasks           bool
		ConnectorCount, TaskCount int
		ConnectorStates           []stateCount
		TaskStates                []stateCount
		Unobserved                []connect.Unobserved
		UnobservedCounts          []unobservedCount
		MoreUnobserved            int
		Workers                   []series.Worker
		WorkerCount, MoreWorkers  int
		Connectors                []statusConnector
		// Matching connectors there are, of which More are not shown; Whole leads
		// to all of them.
		Matching, More int
		Whole          string
	}
	statusConnector struct {
		connect.Connector
		// Key names the connector on the page.
		Key        string
		Link       string
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

// An entry is what of one cluster may be shown.
type entry struct {
	result  *series.Result
	known   *connect.Snapshot
	summary series.Summary
	// ranks of the connectors that match, by their index; unmatched ones have
	// notShown.
	ranks   []uint8
	matches int
	// shown is how many connectors are.
	shown int
}

// question is what a status page is asked for.
type question struct {
	filter, cluster, connector string
	page                       int
}

// status shows what the last snapshot of each cluster brought.
func (s *server) status(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	q := question{filter: query.Get("filter"), cluster: query.Get("cluster"), connector: query.Get("connector"), page: 1}
	if len(q.filter) > maxFilter {
		http.Error(w, fmt.Sprintf("The filter is longer than %d bytes.", maxFilter), http.StatusBadRequest)
		return
	}
	if n, err := strconv.Atoi(query.Get("page")); err == nil {
		q.page = max(n, 1)
	}
	if q.cluster != "" && !slices.Contains(s.Fleet.Names(), q.cluster) {
		http.Error(w, "There is no cluster of this name.", http.StatusNotFound)
		return
	}
	s.refreshOld(r.Context())
	s.gated(s.pages, w, func(w http.ResponseWriter) {
		// A filter over a very large fleet takes a while: it gets one processor.
		s.describing.Lock()
		page := s.statusPage(q)
		s.describing.Unlock()
		s.page(w, r, "status", page.frame, page)
	})
}

// refreshOld takes snapshots of clusters of which there was none for a while, once
// for all who look at the page, and waits for them.
func (s *server) refreshOld(ctx context.Context) {
	var old []string
	for _, result := range s.Fleet.Last() {
		if time.Since(result.At) > refreshInterval {
			old = append(old, result.Cluster)
		}
	}
	if len(old) == 0 {
		return
	}
	refreshed := s.refreshing.DoChan("", func() (any, error) {
		// Who asked first may leave, and others wait.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(statusPatience, s.Limit))
		defer cancel()
		return s.Fleet.Refresh(ctx, old...), nil
	})
	select {
	case <-refreshed:
	case <-ctx.Done():
	}
}

// statusPage makes the page of all clusters, of one, or of one connector.
func (s *server) statusPage(q question) *statusPage {
	now := time.Now()
	page := &statusPage{
		frame: s.frame("Kafka Connect status"), Filter: q.filter, MaxFilter: maxFilter, Now: now, Cluster: q.cluster, Connector: q.connector,
	}
	page.Refresh = int(refreshInterval.Seconds())
	results := s.Fleet.Last()
	page.ClusterCount = len(results)
	words := strings.Fields(strings.ToLower(q.filter))
	var entries []*entry
	for i := range results {
		if q.cluster != "" && results[i].Cluster != q.cluster {
			continue
		}
		e := newEntry(&results[i], words, q.connector)
		if q.cluster == "" && len(words) > 0 && e.matches == 0 && !matchesCluster(e.result, words) {
			page.Unmatched++
			continue
		}
		entries = append(entries, e)
	}
	slices.SortStableFunc(entries, func(a, b *entry) int { return cmp.Compare(a.rank(), b.rank()) })

	var skip, tasks int
	switch {
	case q.connector != "":
		tasks = ownTasksShown
		if len(entries) == 1 && entries[0].matches == 1 {
			connector := &entries[0].known.Connectors[slices.IndexFunc(entries[0].ranks, func(rank uint8) bool { return rank != notShown })]
			page.Pager = q.pager(len(connector.Tasks), tasks)
		}
		skip, q.page = (page.Pager.Page-1)*tasks, 1
	case q.cluster != "":
		tasks = tasksShown
		if len(entries) == 1 {
			page.Pager = q.pager(entries[0].matches, connectorsShown)
		}
		skip = (page.Pager.Page - 1) * connectorsShown
	default:
		tasks = tasksShown
		page.Pager = q.pager(len(entries), clustersShown)
		from := (page.Pager.Page - 1) * clustersShown
		entries = entries[from:min(from+clustersShown, len(entries))]
	}
	allot(entries)
	for _, e := range entries {
		c := s.describe(e, q, now)
		connectorSkip, taskSkip := skip, 0
		if q.connector != "" {
			connectorSkip, taskSkip = 0, skip
		}
		for _, i := range ranked(e.ranks, connectorSkip, e.shown) {
			c.Connectors = append(c.Connectors, describeConnector(e.result.Cluster, &e.known.Connectors[i], taskSkip, tasks))
		}
		if q.cluster == "" {
			c.More = e.matches - len(c.Connectors)
		}
		page.Clusters = append(page.Clusters, c)
	}
	return page
}

// pager is where the page stands among those that so many things fill.
func (q question) pager(count, perPage int) pager {
	p := pager{Pages: max(1, (count+perPage-1)/perPage)}
	p.Page = min(q.page, p.Pages)
	at := func(page int) string {
		next := q
		next.page = page
		return next.link()
	}
	if p.Page > 1 {
		p.Before = at(p.Page - 1)
	}
	if p.Page < p.Pages {
		p.Next = at(p.Page + 1)
	}
	return p
}

// link leads to what the question asks for.
func (q question) link() string {
	values := url.Values{}
	for name, value := range map[string]string{"filter": q.filter, "cluster": q.cluster, "connector": q.connector} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if q.page > 1 {
		values.Set("page", strconv.Itoa(q.page))
	}
	if len(values) == 0 {
		return "./"
	}
	return "./?" + values.Encode()
}

// newEntry finds what of a cluster matches the words, or has the name.
func newEntry(result *series.Result, words []string, connector string) *entry {
	e := &entry{result: result, known: result.Known()}
	if e.known == nil {
		return e
	}
	if result.Snapshot != nil {
		e.summary = result.Summary()
	} else {
		e.summary = series.Summarize(e.known)
	}
	e.ranks = make([]uint8, len(e.known.Connectors))
	for i := range e.known.Connectors {
		c := &e.known.Connectors[i]
		if connector != "" && c.Name != connector || !matches(result.Cluster, c, words) {
			e.ranks[i] = notShown
			continue
		}
		e.ranks[i] = urgency(c)
		e.matches++
	}
	return e
}

// rank orders clusters by what is worst about them: those that do not answer come
// first, of which there is little to show.
func (e *entry) rank() int {
	switch s := &e.summary; {
	case e.result.Err != nil:
		return 0
	case s.Connectors[connect.StateFailed] > 0, s.Tasks[connect.StateFailed] > 0:
		return 1
	case s.Connectors[connect.StateDegraded] > 0, len(s.Unobserved) > 0:
		return 2
	}
	return 3
}

// allot shares the connectors that a page shows out among the clusters: first a
// fair share of what has failed to each, then all that has, then likewise the
// rest.
func allot(entries []*entry) {
	left := connectorsShown
	give := func(e *entry, upTo int) {
		if more := min(upTo-e.shown, left); more > 0 {
			e.shown += more
			left -= more
		}
	}
	for _, worst := range []uint8{urgencyOf(connect.StateDegraded), urgencyOf(connect.StateRunning)} {
		for _, share := range []int{fairShare, connectorsShown} {
			for _, e := range entries {
				count := 0
				for _, rank := range e.ranks {
					if rank <= worst {
						count++
					}
				}
				give(e, min(count, share))
			}
		}
	}
}

// ranked returns so many indexes in the order of their ranks, without the first
// ones.
func ranked(ranks []uint8, skip, take int) []int {
	var list []int
	for rank := range notShown {
		for i, r := range ranks {
			switch {
			case len(list) == take:
				return list
			case r != rank:
			case skip > 0:
				skip--
			default:
				list = append(list, i)
			}
		}
	}
	return list
}

// describe says everything of a cluster but its connectors.
func (s *server) describe(e *entry, q question, now time.Time) statusCluster {
	names := namesShown
	if q.cluster != "" {
		names = ownNamesShown
	}
	q.cluster, q.connector, q.page = e.result.Cluster, "", 1
	c := statusCluster{
		Name: e.result.Cluster, Link: question{cluster: e.result.Cluster}.link(), Provider: string(e.result.Provider), Health: "pending",
		Matching: e.matches, Whole: q.link(),
	}
	if !s.AdminApart {
		c.Probe = "./probe?debug=true&cluster=" + url.QueryEscape(e.result.Cluster)
	}
	if !e.result.At.IsZero() {
		c.Health, c.Age, c.Duration = "up", span(now.Sub(e.result.At)), span(e.result.Duration)
	}
	if e.result.Err != nil {
		c.Health, c.Error = "down", short(e.result.Err.Error(), maxFailure)
	}
	if e.known == nil {
		return c
	}
	if e.result.Err != nil {
		c.Stale = span(now.Sub(e.known.Taken))
	}
	c.Known, c.HasTasks, c.Version, c.ObservationVersion = true, e.known.HasTasks, short(e.known.Version, maxShown), e.known.ObservationVersion
	c.ConnectorStates, c.ConnectorCount = byState(e.summary.Connectors)
	c.TaskStates, c.TaskCount = byState(e.summary.Tasks)
	c.WorkerCount = len(e.summary.Workers)
	c.Workers, c.MoreWorkers = firstOf(e.summary.Workers, names)
	c.Workers = slices.Clone(c.Workers)
	for i := range c.Workers {
		c.Workers[i].Name = short(c.Workers[i].Name, maxShown)
	}
	for _, reason := range connect.UnobservedReasons() {
		if n := e.summary.Unobserved[reason]; n > 0 {
			c.UnobservedCounts = append(c.UnobservedCounts, unobservedCount{reason, n})
		}
	}
	c.Unobserved, c.MoreUnobserved = firstOf(e.known.Unobserved, names)
	c.Unobserved = slices.Clone(c.Unobserved)
	for i := range c.Unobserved {
		c.Unobserved[i].Connector = short(c.Unobserved[i].Connector, maxShown)
	}
	return c
}

func describeConnector(cluster string, connector *connect.Connector, skip, tasks int) statusConnector {
	c := statusConnector{
		Connector: *connector, Key: short(cluster+"\n"+connector.Name, maxFailure),
		Link: question{cluster: cluster, connector: connector.Name}.link(),
		Open: urgency(connector) <= urgencyOf(connect.StateDegraded), Cause: short(cause(connector.Failure), maxFailure),
	}
	c.Name, c.Worker, c.Class, c.Version = short(c.Name, maxShown), short(c.Worker, maxShown), short(c.Class, maxShown), short(c.Version, maxShown)
	var states [connect.StateCount]int
	ranks := make([]uint8, len(connector.Tasks))
	for i := range connector.Tasks {
		states[connector.Tasks[i].State]++
		ranks[i] = urgencyOf(connector.Tasks[i].State)
	}
	if tasks < ownTasksShown {
		attention := 0
		for _, rank := range ranks {
			if rank < urgencyOf(connect.StateRunning) {
				attention++
			}
		}
		tasks = min(tasks, max(attention, fewTasks))
	}
	for _, i := range ranked(ranks, skip, tasks) {
		task := connector.Tasks[i]
		task.Worker = short(task.Worker, maxShown)
		c.Tasks = append(c.Tasks, statusTask{task, short(cause(task.Failure), maxFailure)})
	}
	c.MoreTasks = len(connector.Tasks) - skip - len(c.Tasks)
	c.TaskStates, _ = byState(states)
	return c
}

// short cuts what is longer than a reader, or a page, wants to have.
func short(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit] + "…"
}

// byState lists the states that occur, the worst first, and how often all do
// together.
func byState(counts [connect.StateCount]int) (list []stateCount, sum int) {
	for _, state := range connect.States() {
		if n := counts[state]; n > 0 {
			list = append(list, stateCount{state, n})
			sum += n
		}
	}
	slices.SortStableFunc(list, func(a, b stateCount) int { return cmp.Compare(urgencyOf(a.State), urgencyOf(b.State)) })
	return list, sum
}

// notShown ranks behind every urgency.
const notShown uint8 = 4

// urgency orders connectors by what is worst about them and their tasks.
func urgency(c *connect.Connector) uint8 {
	worst := urgencyOf(c.State)
	for i := range c.Tasks {
		worst = min(worst, urgencyOf(c.Tasks[i].State))
	}
	return worst
}

// urgencyOf ranks a state: what has failed comes first, then what is on its way
// or unclear, then what is as somebody wants it.
func urgencyOf(s connect.State) uint8 {
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

// matchesCluster tells whether every word occurs in what is shown of the cluster
// as such.
func matchesCluster(result *series.Result, words []string) bool {
	var failure string
	if result.Err != nil {
		failure = "down " + result.Err.Error()
	}
	known := result.Known()
	return !slices.ContainsFunc(words, func(word string) bool {
		return !containsFold(result.Cluster, word) && !containsFold(string(result.Provider), word) && !containsFold(failure, word) &&
			(known == nil || !slices.ContainsFunc(known.Unobserved, func(u connect.Unobserved) bool { return containsFold(u.Connector, word) }))
	})
}

// matches tells whether every word occurs somewhere in what is shown of the
// connector.
func matches(cluster string, c *connect.Connector, words []string) bool {
	for _, word := range words {
		found := containsFold(c.Name, word) || containsFold(cluster, word) || containsFold(c.State.String(), word) || containsFold(c.Type, word) ||
			containsFold(c.Class, word) || containsFold(c.Worker, word) || containsFold(c.Failure.Exception, word) || containsFold(c.Failure.RootCause, word)
		for i := 0; i < len(c.Tasks) && !found; i++ {
			t := &c.Tasks[i]
			found = containsFold(t.State.String(), word) || containsFold(t.Worker, word) ||
				containsFold(t.Failure.Exception, word) || containsFold(t.Failure.RootCause, word)
		}
		if !found {
			return false
		}
	}
	return true
}

// containsFold tells whether a text contains a word that is in lower case,
// whatever the text's case. It is asked for each string of each task.
func containsFold(text, word string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return strings.Contains(strings.ToLower(text), word)
		}
	}
	for i := 0; i+len(word) <= len(text); i++ {
		j := 0
		for j < len(word) && lower(text[i+j]) == word[j] {
			j++
		}
		if j == len(word) {
			return true
		}
	}
	return false
}

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
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

package kafka

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// countsRetention is how long the counts of a connector that is gone stay: one that
// is made again under its name goes on counting.
const countsRetention = 10 * time.Minute

// A statusLog is what the status topic tells: the last status of each connector
// and task that is alive, and how often each changed since reading began.
type statusLog struct {
	keep    func(connector string) bool
	decoder *statusDecoder
	// tellTopics puts topics into events.
	tellTopics bool

	connectors map[string]*logged
	// shared are statuses that lines have, or had.
	shared map[status]*status
	// gone are the counts of connectors that were deleted.
	gone map[string]goneCounts
	// changed are the connectors whose events have to be made anew.
	changed map[string]struct{}
	// undecoded is how many records were not what a worker writes, and tooLarge how many
	// had a longer name than is shown.
	undecoded, tooLarge int
	// statuses is how many were about a connector, a task or a topic, and others how
	// many were not: all of them where the topic is none of statuses.
	statuses, others int

	events   map[string]*connect.Events
	revision connect.Revision
}

type goneCounts struct {
	counts
	at time.Time
}

// counts are those of [connect.Events].
type counts struct {
	stateChanges, failures, taskStateChanges, taskFailures, taskRestarts int
}

// logged is a connector as the log tells of it.
type logged struct {
	name string
	counts
	// has tells that the connector itself has a status.
	has    bool
	line   line
	tasks  []loggedTask
	topics map[string]struct{}
}

type loggedTask struct {
	id int
	line
}

// A line is the status of a connector or a task. Equal statuses share their memory: there
// is a line for each task that there is, and few statuses.
type line struct {
	*status
	// since is the time of the first record with this state, in milliseconds.
	since int64
	// restarting tells that a restart was asked for and counted, and that nothing
	// has come up since.
	restarting bool
}

func newStatusLog(keep func(string) bool, tellTopics bool) *statusLog {
	return &statusLog{
		keep: keep, tellTopics: tellTopics, decoder: newStatusDecoder(),
		connectors: map[string]*logged{}, shared: map[status]*status{}, gone: map[string]goneCounts{}, changed: map[string]struct{}{},
	}
}

// restart forgets all but the counts.
func (l *statusLog) restart() {
	for name := range l.connectors {
		l.drop(name, time.Now())
	}
	l.statuses, l.others = 0, 0
}

// take takes a record; isNew says whether it counts.
func (l *statusLog) take(record *kgo.Record, isNew bool) {
	k, ok := parseKey(record.Key)
	if !ok {
		l.undecoded++
		return
	}
	if k.kind == ofNothing {
		l.others++
		return
	}
	l.statuses++
	c := l.connectors[string(k.connector)]
	if len(record.Value) == 0 {
		if c != nil {
			l.remove(c, k, record.Timestamp)
		}
		return
	}
	if max(len(k.connector), len(k.topic)) > connect.MaxText {
		l.tooLarge++
		return
	}
	var s *status
	if k.kind != ofTopic {
		decoded, err := l.decoder.decode(record.Value)
		switch {
		case errors.Is(err, connect.TooLarge):
			l.tooLarge++
			return
		case err != nil:
			l.undecoded++
			return
		}
		s = l.share(decoded)
	}
	if c == nil {
		name := string(k.connector)
		if l.keep != nil && !l.keep(name) {
			return
		}
		c = &logged{name: name, counts: l.gone[name].counts}
		delete(l.gone, name)
		l.connectors[name] = c
	}
	l.changed[c.name] = struct{}{}
	switch k.kind {
	case ofConnector:
		c.connector(s, record.Timestamp, isNew)
	case ofTask:
		c.task(k.task, s, record.Timestamp, isNew)
	case ofTopic:
		if c.topics == nil {
			c.topics = map[string]struct{}{}
		}
		c.topics[l.decoder.strings.of(k.topic)] = struct{}{}
	}
}

// share returns a status that all lines with the same have.
func (l *statusLog) share(s status) *status {
	if known := l.shared[s]; known != nil {
		return known
	}
	if len(l.shared) >= maxInterned {
		clear(l.shared)
	}
	l.shared[s] = &s
	return &s
}

// remove takes a tombstone.
func (l *statusLog) remove(c *logged, k key, at time.Time) {
	switch k.kind {
	case ofConnector:
		c.has = false
	case ofTask:
		if i, found := c.find(k.task); found {
			c.tasks = slices.Delete(c.tasks, i, i+1)
		}
	case ofTopic:
		delete(c.topics, string(k.topic))
	}
	l.changed[c.name] = struct{}{}
	if !c.has && len(c.tasks) == 0 && len(c.topics) == 0 {
		l.drop(c.name, at)
	}
}

// drop forgets a connector but for its counts, for a while.
func (l *statusLog) drop(name string, at time.Time) {
	if c := l.connectors[name]; c.counts != (counts{}) {
		l.gone[name] = goneCounts{c.counts, at}
	}
	delete(l.connectors, name)
	l.changed[name] = struct{}{}
}

func (c *logged) find(id int) (at int, found bool) {
	return slices.BinarySearchFunc(c.tasks, id, func(t loggedTask, id int) int { return cmp.Compare(t.id, id) })
}

func (c *logged) connector(s *status, at time.Time, isNew bool) {
	if isNew {
		if c.has && c.line.state != s.state {
			c.stateChanges++
		}
		if s.state == connect.StateFailed {
			c.failures++
		}
	}
	c.line.put(s, at, c.has)
	c.has = true
}

func (c *logged) task(id int, s *status, at time.Time, isNew bool) {
	i, found := c.find(id)
	if !found {
		c.tasks = slices.Insert(c.tasks, i, loggedTask{id: id})
	}
	before := &c.tasks[i].line
	if isNew {
		if found && before.state != s.state {
			c.taskStateChanges++
		}
		if s.state == connect.StateFailed {
			c.taskFailures++
		}
		if s.state == connect.StateRestarting || found && !before.restarting && restarted(before.status, s) {
			c.taskRestarts++
		}
	}
	before.put(s, at, found)
	before.restarting = s.state == connect.StateRestarting || before.restarting && s.state == connect.StateUnassigned
}

// put makes s the status; its state began before where it is the same.
func (l *line) put(s *status, at time.Time, had bool) {
	if !had || l.state != s.state {
		l.since = at.UnixMilli()
	}
	l.status = s
}

// restarted tells whether a task that had one status and has another came up
// again meanwhile, where no record said so in the word RESTARTING: it runs or
// fails after it had failed, or after the same worker had put it down in the same
// generation. That is what POST …/tasks/N/restart writes; where a rebalance moves a task,
// the generation is another.
func restarted(before, now *status) bool {
	if now.state != connect.StateRunning && now.state != connect.StateFailed {
		return false
	}
	switch before.state {
	case connect.StateFailed:
		return true
	case connect.StateUnassigned:
		return before.worker == now.worker && before.generation == now.generation
	}
	return false
}

// publish makes the events that are told from now on, without touching those
// that were told before. now is the time of the snapshot.
func (l *statusLog) publish(now time.Time) {
	for name, counts := range l.gone {
		if now.Sub(counts.at) > countsRetention {
			delete(l.gone, name)
		}
	}
	if l.events != nil && len(l.changed) == 0 {
		return
	}
	if l.events == nil {
		l.events = make(map[string]*connect.Events, len(l.connectors))
	} else {
		l.events = maps.Clone(l.events)
	}
	// What changes together shares its memory: that is all of it at first, and the garbage
	// collector has less to do with few large pieces.
	alive, tasks := 0, 0
	for name := range l.changed {
		if c := l.connectors[name]; c != nil {
			alive, tasks = alive+1, tasks+len(c.tasks)
		}
	}
	events, taskEvents := make([]connect.Events, 0, alive), make([]connect.TaskEvents, 0, tasks)
	for name := range l.changed {
		c := l.connectors[name]
		if c == nil {
			delete(l.events, name)
			continue
		}
		begin := len(taskEvents)
		for i := range c.tasks {
			t := &c.tasks[i]
			taskEvents = append(taskEvents, connect.TaskEvents{ID: t.id, State: t.state, Since: time.UnixMilli(t.since)})
		}
		events = append(events, c.events(taskEvents[begin:len(taskEvents):len(taskEvents)], l.tellTopics))
		l.events[name] = &events[len(events)-1]
	}
	l.changed = map[string]struct{}{}
	l.revision = connect.NewRevision()
}

func (c *logged) events(tasks []connect.TaskEvents, topics bool) connect.Events {
	e := connect.Events{
		StateChanges: c.stateChanges, Failures: c.failures,
		TaskStateChanges: c.taskStateChanges, TaskFailures: c.taskFailures, TaskRestarts: c.taskRestarts,
		Tasks: tasks,
	}
	if c.has {
		e.State, e.Since = c.line.state, time.UnixMilli(c.line.since)
	}
	if topics && len(c.topics) > 0 {
		e.Topics = slices.Sorted(maps.Keys(c.topics))
	}
	return e
}

// list returns the connectors that have a status, as a snapshot has them.
func (l *statusLog) list() []connect.Connector {
	connectors := make([]connect.Connector, 0, len(l.connectors))
	size := 0
	for _, c := range l.connectors {
		size += len(c.tasks)
	}
	tasks := make([]connect.Task, 0, size)
	for name, c := range l.connectors {
		if !c.has {
			continue
		}
		start := len(tasks)
		for i := range c.tasks {
			t := &c.tasks[i]
			tasks = append(tasks, connect.Task{ID: t.id, State: t.state, Worker: t.worker, Version: t.version, Failure: t.failure})
		}
		connectors = append(connectors, connect.Connector{
			Name: name, State: c.line.state, Worker: c.line.worker, Version: c.line.version, Failure: c.line.failure,
			TaskCount: len(c.tasks), Tasks: tasks[start:len(tasks):len(tasks)],
		})
	}
	connect.SortConnectors(connectors)
	return connectors
}

package rest

import (
	"slices"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// info is what a connector's configuration says, as far as it is kept.
type info struct {
	class    string
	kind     string // source, sink, unknown
	tasksMax int
	tasks    int
	hasTasks bool
}

// typeUnknown is what Kafka Connect says of a connector whose configuration it
// has not read yet, or whose plugin is missing.
const typeUnknown = "unknown"

// known is the last info of a connector, and what its status looked like when
// that was had.
type known struct {
	info
	// had is when; zero while it was never had.
	had time.Time
	// stale asks for it again: the connector went away since, or what its status
	// shows of its configuration changed.
	stale   bool
	kind    string
	version string
	ids     []int
	seen    time.Time
}

// infos remembers the info of each connector between snapshots, and tells
// which of it may no longer hold.
type infos struct {
	byName map[string]*known
	// all is when the info of all connectors was last had in one call.
	all time.Time
	// wanting tells that the info of a connector was asked for in vain.
	wanting bool
}

// want marks the connector as seen now and tells whether its info has to be
// asked for: never had, or what its status shows differs from what it was then.
func (i *infos) want(c *connect.Connector, now time.Time) bool {
	k := i.byName[c.Name]
	if k == nil {
		k = &known{stale: true}
		i.byName[c.Name] = k
	}
	k.seen = now
	if !k.stale && (c.Type != "" && k.kind != c.Type || k.version != c.Version || !sameIDs(k.ids, c.Tasks)) {
		k.stale = true
	}
	return k.stale
}

func sameIDs(ids []int, tasks []connect.Task) bool {
	return slices.EqualFunc(ids, tasks, func(id int, t connect.Task) bool { return id == t.ID })
}

// put remembers the info of a connector that want has seen.
func (i *infos) put(name string, got info, now time.Time) {
	k := i.byName[name]
	if k == nil {
		return
	}
	k.info, k.had, k.stale = got, now, false
}

// fill completes a connector from what is known, and remembers what its status
// looked like with it.
func (i *infos) fill(c *connect.Connector) {
	c.TaskCount = len(c.Tasks)
	defer func() {
		if c.Type == "" {
			c.Type = typeUnknown
		}
	}()
	k := i.byName[c.Name]
	i.wanting = i.wanting || k == nil || k.stale
	if k == nil || k.had.IsZero() {
		return
	}
	c.Class, c.TasksMax = k.class, k.tasksMax
	if c.Type == "" {
		c.Type = k.info.kind
	}
	if k.stale {
		return
	}
	if k.hasTasks {
		c.TaskCount = k.tasks
	}
	k.kind, k.version = c.Type, c.Version
	if !sameIDs(k.ids, c.Tasks) {
		k.ids = k.ids[:0]
		for _, t := range c.Tasks {
			k.ids = append(k.ids, t.ID)
		}
	}
}

// forgetAfter is how long the info of a connector that is gone stays: a worker
// that is starting may list only some for a while.
const forgetAfter = 10 * time.Minute

// end the snapshot that began at now: a connector that was not in it may come
// back with another configuration.
func (i *infos) end(now time.Time) {
	i.wanting = false
	for name, k := range i.byName {
		if k.seen.Equal(now) {
			continue
		}
		k.stale = true
		if now.Sub(k.seen) > forgetAfter {
			delete(i.byName, name)
		}
	}
}

package rest

import (
	"cmp"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/internal/beside"
)

// info is what a connector's configuration says, as far as it is kept.
type info struct {
	kind string // source, sink, unknown

	// hasConfig tells that there was a configuration.
	hasConfig bool
	class     string
	tasksMax  int
	// consumerGroup and offsetsTopic, where they are set and say what they are.
	consumerGroup, offsetsTopic string
	labels                      []connect.Label
	// hash of the configuration, with a seed that never leaves the process.
	hash uint64

	hasTasks bool
	tasks    int
}

// known is the last info of a connector, and what its status looked like when
// that was had.
type known struct {
	info
	// had is when; zero while it was never had.
	had time.Time
	// stale asks for it again: the connector went away since, or what its status
	// shows of its configuration changed. Where that was in vain, it is asked for
	// again no sooner than at retry.
	stale   bool
	tried   int
	retry   time.Time
	version string
	ids     []int
	seen    time.Time
	asked   time.Time
	put     time.Time
	// changed is when another configuration was first seen than before.
	changed time.Time
	// tooLarge tells that what it says cannot be shown.
	tooLarge bool
}

// infos remembers the info of each connector between snapshots, and tells
// which of it may no longer hold.
type infos struct {
	byName map[string]*known
	// all is when the info of all connectors was last had in one call.
	all time.Time
	// wanting tells that there are connectors whose info is stale, soonest when the
	// first of them may be asked for.
	wanting bool
	soonest time.Time
	// changed tells that there is more than what the last snapshot shows.
	changed bool
}

// due tells whether the info of a connector that the last snapshot had is stale
// and may be asked for.
func (i *infos) due(now time.Time) bool { return i.wanting && !now.Before(i.soonest) }

// want marks the connector as seen now and tells whether its info has to be
// asked for: never had, or what its status shows differs from what it was then.
func (i *infos) want(c *connect.Connector, now time.Time) bool {
	k := i.byName[c.Name]
	if k == nil {
		k = &known{stale: true}
		i.byName[c.Name] = k
	}
	k.seen = now
	if !k.stale && (tells(c.Type) && k.kind != c.Type || c.Version != "" && k.version != c.Version || !sameIDs(k.ids, c.Tasks)) {
		k.stale, k.tried, k.retry = true, 0, time.Time{}
	}
	return k.stale && !now.Before(k.retry)
}

func sameIDs(ids []int, tasks []connect.Task) bool {
	return slices.EqualFunc(ids, tasks, func(id int, t connect.Task) bool { return id == t.ID })
}

// put remembers the info of a connector that want has seen. What it does not tell
// stays as it is known.
func (i *infos) put(name string, got info, bad connect.Reason, now time.Time) {
	k := i.byName[name]
	if k == nil {
		return
	}
	before := *k
	k.put = now
	k.tooLarge = bad == connect.TooLarge
	switch {
	case k.tooLarge: // and will be, until something changes
		k.had, k.stale = now, false
		i.changed = i.changed || !before.tooLarge
		return
	case bad != "":
		k.tried++
		k.retry = now.Add(beside.Pause(k.tried))
		return
	}
	if !tells(got.kind) {
		got.kind = k.kind
	}
	if !got.hasConfig {
		kind, hasTasks, tasks := got.kind, got.hasTasks, got.tasks
		got = k.info
		got.kind, got.hasTasks, got.tasks = kind, hasTasks, tasks
	} else if k.hasConfig && k.hash != got.hash {
		k.changed = now.Round(0)
	}
	if got.class == "" {
		got.class = k.class
	}
	if !got.hasTasks {
		got.hasTasks, got.tasks = k.hasTasks, k.tasks
	}
	k.info, k.had, k.stale, k.tried, k.retry = got, now, false, 0, time.Time{}
	i.changed = i.changed || before.stale || before.tooLarge || before.changed != k.changed || !reflect.DeepEqual(before.info, k.info)
}

// missed notes connectors whose info was asked for and is stale all the same.
func (i *infos) missed(now time.Time) {
	for _, k := range i.byName {
		if k.stale && !k.put.Equal(now) && !now.Before(k.retry) {
			k.tried++
			k.retry = now.Add(beside.Pause(k.tried))
		}
	}
}

// fill completes a connector from what is known, and remembers what its status
// looked like with it. A connector of which it returns a reason cannot be shown.
func (i *infos) fill(c *connect.Connector) connect.Reason {
	c.TaskCount = len(c.Tasks)
	k := i.byName[c.Name]
	if k == nil {
		k = &known{stale: true}
	}
	if k.stale {
		if !i.wanting || k.retry.Before(i.soonest) {
			i.soonest = k.retry
		}
		i.wanting = true
	}
	if k.tooLarge {
		return connect.TooLarge
	}
	c.ConsumerGroup, c.OffsetsTopic = k.consumerGroup, k.offsetsTopic
	c.Class, c.TasksMax, c.Labels, c.ConfigChanged = k.class, k.tasksMax, k.labels, k.changed
	if tells(c.Type) {
		k.kind = c.Type
	} else {
		c.Type = cmp.Or(k.kind, kindUnknown)
	}
	if k.stale || k.had.IsZero() {
		return ""
	}
	if k.hasTasks {
		c.TaskCount = k.tasks
	}
	if c.Version != "" {
		k.version = c.Version
	}
	if !sameIDs(k.ids, c.Tasks) {
		k.ids = k.ids[:0]
		for _, t := range c.Tasks {
			k.ids = append(k.ids, t.ID)
		}
	}
	return ""
}

// forgetAfter is how long the info of a connector that is gone stays: a worker
// that is starting may list only some for a while. Of those that are gone, as many
// stay as there are connectors, or fewGone.
const (
	forgetAfter = 10 * time.Minute
	fewGone     = 1000
)

// end the snapshot that began at now: a connector that was not in it may come
// back with another configuration.
func (i *infos) end(now time.Time) {
	i.wanting = false
	var gone []time.Time
	for name, k := range i.byName {
		if k.seen.Equal(now) {
			continue
		}
		k.stale = true
		if now.Sub(k.seen) > forgetAfter {
			delete(i.byName, name)
			continue
		}
		gone = append(gone, k.seen)
	}
	if excess := len(gone) - max(fewGone, len(i.byName)-len(gone)); excess > 0 {
		slices.SortFunc(gone, time.Time.Compare)
		kept := make(map[string]*known, len(i.byName)-excess) // A map does not shrink.
		for name, k := range i.byName {
			if k.seen.After(gone[excess-1]) {
				kept[name] = k
			}
		}
		i.byName = kept
	}
}

// arrived are infos that were had beside snapshots and not taken in yet.
type arrived struct {
	mu    sync.Mutex
	infos []named
}

func (a *arrived) add(infos ...named) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.infos = append(a.infos, infos...)
}

func (a *arrived) take() []named {
	a.mu.Lock()
	defer a.mu.Unlock()
	infos := a.infos
	a.infos = nil
	return slices.Clip(infos)
}

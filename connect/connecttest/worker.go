package connecttest

import (
	"fmt"
	"slices"
	"time"
)

// A Phase is how far a worker is in its life.
type Phase uint8

// The phases of a worker.
const (
	// Up: it answers.
	Up Phase = iota
	// Down: connections to it are reset.
	Down
	// Listening: every path is 404 with an HTML page; Jetty listens before the
	// REST resources are registered.
	Listening
	// Starting: it answers, but the herder is not ready; /health says so.
	Starting
)

type worker struct {
	id      string
	phase   Phase
	lost    bool            // the delay is over: what it ran is handed out again
	life    int             // counts starts and ends, so that events of an earlier life are known
	missing map[string]bool // classes of plugins that it has not
	visible int             // how many connectors of the config topic it has read, -1 for all
	load    [2]int          // items placed on it, by load kind
}

// What counts as load: connectors and tasks are spread each for themselves.
type loadKind int

const (
	connectorLoad loadKind = iota
	taskLoad
)

// A rebalance that goes on.
type rebalance struct {
	wait time.Duration
	over chan struct{}
}

func newWorker(id string) *worker {
	return &worker{id: id, missing: map[string]bool{}, visible: -1}
}

// StopWorker ends a worker as SIGTERM does: connections to it are reset, and
// what it ran says UNASSIGNED, with its worker_id, until the worker is back or
// [Options.RebalanceDelay] is over; then others run it.
func (c *Cluster) StopWorker(workerID string) {
	defer c.lock()()
	c.end(c.findWorker(workerID), true)
}

// sessionTimeout is Kafka's default of session.timeout.ms: how long it takes the
// group to notice that a worker was killed.
const sessionTimeout = 10 * time.Second

// KillWorker ends a worker as SIGKILL does: connections to it are reset, and the
// others go on saying RUNNING with its worker_id until the session timeout and
// [Options.RebalanceDelay] are over.
func (c *Cluster) KillWorker(workerID string) {
	defer c.lock()()
	c.end(c.findWorker(workerID), false)
}

func (c *Cluster) end(w *worker, graceful bool) {
	if w.phase == Down {
		return
	}
	w.phase, w.lost = Down, false
	w.life++
	delay := c.options.RebalanceDelay
	if graceful {
		c.eachItem(func(it *connector, i *item, _ loadKind) {
			if i.worker == w.id {
				i.unassigned = true
				c.changed(it)
			}
		})
	} else {
		delay += sessionTimeout
	}
	c.inLife(w, delay, func() {
		w.lost = true
		c.reassign()
	})
}

// inLife does something after a while, unless the worker has ended or started since.
func (c *Cluster) inLife(w *worker, after time.Duration, do func()) {
	life := w.life
	c.after(after, func() {
		if w.life == life {
			do()
		}
	})
}

// StartWorker starts a worker that is down; see [Options.StartupTime]. What it
// ran before is its own again if the delay is not over; else it gets its share.
// A worker that is not down is left as it is.
func (c *Cluster) StartWorker(workerID string) {
	defer c.lock()()
	w := c.findWorker(workerID)
	if w.phase != Down {
		return
	}
	w.life++
	total := c.options.StartupTime
	if total == 0 {
		c.join(w)
		return
	}
	c.inLife(w, total*4/5, func() { w.phase = Listening })
	c.inLife(w, total, func() { w.phase = Starting })
	c.inLife(w, total*5/4, func() { c.join(w) })
}

// SetPhase puts a worker into a phase, for tests that go through a start step by
// step. Nothing that it runs changes.
func (c *Cluster) SetPhase(workerID string, phase Phase) {
	defer c.lock()()
	c.findWorker(workerID).phase = phase
}

// StartRebalance lets calls that wait for the herder (info, config, tasks,
// offsets; on 2.2 the list too) wait for up to wait and then fail as the version
// does: 409 up to 3.4, 500 since. Those that wait when the rebalance ends
// succeed. Status and expansions never wait.
func (c *Cluster) StartRebalance(wait time.Duration) {
	defer c.lock()()
	c.endRebalance()
	c.rebalance = &rebalance{wait: wait, over: make(chan struct{})}
}

// EndRebalance ends what StartRebalance began.
func (c *Cluster) EndRebalance() {
	defer c.lock()()
	c.endRebalance()
}

func (c *Cluster) endRebalance() {
	if c.rebalance != nil {
		close(c.rebalance.over)
		c.rebalance = nil
	}
}

// RemovePlugin takes a connector class from a worker, as a restart without its
// jar does. Connectors and tasks of that class that the worker runs fail. What
// the worker answers about the class is 500 before 3.4, expansions of all
// connectors included (KAFKA-13989); since then it calls its type "unknown".
func (c *Cluster) RemovePlugin(workerID, class string) {
	defer c.lock()()
	c.findWorker(workerID).missing[class] = true
	c.changed(nil)
	c.eachItem(func(it *connector, i *item, _ loadKind) { c.failWithoutPlugin(it, i) })
}

// Replay lets a worker know only count connectors of the config topic, as while
// it reads it at its start; a negative count lets it know all.
func (c *Cluster) Replay(workerID string, count int) {
	defer c.lock()()
	c.findWorker(workerID).visible = count
}

func (c *Cluster) findWorker(id string) *worker {
	for _, w := range c.workers {
		if w.id == id {
			return w
		}
	}
	panic(fmt.Sprintf("connecttest: no worker %q", id))
}

// members are the workers that can be given something to run.
func (c *Cluster) members() []*worker {
	return slices.DeleteFunc(slices.Clone(c.workers), func(w *worker) bool { return w.phase != Up })
}

func (c *Cluster) leader() *worker {
	for _, w := range c.workers {
		if w.phase == Up {
			return w
		}
	}
	return nil
}

// join makes a started worker a member of the group.
func (c *Cluster) join(w *worker) {
	w.phase, w.lost = Up, false
	c.eachItem(func(it *connector, i *item, _ loadKind) {
		if i.worker == w.id && i.unassigned {
			i.unassigned = false
			c.changed(it)
		}
	})
	c.reassign()
}

// reassign takes from workers that are lost, then from those that have more than
// their share, and gives to those that have least.
func (c *Cluster) reassign() {
	members := c.members()
	if len(members) == 0 {
		return
	}
	lost := map[string]bool{}
	for _, w := range c.workers {
		lost[w.id] = w.lost
	}
	c.eachItem(func(it *connector, i *item, kind loadKind) {
		least := c.least(members, kind)
		have := c.findWorker(i.worker)
		if lost[i.worker] || have.phase == Up && have.load[kind] > least.load[kind]+1 {
			c.move(i, least, kind)
			c.failWithoutPlugin(it, i)
			c.changed(it)
		}
	})
	for _, it := range c.listed() {
		if it.live() < it.Tasks {
			c.startTasks(it)
			c.changed(it)
		}
	}
}

func (c *Cluster) least(members []*worker, kind loadKind) *worker {
	return slices.MinFunc(members, func(a, b *worker) int { return a.load[kind] - b.load[kind] })
}

// place puts a new item where there is least to do; with no worker up, on the
// first, which will be lost.
func (c *Cluster) place(i *item, kind loadKind) {
	w := c.workers[0]
	if members := c.members(); len(members) > 0 {
		w = c.least(members, kind)
	}
	i.worker = w.id
	w.load[kind]++
}

func (c *Cluster) unplace(i *item, kind loadKind) { c.findWorker(i.worker).load[kind]-- }

func (c *Cluster) move(i *item, to *worker, kind loadKind) {
	c.unplace(i, kind)
	to.load[kind]++
	i.worker, i.unassigned = to.id, false
}

// failWithoutPlugin fails an item whose worker has not the plugin for it. Since
// 3.4 a task of which only the type is not known says so.
func (c *Cluster) failWithoutPlugin(it *connector, i *item) {
	if !c.findWorker(i.worker).missing[it.Class] {
		return
	}
	message := c.missingPlugin(it.Class)
	if task := slices.Index(it.tasks, i); task >= 0 && c.release.toleratesPlugins() {
		message = fmt.Sprintf("Failed to start task %s-%d since it is not a recognizable type (source or sink)", it.Name, task)
	}
	i.fail(Trace(Cause{connectException, message}))
	i.noVersion = true
	c.changed(it)
}

// eachItem visits every connector and task in the order of the lists.
func (c *Cluster) eachItem(visit func(*connector, *item, loadKind)) {
	for _, it := range c.listed() {
		visit(it, &it.itself, connectorLoad)
		for _, task := range it.tasks {
			visit(it, task, taskLoad)
		}
	}
}

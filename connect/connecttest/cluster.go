package connecttest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options say what a [Cluster] is. The zero value is one worker of 4.3.1.
type Options struct {
	// Version of Apache Kafka that all workers run, "4.3.1" if empty. What a
	// worker answers depends on it. From 2.2.0 on.
	Version string
	// Workers by the host:port that each advertises, the worker_id of statuses.
	// The first that is up is the leader. One, "10.0.0.1:8083", if empty.
	Workers []string
	// KafkaClusterID is what GET / says of the Kafka cluster behind; one is made
	// up if empty.
	KafkaClusterID string
	// Username and Password turn on Basic authentication as the
	// BasicAuthSecurityRestExtension does it, for every path.
	Username, Password string
	// RebalanceDelay is scheduled.rebalance.max.delay.ms: how long what a lost
	// worker ran waits for it. 5 minutes (Kafka's default) if 0.
	RebalanceDelay time.Duration
	// StartupTime is how long [Cluster.StartWorker] takes: four fifths of it
	// connections are refused, then all paths are 404 with an HTML page, and
	// for a quarter of it more the lists are there while /health says
	// "starting". A start at once if 0; 3.3 seconds were observed on 4.3.1.
	StartupTime time.Duration
	// Now is the clock, time.Now if nil.
	Now func() time.Time
}

// A Connector is what [Cluster.Create] makes.
type Connector struct {
	Name string
	// Class is connector.class, FileStreamSource's if empty.
	Class string
	// Type is "source" or "sink"; by the class's name if empty.
	Type string
	// Version of the plugin, shown since 4.1; the cluster's version if empty.
	Version string
	// Tasks is tasks.max and how many tasks there are; 0 makes one that has none.
	Tasks int
	// Config are its further settings. name, connector.class and tasks.max are
	// set by the fields above.
	Config map[string]string
}

// Itself stands for the connector where a task's id is asked for, as in Kafka's
// own assignments.
const Itself = -1

// A Cluster is a simulated Kafka Connect cluster. All methods may be called by
// several goroutines at once.
type Cluster struct {
	options Options
	release release
	now     func() time.Time

	mutex      sync.Mutex
	workers    []*worker
	connectors map[string]*connector
	born       int          // connectors that were ever created
	order      []*connector // in the order of the lists; nil if it must be found again
	replies    map[string]reply
	changes    int // how often anything has changed that replies tell
	events     []event
	faults     []*setFault
	rebalance  *rebalance
	requests   requests
}

// A connector of the model. What it and its tasks say of themselves follows from
// its fields, see state.
type connector struct {
	Connector
	born     int    // counts connectors from the first that was created
	quoted   []byte // its name
	hash     uint32 // of its name
	settings map[string]string
	target   target
	itself   item
	tasks    []*item
	removed  int // tasks at the end of tasks that are gone, but keep a status (before 2.5.1)

	info, status []byte // rendered, nil if not yet
}

// An item is what can be placed: a connector or a task.
type item struct {
	worker     string
	failed     bool
	trace      string
	unassigned bool
	raw        string // a state to say whatever the rest of the model says
	noStatus   bool
	noVersion  bool // there is no plugin whose version could be told
}

// A reply about all connectors, as it was rendered when changes was what it says.
type reply struct {
	body    []byte
	changes int
}

type target uint8

const (
	targetRunning target = iota
	targetPaused
	targetStopped
)

// An event is what happens by itself when its time has come.
type event struct {
	at time.Time
	do func()
}

// NewCluster returns a cluster without connectors, all of its workers up. It
// panics on a version that it cannot read or simulate.
func NewCluster(options Options) *Cluster {
	options.Version = cmp.Or(options.Version, "4.3.1")
	if len(options.Workers) == 0 {
		options.Workers = []string{"10.0.0.1:8083"}
	}
	options.KafkaClusterID = cmp.Or(options.KafkaClusterID, "q1Sh-9_ISia_zwGINzRvyQ")
	options.RebalanceDelay = cmp.Or(options.RebalanceDelay, 5*time.Minute)
	if options.Now == nil {
		options.Now = time.Now
	}
	release, err := parseRelease(options.Version)
	if err != nil || !release.since(2, 2, 0) {
		panic(fmt.Sprintf("connecttest: version %q cannot be simulated (%v)", options.Version, err))
	}
	c := &Cluster{
		options: options, release: release, now: options.Now,
		connectors: map[string]*connector{}, replies: map[string]reply{},
	}
	c.requests.reset()
	for _, id := range options.Workers {
		c.workers = append(c.workers, newWorker(id))
	}
	return c
}

// Version of Apache Kafka that is simulated.
func (c *Cluster) Version() string { return c.options.Version }

// Workers returns the host:port of every worker, whether it is up or not.
func (c *Cluster) Workers() []string { return slices.Clone(c.options.Workers) }

// Create adds a connector and its tasks, RUNNING, on the workers that have least
// to do. It panics if there is one of that name.
//
// As on real workers from 3.9 on, a connector with a "/" or "%" in its name (on
// 4.x a backslash too) gets tasks only if it is placed on the leader: others
// forward the configurations of its tasks by REST, to a path that the leader does
// not find.
func (c *Cluster) Create(spec Connector) {
	defer c.lock()()
	if c.connectors[spec.Name] != nil {
		panic(fmt.Sprintf("connecttest: connector %q exists", spec.Name))
	}
	spec.Class = cmp.Or(spec.Class, "org.apache.kafka.connect.file.FileStreamSourceConnector")
	if spec.Type == "" {
		spec.Type = "source"
		if strings.Contains(spec.Class, "Sink") {
			spec.Type = "sink"
		}
	}
	spec.Version = cmp.Or(spec.Version, c.options.Version)
	c.born++
	created := &connector{Connector: spec, born: c.born, quoted: encode(spec.Name), hash: spreadHash(spec.Name), settings: map[string]string{}}
	maps.Copy(created.settings, spec.Config)
	created.settings["name"], created.settings["connector.class"], created.settings["tasks.max"] = spec.Name, spec.Class, strconv.Itoa(spec.Tasks)
	c.connectors[spec.Name] = created
	c.order = nil
	c.place(&created.itself, connectorLoad)
	c.startTasks(created)
	c.failWithoutPlugin(created, &created.itself)
	for _, task := range created.tasks {
		c.failWithoutPlugin(created, task)
	}
	c.changed(created)
}

// Delete removes a connector, its tasks and its status.
func (c *Cluster) Delete(name string) {
	defer c.lock()()
	gone := c.find(name)
	c.unplace(&gone.itself, connectorLoad)
	for _, task := range gone.tasks {
		c.unplace(task, taskLoad)
	}
	delete(c.connectors, gone.Name)
	c.order = nil
	c.changed(nil)
}

// Pause lets a connector and its tasks say PAUSED.
func (c *Cluster) Pause(name string) { c.setTarget(name, targetPaused) }

// Resume lets a paused or stopped connector and its tasks run.
func (c *Cluster) Resume(name string) { c.setTarget(name, targetRunning) }

// Stop lets a connector say STOPPED and takes its tasks away (KIP-875). It
// panics on a version before 3.5, which knows no such state.
func (c *Cluster) Stop(name string) {
	if !c.release.hasStopped() {
		panic("connecttest: " + c.options.Version + " cannot stop a connector")
	}
	c.setTarget(name, targetStopped)
}

func (c *Cluster) setTarget(name string, to target) {
	c.change(name, func(it *connector) {
		it.target = to
		if to == targetStopped {
			c.trimTasks(it, 0)
		}
		c.startTasks(it)
	})
}

// FailTask lets a task say FAILED with a trace as Java prints it (see [Trace]).
// It stays so, on whatever worker, until [Cluster.RestartTask].
func (c *Cluster) FailTask(name string, task int, trace string) {
	c.change(name, func(it *connector) { it.item(task).fail(trace) })
}

// FailConnector lets a connector say FAILED; its tasks go on.
func (c *Cluster) FailConnector(name, trace string) { c.FailTask(name, Itself, trace) }

// RestartTask lets a failed task run again. It also ends [Cluster.SetState].
func (c *Cluster) RestartTask(name string, task int) {
	c.change(name, func(it *connector) { it.item(task).restart() })
}

// RestartConnector restarts a connector and all of its tasks, as with
// includeTasks=true (KIP-745).
func (c *Cluster) RestartConnector(name string) {
	c.change(name, func(it *connector) {
		for task := Itself; task < len(it.tasks); task++ {
			it.item(task).restart()
		}
	})
}

// SetState lets a task, or the connector (see [Itself]), say a state word for
// word, known or not, until it is restarted.
func (c *Cluster) SetState(name string, task int, state string) {
	c.change(name, func(it *connector) { it.item(task).raw = state })
}

// SetTasksMax changes tasks.max and the number of tasks with it. Before 2.5.1,
// tasks that are gone keep their status (KAFKA-9472).
func (c *Cluster) SetTasksMax(name string, tasks int) {
	c.change(name, func(it *connector) {
		it.Tasks = tasks
		it.settings["tasks.max"] = strconv.Itoa(tasks)
		c.trimTasks(it, tasks)
		c.startTasks(it)
	})
}

// SetConfig changes one setting.
func (c *Cluster) SetConfig(name, key, value string) {
	c.change(name, func(it *connector) { it.settings[key] = value })
}

// DropStatus lets a connector be listed without a status, as one is that was
// created and has not been started. /status is 404 and an expansion of its
// status leaves it out. [Cluster.RestoreStatus] ends it.
func (c *Cluster) DropStatus(name string) {
	c.change(name, func(it *connector) { it.itself.noStatus = true })
}

// RestoreStatus gives a connector and its tasks their status back.
func (c *Cluster) RestoreStatus(name string) {
	c.change(name, func(it *connector) {
		for task := Itself; task < len(it.tasks); task++ {
			it.item(task).noStatus = false
		}
	})
}

// Place puts a task, or the connector (see [Itself]), on a worker.
func (c *Cluster) Place(name string, task int, workerID string) {
	c.change(name, func(it *connector) {
		load := taskLoad
		if task == Itself {
			load = connectorLoad
		}
		c.move(it.item(task), c.findWorker(workerID), load)
	})
}

// Placement returns the worker of a task, or of the connector (see [Itself]).
func (c *Cluster) Placement(name string, task int) string {
	defer c.lock()()
	return c.find(name).item(task).worker
}

// lock takes the mutex and lets happen what is due. The function that it returns
// releases the mutex.
func (c *Cluster) lock() (unlock func()) {
	c.mutex.Lock()
	for now := c.now(); len(c.events) > 0 && !c.events[0].at.After(now); {
		happens := c.events[0].do
		c.events = c.events[1:]
		happens()
	}
	return c.mutex.Unlock
}

// after lets do happen when the cluster's clock is d further.
func (c *Cluster) after(d time.Duration, do func()) {
	c.events = schedule(c.events, event{c.now().Add(d), do})
}

// schedule puts an event behind those that are due with it or before.
func schedule(agenda []event, e event) []event {
	at, _ := slices.BinarySearchFunc(agenda, e, func(have, new event) int {
		if have.at.After(new.at) {
			return 1
		}
		return -1
	})
	return slices.Insert(agenda, at, e)
}

func (c *Cluster) change(name string, do func(*connector)) {
	defer c.lock()()
	it := c.find(name)
	do(it)
	c.changed(it)
}

// changed makes what was rendered of a connector out of date, and the replies that
// it is in. nil is for a change of which connectors there are.
func (c *Cluster) changed(it *connector) {
	if it != nil {
		it.info, it.status = nil, nil
	}
	c.changes++
}

func (c *Cluster) find(name string) *connector {
	it := c.connectors[name]
	if it == nil {
		panic(fmt.Sprintf("connecttest: no connector %q", name))
	}
	return it
}

// startTasks makes the tasks that a connector should have and has not.
func (c *Cluster) startTasks(it *connector) {
	if it.target == targetStopped || c.cannotForward(it) {
		return
	}
	for it.removed > 0 && it.live() < it.Tasks {
		it.removed--
	}
	for len(it.tasks) < it.Tasks {
		task := &item{}
		c.place(task, taskLoad)
		it.tasks = append(it.tasks, task)
	}
}

// trimTasks leaves a connector the first count tasks.
func (c *Cluster) trimTasks(it *connector, count int) {
	if it.live() <= count {
		return
	}
	if !c.release.dropsTaskStatus() {
		it.removed = len(it.tasks) - count
		return
	}
	for _, task := range it.tasks[count:] {
		c.unplace(task, taskLoad)
	}
	it.tasks = it.tasks[:count]
}

// cannotForward: the connector's owner cannot hand its tasks' configurations to
// the leader.
func (c *Cluster) cannotForward(it *connector) bool {
	refused := "/%"
	if c.release.refusesAmbiguous() {
		refused = `/%\`
	}
	leader := c.leader()
	return c.release.losesSlashNames() && strings.ContainsAny(it.Name, refused) &&
		leader != nil && it.itself.worker != leader.id
}

// live is the number of tasks that the configuration knows.
func (it *connector) live() int { return len(it.tasks) - it.removed }

func (it *connector) item(task int) *item {
	if task == Itself {
		return &it.itself
	}
	if task < 0 || task >= len(it.tasks) {
		panic(fmt.Sprintf("connecttest: connector %q has no task %d", it.Name, task))
	}
	return it.tasks[task]
}

// state is the word that an item of the connector says. A worker that shuts
// down writes UNASSIGNED over what was paused and stopped too, but a task that
// had failed is over already and keeps its word.
func (it *connector) state(of *item) string {
	switch {
	case of.raw != "":
		return of.raw
	case of.unassigned && (!of.failed || of == &it.itself):
		return "UNASSIGNED"
	case of.failed:
		return "FAILED"
	case it.target == targetPaused:
		return "PAUSED"
	case it.target == targetStopped:
		return "STOPPED"
	}
	return "RUNNING"
}

func (i *item) fail(trace string) { i.failed, i.trace, i.raw, i.noVersion = true, trace, "", false }
func (i *item) restart()          { i.failed, i.trace, i.raw, i.noVersion = false, "", "", false }

// Package incident lets a real Kafka Connect cluster live through what the
// shipped alerts are for. The exporter's binary watches it, Prometheus evaluates
// the exported rules, Alertmanager has the shipped routes and inhibitions, and a
// webhook of the test notes who is told of what, and what is held back.
package incident

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kafka"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/process"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/scenario"
)

// patience is how long something may take that takes half of it at most.
const patience = 90 * time.Second

// The connectors of the cluster.
const (
	steady    = "steady-source"   // runs throughout
	partly    = "payments-sink"   // its tasks fail, then are mended one by one
	lasting   = "refunds-sink"    // its task fails until the end
	unstarted = "mirror->backup"  // fails itself until the end
	paused    = "paused-source"   // by somebody
	stopped   = "stopped-source"  // likewise
	few       = "few-tasks"       // has fewer tasks than it may have
	flapping  = "flapping-source" // is paused and resumed again and again
	restarted = "restarted-sink"  // one of its four tasks fails and is restarted
)

// many are connectors that fail together.
func many() (names []string) {
	for i := range 9 {
		names = append(names, fmt.Sprint("many-", i))
	}
	return names
}

// addressless names cannot be asked for on Kafka 4, and of two workers only the
// leader gets tasks for them.
var addressless = []string{"eu/1", "eu/2", "eu/3", "eu/4"}

// alert returns the labels that an alert of one of the clusters has.
func alert(name, severity, cluster string, more ...string) labels {
	l := labels{"alertname": name, "severity": severity, "job": job, "connect_cluster": cluster}
	for i := 0; i < len(more); i += 2 {
		l[more[i]] = more[i+1]
	}
	return l
}

// eventually waits until check returns nil.
func eventually(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := process.Poll(ctx, 200*time.Millisecond, nil, check); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// reaches waits until the receiver of its severity was told that an alert with
// exactly these labels has this status, and returns its annotations.
func (p *parts) reaches(t *testing.T, status string, l labels) map[string]string {
	t.Helper()
	var now told
	eventually(t, fmt.Sprintf("%s is told to be %s", l, status), func(context.Context) error {
		if now = p.webhook.of(l); now.status != status {
			return fmt.Errorf("it is told to be %q; of this name: %s", now.status, strings.Join(p.webhook.named(l["alertname"]), " "))
		}
		return nil
	})
	if want := receivers[l["severity"]]; now.receiver != want {
		t.Errorf("%s reached %s, not %s", l, now.receiver, want)
	}
	if !strings.HasSuffix(now.annotations["runbook_url"], "/"+l["alertname"]+".md") || now.annotations["summary"] == "" {
		t.Errorf("%s: annotations %q", l, now.annotations)
	}
	for _, label := range []string{"connect_cluster", "connector", "task", "worker"} {
		if !strings.Contains(now.annotations["description"], l[label]) {
			t.Errorf("%s: the description does not name the %s: %s", l, label, now.annotations["description"])
		}
	}
	return now.annotations
}

func (p *parts) raised(t *testing.T, l labels) map[string]string {
	t.Helper()
	return p.reaches(t, "firing", l)
}

func (p *parts) resolved(t *testing.T, l labels) {
	t.Helper()
	p.reaches(t, "resolved", l)
}

// heldBack waits until an alert fires in Prometheus and Alertmanager holds it
// back because of another.
func (p *parts) heldBack(t *testing.T, l labels, by string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s is held back", l), func(ctx context.Context) error {
		var matchers []string
		for name, value := range l {
			matchers = append(matchers, fmt.Sprintf("%s=%q", name, value))
		}
		firing, err := p.prometheus.Query(ctx, `ALERTS{alertstate="firing",`+strings.Join(matchers, ",")+`}`)
		if err != nil {
			return err
		}
		held, err := p.alerts.held(ctx, l)
		if err == nil && (len(firing) != 1 || !slices.Contains(held, by)) {
			err = fmt.Errorf("%d of it fire, held back by %q", len(firing), held)
		}
		return err
	})
}

// notBegun fails the test if an alert fires: another explains it.
func (p *parts) notBegun(t *testing.T, l labels) {
	t.Helper()
	var matchers []string
	for name, value := range l {
		matchers = append(matchers, fmt.Sprintf("%s=%q", name, value))
	}
	firing, err := p.prometheus.Query(t.Context(), `ALERTS{alertstate="firing",`+strings.Join(matchers, ",")+`}`)
	if err != nil || len(firing) > 0 {
		t.Errorf("%s is explained by another, and fires: %v, %v", l, firing, err)
	}
	p.untold(t, l)
}

// untold fails the test if anybody was told that an alert fires. That one ended
// of which nobody was told may be said, in company of others of its group.
func (p *parts) untold(t *testing.T, l labels) {
	t.Helper()
	if now := p.webhook.of(l); now.firing > 0 {
		t.Errorf("%s was to be held back, and was told: %+v", l, now)
	}
}

// do changes something by the REST API of the first worker.
func (p *parts) do(t *testing.T, method, path string, body any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.workers[0].Write(ctx, method, path, body); err != nil {
		t.Fatal(err)
	}
}

func (p *parts) create(t *testing.T, name, state string, config map[string]any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.workers[0].Create(ctx, kafka.Connector{Name: name, Config: config, InitialState: state}); err != nil {
		t.Fatal(err)
	}
}

// source waits for a file that never comes. It has one task, however many it may have.
func source(tasks int) map[string]any {
	return map[string]any{"connector.class": scenario.FileSource, "tasks.max": fmt.Sprint(tasks), "topic": "orders", "file": "/missing/orders.txt"}
}

// sink fails where the folder of its file is missing.
func sink(tasks int, file string) map[string]any {
	return map[string]any{"connector.class": scenario.FileSink, "tasks.max": fmt.Sprint(tasks), "topics": "orders", "file": file}
}

// mirror fails when it starts, if there is no broker of that name.
func mirror(bootstrap string) map[string]any {
	return map[string]any{
		"connector.class": scenario.Heartbeat, "tasks.max": "1", "source.cluster.alias": "mirror", "target.cluster.alias": "backup",
		"source.cluster.bootstrap.servers": bootstrap, "target.cluster.bootstrap.servers": bootstrap, "heartbeats.topic.replication.factor": "1",
	}
}

func TestIncident(t *testing.T) {
	t.Chdir("..")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	p := start(ctx, t)
	for _, act := range []struct {
		name string
		play func(*parts, *testing.T)
	}{
		{"connectors and tasks", (*parts).playConnectors},
		{"many connectors fail", (*parts).playMany},
		{"restarts hide failures", (*parts).playRestarts},
		{"a worker leaves in order", (*parts).playTermination},
		{"a worker is killed", (*parts).playKill},
		{"the cluster is killed", (*parts).playClusterDown},
		{"the exporter is gone", (*parts).playExporterDown},
		{"everything vanishes", (*parts).playVanished},
	} {
		begin := time.Now()
		if !t.Run(act.name, func(t *testing.T) { act.play(p, t) }) {
			return // What follows begins where this was to end.
		}
		t.Logf("%s: %.0f s", act.name, time.Since(begin).Seconds())
	}
	if strings.Contains(p.webhook.story(), "BROKEN") {
		t.Error("a notification could not be read")
	}
}

// playConnectors raises all that a whole cluster can have, at once, then mends
// all but what fails until the end.
func (p *parts) playConnectors(t *testing.T) {
	ctx := t.Context()
	missing := filepath.Join(p.directory, "missing")
	p.create(t, steady, "", source(1))
	p.create(t, partly, "", sink(2, filepath.Join(missing, "payments.txt")))
	p.create(t, lasting, "", sink(1, filepath.Join(p.directory, "lasting", "refunds.txt")))
	p.create(t, unstarted, "", mirror("no-address"))
	p.create(t, paused, "PAUSED", source(1))
	p.create(t, stopped, "STOPPED", source(1))
	p.create(t, few, "", source(3))
	p.create(t, flapping, "", source(1))
	for _, name := range addressless {
		p.create(t, name, "", source(1))
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	// One call takes more than half of what a snapshot has here, two take more than all.
	must(p.line.slow(ctx, 1100*time.Millisecond))
	must(os.WriteFile(p.passwords, []byte("wrong\n"), 0o600))
	whole, err := os.ReadFile(p.config)
	must(err)
	must(os.WriteFile(p.config, append(slices.Clone(whole), "nonsense: true\n"...), 0o600))
	p.exporter.Signal(syscall.SIGHUP)

	// Failures.
	connectorFailed := alert("KafkaConnectConnectorFailed", "critical", orders, "connector", unstarted, "state", "failed")
	if text := p.raised(t, connectorFailed)["description"]; !strings.Contains(text, "ConfigException") {
		t.Errorf("the description does not give the cause: %s", text)
	}
	allFailed := func(connector string) labels {
		return alert("KafkaConnectAllTasksFailed", "critical", orders, "connector", connector)
	}
	taskFailed := func(connector, task string) labels {
		return alert("KafkaConnectTaskFailed", "warning", orders, "connector", connector, "task", task, "state", "failed")
	}
	p.raised(t, allFailed(partly))
	p.raised(t, allFailed(lasting))
	for _, task := range []string{"0", "1"} {
		p.notBegun(t, taskFailed(partly, task))
	}
	// One of two tasks is mended.
	must(os.MkdirAll(missing, 0o755))
	p.do(t, http.MethodPost, kafka.ConnectorPath(partly)+"/tasks/0/restart", nil)
	p.resolved(t, allFailed(partly))
	if text := p.raised(t, taskFailed(partly, "1"))["description"]; !strings.Contains(text, "java.nio.file.NoSuchFileException") {
		t.Errorf("the description does not give the cause: %s", text)
	}
	p.untold(t, taskFailed(partly, "0"))

	// What the exporter cannot do.
	p.raised(t, alert("KafkaConnectCredentialsRefused", "critical", refused))
	p.notBegun(t, alert("KafkaConnectClusterDown", "critical", refused))
	reloadFailed := labels{"alertname": "KafkaConnectExporterReloadFailed", "severity": "warning", "job": job, "instance": p.address}
	p.raised(t, reloadFailed)
	partial := alert("KafkaConnectSnapshotPartial", "warning", byName, "reason", "unaddressable")
	if text := p.raised(t, partial)["description"]; !strings.HasPrefix(text, fmt.Sprint(len(addressless), " connectors ")) {
		t.Errorf("the description does not count the connectors: %s", text)
	}
	// Version 2 sees what version 1 cannot ask for.
	must(os.WriteFile(p.passwords, []byte(password+"\n"), 0o600))
	must(os.WriteFile(p.config, []byte(strings.Replace(string(whole), `observation_version: "1"`, `observation_version: "2"`, 1)), 0o600))
	p.exporter.Signal(syscall.SIGHUP)

	p.flap(t)

	// Silent ones. A worker's own answer says which they are.
	statuses, err := p.workers[0].Statuses(ctx)
	must(err)
	var taskless []labels
	for _, name := range addressless {
		if s := statuses[name]; s.Connector.State == "RUNNING" && len(s.Tasks) == 0 {
			taskless = append(taskless, alert("KafkaConnectRunningWithoutTasks", "warning", orders, "connector", name))
		}
	}
	if len(taskless) == 0 {
		t.Fatalf("all of %q have tasks: %v", addressless, statuses)
	}
	for _, l := range taskless {
		p.raised(t, l)
	}
	slow := alert("KafkaConnectSnapshotSlow", "warning", distant)
	p.raised(t, slow)
	must(p.line.mend(ctx))

	// What is for information, after hours.
	pausedLong := alert("KafkaConnectPaused", "info", orders, "connector", paused)
	stoppedLong := alert("KafkaConnectPaused", "info", orders, "connector", stopped)
	fewer := alert("KafkaConnectFewerTasksThanMaximum", "info", orders, "connector", few)
	for _, l := range []labels{pausedLong, stoppedLong, fewer} {
		p.raised(t, l)
	}

	// All is mended but what fails until the end.
	p.do(t, http.MethodPost, kafka.ConnectorPath(partly)+"/tasks/1/restart", nil)
	p.do(t, http.MethodPut, kafka.ConnectorPath(paused)+"/resume", nil)
	p.do(t, http.MethodPut, kafka.ConnectorPath(stopped)+"/resume", nil)
	p.do(t, http.MethodPut, kafka.ConnectorPath(few)+"/config", source(1))
	for _, l := range []labels{
		taskFailed(partly, "1"), alert("KafkaConnectCredentialsRefused", "critical", refused), reloadFailed, partial, pausedLong, stoppedLong, fewer, slow,
	} {
		p.resolved(t, l)
	}
	p.untold(t, taskFailed(partly, "0"))
	p.untold(t, taskFailed(lasting, "0"))
	p.untold(t, alert("KafkaConnectClusterDown", "critical", refused))
	for _, l := range []labels{connectorFailed, allFailed(lasting)} {
		if now := p.webhook.of(l); now.resolved > 0 {
			t.Errorf("%s is not mended, and was told to be resolved", l)
		}
	}
	p.silent = taskless
}

// flap pauses and resumes a connector until somebody is told. Each change is
// seen by a snapshot before the next.
func (p *parts) flap(t *testing.T) {
	t.Helper()
	for range 7 {
		for _, change := range []struct{ verb, state string }{{"pause", "paused"}, {"resume", "running"}} {
			state := change.state
			p.do(t, http.MethodPut, kafka.ConnectorPath(flapping)+"/"+change.verb, nil)
			series := fmt.Sprintf("kafka_connect_connector_state{connect_cluster=%q,connector=%q,state=%q} 1", orders, flapping, state)
			eventually(t, series, func(ctx context.Context) error {
				text, err := fetch(ctx, "http://"+p.address+"/probe?cluster="+orders)
				if err == nil && !strings.Contains(text, series) {
					err = fmt.Errorf("%d bytes without it", len(text))
				}
				return err
			})
		}
	}
	p.raised(t, alert("KafkaConnectFlapping", "warning", orders, "connector", flapping))
}

// placed waits until some task runs on a worker.
func (p *parts) placed(t *testing.T, on *kafka.Worker) {
	t.Helper()
	eventually(t, "a task runs on "+on.ID(), func(ctx context.Context) error {
		statuses, err := p.workers[0].Statuses(ctx)
		if err != nil {
			return err
		}
		for _, s := range statuses {
			for _, task := range s.Tasks {
				if task.WorkerID == on.ID() && task.State == "RUNNING" {
					return nil
				}
			}
		}
		return fmt.Errorf("none of %d connectors has", len(statuses))
	})
}

// follows makes a worker one that does not lead: where the leader leaves, the next one
// knows of no lost work, and hands everything out at once. Whoever was there first
// leads, unless it was too busy for a heartbeat.
func (p *parts) follows(t *testing.T, w *kafka.Worker) {
	t.Helper()
	admin, err := kafka.NewAdmin(p.bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	eventually(t, w.ID()+" does not lead", func(ctx context.Context) error {
		leader, err := admin.Leader(ctx, orders)
		if err == nil && strings.Contains(leader, w.ID()) {
			terminate(t, w)
			ready(t, w)
			err = fmt.Errorf("it leads")
		}
		return err
	})
}

// terminate ends a worker in good order.
func terminate(t *testing.T, w *kafka.Worker) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := w.Terminate(ctx); err != nil {
		t.Fatal(err)
	}
}

// ready starts workers and waits for them.
func ready(t *testing.T, workers ...*kafka.Worker) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := kafka.StartReady(ctx, workers...); err != nil {
		t.Fatal(err)
	}
}

var mixed = alert("KafkaConnectMixedWorkerVersions", "info", orders)

// playTermination ends a worker as a rolling upgrade does, which is left half
// done.
func (p *parts) playTermination(t *testing.T) {
	left := p.workers[1]
	p.follows(t, left)
	var unassigned []labels
	many := 0 // connectors that do not work
	for attempt := 1; len(unassigned) == 0; attempt++ {
		switch attempt {
		case 1:
		case 4:
			t.Fatal("nothing is unassigned, each time")
		default:
			ready(t, left)
		}
		p.placed(t, left)
		unassigned, many = p.leaves(t, left)
	}
	t.Logf("%d connectors and tasks are unassigned, %d connectors do not work", len(unassigned), many)
	// The worker may have had so many that the headline speaks for each.
	if many >= 5 {
		unassigned = []labels{alert("KafkaConnectManyConnectorsFailed", "critical", orders)}
	}
	for _, l := range unassigned {
		p.raised(t, l)
	}
	for _, l := range unassigned {
		p.resolved(t, l)
	}
	// Whatever was owned by a follower is the leader's now, which needs nobody to get its tasks.
	for _, l := range p.silent {
		p.resolved(t, l)
	}
	left.Options.Version = older
	ready(t, left)
	p.placed(t, left)
	if text := p.raised(t, mixed)["description"]; !strings.Contains(text, older+" on 1, "+version+" on 1") {
		t.Errorf("the description does not count the versions: %s", text)
	}
	p.resolved(t, alert("KafkaConnectFlapping", "warning", orders, "connector", flapping))
}

// leaves ends a worker in good order, and returns the alerts about what is unassigned
// then, of what nothing else ails, and how many connectors do not work. There are none
// where nothing of that ran on it, or all was handed out at once.
func (p *parts) leaves(t *testing.T, left *kafka.Worker) (unassigned []labels, many int) {
	t.Helper()
	names := []string{steady, partly, paused, few, flapping, restarted}
	terminate(t, left)
	seen, since := "", time.Now()
	eventually(t, "what is unassigned stays the same", func(ctx context.Context) error {
		statuses, err := p.workers[0].Statuses(ctx)
		if err != nil {
			return err
		}
		unassigned, many = nil, 0
		for _, s := range statuses {
			broken := 0
			for _, task := range s.Tasks {
				if task.State == "FAILED" || task.State == "UNASSIGNED" {
					broken++
				}
			}
			if s.Connector.State == "FAILED" || 2*broken > len(s.Tasks) {
				many++
			}
		}
		for _, name := range names {
			s := statuses[name]
			// Where most tasks do not run it is a page; a connector whose tasks run is not.
			var tasks []labels
			for _, task := range s.Tasks {
				if task.State == "UNASSIGNED" {
					tasks = append(tasks, alert("KafkaConnectUnassigned", "warning", orders, "connector", name, "state", "unassigned", "task", fmt.Sprint(task.ID)))
				}
			}
			if 2*len(tasks) > len(s.Tasks) {
				unassigned = append(unassigned, alert("KafkaConnectTasksNotRunning", "critical", orders, "connector", name))
				continue
			}
			unassigned = append(unassigned, tasks...)
			if s.Connector.State == "UNASSIGNED" {
				unassigned = append(unassigned, alert("KafkaConnectUnassigned", "warning", orders, "connector", name, "state", "unassigned"))
			}
		}
		// The worker has written all of it when it ends; it is read one by one.
		if now := fmt.Sprint(unassigned); now != seen {
			seen, since = now, time.Now()
		}
		if time.Since(since) < 2*time.Second {
			return fmt.Errorf("%s since %v", seen, since)
		}
		return nil
	})
	return unassigned, many
}

// playKill ends the older worker as a crash does; it comes back upgraded.
func (p *parts) playKill(t *testing.T) {
	left := p.workers[1]
	left.Kill()
	down := alert("KafkaConnectWorkerDown", "warning", orders, "worker", left.ID())
	p.raised(t, down)
	left.Options.Version = version
	ready(t, left)
	p.resolved(t, down)
	p.resolved(t, mixed)
}

// playClusterDown kills all workers while a connector and a task are failed.
func (p *parts) playClusterDown(t *testing.T) {
	lastingFailed := alert("KafkaConnectAllTasksFailed", "critical", orders, "connector", lasting)
	connectorFailed := alert("KafkaConnectConnectorFailed", "critical", orders, "connector", unstarted, "state", "failed")
	failed := []labels{lastingFailed, connectorFailed}
	for _, l := range failed {
		p.raised(t, l) // A rebalance may have mended it for a moment.
	}
	before := map[string]told{}
	for _, l := range failed {
		before[l.String()] = p.webhook.of(l)
	}
	// The line to one of the exporter's clusters goes and comes once, so that it
	// has gone and come and gone.
	up := func(want float64) {
		t.Helper()
		if err := p.line.enable(t.Context(), want == 1); err != nil {
			t.Fatal(err)
		}
		eventually(t, fmt.Sprintf("up of %s is %v", distant, want), func(ctx context.Context) error {
			now, err := p.prometheus.Query(ctx, fmt.Sprintf("kafka_connect_up{connect_cluster=%q}", distant))
			if err == nil && (len(now) != 1 || now[0].Value != want) {
				err = fmt.Errorf("%v", now)
			}
			return err
		})
	}
	up(0)
	up(1)
	for _, w := range p.workers {
		w.Kill()
	}
	var down []labels
	for _, cluster := range []string{orders, byName, refused, distant, also} {
		down = append(down, alert("KafkaConnectClusterDown", "critical", cluster))
	}
	for _, l := range down {
		p.raised(t, l)
	}
	// What follows from it is held back: a new alert is told to nobody, and what
	// was told before is not called resolved because its series are gone.
	failing := alert("KafkaConnectSnapshotFailing", "warning", distant, "reason", "unreachable")
	for _, l := range failed {
		p.heldBack(t, l, "KafkaConnectClusterDown")
	}
	// Longer than the alerts keep firing of themselves, and than their series are
	// looked back at.
	p.settled(t)
	for _, l := range failed {
		p.heldBack(t, l, "KafkaConnectClusterDown")
	}
	p.notBegun(t, failing)
	// By when Alertmanager has told of a group that it has, it has told of all.
	p.settled(t)
	p.untold(t, failing)
	for _, l := range failed {
		if now := p.webhook.of(l); now.status != "firing" || now.resolved > before[l.String()].resolved {
			t.Errorf("%s is held back and was told: %+v, before that %+v", l, now, before[l.String()])
		}
	}

	ready(t, p.workers...)
	for _, l := range down {
		p.resolved(t, l)
	}
	for _, l := range failed {
		eventually(t, l.String()+" fires again", func(ctx context.Context) error {
			firing, err := p.prometheus.Query(ctx, fmt.Sprintf(`ALERTS{alertstate="firing", alertname=%q, connector=%q}`, l["alertname"], l["connector"]))
			if err == nil && len(firing) != 1 {
				err = fmt.Errorf("%v", firing)
			}
			return err
		})
	}
	if err := os.MkdirAll(filepath.Join(p.directory, "lasting"), 0o755); err != nil {
		t.Fatal(err)
	}
	p.do(t, http.MethodPost, kafka.ConnectorPath(lasting)+"/tasks/0/restart", nil)
	p.do(t, http.MethodPut, kafka.ConnectorPath(unstarted)+"/config", mirror(p.bootstrap))
	for _, l := range failed {
		p.resolved(t, l)
	}
	// The outage of the others was one, and is told.
	for _, cluster := range []string{orders, byName, refused} {
		p.untold(t, alert("KafkaConnectSnapshotFailing", "warning", cluster, "reason", "unreachable"))
	}
}

// settled waits for twice as long as Alertmanager waits at most before it tells
// of what it has.
func (p *parts) settled(t *testing.T) {
	t.Helper()
	select {
	case <-time.After(2 * longest):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

// playExporterDown ends one exporter, then the other, and with them all that is
// known. What is failed stays so.
func (p *parts) playExporterDown(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	p.create(t, "failed-before", "", sink(1, filepath.Join(p.directory, "absent", "x.txt")))
	lastingFailed := alert("KafkaConnectAllTasksFailed", "critical", orders, "connector", "failed-before")
	p.raised(t, lastingFailed)
	if err := p.exporter.Terminate(ctx); err != nil {
		t.Fatal(err)
	}
	gone := []labels{{"alertname": "KafkaConnectExporterUnreachable", "severity": "warning", "job": job, "instance": p.address}}
	for _, cluster := range []string{orders, byName, refused, distant} {
		gone = append(gone, alert("KafkaConnectClusterUnwatched", "critical", cluster))
	}
	for _, l := range gone {
		p.raised(t, l)
	}
	if group := p.webhook.of(gone[1]).group; strings.Contains(group, "connect_cluster") {
		t.Errorf("the clusters of an exporter are incidents of their own: %s", group)
	}
	absent := labels{"alertname": "KafkaConnectExporterAbsent", "severity": "critical"}
	p.notBegun(t, absent)
	if err := p.second.Terminate(ctx); err != nil {
		t.Fatal(err)
	}
	more := alert("KafkaConnectClusterUnwatched", "critical", also)
	p.raised(t, absent)
	p.raised(t, more)
	p.settled(t)
	if now := p.webhook.of(lastingFailed); now.status != "firing" || now.resolved > 0 {
		t.Errorf("nobody can see whether %s is mended, and it was told: %+v", lastingFailed, now)
	}
	if err := p.startExporter(ctx); err != nil {
		t.Fatal(err)
	}
	if err := p.second.start(ctx, p); err != nil {
		t.Fatal(err)
	}
	for _, l := range append(gone, absent, more) {
		p.resolved(t, l)
	}
	if now := p.webhook.of(lastingFailed); now.status != "firing" || now.resolved > 0 {
		t.Errorf("%s is failed still, and was told: %+v", lastingFailed, now)
	}
	p.do(t, http.MethodDelete, kafka.ConnectorPath("failed-before"), nil)
	p.resolved(t, lastingFailed)
}

// playMany lets many connectors fail at once while others have failed before, then
// one more by itself.
func (p *parts) playMany(t *testing.T) {
	before := []labels{
		alert("KafkaConnectAllTasksFailed", "critical", orders, "connector", lasting),
		alert("KafkaConnectConnectorFailed", "critical", orders, "connector", unstarted, "state", "failed"),
	}
	folder := filepath.Join(p.directory, "many")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range many() {
		p.create(t, name, "", sink(1, filepath.Join(folder, name)))
	}
	eventually(t, "all of them run", func(ctx context.Context) error {
		statuses, err := p.workers[0].Statuses(ctx)
		for _, name := range many() {
			if s := statuses[name]; err == nil && (len(s.Tasks) != 1 || s.Tasks[0].State != "RUNNING") {
				err = fmt.Errorf("%+v", s)
			}
		}
		return err
	})
	// They fail together, however slow the machine is: one by one, the first would
	// be told by itself.
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	failing := make(chan error)
	for _, name := range many() {
		go func() {
			failing <- p.workers[0].Write(t.Context(), http.MethodPost, kafka.ConnectorPath(name)+"/tasks/0/restart", nil)
		}()
	}
	for range many() {
		if err := <-failing; err != nil {
			t.Error(err)
		}
	}
	headline := alert("KafkaConnectManyConnectorsFailed", "critical", orders)
	text := p.raised(t, headline)["description"]
	for _, want := range []string{"java.nio.file.NoSuchFileException", " connectors of Kafka Connect cluster " + orders, "on worker 127.0.0.1:"} {
		if !strings.Contains(text, want) {
			t.Errorf("the headline does not say %q: %s", want, text)
		}
	}
	p.settled(t)
	single := func(name string) labels {
		return alert("KafkaConnectAllTasksFailed", "critical", orders, "connector", name)
	}
	for _, name := range many() {
		p.notBegun(t, single(name))
	}
	for _, l := range before {
		if now := p.webhook.of(l); now.status != "firing" || now.resolved > 0 {
			t.Errorf("%s is not mended, and was told: %+v", l, now)
		}
		p.heldBack(t, l, "KafkaConnectManyConnectorsFailed")
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range many() {
		p.do(t, http.MethodPost, kafka.ConnectorPath(name)+"/tasks/0/restart", nil)
	}
	p.resolved(t, headline)
	p.settled(t)
	for _, name := range many() {
		p.untold(t, single(name))
	}
	// One that fails later does not drown in what somebody works on.
	p.create(t, "one-more", "", sink(1, filepath.Join(p.directory, "absent", "x.txt")))
	later := single("one-more")
	p.raised(t, later)
	if group := p.webhook.of(later).group; !strings.Contains(group, `connector="one-more"`) || group == p.webhook.of(before[0]).group {
		t.Errorf("it is no incident of its own: %s", group)
	}
	p.silence(t, p.webhook.of(later).annotations["silence"], later)
	for _, name := range append(many(), "one-more") {
		p.do(t, http.MethodDelete, kafka.ConnectorPath(name), nil)
	}
	eventually(t, later.String()+" ends", func(ctx context.Context) error {
		firing, err := p.prometheus.Query(ctx, `ALERTS{alertstate="firing", connector="one-more"}`)
		if err == nil && len(firing) > 0 {
			err = fmt.Errorf("%v", firing)
		}
		return err
	})
}

// silence runs the command that an alert carries, and sees that it silences that.
func (p *parts) silence(t *testing.T, command string, l labels) {
	t.Helper()
	shell := exec.Command("bash", "-c", command)
	shell.Env = append(os.Environ(), "PATH="+p.amtool+":"+os.Getenv("PATH"))
	// amtool takes the address as a flag.
	shell.Args[2] = strings.Replace(command, "amtool ", "amtool --alertmanager.url="+p.alerts.url+" ", 1)
	if output, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, output)
	}
	eventually(t, l.String()+" is silenced", func(ctx context.Context) error {
		var all []struct {
			Labels labels
			Status struct{ SilencedBy []string }
		}
		if err := call(ctx, http.MethodGet, p.alerts.url+"/api/v2/alerts", nil, &all); err != nil {
			return err
		}
		silenced := 0
		for _, alert := range all {
			if len(alert.Status.SilencedBy) > 0 {
				if silenced++; alert.Labels.String() != l.String() {
					return fmt.Errorf("%s is silenced, too", alert.Labels)
				}
			}
		}
		if silenced != 1 {
			return fmt.Errorf("%d of %d alerts are silenced", silenced, len(all))
		}
		return nil
	})
}

// playRestarts lets one of four tasks fail for a moment, again and again.
func (p *parts) playRestarts(t *testing.T) {
	folder := filepath.Join(p.directory, "restarted")
	there := func(is bool) {
		t.Helper()
		err := os.RemoveAll(folder)
		if err == nil && is {
			err = os.MkdirAll(folder, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	seen := func(want string) {
		t.Helper()
		series := fmt.Sprintf("kafka_connect_task_state{connect_cluster=%q,connector=%q,state=%q,task=\"1\"} 1", orders, restarted, want)
		eventually(t, series, func(ctx context.Context) error {
			text, err := fetch(ctx, "http://"+p.address+"/probe?cluster="+orders)
			if err == nil && !strings.Contains(text, series) {
				err = fmt.Errorf("%d bytes without it", len(text))
			}
			return err
		})
	}
	state := func(want string) {
		t.Helper()
		p.do(t, http.MethodPost, kafka.ConnectorPath(restarted)+"/tasks/1/restart", nil)
		seen(want)
	}
	there(true)
	p.create(t, restarted, "", sink(4, filepath.Join(folder, "x.txt")))
	failing := alert("KafkaConnectFailingAgain", "warning", orders, "connector", restarted)
	told := false
	seen("running")
	for range 12 {
		there(false)
		state("failed")
		there(true)
		state("running")
		// A third of the spans of five minutes, which are nine seconds here.
		select {
		case <-time.After(3 * time.Second):
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
		if told = p.webhook.of(failing).firing > 0; told {
			break
		}
	}
	if !told {
		p.raised(t, failing)
	}
	p.untold(t, alert("KafkaConnectTaskFailed", "warning", orders, "connector", restarted, "task", "1", "state", "failed"))
}

// playVanished starts the workers with another configuration topic, as a wrong
// deployment does: they answer, and know of nothing.
func (p *parts) playVanished(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	for _, w := range p.workers {
		if err := w.Terminate(ctx); err != nil {
			t.Fatal(err)
		}
		w.Options.Properties = maps.Clone(w.Options.Properties)
		w.Options.Properties["config.storage.topic"] = "wrong-configs"
	}
	ready(t, p.workers...)
	vanished := alert("KafkaConnectConnectorsVanished", "critical", orders)
	if text := p.raised(t, vanished)["description"]; !strings.Contains(text, "within the last day") {
		t.Errorf("the description does not say how many there were: %s", text)
	}
	for _, w := range p.workers {
		if err := w.Terminate(ctx); err != nil {
			t.Fatal(err)
		}
		delete(w.Options.Properties, "config.storage.topic")
	}
	ready(t, p.workers...)
	p.resolved(t, vanished)
}

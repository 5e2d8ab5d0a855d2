package kafka

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// lostPatience is for how long a worker may be said to run a task that it was not
// given, until that counts as orphaned: statuses and group are read at different
// moments, and a worker that has to give a task away is still at it while the
// group is stable in between.
const lostPatience = 10 * time.Second

// What the coordinator tells of a group has a name for each connector and task that a
// member has: more than a megabyte for 50,000. An answer that is larger than
// largeGroup is asked for anew when groupShare times as long has passed as it took,
// or groupPatience, whichever is sooner: no sooner than anybody who scrapes once a
// second or less asks.
const (
	largeGroup    = 256 << 10
	groupShare    = 20
	groupPatience = time.Second
)

// A workGroup is what is known of the group by which workers share the work.
// Brokers tell what its members are and have only while it is stable: in between,
// what was known of those who are still members holds.
type workGroup struct {
	id      string
	state   connect.GroupState
	members map[string]*worker // by member id
	// seen tells that there is, or was, such a group.
	seen bool

	// delay of the last assignment, which hash stands for, and when that was
	// first seen.
	delay     time.Duration
	delayedAt time.Time
	hash      uint64
	// seed of all hashes here.
	seed maphash.Seed
	// told stands for the last answer, and change for what is known since it.
	told   uint64
	change int
	// fresh is until when the last answer, a large one, is not asked for anew.
	fresh time.Time

	// duplicated was counted at the last change.
	duplicated connect.Count
	// orphaned was counted at a change and a revision of the log.
	orphaned         connect.Count
	orphanedChange   int
	orphanedRevision connect.Revision

	// lost are the tasks that their worker does not run.
	lost map[taskID]lostTask
	// waiting tells that some are not counted yet.
	waiting bool
}

func newWorkGroup(id string) *workGroup {
	return &workGroup{id: id, seed: maphash.MakeSeed(), lost: map[taskID]lostTask{}}
}

// A taskID names a task; task -1 is the connector itself. The connector is a hash of its
// name: there is one of these for each task that there is, and the garbage collector
// need not look into them.
type taskID struct {
	connector uint64
	task      int
}

// A lostTask is one that is said to run on a worker that is no member, or was not
// given it, and since when that is so; zero time: surely.
type lostTask struct {
	worker string
	since  time.Time
}

// connectorItself is what stands for it among the tasks of an assignment
// (ConnectProtocol.CONNECTOR_TASK).
const connectorItself = -1

// A worker is a member of the group.
type worker struct {
	// name is how it calls itself in statuses, and client its client.id.
	name, client, host string
	// described tells that it was a member when the group was stable; only then
	// is the rest known.
	described bool
	leader    bool
	work      map[taskID]struct{}
	configLag int64
	// connectors and tasks are how many of each are in work.
	connectors, tasks int
}

// describe asks for the group. It may return both what is known and an error.
func (g *workGroup) describe(ctx context.Context, client *kgo.Client) (*connect.Group, error) {
	start := time.Now()
	if start.Before(g.fresh) {
		return g.view(start), nil
	}
	doing, right := "describe group "+g.id, "DESCRIBE on group "+g.id
	request := kmsg.NewPtrDescribeGroupsRequest()
	request.Groups = []string{g.id}
	response, err := request.RequestWith(ctx, client)
	if err == nil && len(response.Groups) != 1 {
		err = kerr.UnknownServerError
	}
	if err != nil {
		return nil, explain(doing, right, err)
	}
	group := &response.Groups[0]
	switch err := kerr.ErrorForCode(group.ErrorCode); {
	case err == nil:
	case errors.Is(err, kerr.GroupIDNotFound): // KIP-1043, from 4.0 on; brokers before that call it dead.
		group.State = "Dead"
	default:
		return nil, explain(doing, right, err)
	}
	if group.ProtocolType != "" && group.ProtocolType != "connect" {
		return nil, fmt.Errorf("%s: %w: its members speak %.30q, they are no Connect workers: is this the workers' group.id?", doing, connect.NotFound, group.ProtocolType)
	}
	now := time.Now()
	if g.take(group, now) > largeGroup {
		g.fresh = now.Add(min(groupShare*now.Sub(start), groupPatience))
	}
	if g.state == connect.GroupDead && !g.seen {
		err = fmt.Errorf("%s: %w: there is no such group: no worker runs, or their group.id is another", doing, connect.NotFound)
	}
	return g.view(now), err
}

// take takes what the coordinator told, and returns how many bytes of that members
// wrote.
func (g *workGroup) take(group *kmsg.DescribeGroupsResponseGroup, now time.Time) (size int) {
	for i := range group.Members {
		size += len(group.Members[i].ProtocolMetadata) + len(group.Members[i].MemberAssignment)
	}
	told := g.digest(group)
	if told == g.told {
		return size
	}
	g.told = told
	g.change++
	g.state = groupState(group.State)
	members := make(map[string]*worker, len(group.Members))
	var (
		leader string
		newest int64
		delay  time.Duration
		hash   maphash.Hash
		behind = map[*worker]int64{}
		stable = g.state == connect.GroupStable
	)
	hash.SetSeed(g.seed)
	slices.SortFunc(group.Members, func(a, b kmsg.DescribeGroupsResponseGroupMember) int { return cmp.Compare(a.MemberID, b.MemberID) })
	for i := range group.Members {
		m := &group.Members[i]
		w := &worker{client: m.ClientID, host: strings.TrimPrefix(m.ClientHost, "/")}
		members[m.MemberID] = w
		metadata, err := decodeMetadata(m.ProtocolMetadata, g.seed)
		if !stable || err != nil {
			if before := g.members[m.MemberID]; before != nil {
				*w = *before
			} else {
				w.name = nameOf("", w.client)
			}
			continue
		}
		w.described, w.name = true, nameOf(metadata.url, w.client)
		behind[w] = metadata.configOffset
		newest = max(newest, metadata.configOffset)
		w.work = map[taskID]struct{}{}
		if metadata.current != nil {
			for _, task := range metadata.current.given {
				w.work[task] = struct{}{}
			}
		}
		delta, err := decodeAssignment(m.MemberAssignment, g.seed)
		if err != nil {
			continue
		}
		// What it was given is told as a change to what it had when it joined
		// (KIP-415); before that protocol it had nothing.
		for _, task := range delta.revoked {
			delete(w.work, task)
		}
		for _, task := range delta.given {
			w.work[task] = struct{}{}
		}
		leader = cmp.Or(leader, delta.leader)
		newest = max(newest, delta.configOffset)
		delay = max(delay, delta.delay)
		_, _ = hash.WriteString(m.MemberID)
		_, _ = hash.Write(m.MemberAssignment)
	}
	for w, offset := range behind {
		w.configLag = max(0, newest-offset)
	}
	if w := members[leader]; w != nil {
		w.leader = true
	}
	// One that is empty had members: it is the right name.
	g.members, g.seen = members, g.seen || len(members) > 0 || g.state == connect.GroupEmpty
	g.tally()
	switch {
	case stable && hash.Sum64() != g.hash:
		g.hash, g.delay, g.delayedAt = hash.Sum64(), delay, now
	case len(members) == 0:
		g.hash, g.delay = 0, 0
	}
	return size
}

// digest stands for all that an answer tells.
func (g *workGroup) digest(group *kmsg.DescribeGroupsResponseGroup) uint64 {
	var h maphash.Hash
	h.SetSeed(g.seed)
	part := func(text []byte) {
		_, _ = h.Write(binary.AppendVarint(nil, int64(len(text))))
		_, _ = h.Write(text)
	}
	part([]byte(group.State))
	for i := range group.Members {
		m := &group.Members[i]
		part([]byte(m.MemberID))
		part([]byte(m.ClientID))
		part([]byte(m.ClientHost))
		part(m.ProtocolMetadata)
		part(m.MemberAssignment)
	}
	return h.Sum64()
}

func groupState(word string) connect.GroupState {
	switch word {
	case "Stable":
		return connect.GroupStable
	case "PreparingRebalance":
		return connect.GroupPreparingRebalance
	case "CompletingRebalance", "AwaitingSync":
		return connect.GroupCompletingRebalance
	case "Empty":
		return connect.GroupEmpty
	case "Dead":
		return connect.GroupDead
	}
	return connect.GroupUnknown
}

// nameOf returns how a member calls itself in statuses: host and port of the
// address that it tells the others, or, where it has none (MirrorMaker 2), its
// client.id. That is connect-<host:port> unless configured. It is cut where it is longer than
// what is shown.
func nameOf(address, client string) string {
	name := strings.TrimPrefix(client, "connect-")
	if parsed, err := url.Parse(address); err == nil && parsed.Host != "" {
		name = parsed.Host
	}
	return strings.ToValidUTF8(name[:min(len(name), connect.MaxText)], "\ufffd")
}

// is tells whether a status that names a worker may mean this member. MirrorMaker
// 2 puts a host before its client.id and a number after it, in some versions.
func (w *worker) is(name string) bool {
	return name == w.name || name == w.client ||
		strings.Contains(w.client, "->") && slices.Contains(strings.Split(name, "/"), w.client)
}

// view returns the group as it is shown.
func (g *workGroup) view(now time.Time) *connect.Group {
	view := &connect.Group{State: g.state, RebalanceDelay: max(0, g.delay-now.Sub(g.delayedAt))}
	times := map[string]int{}
	for _, w := range g.members {
		times[w.name]++
	}
	for _, id := range sortedKeys(g.members) {
		w := g.members[id]
		m := connect.Member{Worker: w.name, Leader: w.leader}
		if times[w.name] > 1 {
			m.Worker += "@" + w.host
		}
		if w.described {
			m.Connectors = connect.Count{Value: w.connectors, Known: true}
			m.Tasks = connect.Count{Value: w.tasks, Known: true}
			m.ConfigLag = connect.Count{Value: int(w.configLag), Known: true}
		}
		view.Members = append(view.Members, m)
	}
	slices.SortStableFunc(view.Members, func(a, b connect.Member) int { return cmp.Compare(a.Worker, b.Worker) })
	names := map[string]int{}
	for i := range view.Members {
		m := &view.Members[i]
		if names[m.Worker]++; names[m.Worker] > 1 {
			m.Worker = fmt.Sprintf("%s#%d", m.Worker, names[m.Worker])
		}
	}
	return view
}

// orphans counts the tasks that are said to run and do not, because their worker
// is no member, or was not given them: it died and came back. The revision is
// that of what is said to run.
func (g *workGroup) orphans(running iter.Seq2[taskID, string], revision connect.Revision, now time.Time) connect.Count {
	switch {
	case !g.seen:
		return connect.Count{}
	case g.orphanedChange == g.change && g.orphanedRevision.Same(revision) && !g.waiting:
		return g.orphaned
	}
	type placed struct {
		live, sure bool
		members    []*worker
	}
	byName := map[string]*placed{}
	orphaned, stillLost := 0, map[taskID]lostTask{}
	g.waiting = false
	for task, name := range running {
		p := byName[name]
		if p == nil {
			p = &placed{sure: g.state == connect.GroupStable}
			for _, w := range g.members {
				if w.is(name) {
					p.live, p.sure = true, p.sure && w.described
					p.members = append(p.members, w)
				}
			}
			byName[name] = p
		}
		switch {
		case name == "":
		case !p.live:
			// When its worker comes back without it, it still runs nowhere.
			orphaned++
			stillLost[task] = lostTask{worker: name}
		case !slices.ContainsFunc(p.members, func(w *worker) bool { _, has := w.work[task]; return has }):
			lost := g.lost[task]
			if found := lost.worker == name; !found && !p.sure {
				continue
			} else if !found {
				lost = lostTask{name, now}
			}
			stillLost[task] = lost
			if now.Sub(lost.since) >= lostPatience {
				orphaned++
			} else {
				g.waiting = true
			}
		}
	}
	g.lost = stillLost
	g.orphaned, g.orphanedChange, g.orphanedRevision = connect.Count{Value: orphaned, Known: true}, g.change, revision
	return g.orphaned
}

// tally counts what members have, and the tasks that more than one was given.
func (g *workGroup) tally() {
	g.duplicated = connect.Count{}
	times := map[taskID]int{}
	for _, w := range g.members {
		g.duplicated.Known = g.duplicated.Known || w.described
		w.connectors, w.tasks = 0, 0
		for t := range w.work {
			if t.task == connectorItself {
				w.connectors++
				continue
			}
			w.tasks++
			if times[t]++; times[t] == 2 {
				g.duplicated.Value++
			}
		}
	}
}

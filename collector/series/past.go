package series

import (
	"slices"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// A Past is what was counted of a connector, and since when it is as it is. The
// brokers know both exactly; without them it is what successive snapshots showed.
type Past struct {
	// StateChanges of the connector itself, and TaskStateChanges of its tasks
	// taken together. Failures and TaskFailures are those to failed, TaskRestarts
	// the times that a task came up again after it had failed.
	StateChanges, TaskStateChanges       uint64
	Failures, TaskFailures, TaskRestarts uint64
	// Since is when the state of the connector began, zero if it is running.
	Since time.Time
	// Tasks that are not running, sorted by ID.
	Tasks []TaskPast
}

// A TaskPast is since when a task is in its state.
type TaskPast struct {
	ID    int
	Since time.Time
}

// Equal tells whether two pasts have the same series.
func (p *Past) Equal(other *Past) bool {
	return p.StateChanges == other.StateChanges && p.TaskStateChanges == other.TaskStateChanges &&
		p.Failures == other.Failures && p.TaskFailures == other.TaskFailures && p.TaskRestarts == other.TaskRestarts &&
		p.Since.Equal(other.Since) && slices.EqualFunc(p.Tasks, other.Tasks, func(a, b TaskPast) bool { return a.ID == b.ID && a.Since.Equal(b.Since) })
}

// follow makes the past of p.seen of the one before it, nil if the connector is
// new; first tells that all are, because there was no snapshot before.
func (p *past) follow(before *past, taken time.Time, first bool) {
	var seen *connect.Connector
	if before != nil {
		seen = before.seen
		p.Past = before.Past
		if before.events == p.events && (seen == p.seen || seen.Equal(p.seen)) {
			return
		}
	}
	switch {
	case p.events == nil && before != nil && before.events != nil:
		p.events = before.events // What they have counted goes on when they come back.
	case p.events != nil:
		p.add(before)
	case !first:
		p.count(seen)
	}
	p.date(before, taken)
}

// add adds what the brokers have counted since before. What successive snapshots
// showed before the brokers were there is part of it.
func (p *past) add(before *past) {
	var counted connect.Events
	if before != nil && before.events != nil {
		counted = *before.events
	}
	firstTime := before == nil || before.events == nil
	add := func(to *uint64, now, then int) {
		switch {
		case firstTime:
			*to = max(*to, uint64(now))
		case now >= then:
			*to += uint64(now - then)
		default: // The connector was created anew.
			*to += uint64(now)
		}
	}
	e := p.events
	add(&p.StateChanges, e.StateChanges, counted.StateChanges)
	add(&p.Failures, e.Failures, counted.Failures)
	add(&p.TaskStateChanges, e.TaskStateChanges, counted.TaskStateChanges)
	add(&p.TaskFailures, e.TaskFailures, counted.TaskFailures)
	add(&p.TaskRestarts, e.TaskRestarts, counted.TaskRestarts)
}

// count adds what changed since the connector was seen before, nil if it is new.
// A task that appears or goes is no change of state; one that appears as failed
// is a failure.
func (p *past) count(before *connect.Connector) {
	var tasks []connect.Task
	if before == nil {
		p.Failures += one(p.seen.State == connect.StateFailed)
	} else {
		tasks = before.Tasks
		if changed(before.State, before.Failure, p.seen.State, p.seen.Failure) {
			p.Failures += one(p.seen.State == connect.StateFailed)
		}
		p.StateChanges += one(p.seen.State != before.State)
	}
	for i := range p.seen.Tasks {
		t := &p.seen.Tasks[i]
		b := next(&tasks, t.ID, taskID)
		if b == nil {
			p.TaskFailures += one(t.State == connect.StateFailed)
			continue
		}
		p.TaskStateChanges += one(t.State != b.State)
		if !changed(b.State, b.Failure, t.State, t.Failure) {
			continue
		}
		p.TaskFailures += one(t.State == connect.StateFailed)
		if b.State == connect.StateFailed {
			// It came up again, if only to fail in another way.
			up := t.State == connect.StateRunning || t.State == connect.StateRestarting || t.State == connect.StateFailed
			p.TaskRestarts += one(up)
		}
	}
}

// changed tells whether something has another state than before, or failed in
// another way.
func changed(before connect.State, failure connect.Failure, after connect.State, afterFailure connect.Failure) bool {
	return before != after || after == connect.StateFailed && failure != afterFailure
}

func one(yes bool) uint64 {
	if yes {
		return 1
	}
	return 0
}

// date says since when the connector and its tasks are as they are.
func (p *past) date(before *past, taken time.Time) {
	var known past
	var tasks []connect.Task
	if before != nil {
		known, tasks = *before, before.seen.Tasks
	}
	var events connect.Events
	if p.events != nil {
		events = *p.events
	}
	p.Since = time.Time{}
	if c := p.seen; c.State != connect.StateRunning {
		goesOn := known.seen != nil && !changed(known.seen.State, known.seen.Failure, c.State, c.Failure)
		p.Since = since(goesOn, known.Since, taken, events.State == c.State, events.Since)
	}
	p.Tasks = nil
	for i := range p.seen.Tasks {
		t := &p.seen.Tasks[i]
		if t.State == connect.StateRunning {
			continue
		}
		var began, exactly time.Time
		b := next(&tasks, t.ID, taskID)
		goesOn := b != nil && !changed(b.State, b.Failure, t.State, t.Failure)
		if k := next(&known.Tasks, t.ID, func(t *TaskPast) int { return t.ID }); k != nil {
			began = k.Since
		}
		e := next(&events.Tasks, t.ID, func(t *connect.TaskEvents) int { return t.ID })
		exact := e != nil && e.State == t.State
		if exact {
			exactly = e.Since
		}
		p.Tasks = append(p.Tasks, TaskPast{t.ID, since(goesOn, began, taken, exact, exactly)})
	}
}

// next returns what has an id in a sorted list, nil if nothing has, and takes what
// is before it off the list.
func next[T any](list *[]T, id int, of func(*T) int) *T {
	for len(*list) > 0 && of(&(*list)[0]) < id {
		*list = (*list)[1:]
	}
	if len(*list) == 0 || of(&(*list)[0]) != id {
		return nil
	}
	return &(*list)[0]
}

func taskID(t *connect.Task) int { return t.ID }

// since is when a state began: by the brokers if they know, as before if it goes
// on, else now.
func since(goesOn bool, before, now time.Time, known bool, exactly time.Time) time.Time {
	switch {
	case known && !exactly.IsZero():
		return exactly
	case goesOn && !before.IsZero():
		return before
	default:
		return now
	}
}

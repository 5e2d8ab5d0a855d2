package exposition

import (
	"context"
	"hash/maphash"
	"slices"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// A stretch is successive connectors of one cluster, with what their series are
// made of.
type stretch struct {
	cluster    series.Identity
	snapshot   *connect.Snapshot
	connectors []connect.Connector
	pasts      []*series.Past
}

// same tells whether two stretches have the same series.
func (s *stretch) same(other *stretch) bool {
	return alike(s.cluster, other.cluster, s.snapshot, other.snapshot) && slices.EqualFunc(s.pasts, other.pasts, (*series.Past).Equal) &&
		slices.EqualFunc(s.connectors, other.connectors, func(a, b connect.Connector) bool { return a.Equal(&b) })
}

// alike tells whether the same connectors have the same series in two snapshots.
func alike(a, b series.Identity, x, y *connect.Snapshot) bool {
	return a.Cluster == b.Cluster && slices.Equal(a.Labels, b.Labels) && x.Provider == y.Provider && x.HasTasks == y.HasTasks
}

// A block is some hundred connectors, of one cluster or of several that have few:
// what is written and compressed at once, and used again as long as nothing of it
// changes.
type block struct {
	stretches []stretch
	written   [syntaxCount]*written
}

// written is what is exposed of a block in one syntax.
type written struct {
	// whole is all families with their headers, where the block is all that is
	// asked for: the larger the text, the better it is compressed.
	whole part
	// Else each family has a part, without its header.
	families [series.FamilyCount]part
	// has tells which families there are.
	has [series.FamilyCount]bool
}

const (
	// usualBlock is how many connectors a block has, if it is up to their names: it
	// ends after one whose name has a hash of a certain kind, so that a connector
	// that comes or goes moves no other block's ends.
	usualBlock = 1 << 7
	// usualGroup: one in so many small clusters ends a group that is large enough.
	usualGroup = 4
	// largestBlock times as many it has at most, and largestTasks times as many
	// tasks, unless a single connector has more.
	largestBlock, largestTasks = 4, 64
)

// kept is the blocks of a cluster, or of a group of small ones.
type kept struct {
	// lock is a mutex that can be waited for with a deadline.
	lock   chan struct{}
	source []source
	blocks []*block

	asked time.Time // guarded by Renderer.mu
}

// A source is what the blocks of a cluster were made from.
type source struct {
	cluster  series.Identity
	snapshot *connect.Snapshot
	revision connect.Revision
}

// same tells whether nothing has changed.
func (s *source) same(r *series.Result) bool {
	return alike(s.cluster, r.Identity(), s.snapshot, r.Snapshot) && s.revision.Same(r.History.Revision())
}

// update makes the blocks those of the results.
func (k *kept) update(results []*series.Result, seed maphash.Seed, usual int) {
	if slices.EqualFunc(k.source, results, func(s source, r *series.Result) bool { return s.same(r) }) {
		return
	}
	k.blocks = divide(results, seed, usual, k.blocks)
	k.source = k.source[:0]
	for _, r := range results {
		k.source = append(k.source, source{r.Identity(), r.Snapshot, r.History.Revision()})
	}
}

// divide divides the connectors of results into blocks, and takes over those of
// before that are still the same.
func divide(results []*series.Result, seed maphash.Seed, usual int, before []*block) []*block {
	type start struct{ cluster, connector string }
	startOf := func(b *block) start { return start{b.stretches[0].cluster.Cluster, b.stretches[0].connectors[0].Name} }
	known := make(map[start]*block, len(before))
	for _, b := range before {
		known[startOf(b)] = b
	}
	var blocks []*block
	next, size, tasks := &block{}, 0, 0
	end := func() {
		if size == 0 {
			return
		}
		if old := known[startOf(next)]; old != nil && slices.EqualFunc(old.stretches, next.stretches, func(a, b stretch) bool { return a.same(&b) }) {
			// Of the old snapshot nothing may be kept in memory by this.
			next.written = old.written
		}
		blocks = append(blocks, next)
		next, size, tasks = &block{}, 0, 0
	}
	for _, r := range results {
		connectors, pasts := r.Snapshot.Connectors, r.Pasts()
		from := 0
		take := func(to int) {
			if to > from {
				next.stretches = append(next.stretches, stretch{r.Identity(), r.Snapshot, connectors[from:to:to], pasts[from:to:to]})
			}
			from = to
		}
		for i := range connectors {
			if n := len(connectors[i].Tasks); size > 0 && tasks+n > largestTasks*usual {
				take(i)
				end()
			}
			size++
			tasks += len(connectors[i].Tasks)
			if size >= largestBlock*usual || size >= usual/2 && maphash.String(seed, connectors[i].Name)%uint64(usual) == 0 {
				take(i + 1)
				end()
			}
		}
		take(len(connectors))
	}
	end()
	return blocks
}

// groups divides results, which are sorted, into those that have blocks together:
// a cluster that has enough connectors for one has its own, so that whoever asks
// for it alone is given the same. Results without connectors are in none. Where a
// group ends is up to the clusters' names, so that one that comes or goes, or hangs,
// moves no other group's ends.
func groups(sorted []*series.Result, seed maphash.Seed, usual int) [][]*series.Result {
	var all [][]*series.Result
	var group []*series.Result
	size := 0
	end := func() {
		if len(group) > 0 {
			all = append(all, group)
		}
		group, size = nil, 0
	}
	for _, r := range sorted {
		if r.Snapshot == nil || len(r.Snapshot.Connectors) == 0 {
			continue
		}
		n := len(r.Snapshot.Connectors)
		if n >= usual || size+n > largestBlock*usual {
			end()
		}
		group = append(group, r)
		size += n
		if n >= usual || size >= usual/2 && maphash.String(seed, r.Cluster)%usualGroup == 0 {
			end()
		}
	}
	end()
	return all
}

// keyOf is under which name the blocks of a group are kept: that of its first
// cluster, and one of their own for those that are not alone.
func keyOf(group []*series.Result) key { return key{group[0].Cluster, len(group) > 1} }

type key struct {
	cluster string
	more    bool
}

// keptOf returns what is kept of a group, locked until release is called.
func (r *Renderer) keptOf(ctx context.Context, group []*series.Result) (k *kept, release func(), err error) {
	r.mu.Lock()
	if k = r.kept[keyOf(group)]; k == nil {
		k = &kept{lock: make(chan struct{}, 1)}
		r.kept[keyOf(group)] = k
	}
	k.asked = time.Now()
	r.mu.Unlock()
	select {
	case k.lock <- struct{}{}:
		return k, func() { <-k.lock }, nil
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
}

// forget drops what nobody has asked for since long.
func (r *Renderer) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for name, k := range r.kept {
		if now.Sub(k.asked) >= series.Retention {
			delete(r.kept, name)
		}
	}
}

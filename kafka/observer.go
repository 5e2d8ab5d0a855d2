package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// Version is the observation version of clusters that only the brokers tell of.
const Version = "brokers"

// An Observer reads the brokers behind one Connect cluster. It reads when it is
// asked and does nothing in between.
type Observer struct {
	options        Options
	client         *kgo.Client
	authentication *authentication // nil without SASL

	log     *statusLog
	status  *topic
	group   *workGroup
	offsets map[string]*offsetLog // by topic
	lag     lagReader

	lagged aside[lagAnswer]
	newest aside[newestAnswer]
	// What is derived of the connectors that there are, until these change.
	derived derived

	errors map[connect.Reason]int
	down   bool

	// rest is the last snapshot of the other observer.
	rest *connect.Snapshot
	// Offset topics that sources have of their own, and the revision of the snapshot
	// that told them.
	ownOffsets     map[string]struct{}
	ownOffsetsRest connect.Revision

	// Of an observer without another: what the last snapshot was made of.
	connectors []connect.Connector
	made       connect.Revision // of the log
	revision   connect.Revision
	types      map[string]string
	// listed is how many groups there were when they were listed last.
	listed   int
	listedAt time.Time
	// typesLearnt is how many were, since the beginning.
	typesLearnt int
}

var _ connect.Observer = (*Observer)(nil)

// New returns an Observer. It connects to nobody yet.
func New(o Options) (*Observer, error) {
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case len(o.BootstrapServers) == 0:
		return nil, errors.New("the brokers need bootstrap_servers")
	case o.Observer == nil && o.StatusTopic == "":
		return nil, errors.New("a cluster without a REST API needs status_storage_topic")
	}
	client, watched, err := newClient(&o)
	if err != nil {
		return nil, err
	}
	observer := &Observer{
		options: o, client: client, authentication: watched, errors: map[connect.Reason]int{}, types: map[string]string{},
		log: newStatusLog(o.Keep, o.ConnectorTopics), offsets: map[string]*offsetLog{},
		lag: lagReader{max: o.MaxLagPartitions},
	}
	if o.StatusTopic != "" {
		observer.status = &topic{name: o.StatusTopic, take: observer.log.take, restart: observer.log.restart}
	}
	if o.Group != "" {
		observer.group = newWorkGroup(o.Group)
	}
	return observer, nil
}

// Close ends the connections.
func (o *Observer) Close() {
	if o.options.Observer != nil {
		o.options.Observer.Close()
	}
	o.lagged.close()
	o.newest.close()
	o.client.Close()
}

// Observe takes a snapshot of the other observer, if there is one, and reads the
// brokers at the same time. Neither waits for the other longer than the other may take, and
// neither fails with the other; without another, a status topic that could not
// be read is an error.
func (o *Observer) Observe(ctx context.Context, report func(connect.Request)) (*connect.Snapshot, error) {
	asking, cancel := context.WithTimeout(ctx, o.patience(ctx))
	defer cancel()
	if o.options.Observer == nil {
		return o.alone(asking)
	}
	var (
		snapshot *connect.Snapshot
		err      error
		observed = make(chan struct{})
	)
	go func() {
		defer close(observed)
		snapshot, err = o.options.Observer.Observe(ctx, report)
	}()
	r := o.read(asking)
	if o.rest == nil && ctx.Err() == nil {
		// Which connectors there are, and of what type, was never told: what
		// comes next needs that. From then on the last snapshot says it.
		half := time.NewTimer(o.patience(ctx) / 2)
		select {
		case <-observed:
		case <-half.C:
		}
		half.Stop()
	}
	select {
	case <-observed:
		o.rest = cmp.Or(snapshot, o.rest)
	default:
	}
	o.follow(asking, r, o.rest)
	<-observed
	o.rest = cmp.Or(snapshot, o.rest)
	brokers := o.conclude(r)
	if err != nil {
		return &connect.Snapshot{Brokers: brokers}, err
	}
	whole := *snapshot // A snapshot does not change once it is returned.
	whole.Brokers = brokers
	return &whole, nil
}

// patience leaves a tenth of the time for what comes after the brokers.
func (o *Observer) patience(ctx context.Context) time.Duration {
	limit := o.options.Timeout
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)*9/10)
	}
	return limit
}

// A reading is what one snapshot reads of the brokers.
type reading struct {
	brokers connect.Brokers
	// status tells that the status topic was read to its end.
	status bool
	// silent tells that the brokers answer nothing: what else would be asked would
	// only take time.
	silent bool
	// clusterID of the brokers.
	clusterID string
	mu        sync.Mutex
	errs      []error
}

func (r *reading) failed(err error) {
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.errs = append(r.errs, err)
	}
}

// read reads what needs nothing but the configuration: status topic, group,
// offset topics, all at the same time.
func (o *Observer) read(ctx context.Context) *reading {
	r := &reading{}
	o.topicsOfOffsets()
	var group sync.WaitGroup
	if o.group != nil {
		group.Go(func() {
			view, err := o.group.describe(ctx, o.client)
			r.brokers.Group = view
			r.failed(err)
		})
	}
	var names []string
	if o.status != nil {
		names = append(names, o.status.name)
	}
	names = append(names, sortedKeys(o.offsets)...)
	metadata, err := describe(ctx, o.client, names...)
	if err != nil {
		doing := "ask the brokers who they are"
		if len(names) > 0 {
			doing = "ask the brokers for topics " + some(names)
		}
		r.failed(explain(doing, "DESCRIBE on these topics", err))
		r.silent = true
		group.Wait()
		return r
	}
	if metadata.ClusterID != nil {
		r.clusterID = *metadata.ClusterID
	}
	o.readTopics(ctx, r, metadata)
	group.Wait()
	if o.status != nil && o.status.caughtUp {
		o.log.publish(time.Now())
		r.brokers.Events, r.brokers.EventsRevision, r.brokers.TellsTopics = o.log.events, o.log.revision, o.options.ConnectorTopics
	}
	return r
}

// readTopics reads the status topic and the offset topics.
func (o *Observer) readTopics(ctx context.Context, r *reading, metadata *kmsg.MetadataResponse) {
	var topics []*topic
	if o.status != nil {
		topics = append(topics, o.status)
	}
	for _, name := range sortedKeys(o.offsets) {
		topics = append(topics, &o.offsets[name].topic)
	}
	undecoded, tooLarge, unread := o.log.undecoded, o.log.tooLarge, make([]int, len(topics))
	for i, t := range topics {
		unread[i] = t.unread
	}
	errs := read(ctx, o.client, metadata, topics)
	for i, t := range topics {
		r.failed(errs[i])
		r.failed(t.left(unread[i]))
	}
	if o.status != nil {
		if r.status = errs[0] == nil; o.log.undecoded > undecoded {
			r.failed(fmt.Errorf("read topic %s: %w: %d records are not what workers write", o.status.name, connect.Decode, o.log.undecoded-undecoded))
		}
		if o.log.tooLarge > tooLarge {
			r.failed(fmt.Errorf("read topic %s: %w: %d records have a name or a text of more than %d bytes", o.status.name, connect.TooLarge, o.log.tooLarge-tooLarge, connect.MaxText))
		}
		if o.log.statuses == 0 && o.log.others > 0 {
			r.failed(o.status.another("status.storage.topic", "there is no status in it, but other records"))
		}
	}
	for _, offsets := range o.offsets {
		if offsets.offsets == 0 && offsets.others > 0 {
			r.failed(offsets.topic.another("offset.storage.topic", "there is no offset in it, but other records"))
		}
	}
}

// topicsOfOffsets follows which offset topics there are: the workers' and those of
// sources that have their own.
func (o *Observer) topicsOfOffsets() {
	if o.options.OffsetsTopic == "" {
		return
	}
	if o.rest != nil && !o.ownOffsetsRest.Same(o.rest.Revision) {
		o.ownOffsets, o.ownOffsetsRest = map[string]struct{}{}, o.rest.Revision
		for i := range o.rest.Connectors {
			if own := o.rest.Connectors[i].OffsetsTopic; own != "" {
				o.ownOffsets[own] = struct{}{}
			}
		}
	}
	for name := range o.offsets {
		if _, still := o.ownOffsets[name]; !still && name != o.options.OffsetsTopic {
			delete(o.offsets, name)
		}
	}
	for name := range o.ownOffsets {
		if o.offsets[name] == nil {
			o.offsets[name] = newOffsetLog(name)
		}
	}
	if o.offsets[o.options.OffsetsTopic] == nil {
		o.offsets[o.options.OffsetsTopic] = newOffsetLog(o.options.OffsetsTopic)
	}
}

// A lagAnswer and a newestAnswer are what is read aside.
type (
	lagAnswer struct {
		sinks   []connect.Sink
		limited bool
		err     error
	}
	newestAnswer struct {
		times map[string]time.Time
		err   error
	}
)

// Where there are many groups, they are listed at an interval alone.
const (
	manyGroups     = 1000
	groupsInterval = 30 * time.Second
)

// smallGroups and smallTopics are up to how many a snapshot waits for.
const (
	smallGroups = 200
	smallTopics = 200
)

// follow reads what needs to know which connectors there are: from a snapshot of
// the other observer, or from the status topic.
func (o *Observer) follow(ctx context.Context, r *reading, rest *connect.Snapshot) {
	if g := o.group; g != nil && r.brokers.Group != nil {
		running, revision := o.running(rest, g.seed)
		r.brokers.OrphanedTasks = g.orphans(running, revision, time.Now())
		r.brokers.DuplicatedTasks = g.duplicated
	}
	if r.silent {
		return
	}
	o.derive(rest)
	if o.derived.stranger {
		r.failed(o.status.another("status.storage.topic", "it tells of none of the connectors that the REST API tells of"))
	}
	groups, topics := o.derived.groups, o.derived.topics
	var group sync.WaitGroup
	group.Go(func() {
		lag := o.lagged.get(ctx, o.options.Timeout, len(groups) <= smallGroups, func(ctx context.Context) (answer lagAnswer) {
			answer.sinks, answer.limited, answer.err = o.lag.read(ctx, o.client, groups)
			return answer
		})
		r.brokers.Sinks, r.brokers.SinksLimited = lag.sinks, lag.limited
		r.failed(lag.err)
	})
	var times map[string]time.Time
	if len(topics) > 0 {
		group.Go(func() {
			newest := o.newest.get(ctx, o.options.Timeout, len(topics) <= smallTopics, func(ctx context.Context) (answer newestAnswer) {
				answer.times, answer.err = newest(ctx, o.client, topics)
				return answer
			})
			times = newest.times
			r.failed(newest.err)
		})
	}
	group.Wait()
	r.brokers.Sources = o.sources(times)
}

// derived is what follows from which connectors there are, and what they are.
type derived struct {
	log, rest connect.Revision
	types     int
	committed int

	kinds map[string]string // by connector: source, sink, or "" where not known
	// stranger tells that the status topic knows nothing of what REST knows.
	stranger bool
	groups   []sinkGroup
	topics   []string // of sources
	names    []string // of connectors, sorted
	// sources without times of topics, while these are not asked for.
	sources     []connect.Source
	sourcesMade bool
}

// derive makes all that anew if it may have changed.
func (o *Observer) derive(rest *connect.Snapshot) {
	var restRevision connect.Revision
	if rest != nil {
		restRevision = rest.Revision
	}
	committed := 0
	for _, offsets := range o.offsets {
		committed += offsets.changes
	}
	d := &o.derived
	same := d.kinds != nil && d.types == o.typesLearnt && (o.status == nil || d.log.Same(o.log.revision) || !o.status.caughtUp) &&
		(rest == nil || d.rest.Same(restRevision))
	if same && d.committed == committed {
		return
	}
	if !same {
		*d = derived{log: o.log.revision, rest: restRevision, types: o.typesLearnt}
		d.kinds, d.stranger = o.kinds(rest)
		d.names = sortedKeys(d.kinds)
		d.groups = o.sinkGroups(d, rest)
		for _, offsets := range o.offsets {
			offsets.prune(func(name string) bool { _, alive := d.kinds[name]; return alive }, len(d.kinds))
		}
	}
	d.committed, d.sources, d.sourcesMade = committed, nil, false
	d.topics = nil
	if o.options.SourceTopics {
		topics := map[string]struct{}{}
		for name, kind := range d.kinds {
			if c := o.log.connectors[name]; c != nil && (kind == "source" || kind == "" && !o.committedAt(name).IsZero()) {
				maps.Copy(topics, c.topics)
			}
		}
		d.topics = sortedKeys(topics)
	}
}

// committedAt is when a connector last committed offsets as a source.
func (o *Observer) committedAt(name string) (at time.Time) {
	for _, offsets := range o.offsets {
		if t := offsets.committed[name]; offsets.topic.caughtUp && t.After(at) {
			at = t
		}
	}
	return at
}

// kinds returns the connectors that are alive and their type, "" where that is not
// known; and whether the status topic has none of those that REST tells of.
func (o *Observer) kinds(rest *connect.Snapshot) (kinds map[string]string, stranger bool) {
	kinds = map[string]string{}
	if o.status != nil && o.status.caughtUp {
		for name, c := range o.log.connectors {
			if c.has {
				kinds[name] = o.types[name]
			}
		}
	}
	if rest != nil {
		stranger = o.status != nil && o.status.caughtUp && len(rest.Connectors) > 0
		for i := range rest.Connectors {
			c := &rest.Connectors[i]
			_, logged := kinds[c.Name]
			if logged || o.status == nil || !o.status.caughtUp {
				kinds[c.Name] = known(c.Type)
			}
			stranger = stranger && !logged
		}
	}
	return kinds, stranger
}

func known(kind string) string {
	if kind == "source" || kind == "sink" {
		return kind
	}
	return ""
}

// running walks the tasks that are said to run: by the status topic where it is
// known, else by the last snapshot of the other observer. The names of their connectors
// are hashed by the seed.
func (o *Observer) running(rest *connect.Snapshot, seed maphash.Seed) (iter.Seq2[taskID, string], connect.Revision) {
	if o.status != nil && o.status.caughtUp {
		return func(yield func(taskID, string) bool) {
			for name, c := range o.log.connectors {
				connector := maphash.String(seed, name)
				for i := range c.tasks {
					if t := &c.tasks[i]; t.state == connect.StateRunning && !yield(taskID{connector, t.id}, t.worker) {
						return
					}
				}
			}
		}, o.log.revision
	}
	if rest == nil {
		return func(func(taskID, string) bool) {}, connect.Revision{}
	}
	return func(yield func(taskID, string) bool) {
		for i := range rest.Connectors {
			c := &rest.Connectors[i]
			connector := maphash.String(seed, c.Name)
			for j := range c.Tasks {
				if t := &c.Tasks[j]; t.State == connect.StateRunning && !yield(taskID{connector, t.ID}, t.Worker) {
					return
				}
			}
		}
	}, rest.Revision
}

// sinkGroups returns the groups of connectors that are sinks, or may be.
func (o *Observer) sinkGroups(d *derived, rest *connect.Snapshot) []sinkGroup {
	own := map[string]string{}
	if rest != nil {
		for i := range rest.Connectors {
			if c := &rest.Connectors[i]; c.ConsumerGroup != "" {
				own[c.Name] = c.ConsumerGroup
			}
		}
	}
	var groups []sinkGroup
	for _, name := range d.names {
		if d.kinds[name] == "source" || o.options.KeepLag != nil && !o.options.KeepLag(name) {
			continue
		}
		group := sinkGroup{connector: name, group: cmp.Or(own[name], groupOf(name))}
		if c := o.log.connectors[name]; c != nil && d.kinds[name] == "sink" {
			group.topics = sortedKeys(c.topics)
		}
		groups = append(groups, group)
	}
	return groups
}

// sources returns how far the connectors that are sources have come; times are
// those of the newest records of their topics.
func (o *Observer) sources(times map[string]time.Time) []connect.Source {
	d := &o.derived
	if d.sourcesMade && times == nil {
		return d.sources
	}
	for _, offsets := range o.offsets {
		if !offsets.topic.caughtUp {
			return nil // What is known may be older than what is not read yet.
		}
	}
	var sources []connect.Source
	for _, name := range d.names {
		if d.kinds[name] == "sink" {
			continue
		}
		source := connect.Source{Connector: name, Committed: o.committedAt(name)}
		if c := o.log.connectors[name]; c != nil && len(times) > 0 && (d.kinds[name] == "source" || !source.Committed.IsZero()) {
			for _, topic := range sortedKeys(c.topics) {
				if at := times[topic]; !at.IsZero() {
					source.Topics = append(source.Topics, connect.TopicTime{Topic: topic, Newest: at})
				}
			}
		}
		if !source.Committed.IsZero() || source.Topics != nil {
			sources = append(sources, source)
		}
	}
	if times == nil {
		d.sources, d.sourcesMade = sources, true
	}
	return sources
}

// conclude counts and tells what failed.
func (o *Observer) conclude(r *reading) *connect.Brokers {
	b := &r.brokers
	b.Taken = time.Now()
	if o.authentication.failed() {
		for i, err := range r.errs {
			if errors.Is(err, connect.Unreachable) {
				r.errs[i] = fmt.Errorf("%w: the broker closes the connection when it is authenticated to: are user name and password right?", connect.Unauthorized)
			}
		}
		r.errs = slices.CompactFunc(r.errs, func(a, b error) bool { return a.Error() == b.Error() })
	}
	b.Err = errors.Join(r.errs...)
	if len(r.errs) > 0 {
		o.errors = maps.Clone(o.errors)
		reasons := map[connect.Reason]struct{}{}
		for _, err := range r.errs {
			reasons[connect.ReasonOf(err)] = struct{}{}
		}
		for reason := range reasons {
			o.errors[reason]++
		}
	}
	b.Errors = o.errors
	switch down := b.Err != nil; {
	case down && !o.down:
		o.options.Logger.Warn("brokers cannot be read in full", "cluster", o.options.Name, "err", b.Err)
	case down:
		o.options.Logger.Debug("brokers still cannot be read in full", "cluster", o.options.Name, "err", b.Err)
	case o.down:
		o.options.Logger.Info("brokers are read again", "cluster", o.options.Name)
	}
	o.down = b.Err != nil
	return b
}

// alone takes a snapshot of a cluster that has no REST API.
func (o *Observer) alone(ctx context.Context) (*connect.Snapshot, error) {
	before := o.status.bytes
	r := o.read(ctx)
	if r.status {
		o.tell(ctx, r)
	}
	o.follow(ctx, r, nil)
	brokers := o.conclude(r)
	if !r.status {
		return &connect.Snapshot{Brokers: brokers}, brokers.Err
	}
	return &connect.Snapshot{
		Provider: connect.SelfManaged, ObservationVersion: Version, KafkaClusterID: r.clusterID,
		Revision: o.revision, Connectors: o.connectors, HasTasks: true,
		Bytes: o.status.bytes - before, Taken: brokers.Taken, Brokers: brokers,
	}, nil
}

// tell makes connectors of the status topic, and tells their type by what else
// the brokers know: a sink has a consumer group, a source has offsets.
func (o *Observer) tell(ctx context.Context, r *reading) {
	var unknown []string
	for name, c := range o.log.connectors {
		if c.has && o.types[name] == "" {
			unknown = append(unknown, name)
		}
	}
	changed := false
	learn := func(name, kind string) {
		o.types[name] = kind
		o.typesLearnt++
		changed = true
	}
	for _, name := range unknown {
		if o.options.MirrorMaker2 && mirrorClasses[name] != "" {
			learn(name, "source")
			continue
		}
		for _, offsets := range o.offsets {
			if !offsets.committed[name].IsZero() {
				learn(name, "source")
			}
		}
	}
	unknown = slices.DeleteFunc(unknown, func(name string) bool { return o.types[name] != "" })
	if len(unknown) > 0 && (o.listed < manyGroups || time.Since(o.listedAt) > groupsInterval) {
		groups, err := kadm.NewClient(o.client).ListGroups(ctx)
		o.listed, o.listedAt = len(groups), time.Now()
		r.failed(explain("list the groups of sinks", "DESCRIBE on groups connect-*", err))
		for _, name := range unknown {
			if _, found := groups[groupOf(name)]; found {
				learn(name, "sink")
			}
		}
	}
	for name := range o.types {
		if c := o.log.connectors[name]; c == nil || !c.has {
			delete(o.types, name)
		}
	}
	if !changed && o.made.Same(o.log.revision) {
		return
	}
	o.connectors, o.made, o.revision = o.log.list(), o.log.revision, connect.NewRevision()
	for i := range o.connectors {
		c := &o.connectors[i]
		c.Type = cmp.Or(o.types[c.Name], "unknown")
		if o.options.MirrorMaker2 {
			c.Class = mirrorClasses[c.Name]
		}
	}
}

// mirrorClasses are the connectors that MirrorMaker 2 in dedicated mode runs,
// each under the name of its class.
var mirrorClasses = map[string]string{
	"MirrorSourceConnector":     "org.apache.kafka.connect.mirror.MirrorSourceConnector",
	"MirrorCheckpointConnector": "org.apache.kafka.connect.mirror.MirrorCheckpointConnector",
	"MirrorHeartbeatConnector":  "org.apache.kafka.connect.mirror.MirrorHeartbeatConnector",
}

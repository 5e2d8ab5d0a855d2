package otlp

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	"pgregory.net/rapid"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/fleet"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/internal/collectortest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/self"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// lookback is how long a backend goes on with a value that nothing is told of.
const lookback = 5 * time.Minute

// A backend is what has come of exports: the value of each series, and when it
// came.
type backend struct {
	values map[string]string
	at     map[string]time.Time
}

// take applies the parts of an export, and returns what they mark as ended.
func (b *backend) take(t *rapid.T, parts []*metrics.ScopeMetrics) map[string]bool {
	seen, marked := map[string]bool{}, map[string]bool{}
	for _, line := range translated(t, parts) {
		name, value := line, ""
		if cut := strings.LastIndexByte(line, ' '); cut >= 0 && !strings.HasSuffix(line, "}") {
			name, value = line[:cut], line[cut+1:]
		}
		if seen[name] {
			t.Errorf("twice in one export: %s", line)
		}
		if seen[name] = true; value == "" {
			marked[name] = true
			delete(b.values, name)
		} else {
			b.values[name], b.at[name] = value, time.Now()
		}
	}
	return marked
}

// shows lists what a query would find.
func (b *backend) shows() (lines []string) {
	for name, value := range b.values {
		if time.Since(b.at[name]) < lookback {
			lines = append(lines, name+" "+value)
		}
	}
	slices.Sort(lines)
	return lines
}

// anySnapshot draws a snapshot of a few connectors.
func anySnapshot(t *rapid.T) *connect.Snapshot {
	one := func(label string, values ...string) string { return rapid.SampledFrom(values).Draw(t, label) }
	var lines []string
	for _, name := range []string{"a", "b", "c"} {
		switch one(name, "absent", "unobserved", "there", "there", "there") {
		case "unobserved":
			lines = append(lines, "?"+name)
		case "there":
			line := name + ":" + one("state", "running", "paused", "failed", "stopped")
			for id := range rapid.IntRange(0, 2).Draw(t, "tasks") {
				line += fmt.Sprintf(" %d:%s@%s", id, one("task", "running", "failed", "unassigned"), one("worker", "w1", "w2"))
			}
			lines = append(lines, line)
		}
	}
	s := collectortest.Cluster(lines...)
	s.Taken, s.Version, s.Commit = time.Now(), one("version", "4.3.1", "3.9.1"), "abc"
	if rapid.Bool().Draw(t, "managed") {
		s.Provider, s.HasTasks = connect.MSK, false
		for i := range s.Connectors {
			c := &s.Connectors[i]
			c.Tasks, c.TaskCount = nil, 0
			c.Runtime = &connect.Runtime{Version: one("runtime", "2.7.1", "3.7.x")}
			c.Reported = &connect.Reported{FailedTasks: connect.Count{Known: rapid.Bool().Draw(t, "known")}}
		}
	}
	for i := range s.Connectors {
		if owner := one("owner", "", "", "x", "y"); owner != "" {
			s.Connectors[i].Labels = []connect.Label{{Key: "owner.team", Value: owner}}
		}
	}
	if topic := one("brokers", "", "", "t1", "t2"); topic != "" {
		s.Brokers = &connect.Brokers{
			Taken: time.Now(), Group: &connect.Group{State: connect.GroupStable, Members: []connect.Member{{Worker: one("member", "w1", "w2")}}},
			Sinks: []connect.Sink{{Connector: "a", HasCommits: rapid.Bool().Draw(t, "commits"), Partitions: []connect.PartitionLag{{Topic: topic}}}},
		}
	}
	if host := one("host", "", "h1", "h2"); host != "" {
		s.Certificates = []connect.Certificate{{Host: host, NotAfter: collectortest.Taken}}
		s.Health = []connect.Health{{Worker: host}}
	}
	if one("probed", "yes", "no") == "yes" {
		s.Probes = []connect.Probe{{Worker: "w1", Up: rapid.Bool().Draw(t, "up"), Version: one("of worker", "", "4.3.1")}}
	}
	return s
}

// TestModel: whatever happens to clusters, configuration and exports, a backend
// that was told shows what a scrape shows at that time, ends included; and ends
// are told for ten minutes.
func TestModel(t *testing.T) {
	rapid.Check(t, inBubble(t, func(t *rapid.T) {
		own, err := self.New(self.Options{Version: "1.2.3"})
		if err != nil {
			t.Fatal(err)
		}
		own.Instruments().Reloaded(true, collectortest.Taken)
		var (
			names     = []string{"x", "y"}
			snapshots = map[string]*connect.Snapshot{}
			failing   = map[string]bool{}
			observed  []series.Result
			allStates bool
		)
		clusters := map[string]fleet.Cluster{}
		for _, name := range names {
			clusters[name] = fleet.Cluster{Name: name}
		}
		watched := fleet.New(nil, fleet.Options{Recorder: own.Instruments()})
		defer watched.Close()
		configure := func(names []string) {
			var all []fleet.Cluster
			for _, name := range names {
				c := clusters[name]
				if c.Observer == nil {
					c.Observer = &observer{func() (*connect.Snapshot, error) {
						if failing[name] {
							return nil, connect.Unreachable
						}
						return snapshots[name], nil
					}}
					clusters[name] = c
				}
				if team := rapid.SampledFrom([]string{"", "", "x", "y"}).Draw(t, "team"); team != "" {
					c.Labels = map[string]string{"team": team}
				}
				all = append(all, c)
			}
			watched.Replace(all)
			for name, c := range clusters {
				if !slices.Contains(names, name) {
					c.Observer = nil // It was closed.
					clusters[name] = c
				}
			}
		}
		producer := New(Options{
			Observe: func(ctx context.Context, _ ...string) []series.Result {
				observed = watched.Observe(ctx)
				return observed
			},
			Own: own.Collect, Version: "1.2.3", AllStates: func() bool { return allStates },
		})
		told := backend{values: map[string]string{}, at: map[string]time.Time{}}
		// When an export first had a series no more, and one that was not broken off.
		ended, processed := map[string]time.Time{}, map[string]time.Time{}
		var live []string
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			time.Sleep(rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 4 * time.Minute, 11 * time.Minute}).Draw(t, "later"))
			if rapid.IntRange(0, 3).Draw(t, "reload") == 0 {
				configure(rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID[string]).Draw(t, "clusters"))
				allStates = rapid.Bool().Draw(t, "all states")
			}
			for _, name := range names {
				if failing[name] = rapid.IntRange(0, 3).Draw(t, "fails") == 0; snapshots[name] == nil || rapid.Bool().Draw(t, "changes") {
					snapshots[name] = anySnapshot(t)
				}
			}
			var all []*metrics.ScopeMetrics
			fate := rapid.SampledFrom([]string{"arrives", "arrives", "arrives", "is lost", "breaks off"}).Draw(t, "export")
			producer.points = rapid.SampledFrom([]int{1, 10, 100, maxPoints}).Draw(t, "points in a part")
			most := rapid.IntRange(1, 50).Draw(t, "parts")
			for part := range producer.Produce(context.Background()) {
				if all = append(all, part); fate == "breaks off" && len(all) == most {
					break
				}
			}
			shown := scraped(t, own, observed, allStates)
			now := map[string]bool{}
			for _, line := range shown {
				now[line[:strings.LastIndexByte(line, ' ')]] = true
			}
			for _, name := range live {
				if _, known := ended[name]; !known && !now[name] {
					ended[name] = time.Now()
				}
			}
			if fate == "breaks off" {
				// Nobody knows of what has come back whether it was sent.
				live = slices.DeleteFunc(live, func(name string) bool { return !ended[name].IsZero() && now[name] })
				maps.DeleteFunc(ended, func(name string, _ time.Time) bool { return now[name] })
				clear(processed)
				told.take(t, all)
				continue
			}
			maps.DeleteFunc(ended, func(name string, _ time.Time) bool { return now[name] })
			maps.DeleteFunc(processed, func(name string, _ time.Time) bool { return now[name] })
			for name := range ended {
				if processed[name].IsZero() {
					processed[name] = time.Now()
				}
			}
			live = slices.Sorted(maps.Keys(now))
			if fate == "is lost" {
				continue
			}
			marked := told.take(t, all)
			for name := range marked {
				if now[name] {
					t.Errorf("marked as ended, and there: %s", name)
				}
			}
			for name, at := range ended {
				if time.Since(at) < series.Retention && !marked[name] {
					t.Errorf("ended %v ago and not marked: %s", time.Since(at), name)
				}
				if since := time.Since(processed[name]); since >= series.Retention && marked[name] {
					t.Errorf("ended %v ago and marked still: %s", since, name)
				}
			}
			if shows := told.shows(); !slices.Equal(shows, shown) {
				collectortest.EqualLines(t, shows, shown)
			}
		}
	}))
}

// inBubble runs each check of a property in a bubble of its own, and carries out
// of it the panics by which rapid ends a check.
func inBubble(t *testing.T, property func(*rapid.T)) func(*rapid.T) {
	return func(check *rapid.T) {
		var ended any
		synctest.Test(t, func(*testing.T) {
			defer func() { ended = recover() }()
			property(check)
		})
		// rapid tells panics apart by where they come from.
		if fmt.Sprintf("%T", ended) == "rapid.invalidData" {
			panic(ended)
		} else if ended != nil {
			panic(ended)
		}
	}
}

// observer answers at once.
type observer struct {
	answer func() (*connect.Snapshot, error)
}

func (o *observer) Observe(context.Context, func(connect.Request)) (*connect.Snapshot, error) {
	return o.answer()
}

func (*observer) Close() {}

package kafka

import (
	"hash/maphash"
	"maps"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// A worker that was killed and came back under its name is a member, and does not
// run what it is still said to run until that is handed out again.
func TestTasksThatAreLostOnALiveWorker(t *testing.T) {
	const name = "10.0.0.1:8083"
	group := func(tasks ...int32) *kmsg.DescribeGroupsResponseGroup {
		metadata := kbin.AppendNullableBytes(kbin.AppendInt64(kbin.AppendString(kbin.AppendInt16(nil, 2), "http://"+name+"/"), 0), nil)
		given := kbin.AppendString(kbin.AppendString(kbin.AppendInt16(kbin.AppendInt16(nil, 2), 0), "a"), "")
		given = kbin.AppendArrayLen(kbin.AppendString(kbin.AppendArrayLen(kbin.AppendInt64(given, 0), 1), "x"), len(tasks))
		for _, task := range tasks {
			given = kbin.AppendInt32(given, task)
		}
		given = kbin.AppendInt32(kbin.AppendArrayLen(given, 0), 0)
		return &kmsg.DescribeGroupsResponseGroup{State: "Stable", Members: []kmsg.DescribeGroupsResponseGroupMember{{
			MemberID: "a", ClientID: "connect-" + name, ProtocolMetadata: metadata, MemberAssignment: given,
		}}}
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	revision := connect.NewRevision()
	g := newWorkGroup("g")
	x := maphash.String(g.seed, "x")
	running := maps.All(map[taskID]string{{x, 0}: name, {x, 1}: name})
	for _, step := range []struct {
		after time.Duration
		group *kmsg.DescribeGroupsResponseGroup
		want  int
	}{
		{0, group(0, 1), 0},
		{time.Second, group(0), 0},
		{2 * time.Second, group(0), 0},
		{11 * time.Second, group(0), 1},
		{12 * time.Second, &kmsg.DescribeGroupsResponseGroup{State: "PreparingRebalance", Members: []kmsg.DescribeGroupsResponseGroupMember{{MemberID: "a"}}}, 1},
		{13 * time.Second, group(0, 1), 0},
		{14 * time.Second, group(1), 0},
		{20 * time.Second, group(0, 1), 0},
		{30 * time.Second, group(1), 0},
		// Its worker is no member, then a member again that has nothing.
		{31 * time.Second, &kmsg.DescribeGroupsResponseGroup{State: "Stable"}, 2},
		{32 * time.Second, group(), 2},
		{33 * time.Second, group(0), 1},
		{34 * time.Second, group(0, 1), 0},
	} {
		now := start.Add(step.after)
		g.take(step.group, now)
		if got := g.orphans(running, revision, now); got.Value != step.want || !got.Known {
			t.Errorf("after %v: %+v, want %d", step.after, got, step.want)
		}
	}
}

func TestHistory(t *testing.T) {
	start := time.UnixMilli(1_000_000)
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	h := &history{}
	h.add(at(0), 100)
	if _, known := h.at(50, at(0)); known {
		t.Error("one moment tells nothing of what was before")
	}
	h.add(at(10), 200)
	h.add(at(20), 200)
	h.add(at(30), 200)
	h.add(at(40), 300)
	for offset, want := range map[int64]float64{100: 0, 150: 5, 199: 9.9, 200: 30, 250: 35, 299: 39.9, 40: 0} {
		got, known := h.at(offset, at(50))
		if diff := got.Sub(at(want)); !known || diff < -2*time.Millisecond || diff > 2*time.Millisecond {
			t.Errorf("offset %d: %v after the start (%t), want %v s", offset, got.Sub(start), known, want)
		}
	}
	h.add(at(60), 7)
	if len(h.points) != 1 {
		t.Errorf("a topic that was made again goes on with %v", h.points)
	}
	// It is bounded, reaches back to its beginning, and stays in order.
	h = &history{}
	for i := range 10_000 {
		h.add(at(float64(i)), int64(i*10))
	}
	if len(h.points) > maxPoints || h.points[0].offset != 0 {
		t.Errorf("%d moments from %d on", len(h.points), h.points[0].offset)
	}
	if got, _ := h.at(50_000, at(10_000)); got.Sub(at(5000)).Abs() > 2*time.Second {
		t.Errorf("offset 50000 at %v", got.Sub(start))
	}
}

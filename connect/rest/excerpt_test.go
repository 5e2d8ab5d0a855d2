package rest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// draftOf is a draft of an observer of nothing.
func draftOf() *draft { return &draft{Observer: New(Options{Name: "orders"})} }

// kept decodes an answer of statuses and returns what it hands on, by name; what can
// be shown of it is the observer's last snapshot then.
func kept(d *draft, text string, before *excerpts) (all []entry, after *excerpts, err error) {
	after, _, err = d.decodeText([]byte(text), before, func(e *entry) error {
		again := *e
		again.from, again.known = 0, false
		if e.bad != "" {
			again.status = connect.Connector{} // Nobody is shown it.
		}
		all = append(all, again)
		return nil
	}, func() { all = nil })
	slices.SortStableFunc(all, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	d.same = same{}
	for i := range all {
		e := &all[i]
		twice := i > 0 && all[i-1].name == e.name || i+1 < len(all) && all[i+1].name == e.name
		if e.bad == "" && e.hasStatus && !twice && !hasDuplicateIDs(&e.status) {
			d.same.connectors = append(d.same.connectors, e.status)
			// As infos fill it.
			d.same.connectors[len(d.same.connectors)-1].Type = kindSink
		}
	}
	return all, after, err
}

// An answer of which most is known comes to what it comes to when nothing is.
func TestExcerptsAreTheAnswer(t *testing.T) {
	oneMember := func(r *rapid.T, name string) string {
		state := rapid.SampledFrom([]string{`"RUNNING"`, `"PAUSED"`, `"FAILED","trace":"a.B: x\n"`, `7`}).Draw(r, "state")
		task := rapid.SampledFrom([]string{``, `{"id":0,"state":"RUNNING","worker_id":"w"}`, `{"id":1,"state":"RUNNING","worker_id":"w"},{"id":0,"state":"FAILED","trace":"c.D"}`, `{}`, `{"id":0},{"id":0}`}).Draw(r, "tasks")
		return fmt.Sprintf(`%s:%s`, name, rapid.SampledFrom([]string{
			`{"status":{"name":"x","connector":{"state":` + state + `,"worker_id":"w"},"tasks":[` + task + `],"type":"sink"}}`,
			`{"status":{"connector":{"state":` + state + `},"tasks":[` + task + `]},"info":{"type":"sink","config":{},"tasks":[]}}`,
			`{"status":null}`, `{}`, `{ "status" : {"connector":{"state":"RUNNING"}} }`, `7`, `{"status":{]}}`,
		}).Draw(r, "member"))
	}
	rapid.Check(t, func(r *rapid.T) {
		d := draftOf()
		names := []string{`"a"`, `"b\u0041"`, `"c d"`, `"\ud800"`, `"a"`, `"ü"`}[:rapid.IntRange(0, 6).Draw(r, "connectors")]
		var members []string
		for _, name := range names {
			members = append(members, oneMember(r, name))
		}
		var before *excerpts
		for range rapid.IntRange(1, 5).Draw(r, "answers") {
			separator := rapid.SampledFrom([]string{",", ",", ",", " ,\n"}).Draw(r, "separator")
			text := "{" + strings.Join(members, separator) + rapid.SampledFrom([]string{"}", "}", "}\n ", "", "}}", ",}"}).Draw(r, "end")
			got, after, gotErr := kept(d, text, before)
			want, _, wantErr := kept(draftOf(), text, nil)
			if (gotErr == nil) != (wantErr == nil) || gotErr != nil && gotErr.Error() != wantErr.Error() {
				r.Fatalf("%v, want %v in %s", gotErr, wantErr, text)
			}
			if gotErr == nil && !reflect.DeepEqual(got, want) {
				r.Fatalf("got %+v\nwant %+v\nin %s", got, want, text)
			}
			before = after
			switch i := rapid.IntRange(0, len(members)).Draw(r, "at"); rapid.SampledFrom([]string{"same", "change", "change", "remove", "add", "swap"}).Draw(r, "step") {
			case "change":
				if i < len(members) && i < len(names) {
					members[i] = oneMember(r, names[i])
				}
			case "remove":
				if i < len(members) {
					members = append(members[:i:i], members[i+1:]...)
				}
			case "add":
				members = append(members[:i:i], append([]string{oneMember(r, `"new"`)}, members[i:]...)...)
			case "swap":
				if i > 0 && i < len(members) {
					members[i], members[i-1] = members[i-1], members[i]
				}
			}
		}
	})
}

// Of an answer in which one connector changed, that one is decoded.
func TestOneChangeIsOneDecoded(t *testing.T) {
	answer := func(changed int) string {
		var members []string
		for i := range 100 {
			state := "RUNNING"
			if i == changed {
				state = "PAUSED"
			}
			members = append(members, fmt.Sprintf(`"c%03d":{"status":{"name":"c%03d","connector":{"state":%q},"tasks":[{"id":0,"state":"RUNNING"}]}}`, i, i, state))
		}
		return "{" + strings.Join(members, ",") + "}"
	}
	d := draftOf()
	first, known, err := kept(d, answer(-1), nil)
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := kept(d, answer(7), known)
	if err != nil || len(second) != len(first) {
		t.Fatal(len(second), err)
	}
	for i := range second {
		again := &first[i].status.Tasks[0] != &second[i].status.Tasks[0]
		if changed := i == 7; again != changed || (second[i].status.State == connect.StatePaused) != changed {
			t.Errorf("%d: decoded %v, %v", i, again, second[i].status.State)
		}
	}
}

package connect

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestParseState(t *testing.T) {
	for word, want := range map[string]State{
		"RUNNING": StateRunning, "running": StateRunning, "Paused": StatePaused, "STOPPED": StateStopped, "FAILED": StateFailed,
		"UNASSIGNED": StateUnassigned, "RESTARTING": StateRestarting, "": StateUnknown, "UNKNOWN": StateUnknown, "DESTROYED": StateUnknown, "RUNNING ": StateUnknown,
	} {
		if got := ParseState(word); got != want {
			t.Errorf("%q is %s, want %s", word, got, want)
		}
	}
	for _, state := range States() {
		if got := ParseState(state.String()); got != state {
			t.Errorf("%s is read back as %s", state, got)
		}
	}
	if len(States()) != StateCount || State(200).String() != "unknown" {
		t.Errorf("%d states of %d; a state out of range is %s", len(States()), StateCount, State(200))
	}
}

func TestReasonOf(t *testing.T) {
	for _, test := range []struct {
		err  error
		want Reason
	}{
		{nil, ""},
		{fmt.Errorf("list: %w", Forbidden), Forbidden},
		{fmt.Errorf("a: %w", fmt.Errorf("b: %w: %w", Decode, errors.New("x"))), Decode},
		{fmt.Errorf("a: %w", context.DeadlineExceeded), Timeout},
		{context.Canceled, Timeout},
		{errors.New("connection refused"), Unreachable},
	} {
		if got := ReasonOf(test.err); got != test.want {
			t.Errorf("the reason of %v is %q, want %q", test.err, got, test.want)
		}
	}
	if err := fmt.Errorf("x: %w", Timeout); !errors.Is(err, Timeout) || errors.Is(err, Decode) {
		t.Error("a Reason is no sentinel")
	}
}

func TestSort(t *testing.T) {
	connectors := []Connector{{Name: "b", Tasks: []Task{{ID: 2}, {ID: 0}}}, {Name: "a"}}
	SortConnectors(connectors)
	if connectors[0].Name != "a" || connectors[1].Tasks[0].ID != 0 {
		t.Errorf("%+v", connectors)
	}
	unobserved := []Unobserved{{Connector: "b"}, {Connector: "a"}}
	SortUnobserved(unobserved)
	if unobserved[0].Connector != "a" {
		t.Errorf("%+v", unobserved)
	}
}

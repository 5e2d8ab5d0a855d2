package connect

import "strings"

// State is what a cluster says of a connector or of a task, in one vocabulary
// for all providers.
type State uint8

// The states. Kafka Connect itself knows RUNNING, PAUSED, FAILED and
// UNASSIGNED, RESTARTING since 3.0 (KIP-745) and STOPPED since 3.5 (KIP-875);
// the others are said by managed services only.
const (
	// StateUnknown is any word that this version of the exporter does not know.
	StateUnknown State = iota
	StateRunning
	StatePaused
	StateStopped
	StateFailed
	StateUnassigned
	StateRestarting
	StateDegraded
	StateProvisioning
	StateDeleting
	stateCount
)

// stateNames is indexed by State.
var stateNames = [stateCount]string{
	"unknown", "running", "paused", "stopped", "failed", "unassigned",
	"restarting", "degraded", "provisioning", "deleting",
}

// States lists every state, StateUnknown last, in the order in which they are
// shown.
func States() []State {
	return []State{
		StateRunning, StatePaused, StateStopped, StateFailed, StateUnassigned,
		StateRestarting, StateDegraded, StateProvisioning, StateDeleting, StateUnknown,
	}
}

// StateCount is the number of states; every State is below it, so that counts
// by state fit an array.
const StateCount = int(stateCount)

// String returns the lower-case name that the state label carries.
func (s State) String() string {
	if s >= stateCount {
		return stateNames[StateUnknown]
	}
	return stateNames[s]
}

// ParseState maps a state as Kafka Connect writes it (RUNNING, any case) to a
// State; a word it does not know is StateUnknown, never an error, because a
// later Kafka may add one.
func ParseState(word string) State {
	for s := StateRunning; s < stateCount; s++ {
		if strings.EqualFold(word, stateNames[s]) {
			return s
		}
	}
	return StateUnknown
}

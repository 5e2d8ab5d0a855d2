package connect

// Provider names who runs a cluster, as in the configuration and in the
// provider label.
type Provider string

// The providers.
const (
	SelfManaged    Provider = "connect"
	ConfluentCloud Provider = "confluent-cloud"
	MSK            Provider = "msk"
	Aiven          Provider = "aiven"
)

// services are the providers that say other things than Kafka Connect's workers
// do, with the states that each can report, beside those that its observer maps
// to others; StateUnknown is always possible.
var services = map[Provider][]State{
	ConfluentCloud: {
		StateRunning, StatePaused, StateFailed, StateUnassigned, StateRestarting,
		StateDegraded, StateProvisioning, StateDeleting, StateUnknown,
	},
	MSK: {StateRunning, StateFailed, StateProvisioning, StateDeleting, StateUnknown},
}

var workerStates = []State{StateRunning, StatePaused, StateStopped, StateFailed, StateUnassigned, StateRestarting, StateUnknown}

// States are those that the provider can report. They are not to be changed.
func (p Provider) States() []State {
	if states, found := services[p]; found {
		return states
	}
	return workerStates
}

// NamesWorkers says whether snapshots name the workers that run connectors and
// tasks. Those who run them as a service keep them to themselves.
func (p Provider) NamesWorkers() bool {
	_, found := services[p]
	return !found
}

package connect

// An OperatorResource is what an operator's resource says of a cluster: what
// somebody wishes, and what the operator makes of it. It is no part of a
// snapshot, because it is known while the cluster does not answer.
type OperatorResource struct {
	// Group (API group), Kind, Namespace and Name of the resource.
	Group, Kind, Namespace, Name string
	// State as the operator tells it; "" where it tells none.
	State ResourceState
	// Project, Plan and CloudName of Aiven; "" for others.
	Project, Plan, CloudName string
	// TerminationProtection and Powered are "true" or "false", "" where the kind
	// has no such field.
	TerminationProtection, Powered string
	// MaintenanceWindow is "tuesday 10:00:00" (UTC), "" if none is set.
	MaintenanceWindow string
	// Conditions, sorted by type.
	Conditions []Condition
	// Settings of the workers that are numbers, in base units, sorted by name.
	Settings []WorkerSetting
	// Choices are settings of the workers that are one of a few words, sorted by
	// name.
	Choices []WorkerChoice
	// Plugins that the resource names, sorted.
	Plugins []Plugin
	// Connectors that operators manage by resources of their own, sorted by name.
	Connectors []OperatorConnector
}

// A Condition of a resource (metav1.Condition without its text).
type Condition struct {
	// Type such as Ready, Status True, False or Unknown.
	Type, Status string
}

// A WorkerSetting is a number, in seconds or bytes where it is one of these.
type WorkerSetting struct {
	Name  string
	Value float64
}

// A WorkerChoice is a word.
type WorkerChoice struct{ Name, Value string }

// A Plugin of the workers.
type Plugin struct{ Name, Version string }

// An OperatorConnector is what an operator's resource says of one connector.
type OperatorConnector struct {
	Name string
	// Wished state: running, paused or stopped; unknown where the kind has none.
	Wished State
	// Ready is the status of the condition of that name: "True", "False",
	// "Unknown"; "" where there is none.
	Ready string
	// AutoRestarts is how often the operator has restarted it since it was last
	// well; GaveUp says that it has done so as often as it may. HasAutoRestart
	// says whether the operator restarts it at all.
	HasAutoRestart bool
	AutoRestarts   int
	GaveUp         bool
}

// An OperatorObserver knows what an operator's resource says of its cluster. It
// does not change what it returned before.
type OperatorObserver interface {
	Observer
	// OperatorResource is the newest; nil if it is not known.
	OperatorResource() *OperatorResource
}

// Agrees tells whether a connector is in the state that its resource wishes.
// known is false where that cannot be said: while the connector has no worker or
// is restarted, in which the operator does nothing either (Strimzi's
// AbstractConnectOperator.updateState), or where nothing is wished.
func (c *OperatorConnector) Agrees(observed State) (agrees, known bool) {
	switch observed {
	case StateUnassigned, StateRestarting, StateUnknown:
		return false, false
	}
	switch c.Wished {
	case StatePaused, StateStopped:
		return observed == c.Wished, true
	case StateRunning: // A failed connector is one that somebody wants to run.
		return observed != StatePaused && observed != StateStopped, true
	}
	return false, false
}

package connect

import (
	"slices"
	"strings"
)

// ResourceState is what a provider says of the service that runs a whole
// Connect cluster, as opposed to what the cluster says of its connectors.
type ResourceState string

// The states of a service (Aiven's ServiceGet, in lower case).
const (
	ResourceRunning     ResourceState = "running"
	ResourceRebuilding  ResourceState = "rebuilding"
	ResourceRebalancing ResourceState = "rebalancing"
	// ResourcePowerOff is somebody's intention, not a failure: such a cluster
	// has no connectors and is not down.
	ResourcePowerOff ResourceState = "poweroff"
	// ResourceStopped has no workers, because its resource wants none (Strimzi,
	// Confluent for Kubernetes: 0 replicas). Somebody's intention, too.
	ResourceStopped ResourceState = "stopped"
	// ResourcePaused is not looked after by its operator just now; its workers go on.
	ResourcePaused ResourceState = "paused"
	// ResourceNotReady is not as its operator wants it.
	ResourceNotReady ResourceState = "not_ready"
	// ResourceUnknown is any word that this version of the exporter does not know.
	ResourceUnknown ResourceState = "unknown"
)

// ResourceStates lists every state of an Aiven service, ResourceUnknown last.
func ResourceStates() []ResourceState {
	return []ResourceState{ResourceRunning, ResourceRebuilding, ResourceRebalancing, ResourcePowerOff, ResourceUnknown}
}

// OperatorStates lists every state of a cluster that an operator runs itself,
// ResourceUnknown last.
func OperatorStates() []ResourceState {
	return []ResourceState{ResourceRunning, ResourceNotReady, ResourcePaused, ResourceStopped, ResourceUnknown}
}

// ParseResourceState maps a provider's word, any case, to a ResourceState.
func ParseResourceState(word string) ResourceState {
	if s := ResourceState(strings.ToLower(word)); slices.Contains(ResourceStates(), s) {
		return s
	}
	return ResourceUnknown
}

// A Runtime is what one connector runs on, where each connector has a Connect
// cluster of its own (MSK Connect).
type Runtime struct {
	// Version of Kafka Connect, as the provider writes it ("3.7.x").
	Version string
	// Autoscaled says that the provider changes the number of workers, between
	// MinWorkers and MaxWorkers, which are equal otherwise.
	Autoscaled             bool
	MinWorkers, MaxWorkers int
	// UnitsPerWorker is the size of a worker: MSK Connect units (1 vCPU and 4 GiB each).
	UnitsPerWorker int
}

// Reported are counts that a provider's metrics service tells of one connector
// (MSK Connect through CloudWatch). They are minutes older than the rest.
type Reported struct {
	RunningTasks, FailedTasks, Workers Count
}

// A Count is a number that may be missing.
type Count struct {
	Value int
	Known bool
}

package rest

import "github.com/kafka-connect-exporter/kafka-connect-exporter/connect"

// A Dialect is where a provider's API departs from that of Kafka Connect's own
// workers. The zero value is Kafka Connect itself.
type Dialect struct {
	// ExpandQuery is the query of the expanded call that asks for status and
	// info at once. Empty: Kafka Connect's, a parameter for each.
	ExpandQuery string
	// TypeInConfig tells that a connector's type may stand in its configuration
	// instead of beside it.
	TypeInConfig bool
	// NoWorkers tells that worker_id names no worker, and is left out.
	NoWorkers bool
	// NoRoot tells that there is no GET / that names a version.
	NoRoot bool
	// ConnectorState and TaskState map the provider's words; nil is
	// connect.ParseState.
	ConnectorState, TaskState func(word string) connect.State
	// TaskFailure derives the failure of a task from its state's word, where the
	// provider gives no trace. Nil: from the trace.
	TaskFailure func(word string) connect.Failure
}

// stateOf maps a word by one of these.
func stateOf(parse func(word string) connect.State, word string) connect.State {
	if parse == nil {
		parse = connect.ParseState
	}
	return parse(word)
}

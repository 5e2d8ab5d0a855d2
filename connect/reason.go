package connect

import (
	"context"
	"errors"
)

// Reason is the kind of a failure: the value of the reason label, and a
// sentinel error, so that errors.Is(err, connect.Timeout) holds for an error
// that wraps it.
type Reason string

// Why a snapshot, or one connector of it, could not be had.
const (
	// Timeout: no complete answer within the deadline.
	Timeout Reason = "timeout"
	// Unreachable: no connection, or it broke.
	Unreachable Reason = "unreachable"
	// Unauthorized: HTTP 401, or the provider's word for it.
	Unauthorized Reason = "unauthorized"
	// Forbidden: HTTP 403, or the provider's word for it.
	Forbidden Reason = "forbidden"
	// NotFound: HTTP 404 from what should be there.
	NotFound Reason = "not_found"
	// Rebalancing: HTTP 409, or since Kafka 3.5 the HTTP 500 that says so.
	Rebalancing Reason = "rebalancing"
	// HTTPStatus: any other status than 200.
	HTTPStatus Reason = "http_status"
	// Decode: an answer that is not what the API promises.
	Decode Reason = "decode"
	// TooLarge: an answer beyond the size limit.
	TooLarge Reason = "too_large"
)

// Reasons only of single connectors, see [UnobservedReasons].
const (
	// NoStatus: the cluster lists the connector but has no status of it.
	NoStatus Reason = "no_status"
	// Unaddressable: its name cannot stand in a path of this worker's API
	// (a "/" or "%" since Kafka 4.0, whose Jetty refuses them).
	Unaddressable Reason = "unaddressable"
)

// Error makes a Reason an error of its own.
func (r Reason) Error() string { return string(r) }

// Reasons lists why a whole snapshot can fail.
func Reasons() []Reason {
	return []Reason{Timeout, Unreachable, Unauthorized, Forbidden, NotFound, Rebalancing, HTTPStatus, Decode, TooLarge}
}

// UnobservedReasons lists why a connector can be listed but not observed.
func UnobservedReasons() []Reason {
	return append([]Reason{NoStatus, Unaddressable}, Reasons()...)
}

// ReasonOf returns the Reason that err wraps. An error without one is Timeout
// where a context ended, Unreachable otherwise: what has no HTTP answer was
// not reached. The Reason of nil is empty.
func ReasonOf(err error) Reason {
	if err == nil {
		return ""
	}
	if r, ok := errors.AsType[Reason](err); ok {
		return r
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return Timeout
	}
	return Unreachable
}

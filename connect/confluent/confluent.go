// Package confluent observes the connectors that Confluent Cloud runs for one
// Kafka cluster. Its Connect API resembles that of Kafka Connect's workers, so
// the calls are those of connect/rest; this package knows the differences: the
// form of the expanded call, words for states, messages instead of traces, and
// rate limits.
//
// Source: the OpenAPI description of Confluent Cloud's Connect API v1, and
// "Connector statuses" in Confluent Cloud's documentation.
package confluent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/rest"
)

// dialect of Confluent Cloud. There is no GET /, and expansions are documented
// as a comma-separated list.
var dialect = rest.Dialect{
	ExpandQuery:    "expand=info,status,id",
	TypeInConfig:   true,
	NoRoot:         true,
	NoWorkers:      true, // worker_id repeats the connector's name
	ConnectorState: connectorState,
	TaskState:      taskState,
	TaskFailure:    taskFailure,
}

// connectorState also knows DELETED; PROVISIONING, RUNNING, DEGRADED, FAILED,
// PAUSED and RESTARTING are words of ours, NONE says nothing.
func connectorState(word string) connect.State {
	if strings.EqualFold(word, "DELETED") {
		return connect.StateDeleting
	}
	return connect.ParseState(word)
}

// Words of a task that failed: Confluent's fault, or the user's to mend.
const (
	systemError         = "SYSTEM_ERROR"
	userActionableError = "USER_ACTIONABLE_ERROR"
)

// taskState: the tasks of a paused connector are STOPPED here.
func taskState(word string) connect.State {
	switch strings.ToUpper(word) {
	case systemError, userActionableError:
		return connect.StateFailed
	case "STOPPED":
		return connect.StatePaused
	}
	return connect.ParseState(word)
}

// taskFailure is all that may be shown of a failed task: its msg quotes data and
// configuration, and names no class.
func taskFailure(word string) connect.Failure {
	switch word = strings.ToUpper(word); word {
	case systemError, userActionableError:
		return connect.Failure{Exception: word, RootCause: word}
	}
	return connect.Failure{}
}

// An Observer implements [connect.Observer].
type Observer struct {
	rest    *rest.Observer
	limiter *limiter
}

var _ connect.Observer = (*Observer)(nil)

// New returns an Observer. Options are those of a worker, with one URL:
// https://api.confluent.cloud/connect/v1/environments/ENV/clusters/LKC, and a
// Client that authenticates by a Cloud API key; Dialect and Provider are set here.
func New(options rest.Options) *Observer {
	limiter := &limiter{inner: options.Client.Transport, now: time.Now}
	if limiter.inner == nil {
		limiter.inner = http.DefaultTransport
	}
	client := *options.Client
	client.Transport = limiter
	options.Client, options.Dialect, options.Provider = &client, dialect, connect.ConfluentCloud
	return &Observer{rest: rest.New(options), limiter: limiter}
}

// Close releases idle connections.
func (o *Observer) Close() { o.rest.Close() }

// Observe takes one snapshot. While Confluent Cloud wants to be left alone, it
// returns the error that said so and asks nothing.
func (o *Observer) Observe(ctx context.Context, report func(connect.Request)) (*connect.Snapshot, error) {
	if err := o.limiter.refusal(); err != nil {
		return nil, fmt.Errorf("observe connectors on Confluent Cloud: %w", err)
	}
	snapshot, err := o.rest.Observe(ctx, func(r connect.Request) {
		// What the limiter kept back was no request.
		var held *limitedError
		if report != nil && (r.Code != 0 || !errors.As(r.Err, &held)) {
			report(r)
		}
	})
	if err != nil {
		return nil, o.advise(err)
	}
	if refused := o.limiter.refusal(); refused != nil && len(snapshot.Connectors) == 0 && len(snapshot.Unobserved) > 0 {
		return nil, o.advise(refused)
	}
	return snapshot, nil
}

// advise adds what to change in Confluent Cloud's words.
func (o *Observer) advise(err error) error {
	if refused := o.limiter.refusal(); refused != nil {
		return fmt.Errorf("observe connectors on Confluent Cloud: %w", refused)
	}
	switch connect.ReasonOf(err) {
	case connect.Unauthorized:
		return fmt.Errorf("%w: Confluent Cloud wants a Cloud API key (resource cloud) and its secret, not a key of the Kafka cluster", err)
	case connect.Forbidden:
		return fmt.Errorf("%w: give the API key's owner a role that may view connectors of this cluster", err)
	case connect.NotFound:
		return fmt.Errorf("%w: check environment (env-…) and cluster (lkc-…), and that the API key belongs to their organization", err)
	}
	return err
}

const (
	// minPause and maxPause bound what a 429 may ask for: one without a header
	// still ends the calls in flight, and no header silences us for good.
	minPause = time.Second
	maxPause = 10 * time.Minute
)

// A limitedError is HTTP 429, and every call that is not sent because of it. Its
// text stays the same until the time is over.
type limitedError struct{ until time.Time }

func (e *limitedError) Error() string {
	return "HTTP 429: Confluent Cloud limits the rate of requests, none is sent before " + e.until.UTC().Format(time.RFC3339) +
		"; use observation version 2, or scrape less often"
}

// Unwrap makes it its Reason.
func (e *limitedError) Unwrap() error { return connect.HTTPStatus }

// A limiter keeps requests back for as long as the last HTTP 429 asked for. It
// never waits: a wait would eat the scrape's deadline.
type limiter struct {
	inner http.RoundTripper
	now   func() time.Time

	mutex sync.Mutex
	last  *limitedError
}

// refusal returns the error of requests that are kept back now, nil if none is.
func (l *limiter) refusal() error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.last != nil && l.now().Before(l.last.until) {
		return l.last
	}
	return nil
}

// RoundTrip implements [http.RoundTripper].
func (l *limiter) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := l.refusal(); err != nil {
		return nil, err
	}
	response, err := l.inner.RoundTrip(request)
	if err == nil && response.StatusCode == http.StatusTooManyRequests {
		l.mutex.Lock()
		l.last = &limitedError{until: l.now().Add(pause(response.Header, l.now()))}
		l.mutex.Unlock()
	}
	return response, err
}

// CloseIdleConnections lets http.Client release those of the inner transport.
func (l *limiter) CloseIdleConnections() {
	if closer, ok := l.inner.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// pause is how long a 429 asks for: Retry-After in seconds or as a date (RFC
// 9110), else Confluent's X-RateLimit-Reset in seconds.
func pause(header http.Header, now time.Time) time.Duration {
	for _, name := range []string{"Retry-After", "X-RateLimit-Reset"} {
		value := strings.TrimSpace(header.Get(name))
		if seconds, err := strconv.ParseFloat(value, 64); err == nil && seconds >= 0 {
			return min(max(time.Duration(min(seconds, maxPause.Seconds())*float64(time.Second)), minPause), maxPause)
		}
		if at, err := http.ParseTime(value); err == nil {
			return min(max(at.Sub(now), minPause), maxPause)
		}
	}
	return minPause
}

package rest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

const (
	// drainLimit is what we read of a body that we do not want, to keep its
	// connection; more than that costs more than a new connection.
	drainLimit = 256 << 10
	// errorBodyLimit bounds what is read of an error answer; the longest seen, a
	// list of all plugins, has a few KB.
	errorBodyLimit = 64 << 10
	// rebalanceBackoff before the one retry of a call that a rebalance refused.
	rebalanceBackoff = 200 * time.Millisecond
)

// statusError is an answer other than 200.
type statusError struct {
	code int
	// json tells that the body was Kafka Connect's own error object, not the
	// page of something before it or of a worker that is still starting.
	json        bool
	rebalancing bool
	// plugin tells that the worker misses a connector's plugin.
	plugin bool
	// words are the worker's own, where they can be about no connector.
	words string
}

func (e *statusError) Error() string {
	if e.words != "" {
		return fmt.Sprintf("%s (the worker says: %s)", e.meaning(), e.words)
	}
	return e.meaning()
}

func (e *statusError) meaning() string {
	switch {
	case e.rebalancing:
		return fmt.Sprintf("HTTP %d: the cluster is rebalancing", e.code)
	case e.plugin:
		return fmt.Sprintf("HTTP %d: a connector's plugin is missing on this worker", e.code)
	case e.code == http.StatusUnauthorized:
		return "HTTP 401: user name or password are wrong or missing"
	case e.code == http.StatusForbidden:
		return "HTTP 403: these credentials may not read this"
	case e.code == http.StatusNotFound && !e.json:
		return "HTTP 404: the worker is starting, or the URL is not that of the Kafka Connect REST API"
	}
	return fmt.Sprintf("HTTP %d", e.code)
}

// Unwrap makes the answer its Reason.
func (e *statusError) Unwrap() error {
	switch {
	case e.rebalancing:
		return connect.Rebalancing
	case e.code == http.StatusUnauthorized:
		return connect.Unauthorized
	case e.code == http.StatusForbidden:
		return connect.Forbidden
	case e.code == http.StatusNotFound:
		return connect.NotFound
	}
	return connect.HTTPStatus
}

// client sends GET requests to the workers of one cluster, trying its URLs in
// turn. It sends nothing but GET.
type client struct {
	http    *http.Client
	urls    []*url.URL
	timeout time.Duration // of one request
	limit   int64         // bytes of one body
	// leaves are when the certificates end that hosts showed, by host:port.
	leaves sync.Map
	// current is the index of the URL that answered last: a dead worker costs
	// its time-out once, not in every snapshot.
	current atomic.Int32
}

// call is one GET of a snapshot.
type call struct {
	endpoint  string // label value
	connector string // "" if about none
	path      string // escaped, below the base URL
	query     string
	timeout   time.Duration // 0: the client's
	// decode reads the body; what it returns is the call's error.
	decode func(io.Reader) error
	// refused is given the beginning of the body of another status than 200.
	refused func(code int, body []byte)
	// words tells that the worker's own words may be shown, because the call is
	// about no connector.
	words bool
}

// do sends the call to the worker that answered last, and then to the others
// if that one does not. Each try has its share of what is left until the
// deadline, so that one worker that hangs does not cost the others' chance.
func (c *client) do(ctx context.Context, call call, report func(connect.Request)) error {
	first := c.current.Load()
	var failed []error
	for i := range c.urls {
		index := (int(first) + i) % len(c.urls)
		err := c.tryURL(ctx, c.urls[index], len(c.urls)-i, call, report)
		if err == nil {
			if i > 0 {
				c.current.CompareAndSwap(first, int32(index))
			}
			return nil
		}
		failed = append(failed, fmt.Errorf("%s: %w", c.urls[index].Host, err))
		if !otherWorkerMayDo(err) || ctx.Err() != nil {
			break
		}
	}
	return tried(failed)
}

// tried makes one error of those of several workers; the last one's reason
// counts.
type tried []error

func (t tried) Error() string {
	texts := make([]string, len(t))
	for i, err := range t {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (t tried) Unwrap() error { return t[len(t)-1] }

// otherWorkerMayDo tells whether another worker might answer what this one did
// not. All share credentials and content; each has plugins, a state and a
// network of its own.
func otherWorkerMayDo(err error) bool {
	if status, ok := errors.AsType[*statusError](err); ok {
		starting := status.code == http.StatusNotFound && !status.json
		return starting || status.code >= http.StatusInternalServerError && !status.rebalancing
	}
	return !errors.Is(err, connect.TooLarge) && !errors.Is(err, errList)
}

func (c *client) tryURL(ctx context.Context, base *url.URL, urlsLeft int, call call, report func(connect.Request)) error {
	err := c.once(ctx, base, urlsLeft, call, report)
	if !errors.Is(err, connect.Rebalancing) {
		return err
	}
	// A rebalance is mostly over in a moment: one retry is usually enough.
	timer := time.NewTimer(rebalanceBackoff)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return err
	case <-timer.C:
		return c.once(ctx, base, urlsLeft, call, report)
	}
}

func (c *client) once(ctx context.Context, base *url.URL, urlsLeft int, call call, report func(connect.Request)) error {
	timeout := cmp.Or(call.timeout, c.timeout)
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(deadline)/time.Duration(urlsLeft))
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	request := connect.Request{Endpoint: call.endpoint, Connector: call.connector, Host: base.Host, Start: time.Now()}
	var waiting time.Duration
	request.Code, request.Bytes, waiting, request.Err = c.get(ctx, base, call)
	request.Duration = time.Since(request.Start)
	request.Decoding = request.Duration - waiting
	if report != nil {
		report(request)
	}
	return request.Err
}

func (c *client) get(ctx context.Context, base *url.URL, call call) (code int, size int64, waiting time.Duration, err error) {
	// The path is already escaped, and must stay so: "%2F" in a connector's name
	// is not "/".
	target := *base
	target.RawPath = strings.TrimSuffix(base.EscapedPath(), "/") + call.path
	if target.Path, err = url.PathUnescape(target.RawPath); err != nil {
		return 0, 0, 0, fmt.Errorf("%w: escape path: %w", connect.Unaddressable, err)
	}
	target.RawQuery = call.query
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("%w: make request", connect.Unreachable)
	}
	request.Header.Set("Accept", "application/json")
	// Without this a proxy may take any coding to be welcome (RFC 9110, 12.5.3).
	request.Header.Set("Accept-Encoding", "identity")

	var sent sentSecrets
	if call.words {
		request = request.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaderField: sent.add}))
	}
	start := time.Now()
	response, err := c.http.Do(request)
	waiting = time.Since(start)
	if end := NotAfter(response, err); !end.IsZero() {
		c.leaves.Store(base.Host, end)
	}
	if err != nil {
		return 0, 0, waiting, TransportError(ctx, err)
	}
	plain, unreadable := uncompressed(response.Header.Get("Content-Encoding"), response.Body)
	body := &body{Reader: plain, left: c.limit}
	defer func() {
		size, waiting = c.limit-body.left, waiting+body.waited
		_ = response.Body.Close()
	}()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(body, errorBodyLimit))
		// The rest is read, so that the connection can serve again.
		_, _ = io.CopyN(io.Discard, response.Body, drainLimit)
		if call.refused != nil {
			call.refused(response.StatusCode, text)
		}
		status := newStatusError(response.StatusCode, text)
		if call.words && status.json && status.code != http.StatusUnauthorized && status.code != http.StatusForbidden {
			status.words = words(text, &sent)
		}
		return response.StatusCode, 0, waiting, status
	}
	if unreadable != nil {
		return response.StatusCode, 0, waiting, unreadable
	}
	// A decoder that succeeds has read to the end; one that fails leaves a
	// body that is not worth reading, and its connection is given up.
	if err := call.decode(body); err != nil {
		// Why reading broke off says more than what the decoder made of it.
		if body.err != nil && !errors.Is(body.err, io.ErrUnexpectedEOF) {
			return response.StatusCode, 0, waiting, TransportError(ctx, body.err)
		}
		if errors.Is(err, connect.Decode) && strings.Contains(response.Header.Get("Content-Type"), "html") {
			err = errPage
		}
		return response.StatusCode, 0, waiting, err
	}
	return response.StatusCode, 0, waiting, nil
}

// TransportError gives an error of an HTTP client its reason, and takes out of
// its text the URL and what the other side sent.
func TransportError(ctx context.Context, err error) error {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		// Whether its time is over says the outer one.
		if outer.Timeout() {
			return fmt.Errorf("%w: no complete answer in time", connect.Timeout)
		}
		err = outer.Err
	}
	var reason connect.Reason
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &reason):
		return err
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%w: no complete answer in time", connect.Timeout)
	}
	return fmt.Errorf("%w: %s", connect.Unreachable, connect.Unquoted(err))
}

// newStatusError takes an error answer apart. Its text is compared with what
// Kafka Connect is known to say, and not passed on: it may quote configuration.
func newStatusError(code int, text []byte) *statusError {
	e := &statusError{code: code}
	trimmed := bytes.TrimSpace(text)
	e.json = bytes.HasPrefix(trimmed, []byte("{")) && bytes.Contains(trimmed, []byte(`"error`))
	e.rebalancing = code == http.StatusConflict ||
		// KAFKA-14132's refactoring made the 409 a 500 (Kafka 3.5 and later).
		code == http.StatusInternalServerError && bytes.Contains(text, []byte("a rebalance is expected"))
	e.plugin = code == http.StatusInternalServerError && bytes.Contains(text, []byte("Failed to find any class that implements"))
	return e
}

// errPage is what a login, a proxy or some other server answers with.
var errPage = fmt.Errorf("%w: the answer is a page, not JSON: check the URL, and what stands before it", connect.Decode)

// body is the reading side of an answer: it counts, keeps the reason why
// reading ended, and stops at the limit.
type body struct {
	io.Reader
	left   int64
	err    error // other than io.EOF
	waited time.Duration
}

func (b *body) Read(p []byte) (int, error) {
	if b.left <= 0 {
		b.err = fmt.Errorf("%w: an answer beyond the limit", connect.TooLarge)
		return 0, b.err
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	start := time.Now()
	n, err := b.Reader.Read(p)
	b.waited += time.Since(start)
	b.left -= int64(n)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

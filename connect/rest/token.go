package rest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"golang.org/x/oauth2"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

const (
	// tokenTimeout is how long the token endpoint of OAuth 2.0 may take to be
	// reached, and then to answer.
	tokenTimeout = 5 * time.Second
	// dialTimeout is how long a connection may take to come about, for which
	// further requests may wait.
	dialTimeout = 30 * time.Second
)

// ofCluster marks the context of requests that go to the cluster.
type ofCluster struct{}

// marking marks requests as going to the cluster.
type marking struct{ next http.RoundTripper }

func (m marking) RoundTrip(r *http.Request) (*http.Response, error) {
	return m.next.RoundTrip(r.WithContext(context.WithValue(r.Context(), ofCluster{}, true)))
}

// CloseIdleConnections is what http.Client calls by that name.
func (m marking) CloseIdleConnections() {
	if closer, ok := m.next.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// dialer returns a function that dials. The library asks the token endpoint
// without the deadline of the request that needs the token, and without one of
// its own: an endpoint that hangs would be waited for until the process ends. So
// its connections, which are those that marking has not marked, end by timeout.
func dialer(timeout time.Duration) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if ctx.Value(ofCluster{}) != nil {
			return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, address)
		}
		conn, err := (&net.Dialer{Timeout: timeout}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return impatient{conn, timeout}, nil
	}
}

// impatient is a connection whose other side has to answer what was written
// within the timeout.
type impatient struct {
	net.Conn
	timeout time.Duration
}

func (c impatient) Write(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// tokenError says why a token endpoint refused, without the text of its answer.
func tokenError(refused *oauth2.RetrieveError) error {
	reason, code := connect.Unreachable, 0
	if refused.Response != nil {
		code = refused.Response.StatusCode
	}
	if code >= http.StatusBadRequest && code < http.StatusInternalServerError {
		reason = connect.Unauthorized
	}
	text := fmt.Sprintf("the OAuth 2.0 token endpoint answers HTTP %d", code)
	// RFC 6749, section 5.2.
	known := []string{"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope"}
	if slices.Contains(known, refused.ErrorCode) {
		text += ", " + refused.ErrorCode
	}
	return fmt.Errorf("%w: %s", reason, text)
}

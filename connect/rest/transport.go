package rest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	commoncfg "github.com/prometheus/common/config"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/safefile"
)

const (
	// idleConnTimeout lies below the 30 s after which Jetty 9 (Kafka up to 3.9)
	// closes an idle connection, so that we never write into a closed one.
	idleConnTimeout = 25 * time.Second
	// connectionLifetime is how long a connection serves new requests. Then names
	// are resolved anew: the one who answered before may have moved, and still
	// answer where it was.
	connectionLifetime = time.Minute
	// dialTimeout is how long a connection may take to come about, for which
	// further requests may wait.
	dialTimeout  = 30 * time.Second
	maxRedirects = 5
)

// NewClient returns the HTTP client that observers use: prometheus/common's
// authentication, TLS and proxy settings, and redirects only within the host
// that was asked, so that no credential follows one elsewhere. No request of it
// outlasts its context, whatever it waits for. name is the cluster's, for errors.
func NewClient(cfg commoncfg.HTTPClientConfig, name string) (*http.Client, error) {
	return NewTrustingClient(cfg, name, "")
}

// NewTrustingClient is [NewClient] with authorities (PEM) that verify the cluster
// beside those of the system, where cfg has none of its own. What is no certificate
// among them is passed over.
func NewTrustingClient(cfg commoncfg.HTTPClientConfig, name, authorities string) (*http.Client, error) {
	return newClient(cfg, name, clientTimes{token: tokenTimeout, connection: connectionLifetime}, authorities)
}

// clientTimes are what tests make shorter.
type clientTimes struct {
	// token is how long a token endpoint may take.
	token time.Duration
	// connection is its lifetime.
	connection time.Duration
}

func newClient(cfg commoncfg.HTTPClientConfig, name string, times clientTimes, authorities string) (*http.Client, error) {
	transport, err := newTransport(cfg, times, authorities)
	if err != nil {
		return nil, fmt.Errorf("set up HTTP for %s: %w", name, err)
	}
	client := &http.Client{Transport: transport, CheckRedirect: within(errRedirect)}
	if !cfg.FollowRedirects {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return client, nil
}

// within refuses redirects to another scheme, host or port by an error that
// quotes nothing of them: they may repeat the credentials that were sent.
func within(refusal error) func(*http.Request, []*http.Request) error {
	return func(next *http.Request, via []*http.Request) error {
		switch first := via[0].URL; {
		case next.URL.Scheme != first.Scheme || next.URL.Host != first.Host:
			return refusal
		case len(via) >= maxRedirects:
			return errRedirectLoop
		}
		return nil
	}
}

var (
	errRedirect     = fmt.Errorf("%w: a redirect to another host, port or scheme, which is not followed; name that one in urls, or api_url of Confluent Cloud", connect.HTTPStatus)
	errRedirectLoop = fmt.Errorf("%w: more than %d redirects", connect.HTTPStatus, maxRedirects)
)

func newTransport(cfg commoncfg.HTTPClientConfig, times clientTimes, authorities string) (http.RoundTripper, error) {
	oauth := cfg.OAuth2
	cfg.OAuth2 = nil
	var transport http.RoundTripper
	transport, err := newRenewing(times.connection, func() (http.RoundTripper, error) { return library(cfg, authorities) })
	if err != nil {
		return nil, err
	}
	if oauth != nil {
		if transport, err = newAuthorized(transport, oauth, times.token); err != nil {
			return nil, err
		}
	}
	return &upright{transport}, nil
}

// Transport gives what renew returns the care of NewClient: its connections have
// a lifetime, after which renew is called again, and no answer outlasts its
// request.
func Transport(renew func() (http.RoundTripper, error)) (http.RoundTripper, error) {
	transport, err := newRenewing(connectionLifetime, renew)
	if err != nil {
		return nil, err
	}
	return &upright{transport}, nil
}

// library remembers the name of each client as long as the process runs: clusters
// that come and go have one together.
func library(cfg commoncfg.HTTPClientConfig, authorities string) (http.RoundTripper, error) {
	options := []commoncfg.HTTPClientOption{
		commoncfg.WithIdleConnTimeout(idleConnTimeout), commoncfg.WithUserAgent("kafka-connect-exporter"),
		commoncfg.WithDialContextFunc((&net.Dialer{Timeout: dialTimeout}).DialContext),
	}
	if authorities != "" {
		options = append(options, commoncfg.WithNewTLSConfigFunc(trusting(authorities)))
	}
	return safefile.Transport(cfg, "kafka-connect", options...)
}

// trusting adds authorities to the system's, unless others are configured.
func trusting(authorities string) commoncfg.NewTLSConfigFunc {
	return func(ctx context.Context, c *commoncfg.TLSConfig, options ...commoncfg.TLSConfigOption) (*tls.Config, error) {
		made, err := commoncfg.NewTLSConfigWithContext(ctx, c, options...)
		if err != nil || made.RootCAs != nil {
			return made, err
		}
		if made.RootCAs, err = x509.SystemCertPool(); err != nil {
			made.RootCAs = x509.NewCertPool() // A system without authorities, such as an empty image.
		}
		made.RootCAs.AppendCertsFromPEM([]byte(authorities))
		return made, nil
	}
}

// idleCloser is how http.Client has a transport release its connections.
type idleCloser interface{ CloseIdleConnections() }

func closeIdle(transport http.RoundTripper) {
	if closer, ok := transport.(idleCloser); ok {
		closer.CloseIdleConnections()
	}
}

// upright ends what is no answer to a GET: a 101 that nobody asked for makes its
// body the bare connection, which no context ends. Nor are a proxy's words one.
type upright struct{ next http.RoundTripper }

func (u *upright) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := u.next.RoundTrip(r)
	if err == nil && response.StatusCode == http.StatusSwitchingProtocols {
		_ = response.Body.Close()
		response.Body = http.NoBody
	}
	return response, connect.OfProxy(err)
}

func (u *upright) CloseIdleConnections() { closeIdle(u.next) }

// renewing changes its transport for a new one from time to time, so that no
// connection serves requests for ever. Of the old one, requests that are under
// way end; its connections are closed as they become idle.
type renewing struct {
	lifetime time.Duration
	renew    func() (http.RoundTripper, error)
	now      func() time.Time

	mu      sync.Mutex
	current http.RoundTripper
	since   time.Time // of the first request
}

func newRenewing(lifetime time.Duration, renew func() (http.RoundTripper, error)) (*renewing, error) {
	first, err := renew()
	return &renewing{lifetime: lifetime, renew: renew, now: time.Now, current: first}, err
}

func (r *renewing) RoundTrip(request *http.Request) (*http.Response, error) {
	return r.transport().RoundTrip(request)
}

func (r *renewing) transport() http.RoundTripper {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if !r.since.IsZero() && now.Sub(r.since) < r.lifetime {
		return r.current
	}
	if !r.since.IsZero() {
		// It fails where a file of the configuration is being changed: then
		// connections live on for a while.
		if next, err := r.renew(); err == nil {
			defer closeIdle(r.current)
			r.current = next
		}
	}
	r.since = now
	return r.current
}

func (r *renewing) CloseIdleConnections() {
	r.mu.Lock()
	defer r.mu.Unlock()
	closeIdle(r.current)
}

// NotAfter is when the certificate ends that the host of a request showed, also
// where it was refused because it has ended; zero where it showed none.
func NotAfter(response *http.Response, err error) time.Time {
	if response != nil && response.TLS != nil && len(response.TLS.PeerCertificates) > 0 {
		return response.TLS.PeerCertificates[0].NotAfter
	}
	if refused, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(refused.UnverifiedCertificates) > 0 {
		return refused.UnverifiedCertificates[0].NotAfter
	}
	return time.Time{}
}

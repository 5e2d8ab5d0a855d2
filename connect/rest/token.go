package rest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	commoncfg "github.com/prometheus/common/config"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/sync/singleflight"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/safefile"
)

// tokenTimeout is how long the token endpoint of OAuth 2.0 may take to answer.
const tokenTimeout = 5 * time.Second

var errTokenRedirect = fmt.Errorf("%w: the OAuth 2.0 token endpoint redirects to another host, port or scheme, which gets no credentials; name that one in token_url", connect.HTTPStatus)

// authorized adds tokens of OAuth 2.0 to requests. The library's own follows
// redirects of the token endpoint with the credentials, and waits for it without
// regard to the request that needs the token.
type authorized struct {
	next   http.RoundTripper
	config *commoncfg.OAuth2
	client *http.Client // for the token endpoint
	// timeout of a fetch. The client has none: with two the error would depend on which is first.
	timeout time.Duration

	fetching singleflight.Group // by secret; all who need a token wait for it

	mu     sync.Mutex
	secret string
	source tokenSource // for secret; it knows how the endpoint wants to be asked
	token  *oauth2.Token
}

// tokenSource is what both grant types have.
type tokenSource interface {
	TokenSource(context.Context) oauth2.TokenSource
}

func newAuthorized(next http.RoundTripper, config *commoncfg.OAuth2, timeout time.Duration) (http.RoundTripper, error) {
	transport, err := library(commoncfg.HTTPClientConfig{TLSConfig: config.TLSConfig, ProxyConfig: config.ProxyConfig}, "")
	if err != nil {
		return nil, fmt.Errorf("oauth2: %w", err)
	}
	return &authorized{
		next: next, config: config, timeout: timeout,
		client: &http.Client{Transport: &upright{transport}, CheckRedirect: within(errTokenRedirect)},
	}, nil
}

func (a *authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := a.get(r.Context())
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	token.SetAuthHeader(r)
	return a.next.RoundTrip(r)
}

func (a *authorized) CloseIdleConnections() {
	a.client.CloseIdleConnections()
	closeIdle(a.next)
}

// get returns a token that is valid, by ctx's end.
func (a *authorized) get(ctx context.Context) (*oauth2.Token, error) {
	text, file := a.config.ClientSecret, a.config.ClientSecretFile
	if a.config.GrantType == grantJWT {
		text, file = a.config.ClientCertificateKey, a.config.ClientCertificateKeyFile
	}
	secret := string(text)
	if file != "" {
		var err error
		if secret, err = safefile.ReadSecret(file); err != nil {
			return nil, fmt.Errorf("read the OAuth 2.0 client's secret: %s %w", file, err)
		}
	}
	a.mu.Lock()
	if a.source == nil || secret != a.secret {
		a.secret, a.source, a.token = secret, newSource(a.config, secret), nil
	}
	source, token := a.source, a.token
	a.mu.Unlock()
	if token.Valid() {
		return token, nil
	}
	select {
	case fetched := <-a.fetching.DoChan(secret, func() (any, error) { return a.fetch(source) }):
		if fetched.Err != nil {
			return nil, fetched.Err
		}
		return fetched.Val.(*oauth2.Token), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: ask the OAuth 2.0 token endpoint: no complete answer in time", connect.Timeout)
	}
}

// fetch asks the token endpoint. It has a time of its own: others than the one who
// began may wait for it.
func (a *authorized) fetch(source tokenSource) (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), oauth2.HTTPClient, a.client), a.timeout)
	defer cancel()
	token, err := source.TokenSource(ctx).Token()
	if err != nil {
		return nil, tokenError(ctx, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.source == source { // not for another secret by now
		a.token = token
	}
	return token, nil
}

// grantJWT is the grant type of RFC 7523, as the library spells it.
const grantJWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"

func newSource(config *commoncfg.OAuth2, secret string) tokenSource {
	parameters := url.Values{}
	for name, value := range config.EndpointParams {
		parameters.Set(name, value)
	}
	if config.GrantType != grantJWT {
		return &clientcredentials.Config{
			ClientID: config.ClientID, ClientSecret: secret, Scopes: config.Scopes,
			TokenURL: config.TokenURL, EndpointParams: parameters,
		}
	}
	algorithm := jwt.SigningMethodRS256
	for _, known := range []*jwt.SigningMethodRSA{jwt.SigningMethodRS384, jwt.SigningMethodRS512} {
		if config.SignatureAlgorithm == known.Name {
			algorithm = known
		}
	}
	return &commoncfg.JwtGrantTypeConfig{
		PrivateKey: []byte(secret), PrivateKeyID: config.ClientCertificateKeyID, SigningAlgorithm: algorithm,
		Scopes: config.Scopes, TokenURL: config.TokenURL, EndpointParams: parameters,
		Iss: cmp.Or(config.Iss, config.ClientID), Subject: config.ClientID, Audience: config.Audience, PrivateClaims: config.Claims,
	}
}

// tokenError says why no token was had, without the text of an answer.
func tokenError(ctx context.Context, err error) error {
	refused, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		err = TransportError(ctx, err)
		if errors.Is(err, errTokenRedirect) {
			return err
		}
		return fmt.Errorf("ask the OAuth 2.0 token endpoint: %w", err)
	}
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

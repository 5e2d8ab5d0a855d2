package kafka

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"

	commoncfg "github.com/prometheus/common/config"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/safefile"
)

// tokens are had by client credentials (RFC 6749, section 4.4) and used until
// they are about to expire.
type tokens struct {
	config *commoncfg.OAuth2
	client *http.Client

	mu     sync.Mutex
	token  *oauth2.Token
	secret string
}

func newTokens(config *commoncfg.OAuth2) (*tokens, error) {
	tls, err := safefile.TLSConfig(config.TLSConfig)
	if err != nil {
		return nil, fmt.Errorf("set up TLS to the token endpoint: %w", err)
	}
	return &tokens{config: config, client: &http.Client{
		Transport: &http.Transport{
			TLSClientConfig: tls, Proxy: config.Proxy(), ProxyConnectHeader: config.GetProxyConnectHeader(),
			// One call in a token's life: nothing to keep, and nothing to close.
			DisableKeepAlives: true,
		},
		// The client's secret goes to the endpoint that was configured alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       defaultTimeout,
	}}, nil
}

// get returns a token that is valid. Its errors tell nothing of what the endpoint
// answered but the code.
func (t *tokens) get(ctx context.Context) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	secret := string(t.config.ClientSecret)
	if file := t.config.ClientSecretFile; file != "" {
		var err error
		if secret, err = safefile.ReadSecret(file); err != nil {
			return "", fmt.Errorf("%w: oauth2.client_secret_file %w", errSecret, err)
		}
	}
	if t.token.Valid() && secret == t.secret {
		return t.token.AccessToken, nil
	}
	parameters := url.Values{}
	for name, value := range t.config.EndpointParams {
		parameters.Set(name, value)
	}
	credentials := clientcredentials.Config{
		ClientID: t.config.ClientID, ClientSecret: secret, TokenURL: t.config.TokenURL,
		Scopes: t.config.Scopes, EndpointParams: parameters,
	}
	token, err := credentials.Token(context.WithValue(ctx, oauth2.HTTPClient, t.client))
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused) && refused.Response != nil:
		return "", fmt.Errorf("%w: the OAuth 2.0 token endpoint answers HTTP %d", errSecret, refused.Response.StatusCode)
	case err != nil:
		return "", fmt.Errorf("%w: the OAuth 2.0 token endpoint cannot be reached, or answers no token", errSecret)
	}
	t.token, t.secret = token, secret
	return token.AccessToken, nil
}

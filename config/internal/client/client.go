// Package client holds the settings of prometheus/common's HTTP client, and of TLS,
// against what they need: what the library accepts, and each request would fail by.
// An error names the field, and never quotes its value.
package client

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"

	commoncfg "github.com/prometheus/common/config"
	"golang.org/x/net/http/httpguts"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config/internal/strict"
)

// Check checks a client.
func Check(c *commoncfg.HTTPClientConfig, block string, at strict.Place) error {
	if basic := c.BasicAuth; basic != nil && basic.Username == "" && basic.UsernameFile == "" {
		return at.Wrong(block+".basic_auth", "needs username or username_file")
	}
	if authorization := c.Authorization; authorization != nil {
		if err := cmp.Or(
			at.When(authorization.Credentials == "" && authorization.CredentialsFile == "", block+".authorization", "needs credentials or credentials_file"),
			CheckHeader(string(authorization.Credentials), block+".authorization.credentials", at),
			at.When(!httpguts.ValidHeaderFieldName(authorization.Type), block+".authorization.type", "must be one word, such as Bearer"),
		); err != nil {
			return err
		}
	}
	if c.OAuth2 != nil {
		if err := CheckOAuth2(c.OAuth2, block+".oauth2", at); err != nil {
			return err
		}
	}
	return cmp.Or(checkProxy(&c.ProxyConfig, block, at), checkHeaders(c.HTTPHeaders, block+".http_headers", at), CheckTLS(&c.TLSConfig, block+".tls_config", at))
}

// Authenticates tells whether a client sends credentials of its settings.
func Authenticates(c *commoncfg.HTTPClientConfig) bool {
	return c.BasicAuth != nil || c.Authorization != nil || c.OAuth2 != nil
}

// Authenticate turns the userinfo of a URL at a field into basic_auth.
func Authenticate(c *commoncfg.HTTPClientConfig, user *url.Userinfo, field string, at strict.Place) error {
	if user == nil {
		return nil
	}
	if Authenticates(c) {
		return at.Wrong(field, "carries a user and password, and credentials are configured besides: remove those of the URL")
	}
	password, _ := user.Password()
	c.BasicAuth = &commoncfg.BasicAuth{Username: user.Username(), Password: commoncfg.Secret(strings.TrimRight(password, "\r\n"))}
	return nil
}

// CheckHeader checks a value that is sent in a header.
func CheckHeader(value, field string, at strict.Place) error {
	return at.When(!httpguts.ValidHeaderFieldValue(value), field, "must be one line without control characters")
}

func checkHeaders(headers *commoncfg.Headers, block string, at strict.Place) error {
	if headers == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(headers.Headers)) {
		if !httpguts.ValidHeaderFieldName(name) {
			return at.Wrong(block, "a name here is that of no HTTP header: it must consist of letters, digits and -")
		}
		header := headers.Headers[name]
		if err := cmp.Or(checkEach(header.Values, block+"."+name+".values", at), checkEach(header.Secrets, block+"."+name+".secrets", at)); err != nil {
			return err
		}
	}
	return nil
}

func checkEach[S ~string](values []S, field string, at strict.Place) error {
	for i, value := range values {
		if err := CheckHeader(string(value), strict.Item(field, i), at); err != nil {
			return err
		}
	}
	return nil
}

func checkProxy(proxy *commoncfg.ProxyConfig, block string, at strict.Place) error {
	if address := proxy.ProxyURL.URL; address != nil && address.String() != "" && !IsProxy(address) {
		return at.Wrong(block+".proxy_url", "must be a URL such as http://proxy:3128")
	}
	for _, values := range proxy.ProxyConnectHeader {
		for _, value := range values {
			if err := CheckHeader(string(value), block+".proxy_connect_header", at); err != nil {
				return err
			}
		}
	}
	return nil
}

// IsProxy tells whether a URL can be that of a proxy.
func IsProxy(address *url.URL) bool {
	return slices.Contains([]string{"http", "https", "socks5", "socks5h"}, address.Scheme) && address.Hostname() != "" && address.RawQuery == "" && address.Fragment == ""
}

// JWTBearer is the grant of OAuth2 that signs an assertion.
const JWTBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// CheckOAuth2 checks where tokens come from.
func CheckOAuth2(oauth *commoncfg.OAuth2, block string, at strict.Place) error {
	address, _, _ := strings.Cut(oauth.TokenURL, "?")
	if _, user, err := ParseURL(address); err != nil {
		return at.Wrong(block+".token_url", "%s", err)
	} else if user != nil {
		return at.Wrong(block+".token_url", "must not carry a user and password: use client_id and client_secret")
	}
	_, err := url.Parse(oauth.TokenURL)
	return cmp.Or(
		at.When(err != nil, block+".token_url", "is no valid URL"),
		checkGrant(oauth, block, at),
		checkProxy(&oauth.ProxyConfig, block, at),
		CheckTLS(&oauth.TLSConfig, block+".tls_config", at),
	)
}

// checkGrant refuses what the kind of grant has no use for.
func checkGrant(oauth *commoncfg.OAuth2, block string, at strict.Place) error {
	switch oauth.GrantType {
	case "", "client_credentials":
	case JWTBearer:
		return cmp.Or(
			at.When(oauth.ClientCertificateKey == "" && oauth.ClientCertificateKeyFile == "", block, "needs client_certificate_key or client_certificate_key_file, which signs the assertion"),
			at.When(oauth.ClientSecret != "" || oauth.ClientSecretFile != "", block, "client_secret belongs to grant_type: client_credentials: remove it"),
		)
	default:
		return at.Wrong(block+".grant_type", "must be client_credentials or %s", JWTBearer)
	}
	for _, signing := range []struct{ field, value string }{
		{"client_certificate_key", string(oauth.ClientCertificateKey)},
		{"client_certificate_key_file", oauth.ClientCertificateKeyFile},
		{"client_certificate_key_id", oauth.ClientCertificateKeyID},
		{"signature_algorithm", oauth.SignatureAlgorithm},
		{"iss", oauth.Iss},
		{"audience", oauth.Audience},
	} {
		if signing.value != "" {
			return at.Wrong(block+"."+signing.field, "belongs to grant_type: %s: add that or remove this", JWTBearer)
		}
	}
	return at.When(len(oauth.Claims) > 0, block+".claims", "belongs to grant_type: %s: add that or remove this", JWTBearer)
}

package config

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	commoncfg "github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"
	"golang.org/x/net/http/httpguts"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/safefile"
)

// fileFields are the fields of a block that name a file.
type fileFields []struct{ field, path string }

func (f *fileFields) add(field, path string) {
	if path != "" {
		*f = append(*f, struct{ field, path string }{field, path})
	}
}

func (f *fileFields) addTLS(block string, tls *commoncfg.TLSConfig) {
	f.add(block+".ca_file", tls.CAFile)
	f.add(block+".cert_file", tls.CertFile)
	f.add(block+".key_file", tls.KeyFile)
}

func (f *fileFields) addOAuth2(block string, oauth *commoncfg.OAuth2) {
	f.add(block+".client_secret_file", oauth.ClientSecretFile)
	f.add(block+".client_certificate_key_file", oauth.ClientCertificateKeyFile)
	f.addTLS(block+".tls_config", &oauth.TLSConfig)
}

func (f fileFields) paths() (paths []string) {
	for _, file := range f {
		paths = append(paths, file.path)
	}
	return paths
}

// read reads every file once, so that one that cannot be read is reported now
// and not by the first request. It returns a digest of each.
func (f fileFields) read(at origin) (digests []string, err error) {
	for _, file := range f {
		content, err := safefile.Read(file.path, safefile.MaxSecret)
		if err != nil {
			return nil, at.wrong(file.field, "%s %s", file.path, err)
		}
		digest := sha256.Sum256(content)
		digests = append(digests, string(digest[:]))
	}
	return digests, nil
}

// clientFiles lists the files that an HTTP client reads.
func clientFiles(client *commoncfg.HTTPClientConfig) (files fileFields) {
	if basic := client.BasicAuth; basic != nil {
		files.add("http_client.basic_auth.username_file", basic.UsernameFile)
		files.add("http_client.basic_auth.password_file", basic.PasswordFile)
	}
	if authorization := client.Authorization; authorization != nil {
		files.add("http_client.authorization.credentials_file", authorization.CredentialsFile)
	}
	if client.OAuth2 != nil {
		files.addOAuth2("http_client.oauth2", client.OAuth2)
	}
	files.addTLS("http_client.tls_config", &client.TLSConfig)
	if client.HTTPHeaders != nil {
		for _, name := range slices.Sorted(maps.Keys(client.HTTPHeaders.Headers)) {
			for i, path := range client.HTTPHeaders.Headers[name].Files {
				files.add(item("http_client.http_headers."+name+".files", i), path)
			}
		}
	}
	return files
}

// usableClient refuses what prometheus/common accepts and this exporter cannot
// use: references to a secret manager, and values that would fail each request.
func usableClient(client *commoncfg.HTTPClientConfig, at origin) error {
	if basic := client.BasicAuth; basic != nil {
		if err := noReference(at, "http_client.basic_auth", map[string]string{"username_ref": basic.UsernameRef, "password_ref": basic.PasswordRef}); err != nil {
			return err
		}
		if basic.Username == "" && basic.UsernameFile == "" {
			return at.wrong("http_client.basic_auth", "needs username or username_file")
		}
	}
	if authorization := client.Authorization; authorization != nil {
		if err := noReference(at, "http_client.authorization", map[string]string{"credentials_ref": authorization.CredentialsRef}); err != nil {
			return err
		}
		if authorization.Credentials == "" && authorization.CredentialsFile == "" {
			return at.wrong("http_client.authorization", "needs credentials or credentials_file")
		}
		if !headerValue(string(authorization.Credentials)) {
			return at.wrong("http_client.authorization.credentials", wrongHeaderValue)
		}
		if !httpguts.ValidHeaderFieldName(authorization.Type) {
			return at.wrong("http_client.authorization.type", "must be one word, such as Bearer")
		}
	}
	if err := usableProxy(&client.ProxyConfig, "http_client", at); err != nil {
		return err
	}
	if client.OAuth2 != nil {
		if err := usableOAuth2(client.OAuth2, "http_client.oauth2", at); err != nil {
			return err
		}
	}
	if err := usableHeaders(client.HTTPHeaders, at); err != nil {
		return err
	}
	return usableTLS(&client.TLSConfig, "http_client.tls_config", at)
}

// noReference refuses what only a secret manager could resolve.
func noReference(at origin, block string, references map[string]string) error {
	for _, field := range slices.Sorted(maps.Keys(references)) {
		if references[field] != "" {
			return at.wrong(block+"."+field, "needs a secret manager, which this exporter has none of: use the field or its _file form")
		}
	}
	return nil
}

const wrongHeaderValue = "must be one line without control characters"

func headerValue(text string) bool { return httpguts.ValidHeaderFieldValue(text) }

func usableHeaders(headers *commoncfg.Headers, at origin) error {
	if headers == nil {
		return nil
	}
	for name, header := range headers.Headers {
		if !httpguts.ValidHeaderFieldName(name) {
			return at.wrong("http_client.http_headers", "a name here is that of no HTTP header: it must consist of letters, digits and -")
		}
		for i, value := range header.Values {
			if !headerValue(value) {
				return at.wrong(item("http_client.http_headers."+name+".values", i), wrongHeaderValue)
			}
		}
		for i, value := range header.Secrets {
			if !headerValue(string(value)) {
				return at.wrong(item("http_client.http_headers."+name+".secrets", i), wrongHeaderValue)
			}
		}
	}
	return nil
}

func usableProxy(proxy *commoncfg.ProxyConfig, block string, at origin) error {
	if address := proxy.ProxyURL.URL; address != nil && address.String() != "" && !usableProxyURL(address) {
		return at.wrong(block+".proxy_url", "must be a URL such as http://proxy:3128")
	}
	for _, values := range proxy.ProxyConnectHeader {
		for _, value := range values {
			if !headerValue(string(value)) {
				return at.wrong(block+".proxy_connect_header", wrongHeaderValue)
			}
		}
	}
	return nil
}

func usableProxyURL(address *url.URL) bool {
	return slices.Contains([]string{"http", "https", "socks5", "socks5h"}, address.Scheme) && address.Hostname() != "" && address.RawQuery == "" && address.Fragment == ""
}

func usableOAuth2(oauth *commoncfg.OAuth2, block string, at origin) error {
	if err := noReference(at, block, map[string]string{"client_secret_ref": oauth.ClientSecretRef, "client_certificate_key_ref": oauth.ClientCertificateKeyRef}); err != nil {
		return err
	}
	address, _, _ := strings.Cut(oauth.TokenURL, "?")
	if _, user, err := parseURL(address); err != nil {
		return at.wrong(block+".token_url", "%s", err)
	} else if user != nil {
		return at.wrong(block+".token_url", "must not carry a user and password: use client_id and client_secret")
	}
	if _, err := url.Parse(oauth.TokenURL); err != nil {
		return at.wrong(block+".token_url", "is no valid URL")
	}
	if err := usableGrant(oauth, block, at); err != nil {
		return err
	}
	if err := usableProxy(&oauth.ProxyConfig, block, at); err != nil {
		return err
	}
	return usableTLS(&oauth.TLSConfig, block+".tls_config", at)
}

const jwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// usableGrant refuses what the kind of grant has no use for.
func usableGrant(oauth *commoncfg.OAuth2, block string, at origin) error {
	idle := []struct {
		field string
		set   bool
	}{
		{"client_certificate_key", oauth.ClientCertificateKey != ""},
		{"client_certificate_key_file", oauth.ClientCertificateKeyFile != ""},
		{"client_certificate_key_id", oauth.ClientCertificateKeyID != ""},
		{"signature_algorithm", oauth.SignatureAlgorithm != ""},
		{"iss", oauth.Iss != ""},
		{"audience", oauth.Audience != ""},
		{"claims", len(oauth.Claims) > 0},
	}
	switch oauth.GrantType {
	case "", "client_credentials":
	case jwtBearer:
		switch {
		case oauth.ClientCertificateKey == "" && oauth.ClientCertificateKeyFile == "":
			return at.wrong(block, "needs client_certificate_key or client_certificate_key_file, which signs the assertion")
		case oauth.ClientSecret != "" || oauth.ClientSecretFile != "":
			return at.wrong(block, "client_secret belongs to grant_type: client_credentials: remove it")
		}
		return nil
	default:
		return at.wrong(block+".grant_type", "must be client_credentials or %s", jwtBearer)
	}
	for _, setting := range idle {
		if setting.set {
			return at.wrong(block+"."+setting.field, "belongs to grant_type: %s: add that or remove this", jwtBearer)
		}
	}
	return nil
}

// usableTLS holds certificates and keys against what TLS needs of them.
func usableTLS(c *commoncfg.TLSConfig, block string, at origin) error {
	_, err := readTLS(c, block, at)
	return err
}

// readTLS returns the settings with what their files hold in place of these. Why
// a library cannot read a certificate is not told: its words are of ASN.1, and
// may quote.
func readTLS(c *commoncfg.TLSConfig, block string, at origin) (inline commoncfg.TLSConfig, err error) {
	if err := noReference(at, block, map[string]string{"ca_ref": c.CARef, "cert_ref": c.CertRef, "key_ref": c.KeyRef}); err != nil {
		return inline, err
	}
	if c.MaxVersion != 0 && c.MaxVersion < c.MinVersion {
		return inline, at.wrong(block+".max_version", "is below min_version")
	}
	const certificate, key = "CERTIFICATE", "PRIVATE KEY"
	authorities, err := readPEM(block+".ca", c.CA, c.CAFile, certificate, at)
	if err != nil {
		return inline, err
	}
	cert, err := readPEM(block+".cert", c.Cert, c.CertFile, certificate, at)
	if err != nil {
		return inline, err
	}
	private, err := readPEM(block+".key", string(c.Key), c.KeyFile, key, at)
	if err != nil {
		return inline, err
	}
	if len(cert) > 0 {
		if _, err := tls.X509KeyPair(cert, private); err != nil {
			return inline, at.wrong(block, "its certificate and key cannot be read, or do not belong together")
		}
	}
	inline = *c
	inline.CAFile, inline.CertFile, inline.KeyFile = "", "", ""
	inline.CA, inline.Cert, inline.Key = string(authorities), string(cert), commoncfg.Secret(private)
	return inline, nil
}

// readPEM returns what stands in a field or in the file that its _file form names,
// nothing where neither is set. wanted is the PEM type that must be there, and
// what more special ones end with.
func readPEM(field, inline, file, wanted string, at origin) (content []byte, err error) {
	if inline == "" && file == "" {
		return nil, nil
	}
	content = []byte(inline)
	if file != "" {
		field += "_file"
		if content, err = safefile.Read(file, safefile.MaxSecret); err != nil {
			return nil, at.wrong(field, "%s %s", file, err)
		}
	}
	found := false
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return nil, at.wrong(field, "holds an encrypted private key: decrypt it, with openssl pkey -in KEY")
		}
		if block.Type == "CERTIFICATE" && wanted == block.Type {
			if _, err := x509.ParseCertificate(block.Bytes); err != nil {
				return nil, at.wrong(field, "holds a certificate that cannot be read")
			}
		}
		found = found || strings.HasSuffix(block.Type, wanted)
	}
	if !found {
		what := "certificate"
		if wanted != "CERTIFICATE" {
			what = "private key"
		}
		return nil, at.wrong(field, "holds no %s in PEM form (BEGIN %s)", what, wanted)
	}
	return content, nil
}

// structural are prometheus/common's own words about fields that exclude or need
// each other; they hold no values.
var structural = regexp.MustCompile(`^(at most one of|exactly one of|authorization|oauth2 (client_id|token_url) must|valid signature algorithms|if (proxy_|no_proxy)|setting header "[A-Z][A-Za-z-]*" is not allowed$)`)

// clientProblem words why prometheus/common refuses a block.
func clientProblem(err error) string {
	if _, kind := errors.AsType[*yaml.TypeError](err); !kind && structural.MatchString(err.Error()) {
		return oneLine(err)
	}
	return "holds a value of the wrong kind"
}

// cloned returns a copy to work with: prometheus/common writes into what it is
// given, and settings are compared.
func cloned(oauth *commoncfg.OAuth2) *commoncfg.OAuth2 {
	if oauth == nil {
		return nil
	}
	clone := *oauth
	return &clone
}

// authenticateAs turns the userinfo of a URL into basic_auth.
func authenticateAs(client *commoncfg.HTTPClientConfig, user *url.Userinfo, place string) error {
	if user == nil {
		return nil
	}
	if authenticates(client) {
		return fmt.Errorf("%s: carries a user and password, and credentials are configured besides: remove those of the URL", place)
	}
	password, _ := user.Password()
	client.BasicAuth = &commoncfg.BasicAuth{Username: user.Username(), Password: commoncfg.Secret(strings.TrimRight(password, "\r\n"))}
	return nil
}

package config

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"

	commoncfg "github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"
	"golang.org/x/net/http/httpguts"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/safefile"
)

// eachFile visits the fields of a block that name a file: those whose name in
// YAML says so, and the files of headers.
func eachFile(block reflect.Value, path string, visit func(path string, file *string)) {
	switch block.Kind() {
	case reflect.Pointer:
		eachFile(block.Elem(), path, visit)
	case reflect.Slice:
		for i := range block.Len() {
			eachFile(block.Index(i), item(path, i), visit)
		}
	case reflect.Map:
		for _, key := range slices.SortedFunc(slices.Values(block.MapKeys()), func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) }) {
			eachFile(block.MapIndex(key), join(path, key.String()), visit)
		}
	case reflect.Struct:
		for field, value := range block.Fields() {
			name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
			switch place := join(path, name); {
			case strings.Contains(options, "inline"):
				eachFile(value, path, visit)
			case name == "" || name == "-":
			case value.Kind() == reflect.String && (strings.HasSuffix(name, "_file") || name == "kubeconfig"):
				if file := value.Addr().Interface().(*string); *file != "" {
					visit(place, file)
				}
			case value.Type() == reflect.TypeFor[[]string]() && block.Type() == reflect.TypeFor[commoncfg.Header]() && name == "files":
				for i := range value.Len() {
					visit(item(place, i), value.Index(i).Addr().Interface().(*string))
				}
			default:
				eachFile(value, place, visit)
			}
		}
	}
}

// readFiles reads every file that the settings name once, so that one that cannot
// be read is reported now and not by the first request. It returns a digest of
// each.
func readFiles(settings *Settings, at origin) (files, digests []string, err error) {
	eachFile(reflect.ValueOf(settings), "", func(field string, file *string) {
		content, readErr := safefile.Read(*file, safefile.MaxSecret)
		if readErr != nil && err == nil {
			err = at.wrong(field, "%s %s", *file, readErr)
		}
		digest := sha256.Sum256(content)
		files, digests = append(files, *file), append(digests, string(digest[:]))
	})
	return files, digests, err
}

// usableClient refuses what prometheus/common accepts and would fail each request.
func usableClient(client *commoncfg.HTTPClientConfig, at origin) error {
	if basic := client.BasicAuth; basic != nil && basic.Username == "" && basic.UsernameFile == "" {
		return at.wrong("http_client.basic_auth", "needs username or username_file")
	}
	if authorization := client.Authorization; authorization != nil {
		if err := cmp.Or(
			at.when(authorization.Credentials == "" && authorization.CredentialsFile == "", "http_client.authorization", "needs credentials or credentials_file"),
			at.header("http_client.authorization.credentials", string(authorization.Credentials)),
			at.when(!httpguts.ValidHeaderFieldName(authorization.Type), "http_client.authorization.type", "must be one word, such as Bearer"),
		); err != nil {
			return err
		}
	}
	if client.OAuth2 != nil {
		if err := usableOAuth2(client.OAuth2, "http_client.oauth2", at); err != nil {
			return err
		}
	}
	return cmp.Or(usableProxy(&client.ProxyConfig, "http_client", at), usableHeaders(client.HTTPHeaders, at), usableTLS(&client.TLSConfig, "http_client.tls_config", at))
}

// header: the field is a value that can stand in a header.
func (o origin) header(field, value string) error {
	return o.when(!httpguts.ValidHeaderFieldValue(value), field, "must be one line without control characters")
}

func usableHeaders(headers *commoncfg.Headers, at origin) error {
	if headers == nil {
		return nil
	}
	for name, header := range headers.Headers {
		if !httpguts.ValidHeaderFieldName(name) {
			return at.wrong("http_client.http_headers", "a name here is that of no HTTP header: it must consist of letters, digits and -")
		}
		for i, value := range header.Values {
			if err := at.header(item("http_client.http_headers."+name+".values", i), value); err != nil {
				return err
			}
		}
		for i, value := range header.Secrets {
			if err := at.header(item("http_client.http_headers."+name+".secrets", i), string(value)); err != nil {
				return err
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
			if err := at.header(block+".proxy_connect_header", string(value)); err != nil {
				return err
			}
		}
	}
	return nil
}

func usableProxyURL(address *url.URL) bool {
	return slices.Contains([]string{"http", "https", "socks5", "socks5h"}, address.Scheme) && address.Hostname() != "" && address.RawQuery == "" && address.Fragment == ""
}

func usableOAuth2(oauth *commoncfg.OAuth2, block string, at origin) error {
	address, _, _ := strings.Cut(oauth.TokenURL, "?")
	if _, user, err := parseURL(address); err != nil {
		return at.wrong(block+".token_url", "%s", err)
	} else if user != nil {
		return at.wrong(block+".token_url", "must not carry a user and password: use client_id and client_secret")
	}
	_, err := url.Parse(oauth.TokenURL)
	return cmp.Or(
		at.when(err != nil, block+".token_url", "is no valid URL"),
		usableGrant(oauth, block, at),
		usableProxy(&oauth.ProxyConfig, block, at),
		usableTLS(&oauth.TLSConfig, block+".tls_config", at),
	)
}

const jwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// usableGrant refuses what the kind of grant has no use for.
func usableGrant(oauth *commoncfg.OAuth2, block string, at origin) error {
	switch oauth.GrantType {
	case "", "client_credentials":
	case jwtBearer:
		return cmp.Or(
			at.when(oauth.ClientCertificateKey == "" && oauth.ClientCertificateKeyFile == "", block, "needs client_certificate_key or client_certificate_key_file, which signs the assertion"),
			at.when(oauth.ClientSecret != "" || oauth.ClientSecretFile != "", block, "client_secret belongs to grant_type: client_credentials: remove it"),
		)
	default:
		return at.wrong(block+".grant_type", "must be client_credentials or %s", jwtBearer)
	}
	idle := func(set bool, field string) error {
		return at.when(set, block+"."+field, "belongs to grant_type: %s: add that or remove this", jwtBearer)
	}
	return cmp.Or(
		idle(oauth.ClientCertificateKey != "", "client_certificate_key"),
		idle(oauth.ClientCertificateKeyFile != "", "client_certificate_key_file"),
		idle(oauth.ClientCertificateKeyID != "", "client_certificate_key_id"),
		idle(oauth.SignatureAlgorithm != "", "signature_algorithm"),
		idle(oauth.Iss != "", "iss"),
		idle(oauth.Audience != "", "audience"),
		idle(len(oauth.Claims) > 0, "claims"),
	)
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
	if c.MaxVersion != 0 && c.MaxVersion < c.MinVersion {
		return inline, at.wrong(block+".max_version", "is below min_version")
	}
	authorities, authoritiesErr := readPEM(block+".ca", c.CA, c.CAFile, "certificate", at)
	cert, certErr := readPEM(block+".cert", c.Cert, c.CertFile, "certificate", at)
	private, privateErr := readPEM(block+".key", string(c.Key), c.KeyFile, "private key", at)
	if err := cmp.Or(authoritiesErr, certErr, privateErr); err != nil {
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
// nothing where neither is set. It must hold a block of a type that ends with what
// is wanted, in capitals.
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
		if block.Type == "CERTIFICATE" && wanted == "certificate" {
			if _, err := x509.ParseCertificate(block.Bytes); err != nil {
				return nil, at.wrong(field, "holds a certificate that cannot be read")
			}
		}
		found = found || strings.HasSuffix(block.Type, strings.ToUpper(wanted))
	}
	if !found {
		return nil, at.wrong(field, "holds no %s in PEM form (BEGIN %s)", wanted, strings.ToUpper(wanted))
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

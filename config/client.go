package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"

	commoncfg "github.com/prometheus/common/config"
)

// A fileField is a field that names a file.
type fileField struct{ field, path string }

// clientFiles lists the files that an HTTP client reads.
func clientFiles(client *commoncfg.HTTPClientConfig) (files []fileField) {
	add := func(field, path string) {
		if path != "" {
			files = append(files, fileField{"http_client." + field, path})
		}
	}
	addTLS := func(block string, tls commoncfg.TLSConfig) {
		add(block+"tls_config.ca_file", tls.CAFile)
		add(block+"tls_config.cert_file", tls.CertFile)
		add(block+"tls_config.key_file", tls.KeyFile)
	}
	if basic := client.BasicAuth; basic != nil {
		add("basic_auth.username_file", basic.UsernameFile)
		add("basic_auth.password_file", basic.PasswordFile)
	}
	if authorization := client.Authorization; authorization != nil {
		add("authorization.credentials_file", authorization.CredentialsFile)
	}
	if oauth := client.OAuth2; oauth != nil {
		add("oauth2.client_secret_file", oauth.ClientSecretFile)
		add("oauth2.client_certificate_key_file", oauth.ClientCertificateKeyFile)
		addTLS("oauth2.", oauth.TLSConfig)
	}
	addTLS("", client.TLSConfig)
	if client.HTTPHeaders != nil {
		for _, name := range slices.Sorted(maps.Keys(client.HTTPHeaders.Headers)) {
			for i, path := range client.HTTPHeaders.Headers[name].Files {
				add(fmt.Sprintf("http_headers.%s.files[%d]", name, i), path)
			}
		}
	}
	return files
}

// readFields reads every file once, so that one that cannot be read is reported
// now and not by the first request.
func readFields(files []fileField, at origin) (contents [][]byte, err error) {
	for _, file := range files {
		content, err := readFile(file.path)
		if err != nil {
			return nil, fmt.Errorf("%s: %s %w", at.field(file.field), file.path, err)
		}
		contents = append(contents, content)
	}
	return contents, nil
}

// usableClient refuses what prometheus/common accepts and this exporter cannot
// use, and certificates that are none.
func usableClient(client *commoncfg.HTTPClientConfig, at origin) error {
	refuse := func(field, why string) error {
		return fmt.Errorf("%s: %s", at.field("http_client."+field), why)
	}
	for field, reference := range secretReferences(client) {
		if reference != "" {
			return refuse(field, "needs a secret manager, which this exporter has none of: use the field or its _file form")
		}
	}
	if basic := client.BasicAuth; basic != nil && basic.Username == "" && basic.UsernameFile == "" {
		return refuse("basic_auth", "needs username or username_file")
	}
	if proxy := client.ProxyURL.URL; proxy != nil && proxy.String() != "" {
		if !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, proxy.Scheme) || proxy.Hostname() == "" || proxy.RawQuery != "" || proxy.Fragment != "" {
			return refuse("proxy_url", "must be a URL such as http://proxy:3128")
		}
	}
	if oauth := client.OAuth2; oauth != nil {
		if _, user, err := parseURL(strings.SplitN(oauth.TokenURL, "?", 2)[0]); err != nil {
			return refuse("oauth2.token_url", err.Error())
		} else if user != nil {
			return refuse("oauth2.token_url", "must not carry a user and password: use client_id and client_secret")
		}
		if _, err := commoncfg.NewTLSConfig(&oauth.TLSConfig); err != nil {
			return refuse("oauth2.tls_config", err.Error())
		}
	}
	if _, err := commoncfg.NewTLSConfig(&client.TLSConfig); err != nil {
		return refuse("tls_config", err.Error())
	}
	return nil
}

// secretReferences are the fields that only a secret manager could resolve.
func secretReferences(client *commoncfg.HTTPClientConfig) map[string]string {
	references := map[string]string{
		"tls_config.ca_ref":   client.TLSConfig.CARef,
		"tls_config.cert_ref": client.TLSConfig.CertRef,
		"tls_config.key_ref":  client.TLSConfig.KeyRef,
	}
	if basic := client.BasicAuth; basic != nil {
		references["basic_auth.username_ref"] = basic.UsernameRef
		references["basic_auth.password_ref"] = basic.PasswordRef
	}
	if authorization := client.Authorization; authorization != nil {
		references["authorization.credentials_ref"] = authorization.CredentialsRef
	}
	if oauth := client.OAuth2; oauth != nil {
		references["oauth2.client_secret_ref"] = oauth.ClientSecretRef
		references["oauth2.client_certificate_key_ref"] = oauth.ClientCertificateKeyRef
		references["oauth2.tls_config.ca_ref"] = oauth.TLSConfig.CARef
		references["oauth2.tls_config.cert_ref"] = oauth.TLSConfig.CertRef
		references["oauth2.tls_config.key_ref"] = oauth.TLSConfig.KeyRef
	}
	return references
}

// fingerprint digests settings, secrets included, and the contents of files.
func fingerprint(settings any, contents [][]byte) string {
	digest := sha256.New()
	digestValue(digest, reflect.ValueOf(settings))
	for _, content := range contents {
		fmt.Fprintf(digest, "%d:%s", len(content), content)
	}
	return hex.EncodeToString(digest.Sum(nil))
}

// digestValue writes a value so that two values write the same exactly when they
// are equal: every part says its length.
func digestValue(digest hash.Hash, value reflect.Value) {
	switch value.Kind() {
	case reflect.Pointer, reflect.Interface:
		if value.IsNil() {
			_, _ = io.WriteString(digest, "nil;")
			return
		}
		if address, ok := reflect.TypeAssert[*url.URL](value); ok {
			value = reflect.ValueOf(address.String())
		} else {
			value = value.Elem()
		}
		_, _ = io.WriteString(digest, "to ")
		digestValue(digest, value)
	case reflect.Struct:
		for field, inner := range value.Fields() {
			if field.IsExported() {
				digestValue(digest, inner)
			}
		}
	case reflect.Slice:
		fmt.Fprintf(digest, "%d items;", value.Len())
		for i := range value.Len() {
			digestValue(digest, value.Index(i))
		}
	case reflect.Map:
		fmt.Fprintf(digest, "%d entries;", value.Len())
		entries := map[string]reflect.Value{}
		for key, inner := range value.Seq2() {
			entries[fmt.Sprint(key)] = inner
		}
		for _, key := range slices.Sorted(maps.Keys(entries)) {
			digestValue(digest, reflect.ValueOf(key))
			digestValue(digest, entries[key])
		}
	default:
		text := fmt.Sprint(value)
		fmt.Fprintf(digest, "%d:%s;", len(text), text)
	}
}

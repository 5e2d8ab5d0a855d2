package config

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	commoncfg "github.com/prometheus/common/config"
	"software.sslmate.com/src/go-pkcs12"
)

// A store is a Java key store or trust store.
type storeSettings struct{ location, password string }

func storeType(value string) error {
	if !strings.EqualFold(value, "PKCS12") && !strings.EqualFold(value, "JKS") {
		return errors.New("must be PKCS12 or JKS")
	}
	return nil
}

// readStores puts what the stores hold into the TLS settings, as PEM.
func (c *environmentCluster) readStores(e *environment, prefix string) error {
	tls := &c.settings.HTTPClient.TLSConfig
	for _, store := range []struct {
		storeSettings
		variable string
		use      func(*storeContent) error
	}{
		{c.trustStore, "CONNECT_SSL_TRUSTSTORE", func(content *storeContent) error {
			trusted := content.trusted
			if len(content.chain) > 0 {
				// Java trusts the certificate of a key entry too.
				trusted = append(trusted, content.chain[0])
			}
			if len(trusted) == 0 {
				return errors.New("holds no trusted certificate: import one with keytool -importcert")
			}
			tls.CA = certificatesPEM(trusted)
			return nil
		}},
		{c.keyStore, "CONNECT_SSL_KEYSTORE", func(content *storeContent) error {
			if len(content.key) == 0 {
				return errors.New("holds no private key")
			}
			tls.Cert = certificatesPEM(content.chain)
			tls.Key = commoncfg.Secret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: content.key}))
			return nil
		}},
	} {
		name := prefix + store.variable
		if store.location == "" {
			if store.password != "" {
				e.warn("%s_PASSWORD is ignored: %s_LOCATION is not set", name, name)
			}
			continue
		}
		file, err := readFile(store.location)
		if err != nil {
			return fmt.Errorf("%s_LOCATION: %s %w", name, store.location, err)
		}
		content, err := openStore(file, store.password)
		switch {
		case errors.Is(err, errStorePassword):
			return fmt.Errorf("%s_PASSWORD: does not open %s", name, store.location)
		case err == nil:
			err = store.use(content)
		}
		if err != nil {
			return fmt.Errorf("%s_LOCATION: %s %w", name, store.location, err)
		}
		c.settings.files = append(c.settings.files, store.location)
	}
	return nil
}

// A storeContent is what the exporter needs of a store, DER-encoded.
type storeContent struct {
	trusted [][]byte
	// key in PKCS #8, and its certificate with those that vouch for it.
	key   []byte
	chain [][]byte
}

var (
	errStorePassword = errors.New("wrong password")
	errStoreForm     = errors.New("is neither a PKCS12 nor a JKS store: convert it with keytool -importkeystore -deststoretype PKCS12")
)

// openStore reads a store by what it is: Java itself opens either form under
// either type.
func openStore(file []byte, password string) (*storeContent, error) {
	switch {
	case bytes.HasPrefix(file, []byte{0xFE, 0xED, 0xFE, 0xED}):
		return openJKS(file, password)
	case bytes.HasPrefix(file, []byte{0x30}):
		return openPKCS12(file, password)
	}
	return nil, errStoreForm
}

func openJKS(file []byte, password string) (*storeContent, error) {
	store := keystore.New(keystore.WithOrderedAliases())
	if err := store.Load(bytes.NewReader(file), []byte(password)); err != nil {
		if strings.Contains(err.Error(), "digest") {
			return nil, errStorePassword
		}
		return nil, errors.New("is a damaged JKS store")
	}
	content := &storeContent{}
	for _, alias := range store.Aliases() {
		if entry, err := store.GetTrustedCertificateEntry(alias); err == nil {
			content.trusted = append(content.trusted, entry.Certificate.Content)
			continue
		}
		if len(content.key) > 0 {
			return nil, errors.New("holds more than one private key: keep the one to use")
		}
		entry, err := store.GetPrivateKeyEntry(alias, []byte(password))
		if err != nil {
			return nil, errors.New("holds a private key under another password than the store's: give both the same with keytool -keypasswd")
		}
		content.key = entry.PrivateKey
		for _, certificate := range entry.CertificateChain {
			content.chain = append(content.chain, certificate.Content)
		}
	}
	return content, nil
}

func openPKCS12(file []byte, password string) (*storeContent, error) {
	content := &storeContent{}
	trusted, trustErr := pkcs12.DecodeTrustStore(file, password)
	if trustErr == nil {
		for _, certificate := range trusted {
			content.trusted = append(content.trusted, certificate.Raw)
		}
		return content, nil
	}
	key, leaf, authorities, err := pkcs12.DecodeChain(file, password)
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return nil, errStorePassword
	}
	if err != nil {
		return nil, errors.New("cannot be used: it must be a PKCS12 store with one private key, or with trusted certificates that keytool -importcert put in")
	}
	if content.key, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		return nil, errors.New("holds a private key of a kind that is not known: use RSA or EC")
	}
	for _, certificate := range slices.Insert(authorities, 0, leaf) {
		content.chain = append(content.chain, certificate.Raw)
	}
	return content, nil
}

func certificatesPEM(certificates [][]byte) string {
	var out bytes.Buffer
	for _, certificate := range certificates {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	}
	return out.String()
}

package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	commoncfg "github.com/prometheus/common/config"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/safefile"
)

// A store is a Java key store or trust store.
type storeSettings struct{ location, password string }

func storeType(value string) error {
	if !slices.ContainsFunc([]string{"PKCS12", "JKS", "PEM"}, func(known string) bool { return strings.EqualFold(value, known) }) {
		return errors.New("must be PKCS12, JKS or PEM")
	}
	return nil
}

// stores are what variables say of TLS.
type stores struct{ key, trust storeSettings }

// storeVariables are those of the stores of a T, whose other side is called peer.
func storeVariables[T any](prefix, peer, field string, of func(*T) *stores) (all []variable[T]) {
	const kinds = "PKCS12, JKS or PEM."
	for _, store := range []struct {
		name, is, holds, opens, field string
		of                            func(*stores) *storeSettings
	}{
		{"KEYSTORE", "Key store", "the client's key and certificate", "the key store and of the key in it", "", func(s *stores) *storeSettings { return &s.key }},
		{"TRUSTSTORE", "Trust store", "the authorities that vouch for the " + peer, "the trust store", field, func(s *stores) *storeSettings { return &s.trust }},
	} {
		name := prefix + "_" + store.name
		all = append(all,
			variable[T]{name + "_LOCATION", "", store.is + " with " + store.holds + ": " + kinds, store.field, text(func(t *T) *string { return &store.of(of(t)).location })},
			variable[T]{name + "_TYPE", "what the file is", kinds, "", func(_ *T, value string) error { return storeType(value) }},
			variable[T]{name + "_PASSWORD", "", "Password of " + store.opens + ".", "", text(func(t *T) *string { return &store.of(of(t)).password })},
		)
	}
	return all
}

// read puts what the stores hold into TLS settings, as PEM, and returns the
// files that it read. prefix is what the variables begin with: "CONNECT_SSL".
func (s stores) read(e *environment, prefix string, tls *commoncfg.TLSConfig) (files []string, err error) {
	open := func(store storeSettings, name string, use func(*storeContent) error) error {
		if store.location == "" {
			if store.password != "" {
				e.warn("%s_PASSWORD is ignored: %s_LOCATION is not set", name, name)
			}
			return nil
		}
		file, err := safefile.Read(store.location, safefile.MaxSecret)
		if err != nil {
			return fmt.Errorf("%s_LOCATION: %s %w", name, store.location, err)
		}
		content, err := openStore(file, store.password)
		if errors.Is(err, errStorePassword) {
			return fmt.Errorf("%s_PASSWORD: does not open %s", name, store.location)
		}
		if err == nil {
			err = use(content)
		}
		if err != nil {
			return fmt.Errorf("%s_LOCATION: %s %w", name, store.location, err)
		}
		files = append(files, store.location)
		return nil
	}
	err = open(s.trust, prefix+"_TRUSTSTORE", func(content *storeContent) error {
		trusted := content.trusted
		if len(trusted) == 0 && len(content.chain) > 0 {
			// Java trusts the certificate of a key entry too.
			trusted = content.chain[:1]
		}
		if len(trusted) == 0 {
			return errors.New("holds no trusted certificate: import one with keytool -importcert")
		}
		tls.CA = certificatesPEM(trusted)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return files, open(s.key, prefix+"_KEYSTORE", func(content *storeContent) error {
		if len(content.key) == 0 {
			return errors.New("holds no private key")
		}
		tls.Cert = certificatesPEM(content.chain)
		tls.Key = commoncfg.Secret(pem.EncodeToMemory(&pem.Block{Type: content.keyType, Bytes: content.key}))
		return nil
	})
}

// A storeContent is what the exporter needs of a store, DER-encoded.
type storeContent struct {
	trusted [][]byte
	// key of the PEM type keyType, and its certificate with those that vouch for it.
	key     []byte
	keyType string
	chain   [][]byte
}

const pkcs8 = "PRIVATE KEY"

var (
	errStorePassword = errors.New("wrong password")
	errStoreForm     = errors.New("is neither a PKCS12 nor a JKS store nor PEM: convert it with keytool -importkeystore -deststoretype PKCS12")
)

// openStore reads a store by what it is: Java itself opens either form under
// either type.
func openStore(file []byte, password string) (*storeContent, error) {
	switch {
	case bytes.HasPrefix(file, []byte{0xFE, 0xED, 0xFE, 0xED}):
		return openJKS(file, password)
	case bytes.HasPrefix(file, []byte{0x30}):
		return openPKCS12(file, password)
	case bytes.Contains(file, []byte("-----BEGIN ")):
		return openPEM(file)
	}
	return nil, errStoreForm
}

// openPEM reads a store of type PEM (KIP-651): a private key with its
// certificates, or trusted certificates alone.
func openPEM(file []byte) (*storeContent, error) {
	content := &storeContent{}
	var certificates [][]byte
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "CERTIFICATE":
			if _, err := x509.ParseCertificate(block.Bytes); err != nil {
				return nil, errors.New("holds a certificate that cannot be read")
			}
			certificates = append(certificates, block.Bytes)
		case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
			return nil, errors.New("holds an encrypted private key: decrypt it, with openssl pkey -in KEY")
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			if len(content.key) > 0 {
				return nil, errors.New("holds more than one private key: keep the one to use")
			}
			content.key, content.keyType = block.Bytes, block.Type
		}
	}
	if len(content.key) == 0 {
		content.trusted = certificates
		return content, nil
	}
	content.chain = certificates
	if _, err := tls.X509KeyPair([]byte(certificatesPEM(certificates)), pem.EncodeToMemory(&pem.Block{Type: content.keyType, Bytes: content.key})); err != nil {
		return nil, errors.New("its certificate and key cannot be read, or do not belong together")
	}
	return content, nil
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
		content.key, content.keyType = entry.PrivateKey, pkcs8
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
	content.keyType = pkcs8
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

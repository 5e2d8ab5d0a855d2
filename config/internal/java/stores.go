// Package java reads what Kafka's Java clients are configured with: key stores,
// trust stores and login modules. Its errors say what is wrong, not with which
// file, and never quote.
package java

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"
)

// ErrPassword tells that a password does not open its store.
var ErrPassword = errors.New("wrong password")

// TrustStore returns the authorities that a store holds, as PEM.
func TrustStore(file []byte, password string) (authorities string, err error) {
	s, err := open(file, password)
	if err != nil {
		return "", err
	}
	if len(s.trusted) == 0 && len(s.chain) > 0 {
		s.trusted = s.chain[:1] // Java trusts the certificate of a key entry too.
	}
	if len(s.trusted) == 0 {
		return "", errors.New("holds no trusted certificate: import one with keytool -importcert")
	}
	return certificates(s.trusted), nil
}

// KeyStore returns the private key that a store holds and its certificate with
// those that vouch for it, as PEM.
func KeyStore(file []byte, password string) (cert, key string, err error) {
	s, err := open(file, password)
	if err != nil {
		return "", "", err
	}
	if s.key == nil {
		return "", "", errors.New("holds no private key")
	}
	return certificates(s.chain), string(pem.EncodeToMemory(s.key)), nil
}

// A store is what is needed of one; certificates are DER-encoded.
type store struct {
	trusted, chain [][]byte
	key            *pem.Block
}

var errTwoKeys = errors.New("holds more than one private key: keep the one to use")

// open reads a store by what it is: Java itself opens either form under either
// type.
func open(file []byte, password string) (*store, error) {
	switch {
	case bytes.HasPrefix(file, []byte{0xFE, 0xED, 0xFE, 0xED}):
		return openJKS(file, password)
	case bytes.HasPrefix(file, []byte{0x30}):
		return openPKCS12(file, password)
	case bytes.Contains(file, []byte("-----BEGIN ")):
		return openPEM(file)
	}
	return nil, errors.New("is neither a PKCS12 nor a JKS store nor PEM: convert it with keytool -importkeystore -deststoretype PKCS12")
}

// openPEM reads a store of type PEM (KIP-651): a private key with its
// certificates, or trusted certificates alone.
func openPEM(file []byte) (*store, error) {
	s := &store{}
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "CERTIFICATE":
			if _, err := x509.ParseCertificate(block.Bytes); err != nil {
				return nil, errors.New("holds a certificate that cannot be read")
			}
			s.chain = append(s.chain, block.Bytes)
		case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
			return nil, errors.New("holds an encrypted private key: decrypt it, with openssl pkey -in KEY")
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			if s.key != nil {
				return nil, errTwoKeys
			}
			s.key = &pem.Block{Type: block.Type, Bytes: block.Bytes}
		}
	}
	if s.key == nil {
		s.trusted, s.chain = s.chain, nil
		return s, nil
	}
	if _, err := tls.X509KeyPair([]byte(certificates(s.chain)), pem.EncodeToMemory(s.key)); err != nil {
		return nil, errors.New("its certificate and key cannot be read, or do not belong together")
	}
	return s, nil
}

func openJKS(file []byte, password string) (*store, error) {
	jks := keystore.New(keystore.WithOrderedAliases())
	if err := jks.Load(bytes.NewReader(file), []byte(password)); err != nil {
		if strings.Contains(err.Error(), "digest") {
			return nil, ErrPassword
		}
		return nil, errors.New("is a damaged JKS store")
	}
	s := &store{}
	for _, alias := range jks.Aliases() {
		if entry, err := jks.GetTrustedCertificateEntry(alias); err == nil {
			s.trusted = append(s.trusted, entry.Certificate.Content)
			continue
		}
		if s.key != nil {
			return nil, errTwoKeys
		}
		entry, err := jks.GetPrivateKeyEntry(alias, []byte(password))
		if err != nil {
			return nil, errors.New("holds a private key under another password than the store's: give both the same with keytool -keypasswd")
		}
		s.key = &pem.Block{Type: "PRIVATE KEY", Bytes: entry.PrivateKey}
		for _, certificate := range entry.CertificateChain {
			s.chain = append(s.chain, certificate.Content)
		}
	}
	return s, nil
}

func openPKCS12(file []byte, password string) (*store, error) {
	s := &store{}
	if trusted, err := pkcs12.DecodeTrustStore(file, password); err == nil {
		for _, certificate := range trusted {
			s.trusted = append(s.trusted, certificate.Raw)
		}
		return s, nil
	}
	key, leaf, authorities, err := pkcs12.DecodeChain(file, password)
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return nil, ErrPassword
	}
	if err != nil {
		return nil, errors.New("cannot be used: it must be a PKCS12 store with one private key, or with trusted certificates that keytool -importcert put in")
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, errors.New("holds a private key of a kind that is not known: use RSA or EC")
	}
	s.key = &pem.Block{Type: "PRIVATE KEY", Bytes: private}
	for _, certificate := range append([]*x509.Certificate{leaf}, authorities...) {
		s.chain = append(s.chain, certificate.Raw)
	}
	return s, nil
}

func certificates(all [][]byte) string {
	var out []byte
	for _, certificate := range all {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})...)
	}
	return string(out)
}

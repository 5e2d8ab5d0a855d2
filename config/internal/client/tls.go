package client

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"strings"

	commoncfg "github.com/prometheus/common/config"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config/internal/strict"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/safefile"
)

// CheckTLS holds certificates and keys against what TLS needs of them.
func CheckTLS(c *commoncfg.TLSConfig, block string, at strict.Place) error {
	_, err := ReadTLS(c, block, at)
	return err
}

// ReadTLS returns the settings with what their files hold in place of these. Why a
// library cannot read a certificate is not told: its words are of ASN.1, and may
// quote.
func ReadTLS(c *commoncfg.TLSConfig, block string, at strict.Place) (inline commoncfg.TLSConfig, err error) {
	if c.MaxVersion != 0 && c.MaxVersion < c.MinVersion {
		return inline, at.Wrong(block+".max_version", "is below min_version")
	}
	authorities, authoritiesErr := readPEM(block+".ca", c.CA, c.CAFile, "CERTIFICATE", at)
	cert, certErr := readPEM(block+".cert", c.Cert, c.CertFile, "CERTIFICATE", at)
	private, privateErr := readPEM(block+".key", string(c.Key), c.KeyFile, "PRIVATE KEY", at)
	if err := cmp.Or(authoritiesErr, certErr, privateErr); err != nil {
		return inline, err
	}
	if len(cert) > 0 {
		if _, err := tls.X509KeyPair(cert, private); err != nil {
			return inline, at.Wrong(block, "its certificate and key cannot be read, or do not belong together")
		}
	}
	inline = *c
	inline.CAFile, inline.CertFile, inline.KeyFile = "", "", ""
	inline.CA, inline.Cert, inline.Key = string(authorities), string(cert), commoncfg.Secret(private)
	return inline, nil
}

// readPEM returns what stands in a field or in the file that its _file form names,
// nothing where neither is set. It must hold a block whose type ends with what is
// wanted.
func readPEM(field, inline, file, wanted string, at strict.Place) (content []byte, err error) {
	if inline == "" && file == "" {
		return nil, nil
	}
	content = []byte(inline)
	if file != "" {
		field += "_file"
		if content, err = safefile.Read(file, safefile.MaxSecret); err != nil {
			return nil, at.Wrong(field, "%s %s", file, err)
		}
	}
	found := false
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return nil, at.Wrong(field, "holds an encrypted private key: decrypt it, with openssl pkey -in KEY")
		}
		if block.Type == "CERTIFICATE" && wanted == block.Type {
			if _, err := x509.ParseCertificate(block.Bytes); err != nil {
				return nil, at.Wrong(field, "holds a certificate that cannot be read")
			}
		}
		found = found || strings.HasSuffix(block.Type, wanted)
	}
	if !found {
		return nil, at.Wrong(field, "holds no %s in PEM form (BEGIN %s)", strings.ToLower(wanted), wanted)
	}
	return content, nil
}

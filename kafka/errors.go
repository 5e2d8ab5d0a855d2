package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// explain makes an error of what was being done and why it failed, which wraps
// one of [connect.BrokersReasons]. right is what is needed to do it, such as "DESCRIBE on
// group x", and named where the brokers refuse it.
func explain(doing, right string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[connect.Reason](err); ok {
		return fmt.Errorf("%s: %w", doing, err)
	}
	reason, why := classify(err)
	if reason == connect.Forbidden && right != "" {
		why += ": grant " + right
	}
	return fmt.Errorf("%s: %w: %s", doing, reason, why)
}

// classify gives an error of the client its reason, in words that carry nothing
// that was sent.
func classify(err error) (connect.Reason, string) {
	if kafka, ok := errors.AsType[*kerr.Error](err); ok {
		return ofCode(kafka), kafka.Message
	}
	var (
		unknownAuthority x509.UnknownAuthorityError
		wrongHost        x509.HostnameError
		invalid          x509.CertificateInvalidError
		verification     *tls.CertificateVerificationError
		dns              *net.DNSError
		operation        *net.OpError
	)
	switch {
	case errors.Is(err, errSecret):
		return connect.Unauthorized, err.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, os.ErrDeadlineExceeded):
		return connect.Timeout, "no answer in time"
	case errors.As(err, &unknownAuthority):
		return connect.Unreachable, "the broker's certificate is signed by an authority that is not trusted: set tls_config.ca_file"
	case errors.As(err, &wrongHost):
		return connect.Unreachable, "the broker's certificate is for another host name"
	case errors.As(err, &invalid), errors.As(err, &verification):
		return connect.Unreachable, "the broker's certificate is not valid"
	case errors.As(err, &dns):
		return connect.Unreachable, "the name of the broker cannot be resolved"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return connect.Unreachable, "the broker closes the connection: does it want TLS (tls_config) or SASL?"
	case errors.As(err, &operation):
		why := operation.Err.Error()
		why = strings.TrimSpace(why[strings.LastIndex(why, ": ")+1:])
		if operation.Op == "remote error" { // What crypto/tls calls an alert of the other side.
			return connect.Unauthorized, "the broker refuses the TLS handshake: " + why
		}
		return connect.Unreachable, "no connection: " + why
	}
	if strings.Contains(err.Error(), "tls alert") { // kgo has no type for what stands where a length should.
		return connect.Unreachable, "the broker speaks TLS: set tls_config"
	}
	return connect.Unreachable, "no connection, or it broke"
}

func ofCode(err *kerr.Error) connect.Reason {
	switch err {
	case kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed:
		return connect.Forbidden
	case kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState, kerr.SecurityDisabled:
		return connect.Unauthorized
	case kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.GroupIDNotFound, kerr.InvalidTopicException:
		return connect.NotFound
	case kerr.RequestTimedOut:
		return connect.Timeout
	case kerr.CorruptMessage, kerr.UnsupportedVersion, kerr.InvalidRequest, kerr.UnknownServerError:
		return connect.Decode
	}
	return connect.Unavailable
}

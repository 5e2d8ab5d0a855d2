package msk

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// reasonByCode knows those of AWS's error codes that say more than the HTTP status
// (AWS "Common error types"): a wrong signature is HTTP 403 as well.
var reasonByCode = map[string]connect.Reason{
	"UnrecognizedClientException":         connect.Unauthorized,
	"InvalidClientTokenId":                connect.Unauthorized,
	"InvalidSignatureException":           connect.Unauthorized,
	"SignatureDoesNotMatch":               connect.Unauthorized,
	"IncompleteSignature":                 connect.Unauthorized,
	"IncompleteSignatureException":        connect.Unauthorized,
	"MissingAuthenticationToken":          connect.Unauthorized,
	"MissingAuthenticationTokenException": connect.Unauthorized,
	"ExpiredToken":                        connect.Unauthorized,
	"ExpiredTokenException":               connect.Unauthorized,
	"NotAuthorized":                       connect.Forbidden,
	"AccessDenied":                        connect.Forbidden,
	"AccessDeniedException":               connect.Forbidden,
	"OptInRequired":                       connect.Forbidden,
}

// A failure is an error of AWS in our words. AWS's own message is left out: that
// of a wrong signature quotes the signed headers, the session token among them.
type failure struct {
	reason connect.Reason
	// what happened, and what to change
	what, advice string
}

func (f *failure) Error() string {
	if f.advice == "" {
		return f.what
	}
	return f.what + ": " + f.advice
}

func (f *failure) Unwrap() error { return f.reason }

// explain puts an error of the SDK into one line. permission is the IAM action
// that the call needs.
func (o *Observer) explain(doing, permission string, err error) error {
	return fmt.Errorf("%s of MSK Connect in %s: %w", doing, o.options.Region, explain(permission, o.options.Region, err))
}

func explain(permission, region string, err error) *failure {
	var code string
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		code = codeWord(api.ErrorCode())
	}
	status := 0
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) && response.Response != nil {
		status = response.HTTPStatusCode()
	}
	f := &failure{reason: reasonOf(err, code, status)}
	switch {
	case code != "" && status != 0:
		f.what = fmt.Sprintf("%s (HTTP %d)", code, status)
	case code != "":
		f.what = code
	case status != 0 && status != http.StatusOK:
		f.what = fmt.Sprintf("HTTP %d", status)
	default:
		f.what = plain(err)
	}
	switch f.reason {
	case connect.Unauthorized:
		f.advice = "AWS does not accept these credentials in " + region + "; check the key, the session's expiry, the clock and the region"
	case connect.Forbidden:
		f.advice = "allow " + permission + " to the credentials in use (see docs/providers.md)"
	case connect.NotFound:
		f.advice = "check region and endpoint; MSK Connect answers here with nothing at this path"
	case connect.Unreachable:
		f.advice = "check region " + region + ", endpoint, proxy and DNS"
	case connect.HTTPStatus:
		if throttled(err) {
			f.advice = "AWS throttles this account; scrape less often, or leave describe off"
		}
	}
	return f
}

func reasonOf(err error, code string, status int) connect.Reason {
	if reason, ok := errors.AsType[connect.Reason](err); ok {
		return reason
	}
	if reason, ok := reasonByCode[code]; ok {
		return reason
	}
	var network net.Error
	var decode *smithy.DeserializationError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &network) && network.Timeout():
		return connect.Timeout
	case status == http.StatusUnauthorized:
		return connect.Unauthorized
	case status == http.StatusForbidden:
		return connect.Forbidden
	case status == http.StatusNotFound:
		return connect.NotFound
	case status >= http.StatusMultipleChoices:
		return connect.HTTPStatus
	case errors.As(err, &decode), status != 0:
		return connect.Decode
	}
	return connect.Unreachable
}

// throttled says that AWS asked to be left alone for a while.
func throttled(err error) bool {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		switch api.ErrorCode() {
		case "TooManyRequestsException", "Throttling", "ThrottlingException", "RequestLimitExceeded":
			return true
		}
	}
	var response *smithyhttp.ResponseError
	return errors.As(err, &response) && response.Response != nil && response.HTTPStatusCode() == http.StatusTooManyRequests
}

var codePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.]{0,99}$`)

// codeWord lets only through what looks like one of AWS's codes: it is printed,
// and for a failed connector it becomes a label.
func codeWord(code string) string {
	if codePattern.MatchString(code) {
		return code
	}
	return ""
}

// plain is an error that never reached AWS, without the SDK's and the HTTP
// client's wrapping, which repeats the whole URL.
func plain(err error) string {
	var dns *net.DNSError
	var operation *net.OpError
	var where *url.Error
	var decode *smithy.DeserializationError
	var reason connect.Reason
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "no complete answer within the deadline"
	case errors.As(err, &reason) && reason == connect.TooLarge:
		return "the answer is larger than the limit"
	case errors.As(err, &dns):
		return "no such host " + dns.Name
	case errors.As(err, &operation):
		return operation.Error()
	case errors.As(err, &decode):
		return "the answer is not that of MSK Connect"
	case errors.As(err, &where):
		return connect.Unquoted(where.Err)
	}
	return "the call failed"
}

package push

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

const (
	protobufType = "application/x-protobuf"
	// maxAnswer is how much of an answer is read, unpacked: it says how many
	// points were rejected and why.
	maxAnswer = 64 << 10
)

// overHTTP sends as https://opentelemetry.io/docs/specs/otlp/#otlphttp says.
type overHTTP struct {
	client    *http.Client
	transport *http.Transport
	endpoint  string
	agent     string
	packed    *gzip.Writer // nil sends as it is
}

func newHTTP(o *Options, verify *tls.Config) (*overHTTP, error) {
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("the process has no usual HTTP transport")
	}
	transport = transport.Clone()
	transport.TLSClientConfig = verify.Clone()
	transport.MaxResponseHeaderBytes = maxAnswer
	transport.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
		if answer.StatusCode != http.StatusOK { // Its words may repeat the proxy's password.
			return fmt.Errorf("the proxy answers HTTP %d", answer.StatusCode)
		}
		return nil
	}
	s := &overHTTP{
		transport: transport, endpoint: o.Endpoint.String(), agent: agent(o),
		client: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if o.Gzip {
		var err error
		if s.packed, err = gzip.NewWriterLevel(io.Discard, gzip.BestSpeed); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// agent is what the exporter calls itself.
func agent(o *Options) string {
	name := "kafka-connect-exporter"
	if o.Version != "" {
		name += "/" + o.Version
	}
	return name
}

func (s *overHTTP) close() { s.transport.CloseIdleConnections() }

func (s *overHTTP) send(ctx context.Context, headers map[string]string, message *collector.ExportMetricsServiceRequest) (*collector.ExportMetricsPartialSuccess, error) {
	body, err := proto.Marshal(message)
	if err == nil && s.packed != nil {
		body, err = s.pack(body)
	}
	if err != nil {
		return nil, fmt.Errorf("encode the metrics: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	request.Header.Set("User-Agent", s.agent)
	for name, value := range headers {
		request.Header.Set(name, value)
		if strings.EqualFold(name, "Host") {
			request.Host = value
		}
	}
	request.Header.Set("Content-Type", protobufType)
	if s.packed != nil {
		request.Header.Set("Content-Encoding", "gzip")
	}
	answer, err := s.client.Do(request)
	if err != nil {
		if at, ok := errors.AsType[*url.Error](err); ok {
			err = at.Err // The endpoint is told beside it.
		}
		return nil, &failure{err: err, retry: true}
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode < 200 {
		// The connection speaks another protocol from here: there is no end to read.
		return nil, &failure{err: fmt.Errorf("the receiver answered %s", answer.Status), answered: true}
	}
	content, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case answer.StatusCode/100 != 2:
		return nil, refused(answer, content)
	case err != nil:
		return nil, &failure{err: fmt.Errorf("the receiver's answer breaks off: %w", err), retry: true}
	case len(content) > maxAnswer:
		return nil, &failure{err: fmt.Errorf("the receiver's answer is longer than %d KiB, which none of OTLP is", maxAnswer>>10), answered: true}
	}
	said, err := understand(answer.Header.Get("Content-Type"), content)
	if err != nil {
		return nil, &failure{err: fmt.Errorf("the receiver answered %s, but not as OTLP does: %w", answer.Status, err), answered: true}
	}
	return said, nil
}

func (s *overHTTP) pack(body []byte) ([]byte, error) {
	var packed bytes.Buffer
	s.packed.Reset(&packed)
	if _, err := s.packed.Write(body); err != nil {
		return nil, err
	}
	if err := s.packed.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

// refused is the failure that a status other than 2xx is.
func refused(answer *http.Response, content []byte) *failure {
	f := &failure{answered: true, err: fmt.Errorf("the receiver answered %s (%s)", answer.Status, quote(answer.Header.Get("Content-Type"), content))}
	switch answer.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		f.retry, f.pause = true, retryAfter(answer.Header.Get("Retry-After"), time.Now())
	}
	return f
}

// retryAfter reads the header of that name: seconds or a date.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(text); err == nil {
		return date.Sub(now)
	}
	return 0
}

// quote returns what a refusal says in words.
func quote(kind string, content []byte) string {
	kind, _, _ = mime.ParseMediaType(kind)
	var said status.Status
	switch {
	case len(content) == 0:
		return "without a word"
	case markup(kind, content):
		return "a page of " + strconv.Itoa(len(content)) + " bytes"
	case kind == protobufType && proto.Unmarshal(content, &said) == nil:
		return said.GetMessage()
	default:
		return string(content)
	}
}

// markup tells whether an answer is HTML or the like: that of a proxy, a login
// or some other server.
func markup(kind string, content []byte) bool {
	return strings.Contains(kind, "html") || bytes.HasPrefix(bytes.TrimLeft(content, "\ufeff \t\r\n"), []byte("<"))
}

// understand reads an answer with status 2xx. The protocol wants protobuf; there
// are receivers that answer in its JSON form, or with nothing. Whatever is
// anything else is not known to have taken the metrics.
func understand(kind string, content []byte) (*collector.ExportMetricsPartialSuccess, error) {
	kind, _, _ = mime.ParseMediaType(kind)
	if markup(kind, content) {
		return nil, errors.New("it is a page: check the endpoint and what stands before it")
	}
	var said collector.ExportMetricsServiceResponse
	if proto.Unmarshal(content, &said) == nil && (kind == protobufType || len(said.ProtoReflect().GetUnknown()) == 0) {
		return said.GetPartialSuccess(), nil
	}
	if protojson.Unmarshal(content, &said) == nil {
		return said.GetPartialSuccess(), nil
	}
	return nil, fmt.Errorf("%d bytes of %s", len(content), cmp.Or(kind, "unknown type"))
}

package msk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/smithy-go/middleware"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/rest"
)

// A draft is one Observe: where its calls are told and how many bytes they
// brought. It travels in the context, because the SDK's clients outlive it.
type draft struct {
	report func(connect.Request)
	bytes  atomic.Int64
}

type draftKey struct{}

// A recorder is the HTTP client of all the SDK's clients: it reports each
// attempt, which the SDK hides behind its retries, and caps what is read.
type recorder struct {
	client       *http.Client
	maxBodyBytes int64
}

// Do implements aws.HTTPClient.
func (r *recorder) Do(request *http.Request) (*http.Response, error) {
	current, _ := request.Context().Value(draftKey{}).(*draft)
	record := connect.Request{Endpoint: endpoint(request.Context()), Host: request.URL.Host, Start: time.Now()}
	response, err := r.client.Do(request)
	if err != nil {
		record.Err = rest.TransportError(request.Context(), err)
		current.finish(record)
		return nil, err
	}
	record.Code = response.StatusCode
	response.Body = &body{inner: response.Body, left: r.maxBodyBytes, record: record, draft: current}
	return response, nil
}

// endpoint is the label value for an operation of the SDK: whatever is not
// asked of MSK Connect or CloudWatch serves to get credentials.
func endpoint(ctx context.Context) string {
	switch middleware.GetOperationName(ctx) {
	case "ListConnectors":
		return "list"
	case "DescribeConnector":
		return "describe"
	case "GetMetricData":
		return "metric_data"
	}
	return "credentials"
}

func (d *draft) finish(record connect.Request) {
	if d == nil {
		return
	}
	record.Duration = time.Since(record.Start)
	d.bytes.Add(record.Bytes)
	if d.report != nil {
		d.report(record)
	}
}

// A body reports its request once it is closed, which the SDK always does.
type body struct {
	inner  io.ReadCloser
	left   int64
	record connect.Request
	draft  *draft
	closed bool
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.inner.Read(p)
	b.record.Bytes += int64(n)
	if b.left -= int64(n); b.left < 0 {
		err = fmt.Errorf("%w: the answer is larger than the limit", connect.TooLarge)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		b.record.Err = err
	}
	return n, err
}

func (b *body) Close() error {
	if !b.closed {
		b.closed = true
		b.draft.finish(b.record)
	}
	return b.inner.Close()
}

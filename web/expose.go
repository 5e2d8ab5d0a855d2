package web

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/exposition"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
)

// expose writes the series of the results, and of a gatherer beside them, in the
// format and the encoding that the scraper asks for. It is promhttp's work done
// by [exposition.Renderer.Answer], which need not encode and compress again what
// did not change.
func (s *server) expose(ctx context.Context, w http.ResponseWriter, r *http.Request, results []series.Result, own prometheus.TransactionalGatherer) {
	format := expfmt.NegotiateAccept(r.Header, exposition.Formats()...)
	compressed := acceptsGzip(r.Header)
	answer, err := s.render(ctx, results, own, format, compressed)
	switch {
	case err != nil && ctx.Err() != nil:
		// The scraper's time is over, which is his own affair.
		http.Error(w, "There was no time to write the metrics.", http.StatusServiceUnavailable)
		return
	case err != nil:
		s.Logger.Error("metrics cannot be encoded", "err", err)
		http.Error(w, "The metrics cannot be encoded, see the log of the exporter.", http.StatusInternalServerError)
		return
	}
	s.Self.Instruments().Answered(answer.Rendering, answer.Compressing)
	header := w.Header()
	header.Set("Content-Type", string(format))
	header.Set("Content-Length", strconv.Itoa(answer.Size()))
	header.Add("Vary", "Accept, Accept-Encoding")
	if compressed {
		header.Set("Content-Encoding", "gzip")
	}
	if r.Method == http.MethodHead {
		return
	}
	if err := s.buffered(w, answer.Write); err != nil {
		s.Logger.Debug("the scraper has gone or does not read", "err", err)
	}
}

// buffered writes by a buffer: an answer has many small parts, and net/http a small
// one of its own.
func (s *server) buffered(w io.Writer, write func(io.Writer) error) error {
	buffer := s.buffers.Get().(*bufio.Writer)
	defer func() {
		buffer.Reset(nil) // Of the request nothing is kept.
		s.buffers.Put(buffer)
	}()
	buffer.Reset(w)
	if err := write(buffer); err != nil {
		return err
	}
	return buffer.Flush()
}

// render makes an answer. Few are made at the same time, because each takes a
// whole processor; many may be written.
func (s *server) render(ctx context.Context, results []series.Result, own prometheus.TransactionalGatherer, format expfmt.Format, compressed bool) (*exposition.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Limit)
	defer cancel()
	select {
	case s.rendering <- struct{}{}:
		defer func() { <-s.rendering }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	families, release, err := own.Gather()
	defer release()
	if err != nil {
		// A part that fails costs the others nothing.
		s.Logger.Error("the exporter's own metrics are incomplete", "err", err)
	}
	return s.Renderer().Answer(ctx, results, families, format, compressed)
}

// acceptsGzip tells whether a client takes a gzip-compressed answer (RFC 9110,
// 12.5.3): named or by *, and not with a weight of zero.
func acceptsGzip(h http.Header) bool {
	accepted := false
	for part := range strings.SplitSeq(strings.Join(h.Values("Accept-Encoding"), ","), ",") {
		coding, parameters, _ := strings.Cut(part, ";")
		coding = strings.ToLower(strings.TrimSpace(coding))
		weight, isWeight := strings.CutPrefix(strings.ReplaceAll(parameters, " ", ""), "q=")
		q, err := strconv.ParseFloat(weight, 64)
		taken := !isWeight || err == nil && q > 0
		switch coding {
		case "gzip":
			return taken
		case "*":
			accepted = taken
		}
	}
	return accepted
}

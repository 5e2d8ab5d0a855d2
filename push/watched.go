package push

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// watched is an exporter whose failures are counted and logged once, not handed
// to the SDK, which would write each to standard error.
type watched struct {
	metric.Exporter
	release func() // closes connections after the exporter has ended
	options *Options

	mu      sync.Mutex
	failing bool
	// hopeless: a request of this cycle took a long time to fail, so that the
	// others of the cycle are not tried.
	hopeless bool
}

// cycle tells its exporter that a new round of requests begins.
type cycle struct {
	metric.Producer
	exporter *watched
}

// Produce implements metric.Producer.
func (c cycle) Produce(ctx context.Context) ([]metricdata.ScopeMetrics, error) {
	c.exporter.mu.Lock()
	c.exporter.hopeless = false
	c.exporter.mu.Unlock()
	bounded, cancel := context.WithTimeout(ctx, c.exporter.options.Produce)
	defer cancel()
	return c.Producer.Produce(bounded)
}

// Export implements metric.Exporter; it returns no error.
func (w *watched) Export(ctx context.Context, data *metricdata.ResourceMetrics) error {
	w.mu.Lock()
	defer w.mu.Unlock() // One at a time, as the SDK does it anyway.
	if w.hopeless {
		w.count(false)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, w.options.Timeout)
	defer cancel()
	start := time.Now()
	err := w.Exporter.Export(ctx, data)
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return nil // The push ends: this says nothing of the receiver.
	}
	w.hopeless = err != nil && time.Since(start) > w.options.Timeout/4
	w.count(err == nil)
	logger := w.options.Logger.With("endpoint", w.options.Endpoint.Redacted())
	switch {
	case err != nil && w.failing:
		logger.DebugContext(ctx, "export over OTLP still fails", "err", w.brief(err))
	case err != nil:
		logger.WarnContext(ctx, "export over OTLP fails", "err", w.brief(err))
	case w.failing:
		logger.InfoContext(ctx, "export over OTLP succeeds again")
	}
	w.failing = err != nil
	return nil
}

// Shutdown implements metric.Exporter.
func (w *watched) Shutdown(ctx context.Context) error {
	defer w.release()
	return w.Exporter.Shutdown(ctx)
}

func (w *watched) count(succeeded bool) {
	if w.options.Exported != nil {
		w.options.Exported(succeeded)
	}
}

// maxError is how much of an error is logged: it quotes what the receiver
// answered, which may be a page.
const maxError = 300

// brief returns an error on one line, not more of it than one reads, and without
// the headers that were sent, in case the receiver repeats them.
func (w *watched) brief(err error) string {
	var secrets []string
	for _, value := range w.options.Headers {
		for _, part := range append([]string{value}, strings.Fields(value)...) {
			if len(part) >= minSecret {
				secrets = append(secrets, part, "<secret>")
			}
		}
	}
	text := strings.NewReplacer(secrets...).Replace(err.Error())
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\uFFFD")), " ")
	if len(text) > maxError {
		text = fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(text[:maxError], ""), len(text))
	}
	return text
}

// minSecret is the length from which a part of a header is looked for in what a
// receiver says: a shorter one occurs by chance, and protects nothing.
const minSecret = 6

package web

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// scrapeTimeoutHeader is how Prometheus tells its scrape_timeout, in seconds.
const scrapeTimeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

// metrics serves every cluster and the exporter's own metrics.
//
// With clusters=none it serves the latter alone, for whoever scrapes the clusters
// one by one through /probe.
//
// The clusters are asked before anything is gathered, because no Gather ever
// sees the context of the request.
func (s *server) metrics(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("clusters") == "none" {
		s.expose(w, r, nil, s.Self.Own())
		return
	}
	ctx, cancel := s.scrapeContext(r)
	defer cancel()
	views := s.Fleet.Observe(ctx)
	if r.Context().Err() != nil {
		return // The scraper has gone: there is nobody to answer.
	}
	s.expose(w, r, views, s.Self.Gatherer())
}

// scrapeContext is the request's context with the deadline of the scrape.
func (s *server) scrapeContext(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), scrapeTimeout(r.Header.Get(scrapeTimeoutHeader), s.Limit, s.TimeoutOffset))
}

// scrapeTimeout is the time that a scrape may take: what the scraper grants, or
// limit if that is shorter or the header makes no sense, less offset, so that
// the answer is there before the scraper gives up. The offset takes at most
// half, so that a scraper in a hurry gets something too.
func scrapeTimeout(header string, limit, offset time.Duration) time.Duration {
	timeout := limit
	if seconds, err := strconv.ParseFloat(header, 64); err == nil && seconds > 0 && seconds < limit.Seconds() {
		timeout = time.Duration(seconds * float64(time.Second))
	}
	return timeout - min(offset, timeout/2)
}

// instrument counts the requests in promhttp_metric_handler_*.
func (s *server) instrument(next http.Handler) http.Handler {
	return promhttp.InstrumentMetricHandler(s.Self.Registerer(), next)
}

// limit answers 503 beyond MaxRequests. A slot is held while the clusters are
// asked, not only while the answer is written.
func (s *server) limit(next http.Handler) http.Handler {
	if s.slots == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
			next.ServeHTTP(w, r)
		default:
			w.Header().Set("Retry-After", "1")
			http.Error(w, fmt.Sprintf("%d scrapes are being answered, which is the limit (--web.max-requests). Try again later.", cap(s.slots)), http.StatusServiceUnavailable)
		}
	})
}

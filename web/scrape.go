package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/exposition"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
)

// scrapeTimeoutHeader is how Prometheus tells its scrape_timeout, in seconds.
const scrapeTimeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

const (
	// waitFactor times MaxRequests probes may wait for their cluster: waiting costs
	// little, and must not be what keeps others from being answered. Who asks for
	// all clusters waits for each: wholeFactor times.
	waitFactor, wholeFactor = 25, 2
	// maxParted is how many requests go on whose client has closed its side.
	maxParted = 64
)

// metrics serves every cluster and the exporter's own metrics.
//
// With clusters=none it serves the latter alone, for whoever scrapes the clusters
// one by one through /probe. They have places of their own: whatever the clusters
// and their scrapers do, they are there.
func (s *server) metrics(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	switch clusters := strings.Join(query["clusters"], ","); {
	case query.Has("cluster"):
		// All of them would be answered, to each who asks for one.
		http.Error(w, "One cluster is served by /probe?cluster=NAME.", http.StatusBadRequest)
		return
	case clusters == "none":
		s.gated(s.own, w, func(w http.ResponseWriter) { s.expose(s.lasting(r), w, r, nil, s.Self.Own()) })
		return
	case clusters != "":
		http.Error(w, "clusters is none, for the exporter's own metrics alone, or is left out, for those of all clusters.", http.StatusBadRequest)
		return
	}
	s.observe(w, r, s.ahead(expfmt.NegotiateAccept(r.Header, exposition.Formats()...)), nil, func(ctx context.Context, results []series.Result) {
		s.gated(s.scrapes, w, func(w http.ResponseWriter) { s.expose(ctx, w, r, results, s.Self.Gatherer()) })
	})
}

var (
	errCrowded = errors.New("too many wait for clusters")
	errParted  = errors.New("the client has gone")
)

// An asking takes snapshots, as [fleet.Fleet.Observe] does.
type asking func(ctx context.Context, names ...string) []series.Result

// observe asks the named clusters, or all, for a request, and calls answer with what
// they brought. Its context ends when the scraper does not wait any more.
func (s *server) observe(w http.ResponseWriter, r *http.Request, ask asking, names []string, answer func(context.Context, []series.Result)) {
	granted := r.Header.Get(scrapeTimeoutHeader)
	ctx, cancel := context.WithTimeout(s.lasting(r), scrapeTimeout(granted, s.Limit, 0))
	defer cancel()
	if results, ok := s.results(ctx, scrapeTimeout(granted, s.Limit, s.TimeoutOffset), w, r, ask, names); ok {
		answer(ctx, results)
	}
}

// ahead asks all clusters. While slow ones are waited for, what the others have brought
// is written already: when the time is nearly over there is little left to do.
func (s *server) ahead(format expfmt.Format) asking {
	return func(ctx context.Context, names ...string) []series.Result {
		waiting, cancel := context.WithCancel(ctx)
		defer cancel()
		if deadline, limited := ctx.Deadline(); limited {
			for _, left := range []time.Duration{2, 4} {
				timer := time.AfterFunc(time.Until(deadline)*(left-1)/left, func() { s.prepare(waiting, format) })
				defer timer.Stop()
			}
		}
		return s.Fleet.Observe(ctx, names...)
	}
}

// prepare writes the last results of all clusters, for one scraper at a time.
func (s *server) prepare(ctx context.Context, format expfmt.Format) {
	select {
	case s.preparing <- struct{}{}:
		defer func() { <-s.preparing }()
	default:
		return
	}
	select {
	case s.rendering <- struct{}{}:
		defer func() { <-s.rendering }()
		s.Renderer().Prepare(ctx, s.Fleet.Last(), format)
	case <-ctx.Done():
	}
}

// results are what the clusters brought within a timeout; false if the request has
// been answered otherwise.
//
// The clusters are asked before there is a place for the answer, so that waiting
// for one that hangs takes no place from anybody, and before anything is
// gathered, because no Gather ever sees the context of the request.
func (s *server) results(ctx context.Context, timeout time.Duration, w http.ResponseWriter, r *http.Request, ask asking, names []string) ([]series.Result, bool) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ctx, stop := context.WithTimeout(ctx, timeout)
	defer stop()
	defer s.parting(r, cancel)()

	waiting := s.waiting
	if len(names) == 0 {
		waiting = s.waitingAll
	}
	p, err := waiting.enter(strings.Join(names, ","), func() { cancel(errCrowded) })
	if err != nil {
		busy(w, waiting)
		return nil, false
	}
	defer p.leave()
	p.move()
	results := ask(ctx, names...)
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errCrowded):
		busy(w, waiting)
		return nil, false
	case errors.Is(cause, errParted), errors.Is(cause, context.Canceled):
		// There is nobody to answer. Not to answer is what keeps a client that
		// has closed but its own side from an answer without content.
		panic(http.ErrAbortHandler)
	}
	return results, true
}

// lasting is the context of a request without what ends it: net/http ends it when
// the client closes its side of the connection, which "nc -N" and some proxies do
// right after they have asked. Their answer is whole. In HTTP/2 a client that
// leaves says so.
func (s *server) lasting(r *http.Request) context.Context {
	if r.ProtoMajor >= 2 {
		return r.Context()
	}
	return context.WithoutCancel(r.Context())
}

// parting bounds how many requests go on whose client has closed its side: most
// of these have gone. Beyond maxParted, cancel is called. The function that is
// returned ends that.
func (s *server) parting(r *http.Request, cancel context.CancelCauseFunc) (end func()) {
	ended := make(chan struct{})
	stop := context.AfterFunc(r.Context(), func() {
		select {
		case s.parted <- struct{}{}:
			<-ended
			<-s.parted
		default:
			cancel(errParted)
		}
	})
	return func() {
		stop()
		close(ended)
	}
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

// busy answers that there is no place. It ends the connection (in HTTP/2, once all
// on it is answered): more requests may be in its pipe already.
func busy(w http.ResponseWriter, g *gate) {
	w.Header().Set("Retry-After", "1")
	w.Header().Set("Connection", "close")
	http.Error(w, fmt.Sprintf("%d requests of this kind are being answered, which is the limit (see --web.max-requests). Try again later.", g.size), http.StatusServiceUnavailable)
}

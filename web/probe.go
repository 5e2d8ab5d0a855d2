package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

const (
	// maxNamesShown bounds the list of clusters in the answer to a wrong name, and
	// that of unobserved connectors on the page of a probe.
	maxNamesShown = 100
	// maxSeriesShown bounds the series on the page of a probe, in bytes.
	maxSeriesShown = 128 << 10
)

// probe serves one cluster, by its configured name, on the same path as metrics
// serves all. What to ask is never taken from the query but the name, which is
// looked up: nobody can send the exporter elsewhere. With debug=true it is a page
// that shows what was done, if that is served here.
func (s *server) probe(debugging bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		query, err := url.ParseQuery(r.URL.RawQuery)
		names := s.Fleet.Names()
		switch {
		case err != nil:
			http.Error(w, "The query cannot be read.", http.StatusBadRequest)
			return
		case len(query["cluster"]) != 1:
			http.Error(w, "Say which cluster once: /probe?cluster=NAME. "+existing(names), http.StatusBadRequest)
			return
		case !slices.Contains(names, query.Get("cluster")):
			http.Error(w, "There is no cluster of this name. "+existing(names), http.StatusNotFound)
			return
		}
		name := query.Get("cluster")
		debug, err := strconv.ParseBool(query.Get("debug"))
		switch {
		case err != nil && query.Has("debug"):
			http.Error(w, "debug is true or false.", http.StatusBadRequest)
		case debug && !debugging:
			http.Error(w, "debug=true is served on --web.admin-address alone.", http.StatusNotFound)
		case debug:
			s.guard(func(w http.ResponseWriter, r *http.Request) {
				s.probeCluster(w, r, name, s.Fleet.Refresh, s.pages, s.debug)
			})(w, r)
		default:
			s.probeCluster(w, r, name, s.Fleet.Observe, s.scrapes, s.expose)
		}
	}
}

// probeCluster asks one cluster and answers with what that brought, once the gate
// has a place.
func (s *server) probeCluster(w http.ResponseWriter, r *http.Request, name string, ask asking, g *gate,
	answer func(context.Context, http.ResponseWriter, *http.Request, []series.Result, prometheus.TransactionalGatherer),
) {
	s.observe(w, r, ask, []string{name}, func(ctx context.Context, results []series.Result) {
		if len(results) == 0 {
			http.Error(w, "The cluster was removed by a reload.", http.StatusNotFound)
			return
		}
		s.gated(g, w, func(w http.ResponseWriter) { answer(ctx, w, r, results, s.Self.ForCluster(name)) })
	})
}

func existing(names []string) string {
	list, more := firstOf(names, maxNamesShown)
	text := "The clusters are: " + strings.Join(list, ", ")
	if more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	return text + "."
}

// What the page of a probe shows.
type (
	probePage struct {
		frame
		Cluster, Health, Duration, Error string
		Log                              string
		Unobserved                       []connect.Unobserved
		MoreUnobserved                   int
		Calls                            []probeCall
		Series                           string
		// Whole is where all series are, MoreSeries how many bytes of them are
		// not shown.
		Whole      string
		MoreSeries int
	}
	probeCall struct {
		Start, Endpoint, Connector, Host, Code, Duration, Error string
		Bytes                                                   int64
	}
)

// debug shows what a probe did, call by call, and the series that it gave.
func (s *server) debug(ctx context.Context, w http.ResponseWriter, r *http.Request, results []series.Result, own prometheus.TransactionalGatherer) {
	result := &results[0]
	page := probePage{
		frame: s.frame("Probe of " + result.Cluster), Cluster: result.Cluster,
		Health: "up", Duration: span(result.Duration), Log: probeLog(result),
		Whole: "./probe?cluster=" + url.QueryEscape(result.Cluster),
	}
	if result.Err != nil {
		page.Health, page.Error = "down", result.Err.Error()
	}
	began := result.At.Add(-result.Duration)
	for _, asked := range result.Requests {
		call := probeCall{
			Start: span(asked.Start.Sub(began)), Endpoint: asked.Endpoint, Connector: asked.Connector, Host: asked.Host,
			Code: "none", Duration: span(asked.Duration), Bytes: asked.Bytes,
		}
		if asked.Code != 0 {
			call.Code = strconv.Itoa(asked.Code)
		}
		if asked.Err != nil {
			call.Error = asked.Err.Error()
		}
		page.Calls = append(page.Calls, call)
	}
	if result.Snapshot != nil {
		page.Unobserved, page.MoreUnobserved = firstOf(result.Snapshot.Unobserved, maxNamesShown)
	}
	answer, err := s.render(ctx, results, own, expfmt.FmtText, false)
	switch {
	case err != nil && ctx.Err() != nil:
		page.Series = "There was no time to write the series.\n" // It is the visitor's own.
	case err != nil:
		s.Logger.Error("the series of a probe cannot be encoded", "cluster", result.Cluster, "err", err)
	default:
		shown := head{left: maxSeriesShown}
		_ = answer.Write(&shown) // It ends early by an error.
		page.Series = shown.text.String()
		page.MoreSeries = answer.Size() - len(page.Series)
	}
	s.page(w, r, "probe", page.frame, page)
}

// firstOf returns the first so many, and how many more there are.
func firstOf[T any](list []T, limit int) (first []T, more int) {
	if len(list) <= limit {
		return list, 0
	}
	return list[:limit], len(list) - limit
}

// head keeps the first lines of what is written to it and refuses the rest.
type head struct {
	text strings.Builder
	left int
}

var errFull = errors.New("no more is shown")

func (h *head) Write(text []byte) (int, error) {
	if len(text) <= h.left {
		h.left -= len(text)
		return h.text.Write(text)
	}
	text = text[:h.left]
	h.text.Write(text[:strings.LastIndexByte(string(text), '\n')+1])
	h.left = 0
	return len(text), errFull
}

// probeLog tells a snapshot as a log, line by line.
func probeLog(result *series.Result) string {
	var out strings.Builder
	began := result.At.Add(-result.Duration)
	fmt.Fprintf(&out, "%s snapshot of %s (%s)\n", stamp(began), result.Cluster, result.Provider)
	for _, r := range result.Requests {
		outcome := fmt.Sprintf("%d, %d bytes", r.Code, r.Bytes)
		if r.Err != nil {
			outcome = r.Err.Error()
		}
		about := r.Endpoint
		if r.Connector != "" {
			about += " of " + strconv.Quote(r.Connector)
		}
		fmt.Fprintf(&out, "%s %s from %s in %s: %s\n", stamp(r.Start.Add(r.Duration)), about, r.Host, span(r.Duration), outcome)
	}
	if len(result.Requests) == series.MaxRequests {
		fmt.Fprintf(&out, "(the first %d calls)\n", series.MaxRequests)
	}
	switch {
	case result.Err != nil:
		fmt.Fprintf(&out, "%s failed: %s\n", stamp(result.At), result.Err)
	case result.Snapshot != nil:
		unobserved, more := firstOf(result.Snapshot.Unobserved, maxNamesShown)
		for _, u := range unobserved {
			fmt.Fprintf(&out, "%s not observed: %s (%s)\n", stamp(result.At), strconv.Quote(u.Connector), u.Reason)
		}
		if more > 0 {
			fmt.Fprintf(&out, "%s not observed: %d more\n", stamp(result.At), more)
		}
		fmt.Fprintf(&out, "%s snapshot of %d connectors, %d not observed, %d bytes\n", stamp(result.At),
			len(result.Snapshot.Connectors), len(result.Snapshot.Unobserved), result.Snapshot.Bytes)
	}
	return out.String()
}

func stamp(t time.Time) string { return t.UTC().Format("15:04:05.000000Z") }

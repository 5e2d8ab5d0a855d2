package web

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
)

// maxNamesShown bounds the list of clusters in the answer to a wrong name.
const maxNamesShown = 100

// probe serves one cluster, by its configured name, on the same path as metrics
// serves all. What to ask is never taken from the query but the name, which is
// looked up: nobody can send the exporter elsewhere.
func (s *server) probe(w http.ResponseWriter, r *http.Request) {
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
	if err != nil && query.Has("debug") {
		http.Error(w, "debug is true or false.", http.StatusBadRequest)
		return
	}

	ctx, cancel := s.scrapeContext(r)
	defer cancel()
	views := s.Fleet.Observe(ctx, name)
	if r.Context().Err() != nil {
		return
	}
	if len(views) == 0 {
		http.Error(w, "The cluster was removed by a reload.", http.StatusNotFound)
		return
	}
	own := s.Self.ForCluster(name)
	if debug {
		s.debug(w, r, views, own)
		return
	}
	s.expose(w, r, views, own)
}

func existing(names []string) string {
	list := names
	if len(list) > maxNamesShown {
		list = list[:maxNamesShown]
	}
	text := "The clusters are: " + strings.Join(list, ", ")
	if more := len(names) - len(list); more > 0 {
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
		Calls                            []probeCall
		Series                           string
	}
	probeCall struct {
		Start, Endpoint, Connector, Host, Code, Duration, Error string
		Bytes                                                   int64
	}
)

// debug shows what a probe did, call by call, and the series that it gave.
func (s *server) debug(w http.ResponseWriter, r *http.Request, views []series.Result, own prometheus.TransactionalGatherer) {
	view := &views[0]
	page := probePage{
		frame: s.frame("Probe of " + view.Cluster), Cluster: view.Cluster,
		Health: "up", Duration: span(view.Duration), Log: probeLog(view),
	}
	if view.Err != nil {
		page.Health, page.Error = "down", view.Err.Error()
	}
	began := view.At.Add(-view.Duration)
	for _, r := range view.Requests {
		call := probeCall{
			Start: span(r.Start.Sub(began)), Endpoint: r.Endpoint, Connector: r.Connector, Host: r.Host,
			Code: "none", Duration: span(r.Duration), Bytes: r.Bytes,
		}
		if r.Code != 0 {
			call.Code = strconv.Itoa(r.Code)
		}
		if r.Err != nil {
			call.Error = r.Err.Error()
		}
		page.Calls = append(page.Calls, call)
	}
	answer, err := s.render(r.Context(), views, own, expfmt.FmtText, false)
	if err != nil {
		s.Logger.Error("the series of a probe cannot be encoded", "cluster", view.Cluster, "err", err)
	} else {
		var text strings.Builder
		_ = answer.Write(&text) // A Builder does not fail.
		page.Series = text.String()
	}
	s.page(w, "probe", page.frame, page)
}

// targetGroup is one element of what Prometheus's HTTP service discovery reads
// (https://prometheus.io/docs/prometheus/latest/http_sd/).
type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// discovery lists one target group a cluster: this exporter's /probe with the
// cluster's name as its parameter. All replicas list the same clusters, so that
// Prometheus can spread them by hashmod over __param_cluster.
func (s *server) discovery(w http.ResponseWriter, r *http.Request) {
	if _, _, err := net.SplitHostPort(withPort(r)); err != nil || strings.ContainsAny(r.Host, "/?#@ ") {
		http.Error(w, "The Host header is not host:port.", http.StatusBadRequest)
		return
	}
	groups := []targetGroup{}
	for _, view := range s.Fleet.Last() {
		groups = append(groups, targetGroup{
			Targets: []string{withPort(r)},
			Labels: map[string]string{
				"__metrics_path__":                      strings.TrimSuffix(r.URL.Path, "/sd") + "/probe",
				"__param_cluster":                       view.Cluster,
				"__meta_kafka_connect_cluster":          view.Cluster,
				"__meta_kafka_connect_cluster_provider": string(view.Provider),
			},
		})
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(groups); err != nil {
		s.Logger.Debug("The target groups could not be written", "err", err)
	}
}

// withPort is the address that the client used for this exporter.
func withPort(r *http.Request) string {
	if _, _, err := net.SplitHostPort(r.Host); err == nil {
		return r.Host
	}
	port := "80"
	if r.TLS != nil {
		port = "443"
	}
	return net.JoinHostPort(strings.Trim(r.Host, "[]"), port)
}

// probeLog tells a look as a log, line by line.
func probeLog(view *series.Result) string {
	var out strings.Builder
	began := view.At.Add(-view.Duration)
	fmt.Fprintf(&out, "%s look at %s (%s)\n", stamp(began), view.Cluster, view.Provider)
	for _, r := range view.Requests {
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
	if len(view.Requests) == series.MaxRequests {
		fmt.Fprintf(&out, "(the first %d calls)\n", series.MaxRequests)
	}
	switch {
	case view.Err != nil:
		fmt.Fprintf(&out, "%s failed: %s\n", stamp(view.At), view.Err)
	case view.Snapshot != nil:
		fmt.Fprintf(&out, "%s snapshot of %d connectors, %d not observed, %d bytes\n", stamp(view.At),
			len(view.Snapshot.Connectors), len(view.Snapshot.Unobserved), view.Snapshot.Bytes)
	}
	return out.String()
}

func stamp(t time.Time) string { return t.UTC().Format("15:04:05.000000Z") }

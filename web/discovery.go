package web

import (
	"encoding/json"
	"net"
	"net/http"
	"strings"
)

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
	at := s.reached(r)
	target := at.address()
	if _, _, err := net.SplitHostPort(target); err != nil || strings.ContainsAny(at.host, "/?#@ ") {
		http.Error(w, "The Host header is not host:port.", http.StatusBadRequest)
		return
	}
	groups := []targetGroup{}
	for _, result := range s.Fleet.Last() {
		labels := map[string]string{
			"__metrics_path__":                      at.prefix + "/probe",
			"__param_cluster":                       result.Cluster,
			"__meta_kafka_connect_cluster":          result.Cluster,
			"__meta_kafka_connect_cluster_provider": string(result.Provider),
		}
		if at.secure {
			// Where TLS is not used, or a proxy that is not trusted adds it, the
			// scrape configuration says which.
			labels["__scheme__"] = "https"
		}
		groups = append(groups, targetGroup{Targets: []string{target}, Labels: labels})
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(groups); err != nil {
		s.Logger.Debug("the target groups could not be written", "err", err)
	}
}

// address is host:port of the exporter as the client reaches it.
func (f forwarded) address() string {
	if _, _, err := net.SplitHostPort(f.host); err == nil {
		return f.host
	}
	port := "80"
	if f.secure {
		port = "443"
	}
	return net.JoinHostPort(strings.Trim(f.host, "[]"), port)
}

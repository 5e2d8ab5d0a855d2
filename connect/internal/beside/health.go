package beside

import (
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// A Root is what a worker says of itself to GET /; "" is what it does not.
type Root struct {
	Version        string `json:"version"`
	Commit         string `json:"commit"`
	KafkaClusterID string `json:"kafka_cluster_id"`
}

// RootOf reads an answer.
func RootOf(body []byte) (r Root, err error) {
	if json.Unmarshal(body, &r) != nil || max(len(r.Version), len(r.Commit), len(r.KafkaClusterID)) > connect.MaxText {
		return Root{}, fmt.Errorf("%w: not what a worker says of itself", connect.Decode)
	}
	return r, nil
}

// Times of GET /health.
const (
	// HealthTimeout lies above the 10 s that a worker takes to find out that it
	// cannot answer (KIP-1017).
	HealthTimeout = 12 * time.Second
	HealthEvery   = 10 * time.Second // how often a worker is asked
	HealthSeldom  = time.Minute      // how often one that does not answer is
	HealthRarely  = 10 * time.Minute // how often one that knows no such question is
	HealthAge     = 5 * time.Minute  // how long an answer is shown
)

// Health is what an answer to GET /health (Kafka 3.9) says.
type Health uint8

// The answers.
const (
	// NoHealth: nothing, as from something before the worker, or for want of
	// credentials.
	NoHealth Health = iota
	// NeverHealth: this worker has no such path.
	NeverHealth
	Healthy
	Unhealthy
)

// HealthOf reads an answer.
func HealthOf(code int, body []byte) Health {
	var answer struct {
		Status string `json:"status"`
		Code   int    `json:"error_code"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return NoHealth
	}
	switch {
	case code == http.StatusOK && answer.Status == "healthy":
		return Healthy
	case code >= http.StatusInternalServerError && (answer.Status == "starting" || answer.Status == "unhealthy"):
		return Unhealthy
	case code == http.StatusNotFound && answer.Code == http.StatusNotFound:
		return NeverHealth
	}
	return NoHealth
}

// Again is how soon to ask again after an answer.
func (h Health) Again() time.Duration {
	switch h {
	case NeverHealth:
		return HealthRarely
	case NoHealth:
		return HealthSeldom
	}
	return HealthEvery
}

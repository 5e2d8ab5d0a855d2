// Package aiventest simulates one service at Aiven over HTTP: ServiceGet of
// Aiven's API with its tokens, permissions and errors, and the guard in front of
// the service's Connect cluster, whose password can be rotated.
package aiventest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Permissions of a token.
const (
	ReadServices = "project:services:read"
	ReadSecrets  = "service:secrets:read"
)

// A Component of a service: one way to one part of it.
type Component struct {
	Component string `json:"component"`
	Host      string `json:"host"`
	Port      int    `json:"port"`
	Route     string `json:"route"`
	Usage     string `json:"usage"`
	Path      string `json:"path,omitempty"`
}

// A Fault is what the API answers instead of the truth.
type Fault struct {
	Status int
	Body   string
	Hang   bool // until the caller leaves
}

// State is what a service is at one time; see Aiven's ServiceGetOut.
type State struct {
	Type       string // kafka_connect or kafka
	State      string // RUNNING, REBUILDING, REBALANCING, POWEROFF
	URL        string // of the Connect cluster, without credentials; "" if there is none
	User       string
	Password   string
	UserOnly   bool // credentials stand in users alone, not in the URI
	Components []Component
}

// A Service is one service of one project.
type Service struct {
	Project, Name string

	mutex  sync.Mutex
	state  State
	tokens map[string][]string
	fault  *Fault
	calls  int
}

// New returns a service.
func New(project, name string, state State) *Service {
	return &Service{Project: project, Name: name, state: state, tokens: map[string][]string{}}
}

// Grant makes a token with permissions, in place of those that it had.
func (s *Service) Grant(token string, permissions ...string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.tokens[token] = permissions
}

// Revoke makes a token worthless.
func (s *Service) Revoke(token string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.tokens, token)
}

// Change alters the service.
func (s *Service) Change(change func(*State)) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	change(&s.state)
}

// SetFault sets what the API answers from now on; nil is the truth again.
func (s *Service) SetFault(fault *Fault) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.fault = fault
}

// Calls returns how often the API was asked.
func (s *Service) Calls() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.calls
}

// Connect guards the service's Connect cluster with its present password; while
// it is powered off, connections break.
func (s *Service) Connect(cluster http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mutex.Lock()
		state := s.state
		s.mutex.Unlock()
		if state.State == "POWEROFF" {
			panic(http.ErrAbortHandler)
		}
		if user, password, ok := r.BasicAuth(); !ok || user != state.User || password != state.Password {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, "User cannot access the resource.")
			return
		}
		cluster.ServeHTTP(w, r)
	})
}

func fail(w http.ResponseWriter, code int, message string) {
	answer(w, code, map[string]any{"message": message, "errors": []any{map[string]any{"message": message, "status": code}}})
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

// ServeHTTP is Aiven's API.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mutex.Lock()
	s.calls++
	state, fault := s.state, s.fault
	permissions, known := s.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "aivenv1 ")]
	s.mutex.Unlock()
	switch {
	case fault != nil && fault.Hang:
		<-r.Context().Done()
	case fault != nil && fault.Body != "":
		w.WriteHeader(fault.Status)
		_, _ = io.WriteString(w, fault.Body)
	case fault != nil:
		fail(w, fault.Status, http.StatusText(fault.Status))
	case r.Method != http.MethodGet:
		fail(w, http.StatusMethodNotAllowed, "the simulation is read-only")
	case !known:
		fail(w, http.StatusUnauthorized, "Invalid token")
	case !slices.Contains(permissions, ReadServices):
		fail(w, http.StatusForbidden, "Not authorized")
	case r.URL.Path != "/v1/project/"+s.Project+"/service/"+s.Name:
		fail(w, http.StatusNotFound, "Service does not exist")
	case r.URL.Query().Get("include_secrets") != "true":
		answer(w, http.StatusOK, map[string]any{"service": s.body(state, false)})
	case !slices.Contains(permissions, ReadSecrets):
		fail(w, http.StatusForbidden, "Not authorized to read secrets")
	default:
		answer(w, http.StatusOK, map[string]any{"service": s.body(state, true)})
	}
}

func (s *Service) body(state State, secrets bool) map[string]any {
	password := state.Password
	if !secrets { // "Secret redaction in Aiven API"
		password = "<redacted>"
	}
	components := []any{map[string]any{"component": "kafka", "host": "kafka.example.org", "port": 9092, "route": "dynamic", "usage": "primary", "kafka_authentication_method": "certificate"}}
	for _, c := range state.Components {
		components = append(components, c)
	}
	body := map[string]any{
		"service_name": s.Name, "service_type": state.Type, "state": state.State, "plan": "business-4", "cloud_name": "google-europe-west1",
		"node_count": 3, "node_states": []any{map[string]any{"name": s.Name + "-1", "state": "running", "role": "master"}},
		"users":       []any{map[string]any{"username": "reader", "password": nil, "type": "regular"}, map[string]any{"username": state.User, "password": password, "type": "primary"}},
		"components":  components,
		"service_uri": nil, "service_uri_params": map[string]any{}, "connection_info": map[string]any{},
		"user_config": map[string]any{"kafka_connect": true}, "service_integrations": []any{},
	}
	if state.URL == "" || state.State == "POWEROFF" {
		return body
	}
	uri, err := url.Parse(state.URL)
	if err != nil {
		panic(err)
	}
	body["service_uri_params"] = map[string]any{"host": uri.Hostname(), "port": uri.Port(), "user": state.User, "password": password}
	if !state.UserOnly {
		uri.User = url.UserPassword(state.User, password)
	}
	info := map[string]any{"kafka_connect": []string{"https://" + state.User + ":" + password + "@10.0.0.4:443"}}
	if state.Type == "kafka_connect" {
		body["service_uri"] = uri.String()
	} else {
		body["service_uri"] = "kafka.example.org:9092"
		info["kafka_connect_uri"] = uri.String()
	}
	body["connection_info"] = info
	return body
}

// Package confluenttest simulates Confluent Cloud's Connect API v1 for one Kafka
// cluster over HTTP: its authentication, shapes, states, errors and rate limits.
package confluenttest

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A Connector as the API shows it.
type Connector struct {
	Name  string
	ID    string // lcc-…
	State string // NONE, PROVISIONING, RUNNING, DEGRADED, FAILED, PAUSED, DELETED, RESTARTING
	// Type is source or sink, beside the configuration; "" leaves it out.
	Type   string
	Trace  string
	Config map[string]string
	Tasks  []Task
	// NoInfo, NoStatus and NoTasks leave these out, as the API may.
	NoInfo, NoStatus, NoTasks bool
}

// A Task of a connector.
type Task struct {
	State   string // RUNNING, STOPPED, UNASSIGNED, RESTARTING, SYSTEM_ERROR, USER_ACTIONABLE_ERROR
	Message string
}

// A Fault is the answer to every request instead of the real one.
type Fault struct {
	Status int
	Header http.Header
	Body   string // "" is the API's own error
	// After is how many requests are answered before it begins.
	After int
	// Hang until the caller leaves.
	Hang bool
}

// A Service is the API for one Kafka cluster. It is an [http.Handler].
type Service struct {
	// Environment, Cluster, Key and Secret are not to change while it serves.
	Environment, Cluster, Key, Secret string

	mutex      sync.Mutex
	connectors map[string]Connector
	forbidden  bool
	fault      *Fault
	calls      map[string]int
}

// New returns a Service without connectors.
func New(environment, cluster, key, secret string) *Service {
	return &Service{Environment: environment, Cluster: cluster, Key: key, Secret: secret, connectors: map[string]Connector{}, calls: map[string]int{}}
}

// Path is what the base URL ends with.
func (s *Service) Path() string {
	return "/connect/v1/environments/" + s.Environment + "/clusters/" + s.Cluster
}

// Put adds or replaces connectors.
func (s *Service) Put(connectors ...Connector) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, c := range connectors {
		s.connectors[c.Name] = c
	}
}

// Delete removes a connector.
func (s *Service) Delete(name string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.connectors, name)
}

// Forbid takes the key's permission away, or gives it back.
func (s *Service) Forbid(forbidden bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.forbidden = forbidden
}

// SetFault sets what is answered from now on; nil is the truth again.
func (s *Service) SetFault(fault *Fault) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.fault = fault
}

// Calls returns how often each path below the base was asked for, with its query.
func (s *Service) Calls() map[string]int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return maps.Clone(s.calls)
}

// Total is the number of all requests.
func (s *Service) Total() (total int) {
	for _, n := range s.Calls() {
		total += n
	}
	return total
}

func fail(w http.ResponseWriter, code int, message string) {
	answer(w, code, map[string]any{"error": map[string]any{"code": code, "message": message}})
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	path, below := strings.CutPrefix(r.URL.EscapedPath(), s.Path())
	key := path
	if r.URL.RawQuery != "" {
		key += "?" + r.URL.RawQuery
	}
	s.calls[key]++
	if s.fault != nil {
		if s.fault.After > 0 {
			s.fault.After--
		} else {
			s.misbehave(w, r, *s.fault)
			return
		}
	}
	user, password, ok := r.BasicAuth()
	switch {
	case !ok || user != s.Key || password != s.Secret:
		fail(w, http.StatusUnauthorized, "Unauthorized")
	case s.forbidden:
		fail(w, http.StatusForbidden, "Forbidden")
	case r.Method != http.MethodGet:
		fail(w, http.StatusMethodNotAllowed, "the simulation is read-only")
	case !below:
		fail(w, http.StatusNotFound, "resource not found")
	case path == "/connectors":
		s.list(w, r)
	default:
		s.one(w, path)
	}
}

func (s *Service) misbehave(w http.ResponseWriter, r *http.Request, fault Fault) {
	if fault.Hang {
		s.mutex.Unlock()
		<-r.Context().Done()
		s.mutex.Lock()
		return
	}
	maps.Copy(w.Header(), fault.Header)
	if fault.Body == "" {
		fail(w, fault.Status, http.StatusText(fault.Status))
		return
	}
	w.WriteHeader(fault.Status)
	_, _ = io.WriteString(w, fault.Body)
}

// list answers the names, or the documented comma form of expand.
func (s *Service) list(w http.ResponseWriter, r *http.Request) {
	names := slices.Sorted(maps.Keys(s.connectors))
	expand := r.URL.Query().Get("expand")
	if expand == "" {
		answer(w, http.StatusOK, append([]string{}, names...))
		return
	}
	expanded := map[string]any{}
	for _, name := range names {
		c, entry := s.connectors[name], map[string]any{}
		for part := range strings.SplitSeq(expand, ",") {
			switch {
			case part == "id":
				entry["id"] = map[string]string{"id": c.ID, "id_type": "ID"}
			case part == "info" && !c.NoInfo:
				entry["info"] = info(c)
			case part == "status" && !c.NoStatus:
				entry["status"] = status(c)
			}
		}
		expanded[name] = entry
	}
	answer(w, http.StatusOK, expanded)
}

func (s *Service) one(w http.ResponseWriter, path string) {
	segment, wantsStatus := strings.CutSuffix(strings.TrimPrefix(path, "/connectors/"), "/status")
	name, err := url.PathUnescape(segment)
	c, found := s.connectors[name]
	switch {
	case err == nil && found && wantsStatus && !c.NoStatus:
		answer(w, http.StatusOK, status(c))
	case err == nil && found && !wantsStatus && !c.NoInfo:
		answer(w, http.StatusOK, info(c))
	default:
		fail(w, http.StatusNotFound, "resource not found")
	}
}

// info masks what its configuration keeps secret, as the API does.
func info(c Connector) map[string]any {
	config := map[string]string{"name": c.Name}
	for key, value := range c.Config {
		if strings.Contains(key, "secret") || strings.Contains(key, "password") || strings.Contains(key, "api.key") {
			value = "****************"
		}
		config[key] = value
	}
	tasks := []map[string]any{}
	for i := range c.Tasks {
		tasks = append(tasks, map[string]any{"connector": c.Name, "task": i})
	}
	return body(c, "config", config, tasks)
}

func status(c Connector) map[string]any {
	tasks := []map[string]any{}
	for i, t := range c.Tasks {
		tasks = append(tasks, map[string]any{"id": i, "state": t.State, "worker_id": c.Name, "msg": t.Message})
	}
	return body(c, "connector", map[string]string{"state": c.State, "worker_id": c.Name, "trace": c.Trace}, tasks)
}

// body is what info and status have in common; of says what they differ in.
func body(c Connector, of string, what any, tasks []map[string]any) map[string]any {
	body := map[string]any{"name": c.Name, of: what}
	if !c.NoTasks {
		body["tasks"] = tasks
	}
	if c.Type != "" {
		body["type"] = c.Type
	}
	return body
}

// Limit is the 429 that asks for a pause of so many seconds, by Retry-After and
// by the rate limit's own headers.
func Limit(seconds int) *Fault {
	text := strconv.Itoa(seconds)
	header := http.Header{}
	for name, value := range map[string]string{"Retry-After": text, "X-RateLimit-Limit": "25", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": text} {
		header.Set(name, value)
	}
	return &Fault{Status: http.StatusTooManyRequests, Header: header}
}

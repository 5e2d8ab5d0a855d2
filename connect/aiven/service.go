package aiven

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/rest"
)

// maxServiceBytes bounds one answer of the API: that of a Kafka service lists
// all its topics.
const maxServiceBytes = 32 << 20

// service is what is read of Aiven's ServiceGet.
type service struct {
	Type  string `json:"service_type"`
	State string `json:"state"`
	// URI of a kafka_connect service, with user and password; null where the
	// service is off.
	URI   string `json:"service_uri"`
	Users []struct {
		Username string `json:"username"`
		Password string `json:"password"`
		Type     string `json:"type"`
	} `json:"users"`
	Components     []component `json:"components"`
	ConnectionInfo struct {
		// KafkaConnectURI of a Kafka service with Connect enabled.
		KafkaConnectURI string `json:"kafka_connect_uri"`
	} `json:"connection_info"`
}

type component struct {
	Component string `json:"component"`
	Host      string `json:"host"`
	Port      int    `json:"port"`
	Path      string `json:"path"`
	Route     string `json:"route"`
	Usage     string `json:"usage"`
}

// connectComponent is the name of Kafka Connect among a service's components,
// and of a service that is nothing else.
const connectComponent = "kafka_connect"

// A failure is an error of Aiven's API in our words; its own message is not
// ours to show.
type failure struct {
	reason connect.Reason
	what   string
}

func (f *failure) Error() string { return f.what }
func (f *failure) Unwrap() error { return f.reason }

// get asks for the service. Only with include_secrets does the answer hold the
// credentials, which is HTTP 403 for a token that may not read them ("Secret
// redaction in Aiven API").
func (o *Observer) get(ctx context.Context, report func(connect.Request)) (*service, int64, error) {
	token, err := o.options.Token()
	if err != nil {
		return nil, 0, &failure{connect.Unauthorized, err.Error()}
	}
	target := o.options.APIURL.JoinPath("v1/project", o.options.Project, "service", o.options.Service)
	target.RawQuery = "include_secrets=true"
	ctx, cancel := context.WithTimeout(ctx, o.options.Rest.RequestTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, 0, &failure{connect.Unreachable, "aiven.api_url makes no request"}
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Authorization", "aivenv1 "+token)

	record := connect.Request{Endpoint: "service", Host: target.Host, Start: time.Now()}
	var got *service
	got, record.Code, record.Bytes, record.Err = o.answer(ctx, request)
	record.Duration = time.Since(record.Start)
	report(record)
	return got, record.Bytes, record.Err
}

func (o *Observer) answer(ctx context.Context, request *http.Request) (got *service, code int, size int64, err error) {
	response, err := o.api.Do(request)
	if err != nil {
		return nil, 0, 0, unanswered(ctx, request.URL.Host, err)
	}
	defer func() { _ = response.Body.Close() }()
	code = response.StatusCode
	body := &counter{inner: io.LimitReader(response.Body, maxServiceBytes)}
	if code != http.StatusOK {
		_, _ = io.CopyN(io.Discard, body, 64<<10)
		return nil, code, body.size, o.refused(code)
	}
	var envelope struct {
		Service *service `json:"service"`
	}
	// A decoder's error may quote what it could not decode.
	err = json.UnmarshalRead(body, &envelope)
	switch {
	case ctx.Err() != nil:
		return nil, code, body.size, unanswered(ctx, request.URL.Host, ctx.Err())
	case err != nil && body.size >= maxServiceBytes:
		return nil, code, body.size, &failure{connect.TooLarge, "the answer is larger than the limit"}
	case err != nil || envelope.Service == nil:
		return nil, code, body.size, &failure{connect.Decode, "the answer is not that of Aiven's API: check aiven.api_url"}
	}
	return envelope.Service, code, body.size, nil
}

type counter struct {
	inner io.Reader
	size  int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.inner.Read(p)
	c.size += int64(n)
	return n, err
}

func unanswered(ctx context.Context, host string, err error) error {
	if err = rest.TransportError(ctx, err); errors.Is(err, connect.Timeout) {
		return &failure{connect.Timeout, "no complete answer of " + host + " in time"}
	}
	return fmt.Errorf("%w: check aiven.api_url and proxy", err)
}

func (o *Observer) refused(code int) error {
	f := &failure{connect.HTTPStatus, "HTTP " + strconv.Itoa(code)}
	switch code {
	case http.StatusUnauthorized:
		f.reason, f.what = connect.Unauthorized, "HTTP 401: Aiven does not accept the API token; make a new one"
	case http.StatusForbidden:
		f.reason, f.what = connect.Forbidden, "HTTP 403: the token's owner may not see this; check aiven.project, and grant the permissions project:services:read and service:secrets:read"
	case http.StatusNotFound:
		f.reason, f.what = connect.NotFound, "HTTP 404: there is no such service or project; check aiven.project and aiven.service"
	case http.StatusTooManyRequests:
		f.what = "HTTP 429: Aiven limits the rate of requests"
	}
	return f
}

// An endpoint is where a cluster is, and the credentials for it.
type endpoint struct {
	url            *url.URL // without credentials
	user, password string
}

func (e endpoint) equal(other endpoint) bool {
	return e.url != nil && other.url != nil && *e.url == *other.url && e.user == other.user && e.password == other.password
}

// endpoint finds the Connect cluster in the service, by the route that is wanted.
func (s *service) endpoint(route string) (endpoint, error) {
	var text string
	switch s.Type {
	case connectComponent:
		text = s.URI
	case "kafka":
		text = s.ConnectionInfo.KafkaConnectURI
	default:
		return endpoint{}, &failure{connect.NotFound, fmt.Sprintf("it is of type %.40q, not kafka_connect or kafka; check aiven.service", s.Type)}
	}
	var found endpoint
	if text != "" {
		parsed, err := url.Parse(text)
		if err != nil || parsed.Host == "" || parsed.Scheme != "https" && parsed.Scheme != "http" {
			return endpoint{}, &failure{connect.Decode, "its URI is none that can be used"}
		}
		if parsed.User != nil {
			found.user = parsed.User.Username()
			found.password, _ = parsed.User.Password()
		}
		found.url = &url.URL{Scheme: parsed.Scheme, Host: parsed.Host, Path: strings.TrimSuffix(parsed.Path, "/")}
	}
	chosen, routes := s.component(route)
	switch {
	case chosen != nil && (route != RouteDynamic || found.url == nil):
		scheme := "https"
		if found.url != nil {
			scheme = found.url.Scheme
		}
		found.url = &url.URL{Scheme: scheme, Host: net.JoinHostPort(chosen.Host, strconv.Itoa(chosen.Port)), Path: strings.TrimSuffix(chosen.Path, "/")}
	case found.url == nil && s.Type == "kafka":
		return endpoint{}, &failure{connect.NotFound, "this Kafka service has no Kafka Connect; enable kafka_connect in its configuration, or name a kafka_connect service"}
	case found.url == nil:
		return endpoint{}, &failure{connect.NotFound, "it has no address yet; wait until it is built"}
	case route == RoutePrivate, route == RoutePrivatelink:
		return endpoint{}, &failure{connect.NotFound, fmt.Sprintf("Kafka Connect has no route %s, only %s; change aiven.route, or enable %s_access.kafka_connect in the service's configuration",
			route, strings.Join(routes, ", "), route)}
	}
	s.credentials(&found)
	if found.user == "" || hidden(found.password) {
		return endpoint{}, &failure{connect.Forbidden, "the answer has no credentials for Kafka Connect; grant the token's owner the permission service:secrets:read"}
	}
	return found, nil
}

// component returns the Connect component of the route, the primary one if there
// are several, nil if there is none; and the routes that there are. A service
// outside of a VPC has no public route, since its dynamic one is public.
func (s *service) component(route string) (*component, []string) {
	var chosen *component
	routes := []string{RouteDynamic}
	for i := range s.Components {
		c := &s.Components[i]
		if c.Component != connectComponent || c.Host == "" || c.Port <= 0 || c.Port > 65535 {
			continue
		}
		if slices.Contains([]string{RoutePublic, RoutePrivate, RoutePrivatelink}, c.Route) && !slices.Contains(routes, c.Route) {
			routes = append(routes, c.Route)
		}
		if c.Route == route && (chosen == nil || c.Usage == "primary" && chosen.Usage != "primary") {
			chosen = c
		}
	}
	if chosen == nil && route == RoutePublic {
		return s.component(RouteDynamic)
	}
	return chosen, routes
}

// credentials completes those that the URI did not bring: the service's first
// user is Aiven's own, of type primary.
func (s *service) credentials(e *endpoint) {
	if e.user != "" && !hidden(e.password) {
		return
	}
	for _, user := range s.Users {
		if hidden(user.Password) || e.user != "" && user.Username != e.user {
			continue
		}
		e.user, e.password = user.Username, user.Password
		if user.Type == "primary" {
			return
		}
	}
}

// hidden says that a password is not there, or only a word in its place.
func hidden(password string) bool {
	return password == "" || strings.Contains(strings.ToLower(password), "redacted")
}

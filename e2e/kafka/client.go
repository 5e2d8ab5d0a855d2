package kafka

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/process"
)

// A Client arranges connectors through a worker's REST API. It is the suite's
// hand, not what is tested.
type Client struct {
	// URL of the worker, without a path.
	URL  *url.URL
	http *http.Client
}

// NewClient talks to url through client (http.DefaultClient where it is nil),
// with the credentials of url's user, if any.
func NewClient(url *url.URL, client *http.Client) *Client {
	if client == nil {
		client = http.DefaultClient
	}
	return &Client{URL: url, http: client}
}

// A StatusError is an answer with another status than the 2xx expected.
type StatusError struct {
	Method, Path string
	Code         int
	Body         string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s %s: HTTP %d: %.300s", e.Method, e.Path, e.Code, e.Body)
}

// Do sends one request with a JSON body (none where it is nil) to path, which
// may have a query and is sent as it is escaped, and returns the body of a 2xx.
func (c *Client) Do(ctx context.Context, method, path string, body any) ([]byte, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", method, path, err)
		}
		content = bytes.NewReader(text)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL.String(), "/")+path, content)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if response.StatusCode/100 != 2 {
		return nil, &StatusError{Method: method, Path: path, Code: response.StatusCode, Body: string(text)}
	}
	return text, nil
}

// GetJSON decodes the answer to GET path into value, unless that is nil.
func (c *Client) GetJSON(ctx context.Context, path string, value any) error {
	text, err := c.Do(ctx, http.MethodGet, path, nil)
	if err != nil || value == nil {
		return err
	}
	if err := json.Unmarshal(text, value); err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	return nil
}

// ConnectorPath is the path of a connector, its name escaped.
func ConnectorPath(name string) string { return "/connectors/" + url.PathEscape(name) }

// A Connector that the suite creates.
type Connector struct {
	Name string
	// Config without the name; a nil value is sent as JSON null.
	Config map[string]any
	// InitialState is sent if it is not empty (KIP-980, 3.7): RUNNING, PAUSED or
	// STOPPED.
	InitialState string
}

// Create makes a connector, trying again while the cluster rebalances.
func (c *Client) Create(ctx context.Context, connector Connector) error {
	config := map[string]any{"name": connector.Name}
	maps.Copy(config, connector.Config)
	body := map[string]any{"name": connector.Name, "config": config}
	if connector.InitialState != "" {
		body["initial_state"] = connector.InitialState
	}
	return c.Write(ctx, http.MethodPost, "/connectors", body)
}

// Write sends one request that changes something, trying again for as long as
// the answer is that of a cluster that rebalances, until ctx ends.
func (c *Client) Write(ctx context.Context, method, path string, body any) error {
	tried := false
	return process.Poll(ctx, 200*time.Millisecond, nil, func(ctx context.Context) error {
		_, err := c.Do(ctx, method, path, body)
		status := &StatusError{}
		ok := errors.As(err, &status)
		switch {
		case err == nil:
			return nil
		case ok && tried && status.Code == http.StatusConflict && strings.Contains(status.Body, "already exists"):
			return nil // An earlier try went through all the same.
		case ok && (status.Code == http.StatusConflict || status.Code >= 500):
			tried = true
			return err
		}
		return &process.Permanent{Err: err}
	})
}

// Status is what GET /connectors/{name}/status says.
type Status struct {
	Name      string
	Connector struct {
		State    string
		WorkerID string `json:"worker_id"`
	}
	Tasks []struct {
		ID       int
		State    string
		WorkerID string `json:"worker_id"`
	}
}

// Statuses of all connectors, by the one call that has them all; from 2.3 on.
func (c *Client) Statuses(ctx context.Context) (map[string]Status, error) {
	var expanded map[string]struct{ Status Status }
	if err := c.GetJSON(ctx, "/connectors?expand=status", &expanded); err != nil {
		return nil, err
	}
	statuses := make(map[string]Status, len(expanded))
	for name, entry := range expanded {
		statuses[name] = entry.Status
	}
	return statuses, nil
}

// Status of one connector.
func (c *Client) Status(ctx context.Context, name string) (Status, error) {
	var status Status
	err := c.GetJSON(ctx, ConnectorPath(name)+"/status", &status)
	return status, err
}

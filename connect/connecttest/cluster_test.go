package connecttest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// get asks one worker of a cluster over HTTP, as a client that wants JSON.
func get(t *testing.T, server *httptest.Server, path string) (status int, header http.Header, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
	if err != nil {
		t.Fatalf("get %s: %v", path, err)
	}
	request.Header.Set("Accept", "application/json")
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatalf("get %s: %v", path, err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
	return response.StatusCode, response.Header, string(content)
}

// serve starts one worker.
func serve(t *testing.T, c *Cluster, worker string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(c.Handler(worker))
	t.Cleanup(server.Close)
	return server
}

func sample(version string) *Cluster {
	c := NewCluster(Options{Version: version, Workers: []string{"10.0.0.5:8083", "10.0.0.6:8083"}})
	c.Create(Connector{Name: "orders-sink", Class: "io.example.Sink", Version: "2.4.0", Tasks: 2, Config: map[string]string{"topics": "orders"}})
	return c
}

func TestShapes(t *testing.T) {
	const info = `{"name":"orders-sink","config":{"connector.class":"io.example.Sink","name":"orders-sink","tasks.max":"2","topics":"orders"},` +
		`"tasks":[{"connector":"orders-sink","task":0},{"connector":"orders-sink","task":1}],"type":"sink"}`
	const status41 = `{"name":"orders-sink","connector":{"state":"RUNNING","worker_id":"10.0.0.5:8083","version":"2.4.0"},` +
		`"tasks":[{"id":0,"state":"RUNNING","worker_id":"10.0.0.5:8083","version":"2.4.0"},` +
		`{"id":1,"state":"FAILED","worker_id":"10.0.0.6:8083","version":"2.4.0","trace":"io.example.Lost: <gone> \"now\"\n"}],"type":"sink"}`
	const status39 = `{"name":"orders-sink","connector":{"state":"RUNNING","worker_id":"10.0.0.5:8083"},` +
		`"tasks":[{"id":0,"state":"RUNNING","worker_id":"10.0.0.5:8083"},` +
		`{"id":1,"state":"FAILED","worker_id":"10.0.0.6:8083","trace":"io.example.Lost: <gone> \"now\"\n"}],"type":"sink"}`
	const jsonType = "application/json"
	for _, test := range []struct {
		version, path string
		status        int
		kind, body    string
	}{
		{"4.3.1", "/connectors", 200, jsonType, `["orders-sink"]`},
		{"4.3.1", "/connectors/orders-sink", 200, jsonType, info},
		{"4.3.1", "/connectors/orders-sink/status", 200, jsonType, status41},
		{"3.9.1", "/connectors/orders-sink/status", 200, jsonType, status39},
		{"4.3.1", "/connectors?expand=status", 200, jsonType, `{"orders-sink":{"status":` + status41 + `}}`},
		{"4.3.1", "/connectors?expand=info", 200, jsonType, `{"orders-sink":{"info":` + info + `}}`},
		{"4.3.1", "/connectors?expand=info&expand=status", 200, jsonType, `{"orders-sink":{"info":` + info + `,"status":` + status41 + `}}`},
		{"4.3.1", "/connectors?expand=status&expand=info&expand=status", 200, jsonType, `{"orders-sink":{"status":` + status41 + `,"info":` + info + `}}`},
		{"4.3.1", "/connectors?expand=info,status", 200, jsonType, `{"orders-sink":{}}`},
		{"4.3.1", "/connectors?expand=", 200, jsonType, `{"orders-sink":{}}`},
		{"2.2.2", "/connectors?expand=info&expand=status", 200, jsonType, `["orders-sink"]`},
		{"4.3.1", "/connectors/none", 404, jsonType, `{"error_code":404,"message":"Connector none not found"}`},
		{"4.3.1", "/connectors/none/status", 404, jsonType, `{"error_code":404,"message":"No status found for connector none"}`},
		{"4.3.1", "/nothing", 404, "", `{"error_code":404,"message":"HTTP 404 Not Found"}`},
		{"3.8.0", "/health", 404, "", `{"error_code":404,"message":"HTTP 404 Not Found"}`},
		{"3.9.1", "/health", 200, jsonType, `{"status":"healthy","message":"Worker has completed startup and is ready to handle requests."}`},
	} {
		t.Run(test.version+test.path, func(t *testing.T) {
			c := sample(test.version)
			c.FailTask("orders-sink", 1, "io.example.Lost: <gone> \"now\"\n")
			status, header, body := get(t, serve(t, c, "10.0.0.5:8083"), test.path)
			if status != test.status || header.Get("Content-Type") != test.kind || body != test.body {
				t.Errorf("got %d %q\n%s\nwant %d %q\n%s", status, header.Get("Content-Type"), body, test.status, test.kind, test.body)
			}
		})
	}
}

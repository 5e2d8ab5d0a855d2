package connecttest

import (
	"fmt"
	"html"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Handler is the REST API of one worker. Where a real worker would break the
// connection it does so too, which needs the connection of an http.Server:
// with an httptest.ResponseRecorder it panics with http.ErrAbortHandler.
func (c *Cluster) Handler(workerID string) http.Handler {
	defer c.lock()()
	w := c.findWorker(workerID)
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		asked := route(r)
		request := Match{Worker: workerID, Endpoint: asked.endpoint, Connector: asked.connector, Method: r.Method}
		defer c.arrived(request, r)()
		c.spoil(request, http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			c.answer(w, asked, r).send(out)
		})).ServeHTTP(out, r)
	})
}

// A call is what a request asks for.
type call struct {
	endpoint, connector string
	segments            []string // of the path, as they were sent
}

func route(r *http.Request) call {
	path := strings.Trim(r.URL.EscapedPath(), "/")
	asked := call{endpoint: EndpointOther, segments: strings.Split(path, "/")}
	if name, err := url.PathUnescape(asked.segment(1)); err == nil && asked.segment(0) == "connectors" {
		asked.connector = name
	}
	switch n := len(asked.segments); {
	case path == "":
		asked.endpoint = EndpointRoot
	case path == "health":
		asked.endpoint = EndpointHealth
	case asked.segment(0) == "connector-plugins" && n == 3 && asked.segment(2) == "config":
		asked.endpoint = EndpointPluginDef
	case asked.segment(0) != "connectors":
	case n == 1 && r.URL.Query().Has("expand"):
		asked.endpoint = EndpointExpand
	case n == 1:
		asked.endpoint = EndpointList
	case n == 2:
		asked.endpoint = EndpointInfo
	case n == 3 && asked.segment(2) == "status":
		asked.endpoint = EndpointStatus
	}
	return asked
}

func (a call) segment(i int) string {
	if i < len(a.segments) {
		return a.segments[i]
	}
	return ""
}

// An answer is what is sent; the zero status is for a connection that breaks.
type answer struct {
	status int
	kind   string // Content-Type, "" for none
	body   []byte
}

const (
	jsonKind = "application/json"
	htmlKind = "text/html;charset=iso-8859-1"
	// bufferedBytes is what Jersey buffers before it sends an answer in chunks;
	// what is shorter carries its length.
	bufferedBytes = 8 << 10
	chunkBytes    = 32 << 10
)

func (a answer) send(out http.ResponseWriter) {
	if a.status == 0 {
		reset(out)
	}
	if out.Header()["Content-Type"] = nil; a.kind != "" {
		out.Header().Set("Content-Type", a.kind)
	}
	if len(a.body) <= bufferedBytes {
		out.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	out.WriteHeader(a.status)
	for chunk := range slices.Chunk(a.body, chunkBytes) {
		if _, err := out.Write(chunk); err != nil {
			return // The client has gone.
		}
	}
}

// reset breaks the connection so that the client sees a reset, or at least an
// end, before any answer.
func reset(out http.ResponseWriter) {
	if connection, _, err := http.NewResponseController(out).Hijack(); err == nil {
		if tcp, ok := connection.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // Without it the end is an ordinary one: good enough.
		}
		_ = connection.Close()
	}
	panic(http.ErrAbortHandler)
}

func ok(body []byte) answer { return answer{http.StatusOK, jsonKind, body} }

// refuse is an ErrorMessage.
func refuse(status int, format string, args ...any) answer {
	return answer{status, jsonKind, encode(struct {
		Code    int    `json:"error_code"`
		Message string `json:"message"`
	}{status, fmt.Sprintf(format, args...)})}
}

// refusePath is what is said of paths and methods that no resource has: an
// ErrorMessage without a Content-Type.
func refusePath(status int) answer {
	a := refuse(status, "HTTP %d %s", status, http.StatusText(status))
	a.kind = ""
	return a
}

// notReady is what Jetty says while no REST resources are there: a page, or for a
// client that wants JSON nothing (before 2.4) or an object that is no
// ErrorMessage.
func (c *Cluster) notReady(r *http.Request) answer {
	const status, message = http.StatusNotFound, "Not Found"
	switch wantsJSON := r.Header.Get("Accept") == jsonKind; {
	case !wantsJSON:
		return page(status, message, r.URL.EscapedPath())
	case c.release.onlyHasPages():
		return answer{status: status}
	}
	at := r.URL.EscapedPath()
	if c.release.refusesAmbiguous() { // Jetty 12 names the whole URL.
		at = "http://" + r.Host + r.URL.RequestURI()
	}
	body := fmt.Appendf(nil, "{\n\"message\":%s,\n\"url\":%s,\n\"status\":\"%d\"\n}", encode(message), encode(html.EscapeString(at)), status)
	return answer{status, jsonKind, body}
}

// page is an error page of Jetty.
func page(status int, message, at string) answer {
	title := fmt.Sprintf("%d %s", status, message)
	return answer{status, htmlKind, fmt.Appendf(nil, `<html>
<head>
<meta http-equiv="Content-Type" content="text/html;charset=ISO-8859-1"/>
<title>Error %s</title>
</head>
<body>
<h2>HTTP ERROR %s</h2>
<table>
<tr><th>URI:</th><td>%s</td></tr>
<tr><th>STATUS:</th><td>%d</td></tr>
<tr><th>MESSAGE:</th><td>%s</td></tr>
</table>

</body>
</html>
`, title, title, html.EscapeString(at), status, message)}
}

// answer is what a worker says, after it has waited as long as it would.
func (c *Cluster) answer(w *worker, asked call, r *http.Request) answer {
	if wait, overdue := c.herderWait(asked); wait != nil {
		timer := time.NewTimer(wait.wait)
		defer timer.Stop()
		select {
		case <-wait.over:
		case <-r.Context().Done():
			return answer{}
		case <-timer.C:
			return overdue
		}
	}
	defer c.lock()()
	switch w.phase {
	case Down:
		return answer{}
	case Listening:
		return c.notReady(r)
	}
	if c.release.refusesAmbiguous() {
		if message := ambiguous(r.URL.EscapedPath()); message != "" {
			return page(http.StatusBadRequest, message, "/badURI") // Whatever the client accepts.
		}
	}
	if c.options.Username != "" {
		user, password, _ := r.BasicAuth()
		if user != c.options.Username || password != c.options.Password {
			return answer{http.StatusUnauthorized, jsonKind, []byte("User cannot access the resource.")}
		}
	}
	if !c.exists(asked) {
		return refusePath(http.StatusNotFound)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return refusePath(http.StatusMethodNotAllowed)
	}
	return c.resource(w, asked, r)
}

// ambiguous is Jetty 12's complaint about a path, "" if it has none.
func ambiguous(path string) string {
	switch upper := strings.ToUpper(path); {
	case strings.Contains(upper, "%2F"):
		return "Ambiguous URI path separator"
	case strings.Contains(upper, "%25"):
		return "Ambiguous URI path encoding"
	case strings.Contains(upper, "%5C"):
		return "Suspicious Path Character"
	}
	return ""
}

// herderWait returns the rebalance that a call must wait for, nil if none, and
// what is said if that takes too long.
func (c *Cluster) herderWait(asked call) (*rebalance, answer) {
	defer c.lock()()
	switch asked.endpoint {
	case EndpointInfo:
	case EndpointList, EndpointExpand:
		if c.release.listIsLocal() {
			return nil, answer{}
		}
	default:
		return nil, answer{}
	}
	if c.release.rebalanceIs500() {
		return c.rebalance, refuse(http.StatusInternalServerError, "Request cannot be completed because a rebalance is expected")
	}
	return c.rebalance, refuse(http.StatusConflict,
		"Cannot complete request momentarily due to stale configuration (typically caused by a concurrent config change)")
}

// exists: the version has such a resource.
func (c *Cluster) exists(asked call) bool {
	switch asked.endpoint {
	case EndpointOther:
		return false
	case EndpointHealth:
		return c.release.hasHealth()
	case EndpointPluginDef:
		return c.release.hasPluginDefs()
	}
	return true
}

// resource is the answer to a GET of a path that exists.
func (c *Cluster) resource(w *worker, asked call, r *http.Request) answer {
	switch asked.endpoint {
	case EndpointRoot:
		return ok(c.root())
	case EndpointHealth:
		if w.phase == Starting {
			return answer{http.StatusServiceUnavailable, jsonKind, []byte(`{"status":"starting","message":"Worker is still starting up."}`)}
		}
		return ok([]byte(`{"status":"healthy","message":"Worker has completed startup and is ready to handle requests."}`))
	case EndpointPluginDef:
		return ok([]byte(pluginDef))
	case EndpointExpand:
		if c.release.hasExpand() {
			for _, it := range c.known(w) {
				if fails, is500 := c.pluginFails(w, it); is500 {
					return fails
				}
			}
			return ok(c.expand(w, r.URL.Query()["expand"]))
		}
		return ok(c.list(w))
	case EndpointList:
		return ok(c.list(w))
	}
	return c.connectorResource(w, asked)
}

// pluginDef is what every plugin says of its settings, cut to what differs here.
const pluginDef = `[{"name":"connector.class","type":"STRING","required":true,"default_value":null},` +
	`{"name":"tasks.max","type":"INT","required":false,"default_value":"1"},` +
	`{"name":"database.password","type":"PASSWORD","required":false,"default_value":null},` +
	`{"name":"owner.pin","type":"PASSWORD","required":false,"default_value":null}]`

// connectorResource is the answer to a GET of /connectors/{connector}, or of its
// status.
func (c *Cluster) connectorResource(w *worker, asked call) answer {
	it, status := c.connectors[asked.connector], asked.endpoint == EndpointStatus
	if w.visible >= 0 && !slices.Contains(c.known(w), it) {
		it = nil
	}
	switch {
	case status && (it == nil || it.itself.noStatus):
		return refuse(http.StatusNotFound, "No status found for connector %s", asked.connector)
	case it == nil:
		return refuse(http.StatusNotFound, "Connector %s not found", asked.connector)
	}
	if fails, is500 := c.pluginFails(w, it); is500 {
		return fails
	}
	if status {
		return ok(c.status(w, it))
	}
	return ok(c.info(w, it))
}

// pluginFails: before 3.4, whatever needs the class of a connector that the
// worker has not is a 500.
func (c *Cluster) pluginFails(w *worker, it *connector) (answer, bool) {
	if !w.missing[it.Class] || c.release.toleratesPlugins() {
		return answer{}, false
	}
	return refuse(http.StatusInternalServerError, "%s", c.missingPlugin(it.Class)), true
}

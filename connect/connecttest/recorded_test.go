package connecttest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The recordings are answers of real workers, byte by byte, see e2e/record.
const recordings = "../rest/testdata"

// A recorded answer, and what it answers.
type recorded struct {
	Request, File, When string
	Status              int

	target string
	header http.Header
	body   []byte
}

// What is read back from recordings.
type (
	recordedItem struct {
		ID       int
		State    string
		WorkerID string `json:"worker_id"`
		Version  string
		Trace    string
	}
	recordedStatus struct {
		Name, Type string
		Connector  recordedItem
		Tasks      []recordedItem
	}
	recordedInfo struct {
		Name, Type string
		Config     map[string]string
		Tasks      []any
	}
	recordedConnector struct {
		Info   recordedInfo
		Status *recordedStatus
	}
)

// TestAnswersAreThoseOfRealWorkers makes a simulated cluster of what a real one
// said and asks it what the real one was asked.
func TestAnswersAreThoseOfRealWorkers(t *testing.T) {
	indexes, err := filepath.Glob(filepath.Join(recordings, "*", "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(indexes) == 0 {
		t.Skip("there are no recordings")
	}
	for _, index := range indexes {
		version := filepath.Base(filepath.Dir(index))
		t.Run(version, func(t *testing.T) {
			answers := read(t, index)
			for _, answer := range answers {
				t.Run(strings.TrimSuffix(answer.File, ".http"), func(t *testing.T) {
					c := rebuild(t, version, answers)
					arrange(c, answer)
					compare(t, answer, serve(t, c, c.Workers()[0]))
				})
			}
		})
	}
}

func read(t *testing.T, index string) (answers []recorded) {
	t.Helper()
	text, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &answers); err != nil {
		t.Fatalf("%s: %v", index, err)
	}
	for i := range answers {
		answer := &answers[i]
		answer.target = strings.TrimPrefix(answer.Request, "GET ")
		raw, err := os.ReadFile(filepath.Join(filepath.Dir(index), answer.File))
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil)
		if err != nil {
			t.Fatalf("%s: %v", answer.File, err)
		}
		answer.header = response.Header
		if answer.body, err = io.ReadAll(response.Body); err != nil {
			t.Fatalf("%s: %v", answer.File, err)
		}
		response.Body.Close()
	}
	return answers
}

// rebuild makes a cluster of the recorded expansion, or of the single infos and
// statuses where there is none.
func rebuild(t *testing.T, version string, answers []recorded) *Cluster {
	t.Helper()
	connectors := map[string]recordedConnector{}
	for _, answer := range answers {
		if answer.When != "" || answer.Status != http.StatusOK {
			continue
		}
		request := route(httptest.NewRequest(http.MethodGet, answer.target, nil))
		it := connectors[request.connector]
		var err error
		switch {
		case request.endpoint == EndpointInfo:
			err = json.Unmarshal(answer.body, &it.Info)
			connectors[request.connector] = it
		case request.endpoint == EndpointStatus:
			err = json.Unmarshal(answer.body, &it.Status)
			connectors[request.connector] = it
		case answer.target == "/connectors?expand=status&expand=info" && answer.body[0] == '{':
			err = json.Unmarshal(answer.body, &connectors)
		}
		if err != nil {
			t.Fatalf("%s: %v", answer.File, err)
		}
	}
	var names, workers []string
	for _, answer := range answers {
		if answer.target == "/connectors" && answer.When == "" {
			if err := json.Unmarshal(answer.body, &names); err != nil {
				t.Fatalf("%s: %v", answer.File, err)
			}
		}
	}
	for _, it := range connectors {
		for _, item := range append(slices.Clone(it.Status.Tasks), it.Status.Connector) {
			if !slices.Contains(workers, item.WorkerID) {
				workers = append(workers, item.WorkerID)
			}
		}
	}
	slices.Sort(workers)
	c := NewCluster(Options{Version: version, Workers: workers})
	for _, name := range names { // In this order, which shows where two names share a bucket.
		it := connectors[name]
		// Created without tasks, so that there are as many as were recorded.
		c.Create(Connector{
			Name: name, Class: it.Info.Config["connector.class"], Type: it.Info.Type,
			Version: it.Status.Connector.Version, Config: it.Info.Config,
		})
		made := c.connectors[name] // Nobody else knows this cluster yet.
		made.settings = maps.Clone(it.Info.Config)
		made.itself = it.Status.Connector.item()
		for _, task := range it.Status.Tasks {
			item := task.item()
			made.tasks = append(made.tasks, &item)
		}
		made.removed = len(made.tasks) - len(it.Info.Tasks)
	}
	return c
}

func (r recordedItem) item() item {
	return item{worker: r.WorkerID, raw: r.State, trace: r.Trace}
}

// arrange brings the cluster into the moment of a recording.
func arrange(c *Cluster, answer recorded) {
	worker := c.Workers()[0]
	switch {
	case strings.HasPrefix(answer.When, "while the worker starts") && answer.Status == http.StatusServiceUnavailable:
		c.SetPhase(worker, Starting)
	case strings.HasPrefix(answer.When, "while the worker starts"):
		c.SetPhase(worker, Listening)
	case strings.HasPrefix(answer.When, "while connectors"):
		c.StartRebalance(0)
	case strings.HasPrefix(answer.When, "without credentials"):
		c.options.Username = "reader"
	case strings.HasPrefix(answer.When, "after a restart without"):
		kind := strings.Split(answer.When, "-")[1] // connect-mirror-*.jar
		for _, plugin := range plugins() {
			if strings.Contains(plugin.class, "."+kind+".") {
				for _, worker := range c.Workers() {
					c.RemovePlugin(worker, plugin.class)
				}
			}
		}
	}
}

// compare asks what was asked and compares what must be the same.
func compare(t *testing.T, want recorded, server *httptest.Server) {
	t.Helper()
	status, header, body := get(t, server, want.target)
	if status != want.Status {
		t.Fatalf("status %d, want %d: %.300s", status, want.Status, body)
	}
	if got, want := header.Get("Content-Type"), want.header.Get("Content-Type"); !strings.EqualFold(got, want) {
		t.Errorf("Content-Type %q, want %q", got, want)
	}
	var got, real any
	if json.Unmarshal(want.body, &real) != nil {
		// A page, or plain text: its first line and what it says.
		if first, real := line(body), line(string(want.body)); first != real {
			t.Errorf("begins %q, want %q", first, real)
		}
		if _, message, found := strings.Cut(string(want.body), "<title>"); found && !strings.Contains(body, line(message)) {
			t.Errorf("does not say %q: %s", line(message), body)
		}
		return
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("not JSON: %v: %.300s", err, body)
	}
	if strings.HasPrefix(want.When, "after a restart") || strings.HasPrefix(want.When, "while the worker starts") || want.target == "/" {
		// Where things are and what plugins there are differs: the shape counts.
		// After a restart with one worker, connectors got tasks that had none on two,
		// and the last of those that made the rebalance may be left.
		for _, document := range []any{got, real} {
			if members, isObject := document.(map[string]any); isObject {
				maps.DeleteFunc(members, func(name string, _ any) bool {
					return strings.ContainsAny(name, `/%\`) || strings.HasPrefix(name, "churn-")
				})
			}
		}
		got, real = shape(got), shape(real)
	} else if got, want := header.Get("Content-Length") != "", want.header.Get("Content-Length") != ""; got != want {
		t.Errorf("with a Content-Length: %v, want %v", got, want)
	}
	if !reflect.DeepEqual(got, real) {
		t.Errorf("got  %s\nwant %s", text(got), text(real))
	}
}

func line(text string) string {
	first, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(first)
}

func text(document any) string {
	out, err := json.MarshalIndent(document, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// shape keeps keys and types of a document: strings become the beginning of what
// a worker says of a missing plugin, or "string"; lists keep the shapes of their
// elements, each once.
func shape(document any) any {
	switch value := document.(type) {
	case map[string]any:
		shaped := map[string]any{}
		for key, member := range value {
			shaped[key] = shape(member)
		}
		return shaped
	case []any:
		var shapes []any
		for _, element := range value {
			element = shape(element)
			if !slices.ContainsFunc(shapes, func(have any) bool { return reflect.DeepEqual(have, element) }) {
				shapes = append(shapes, element)
			}
		}
		return shapes
	case string:
		if begin, _, found := strings.Cut(value, ", available connectors are: "); found {
			return begin[strings.Index(begin, "Failed to find"):]
		}
		return "string"
	}
	return fmt.Sprintf("%T", document)
}

package connecttest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

// What a client gets of a spoilt answer: at most the first megabyte.
type got struct {
	status  int
	header  http.Header
	body    []byte
	err     error // of the call
	readErr error // of the body
}

func TestFaults(t *testing.T) {
	valid := func(g got) bool { return json.Valid(g.body) }
	for name, test := range map[string]struct {
		fault Fault
		want  func(got) bool
	}{
		"reset":              {Reset(), func(g got) bool { return g.err != nil }},
		"cut length":         {Truncate(CutLength), func(g got) bool { return errors.Is(g.readErr, io.ErrUnexpectedEOF) }},
		"cut chunks":         {Truncate(CutChunks), func(g got) bool { return errors.Is(g.readErr, io.ErrUnexpectedEOF) }},
		"cut close":          {Truncate(CutClose), func(g got) bool { return g.readErr == nil && len(g.body) > 50 && !valid(g) }},
		"cut body":           {Truncate(CutBody), func(g got) bool { return g.readErr == nil && len(g.body) > 50 && !valid(g) }},
		"reply":              {Reply(503, "", ""), func(g got) bool { return g.status == 503 && len(g.body) == 0 }},
		"error":              {ErrorReply(500, "no"), func(g got) bool { return string(g.body) == `{"error_code":500,"message":"no"}` }},
		"html":               {HTML(200), func(g got) bool { return g.status == 200 && bytes.HasPrefix(g.body, []byte("<!doctype")) }},
		"redirect loop":      {RedirectLoop(), func(g got) bool { return g.err != nil && strings.Contains(g.err.Error(), "10 redirects") }},
		"redirect":           {Redirect("http://127.0.0.1:1/x"), func(g got) bool { return g.err != nil && strings.Contains(g.err.Error(), "127.0.0.1:1") }},
		"endless":            {Endless(), func(g got) bool { return len(g.body) == 1<<20 }},
		"endless string":     {EndlessString(), func(g got) bool { return len(g.body) == 1<<20 }},
		"gzip bomb":          {GzipBomb(32 << 20), func(g got) bool { return len(g.body) == 1<<20 }},
		"gzip":               {Gzip(), valid},
		"trailing garbage":   {TrailingGarbage("}"), func(g got) bool { return !valid(g) && valid(got{body: bytes.TrimSuffix(g.body, []byte("}"))}) }},
		"invalid UTF-8":      {InvalidUTF8(), func(g got) bool { return !utf8.Valid(g.body) }},
		"duplicate keys":     {DuplicateKeys(), func(g got) bool { return valid(g) && bytes.Count(g.body, []byte(`"a":{`)) == 2 }},
		"deep nesting":       {DeepNesting(100_000), func(g got) bool { return bytes.Count(g.body, []byte("[")) == 100_000 }},
		"null info":          {SetMember("a", nil, "info"), func(g got) bool { return bytes.Contains(g.body, []byte(`"info":null`)) }},
		"unknown state":      {SetMember("a", "OOPS", "status", "connector", "state"), func(g got) bool { return bytes.Count(g.body, []byte(`"OOPS"`)) == 1 }},
		"duplicate task ids": {SetMember("a", 0, "status", "tasks", 1, "id"), func(g got) bool { return bytes.Count(g.body, []byte(`"id":0`)) == 3 }},
		"huge id":            {SetMember("a", json.Number("1e400"), "status", "tasks", 1, "id"), func(g got) bool { return bytes.Contains(g.body, []byte(`"id":1e400`)) }},
		"huge string":        {SetMember("a", strings.Repeat("x", 1<<19), "status", "connector", "trace"), func(g got) bool { return valid(g) && len(g.body) > 1<<19 }},
	} {
		t.Run(name, func(t *testing.T) {
			c := two(&clock{}, "4.3.1")
			server := serve(t, c, worker1)
			ends := c.SetFault(Match{Endpoint: EndpointExpand, Worker: worker1}, test.fault)
			if g := ask(t.Context(), server.Client(), server.URL+"/connectors?expand=status&expand=info"); !test.want(g) {
				t.Errorf("got %d %v %v %.300s", g.status, g.err, g.readErr, g.body)
			}
			if g := ask(t.Context(), server.Client(), server.URL+"/connectors"); g.status != 200 || !valid(g) {
				t.Errorf("another endpoint is spoilt too: %d %v", g.status, g.err)
			}
			ends()
			if g := ask(t.Context(), server.Client(), server.URL+"/connectors?expand=status"); g.status != 200 || !valid(g) {
				t.Errorf("spoilt still: %d %v", g.status, g.err)
			}
		})
	}
}

func ask(ctx context.Context, client *http.Client, url string) (g got) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return got{err: err}
	}
	response, err := client.Do(request)
	if err != nil {
		return got{err: err}
	}
	defer response.Body.Close()
	g.status, g.header = response.StatusCode, response.Header
	g.body, g.readErr = io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return g
}

func TestHang(t *testing.T) {
	c := two(&clock{}, "4.3.1")
	server := serve(t, c, worker1)
	release := make(chan struct{})
	c.SetFault(Match{Connector: "a"}, Hang(release))
	c.SetFault(Match{Connector: "b"}, Hang(nil))
	ctx, giveUp := context.WithCancel(t.Context())
	a, b := make(chan got), make(chan got)
	go func() { a <- ask(t.Context(), server.Client(), server.URL+"/connectors/a") }()
	go func() { b <- ask(ctx, server.Client(), server.URL+"/connectors/b") }()
	if err := c.Await(t.Context(), Match{Endpoint: EndpointInfo}, 2); err != nil {
		t.Fatal(err)
	}
	if n := c.Requests().InFlight; n != 2 {
		t.Errorf("%d calls hang, want 2", n)
	}
	close(release)
	if g := <-a; g.status != 200 {
		t.Errorf("released: %d %v", g.status, g.err)
	}
	giveUp()
	if g := <-b; !errors.Is(g.err, context.Canceled) {
		t.Errorf("given up: %v", g.err)
	}
}

func TestTimesEnds(t *testing.T) {
	c := two(&clock{}, "4.3.1")
	server := serve(t, c, worker1)
	c.SetFault(Match{}, Times(2, Reply(500, "", "")))
	for i, want := range []int{500, 500, 200} {
		if g := ask(t.Context(), server.Client(), server.URL); g.status != want {
			t.Errorf("request %d: %d, want %d", i, g.status, want)
		}
	}
}

func TestFaultsThatTakeTime(t *testing.T) {
	for name, test := range map[string]struct {
		fault func(size int) Fault
		takes time.Duration
	}{
		"delay": {func(int) Fault { return Delay(3 * time.Second) }, 3 * time.Second},
		"drip":  {func(size int) Fault { return Drip(size/5, time.Second) }, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const body = "0123456789"
				worker := http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) { write(out, []byte(body)) })
				out, start := httptest.NewRecorder(), time.Now()
				test.fault(len(body))(worker).ServeHTTP(out, httptest.NewRequest(http.MethodGet, "/", nil))
				if took := time.Since(start); took != test.takes || out.Body.String() != body {
					t.Errorf("took %v for %q, want %v", took, out.Body, test.takes)
				}
			})
		})
	}
}

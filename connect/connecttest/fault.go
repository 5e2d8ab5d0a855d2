package connecttest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// A Fault spoils answers: it stands before a worker's handler and may call it or
// not. Faults run without the cluster's lock, so that they may take their time.
type Fault func(worker http.Handler) http.Handler

type setFault struct {
	match Match
	fault Fault
}

// SetFault lets a fault spoil the requests that match, from the next one on,
// until the function that it returns is called or [Cluster.ClearFaults]. Where
// several match, the one that was set last stands before the others.
func (c *Cluster) SetFault(match Match, fault Fault) (clear func()) {
	defer c.lock()()
	set := &setFault{match, fault}
	c.faults = append(c.faults, set)
	return func() {
		defer c.lock()()
		c.faults = slices.DeleteFunc(c.faults, func(f *setFault) bool { return f == set })
	}
}

// ClearFaults takes all faults away. Requests that a fault has got already stay
// its own.
func (c *Cluster) ClearFaults() {
	defer c.lock()()
	c.faults = nil
}

// spoil puts the faults that match before a handler.
func (c *Cluster) spoil(request Match, worker http.Handler) http.Handler {
	defer c.lock()()
	for _, set := range c.faults {
		if set.match.matches(request) {
			worker = set.fault(worker)
		}
	}
	return worker
}

// Hang answers once release is closed, or never (and breaks the connection) if
// the client gives up before; a nil release is never closed.
func Hang(release <-chan struct{}) Fault {
	return before(func(ctx context.Context) bool {
		select {
		case <-release:
			return true
		case <-ctx.Done():
			return false
		}
	})
}

// Delay answers after d.
func Delay(d time.Duration) Fault {
	return before(func(ctx context.Context) bool { return pause(ctx, d) })
}

// Times spoils count requests with a fault and leaves the later ones alone.
func Times(count int, fault Fault) Fault {
	var asked atomic.Int64
	return func(worker http.Handler) http.Handler {
		return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			if asked.Add(1) <= int64(count) {
				fault(worker).ServeHTTP(out, r)
				return
			}
			worker.ServeHTTP(out, r)
		})
	}
}

// Drip sends the true body a piece at a time, with a pause after each.
func Drip(piece int, every time.Duration) Fault {
	return instead(func(out http.ResponseWriter, r *http.Request, honest *captured) {
		honest.sendHeader(out)
		for part := range slices.Chunk(honest.body.Bytes(), piece) {
			if _, err := out.Write(part); err != nil {
				return // The client has gone.
			}
			flush(out)
			if !pause(r.Context(), every) {
				panic(http.ErrAbortHandler)
			}
		}
	})
}

// Reset breaks the connection before any answer.
func Reset() Fault { return always(func(out http.ResponseWriter, _ *http.Request) { reset(out) }) }

// A Cut is how the end of a truncated body comes.
type Cut uint8

// The cuts.
const (
	// CutLength promises the whole Content-Length, then breaks.
	CutLength Cut = iota
	// CutChunks sends chunks and breaks before the last.
	CutChunks
	// CutClose has no length and ends by closing, which HTTP takes for complete.
	CutClose
	// CutBody is complete for HTTP: only the JSON is cut.
	CutBody
)

// Truncate sends the first half of the true body.
func Truncate(cut Cut) Fault {
	return instead(func(out http.ResponseWriter, _ *http.Request, honest *captured) {
		half := honest.body.Bytes()[:honest.body.Len()/2]
		if cut == CutClose {
			sendRaw(out, fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n%s", half))
			return
		}
		if cut == CutLength {
			out.Header().Set("Content-Length", strconv.Itoa(honest.body.Len()))
		}
		honest.sendHeader(out)
		write(out, half)
		flush(out)
		if cut != CutBody {
			panic(http.ErrAbortHandler)
		}
	})
}

// Reply answers with a status, a Content-Type ("" for none) and a body.
func Reply(status int, contentType, body string) Fault {
	return always(func(out http.ResponseWriter, _ *http.Request) { answer{status, contentType, []byte(body)}.send(out) })
}

// ErrorReply answers as a worker reports an error: the status, and JSON with it
// and the message.
func ErrorReply(status int, message string) Fault {
	return always(func(out http.ResponseWriter, _ *http.Request) { refuse(status, "%s", message).send(out) })
}

// HTML answers with a page, as a proxy or a login in front of a worker does; its
// status may be 200.
func HTML(status int) Fault {
	return Reply(status, "text/html; charset=utf-8", "<!doctype html><html><head><title>Sign in</title></head><body><h1>Sign in</h1></body></html>")
}

// Redirect answers 302 with a Location.
func Redirect(location string) Fault {
	return always(func(out http.ResponseWriter, _ *http.Request) { redirect(out, location) })
}

// RedirectLoop answers 302 to the very URL that was asked for.
func RedirectLoop() Fault {
	return always(func(out http.ResponseWriter, r *http.Request) { redirect(out, r.URL.RequestURI()) })
}

func redirect(out http.ResponseWriter, location string) {
	out.Header().Set("Location", location)
	answer{status: http.StatusFound}.send(out)
}

// Endless sends a JSON object that goes on until the client gives up.
func Endless() Fault {
	return endless("{", strings.Repeat(`"connector":{"status":{"name":"connector"}},`, 1000))
}

// EndlessString sends a JSON string that goes on until the client gives up.
func EndlessString() Fault { return endless(`{"`, strings.Repeat("a", 64<<10)) }

func endless(first, again string) Fault {
	return always(func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", jsonKind)
		for _, err := io.WriteString(out, first); err == nil; {
			_, err = io.WriteString(out, again)
		}
	})
}

// GzipBomb answers with size bytes of JSON, which gzip makes a thousand times
// smaller, and Content-Encoding: gzip, whether the client asked for it or not.
func GzipBomb(size int) Fault {
	bomb := pack(func(packer io.Writer) {
		letters := bytes.Repeat([]byte("a"), 1<<20)
		write(packer, []byte(`{"`))
		for left := size; left > 0; left -= len(letters) {
			write(packer, letters[:min(left, len(letters))])
		}
		write(packer, []byte(`":{}}`))
	})
	return always(func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Encoding", "gzip")
		ok(bomb).send(out)
	})
}

// Gzip sends the true body compressed, as a proxy in front of a worker does for
// a client that accepts it.
func Gzip() Fault {
	return instead(func(out http.ResponseWriter, r *http.Request, honest *captured) {
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			honest.send(out)
			return
		}
		packed := pack(func(packer io.Writer) { write(packer, honest.body.Bytes()) })
		honest.body = *bytes.NewBuffer(packed)
		honest.header.Set("Content-Encoding", "gzip")
		honest.send(out)
	})
}

// EditBytes sends what edit makes of the true body.
func EditBytes(edit func(body []byte) []byte) Fault {
	return instead(func(out http.ResponseWriter, _ *http.Request, honest *captured) {
		edited := edit(bytes.Clone(honest.body.Bytes()))
		honest.body = *bytes.NewBuffer(edited)
		honest.send(out)
	})
}

// TrailingGarbage puts text after the true body's end.
func TrailingGarbage(text string) Fault {
	return EditBytes(func(body []byte) []byte { return append(body, text...) })
}

// InvalidUTF8 puts a byte that is no UTF-8 into the first string of the body.
func InvalidUTF8() Fault {
	return EditBytes(func(body []byte) []byte {
		if at := bytes.IndexByte(body, '"'); at >= 0 {
			return slices.Insert(body, at+1, 0xff)
		}
		return body
	})
}

// DuplicateKeys sends every member of the body's object, or of its first object,
// twice.
func DuplicateKeys() Fault {
	return EditBytes(func(body []byte) []byte {
		from, to := bytes.IndexByte(body, '{'), bytes.LastIndexByte(body, '}')
		if from < 0 || to < from+2 {
			return body
		}
		members := append([]byte{','}, body[from+1:to]...)
		return slices.Insert(body, to, members...)
	})
}

// DeepNesting answers with arrays in arrays.
func DeepNesting(depth int) Fault {
	return Reply(http.StatusOK, jsonKind, `{"deep":`+strings.Repeat("[", depth)+strings.Repeat("]", depth)+"}")
}

// EditJSON sends what edit makes of the true body, decoded into maps, slices and
// json.Number. A body that is no JSON is left as it is.
func EditJSON(edit func(document any) any) Fault {
	return EditBytes(func(body []byte) []byte {
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.UseNumber()
		var document any
		if decoder.Decode(&document) != nil {
			return body
		}
		edited, err := json.Marshal(edit(document))
		if err != nil {
			panic(fmt.Sprintf("connecttest: a fault made what is no JSON: %v", err))
		}
		return edited
	})
}

// SetMember sets a member of one connector's part of the body to a value: in an
// expansion path begins with "info" or "status", in a reply about a single
// connector it begins below. Numbers step into lists:
//
//	SetMember("orders", nil, "info")                          // null info
//	SetMember("orders", "OOPS", "status", "connector", "state") // an unknown state
//	SetMember("orders", 0, "status", "tasks", 1, "id")        // a task id twice
//	SetMember("orders", "all", "status", "tasks")             // a wrong type
//
// What has no such path is left as it is.
func SetMember(connector string, value any, path ...any) Fault {
	return EditJSON(func(document any) any {
		at, steps := document, path
		if members, isObject := document.(map[string]any); isObject && members["name"] != connector {
			at = members[connector]
		}
		for len(steps) > 1 {
			at, steps = member(at, steps[0]), steps[1:]
		}
		switch holder := at.(type) {
		case map[string]any:
			if key, isKey := steps[0].(string); isKey {
				holder[key] = value
			}
		case []any:
			if i, isIndex := steps[0].(int); isIndex && i < len(holder) {
				holder[i] = value
			}
		}
		return document
	})
}

func member(of, step any) any {
	switch step := step.(type) {
	case string:
		if members, isObject := of.(map[string]any); isObject {
			return members[step]
		}
	case int:
		if elements, isList := of.([]any); isList && step < len(elements) {
			return elements[step]
		}
	}
	return nil
}

// always makes a Fault of what answers in a worker's place.
func always(answer http.HandlerFunc) Fault {
	return func(http.Handler) http.Handler { return answer }
}

// before makes a Fault that waits, and breaks the connection if wait says so.
func before(wait func(context.Context) bool) Fault {
	return func(worker http.Handler) http.Handler {
		return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			if !wait(r.Context()) {
				panic(http.ErrAbortHandler)
			}
			worker.ServeHTTP(out, r)
		})
	}
}

// pause waits for d and returns false if ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// instead makes a Fault that has the true answer and sends another.
func instead(send func(out http.ResponseWriter, r *http.Request, honest *captured)) Fault {
	return func(worker http.Handler) http.Handler {
		return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			answer := &captured{header: http.Header{}, status: http.StatusOK}
			worker.ServeHTTP(answer, r)
			send(out, r, answer)
		})
	}
}

// captured is an answer that was not sent yet.
type captured struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *captured) Header() http.Header         { return a.header }
func (a *captured) WriteHeader(status int)      { a.status = status }
func (a *captured) Write(p []byte) (int, error) { return a.body.Write(p) }

// sendHeader sends status and headers, the length left aside.
func (a *captured) sendHeader(out http.ResponseWriter) {
	for key, values := range a.header {
		if key != "Content-Length" {
			out.Header()[key] = values
		}
	}
	out.WriteHeader(a.status)
}

func (a *captured) send(out http.ResponseWriter) {
	out.Header().Set("Content-Length", strconv.Itoa(a.body.Len()))
	a.sendHeader(out)
	write(out, a.body.Bytes())
}

// sendRaw writes bytes to the connection and closes it.
func sendRaw(out http.ResponseWriter, raw []byte) {
	connection, _, err := http.NewResponseController(out).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	write(connection, raw)
	_ = connection.Close()
}

// flush and write take no notice of a client that has gone.
func flush(out http.ResponseWriter)    { _ = http.NewResponseController(out).Flush() }
func write(out io.Writer, body []byte) { _, _ = out.Write(body) }

// pack compresses what fill writes.
func pack(fill func(io.Writer)) []byte {
	var packed bytes.Buffer
	packer := gzip.NewWriter(&packed)
	fill(packer)
	_ = packer.Close() // A bytes.Buffer takes all.
	return packed.Bytes()
}

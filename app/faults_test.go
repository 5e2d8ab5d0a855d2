package app

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/web"
)

var update = flag.Bool("update", false, "write the tables in docs/faults.md")

// A door is a way by which somebody else's answers come in.
type door struct {
	name string
	// part is what of a worker's answers comes in by it, seen by an observation version; ""
	// if it is no part.
	version string
	part    connecttest.Match
	// whole serves all that is behind it at a place, and returns the lines that a cluster
	// which goes through it has in the configuration; nil: it has no place of its own.
	whole func(at place) string
	// old: it is gone through when a cluster is first seen, and not again.
	old bool
	// large: what has no end is tried at it. The others have the same reader, or tests
	// with a smaller bound.
	large bool
}

// A place is where something is served.
type place struct {
	serve func(http.Handler) (url string)
	trust string // is what is configured of its TLS, "" if that cannot be.
}

// spoiltLines are the lines of a cluster that goes through a spoilt door.
func (d *door) spoiltLines(t *testing.T, s *spoilt) string {
	if d.version == "" {
		return d.whole(place{serve: func(h http.Handler) string { return s.serve(t, h) }})
	}
	c := cluster("4.3.1")
	c.SetFault(d.part, s.around)
	return fmt.Sprintf("urls: [%q], observation_version: '%s', info_max_age: 0s", worker(t, c, 0), d.version)
}

// spoilt puts a fault before a handler for as long as it is on.
type spoilt struct {
	fault connecttest.Fault
	on    atomic.Bool
}

func (s *spoilt) around(next http.Handler) http.Handler {
	faulty := s.fault(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.on.Load() {
			_, _ = io.Copy(io.Discard, r.Body) // Only then a server notices that the client has gone.
			faulty.ServeHTTP(w, r)
		} else {
			next.ServeHTTP(w, r)
		}
	})
}

func (s *spoilt) serve(t *testing.T, handler http.Handler) string {
	server := httptest.NewUnstartedServer(s.around(handler))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// doors are all that speak HTTP and are asked by a scrape.
func doors(t *testing.T) []door {
	p := simulate(t)
	return []door{
		{name: "list, version 1", version: "1", part: connecttest.Match{Endpoint: connecttest.EndpointList}},
		{name: "list, version 2", large: true, version: "2", part: connecttest.Match{Endpoint: connecttest.EndpointExpand}, whole: func(at place) string {
			c := cluster("4.3.1")
			return fmt.Sprintf("urls: [%q], http_client: {%s}", at.serve(c.Handler(c.Workers()[0])), at.trust)
		}},
		{name: "a connector's status", version: "1", part: connecttest.Match{Endpoint: connecttest.EndpointStatus, Connector: "sink"}},
		{name: "a connector's info", version: "1", part: connecttest.Match{Endpoint: connecttest.EndpointInfo, Connector: "sink"}},
		{name: "root", version: "2", part: connecttest.Match{Endpoint: connecttest.EndpointRoot}},
		{name: "health", version: "2", part: connecttest.Match{Endpoint: connecttest.EndpointHealth}},
		{name: "token endpoint", large: true, whole: func(at place) string {
			endpoint := at.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "application/json")
				// Over before it is used again, so that each snapshot needs another.
				_, _ = io.WriteString(w, `{"access_token": "abc", "token_type": "bearer", "expires_in": 1}`)
			}))
			return fmt.Sprintf("urls: [%q], http_client: {oauth2: {client_id: scout, client_secret: hunter2, token_url: %q, %s}}", p.ownURL, endpoint, at.trust)
		}},
		{name: "Confluent Cloud", whole: func(at place) string {
			return fmt.Sprintf("provider: confluent-cloud, confluent_cloud: {environment: env-abc12, cluster: lkc-xyz98, api_url: %q}, http_client: {basic_auth: {username: CLOUDKEY, password: %s}, %s}",
				at.serve(p.confluent), cloudSecret, at.trust)
		}},
		{name: "MSK Connect", whole: func(at place) string {
			return fmt.Sprintf("provider: msk, msk: {region: eu-west-1, endpoint: %q}, http_client: {%s}", at.serve(p.msk), at.trust)
		}},
		{name: "Aiven", old: true, large: true, whole: func(at place) string {
			return fmt.Sprintf("provider: aiven, aiven: {project: acme, service: orders-connect, token: %s, api_url: %q}", aivenToken, at.serve(p.aiven))
		}},
	}
}

// rawly answers with bytes and ends the connection.
func rawly(text string) connecttest.Fault {
	answer := []byte(text)
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			_, _ = conn.Write(answer)
			_ = conn.Close()
		})
	}
}

// forever answers with something again and again until the client gives up.
func forever(first, again string) connecttest.Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			defer func() { _ = conn.Close() }()
			if _, err = io.WriteString(conn, first); err != nil {
				return
			}
			for piece := []byte(strings.Repeat(again, 100)); err == nil; {
				_, err = conn.Write(piece)
			}
		})
	}
}

// A trouble is a fault that any door may have.
type trouble struct {
	fault connecttest.Fault
	once  bool // becomes of the first request alone
	waits bool // is waited for
	heavy bool // takes a processor for a while, so that others might be late
	// large is tried at doors that are large.
	large bool
}

// spoils is the trouble at one door.
func (t trouble) spoils() *spoilt {
	if t.once {
		return &spoilt{fault: connecttest.Times(1, t.fault)}
	}
	return &spoilt{fault: t.fault}
}

func troubles() map[string]trouble {
	return map[string]trouble{
		"sends 103 for ever":                  {heavy: true, fault: forever("", "HTTP/1.1 103 Early Hints\r\nLink: </hunter2"+strings.Repeat("/x", 200)+">\r\n\r\n")},
		"sends headers for ever":              {heavy: true, fault: forever("HTTP/1.1 200 OK\r\n", "X-Hunter2: hunter2"+strings.Repeat("x", 400)+"\r\n")},
		"one header of 16 MB":                 {heavy: true, fault: rawly("HTTP/1.1 200 OK\r\nX-Hunter2: " + strings.Repeat("x", 16<<20) + "\r\nContent-Length: 2\r\n\r\n[]")},
		"101":                                 {fault: rawly("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: hunter2\r\n\r\n")},
		"two lengths":                         {fault: rawly("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]")},
		"a negative length":                   {fault: rawly("HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n[]")},
		"wrong chunks":                        {fault: rawly("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhunter2\r\n[]\r\n0\r\n\r\n")},
		"no HTTP":                             {fault: rawly("SSH-2.0-OpenSSH_9.2 hunter2\r\n")},
		"status of four digits":               {fault: rawly("HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\n[]")},
		"hangs before the headers":            {fault: connecttest.Hang(nil), waits: true},
		"hangs in the body":                   {fault: stops, waits: true},
		"drips":                               {fault: connecttest.Drip(1, time.Second), waits: true},
		"resets":                              {fault: connecttest.Reset()},
		"resets a connection that was kept":   {fault: connecttest.Reset(), once: true},
		"less than the length":                {fault: connecttest.Truncate(connecttest.CutLength)},
		"breaks off in chunks":                {fault: connecttest.Truncate(connecttest.CutChunks)},
		"half of the JSON":                    {fault: connecttest.Truncate(connecttest.CutBody)},
		"HTML with 200":                       {fault: connecttest.HTML(http.StatusOK)},
		"HTML with 503":                       {fault: connecttest.HTML(http.StatusServiceUnavailable)},
		"401":                                 {fault: connecttest.Reply(http.StatusUnauthorized, "application/json", "User cannot access the resource.")},
		"403":                                 {fault: connecttest.ErrorReply(http.StatusForbidden, "hunter2")},
		"404 of a worker that starts":         {fault: connecttest.HTML(http.StatusNotFound)},
		"409":                                 {fault: connecttest.ErrorReply(http.StatusConflict, "Cannot complete request momentarily")},
		"429":                                 {fault: connecttest.ErrorReply(http.StatusTooManyRequests, "hunter2")},
		"500 of a rebalance":                  {fault: connecttest.ErrorReply(http.StatusInternalServerError, "Request cannot be completed because a rebalance is expected")},
		"500 of another kind":                 {fault: connecttest.ErrorReply(http.StatusInternalServerError, "null pointer")},
		"204":                                 {fault: connecttest.Reply(http.StatusNoContent, "", "")},
		"redirect on the same host":           {fault: connecttest.Redirect("/hunter2/elsewhere")},
		"redirect without end":                {fault: connecttest.RedirectLoop()},
		"redirect to another host":            {fault: connecttest.Redirect("http://hunter2.example.com/connectors")},
		"an empty body":                       {fault: connecttest.Reply(http.StatusOK, "application/json", "")},
		"null":                                {fault: connecttest.Reply(http.StatusOK, "application/json", "null")},
		"a number":                            {fault: connecttest.Reply(http.StatusOK, "application/json", "42")},
		"what follows the JSON":               {fault: connecttest.TrailingGarbage("hunter2")},
		"nested a million deep":               {heavy: true, fault: connecttest.DeepNesting(1 << 20)},
		"each member twice":                   {fault: connecttest.DuplicateKeys()},
		"no UTF-8":                            {fault: connecttest.InvalidUTF8()},
		"control characters within a text":    {fault: connecttest.EditBytes(func(b []byte) []byte { return bytes.Replace(b, []byte(`"`), []byte("\"\x1b\x00"), 1) })},
		"a text of 2 MB where it begins":      {fault: connecttest.EditBytes(func(b []byte) []byte { return bytes.Replace(b, []byte(`"`), []byte(`"`+strings.Repeat("n", 2<<20)), 1) })},
		"a body without end":                  {fault: connecttest.Endless(), heavy: true, large: true},
		"a text without end":                  {fault: connecttest.EndlessString(), heavy: true, large: true},
		"gzip that was not asked for, a bomb": {fault: connecttest.GzipBomb(1 << 26), heavy: true, large: true},
	}
}

// stops sends the beginning of an answer and no more.
func stops(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{")
		_ = http.NewResponseController(w).Flush()
		connecttest.Hang(nil)(next).ServeHTTP(w, r)
	})
}

// tlsTroubles are those of a certificate, a handshake and HTTP/2, of a worker by
// HTTPS; each is a configuration of the server.
func tlsTroubles(t *testing.T) (good *tls.Config, authority string, bad map[string]*tls.Config) {
	t.Helper()
	var trusted []byte
	serves := func(host string, from time.Time, known bool) *tls.Config {
		certificate, trusts := selfSigned(t, host, from)
		if known {
			trusted = append(trusted, trusts...)
		}
		return &tls.Config{Certificates: []tls.Certificate{certificate}}
	}
	now := time.Now().Add(-time.Minute)
	good = serves("127.0.0.1", now, true)
	demanding, old, half, leaves := good.Clone(), good.Clone(), good.Clone(), good.Clone()
	demanding.ClientAuth = tls.RequireAnyClientCert
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	half.Certificates, half.GetCertificate = nil, func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, os.ErrNotExist }
	leaves.NextProtos = []string{"h2"}
	bad = map[string]*tls.Config{
		"certificate expired":                     serves("127.0.0.1", now.Add(-48*time.Hour), true),
		"certificate not yet valid":               serves("127.0.0.1", now.Add(48*time.Hour), true),
		"certificate of another host":             serves("other.example.com", now, true),
		"certificate of another authority":        serves("127.0.0.1", now, false),
		"wants a client certificate":              demanding,
		"speaks TLS 1.1 at most":                  old,
		"its certificate's rotation is half done": half,
		"HTTP/2 GOAWAY":                           leaves,
		"redirect from HTTPS to HTTP":             nil,
	}
	return good, file(t, "%s", trusted), bad
}

// A try is a fault at a door, in a cluster of its own.
type try struct {
	*spoilt
	cluster, trouble, door string
	lines                  string // of the configuration
	// never: nobody answers, before and after either.
	never bool
	// old: the fault is there from the beginning; first: what goes through the door
	// first is the cluster's first snapshot.
	old, first bool
	// became tells what became of the cluster between two scrapes.
	became func(t *testing.T, before, now counted, cluster string) string
}

// nowhere are addresses at which nobody answers.
func nowhere() map[string]string {
	return map[string]string{"nobody listens": "127.0.0.1:1", "a name that nobody knows": "nobody.invalid:8083"}
}

// table is what became of each trouble at each door.
type table struct {
	mu    sync.Mutex
	cells map[string]map[string]string
}

func (c *table) set(trouble, door, became string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cells[trouble] == nil {
		c.cells[trouble] = map[string]string{}
	}
	c.cells[trouble][door] = became
}

// TestFaultTable lets faults stand at the same time at every door, each in a cluster
// of its own, and beside them a cluster that is well. One scrape shows them all, in
// time, each with its reason, and takes little memory; the next one after they are
// over is whole. What becomes of each is the table in docs/faults.md, which is held to
// it where all are tried.
func TestFaultTable(t *testing.T) {
	all, rows := doors(t), troubles()
	// Heavy ones stand one after the other, and apart from what might be late by them: a
	// token endpoint has five seconds.
	groups, heavy := map[string][]try{}, map[string][]try{}
	for name, trouble := range rows {
		for _, d := range all {
			timeout, group := "30s", "workers"
			switch {
			case trouble.large && !d.large:
				continue
			case d.name == "token endpoint":
				group = "tokens"
			case trouble.waits && d.old:
				timeout, group = "2s", "first waits"
			case trouble.waits:
				timeout, group = "2s", "waits"
			}
			s := trouble.spoils()
			made := try{spoilt: s, cluster: name + " at " + d.name, trouble: name, door: d.name, lines: "request_timeout: " + timeout + ", " + d.spoiltLines(t, s), old: d.old, first: d.old, became: became}
			if trouble.heavy {
				heavy[name] = append(heavy[name], made)
			} else {
				groups[group] = append(groups[group], made)
			}
		}
	}
	good, authority, bad := tlsTroubles(t)
	for _, d := range all {
		if d.whole == nil {
			continue
		}
		add := func(name string, s *spoilt, at place, never bool) {
			groups["connections"] = append(groups["connections"], try{spoilt: s, cluster: name + " at " + d.name, trouble: name, door: d.name, lines: "request_timeout: 30s, " + d.whole(at), never: never, first: d.old, became: became})
		}
		for name, address := range nowhere() {
			add(name, &spoilt{}, place{serve: func(http.Handler) string { return "http://" + address }}, true)
		}
		for name, config := range bad {
			if d.name == "Aiven" {
				continue // It has the system's authorities.
			}
			s := &spoilt{fault: connecttest.Redirect("http://127.0.0.1:1/hunter2")}
			add(name, s, place{
				serve: func(h http.Handler) string { return overTLS(t, s, good, config, h) },
				trust: fmt.Sprintf("tls_config: {ca_file: %q}", authority),
			}, false)
		}
	}
	every := os.Getenv("FAULTS") != ""
	var (
		brokers    []try
		slow       map[string]bool
		apiServers []apiServerTry
	)
	if every {
		brokers, slow = brokerTries(t, good, authority, bad)
		apiServers = apiServerTries(t, rows, good, authority, bad)
	}
	for _, try := range brokers {
		if slow[try.trouble] {
			heavy[try.trouble] = append(heavy[try.trouble], try)
		} else {
			groups["tokens"] = append(groups["tokens"], try) // Brokers that hang have five seconds, too.
		}
	}
	ofClusters, ofBrokers := &table{cells: map[string]map[string]string{}}, &table{cells: map[string]map[string]string{}}
	tell := func(try try, became string) {
		if try.door == brokersDoor {
			ofBrokers.set(try.trouble, try.door, became)
		} else {
			ofClusters.set(try.trouble, try.door, became)
		}
	}
	var tried atomic.Int32
	run := func(name string, test func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			if !every && name != "workers" && name != "connections" {
				t.Skip("waits for seconds, or sends much: FAULTS=1, or make faults, tries it")
			}
			tried.Add(1)
			test(t)
		})
	}
	for name, tries := range heavy {
		run("heavy "+name, func(t *testing.T) {
			defer limitHeap(t)()
			happen(t, tries, tell)
		})
	}
	// Side by side: most wait. (They cannot be parallel, as the environment is set.)
	var sides sync.WaitGroup
	stop := limitHeap(t)
	for name, tries := range groups {
		sides.Go(func() { run(name, func(t *testing.T) { happen(t, tries, tell) }) })
	}
	sides.Go(func() {
		run("discovery", func(t *testing.T) {
			apiServerFaults(t, apiServers, func(trouble, became string) { ofClusters.set(trouble, apiServerDoor, became) })
		})
	})
	sides.Wait()
	stop()
	if !t.Failed() && int(tried.Load()) == len(heavy)+len(groups)+1 {
		var names []string
		for _, d := range all {
			names = append(names, d.name)
		}
		names = append(names, apiServerDoor)
		faultTable(t, "<!-- FAULTS=1 go test ./app -run TestFaultTable -update -->\n", "<!-- end of clusters -->", "what is answered", names,
			func(name string) bool { return rows[name].heavy }, ofClusters.cells)
		faultTable(t, "<!-- brokers: FAULTS=1 go test ./app -run TestFaultTable -update -->\n", "<!-- end of brokers -->", "what the brokers do", []string{brokersDoor},
			func(name string) bool { return slow[name] }, ofBrokers.cells)
	}
}

// happen lets faults stand at the same time, and tells what becomes of each.
func happen(t *testing.T, tries []try, tell func(try try, became string)) {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "snapshot_max_age: 0s\nclusters:\n- {name: well, urls: [%q]}\n", worker(t, cluster("4.3.1"), 0))
	for _, try := range tries {
		fmt.Fprintf(&text, "- {name: %q, %s}\n", try.cluster, try.lines)
	}
	for _, try := range tries {
		try.on.Store(try.old || try.first)
	}
	p := start(t, Options{Sources: fromFile(file(t, "%s", text.String())), Web: web.Options{TimeoutOffset: 500 * time.Millisecond}})
	body := ""
	scrape := func() counted {
		t.Helper()
		answer := p.get("/metrics", "X-Prometheus-Scrape-Timeout-Seconds", "60")
		if answer.status != http.StatusOK {
			t.Fatalf("%d: %.200s", answer.status, answer.body)
		}
		body = answer.body
		return count(body)
	}
	var before counted
	if slices.ContainsFunc(tries, func(try try) bool { return !try.first }) {
		scrape()
		before = scrape() // What is asked beside the first is there by now.
	}
	for _, try := range tries {
		if !try.never && !try.first && before.values[fmt.Sprintf("kafka_connect_up{connect_cluster=%q}", try.cluster)] != "1" {
			t.Fatalf("%s is not up before it begins", try.cluster)
		}
		try.on.Store(true)
	}
	began := time.Now()
	during := scrape()
	if took := time.Since(began); took > time.Minute {
		t.Errorf("the scrape took %v", took)
	}
	since := func(try try) counted {
		if try.first {
			return counted{}
		}
		return before
	}
	for _, try := range tries {
		tell(try, try.became(t, since(try), during, try.cluster))
		try.on.Store(false)
	}
	shown := body
	// At once, but for a rate limit, which lasts for a snapshot longer, and a token that is
	// waited for five seconds, whoever has asked for it first.
	deadline := time.Now().Add(30 * time.Second)
	for after := scrape(); ; after = scrape() {
		if !slices.Equal(after.well, during.well) || len(after.well) == 0 {
			t.Errorf("the cluster that is well is not whole: %q, was %q", during.well, after.well)
		}
		var lost []string
		for _, try := range tries {
			if became := try.became(t, since(try), after, try.cluster); became != "whole" && !try.never {
				lost = append(lost, fmt.Sprintf("%s: %s", try.cluster, became))
			}
		}
		if len(lost) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("not whole again: %q", lost)
			break
		}
	}
	if said := p.get("/config").body + shown; strings.Contains(strings.ReplaceAll(said, "<secret>", ""), "hunter2") {
		t.Error("what was answered is shown")
	}
}

// heapLimit is how much the heap may grow while faults stand: what the doors of a row
// take together, those who answer, and what is not collected yet.
const heapLimit = 512 << 20

// limitHeap holds the heap to heapLimit until it is stopped.
func limitHeap(t *testing.T) (stop func()) {
	t.Helper()
	held := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	read := func() uint64 {
		metrics.Read(held)
		return held[0].Value.Uint64()
	}
	runtime.GC()
	before := read()
	most, stopped := before, make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for again := time.NewTicker(2 * time.Millisecond); ; {
			most = max(most, read())
			select {
			case <-again.C:
			case <-stopped:
				again.Stop()
				return
			}
		}
	})
	return func() {
		t.Helper()
		close(stopped)
		watching.Wait()
		t.Logf("the heap held %d MB, before %d MB", most>>20, before>>20)
		if most > before+heapLimit {
			t.Errorf("the heap held %d MB, before %d MB", most>>20, before>>20)
		}
	}
}

// counted is what a scrape says of each cluster: what is asked for of hundreds of
// clusters need not be parsed.
type counted struct {
	values map[string]string // of series that tell of clusters
	states map[string]int    // of connectors and tasks that run, or do not, by cluster
	told   map[string]int    // series of what brokers tell, by cluster
	well   []string          // those of the cluster that is well
}

func count(body string) counted {
	c := counted{map[string]string{}, map[string]int{}, map[string]int{}, nil}
	for line := range strings.Lines(body) {
		name, rest, _ := strings.Cut(line, "{")
		cluster, _, _ := strings.Cut(strings.TrimPrefix(rest, `connect_cluster="`), `"`)
		switch name {
		case "kafka_connect_up", "kafka_connect_snapshot_errors_total", "kafka_connect_connectors_unobserved",
			"kafka_connect_brokers_up", "kafka_connect_brokers_errors_total":
			at := strings.LastIndexByte(line, ' ')
			c.values[line[:at]] = strings.TrimSpace(line[at:])
		case "kafka_connect_connector_state", "kafka_connect_task_state":
			c.states[cluster]++
			if cluster == "well" {
				c.well = append(c.well, line)
			}
		case "kafka_connect_group_member_info", "kafka_connect_group_assigned_tasks", "kafka_connect_connector_topic_info",
			"kafka_connect_source_offset_commit_timestamp_seconds":
			c.told[cluster]++
		}
	}
	return c
}

// became is the reason that is counted for a cluster, or for a connector of it, or
// "whole" if all of its connectors and tasks are there.
func became(t *testing.T, before, now counted, cluster string) string {
	t.Helper()
	up := now.values[fmt.Sprintf("kafka_connect_up{connect_cluster=%q}", cluster)]
	was, is := before.states[cluster], now.states[cluster]
	for _, reason := range append(connect.Reasons(), connect.NoStatus) {
		errors := fmt.Sprintf("kafka_connect_snapshot_errors_total{connect_cluster=%q,reason=%q}", cluster, reason)
		unobserved := fmt.Sprintf("kafka_connect_connectors_unobserved{connect_cluster=%q,reason=%q}", cluster, reason)
		switch {
		case up == "0" && now.values[errors] != cmp.Or(before.values[errors], "0"):
			if is > 0 {
				t.Errorf("%s is not up, and has %d states", cluster, is)
			}
			return string(reason)
		case up == "1" && now.values[unobserved] != "0" && is == 0:
			return fmt.Sprintf("%s (each)", reason)
		case up == "1" && now.values[unobserved] != "0":
			return fmt.Sprintf("%s (that one)", reason)
		}
	}
	if up != "1" || is == 0 || is != was && before.states != nil {
		t.Errorf("%s: up is %v, %d of %d states, and no reason", cluster, up, is, was)
	}
	return "whole"
}

// faultTable holds a table in docs/faults.md, between begin and end, to what was found:
// a row for each fault, a column for each door.
func faultTable(t *testing.T, begin, end, fault string, doors []string, heavy func(fault string) bool, cells map[string]map[string]string) {
	t.Helper()
	render := func() string {
		var b strings.Builder
		b.WriteString("| " + fault + " |")
		for _, d := range doors {
			b.WriteString(" " + d + " |")
		}
		b.WriteString("\n|---|" + strings.Repeat("---|", len(doors)) + "\n")
		for _, name := range slices.Sorted(maps.Keys(cells)) {
			b.WriteString("| " + name + " |")
			for _, d := range doors {
				b.WriteString(" " + cells[name][d] + " |")
			}
			b.WriteString("\n")
		}
		return b.String()
	}
	const page = "../docs/faults.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(text), begin)
	have, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the table", page)
	}
	// A machine may be too slow for what takes a processor: then the time is over first.
	for row := range strings.Lines(have) {
		written := strings.Split(row, "|")
		name := strings.TrimSpace(written[min(1, len(written)-1)])
		for i, d := range doors {
			if heavy(name) && strings.HasPrefix(cells[name][d], "timeout") && len(written) > i+2 && !*update {
				cells[name][d] = strings.TrimSpace(written[i+2])
			}
		}
	}
	want := render()
	if *update {
		if err := os.WriteFile(page, []byte(head+begin+want+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if have != want {
		for line := range strings.Lines(want) {
			if !strings.Contains(have, line) {
				t.Errorf("not in %s: %s", page, line)
			}
		}
		t.Errorf("%s is not what was found; if that is right, run: FAULTS=1 go test ./app -run TestFaultTable -update", page)
	}
}

// overTLS serves over TLS, by another configuration while the fault is on; nil redirects
// to HTTP.
func overTLS(t *testing.T, s *spoilt, good, bad *tls.Config, whole http.Handler) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	leaves := bad != nil && slices.Contains(bad.NextProtos, "h2")
	base := good.Clone()
	base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if s.on.Load() {
			return bad, nil
		}
		return nil, nil
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.on.Load() && bad == nil:
			s.fault(nil).ServeHTTP(w, r)
			return
		case s.on.Load():
			panic(http.ErrAbortHandler) // on a connection from before: the next one is another
		}
		w.Header().Set("Connection", "close") // so that the next request meets what is served then
		whole.ServeHTTP(w, r)
	})
	server := &http.Server{Handler: handler, TLSConfig: base, ErrorLog: log.New(io.Discard, "", 0)}
	if leaves {
		// HTTP/1 while all is well.
		server.Protocols = new(http.Protocols)
		server.Protocols.SetHTTP1(true)
		server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){"h2": func(_ *http.Server, conn *tls.Conn, _ http.Handler) {
			_, _ = io.CopyN(io.Discard, conn, int64(len(http2.ClientPreface)))
			framer := http2.NewFramer(conn, conn)
			_ = framer.WriteSettings()
			_ = framer.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, []byte("hunter2"))
			_ = conn.Close()
		}}
	}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = server.Close() })
	return "https://" + listener.Addr().String()
}

// selfSigned is a certificate of a host for a day, and what trusts it.
func selfSigned(t *testing.T, host string, from time.Time) (certificate tls.Certificate, trusts []byte) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(from.UnixNano()), NotBefore: from, NotAfter: from.Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(nil, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

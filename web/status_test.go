package web

import (
	"compress/gzip"
	"context"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

var nameShown = regexp.MustCompile(`<details class="connector"[^>]*>\s*<summary><span class="name">([^<]*)<`)

// namesOn are the connectors that a page shows, in its order.
func namesOn(page string) (names []string) {
	for _, match := range nameShown.FindAllStringSubmatch(page, -1) {
		names = append(names, match[1])
	}
	return names
}

// linkOn finds the link whose text matches.
func linkOn(t *testing.T, page, text string) string {
	t.Helper()
	match := regexp.MustCompile(`<a href="([^"]+)"[^>]*>` + text + `</a>`).FindStringSubmatch(page)
	if match == nil {
		t.Fatalf("no link %q", text)
	}
	return html.UnescapeString(strings.TrimPrefix(match[1], "."))
}

func numbered(prefix string, count int, make func(string) connect.Connector) (list []connect.Connector) {
	for i := range count {
		list = append(list, make(fmt.Sprintf("%s-%04d", prefix, i)))
	}
	return list
}

func TestStatusPageOfOneClusterIsPaged(t *testing.T) {
	connectors := append(numbered("a-well", 240, running), numbered("b-failing", 10, failing)...)
	handler := serve(t, nil, named{"orders & co", shows(connectors...)})
	get := func(target string) string {
		t.Helper()
		answer := ask(handler, http.MethodGet, target)
		if answer.Code != http.StatusOK {
			t.Fatalf("GET %s: status %d", target, answer.Code)
		}
		return answer.Body.String()
	}
	page := get("/")
	if names := namesOn(page); len(names) != connectorsShown || names[0] != "b-failing-0000" || names[10] != "a-well-0000" {
		t.Errorf("%d connectors: %.12q", len(names), names)
	}
	// All are reached by links, each once, failing first.
	page = get(linkOn(t, page, "150 more connectors"))
	all := namesOn(page)
	for strings.Contains(page, `rel="next"`) {
		page = get(linkOn(t, page, "next ›"))
		all = append(all, namesOn(page)...)
	}
	if len(all) != 250 || !slices.IsSorted(all[:10]) || !slices.IsSorted(all[10:]) || !strings.HasPrefix(all[9], "b-failing") {
		t.Errorf("%d connectors on all pages: %.12q", len(all), all)
	}
	if first := namesOn(get(linkOn(t, get(linkOn(t, page, "‹ before")), "‹ before"))); len(first) != connectorsShown || first[0] != "b-failing-0000" {
		t.Errorf("back on the first page: %.5q", first)
	}
	// The filter goes along, and pages beyond the last are the last.
	page = get("/?cluster=orders+%26+co&filter=well&page=99")
	if names := namesOn(page); len(names) != 40 || names[0] != "a-well-0200" {
		t.Errorf("the last page of the filter: %.5q", names)
	}
	if back := linkOn(t, page, "‹ before"); !strings.Contains(back, "filter=well") {
		t.Errorf("the way back loses the filter: %s", back)
	}
	for _, odd := range []string{"0", "-1", "x", "99999999999999999999", ""} {
		if names := namesOn(get("/?cluster=orders+%26+co&page=" + odd)); len(names) != connectorsShown {
			t.Errorf("page %q: %d connectors", odd, len(names))
		}
	}
	if answer := ask(handler, http.MethodGet, "/?cluster=nobody"); answer.Code != http.StatusNotFound {
		t.Errorf("a cluster that is not there: status %d", answer.Code)
	}
	if page := get("/?cluster=orders+%26+co&connector=nobody"); !strings.Contains(page, "There is no connector nobody") {
		t.Error("a connector that is not there is not missed")
	}
}

func TestStatusPageOfManyTasks(t *testing.T) {
	many := running("many")
	for i := range 500 {
		many.Tasks = append(many.Tasks, connect.Task{ID: i + 1, State: connect.StateRunning})
	}
	many.Tasks[400].State = connect.StateFailed
	handler := serve(t, nil, named{"a", shows(many)})
	page := ask(handler, http.MethodGet, "/").Body.String()
	rows := regexp.MustCompile(`<tr><td>(\d+)</td>`)
	if shown := rows.FindAllStringSubmatch(page, -1); len(shown) != fewTasks || shown[0][1] != "400" {
		t.Errorf("%d tasks, the first is %v", len(shown), shown[0])
	}
	page = ask(handler, http.MethodGet, linkOn(t, page, "496 more tasks")).Body.String()
	seen := map[string]bool{}
	for {
		for _, row := range rows.FindAllStringSubmatch(page, -1) {
			seen[row[1]] = true
		}
		if !strings.Contains(page, `rel="next"`) {
			break
		}
		page = ask(handler, http.MethodGet, linkOn(t, page, "next ›")).Body.String()
	}
	if len(seen) != 501 {
		t.Errorf("%d of 501 tasks are shown", len(seen))
	}
}

// However many there are, and whatever they are called, a page stays small, and
// what has failed is on the first one.
func TestStatusPageIsBounded(t *testing.T) {
	long := strings.Repeat("<&'\">漢", 32)
	var clusters []named
	var tasks []connect.Task
	for task := range tasksShown + 10 {
		tasks = append(tasks, connect.Task{ID: task, State: connect.StateUnassigned, Worker: fmt.Sprint(long, task)})
	}
	many := numbered(long, connectorsShown+20, func(name string) connect.Connector {
		c := running(name)
		c.Class, c.Worker, c.Tasks = long, long, tasks
		return c
	})
	for i := range 64 {
		connectors := slices.Clone(many)
		if i == 60 {
			connectors = append(connectors, failing("z-failing"))
		}
		o := shows(connectors...)
		observe := o.observe
		o.observe = func(ctx context.Context, report func(connect.Request)) (*connect.Snapshot, error) {
			s, err := observe(ctx, report)
			for i := range 1000 {
				s.Unobserved = append(s.Unobserved, connect.Unobserved{Connector: fmt.Sprintf("%s-%04d", long, i), Reason: connect.NoStatus})
			}
			return s, err
		}
		if i == 30 {
			o = fails(fmt.Errorf("%s: %w", strings.Repeat("words of a worker ", 10000), connect.HTTPStatus))
		}
		clusters = append(clusters, named{fmt.Sprintf("cluster-%02d", i), o})
	}
	handler := serve(t, nil, clusters...)
	start := time.Now()
	page := ask(handler, http.MethodGet, "/").Body.String()
	if len(page) > 4<<20 {
		t.Errorf("the page has %d bytes", len(page))
	}
	t.Logf("%d bytes in %s", len(page), time.Since(start))
	if names := namesOn(page); len(names) != connectorsShown || names[0] != "z-failing" {
		t.Errorf("%d connectors, the first is %.50q", len(names), names[0])
	}
	if sections := strings.Count(page, "<section"); sections != clustersShown || !strings.Contains(page, `aria-label="cluster cluster-30"`) {
		t.Errorf("%d clusters", sections)
	}
	page = ask(handler, http.MethodGet, linkOn(t, page, "next ›")).Body.String()
	if sections := strings.Count(page, "<section"); sections != 64-clustersShown {
		t.Errorf("%d clusters on the second page", sections)
	}
	for _, target := range []string{"/?cluster=cluster-00", "/?filter=nothing-has-this"} {
		if page := ask(handler, http.MethodGet, target).Body.String(); len(page) > 3<<20 {
			t.Errorf("GET %s: %d bytes", target, len(page))
		}
	}
}

func TestStatusPageHidesClustersWithoutAMatch(t *testing.T) {
	handler := serve(t, nil, named{"orders", shows(running("billing"))}, named{"audit", shows(running("trail"))}, named{"gone", fails(connect.Unreachable)})
	for filter, want := range map[string]string{"billing": "orders", "trail": "audit", "audit": "audit", "unreachable": "gone", "": "gone orders audit"} {
		page := ask(handler, http.MethodGet, "/?filter="+url.QueryEscape(filter)).Body.String()
		var shown []string
		for _, match := range regexp.MustCompile(`aria-label="cluster ([^"]+)"`).FindAllStringSubmatch(page, -1) {
			shown = append(shown, match[1])
		}
		if strings.Join(shown, " ") != want {
			t.Errorf("filter %q shows %q, want %q", filter, shown, want)
		}
	}
}

func TestContainsFold(t *testing.T) {
	for _, test := range []struct {
		text, word string
		want       bool
	}{
		{"Orders-Sink", "ders-s", true},
		{"orders", "orders", true},
		{"orders", "", true},
		{"", "", true},
		{"", "a", false},
		{"order", "orders", false},
		{"ÜBERALL", "über", true},
		{"aaab", "aab", true},
		{"ORDERS", "ordert", false},
	} {
		if got := containsFold(test.text, test.word); got != test.want {
			t.Errorf("%q contains %q: %v", test.text, test.word, got)
		}
	}
}

// What is listed and not observed is named.
func TestUnobservedAreNamed(t *testing.T) {
	o := &observer{observe: func(context.Context, func(connect.Request)) (*connect.Snapshot, error) {
		return &connect.Snapshot{
			Taken: time.Now(), HasTasks: true, Connectors: []connect.Connector{running("well")},
			Unobserved: []connect.Unobserved{{Connector: "<broken>", Reason: connect.Decode}, {Connector: "no-status", Reason: connect.NoStatus}},
		}, nil
	}}
	handler := serve(t, nil, named{"a", o})
	for _, target := range []string{"http://localhost/probe?cluster=a&debug=true", "/"} {
		page := ask(handler, http.MethodGet, target).Body.String()
		for _, want := range []string{
			`<span class="name">&lt;broken&gt;</span> <span class="faint">decode</span>`, `<span class="name">no-status</span> <span class="faint">no_status</span>`,
		} {
			if !strings.Contains(page, want) {
				t.Errorf("GET %s: not there: %s", target, want)
			}
		}
	}
	if page := ask(handler, http.MethodGet, "/").Body.String(); !strings.Contains(page, "1 not observed: no_status, 1 not observed: decode") {
		t.Error("the page does not count them")
	}
}

// Many who look at the page ask the clusters once.
func TestStatusPagesShareTheirSnapshots(t *testing.T) {
	asked, release := make(chan struct{}, 100), make(chan struct{})
	o := &observer{observe: func(context.Context, func(connect.Request)) (*connect.Snapshot, error) {
		asked <- struct{}{}
		<-release
		return &connect.Snapshot{Taken: time.Now(), Connectors: []connect.Connector{running("one")}}, nil
	}}
	handler := serve(t, nil, named{"a", o})
	pages := make(chan string)
	// As many as there may be at once.
	const visitors = maxPages * queueFactor
	for range visitors {
		go func() { pages <- ask(handler, http.MethodGet, "/").Body.String() }()
	}
	<-asked
	close(release)
	for range visitors {
		if page := <-pages; !strings.Contains(page, ">one<") {
			t.Fatalf("a page does not show what was asked for: %.300s", page)
		}
	}
	if o.count() != 1 {
		t.Errorf("%d snapshots for %d pages, want 1", o.count(), visitors)
	}
}

// The page of a probe is bounded too.
func TestDebugPageIsBounded(t *testing.T) {
	handler := serve(t, nil, named{"a", shows(numbered("connector", 10000, running)...)})
	page := ask(handler, http.MethodGet, "http://localhost/probe?cluster=a&debug=true").Body.String()
	if len(page) > 1<<20 || !strings.Contains(page, `<a href="./probe?cluster=a">all series</a>`) || !strings.Contains(page, "bytes more") {
		t.Errorf("%d bytes, or no way to the rest", len(page))
	}
}

func TestPagesAreCompressed(t *testing.T) {
	handler := serve(t, nil, named{"a", shows(numbered("sink", 200, failing)...)})
	for _, target := range []string{"/", "/?cluster=a&page=2", "/probe?cluster=a&debug=true"} {
		plain, packed := ask(handler, http.MethodGet, target), ask(handler, http.MethodGet, target, "Accept-Encoding", "br, gzip")
		if got := plain.Header().Get("Content-Encoding") + packed.Header().Get("Content-Encoding"); got != "gzip" {
			t.Fatalf("%s: Content-Encoding %q, want gzip where it is asked for", target, got)
		}
		if small := packed.Body.Len(); small*5 > plain.Body.Len() {
			t.Errorf("%s: %d of %d bytes", target, small, plain.Body.Len())
		}
		reader, err := gzip.NewReader(packed.Body)
		if err != nil {
			t.Fatalf("%s: %v", target, err)
		}
		page, err := io.ReadAll(reader)
		if err != nil || !strings.HasSuffix(string(page), "</html>\n") || !slices.Equal(namesOn(string(page)), namesOn(plain.Body.String())) {
			t.Errorf("%s: %v, a page of %d bytes instead of %d", target, err, len(page), plain.Body.Len())
		}
	}
}

// Package page looks at the status page with a real browser: the exporter runs
// in this process and watches a simulated cluster, headless Chromium reads what
// it serves. The pictures are for looking at, in .e2e/page of the repository.
package page

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/app"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
)

// hostile would run, or break out of its element, if it were markup.
const hostile = `<img src=x onerror="window.hacked=1"></script><script>window.hacked=1</script> 'quoted' & "so"`

// pictures is where the screenshots go.
var pictures = filepath.Join("..", "..", ".e2e", "page")

// serve starts the exporter over a simulated cluster and one that is gone, and
// returns its address.
func serve(t *testing.T) (*connecttest.Cluster, string) {
	t.Helper()
	c := connecttest.NewCluster(connecttest.Options{Workers: []string{"10.0.0.1:8083", "10.0.0.2:8083"}})
	for i := range 12 {
		c.Create(connecttest.Connector{Name: fmt.Sprintf("orders-%02d", i), Class: "org.example.JdbcSink", Type: "sink", Tasks: 3})
	}
	c.Create(connecttest.Connector{Name: hostile, Class: "org.example.Hostile", Type: "source", Tasks: 1})
	c.Create(connecttest.Connector{Name: "z-failing", Class: "org.example.S3Sink", Type: "sink", Tasks: 2})
	c.FailTask("z-failing", 1, connecttest.Trace(
		connecttest.Cause{Class: "org.apache.kafka.connect.errors.ConnectException"}, connecttest.Cause{Class: "java.io.IOException"}))
	c.Pause("orders-03")
	c.Stop("orders-04")
	worker := httptest.NewServer(c.Handler("10.0.0.1:8083"))
	t.Cleanup(worker.Close)
	gone := httptest.NewServer(nil)
	gone.Close()

	file := filepath.Join(t.TempDir(), "clusters.yml")
	text := fmt.Sprintf("snapshot_max_age: 0s\nclusters:\n- {name: orders, urls: [%q]}\n- {name: gone, urls: [%q]}\n", worker.URL, gone.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	addresses, ended := make(chan []net.Addr, 1), make(chan error, 1)
	go func() {
		ended <- app.Run(ctx, app.Options{
			Sources: config.Sources{File: file}, ListenAddresses: []string{"127.0.0.1:0"},
			Logger: slog.New(slog.DiscardHandler), Ready: func(a []net.Addr) { addresses <- a },
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case a := <-addresses:
		return c, "http://" + a[0].String()
	case err := <-ended:
		t.Fatalf("the exporter ended: %v", err)
		return nil, ""
	}
}

// scrape looks at the clusters, as Prometheus does.
func scrape(t *testing.T, base string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
}

// browser is a tab that notes what it ought not to do.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu        sync.Mutex
	complaint []string
}

func open(t *testing.T, base string) *browser {
	t.Helper()
	var chromium string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			chromium = path
			break
		}
	}
	if chromium == "" {
		t.Fatal("no browser: install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:len(chromedp.DefaultExecAllocatorOptions):len(chromedp.DefaultExecAllocatorOptions)],
		chromedp.ExecPath(chromium), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.WindowSize(1200, 900))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	err := chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventConsoleAPICalled:
			b.complain("console: %v", e.Args)
		case *runtime.EventExceptionThrown:
			b.complain("exception: %v", e.ExceptionDetails)
		case *cdplog.EventEntryAdded:
			b.complain("log: %s", e.Entry.Text)
		case *network.EventRequestWillBeSent:
			if url := e.Request.URL; !strings.HasPrefix(url, base+"/") && !strings.HasPrefix(url, "data:") {
				b.complain("a request to elsewhere: %s", url)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *browser) complain(format string, arguments ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complaint = append(b.complaint, fmt.Sprintf(format, arguments...))
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// await waits until a JavaScript expression is true.
func (b *browser) await(expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(time.Minute))); err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
}

// is evaluates a JavaScript expression.
func is[T any](b *browser, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// picture takes a screenshot of the whole page.
func (b *browser) picture(name string) {
	b.t.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.MkdirAll(pictures, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(pictures, name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// scheme makes the browser prefer light or dark.
func (b *browser) scheme(name string) {
	b.t.Helper()
	b.do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
		})
		return chromedp.Void{}, err
	})
}

// names are the connectors that the page shows, in its order.
const names = `[...document.querySelectorAll("details.connector .name")].map(e => e.textContent)`

func TestStatusPage(t *testing.T) {
	cluster, base := serve(t)
	b := open(t, base)
	b.do(chromedp.Navigate(base+"/"), chromedp.WaitVisible(chromedp.CSS("section.cluster")))

	// What there is, failing first.
	shown := is[[]string](b, names)
	if len(shown) != 14 || shown[0] != "z-failing" || shown[1] != hostile {
		t.Errorf("the page shows %q", shown)
	}
	text := is[string](b, `document.body.innerText`)
	for _, want := range []string{"orders", "gone", "down", "unreachable", "14 connectors", "org.apache.kafka.connect.errors.ConnectException, caused by java.io.IOException", "10.0.0.2:8083"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not show %s", want)
		}
	}
	if !is[bool](b, `document.querySelector("details.connector").open`) {
		t.Error("a connector with a failed task is not open")
	}
	b.scheme("light")
	light := is[string](b, `getComputedStyle(document.body).backgroundColor`)
	b.picture("light")
	b.scheme("dark")
	if dark := is[string](b, `getComputedStyle(document.body).backgroundColor`); dark == light {
		t.Errorf("the background is %s, light or dark", dark)
	}
	b.picture("dark")
	b.scheme("light")

	// Names stay text.
	if is[bool](b, `"hacked" in window || document.querySelector("main img, main script") !== null`) {
		t.Error("a connector's name was taken for markup")
	}

	// What the reader opens stays open, and what changes is shown, when the page
	// refreshes itself.
	b.do(chromedp.Click(chromedp.CSS(`details.connector:nth-of-type(4) summary`)))
	opened := is[string](b, `document.querySelector("details.connector:nth-of-type(4)").dataset.key`)
	cluster.FailTask("orders-07", 2, connecttest.Trace(connecttest.Cause{Class: "org.example.LateException"}))
	scrape(t, base)
	b.await(`document.body.innerText.includes("org.example.LateException")`)
	if !is[bool](b, fmt.Sprintf(`[...document.querySelectorAll("details.connector")].find(e => e.dataset.key === %q).open`, opened)) {
		t.Errorf("%q was closed by the refresh", opened)
	}

	// The filter works as one types, and holds when the page is loaded again.
	b.do(chromedp.SendKeys(chromedp.CSS("#filter"), "lateexception"))
	b.await(`document.querySelectorAll("details.connector").length === 1`)
	if shown := is[[]string](b, names); shown[0] != "orders-07" {
		t.Errorf("the filter shows %q", shown)
	}
	b.picture("filtered")
	b.await(`location.search === "?filter=lateexception"`)
	b.do(chromedp.Reload(), chromedp.WaitVisible(chromedp.CSS("section.cluster")))
	if shown := is[[]string](b, names); len(shown) != 1 {
		t.Errorf("after a reload the filter shows %q", shown)
	}

	// On a phone nothing is wider than the screen.
	b.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile), chromedp.Navigate(base+"/"), chromedp.WaitVisible(chromedp.CSS("section.cluster")))
	if wide := is[float64](b, `document.documentElement.scrollWidth - innerWidth`); wide > 0 {
		t.Errorf("on a phone the page is %v pixels too wide", wide)
	}
	b.picture("phone")
	b.do(chromedp.EmulateReset(), chromedp.Navigate(base+"/probe?cluster=orders&debug=true"), chromedp.WaitVisible(chromedp.CSS("pre")))
	b.picture("probe")

	b.mu.Lock()
	defer b.mu.Unlock()
	for _, complaint := range b.complaint {
		t.Error(complaint)
	}
}

// What does not fit on one page is a link away, and the filter goes over all pages.
func TestStatusPagePages(t *testing.T) {
	cluster, base := serve(t)
	for i := range 150 {
		cluster.Create(connecttest.Connector{Name: fmt.Sprintf("many-%03d", i), Class: "org.example.JdbcSink", Type: "sink", Tasks: 1})
	}
	b := open(t, base)
	b.do(chromedp.Navigate(base+"/"), chromedp.WaitVisible(chromedp.CSS("section.cluster")))
	b.picture("many")
	b.do(chromedp.Click(chromedp.CSS("p.more a")), chromedp.WaitVisible(chromedp.CSS("nav.pager")))
	if shown := is[[]string](b, names); len(shown) != 100 || shown[0] != "z-failing" {
		t.Errorf("the first page of the cluster shows %d connectors", len(shown))
	}
	b.do(chromedp.Click(chromedp.CSS("nav.pager a[rel=next]")), chromedp.WaitVisible(chromedp.CSS("nav.pager a[rel=prev]")))
	b.await(`location.search.includes("page=2") && document.querySelectorAll("details.connector").length === 64`)
	b.picture("second")
	b.do(chromedp.SendKeys(chromedp.CSS("#filter"), "z-failing"))
	b.await(`document.querySelectorAll("details.connector").length === 1 && location.search === "?cluster=orders&filter=z-failing"`)

	b.mu.Lock()
	defer b.mu.Unlock()
	for _, complaint := range b.complaint {
		t.Error(complaint)
	}
}

// Without JavaScript the page reloads by itself and the filter is a form.
func TestStatusPageWithoutScript(t *testing.T) {
	_, base := serve(t)
	b := open(t, base)
	b.do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return chromedp.Void{}, err
	}, chromedp.Navigate(base+"/?filter=z-failing"))
	nodes, err := chromedp.Run(b.ctx, chromedp.Nodes(chromedp.CSSAll("details.connector")))
	if err != nil || len(nodes) != 1 {
		t.Errorf("%d connectors (%v), want 1", len(nodes), err)
	}
	if nodes, err = chromedp.Run(b.ctx, chromedp.Nodes(chromedp.CSSAll(`meta[http-equiv=refresh]`))); err != nil || len(nodes) != 1 {
		t.Errorf("%d refreshing elements (%v), want 1", len(nodes), err)
	}
}

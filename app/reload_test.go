package app

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/self"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
)

const (
	reloadSuccessful = "kafka_connect_exporter_config_last_reload_successful"
	reloadTimestamp  = "kafka_connect_exporter_config_last_reload_success_timestamp_seconds"
)

func TestReloadByRequest(t *testing.T) {
	stays, goes, comes := cluster("4.3.1"), cluster("3.9.1"), cluster("2.2.2")
	staysURL, goesURL, comesURL := worker(t, stays, 0), worker(t, goes, 0), worker(t, comes, 0)
	name := file(t, "snapshot_max_age: 0s\nclusters:\n- {name: stays, urls: [%q]}\n- {name: goes, urls: [%q]}\n", staysURL, goesURL)
	p := start(t, Options{Sources: fromFile(name)})
	before := p.scrape("/metrics")
	before.want(t, series{`kafka_connect_up{connect_cluster="stays"}`: 1, `kafka_connect_up{connect_cluster="goes"}`: 1, reloadSuccessful: 1})

	// A wrong file changes nothing, and says so.
	write(t, name, "clusters:\n- {name: stays, urls: [%q]}\nnonsense: 1\n", staysURL)
	if a := p.do(http.MethodPost, "/-/reload"); a.status != http.StatusInternalServerError || !strings.Contains(a.body, "nonsense") {
		t.Errorf("a wrong file: %d %s", a.status, a.body)
	}
	wrong := p.scrape("/metrics")
	wrong.want(t, series{
		`kafka_connect_up{connect_cluster="stays"}`: 1, `kafka_connect_up{connect_cluster="goes"}`: 1,
		reloadSuccessful: 0, reloadTimestamp: before[reloadTimestamp],
	})

	// The cluster that stays keeps what is known of it: a change of state that
	// happens across the reload is counted.
	write(t, name, "snapshot_max_age: 0s\nstate_series: all\nclusters:\n- {name: comes, urls: [%q]}\n- {name: stays, urls: [%q]}\n", comesURL, staysURL)
	stays.Pause("source")
	rootCalls := stays.Requests().Counts
	if a := p.do(http.MethodPost, "/-/reload"); a.status != http.StatusOK {
		t.Fatalf("reload: %d %s", a.status, a.body)
	}
	after := p.scrape("/metrics")
	after.want(t, series{
		`kafka_connect_up{connect_cluster="stays"}`: 1, `kafka_connect_up{connect_cluster="comes"}`: 1, reloadSuccessful: 1,
		`kafka_connect_connector_state_changes_total{connect_cluster="stays",connector="source"}`:                    1,
		`kafka_connect_connector_state{connect_cluster="stays",connector="source",state="paused"}`:                   1,
		`kafka_connect_connector_state{connect_cluster="stays",connector="source",state="running"}`:                  0, // state_series: all
		`kafka_connect_snapshot_duration_seconds{connect_cluster="stays",observation_version="2",outcome="success"}`: 3,
	})
	if after[reloadTimestamp] <= before[reloadTimestamp] {
		t.Errorf("%s was %v, is %v", reloadTimestamp, before[reloadTimestamp], after[reloadTimestamp])
	}
	if gone := after.of("goes"); len(gone) > 0 {
		t.Errorf("a cluster that is gone is shown: %v", gone)
	}
	for match, n := range stays.Requests().Counts {
		// An observer that was made anew would ask for the worker's version.
		if match.Endpoint == connecttest.EndpointRoot && n != rootCalls[match] {
			t.Errorf("the observer of a cluster that did not change was made anew")
		}
	}
	// The age up to which a snapshot is used again follows too.
	write(t, name, "snapshot_max_age: 1h\nclusters:\n- {name: comes, urls: [%q]}\n- {name: stays, urls: [%q]}\n", comesURL, staysURL)
	if a := p.do(http.MethodPost, "/-/reload"); a.status != http.StatusOK {
		t.Fatalf("reload: %d %s", a.status, a.body)
	}
	stays.Resume("source")
	p.scrape("/metrics").want(t, series{`kafka_connect_connector_state{connect_cluster="stays",connector="source",state="paused"}`: 1})
	if a := p.get("/config"); !strings.Contains(a.body, "comes") || strings.Contains(a.body, "goes") {
		t.Errorf("/config after the reload: %s", a.body)
	}
	if logs := p.logs.String(); !strings.Contains(logs, "nonsense") || !strings.Contains(logs, "configuration reloaded") {
		t.Errorf("the log does not tell of the reloads: %s", logs)
	}
}

func TestReloadWhenASecretChanges(t *testing.T) {
	c := connecttest.NewCluster(connecttest.Options{Username: "exporter", Password: "second"})
	secret := filepath.Join(t.TempDir(), "password")
	write(t, secret, "first")
	p := start(t, Options{Sources: fromFile(file(t,
		"snapshot_max_age: 0s\nclusters: [{name: a, urls: [%q], http_client: {basic_auth: {username: exporter, password_file: %q}}}]\n", worker(t, c, 0), secret))})
	p.scrape("/metrics").want(t, series{`kafka_connect_up{connect_cluster="a"}`: 0})
	write(t, secret, "second")
	if a := p.do(http.MethodPost, "/-/reload"); a.status != http.StatusOK {
		t.Fatalf("reload: %d %s", a.status, a.body)
	}
	p.scrape("/metrics").want(t, series{`kafka_connect_up{connect_cluster="a"}`: 1})
	if a := p.get("/config"); strings.Contains(a.body, "second") || strings.Contains(p.logs.String(), "second") {
		t.Errorf("the secret is shown: %s %s", a.body, p.logs)
	}
}

// In synctest's time, so that the interval costs none.
func TestAutoReload(t *testing.T) {
	directory := t.TempDir()
	// As Kubernetes mounts a ConfigMap: the file is a link into a link that is
	// swapped.
	mount := func(version, text string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(directory, version), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(directory, version, "clusters.yml"), "%s", text)
		link := filepath.Join(directory, "link")
		if err := os.Symlink(version, link); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link, filepath.Join(directory, "data")); err != nil {
			t.Fatal(err)
		}
	}
	mount("1", "clusters: [{name: one, urls: ['http://worker.example.com:8083']}]\n")
	name := filepath.Join(directory, "clusters.yml")
	if err := os.Symlink(filepath.Join("data", "clusters.yml"), name); err != nil {
		t.Fatal(err)
	}

	synctest.Test(t, func(t *testing.T) {
		w := newTestWatch(t, Options{Sources: fromFile(name), AutoReload: 30 * time.Second})
		check := func(want ...string) {
			t.Helper()
			// The interval, and for how long what has changed must stay so.
			time.Sleep(30*time.Second + maxSettle + time.Second)
			synctest.Wait()
			if got := w.fleet.Names(); !reflect.DeepEqual(got, want) {
				t.Errorf("the clusters are %q, want %q", got, want)
			}
		}
		first := w.current.Load()
		check("one")
		if w.current.Load() != first {
			t.Error("it was reloaded although nothing has changed")
		}
		mount("2", "clusters: [{name: two, urls: ['http://worker.example.com:8083']}]\n")
		check("two")
		mount("3", "nonsense")
		second := w.current.Load()
		check("two")
		check("two")
		if w.current.Load() != second {
			t.Error("a wrong file was loaded")
		}
		mount("4", "clusters: [{name: four, urls: ['http://worker.example.com:8083']}]\n")
		check("four")
	})
}

// newTestWatch runs a watch without its servers until the test ends.
func newTestWatch(t *testing.T, o Options) *watch {
	t.Helper()
	o.Logger, o.load = slog.New(slog.DiscardHandler), config.Load
	self, err := self.New(self.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWatch(t.Context(), o, self)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		w.run(ctx)
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		w.close(context.Background())
	})
	return w
}

// A file that is written slowly is read when it is whole.
func TestAutoReloadLetsFilesSettle(t *testing.T) {
	name := filepath.Join(t.TempDir(), "clusters.yml")
	text := func(names ...string) string {
		text := "clusters:\n"
		for _, name := range names {
			text += "- {name: " + name + ", urls: ['http://worker.example.com:8083']}\n"
		}
		return text
	}
	write(t, name, "%s", text("a", "b", "c"))
	synctest.Test(t, func(t *testing.T) {
		w := newTestWatch(t, Options{Sources: fromFile(name), AutoReload: time.Second})
		// Six clusters, written one by one: valid at any time.
		all := []string{"d", "e", "f", "g", "h", "i"}
		for i := range all {
			write(t, name, "%s", text(all[:i+1]...))
			time.Sleep(minSettle - 300*time.Millisecond)
			if got := w.fleet.Names(); len(got) != 3 || got[0] != "a" {
				t.Fatalf("the clusters are %q while the file is written", got)
			}
		}
		// Emptied and written again, as an editor does it.
		write(t, name, "")
		time.Sleep(time.Second)
		write(t, name, "%s", text(all...))
		time.Sleep(minSettle + 2*time.Second)
		if got := w.fleet.Names(); !reflect.DeepEqual(got, all) {
			t.Errorf("the clusters are %q, want %q", got, all)
		}
	})
}

// What has changed since the configuration was read is noticed, whenever that was;
// what was loaded for another reason is not loaded again.
func TestAutoReloadComparesWithWhatWasRead(t *testing.T) {
	name := filepath.Join(t.TempDir(), "clusters.yml")
	const text = "clusters: [{name: %s, urls: ['http://worker.example.com:8083']}]\n"
	write(t, name, text, "first")
	synctest.Test(t, func(t *testing.T) {
		self, err := self.New(self.Options{})
		if err != nil {
			t.Fatal(err)
		}
		w, err := newWatch(t.Context(), Options{Sources: fromFile(name), AutoReload: time.Second, Logger: slog.New(slog.DiscardHandler), load: config.Load}, self)
		if err != nil {
			t.Fatal(err)
		}
		// Changed before it is watched, as during startup validation.
		write(t, name, text, "second")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			w.run(ctx)
			close(ended)
		}()
		patience := time.Second + maxSettle + time.Second
		time.Sleep(patience)
		if got := w.fleet.Names(); got[0] != "second" {
			t.Errorf("the cluster is %q", got)
		}
		write(t, name, text, "third")
		if err := w.reload(ctx); err != nil {
			t.Fatal(err)
		}
		third := w.current.Load()
		time.Sleep(patience)
		if w.current.Load() != third {
			t.Error("what was loaded by request was loaded again")
		}
		// A file that the configuration names and that comes later.
		secret := filepath.Join(filepath.Dir(name), "password")
		write(t, name, "clusters: [{name: fourth, urls: ['http://worker.example.com:8083'], http_client: {basic_auth: {username: a, password_file: %q}}}]\n", secret)
		time.Sleep(patience)
		if got := w.fleet.Names(); got[0] != "third" {
			t.Errorf("the cluster is %q", got)
		}
		write(t, secret, "s3cret")
		time.Sleep(patience)
		if got := w.fleet.Names(); got[0] != "fourth" {
			t.Errorf("the cluster is %q after the file came that was missing", got)
		}
		cancel()
		<-ended
		w.close(context.Background())
	})
}

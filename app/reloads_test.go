package app

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
)

// A reload shows no outage that was none, whatever it changes of a cluster while
// a scrape of it is under way.
func TestReloadsDuringScrapes(t *testing.T) {
	t.Parallel()
	slow := cluster("4.3.1")
	slow.SetFault(connecttest.Match{}, connecttest.Delay(5*time.Millisecond))
	url := worker(t, slow, 0)
	config := func(i int) string {
		return []string{
			"snapshot_max_age: 0s\nclusters:\n- {name: one, urls: [%q], parallelism: 7}\n- {name: other, urls: [%q]}\n",
			"snapshot_max_age: 0s\nclusters:\n- {name: one, urls: [%q], parallelism: 8}\n- {name: renamed, urls: [%q]}\n",
		}[i%2]
	}
	name := file(t, config(0), url, url)
	p := start(t, Options{Sources: fromFile(name)})
	stop := make(chan struct{})
	var scrapers sync.WaitGroup
	for range 4 {
		scrapers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				got := p.scrape("/metrics")
				if got[`kafka_connect_up{connect_cluster="one"}`] != 1 {
					t.Errorf("a reload shows an outage: %v", got.of("one"))
					return
				}
				for series, value := range got {
					if strings.HasPrefix(series, "kafka_connect_up{") && value != 1 {
						t.Errorf("%s is %v", series, value)
					}
				}
			}
		})
	}
	for i := range 60 {
		write(t, name, config(i+1), url, url)
		if a := p.do(http.MethodPost, "/-/reload"); a.status != http.StatusOK {
			t.Errorf("reload: %d %s", a.status, a.body)
		}
	}
	close(stop)
	scrapers.Wait()
}

package incident

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/prometheus"
)

// labels of an alert.
type labels map[string]string

func (l labels) String() string { return prometheus.Series(l) }

// A told alert is what the webhook was told of it so far.
type told struct {
	receiver, status string
	group            string // the notification's own labels
	annotations      map[string]string
	firing, resolved int
}

// A webhook stands for those whom Alertmanager tells, and remembers what.
type webhook struct {
	url   string
	begin time.Time

	mu     sync.Mutex
	told   map[string]told // by the alert's labels
	events []string        // what was told anew, in order
}

func newWebhook(t *testing.T) *webhook {
	w := &webhook{begin: time.Now(), told: map[string]told{}}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

// ServeHTTP takes a notification. Source: Alertmanager's webhook_config, payload
// version 4.
func (w *webhook) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var notification struct {
		Receiver    string
		GroupLabels labels
		Alerts      []struct {
			Status              string
			Labels, Annotations map[string]string
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	note := func(format string, arguments ...any) {
		w.events = append(w.events, fmt.Sprintf("%6.1f s  ", time.Since(w.begin).Seconds())+fmt.Sprintf(format, arguments...))
	}
	if err := json.NewDecoder(r.Body).Decode(&notification); err != nil || strings.Trim(r.URL.Path, "/") != notification.Receiver {
		note("BROKEN notification at %s: %v", r.URL.Path, err)
		return
	}
	for _, alert := range notification.Alerts {
		key := labels(alert.Labels).String()
		known := w.told[key]
		if known.status != alert.Status {
			note("%-8s %-6s %s", alert.Status, notification.Receiver, key)
		}
		known.receiver, known.status, known.annotations = notification.Receiver, alert.Status, alert.Annotations
		known.group = notification.GroupLabels.String()
		if alert.Status == "resolved" {
			known.resolved++
		} else {
			known.firing++
		}
		w.told[key] = known
	}
}

// of returns what was told of the alert with exactly these labels.
func (w *webhook) of(l labels) told {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.told[l.String()]
}

// named lists the labels of all alerts of a name that were told of.
func (w *webhook) named(name string) (all []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key := range w.told {
		if strings.Contains(key, fmt.Sprintf("alertname=%q", name)) {
			all = append(all, key)
		}
	}
	slices.Sort(all)
	return all
}

// story is what was told, in order.
func (w *webhook) story() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.events, "\n")
}

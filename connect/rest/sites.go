package rest

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/internal/beside"
)

const (
	// rootMaxAge is how old a worker's version may be.
	rootMaxAge = 5 * time.Minute
	// Two lists that differ are looked at again before that is told: connectors
	// come and go, and a worker that starts lists some only.
	comparedEvery  = 5 * time.Minute
	comparedAgain  = time.Minute
	differentTwice = 2
)

// site is one of the cluster's URLs.
type site struct {
	url *url.URL

	rootAsk beside.Ask
	root    beside.Root
	rootDue bool // not known, or perhaps another by now

	healthAsk beside.Ask
	health    beside.Health
	healthAt  time.Time

	// listAsk compares its connectors with those of the snapshots.
	listAsk beside.Ask
	differs int
}

// site returns that of the worker that answered last.
func (o *Observer) site() *site { return o.sites[o.client.current.Load()] }

// resetSites has each worker asked anew for what it is.
func (o *Observer) resetSites() {
	for _, s := range o.sites {
		s.rootAsk.Reset()
		s.rootDue = true
	}
}

// askSites asks the workers at the URLs, beside the snapshot, for what is due.
func (d *draft) askSites() {
	if d.options.Dialect.NoRoot {
		return
	}
	current := d.site()
	for _, s := range d.sites {
		if s.root.Version == "" {
			s.rootDue = true
		}
		if s.rootAsk.Due(d.began) {
			s.rootAsk.Start(d.background, func(ctx context.Context) (func(), time.Duration, error) { return d.askRoot(ctx, s) })
		}
		if s.healthAsk.Due(d.began) {
			s.healthAsk.Start(d.background, func(ctx context.Context) (func(), time.Duration, error) { return d.askHealth(ctx, s) })
		}
		if s != current && d.same.connectors != nil && s.listAsk.Due(d.began) {
			s.listAsk.Start(d.background, func(ctx context.Context) (func(), time.Duration, error) { return d.compare(ctx, s) })
		}
	}
}

// whole hands a small answer to take.
func whole(take func(body []byte) error) func(io.Reader) error {
	return func(r io.Reader) error {
		body, err := io.ReadAll(io.LimitReader(r, errorBodyLimit))
		if err != nil {
			return err
		}
		return take(body)
	}
}

func (o *Observer) askRoot(ctx context.Context, s *site) (func(), time.Duration, error) {
	var got beside.Root
	err := o.client.once(ctx, s.url, 1, call{endpoint: "root", path: "/", words: true, decode: whole(func(body []byte) (err error) {
		got, err = beside.RootOf(body)
		return err
	})}, o.reports.Report)
	if err != nil {
		return nil, 0, err
	}
	return func() {
		// What it does not tell stays as it is known.
		s.root.Version, s.root.Commit = cmp.Or(got.Version, s.root.Version), cmp.Or(got.Commit, s.root.Commit)
		s.root.KafkaClusterID = cmp.Or(got.KafkaClusterID, s.root.KafkaClusterID)
		s.rootDue = false
	}, rootMaxAge, nil
}

// healthOf asks a worker whether it can work.
func (o *Observer) healthOf(ctx context.Context, s *site, timeout time.Duration) (got beside.Health, err error) {
	got = beside.NoHealth
	take := func(code int, body []byte) { got = beside.HealthOf(code, body) }
	err = o.client.once(ctx, s.url, 1, call{
		endpoint: "health", path: "/health", timeout: timeout, refused: take,
		decode: whole(func(body []byte) error { take(http.StatusOK, body); return nil }),
	}, o.reports.Report)
	return got, err
}

// askHealth asks a worker whether it can work. One that does not come to an
// answer within the time that it gives itself cannot.
func (o *Observer) askHealth(ctx context.Context, s *site) (func(), time.Duration, error) {
	got, err := o.healthOf(ctx, s, beside.HealthTimeout)
	if errors.Is(err, connect.Timeout) && ctx.Err() == nil {
		got = beside.Unhealthy
	}
	return func() { s.health, s.healthAt = got, o.now() }, got.Again(), nil
}

// compare lists the connectors at another URL than the one that answers. Two
// groups of workers on one Kafka cluster can be told apart by nothing else.
func (o *Observer) compare(ctx context.Context, s *site) (func(), time.Duration, error) {
	var names []listed
	if err := o.client.once(ctx, s.url, 1, o.listCall(&names), o.reports.Report); err != nil {
		return nil, 0, err
	}
	there := map[string]struct{}{}
	for _, it := range names {
		there[it.name] = struct{}{}
	}
	return func() {
		if !o.unlike(there) {
			s.differs = 0
			return
		}
		if s.differs++; s.differs < differentTwice {
			s.listAsk.Postpone(o.now().Add(comparedAgain))
		}
	}, comparedEvery, nil
}

// unlike tells whether names have less than half in common with the connectors of
// the last snapshot.
func (o *Observer) unlike(names map[string]struct{}) bool {
	common, here := 0, len(o.same.connectors)+len(o.same.list)
	for i := range o.same.connectors {
		if _, ok := names[o.same.connectors[i].Name]; ok {
			common++
		}
	}
	for _, u := range o.same.list {
		if _, ok := names[u.Connector]; ok {
			common++
		}
	}
	return common*2 < max(1, min(here, len(names))) && here+len(names) > 0
}

// describeSites completes the snapshot with what is known of the workers at the
// URLs.
func (d *draft) describeSites() {
	s, current := d.snapshot, d.site()
	s.Version, s.Commit, s.KafkaClusterID = current.root.Version, current.root.Commit, current.root.KafkaClusterID
	if s.ForeignHosts = d.foreignHosts(); !slices.Equal(s.ForeignHosts, d.foreign) {
		d.foreign = s.ForeignHosts
		if len(d.foreign) > 0 {
			d.options.Logger.Warn("urls lead to different Connect clusters", "cluster", d.options.Name,
				"observed", current.url.Host, "others", strings.Join(d.foreign, " "))
		} else {
			d.options.Logger.Info("urls lead to one Connect cluster again", "cluster", d.options.Name)
		}
	}
	for _, at := range d.sites {
		if d.began.Sub(at.healthAt) > beside.HealthAge {
			continue
		}
		switch at.health {
		case beside.Healthy, beside.Unhealthy:
			s.Health = append(s.Health, connect.Health{Worker: at.url.Host, Healthy: at.health == beside.Healthy})
		}
	}
	slices.SortFunc(s.Health, func(a, b connect.Health) int { return cmp.Compare(a.Worker, b.Worker) })
	s.Health = slices.CompactFunc(s.Health, func(a, b connect.Health) bool { return a.Worker == b.Worker })
	d.client.leaves.Range(func(host, end any) bool {
		s.Certificates = append(s.Certificates, connect.Certificate{Host: host.(string), NotAfter: end.(time.Time)})
		return true
	})
	slices.SortFunc(s.Certificates, func(a, b connect.Certificate) int { return cmp.Compare(a.Host, b.Host) })
}

// foreignHosts are those that lead to another cluster than the one that answers.
func (d *draft) foreignHosts() []string {
	var hosts []string
	current := d.site()
	for _, s := range d.sites {
		ids := s.root.KafkaClusterID != "" && current.root.KafkaClusterID != "" && s.root.KafkaClusterID != current.root.KafkaClusterID
		if s != current && (ids || s.differs >= differentTwice) {
			hosts = append(hosts, s.url.Host)
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

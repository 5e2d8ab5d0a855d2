// Package aiven observes a Kafka Connect cluster that runs at Aiven: a service
// of its own (type kafka_connect), or Connect inside a Kafka service. Where it
// is, and with which credentials, comes from Aiven's API; then it is asked like
// any other cluster, by connect/rest.
//
// Source: Aiven's API description (ServiceGet) and its operator.
package aiven

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	commoncfg "github.com/prometheus/common/config"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/internal/beside"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/rest"
)

// refreshInterval is how old the service's state may be while its cluster
// answers. One that does not is asked about at once.
const refreshInterval = time.Minute

// Routes by which a service can be reached (Aiven's components[].route).
const (
	// RouteDynamic is the service's own host name: public, or private where the
	// service lies in a VPC.
	RouteDynamic = "dynamic"
	// RoutePublic is the public host name of a service in a VPC; RouteDynamic
	// for others.
	RoutePublic      = "public"
	RoutePrivate     = "private"
	RoutePrivatelink = "privatelink"
)

// Options of an Observer. All but HTTPClient are required.
type Options struct {
	// Project and Service by their names at Aiven.
	Project, Service string
	// APIURL is the base of Aiven's API.
	APIURL *url.URL
	// Token returns the API token; it is called for each request to the API.
	Token func() (string, error)
	// Route is one of the Route constants.
	Route string
	// HTTPClient is TLS and proxy of the Connect cluster; Aiven's API shares the
	// proxy alone, since a service may have its project's own CA.
	HTTPClient commoncfg.HTTPClientConfig
	// Rest are the options of the Connect cluster. URLs, Client and Provider are
	// set here.
	Rest rest.Options
}

// An Observer implements [connect.Observer] for one service.
type Observer struct {
	options Options
	logger  *slog.Logger
	api     *http.Client
	now     func() time.Time

	// What follows is only touched by Observe, which has one caller at a time.
	asked    time.Time // of the API, zero: at once
	state    connect.ResourceState
	endpoint endpoint
	cluster  *rest.Observer   // nil until it is known where
	nothing  connect.Revision // of a service that is off
	warned   beside.Notice
}

var _ connect.Observer = (*Observer)(nil)

// New returns an Observer. It asks nothing yet; an error is one of the HTTP
// client's configuration.
func New(options Options) (*Observer, error) {
	logger := cmp.Or(options.Rest.Logger, slog.New(slog.DiscardHandler)).With("cluster", options.Rest.Name)
	o := &Observer{options: options, logger: logger, now: time.Now, nothing: connect.NewRevision()}
	var err error
	o.api, err = rest.NewClient(commoncfg.HTTPClientConfig{ProxyConfig: options.HTTPClient.ProxyConfig, EnableHTTP2: true}, options.Rest.Name)
	return o, err
}

// Close releases idle connections.
func (o *Observer) Close() {
	o.api.CloseIdleConnections()
	if o.cluster != nil {
		o.cluster.Close()
	}
}

// Observe takes one snapshot. A service that is powered off yields one without
// connectors: it was observed, and it is off.
func (o *Observer) Observe(ctx context.Context, report func(connect.Request)) (*connect.Snapshot, error) {
	if report == nil {
		report = func(connect.Request) {}
	}
	var apiBytes int64
	refresh := func(ctx context.Context) error {
		n, err := o.refresh(ctx, report)
		apiBytes += n
		return err
	}
	finish := func(snapshot *connect.Snapshot) *connect.Snapshot {
		snapshot.ResourceState = o.state
		snapshot.Bytes += apiBytes
		return snapshot
	}
	asked, refused := false, error(nil)
	if o.cluster == nil || o.asked.IsZero() || o.now().Sub(o.asked) >= refreshInterval {
		asked, refused = true, o.refreshWithin(ctx, refresh)
		if refused != nil && o.cluster == nil {
			return nil, refused
		}
		o.warn(refused)
	}
	if o.state == connect.ResourcePowerOff {
		return finish(o.off()), nil
	}
	snapshot, err := o.cluster.Observe(ctx, report)
	if err == nil {
		return finish(snapshot), nil
	}
	// Credentials may have been rotated, the service moved, switched off or
	// deleted: ask now, or in the next snapshot if no time is left.
	if !asked && ctx.Err() == nil {
		before := o.endpoint
		refused = refresh(ctx)
		o.warn(refused)
		switch {
		case o.state == connect.ResourcePowerOff:
			return finish(o.off()), nil
		case refused == nil && !o.endpoint.equal(before):
			if snapshot, err = o.cluster.Observe(ctx, report); err == nil {
				return finish(snapshot), nil
			}
		}
	}
	o.asked = time.Time{}
	return nil, o.advise(err, refused)
}

// off is the snapshot of a service that is powered off. The next one asks the
// API again, which is all that there is to ask.
func (o *Observer) off() *connect.Snapshot {
	o.asked = time.Time{}
	return &connect.Snapshot{Provider: connect.Aiven, HasTasks: true, Revision: o.nothing, Taken: time.Now()}
}

// refreshWithin leaves the cluster its time where it is known already.
func (o *Observer) refreshWithin(ctx context.Context, refresh func(context.Context) error) error {
	if o.cluster == nil {
		return refresh(ctx)
	}
	timeout := o.options.Rest.RequestTimeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(deadline)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return refresh(ctx)
}

// refresh asks the API for the service's state, place and credentials, and
// turns to the place. It returns the bytes of the answer.
func (o *Observer) refresh(ctx context.Context, report func(connect.Request)) (int64, error) {
	o.asked = o.now()
	// What is not known any more is not told either.
	o.state = ""
	service, bytes, err := o.get(ctx, report)
	if err == nil {
		err = o.turnTo(service)
	}
	if err != nil {
		return bytes, fmt.Errorf("find service %s of project %s at Aiven: %w", o.options.Service, o.options.Project, err)
	}
	return bytes, nil
}

// turnTo makes the service's cluster the one that is observed.
func (o *Observer) turnTo(service *service) error {
	state := connect.ParseResourceState(service.State)
	if state == connect.ResourcePowerOff {
		o.state = state
		return nil
	}
	endpoint, err := service.endpoint(o.options.Route)
	if err != nil {
		return err
	}
	if o.cluster != nil && endpoint.equal(o.endpoint) {
		o.state = state
		return nil
	}
	cfg := o.options.HTTPClient
	cfg.BasicAuth = &commoncfg.BasicAuth{Username: endpoint.user, Password: commoncfg.Secret(endpoint.password)}
	client, err := rest.NewClient(cfg, o.options.Rest.Name)
	if err != nil {
		return err
	}
	if o.cluster != nil {
		o.cluster.Close()
		o.logger.Info("service at Aiven has moved, or its credentials were changed", "host", endpoint.url.Host)
	}
	options := o.options.Rest
	options.URLs, options.Client, options.Provider = []*url.URL{endpoint.url}, client, connect.Aiven
	o.cluster, o.endpoint, o.state = rest.New(options), endpoint, state
	return nil
}

// warn logs that the API does not answer while the cluster does, once until it
// is something else.
func (o *Observer) warn(err error) {
	switch {
	case !o.warned.News(err):
	case err == nil:
		o.logger.Info("the API of Aiven answers again")
	default:
		o.logger.Warn("the API of Aiven does not tell the service's state; its Connect cluster is observed as last known", "err", err)
	}
}

// advise says what else is known of a service whose cluster does not answer.
// refused is what the API just failed with.
func (o *Observer) advise(err, refused error) error {
	switch reason := connect.ReasonOf(err); {
	case connect.ReasonOf(refused) == connect.NotFound:
		return refused
	case refused != nil:
		return fmt.Errorf("%w; %s", err, refused.Error())
	case o.state != "" && o.state != connect.ResourceRunning:
		return fmt.Errorf("%w (Aiven says that the service is %s)", err, o.state)
	case reason == connect.Unauthorized && o.state != "":
		return fmt.Errorf("%w: these are the credentials that Aiven's API tells; a password that was reset there takes a while to arrive", err)
	case reason == connect.Unreachable, reason == connect.Timeout:
		return fmt.Errorf("%w: by route %s; check aiven.route, public_access and the service's ip_filter", err, o.options.Route)
	}
	return err
}

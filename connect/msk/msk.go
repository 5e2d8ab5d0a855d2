// Package msk observes Amazon MSK Connect: all connectors of one AWS account
// and region, each of which is a Connect cluster of its own there. MSK Connect
// has no Connect REST API and tells nothing of single tasks, so snapshots have
// none ([connect.Snapshot].HasTasks is false).
//
// Source: the MSK Connect API reference and aws-sdk-go-v2/service/kafkaconnect
// v1.31; metrics: "Monitoring Amazon MSK Connect" in the MSK developer guide.
package msk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/kafkaconnect"
	"github.com/aws/aws-sdk-go-v2/service/kafkaconnect/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/awsauth"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/internal/beside"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/rest"
)

const (
	defaultMaxBodyBytes = 64 << 20
	// attempts of one call. The SDK's default of three, with up to 20 s between
	// them, would outlast a scrape.
	attempts     = 2
	retryBackoff = 300 * time.Millisecond
	// pageSize is the largest that ListConnectors takes.
	pageSize = 100
)

// Options say which connectors to observe and how.
type Options struct {
	// Name of the cluster, for logs.
	Name string
	// Region is the AWS region, required.
	Region string
	// NamePrefix limits the list to connectors whose name begins with it.
	NamePrefix string
	// RoleARN is assumed with the credentials of the SDK's default chain.
	RoleARN string
	// Endpoint replaces the base URL of the MSK Connect API (a VPC endpoint, a
	// proxy). Those of CloudWatch and STS are set by the SDK's own
	// AWS_ENDPOINT_URL_CLOUDWATCH and AWS_ENDPOINT_URL_STS.
	Endpoint *url.URL

	// Describe asks for each connector's configuration, of which class and
	// tasks.max are kept: a call per connector when it is new or has changed.
	Describe bool
	// CloudWatch asks for task and worker counts, once a minute; AWS charges
	// for it by the metric.
	CloudWatch bool

	// MaxConnectors that are kept, 50,000 if 0: with more, nothing is observed.
	MaxConnectors int
	// Parallelism is how many DescribeConnector calls are in flight, at least 1.
	Parallelism int
	// RequestTimeout of each attempt of a call, required.
	RequestTimeout time.Duration
	// MaxBodyBytes of one answer; 64 MiB if 0.
	MaxBodyBytes int64
	// Keep says which connectors to observe, nil keeps all.
	Keep func(connector string) bool
	// Transport carries the calls where the user configured TLS or a proxy; nil
	// is the SDK's own, which obeys HTTPS_PROXY and AWS_CA_BUNDLE.
	Transport http.RoundTripper
	// Logger is told once of what costs only a part of the snapshot; nil is silent.
	Logger *slog.Logger

	// For tests: attempts and retryBackoff unless 0.
	attempts int
	backoff  time.Duration
}

// An Observer implements [connect.Observer] for one account and region.
type Observer struct {
	options Options

	credentials aws.CredentialsProvider
	connectors  *kafkaconnect.Client
	metrics     *cloudwatch.Client // nil: not asked
	http        *http.Client

	descriptions map[string]description // by ARN
	counts       counts
	revisions    connect.Revisions
	// What was last said to be missing of each.
	noDescriptions, noCounts beside.Notice
}

var _ connect.Observer = (*Observer)(nil)

// New returns an Observer. It reads the SDK's configuration (environment and
// shared files) and calls nobody; an error is one of that configuration.
func New(ctx context.Context, options Options) (*Observer, error) {
	if options.Region == "" {
		return nil, errors.New("set up MSK Connect: no region; set msk.region or CONNECT_AWS_REGION")
	}
	recorder := &recorder{maxBodyBytes: cmp.Or(options.MaxBodyBytes, int64(defaultMaxBodyBytes))}
	cfg, err := awsauth.Load(ctx,
		awsconfig.WithRegion(options.Region),
		awsconfig.WithAppID("kafka-connect-exporter"),
		awsconfig.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts, o.MaxBackoff = cmp.Or(options.attempts, attempts), cmp.Or(options.backoff, retryBackoff)
			})
		}))
	if err != nil && errors.Is(err, awsauth.ErrFile) {
		return nil, fmt.Errorf("set up MSK Connect in %s: %w", options.Region, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read the AWS configuration for MSK Connect in %s: %w", options.Region, err)
	}
	transport := options.Transport
	if transport == nil {
		// The kind of client to which the SDK adds AWS_CA_BUNDLE.
		build := cfg.HTTPClient.(*awshttp.BuildableClient)
		transport, err = rest.Transport(func() (http.RoundTripper, error) { return build.GetTransport(), nil })
		if err != nil {
			return nil, err
		}
	}
	recorder.client = &http.Client{
		Transport: transport,
		Timeout:   options.RequestTimeout,
		// A signed request is for the host that it was signed for.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	cfg.HTTPClient = recorder

	options.MaxConnectors = cmp.Or(options.MaxConnectors, rest.DefaultMaxConnectors)
	options.Parallelism = max(1, options.Parallelism)
	options.Logger = cmp.Or(options.Logger, slog.New(slog.DiscardHandler)).With("cluster", options.Name)
	if options.Keep == nil {
		options.Keep = func(string) bool { return true }
	}
	o := &Observer{options: options, http: recorder.client, descriptions: map[string]description{}, counts: counts{now: time.Now}}
	if options.RoleARN != "" {
		// A copy: its own credentials are those that the role is assumed with.
		assume := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), options.RoleARN,
			func(o *stscreds.AssumeRoleOptions) { o.RoleSessionName = "kafka-connect-exporter" })
		cfg.Credentials = awsauth.New(func(context.Context) (aws.CredentialsProvider, error) { return assume, nil })
	}
	o.credentials = cfg.Credentials
	o.connectors = kafkaconnect.NewFromConfig(cfg, func(client *kafkaconnect.Options) {
		if options.Endpoint != nil {
			client.BaseEndpoint = aws.String(options.Endpoint.String())
		}
	})
	if options.CloudWatch {
		o.metrics = cloudwatch.NewFromConfig(cfg)
	}
	return o, nil
}

// Close releases idle connections.
func (o *Observer) Close() { o.http.CloseIdleConnections() }

// Observe lists the connectors. Descriptions and counts, where they are wanted,
// have what is left of three quarters of the time: they fail or come late
// without harm to the states.
func (o *Observer) Observe(ctx context.Context, report func(connect.Request)) (*connect.Snapshot, error) {
	current := &draft{report: report}
	ctx = context.WithValue(ctx, draftKey{}, current)
	if err := o.authenticate(ctx); err != nil {
		return nil, err
	}
	listed, err := o.list(ctx)
	if err != nil {
		return nil, err
	}
	extras, cancel := withShare(ctx, o.http.Timeout)
	defer cancel()
	var both sync.WaitGroup
	if o.options.Describe {
		both.Go(func() { o.refreshDescriptions(extras, listed) })
	}
	if o.metrics != nil {
		both.Go(func() { o.counts.refresh(extras, o, listed) })
	}
	both.Wait()
	snapshot := &connect.Snapshot{Provider: connect.MSK, Connectors: make([]connect.Connector, 0, len(listed))}
	for i := range listed {
		snapshot.Connectors = append(snapshot.Connectors, o.connector(&listed[i]))
	}
	connect.SortConnectors(snapshot.Connectors)
	o.revisions.Next(snapshot)
	snapshot.Bytes, snapshot.Taken = current.bytes.Load(), time.Now()
	return snapshot, nil
}

// withShare leaves a quarter of the remaining time to whoever asked; who set no
// time gives that of two attempts.
func withShare(ctx context.Context, attempt time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithTimeout(ctx, 2*attempt)
	}
	return context.WithTimeout(ctx, time.Until(deadline)*3/4)
}

// authenticate gets credentials before anything is asked with them, so that
// their absence is told from an answer of MSK Connect. They are cached.
func (o *Observer) authenticate(ctx context.Context) error {
	if o.credentials == nil { // AWS_… says that requests go unsigned
		return nil
	}
	_, err := o.credentials.Retrieve(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, awsauth.ErrFile):
		return fmt.Errorf("get AWS credentials for MSK Connect in %s: %w", o.options.Region,
			&failure{reason: connect.Unauthorized, what: err.Error()})
	case o.options.RoleARN != "":
		return fmt.Errorf("assume role %s for MSK Connect in %s: %w", o.options.RoleARN, o.options.Region, explain("sts:AssumeRole on that role", o.options.Region, err))
	}
	what := &failure{
		reason: connect.Unauthorized, what: "none found",
		advice: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role for this pod, task or instance",
	}
	if ctx.Err() != nil || errors.Is(err, awsauth.ErrHung) {
		what.reason, what.what = connect.Timeout, "none found within the deadline"
	}
	return fmt.Errorf("get AWS credentials for MSK Connect in %s: %w", o.options.Region, what)
}

// list returns the wanted connectors, no name twice: connectors that come and
// go between two pages may be on both.
func (o *Observer) list(ctx context.Context) ([]types.ConnectorSummary, error) {
	input := &kafkaconnect.ListConnectorsInput{MaxResults: aws.Int32(pageSize)}
	if o.options.NamePrefix != "" {
		input.ConnectorNamePrefix = aws.String(o.options.NamePrefix)
	}
	pages := kafkaconnect.NewListConnectorsPaginator(o.connectors, input,
		func(p *kafkaconnect.ListConnectorsPaginatorOptions) { p.StopOnDuplicateToken = true })
	var listed []types.ConnectorSummary
	position := map[string]int{}
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, o.explain("list connectors", "kafkaconnect:ListConnectors on *", err)
		}
		if page.Connectors == nil {
			// The SDK takes any JSON object for an empty list: the page of a
			// proxy must not make all connectors disappear.
			return nil, fmt.Errorf("list connectors of MSK Connect in %s: %w", o.options.Region,
				&failure{reason: connect.Decode, what: "the answer has no list of connectors", advice: "check endpoint"})
		}
		for _, summary := range page.Connectors {
			name := aws.ToString(summary.ConnectorName)
			if name == "" || !o.options.Keep(name) {
				continue
			}
			if i, twice := position[name]; !twice {
				position[name] = len(listed)
				listed = append(listed, summary)
			} else if !older(summary, listed[i]) {
				listed[i] = summary
			}
		}
		if len(listed) > o.options.MaxConnectors {
			return nil, fmt.Errorf("list connectors of MSK Connect in %s: %w", o.options.Region,
				&failure{reason: connect.TooLarge, what: fmt.Sprintf("more than %d connectors", o.options.MaxConnectors), advice: "raise max_connectors, or observe a part of them by connectors or msk.name_prefix"})
		}
	}
	return listed, nil
}

// older says that a was created before b: of a connector that was deleted and
// created again while the pages were read, the new one counts.
func older(a, b types.ConnectorSummary) bool {
	return aws.ToTime(a.CreationTime).Before(aws.ToTime(b.CreationTime))
}

// states of the API's ConnectorState.
var states = map[types.ConnectorState]connect.State{
	types.ConnectorStateRunning:  connect.StateRunning,
	types.ConnectorStateCreating: connect.StateProvisioning,
	types.ConnectorStateUpdating: connect.StateProvisioning,
	types.ConnectorStateDeleting: connect.StateDeleting,
	types.ConnectorStateFailed:   connect.StateFailed,
}

func (o *Observer) connector(summary *types.ConnectorSummary) connect.Connector {
	c := connect.Connector{
		Name:     aws.ToString(summary.ConnectorName),
		ID:       aws.ToString(summary.ConnectorArn),
		State:    states[summary.ConnectorState],
		Type:     "unknown",
		Runtime:  runtimeOf(summary),
		Reported: o.counts.of(aws.ToString(summary.ConnectorName)),
	}
	known := o.descriptions[c.ID]
	c.Class, c.TasksMax = known.class, known.tasksMax
	if autoscaling := autoscalingOf(summary); autoscaling != nil {
		// MSK Connect replaces tasks.max of an autoscaled connector.
		c.TasksMax = int(autoscaling.MaxAutoscalingTaskCount)
	}
	if c.State == connect.StateFailed {
		code := "unknown"
		if known.state == summary.ConnectorState {
			code = cmp.Or(known.code, code)
		}
		c.Failure = connect.Failure{Exception: code, RootCause: code}
	}
	return c
}

func autoscalingOf(summary *types.ConnectorSummary) *types.AutoScalingDescription {
	if summary.Capacity == nil {
		return nil
	}
	return summary.Capacity.AutoScaling
}

func runtimeOf(summary *types.ConnectorSummary) *connect.Runtime {
	runtime := &connect.Runtime{Version: aws.ToString(summary.KafkaConnectVersion)}
	if a := autoscalingOf(summary); a != nil {
		runtime.Autoscaled = true
		runtime.MinWorkers, runtime.MaxWorkers = int(a.MinWorkerCount), int(a.MaxWorkerCount)
		runtime.UnitsPerWorker = int(a.McuCount)
	} else if summary.Capacity != nil && summary.Capacity.ProvisionedCapacity != nil {
		p := summary.Capacity.ProvisionedCapacity
		runtime.MinWorkers, runtime.MaxWorkers = int(p.WorkerCount), int(p.WorkerCount)
		runtime.UnitsPerWorker = int(p.McuCount)
	}
	return runtime
}

// warn logs what cost a part of the snapshot, once until it is something else;
// a nil error ends it.
func (o *Observer) warn(notice *beside.Notice, what string, err error) {
	switch {
	case !notice.News(err):
	case err == nil:
		o.options.Logger.Info("all of MSK Connect answers again", "what", what)
	default:
		o.options.Logger.Warn("a part of MSK Connect could not be had", "what", what, "err", err)
	}
}

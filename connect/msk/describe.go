package msk

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kafkaconnect"
	"github.com/aws/aws-sdk-go-v2/service/kafkaconnect/types"
	"golang.org/x/sync/errgroup"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// A description is what is kept of DescribeConnector.
type description struct {
	// version and state that it was asked for: a new configuration has a new
	// version, and the state's code changes with the state.
	version string
	state   types.ConnectorState

	class    string
	tasksMax int
	code     string // of the state, "" if it is no code
}

// refreshDescriptions asks for those that are missing or outdated, as many as
// the time allows; what fails keeps its last one and is asked again next time.
func (o *Observer) refreshDescriptions(ctx context.Context, listed []types.ConnectorSummary) {
	current := make(map[string]description, len(listed))
	var wanted []*types.ConnectorSummary
	for i := range listed {
		summary := &listed[i]
		arn := aws.ToString(summary.ConnectorArn)
		known, ok := o.descriptions[arn]
		if ok {
			current[arn] = known
		}
		if !ok || known.version != aws.ToString(summary.CurrentVersion) || known.state != summary.ConnectorState {
			wanted = append(wanted, summary)
		}
	}
	o.descriptions = current // without those of connectors that are gone

	var mutex sync.Mutex
	var firstErr error
	var stop atomic.Bool // throttled: every further call makes it worse
	var calls errgroup.Group
	calls.SetLimit(o.options.Parallelism)
	for _, summary := range wanted {
		calls.Go(func() error {
			if stop.Load() || ctx.Err() != nil {
				return nil
			}
			d, err := o.describeOne(ctx, summary)
			mutex.Lock()
			defer mutex.Unlock()
			if err == nil {
				current[aws.ToString(summary.ConnectorArn)] = d
				return nil
			}
			if throttled(err) {
				stop.Store(true)
			}
			err = o.explain("describe a connector", "kafkaconnect:DescribeConnector", err)
			// Gone since it was listed: the next list says so.
			if connect.ReasonOf(err) != connect.NotFound && firstErr == nil {
				firstErr = err
			}
			return nil
		})
	}
	_ = calls.Wait() // What fails costs no other.
	o.warn(&o.noDescriptions, "descriptions", firstErr)
}

func (o *Observer) describeOne(ctx context.Context, summary *types.ConnectorSummary) (description, error) {
	out, err := o.connectors.DescribeConnector(ctx, &kafkaconnect.DescribeConnectorInput{ConnectorArn: summary.ConnectorArn})
	if err != nil {
		return description{}, err
	}
	d := description{
		version: aws.ToString(summary.CurrentVersion), state: summary.ConnectorState,
		class: out.ConnectorConfiguration["connector.class"],
	}
	if len(out.ConnectorConfiguration) > 0 {
		d.tasksMax = connect.DefaultTasksMax
	}
	if text, set := out.ConnectorConfiguration["tasks.max"]; set {
		d.tasksMax = connect.ParseTasksMax(text)
	}
	if out.StateDescription != nil {
		d.code = codeWord(aws.ToString(out.StateDescription.Code))
	}
	return d, nil
}

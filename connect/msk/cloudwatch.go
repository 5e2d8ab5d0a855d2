package msk

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cloudwatchtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/kafkaconnect/types"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

const (
	namespace = "AWS/KafkaConnect"
	dimension = "ConnectorName"
	// period of MSK Connect's metrics; they are asked for no more often, since
	// each metric of each question is charged.
	period = time.Minute
	// window that is searched for the newest value: metrics come some minutes
	// late. Counts that could not be renewed for as long are dropped.
	window = 10 * time.Minute
	// maxQueries is the limit of one GetMetricData call.
	maxQueries = 500
)

// metricNames are the metrics, in the order in which each connector's queries stand.
var metricNames = []string{"RunningTaskCount", "ErroredTaskCount", "WorkerCount"}

// counts are what CloudWatch last said of the connectors.
type counts struct {
	now    func() time.Time
	asked  time.Time // whether it succeeded or not
	had    time.Time
	byName map[string]*connect.Reported
}

// of returns what is known of a connector, nil if nothing is.
func (c *counts) of(connector string) *connect.Reported { return c.byName[connector] }

// refresh asks at most once in a period. A failure leaves the last counts for a
// while and is logged: it costs no snapshot.
func (c *counts) refresh(ctx context.Context, o *Observer, listed []types.ConnectorSummary) {
	now := c.now()
	if now.Sub(c.asked) < period {
		return
	}
	c.asked = now
	found := make(map[string]*connect.Reported, len(listed))
	names := make([]string, len(listed))
	for i := range listed {
		names[i] = aws.ToString(listed[i].ConnectorName)
	}
	var err error
	for len(names) > 0 && err == nil {
		batch := names[:min(len(names), maxQueries/len(metricNames))]
		names = names[len(batch):]
		err = ask(ctx, o.metrics, batch, now, found)
	}
	switch {
	case err == nil:
		c.byName, c.had = found, now
	case now.Sub(c.had) > window:
		c.byName = nil
	}
	if err != nil {
		err = fmt.Errorf("get metrics of CloudWatch in %s: %w", o.options.Region, explain("cloudwatch:GetMetricData on *", o.options.Region, err))
	}
	o.warn(&o.noCounts, "counts", err)
}

// ask puts the newest value of each metric of the connectors into found.
func ask(ctx context.Context, client *cloudwatch.Client, connectors []string, now time.Time, found map[string]*connect.Reported) error {
	end := now.Truncate(period).Add(period)
	input := &cloudwatch.GetMetricDataInput{
		StartTime: aws.Time(end.Add(-window)), EndTime: aws.Time(end),
		ScanBy: cloudwatchtypes.ScanByTimestampDescending,
	}
	for i, connector := range connectors {
		for j, metric := range metricNames {
			input.MetricDataQueries = append(input.MetricDataQueries, cloudwatchtypes.MetricDataQuery{
				Id: aws.String("q" + strconv.Itoa(i*len(metricNames)+j)),
				MetricStat: &cloudwatchtypes.MetricStat{
					Metric: &cloudwatchtypes.Metric{
						Namespace: aws.String(namespace), MetricName: aws.String(metric),
						Dimensions: []cloudwatchtypes.Dimension{{Name: aws.String(dimension), Value: aws.String(connector)}},
					},
					Period: aws.Int32(int32(period / time.Second)),
					Stat:   aws.String("Maximum"),
				},
			})
		}
	}
	pages := cloudwatch.NewGetMetricDataPaginator(client, input,
		func(p *cloudwatch.GetMetricDataPaginatorOptions) { p.StopOnDuplicateToken = true })
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, result := range page.MetricDataResults {
			store(result, connectors, found)
		}
	}
	return nil
}

// store keeps a result's newest value, which is its first; the same query may
// have more of them on a later page.
func store(result cloudwatchtypes.MetricDataResult, connectors []string, found map[string]*connect.Reported) {
	id := aws.ToString(result.Id)
	if len(id) < 2 || len(result.Values) == 0 {
		return
	}
	query, err := strconv.Atoi(id[1:])
	value := math.Round(result.Values[0])
	if err != nil || query < 0 || query >= len(connectors)*len(metricNames) || !(value >= 0 && value <= math.MaxInt32) {
		return
	}
	connector := connectors[query/len(metricNames)]
	reported := found[connector]
	if reported == nil {
		reported = &connect.Reported{}
		found[connector] = reported
	}
	count := []*connect.Count{&reported.RunningTasks, &reported.FailedTasks, &reported.Workers}[query%len(metricNames)]
	if !count.Known {
		*count = connect.Count{Value: int(value), Known: true}
	}
}

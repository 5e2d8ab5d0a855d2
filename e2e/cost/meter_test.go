package cost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/kafka"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/process"
)

// A meter takes snapshots of a worker and tells what they cost.
type meter struct {
	worker   *kafka.Worker
	exporter string // its URL
	created  int    // connectors that a change made so far
	told     map[string]told
}

// told is what the exporter has told of a cluster so far.
type told struct{ calls, seconds float64 }

// A sample is what some snapshots cost: each of them, and the worker's processor
// time for all of them together.
type sample struct {
	calls, bytes       []float64
	took               []time.Duration
	elapsed, processor time.Duration
}

func (s *sample) add(calls, bytes float64, took time.Duration) {
	s.calls, s.bytes, s.took = append(s.calls, calls), append(s.bytes, bytes), append(s.took, took)
}

// round takes n snapshots.
func (m *meter) round(ctx context.Context, w way, n int) (s sample, err error) {
	ask := m.list
	if w.name != "" {
		ask = func(ctx context.Context, s *sample) error { return m.probe(ctx, w, s) }
	}
	if !w.change && w.pause == 0 {
		err = m.measured(&s, func() (err error) {
			for i := 0; i < n && err == nil; i++ {
				err = ask(ctx, &s)
			}
			return err
		})
		return s, err
	}
	one := func() error {
		return m.measured(&s, func() error { return ask(ctx, &s) })
	}
	for i := 0; i < n && err == nil; i++ {
		if w.change {
			err = m.afterChange(ctx, one)
		} else if err = pause(ctx, w.pause); err == nil {
			err = one()
		}
	}
	return s, err
}

// pause in which nobody asks anything.
func pause(ctx context.Context, length time.Duration) error {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// measured adds to s what the worker does while run runs.
func (m *meter) measured(s *sample, run func() error) error {
	start := time.Now()
	before, err := m.worker.CPU()
	if err != nil {
		return err
	}
	if err := run(); err != nil {
		return err
	}
	after, err := m.worker.CPU()
	s.processor += after - before
	s.elapsed += time.Since(start)
	return err
}

// afterChange runs then with a connector that was not there before.
func (m *meter) afterChange(ctx context.Context, then func() error) error {
	m.created++
	name := fmt.Sprintf("new-%d", m.created)
	if err := m.worker.Create(ctx, connector(name, connectors)); err != nil {
		return err
	}
	if err := m.until(ctx, name, true); err != nil {
		return err
	}
	if err := then(); err != nil {
		return err
	}
	if err := m.worker.Write(ctx, http.MethodDelete, kafka.ConnectorPath(name), nil); err != nil {
		return err
	}
	return m.until(ctx, name, false)
}

// until waits until the worker shows a connector, or no longer does, and has
// nothing more to do for it.
func (m *meter) until(ctx context.Context, name string, shown bool) error {
	if err := process.Poll(ctx, 20*time.Millisecond, m.worker.Process, func(ctx context.Context) error {
		statuses, err := m.worker.Statuses(ctx)
		if _, ok := statuses[name]; err == nil && ok != shown {
			err = fmt.Errorf("the worker shows %s: %v", name, ok)
		}
		return err
	}); err != nil {
		return err
	}
	return m.settle(ctx)
}

// settle waits until the worker has little to do, for it goes on with a change
// after it has answered.
func (m *meter) settle(ctx context.Context) error {
	last, err := m.worker.CPU()
	if err != nil {
		return err
	}
	first := true
	return process.Poll(ctx, 50*time.Millisecond, m.worker.Process, func(context.Context) error {
		now, err := m.worker.CPU()
		used := now - last
		last = now
		switch {
		case err != nil:
			return err
		case first:
			first = false
			return errors.New("nothing is known yet")
		case used > 15*time.Millisecond:
			return fmt.Errorf("the worker used %v of 50 ms", used)
		}
		return nil
	})
}

// rest is the worker's processor time a second when it is asked nothing.
func (m *meter) rest(ctx context.Context) (float64, error) {
	if err := m.settle(ctx); err != nil {
		return 0, err
	}
	var s sample
	err := m.measured(&s, func() error { return pause(ctx, time.Second) }) // In which it also flushes offsets, once.
	return s.processor.Seconds() / s.elapsed.Seconds(), err
}

// list asks for the names of all connectors, without the exporter.
func (m *meter) list(ctx context.Context, s *sample) error {
	start := time.Now()
	body, err := m.get(ctx, m.worker.URL.String()+"/connectors")
	s.add(1, float64(len(body)), time.Since(start))
	return err
}

// probe has the exporter take a snapshot.
func (m *meter) probe(ctx context.Context, w way, s *sample) error {
	body, err := m.get(ctx, m.exporter+"/probe?cluster="+w.name)
	if err != nil {
		return err
	}
	// Sums over the series of each metric.
	sums := map[string]float64{}
	for line := range strings.Lines(string(body)) {
		name, rest, _ := strings.Cut(line, "{")
		_, value, found := strings.Cut(rest, "} ")
		if !found || strings.HasPrefix(line, "#") {
			continue
		}
		number, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
		sums[name] += number
	}
	want := float64(connectors)
	if w.change {
		want++
	}
	if got := sums["kafka_connect_connectors"]; sums["kafka_connect_up"] != 1 || got != want {
		return fmt.Errorf("the snapshot shows %v connectors, want %v; kafka_connect_up is %v", got, want, sums["kafka_connect_up"])
	}
	now, before := told{sums["kafka_connect_request_duration_seconds_count"], sums["kafka_connect_snapshot_duration_seconds_sum"]}, m.told[w.name]
	m.told[w.name] = now
	s.add(now.calls-before.calls, sums["kafka_connect_response_bytes"], time.Duration((now.seconds-before.seconds)*float64(time.Second)))
	return nil
}

// get returns the body of an answer of 200.
func (m *meter) get(ctx context.Context, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "60")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", address, response.Status)
	}
	return body, err
}

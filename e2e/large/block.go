// Package large asks what the dashboards ask, of a real Prometheus that has six
// hours of a fleet of 10,000 connectors.
package large

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/index"
)

// clock are the moments of the scrapes, evenly apart as Prometheus makes them.
type clock struct {
	start   int64 // milliseconds since the epoch
	every   int64 // milliseconds
	scrapes int
}

func (c clock) at(i int) int64 { return c.start + int64(i)*c.every }

// line are the samples of a series, encoded as Prometheus keeps them. Most series
// of a fleet have the same ones, so they are encoded once and shared.
type line []chunks.Meta

// draw encodes a value for each scrape; NaN is a scrape without the series, the
// first of which leaves a stale marker as it does in Prometheus. A line without
// any sample is empty.
func (c clock) draw(at func(i int) float64) (line, error) {
	const reach = 30 * 60 * 1000 // Milliseconds: 120 samples, as Prometheus cuts them, and never over the end of a block.
	var (
		drawn    line
		appender chunkenc.Appender
		there    bool
	)
	for i := range c.scrapes {
		v := at(i)
		if math.IsNaN(v) {
			if !there {
				continue
			}
			v = math.Float64frombits(value.StaleNaN)
		}
		there = !math.IsNaN(v)
		if len(drawn) == 0 || c.at(i) >= drawn[len(drawn)-1].MinTime/reach*reach+reach {
			chunk := chunkenc.NewXORChunk()
			var err error
			if appender, err = chunk.Appender(); err != nil {
				return nil, err
			}
			drawn = append(drawn, chunks.Meta{Chunk: chunk, MinTime: c.at(i)})
		}
		appender.Append(0, c.at(i), v)
		drawn[len(drawn)-1].MaxTime = c.at(i)
	}
	return drawn, nil
}

// series is one to write.
type series struct {
	labels labels.Labels
	line   line
}

// samples of the series.
func (s series) samples() (n int) {
	for _, chunk := range s.line {
		n += chunk.Chunk.NumSamples()
	}
	return n
}

// write makes blocks of two hours, as Prometheus does, of the series below the
// directory, Prometheus's data. Chunks end where blocks do.
func write(ctx context.Context, directory string, c clock, all []series) error {
	slices.SortFunc(all, func(a, b series) int { return labels.Compare(a.labels, b.labels) })
	const hours = int64(2 * 60 * 60 * 1000)
	for from := c.start; from < c.at(c.scrapes); from += hours {
		if err := writeBlock(ctx, directory, from, from+hours, all); err != nil {
			return err
		}
	}
	return nil
}

// writeBlock makes the block of the chunks from one moment to before another, in
// milliseconds since the epoch.
func writeBlock(ctx context.Context, directory string, from, to int64, all []series) (err error) {
	id := ulid.MustNew(uint64(from), rand.Reader)
	block := filepath.Join(directory, id.String())
	within := func(s series) line {
		first := slices.IndexFunc(s.line, func(m chunks.Meta) bool { return m.MinTime >= from })
		if first < 0 {
			return nil
		}
		last := first
		for last < len(s.line) && s.line[last].MinTime < to {
			last++
		}
		return slices.Clone(s.line[first:last])
	}
	symbols := map[string]struct{}{}
	for _, s := range all {
		if len(within(s)) == 0 {
			continue
		}
		s.labels.Range(func(l labels.Label) {
			symbols[l.Name], symbols[l.Value] = struct{}{}, struct{}{}
		})
	}
	chunkWriter, err := chunks.NewWriter(filepath.Join(block, "chunks"))
	if err != nil {
		return fmt.Errorf("write chunks: %w", err)
	}
	defer func() { err = errors.Join(err, chunkWriter.Close()) }()
	indexWriter, err := index.NewWriter(ctx, filepath.Join(block, "index"))
	if err != nil {
		return fmt.Errorf("write the index: %w", err)
	}
	defer func() { err = errors.Join(err, indexWriter.Close()) }()
	for _, symbol := range slices.Sorted(maps.Keys(symbols)) {
		if err := indexWriter.AddSymbol(symbol); err != nil {
			return fmt.Errorf("write the index: %w", err)
		}
	}
	meta := tsdb.BlockMeta{
		ULID: id, MinTime: from, MaxTime: to, Version: 1,
		Compaction: tsdb.BlockMetaCompaction{Level: 1, Sources: []ulid.ULID{id}},
	}
	for i, s := range all {
		own := within(s)
		if len(own) == 0 {
			continue
		}
		if err := chunkWriter.WriteChunks(own...); err != nil {
			return fmt.Errorf("write chunks: %w", err)
		}
		if err := indexWriter.AddSeries(storage.SeriesRef(i), s.labels, own...); err != nil {
			return fmt.Errorf("write series %s: %w", s.labels, err)
		}
		meta.Stats.NumSeries++
		meta.Stats.NumChunks += uint64(len(own))
	}
	text, err := json.Marshal(meta)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(block, "meta.json"), text, 0o644)
}

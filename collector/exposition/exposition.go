package exposition

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
)

// Options say what a Renderer shows.
type Options struct {
	// AllStates shows every state that an object can be in as 0 or 1, instead
	// of the current one as 1.
	AllStates bool
}

// A Renderer turns results into what Prometheus scrapes. It may be used by many
// goroutines.
//
// Nearly all series are of connectors and tasks, and of those hardly any changes
// from one scrape to the next: so they stay written and compressed, some hundred
// connectors at a time, and only those that changed are written again. There are
// three ways to write them, whatever scrapers ask for, and nothing is kept but
// compressed: an answer that is wanted plain is expanded on its way out.
type Renderer struct {
	options Options
	seed    maphash.Seed
	usual   int // connectors in a block
	byName  []series.Family

	compressors, expanders, sheets *sync.Pool

	mu   sync.Mutex
	kept map[key]*kept
}

// NewRenderer returns a Renderer.
func NewRenderer(options Options) *Renderer {
	return &Renderer{
		options: options, seed: maphash.MakeSeed(), usual: usualBlock, byName: series.Families(), kept: map[key]*kept{},
		compressors: &sync.Pool{New: newCompressor}, expanders: &sync.Pool{New: newExpander},
		sheets: &sync.Pool{New: func() any { return new(sheet) }},
	}
}

// An Answer is what is exposed of some results, ready to be written.
type Answer struct {
	parts      []part
	compressed bool
	expanders  *sync.Pool
	// Rendering and Compressing is what making it took.
	Rendering, Compressing time.Duration
}

// Answer writes the series of results and further families in one of [Formats],
// and compresses them with gzip if asked to. A family that both have is an error,
// as is one that is there twice. It ends with ctx; what it has made until then is
// kept, so that the next answer takes less.
func (r *Renderer) Answer(ctx context.Context, results []series.Result, further []*dto.MetricFamily, format expfmt.Format, compressed bool) (*Answer, error) {
	syntax, err := syntaxOf(format)
	if err != nil {
		return nil, err
	}
	a := &assembly{Renderer: r, syntax: syntax, answer: Answer{compressed: compressed, expanders: r.expanders}}
	start := time.Now()
	sorted := series.Sorted(results)
	blocks, err := a.blocks(ctx, groups(sorted, r.seed, r.usual))
	if err != nil {
		return nil, fmt.Errorf("render the series of connectors: %w", err)
	}
	if err := a.head(ctx, sorted, blocks, further, format); err != nil {
		return nil, err
	}
	a.body(blocks)
	if syntax == openMetricsSyntax {
		a.add(plainPart([]byte("# EOF\n")))
	}
	a.answer.Rendering = time.Since(start) - a.answer.Compressing
	return &a.answer, nil
}

// Prepare writes what an answer in this format will need of the results, as far as
// it gets until ctx ends: whoever waits for further clusters has time for that.
func (r *Renderer) Prepare(ctx context.Context, results []series.Result, format expfmt.Format) {
	if syntax, err := syntaxOf(format); err == nil {
		a := &assembly{Renderer: r, syntax: syntax}
		_, _ = a.blocks(ctx, groups(series.Sorted(results), r.seed, r.usual)) // It has the time that there is.
	}
}

// Size of the answer in bytes.
func (a *Answer) Size() int {
	if a.compressed {
		return gzipSize(a.parts)
	}
	return plainSize(a.parts)
}

// Write writes the answer.
func (a *Answer) Write(w io.Writer) error {
	if a.compressed {
		return writeGzip(w, a.parts)
	}
	return writePlain(w, a.expanders, a.parts)
}

// An assembly is an answer in the making.
type assembly struct {
	*Renderer
	syntax syntax
	answer Answer
}

func (a *assembly) add(p part) { a.answer.parts = append(a.answer.parts, p) }

// deflated makes a part of a text and adds what compressing took.
func (a *assembly) deflated(text []byte) part {
	start := time.Now()
	defer func() { a.answer.Compressing += time.Since(start) }()
	return deflatedPart(a.compressors, text)
}

// blocks returns the blocks of the groups, written; what is new of them is written
// now.
func (a *assembly) blocks(ctx context.Context, groups [][]*series.Result) ([]*written, error) {
	a.forget()
	var all []*written
	for _, group := range groups {
		if err := a.group(ctx, group, len(groups) == 1, &all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// group appends the blocks of a group; alone tells that there is no other.
func (a *assembly) group(ctx context.Context, group []*series.Result, alone bool, all *[]*written) error {
	k, release, err := a.keptOf(ctx, group)
	if err != nil {
		return err
	}
	defer release()
	k.update(group, a.seed, a.usual)
	whole := alone && len(k.blocks) == 1
	for _, b := range k.blocks {
		w := b.written[a.syntax]
		if w == nil || whole != (w.whole.size > 0) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			w = a.write(b, whole)
			b.written[a.syntax] = w
		}
		*all = append(*all, w)
	}
	return nil
}

// write writes a block.
func (a *assembly) write(b *block, whole bool) *written {
	s := a.sheets.Get().(*sheet)
	defer a.sheets.Put(s)
	s.reset(a.syntax)
	w := series.Walk{AllStates: a.options.AllStates, Emit: s.add}
	for i := range b.stretches {
		x := &b.stretches[i]
		s.cluster = x.cluster
		for j := range x.connectors {
			w.Connector(x.snapshot, &x.connectors[j], x.pasts[j])
		}
	}
	made := &written{}
	var text []byte
	for _, f := range a.byName {
		if len(s.families[f]) == 0 {
			continue
		}
		made.has[f] = true
		if whole {
			text = append(appendHeader(text, a.syntax, f.Descriptor(), len(s.families[f])), s.families[f]...)
		} else {
			made.families[f] = a.deflated(s.families[f])
		}
	}
	if whole {
		made.whole = a.deflated(text)
	}
	return made
}

// head adds what differs in each answer: the series of the clusters as such, and
// the further families.
func (a *assembly) head(ctx context.Context, sorted []*series.Result, blocks []*written, further []*dto.MetricFamily, format expfmt.Format) error {
	s := a.sheets.Get().(*sheet)
	defer a.sheets.Put(s)
	s.reset(a.syntax)
	w := series.Walk{AllStates: a.options.AllStates, Emit: s.add}
	for _, r := range sorted {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.cluster = r.Identity()
		summary := r.Summary()
		w.Cluster(r, &summary)
	}
	var text bytes.Buffer
	names := make(map[string]bool, int(series.FamilyCount)+len(further))
	for _, f := range a.byName {
		d := f.Descriptor()
		for _, b := range blocks {
			if b.has[f] {
				names[d.Name] = true
				break
			}
		}
		if len(s.families[f]) == 0 {
			continue
		}
		if names[d.Name] {
			return fmt.Errorf("family %s has series of clusters and of connectors", d.Name)
		}
		names[d.Name] = true
		text.Write(appendHeader(text.AvailableBuffer(), a.syntax, d, len(s.families[f])))
		text.Write(s.families[f])
	}
	encoder := expfmt.NewEncoder(&text, format)
	for _, f := range further {
		if names[f.GetName()] {
			return fmt.Errorf("family %s comes from two sources", f.GetName())
		}
		names[f.GetName()] = true
		if a.syntax == openMetricsSyntax {
			f = unclashed(f, further)
		}
		if err := encoder.Encode(f); err != nil {
			return fmt.Errorf("encode %s: %w", f.GetName(), err)
		}
	}
	if a.answer.compressed {
		a.add(a.deflated(text.Bytes()))
	} else {
		a.add(plainPart(text.Bytes()))
	}
	return nil
}

// unclashed is a family as OpenMetrics can have it beside the others. In it a
// counter's name is without _total, and client_golang has go_memstats_alloc_bytes
// beside go_memstats_alloc_bytes_total: parsers would refuse the same name twice.
// Such a counter keeps its series, and does not say of what type they are.
func unclashed(f *dto.MetricFamily, all []*dto.MetricFamily) *dto.MetricFamily {
	base, counts := strings.CutSuffix(f.GetName(), "_total")
	if !counts || f.GetType() != dto.MetricType_COUNTER ||
		!slices.ContainsFunc(all, func(other *dto.MetricFamily) bool { return other.GetName() == base }) {
		return f
	}
	untyped := &dto.MetricFamily{Name: f.Name, Help: f.Help, Type: dto.MetricType_UNTYPED.Enum()}
	for _, m := range f.Metric {
		untyped.Metric = append(untyped.Metric, &dto.Metric{Label: m.Label, Untyped: &dto.Untyped{Value: m.Counter.Value}})
	}
	return untyped
}

// body adds the blocks, family by family.
func (a *assembly) body(blocks []*written) {
	if len(blocks) == 1 && blocks[0].whole.size > 0 {
		a.add(blocks[0].whole)
		return
	}
	a.answer.parts = slices.Grow(a.answer.parts, len(a.byName)*(1+len(blocks)))
	for _, f := range a.byName {
		size := 0
		for _, b := range blocks {
			size += b.families[f].size
		}
		if size == 0 {
			continue
		}
		a.add(plainPart(appendHeader(nil, a.syntax, f.Descriptor(), size)))
		for _, b := range blocks {
			if b.has[f] {
				a.add(b.families[f])
			}
		}
	}
}

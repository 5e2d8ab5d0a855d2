package exposition

import (
	"bytes"
	"compress/flate"
	"fmt"
	"hash/maphash"
	"io"
	"sync"
	"sync/atomic"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// A kept exposition is what a Renderer keeps between answers. Nearly all
// series are of connectors and tasks, and of those hardly any changes from one
// scrape to the next: so they stay encoded and compressed, some hundred
// connectors at a time, and only those that changed are encoded again.
type kept struct {
	seed       maphash.Seed
	usualBlock int
	// flates compress; each costs about a megabyte.
	flates sync.Pool

	mu       sync.Mutex
	clusters map[string]*exposed
	// asked is when an encoding was last asked for.
	asked map[encoding]time.Time
	// headers of the families, in text formats.
	headers map[encoding]*encodedBlock
	// textSize is how much of the last answer was not kept.
	textSize atomic.Int64
}

func newKept() *kept {
	return &kept{
		seed: maphash.MakeSeed(), usualBlock: usualBlock, clusters: map[string]*exposed{}, asked: map[encoding]time.Time{}, headers: map[encoding]*encodedBlock{},
		flates: sync.Pool{New: func() any {
			w, err := flate.NewWriter(nil, flate.BestSpeed)
			if err != nil {
				panic(err) // The level is one of the package's own.
			}
			return w
		}},
	}
}

// An encoding is a format, and whether it is compressed.
type encoding struct {
	format     expfmt.Format
	compressed bool
}

// exposed is what is kept of one cluster.
type exposed struct {
	mu    sync.Mutex
	asked time.Time
	// The blocks are those of this revision.
	revision connect.Revision
	provider connect.Provider
	hasTasks bool
	blocks   []*block
}

// encodedBlock is the series of a block by family, without the family's header.
type encodedBlock [series.FamilyCount]part

// An Answer is what is exposed of some results, ready to be written.
type Answer struct {
	parts      []part
	compressed bool
	// Rendering and Compressing is what making it took.
	Rendering, Compressing time.Duration
}

// Answer encodes the results' series and further families in a format, which
// must be one of the exposition formats of expfmt, and compresses them with gzip
// if asked to.
func (r *Renderer) Answer(results []series.Result, further []*dto.MetricFamily, format expfmt.Format, compressed bool) (*Answer, error) {
	start := time.Now()
	how := encoding{format, compressed}
	a := &assembly{encoding: how, kept: r.kept}
	a.text.Grow(int(r.kept.textSize.Load()))
	switch format.FormatType() {
	case expfmt.TypeTextPlain, expfmt.TypeOpenMetrics, expfmt.TypeProtoDelim:
	default: // for people who look at protobuf; not worth keeping
		if err := a.families(append(r.Families(results), further...)); err != nil {
			return nil, err
		}
		a.cut()
		return a.answer(start), nil
	}
	sorted := series.Sorted(results)

	// First what differs in each scrape: the clusters as such and the exporter
	// itself.
	if err := a.families(append(r.render(sorted, (*series.Walk).Cluster), further...)); err != nil {
		return nil, err
	}
	r.kept.textSize.Store(int64(a.text.Len()))

	// Then the connectors, family by family.
	all := make([][]*encodedBlock, 0, len(sorted))
	for _, v := range sorted {
		if v.Snapshot == nil {
			continue
		}
		blocks, err := r.encodedBlocks(v, how, &a.compressing)
		if err != nil {
			return nil, err
		}
		all = append(all, blocks)
	}
	for _, f := range byName {
		if err := a.blocks(f, all); err != nil {
			return nil, err
		}
	}
	if err := a.end(); err != nil {
		return nil, err
	}
	r.kept.forget(how)
	return a.answer(start), nil
}

// Size of the answer in bytes.
func (a *Answer) Size() int {
	if a.compressed {
		return gzipSize(a.parts)
	}
	size := 0
	for i := range a.parts {
		size += len(a.parts[i].bytes)
	}
	return size
}

// Write writes the answer.
func (a *Answer) Write(w io.Writer) error {
	if a.compressed {
		return writeGzip(w, a.parts)
	}
	for i := range a.parts {
		if _, err := w.Write(a.parts[i].bytes); err != nil {
			return err
		}
	}
	return nil
}

// encodedBlocks returns the connectors of a result, encoded; what is new of them is
// encoded now.
func (r *Renderer) encodedBlocks(v *series.Result, how encoding, compressing *time.Duration) ([]*encodedBlock, error) {
	e := r.kept
	e.mu.Lock()
	x := e.clusters[v.Cluster]
	if x == nil {
		x = &exposed{}
		e.clusters[v.Cluster] = x
	}
	e.mu.Unlock()

	x.mu.Lock()
	defer x.mu.Unlock()
	snapshot := v.Snapshot
	x.asked = time.Now()
	if x.provider != snapshot.Provider || x.hasTasks != snapshot.HasTasks {
		x.provider, x.hasTasks, x.blocks = snapshot.Provider, snapshot.HasTasks, nil
	}
	if revision := v.History.Revision(); !x.revision.Same(revision) {
		x.blocks = blocksOf(v, e.seed, e.usualBlock, x.blocks)
		x.revision = revision
	}
	encoded := make([]*encodedBlock, len(x.blocks))
	for i, of := range x.blocks {
		var err error
		if encoded[i] = of.encoded[how]; encoded[i] == nil {
			if encoded[i], err = r.encode(v, of, how, compressing); err != nil {
				return nil, err
			}
			of.encoded[how] = encoded[i]
		}
	}
	return encoded, nil
}

// encode encodes the series of a block.
func (r *Renderer) encode(v *series.Result, of *block, how encoding, compressing *time.Duration) (*encodedBlock, error) {
	var counts [series.FamilyCount]int
	w := series.Walk{AllStates: r.options.AllStates, Emit: func(f series.Family, _ float64, _ series.Labels) { counts[f]++ }}
	walkBlock := func() {
		for i := range of.connectors {
			w.Connector(v.Snapshot, &of.connectors[i], of.pasts[i])
		}
	}
	walkBlock()
	s := newSlab(&counts)
	s.cluster = s.label(labelIndex[series.ClusterLabel], v.Cluster)
	w.Emit = s.add
	walkBlock()

	encoded := &encodedBlock{}
	for _, f := range byName {
		if counts[f] == 0 {
			continue
		}
		text, err := encodeSeries(s.family(f), how.format)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", f.Descriptor().Name, err)
		}
		encoded[f] = partOf(text, how.compressed, &r.kept.flates, compressing)
	}
	return encoded, nil
}

// partOf makes a part of a text, and adds what compressing took.
func partOf(text []byte, compressed bool, flates *sync.Pool, took *time.Duration) part {
	if !compressed {
		return part{bytes: bytes.Clone(text), size: len(text)}
	}
	defer func(start time.Time) { *took += time.Since(start) }(time.Now())
	w := flates.Get().(*flate.Writer)
	defer flates.Put(w)
	return deflate(w, text)
}

// encodeFamily encodes one family with its header.
func encodeFamily(f *dto.MetricFamily, format expfmt.Format) ([]byte, error) {
	var out bytes.Buffer
	err := expfmt.NewEncoder(&out, format).Encode(f)
	return out.Bytes(), err
}

// encodeSeries encodes the series of one family without its header. In
// protobuf they are a field of the family's message, which is merged from its
// parts when they follow each other; as text they are what follows the comments.
func encodeSeries(f *dto.MetricFamily, format expfmt.Format) ([]byte, error) {
	if format.FormatType() == expfmt.TypeProtoDelim {
		return proto.Marshal(&dto.MetricFamily{Metric: f.Metric})
	}
	text, err := encodeFamily(f, format)
	return text[headerEnd(text):], err
}

// headerEnd is where the comments at the beginning of a family's text end.
func headerEnd(text []byte) int {
	end := 0
	for bytes.HasPrefix(text[end:], []byte("# ")) {
		end += bytes.IndexByte(text[end:], '\n') + 1
	}
	return end
}

// header returns the header of a family whose series take size bytes; as text
// it is always the same.
func (e *kept) header(f series.Family, size int, how encoding, compressing *time.Duration) (part, error) {
	if how.format.FormatType() == expfmt.TypeProtoDelim {
		text, err := encodeHeader(f, size, how.format)
		return partOf(text, how.compressed, &e.flates, compressing), err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	headers := e.headers[how]
	if headers == nil {
		headers = &encodedBlock{}
		e.headers[how] = headers
	}
	if headers[f].size == 0 {
		text, err := encodeHeader(f, size, how.format)
		if err != nil {
			return part{}, err
		}
		headers[f] = partOf(text, how.compressed, &e.flates, compressing)
	}
	return headers[f], nil
}

// encodeHeader encodes what stands before the series of a family that take size
// bytes.
func encodeHeader(f series.Family, size int, format expfmt.Format) ([]byte, error) {
	header := &dto.MetricFamily{Name: &f.Descriptor().Name, Help: &f.Descriptor().Help, Type: dtoType(f.Descriptor().Kind).Enum()}
	if format.FormatType() == expfmt.TypeProtoDelim {
		text, err := proto.Marshal(header)
		return append(protowire.AppendVarint(nil, uint64(len(text)+size)), text...), err
	}
	// The text formats refuse a family without series.
	m := &dto.Metric{Gauge: &dto.Gauge{Value: proto.Float64(0)}}
	if f.Descriptor().Kind == series.Counter {
		m = &dto.Metric{Counter: &dto.Counter{Value: proto.Float64(0)}}
	}
	header.Metric = []*dto.Metric{m}
	text, err := encodeFamily(header, format)
	return text[:headerEnd(text)], err
}

// An assembly puts an answer together.
type assembly struct {
	encoding
	kept  *kept
	parts []part
	// text is what is not a part yet.
	text        bytes.Buffer
	compressing time.Duration
}

// answer is what was put together since start.
func (a *assembly) answer(start time.Time) *Answer {
	return &Answer{parts: a.parts, compressed: a.compressed, Rendering: time.Since(start) - a.compressing, Compressing: a.compressing}
}

// families adds whole families.
func (a *assembly) families(families []*dto.MetricFamily) error {
	encoder := expfmt.NewEncoder(&a.text, a.format)
	for _, f := range families {
		if err := encoder.Encode(f); err != nil {
			return fmt.Errorf("encode %s: %w", f.GetName(), err)
		}
	}
	return nil
}

// blocks adds a family that has its series in the blocks of several clusters.
func (a *assembly) blocks(f series.Family, clusters [][]*encodedBlock) error {
	size := 0
	for _, blocks := range clusters {
		for _, r := range blocks {
			size += r[f].size
		}
	}
	if size == 0 {
		return nil
	}
	header, err := a.kept.header(f, size, a.encoding, &a.compressing)
	if err != nil {
		return fmt.Errorf("encode %s: %w", f.Descriptor().Name, err)
	}
	a.cut()
	a.parts = append(a.parts, header)
	for _, blocks := range clusters {
		for _, r := range blocks {
			if r[f].size > 0 {
				a.parts = append(a.parts, r[f])
			}
		}
	}
	return nil
}

// cut makes a part of the text so far.
func (a *assembly) cut() {
	if a.text.Len() > 0 {
		a.parts = append(a.parts, partOf(a.text.Bytes(), a.compressed, &a.kept.flates, &a.compressing))
		a.text.Reset()
	}
}

// end adds what ends an answer.
func (a *assembly) end() error {
	if a.format.FormatType() == expfmt.TypeOpenMetrics {
		if _, err := expfmt.FinalizeOpenMetrics(&a.text); err != nil {
			return fmt.Errorf("end the exposition: %w", err)
		}
	}
	a.cut()
	return nil
}

// forget gives back the memory of encodings and clusters that nobody has asked
// for in a while.
func (e *kept) forget(how encoding) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	e.asked[how] = now
	for other, last := range e.asked {
		if now.Sub(last) < series.Retention {
			continue
		}
		delete(e.asked, other)
		delete(e.headers, other)
		for _, x := range e.clusters {
			x.forget(other)
		}
	}
	for name, x := range e.clusters {
		if x.unasked(now) >= series.Retention {
			delete(e.clusters, name)
		}
	}
}

func (x *exposed) forget(how encoding) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range x.blocks {
		delete(r.encoded, how)
	}
}

func (x *exposed) unasked(now time.Time) time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	return now.Sub(x.asked)
}

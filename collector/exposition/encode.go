package exposition

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
)

// A syntax is a way to write series. The versions of a format, and how it wants
// names escaped that are not plain ones, do not differ in what is written here:
// every name in the table is a plain one.
type syntax uint8

const (
	textSyntax        syntax = iota // Prometheus's text format
	openMetricsSyntax               // OpenMetrics 0.0.1 and 1.0.0
	protobufSyntax                  // delimited protobuf messages
	syntaxCount
)

// Formats are the formats that an [Answer] can be in, in the order in which they
// are preferred where a scraper has no preference.
func Formats() []expfmt.Format {
	return []expfmt.Format{expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtOpenMetrics_0_0_1, expfmt.FmtProtoDelim, expfmt.FmtText}
}

func syntaxOf(format expfmt.Format) (syntax, error) {
	switch format.FormatType() {
	case expfmt.TypeTextPlain:
		return textSyntax, nil
	case expfmt.TypeOpenMetrics:
		return openMetricsSyntax, nil
	case expfmt.TypeProtoDelim:
		return protobufSyntax, nil
	}
	return 0, fmt.Errorf("format %q is none of those that series are written in", format)
}

// A sheet is series being written, family by family.
type sheet struct {
	syntax   syntax
	families [series.FamilyCount][]byte
	// cluster is what stands on the series that are being written.
	cluster series.Identity
	labels  []series.Label // scratch
	metric  []byte         // scratch
}

// reset empties a sheet and keeps its memory.
func (s *sheet) reset(to syntax) {
	s.syntax = to
	for f := range s.families {
		s.families[f] = s.families[f][:0]
	}
}

// add writes a series.
func (s *sheet) add(f series.Family, value float64, l series.Labels) {
	s.labels = f.Append(s.labels[:0], &s.cluster, &l)
	b := s.families[f]
	if s.syntax == protobufSyntax {
		s.families[f] = s.appendMessage(b, f.Descriptor().Kind, value)
		return
	}
	b = append(b, f.Descriptor().Name...)
	for i := range s.labels {
		b = append(b, "{,"[min(i, 1)])
		b = append(b, s.labels[i].Name...)
		b = append(b, `="`...)
		b = appendEscaped(b, s.labels[i].Value)
		b = append(b, '"')
	}
	b = append(b, "} "...)
	b = appendFloat(b, value, s.syntax == openMetricsSyntax)
	s.families[f] = append(b, '\n')
}

// Fields of the messages io.prometheus.client.MetricFamily, Metric and LabelPair.
const (
	fieldName, fieldHelp, fieldType, fieldMetric = 1, 2, 3, 4
	fieldLabel, fieldGauge, fieldCounter         = 1, 2, 3
	fieldLabelName, fieldLabelValue              = 1, 2
	fieldValue                                   = 1
)

// appendMessage appends a series as a field of its family's message.
func (s *sheet) appendMessage(b []byte, kind series.Kind, value float64) []byte {
	m := s.metric[:0]
	for i := range s.labels {
		m = appendLabel(m, s.labels[i].Name, s.labels[i].Value)
	}
	field := protowire.Number(fieldGauge)
	if kind == series.Counter {
		field = fieldCounter
	}
	m = protowire.AppendTag(m, field, protowire.BytesType)
	m = protowire.AppendVarint(m, 9)
	m = protowire.AppendTag(m, fieldValue, protowire.Fixed64Type)
	m = binary.LittleEndian.AppendUint64(m, math.Float64bits(value))
	s.metric = m
	return protowire.AppendBytes(protowire.AppendTag(b, fieldMetric, protowire.BytesType), m)
}

// appendLabel appends a label as a field of its series' message.
func appendLabel(b []byte, name, value string) []byte {
	b = protowire.AppendTag(b, fieldLabel, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(2+protowire.SizeBytes(len(name))+protowire.SizeBytes(len(value))))
	b = protowire.AppendTag(b, fieldLabelName, protowire.BytesType)
	b = protowire.AppendString(b, name)
	b = protowire.AppendTag(b, fieldLabelValue, protowire.BytesType)
	return protowire.AppendString(b, value)
}

// appendHeader appends what stands before the series of a family, which take
// size bytes.
func appendHeader(b []byte, s syntax, d *series.Descriptor, size int) []byte {
	if s == protobufSyntax {
		h := protowire.AppendTag(nil, fieldName, protowire.BytesType)
		h = protowire.AppendString(h, d.Name)
		h = protowire.AppendTag(h, fieldHelp, protowire.BytesType)
		h = protowire.AppendString(h, d.Help)
		h = protowire.AppendTag(h, fieldType, protowire.VarintType)
		h = protowire.AppendVarint(h, uint64(dtoType(d.Kind)))
		return append(protowire.AppendVarint(b, uint64(len(h)+size)), h...)
	}
	name, help := d.Name, helpOfText
	if s == openMetricsSyntax {
		help = helpOfOpenMetrics
		if d.Kind == series.Counter {
			name = strings.TrimSuffix(name, "_total")
		}
	}
	return fmt.Appendf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help.Replace(d.Help), name, d.Kind)
}

// What is escaped in what a header says.
var (
	helpOfText        = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	helpOfOpenMetrics = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

func dtoType(k series.Kind) dto.MetricType {
	switch k {
	case series.Counter:
		return dto.MetricType_COUNTER
	case series.Histogram:
		return dto.MetricType_HISTOGRAM
	}
	return dto.MetricType_GAUGE
}

// appendEscaped appends the value of a label.
func appendEscaped(b []byte, value string) []byte {
	for {
		i := strings.IndexAny(value, "\\\n\"")
		if i < 0 {
			return append(b, value...)
		}
		b = append(b, value[:i]...)
		switch c := value[i]; c {
		case '\n':
			b = append(b, `\n`...)
		default:
			b = append(b, '\\', c)
		}
		value = value[i+1:]
	}
}

// appendFloat appends a number. OpenMetrics has it that a number that has
// neither a point nor an exponent gets a point.
func appendFloat(b []byte, value float64, point bool) []byte {
	switch {
	case value == 0 || value == 1:
		b = append(b, '0'+byte(value))
	case math.IsInf(value, +1):
		return append(b, "+Inf"...)
	case math.IsInf(value, -1), math.IsNaN(value):
		return strconv.AppendFloat(b, value, 'g', -1, 64)
	default:
		start := len(b)
		b = strconv.AppendFloat(b, value, 'g', -1, 64)
		if bytes.ContainsAny(b[start:], "e.") {
			return b
		}
	}
	if point {
		b = append(b, ".0"...)
	}
	return b
}

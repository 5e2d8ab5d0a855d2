package connecttest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// listed are all connectors in the order in which a worker lists them, which is
// that of a java.util.HashMap, made as a copy: by the spread hash of the name, then
// by age. It is none that a client may rely on.
func (c *Cluster) listed() []*connector {
	if c.order != nil || len(c.connectors) == 0 {
		return c.order
	}
	buckets := uint32(16)
	for int(buckets) < len(c.connectors)*4/3+1 {
		buckets *= 2
	}
	type entry struct {
		bucket uint32
		it     *connector
	}
	entries := make([]entry, 0, len(c.connectors))
	for name, it := range c.connectors {
		var hash uint32
		for _, unit := range utf16.Encode([]rune(name)) {
			hash = 31*hash + uint32(unit)
		}
		entries = append(entries, entry{(hash ^ hash>>16) & (buckets - 1), it})
	}
	slices.SortFunc(entries, func(a, b entry) int {
		if a.bucket != b.bucket {
			return int(a.bucket) - int(b.bucket)
		}
		return a.it.born - b.it.born
	})
	c.order = make([]*connector, len(entries))
	for i, e := range entries {
		c.order[i] = e.it
	}
	return c.order
}

// known are the connectors that one worker lists.
func (c *Cluster) known(w *worker) []*connector {
	all := c.listed()
	if w.visible >= 0 && w.visible < len(all) {
		return all[:w.visible]
	}
	return all
}

// list is the reply to GET /connectors.
func (c *Cluster) list(w *worker) []byte {
	return c.reply(w, "list", func(out []byte) []byte {
		out = append(out, '[')
		for i, it := range c.known(w) {
			if i > 0 {
				out = append(out, ',')
			}
			out = appendString(out, it.Name)
		}
		return append(out, ']')
	})
}

// expand is the reply to GET /connectors?expand=…. Each expansion stands in the
// order of the query: the two keys share a bucket of the HashMap that holds
// them. Unknown expansions are left aside, a connector without a status is left
// out where its status was asked for.
func (c *Cluster) expand(w *worker, expansions []string) []byte {
	key := "expand"
	for _, expansion := range expansions {
		if (expansion == "info" || expansion == "status") && !strings.Contains(key, expansion) {
			key += " " + expansion
		}
	}
	wanted := strings.Fields(key)[1:]
	return c.reply(w, key, func(out []byte) []byte {
		out = append(out, '{')
		for _, it := range c.known(w) {
			if it.itself.noStatus && slices.Contains(wanted, "status") {
				continue
			}
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(appendString(out, it.Name), ":{"...)
			for i, expansion := range wanted {
				if i > 0 {
					out = append(out, ',')
				}
				if expansion == "info" {
					out = append(append(out, `"info":`...), c.info(w, it)...)
				} else {
					out = append(append(out, `"status":`...), c.status(w, it)...)
				}
			}
			out = append(out, '}')
		}
		return append(out, '}')
	})
}

// reply renders a reply about all connectors, or returns it as it was rendered
// since the last change, if the worker knows and has what all know and have.
func (c *Cluster) reply(w *worker, key string, render func([]byte) []byte) []byte {
	if w.visible >= 0 || len(w.missing) > 0 {
		return render(nil)
	}
	last, rendered := c.replies[key]
	if !rendered || last.changes != c.changes {
		// A body that is being sent must stay as it is; its size is a good guess.
		last = reply{render(make([]byte, 0, len(last.body)+bufferedBytes)), c.changes}
		c.replies[key] = last
	}
	return last.body
}

// info is a ConnectorInfo.
func (c *Cluster) info(w *worker, it *connector) []byte {
	if it.info == nil {
		it.info = c.renderInfo(it, it.Type)
	}
	if w.missing[it.Class] {
		return c.renderInfo(it, "unknown")
	}
	return it.info
}

func (c *Cluster) renderInfo(it *connector, kind string) []byte {
	out := appendString([]byte(`{"name":`), it.Name)
	out = it.appendConfig(append(out, `,"config":`...))
	out = append(out, `,"tasks":[`...)
	for id := range it.live() {
		if id > 0 {
			out = append(out, ',')
		}
		out = appendTaskID(out, it, id)
	}
	out = append(out, `],"type":`...)
	return append(appendString(out, kind), '}')
}

// status is a ConnectorStateInfo.
func (c *Cluster) status(w *worker, it *connector) []byte {
	if it.status == nil {
		it.status = c.renderStatus(it, it.Type)
	}
	if w.missing[it.Class] {
		return c.renderStatus(it, "unknown")
	}
	return it.status
}

func (c *Cluster) renderStatus(it *connector, kind string) []byte {
	out := appendString([]byte(`{"name":`), it.Name)
	out = append(out, `,"connector":{`...)
	out = c.appendState(out, it, &it.itself)
	out = append(out, `},"tasks":[`...)
	first := true
	for id, task := range it.tasks {
		if task.noStatus {
			continue
		}
		if !first {
			out = append(out, ',')
		}
		first = false
		out = c.appendTask(out, it, id, task)
	}
	out = append(out, `],"type":`...)
	return append(appendString(out, kind), '}')
}

func (c *Cluster) appendTask(out []byte, it *connector, id int, task *item) []byte {
	out = append(strconv.AppendInt(append(out, `{"id":`...), int64(id), 10), ',')
	return append(c.appendState(out, it, task), '}')
}

// appendState writes what a connector and a task have in common. The version is
// there since 4.1 (null without the plugin), the trace only if there is one.
func (c *Cluster) appendState(out []byte, it *connector, of *item) []byte {
	out = appendString(append(out, `"state":`...), it.state(of))
	out = appendString(append(out, `,"worker_id":`...), of.worker)
	switch {
	case !c.release.hasPluginVersion():
	case of.noVersion:
		out = append(out, `,"version":null`...)
	default:
		out = appendString(append(out, `,"version":`...), it.Version)
	}
	if of.trace != "" && it.state(of) == "FAILED" {
		out = appendString(append(out, `,"trace":`...), of.trace)
	}
	return out
}

func (it *connector) appendConfig(out []byte, more ...setting) []byte {
	out = append(out, '{')
	for i, s := range slices.Concat(more, it.settings) {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendString(append(appendString(out, s.key), ':'), s.value)
	}
	return append(out, '}')
}

func appendTaskID(out []byte, it *connector, id int) []byte {
	out = appendString(append(out, `{"connector":`...), it.Name)
	return append(strconv.AppendInt(append(out, `,"task":`...), int64(id), 10), '}')
}

// root is the reply to GET /.
func (c *Cluster) root() []byte {
	out := appendString([]byte(`{"version":`), c.options.Version)
	out = appendString(append(out, `,"commit":`...), c.commit())
	out = appendString(append(out, `,"kafka_cluster_id":`...), c.options.KafkaClusterID)
	return append(out, '}')
}

// commit is made up, of the form of a real one, and always the same for a
// version.
func (c *Cluster) commit() string {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(c.options.Version)) // A hash never fails.
	return fmt.Sprintf("%016x", hash.Sum64())
}

// missingPlugin is what a worker says of a class that it cannot find: it names
// every plugin that it has.
func (c *Cluster) missingPlugin(class string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "Failed to find any class that implements Connector and which name matches %s, available connectors are: ", class)
	for i, plugin := range plugins() {
		if i > 0 {
			out.WriteString(", ")
		}
		fmt.Fprintf(&out, "PluginDesc{klass=class %s, name='%[1]s', version='%[2]s', encodedVersion=%[2]s, type=%[3]s, typeName='%[3]s', location='classpath'}",
			plugin.class, c.options.Version, plugin.kind)
	}
	return out.String()
}

type plugin struct{ class, kind string }

// plugins that Apache Kafka brings along.
func plugins() []plugin {
	return []plugin{
		{"org.apache.kafka.connect.file.FileStreamSinkConnector", "sink"},
		{"org.apache.kafka.connect.file.FileStreamSourceConnector", "source"},
		{"org.apache.kafka.connect.mirror.MirrorCheckpointConnector", "source"},
		{"org.apache.kafka.connect.mirror.MirrorHeartbeatConnector", "source"},
		{"org.apache.kafka.connect.mirror.MirrorSourceConnector", "source"},
		{"org.apache.kafka.connect.tools.MockConnector", "connector"},
		{"org.apache.kafka.connect.tools.MockSinkConnector", "sink"},
		{"org.apache.kafka.connect.tools.MockSourceConnector", "source"},
		{"org.apache.kafka.connect.tools.SchemaSourceConnector", "source"},
		{"org.apache.kafka.connect.tools.VerifiableSinkConnector", "sink"},
		{"org.apache.kafka.connect.tools.VerifiableSourceConnector", "source"},
	}
}

// appendString writes a JSON string as Jackson does: without the escapes of "<"
// and ">" that encoding/json adds for HTML.
func appendString(out []byte, s string) []byte {
	for i := range len(s) {
		if b := s[i]; b < ' ' || b == '"' || b == '\\' || b >= 0x7f {
			var buffer bytes.Buffer
			encoder := json.NewEncoder(&buffer)
			encoder.SetEscapeHTML(false)
			if err := encoder.Encode(s); err != nil {
				panic(err) // A string can always be encoded.
			}
			return append(out, bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))...)
		}
	}
	return append(append(append(out, '"'), s...), '"')
}

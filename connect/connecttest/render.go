package connecttest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
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
	c.order = slices.SortedFunc(maps.Values(c.connectors), func(a, b *connector) int {
		return cmp.Or(cmp.Compare(a.hash&(buckets-1), b.hash&(buckets-1)), cmp.Compare(a.born, b.born))
	})
	return c.order
}

// spreadHash is that of a java.util.HashMap.
func spreadHash(name string) (hash uint32) {
	for _, unit := range utf16.Encode([]rune(name)) {
		hash = 31*hash + uint32(unit)
	}
	return hash ^ hash>>16
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
			out = append(out, it.quoted...)
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
			out = append(append(out, it.quoted...), ":{"...)
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

// ConnectorInfo, ConnectorTaskId, ConnectorStateInfo and what these are made of.
type (
	infoReply struct {
		Name   string            `json:"name"`
		Config map[string]string `json:"config"`
		Tasks  []taskID          `json:"tasks"`
		Type   string            `json:"type"`
	}
	taskID struct {
		Connector string `json:"connector"`
		Task      int    `json:"task"`
	}
	statusReply struct {
		Name      string      `json:"name"`
		Connector stateReply  `json:"connector"`
		Tasks     []taskReply `json:"tasks"`
		Type      string      `json:"type"`
	}
	taskReply struct {
		ID int `json:"id"`
		stateReply
	}
	stateReply struct {
		State    string `json:"state"`
		WorkerID string `json:"worker_id"`
		// Version is there since 4.1, and null without the plugin.
		Version json.RawMessage `json:"version,omitempty"`
		Trace   string          `json:"trace,omitempty"`
	}
)

// info is a ConnectorInfo.
func (c *Cluster) info(w *worker, it *connector) []byte {
	return it.rendered(w, &it.info, func(kind string) []byte {
		reply := infoReply{Name: it.Name, Config: it.settings, Tasks: []taskID{}, Type: kind}
		for id := range it.live() {
			reply.Tasks = append(reply.Tasks, taskID{it.Name, id})
		}
		return encode(reply)
	})
}

// rendered is what render makes of the connector's type, kept until it changes; a
// worker without the plugin does not know the type.
func (it *connector) rendered(w *worker, kept *[]byte, render func(kind string) []byte) []byte {
	if *kept == nil {
		*kept = render(it.Type)
	}
	if w.missing[it.Class] {
		return render("unknown")
	}
	return *kept
}

// status is a ConnectorStateInfo.
func (c *Cluster) status(w *worker, it *connector) []byte {
	return it.rendered(w, &it.status, func(kind string) []byte {
		reply := statusReply{Name: it.Name, Connector: c.stateOf(it, &it.itself), Tasks: []taskReply{}, Type: kind}
		for id, task := range it.tasks {
			if !task.noStatus {
				reply.Tasks = append(reply.Tasks, taskReply{id, c.stateOf(it, task)})
			}
		}
		return encode(reply)
	})
}

func (c *Cluster) stateOf(it *connector, of *item) stateReply {
	reply := stateReply{State: it.state(of), WorkerID: of.worker}
	switch {
	case !c.release.hasPluginVersion():
	case of.noVersion:
		reply.Version = json.RawMessage("null")
	default:
		reply.Version = encode(it.Version)
	}
	if reply.State == "FAILED" {
		reply.Trace = of.trace
	}
	return reply
}

// root is the reply to GET /.
func (c *Cluster) root() []byte {
	return encode(struct {
		Version        string `json:"version"`
		Commit         string `json:"commit"`
		KafkaClusterID string `json:"kafka_cluster_id"`
	}{c.options.Version, c.commit(), c.options.KafkaClusterID})
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

// encode writes JSON as Jackson does: without the escapes of "<" and ">" that
// encoding/json adds for HTML.
func encode(value any) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err) // What is answered here can always be encoded.
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

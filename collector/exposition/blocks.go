package exposition

import (
	"hash/maphash"
	"slices"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/collector/series"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// A block is some successive connectors of a cluster, with what is exposed of
// them: what a Renderer encodes at once, and uses again as long as nothing
// of it changes.
type block struct {
	connectors []connect.Connector
	// pasts of each connector.
	pasts []*series.Past
	// encoded is the series of each family that the block has, by format.
	encoded map[encoding]*encodedBlock
}

// A block ends after a connector whose name has a hash of this kind, so that a
// connector that comes or goes moves no other block's ends; and it has a largest
// size, four times the usual one.
const usualBlock = 1 << 7

// blocksOf divides the connectors of a result into blocks, taking over those of
// before that are still alike.
func blocksOf(v *series.Result, seed maphash.Seed, usual int, before []*block) []*block {
	known := make(map[string]*block, len(before))
	for _, r := range before {
		known[r.connectors[0].Name] = r
	}
	connectors, pasts := v.Snapshot.Connectors, v.Pasts()
	var blocks []*block
	for start := 0; start < len(connectors); {
		end := start + 1
		for end < len(connectors) && end-start < 4*usual && maphash.String(seed, connectors[end-1].Name)%uint64(usual) != 0 {
			end++
		}
		r := &block{connectors: connectors[start:end:end], pasts: pasts[start:end:end]}
		if old := known[connectors[start].Name]; old != nil && old.sameAs(r) {
			// Of the old snapshot nothing may be kept in memory by this.
			r.encoded = old.encoded
		} else {
			r.encoded = map[encoding]*encodedBlock{}
		}
		blocks = append(blocks, r)
		start = end
	}
	return blocks
}

// sameAs tells whether two blocks have the same series.
func (r *block) sameAs(other *block) bool {
	return slices.EqualFunc(r.pasts, other.pasts, (*series.Past).Equal) &&
		slices.EqualFunc(r.connectors, other.connectors, func(a, b connect.Connector) bool { return a.Equal(&b) })
}

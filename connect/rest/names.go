package rest

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// errDuplicate refuses an object that has a name twice: which of the two
// counts is anybody's guess.
var errDuplicate = fmt.Errorf("%w: a name twice in one object", connect.Decode)

// nameSets find a name that stands twice in one object, as the tokenizer can
// do, but without an allocation for each of the many names of a configuration:
// names are compared by a seeded 64-bit hash.
type nameSets struct {
	seed maphash.Seed
	// depths holds a set for each depth of nesting, used again by the next
	// object there.
	depths []nameSet
	depth  int
}

// nameSet is a list as long as that is fast, and a map beyond.
type nameSet struct {
	few  []uint64
	many map[uint64]struct{}
}

const fewNames = 64

// enter begins an object, leave ends it.
func (n *nameSets) enter() {
	if n.depth == len(n.depths) {
		n.depths = append(n.depths, nameSet{})
	}
	set := &n.depths[n.depth]
	set.few = set.few[:0]
	clear(set.many)
	n.depth++
}

func (n *nameSets) leave() { n.depth-- }

// add adds a quoted name to the innermost object and tells whether it is new.
func (n *nameSets) add(quoted []byte) bool {
	if bytes.IndexByte(quoted, '\\') >= 0 { // one name can be written in many ways
		if plain, err := jsontext.AppendUnquote(nil, quoted); err == nil {
			quoted = append(append([]byte{'"'}, plain...), '"')
		}
	}
	hash := maphash.Bytes(n.seed, quoted)
	set := &n.depths[n.depth-1]
	if len(set.few) < fewNames {
		if slices.Contains(set.few, hash) {
			return false
		}
		set.few = append(set.few, hash)
		return true
	}
	if len(set.many) == 0 {
		if set.many == nil {
			set.many = make(map[uint64]struct{}, 4*fewNames)
		}
		for _, h := range set.few {
			set.many[h] = struct{}{}
		}
	}
	if _, twice := set.many[hash]; twice {
		return false
	}
	set.many[hash] = struct{}{}
	return true
}

package rest

// interner makes equal strings one string, so that a snapshot of ten thousand
// connectors does not hold each worker's name ten thousand times, and the next
// snapshot allocates none that this one had.
//
// It holds what the last two snapshots used: what neither named is let go.
type interner struct {
	now, before map[string]string
}

func newInterner() *interner {
	return &interner{now: map[string]string{}}
}

// of returns text as a string.
func (i *interner) of(text []byte) string {
	s, ok := i.known(text)
	if !ok {
		s = string(text)
		i.now[s] = s
	}
	return s
}

// known returns the string of a text that was had before.
func (i *interner) known(text []byte) (string, bool) {
	s, ok := i.now[string(text)]
	if !ok {
		if s, ok = i.before[string(text)]; ok {
			i.now[s] = s
		}
	}
	return s, ok
}

// turn begins a new snapshot.
func (i *interner) turn() {
	i.now, i.before = make(map[string]string, len(i.now)), i.now
}

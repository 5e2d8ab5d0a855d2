package discovery

import (
	"cmp"
	"reflect"
	"slices"
	"sync"
)

// A Source is where objects come from: one kind in one namespace, or a set of
// files. Those of one source are replaced together.
type Source struct {
	// Selector is the index of the settings that found it.
	Selector int
	Kind     Kind
	// Namespace, "" for all.
	Namespace string
}

// A Registry holds the objects of all sources. It may be used by many
// goroutines.
type Registry struct {
	changed chan struct{}

	mu      sync.Mutex
	sources map[Source]map[Key]*Object
}

// NewRegistry returns an empty Registry.
func NewRegistry() *Registry {
	return &Registry{changed: make(chan struct{}, 1), sources: map[Source]map[Key]*Object{}}
}

// Changed is sent to after objects have changed; changes that come together are
// one.
func (r *Registry) Changed() <-chan struct{} { return r.changed }

func (r *Registry) signal() {
	select {
	case r.changed <- struct{}{}:
	default: // One is told already.
	}
}

// Replace makes these the objects of a source.
func (r *Registry) Replace(source Source, objects []*Object) {
	next := make(map[Key]*Object, len(objects))
	for _, o := range objects {
		next[o.Key] = o
	}
	r.mu.Lock()
	same := reflect.DeepEqual(r.sources[source], next)
	r.sources[source] = next
	r.mu.Unlock()
	if !same {
		r.signal()
	}
}

// Set adds an object or replaces the one with its key. One that is as before
// changes nothing: operators touch their resources often.
func (r *Registry) Set(source Source, o *Object) {
	r.mu.Lock()
	if r.sources[source] == nil {
		r.sources[source] = map[Key]*Object{}
	}
	same := reflect.DeepEqual(r.sources[source][o.Key], o)
	if !same {
		r.sources[source][o.Key] = o
	}
	r.mu.Unlock()
	if !same {
		r.signal()
	}
}

// Delete removes an object.
func (r *Registry) Delete(source Source, key Key) {
	r.mu.Lock()
	_, there := r.sources[source][key]
	delete(r.sources[source], key)
	r.mu.Unlock()
	if there {
		r.signal()
	}
}

// Has tells whether a source has objects.
func (r *Registry) Has(source Source) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sources[source]) > 0
}

// Drop removes a source with its objects.
func (r *Registry) Drop(source Source) {
	r.mu.Lock()
	there := len(r.sources[source]) > 0
	delete(r.sources, source)
	r.mu.Unlock()
	if there {
		r.signal()
	}
}

// A Placed object and the settings that found it.
type Placed struct {
	*Object
	Selector int
}

// Objects returns all objects in the order of their keys. One that several
// sources have belongs to the first selector.
func (r *Registry) Objects() []Placed {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := map[Key]Placed{}
	for source, objects := range r.sources {
		for key, o := range objects {
			if known, there := first[key]; !there || source.Selector < known.Selector {
				first[key] = Placed{o, source.Selector}
			}
		}
	}
	all := make([]Placed, 0, len(first))
	for _, o := range first {
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b Placed) int {
		return cmp.Or(cmp.Compare(a.Kind.String(), b.Kind.String()), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return all
}

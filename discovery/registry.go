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

// change makes a change, and tells of it if there was one.
func (r *Registry) change(make func() (changed bool)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if make() {
		select {
		case r.changed <- struct{}{}:
		default: // One is told already.
		}
	}
}

// Replace makes these the objects of a source.
func (r *Registry) Replace(source Source, objects []*Object) {
	next := make(map[Key]*Object, len(objects))
	for _, o := range objects {
		next[o.Key] = o
	}
	r.change(func() bool {
		before := r.sources[source]
		r.sources[source] = next
		return !reflect.DeepEqual(before, next)
	})
}

// Set adds an object or replaces the one with its key. One that is as before
// changes nothing: operators touch their resources often.
func (r *Registry) Set(source Source, o *Object) {
	r.change(func() bool {
		if r.sources[source] == nil {
			r.sources[source] = map[Key]*Object{}
		}
		before := r.sources[source][o.Key]
		r.sources[source][o.Key] = o
		return !reflect.DeepEqual(before, o)
	})
}

// Delete removes an object.
func (r *Registry) Delete(source Source, key Key) {
	r.change(func() bool {
		_, there := r.sources[source][key]
		delete(r.sources[source], key)
		return there
	})
}

// Has tells whether a source has objects.
func (r *Registry) Has(source Source) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sources[source]) > 0
}

// Drop removes a source with its objects.
func (r *Registry) Drop(source Source) {
	r.change(func() bool {
		there := len(r.sources[source]) > 0
		delete(r.sources, source)
		return there
	})
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

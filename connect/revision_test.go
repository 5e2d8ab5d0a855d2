package connect

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestRevision(t *testing.T) {
	a, b := NewRevision(), NewRevision()
	if !a.Same(a) || a.Same(b) || a == b {
		t.Error("two revisions are the same")
	}
	if (Revision{}).Same(Revision{}) || (Revision{}).Same(a) || a.Same(Revision{}) {
		t.Error("nothing is the same as something")
	}
}

// TestConnectorEqualKnowsEveryField walks the type, so that a field that is
// added is not forgotten in Equal.
func TestConnectorEqualKnowsEveryField(t *testing.T) {
	full := func() *Connector {
		c := &Connector{}
		fill(t, reflect.ValueOf(c).Elem())
		return c
	}
	if a, b := full(), full(); !a.Equal(b) || !b.Equal(a) || !(&Connector{}).Equal(&Connector{}) {
		t.Fatal("a copy in other memory is not equal")
	}
	leaves := 0
	walk(t, reflect.ValueOf(full()).Elem(), "Connector", func(path string, steps []int) {
		leaves++
		changed := full()
		change(t, follow(reflect.ValueOf(changed).Elem(), steps))
		if full().Equal(changed) || changed.Equal(full()) {
			t.Errorf("Equal does not compare %s", path)
		}
	})
	if leaves < 20 {
		t.Errorf("%d values were changed: the walk is broken", leaves)
	}
}

// fill sets every field that a value is made of to something that is not zero.
func fill(t *testing.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if _, ok := reflect.TypeAssert[time.Time](v); ok {
			change(t, v)
			return
		}
		for _, field := range v.Fields() {
			fill(t, field)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(t, v.Index(i))
		}
	default:
		change(t, v)
	}
}

// walk calls leaf with each value that can be changed by itself: what stands in
// fields, and that a slice or pointer is there at all.
func walk(t *testing.T, v reflect.Value, path string, leaf func(path string, steps []int), steps ...int) {
	step := func(v reflect.Value, path string, i int) {
		walk(t, v, path, leaf, append(slices.Clip(steps), i)...)
	}
	switch v.Kind() {
	case reflect.Struct:
		if _, ok := reflect.TypeAssert[time.Time](v); ok {
			leaf(path, steps)
			return
		}
		for i := range v.NumField() {
			step(v.Field(i), path+"."+v.Type().Field(i).Name, i)
		}
	case reflect.Pointer:
		leaf(path, steps)
		step(v.Elem(), "*"+path, 0)
	case reflect.Slice:
		leaf(path, steps)
		for i := range v.Len() {
			step(v.Index(i), fmt.Sprintf("%s[%d]", path, i), i)
		}
	default:
		leaf(path, steps)
	}
}

func follow(v reflect.Value, steps []int) reflect.Value {
	for _, i := range steps {
		switch v.Kind() {
		case reflect.Struct:
			v = v.Field(i)
		case reflect.Pointer:
			v = v.Elem()
		case reflect.Slice:
			v = v.Index(i)
		}
	}
	return v
}

// change gives a value another one.
func change(t *testing.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint8:
		v.SetUint(v.Uint() + 1)
	case reflect.Struct:
		v.Set(reflect.ValueOf(v.Interface().(time.Time).Add(time.Hour)))
	case reflect.Pointer:
		v.SetZero()
	case reflect.Slice:
		v.Set(v.Slice(0, v.Len()-1))
	default:
		t.Fatalf("%s: teach this test to change it", v.Type())
	}
}

func TestRevisions(t *testing.T) {
	var revisions Revisions
	next := func(unobserved string, names ...string) *Snapshot {
		s := &Snapshot{}
		for _, name := range names {
			s.Connectors = append(s.Connectors, Connector{Name: name})
		}
		if unobserved != "" {
			s.Unobserved = []Unobserved{{Connector: unobserved, Reason: NoStatus}}
		}
		revisions.Next(s)
		return s
	}
	before := next("")
	if (before.Revision == Revision{}) {
		t.Error("a snapshot of nothing has no revision")
	}
	for _, step := range []struct {
		unobserved string
		names      []string
		same       bool
	}{{"", nil, true}, {"", []string{"a", "b"}, false}, {"", []string{"a", "b"}, true}, {"", []string{"a"}, false}, {"b", []string{"a"}, false}, {"b", []string{"a"}, true}, {"c", []string{"a"}, false}} {
		s := next(step.unobserved, step.names...)
		if s.Revision.Same(before.Revision) != step.same {
			t.Errorf("%+v: same is %v", step, !step.same)
		}
		if step.same && len(s.Connectors) > 0 && &s.Connectors[0] != &before.Connectors[0] {
			t.Errorf("%+v: the memory is not shared", step)
		}
		before = s
	}
}

package bailey

import (
	"slices"
	"strings"
	"sync"
)

// table holds the facts of one kind, a slice for each namespace, so that a
// changed object costs a copy of its namespace and not of the cluster. A table
// never changes; a nil one is empty.
type table struct {
	spaces []space // sorted by namespace, none empty
	join   sync.Once
	joined []*Fact
}

// space is the facts of one kind in one namespace, sorted by name. Those of a
// cluster-wide kind are in the space without a name.
type space struct {
	namespace string
	facts     []*Fact
}

// newTable takes facts that are sorted by namespace and name.
func newTable(facts []*Fact) *table {
	t := &table{}
	for from := 0; from < len(facts); {
		to := from + 1
		for to < len(facts) && facts[to].Namespace == facts[from].Namespace {
			to++
		}
		t.spaces = append(t.spaces, space{facts[from].Namespace, facts[from:to:to]})
		from = to
	}
	t.join.Do(func() { t.joined = facts })
	return t
}

func (t *table) len() int {
	n := 0
	if t != nil {
		for i := range t.spaces {
			n += len(t.spaces[i].facts)
		}
	}
	return n
}

// all joins the namespaces, once.
func (t *table) all() []*Fact {
	if t == nil {
		return nil
	}
	t.join.Do(func() {
		t.joined = make([]*Fact, 0, t.len())
		for i := range t.spaces {
			t.joined = append(t.joined, t.spaces[i].facts...)
		}
	})
	return t.joined
}

func (t *table) find(namespace string) (at int, found bool) {
	return slices.BinarySearchFunc(t.spaces, namespace, func(s space, ns string) int { return strings.Compare(s.namespace, ns) })
}

func (t *table) in(namespace string) []*Fact {
	if t == nil {
		return nil
	}
	if i, found := t.find(namespace); found {
		return t.spaces[i].facts
	}
	return nil
}

func byName(f *Fact, name string) int { return strings.Compare(f.Name, name) }

func (t *table) get(ref Ref) *Fact {
	facts := t.in(ref.Namespace)
	if i, found := slices.BinarySearchFunc(facts, ref.Name, byName); found {
		return facts[i]
	}
	return nil
}

// with gives a table in which the fact replaces the one with its name, or is added.
func (t *table) with(f *Fact) *table {
	old := t.in(f.Namespace)
	i, found := slices.BinarySearchFunc(old, f.Name, byName)
	fresh := make([]*Fact, 0, len(old)+1)
	fresh = append(append(fresh, old[:i]...), f)
	if found {
		i++
	}
	return t.replace(space{f.Namespace, append(fresh, old[i:]...)})
}

// without gives a table that lacks the object.
func (t *table) without(ref Ref) *table {
	old := t.in(ref.Namespace)
	i, found := slices.BinarySearchFunc(old, ref.Name, byName)
	if !found {
		return t
	}
	fresh := make([]*Fact, 0, len(old)-1)
	return t.replace(space{ref.Namespace, append(append(fresh, old[:i]...), old[i+1:]...)})
}

// replace gives a table with another space of this namespace; an empty one goes.
func (t *table) replace(s space) *table {
	next := &table{}
	at, found := 0, false
	if t != nil {
		at, found = t.find(s.namespace)
		next.spaces = make([]space, 0, len(t.spaces)+1)
		next.spaces = append(next.spaces, t.spaces[:at]...)
	}
	if len(s.facts) > 0 {
		next.spaces = append(next.spaces, s)
	}
	if found {
		at++
	}
	if t != nil {
		next.spaces = append(next.spaces, t.spaces[at:]...)
	}
	return next
}

func compareFacts(a, b *Fact) int {
	if c := strings.Compare(a.Namespace, b.Namespace); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

package bailey

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// View is what a rule, a guard or a plan may see of a snapshot: only the kinds
// that it declares, by keyed reads, which the view records. A read of
// something that was not seen makes the verdict unknown. A View belongs to one
// goroutine.
type View struct {
	snap    *Snapshot
	on      []Kind
	needs   []Kind
	derives []*Derivation
	reads   []Read
	missing []Missing
}

// Read is one keyed read: an object (Name given), the list of a kind in a
// namespace, the list of a kind (neither given), or a derived fact.
type Read struct {
	Kind            Kind
	Namespace, Name string
	Derived         *Derivation
}

// Touches reports whether a change of the object can change what was read.
func (r Read) Touches(ref Ref) bool {
	return r.Derived == nil && r.Kind == ref.Kind &&
		(r.Namespace == ref.Namespace || r.Namespace == "" && r.Name == "") &&
		(r.Name == "" || r.Name == ref.Name)
}

// NewView gives a view that may read nothing until Allow is called.
func NewView(s *Snapshot) *View { return &View{snap: s} }

// Allow starts a new evaluation: it forgets what was recorded and lets the
// view read the kinds and derived facts given.
func (v *View) Allow(on, needs []Kind, derives []*Derivation) {
	v.on, v.needs, v.derives = on, needs, derives
	v.reads, v.missing = v.reads[:0], v.missing[:0]
}

// Reads gives what was read since Allow, in order, with repetitions left out.
// The slice is valid until the next Allow.
func (v *View) Reads() []Read { return v.reads }

// Missing gives what was read and had not been seen since Allow. The slice is
// valid until the next Allow.
func (v *View) Missing() []Missing { return v.missing }

// At is the moment of the snapshot: the only clock of rules.
func (v *View) At() time.Time { return v.snap.Meta.At }

// Version is the Kubernetes version that the snapshot is judged at.
func (v *View) Version() Version { return v.snap.Meta.Version }

// SeenVersion is Version where it was seen or told. Where it is an assumption it is the
// zero Version, and missing: for what a version alone settles.
func (v *View) SeenVersion() Version {
	if v.snap.Meta.AssumedVersion {
		v.miss(&Missing{Kind: KindAPIServer, Reason: ReasonNotCollected, Detail: "the platform's version was not seen",
			Hint: "files: --kubernetes-version says it; cluster: let this identity get /version"})
		return Version{}
	}
	return v.Version()
}

// Get gives one object, or nil if there is none or it was not seen. The
// namespace is empty for a cluster-wide kind.
func (v *View) Get(k Kind, namespace, name string) *Fact {
	if !v.record(Read{Kind: k, Namespace: namespace, Name: name}) {
		return nil
	}
	f := v.snap.Get(Ref{k, namespace, name})
	if f == nil {
		v.miss(v.snap.Unseen(k, namespace, name))
	}
	return f
}

// List gives the objects of a kind in a namespace, or everywhere if it is
// empty, sorted by namespace and name. The slice must not be changed. Where
// the list was not seen whole, it gives what is there.
func (v *View) List(k Kind, namespace string) []*Fact {
	if !v.record(Read{Kind: k, Namespace: namespace}) {
		return nil
	}
	v.miss(v.snap.Unseen(k, namespace, ""))
	return v.snap.List(k, namespace)
}

// Known gives what was seen of a list, without a claim that it is all of it.
// It is for what one object settles by being there: a binding that gives a
// right. Whoever concludes from an absence must ask List.
func (v *View) Known(k Kind, namespace string) []*Fact {
	if !v.record(Read{Kind: k, Namespace: namespace}) {
		return nil
	}
	return v.snap.List(k, namespace)
}

// Held is List for a kind that the medium need not hold: where the rest of the
// list is outside what this medium reads (ReasonOpenWorld, ReasonNotCollected),
// the verdict does not become unknown; where it was refused or unreadable, it
// does. Use it only for facts that can turn a finding into a pass and never a
// pass into a finding.
func (v *View) Held(k Kind, namespace string) []*Fact {
	if !v.record(Read{Kind: k, Namespace: namespace}) {
		return nil
	}
	if m := v.snap.Unseen(k, namespace, ""); m != nil && m.Reason != ReasonOpenWorld && m.Reason != ReasonNotCollected {
		v.miss(m)
	}
	return v.snap.List(k, namespace)
}

// Derived gives a derived fact, computed once for the snapshot. What its
// computation did not see, the caller has not seen either.
func (v *View) Derived(d *Derivation) any {
	if !slices.Contains(v.derives, d) {
		v.miss(&Missing{Kind: Kind(d.Name), Reason: ReasonUndeclared, Detail: "the rule reads the derived fact " + d.Name + ", which it does not declare"})
		return nil
	}
	entry, found := v.snap.derived.Load(d)
	if !found {
		entry, _ = v.snap.derived.LoadOrStore(d, &derivation{})
	}
	e := entry.(*derivation)
	e.once.Do(func() {
		defer func() { // else all but the first who ask would take nothing for the answer
			if p := recover(); p != nil {
				e.value = nil
				e.missing = []Missing{{Kind: Kind(d.Name), Reason: ReasonPanicked,
					Detail: fmt.Sprintf("the derived fact %s failed: %v", d.Name, p), Hint: "this is a defect of Bailey: please report it"}}
			}
		}()
		inner := NewView(v.snap)
		inner.Allow(nil, d.Needs, nil)
		e.value = d.Compute(inner)
		e.reads, e.missing = inner.reads, inner.missing
		e.done.Store(true)
	})
	if r := (Read{Derived: d}); !slices.Contains(v.reads, r) {
		v.reads = append(v.reads, r)
		for i := range e.missing {
			v.miss(&e.missing[i])
		}
	}
	return e.value
}

// DerivedTouched reports whether a change of the object makes the derived fact
// of this snapshot stale. One that was never computed is not stale.
func (s *Snapshot) DerivedTouched(d *Derivation, ref Ref) bool {
	entry, found := s.derived.Load(d)
	return found && entry.(*derivation).touches([]Ref{ref})
}

type derivation struct {
	once    sync.Once
	done    atomic.Bool
	value   any
	reads   []Read
	missing []Missing
}

func (d *derivation) touches(refs []Ref) bool {
	for _, r := range d.reads {
		if slices.ContainsFunc(refs, r.Touches) {
			return true
		}
	}
	return false
}

// record notes a read and reports whether it was declared.
func (v *View) record(r Read) bool {
	if !slices.Contains(v.needs, r.Kind) && !slices.Contains(v.on, r.Kind) {
		v.miss(&Missing{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name, Reason: ReasonUndeclared, Detail: "the rule reads " + string(r.Kind) + ", which it does not declare"})
		return false
	}
	if !slices.Contains(v.reads, r) {
		v.reads = append(v.reads, r)
	}
	return true
}

func (v *View) miss(m *Missing) {
	if m != nil && !slices.Contains(v.missing, *m) {
		v.missing = append(v.missing, *m)
	}
}

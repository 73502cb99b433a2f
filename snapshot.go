package bailey

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"
)

// Snapshot is an immutable set of facts seen at one moment, from any medium,
// with what was and was not seen. Build one with a Builder.
type Snapshot struct {
	Meta Meta

	tables   map[Kind]*table
	coverage map[Kind]*kindCoverage
	derived  *sync.Map // *Derivation -> *derivation
}

// Meta says where and when a snapshot was taken.
type Meta struct {
	At time.Time `json:"at"`
	// Medium is "cluster", "files" or "mixed".
	Medium string `json:"medium"`
	// ClusterUID is the UID of the kube-system namespace; empty for files.
	ClusterUID string `json:"clusterUID,omitempty"`
	Context    string `json:"context,omitempty"`
	// Version is the Kubernetes version that facts are judged at. For files it
	// is an assumption, and AssumedVersion is set.
	Version        Version  `json:"version"`
	AssumedVersion bool     `json:"assumedVersion,omitempty"`
	Targets        []Target `json:"targets"`
}

// Target is one thing that a scan was asked to read.
type Target struct {
	Name    string `json:"name"`
	Medium  string `json:"medium"` // cluster, file, folder, chart, kustomization, snapshot, stdin
	Objects int    `json:"objects"`
	// Skipped are parts that were not read, and why. Each makes something unknown.
	Skipped []Skip `json:"skipped,omitempty"`
	// Ignored are parts that hold nothing to judge (a README, a values file).
	Ignored []Skip `json:"ignored,omitempty"`
}

// Skip is a part of a target that was not read.
type Skip struct {
	What string `json:"what"`
	Why  string `json:"why"`
	Hint string `json:"hint,omitempty"`
}

// kindCoverage says which parts of one kind were seen.
type kindCoverage struct {
	all     *Missing            // why the kind as a whole was not seen; nil if it was
	byNS    map[string]*Missing // what differs in single namespaces
	partial []Missing           // single objects that are there and were not read
}

// Builder gathers facts and coverage for one snapshot. It is not safe for
// concurrent use.
type Builder struct {
	meta     Meta
	facts    map[Kind][]*Fact
	coverage map[Kind]*kindCoverage
}

// NewBuilder starts a snapshot.
func NewBuilder(meta Meta) *Builder {
	return &Builder{meta: meta, facts: map[Kind][]*Fact{}, coverage: map[Kind]*kindCoverage{}}
}

// Meta gives the metadata, to be completed until Snapshot is called.
func (b *Builder) Meta() *Meta { return &b.meta }

// Add puts facts in. Of two facts with one Ref the later wins.
func (b *Builder) Add(facts ...*Fact) {
	for _, f := range facts {
		b.facts[f.Kind] = append(b.facts[f.Kind], f)
	}
}

func (b *Builder) kind(k Kind) *kindCoverage {
	c := b.coverage[k]
	if c == nil {
		c = &kindCoverage{all: &Missing{Kind: k, Reason: ReasonNotCollected}}
		b.coverage[k] = c
	}
	return c
}

// Saw declares that every object of the kind in the namespace was read; an
// empty namespace means all of them. A kind whose API is absent was seen too.
func (b *Builder) Saw(k Kind, namespace string) {
	c := b.kind(k)
	if namespace == "" {
		c.all = nil
		return
	}
	if c.byNS == nil {
		c.byNS = map[string]*Missing{}
	}
	c.byNS[namespace] = nil
}

// Miss declares that objects were not seen: the kind as a whole, the kind in a
// namespace, or one object, as far as m names them.
func (b *Builder) Miss(m Missing) {
	c := b.kind(m.Kind)
	switch {
	case m.Name != "":
		c.partial = append(c.partial, m)
	case m.Namespace != "":
		if c.byNS == nil {
			c.byNS = map[string]*Missing{}
		}
		c.byNS[m.Namespace] = &m
	default:
		c.all = &m
	}
}

// Snapshot ends the building. The builder must not be used afterwards.
func (b *Builder) Snapshot() *Snapshot {
	s := &Snapshot{Meta: b.meta, tables: map[Kind]*table{}, coverage: b.coverage, derived: &sync.Map{}}
	for k, facts := range b.facts {
		slices.SortStableFunc(facts, compareFacts)
		kept := facts[:0]
		for i, f := range facts {
			if i+1 < len(facts) && compareFacts(f, facts[i+1]) == 0 {
				continue // a later one has the same Ref
			}
			kept = append(kept, f)
		}
		clear(facts[len(kept):])
		s.tables[k] = newTable(kept)
	}
	return s
}

// Kinds lists the kinds of which there are facts, sorted.
func (s *Snapshot) Kinds() []Kind {
	kinds := make([]Kind, 0, len(s.tables))
	for k := range s.tables {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	return kinds
}

// Len is the number of facts.
func (s *Snapshot) Len() int {
	n := 0
	for _, t := range s.tables {
		n += t.len()
	}
	return n
}

// Get gives the fact, or nil. Engines use it; rules read through a View.
func (s *Snapshot) Get(ref Ref) *Fact { return s.tables[ref.Kind].get(ref) }

// List gives the facts of a kind in a namespace, or in all of them if it is
// empty, sorted by namespace and name. The slice must not be changed.
func (s *Snapshot) List(k Kind, namespace string) []*Fact {
	if namespace == "" {
		return s.tables[k].all()
	}
	return s.tables[k].in(namespace)
}

// Unseen says why an object (name given) or a list of the kind in the
// namespace was not seen; nil if it was. An object that is there was seen.
func (s *Snapshot) Unseen(k Kind, namespace, name string) *Missing {
	c := s.coverage[k]
	if c == nil {
		return &Missing{Kind: k, Namespace: namespace, Name: name, Reason: ReasonNotCollected}
	}
	if name != "" && s.Get(Ref{k, namespace, name}) != nil {
		return nil
	}
	for i := range c.partial {
		p := &c.partial[i]
		if (namespace == "" || p.Namespace == namespace) && (name == "" || p.Name == name) {
			return p
		}
	}
	if m, found := c.byNS[namespace]; found && namespace != "" {
		return m
	}
	if c.all != nil {
		return c.all
	}
	if namespace == "" && name == "" {
		for _, ns := range sortedKeys(c.byNS) {
			if m := c.byNS[ns]; m != nil {
				return m
			}
		}
	}
	return nil
}

// Coverage lists what is known of each kind's coverage: the kinds seen whole,
// and everything missing, sorted. It serves the codecs of snapshots.
func (s *Snapshot) Coverage() (seen []Ref, missing []Missing) {
	for _, k := range sortedKeys(s.coverage) {
		c := s.coverage[k]
		if c.all == nil {
			seen = append(seen, Ref{Kind: k})
		} else {
			missing = append(missing, *c.all)
		}
		for _, ns := range sortedKeys(c.byNS) {
			if m := c.byNS[ns]; m != nil {
				missing = append(missing, *m)
			} else {
				seen = append(seen, Ref{Kind: k, Namespace: ns})
			}
		}
		missing = append(missing, c.partial...)
	}
	return seen, missing
}

// Overlay gives a snapshot in which the facts replace those with the same Ref
// or are added. The receiver stays as it is; what they share is shared.
func (s *Snapshot) Overlay(facts ...*Fact) *Snapshot {
	return s.with(facts, nil)
}

// Without gives a snapshot that lacks the objects, seen to be absent.
func (s *Snapshot) Without(refs ...Ref) *Snapshot { return s.with(nil, refs) }

func (s *Snapshot) with(facts []*Fact, gone []Ref) *Snapshot {
	next := &Snapshot{Meta: s.Meta, tables: maps.Clone(s.tables), coverage: s.coverage, derived: &sync.Map{}}
	touched := make([]Ref, 0, len(facts)+len(gone))
	for _, f := range facts {
		next.tables[f.Kind] = next.tables[f.Kind].with(f)
		touched = append(touched, f.Ref)
	}
	for _, ref := range gone {
		if t := next.tables[ref.Kind]; t != nil {
			next.tables[ref.Kind] = t.without(ref)
		}
		touched = append(touched, ref)
	}
	s.derived.Range(func(key, value any) bool {
		if d := value.(*derivation); d.done.Load() && !d.touches(touched) {
			next.derived.Store(key, d)
		}
		return true
	})
	return next
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

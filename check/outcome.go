package check

import (
	"hash/maphash"
	"slices"
	"sync"

	"github.com/baileyhq/bailey"
)

// outcome is what the rules made of an object. Most objects of a cluster are copies, such as
// the pods of one Deployment: in a session those share one.
type outcome struct {
	said []said
	runs []run
	// What follows only sessions have: what was read, and who shares the outcome.
	reads []*reading
	hash  uint64
	// object is one of them, and more the others: most outcomes are of one.
	object bailey.Ref
	more   []bailey.Ref
}

// said is what one rule found, cut down to what of a Finding rules set.
type said struct {
	rule                  *bailey.Rule
	control               int32
	severity              int32
	field, named, message string
	related               []bailey.Ref
}

// finding gives it back as the rule gave it.
func (s *said) finding() bailey.Finding {
	return bailey.Finding{Field: s.field, Named: s.named, Message: s.message, Severity: bailey.Severity(s.severity), Related: s.related}
}

// run is one control's evaluation of one object.
type run struct {
	control      int32
	seen, needed int32
	provider     int32             // of those that were not seen
	missing      *[]bailey.Missing // nil if nothing was
}

// reading is one keyed read, and the outcomes that rest on it.
type reading struct {
	read bailey.Read
	by   map[*outcome]struct{}
}

// addTo adds the objects that rest on the read.
func (r *reading) addTo(objects map[bailey.Ref]struct{}) {
	for o := range r.by {
		objects[o.object] = struct{}{}
		for _, ref := range o.more {
			objects[ref] = struct{}{}
		}
	}
}

// pool holds the outcomes of a session by their content. Workers may fill one at a time.
type pool struct {
	mu       sync.Mutex
	seed     maphash.Seed
	outcomes map[uint64]*outcome
	runs     map[uint64][]run // of which nothing is missing: few differ
	readings map[bailey.Read]*reading
	derived  map[*bailey.Derivation]*reading // those of derived facts
}

func newPool() *pool {
	return &pool{seed: maphash.MakeSeed(), outcomes: map[uint64]*outcome{}, runs: map[uint64][]run{}, readings: map[bailey.Read]*reading{},
		derived: map[*bailey.Derivation]*reading{}}
}

// share gives the outcome with this content: the one that is there, or a new one. What it is
// given may be used again.
func (p *pool) share(o *outcome, reads []bailey.Read) *outcome {
	hash := p.hash(o, reads)
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.outcomes[hash]
	if known != nil && known.is(o, reads) {
		return known
	}
	kept := &outcome{said: slices.Clone(o.said), runs: p.shareRuns(o.runs), reads: make([]*reading, len(reads)), hash: hash}
	for i, read := range reads {
		kept.reads[i] = p.reading(read)
	}
	if known == nil { // two of one hash: the later is shared with nobody
		p.outcomes[hash] = kept
	}
	return kept
}

func (p *pool) reading(read bailey.Read) *reading {
	r := p.readings[read]
	if r == nil {
		r = &reading{read: read, by: map[*outcome]struct{}{}}
		p.readings[read] = r
		if read.Derived != nil {
			p.derived[read.Derived] = r
		}
	}
	return r
}

func (p *pool) shareRuns(runs []run) []run {
	var h maphash.Hash
	h.SetSeed(p.seed)
	for _, r := range runs {
		if r.missing != nil {
			return slices.Clone(runs)
		}
		maphash.WriteComparable(&h, r)
	}
	hash := h.Sum64()
	known, found := p.runs[hash]
	if found && slices.Equal(known, runs) {
		return known
	}
	known = slices.Clone(runs)
	p.runs[hash] = known
	return known
}

// hold notes that an object, which has none, has the outcome.
func (p *pool) hold(o *outcome, ref bailey.Ref) {
	if o.object != (bailey.Ref{}) {
		o.more = append(o.more, ref)
		return
	}
	o.object = ref
	for _, r := range o.reads {
		r.by[o] = struct{}{}
	}
}

// release notes that an object has the outcome no more. What nobody has is forgotten.
func (p *pool) release(o *outcome, ref bailey.Ref) {
	if n := len(o.more) - 1; n >= 0 {
		if o.object == ref {
			o.object = o.more[n]
		} else {
			o.more[slices.Index(o.more, ref)] = o.more[n]
		}
		o.more = o.more[:n]
		return
	}
	o.object = bailey.Ref{}
	for _, r := range o.reads {
		delete(r.by, o)
		if len(r.by) == 0 {
			delete(p.readings, r.read)
			delete(p.derived, r.read.Derived)
		}
	}
	if p.outcomes[o.hash] == o {
		delete(p.outcomes, o.hash)
	}
}

func (p *pool) hash(o *outcome, reads []bailey.Read) uint64 {
	var h maphash.Hash
	h.SetSeed(p.seed)
	for i := range o.said {
		s := &o.said[i]
		maphash.WriteComparable(&h, struct {
			rule                  *bailey.Rule
			severity              int32
			field, named, message string
		}{s.rule, s.severity, s.field, s.named, s.message})
	}
	for _, read := range reads {
		maphash.WriteComparable(&h, read)
	}
	for i := range o.runs {
		maphash.WriteComparable(&h, [...]int32{o.runs[i].control, o.runs[i].seen, o.runs[i].needed})
	}
	return h.Sum64()
}

// is reports whether the outcome has this content.
func (o *outcome) is(other *outcome, reads []bailey.Read) bool {
	return slices.EqualFunc(o.said, other.said, func(a, b said) bool {
		return a.rule == b.rule && a.control == b.control && a.severity == b.severity && a.field == b.field && a.named == b.named && a.message == b.message &&
			slices.Equal(a.related, b.related)
	}) && slices.EqualFunc(o.reads, reads, func(a *reading, b bailey.Read) bool { return a.read == b }) &&
		slices.EqualFunc(o.runs, other.runs, func(a, b run) bool {
			return a.control == b.control && a.seen == b.seen && a.needed == b.needed && a.provider == b.provider &&
				(a.missing == nil) == (b.missing == nil) && (a.missing == nil || slices.Equal(*a.missing, *b.missing))
		})
}

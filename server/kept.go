package server

import (
	"hash/maphash"

	"github.com/baileyhq/bailey"
)

// keptReport is what a report said, as far as it takes to see what the next says otherwise:
// of each finding and verdict a hash of its content, since two whole reports would be half
// of all the memory.
type keptReport struct {
	cluster  string
	findings map[string]keptFinding // by ID
	verdicts map[uint64]uint64      // by the hash of control and scope
	objects  map[bailey.Ref]bool    // that there are verdicts on
	evidence map[string]bool        // whether its index in the ledger is kept too, or none is kept of any
}

type keptFinding struct {
	object bailey.Ref
	hash   uint64
}

// contents is the seed of all hashes of this process.
var contents = maphash.MakeSeed()

func indexReport(r *bailey.Report, uid string) *keptReport {
	k := &keptReport{cluster: uid, findings: make(map[string]keptFinding, len(r.Findings)),
		verdicts: make(map[uint64]uint64, len(r.Verdicts)), objects: map[bailey.Ref]bool{}, evidence: map[string]bool{}}
	for i := range r.Findings {
		f := &r.Findings[i]
		k.findings[f.ID] = keptFinding{f.Object, hashFinding(f)}
	}
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		k.verdicts[hashPlace(v)] = hashVerdict(v)
		if v.Scope.Object != (bailey.Ref{}) {
			k.objects[v.Scope.Object] = true
		}
	}
	return k
}

// hashFinding hashes what two findings of one ID may differ in.
func hashFinding(f *bailey.Finding) uint64 {
	var h maphash.Hash
	h.SetSeed(contents)
	maphash.WriteComparable(&h, struct {
		severity, base bailey.Severity
		message, field string
		baseline       bool
		cause          bailey.Ref
	}{f.Severity, f.Base, f.Message, f.Field, f.Baseline, f.Cause})
	if w := f.Waiver; w != nil {
		maphash.WriteComparable(&h, [...]string{w.Rule, w.Kind, w.Namespace, w.Name, w.Reason, w.Owner})
		maphash.WriteComparable(&h, w.Expires.UnixNano())
	}
	for _, factor := range f.Factors {
		maphash.WriteComparable(&h, factor)
	}
	for _, ref := range f.Related {
		maphash.WriteComparable(&h, ref)
	}
	return h.Sum64()
}

// hashPlace hashes what a verdict is about.
func hashPlace(v *bailey.Verdict) uint64 {
	return maphash.Comparable(contents, struct {
		control string
		scope   bailey.Scope
	}{v.Control, v.Scope})
}

// hashVerdict hashes what two verdicts of one control and scope may differ in.
func hashVerdict(v *bailey.Verdict) uint64 {
	var h maphash.Hash
	h.SetSeed(contents)
	maphash.WriteComparable(&h, struct {
		rung                             bailey.Rung
		findings, seen, needed, provider int
		waived                           int64
		next                             string
		proved                           bool
	}{v.Rung, v.Findings, v.Coverage.Seen, v.Coverage.Needed, v.Coverage.Provider, v.WaivedUntil.UnixNano(), v.Next, v.Proof != nil})
	for _, m := range v.Coverage.Missing {
		maphash.WriteComparable(&h, m)
	}
	if p := v.Proof; p != nil {
		maphash.WriteComparable(&h, [...]int{p.Held, p.Tried, p.Least, p.Experiments, p.Needed})
		maphash.WriteComparable(&h, p.At.UnixNano())
		for _, text := range p.Broken {
			maphash.WriteComparable(&h, text)
		}
	}
	return h.Sum64()
}

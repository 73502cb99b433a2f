package manifests

import (
	"slices"

	"github.com/baileyhq/bailey"
)

// builds are what gives the workloads and network policies of all targets, by object.
type builds map[bailey.Ref]*ways

type ways struct {
	fact *bailey.Fact // the one that counts
	from []string     // names of builds, in the order in which they were read
}

// note adds that a build gives the object.
func (b builds) note(f *bailey.Fact, build string) {
	if f.Kind != bailey.KindNetworkPolicy && !f.Kind.IsPodBearing() {
		return
	}
	w := b[f.Ref]
	if w == nil {
		w = &ways{}
		b[f.Ref] = w
	}
	w.fact = f
	if !slices.Contains(w.from, build) {
		w.from = append(w.from, build)
	}
}

// tell writes the builds into the facts, if some workload is given by several.
func (b builds) tell() {
	several := false
	for ref, w := range b {
		several = several || len(w.from) > 1 && ref.Kind != bailey.KindNetworkPolicy
	}
	if !several {
		return
	}
	for _, w := range b {
		w.fact.Builds = w.from
	}
}

package posture

import (
	"maps"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/workload"
)

// Moved pairs objects that only one of two snapshots has and that are the same but
// for their name, or but for their namespace. Where there is more than one to choose
// from nothing is paired, nor are workloads whose pods' specs differ or are not known.
func Moved(base, head *bailey.Snapshot, was, is *Specs) map[bailey.Ref]bailey.Ref {
	type key struct {
		kind  bailey.Kind
		is    string // the traits, and the pods' spec
		stays string // the name or the namespace that is the same
	}
	gone, come := map[key][]bailey.Ref{}, map[key][]bailey.Ref{}
	note := func(to map[key][]bailey.Ref, s, other *bailey.Snapshot, specs *Specs) {
		of := map[bailey.Ref][]string{}
		for _, t := range traits(s) {
			of[t.object] = append(of[t.object], string(t.class)+"\x00"+t.key+"\x00"+t.value)
		}
		for ref, all := range of {
			// The traits leave out what runs: another command is another workload.
			if _, is := workload.Of(s.Get(ref)); is {
				spec, known := specs.of[ref]
				if !known {
					continue
				}
				all = append(all, string(spec[:]))
			}
			if other.Get(ref) != nil {
				continue
			}
			slices.Sort(all)
			is := strings.Join(all, "\x01")
			for _, stays := range []string{"name " + ref.Name, "namespace " + ref.Namespace} {
				k := key{ref.Kind, is, stays}
				to[k] = append(to[k], ref)
			}
		}
	}
	note(gone, base, head, was)
	note(come, head, base, is)
	moved := map[bailey.Ref]bailey.Ref{}
	pairs := map[bailey.Ref]int{} // in which either takes part
	for k, from := range gone {
		if to := come[k]; len(from) == 1 && len(to) == 1 {
			moved[from[0]] = to[0]
			pairs[from[0]]++
			pairs[to[0]]++
		}
	}
	maps.DeleteFunc(moved, func(from, to bailey.Ref) bool { return pairs[from] > 1 || pairs[to] > 1 })
	return moved
}

package pods

import (
	"cmp"
	"hash/fnv"
	"slices"

	"github.com/baileyhq/bailey"
)

// Sample gives up to n of the facts, spread over the cluster and nearly the same
// every time: one that is added or removed replaces at most one other. They are
// sorted by namespace and name.
func Sample(facts []*bailey.Fact, n int) []*bailey.Fact {
	if len(facts) <= n {
		return facts
	}
	hash := func(f *bailey.Fact) uint64 {
		h := fnv.New64a()
		_, _ = h.Write([]byte(f.Ref.String())) // never fails
		return h.Sum64()
	}
	chosen := slices.SortedFunc(slices.Values(facts), func(a, b *bailey.Fact) int {
		return cmp.Or(cmp.Compare(hash(a), hash(b)), a.Ref.Compare(b.Ref))
	})[:n]
	slices.SortFunc(chosen, func(a, b *bailey.Fact) int { return a.Ref.Compare(b.Ref) })
	return chosen
}

package pods_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/pods"
)

// TestSampleStays: a namespace that comes moves at most one other out of the sample.
func TestSampleStays(t *testing.T) {
	var facts []*bailey.Fact
	for i := range 40 {
		facts = append(facts, &bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindNamespace, Name: fmt.Sprintf("team-%02d", i)}})
		sample := pods.Sample(facts, 12)
		if len(sample) != min(12, i+1) {
			t.Fatalf("%d of %d", len(sample), i+1)
		}
		if i == 0 {
			continue
		}
		gone := 0
		for _, f := range pods.Sample(facts[:i], 12) {
			if !slices.Contains(sample, f) {
				gone++
			}
		}
		if gone > 1 {
			t.Errorf("with %d namespaces one more moves %d out of the sample", i, gone)
		}
	}
}

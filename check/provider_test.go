package check_test

import (
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
)

// TestProvider: what a provider keeps to itself is unknown, is told as the provider's, and
// does not hide that something else was not seen either.
func TestProvider(t *testing.T) {
	docs := "see the provider's pages"
	kept := bailey.Missing{Kind: bailey.KindAPIServer, Reason: bailey.ReasonProvider, Hint: docs}
	forbidden := bailey.Missing{Kind: bailey.KindPod, Reason: bailey.ReasonForbidden, Hint: "grant it"}
	flags := &bailey.Rule{Name: "flags", On: []bailey.Kind{bailey.KindAPIServer, bailey.KindPod}, Check: func(*bailey.View, *bailey.Fact) []bailey.Finding { return nil }}
	control := &bailey.Control{ID: "test/api", Scope: bailey.ScopeCluster, Rules: []*bailey.Rule{flags}}
	for name, c := range map[string]struct {
		missing []bailey.Missing
		whole   bool
		next    string
	}{
		"the provider's":       {[]bailey.Missing{kept}, true, docs},
		"another fact as well": {[]bailey.Missing{kept, forbidden}, false, "grant it"},
	} {
		t.Run(name, func(t *testing.T) {
			r := judge(t, snapshot(c.missing, namespaceFact("a", true)), []*bailey.Control{control}, check.Options{})
			v := verdict(t, r, "test/api", cluster)
			if v.Rung != bailey.RungUnknown || v.Coverage.Provider != 1 || v.Coverage.Whole() != c.whole || r.Coverage.Whole() != c.whole || !strings.Contains(v.Next, c.next) {
				t.Errorf("%+v, of the whole %+v", v, r.Coverage)
			}
		})
	}
}

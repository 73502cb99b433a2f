package deploy

import (
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/internal/controltest"
)

// TestConstraintsElsewhere: where a medium holds a template and its constraints may be elsewhere,
// that none of them reports only is unknown, and one that is seen to is found all the same.
func TestConstraintsElsewhere(t *testing.T) {
	const kind = "K8sPSPPrivilegedContainer.constraints.gatekeeper.sh"
	judge := func(texts ...string) (findings, missing int) {
		b := bailey.NewBuilder(bailey.Meta{At: controltest.At, Version: bailey.LatestVersion})
		for _, k := range constraintKinds {
			b.Miss(bailey.Missing{Kind: k, Reason: bailey.ReasonOpenWorld})
		}
		var template *bailey.Fact
		for _, text := range texts {
			for _, f := range controltest.Facts(t, []byte(text)) {
				b.Add(f)
				if f.Kind == templateKind {
					template = f
				}
			}
		}
		v := bailey.NewView(b.Snapshot())
		v.Allow(engineOnlyAudits.On, engineOnlyAudits.Needs, nil)
		return len(engineOnlyAudits.Check(v, template)), len(v.Missing())
	}
	const template = "apiVersion: templates.gatekeeper.sh/v1\nkind: ConstraintTemplate\nmetadata: {name: k8spspprivilegedcontainer}\nspec: {crd: {spec: {names: {kind: K8sPSPPrivilegedContainer}}}}\n"
	const constraint = "apiVersion: constraints.gatekeeper.sh/v1beta1\nkind: K8sPSPPrivilegedContainer\nmetadata: {name: c}\nspec: {enforcementAction: "
	for _, c := range []struct {
		texts             []string
		findings, missing int
	}{
		{[]string{template}, 0, 1},
		{[]string{template, constraint + "deny}\n"}, 0, 1},
		{[]string{template, constraint + "dryrun}\n"}, 1, 0},
	} {
		if findings, missing := judge(c.texts...); findings != c.findings || missing != c.missing {
			t.Errorf("%d findings, %d missing of %s for %q; want %d and %d", findings, missing, kind, c.texts, c.findings, c.missing)
		}
	}
}

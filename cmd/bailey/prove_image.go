package main

import (
	"fmt"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/deploy"
	"github.com/baileyhq/bailey/derive/imageref"
)

// unpinnedProbes says what stands in the way of probe pods whose image has no digest. Who
// refuses them is found out by trying only; a run in which all was inconclusive for it
// would have taken a while.
func (a *app) unpinnedProbes(s *bailey.Snapshot, image string) {
	if ref, err := imageref.Parse(image); err != nil || ref.Pinned() {
		return
	}
	view := bailey.NewView(s)
	for _, g := range deploy.ImageIdentity.Guards {
		view.Allow(nil, g.Needs, g.Derives)
		in := g.Present(view, bailey.Ref{Kind: bailey.KindNamespace, Name: bailey.ProbePrefix + "x"})
		if !in.InPlace {
			continue
		}
		hint := "name it by its digest: --probe-image NAME@sha256:..."
		if g.Name == "images-verified" {
			hint = "a rule of the trust policy has to name it; the gate pins its tag"
		}
		fmt.Fprintf(a.stderr, "Probe pods run %s, which has no digest, and guard %s is in place: what needs them may come to nothing.\nhint: %s\n", printable(image), g.Name, hint)
	}
}

package develop

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// ThreatModel asks for a threat model.
var ThreatModel = &bailey.Control{
	ID:   "develop/threat-model",
	Asks: "there is a threat model with trust boundaries, risks and their treatment",
	Doc: `A threat model that nobody compares with what runs is a drawing. One that is compared tells which risks
rest on which controls, and which of those controls are only believed.

Bailey derives a model from what it sees (actors, assets, flows, boundaries), joins it with the authored
one, and lists the risks per crossing of a boundary, each with likelihood, impact, treatment and owner.
Where the authored model and the cluster have drifted apart, it says so.

Enforced by asking that every treatment names the control that carries it, and every accepted risk an
owner and an expiry.

A treatment counts only while its control is proven: the model shows which risks rest on unproven ones.`,
	Scope: bailey.ScopeCluster,
	Refs: []bailey.Reference{
		ref.CNCF(316, "Code and infrastructure are threat-modelled"),
		ref.CNCF(272, "The threat model decides what is worth testing"),
		ref.NSA("Threat model"),
		ref.NIST("SA-11(2)"),
		ref.NIST("RA-3"),
		ref.NIST("SA-8"),
	},
	Unprovable: "Whether a model is right is a judgement that no attack can settle. " +
		"Bailey shows instead which treatments rest on controls that are not proven.",
}

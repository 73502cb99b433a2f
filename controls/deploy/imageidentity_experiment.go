package deploy

import (
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/rbac"
)

// imageIdentityExperiments try images that nobody vouches for.
var imageIdentityExperiments = []*bailey.Experiment{unknownImagesRefused, strangersRefused, stoppedGateRefuses}

var unknownImagesRefused = &bailey.Experiment{
	Name:  "unknown-images-refused",
	Title: "Images that nobody vouches for are refused every way",
	Doc: `Where webhooks or policies look at pods, three images are tried: one of a registry that does not exist
(registry.invalid), one of an ordinary image's name with a digest that nothing has, and an ordinary image by the tag
latest alone (stable, where that is what runs).
Which of the three the platform refuses as the container of a new pod is what it claims; that must be
refused in every other way. The twin has the image of a pod that runs in the namespace.

` + trialDoc + `

That a gate verifies signatures, rather than names and digests, strangers-refused shows, and what happens while Bailey's
gate is down stopped-gate-refuses. None shows what the container runtime verifies on the node.`,
	Hypothesis: "An image that the platform refuses in a container it refuses in every kind of container, in volumes and in updates.",
	Danger:     bailey.DangerDryRun,
	Technique:  "T1204.003",
	Detections: []string{"ephemeral-container", "impersonation", "impersonation-privileged"},
	Scope:      bailey.ScopeCluster,
	Needs:      trialNeeds,
	Derives:    []*bailey.Derivation{rbac.Bindings},
	Window:     7 * 24 * time.Hour,
	Plan:       func(v *bailey.View, _ bailey.Ref) []bailey.Probe { return tryWays(v, unknownImages) },
}

// nothing is a digest that no image has: only something with this hash would.
const nothing = "@sha256:ba11e70000000000000000000000000000000000000000000000000000000000"

var unknownImages = []forbidden{
	{name: "image of an unknown registry", image: func(string) string { return "registry.invalid/bailey/nobody:1" + nothing }},
	{name: "unknown digest", image: func(ordinary string) string { return repository(ordinary) + nothing }},
	{name: "image by a tag", image: byTag},
}

// byTag is the image by a tag alone, and not the text that is there already: an update
// to that changes nothing, and no gate refuses it.
func byTag(ordinary string) string {
	if latest := repository(ordinary) + ":latest"; latest != ordinary {
		return latest
	}
	return repository(ordinary) + ":stable"
}

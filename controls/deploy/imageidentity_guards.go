package deploy

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/vap"
)

var imageIdentityGuards = []*bailey.Guard{imagesPinned, imagesVerified}

// referenceGrammar is the grammar of derive/imageref as a regular expression, for
// a reference with a digest.
const referenceGrammar = `^(([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)([.]([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?))*(:[0-9]+)?/|[[][a-fA-F0-9:]+[]](:[0-9]+)?/)?` +
	`[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*)*` +
	`(:[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127})?@(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$`

var imagesPinned = vap.Guard(vap.Policy{
	Control: "deploy/image-identity", Name: "images-pinned",
	Title: "Images are admitted only by digest",
	Doc: `A ValidatingAdmissionPolicy refuses pods, and everything that makes pods, with an image that names no digest: of
containers, init containers, sidecars, ephemeral containers and image volumes. What is there already may go on,
be scaled and be deleted: an update that leaves the pod's spec as it was passes.

What can be no reference at all (empty, or with a variable in it: "${IMAGE}") passes, and no runtime runs it; so does
Istio's "auto" in a template, which its webhook fills in when the pod is made. More than 500 images, and references of
over 700 characters, are refused: the API server bounds what an expression may cost.`,
	Covers:    []*bailey.Rule{invalidReference, latestTag, notPinned, staleImage},
	Resources: vap.PodBearing,
	Variables: append(vap.PodVariables,
		imagesVariable,
		admissionv1.Variable{Name: "unpinned", Expression: "size(variables.images) > 500 ? ['more than 500 images'] : variables.images.filter(i, size(i) > 700 || i != '' && !i.matches('[$<{%]') && !i.matches(r'" + referenceGrammar + "'))"},
	),
	Checks: []vap.Check{vap.Pods("size(variables.unpinned) == 0",
		"'pin by digest (name@sha256:...): ' + variables.unpinned.join(', ')")},
})

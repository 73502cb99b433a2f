package deploy

import (
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/workload"
)

var notVerified = &bailey.Rule{
	Name:  "not-verified",
	Title: "Image is not vouched for as the trust policy asks",
	Doc: `Reads what the trust policy says of each image that a workload runs or mounts, in the workload's namespace: which
signatures, SBOM and provenance it wants, by whom, and what of it the image bears in its registry. Who vouches for what
is admitted, and what of it is lacking, distribute/signatures tells of each image.

The trust policy is given by --trust-policy, and it is the one of the gate, of bailey verify and of CI. Without it, with
--offline, or where the registry does not answer, nothing is known. An image by its tag is judged by what the tag
stands for now, which need not be what runs: deploy/image-identity/not-pinned finds such a reference.`,
	Severity: bailey.SeverityHigh,
	Refs:     []bailey.Reference{imageDocs},
	On:       bailey.PodBearing,
	Needs:    []bailey.Kind{bailey.KindImage},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		w, ok := workload.Of(f)
		if !ok {
			return nil
		}
		var found []bailey.Finding
		for u := range imagesOf(w) {
			// There is none of a text that is no reference, which invalidReference finds; whoever
			// says that all images were seen has asked for each that a workload names.
			image, _ := bailey.As[*bailey.Image](v.Get(bailey.KindImage, f.Namespace, u.text))
			if image == nil || image.Verified || len(image.Refusals) == 0 {
				continue
			}
			why := image.Refusals[0].Message
			if rule := image.Refusals[0].Rule; rule != "" {
				why = "rule " + rule + ": " + why
			}
			found = append(found, u.finding(u.uses()+shortDigest(u.text)+", which the trust policy does not admit: "+why))
		}
		return found
	},
	Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: shop}
spec:
  containers: [{name: app, image: "registry.example.com/shop/app:v1"}]
---
apiVersion: bailey.dev/v1
kind: Image
metadata: {name: "registry.example.com/shop/app:v1", namespace: shop}
repository: registry.example.com/shop/app
tag: v1
digest: sha256:436cc645fad33c21ddc02177eb060b7573c8166179968a2a4e16ef8320bd41dc
policy: "1"
rules: [shop]
refusals: [{rule: shop, kind: signature, reason: missing, message: "a signature by release is wanted, and the artifact bears nothing"}]
`},
}

// shortDigest is a reference with the beginning of its digest, as people tell digests apart.
func shortDigest(text string) string {
	const digits = 12
	at := strings.LastIndexByte(text, ':')
	if !strings.Contains(text, "@") || len(text)-at-1 <= digits {
		return text
	}
	return text[:at+1+digits]
}

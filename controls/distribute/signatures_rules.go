package distribute

import (
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

var signaturesRules = []*bailey.Rule{unmetPolicy, missingEvidence, unverifiedSource}

var verifyDocs = ref.Kubernetes("tasks/administer-cluster/verify-signed-artifacts/", "Verify Signed Kubernetes Artifacts")

const signaturesDoc = `

An image is judged in each namespace in which it is used, as the policy's rules say. Without --trust-policy nothing is
known, nor of an image whose registry does not answer, nor with --offline; a snapshot that was saved with what a policy
said says it again.`

var unmetPolicy = &bailey.Rule{
	Name:  "unmet-policy",
	Title: "Image bears not what the trust policy wants of it",
	Doc: `Names each piece of evidence that the trust policy wants of the image (a signature, an SBOM, provenance, another
attestation) and that it does not bear, or that does not count: by another key or identity, of another digest, expired,
in no log. An image that no rule of the policy names is among them, unless the policy admits those.` + signaturesDoc,
	Severity: bailey.SeverityHigh,
	Refs:     []bailey.Reference{verifyDocs},
	On:       []bailey.Kind{bailey.KindImage},
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		image, ok := f.Object.(*bailey.Image)
		if !ok || image.Verified {
			return nil
		}
		var found []bailey.Finding
		for i := range image.Refusals {
			r := &image.Refusals[i]
			message := r.Message
			if r.Rule != "" {
				message = "rule " + r.Rule + ": " + message
			}
			if r.Hint != "" {
				message += " (" + r.Hint + ")"
			}
			found = append(found, bailey.Finding{Field: strings.Trim(r.Rule+"."+r.Kind, "."), Message: message})
		}
		return found
	},
	Bad: []string{`apiVersion: bailey.dev/v1
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

// evidenceKinds are what an artifact should bear, with the words for it.
var evidenceKinds = []struct{ kind, word string }{{"signature", "signature"}, {"sbom", "SBOM"}, {"provenance", "provenance"}}

var missingEvidence = &bailey.Rule{
	Name:  "missing-evidence",
	Title: "Nobody whom the trust policy names vouches for a part of the image's origin",
	Doc: `A signature says who stands for an image, an SBOM what is in it, provenance what it was built from, where and by
whom. Of an image that the trust policy admits this names those that were not verified: because no rule asks for them,
or because the rule takes the image as it is (unsigned: true, unmatched: admit). What is attached and not asked for is
not verified, and does not count.` + signaturesDoc,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{verifyDocs},
	On:       []bailey.Kind{bailey.KindImage},
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		image, ok := f.Object.(*bailey.Image)
		if !ok || !image.Verified {
			return nil
		}
		var lacking []string
		for _, e := range evidenceKinds {
			if !slices.ContainsFunc(image.Evidence, func(has bailey.ImageEvidence) bool { return has.Kind == e.kind }) {
				lacking = append(lacking, e.word)
			}
		}
		if len(lacking) == 0 {
			return nil
		}
		by := "no rule of the trust policy names it, and it admits such images"
		if len(image.Rules) > 0 {
			by = "rule " + strings.Join(image.Rules, ", ") + " asks for none"
		}
		return []bailey.Finding{{Message: "it is admitted without a verified " + strings.Join(lacking, ", ") + ": " + by}}
	},
	Bad: []string{`apiVersion: bailey.dev/v1
kind: Image
metadata: {name: "registry.example.com/shop/app:v1", namespace: shop}
repository: registry.example.com/shop/app
tag: v1
digest: sha256:436cc645fad33c21ddc02177eb060b7573c8166179968a2a4e16ef8320bd41dc
policy: "1"
rules: [base]
verified: true
`},
}

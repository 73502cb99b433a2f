package bailey

import "time"

// Image is an image as its registry and a trust policy show it: which content a
// reference stands for, and who vouches for that in one namespace. It is the content of
// a fact of KindImage or KindImageToTry, whose name is the reference.
type Image struct {
	// Repository is registry and path in full.
	Repository string `json:"repository"`
	// Tag is the one that was asked for, where the reference names one.
	Tag string `json:"tag,omitempty"`
	// Digest is the reference's or, where it names none, the one that the tag had. It is empty
	// where no registry was asked, since no rule of the policy names the image.
	Digest string `json:"digest,omitempty"`
	// Was is the digest that the tag is said to have had before, of an image to try.
	Was string `json:"was,omitempty"`
	// Policy is the revision of the trust policy.
	Policy string    `json:"policy"`
	At     time.Time `json:"at,omitzero"` // when it was asked for
	// Rules are those of the policy that name the image, in order.
	Rules []string `json:"rules,omitempty"`
	// Attached is how many signatures and attestations the image bears, of whomever.
	Attached int `json:"attached,omitempty"`
	// Verified tells that the policy admits the image.
	Verified bool            `json:"verified"`
	Evidence []ImageEvidence `json:"evidence,omitempty"`
	Refusals []ImageRefusal  `json:"refusals,omitempty"` // none where it is verified
}

// ImageEvidence is one signature or attestation that counts.
type ImageEvidence struct {
	Rule string `json:"rule"`
	// Kind is signature, sbom, provenance or attestation.
	Kind      string `json:"kind"`
	Authority string `json:"authority"`
	Signer    string `json:"signer"`
}

// ImageRefusal is one piece of evidence that the policy wants and that is not there.
type ImageRefusal struct {
	Rule    string `json:"rule,omitempty"`
	Kind    string `json:"kind,omitempty"`
	Reason  string `json:"reason"` // a stable code: missing, wrong-key, ...
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// NoImages says that nothing is known of images: no trust policy was given.
func NoImages() []Missing {
	var all []Missing
	for _, k := range []Kind{KindImage, KindImageToTry} {
		all = append(all, Missing{Kind: k, Reason: ReasonNotCollected, Detail: "no trust policy was given",
			Hint: "`--trust-policy FILE`, or images.trustPolicy in bailey.yaml, has Bailey ask registries who vouches for images"})
	}
	return all
}

package distribute

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Signatures asks that the supply chain is validated by signatures.
var Signatures = &bailey.Control{
	ID:   "distribute/signatures",
	Asks: "signatures and certificates assure the supply chain",
	Doc: `A signature answers who built this, from what, and whether anybody touched it since. It is worth as much as
the care with which it is checked.

Bailey judges for every image that a workload uses whether it has a signature, an SBOM and provenance by an identity
that the trust policy allows (--trust-policy), in the formats in use: sigstore bundles, cosign's, certificates of one's
own CA. Notary Project signatures are not read in this version.

Enforced by bailey sign, verify and attest, with one trust policy that the admission gate shares.

Not proved by itself in this version: the experiments of deploy/image-identity offer the platform images that nobody
signed, or a stranger did, of those that are named to be tried.`,
	Scope: bailey.ScopeImage,
	Refs: []bailey.Reference{
		ref.CNCF(296, "Images and their metadata are signed"),
		ref.CNCF(253, "Integrity and signature are verified before deployment"),
		ref.CNCF(141, "Every build step is signed or attested"),
		ref.CNCF(145, "Who may certify which artifact is limited"),
		ref.CNCF(301, "Signing keys can be revoked"),
		ref.NIST("CM-14"),
		ref.NIST("SR-4"),
		ref.NIST("SI-7(15)"),
		ref.ATTACK("T1525"),
		ref.ATTACK("T1204.003"),
	},

	Rules: signaturesRules,
}

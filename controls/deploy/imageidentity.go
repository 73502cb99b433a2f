package deploy

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// ImageIdentity asks that images are known by their cryptographic identity.
var ImageIdentity = &bailey.Control{
	ID:   "deploy/image-identity",
	Asks: "the cryptographic identity of image artifacts is verified when they are deployed",
	Doc: `A tag is a name that its owner can move at any time, and whoever takes over the registry account is
then its owner. A digest names the content; a signature over it says who stands for that content.

Bailey judges the references of all images that a workload runs or mounts, of every kind of container, of
image volumes and of static pods: a missing digest, a tag that is known to move, a pull policy that keeps
what a node happens to hold.

Enforced by the admission gate, and where possible by the container runtime: it verifies signature and
provenance, pins tags to digests and refuses when it cannot decide.

Who vouches for an image is known only where a trust policy is given (--trust-policy): without it the control is
unknown. A pinned reference says that the content cannot change, not that anybody vouched for it.

Proved by trying images that nobody vouches for, in every kind of container, in volumes and in updates: such as the
platform claims to refuse, and those that are named to be tried (--try-image): unsigned, signed by a stranger, a tag
that was moved. That Bailey's gate fails closed is proved by a copy of its webhook that nobody answers, in a namespace
of the run's own, where that is allowed (--allow-disruptive); of other gates it is read from their configuration.`,
	Scope: bailey.ScopeWorkload,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/containers/images/", "Images"),
		ref.Kubernetes("tasks/administer-cluster/verify-signed-artifacts/", "Verify Signed Kubernetes Artifacts"),
		ref.CIS("5.5.1", "The provenance of images is checked at admission"),
		ref.NSA("Building secure container images"),
		ref.CNCF(231, "A policy agent admits only authorized, signed images"),
		ref.CNCF(251, "The image is signed by an authorized source"),
		ref.CNCF(253, "Integrity and signature are verified before deployment"),
		ref.NIST("CM-14"),
		ref.NIST("SI-7"),
		ref.ATTACK("T1525"),
		ref.ATTACK("T1204.003"),
	},

	Rules: imageIdentityRules,

	Guards: imageIdentityGuards,

	Experiments: imageIdentityExperiments,
}

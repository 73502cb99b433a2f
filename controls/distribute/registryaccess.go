package distribute

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// RegistryAccess asks that only authorized clients pull artifacts.
var RegistryAccess = &bailey.Control{
	ID:   "distribute/registry-access",
	Asks: "artifacts are restricted, and a private registry lets only authorized clients pull",
	Doc: `A private image carries code, and often more than it should. A public one that anybody may push to carries
whatever they like.

Bailey judges images from registries outside the allow-list, registries that serve strangers, pull secrets
that live long, and rights to push. A node's image cache is a way round all of it: a pod may use an image
that another tenant pulled, unless the kubelet verifies credentials or the pull policy is Always.

Enforced by a private OCI registry with ServiceAccounts, OIDC or client certificates as identities, rights
per repository, and a scan and a signature on push.

Proved by pulling without a credential, with another tenant's and with an expired one, and, as another
tenant, by using the image on a node that holds it; each must be refused.`,
	Scope: bailey.ScopeImage,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/containers/images/", "Images"),
		ref.Kubernetes("tasks/configure-pod-container/pull-image-private-registry/", "Pull an Image from a Private Registry"),
		ref.CIS("1.2.11", "Images are pulled with the pod's own credentials each time"),
		ref.CNCF(279, "Unfinished artifacts stay in a private registry"),
		ref.CNCF(307, "Pulls from public registries are controlled"),
		ref.CNCF(295, "Registries take mutually authenticated TLS only"),
		ref.NIST("AC-3"),
		ref.NIST("IA-9"),
		ref.ATTACK("T1525"),
		ref.ATTACK("T1204.003"),
	},

	Rules: registryAccessRules,
}

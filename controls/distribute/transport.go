package distribute

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Transport asks that distribution is encrypted with a chain of trust.
var Transport = &bailey.Control{
	ID:   "distribute/transport",
	Asks: "artifacts travel encrypted, over connections with a chain of trust",
	Doc: `An artifact that is fetched without a verified connection is whatever somebody on the way says it is.

Bailey judges every source that a build or a node pulls from (registries, Helm and OCI repositories,
package sources of the operating system, module proxies, git remotes): whether it uses TLS with a chain
to a trusted or pinned root, whether a setting allows an insecure registry, whether package signatures are
checked.

Enforced by patches, and by a registry that serves TLS only.

Proved by offering the client a wrong certificate and a downgraded connection; both must be refused.`,
	Scope: bailey.ScopeCluster,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/containers/images/", "Images"),
		ref.CNCF(295, "Registries take mutually authenticated TLS only"),
		ref.CNCF(177, "Package managers and repositories are chosen and trusted"),
		ref.CNCF(170, "Clients can verify artifacts and their metadata"),
		ref.NIST("SC-8"),
		ref.NIST("SC-8(1)"),
		ref.NIST("SC-17"),
		ref.NIST("SC-23"),
	},

	Rules: transportRules,
}

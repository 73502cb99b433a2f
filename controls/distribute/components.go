package distribute

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Components asks for a secured supply chain of the platform.
var Components = &bailey.Control{
	ID:   "distribute/components",
	Asks: "the supply chain of the cluster and of its other components is secured",
	Doc: `The platform is software too: API server, kubelet, runtime, kernel, etcd, network and storage plugins,
add-ons, and the database outside that everything depends on.

Bailey reads their versions and judges them by advisories and support windows, and by signatures and
provenance of the Kubernetes binaries, control-plane images, node packages and database artifacts.

Enforced by a report of what to upgrade to, and by admitting add-ons by their signature.

Proved by reading each version from the running component rather than from its manifest.`,
	Scope: bailey.ScopeCluster,
	Refs: []bailey.Reference{
		ref.Kubernetes("tasks/administer-cluster/verify-signed-artifacts/", "Verify Signed Kubernetes Artifacts"),
		ref.Kubernetes("reference/issues-security/official-cve-feed/", "Official CVE Feed"),
		ref.CNCF(173, "Third-party artifacts are verified"),
		ref.CNCF(174, "Suppliers give an SBOM"),
		ref.CNCF(328, "Tools are watched for vulnerabilities and kept current"),
		ref.NSA("Upgrading and application security practices"),
		ref.NIST("CM-8"),
		ref.NIST("SI-2"),
		ref.NIST("SR-3"),
		ref.NIST("SR-11"),
	},
}

package distribute

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Vulnerabilities asks that artifacts are scanned for known vulnerabilities.
var Vulnerabilities = &bailey.Control{
	ID:   "distribute/vulnerabilities",
	Asks: "container images and other artifacts are scanned for known vulnerabilities",
	Doc: `Most intrusions use a hole that was public and had a fix. The work is to know where it is, and which of a
thousand matter.

Bailey reads the packages of every image (registry, archive, OCI layout, containerd store), file system,
SBOM and repository, of the operating system and of the languages, and matches them with the advisories
of OSV, whether they are exploited (KEV, EPSS) and what VEX statements say. Findings carry the fixed
version and are ranked by how exposed and how privileged the workload is.

Enforced by a threshold in CI, in the registry and at admission, with exceptions that have an owner and an
expiry.

Proved by a canary image with known vulnerable packages, sent through the team's CI, registry and
admission: each stage that claims to stop it must.`,
	Scope: bailey.ScopeImage,
	Refs: []bailey.Reference{
		ref.CNCF(300, "Images are scanned for vulnerabilities and malware"),
		ref.CNCF(286, "Images are scanned in the pipeline"),
		ref.CNCF(236, "What runs is scanned for new vulnerabilities"),
		ref.CNCF(309, "What can be exploited and reached is fixed first"),
		ref.NSA("Building secure container images"),
		ref.NSA("Upgrading and application security practices"),
		ref.NIST("RA-5"),
		ref.NIST("SI-2"),
		ref.NIST("CM-8"),
		ref.ATTACK("T1190"),
	},
}

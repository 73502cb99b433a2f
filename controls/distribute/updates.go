package distribute

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Updates asks for a process that adopts updates.
var Updates = &bailey.Control{
	ID:   "distribute/updates",
	Asks: "a process adopts updates of dependencies, security fixes first",
	Doc: `A scanner's list gets shorter only when somebody takes the fix. What counts is how long a fix that exists
has not been taken.

Bailey judges for each dependency the age of the fix against a deadline for its severity, and for each
image its own age.

Enforced by bailey update: patches to module files, package lists, Dockerfiles, Helm values and
kustomizations that go to the smallest version with the fix.

Proved when nothing that runs lacks a fix that is past its deadline, and when the patch, applied in a
scratch copy, builds and is free of the advisory.`,
	Scope: bailey.ScopeImage,
	Refs: []bailey.Reference{
		ref.CNCF(302, "Security updates come first"),
		ref.CNCF(304, "Findings of image scans are acted upon"),
		ref.CNCF(172, "Updates are automated"),
		ref.NSA("Upgrading and application security practices"),
		ref.Kubernetes("tasks/administer-cluster/cluster-upgrade/", "Upgrade A Cluster"),
		ref.NIST("SI-2"),
		ref.NIST("RA-5"),
	},
}

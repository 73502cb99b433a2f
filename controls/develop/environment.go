package develop

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Environment asks that development environments keep their integrity.
var Environment = &bailey.Control{
	ID:   "develop/environment",
	Asks: "development environments keep their integrity",
	Doc: `Whoever can change a commit, a workflow or a lockfile unseen needs no hole in the cluster: the pipeline
carries the change there.

Bailey judges a repository and its forge: signatures of commits and tags against a list of allowed signers,
workflow steps and build images that are not pinned by digest, the rights of workflow tokens, workflows
that run strangers' code beside secrets, lockfiles that are missing or carry no hashes, secrets in the tree
and in the history. Where the forge may be asked: branch protection, required reviews, multi-factor
sign-in, CI runners that serve one job each, and the conditions on CI identities.

Enforced by hooks and a CI job that refuse the same things, and by a patch that pins what is not pinned.

Proved in a scratch clone: an unsigned commit, a changed lockfile hash and a planted secret are pushed, and
each push must be refused.`,
	Scope: bailey.ScopeRepository,
	Refs: []bailey.Reference{
		ref.CNCF(182, "Commits and tags carry signatures"),
		ref.CNCF(184, "No unencrypted secrets in the repository"),
		ref.CNCF(190, "Branches are protected"),
		ref.CNCF(191, "Access to repositories takes multi-factor authentication"),
		ref.CNCF(153, "What a build fetches is locked and verified"),
		ref.CNCF(161, "Build workers serve one build each"),
		ref.NIST("CM-14"),
		ref.NIST("SA-10"),
		ref.NIST("SA-15"),
		ref.NIST("IA-5(7)"),
	},
}

package develop

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// CodeReview asks for reviews that consider security.
var CodeReview = &bailey.Control{
	ID:   "develop/code-review",
	Asks: "changes are reviewed by somebody else, with security in mind",
	Doc: `A second pair of eyes is the cheapest control there is, as long as it cannot be skipped and knows what to
look at.

Bailey judges the share of merged changes that an independent person reviewed, from trailers, merge data
and owners of sensitive paths, and finds changes that widened a privilege, an exposure or a trust boundary
without a review.

Enforced by bailey review on a pull request: the part of a change that matters for security (privileges,
exposure, new dependencies with their advisories, new crossings of a trust boundary), which fails over a
threshold.

Proved on a scratch branch that is protected like the main one: merging without review, approving one's own
change and changing it after approval must each be refused by the forge.`,
	Scope: bailey.ScopeRepository,
	Refs: []bailey.Reference{
		ref.CNCF(265, "Somebody other than the author approves before a merge"),
		ref.CNCF(189, "Four eyes, independent of each other"),
		ref.CNCF(327, "The main branch is protected and takes a review"),
		ref.CNCF(183, "Protected branches are attested and verified"),
		ref.NIST("SA-11(4)"),
		ref.NIST("CM-3"),
		ref.NIST("CM-4"),
		ref.NIST("AC-5"),
	},
}

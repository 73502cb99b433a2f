package develop

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Chaos asks for security chaos engineering where justified.
var Chaos = &bailey.Control{
	ID:   "develop/chaos",
	Asks: "controls are tested by experiment on the running platform, where that is justified",
	Doc: `A control that held last year is a belief by now. Experiments on a schedule turn it back into knowledge.

Bailey judges which controls have an experiment that ran within its schedule, and what its last verdict
was.

Enforced by a schedule with limits on blast radius, conditions that abort a run, and a clean-up that
survives a crash.

Proved from the ledger: every scheduled experiment ran inside its window, on the platform, with a
verdict; one that was missed counts against it.`,
	Scope: bailey.ScopeCluster,
	Refs: []bailey.Reference{
		ref.CNCF(291, "Infrastructure security is tested"),
		ref.CNCF(269, "Tests follow new threats and become regression tests"),
		ref.CNCF(235, "Workloads are examined while they run"),
		ref.NIST("CA-8"),
		ref.NIST("CA-7"),
		ref.NIST("SI-6"),
		ref.NIST("CP-4"),
	},
}

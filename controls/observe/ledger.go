package observe

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Ledger asks for tamper-proof, confidential logs.
var Ledger = &bailey.Control{
	ID:   "observe/ledger",
	Asks: "logs are tamper-proof and confidential",
	Doc: `The first thing to go after an intrusion is its trace. A log is evidence only if those it may accuse cannot
change it.

Bailey judges where audit, node and application logs go, who can delete or change them, how long they are
kept, whether they are encrypted, and whether they have gaps.

Enforced by bailey ledger: an append-only Merkle log of encrypted records, with signed checkpoints and
witnesses outside.

Proved by changing, dropping, reordering and rolling back records; verification without the server must
catch each.`,
	Scope: bailey.ScopeCluster,
	Refs: []bailey.Reference{
		ref.Kubernetes("tasks/debug/debug-cluster/audit/", "Auditing"),
		ref.CIS("1.2.17", "Audit logs are kept long enough"),
		ref.NSA("Logging"),
		ref.CNCF(331, "Few can delete audit trails or silence alerts"),
		ref.CNCF(312, "Evidence is collected and handled as such"),
		ref.NIST("AU-9"),
		ref.NIST("AU-9(3)"),
		ref.NIST("AU-10"),
	},
}

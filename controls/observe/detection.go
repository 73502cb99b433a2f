package observe

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Detection asks for security monitoring.
var Detection = &bailey.Control{
	ID:   "observe/detection",
	Asks: "clusters and applications are monitored for attacks",
	Doc: `Prevention fails now and then. What remains is to notice, and in time.

Bailey judges what the audit policy covers, which detectors run, and which techniques of the ATT&CK matrix
for containers nothing would notice.

[Bailey's own detections](../../detections.md) read the audit log of the API server: ` + "`bailey detect`" + ` runs them over
a file, and says which of them the audit policy leaves blind.

Enforced by an audit policy, written out to apply, rules over the audit log, an eBPF sensor on the nodes, and alerts.

Proved by running each technique in a harmless form: the alert must arrive where the team looks, in their
SIEM or Alertmanager.`,
	Scope: bailey.ScopeCluster,
	Refs: []bailey.Reference{
		ref.Kubernetes("tasks/debug/debug-cluster/audit/", "Auditing"),
		ref.CIS("3.2.1", "There is an audit policy"),
		ref.CIS("3.2.2", "It covers what matters for security"),
		ref.CIS("1.2.16", "The API server writes an audit log"),
		ref.NSA("Logging"),
		ref.NSA("Threat Detection"),
		ref.CNCF(219, "API auditing is on, with a filter"),
		ref.CNCF(234, "System calls and traffic of containers are watched"),
		ref.NIST("AU-2"),
		ref.NIST("AU-12"),
		ref.NIST("SI-4"),
		ref.ATTACK("T1609"),
	},

	Rules:  detectionRules,
	Guards: []*bailey.Guard{audited},
}

package observe

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Dashboard asks for a resilient chain behind the dashboard.
var Dashboard = &bailey.Control{
	ID:   "observe/dashboard",
	Asks: "the chain that feeds a dashboard is resilient and keeps its integrity, even in an incident",
	Doc: `In an incident the dashboard is what people believe. An attacker who can stop one hop of what feeds it, or
forge it, decides what they see.

Bailey judges every hop of the team's own chain (exporters, Prometheus, Grafana, log shippers, alerting):
whether it is authenticated, buffers, notices gaps, and survives the loss of one instance.

Enforced in Bailey's own chain, which signs, numbers and spools every event; its dashboard shows gaps and
stale data as such.

Proved by stopping each hop in turn: a dead-man alert must arrive from outside the cluster, and nothing may
be lost silently.`,
	Scope: bailey.ScopeCluster,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/cluster-administration/logging/", "Logging Architecture"),
		ref.NSA("SIEM platforms"),
		ref.NSA("Fault tolerance"),
		ref.CNCF(237, "Logs become events that can be acted upon"),
		ref.CNCF(224, "Alerting is tuned against false alarms"),
		ref.NIST("AU-5"),
		ref.NIST("AU-9"),
		ref.NIST("SI-4"),
	},
}

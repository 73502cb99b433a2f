package observe

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Telemetry asks that telemetry is protected.
var Telemetry = &bailey.Control{
	ID:   "observe/telemetry",
	Asks: "logs, metrics and other telemetry are protected as far as their content demands",
	Doc: `Metrics tell an attacker what runs where, and logs often tell the rest, passwords included.

Bailey judges metrics and dashboards that ask for no credential, secrets in logs, who may read logs, and
how telemetry travels to its collector.

Enforced by policies and patches.

Proved by reading each metrics and log endpoint as a stranger.`,
	Scope: bailey.ScopeCluster,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/cluster-administration/system-metrics/", "Metrics For Kubernetes System Components"),
		ref.Kubernetes("concepts/cluster-administration/logging/", "Logging Architecture"),
		ref.CIS("4.3.1", "kube-proxy's metrics are bound to the local host"),
		ref.CIS("1.3.7", "The controller manager listens on the local host"),
		ref.NSA("Logging"),
		ref.CNCF(215, "Secrets are masked in logs, audit records and dumps"),
		ref.NIST("AU-9"),
		ref.NIST("AC-3"),
		ref.ATTACK("T1613"),
		ref.ATTACK("T1046"),
	},

	Rules: telemetryRules,
}

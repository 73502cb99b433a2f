package distribute

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Advisories asks that new risks raise an alert.
var Advisories = &bailey.Control{
	ID:   "distribute/advisories",
	Asks: "feeds and other mechanisms alert to new security risks",
	Doc: `On the day of a bad advisory there is one question: do we run that, and where? The answer should come
before the question.

Bailey judges the age of every feed that the platform subscribes to: OSV, KEV, EPSS, those of the
distributions and of Kubernetes.

Enforced by updating feeds while serving: a new advisory is matched with the stored inventory, without a
new scan, and alerts by webhook, chat, e-mail or Alertmanager.

Proved by a synthetic advisory for a package that runs: it must reach the team's own channel and name the
workload.`,
	Scope: bailey.ScopeCluster,
	Refs: []bailey.Reference{
		ref.Kubernetes("reference/issues-security/official-cve-feed/", "Official CVE Feed"),
		ref.Kubernetes("reference/issues-security/security/", "Kubernetes Security and Disclosure Information"),
		ref.CNCF(236, "What runs is scanned for new vulnerabilities"),
		ref.CNCF(244, "SBOMs tell where a vulnerable library is deployed"),
		ref.NSA("Upgrading and application security practices"),
		ref.NIST("SI-5"),
		ref.NIST("RA-5"),
	},
}

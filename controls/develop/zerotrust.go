package develop

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// ZeroTrust asks for an architecture without implicit trust.
var ZeroTrust = &bailey.Control{
	ID:   "develop/zero-trust",
	Asks: "the architecture trusts nothing implicitly, and offers little attack surface even to an insider",
	Doc: `Sooner or later one workload falls. What matters then is what its place gives to whoever sits in it.

Bailey judges for every workload its blast radius: what can be reached from inside it through the network,
the rights of its ServiceAccount, the secrets it mounts, its node and the cloud's metadata service. It
names every allowed flow that is neither authenticated nor authorized.

Enforced by least-privilege NetworkPolicies and Roles, made from what was declared or seen.

Proved by a probe in the workload's place, which tries the flows and the API calls that must not work.`,
	Scope: bailey.ScopeWorkload,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/security/cloud-native-security/", "Cloud Native Security and Kubernetes"),
		ref.CNCF(233, "Traffic is protected without implicit trust"),
		ref.CNCF(230, "Only sanctioned pairs of services communicate"),
		ref.CNCF(317, "Each party can authenticate the others"),
		ref.CNCF(238, "Least privilege and separation of duties"),
		ref.NIST("AC-4"),
		ref.NIST("AC-6"),
		ref.NIST("SC-7"),
		ref.NIST("SA-8"),
		ref.ATTACK("T1613"),
		ref.ATTACK("T1552.007"),
	},
}

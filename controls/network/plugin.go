package network

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Plugin asks that the network plugin fits what it carries.
var Plugin = &bailey.Control{
	ID:   "network/plugin",
	Asks: "the network plugin fits the information in transit",
	Doc: `A NetworkPolicy is a wish. Some plugins do not grant it, and the API server accepts it all the same.

Bailey judges which plugin runs, whether it enforces NetworkPolicy at all and the parts of it that are in
use, its version and its advisories.

Enforced by a report of what existing policies rely on and the plugin cannot do.

Proved by putting deny policies on pods of Bailey's own and dialling in, out and both at once.`,
	Scope: bailey.ScopeCluster,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/extend-kubernetes/compute-storage-net/network-plugins/", "Network Plugins"),
		ref.Kubernetes("concepts/services-networking/network-policies/", "Network Policies"),
		ref.CIS("5.3.1", "The network plugin supports NetworkPolicy"),
		ref.NSA("Network policies"),
		ref.CNCF(310, "Network policy limits traffic inside the cluster"),
		ref.NIST("SC-7"),
		ref.NIST("CM-8"),
	},

	Rules: pluginRules,

	Experiments: pluginExperiments,
}

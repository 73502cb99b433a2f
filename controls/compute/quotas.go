package compute

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Quotas asks that namespaces share resources fairly.
var Quotas = &bailey.Control{
	ID:   "compute/quotas",
	Asks: "ResourceQuotas share resources fairly, and LimitRanges make Pods state what they need",
	Doc: `Without a quota, one namespace can take all the memory, disk or pod numbers of a cluster, by a
mistake or on purpose. Without requests, the scheduler packs blindly, and the kernel picks a victim when
memory runs out.

Bailey judges each namespace that holds workloads: whether a ResourceQuota bounds CPU, memory and the
number of pods, whether a LimitRange gives containers their requests and limits, whether the two can
work together, and which pods state no requests. It compares quotas with what is in use, so that one
that is nearly full is seen before it refuses the next rollout.

Enforced by quotas and limit ranges sized from what the namespace uses.

Proved by dry-running a pod without requests and one over the quota: the first must come back with
requests set or be refused, the second must be refused. The same is tried by resizing a pod and by claims
of devices.`,
	Scope: bailey.ScopeNamespace,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/policy/resource-quotas/", "Resource Quotas"),
		ref.Kubernetes("concepts/policy/limit-range/", "Limit Ranges"),
		ref.NSA("Resource policies"),
		ref.CNCF(223, "Requests and limits of resources are held by cgroups"),
		ref.CNCF(314, "Groups isolate workloads and deployments"),
		ref.NIST("SC-5"),
		ref.NIST("SC-6"),
		ref.ATTACK("T1496"),
		ref.ATTACK("T1499"),
	},

	Rules: quotaRules,

	Guards: quotaGuards,

	Experiments: quotaExperiments,
}

package network

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Mesh asks that a service mesh secures traffic where suitable.
var Mesh = &bailey.Control{
	ID:   "network/mesh",
	Asks: "where it is suitable, a service mesh secures traffic",
	Doc: `A mesh gives each workload an identity and encrypts what it says, if it is strict. One that also accepts
plain text protects only those who ask for it.

Bailey judges Istio by its objects: whether mutual TLS is strict, which ports are excepted, who is called
in plain text, and what authorization policies let through. Where no namespace joins a mesh there is
nothing to judge: whether one is suitable is not for a rule to say. Linkerd is tried and not read, Cilium's
mesh is neither.

Proved by dialling a port of a pod in Istio's or Linkerd's mesh in plain text; it must be refused.`,
	Scope: bailey.ScopeWorkload,
	Refs: []bailey.Reference{
		ref.NSA("Service meshes"),
		ref.CNCF(233, "Traffic is protected without implicit trust"),
		ref.CNCF(196, "Workloads are authorized to talk and authenticate each other"),
		ref.CNCF(321, "Network policy and mesh are used together"),
		ref.NIST("SC-8"),
		ref.NIST("IA-9"),
		ref.NIST("AC-4"),
	},

	Rules: meshRules,

	Experiments: []*bailey.Experiment{plainTextRefused},
}

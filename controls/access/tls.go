package access

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// TLS asks for TLS everywhere.
var TLS = &bailey.Control{
	ID:   "access/tls",
	Asks: "every connection uses TLS, those of nodes and control plane included, and the keys are protected",
	Doc: `Tokens, secrets and commands pass between API server, kubelets, etcd and webhooks. One hop in plain text, or
one that checks no certificate, gives them away.

Bailey judges every endpoint's protocol, ciphers, chain, name and expiry, the owner and mode of key files,
keys that are weak or shared, whether etcd and the front proxy have authorities of their own, and whether
the API server verifies kubelets.

Enforced by a plan for rotation and by settings written out.

Proved on every endpoint: plain text and TLS 1.1 must be refused, and by etcd a missing client
certificate. A client of ours must refuse a wrong authority, and the API server a false kubelet.`,
	Scope: bailey.ScopeCluster,
	Refs: []bailey.Reference{
		ref.Kubernetes("setup/best-practices/certificates/", "PKI certificates and requirements"),
		ref.CIS("1.2.5", "The API server verifies kubelet certificates"),
		ref.CIS("2.1", "etcd serves TLS"),
		ref.CIS("2.7", "etcd has a certificate authority of its own"),
		ref.CIS("4.2.12", "Kubelets use strong ciphers only"),
		ref.NSA("Encryption"),
		ref.CNCF(225, "Control plane components authenticate each other by certificates that rotate"),
		ref.CNCF(197, "Keys are rotated often"),
		ref.NIST("SC-8(1)"),
		ref.NIST("SC-12"),
		ref.NIST("SC-17"),
	},

	Rules:       tlsRules,
	Guards:      []*bailey.Guard{modernTLS},
	Experiments: tlsExperiments,
}

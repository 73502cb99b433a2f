package access

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// APIBypass asks that nothing goes round the API server.
var APIBypass = &bailey.Control{
	ID:   "access/api-bypass",
	Asks: "nothing goes round the API server",
	Doc: `Authentication, authorization, admission and audit all happen in the API server. A way round it has none
of them.

Bailey judges static pods, the kubelet's API, etcd's API, the sockets of container runtimes, and every
hostPath that leads to one of them. It finds objects in etcd that no audit record explains.

Enforced by policies against such mounts, and by permissions of files.

Proved from probe pods that try kubelets, etcd and the controllers; by mounts of the node's sockets and folders
that must be refused; by asking who may use the kubelets' API; and by writing one object straight into etcd, which
the audit log must not explain.`,
	Scope: bailey.ScopeCluster,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/security/api-server-bypass-risks/", "Kubernetes API Server Bypass Risks"),
		ref.CIS("4.2.1", "The kubelet answers no anonymous request"),
		ref.CIS("2.2", "etcd asks its clients for a certificate"),
		ref.CIS("5.1.10", "Few can use the proxy of nodes"),
		ref.CIS("5.2.11", "Few or no hostPath volumes are admitted"),
		ref.NSA("Etcd"),
		ref.CNCF(340, "Containers cannot mount volumes of the node"),
		ref.NIST("AC-3"),
		ref.NIST("AC-6"),
		ref.ATTACK("T1609"),
		ref.ATTACK("T1611"),
	},

	Rules:  apiBypassRules,
	Guards: []*bailey.Guard{nodePathsRefused},

	Experiments: apiBypassExperiments,
}

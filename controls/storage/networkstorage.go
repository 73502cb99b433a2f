package storage

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// NetworkStorage asks that network storage authenticates nodes.
var NetworkStorage = &bailey.Control{
	ID:   "storage/network-storage",
	Asks: "connections between nodes and network storage are authenticated",
	Doc: `An NFS export that trusts addresses trusts every pod that shares one.

Bailey judges volumes on the network, of PersistentVolumes and of pods: NFS without Kerberos and iSCSI without CHAP.

Enforced by admission policies about both.

Proved with a client in user space, from a pod and from the node's address, without the credential: it tries
to reach and to list the export.`,
	Scope: bailey.ScopeCluster,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/storage/volumes/", "Volumes"),
		ref.Kubernetes("concepts/storage/persistent-volumes/", "Persistent Volumes"),
		ref.CNCF(332, "Storage management takes mutual authentication and TLS"),
		ref.CNCF(341, "Only authorized nodes reach a volume"),
		ref.CNCF(339, "Namespaces bound the access to volumes"),
		ref.NIST("IA-3"),
		ref.NIST("SC-8"),
		ref.NIST("AC-3"),
	},

	Rules: networkStorageRules,

	Guards: []*bailey.Guard{storageAuthenticated},

	Experiments: []*bailey.Experiment{exportsAskWho},
}

package storage

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Volumes asks that volumes are encrypted at rest.
var Volumes = &bailey.Control{
	ID:   "storage/volumes",
	Asks: "volumes are encrypted at rest by an external storage plugin",
	Doc: `Disks are returned, copied and snapshotted by people who have no right to what is on them.

Bailey judges StorageClasses by the parameters of the CSI drivers it knows, and says of which it knows nothing. It
names volumes that are a path of a node.

Enforced by admission policies: classes have to ask for encryption, claims use listed classes only, and volumes of a
node's paths take a grant.

To be proved by writing a marker through a volume and looking for it on the backing device. Encryption by a
cloud provider lies below what can be seen from the cluster: there the provider's API is the evidence, and the
control stays guarded.`,
	Scope: bailey.ScopeCluster,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/storage/storage-classes/", "Storage Classes"),
		ref.Kubernetes("concepts/storage/persistent-volumes/", "Persistent Volumes"),
		ref.NSA("Encryption"),
		ref.CNCF(337, "Encryption at rest fits the data's path, size and use"),
		ref.CNCF(335, "Backups are protected like their source"),
		ref.NIST("SC-28"),
		ref.NIST("SC-28(1)"),
		ref.NIST("SC-12"),
	},
	Rules: volumeRules,

	Guards: volumeGuards,

	Unprovable: "None in this version. The marker would have to be written through a volume of each class and then be looked for by a " +
		"pod that may read any block device of the node, other people's volumes among them. Where the provider encrypts below " +
		"the device nothing is to be seen at all: the provider's API is the evidence, and the control stays guarded at most.",
}

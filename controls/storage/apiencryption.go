package storage

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// APIEncryption asks that API objects are encrypted at rest.
var APIEncryption = &bailey.Control{
	ID:   "storage/api-encryption",
	Asks: "API objects are encrypted at rest",
	Doc: `By default every Secret lies in etcd as plain text, and in each of its backups.

Bailey judges the EncryptionConfiguration: providers and their order, a fallback to plain text, which
resources are covered; the age of keys; the version and health of the KMS.

Enforced by a KMS v2 provider with its keys in an HSM or a TPM (a file serves for trials), by rewriting
old objects with StorageVersionMigration, and by a provider that reports itself unhealthy once its key is
revoked.

Proved at etcd or over a snapshot file of it: every stored Secret carries the prefix and the id of the
current key. Only the names of keys leave it. That writes stop once the key is revoked is not tried: revoking
a cluster's key is for a trial cluster that may be lost.`,
	Scope: bailey.ScopeCluster,
	Refs: []bailey.Reference{
		ref.Kubernetes("tasks/administer-cluster/encrypt-data/", "Encrypting Confidential Data at Rest"),
		ref.Kubernetes("tasks/administer-cluster/kms-provider/", "Using a KMS provider for data encryption"),
		ref.CIS("1.2.27", "Encryption at rest is configured"),
		ref.CIS("1.2.28", "Its providers are sound"),
		ref.NSA("Secrets"),
		ref.CNCF(240, "Stored secrets are encrypted with keys from outside"),
		ref.CNCF(241, "Secrets do not lie in the store as plain text"),
		ref.NIST("SC-28(1)"),
		ref.NIST("SC-12"),
	},

	Rules:       apiEncryptionRules,
	Guards:      []*bailey.Guard{secretsEncrypted},
	Experiments: []*bailey.Experiment{storedEncrypted},
}

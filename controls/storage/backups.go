package storage

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Backups asks for backups whose restore is verified.
var Backups = &bailey.Control{
	ID:   "storage/backups",
	Asks: "backups exist, and restoring them is verified",
	Doc: `A backup is what the last restore showed it to be. Ransomware goes for the backups first.

Bailey judges the age of backups, what they cover (volumes and contents of databases too), their encryption
and signature, whether a copy is off site, immutable and readable without the cluster, and when one was
last restored and compared.

Enforced by bailey backup: a snapshot of etcd and of the API objects, encrypted and signed, to disk or
object storage, with retention.

To be proved by restoring into a scratch control plane and comparing every object; recovery point and time are
reported.`,
	Scope: bailey.ScopeCluster,
	Refs: []bailey.Reference{
		ref.Kubernetes("tasks/administer-cluster/configure-upgrade-etcd/", "Operating etcd clusters for Kubernetes"),
		ref.CNCF(335, "Backups are protected like their source"),
		ref.CNCF(333, "Data stays available by parity, copies or mirrors"),
		ref.NIST("CP-9"),
		ref.NIST("CP-10"),
		ref.NIST("CP-4"),
		ref.ATTACK("T1485"),
		ref.ATTACK("T1490"),
	},
	Rules: backupsRules,

	Unprovable: "None in this version. A restore needs a backup, and this version makes none and cannot be told where others lie. " +
		"A snapshot of etcd alone could be started in a scratch control plane, but that it starts says nothing of volumes, of what " +
		"databases hold, of the age of the last backup, or of whether it can be read once the cluster is lost.",
}

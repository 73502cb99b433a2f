package storage

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// AppEncryption asks that applications encrypt their own data.
var AppEncryption = &bailey.Control{
	ID:   "storage/app-encryption",
	Asks: "applications encrypt their own data",
	Doc: `What an application encrypts itself stays secret from whoever runs its database, copies its disk or
reads its backups. What it leaves as plain text in a ConfigMap, an environment variable or an argument
can be read by everybody who may look at the object.

Bailey judges ConfigMaps and the environment and arguments of containers for values that are secrets:
private keys, tokens of known shape, passwords in connection strings. Collectors replace each value by its
class ("looks like a private key") as they read it, so no value is kept.

Enforced by envelope encryption in the application (a Go package, and seal and open on the command
line) with keys from the cluster's KMS, with rotation, and with deletion by destroying the key.

To be proved by reading the store as an operator would: no plain text of a planted marker may be found.

The classes are precise and not complete: a secret that looks like ordinary text is not recognised.`,
	Scope: bailey.ScopeNamespace,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/configuration/secret/", "Secrets"),
		ref.Kubernetes("concepts/security/secrets-good-practices/", "Good practices for Kubernetes Secrets"),
		ref.CIS("5.4.1", "Secrets are mounted as files rather than set as environment variables"),
		ref.CIS("5.4.2", "Secrets are kept outside the cluster where that is possible"),
		ref.NSA("Secrets"),
		ref.CNCF(195, "Secrets are given to workloads at run time"),
		ref.CNCF(337, "Encryption at rest fits the data's path, size and use"),
		ref.NIST("IA-5(7)"),
		ref.NIST("SC-28(1)"),
		ref.ATTACK("T1552.001"),
		ref.ATTACK("T1552.007"),
	},

	Rules: appEncryptionRules,

	Guards: nil,

	Unprovable: "None in this version. Only its owner knows which data an application is to encrypt and where it keeps them, and this " +
		"version has no way to be told. The marker has to go in through the application itself, and the store has to be read with an " +
		"operator's credential for it, which Bailey does not ask for.",
}

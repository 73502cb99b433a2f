package storage

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// KeyHardware asks that keys are generated in hardware.
var KeyHardware = &bailey.Control{
	ID:   "storage/key-hardware",
	Asks: "keys are generated in specialised hardware",
	Doc: `A key in a file can be copied, and nobody sees it go. A key that was made inside a device and cannot leave
it can only be used where the device is.

Bailey judges where each key of the platform lives, and whether it can be exported.

Enforced by generating keys through PKCS#11 or in a TPM.

Proved by trying to export the key, and by an attestation that it was generated inside.`,
	Scope: bailey.ScopeCluster,
	Refs: []bailey.Reference{
		ref.Kubernetes("tasks/administer-cluster/kms-provider/", "Using a KMS provider for data encryption"),
		ref.CNCF(209, "Hardware protects keys and secrets"),
		ref.CNCF(303, "Credentials are kept in an HSM or a credential manager"),
		ref.CNCF(199, "Keys of sensitive workloads are the customer's own"),
		ref.NIST("SC-12"),
		ref.NIST("SC-13"),
	},
}

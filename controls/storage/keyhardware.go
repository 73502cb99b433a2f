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

To be proved by trying to export the key, and by an attestation that it was generated inside.`,
	Scope: bailey.ScopeCluster,
	Refs: []bailey.Reference{
		ref.Kubernetes("tasks/administer-cluster/kms-provider/", "Using a KMS provider for data encryption"),
		ref.CNCF(209, "Hardware protects keys and secrets"),
		ref.CNCF(303, "Credentials are kept in an HSM or a credential manager"),
		ref.CNCF(199, "Keys of sensitive workloads are the customer's own"),
		ref.NIST("SC-12"),
		ref.NIST("SC-13"),
	},
	Unprovable: "None in this version. To try to export a key, and to have it attested, takes a session with the device that " +
		"holds it (PKCS#11, a TPM, a cloud's KMS), and this version opens none. A refusal alone would not do: a key that was made " +
		"outside and imported refuses to be exported just the same, so that the attestation is needed too.",
}

package sources

// cncfRuntime are the controls on access and compute.
var cncfRuntime = []Item{
	by("195", "Secrets are injected at run time", "storage/app-encryption/secret-in-environment",
		"storage/app-encryption/secret-in-arguments", "storage/app-encryption/secret-in-configmap", "storage/app-encryption/secret-in-probe").
		but("what is in images").nist("IA-5(7)"),
	by("196", "Workloads authenticate each other", "network/mesh/plain-text-refused", "network/mesh/plain-text-taken").nist("IA-9"),
	by("197", "Keys are rotated often", "access/tls/certificate-ends-soon", "access/tls/kubelet-no-rotation").
		but("keys that no certificate dates").nist("SC-12"),
	by("198", "Keys live for a short time",
		"access/authentication/long-client-certificate", "access/certificate-signing/requests-granted",
		"access/tls/long-certificate").
		but("keys that no certificate dates").nist("SC-12(3)"),
	by("199", "Keys of sensitive workloads are the customer's", "storage/api-encryption/weak-provider", "storage/api-encryption/kms-v1").
		but("who holds the key at the provider").nist("IA-2(12)"),
	no("200", "Authentication and authorization are decided apart", "they are in Kubernetes' design; it offers no other way").nist("IA-2(6)"),
	no("201", "Authentication and authorization are enforced apart", "they are in Kubernetes' design; it offers no other way").nist("IA-2(6)"),
	by("202", "Access and file modes change at once", "access/authentication/tokens-not-looked-up", "access/service-accounts/tokens-end").
		but("file modes").nist("SI-4(2)"),
	by("203", "Workloads' rights follow attributes and roles", "access/authorization/no-rbac", "access/service-accounts/default-account-used").nist("AC-3(13)"),
	by("204", "Roles and attributes decide", "access/authorization/no-rbac", "access/authorization/always-allow").nist("AC-3(13), AC-3(7)"),
	no("205", "The end user's identity is passed on", "what a program passes on is in the program").nist("SC-7(19)"),
	by("206", "Operators are authenticated", "access/authentication/anonymous-requests", "access/api-server/strangers-refused",
		"access/authentication/forged-credentials").nist("IA-7"),
	by("207", "What operators do is held to a policy", "access/authorization/always-allow", "deploy/admission/refused-by-every-way").nist("IA-7"),
	no("208", "People need several factors", "the factors are asked at the provider, outside of the cluster").nist("IA-2(1)(2)"),
	no("209", "Hardware holds the keys", "a key in hardware answers as one in a file does; storage/key-hardware says what can be asked").nist("AC-4(4), SC-3(1)"),
	by("210", "Secrets end soon", "access/service-accounts/long-lived-token", "access/service-accounts/long-projected-token").
		but("secrets that are no tokens").nist("SI-12"),
	by("211", "The end of secrets is verified", "access/service-accounts/tokens-end", "access/authentication/tokens-extended").
		but("secrets that are no tokens").nist("AC-16(3)"),
	yet("212", "The store of secrets is always there", "a rule on the availability of KMS and etcd").nist("SC-12(1)"),
	by("213", "Long-lived secrets are rotated and revoked", "access/service-accounts/legacy-token-listed",
		"access/service-accounts/long-lived-token").
		but("secrets that are no tokens").nist("SI-12"),
	by("214", "Secrets travel in guarded channels", "access/tls/api-server-tls", "access/tls/etcd-tls", "access/tls/etcd-plain-text").nist("AC-16"),
	by("215", "Secrets are masked in logs and dumps", "observe/detection/audit-holds-secrets").
		but("logs of applications, and dumps").nist("AU-9(3)"),
	yet("216", "Where a machine is and what it is gets verified at its start", "observe/measured-boot").nist("SI-7(9)"),
	by("217", "Workloads of different sensitivity share no kernel",
		"compute/sandbox/kernel-of-its-own", "compute/sandbox/untrusted-without-sandbox",
		"compute/node-isolation/nodes-are-bounded", "compute/node-isolation/control-plane-schedulable").
		but("which are sensitive, unless labels say so").nist("SC-7"),
	by("218", "Changes of the first configuration are noticed", "admission-change", "pod-security-lowered",
		"access/api-bypass/direct-write-told").
		but("changes of machines").nist("CM-2(2), CM-3(7)"),
	by("219", "The API is audited, with a filter",
		"observe/detection/no-audit-policy", "observe/detection/audit-goes-nowhere", "observe/detection/audit-policy-blind").nist("AU-2"),
	by("220", "The operating system is made for containers", "compute/node-os/writable-root", "compute/node-os/package-manager").nist("CM-2, CM-7"),
	yet("221", "Trust in the hardware begins in a TPM", "observe/measured-boot").nist("SI-7"),
	by("222", "Few may administer the control plane", "access/authorization/cluster-admin-bound", "access/authentication/masters-certificate",
		"access/service-accounts/account-allowed-everything").nist("AC-6"),
	by("223", "Requests and limits are held by cgroups", "compute/quotas/no-requests", "compute/quotas/no-memory-limit",
		"compute/quotas/bounds-hold").nist("SI-7(16), SI-7(17)"),
	no("224", "Alerts are tuned", "which alerts were false is known to people only").nist("SI-4(13)"),
	by("225", "Control plane components authenticate each other",
		"access/tls/kubelet-unverified", "access/tls/etcd-no-client-certificate", "access/tls/etcd-tls",
		"access/tls/kubelet-no-rotation", "access/tls/kubelet-no-client-certificate", "access/tls/etcd-shown-no-certificate").nist("AC-3"),
	by("226", "Few capabilities and system calls are allowed", "compute/syscalls/seccomp-unconfined", "compute/syscalls/seccomp-unset",
		"compute/pod-security/capabilities-baseline", "compute/syscalls/profile-confines").nist("CM-2, CM-7"),
	by("227", "Mounts and files that matter are kept and watched", "compute/pod-security/host-path-volumes",
		"access/api-bypass/mounts-refused", "host-path").
		but("files of machines").nist("CM-5"),
	by("228", "Programs and certificates cannot be changed at run time", "compute/node-os/writable-root",
		"develop/app-design/writable-root-filesystem", "access/tls/writable-certificate").nist("CM-5"),
	by("229", "Containers have the network that they need", "network/policy/no-ingress-policy", "network/policy/no-egress-policy",
		"network/policy/closed-edges-refused").nist("SC-7"),
	by("230", "Services talk to those that are named",
		"network/policy/open-ingress", "network/policy/no-ingress-policy", "network/policy/closed-edges-refused",
		"network/mesh/allows-everybody").nist("SC-7"),
	by("231", "Only signed images are admitted", "deploy/image-identity/not-verified", "deploy/image-identity/unknown-images-refused",
		"deploy/image-identity/strangers-refused").nist("CM-5"),
	by("232", "Only images of known provenance are admitted", "distribute/signatures/unmet-policy", "deploy/image-identity/not-verified").nist("CM-5"),
	by("233", "A mesh takes nothing on trust",
		"network/mesh/plain-text-refused", "network/mesh/plain-text-taken", "network/mesh/client-speaks-plain-text",
		"network/mesh/allows-everybody").nist("SC-7"),
	no("234", "System calls and traffic of containers are reported",
		"whether an agent on the node sees them shows in its own alerts; bailey prove awaits those").nist("SI-4"),
	no("235", "Workloads are watched for what nobody knows yet", "what an agent would notice shows in its own alerts").nist("SI-3"),
	yet("236", "New vulnerabilities are looked for all the time", "distribute/vulnerabilities").nist("RA-5"),
	by("237", "Audit events say what somebody can act on", "secrets-dump", "cluster-admin-binding", "privileged-container", "anonymous-access").nist("AU-3"),
	by("238", "Duties are apart and rights few",
		"access/authorization/wildcard-grant", "access/authorization/role-escalates", "access/authorization/cluster-admin-bound",
		"access/authorization/cluster-role-creates-pods", "access/authorization/role-mints-tokens").
		but("which duties are to be apart").nist("AC-6"),
	by("239", "What breaks the organization's policies is found", "deploy/admission/only-warns", "deploy/admission/engine-only-audits",
		"deploy/admission/refused-by-every-way").nist("SI-7"),
	by("240", "The cluster's store encrypts with a key from outside", "storage/api-encryption/weak-provider", "storage/api-encryption/kms-v1").nist("SC-12(3)"),
	by("241", "The cluster's store holds no plain text", "storage/api-encryption/not-encrypted", "storage/api-encryption/stored-encrypted").nist("SC-12(3)"),
	no("242", "Traffic to malicious names is refused", "which names are malicious is somebody's list").nist("SI-4"),
	no("243", "Containers with sensitive content are encrypted", "what is sensitive is for people to say").nist("SC-28"),
	yet("244", "SBOMs find what is vulnerable and runs", "distribute/vulnerabilities").nist("CM-8"),
	no("245", "Processes run what a list allows", "what a program may run is known to whoever wrote it").nist("CM-2, CM-7"),
	by("246", "Functions cannot change mounts that matter", "compute/pod-security/host-path-volumes",
		"develop/app-design/writable-root-filesystem").nist("CM-5"),
	by("247", "Functions reach the services that are named", "network/policy/no-egress-policy", "network/policy/closed-edges-refused").nist("CM-2, CM-7"),
	by("248", "Traffic to an attacker's server is noticed and refused", "network/policy/no-egress-policy", "network/policy/metadata-egress").
		but("noticing it").nist("SI-4"),
	no("249", "What comes in is inspected", "inspection of content is a product's own work").nist("SI-4"),
	by("250", "Functions of tenants are apart", "compute/sandbox/untrusted-without-sandbox", "compute/quotas/no-quota").
		but("which functions are whose").nist("SC-7(21)"),
}

package sources

// cncfAssurance are the controls on assurance and storage.
var cncfAssurance = []Item{
	by("310", "Policies limit traffic inside the cluster", "network/policy/no-ingress-policy", "network/policy/open-ingress",
		"network/policy/closed-edges-refused").nist("AC-6(3)"),
	no("311", "Incident response knows cloud native workloads", "a plan that people practise").nist("IR-4, IR-4(5), CA-7"),
	yet("312", "Evidence of incidents is kept as it should be", "observe/ledger: rules on what is kept, and where").nist("IR-5(1)"),
	yet("313", "Images are built without root", "develop/environment: reading CI workflows"),
	by("314", "cgroups and groups keep workloads apart", "compute/quotas/no-memory-limit", "deploy/foundation/no-pids-limit",
		"compute/quotas/bounds-hold"),
	by("315", "Access control is mandatory", "compute/syscalls/apparmor-unconfined", "compute/syscalls/selinux-unconfined",
		"compute/node-os/no-security-module", "compute/syscalls/profile-confines").nist("AC-3(3)"),
	yet("316", "Code and infrastructure have a threat model", "develop/threat-model").nist("SA-11(2)"),
	by("317", "Entities verify each other by themselves",
		"network/mesh/plain-text-refused", "access/tls/kubelet-unverified", "network/mesh/plain-text-taken").nist("IA-9"),
	by("318", "Entities can prove who they are", "access/service-accounts/default-account-used", "network/mesh/plain-text-refused").nist("IA-9"),
	yet("319", "The orchestrator runs on a trusted system", "observe/measured-boot").nist("CM-14"),
	by("320", "The orchestrator verifies what a container claims", "deploy/image-identity/not-verified", "access/service-accounts/tokens-end").nist("SI-6"),
	by("321", "Policies and a mesh are used together", "network/policy/no-ingress-policy", "network/mesh/plain-text-refused"),
	by("322", "The supply chain's practices are followed", "distribute/signatures/unmet-policy", "deploy/image-identity/not-verified").
		but("see rows 141 to 194"),
	yet("323", "Access to repository and branches is limited", "develop/environment: asking the forge"),
	by("324", "Secrets are not stored in git unencrypted, and pushes of them refused", "storage/app-encryption/secret-in-folder").
		but("the repository's history, and the refusal"),
	yet("325", "Commits are signed", "develop/environment: reading signatures"),
	yet("326", "History is linear and not rewritten", "develop/environment: asking the forge"),
	yet("327", "The main branch is protected, and changes reviewed", "develop/environment: asking the forge"),
	yet("328", "Git and GitOps tools are up to date", "distribute/components: reading versions"),
	yet("329", "Keys and tokens of git are rotated", "develop/environment: asking the forge"),
	by("330", "A technical account with short-lived credentials has access", "access/service-accounts/long-lived-token").
		but("credentials of the forge"),
	by("331", "Few can switch alarms off and remove traces",
		"access/authorization/wildcard-grant", "events-deleted", "admission-removed", "admission-change",
		"access/authorization/role-changes-admission").
		but("the log outside of the cluster"),
	yet("332", "The storage's management interface authenticates both sides", "asking the storage").nist("SC-8"),
	yet("333", "Data are there several times", "storage/backups and asking the storage").nist("SI-13"),
	yet("334", "Blocks, objects or files bear checksums", "asking the storage").nist("CM-7, SI-7"),
	by("335", "Backups are guarded as the data are", "storage/backups/backup-store-unverified", "storage/backups/backup-stopped").
		but("stores other than Velero's").nist("SA-9, SC-30"),
	no("336", "Devices are erased when they are returned", "a disk that has left shows nothing").nist("CP-9, MP-6"),
	by("337", "Encryption at rest fits data and access", "storage/volumes/class-unencrypted", "storage/api-encryption/not-encrypted").
		but("what fits").nist("SC-28"),
	no("338", "Caches are considered", "what a program caches is in the program"),
	by("339", "Namespaces bound who reaches volumes", "storage/volumes/unlisted-class", "storage/volumes/node-path-volume"),
	by("340", "Containers cannot mount a node's folders", "compute/pod-security/host-path-volumes", "access/api-bypass/mounts-refused",
		"storage/volumes/node-path-volume").nist("SC-7, SA-8, CM-6"),
	by("341", "Nodes reach the volumes that they may", "storage/network-storage/nfs-without-kerberos",
		"storage/network-storage/iscsi-without-chap", "storage/network-storage/exports-ask-who", "access/authorization/no-node-authorizer").nist("SC-7, SA-8, CM-6"),
	by("342", "Volumes' users and groups are out of containers' reach", "compute/pod-security/run-as-non-root",
		"compute/sandbox/root-in-host-user-namespace").
		but("the owner of files on the volume").nist("AC-4, AC-16, SI-7"),
	no("343", "The registry holds OCI artifacts", "what a registry can do is asked of the registry"),
	by("344", "The registry holds signed artifacts", "deploy/image-identity/not-verified").nist("CM-14"),
	no("345", "The registry holds artifacts to policies", "what a registry can do is asked of the registry").nist("AU-10, CM-6"),
}

package sources

var rbacPractices = &Source{
	Name: "Good practices for RBAC", Edition: "kubernetes/website at 037ed19",
	URL:  "https://kubernetes.io/docs/concepts/security/rbac-good-practices/",
	Note: "What each section recommends or warns of.",
	Items: []Item{
		by("least privilege 1", "Rights are given in a namespace rather than in the cluster", "access/authorization/cluster-role-reads-secrets",
			"access/authorization/cluster-admin-bound").but("rights other than to Secrets and to everything: whether a namespace would do"),
		by("least privilege 2", "Few wildcards", "access/authorization/wildcard-grant", "access/service-accounts/account-allowed-everything"),
		by("least privilege 3", "cluster-admin is for where it is needed", "access/authorization/cluster-admin-bound", "cluster-admin-binding"),
		by("least privilege 4", "Nobody is in system:masters", "access/authentication/masters-certificate").
			but("certificates that lie elsewhere than on the machines that were scanned"),
		by("tokens 1", "Powerful ServiceAccounts run on few nodes", "access/service-accounts/account-allowed-everything").
			but("ServiceAccounts that reach everything by several steps"),
		yet("tokens 2", "Powerful pods do not stand beside untrusted ones", "joining rights, placement and trust of pods"),
		by("hardening 1", "Nothing is bound to those without a credential", "access/service-accounts/binding-to-broad-group", "anonymous-binding"),
		by("hardening 2", "Tokens are not mounted by default", "access/service-accounts/default-account-automounts", "access/service-accounts/unused-token"),
		no("review", "Rights are reviewed from time to time", "a review is a meeting of people, and leaves no object behind"),
		by("escalation 1", "Reading Secrets", "access/authorization/cluster-role-reads-secrets", "access/authorization/closed-edges"),
		by("escalation 2", "Creating workloads", "access/authorization/cluster-role-creates-pods").
			but("Roles in one namespace"),
		by("escalation 3", "Creating PersistentVolumes", "access/authorization/role-creates-volumes"),
		by("escalation 4", "nodes/proxy", "access/authorization/role-reaches-kubelets", "access/api-bypass/kubelets-not-for-all"),
		by("escalation 5", "The verb escalate", "access/authorization/role-escalates"),
		by("escalation 6", "The verb bind", "access/authorization/role-escalates"),
		by("escalation 7", "The verb impersonate", "access/authorization/role-escalates"),
		by("escalation 8", "Approving certificate requests",
			"access/certificate-signing/signers-guarded", "access/certificate-signing/powerful-requests",
			"access/certificate-signing/role-approves-clients", "access/certificate-signing/client-approver-bound"),
		by("escalation 9", "Minting tokens", "access/authorization/role-mints-tokens"),
		by("escalation 10", "Changing admission webhooks", "access/authorization/role-changes-admission"),
		by("escalation 11", "Changing namespaces' labels",
			"access/authorization/role-changes-namespaces", "compute/pod-security/levels-lowered", "pod-security-lowered").
			but("ClusterRoles that change every namespace: who keeps namespaces needs them"),
		by("denial 1", "Objects without number or of great size", "compute/quotas/no-quota", "compute/quotas/bounds-hold").but("the size of objects"),
	},
}

var bypassRisks = &Source{
	Name: "API server bypass risks", Edition: "kubernetes/website at 09707c0",
	URL:  "https://kubernetes.io/docs/concepts/security/api-server-bypass-risks/",
	Note: "Its mitigations, in their order.",
	Items: []Item{
		no("static pods 1", "Static pods are on only where a node needs them", "what a node needs is for people to say"),
		by("static pods 2", "Few may write where static pods are read from", "deploy/foundation/writable-configuration", "deploy/foundation/not-roots-file",
			"access/api-bypass/mounts-refused"),
		by("static pods 3", "Few may write the kubelet's configuration", "deploy/foundation/writable-configuration", "deploy/foundation/not-roots-file"),
		by("static pods 4", "Access to these places is recorded and reviewed", "static-pod", "host-path").but("access on the node itself, which no audit event shows"),
		by("kubelet 1", "Few have rights on nodes' subresources", "access/authorization/role-reaches-kubelets", "access/api-bypass/kubelets-not-for-all"),
		by("kubelet 2", "The kubelet's port is closed to most", "access/api-bypass/closed-to-pods", "access/api-server/ports-closed"),
		by("kubelet 3", "Kubelets ask for a certificate or a token", "access/api-bypass/kubelet-anonymous", "access/api-bypass/kubelet-always-allow"),
		by("kubelet 4", "The read-only port is closed", "access/api-bypass/kubelet-read-only-port", "access/api-bypass/closed-to-pods"),
		by("etcd 1", "etcd's authority is its own", "access/tls/etcd-shared-authority"),
		by("etcd 2", "The keys that open etcd are guarded", "access/tls/readable-key", "access/tls/etcd-no-client-certificate", "access/tls/etcd-tls"),
		by("etcd 3", "etcd's port is closed to most", "access/api-bypass/closed-to-pods", "access/api-server/ports-closed"),
		by("runtime 1", "Root alone may talk to the container runtime", "access/api-bypass/open-runtime-socket"),
		yet("runtime 2", "The kubelet is kept apart from what else runs on the node", "reading the namespaces of the node's processes"),
		by("runtime 3", "Pods cannot mount the runtime's socket", "access/api-bypass/mounts-refused", "compute/pod-security/host-path-volumes"),
		no("runtime 4", "Few are root on nodes", "accounts of people on machines are no part of what Bailey reads"),
	},
}

var secretPractices = &Source{
	Name: "Good practices for Secrets", Edition: "kubernetes/website at 0751d63",
	URL:  "https://kubernetes.io/docs/concepts/security/secrets-good-practices/",
	Note: "What each section recommends.",
	Items: []Item{
		by("administrators 1", "Secrets are encrypted where they are stored", "storage/api-encryption/not-encrypted", "storage/api-encryption/stored-encrypted"),
		by("administrators 2", "Components read few Secrets", "access/authorization/cluster-role-reads-secrets", "access/authorization/closed-edges"),
		by("administrators 3", "People read few Secrets, and nobody else etcd", "access/authorization/cluster-role-reads-secrets",
			"access/tls/etcd-no-client-certificate", "access/tls/readable-key"),
		by("administrators 4", "Secrets live for a short time", "access/service-accounts/long-lived-token", "access/service-accounts/long-projected-token").
			but("secrets that are no tokens: nothing says when they end"),
		by("administrators 5", "Somebody is told when many Secrets are read", "secrets-dump", "secrets-sweep", "secrets-read-many", "secrets-cached"),
		no("administrators 6", "Each namespace has Secrets of its own", "which Secrets teams share is known to people; a Secret cannot be mounted across namespaces"),
		no("administrators 7", "etcd's disks are wiped when they are retired", "a disk that has left shows nothing"),
		by("administrators 8", "etcd's members speak TLS among themselves", "access/tls/etcd-plain-text", "access/tls/etcd-no-peer-certificate"),
		no("administrators 9", "Secrets of another store can be reached", "whether another store fits is for people to say"),
		by("administrators 10", "Reads of Secrets are in the audit log",
			"observe/detection/no-audit-policy", "observe/detection/audit-goes-nowhere", "observe/detection/audit-policy-blind"),
		yet("administrators 11", "Admission policies hold how Secrets are used", "a guard against Secrets in environment variables"),
		yet("developers 1", "Only the containers that need a Secret see it", "comparing what a pod's containers mount"),
		no("developers 2", "Programs keep what they have read to themselves", "what a program does with a value its objects do not show"),
		by("developers 3", "Manifests with Secrets are not passed on", "storage/app-encryption/secret-in-folder"),
		by("developers 4", "Secrets are not committed", "storage/app-encryption/secret-in-folder", "storage/app-encryption/secret-in-configmap",
			"storage/app-encryption/secret-in-environment", "storage/app-encryption/secret-in-arguments").but("the repository's history"),
		by("developers 5", "Secrets are mounted rather than put into the environment", "storage/app-encryption/environment-from-secret"),
	},
}

var kernelConstraints = &Source{
	Name: "Linux kernel security constraints", Edition: "kubernetes/website at 0637786",
	URL:  "https://kubernetes.io/docs/concepts/security/linux-kernel-security-constraints/",
	Note: "What the page recommends.",
	Items: []Item{
		by("root 1", "Workloads run without root", "compute/pod-security/run-as-non-root", "compute/pod-security/run-as-user"),
		by("root 2", "Root in a user namespace where root it must be", "compute/sandbox/root-in-host-user-namespace"),
		by("seccomp 1", "The runtime's seccomp profile is set", "compute/syscalls/seccomp-unset", "compute/syscalls/seccomp-unconfined", "compute/syscalls/profile-confines"),
		by("seccomp 2", "Privileges cannot be gained", "compute/pod-security/allow-privilege-escalation"),
		by("seccomp 3", "A sandbox where more isolation is needed", "compute/sandbox/untrusted-without-sandbox", "compute/sandbox/kernel-of-its-own").
			but("where it is needed, unless labels say so"),
		by("apparmor", "AppArmor confines containers", "compute/syscalls/apparmor-unconfined", "compute/node-os/no-security-module"),
		by("selinux", "SELinux labels are not loosened", "compute/syscalls/selinux-unconfined", "compute/pod-security/selinux-options", "compute/node-os/no-security-module"),
		no("custom", "Profiles of one's own are managed by a tool", "how files come to nodes is for people to choose"),
		by("privileged 1", "Containers are not privileged", "compute/pod-security/privileged", "compute/syscalls/privileged-unconfined"),
		by("privileged 2", "Single capabilities in the place of privilege", "compute/pod-security/capabilities-baseline", "compute/pod-security/capabilities-restricted"),
		by("privileged 3", "No Windows HostProcess containers", "compute/pod-security/windows-host-process"),
		by("network", "The network is divided first", "network/policy/no-ingress-policy", "network/policy/no-egress-policy"),
	},
}

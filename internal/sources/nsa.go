package sources

var nsa = &Source{
	Name: "NSA/CISA Kubernetes Hardening Guide", Edition: "version 1.2, August 2022",
	URL:  "https://media.defense.gov/2022/Aug/29/2003066362/-1/-1/0/CTR_KUBERNETES_HARDENING_GUIDANCE_1.2_20220829.PDF",
	Note: "The guide does not number what it recommends: these are the recommendations of its sections as we tell them apart.",
	Items: []Item{
		by("pods 1", "Containers run without root", "compute/pod-security/run-as-non-root", "compute/pod-security/run-as-user"),
		no("pods 2", "Container engines run without root", "containerd and CRI-O under a kubelet as it is shipped run as root; rootless nodes are an experiment"),
		by("pods 3", "File systems of containers cannot be changed", "develop/app-design/writable-root-filesystem"),
		by("pods 4", "Images come from trusted repositories", "deploy/admission/foreign-registry", "deploy/image-identity/not-verified"),
		yet("pods 5", "Images are scanned, when they are built and when they are admitted", "matching images with advisories"),
		by("pods 6", "Admission holds pods to a level", "compute/pod-security/namespace-not-enforced", "compute/pod-security/refused-by-pod-security",
			"deploy/admission/refused-by-every-way"),
		by("pods 7", "No privileged containers", "compute/pod-security/privileged"),
		by("pods 8", "No namespaces and folders of the node", "compute/pod-security/host-namespaces", "compute/pod-security/host-path-volumes"),
		by("pods 9", "No gain of privileges", "compute/pod-security/allow-privilege-escalation"),
		by("pods 10", "SELinux, AppArmor and seccomp confine", "compute/syscalls/seccomp-unset", "compute/syscalls/apparmor-unconfined",
			"compute/syscalls/selinux-unconfined", "compute/node-os/no-security-module"),
		by("pods 11", "ServiceAccounts' tokens are mounted where they are used", "access/service-accounts/unused-token",
			"access/service-accounts/default-account-automounts"),
		by("pods 12", "A kernel of its own where more isolation is wanted", "compute/sandbox/untrusted-without-sandbox", "compute/sandbox/kernel-of-its-own").
			but("where it is wanted, unless labels say so"),

		no("network 1", "Namespaces divide the cluster", "what belongs together is known to people only"),
		by("network 2", "The network plugin enforces policies", "network/plugin/policies-enforced", "network/plugin/policies-ignored"),
		by("network 3", "A policy denies by default", "network/policy/no-ingress-policy", "network/policy/no-egress-policy"),
		by("network 4", "Policies open what is needed", "network/policy/open-ingress", "network/policy/closed-edges-refused").but("what is needed"),
		by("network 5", "Resources are bounded", "compute/quotas/no-quota", "compute/quotas/no-limit-range", "deploy/foundation/no-pids-limit"),
		by("network 6", "The control plane is closed to those who need it not", "access/api-server/ports-closed", "access/api-bypass/closed-to-pods").
			but("it is tried from where Bailey runs"),
		by("network 7", "Control plane components speak TLS and authenticate",
			"access/tls/kubelet-unverified", "access/tls/etcd-plain-text", "access/tls/api-server-tls", "access/tls/kubelet-tls",
			"access/tls/kubelet-no-client-certificate", "access/tls/self-made-certificate", "access/tls/weak-cipher"),
		by("network 8", "etcd is the API server's alone, with an authority of its own", "access/tls/etcd-shared-authority",
			"access/tls/etcd-no-client-certificate", "access/tls/etcd-tls", "access/api-bypass/closed-to-pods"),
		by("network 9", "Kubeconfig files are guarded", "access/tls/readable-key", "deploy/foundation/not-roots-file"),
		by("network 10", "Nodes are kept apart from other networks",
			"compute/node-os/unneeded-service", "access/api-bypass/closed-to-pods",
			"compute/node-isolation/control-plane-schedulable").
			but("firewalls outside of the nodes"),
		by("network 11", "Traffic is encrypted, with TLS 1.2 or 1.3",
			"access/tls/api-server-tls", "network/encryption/unreadable-on-the-wire", "develop/app-design/routes-protected",
			"network/mesh/plain-text-taken"),
		by("network 12", "Secrets are encrypted at rest", "storage/api-encryption/not-encrypted", "storage/api-encryption/weak-provider",
			"storage/api-encryption/stored-encrypted"),
		by("network 13", "Secrets are kept in Secrets", "storage/app-encryption/secret-in-configmap", "storage/app-encryption/secret-in-environment",
			"storage/app-encryption/secret-in-arguments"),
		by("network 14", "The cloud's metadata service is closed", "network/policy/metadata-egress", "access/api-bypass/closed-to-pods").
			but("what the cloud itself closes"),

		by("access 1", "No anonymous requests", "access/authentication/anonymous-requests", "access/api-bypass/kubelet-anonymous",
			"access/api-server/strangers-refused"),
		by("access 2", "People are authenticated strongly",
			"access/authentication/static-tokens", "access/authentication/long-client-certificate",
			"access/authentication/forged-credentials", "access/authentication/no-identity-provider").
			but("what the provider asks of them"),
		by("access 3", "RBAC is on", "access/authorization/no-rbac", "access/authorization/always-allow"),
		by("access 4", "Each role has few rights", "access/authorization/wildcard-grant", "access/authorization/role-escalates",
			"access/authorization/cluster-admin-bound", "access/authorization/closed-edges"),

		by("audit 1", "Audit logging is on", "observe/detection/no-audit-policy", "observe/detection/audit-goes-nowhere"),
		by("audit 2", "The audit policy records what an attack would leave", "observe/detection/audit-policy-blind"),
		by("audit 3", "Logs are kept", "observe/detection/audit-log-short").but("logs other than the API server's"),
		yet("audit 4", "Logs are gathered outside of the cluster", "finding the agents that ship logs"),
		no("audit 5", "Seccomp records what it would refuse", "a way to write a profile, for the time that takes"),
		no("audit 6", "A system gathers and joins events", "what stands outside of the cluster is not seen"),
		by("audit 7", "Somebody is alerted", "secrets-dump", "privileged-container", "exec", "cluster-admin-binding", "anonymous-access").
			but("bailey prove awaits the team's own alerts where it is told where they arrive"),
		by("audit 8", "Machines agree on the time", "observe/time/no-time-source", "observe/time/unauthenticated-time"),

		yet("upgrades 1", "Security patches are applied soon", "matching versions with advisories"),
		by("upgrades 2", "Vulnerabilities are looked for, and attacks tried", "access/authorization/closed-edges", "access/api-bypass/closed-to-pods",
			"network/policy/closed-edges-refused").but("scans for known vulnerabilities"),
		no("upgrades 3", "What is not used is removed", "what is used is known to people only"),
	},
}

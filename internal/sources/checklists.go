package sources

var checklist = &Source{
	Name: "Kubernetes security checklist", Edition: "kubernetes/website at 02802dd",
	URL:  "https://kubernetes.io/docs/concepts/security/security-checklist/",
	Note: "Its boxes, counted in each section.",
	Items: []Item{
		by("authentication 1", "Nobody works as system:masters once the cluster stands", "access/authentication/masters-certificate").
			but("certificates that lie elsewhere than on the machines that were scanned"),
		by("authentication 2", "Each controller has a credential of its own", "deploy/foundation/shared-controller-credential"),
		by("authentication 3", "The root certificate's key is guarded", "access/tls/readable-key", "access/tls/writable-certificate").
			but("whether the authority is offline"),
		by("authentication 4", "Leaf and intermediate certificates end within three years", "access/tls/long-certificate").
			but("certificates that lie elsewhere than on the machines that were scanned"),
		no("authentication 5", "Rights are reviewed at least every two years", "a review is a meeting of people, and leaves no object behind"),
		by("authentication 6", "The good practices for RBAC are followed",
			"access/authorization/wildcard-grant", "access/authorization/role-escalates",
			"access/authorization/role-reaches-kubelets", "access/authorization/cluster-role-reads-secrets",
			"access/authorization/cluster-admin-bound", "access/authorization/cluster-role-creates-pods",
			"access/authorization/role-mints-tokens", "access/authorization/role-changes-admission").
			but("see the table of that page"),

		by("network 1", "The network plugin enforces network policies", "network/plugin/policies-enforced", "network/plugin/policies-ignored"),
		by("network 2", "Every workload has policies in both directions", "network/policy/no-ingress-policy", "network/policy/no-egress-policy"),
		by("network 3", "Each namespace denies by default", "network/policy/no-ingress-policy", "network/policy/no-egress-policy", "network/policy/open-ingress"),
		by("network 4", "Traffic between pods is encrypted where it should be",
			"network/mesh/plain-text-refused", "network/encryption/unreadable-on-the-wire", "network/mesh/plain-text-taken"),
		by("network 5", "API server, kubelets and etcd are not open to the Internet", "access/api-server/ports-closed", "access/api-server/strangers-refused",
			"access/api-bypass/closed-to-pods").but("it is tried from where Bailey runs"),
		by("network 6", "Pods cannot ask the cloud's metadata service", "network/policy/metadata-egress", "access/api-bypass/closed-to-pods").
			but("what the cloud itself closes, a hop limit of 1 for one"),
		by("network 7", "Load balancers and external addresses are limited", "deploy/admission/unlisted-service", "develop/app-design/service-external-ips"),

		by("pods 1", "Few may create, change and delete workloads",
			"access/authorization/cluster-role-creates-pods", "access/authorization/wildcard-grant").
			but("Roles in one namespace: whether they are needed"),
		by("pods 2", "Every namespace enforces a Pod Security level", "compute/pod-security/namespace-not-enforced", "compute/pod-security/enforce-version-old",
			"compute/pod-security/refused-by-pod-security"),
		by("pods 3", "Memory is limited, at no more than the request", "compute/quotas/no-memory-limit", "compute/quotas/no-requests").
			but("a limit above the request is let be: it is what most run with, and wants a person"),
		by("pods 4", "Sensitive workloads may have a CPU limit", "compute/quotas/no-requests", "compute/quotas/incomplete-quota").
			but("which workloads are sensitive"),
		by("pods 5", "Seccomp filters are on", "compute/syscalls/seccomp-unconfined", "compute/syscalls/seccomp-unset", "compute/syscalls/profile-confines"),
		by("pods 6", "AppArmor or SELinux confines programs", "compute/syscalls/apparmor-unconfined", "compute/syscalls/selinux-unconfined",
			"compute/node-os/no-security-module"),

		by("logs 1", "The audit log is kept from general access", "observe/detection/audit-log-open", "observe/detection/audit-holds-secrets").
			but("logs that were shipped elsewhere"),
		by("logs 2", "The API server does not serve its machine's /logs", "access/api-server/logs-served", "access/api-server/strangers-refused"),

		by("placement 1", "Pods are placed by how sensitive they are",
			"compute/node-isolation/nodes-are-bounded", "compute/node-isolation/dedicated-nodes-kept",
			"compute/node-isolation/control-plane-schedulable", "compute/node-isolation/tolerates-everything").
			but("which workloads are sensitive, unless labels say it"),
		by("placement 2", "Sensitive workloads have nodes or a sandbox of their own", "compute/sandbox/untrusted-without-sandbox",
			"compute/sandbox/kernel-of-its-own", "compute/node-isolation/dedicated-nodes-kept").but("which workloads are sensitive, unless labels say it"),

		by("secrets 1", "ConfigMaps hold nothing confidential", "storage/app-encryption/secret-in-configmap"),
		by("secrets 2", "Secrets are encrypted where they are stored", "storage/api-encryption/not-encrypted", "storage/api-encryption/plain-text-first",
			"storage/api-encryption/secrets-left-out", "storage/api-encryption/stored-encrypted"),
		no("secrets 3", "Secrets of another store can be injected", "it is asked for where it fits, and that is for people to say"),
		by("secrets 4", "Pods carry tokens only where they use them", "access/service-accounts/unused-token", "access/service-accounts/default-account-used",
			"access/service-accounts/default-account-automounts"),
		by("secrets 5", "Tokens are bound and end", "access/service-accounts/long-lived-token", "access/service-accounts/legacy-token-listed",
			"access/service-accounts/long-projected-token", "access/service-accounts/tokens-end"),

		yet("images 1", "Images hold little that is not needed", "reading what is in an image"),
		by("images 2", "Images run as a user without privileges", "compute/pod-security/run-as-non-root", "compute/pod-security/run-as-user").
			but("what the image itself says: the workload must state it"),
		by("images 3", "Images are named by digest, or their signatures verified", "deploy/image-identity/not-pinned", "deploy/image-identity/latest-tag",
			"deploy/image-identity/not-verified", "deploy/image-identity/unknown-images-refused"),
		yet("images 4", "Images are scanned, and what is known to be wrong is mended", "matching images with advisories"),

		by("admission 1", "The admission plugins that guard something are on", "access/api-server/plugin-disabled", "access/api-server/no-node-restriction",
			"access/api-server/always-admit"),
		by("admission 2", "Pods are held to a policy", "compute/pod-security/namespace-not-enforced", "compute/pod-security/refused-by-pod-security",
			"deploy/admission/refused-by-every-way"),
		by("admission 3", "Webhooks and policies are set up soundly",
			"deploy/admission/fails-open", "deploy/admission/unreachable", "deploy/admission/blocks-itself",
			"deploy/admission/object-exempts", "deploy/admission/namespace-exempts", "deploy/admission/missed-paths",
			"deploy/admission/intercepts-control-plane"),
	},
}

var applicationChecklist = &Source{
	Name: "Kubernetes application security checklist", Edition: "kubernetes/website at 07b7dd7",
	URL:  "https://kubernetes.io/docs/concepts/security/application-security-checklist/",
	Note: "Its boxes, counted in each section.",
	Items: []Item{
		no("design 1", "The application follows the principles for containers", "the principles are about how a program is built, which its objects do not show"),
		by("design 2", "Requests and limits give the class of service that is meant", "compute/quotas/no-requests", "compute/quotas/no-memory-limit").
			but("which class is meant"),
		by("design 3", "Memory is limited, at no more than the request", "compute/quotas/no-memory-limit", "compute/quotas/no-requests").
			but("a limit above the request is let be: it is what most run with, and wants a person"),
		by("design 4", "Sensitive workloads may have a CPU limit", "compute/quotas/no-requests").but("which workloads are sensitive"),

		by("accounts 1", "Workloads have ServiceAccounts of their own", "access/service-accounts/default-account-used", "access/service-accounts/binding-to-default-account"),
		by("accounts 2", "Tokens are mounted only where they are used", "access/service-accounts/unused-token", "access/service-accounts/default-account-automounts"),

		by("pod 1", "Pods refuse to run as root", "compute/pod-security/run-as-non-root"),
		by("pod 2", "User and group are chosen", "compute/pod-security/run-as-user", "compute/pod-security/run-as-non-root").
			but("which user and group are right"),
		no("pod 3", "A group may be set for volumes", "it is optional, and right where a volume's files belong to that group: nobody outside of the volume knows"),
		by("pod 4", "The namespace enforces a Pod Security level", "compute/pod-security/namespace-not-enforced", "compute/pod-security/refused-by-pod-security"),

		by("container 1", "Processes may not gain privileges", "compute/pod-security/allow-privilege-escalation"),
		by("container 2", "The root file system is read-only", "develop/app-design/writable-root-filesystem"),
		by("container 3", "Containers are not privileged", "compute/pod-security/privileged"),
		by("container 4", "All capabilities are dropped, and few added", "compute/pod-security/capabilities-restricted", "compute/pod-security/capabilities-baseline"),

		by("rbac 1", "Rights to create, change and delete are given where they are needed", "access/authorization/wildcard-grant",
			"access/service-accounts/account-allowed-everything").but("whether a right is needed: audit logs would tell"),
		by("rbac 2", "No role lets its holder write roles beyond its own", "access/authorization/role-escalates"),
		by("rbac 3", "Nobody without a credential is given anything", "access/service-accounts/binding-to-broad-group", "anonymous-binding"),

		yet("images 1", "Images are scanned before they are deployed", "matching images with advisories"),
		by("images 2", "Signatures are verified before images are deployed", "deploy/image-identity/not-verified", "distribute/signatures/unmet-policy",
			"deploy/image-identity/strangers-refused"),

		by("network 1", "Policies allow the expected traffic only", "network/policy/no-ingress-policy", "network/policy/no-egress-policy",
			"network/policy/open-ingress", "network/policy/closed-edges-refused").but("what is expected"),

		by("linux 1", "Seccomp profiles fit", "compute/syscalls/seccomp-unconfined", "compute/syscalls/seccomp-unset", "compute/pod-security/seccomp-profile-restricted"),
		by("linux 2", "AppArmor policies fit", "compute/syscalls/apparmor-unconfined", "compute/pod-security/apparmor-profile"),
		by("linux 3", "SELinux labels fit", "compute/syscalls/selinux-unconfined", "compute/pod-security/selinux-options"),

		by("runtime 1", "Containers that need it have a stronger sandbox", "compute/sandbox/untrusted-without-sandbox", "compute/sandbox/runtime-class-missing",
			"compute/sandbox/kernel-of-its-own").but("which need it, unless labels say so"),
	},
}

package sources

var schedulerHardening = &Source{
	Name: "Hardening guide: scheduler", Edition: "kubernetes/website at 0710440",
	URL:  "https://kubernetes.io/docs/concepts/security/hardening-guide/scheduler/",
	Note: "Its flags, by name, and its advice on plugins.",
	Items: []Item{
		by("authentication-kubeconfig", "The scheduler asks the API server who calls", "deploy/foundation/callers-not-looked-up"),
		unasked("authentication-tolerate-lookup-failure", "It does not go on when it cannot ask", "the scheduler tolerates it by default, so that it starts before the API server; a caller that cannot be looked up is a stranger, whom authorization refuses"),
		by("authentication-skip-lookup", "It looks up what it was not told", "deploy/foundation/callers-not-looked-up"),
		by("authorization-always-allow-paths", "Few paths are open to everybody", "deploy/foundation/open-paths"),
		by("bind-address", "It listens at the loopback address", "deploy/foundation/scheduler-reachable"),
		by("permit-address-sharing", "Nobody shares its address", "deploy/foundation/shared-port"),
		by("permit-port-sharing", "Nobody shares its port", "deploy/foundation/shared-port"),
		unasked("requestheader-client-ca-file", "It verifies who says in whose name they call", "unset, the scheduler takes it from the API server, which is the usual way"),
		by("tls-cipher-suites", "It uses strong ciphers only", "access/tls/weak-cipher"),
		no("plugins 1", "Plugins that order the queue are reviewed", "what a plugin does is in its program"),
		no("plugins 2", "Plugins that filter nodes are reviewed", "what a plugin does is in its program"),
		no("plugins 3", "Plugins that hold pods back are reviewed", "what a plugin does is in its program"),
	},
}

var authenticationHardening = &Source{
	Name: "Hardening guide: authentication", Edition: "kubernetes/website at 0761ef8",
	URL:  "https://kubernetes.io/docs/concepts/security/hardening-guide/authentication-mechanisms/",
	Note: "What each mechanism's section recommends.",
	Items: []Item{
		no("few mechanisms", "As few ways to sign in as possible", "how many are needed is for people to say"),
		by("people", "People sign in through a provider outside", "access/authentication/no-identity-provider").
			but("a proxy before the API server that impersonates"),
		by("certificates 1", "People's client certificates live for a short time",
			"access/authentication/long-client-certificate", "access/certificate-signing/requests-granted",
			"access/tls/long-certificate"),
		no("certificates 2", "Issued certificates are recorded", "a record kept elsewhere is not seen; those issued through the API are in the audit log"),
		by("certificates 3", "Keys are guarded", "access/tls/readable-key"),
		by("static tokens", "No static token file", "access/authentication/static-tokens"),
		by("bootstrap tokens", "Bootstrap tokens are for joining only", "access/authentication/bootstrappers-bound"),
		by("secret tokens", "ServiceAccounts' tokens are not kept in Secrets", "access/service-accounts/long-lived-token", "access/service-accounts/legacy-token-listed"),
		by("requested tokens", "Requested tokens live for a short time", "access/service-accounts/long-projected-token", "access/service-accounts/tokens-end",
			"access/authentication/tokens-extended"),
		no("openid 1", "What signs people in is kept apart from other workloads", "which workload signs people in no object says"),
		no("openid 2", "OpenID tokens live for a short time", "their life is set at the provider, outside of the cluster"),
		no("webhook", "What a token webhook asks is kept apart", "which workload answers no object says"),
		no("proxy 1", "TLS stands between an authenticating proxy and the API server", "how a proxy reaches the API server shows at the proxy; the API server serves TLS only"),
		by("proxy 2", "Only the proxy may set the headers", "access/authentication/proxy-headers-open"),
	},
}

var authorizationHardening = &Source{
	Name: "Hardening guide: authorization", Edition: "kubernetes/website at 0cdb8f1",
	URL:  "https://kubernetes.io/docs/concepts/security/hardening-guide/authorization-hardening/",
	Note: "What each section recommends.",
	Items: []Item{
		by("rbac", "RBAC is on", "access/authorization/no-rbac"),
		by("least privilege 1", "Each identity has the rights that it needs", "access/authorization/wildcard-grant", "access/service-accounts/account-allowed-everything",
			"access/service-accounts/unused-token").but("whether a right is needed: audit logs would tell"),
		by("least privilege 2", "Teams reach their own namespaces only", "access/authorization/closed-edges", "access/authorization/cluster-role-reads-secrets").
			but("which namespaces are whose"),
		by("least privilege 3", "AlwaysAllow is never set", "access/authorization/always-allow"),
		by("least privilege 4", "Nobody is in system:masters", "access/authentication/masters-certificate").
			but("certificates that lie elsewhere than on the machines that were scanned"),
		by("etcd", "etcd is closed", "access/tls/etcd-no-client-certificate", "access/tls/etcd-shared-authority", "access/api-bypass/closed-to-pods"),
		by("kubelet", "Kubelets answer nobody unknown, and few hold nodes/proxy", "access/api-bypass/kubelet-anonymous", "access/authorization/role-reaches-kubelets"),
		by("dashboard", "A dashboard shows and does not change",
			"access/service-accounts/account-allowed-everything", "observe/telemetry/dashboard-without-login").
			but("dashboards other than that of Kubernetes"),
		by("secrets", "Secrets are read by who needs them", "access/authorization/cluster-role-reads-secrets", "access/authorization/closed-edges"),
		by("api", "Few verbs are given", "access/authorization/wildcard-grant", "access/authorization/role-escalates"),
		by("audit", "Roles are checked by a tool", "access/authorization/wildcard-grant", "access/authorization/role-escalates", "access/authorization/cluster-admin-bound"),
		by("admission", "Admission policies do what RBAC cannot", "deploy/admission/refused-by-every-way", "deploy/admission/unbound", "deploy/admission/only-warns"),
	},
}

var limitsHardening = &Source{
	Name: "Hardening guide: resource limits", Edition: "kubernetes/website at 0b5201f",
	URL:  "https://kubernetes.io/docs/concepts/security/hardening-guide/resource-limits/",
	Note: "A draft whose sections are mostly empty: its headings.",
	Items: []Item{
		by("memory", "Memory limits", "compute/quotas/no-memory-limit", "compute/quotas/no-limit-range"),
		by("cpu", "CPU limits", "compute/quotas/incomplete-quota", "compute/quotas/no-requests"),
		by("other", "Huge pages and devices", "compute/quotas/bounds-hold").but("quotas on huge pages and devices"),
		by("quota", "Quotas of namespaces", "compute/quotas/no-quota", "compute/quotas/incomplete-quota", "compute/quotas/full-quota"),
		by("pids", "Limits of processes", "deploy/foundation/no-pids-limit"),
		by("ranges", "Limit ranges", "compute/quotas/no-limit-range"),
	},
}

var devicesHardening = &Source{
	Name: "Hardening guide: device allocation", Edition: "kubernetes/website at 69a5a05",
	URL:  "https://kubernetes.io/docs/concepts/security/hardening-guide/dynamic-resource-allocation/",
	Note: "What each section recommends.",
	Items: []Item{
		yet("binding", "Schedulers alone may bind claims", "a rule on resourceclaims/binding"),
		by("driver", "Drivers change their own devices only", "access/authorization/role-changes-any-device"),
		by("nodes", "Drivers on a node change claims of that node", "access/authorization/role-changes-any-device").
			but("whether a driver runs on nodes"),
		by("admin access 1", "Few may label a namespace for administrators' access", "access/authorization/role-changes-namespaces").
			but("ClusterRoles that change every namespace: who keeps namespaces needs them"),
		yet("admin access 2", "A policy holds that label", "a guard on the label"),
	},
}
